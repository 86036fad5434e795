//! The dice loss: one minus the overlap of prediction and truth, averaged over classes instead of pixels.

use candle_core::Tensor;

use crate::error::{Result, in_range};
use crate::loss::labels::targets;
use crate::loss::total;
use crate::ops::reduce;
use crate::options;

options! {
    /// The settings of [`dice`].
    #[derive(PartialEq)]
    pub struct DiceOptions {
        /// Pixels with this label do not count.
        ignore_label: i64 = 255,
        /// Added above and below the fraction bar: softens the loss of very small classes.
        smooth: f64 = 1.0,
    }
}

/// `1 - mean over the classes present in the truth of (2 sum p y + smooth) / (sum p + sum y + smooth)`, p = softmax of the
/// logits, y = 1 where the label is this class, sums over the valid pixels of the batch. `logits`: `[n, c, h, w]`, `labels`:
/// integers `[n, h, w]`. Nothing valid: 0 with zero gradient. Source: Milletari et al., V-Net, 2016.
///
/// # Errors
/// Shapes that differ, a label outside `0..c`.
pub fn dice(logits: &Tensor, labels: &Tensor, options: &DiceOptions) -> Result<Tensor> {
    in_range("dice", "smooth", options.smooth, 0.0..)?;
    let (n, c, h, w) = logits.dims4()?;
    let classes = targets("dice", logits, labels, options.ignore_label)?;
    let area = h * w;
    let mut truth = vec![0f32; n * c * area];
    let mut valid = vec![0f32; n * area];
    let mut present = vec![0f32; c];
    for (pixel, class) in classes.iter().enumerate() {
        if let Some(class) = class {
            truth[(pixel / area * c + class) * area + pixel % area] = 1.0;
            valid[pixel] = 1.0;
            present[*class] = 1.0;
        }
    }
    let count: f32 = present.iter().sum();
    let like =
        |data: Vec<f32>, shape: &[usize]| Tensor::from_vec(data, shape, logits.device())?.to_dtype(logits.dtype());
    if count == 0.0 {
        return total(&logits.zeros_like()?.mul(logits)?, false);
    }
    present.iter_mut().for_each(|p| *p /= count);
    let truth = like(truth, &[n, c, h, w])?;
    let valid = like(valid, &[n, 1, h, w])?;
    let present = like(present, &[c])?;
    let p = softmax(logits)?;
    let by_class = |t: &Tensor| -> Result<Tensor> { Ok(reduce::sum(t, &[0, 2, 3])?.flatten_all()?) };
    let overlap = by_class(&(&p * &truth)?)?;
    let sizes = by_class(&(p.broadcast_mul(&valid)? + truth)?)?;
    let score = (overlap.affine(2.0, options.smooth)? / (sizes + options.smooth)?)?;
    Ok(total(&(score * present)?, false)?.affine(-1.0, 1.0)?)
}

/// Softmax over the channels.
fn softmax(logits: &Tensor) -> Result<Tensor> {
    let largest = reduce::largest(&logits.detach(), &[1])?;
    let e = logits.broadcast_sub(&largest)?.exp()?;
    Ok((&e / reduce::expand(&reduce::sum(&e, &[1])?, e.dims())?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn by_hand() {
        // two pixels, two classes; logits 0: p = 0.5; labels 0 and 255
        let logits = Var::zeros((1, 2, 1, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let labels = Tensor::new(&[[[0u8, 255]]], &Device::Cpu).unwrap();
        let loss = dice(
            &logits,
            &labels,
            &DiceOptions {
                smooth: 0.0,
                ..Default::default()
            },
        )
        .unwrap();
        // class 0 alone is present: 1 - 2 * 0.5 / (0.5 + 1)
        assert!((loss.to_scalar::<f32>().unwrap() - 1.0 / 3.0).abs() < 1e-6);
        let ignored = Tensor::new(&[[[255u8, 255]]], &Device::Cpu).unwrap();
        let loss = dice(&logits, &ignored, &DiceOptions::default()).unwrap();
        let gradient = loss.backward().unwrap();
        assert_eq!(loss.to_scalar::<f32>().unwrap(), 0.0);
        assert_eq!(
            gradient
                .get(&logits)
                .unwrap()
                .sqr()
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap(),
            0.0
        );
    }
}
