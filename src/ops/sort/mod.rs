//! The order of the elements along a dimension, the best of them, and what lies at a given share of them.

mod cpu;

use candle_core::{DType, Device, Tensor};

use super::halves::in_single;
use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use super::reduce;
use super::tape::Graph;
use crate::error::Result;
use crate::{choices, ensure, fail};

/// Sizes around a dimension: `[outer, length, inner]`.
type Around = [usize; 3];

operation! {
/// The elements along `dim` in rising or falling order, and the places they had (i64). Equal ones keep their order; NaN counts as larger
/// than all numbers, as in PyTorch. The gradient goes to the places.
///
/// # Errors
/// A dimension that does not exist or is longer than 2^32.
pub fn sort(graph, x: &Tensor, dim: usize, falling: bool) -> Result<(Tensor, Tensor)> {
    let length = around(x, dim)?[1];
    ranked(graph, x, dim, length, falling)
}
}

operation! {
/// The `k` largest (smallest) elements along `dim`, the best first, and their places (i64); otherwise as [`sort()`].
///
/// # Errors
/// `k` above the size of the dimension.
pub fn topk(graph, x: &Tensor, k: usize, dim: usize, largest: bool) -> Result<(Tensor, Tensor)> {
    let length = around(x, dim)?[1];
    ensure!(
        k <= length,
        "topk: k is {k}, dimension {dim} of {:?} has {length}; k must not be larger",
        x.dims()
    );
    ranked(graph, x, dim, k, largest)
}
}

operation! {
/// The middle element along `dim`, the lower one of two, NaN where there is one; the dimension keeps the size 1. The gradient goes to the
/// first place it stands at.
///
/// # Errors
/// A dimension without elements.
pub fn median(graph, x: &Tensor, dim: usize) -> Result<Tensor> {
    let length = around(x, dim)?[1];
    ensure!(length > 0, "median: dimension {dim} of {:?} has no elements", x.dims());
    if x.elem_count() == 0 {
        return no_lines(x, dim, 1);
    }
    let (values, _) = graph.sort(x, dim, false)?;
    or_nan(graph, x, dim, &values.narrow(dim, (length - 1) / 2, 1)?)
}
}

operation! {
/// The middle one of all elements as [`median()`], without dimensions; NaN of nothing. Equal elements share the gradient, as in PyTorch.
///
/// # Errors
/// Integers without elements.
pub fn median_of_all(graph, x: &Tensor) -> Result<Tensor> {
    if on_gpu(x.device()) {
        return Ok(median_of_all(&x.to_device(&Device::Cpu)?)?.to_device(x.device())?);
    }
    let flat = x.detach().flatten_all()?;
    if flat.elem_count() == 0 && x.dtype().is_float() {
        return Ok(Tensor::new(f64::NAN, x.device())?.to_dtype(x.dtype())?);
    }
    let value = median(&flat, 0)?.squeeze(0)?; // of what has no graph
    if !x.track_op() {
        return Ok(value);
    }
    in_single(x, |x| {
        let (own, value) = (x.detach(), value.to_dtype(x.dtype())?);
        let both_nan = (own.ne(&own)? * value.ne(&value)?.broadcast_as(own.shape())?)?;
        let equal = (own.broadcast_eq(&value)? + both_nan)?.to_dtype(x.dtype())?;
        let share = equal.broadcast_div(&reduce::sum(&equal, &reduce::all(&equal))?)?;
        Ok(by_dtype!(value, "median", T => {
            let value = View::<T>::of(&value)?.to_vec();
            graph.record_light("median", &[x], output(value, ()), move |gradient| {
                Ok(vec![Some(share.broadcast_mul(gradient)?)])
            })
        })?)
    })
}
}

choices! {
    /// How the share of a number of elements becomes a place among them.
    pub enum Between {
        /// On the line between the two neighbours.
        Linear = "linear",
        /// The lower neighbour.
        Lower = "lower",
        /// The higher neighbour.
        Higher = "higher",
        /// Half-way between the two neighbours.
        Midpoint = "midpoint",
        /// The nearer neighbour; of two the one with the even place.
        Nearest = "nearest",
    }
}

