//! CLIP and SigLIP: images and texts in one space of features.
//!
//! `config` is what a `config.json` says, `tower` the transformer of both sides, `images` and `texts` the sides, `tokens` the tokenizer.

mod config;
mod images;
mod texts;
mod tokens;
mod tower;

use candle_core::{DType, Device, Result as EngineResult, Tensor};
use candle_nn::VarBuilder;

use super::picture::{Batch, normalised};
use super::source::{self, Origin};
use crate::error::Result;
use crate::ops::pieces::Check;
use crate::ops::{Filter, resampled};
use crate::session::Place;
use crate::{choices, ensure, ops};
use config::Config;
use images::ImageModel;
use texts::TextModel;
use tokens::{BYTES, Words};
use tower::unit_rows;

pub use config::Family;

/// The most patches of one image: the weights of an attention grow as their square.
const MOST_PATCHES: usize = 1 << 14;
/// The most pixels that are labelled at once.
const MOST_PIXELS: usize = 1 << 26;
/// Texts in one pass.
const TEXTS: usize = 64;

choices! {
    /// What a patch's features are.
    pub enum PatchKind {
        /// The token behind the last block, brought to the space of the texts as the model brings its image token there.
        Tokens = "tokens",
        /// The same without the mixing over the image in the last attention, where CLIP collects what the whole image shows (MaskCLIP,
        /// Zhou et al. 2022): labels of patches are far better. SigLIP: each token alone through the head that pools them.
        Values = "values",
    }
}

/// The label of every pixel, and how sure it is.
pub struct Labelled {
    /// u8, `[n, h, w]`, or `[h, w]` of one image: the number of the class, or the position of the text.
    pub labels: Tensor,
    /// f32, of the same shape: its probability among all classes or texts, 0 to 1.
    pub confidence: Tensor,
}

impl Labelled {
    /// Of each image of a batch, whose logits `[1, classes, ..]` `look` gives, at this size.
    pub(super) fn of(batch: &Batch, size: [usize; 2], look: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let (mut labels, mut confidence) = (Vec::new(), Vec::new());
        for image in batch.each()? {
            let logits = look(&image)?;
            labels.push(ops::upsampled_argmax(&logits, size, false)?);
            let logits = ops::resize_bilinear(&logits, size, false)?;
            confidence.push(candle_nn::ops::softmax(&logits, 1)?.max(1)?);
        }
        Ok(Labelled {
            labels: batch.joined(&labels)?,
            confidence: batch.joined(&confidence)?,
        })
    }
}

/// A frozen pair of image and text encoder.
pub struct Clip {
    config: Config,
    words: Words,
    text: TextModel,
    image: ImageModel,
    /// The factor of similarities, learned.
    scale: f64,
    device: Device,
}

impl Clip {
    /// The model of a folder, or a small random one.
    ///
    /// # Errors
    /// A missing file, another model's files.
    pub fn new(family: Family, origin: &Origin, device: &Device) -> Result<Self> {
        match origin {
            Origin::Files(folder) => Self::read(family, folder, device),
            Origin::Random(seed) => {
                let config = Config::small(family, BYTES)?;
                let words = Words::bytes(&config)?;
                Ok(Self::of(config, words, &source::random(*seed, device), device)?)
            }
        }
    }

    fn read(family: Family, folder: &Place, device: &Device) -> Result<Self> {
        let published = family.published();
        let file = |name| source::member(folder, name, &published);
        let config = Config::read(&file("config.json")?, family)?;
        let words = Words::read(&file("tokenizer.json")?, &config)?;
        let place = file("model.safetensors")?;
        let tensors = source::tensors(&place, device)?;
        Self::of(config, words, &source::builder(tensors, device), device)
            .map_err(|e| source::misfit(&place, &published, e))
    }

    fn of(config: Config, words: Words, vb: &VarBuilder, device: &Device) -> EngineResult<Self> {
        let shape: &[usize] = if config.family == Family::Clip { &[] } else { &[1] };
        let scale = vb.get(shape, "logit_scale")?.flatten_all()?.to_vec1::<f32>()?;
        Ok(Clip {
            text: TextModel::new(&config, vb)?,
            image: ImageModel::new(&config, vb)?,
            scale: scale.first().map_or(1.0, |s| f64::from(*s).exp()),
            config,
            words,
            device: device.clone(),
        })
    }

    /// Which family it is of.
    pub fn family(&self) -> Family {
        self.config.family
    }

    /// The side of the square images it was trained on, and that of its patches, in pixels.
    pub fn sizes(&self) -> [usize; 2] {
        [self.config.image.image_size, self.config.image.patch_size]
    }

    /// The width of its features.
    pub fn width(&self) -> usize {
        self.config.projection
    }

