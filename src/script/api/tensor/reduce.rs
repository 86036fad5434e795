//! Sums, means and extremes over all elements or some dimensions.

use super::{axis, float};
use crate::ops::{self, Graph, reduce};
use crate::script::prelude::*;

/// Declare the methods.
pub fn declare(table: &mut Table) {
    table.methods::<Tensor>(entries! {
        /// The sum of all elements, or over `dim` (one dimension or several).
        /// ```
        /// let t = tensor::from([[1, 2], [3, 4]]);
        /// assert_eq(t.sum().item(), 10);
        /// assert_eq(t.sum(0), tensor::from([4, 6]));
        /// assert_eq(t.sum(#{ dim: 1, keepdim: true }).shape, [2, 1]);
        /// ```
        fn sum(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false) -> Tensor {
            over(ctx.graph(&[&t]), &t, dim.as_ref(), keepdim, |graph, t, axes| graph.sum(t, axes))
        }
        /// The mean of all elements, or over `dim` (one dimension or several).
        /// ```
        /// assert_eq(tensor::from([1, 2]).mean().item(), 1.5);
        /// ```
        fn mean(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false) -> Tensor {
            over(ctx.graph(&[&t]), &t, dim.as_ref(), keepdim, |graph, t, axes| graph.mean(t, axes))
        }
        /// The largest element, or the largest over `dim`; NaN where there is one.
        /// ```
        /// let t = tensor::from([[1, 2], [3, 4]]);
        /// assert_eq(t.max().item(), 4);
        /// assert_eq(t.max(0), tensor::from([3, 4]));
        /// ```
        fn max(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false) -> Tensor {
            over(ctx.graph(&[&t]), &t, dim.as_ref(), keepdim, |graph, t, axes| graph.largest(t, axes))
        }
        /// The smallest element, or the smallest over `dim`; NaN where there is one.
        /// ```
        /// assert_eq(tensor::from([[1, 2], [3, 4]]).min(1), tensor::from([1, 3]));
        /// ```
        fn min(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false) -> Tensor {
            over(ctx.graph(&[&t]), &t, dim.as_ref(), keepdim, |graph, t, axes| graph.smallest(t, axes))
        }
        /// The position of the largest element, or of the largest over `dim`: the first of equal ones, or of the first NaN.
        /// ```
        /// assert_eq(tensor::from([[1, 5], [7, 4]]).argmax(1), tensor::from([1, 0]));
        /// ```
        fn argmax(ctx, t: Tensor, dim: Option<i64> = None, keepdim: bool = false) -> Tensor {
            over(ctx.graph(&[&t]), &t, dim.map(|d| Several(vec![d])).as_ref(), keepdim, |_, t, axes| reduce::place_of_largest(t, axes))
        }
        /// The position of the smallest element, or of the smallest over `dim`.
        /// ```
        /// assert_eq(tensor::from([[1, 5], [7, 4]]).argmin().item(), 0);
        /// ```
        fn argmin(ctx, t: Tensor, dim: Option<i64> = None, keepdim: bool = false) -> Tensor {
            over(ctx.graph(&[&t]), &t, dim.map(|d| Several(vec![d])).as_ref(), keepdim, |_, t, axes| reduce::place_of_smallest(t, axes))
        }
        /// The standard deviation, with n - 1 in the denominator (as torch) unless `unbiased` is false.
        /// ```
        /// assert_close(tensor::from([1.0, 3.0]).std().item(), sqrt(2));
        /// ```
        fn std(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false, unbiased: bool = true) -> Tensor {
            let correction = f64::from(u8::from(unbiased));
            over(ctx.graph(&[&t]), &t, dim.as_ref(), keepdim, |graph, t, axes| graph.deviation(t, axes, correction))
        }
        /// The variance, with n - 1 in the denominator (as torch's `var`) unless `unbiased` is false.
        /// ```
        /// assert_close(tensor::from([1.0, 3.0]).variance().item(), 2);
        /// ```
        fn variance(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false, unbiased: bool = true) -> Tensor {
            let correction = f64::from(u8::from(unbiased));
            over(ctx.graph(&[&t]), &t, dim.as_ref(), keepdim, |graph, t, axes| graph.variance(t, axes, correction))
        }
        /// The Euclidean norm of all elements, or over `dim`.
        /// ```
        /// assert_eq(tensor::from([3.0, 4.0]).norm().item(), 5);
        /// ```
        fn norm(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false) -> Tensor {
            over(ctx.graph(&[&t]), &t, dim.as_ref(), keepdim, |graph, t, axes| graph.norm(t, axes))
        }
        /// The logarithm of the sum of the exponentials, computed without overflow.
        /// ```
        /// assert_close(tensor::from([1000.0, 1000.0]).logsumexp().item(), 1000 + log(2));
        /// ```
        fn logsumexp(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false) -> Tensor {
            over(ctx.graph(&[&t]), &float(&t)?, dim.as_ref(), keepdim, |graph, t, axes| {
                ops::in_single(t, |t| graph.logsumexp(t, axes))
            })
        }
    });
}

/// The dimensions meant, sorted; all of them if none are named.
fn axes(t: &Tensor, dims: Option<&Dims>) -> Result<Vec<usize>> {
    let Some(dims) = dims else {
        return Ok(reduce::all(t));
    };
    let mut axes = dims.0.iter().map(|d| axis(t, *d)).collect::<Result<Vec<usize>>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

/// A reduction over the dimensions meant, which disappear unless they are kept.
fn over<'a>(
    graph: Graph<'a>,
    t: &Tensor,
    dims: Option<&Dims>,
    keepdim: bool,
    work: impl Fn(Graph<'a>, &Tensor, &[usize]) -> Result<Tensor>,
) -> Result<Tensor> {
    let axes = axes(t, dims)?;
    let out = work(graph, t, &axes)?;
    if keepdim {
        return Ok(out);
    }
    let stays = |(d, size): (usize, &usize)| (!axes.contains(&d)).then_some(*size);
    let shape: Vec<usize> = out.dims().iter().enumerate().filter_map(stays).collect();
    graph.reshaped(&out, &shape)
}