impl Between {
    /// The lower neighbour of a place, the higher one, and the weight of the higher one.
    fn neighbours(self, place: f64) -> (usize, usize, f64) {
        let (low, high) = (place.floor(), place.ceil());
        let (low, high, weight) = match self {
            Between::Linear => (low, high, place - low),
            Between::Lower => (low, low, 0.0),
            Between::Higher => (high, high, 0.0),
            Between::Midpoint => (low, high, 0.5),
            Between::Nearest => (place.round_ties_even(), place.round_ties_even(), 0.0),
        };
        (low as usize, high as usize, weight)
    }
}

operation! {
/// What the shares `q` (0 to 1) of the elements along `dim` lie below, side by side along `dim`; NaN where an element is. f32 or f64.
///
/// # Errors
/// A dimension without elements, a share outside 0 to 1.
pub fn quantile(graph, x: &Tensor, q: &[f64], dim: usize, between: Between) -> Result<Tensor> {
    let length = around(x, dim)?[1];
    ensure!(
        length > 0,
        "quantile: dimension {dim} of {:?} has no elements",
        x.dims()
    );
    if let Some(q) = q.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        fail!("quantile: q is {q}, expected 0 to 1 (0.5 is the median)");
    }
    if x.elem_count() == 0 || q.is_empty() {
        return no_lines(x, dim, q.len());
    }
    let (values, _) = graph.sort(x, dim, false)?;
    let places: Vec<(usize, usize, f64)> = q.iter().map(|q| between.neighbours(q * (length - 1) as f64)).collect();
    let at = |of: fn(&(usize, usize, f64)) -> usize| -> Result<Tensor> {
        let places: Vec<u32> = places.iter().map(|p| of(p) as u32).collect();
        Ok(values.index_select(&Tensor::new(places, x.device())?, dim)?)
    };
    let (low, high) = (at(|p| p.0)?, at(|p| p.1)?);
    let weights: Vec<f64> = places.iter().map(|p| p.2).collect();
    let mut shape = vec![1; x.rank()];
    shape[dim] = weights.len();
    let weights = Tensor::new(weights, x.device())?.to_dtype(x.dtype())?.reshape(shape)?;
    let weights = weights.broadcast_as(low.shape())?.contiguous()?;
    let span = (&high - &low)?;
    // beside an infinite neighbour there is no line
    let beside = ((&low * (1.0 - &weights)?)? + (high * &weights)?)?;
    let beside = weights.eq(0f64)?.where_cond(&low, &beside)?;
    let finite = (span.detach() * 0.0)?.eq(0f64)?;
    let found = finite.where_cond(&(low + (span * weights)?)?, &beside)?;
    or_nan(graph, x, dim, &found)
}
}

/// `found`, but the first NaN of every line of `x` along `dim` that has one.
fn or_nan(graph: Graph, x: &Tensor, dim: usize, found: &Tensor) -> Result<Tensor> {
    if x.dtype().is_int() {
        return Ok(found.clone());
    }
    let largest = graph
        .topk(x, 1, dim, true)?
        .0
        .broadcast_as(found.shape())?
        .contiguous()?;
    let value = largest.detach();
    Ok(value.ne(&value)?.where_cond(&largest, &found.contiguous()?)?)
}

/// The result of `size` along `dim` where there is nothing to make it of.
fn no_lines(x: &Tensor, dim: usize, size: usize) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    shape[dim] = size;
    Ok(Tensor::zeros(shape, x.dtype(), x.device())?)
}

