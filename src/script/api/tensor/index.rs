//! `t[i]`, `t[-1]`, `t[a..b]`, `t[[i, a..b, ..]]`, `t[tensor of positions]`; reading only.

use std::ops::{Range, RangeInclusive};

use rhai::{Engine, NativeCallContext};

use super::operators::run;
use super::shape::select_slices;
use crate::script::prelude::*;
use crate::script::values::describe;

/// Declare the indexers.
pub fn declare(table: &mut Table) {
    table.hook(register);
    table.operator(
        "Tensor",
        "[]",
        " Read parts: `t[i]`, `t[-1]`, `t[a..b]`, several dimensions as `t[[i, a..b]]`, or positions from a tensor of integers.\n ```\n let t = tensor::from([[1, 2], [3, 4], [5, 6]]);\n assert_eq(t[0], tensor::from([1, 2]));\n assert_eq(t[-1][0].item(), 5);\n assert_eq(t[1..3].shape, [2, 2]);\n assert_eq(t[[0..2, 1]], tensor::from([2, 4]));\n ```\n",
    );
}

fn register(engine: &mut Engine) {
    engine.register_indexer_get(|c: NativeCallContext, t: &mut Tensor, i: i64| run(&c, "[]", || at(t, 0, i)));
    engine.register_indexer_get(|c: NativeCallContext, t: &mut Tensor, r: Range<i64>| {
        run(&c, "[]", || slice(t, 0, r.start, r.end))
    });
    engine.register_indexer_get(|c: NativeCallContext, t: &mut Tensor, r: RangeInclusive<i64>| {
        run(&c, "[]", || slice(t, 0, *r.start(), r.end().saturating_add(1)))
    });
    engine.register_indexer_get(|c: NativeCallContext, t: &mut Tensor, index: Tensor| {
        run(&c, "[]", || {
            ensure!(t.rank() > 0, "{} has no dimension to index", t.brief());
            select_slices(t, 0, &index)
        })
    });
    engine.register_indexer_get(|c: NativeCallContext, t: &mut Tensor, list: Array| run(&c, "[]", || many(t, &list)));
}

/// One slice of a dimension, which disappears.
fn at(t: &Tensor, dim: usize, i: i64) -> Result<Tensor> {
    ensure!(dim < t.rank(), "{} has no dimension {dim} to index", t.brief());
    let size = t.dims()[dim];
    let k = if i < 0 { i.saturating_add(size as i64) } else { i };
    ensure!(
        k >= 0 && (k as usize) < size,
        "index {i} is outside dimension {dim} of {}",
        t.brief()
    );
    Ok(t.narrow(dim, k as usize, 1)?.squeeze(dim)?)
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

/// One index for each of the first dimensions.
fn many(t: &Tensor, list: &Array) -> Result<Tensor> {
    ensure!(list.len() <= t.rank(), "{} indices for {}", list.len(), t.brief());
    let mut out = t.clone();
    let mut dim = 0;
    for index in list {
        if let Ok(i) = index.as_int() {
            out = at(&out, dim, i)?;
            continue;
        }
        if let Some(r) = index.read_lock::<Range<i64>>() {
            out = slice(&out, dim, r.start, r.end)?;
        } else if let Some(r) = index.read_lock::<RangeInclusive<i64>>() {
            out = slice(&out, dim, *r.start(), r.end().saturating_add(1))?;
        } else if let Some(positions) = Tensor::convert(index) {
            out = select_slices(&out, dim, &positions)?;
        } else {
            fail!(
                "an index is an integer, a range or a tensor of integers, found {}",
                describe(index)
            );
        }
        dim += 1;
    }
    Ok(out)
}
