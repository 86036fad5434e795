//! Rows first, then columns; one map at a time, so that the backward pass needs no synchronisation.

use super::{Sizes, Tap};
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{by_maps, filled, wide};
use candle_core::WithDType;

wide! {
/// The resized maps.
pub(super) fn bilinear<T: Element>(s: Sizes, taps: &[Vec<Tap>; 2], x: &[T]) -> Vec<T> {
    let (width, [rows, columns]) = (s.from[1], taps);
    let shares: Vec<T> = columns.iter().map(|t| T::from_f64(t.share)).collect();
    by_maps(s.planes(), s.out_area(), s.out_area(), |plane, out| {
        let map = &x[plane * s.area()..][..s.area()];
        let mut blended = vec![T::zero(); width];
        for (row, to) in rows.iter().zip(out.chunks_exact_mut(columns.len())) {
            let share = T::from_f64(row.share);
            let (low, high) = (&map[row.low * width..][..width], &map[row.high * width..][..width]);
            for ((b, l), h) in blended.iter_mut().zip(low).zip(high) {
                *b = *l + share * (*h - *l);
            }
            for ((t, tap), share) in to.iter_mut().zip(columns).zip(&shares) {
                let (low, high) = (blended[tap.low], blended[tap.high]);
                t.write(low + *share * (high - low));
            }
        }
    })
}
}

wide! {
/// The transposed operation: every output sends its gradient to its four sources.
pub(super) fn bilinear_gradient<T: Element>(s: Sizes, taps: &[Vec<Tap>; 2], dy: &[T]) -> Vec<T> {
    let (width, [rows, columns]) = (s.from[1], taps);
    let shares: Vec<T> = columns.iter().map(|t| T::from_f64(t.share)).collect();
    by_maps(s.planes(), s.area(), s.out_area(), |plane, map| {
        let map = filled(map, T::zero());
        let mut gathered = vec![T::zero(); width];
        let lines = dy[plane * s.out_area()..][..s.out_area()].chunks_exact(columns.len());
        for (row, from) in rows.iter().zip(lines) {
            gathered.fill(T::zero());
            for ((d, tap), share) in from.iter().zip(columns).zip(&shares) {
                let high = *share * *d;
                gathered[tap.low] += *d - high;
                gathered[tap.high] += high;
            }
            let share = T::from_f64(row.share);
            for (t, v) in map[row.low * width..][..width].iter_mut().zip(&gathered) {
                *t += *v - share * *v;
            }
            for (t, v) in map[row.high * width..][..width].iter_mut().zip(&gathered) {
                *t += share * *v;
            }
        }
    })
}
}

/// Each output takes the value at its place.
pub(super) fn nearest<T: WithDType>(s: Sizes, [rows, columns]: &[Vec<usize>; 2], x: &[T]) -> Vec<T> {
    by_maps(s.planes(), s.out_area(), s.out_area(), |plane, out| {
        for (row, to) in rows.iter().zip(out.chunks_exact_mut(columns.len())) {
            let from = &x[plane * s.area() + row * s.from[1]..][..s.from[1]];
            for (t, place) in to.iter_mut().zip(columns) {
                t.write(from[*place]);
            }
        }
    })
}

/// Each output sends its gradient to its place.
pub(super) fn nearest_gradient<T: Element>(s: Sizes, [rows, columns]: &[Vec<usize>; 2], dy: &[T]) -> Vec<T> {
    by_maps(s.planes(), s.area(), s.out_area(), |plane, map| {
        let map = filled(map, T::zero());
        let lines = dy[plane * s.out_area()..][..s.out_area()].chunks_exact(columns.len());
        for (row, from) in rows.iter().zip(lines) {
            let to = &mut map[row * s.from[1]..][..s.from[1]];
            for (d, place) in from.iter().zip(columns) {
                to[*place] += *d;
            }
        }
    })
}
