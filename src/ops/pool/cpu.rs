//! Windows over maps, one map at a time.

use std::mem::MaybeUninit;

use super::Window;
use crate::ops::kernel::cpu::{Shared, buffer, by_maps, filled, for_ranges, per_task, wide};
use crate::ops::kernel::{Element, is_nan};

wide! {
/// The maxima and where in its map each came from.
pub(super) fn max_forward<T: Element>(g: Window, x: &[T]) -> (Vec<T>, Vec<u32>) {
    let (area, out_area) = (g.size[0] * g.size[1], g.out_size[0] * g.out_size[1]);
    let mut places = Vec::new();
    let result = buffer(g.planes() * out_area, |out| {
        let out = Shared::fresh(out);
        places = buffer(g.planes() * out_area, |places| {
            let places = Shared::fresh(places);
            for_ranges(g.planes(), per_task(area), |planes| {
                let (mut column, mut at) = (vec![T::zero(); g.size[1]], vec![0; g.size[1]]);
                for plane in planes {
                    let map = &x[plane * area..][..area];
                    // SAFETY: this task alone writes this map.
                    let (out, places) = unsafe {
                        (
                            out.new_part(plane * out_area, out_area),
                            places.new_part(plane * out_area, out_area),
                        )
                    };
                    max_of_map(g, map, out, places, &mut column, &mut at);
                }
            });
        });
    });
    (result, places)
}
}

/// First down each column, in vector code over the whole row, then across: the first of equal values in reading order wins, and the
/// last NaN.
#[inline(always)]
fn max_of_map<T: Element>(
    g: Window,
    map: &[T],
    out: &mut [MaybeUninit<T>],
    places: &mut [MaybeUninit<u32>],
    column: &mut [T],
    at: &mut [u32],
) {
    let (width, out_width) = (g.size[1], g.out_size[1]);
    for (y, (out, places)) in out
        .chunks_exact_mut(out_width)
        .zip(places.chunks_exact_mut(out_width))
        .enumerate()
    {
        let (top, bottom) = g.span(0, y);
        column.copy_from_slice(&map[top * width..][..width]);
        for (x, at) in at.iter_mut().enumerate() {
            *at = (top * width + x) as u32;
        }
        for row in top + 1..bottom {
            let first = (row * width) as u32;
            let line = &map[row * width..][..width];
            for (x, ((best, at), v)) in column.iter_mut().zip(at.iter_mut()).zip(line).enumerate() {
                let taken = *v > *best || is_nan(*v);
                *best = if taken { *v } else { *best };
                *at = if taken { first + x as u32 } else { *at };
            }
        }
        for (x, (out, place)) in out.iter_mut().zip(places).enumerate() {
            let (left, right) = g.span(1, x);
            let (mut best, mut from) = (column[left], at[left]);
            for (v, at) in column[left + 1..right].iter().zip(&at[left + 1..right]) {
                let taken = if is_nan(*v) {
                    !is_nan(best) || *at > from
                } else {
                    *v > best || *v == best && *at < from
                };
                best = if taken { *v } else { best };
                from = if taken { *at } else { from };
            }
            out.write(best);
            place.write(from);
        }
    }
}

/// Each gradient goes to the place of its maximum.
pub(super) fn max_backward<T: Element>(g: Window, places: &[u32], dy: &[T]) -> Vec<T> {
    let (area, out_area) = (g.size[0] * g.size[1], g.out_size[0] * g.out_size[1]);
    by_maps(g.planes(), area, area, |plane, map| {
        let map = filled(map, T::zero());
        let part = plane * out_area..(plane + 1) * out_area;
        for (place, d) in places[part.clone()].iter().zip(&dy[part]) {
            map[*place as usize] += *d;
        }
    })
}

/// The means.
pub(super) fn mean_forward<T: Element>(g: Window, x: &[T]) -> Vec<T> {
    let (area, out_area) = (g.size[0] * g.size[1], g.out_size[0] * g.out_size[1]);
    let share = T::from_f64(1.0 / (g.kernel[0] * g.kernel[1]) as f64);
    by_maps(g.planes(), out_area, area, |plane, out| {
        let map = &x[plane * area..][..area];
        for (at, o) in out.iter_mut().enumerate() {
            let (top, bottom) = g.span(0, at / g.out_size[1]);
            let (left, right) = g.span(1, at % g.out_size[1]);
            let rows = (top..bottom).map(|row| map[row * g.size[1]..][left..right].iter().copied().sum::<T>());
            o.write(rows.sum::<T>() * share);
        }
    })
}

/// Each gradient goes to its window in equal shares.
pub(super) fn mean_backward<T: Element>(g: Window, dy: &[T]) -> Vec<T> {
    let (area, out_area) = (g.size[0] * g.size[1], g.out_size[0] * g.out_size[1]);
    let share = T::from_f64(1.0 / (g.kernel[0] * g.kernel[1]) as f64);
    by_maps(g.planes(), area, area, |plane, map| {
        let map = filled(map, T::zero());
        for (at, d) in dy[plane * out_area..][..out_area].iter().enumerate() {
            let (top, bottom) = g.span(0, at / g.out_size[1]);
            let (left, right) = g.span(1, at % g.out_size[1]);
            for row in top..bottom {
                for t in &mut map[row * g.size[1]..][left..right] {
                    *t += *d * share;
                }
            }
        }
    })
}
