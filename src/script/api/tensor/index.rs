//! `t[i]`, `t[-1]`, `t[a..b]`, `t[[i, a..b, ..]]`, `t[tensor of positions]`, `t[mask]`, to read and to write.

use std::ops::{Range, RangeInclusive};

use candle_core::{DType, Device};
use rhai::{Engine, NativeCallContext};

use super::Operand;
use super::arithmetic::broadcast_shape;
use super::operators::run;
use super::shape::select_slices;
use crate::ops::reduce::expand;
use crate::script::api::nth;
use crate::script::prelude::*;
use crate::script::values::describe;

/// Declare the indexers.
pub fn declare(table: &mut Table) {
    table.hook(register);
    table.operator(
        "Tensor",
        "[]",
        " Read parts: `t[i]`, `t[-1]`, `t[a..b]`, several dimensions as `t[[i, a..b]]`, positions from a tensor of integers.\n\n A mask (a comparison, or any tensor of `u8`) selects where it is not 0; it has the sizes of the first dimensions.\n ```\n let t = tensor::from([[1, 2], [3, 4], [5, 6]]);\n assert_eq(t[0], tensor::from([1, 2]));\n assert_eq(t[-1][0].item(), 5);\n assert_eq(t[1..3].shape, [2, 2]);\n assert_eq(t[[0..2, 1]], tensor::from([2, 4]));\n assert_eq(t[t > 2], tensor::from([3, 4, 5, 6]));\n ```\n",
    );
    table.operator(
        "Tensor",
        "[] =",
        " Write parts, named as for reading: a number, or a tensor that can be repeated to their shape.\n ```\n let t = tensor::from([[1, 2], [3, 4]]);\n t[t > 2] = 0;\n t[[0, 1]] = 7;\n assert_eq(t, tensor::from([[1, 7], [0, 0]]));\n ```\n",
    );
    table.methods::<Tensor>(entries! {
        /// The positions of the elements that are not 0, one row each, in the order of memory.
        /// ```
        /// assert_eq(tensor::from([[0, 3], [5, 0]]).nonzero(), tensor::from([[0, 1], [1, 0]]));
        /// ```
        fn nonzero(ctx, t: Tensor) -> Tensor { nonzero(&t) }
    });
}

/// Something that stands between the brackets.
trait Indexing: rhai::Variant + Clone {
    /// The part of `t` that is meant.
    fn of(&self, t: &Tensor) -> Result<Tensor>;
}

macro_rules! indices {
    ($($kind:ty: |$index:ident, $t:ident| $part:expr;)*) => {
        $(impl Indexing for $kind {
            fn of(&self, $t: &Tensor) -> Result<Tensor> {
                let $index = self;
                $part
            }
        })*

        fn register(engine: &mut Engine) {
            $(indexer::<$kind>(engine);)*
        }
    };
}

indices! {
    i64: |i, t| at(t, 0, *i);
    Range<i64>: |range, t| slice(t, 0, range.start, range.end);
    RangeInclusive<i64>: |range, t| slice(t, 0, *range.start(), range.end().saturating_add(1));
    Tensor: |index, t| chosen(t, 0, index);
    Array: |list, t| many(t, list);
}

fn indexer<I: Indexing>(engine: &mut Engine) {
    engine.register_indexer_get(|c: NativeCallContext, t: &mut Tensor, index: I| run(&c, "[]", |_| index.of(t)));
    engine.register_indexer_set(|c: NativeCallContext, t: &mut Tensor, index: I, value: Dynamic| {
        *t = run(&c, "[] =", |_| assigned(t, &index, &value))?;
        Ok::<(), Box<rhai::EvalAltResult>>(())
    });
}

/// One slice of a dimension, which disappears.
fn at(t: &Tensor, dim: usize, i: i64) -> Result<Tensor> {
    ensure!(dim < t.rank(), "{} has no dimension {dim} to index", t.brief());
    match nth(i, t.dims()[dim]) {
        Some(k) => Ok(t.narrow(dim, k, 1)?.squeeze(dim)?),
        None => fail!("index {i} is outside dimension {dim} of {}", t.brief()),
    }
}

/// From `start` to before `end`; negative ones count from the end, an end too far is the end.
fn slice(t: &Tensor, dim: usize, start: i64, end: i64) -> Result<Tensor> {
    ensure!(dim < t.rank(), "{} has no dimension {dim} to index", t.brief());
    let size = t.dims()[dim] as i64;
    let place = |i: i64| {
        if i < 0 {
            i.saturating_add(size).max(0)
        } else {
            i.min(size)
        }
    };
    let (a, b) = (place(start), place(end));
    Ok(t.narrow(dim, a as usize, (b - a).max(0) as usize)?)
}

/// What a tensor selects: by a mask, whose dimensions become one, or by positions, whose shape takes the place of the dimension.
fn chosen(t: &Tensor, dim: usize, index: &Tensor) -> Result<Tensor> {
    if index.dtype() == DType::U8 {
        return masked(t, dim, index);
    }
    ensure!(dim < t.rank(), "{} has no dimension {dim} to index", t.brief());
    let part = select_slices(t, dim, &index.flatten_all()?)?;
    let shape = [&t.dims()[..dim], index.dims(), &t.dims()[dim + 1..]].concat();
    Ok(part.reshape(shape)?)
}

