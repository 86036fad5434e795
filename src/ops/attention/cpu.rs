//! Attention by blocks of queries, whose scores stay in the cache and are computed again for the backward pass: Dao et al.,
//! "FlashAttention", 2022, with all keys of a block at once.

use super::Sizes;
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Shared, buffer, for_ranges, wide};
use crate::ops::product::Matrix;

/// Scores of a block, about: half of a second-level cache of 1 MiB.
const SCORES: usize = 128 * 1024;
/// Numbers that are added, or compared, side by side.
const LANES: usize = 16;

/// What belongs to one head of one image: queries, keys and values as `[channels, positions]`.
#[derive(Clone, Copy)]
struct Head<'a, T> {
    sizes: Sizes,
    query: &'a [T],
    key: &'a [T],
    value: &'a [T],
    scale: f64,
}

impl<'a, T: Element> Head<'a, T> {
    fn new(sizes: Sizes, number: usize, [query, key, value]: [&'a [T]; 3], scale: f64) -> Self {
        let part =
            |map: &'a [T], positions: usize| &map[number * sizes.channels * positions..][..sizes.channels * positions];
        Head {
            sizes,
            query: part(query, sizes.queries),
            key: part(key, sizes.keys),
            value: part(value, sizes.keys),
            scale,
        }
    }

    /// Columns `from..from + count` of a map with a column for each query.
    fn some<'b>(&self, map: &'b [T], from: usize, count: usize) -> Matrix<'b, T> {
        Matrix::new(&map[from..], self.sizes.channels, count, self.sizes.queries)
    }

    fn keys<'b>(&self, map: &'b [T]) -> Matrix<'b, T> {
        Matrix::new(map, self.sizes.channels, self.sizes.keys, self.sizes.keys)
    }

    /// A row of scores with the keys for each of the queries from `from` on.
    fn scores(&self, from: usize, count: usize) -> Vec<T> {
        let queries = self.some(self.query, from, count).transposed();
        let scores = queries.times(self.keys(self.key)).scaled(T::from_f64(self.scale));
        scores.values()
    }
}

/// Queries of a block: as many in each, but for the last.
fn block(s: Sizes) -> usize {
    let most = (SCORES / s.keys.max(1)).max(LANES).min(s.queries.max(1));
    s.queries.div_ceil(s.queries.div_ceil(most).max(1)).max(1)
}

/// The attended values, and the logarithm of the sum of each query's `exp(score)`.
pub(super) fn forward<T: Element>(s: Sizes, maps: [&[T]; 3], scale: f64) -> (Vec<T>, Vec<T>) {
    let block = block(s);
    let blocks = s.queries.div_ceil(block);
    let mut sums = vec![T::zero(); s.heads * s.queries];
    let sums_of = Shared::new(&mut sums);
    let result = buffer(maps[0].len(), |out| {
        let out = Shared::fresh(out);
        for_ranges(s.heads * blocks, 1, |range| {
            for task in range {
                let (number, from) = (task / blocks, task % blocks * block);
                let count = block.min(s.queries - from);
                let head = Head::new(s, number, maps, scale);
                let mut scores = head.scores(from, count);
                // SAFETY: this task alone handles these queries.
                softmax(&mut scores, s.keys, unsafe {
                    sums_of.part(number * s.queries + from, count)
                });
                let weights = Matrix::new(&scores, count, s.keys, s.keys).transposed();
                let to = out.from(number * s.channels * s.queries + from);
                let attended = head.keys(head.value).times(weights);
                // SAFETY: as above.
                unsafe { attended.store_shared(to, s.queries, false) };
            }
        });
    });
    (result, sums)
}

