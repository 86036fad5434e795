//! The focal loss: cross-entropy in which pixels that are right already count little.

use candle_core::{DType, Tensor};

use crate::error::{Result, in_range};
use crate::loss::labels::targets;
use crate::loss::{log_softmax, total};
use crate::ops::{Reduction, check_class_weights};
use crate::options;

options! {
    /// The settings of [`focal`].
    #[derive(PartialEq)]
    pub struct FocalOptions {
        /// Pixels with this label do not count.
        ignore_label: i64 = 255,
        /// How fast right pixels lose weight; 0 is cross-entropy.
        gamma: f64 = 2.0,
        /// Weight of each class; 1 each if not given.
        class_weights: Option<Vec<f64>> = None,
        /// How the losses of the pixels become one number; `"none"` leaves a map of them, 0 where a pixel does not count.
        reduction: Reduction = Reduction::Mean,
    }
}

/// `-weight (1 - p)^gamma log p` of the valid pixels, p = the softmax probability of the label's class, reduced as those of
/// [`cross_entropy`](crate::ops::cross_entropy()), which this is where gamma is 0. `logits`: `[n, c, h, w]`, `labels`: integers
/// `[n, h, w]`. Nothing valid: 0 with zero gradient. Source: Lin et al. 2017.
///
/// # Errors
/// Shapes that differ, a label outside `0..c`, a negative gamma, another number of weights than classes.
pub fn focal(logits: &Tensor, labels: &Tensor, options: &FocalOptions) -> Result<Tensor> {
    in_range("focal", "gamma", options.gamma, 0.0..)?;
    let (n, c, h, w) = logits.dims4()?;
    if let Some(weights) = &options.class_weights {
        check_class_weights("focal", weights.iter().copied(), Some(c))?;
    }
    let classes = targets("focal", logits, labels, options.ignore_label)?;
    let index: Vec<u32> = classes
        .iter()
        .map(|class| class.map_or(0, |class| class as u32))
        .collect();
    let weight = |class: usize| options.class_weights.as_ref().map_or(1.0, |weights| weights[class]);
    let mut weights: Vec<f64> = classes.iter().map(|class| class.map_or(0.0, weight)).collect();
    let sum: f64 = weights.iter().sum();
    if options.reduction == Reduction::Mean && sum > 0.0 {
        weights.iter_mut().for_each(|w| *w /= sum);
    }
    let index = Tensor::from_vec(index, (n, 1, h, w), logits.device())?;
    let weights = Tensor::from_vec(weights, (n, 1, h, w), logits.device())?.to_dtype(logits.dtype())?;

    let (moved, log_sum) = log_softmax(logits)?;
    let log_p = (moved.gather(&index, 1)? - log_sum)?;
    let loss = if options.gamma == 0.0 {
        log_p.neg()?
    } else {
        // the small number keeps the slope finite at p = 1
        let tiny = if logits.dtype() == DType::F64 { 1e-12 } else { 1e-7 };
        let wrong = log_p.exp()?.affine(-1.0, 1.0 + tiny)?;
        (wrong.powf(options.gamma)? * log_p.neg()?)?
    };
    let loss = (loss * weights)?;
    Ok(match options.reduction {
        Reduction::None => loss.squeeze(1)?,
        Reduction::Mean | Reduction::Sum => total(&loss, false)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn by_hand() {
        let logits = Tensor::zeros((1, 2, 1, 2), DType::F32, &Device::Cpu).unwrap();
        let labels = Tensor::new(&[[[0i64, 255]]], &Device::Cpu).unwrap();
        let value = |o: &FocalOptions| focal(&logits, &labels, o).unwrap().to_scalar::<f32>().unwrap();
        let ln2 = std::f32::consts::LN_2;
        assert!((value(&FocalOptions::default()) - 0.25 * ln2).abs() < 1e-6); // (1 - 0.5)^2 ln 2
        let weighted = |reduction| FocalOptions {
            gamma: 0.0,
            class_weights: Some(vec![3.0, 1.0]),
            reduction,
            ..Default::default()
        };
        // one pixel of class 0: 3 ln 2, divided by its weight 3 for the mean
        assert!((value(&weighted(Reduction::Mean)) - ln2).abs() < 1e-6);
        assert!((value(&weighted(Reduction::Sum)) - 3.0 * ln2).abs() < 1e-6);
        let wrong = Tensor::new(&[[[0i64, 7]]], &Device::Cpu).unwrap();
        let text = focal(&logits, &wrong, &FocalOptions::default())
            .unwrap_err()
            .to_string();
        assert!(text.contains('7') && text.contains("2 classes"), "{text}");
    }
}
