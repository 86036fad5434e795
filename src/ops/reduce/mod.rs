//! Sums, means, spreads, norms and extremes over some dimensions of a tensor, and repeating it along them.
//!
//! Everything is added up in double precision; halves enter as f32 and leave as halves. Reduced dimensions keep the size 1.

mod cpu;
mod cuda;
mod plan;
mod tests;

use candle_core::{DType, Result as EngineResult, Tensor, WithDType};

use super::halves::in_single;
use super::kernel::{Element, View, by_dtype, on_gpu, output, plain};
use super::operation;
use super::pointwise::{pairs, triples};
use super::tape::{Graph, Needs};
use crate::error::Result;
use crate::{ensure, fail};
use cpu::{Extreme, Ordered, Place, Terms, Total, reduce, same, spread};
use plan::Plan;

operation! {
/// The sum over `axes`; i64 stays, other integers become i64. The gradient goes to every element.
///
/// # Errors
/// An axis that does not exist, as for all functions here.
pub fn sum(graph, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let x = if x.dtype().is_int() {
        x.to_dtype(DType::I64)?
    } else {
        x.clone()
    };
    scaled_sum(graph, &x, axes, 1.0)
}
}

operation! {
/// The mean over `axes`, NaN of nothing; integers give f32.
pub fn mean(graph, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    in_double(x, |x| scaled_sum(graph, x, axes, 1.0 / count(x, axes)? as f64))
}
}

operation! {
/// The variance over `axes`: the sum of the squares of the distances to the mean over `n - correction`; integers give f32.
pub fn variance(graph, x: &Tensor, axes: &[usize], correction: f64) -> Result<Tensor> {
    in_double(x, |x| distances(graph, x, axes, Measure::Variance, correction))
}
}

operation! {
/// The square root of the [`variance`]; where that is 0 the gradient is 0.
pub fn deviation(graph, x: &Tensor, axes: &[usize], correction: f64) -> Result<Tensor> {
    in_double(x, |x| distances(graph, x, axes, Measure::Deviation, correction))
}
}

operation! {
/// The Euclidean norm over `axes`; where that is 0 the gradient is 0. Integers give f32.
pub fn norm(graph, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    in_double(x, |x| distances(graph, x, axes, Measure::Norm, 0.0))
}
}

operation! {
/// The logarithm of the sum of the exponentials over `axes`, without overflow; an infinite largest element is the result.
///
/// # Errors
/// No element.
pub fn logsumexp(graph, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let largest = largest(&x.detach(), axes)?;
    if on_gpu(x.device()) {
        // an infinite one would make NaN of what is subtracted
        let finite = largest.abs()?.ne(f64::INFINITY)?;
        let shift = finite.where_cond(&largest, &largest.zeros_like()?)?;
        return Ok((cuda::scaled_sum(&x.broadcast_sub(&shift)?.exp()?, axes, 1.0)?.log()? + shift)?);
    }
    let (x, plan) = (x.contiguous()?, Plan::new(x.dims(), axes));
    let dims = largest.shape().clone();
    Ok(by_dtype!(x, "logsumexp", T => {
        let result = {
            let shift = View::<T>::of(&largest)?;
            let shift: &[T] = &shift;
            let total = |sum: f64, result: usize| match shift[result] {
                infinite if infinite.is_infinite() => infinite,
                shift => shift + sum.ln() as T,
            };
            let term = |x: T, largest: T| Element::exp(x - largest).to_f64();
            reduce(&plan, &Terms(shift, term), &View::<T>::of(&x)?, total)
        };
        graph.record("logsumexp", &[&x], Needs::ARGUMENT.and_result(true), output(result, dims), |arguments, result, gradient| {
            let share = triples::<T>(arguments[0], result, gradient, |x, y, d| d * T::exp(x - y))?;
            Ok(vec![Some(plain(share, arguments[0].shape()))])
        })
    })?)
}
}

operation! {
/// The largest element over `axes`, NaN where there is one. Equal elements share the gradient, as PyTorch's `amax`.
///
/// # Errors
/// No element.
pub fn largest(graph, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    extreme::<true>(graph, x, axes)
}
}

