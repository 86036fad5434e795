//! Sums, differences, products and quotients of two tensors that are repeated to one shape, and of a tensor and a number.
//!
//! The gradient of a tensor that was repeated is the sum over where it stood; one that nobody asks for is not computed.

use candle_core::{Shape, Tensor};

use super::kernel::{by_dtype, on_gpu, output, plain};
use super::operation;
use super::pointwise::{Reads, common, each, of_two, pairs};
use super::reduce::summed;
use super::tape::Kept;
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
    let shape = common("+", a.dims(), b.dims())?;
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let wanted = [&a, &b].map(wanted);
    Ok(by_dtype!(a, "+", T => {
        let result = pairs::<T>(&shape, &a, &b, |a, b| a + b)?;
        graph.record_light("+", &[&a, &b], output(result, shape), move |gradient| {
            let side = |dims: &Option<Shape>| dims.as_ref().map(|dims| summed(gradient.clone(), dims.dims())).transpose();
            wanted.iter().map(side).collect()
        })
    })?)
}
}

operation! {
/// `a - b`, repeated to one shape.
pub fn subtract(graph, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if on_gpu(a.device()) {
        return Ok(a.broadcast_sub(b)?);
    }
    let shape = common("-", a.dims(), b.dims())?;
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let wanted = [&a, &b].map(wanted);
    Ok(by_dtype!(a, "-", T => {
        let result = pairs::<T>(&shape, &a, &b, |a, b| a - b)?;
        graph.record_light("-", &[&a, &b], output(result, shape), move |gradient| {
            let [da, db] = &wanted;
            let da = da.as_ref().map(|dims| summed(gradient.clone(), dims.dims())).transpose()?;
            let Some(dims) = db else { return Ok(vec![da, None]) };
            let sum = summed(gradient.clone(), dims.dims())?;
            let db = pairs::<T>(sum.dims(), &sum, &sum, |d, _| -d)?;
            Ok(vec![da, Some(plain(db, dims))])
        })
    })?)
}
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
    let x = x.contiguous()?;
    Ok(by_dtype!(x, "/", T => {
        let number = number as T;
        let result = pairs::<T>(x.dims(), &x, &x, |x, _| x / number)?;
        graph.record_light("divide_by", &[&x], output(result, x.shape()), move |gradient| {
            let dx = pairs::<T>(gradient.dims(), gradient, gradient, |d, _| d / number)?;
            Ok(vec![Some(plain(dx, gradient.shape()))])
        })
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
        each::<T>(graph, "divide", x, move |x| number / x, Reads::Argument, move |d, x| -d * (number / x) / x)
    })?)
}
}

/// The sizes of an argument whose gradient is wanted.
fn wanted(t: &Tensor) -> Option<Shape> {
    t.track_op().then(|| t.shape().clone())
}
