//! Windows over maps, one map at a time.

use super::Window;
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Shared, buffer, for_ranges, per_task, wide};

wide! {
/// The maxima and where in its map each came from.
pub(super) fn max_forward<T: Element>(g: Window, x: &[T]) -> (Vec<T>, Vec<u32>) {
    let (area, out_area) = (g.size[0] * g.size[1], g.out_size[0] * g.out_size[1]);
    let mut places = Vec::new();
    let result = buffer(g.planes * out_area, |out| {
        let out = Shared::new(out);
        places = buffer(g.planes * out_area, |places| {
            let places = Shared::new(places);
            for_ranges(g.planes, per_task(area), |planes| {
                for plane in planes {
                    let map = &x[plane * area..][..area];
                    // SAFETY: this task alone writes this map.
                    let (out, places) = unsafe {
                        (
                            out.part(plane * out_area, out_area),
                            places.part(plane * out_area, out_area),
                        )
                    };
                    max_of_map(g, map, out, places);
                }
            });
        });
    });
    (result, places)
}
}

/// Tap by tap over whole output rows, which become vector code; the first of equal values wins, as the taps come in reading order.
#[inline(always)]
fn max_of_map<T: Element>(g: Window, map: &[T], out: &mut [T], places: &mut [u32]) {
    let width = g.out_size[1];
    for y in 0..g.out_size[0] {
        let (top, bottom) = g.span(0, y);
        let (best, place) = (&mut out[y * width..][..width], &mut places[y * width..][..width]);
        best.fill(T::from_f64(f64::NEG_INFINITY));
        for (x, p) in place.iter_mut().enumerate() {
            *p = (top * g.size[1] + g.span(1, x).0) as u32;
        }
        for row in top..bottom {
            for j in 0..g.kernel[1] {
                let (low, high) = g.inside(j);
                if low >= high {
                    continue;
                }
                let first = row * g.size[1] + low * g.stride[1] + j - g.padding[1];
                let (best, place) = (&mut best[low..high], &mut place[low..high]);
                let (stride, from) = (g.stride[1], &map[first..(row + 1) * g.size[1]]);
                if stride == 2 {
                    take_larger::<T, 2>(best, place, from, first);
                } else if stride == 1 {
                    take_larger::<T, 1>(best, place, from, first);
                } else {
                    for (x, (b, p)) in best.iter_mut().zip(place).enumerate() {
                        larger(b, p, from[x * stride], first + x * stride);
                    }
                }
            }
        }
    }
}

/// Every `STRIDE`-th value of `from`, the first of which lies at `first` in its map, against the best so far.
#[inline(always)]
fn take_larger<T: Element, const STRIDE: usize>(best: &mut [T], place: &mut [u32], from: &[T], first: usize) {
    let from = &from[..(best.len() - 1) * STRIDE + 1];
    for (x, (b, p)) in best.iter_mut().zip(place).enumerate() {
        larger(b, p, from[x * STRIDE], first + x * STRIDE);
    }
}

/// Take `v` (at `at`) if it is larger than the best so far, or NaN.
#[inline(always)]
fn larger<T: Element>(best: &mut T, place: &mut u32, v: T, at: usize) {
    #[allow(clippy::eq_op)]
    let taken = v > *best || v != v;
    *best = if taken { v } else { *best };
    *place = if taken { at as u32 } else { *place };
}

/// Each gradient goes to the place of its maximum.
pub(super) fn max_backward<T: Element>(g: Window, places: &[u32], dy: &[T]) -> Vec<T> {
    let (area, out_area) = (g.size[0] * g.size[1], g.out_size[0] * g.out_size[1]);
    buffer(g.planes * area, |dx| {
        let dx = Shared::new(dx);
        for_ranges(g.planes, per_task(area), |planes| {
            for plane in planes {
                // SAFETY: this task alone writes this map.
                let map = unsafe { dx.part(plane * area, area) };
                map.fill(T::zero());
                let part = plane * out_area..(plane + 1) * out_area;
                for (place, d) in places[part.clone()].iter().zip(&dy[part]) {
                    map[*place as usize] += *d;
                }
            }
        });
    })
}

/// The means.
pub(super) fn mean_forward<T: Element>(g: Window, x: &[T]) -> Vec<T> {
    let (area, out_area) = (g.size[0] * g.size[1], g.out_size[0] * g.out_size[1]);
    let share = T::from_f64(1.0 / (g.kernel[0] * g.kernel[1]) as f64);
    buffer(g.planes * out_area, |out| {
        let out = Shared::new(out);
        for_ranges(g.planes, per_task(area), |planes| {
            for plane in planes {
                let map = &x[plane * area..][..area];
                // SAFETY: this task alone writes this map.
                let out = unsafe { out.part(plane * out_area, out_area) };
                for (at, o) in out.iter_mut().enumerate() {
                    let (top, bottom) = g.span(0, at / g.out_size[1]);
                    let (left, right) = g.span(1, at % g.out_size[1]);
                    let rows = (top..bottom).map(|row| map[row * g.size[1]..][left..right].iter().copied().sum::<T>());
                    *o = rows.sum::<T>() * share;
                }
            }
        });
    })
}

/// Each gradient goes to its window in equal shares.
pub(super) fn mean_backward<T: Element>(g: Window, dy: &[T]) -> Vec<T> {
    let (area, out_area) = (g.size[0] * g.size[1], g.out_size[0] * g.out_size[1]);
    let share = T::from_f64(1.0 / (g.kernel[0] * g.kernel[1]) as f64);
    buffer(g.planes * area, |dx| {
        let dx = Shared::new(dx);
        for_ranges(g.planes, per_task(area), |planes| {
            for plane in planes {
                // SAFETY: this task alone writes this map.
                let map = unsafe { dx.part(plane * area, area) };
                map.fill(T::zero());
                for (at, d) in dy[plane * out_area..][..out_area].iter().enumerate() {
                    let (top, bottom) = g.span(0, at / g.out_size[1]);
                    let (left, right) = g.span(1, at % g.out_size[1]);
                    for row in top..bottom {
                        for t in &mut map[row * g.size[1]..][left..right] {
                            *t += *d * share;
                        }
                    }
                }
            }
        });
    })
}
