//! Softmax and its logarithm over one dimension.

mod cpu;

use candle_core::Tensor;

use super::kernel::{View, around, by_dtype, on_gpu, output, plain};
use super::tape::{Graph, Needs};
use super::{operation, reduce};
use crate::error::Result;

operation! {
/// `exp(x) / sum exp(x)` over dimension `dim`, computed without overflow; any shape, which stays.
///
/// # Errors
/// `dim` beyond the last dimension.
pub fn softmax(graph, x: &Tensor, dim: usize) -> Result<Tensor> {
    shares::<false>(graph, x, dim)
}
}

operation! {
/// The logarithm of [`softmax`], `x - log sum exp(x)`.
///
/// # Errors
/// `dim` beyond the last dimension.
pub fn log_softmax(graph, x: &Tensor, dim: usize) -> Result<Tensor> {
    shares::<true>(graph, x, dim)
}
}

fn shares<const LOG: bool>(graph: Graph, x: &Tensor, dim: usize) -> Result<Tensor> {
    let around = around("softmax", x, dim)?;
    if on_gpu(x.device()) {
        let moved = x.broadcast_sub(&reduce::largest(&x.detach(), &[dim])?)?;
        let e = moved.exp()?;
        let total = e.sum_keepdim(dim)?;
        return Ok(match LOG {
            true => moved.broadcast_sub(&total.log()?)?,
            false => e.broadcast_div(&total)?,
        });
    }
    let x = x.contiguous()?;
    Ok(by_dtype!(x, "softmax", T => {
        let result = cpu::forward::<T>(around, LOG, &View::<T>::of(&x)?);
        graph.record("softmax", &[&x], Needs::RESULT, output(result, x.shape()), move |_, result, gradient| {
            let (y, dy) = (View::<T>::of(result)?, View::<T>::of(gradient)?);
            Ok(vec![Some(plain(cpu::backward::<T>(around, LOG, &y, &dy), result.shape()))])
        })
    })?)
}