/// The first `count` along `dim` in this order, and their places.
fn ranked(graph: Graph, x: &Tensor, dim: usize, count: usize, falling: bool) -> Result<(Tensor, Tensor)> {
    let around = around(x, dim)?;
    if on_gpu(x.device()) {
        // sorted here
        let (_, places) = ranked(graph, &x.detach().to_device(&Device::Cpu)?, dim, count, falling)?;
        let places = places.to_device(x.device())?;
        return Ok((x.contiguous()?.gather(&places, dim)?, places));
    }
    if x.elem_count() == 0 || count == 0 {
        let nothing = no_lines(x, dim, count)?;
        let places = nothing.to_dtype(DType::I64)?;
        return Ok((nothing, places));
    }
    let mut shape = x.dims().to_vec();
    shape[dim] = count;
    fn found<T: cpu::Ranked>(x: &Tensor, around: Around, count: usize, falling: bool) -> Result<(Vec<T>, Vec<i64>)> {
        let x = View::<T>::of(x)?;
        Ok(match count == around[1] {
            true => cpu::order(&x, around, falling),
            false => cpu::first(&x, around, count, falling),
        })
    }
    macro_rules! integers {
        ($type:ty) => {{
            let (values, places) = found::<$type>(&x.contiguous()?, around, count, falling)?;
            Ok((plain(values, shape.as_slice()), plain(places, shape)))
        }};
    }
    match x.dtype() {
        DType::U8 => integers!(u8),
        DType::U32 => integers!(u32),
        DType::I64 => integers!(i64),
        DType::F16 | DType::BF16 => {
            let (values, places) = ranked(graph, &x.to_dtype(DType::F32)?, dim, count, falling)?;
            Ok((values.to_dtype(x.dtype())?, places))
        }
        _ => {
            let x = x.contiguous()?;
            Ok(by_dtype!(x, "sort", T => {
                let (values, places) = found::<T>(&x, around, count, falling)?;
                let places = plain(places, shape.as_slice());
                let (of, dims) = (places.clone(), x.shape().clone());
                let values = graph.record_light("sort", &[&x], output(values, shape), move |gradient| {
                    let dx = cpu::back::<T>(&View::of(gradient)?, &View::of(&of)?, around, count);
                    Ok(vec![Some(plain(dx, &dims))])
                })?;
                Ok::<_, candle_core::Error>((values, places))
            })?)
        }
    }
}

fn around(x: &Tensor, dim: usize) -> Result<Around> {
    let around = super::kernel::around("sort", x, dim)?;
    ensure!(
        u32::try_from(around[1]).is_ok(),
        "sort: dimension {dim} of {:?} is too long, expected less than 2^32",
        x.dims()
    );
    Ok(around)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use std::cmp::Ordering;

    /// The places in order, by the definition.
    fn expected(line: &[f32], falling: bool) -> Vec<i64> {
        let rising = |a: f32, b: f32| a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
        let mut places: Vec<i64> = (0..line.len() as i64).collect();
        places.sort_by(|a, b| {
            let order: Ordering = rising(line[*a as usize], line[*b as usize]);
            if falling { order.reverse() } else { order }
        });
        places
    }

    #[test]
    fn places_follow_the_definition_for_ties_nan_and_long_lines() {
        let odd = [
            0.0,
            -0.0,
            1.5,
            -1.5,
            f32::NAN,
            -f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            1e-40,
            3.0,
        ];
        let random = &mut Random::new(4);
        for shape in [[3, 70, 5], [1, 33, 40], [7, 1, 2], [1, 150_000, 1]] {
            let n = shape.iter().product();
            let values: Vec<f32> = (0..n).map(|_| odd[random.below(odd.len())]).collect();
            let x = Tensor::from_slice(&values, &shape, &Device::Cpu).unwrap();
            let [outer, length, inner] = shape;
            for falling in [false, true] {
                let all: Vec<i64> = sort(&x, 1, falling)
                    .unwrap()
                    .1
                    .flatten_all()
                    .unwrap()
                    .to_vec1()
                    .unwrap();
                for k in [1, 5, 32, 33, length - 1, length].into_iter().filter(|k| *k <= length) {
                    let best: Vec<i64> = topk(&x, k, 1, falling)
                        .unwrap()
                        .1
                        .flatten_all()
                        .unwrap()
                        .to_vec1()
                        .unwrap();
                    for (o, c) in (0..outer).flat_map(|o| (0..inner).map(move |c| (o, c))) {
                        let line: Vec<f32> = (0..length).map(|i| values[(o * length + i) * inner + c]).collect();
                        let wanted = expected(&line, falling);
                        let found = |list: &[i64], size: usize| -> Vec<i64> {
                            (0..size).map(|i| list[(o * size + i) * inner + c]).collect()
                        };
                        assert_eq!(found(&all, length), wanted, "{shape:?} {falling}");
                        assert_eq!(found(&best, k), wanted[..k], "{shape:?} {falling} {k}");
                    }
                }
            }
        }
    }
}
