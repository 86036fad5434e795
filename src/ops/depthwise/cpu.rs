//! Direct loops over maps; taps that fall wholly outside the map cost nothing.

use crate::ops::conv2d::Geometry;
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{by_maps, filled, wide};

/// Call `body(tap, output row, first output column, input row, first input column, columns)` for every output row segment
/// that some tap sees inside the map.
#[inline(always)]
fn for_segments(g: &Geometry, mut body: impl FnMut(usize, usize, usize, usize, usize, usize)) {
    for i in 0..g.kernel[0] {
        let (top, bottom, first_row) = g.inside(0, i);
        for j in 0..g.kernel[1] {
            let (left, right, first) = g.inside(1, j);
            if left == right {
                continue;
            }
            for y in top..bottom {
                let row = first_row + (y - top) * g.stride[0];
                body(i * g.kernel[1] + j, y, left, row, first, right - left);
            }
        }
    }
}

/// `to += factor from` for `count` elements, so many steps apart in each of the two.
#[inline(always)]
fn add<T: Element>(to: &mut [T], from: &[T], factor: T, count: usize, steps: [usize; 2]) {
    match steps {
        [1, 1] => {
            for (t, v) in to[..count].iter_mut().zip(&from[..count]) {
                *t += factor * *v;
            }
        }
        [1, step] => {
            for (t, v) in to[..count].iter_mut().zip(from.iter().step_by(step)) {
                *t += factor * *v;
            }
        }
        [step, _] => {
            for (t, v) in to.iter_mut().step_by(step).zip(&from[..count]) {
                *t += factor * *v;
            }
        }
    }
}

wide! {
/// `out[n, o] = bias[o] + weight[o] * x[n, o / multiplier]`.
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
    let (area, out_area, multiplier) = (g.area(), g.out_area(), g.group_outputs());
    let taps = g.kernel[0] * g.kernel[1];
    by_maps(g.images * g.outputs, out_area, out_area, |plane, map| {
        let (image, o) = (plane / g.outputs, plane % g.outputs);
        let from = &x[(image * g.inputs + o / multiplier) * area..][..area];
        let map = filled(map, bias.map_or(T::zero(), |b| b[o]));
        for_segments(g, |tap, y, left, row, first, count| {
            let (to, from) = (&mut map[y * g.out_size[1] + left..], &from[row * g.size[1] + first..]);
            add(to, from, w[o * taps + tap], count, [1, g.stride[1]]);
        });
    })
}
}

wide! {
/// The gradient of the input: every tap sends its share back.
pub(super) fn input_gradient<T: Element>(g: &Geometry, w: &[T], dy: &[T]) -> Vec<T> {
    let (area, out_area, multiplier) = (g.area(), g.out_area(), g.group_outputs());
    let taps = g.kernel[0] * g.kernel[1];
    by_maps(g.images * g.inputs, area, area, |plane, map| {
        let (image, c) = (plane / g.inputs, plane % g.inputs);
        let map = filled(map, T::zero());
        for o in c * multiplier..(c + 1) * multiplier {
            let from = &dy[(image * g.outputs + o) * out_area..][..out_area];
            for_segments(g, |tap, y, left, row, first, count| {
                let (to, from) = (&mut map[row * g.size[1] + first..], &from[y * g.out_size[1] + left..]);
                add(to, from, w[o * taps + tap], count, [g.stride[1], 1]);
            });
        }
    })
}
}

wide! {
/// The gradient of the weight: for every tap the product of the two maps it joins, summed over the images in order.
pub(super) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let (area, out_area, multiplier) = (g.area(), g.out_area(), g.group_outputs());
    let taps = g.kernel[0] * g.kernel[1];
    let stride = g.stride[1];
    by_maps(g.outputs, taps, out_area * g.images, |o, sums| {
        let sums = filled(sums, T::zero());
        for image in 0..g.images {
            let map = &x[(image * g.inputs + o / multiplier) * area..][..area];
            let from = &dy[(image * g.outputs + o) * out_area..][..out_area];
            for_segments(g, |tap, y, left, row, first, count| {
                let from = &from[y * g.out_size[1] + left..][..count];
                let seen = &map[row * g.size[1] + first..];
                sums[tap] += if stride == 1 {
                    dot(from, &seen[..count])
                } else {
                    from.iter().zip(seen.iter().step_by(stride)).map(|(a, b)| *a * *b).sum()
                };
            });
        }
    })
}
}

/// The scalar product, in eight running sums.
#[inline(always)]
fn dot<T: Element>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); 8];
    let (blocks_a, blocks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let mut rest = T::zero();
    for (x, y) in blocks_a.remainder().iter().zip(blocks_b.remainder()) {
        rest += *x * *y;
    }
    for (x, y) in blocks_a.zip(blocks_b) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    sums.into_iter().sum::<T>() + rest
}
