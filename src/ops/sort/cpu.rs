//! Elements as integers of the same order: their place in the line stands in the low digits, so that no two are equal, a sort need not
//! be stable, and the place comes with it.

use candle_core::WithDType;
use rayon::prelude::*;

use super::Around;
use crate::ops::kernel::cpu::{Shared, buffer, for_ranges, per_task};

/// Columns that are read together.
const STRIP: usize = 16;
/// Lines from this length on are shared out among the threads.
const LONG: usize = 1 << 16;
/// Elements that are compared with the worst of the best at once.
const BLOCK: usize = 32;
/// Elements of a block that are compared with it at once where not all come after it.
const PART: usize = 8;
/// Up to so many best are kept in order.
const FEW: usize = 16;

/// What can be put in order; NaN comes after all numbers, and -0 is 0.
pub(super) trait Ranked: WithDType {
    /// The element's rank, and its place below it.
    type Packed: Ord + Copy + Send + Sync;
    /// Above every packed element.
    const LAST: Self::Packed;
    /// The element at `place`; in falling order ranks count from the other end.
    fn pack(self, place: usize, falling: bool) -> Self::Packed;
    /// The place of an element.
    fn place(packed: Self::Packed) -> i64;
}

macro_rules! ranked {
    ($($type:ty as $rank:ty, $packed:ty: |$x:ident| $key:expr;)*) => {$(
        impl Ranked for $type {
            type Packed = $packed;
            const LAST: $packed = <$packed>::MAX;
            #[inline(always)]
            fn pack(self, place: usize, falling: bool) -> $packed {
                let $x = self;
                let key: $rank = $key;
                let key = if falling { !key } else { key };
                <$packed>::from(key) << 32 | place as $packed
            }
            #[inline(always)]
            fn place(packed: $packed) -> i64 {
                i64::from(packed as u32)
            }
        }
    )*};
}
ranked! {
    u8 as u8, u64: |x| x;
    u32 as u32, u64: |x| x;
    i64 as u64, u128: |x| x as u64 ^ 1 << 63;
    f32 as u32, u64: |x| {
        let bits = (x + 0.0).to_bits();
        let key = bits ^ ((bits as i32 >> 31) as u32 | 1 << 31);
        if x.is_nan() { u32::MAX } else { key }
    };
    f64 as u64, u128: |x| {
        let bits = (x + 0.0).to_bits();
        let key = bits ^ ((bits as i64 >> 63) as u64 | 1 << 63);
        if x.is_nan() { u64::MAX } else { key }
    };
}

/// The elements of every line in order, and their places.
pub(super) fn order<T: Ranked>(x: &[T], around: Around, falling: bool) -> (Vec<T>, Vec<i64>) {
    chosen(x, around, around[1], |column, packed| {
        packed.extend(column.iter().enumerate().map(|(i, x)| x.pack(i, falling)));
        sort(packed);
    })
}

/// The first `k` elements of every line in order, and their places; `k` is at most the length.
pub(super) fn first<T: Ranked>(x: &[T], around: Around, k: usize, falling: bool) -> (Vec<T>, Vec<i64>) {
    let best_of = if k <= FEW { few_of } else { many_of };
    chosen(x, around, k, |column, packed| {
        if column.len() < LONG {
            best_of(column, 0, k, falling, packed);
        } else {
            let parts = column.par_chunks(LONG).enumerate().map(|(i, part)| {
                let mut packed = Vec::new();
                best_of(part, i * LONG, k, falling, &mut packed);
                packed
            });
            packed.extend(parts.collect::<Vec<_>>().concat());
        }
        keep(packed, k);
        sort(packed);
    })
}

/// For every line the `count` elements that `choose` packs, given the line and an empty list, and their places.
fn chosen<T: Ranked>(
    x: &[T],
    [outer, length, inner]: Around,
    count: usize,
    choose: impl Fn(&[T], &mut Vec<T::Packed>) + Sync + Send,
) -> (Vec<T>, Vec<i64>) {
    let strips = inner.div_ceil(STRIP);
    let mut places = Vec::new();
    let values = buffer(outer * count * inner, |values| {
        let values = Shared::fresh(values);
        places = buffer(outer * count * inner, |places| {
            let places = Shared::fresh(places);
            for_ranges(outer * strips, per_task(length * inner.min(STRIP)), |range| {
                let (mut columns, mut packed) = (Vec::new(), Vec::new());
                for strip in range {
                    let (o, start) = (strip / strips, strip % strips * STRIP);
                    let width = STRIP.min(inner - start);
                    let lines = &x[o * length * inner..][..length * inner];
                    if inner > 1 {
                        columns.clear();
                        for c in start..start + width {
                            columns.extend(lines[c..].iter().step_by(inner));
                        }
                    }
                    let columns = if inner > 1 { &columns } else { lines };
                    for (c, column) in columns.chunks_exact(length).enumerate() {
                        packed.clear();
                        choose(column, &mut packed);
                        for (i, packed) in packed.iter().enumerate() {
                            let (at, place) = ((o * count + i) * inner + start + c, T::place(*packed));
                            // SAFETY: this task alone writes this line.
                            let (value, to) = unsafe { (values.new_part(at, 1), places.new_part(at, 1)) };
                            value[0].write(column[place as usize]);
                            to[0].write(place);
                        }
                    }
                }
            });
        });
    });
    (values, places)
}

