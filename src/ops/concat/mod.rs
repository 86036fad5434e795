//! Joining maps along a dimension.

mod cuda;

use candle_core::{Shape, Tensor};

use super::kernel::cpu::buffer;
use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use crate::ensure;
use crate::error::Result;
use rayon::prelude::*;

operation! {
/// The tensors one behind the other along `dim`; all other dimensions must be equal. The gradient is cut up again.
///
/// # Errors
/// No tensor, a dimension that does not exist, other dimensions that differ.
pub fn concat(graph, tensors: &[&Tensor], dim: usize) -> Result<Tensor> {
    let shapes: Vec<&[usize]> = tensors.iter().map(|t| t.dims()).collect();
    ensure!(
        shapes.first().is_some_and(|first| dim < first.len()),
        "concat: tensors of shapes {shapes:?} cannot be joined along dimension {dim}"
    );
    let others = |shape: &[usize]| -> Vec<usize> { [&shape[..dim], &shape[dim + 1..]].concat() };
    ensure!(
        shapes
            .iter()
            .all(|s| s.len() == shapes[0].len() && others(s) == others(shapes[0])),
        "concat: the shapes {shapes:?} must be equal but for dimension {dim}"
    );
    let outer: usize = shapes[0][..dim].iter().product();
    let inner: usize = shapes[0][dim + 1..].iter().product();
    let widths: Vec<usize> = shapes.iter().map(|s| s[dim] * inner).collect();
    let whole: usize = widths.iter().sum();
    let mut shape = shapes[0].to_vec();
    shape[dim] = shapes.iter().map(|s| s[dim]).sum();
    let parts: Vec<Tensor> = tensors
        .iter()
        .map(|t| t.contiguous())
        .collect::<candle_core::Result<_>>()?;
    let parts: Vec<&Tensor> = parts.iter().collect();
    if on_gpu(parts[0].device()) {
        return Ok(cuda::concat(graph, &parts, outer, &widths, shape)?);
    }
    Ok(by_dtype!(parts[0], "concat", T => {
        let result = {
            let views = parts.iter().map(|t| View::<T>::of(t)).collect::<candle_core::Result<Vec<_>>>()?;
            buffer(outer * whole, |out| {
                out.par_chunks_mut(whole.max(1)).enumerate().for_each(|(i, row)| {
                    let mut at = 0;
                    for (view, width) in views.iter().zip(&widths) {
                        row[at..at + width].write_copy_of_slice(&view[i * width..][..*width]);
                        at += width;
                    }
                });
            })
        };
        let tracked: Vec<Option<(usize, Shape)>> =
            parts.iter().zip(&widths).map(|(t, w)| t.track_op().then(|| (*w, t.shape().clone()))).collect();
        graph.record_light("concat", &parts, output(result, shape), move |gradient| {
            let dy = View::<T>::of(gradient)?;
            let mut at = 0;
            let mut list = Vec::with_capacity(tracked.len());
            for (wanted, width) in tracked.iter().zip(&widths) {
                let start = at;
                at += width;
                list.push(wanted.as_ref().map(|(width, shape)| {
                    let part = buffer(outer * width, |out| {
                        out.par_chunks_mut((*width).max(1)).enumerate().for_each(|(i, row)| {
                            row.write_copy_of_slice(&dy[i * whole + start..][..*width]);
                        });
                    });
                    plain(part, shape)
                }));
            }
            Ok(list)
        })
    })?)
}
}