operation! {
/// The smallest element over `axes`, NaN where there is one. Equal elements share the gradient, as PyTorch's `amin`.
///
/// # Errors
/// No element.
pub fn smallest(graph, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    extreme::<false>(graph, x, axes)
}
}

/// The place of the largest element over `axes`, counted through them in the order of memory: i64. The first NaN comes before all
/// numbers, the first of equal elements before the others.
///
/// # Errors
/// No element.
pub fn place_of_largest(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    place::<true>(x, axes)
}

/// As [`place_of_largest`], of the smallest element.
///
/// # Errors
/// No element.
pub fn place_of_smallest(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    place::<false>(x, axes)
}

/// How many elements over `axes` are infinite or not a number: i64.
pub fn not_finite(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    checked(x, axes)?;
    let shape = shape(x, axes);
    if x.dtype().is_int() {
        return Ok(Tensor::zeros(shape, DType::I64, x.device())?);
    }
    let x = x.detach();
    if on_gpu(x.device()) {
        let strays = x.sub(&x)?.ne(0f64)?.to_dtype(DType::F32)?;
        return Ok(strays.sum_keepdim(axes)?.to_dtype(DType::I64)?);
    }
    let x = if x.dtype() == DType::F64 {
        x
    } else {
        x.to_dtype(DType::F32)?
    };
    let (x, plan) = (x.contiguous()?, Plan::new(x.dims(), axes));
    Ok(by_dtype!(x, "finite", T => {
        let stray = |x: T, ()| f64::from(u8::from(!x.is_finite()));
        let nothing = vec![(); plan.results()];
        let strays = reduce(&plan, &Terms(&nothing, stray), &View::<T>::of(&x)?, |strays, _| strays as i64);
        Ok(plain(strays, shape))
    })?)
}

/// Whether no element is infinite or not a number; on a GPU this waits for the device.
pub fn all_finite(x: &Tensor) -> Result<bool> {
    Ok(not_finite(x, &all(x))?.flatten_all()?.to_vec1::<i64>()? == [0])
}

operation! {
/// `x` repeated along its dimensions of size 1, and new ones in front, up to `shape`. The gradient is the [`sum()`] over them.
///
/// # Errors
/// A shape that `x` cannot be repeated to.
pub fn expand(graph, x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let Some(front) = shape.len().checked_sub(x.rank()) else {
        fail!(
            "expand: {:?} cannot be repeated to {shape:?}, which has fewer dimensions",
            x.dims()
        )
    };
    ensure!(
        x.dims().iter().zip(&shape[front..]).all(|(a, b)| a == b || *a == 1),
        "expand: {:?} cannot be repeated to {shape:?}; only sizes of 1 are repeated",
        x.dims()
    );
    if x.dims() == shape {
        return Ok(x.clone());
    }
    if !x.track_op() {
        return Ok(x.broadcast_as(shape)?);
    }
    in_single(x, |x| {
        if on_gpu(x.device()) {
            return Ok(x.broadcast_as(shape)?);
        }
        let x = x.contiguous()?;
        Ok(by_dtype!(x, "expand", T => {
            let repeated = pairs::<T>(shape, &x, &x, |x, _| x)?;
            let dims = x.dims().to_vec();
            graph.record_light("expand", &[&x], output(repeated, shape), move |gradient| {
                Ok(vec![Some(summed(gradient.clone(), &dims)?)])
            })
        })?)
    })
}
}

operation! {
/// The elements of `x` in another shape of as many, copied: for small results, that they are recorded where `x` is.
pub fn reshaped(graph, x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if x.dims() == shape || on_gpu(x.device()) || !matches!(x.dtype(), DType::F32 | DType::F64) {
        return Ok(x.reshape(shape)?);
    }
    let x = x.contiguous()?;
    Ok(by_dtype!(x, "reshape", T => {
        let (same, dims) = (View::<T>::of(&x)?.to_vec(), x.shape().clone());
        graph.record_light("reshape", &[&x], output(same, shape), move |gradient| Ok(vec![Some(gradient.reshape(&dims)?)]))
    })?)
}
}

