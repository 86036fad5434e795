//! `teacher::`: frozen foundation models, and the methods of each kind.

mod clip;
mod sam;
mod segformer;

use candle_core::Device;

use crate::script::prelude::*;
use crate::teacher::{Family, Labelled, Origin, SamKind, SegmentAnything, snap};

use clip::ClipTeacher;
use sam::{SamTeacher, mask_of};
use segformer::SegformerTeacher;

/// The path that stands for a small teacher with random numbers.
const RANDOM: &str = "random";

/// Where a teacher's numbers come from.
fn origin(ctx: &Call, path: &str, seed: Option<u64>) -> Result<Origin> {
    let session = ctx.session();
    Ok(match path {
        RANDOM => Origin::Random(seed.unwrap_or_else(|| session.seed())),
        _ => Origin::Files(session.input_path(path)?),
    })
}

/// `#{ labels, confidence }`, on the CPU as all labels are.
fn labelled(found: Labelled) -> Result<Map> {
    let [labels, confidence] = [found.labels, found.confidence].map(|t| t.to_device(&Device::Cpu).map(Dynamic::from));
    Ok(named([("labels", labels?), ("confidence", confidence?)]))
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    const DOC: &str = "Frozen foundation models that label, mask or describe images.";
    let functions = entries! {
        /// Read CLIP: features of image patches and of texts in one space, and labels by texts.
        ///
        /// A folder of Hugging Face with `config.json`, `model.safetensors` and `tokenizer.json`, such as
        /// huggingface.co/openai/clip-vit-base-patch16. Images are tensors with colours 0 to 1; they are resized and normalised here.
        /// `"random"` is a small one with random numbers that needs no file, to try a script.
        /// ```
        /// let clip = teacher::clip("random");
        /// assert_eq(clip.text(["a photo of a cat", "a road"]).shape, [2, 32]);
        /// ```
        fn clip(ctx,
            /// A folder, or `"random"` (a folder of that name is `"./random"`).
            folder: String,
            /// Seed of the random numbers; the session's if absent.
            seed: Option<u64> = None
        ) -> ClipTeacher {
            ClipTeacher::new(Family::Clip, &origin(ctx, &folder, seed)?, ctx.session().device())
        }

        /// Read SigLIP or SigLIP 2 of one image size: used as CLIP is.
        ///
        /// A folder of Hugging Face with `config.json`, `model.safetensors` and `tokenizer.json`, such as
        /// huggingface.co/google/siglip2-base-patch16-224. Texts are put into small letters, as in its training. `"random"` is a small
        /// one with random numbers that needs no file.
        /// ```
        /// let siglip = teacher::siglip("random");
        /// let seen = siglip.zero_shot(data::scenes(#{ count: 1, size: [48, 64] }).get(0).image, ["a car", "the sky"]);
        /// assert_eq(seen.labels.shape, [48, 64]);
        /// ```
        fn siglip(ctx,
            /// A folder, or `"random"` (a folder of that name is `"./random"`).
            folder: String,
            /// Seed of the random numbers; the session's if absent.
            seed: Option<u64> = None
        ) -> ClipTeacher {
            ClipTeacher::new(Family::Siglip, &origin(ctx, &folder, seed)?, ctx.session().device())
        }

        /// Read Segment Anything: all masks of an image, or the mask of a thing that points show.
        ///
        /// A safetensors file, Hugging Face's (facebook/sam-vit-base) or one with the authors' names (lmz/candle-sam, also Mobile-SAM), or
        /// the folder of such a `model.safetensors` (with its `config.json` also ViT-L and ViT-H). `"random"` is a small one with random numbers that
        /// needs no file.
        /// ```
        /// let sam = teacher::segment_anything("random", #{ kind: "vit_b" });
        /// let found = sam.segment(data::scenes(#{ count: 1, size: [48, 64] }).get(0).image, [[20, 30]]);
        /// assert_eq(found.mask.shape, [48, 64]);
        /// ```
        fn segment_anything(ctx,
            /// A file or folder, or `"random"`.
            path: String,
            /// Which of the models.
            kind: SamKind = SamKind::VitB,
            /// Seed of the random numbers; the session's if absent.
            seed: Option<u64> = None
        ) -> SamTeacher {
            Ok(SamTeacher::of(SegmentAnything::new(kind, &origin(ctx, &path, seed)?, ctx.session().device())?))
        }

        /// Read a SegFormer that was trained elsewhere: labels of its own classes.
        ///
        /// A folder of Hugging Face with `config.json` and `model.safetensors`, such as
        /// huggingface.co/nvidia/segformer-b0-finetuned-ade-512-512. It stays frozen; `model::segformer` with `load_weights` makes one that
        /// is trained on. `"random"` is the smallest with random numbers.
        /// ```
        /// let segformer = teacher::segformer("random");
        /// let image = data::scenes(#{ count: 1, size: [32, 48] }).get(0).image;
        /// assert_eq(segformer.predict(image).shape, [32, 48]);
        /// ```
        fn segformer(ctx,
            /// A folder, or `"random"` (a folder of that name is `"./random"`).
            folder: String,
            /// Seed of the random numbers; the session's if absent.
            seed: Option<u64> = None
        ) -> SegformerTeacher {
            SegformerTeacher::new(&origin(ctx, &folder, seed)?, ctx.session().device())
        }

        /// Move labels to the borders of masks: each mask gets the label that most of its pixels have.
        ///
        /// Where these are fewer than `share` of all its pixels the mask changes nothing. Pixels without label (255) count among all, and
        /// get the label too. Smaller masks lie above larger ones. For a whole set:
        /// `set.map(|item| #{ image: item.image, labels: teacher::snap(item.labels, sam.masks(item.image)), name: item.name })`.
        /// ```
        /// let labels = tensor::from([[1, 1, 2], [1, 255, 2]]).to_dtype("u8");
        /// let mask = tensor::from([[1, 1, 0], [1, 1, 0]]).to_dtype("u8");
        /// assert_eq(teacher::snap(labels, [mask]), tensor::from([[1, 1, 2], [1, 1, 2]]).to_dtype("u8"));
        /// ```
        fn snap(ctx,
            /// A label map `[h, w]`; 255 is no label.
            labels: Tensor,
            /// Masks as `masks` gives them, or tensors `[h, w]` that are not 0 inside.
            masks: Vec<Dynamic>,
            /// The least share of a mask's pixels that have its label, above 0, up to 1.
            share: f64 = 0.5
        ) -> Tensor {
            let masks = masks.iter().enumerate().map(|(i, mask)| mask_of(i, mask)).collect::<Result<Vec<_>>>()?;
            snap(&labels, &masks, share)
        }
    };
    table.namespace("teacher", DOC, functions);
    clip::declare(table);
    sam::declare(table);
    segformer::declare(table);
}
