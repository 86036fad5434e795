//! Adding a branch of a network to what went around it.

mod cpu;
mod cuda;

use candle_core::Tensor;

use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use super::tape::Needs;
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
    let whole = factors.iter().all(|factor| *factor == 1.0);
    let (factors, area) = (factors.to_vec(), x.elem_count() / factors.len().max(1));
    Ok(by_dtype!(x, "residual", T => {
        let factors: Vec<T> = factors.iter().map(|f| *f as T).collect();
        let result = {
            let (x, branch) = (View::<T>::of(&x)?, View::<T>::of(&branch)?);
            cpu::forward::<T>(&x, &branch, &factors, area)
        };
        graph.record_light("residual", &[&x, &branch], output(result, x.shape()), move |gradient| {
            if whole {
                return Ok(vec![Some(gradient.clone()), Some(gradient.clone())]);
            }
            let scaled = cpu::scaled::<T>(&View::<T>::of(gradient)?, &factors, area);
            Ok(vec![Some(gradient.clone()), Some(plain(scaled, gradient.shape()))])
        })
    })?)
}
}

operation! {
/// `x + factor scale branch` with a factor for every image, as [`residual`] has it, and a scale for every channel: LayerScale (Touvron et
/// al. 2021).
///
/// Shapes: `x` and `branch` `[n, c, ...]`, `scale` `[c]`, `factors` n numbers, result as `x`.
///
/// # Errors
/// Shapes that do not fit.
pub fn scaled_residual(graph, x: &Tensor, branch: &Tensor, scale: &Tensor, factors: &[f64]) -> Result<Tensor> {
    ensure!(
        x.dims() == branch.dims() && x.rank() >= 2 && x.dims()[0] == factors.len() && scale.dims() == [x.dims()[1]],
        "scaled_residual: {:?} and {:?} must have one shape, [images, channels, ..], for {} factors and the scales {:?}",
        x.dims(),
        branch.dims(),
        factors.len(),
        scale.dims()
    );
    if on_gpu(x.device()) {
        let mut shape = vec![1; x.rank()];
        shape[1] = scale.elem_count();
        return graph.residual(x, &branch.broadcast_mul(&scale.reshape(shape)?)?, factors);
    }
    let (x, branch, scale) = (x.contiguous()?, branch.contiguous()?, scale.contiguous()?);
    let channels = scale.elem_count();
    let (factors, area) = (factors.to_vec(), x.elem_count() / (factors.len() * channels).max(1));
    // the gradients do not depend on `x`, which comes last
    let needs = Needs::first(2);
    Ok(by_dtype!(x, "scaled_residual", T => {
        let planes = move |scale: &[T]| -> Vec<T> {
            factors.iter().flat_map(|f| scale.iter().map(move |s| *f as T * *s)).collect()
        };
        let result = {
            let (x, branch, scale) = (View::<T>::of(&x)?, View::<T>::of(&branch)?, View::<T>::of(&scale)?);
            cpu::forward::<T>(&x, &branch, &planes(&scale), area)
        };
        let (output, arguments) = (output(result, x.shape()), [&branch, &scale, &x]);
        graph.record("scaled_residual", &arguments, needs, output, move |arguments, _, gradient| {
            let (branch, scale) = (View::<T>::of(arguments[0])?, View::<T>::of(arguments[1])?);
            let dy = View::<T>::of(gradient)?;
            let dbranch = cpu::scaled::<T>(&dy, &planes(&scale), area);
            let ones = vec![1.0; scale.len()];
            let factors = planes(&ones);
            let mut dscale = vec![T::default(); scale.len()];
            for (plane, (sum, factor)) in cpu::products::<T>(&dy, &branch, area).into_iter().zip(factors).enumerate() {
                dscale[plane % channels] += factor * sum;
            }
            Ok(vec![
                Some(plain(dbranch, gradient.shape())),
                Some(plain(dscale, channels)),
                Some(gradient.clone()),
            ])
        })
    })?)
}
}
