//! Segmentation losses. A loss is one file here (or one folder), taking tensors and an options struct and returning a
//! scalar tensor (or a struct that holds one); to add one, write its file, list it below and give it its script function.
//!
//! - [`cross_entropy`]: of [`ops`](crate::ops), for fine-tuning
//! - [`dice`](mod@dice), [`focal`](mod@focal): for classes of very different size
//! - [`lovasz`](mod@lovasz): the Jaccard index; [`pixels`]: cross-entropy with a weight for each pixel, or of the hardest pixels
//! - [`regression`]: squared error, Kullback-Leibler divergence, binary cross-entropy of two maps
//! - [`pixel_contrast`](mod@pixel_contrast): the pixel contrastive losses, for pretraining

pub mod dice;
pub mod focal;
mod labels;
pub mod lovasz;
pub mod pixel_contrast;
pub mod pixels;
pub mod regression;

use candle_core::Tensor;

use crate::error::Result;
use crate::ops::reduce;

pub use crate::ops::{CrossEntropyOptions, cross_entropy};
pub use dice::{DiceOptions, dice};
pub use focal::{FocalOptions, focal};
pub use lovasz::lovasz;
pub use pixel_contrast::{
    KeySampling, PixelContrastInput, PixelContrastOptions, PixelContrastOutput, ProbeInput, ProbeRow, Sampling,
    Variant, pixel_contrast, pixel_contrast_until, probe,
};
pub use pixels::{Hardest, ohem, weighted_cross_entropy};
pub use regression::{bce, kl, mse};

/// The sum of all elements, or their mean, as a scalar.
fn total(t: &Tensor, mean: bool) -> Result<Tensor> {
    let over = if mean { reduce::mean } else { reduce::sum };
    Ok(over(t, &reduce::all(t))?.reshape(())?)
}

/// Logits moved so that the largest over dimension 1 is 0, and the logarithm of the sum of their exponentials over it: their difference
/// is the logarithm of the softmax.
fn log_softmax(logits: &Tensor) -> Result<(Tensor, Tensor)> {
    let largest = reduce::largest(&logits.detach(), &[1])?;
    let moved = (logits - reduce::expand(&largest, logits.dims())?)?;
    let sum = reduce::sum(&moved.exp()?, &[1])?;
    Ok((moved, sum.log()?))
}

/// The scalar `value`, whose gradient is that of the scalar `slope`.
fn with_slope(value: f64, slope: &Tensor) -> Result<Tensor> {
    Ok(((slope - slope.detach())? + value)?)
}
