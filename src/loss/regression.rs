//! Losses of two maps: squared error, Kullback-Leibler divergence, binary cross-entropy.

use candle_core::Tensor;

use crate::ensure;
use crate::error::{POSITIVE, Result, in_range};
use crate::loss::{log_softmax, total};
use crate::ops::{Reduction, reduce};

/// `(a - b)^2`, as PyTorch's `F.mse_loss`.
///
/// # Errors
/// Shapes that differ.
pub fn mse(a: &Tensor, b: &Tensor, reduction: Reduction) -> Result<Tensor> {
    same_shape("mse", a, b)?;
    reduced(&(a - b)?.sqr()?, reduction)
}

/// `temperature^2 sum_c q_c (log q_c - log p_c)` over dimension 1 with `p = softmax(logits / temperature)`, `q = softmax(target /
/// temperature)`, both given as logits; the mean is that over the pixels. Source: Hinton et al. 2015.
///
/// # Errors
/// Shapes that differ or have no dimension 1, a temperature that is not above 0.
pub fn kl(logits: &Tensor, target: &Tensor, temperature: f64, reduction: Reduction) -> Result<Tensor> {
    same_shape("kl", logits, target)?;
    in_range("kl", "temperature", temperature, POSITIVE)?;
    ensure!(
        logits.rank() >= 2,
        "kl: the logits have shape {:?}, expected [n, classes, ..]",
        logits.dims()
    );
    let logarithm = |logits: &Tensor| -> Result<Tensor> {
        let (moved, log_sum) = log_softmax(&(logits * (1.0 / temperature))?)?;
        Ok((moved - reduce::expand(&log_sum, logits.dims())?)?)
    };
    let (log_p, log_q) = (logarithm(logits)?, logarithm(target)?);
    let divergence = reduce::sum(&(log_q.exp()? * (&log_q - log_p)?)?, &[1])?.squeeze(1)?;
    reduced(&(divergence * (temperature * temperature))?, reduction)
}

/// `-t log s(x) - (1 - t) log(1 - s(x))` with the logistic function s, as PyTorch's `F.binary_cross_entropy_with_logits`.
///
/// # Errors
/// Shapes that differ.
pub fn bce(logits: &Tensor, targets: &Tensor, reduction: Reduction) -> Result<Tensor> {
    same_shape("bce", logits, targets)?;
    let (x, t) = (logits.detach(), targets.detach());
    let small = x.abs()?.neg()?.exp()?; // at most 1, whatever x
    let value = ((x.relu()? - (&x * t)?)? + (&small + 1.0)?.log()?)?;
    let logistic = ((x.neg()?.exp()? + 1.0)?.recip())?;
    let slope = (logits * (logistic - targets)?)?; // its slopes are those of the loss, by logits and targets
    reduced(&((&slope - slope.detach())? + value)?, reduction)
}

fn reduced(losses: &Tensor, reduction: Reduction) -> Result<Tensor> {
    Ok(match reduction {
        Reduction::None => losses.clone(),
        Reduction::Sum => total(losses, false)?,
        Reduction::Mean => total(losses, true)?,
    })
}

fn same_shape(function: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    ensure!(
        a.dims() == b.dims() && a.elem_count() > 0,
        "{function}: found shapes {:?} and {:?}, expected the same",
        a.dims(),
        b.dims()
    );
    Ok(())
}