/// What a tensor of the sizes `dims` that was repeated to the shape of `t` gets of a gradient `t`: the sum over where it stood.
pub(super) fn summed(t: Tensor, dims: &[usize]) -> EngineResult<Tensor> {
    if t.dims() == dims {
        return Ok(t);
    }
    let front = t.rank() - dims.len();
    let axes: Vec<usize> = (0..t.rank()).filter(|d| *d < front || dims[*d - front] == 1).collect();
    let plan = Plan::new(t.dims(), &axes);
    by_dtype!(t, "sum", T => Ok(plain(reduce(&plan, &Total, &View::<T>::of(&t)?, |sum, _| sum as T), dims)))
}

/// All dimensions of `x`.
pub fn all(x: &Tensor) -> Vec<usize> {
    (0..x.rank()).collect()
}

/// As [`in_single`]; integers enter as f64, which holds them, and leave as f32.
fn in_double(x: &Tensor, work: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match x.dtype().is_int() {
        true => Ok(work(&x.to_dtype(DType::F64)?)?.to_dtype(DType::F32)?),
        false => in_single(x, work),
    }
}

/// How many elements become one.
fn count(x: &Tensor, axes: &[usize]) -> Result<usize> {
    checked(x, axes)?;
    Ok(axes.iter().map(|d| x.dims()[*d]).product())
}

fn checked(x: &Tensor, axes: &[usize]) -> Result<()> {
    match axes.iter().find(|d| **d >= x.rank()) {
        Some(d) => fail!("dimension {d} of {:?} does not exist", x.dims()),
        None => Ok(()),
    }
}

/// The sizes of a result.
fn shape(x: &Tensor, axes: &[usize]) -> Vec<usize> {
    let size = |(d, size): (usize, &usize)| if axes.contains(&d) { 1 } else { *size };
    x.dims().iter().enumerate().map(size).collect()
}

fn scaled_sum(graph: Graph, x: &Tensor, axes: &[usize], factor: f64) -> Result<Tensor> {
    checked(x, axes)?;
    let shape = shape(x, axes);
    if on_gpu(x.device()) {
        return in_single(x, |x| cuda::scaled_sum(x, axes, factor));
    }
    in_single(x, |x| {
        let (x, plan) = (x.contiguous()?, Plan::new(x.dims(), axes));
        if x.dtype() == DType::I64 {
            let sums = reduce(&plan, &Total, &View::<i64>::of(&x)?, |sum, _| sum);
            return Ok(plain(sums, shape));
        }
        Ok(by_dtype!(x, "sum", T => {
            let sums = reduce(&plan, &Total, &View::<T>::of(&x)?, |sum, _| (sum * factor) as T);
            let dims = x.shape().clone();
            graph.record_light("sum", &[&x], output(sums, shape), move |gradient| {
                let dy = View::<T>::of(gradient)?;
                let dy: &[T] = &dy;
                let dx = spread(&plan, dims.elem_count(), |result| dy[result] * factor as T, |_, share| share);
                Ok(vec![Some(plain(dx, &dims))])
            })
        })?)
    })
}

/// What is made of the sum of the squares of distances.
#[derive(Clone, Copy, PartialEq)]
enum Measure {
    /// Distances to the mean, over n.
    Variance,
    /// The root of that.
    Deviation,
    /// Distances to 0, the root.
    Norm,
}