/// The gradients of queries, keys and values from that of the result.
pub(super) fn backward<T: Element>(s: Sizes, maps: [&[T]; 3], sums: &[T], dy: &[T], scale: f64) -> [Vec<T>; 3] {
    let block = block(s);
    let blocks = s.queries.div_ceil(block);
    // Where there are more threads than heads, several share a head; the gradients of its keys and values are then added.
    let shares = rayon::current_num_threads().div_ceil(s.heads.max(1)).min(blocks).max(1);
    let size = s.heads * s.channels * s.keys;
    let (mut dkey, mut dvalue) = (vec![T::zero(); shares * size], vec![T::zero(); shares * size]);
    let (dkeys, dvalues) = (Shared::new(&mut dkey), Shared::new(&mut dvalue));
    let dquery = buffer(maps[0].len(), |out| {
        let out = Shared::fresh(out);
        for_ranges(s.heads * shares, 1, |range| {
            for task in range {
                let (number, share) = (task / shares, task % shares);
                let head = Head::new(s, number, maps, scale);
                let at = share * size + number * s.channels * s.keys;
                // SAFETY: this task alone handles this share of this head.
                let (dkey, dvalue) = unsafe {
                    (
                        dkeys.part(at, s.channels * s.keys),
                        dvalues.part(at, s.channels * s.keys),
                    )
                };
                let start = number * s.channels * s.queries;
                let dy = &dy[start..][..s.channels * s.queries];
                for from in (share * blocks / shares..(share + 1) * blocks / shares).map(|i| i * block) {
                    let count = block.min(s.queries - from);
                    let mut weights = head.scores(from, count);
                    weigh(&mut weights, s.keys, &sums[number * s.queries + from..][..count]);
                    let dy = head.some(dy, from, count);
                    let p = Matrix::new(&weights, count, s.keys, s.keys);
                    dy.times(p).store(dvalue, s.keys, true);
                    let mut gradient = dy.transposed().times(head.keys(head.value)).values();
                    score_gradient(&weights, &mut gradient, s.keys, scale);
                    let ds = Matrix::new(&gradient, count, s.keys, s.keys);
                    head.some(head.query, from, count).times(ds).store(dkey, s.keys, true);
                    let queries = head.keys(head.key).times(ds.transposed());
                    // SAFETY: this task alone handles these queries.
                    unsafe { queries.store_shared(out.from(start + from), s.queries, false) };
                }
            }
        });
    });
    [dquery, folded(dkey, size), folded(dvalue, size)]
}

/// The sum of parts of `size` numbers each.
fn folded<T: Element>(mut parts: Vec<T>, size: usize) -> Vec<T> {
    let (total, others) = parts.split_at_mut(size);
    for part in others.chunks(size.max(1)) {
        total.iter_mut().zip(part).for_each(|(t, v)| *t += *v);
    }
    parts.truncate(size);
    parts
}

/// `fold` over a row, several lanes side by side.
#[inline(always)]
fn lanes<T: Element>(row: &[T], start: T, fold: impl Fn(T, T) -> T) -> T {
    let mut sums = [start; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (s, v) in sums.iter_mut().zip(chunk) {
            *s = fold(*s, *v);
        }
    }
    let whole = sums.into_iter().fold(start, &fold);
    rest.iter().fold(whole, |s, v| fold(s, *v))
}

wide! {
/// The softmax of each row in its place, and the logarithm of the sum of its `exp`.
fn softmax<T: Element>(scores: &mut [T], columns: usize, sums: &mut [T]) {
    for (row, total) in scores.chunks_mut(columns).zip(sums) {
        let most = lanes(row, row[0], |m, v| m.larger(v));
        row.iter_mut().for_each(|v| *v = (*v - most).exp());
        let sum = lanes(row, T::zero(), |s, v| s + v);
        let factor = T::one() / sum;
        row.iter_mut().for_each(|v| *v *= factor);
        *total = most + sum.ln();
    }
}
}

wide! {
/// The softmax of each row in its place, from what [`softmax`] found before.
fn weigh<T: Element>(scores: &mut [T], columns: usize, sums: &[T]) {
    for (row, total) in scores.chunks_mut(columns).zip(sums) {
        row.iter_mut().for_each(|v| *v = (*v - *total).exp());
    }
}
}

wide! {
/// The gradient of the scores from that of the softmax `p`, in its place: `scale p (dp - sum p dp)`, row by row.
fn score_gradient<T: Element>(p: &[T], dp: &mut [T], columns: usize, scale: f64) {
    let scale = T::from_f64(scale);
    for (p, dp) in p.chunks(columns).zip(dp.chunks_mut(columns)) {
        let mut sums = [T::zero(); LANES];
        let (ps, ds) = (p.chunks_exact(LANES), dp.chunks_exact(LANES));
        let mut mean: T = ps.remainder().iter().zip(ds.remainder()).map(|(p, d)| *p * *d).sum();
        for (p, d) in ps.zip(ds) {
            for ((s, p), d) in sums.iter_mut().zip(p).zip(d) {
                *s += *p * *d;
            }
        }
        mean += sums.into_iter().sum();
        dp.iter_mut().zip(p).for_each(|(d, p)| *d = scale * *p * (*d - mean));
    }
}
}
