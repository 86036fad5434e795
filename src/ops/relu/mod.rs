//! The rectifier.

mod cuda;

use candle_core::Tensor;

use super::kernel::{by_dtype, on_gpu};
use super::operation;
use super::pointwise::each;
use super::tape::Needs;
use crate::error::Result;

operation! {
/// `max(x, 0)`, element by element; the gradient at 0 is 0, as PyTorch's. Any shape.
pub fn relu(graph, input: &Tensor) -> Result<Tensor> {
    let input = input.contiguous()?;
    if on_gpu(input.device()) {
        return Ok(cuda::relu(graph, &input)?);
    }
    Ok(by_dtype!(input, "relu", T => {
        let slope = |d: T, y: T| if y <= 0.0 { 0.0 } else { d };
        each::<T>(graph, "relu", &input, |x| if x < 0.0 { 0.0 } else { x }, Needs::RESULT, slope)
    })?)
}
}