/// Where a mask over the dimensions from `dim` on is not 0; these become one.
fn masked(t: &Tensor, dim: usize, mask: &Tensor) -> Result<Tensor> {
    let end = dim + mask.rank();
    ensure!(
        end > dim && end <= t.rank() && mask.dims() == &t.dims()[dim..end],
        "the mask has the shape {:?}, the tensor {:?}; a mask (u8) has the sizes of the dimensions it selects from; positions are \
         i64 or u32",
        mask.dims(),
        t.dims()
    );
    let marks = mask.flatten_all()?.to_vec1::<u8>()?;
    let places: Vec<u32> = marks
        .iter()
        .zip(0..)
        .filter_map(|(m, i)| (*m != 0).then_some(i))
        .collect();
    let mut shape = t.dims().to_vec();
    shape.splice(dim..end, [places.len()]);
    if shape.contains(&0) {
        return Ok(Tensor::zeros(shape, t.dtype(), t.device())?);
    }
    let places = Tensor::new(places, t.device())?;
    Ok(t.contiguous()?.flatten(dim, end - 1)?.index_select(&places, dim)?)
}

/// One index for each of the first dimensions, a mask for as many as it has; bools alone are a mask of the first dimension.
fn many(t: &Tensor, list: &Array) -> Result<Tensor> {
    let bools: Option<Vec<u8>> = list.iter().map(|b| b.as_bool().ok().map(u8::from)).collect();
    if let Some(marks) = bools.filter(|marks| !marks.is_empty()) {
        return masked(t, 0, &Tensor::new(marks, &Device::Cpu)?);
    }
    ensure!(list.len() <= t.rank(), "{} indices for {}", list.len(), t.brief());
    let mut out = t.clone();
    let mut dim = 0;
    for index in list {
        if let Ok(i) = index.as_int() {
            out = at(&out, dim, i)?;
            continue;
        }
        let mut done = 1;
        if let Some(r) = index.read_lock::<Range<i64>>() {
            out = slice(&out, dim, r.start, r.end)?;
        } else if let Some(r) = index.read_lock::<RangeInclusive<i64>>() {
            out = slice(&out, dim, *r.start(), r.end().saturating_add(1))?;
        } else if let Some(index) = Tensor::convert(index) {
            out = chosen(&out, dim, &index)?;
            if index.dtype() != DType::U8 {
                done = index.rank();
            }
        } else {
            fail!(
                "an index is an integer, a range, a mask or a tensor of integers, found {}",
                describe(index)
            );
        }
        dim += done;
    }
    Ok(out)
}

/// `t` with `value` at the place.
fn assigned(t: &Tensor, index: &impl Indexing, value: &Dynamic) -> Result<Tensor> {
    let n = t.elem_count();
    let numbers = Tensor::arange(0, n as i64, &Device::Cpu)?.reshape(t.shape())?;
    let places = index.of(&numbers)?;
    let value = match Operand::convert(value) {
        Some(value) => value.tensor(t.device())?,
        None => fail!("the value must be {}, found {}", Operand::wanted(), describe(value)),
    };
    let fits = broadcast_shape("[] =", ("the place", places.dims()), ("the value", value.dims()))?;
    ensure!(
        fits == places.dims(),
        "the place has the shape {:?}, the value {:?}",
        places.dims(),
        value.dims()
    );
    if places.elem_count() == 0 {
        return Ok(t.clone());
    }
    let exact =
        t.dtype().is_float() || value.dtype().is_int() || value.eq(&value.floor()?)?.min_all()?.to_scalar::<u8>()? == 1;
    ensure!(
        exact,
        "{} holds integers, the value has fractions; write t.to_dtype(\"f32\") first",
        t.brief()
    );
    let (mut marks, mut sources) = (vec![0u8; n], vec![0u32; n]);
    // of a place that is named twice the last value stays
    for (place, source) in places.flatten_all()?.to_vec1::<i64>()?.into_iter().zip(0..) {
        (marks[place as usize], sources[place as usize]) = (1, source);
    }
    let mask = Tensor::from_vec(marks, t.shape(), t.device())?;
    let sources = Tensor::new(sources, t.device())?;
    let values = expand(&value.to_dtype(t.dtype())?, places.dims())?.contiguous()?;
    let values = values.flatten_all()?.index_select(&sources, 0)?.reshape(t.shape())?;
    Ok(mask.where_cond(&values, &t.contiguous()?)?)
}

fn nonzero(t: &Tensor) -> Result<Tensor> {
    let marks = t.detach().ne(0f64)?.flatten_all()?.to_vec1::<u8>()?;
    let found: Vec<usize> = (0..marks.len()).filter(|i| marks[*i] != 0).collect();
    let mut positions: Vec<i64> = Vec::with_capacity(found.len() * t.rank());
    for &flat in &found {
        let mut step = t.elem_count();
        for &size in t.dims() {
            step /= size;
            positions.push((flat / step % size) as i64);
        }
    }
    Ok(Tensor::from_vec(positions, (found.len(), t.rank()), t.device())?)
}
