//! The same elements in other places, with others around them, or added to others.

use candle_core::{DType, Tensor};

use super::halves::in_single;
use super::numbers::integers;
use crate::error::Result;
use crate::{ensure, fail};

/// The order along each of `dims` turned around.
///
/// # Errors
/// A dimension that does not exist or is named twice, as for all functions here.
pub fn flip(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    check("flip", x, dims)?;
    dims.iter()
        .try_fold(x.clone(), |x, &dim| at(&x, dim, (0..x.dims()[dim]).rev()))
}

/// The elements moved by `shift` along `dim`; what leaves at one end comes in at the other.
///
/// # Errors
/// A dimension that does not exist.
pub fn roll(x: &Tensor, shift: i64, dim: usize) -> Result<Tensor> {
    check("roll", x, &[dim])?;
    let size = x.dims()[dim];
    let Some(shift) = shift.checked_rem_euclid(size as i64) else {
        return Ok(x.clone()); // of nothing
    };
    let first = size - shift as usize;
    at(x, dim, (first..size).chain(0..first))
}

/// What stands around a padded tensor.
#[derive(Clone, Copy, Debug)]
pub enum Border<'a> {
    /// This number, a tensor without dimensions.
    Constant(&'a Tensor),
    /// The tensor mirrored at its first and last elements, which are not repeated.
    Reflect,
    /// The nearest element.
    Replicate,
    /// The other end of the tensor (of what is left of it, where elements are taken away).
    Circular,
}

impl Border<'_> {
    /// How many elements can be added on a side of `size` others.
    fn limit(self, size: i64) -> i64 {
        match self {
            Border::Reflect => (size - 1).max(0),
            Border::Circular => size,
            Border::Replicate if size == 0 => 0,
            Border::Constant(_) | Border::Replicate => i64::MAX,
        }
    }
}

/// `x` with so many more elements before and after it along `dim`, fewer where the numbers are negative.
///
/// # Errors
/// More elements taken away than there are, mirrored than there are without the last one, or taken from the other end than there are.
pub fn pad(x: &Tensor, dim: usize, sides: [i64; 2], border: Border) -> Result<Tensor> {
    check("pad", x, &[dim])?;
    let size = x.dims()[dim] as i64;
    let [before, after] = sides;
    let [cut_before, cut_after] = sides.map(|side| side.min(0));
    ensure!(
        before >= -size && after >= -size && before.saturating_add(after) >= -size,
        "pad: {sides:?} takes more than the {size} elements that dimension {dim} of {:?} has",
        x.dims()
    );
    let left = size + cut_before + cut_after;
    let limit = border.limit(if matches!(border, Border::Circular) { left } else { size });
    ensure!(
        before.max(after) <= limit,
        "pad: {sides:?} for dimension {dim} of {:?}; in this mode at most {limit} can be added on a side",
        x.dims()
    );
    let place = |i: i64| match border {
        Border::Reflect => size - 1 - (size - 1 - i.abs()).abs(),
        Border::Circular => (i + cut_before).rem_euclid(left) - cut_before,
        _ => i.clamp(0, size - 1),
    };
    let Border::Constant(value) = border else {
        return at(x, dim, (-before..size + after).map(|i| place(i) as usize));
    };
    let around = |count: i64| -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        shape[dim] = count.max(0) as usize;
        Ok(value.to_dtype(x.dtype())?.broadcast_as(shape)?.contiguous()?)
    };
    let inside = x.narrow(dim, -cut_before as usize, left.max(0) as usize)?;
    let parts = [around(before)?, inside, around(after)?];
    let some: Vec<&Tensor> = parts.iter().filter(|part| part.dims()[dim] > 0).collect();
    match some.as_slice() {
        [] => Ok(parts[1].clone()),
        some => Ok(Tensor::cat(some, dim)?),
    }
}

/// `x` with every element of `src` that has a place in `index` added at that place of `dim`; `index` (i64) is at most as large as
/// `src`, and apart from `dim` as `x`. The sums of integers wrap around.
///
/// # Errors
/// Shapes that do not fit, a place outside.
pub fn scatter_add(x: &Tensor, dim: usize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
    check("scatter_add", x, &[dim])?;
    let ranks = index.rank() == x.rank() && src.rank() == x.rank();
    let fits = |d: usize| index.dims()[d] <= src.dims()[d] && (d == dim || index.dims()[d] <= x.dims()[d]);
    ensure!(
        ranks && (0..x.rank()).all(fits),
        "scatter_add: `index` has the shape {:?}, `src` {:?}, the tensor {:?}; the index must not be larger than `src`, nor than the \
         tensor in another dimension than {dim}",
        index.dims(),
        src.dims(),
        x.dims()
    );
    let places = flat_places(x, dim, index)?;
    if places.is_empty() {
        return Ok(x.clone());
    }
    let dtype = x.dtype();
    let wide = if dtype.is_int() {
        x.to_dtype(DType::I64)?
    } else {
        x.clone()
    };
    let sums = in_single(&wide, |x| {
        let part = (0..x.rank()).try_fold(src.to_dtype(x.dtype())?, |part, d| part.narrow(d, 0, index.dims()[d]))?;
        let places = Tensor::new(places, x.device())?;
        let sums = x.flatten_all()?.contiguous()?;
        Ok(sums
            .index_add(&places, &part.contiguous()?.flatten_all()?, 0)?
            .reshape(x.shape())?)
    })?;
    Ok(sums.to_dtype(dtype)?)
}

/// Where in the memory of `x` the places along `dim` are.
fn flat_places(x: &Tensor, dim: usize, index: &Tensor) -> Result<Vec<i64>> {
    let values = integers(index)?;
    let mut flat = Vec::with_capacity(values.len());
    for (at, &value) in values.iter().enumerate() {
        ensure!(
            (0..x.dims()[dim] as i64).contains(&value),
            "scatter_add: `index` holds {value}, dimension {dim} of {:?} has {}",
            x.dims(),
            x.dims()[dim]
        );
        let (mut rest, mut place, mut step) = (at, 0, 1);
        for d in (0..x.rank()).rev() {
            let own = rest % index.dims()[d];
            rest /= index.dims()[d];
            place += step * if d == dim { value as usize } else { own };
            step *= x.dims()[d];
        }
        flat.push(place as i64);
    }
    Ok(flat)
}

/// The slices of `dim` at these places.
fn at(x: &Tensor, dim: usize, places: impl Iterator<Item = usize>) -> Result<Tensor> {
    let places: Vec<u32> = places.map(|i| i as u32).collect();
    if x.elem_count() == 0 || places.is_empty() {
        let mut shape = x.dims().to_vec();
        shape[dim] = places.len();
        return Ok(Tensor::zeros(shape, x.dtype(), x.device())?);
    }
    let places = Tensor::new(places, x.device())?;
    Ok(x.contiguous()?.index_select(&places, dim)?)
}

fn check(function: &str, x: &Tensor, dims: &[usize]) -> Result<()> {
    for (i, dim) in dims.iter().enumerate() {
        if *dim >= x.rank() {
            fail!("{function}: dimension {dim} of {:?} does not exist", x.dims());
        }
        ensure!(!dims[..i].contains(dim), "{function}: dimension {dim} is named twice");
    }
    Ok(())
}
