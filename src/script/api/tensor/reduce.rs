//! Sums, means and extremes over all elements or some dimensions.

use candle_core::DType;

use super::{axis, float};
use crate::script::prelude::*;

/// Declare the methods.
pub fn declare(table: &mut Table) {
    table.methods::<Tensor>(
        "Tensor",
        entries! {
            /// The sum of all elements, or over `dim` (one dimension or several).
            /// ```
            /// let t = tensor::from([[1, 2], [3, 4]]);
            /// assert_eq(t.sum().item(), 10);
            /// assert_eq(t.sum(0), tensor::from([4, 6]));
            /// assert_eq(t.sum(#{ dim: 1, keepdim: true }).shape, [2, 1]);
            /// ```
            fn sum(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false) -> Tensor {
                sum(&exact(&t)?, dim.as_ref(), keepdim)
            }
            /// The mean of all elements, or over `dim` (one dimension or several).
            /// ```
            /// assert_eq(tensor::from([1, 2]).mean().item(), 1.5);
            /// ```
            fn mean(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false) -> Tensor {
                mean(&float(&t)?, dim.as_ref(), keepdim)
            }
            /// The largest element, or the largest over `dim`.
            /// ```
            /// let t = tensor::from([[1, 2], [3, 4]]);
            /// assert_eq(t.max().item(), 4);
            /// assert_eq(t.max(0), tensor::from([3, 4]));
            /// ```
            fn max(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false) -> Tensor {
                extreme(&t, dim.as_ref(), keepdim, |t, d| t.max_keepdim(d))
            }
            /// The smallest element, or the smallest over `dim`.
            /// ```
            /// assert_eq(tensor::from([[1, 2], [3, 4]]).min(1), tensor::from([1, 3]));
            /// ```
            fn min(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false) -> Tensor {
                extreme(&t, dim.as_ref(), keepdim, |t, d| t.min_keepdim(d))
            }
            /// The position of the largest element, or of the largest over `dim`.
            /// ```
            /// assert_eq(tensor::from([[1, 5], [7, 4]]).argmax(1), tensor::from([1, 0]));
            /// ```
            fn argmax(ctx, t: Tensor, dim: Option<i64> = None, keepdim: bool = false) -> Tensor {
                position(&t, dim, keepdim, |t, d| t.argmax_keepdim(d))
            }
            /// The position of the smallest element, or of the smallest over `dim`.
            /// ```
            /// assert_eq(tensor::from([[1, 5], [7, 4]]).argmin().item(), 0);
            /// ```
            fn argmin(ctx, t: Tensor, dim: Option<i64> = None, keepdim: bool = false) -> Tensor {
                position(&t, dim, keepdim, |t, d| t.argmin_keepdim(d))
            }
            /// The standard deviation, with n - 1 in the denominator (as torch) unless `unbiased` is false.
            /// ```
            /// assert_close(tensor::from([1.0, 3.0]).std().item(), sqrt(2));
            /// ```
            fn std(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false, unbiased: bool = true) -> Tensor {
                let t = float(&t)?;
                let over = axes(&t, dim.as_ref())?;
                let n: usize = over.iter().map(|d| t.dims()[*d]).product();
                let centred = t.broadcast_sub(&mean(&t, dim.as_ref(), true)?)?;
                let squares = sum(&centred.sqr()?, dim.as_ref(), keepdim)?;
                Ok(squares.affine(1.0 / (n as f64 - f64::from(u8::from(unbiased))), 0.0)?.sqrt()?)
            }
            /// The Euclidean norm of all elements, or over `dim`.
            /// ```
            /// assert_eq(tensor::from([3.0, 4.0]).norm().item(), 5);
            /// ```
            fn norm(ctx, t: Tensor, dim: Option<Dims> = None, keepdim: bool = false) -> Tensor {
                let squares = sum(&float(&t)?.sqr()?, dim.as_ref(), keepdim)?;
                // the root's slope at 0 is infinite; as in PyTorch, the norm of zeros has the gradient 0
                let some = squares.detach().ne(0f64)?.to_dtype(squares.dtype())?;
                let none = some.affine(-1.0, 1.0)?;
                Ok(((squares + none)?.sqrt()? * some)?)
            }
        },
    );
}

/// Small integers as `i64`, so that sums do not overflow.
fn exact(t: &Tensor) -> Result<Tensor> {
    if t.dtype().is_float() {
        Ok(t.clone())
    } else {
        Ok(t.to_dtype(DType::I64)?)
    }
}

/// The dimensions meant, sorted; all of them if none are named.
fn axes(t: &Tensor, dims: Option<&Dims>) -> Result<Vec<usize>> {
    let Some(dims) = dims else {
        return Ok((0..t.rank()).collect());
    };
    let mut axes = dims.0.iter().map(|d| axis(t, *d)).collect::<Result<Vec<usize>>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

fn sum(t: &Tensor, dims: Option<&Dims>, keepdim: bool) -> Result<Tensor> {
    let axes = axes(t, dims)?;
    if axes.is_empty() {
        return Ok(t.clone());
    }
    Ok(if keepdim { t.sum_keepdim(axes)? } else { t.sum(axes)? })
}

fn mean(t: &Tensor, dims: Option<&Dims>, keepdim: bool) -> Result<Tensor> {
    let n: usize = axes(t, dims)?.iter().map(|d| t.dims()[*d]).product();
    Ok(sum(t, dims, keepdim)?.affine(1.0 / n as f64, 0.0)?)
}

type Along = fn(&Tensor, usize) -> candle_core::Result<Tensor>;

fn extreme(t: &Tensor, dims: Option<&Dims>, keepdim: bool, along: Along) -> Result<Tensor> {
    ensure!(t.elem_count() > 0, "{} has no elements", t.brief());
    let axes = axes(t, dims)?;
    let mut out = t.clone();
    for &d in &axes {
        out = along(&out, d)?;
    }
    if !keepdim {
        for d in axes.into_iter().rev() {
            out = out.squeeze(d)?;
        }
    }
    Ok(out)
}

fn position(t: &Tensor, dim: Option<i64>, keepdim: bool, along: Along) -> Result<Tensor> {
    ensure!(t.elem_count() > 0, "{} has no elements", t.brief());
    let t = t.detach();
    let found = match dim {
        Some(dim) => {
            let dim = axis(&t, dim)?;
            let found = along(&t, dim)?;
            if keepdim { found } else { found.squeeze(dim)? }
        }
        None => {
            let found = along(&t.flatten_all()?, 0)?;
            if keepdim {
                found.reshape(vec![1; t.rank()])?
            } else {
                found.squeeze(0)?
            }
        }
    };
    Ok(found.to_dtype(DType::I64)?)
}
