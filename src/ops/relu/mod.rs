//! The rectifier.

mod cuda;

use candle_core::Tensor;

use super::kernel::cpu::fill_by;
use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use crate::error::Result;

operation! {
/// `max(x, 0)`, element by element; the gradient at 0 is 0, as PyTorch's. Any shape.
pub fn relu(graph, input: &Tensor) -> Result<Tensor> {
    let input = input.contiguous()?;
    if on_gpu(input.device()) {
        return Ok(cuda::relu(graph, &input)?);
    }
    Ok(by_dtype!(input, "relu", T => {
        let result = {
            let x = View::<T>::of(&input)?;
            fill_by(x.len(), |at, out| {
                for (o, v) in out.iter_mut().zip(&x[at..]) {
                    o.write(if *v < 0.0 { 0.0 } else { *v });
                }
            })
        };
        graph.record("relu", &[&input], output(result, input.shape()), |_, result, gradient| {
            let (y, dy) = (View::<T>::of(result)?, View::<T>::of(gradient)?);
            let dx = fill_by(y.len(), |at, out| {
                for ((o, y), d) in out.iter_mut().zip(&y[at..]).zip(&dy[at..]) {
                    o.write(if *y <= 0.0 { 0.0 } else { *d });
                }
            });
            Ok(vec![Some(plain(dx, result.shape()))])
        })
    })?)
}
}
