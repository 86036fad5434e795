//! Sums, differences, products and quotients of two tensors that are repeated to one shape, and of a tensor and a number.
//!
//! The gradient of a tensor that was repeated is the sum over where it stood; one that nobody asks for is not computed.

use candle_core::{Result as EngineResult, Shape, Tensor};

use super::kernel::{by_dtype, on_gpu, output, plain};
use super::operation;
use super::pointwise::{common, each, of_two, pairs};
use super::reduce::summed;
use super::tape::{Graph, Kept, Needs};
use crate::error::Result;

operation! {
/// `a + b`, repeated to one shape.
///
/// # Errors
/// Shapes that cannot be repeated to one, as for all functions of two tensors here.
pub fn add(graph, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if on_gpu(a.device()) {
        return match a.dims() {
            [n, ..] if a.dims() == b.dims() => graph.residual(a, b, &vec![1.0; *n]),
            _ => Ok(a.broadcast_add(b)?),
        };
    }
    added::<false>(graph, a, b)
}
}

operation! {
/// `a - b`, repeated to one shape.
pub fn subtract(graph, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if on_gpu(a.device()) {
        return Ok(a.broadcast_sub(b)?);
    }
    added::<true>(graph, a, b)
}
}

/// `a + b`, or `a - b`; no value is needed for the gradients.
fn added<const MINUS: bool>(graph: Graph, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let name = if MINUS { "-" } else { "+" };
    let shape = common(name, a.dims(), b.dims())?;
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let wanted = [&a, &b].map(wanted);
    Ok(by_dtype!(a, name, T => {
        let result = pairs::<T>(&shape, &a, &b, |a, b| if MINUS { a - b } else { a + b })?;
        graph.record_light(name, &[&a, &b], output(result, shape), move |gradient| {
            let [da, db] = wanted.each_ref().map(|dims| {
                dims.as_ref().map(|dims| summed(gradient.clone(), dims.dims())).transpose()
            });
            let negative = |sum: Tensor| -> EngineResult<Tensor> {
                Ok(plain(pairs::<T>(sum.dims(), &sum, &sum, |d, _| -d)?, sum.shape()))
            };
            let db = if MINUS { db?.map(negative).transpose()? } else { db? };
            Ok(vec![da?, db])
        })
    })?)
}

operation! {
/// `a b`, element by element, repeated to one shape.
pub fn multiply(graph, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if on_gpu(a.device()) {
        return Ok(a.broadcast_mul(b)?);
    }
    let shape = common("*", a.dims(), b.dims())?;
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    Ok(by_dtype!(a, "*", T => {
        let result = pairs::<T>(&shape, &a, &b, |a, b| a * b)?;
        let sides = [(&a, &b), (&b, &a)].map(|(own, other)| wanted(own).map(|dims| (dims, graph.keep(other))));
        graph.record_light("*", &[&a, &b], output(result, shape), move |gradient| {
            let side = |side: &Option<(Shape, Kept)>| {
                let Some((dims, other)) = side else { return Ok(None) };
                let other = other.value(gradient)?.contiguous()?;
                let each = pairs::<T>(gradient.dims(), gradient, &other, |d, other| d * other)?;
                Ok(Some(summed(plain(each, gradient.shape()), dims.dims())?))
            };
            sides.iter().map(side).collect()
        })
    })?)
}
}

operation! {
/// `a / b`, element by element, repeated to one shape.
pub fn divide(graph, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if on_gpu(a.device()) {
        return Ok(a.broadcast_div(b)?);
    }
    Ok(by_dtype!(a, "/", T => {
        of_two::<T, _, _>(graph, "/", a, b, |a, b| a / b, (|d, _, b| d / b, |d, a, b| -d * (a / b / b)))
    })?)
}
}

operation! {
/// `factor x + term`.
pub fn affine(graph, x: &Tensor, factor: f64, term: f64) -> Result<Tensor> {
    if on_gpu(x.device()) {
        return Ok(x.affine(factor, term)?);
    }
    let x = x.contiguous()?;
    Ok(by_dtype!(x, "affine", T => {
        let (by, term) = (factor as T, term as T);
        let result = pairs::<T>(x.dims(), &x, &x, |x, _| x * by + term)?;
        graph.record_light("affine", &[&x], output(result, x.shape()), move |gradient| {
            if factor == 1.0 {
                return Ok(vec![Some(gradient.clone())]);
            }
            let dx = pairs::<T>(gradient.dims(), gradient, gradient, |d, _| d * by)?;
            Ok(vec![Some(plain(dx, gradient.shape()))])
        })
    })?)
}
}

operation! {
/// `x / number`, rounded once.
pub fn divide_by(graph, x: &Tensor, number: f64) -> Result<Tensor> {
    if on_gpu(x.device()) {
        return Ok(x.broadcast_div(&Tensor::new(number, x.device())?.to_dtype(x.dtype())?)?);
    }
    Ok(by_dtype!(x, "/", T => {
        let number = number as T;
        each::<T>(graph, "divide_by", x, move |x| x / number, Needs::NOTHING, move |d, _| d / number)
    })?)
}
}

operation! {
/// `number / x`, rounded once.
pub fn divide_number(graph, number: f64, x: &Tensor) -> Result<Tensor> {
    if on_gpu(x.device()) {
        return Ok(Tensor::new(number, x.device())?.to_dtype(x.dtype())?.broadcast_div(x)?);
    }
    Ok(by_dtype!(x, "/", T => {
        let number = number as T;
        each::<T>(graph, "divide", x, move |x| number / x, Needs::ARGUMENT, move |d, x| -d * (number / x) / x)
    })?)
}
}

/// The sizes of an argument whose gradient is wanted.
fn wanted(t: &Tensor) -> Option<Shape> {
    t.track_op().then(|| t.shape().clone())
}
