//! Direct loops over maps; taps that fall wholly outside the map cost nothing.

use crate::ops::conv2d::Geometry;
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Shared, buffer, filled, for_ranges, per_task, wide};

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

wide! {
/// `out[n, o] = bias[o] + weight[o] * x[n, o / multiplier]`.
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
    let (area, out_area, multiplier) = (g.area(), g.out_area(), g.group_outputs());
    let taps = g.kernel[0] * g.kernel[1];
    let stride = g.stride[1];
    buffer(g.images * g.outputs * out_area, |out| {
        let out = Shared::fresh(out);
        for_ranges(g.images * g.outputs, per_task(out_area), |planes| {
            {
                for plane in planes {
                    let (image, o) = (plane / g.outputs, plane % g.outputs);
                    let from = &x[(image * g.inputs + o / multiplier) * area..][..area];
                    let weight = &w[o * taps..][..taps];
                    // SAFETY: this task alone writes this map.
                    let map = unsafe { out.new_part(plane * out_area, out_area) };
                    let map = filled(map, bias.map_or(T::zero(), |b| b[o]));
                    for_segments(g, |tap, y, left, row, first, count| {
                        let to = &mut map[y * g.out_size[1] + left..][..count];
                        let from = &from[row * g.size[1] + first..];
                        let factor = weight[tap];
                        if stride == 1 {
                            for (t, v) in to.iter_mut().zip(&from[..count]) {
                                *t += factor * *v;
                            }
                        } else {
                            for (t, v) in to.iter_mut().zip(from.iter().step_by(stride)) {
                                *t += factor * *v;
                            }
                        }
                    });
                }
            }
        });
    })
}
}

wide! {
/// The gradient of the input: every tap sends its share back.
pub(super) fn input_gradient<T: Element>(g: &Geometry, w: &[T], dy: &[T]) -> Vec<T> {
    let (area, out_area, multiplier) = (g.area(), g.out_area(), g.group_outputs());
    let taps = g.kernel[0] * g.kernel[1];
    let stride = g.stride[1];
    buffer(g.images * g.inputs * area, |dx| {
        let dx = Shared::fresh(dx);
        for_ranges(g.images * g.inputs, per_task(area), |planes| {
            {
                for plane in planes {
                    let (image, c) = (plane / g.inputs, plane % g.inputs);
                    // SAFETY: this task alone writes this map.
                    let map = filled(unsafe { dx.new_part(plane * area, area) }, T::zero());
                    for o in c * multiplier..(c + 1) * multiplier {
                        let from = &dy[(image * g.outputs + o) * out_area..][..out_area];
                        let weight = &w[o * taps..][..taps];
                        for_segments(g, |tap, y, left, row, first, count| {
                            let from = &from[y * g.out_size[1] + left..][..count];
                            let to = &mut map[row * g.size[1] + first..];
                            let factor = weight[tap];
                            if stride == 1 {
                                for (t, v) in to[..count].iter_mut().zip(from) {
                                    *t += factor * *v;
                                }
                            } else {
                                for (t, v) in to.iter_mut().step_by(stride).zip(from) {
                                    *t += factor * *v;
                                }
                            }
                        });
                    }
                }
            }
        });
    })
}
}

wide! {
/// The gradient of the weight: for every tap the product of the two maps it joins, summed over the images in order.
pub(super) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let (area, out_area, multiplier) = (g.area(), g.out_area(), g.group_outputs());
    let taps = g.kernel[0] * g.kernel[1];
    let stride = g.stride[1];
    buffer(g.outputs * taps, |dw| {
        let dw = Shared::fresh(dw);
        for_ranges(g.outputs, per_task(out_area * g.images), |channels| {
            {
                for o in channels {
                    // SAFETY: this task alone writes this kernel.
                    let sums = filled(unsafe { dw.new_part(o * taps, taps) }, T::zero());
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
                }
            }
        });
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
