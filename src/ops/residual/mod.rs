//! Adding a branch of a network to what went around it.

mod cuda;

use candle_core::Tensor;

use super::kernel::cpu::fill_by;
use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use crate::ensure;
use crate::error::Result;

operation! {
/// `x + factor branch` with a factor for every image: 1, or with stochastic depth (Huang et al. 2016) 0 or `1 / (1 - p)`.
///
/// Shapes: `x` and `branch` `[n, ...]`, `factors` n numbers, result as `x`.
///
/// # Errors
/// Shapes that differ, or another number of factors.
pub fn residual(graph, x: &Tensor, branch: &Tensor, factors: &[f64]) -> Result<Tensor> {
    ensure!(
        x.dims() == branch.dims() && x.dims().first() == Some(&factors.len()),
        "residual: {:?} and {:?} must have one shape, with as many images as the {} factors",
        x.dims(),
        branch.dims(),
        factors.len()
    );
    let (x, branch) = (x.contiguous()?, branch.contiguous()?);
    if on_gpu(x.device()) {
        return Ok(cuda::residual(graph, &x, &branch, factors)?);
    }
    let (factors, each) = (factors.to_vec(), (x.elem_count() / factors.len().max(1)).max(1));
    Ok(by_dtype!(x, "residual", T => {
        let factor = move |at: usize| factors[at / each] as T;
        let result = {
            let (x, branch) = (View::<T>::of(&x)?, View::<T>::of(&branch)?);
            fill_by(x.len(), |at, out| {
                for (i, ((o, x), b)) in (at..).zip(out.iter_mut().zip(&x[at..]).zip(&branch[at..])) {
                    o.write(*x + factor(i) * *b);
                }
            })
        };
        graph.record_light("residual", &[&x, &branch], output(result, x.shape()), move |gradient| {
            let dy = View::<T>::of(gradient)?;
            let scaled = fill_by(dy.len(), |at, out| {
                for (i, (o, d)) in (at..).zip(out.iter_mut().zip(&dy[at..])) {
                    o.write(factor(i) * *d);
                }
            });
            Ok(vec![Some(gradient.clone()), Some(plain(scaled, gradient.shape()))])
        })
    })?)
}
}