    /// The features of texts: rows of length 1, `[texts, width]`.
    ///
    /// # Errors
    /// No text, an empty one, one that is too long.
    pub fn text(&self, texts: &[String], check: Check) -> Result<Tensor> {
        let tokens = self.words.encode(texts)?;
        let mut rows = Vec::new();
        for (ids, places) in tokens.ids.chunks(TEXTS).zip(tokens.places.chunks(TEXTS)) {
            rows.push(self.text.forward(ids, places, &self.device, check)?);
        }
        Ok(unit_rows(&Tensor::cat(&rows, 0)?)?)
    }

    /// The features of the patches of images `[3, h, w]` or `[n, 3, h, w]` with colours in 0..1: `[width, rows, columns]` or `[n, ..]`,
    /// comparable with those of texts, not of length 1. The images are brought to `short_side` (that of the training if absent) and a
    /// multiple of the patches, so that their proportions stay; positions are interpolated.
    pub fn patches(&self, image: &Tensor, kind: PatchKind, short_side: Option<usize>, check: Check) -> Result<Tensor> {
        let batch = Batch::new("patches", image, &self.device)?;
        let seen = self.seen_at(batch.size(), short_side)?;
        let images = batch.each()?;
        let maps = images.iter().map(|image| self.features(image, seen, kind, check));
        batch.joined(&maps.collect::<Result<Vec<_>>>()?)
    }

    /// The patch features of one image `[1, 3, h, w]`.
    fn features(&self, image: &Tensor, seen: [usize; 2], kind: PatchKind, check: Check) -> Result<Tensor> {
        let image = resampled(image, seen, Filter::SmoothCubic)?.clamp(0f32, 1f32)?;
        let [mean, sd] = self.colours();
        self.image.forward(&normalised(&image, mean, sd)?, kind, check)
    }

    /// For every pixel the text that its patch is most similar to. `texts` are features as [`Clip::text`] gives them.
    pub fn zero_shot(
        &self,
        image: &Tensor,
        texts: &Tensor,
        size: Option<[usize; 2]>,
        kind: PatchKind,
        short_side: Option<usize>,
        check: Check,
    ) -> Result<Labelled> {
        let width = self.width();
        ensure!(
            matches!(texts.dims(), [1..=255, w] if *w == width) && texts.dtype().is_float(),
            "`texts` must be 1 to 255 texts or their features [texts, {width}] as `text` gives them, found {:?}",
            texts.dims()
        );
        let texts = texts.detach().to_dtype(DType::F32)?.to_device(&self.device)?;
        let texts = unit_rows(&texts)?.contiguous()?;
        let batch = Batch::new("zero_shot", image, &self.device)?;
        let seen = self.seen_at(batch.size(), short_side)?;
        let size = size.unwrap_or(batch.size());
        ensure!(
            size.iter().all(|s| *s > 0) && size[0].saturating_mul(size[1]) <= MOST_PIXELS,
            "zero_shot: size is {size:?}, expected [height, width] of 1 to {MOST_PIXELS} pixels"
        );
        Labelled::of(&batch, size, |image| {
            let patches = self.features(image, seen, kind, check)?;
            let (_, _, rows, columns) = patches.dims4()?;
            let patches = unit_rows(&patches.flatten_from(2)?.squeeze(0)?.t()?.contiguous()?)?;
            let similar = (texts.matmul(&patches.t()?)? * self.scale)?;
            let maps = similar.reshape((1, texts.dims()[0], rows, columns))?;
            ensure!(
                ops::reduce::all_finite(&maps)?,
                "some similarities are not finite; the weights are not fit for use"
            );
            ops::resize_bilinear(&maps, size, false)
        })
    }

    /// The size at which images of a size are seen.
    fn seen_at(&self, [h, w]: [usize; 2], short_side: Option<usize>) -> Result<[usize; 2]> {
        let [trained, patch] = self.sizes();
        let short = short_side.unwrap_or(trained);
        ensure!(
            short >= patch,
            "short_side is {short}, expected at least {patch}, the side of a patch"
        );
        let scale = short as f64 / h.min(w) as f64;
        let patches = [h, w].map(|side| ((side as f64 * scale / patch as f64).round() as usize).max(1));
        ensure!(
            patches[0].saturating_mul(patches[1]) <= MOST_PATCHES,
            "the image of {h} x {w} pixels would be seen as {} x {} patches, more than {MOST_PATCHES}: cut it into pieces, or lower \
             short_side, now {short}",
            patches[0],
            patches[1]
        );
        Ok(patches.map(|p| p * patch))
    }

    /// Mean and standard deviation of the colours in the training.
    fn colours(&self) -> [[f32; 3]; 2] {
        match self.config.family {
            Family::Clip => [
                [0.481_454_66, 0.457_827_5, 0.408_210_73],
                [0.268_629_54, 0.261_302_6, 0.275_777_1],
            ],
            Family::Siglip => [[0.5; 3]; 2],
        }
    }
}
