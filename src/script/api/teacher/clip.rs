//! The methods of CLIP and SigLIP.

use std::rc::Rc;

use candle_core::Device;

use super::labelled;
use crate::script::prelude::*;
use crate::script::values::describe;
use crate::teacher::{Clip, Family, Origin, PatchKind};

/// CLIP or SigLIP in scripts: a handle.
#[derive(Clone)]
pub struct ClipTeacher(Rc<Clip>);

impl ClipTeacher {
    pub(super) fn new(family: Family, origin: &Origin, device: &Device) -> Result<Self> {
        Ok(ClipTeacher(Rc::new(Clip::new(family, origin, device)?)))
    }
}

impl ScriptType for ClipTeacher {
    const NAME: &'static str = "ClipTeacher";
    const DOC: &'static str = "A frozen CLIP or SigLIP: image patches and texts in one space of features.";
    fn display(&self) -> String {
        let family = match self.0.family() {
            Family::Clip => "CLIP",
            Family::Siglip => "SigLIP",
        };
        let [side, patch] = self.0.sizes();
        format!(
            "{family}, images of {side} pixels in patches of {patch}, {} features",
            self.0.width()
        )
    }
    fn brief(&self) -> String {
        format!("ClipTeacher {}", self.display())
    }
}

/// Declare the methods.
pub(super) fn declare(table: &mut Table) {
    table.script_type::<ClipTeacher>();
    table.methods::<ClipTeacher>(entries! {
        /// Compute the features of texts: rows of length 1, `[texts, features]`.
        /// ```
        /// let texts = teacher::clip("random").text(["a photo of a cat", "a photo of a dog"]);
        /// assert_close(texts.sqr().sum(1), tensor::ones([2]), #{ tolerance: 1e-5 });
        /// ```
        fn text(ctx, teacher: ClipTeacher,
            /// Such as `"a photo of a cat"`; CLIP takes 77 tokens at most, SigLIP 64.
            texts: Vec<String>
        ) -> Tensor {
            teacher.0.text(&texts, &|| ctx.session().check_cancel())
        }

        /// Compute the features of the patches of an image, `[features, rows, columns]`, in the space of the texts.
        ///
        /// The image is resized (bicubic) to `short_side` and whole patches, so that its proportions stay, and the positions are
        /// interpolated as `transformers` does; a square image of the model's own size is taken as it is. The features are not of
        /// length 1. Images of a batch are computed one by one; Ctrl-C ends it before the next block.
        /// ```
        /// let clip = teacher::clip("random");
        /// let image = data::scenes(#{ count: 1, size: [64, 96] }).get(0).image;
        /// assert_eq(clip.patches(image).shape, [32, 8, 12]);
        /// assert_eq(clip.patches(image, #{ short_side: 32 }).shape, [32, 4, 6]);
        /// ```
        fn patches(ctx, teacher: ClipTeacher,
            /// `[3, h, w]`, or `[n, 3, h, w]` for several, colours 0 to 1.
            image: Tensor,
            /// `"tokens"`: the last block's tokens, brought to the space of the texts; `"values"`: without the mixing over the image in the
            /// last attention (MaskCLIP), better for labels.
            features: PatchKind = PatchKind::Tokens,
            /// The shorter side of the image as the model sees it, in pixels; that of its training if absent.
            short_side: Option<usize> = None
        ) -> Tensor {
            teacher.0.patches(&image, features, short_side, &|| ctx.session().check_cancel())
        }

        /// Label every pixel with the text that its patch is most similar to: a map of `labels` and `confidence`.
        ///
        /// The cosine similarities, times the model's factor, are enlarged (bilinear) to `size`; the confidence is the softmax over the
        /// texts, of SigLIP too. A label is the position of its text. For many images compute the features of the texts once:
        /// `zero_shot(image, teacher.text(texts))`.
        /// ```
        /// let clip = teacher::clip("random");
        /// let image = data::scenes(#{ count: 1, size: [64, 96] }).get(0).image;
        /// let found = clip.zero_shot(image, ["the sky", "a road", "a car"], #{ size: [32, 48] });
        /// assert_eq(found.labels.shape, [32, 48]);
        /// assert(found.confidence.min().item() >= 1.0 / 3 - 1e-6 && found.labels.max().item() <= 2);
        /// ```
        fn zero_shot(ctx, teacher: ClipTeacher,
            /// `[3, h, w]`, or `[n, 3, h, w]` for several, colours 0 to 1.
            image: Tensor,
            /// One text for each label, or their features as `text` gives them.
            texts: Dynamic,
            /// Height and width of the labels; those of the image if absent.
            size: Option<Pair> = None,
            /// `"values"` (MaskCLIP) or `"tokens"`, as for `patches`.
            features: PatchKind = PatchKind::Values,
            /// The shorter side of the image as the model sees it, in pixels; that of its training if absent.
            short_side: Option<usize> = None
        ) -> Map {
            let texts = self::features(ctx, &teacher, &texts)?;
            let check = || ctx.session().check_cancel();
            labelled(teacher.0.zero_shot(&image, &texts, size.map(|s| s.0), features, short_side, &check)?)
        }
    });
}

/// Features of texts, given as texts or as features.
fn features(ctx: &Call, teacher: &ClipTeacher, texts: &Dynamic) -> Result<Tensor> {
    if let Some(features) = Tensor::convert(texts) {
        return Ok(features);
    }
    match Vec::<String>::convert(texts) {
        Some(texts) => teacher.0.text(&texts, &|| ctx.session().check_cancel()),
        None => fail!(
            "`texts` must be an array of strings or their features as `text` gives them, found {}",
            describe(texts)
        ),
    }
}
