//! The Gaussian error linear unit.

mod cpu;
mod cuda;

use candle_core::Tensor;

use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use super::tape::Needs;
use crate::error::Result;

operation! {
/// `x Phi(x)` with the normal distribution function `Phi(x) = (1 + erf(x / sqrt 2)) / 2` (Hendrycks, Gimpel 2016; PyTorch's
/// `F.gelu` without approximation), element by element; the gradient is `Phi(x) + x phi(x)`. Any shape.
pub fn gelu(graph, input: &Tensor) -> Result<Tensor> {
    let input = input.contiguous()?;
    if on_gpu(input.device()) {
        return Ok(cuda::gelu(graph, &input)?);
    }
    Ok(by_dtype!(input, "gelu", T => {
        let result = cpu::forward::<T>(&View::<T>::of(&input)?);
        graph.record("gelu", &[&input], Needs::ARGUMENT, output(result, input.shape()), |arguments, _, gradient| {
            let (x, dy) = (View::<T>::of(arguments[0])?, View::<T>::of(gradient)?);
            Ok(vec![Some(plain(cpu::backward::<T>(&x, &dy), arguments[0].shape()))])
        })
    })?)
}
}
