//! Scaling vectors to unit length.

mod cpu;
mod cuda;

use candle_core::Tensor;

use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use crate::ensure;
use crate::error::Result;

/// Sizes around the normalised dimension: `[outer, length, inner]`.
#[derive(Clone, Copy)]
struct Around {
    outer: usize,
    length: usize,
    inner: usize,
}

operation! {
/// `x / max(|x|, eps)` with the Euclidean length over dimension `dim`; any shape, which stays.
///
/// The gradient of a vector shorter than `eps` is `dy / eps`, as PyTorch's `F.normalize`.
///
/// # Errors
/// `dim` beyond the last dimension; `eps` not positive.
pub fn normalize(graph, input: &Tensor, dim: usize, eps: f64) -> Result<Tensor> {
    let dims = input.dims();
    ensure!(
        dim < dims.len(),
        "normalize: dimension {dim} of input {dims:?} does not exist, expected 0 to {}",
        dims.len().saturating_sub(1)
    );
    ensure!(
        eps.is_finite() && eps.is_sign_positive(),
        "normalize: eps is {eps}, expected a small positive number"
    );
    let around = Around {
        outer: dims[..dim].iter().product(),
        length: dims[dim],
        inner: dims[dim + 1..].iter().product(),
    };
    let input = input.contiguous()?;
    if on_gpu(input.device()) {
        return Ok(cuda::normalize(graph, around, &input, eps)?);
    }
    Ok(by_dtype!(input, "normalize", T => {
        let (result, lengths) = {
            let x = View::<T>::of(&input)?;
            cpu::forward(around, eps, &x)
        };
        graph.record("normalize", &[&input], output(result, input.shape()), move |arguments, result, gradient| {
            let (y, dy) = (View::<T>::of(result)?, View::<T>::of(gradient)?);
            Ok(vec![Some(plain(cpu::backward(around, eps, &y, &lengths, &dy), arguments[0].shape()))])
        })
    })?)
}
}