fn distances(graph: Graph, x: &Tensor, axes: &[usize], measure: Measure, correction: f64) -> Result<Tensor> {
    let n = match (measure, count(x, axes)?) {
        (Measure::Norm, _) => 1.0,
        (_, elements) => (elements as f64 - correction).max(0.0),
    };
    if on_gpu(x.device()) {
        return cuda::distances(x, axes, measure, n);
    }
    let shape = shape(x, axes);
    let (x, plan) = (x.contiguous()?, Plan::new(x.dims(), axes));
    Ok(by_dtype!(x, "std", T => {
        let (centres, results) = {
            let x = View::<T>::of(&x)?;
            let elements = plan.length() as f64;
            let centres = match measure {
                Measure::Norm => vec![0.0; plan.results()],
                _ => reduce(&plan, &Total, &x, |sum, _| sum / elements),
            };
            let square = |x: T, centre: f64| (x.to_f64() - centre) * (x.to_f64() - centre);
            let results = reduce(&plan, &Terms(&centres, square), &x, |sum, _| match measure {
                Measure::Variance => sum / n,
                _ => (sum / n).sqrt(),
            });
            (centres, results)
        };
        let rounded: Vec<T> = results.iter().map(|r| *r as T).collect();
        graph.record("std", &[&x], Needs::ARGUMENT, output(rounded, shape), move |arguments, _, gradient| {
            let (x, dy) = (View::<T>::of(arguments[0])?, View::<T>::of(gradient)?);
            let x: &[T] = &x;
            let factor = |(result, dy): (&f64, &T)| match measure {
                Measure::Variance => 2.0 * dy.to_f64() / n,
                // the slope of a root at 0 is infinite, but an element that moves alone leaves a minimum
                _ if *result == 0.0 => 0.0,
                _ => dy.to_f64() / (n * result),
            };
            let factors: Vec<f64> = results.iter().zip(dy.iter()).map(factor).collect();
            let known = |result: usize| (centres[result], factors[result]);
            let dx = spread(&plan, x.len(), known, |at, (centre, factor)| ((x[at].to_f64() - centre) * factor) as T);
            Ok(vec![Some(plain(dx, arguments[0].shape()))])
        })
    })?)
}

fn extreme<const LARGEST: bool>(graph: Graph, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let shape = some(x, axes)?;
    if on_gpu(x.device()) {
        return in_single(x, |x| cuda::extreme(graph, x, axes, LARGEST));
    }
    if x.dtype().is_int() {
        let whole = x.to_dtype(DType::I64)?.contiguous()?;
        let best = reduce(
            &Plan::new(x.dims(), axes),
            &Extreme::<LARGEST>,
            &View::<i64>::of(&whole)?,
            |best, _| best,
        );
        return Ok(plain(best, shape).to_dtype(x.dtype())?);
    }
    in_single(x, |x| {
        let (x, plan) = (x.contiguous()?, Plan::new(x.dims(), axes));
        Ok(by_dtype!(x, "max", T => {
            let best = reduce(&plan, &Extreme::<LARGEST>, &View::<T>::of(&x)?, |best, _| best);
            graph.record("max", &[&x], Needs::ARGUMENT.and_result(true), output(best, shape), move |arguments, best, gradient| {
                let (x, best) = (View::<T>::of(arguments[0])?, View::<T>::of(best)?);
                let dy = View::<T>::of(gradient)?;
                let (x, best, dy): (&[T], &[T], &[T]) = (&x, &best, &dy);
                let tie = |x: T, best: T| f64::from(u8::from(same(x, best)));
                let shares = reduce(&plan, &Terms(best, tie), x, |ties, result| (dy[result].to_f64() / ties) as T);
                let known = |result: usize| (best[result], shares[result]);
                let dx = spread(&plan, x.len(), known, |at, (best, share)| if same(x[at], best) { share } else { 0.0 });
                Ok(vec![Some(plain(dx, arguments[0].shape()))])
            })
        })?)
    })
}

fn place<const LARGEST: bool>(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let shape = some(x, axes)?;
    let x = x.detach();
    if on_gpu(x.device()) {
        return cuda::place(&x, axes, LARGEST);
    }
    fn found<T: Ordered, const LARGEST: bool>(x: &Tensor, axes: &[usize]) -> EngineResult<Vec<i64>> {
        let (x, plan) = (x.contiguous()?, Plan::new(x.dims(), axes));
        let x = View::<T>::of(&x)?;
        Ok(reduce(&plan, &Place::<LARGEST>, &x, |(_, at), _| at as i64))
    }
    let places = match x.dtype() {
        DType::F64 => found::<f64, LARGEST>(&x, axes)?,
        dtype if dtype.is_float() => found::<f32, LARGEST>(&x.to_dtype(DType::F32)?, axes)?,
        _ => found::<i64, LARGEST>(&x.to_dtype(DType::I64)?, axes)?,
    };
    Ok(plain(places, shape))
}

/// The sizes of a result, which must be made of something.
fn some(x: &Tensor, axes: &[usize]) -> Result<Vec<usize>> {
    let n = count(x, axes)?;
    ensure!(n > 0, "{:?} has no elements to choose from", x.dims());
    Ok(shape(x, axes))
}
