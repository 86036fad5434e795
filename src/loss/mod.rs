//! Segmentation losses. A loss is one file here (or one folder), taking tensors and an options struct and returning a
//! scalar tensor (or a struct that holds one); to add one, write its file, list it below and give it its script function.
//!
//! - [`cross_entropy`]: of [`ops`](crate::ops), for fine-tuning
//! - [`dice`](mod@dice), [`focal`](mod@focal): for classes of very different size
//! - [`pixel_contrast`](mod@pixel_contrast): the pixel contrastive losses, for pretraining

pub mod dice;
pub mod focal;
mod labels;
pub mod pixel_contrast;

pub use crate::ops::{CrossEntropyOptions, cross_entropy};
pub use dice::{DiceOptions, dice};
pub use focal::{FocalOptions, focal};
pub use pixel_contrast::{
    KeySampling, PixelContrastInput, PixelContrastOptions, PixelContrastOutput, ProbeInput, ProbeRow, Sampling,
    Variant, pixel_contrast, pixel_contrast_until, probe,
};
