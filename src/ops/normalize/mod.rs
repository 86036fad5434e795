//! Scaling vectors to unit length.

mod cpu;
mod cuda;

use candle_core::Tensor;

use super::kernel::{View, around, by_dtype, on_gpu, output, plain};
use super::operation;
use super::tape::Needs;
use crate::ensure;
use crate::error::Result;

operation! {
/// `x / max(|x|, eps)` with the Euclidean length over dimension `dim`; any shape, which stays.
///
/// The gradient of a vector shorter than `eps` is `dy / eps`, as PyTorch's `F.normalize`.
///
/// # Errors
/// `dim` beyond the last dimension; `eps` not positive.
pub fn normalize(graph, input: &Tensor, dim: usize, eps: f64) -> Result<Tensor> {
    let around = around("normalize", input, dim)?;
    ensure!(
        eps.is_finite() && eps.is_sign_positive(),
        "normalize: eps is {eps}, expected a small positive number"
    );
    let input = input.contiguous()?;
    if on_gpu(input.device()) {
        return Ok(cuda::normalize(graph, around, &input, eps)?);
    }
    Ok(by_dtype!(input, "normalize", T => {
        let (result, lengths) = cpu::forward(around, eps, &View::<T>::of(&input)?);
        graph.record("normalize", &[&input], Needs::RESULT, output(result, input.shape()), move |_, result, gradient| {
            let (y, dy) = (View::<T>::of(result)?, View::<T>::of(gradient)?);
            Ok(vec![Some(plain(cpu::backward(around, eps, &y, &lengths, &dy), result.shape()))])
        })
    })?)
}
}
