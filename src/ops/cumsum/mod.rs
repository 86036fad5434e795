//! Running sums.

mod cpu;

use candle_core::{DType, Device, Tensor, WithDType};

use super::halves::in_single;
use super::kernel::{View, around, by_dtype, on_gpu, output, plain};
use super::operation;
use crate::error::Result;
use cpu::running;

operation! {
/// The sums of the elements along `dim` up to each, added up in double precision; integers give i64, which wraps around.
///
/// # Errors
/// A dimension that does not exist.
pub fn cumsum(graph, x: &Tensor, dim: usize) -> Result<Tensor> {
    let around = around("cumsum", x, dim)?;
    if on_gpu(x.device()) {
        return Ok(cumsum(&x.to_device(&Device::Cpu)?, dim)?.to_device(x.device())?);
    }
    if x.dtype().is_int() {
        let x = x.to_dtype(DType::I64)?.contiguous()?;
        let sums = running(around, &View::<i64>::of(&x)?, false, 0, i64::wrapping_add, |sum| sum);
        return Ok(plain(sums, x.shape()));
    }
    in_single(x, |x| {
        let x = x.contiguous()?;
        Ok(by_dtype!(x, "cumsum", T => {
            let sums = move |x: &[T], backwards| running(around, x, backwards, 0.0, |sum, x: T| sum + x.to_f64(), |sum| sum as T);
            let result = sums(&View::<T>::of(&x)?, false);
            graph.record_light("cumsum", &[&x], output(result, x.shape()), move |gradient| {
                Ok(vec![Some(plain(sums(&View::<T>::of(gradient)?, true), gradient.shape()))])
            })
        })?)
    })
}
}