/// The gradient of the lines from that of the elements `chosen` of them, `count` of each.
pub(super) fn back<T: WithDType + Default>(
    dy: &[T],
    places: &[i64],
    [outer, length, inner]: Around,
    count: usize,
) -> Vec<T> {
    let mut dx = vec![T::default(); outer * length * inner];
    let chosen = dy.par_chunks(count * inner).zip(places.par_chunks(count * inner));
    let lines = dx.par_chunks_mut(length * inner).with_min_len(per_task(length * inner));
    lines.zip(chosen).for_each(|(dx, (dy, places))| {
        for (i, (d, place)) in dy.iter().zip(places).enumerate() {
            dx[*place as usize * inner + i % inner] = *d;
        }
    });
    dx
}

/// The first `k` elements of a line in order, few: every element that comes before the last of them is put where it belongs. The line is
/// a part of a longer one and begins at the place `start`.
fn few_of<T: Ranked>(line: &[T], start: usize, k: usize, falling: bool, best: &mut Vec<T::Packed>) {
    let (head, rest) = line.split_at(k.min(line.len()));
    best.extend(head.iter().enumerate().map(|(i, x)| x.pack(start + i, falling)));
    best.sort_unstable();
    let Some(mut last) = best.last().copied() else { return };
    let mut bar = line[T::place(last) as usize - start];
    for (b, block) in rest.chunks(BLOCK).enumerate() {
        // whole blocks of elements that come after the last are passed over
        if all_after(block, bar, falling) {
            continue;
        }
        for (p, part) in block.chunks(PART).enumerate() {
            if all_after(part, bar, falling) {
                continue;
            }
            for (i, x) in part.iter().enumerate() {
                let packed = x.pack(start + head.len() + b * BLOCK + p * PART + i, falling);
                if packed < last {
                    let place = best.partition_point(|other| *other < packed);
                    best.pop();
                    best.insert(place, packed);
                    last = best[k - 1];
                    bar = line[T::place(last) as usize - start];
                }
            }
        }
    }
}

/// Elements of a line among which are its first `k`; the line is a part of a longer one and begins at the place `start`.
fn many_of<T: Ranked>(line: &[T], start: usize, k: usize, falling: bool, best: &mut Vec<T::Packed>) {
    let mut bar: Option<(T::Packed, T)> = None;
    for (i, block) in line.chunks(BLOCK).enumerate() {
        let from = start + i * BLOCK;
        // whole blocks of elements that come after the k-th best so far are passed over
        if let Some((_, bar)) = bar
            && all_after(block, bar, falling)
        {
            continue;
        }
        let limit = bar.map_or(T::LAST, |(packed, _)| packed);
        for (i, x) in block.iter().enumerate() {
            let packed = x.pack(from + i, falling);
            if packed < limit {
                best.push(packed);
            }
        }
        if best.len() >= k + k.max(8) {
            keep(best, k);
            bar = best
                .iter()
                .max()
                .map(|last| (*last, line[T::place(*last) as usize - start]));
        }
    }
}

/// Whether all elements come after `bar` or are equal to it. The direction is asked before the loops, so that these become vector code.
#[inline(always)]
fn all_after<T: Ranked>(block: &[T], bar: T, falling: bool) -> bool {
    match falling {
        true => block.iter().fold(true, |all, x| all & (*x <= bar)),
        false => block.iter().fold(true, |all, x| all & (*x >= bar)),
    }
}

/// Drop all but the first `k`, which then stand in no order.
fn keep<P: Ord>(list: &mut Vec<P>, k: usize) {
    if 0 < k && k < list.len() {
        list.select_nth_unstable(k - 1);
    }
    list.truncate(k);
}

fn sort<P: Ord + Send>(list: &mut [P]) {
    if list.len() < LONG {
        list.sort_unstable();
    } else {
        list.par_sort_unstable();
    }
}
