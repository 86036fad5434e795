//! Rows first, then columns; one map at a time, so that the backward pass needs no synchronisation.

use super::Tap;
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Shared, buffer, filled, for_ranges, per_task, wide};
use candle_core::WithDType;

wide! {
/// The resized maps.
pub(super) fn bilinear<T: Element>(count: usize, size: [usize; 2], rows: &[Tap], columns: &[Tap], x: &[T]) -> Vec<T> {
    let [h, w] = size;
    let (area, out_area) = (h * w, rows.len() * columns.len());
    let shares: Vec<T> = columns.iter().map(|t| T::from_f64(t.share)).collect();
    buffer(count * out_area, |out| {
        let out = Shared::fresh(out);
        for_ranges(count, per_task(out_area), |planes| {
            let mut blended = vec![T::zero(); w];
            {
                for plane in planes {
                    let map = &x[plane * area..][..area];
                    // SAFETY: this task alone writes this map.
                    let out = unsafe { out.new_part(plane * out_area, out_area) };
                    for (row, to) in rows.iter().zip(out.chunks_exact_mut(columns.len())) {
                        let share = T::from_f64(row.share);
                        let (low, high) = (&map[row.low * w..][..w], &map[row.high * w..][..w]);
                        for ((b, l), h) in blended.iter_mut().zip(low).zip(high) {
                            *b = *l + share * (*h - *l);
                        }
                        for ((t, tap), share) in to.iter_mut().zip(columns).zip(&shares) {
                            let (low, high) = (blended[tap.low], blended[tap.high]);
                            t.write(low + *share * (high - low));
                        }
                    }
                }
            }
        });
    })
}
}

wide! {
/// The transposed operation: every output sends its gradient to its four sources.
pub(super) fn bilinear_gradient<T: Element>(
    count: usize,
    size: [usize; 2],
    rows: &[Tap],
    columns: &[Tap],
    dy: &[T],
) -> Vec<T> {
    let [h, w] = size;
    let (area, out_area) = (h * w, rows.len() * columns.len());
    let shares: Vec<T> = columns.iter().map(|t| T::from_f64(t.share)).collect();
    buffer(count * area, |dx| {
        let dx = Shared::fresh(dx);
        for_ranges(count, per_task(out_area), |planes| {
            let mut gathered = vec![T::zero(); w];
            {
                for plane in planes {
                    // SAFETY: this task alone writes this map.
                    let map = filled(unsafe { dx.new_part(plane * area, area) }, T::zero());
                    for (row, from) in rows
                        .iter()
                        .zip(dy[plane * out_area..][..out_area].chunks_exact(columns.len()))
                    {
                        gathered.fill(T::zero());
                        for ((d, tap), share) in from.iter().zip(columns).zip(&shares) {
                            let high = *share * *d;
                            gathered[tap.low] += *d - high;
                            gathered[tap.high] += high;
                        }
                        let share = T::from_f64(row.share);
                        for (t, v) in map[row.low * w..][..w].iter_mut().zip(&gathered) {
                            *t += *v - share * *v;
                        }
                        for (t, v) in map[row.high * w..][..w].iter_mut().zip(&gathered) {
                            *t += share * *v;
                        }
                    }
                }
            }
        });
    })
}
}

/// Each output takes the value at its place.
pub(super) fn nearest<T: WithDType>(
    count: usize,
    size: [usize; 2],
    rows: &[usize],
    columns: &[usize],
    x: &[T],
) -> Vec<T> {
    let [h, w] = size;
    let (area, out_area) = (h * w, rows.len() * columns.len());
    buffer(count * out_area, |out| {
        let out = Shared::fresh(out);
        for_ranges(count, per_task(out_area), |planes| {
            for plane in planes {
                // SAFETY: this task alone writes this map.
                let out = unsafe { out.new_part(plane * out_area, out_area) };
                for (row, to) in rows.iter().zip(out.chunks_exact_mut(columns.len())) {
                    let from = &x[plane * area + row * w..][..w];
                    for (t, place) in to.iter_mut().zip(columns) {
                        t.write(from[*place]);
                    }
                }
            }
        });
    })
}

/// Each output sends its gradient to its place.
pub(super) fn nearest_gradient<T: Element>(
    count: usize,
    size: [usize; 2],
    rows: &[usize],
    columns: &[usize],
    dy: &[T],
) -> Vec<T> {
    let [h, w] = size;
    let (area, out_area) = (h * w, rows.len() * columns.len());
    buffer(count * area, |dx| {
        let dx = Shared::fresh(dx);
        for_ranges(count, per_task(out_area), |planes| {
            for plane in planes {
                // SAFETY: this task alone writes this map.
                let map = filled(unsafe { dx.new_part(plane * area, area) }, T::zero());
                for (row, from) in rows
                    .iter()
                    .zip(dy[plane * out_area..][..out_area].chunks_exact(columns.len()))
                {
                    let to = &mut map[row * w..][..w];
                    for (d, place) in from.iter().zip(columns) {
                        to[*place] += *d;
                    }
                }
            }
        });
    })
}
