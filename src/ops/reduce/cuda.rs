//! Reductions on a GPU, by candle's operations; elements are f32, f64 or integers.

use candle_core::{DType, Tensor};

use super::Measure;
use crate::error::Result;
use crate::ops::kernel::cuda::Buffer;
use crate::ops::tape::{Graph, Needs};

/// The sum times a factor.
pub(super) fn scaled_sum(x: &Tensor, axes: &[usize], factor: f64) -> Result<Tensor> {
    let sum = x.sum_keepdim(axes)?;
    Ok(if factor == 1.0 { sum } else { sum.affine(factor, 0.0)? })
}

/// Variance, standard deviation or norm.
pub(super) fn distances(x: &Tensor, axes: &[usize], measure: Measure, n: f64) -> Result<Tensor> {
    let elements: usize = axes.iter().map(|d| x.dims()[*d]).product();
    let centred = match measure {
        Measure::Norm => x.clone(),
        _ => x.broadcast_sub(&scaled_sum(x, axes, 1.0 / elements as f64)?)?,
    };
    let squares = centred.sqr()?.sum_keepdim(axes)?.affine(1.0 / n, 0.0)?;
    if measure == Measure::Variance {
        return Ok(squares);
    }
    // the slope of a root at 0 is infinite; here it is 0
    let some = squares.detach().ne(0f64)?.to_dtype(squares.dtype())?;
    let none = some.affine(-1.0, 1.0)?;
    Ok(((squares + none)?.sqrt()? * some)?)
}

/// The largest or smallest element, NaN where there is one; equal ones share the gradient.
pub(super) fn extreme(graph: Graph, x: &Tensor, axes: &[usize], largest: bool) -> Result<Tensor> {
    let value = x.detach();
    let mut best = value.clone();
    for &d in axes {
        best = if largest {
            best.max_keepdim(d)?
        } else {
            best.min_keepdim(d)?
        };
    }
    if !x.dtype().is_float() {
        return Ok(best);
    }
    let stray = value.ne(&value)?.to_dtype(x.dtype())?.sum_keepdim(axes)?;
    let nan = best.affine(0.0, f64::NAN)?;
    let best = stray.ne(0f64)?.where_cond(&nan, &best)?;
    let axes = axes.to_vec();
    let output = Buffer::copy(&best)?.output(best.shape());
    let needs = Needs::ARGUMENT.and_result(true);
    Ok(
        graph.record("max", &[x], needs, output, move |arguments, best, gradient| {
            let x = arguments[0].detach();
            let dtype = x.dtype();
            let equal = x.broadcast_eq(best)?.to_dtype(dtype)?;
            let both_nan = x
                .ne(&x)?
                .to_dtype(dtype)?
                .broadcast_mul(&best.ne(best)?.to_dtype(dtype)?)?;
            let chosen = (equal + both_nan)?;
            let share = (gradient / chosen.sum_keepdim(axes.as_slice())?)?;
            Ok(vec![Some(chosen.broadcast_mul(&share)?)])
        })?,
    )
}

/// The place of the largest or smallest element.
pub(super) fn place(x: &Tensor, axes: &[usize], largest: bool) -> Result<Tensor> {
    let x = if x.dtype().is_float() {
        nan_first(x, largest)?
    } else {
        x.clone()
    };
    let shape = super::shape(&x, axes);
    let (x, d) = match axes {
        [d] => (x, *d),
        _ => (x.flatten_all()?, 0),
    };
    let found = if largest {
        x.argmax_keepdim(d)?
    } else {
        x.argmin_keepdim(d)?
    };
    Ok(found.to_dtype(DType::I64)?.reshape(shape)?)
}

/// Infinite elements one step inside, and NaN outside of all.
fn nan_first(x: &Tensor, largest: bool) -> Result<Tensor> {
    let (x, most) = match x.dtype() {
        DType::F64 => (x.clone(), f64::MAX),
        _ => (x.to_dtype(DType::F32)?, f64::from(f32::MAX)),
    };
    let outside = if largest { f64::INFINITY } else { f64::NEG_INFINITY };
    let outside = x.zeros_like()?.affine(1.0, outside)?;
    Ok(x.ne(&x)?.where_cond(&outside, &x.clamp(-most, most)?)?)
}
