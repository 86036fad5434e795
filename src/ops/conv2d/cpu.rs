//! Convolution as matrix products over columns, cut out tile by tile.

use rayon::prelude::*;

use super::Geometry;
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Shared, buffer, fill_by, for_ranges, wide};
use crate::ops::precision::Precision;
use crate::ops::product::{Matrix, product};

/// Elements of a tile of columns: half of a second-level cache of 1 MiB.
const TILE: usize = 128 * 1024;

/// Output rows per tile, so that its columns have about [`TILE`] elements and every thread gets some.
fn rows_per_tile(g: &Geometry) -> usize {
    let fits = TILE / (g.depth() * g.out_size[1]).max(1);
    let tasks = rayon::current_num_threads() * 2;
    let shared = (g.images * g.groups * g.out_size[0]).div_ceil(tasks);
    fits.min(shared).clamp(1, g.out_size[0].max(1))
}

/// Fill `columns` [depth, pixels] with what the output rows `rows` of one group see of `image` [group inputs, h, w].
fn cut_columns<T: Element>(g: &Geometry, image: &[T], rows: std::ops::Range<usize>, columns: &mut [T]) {
    let width = g.out_size[1];
    let pixels = rows.len() * width;
    let taps = g.kernel[0] * g.kernel[1];
    for (depth, line) in columns.chunks_exact_mut(pixels).enumerate() {
        let (channel, tap) = (depth / taps, depth % taps);
        let map = &image[channel * g.area()..][..g.area()];
        let (top, bottom, first_row) = g.inside(0, tap / g.kernel[1]);
        let (left, right, first) = g.inside(1, tap % g.kernel[1]);
        for (y, out) in rows.clone().zip(line.chunks_exact_mut(width)) {
            if y < top || y >= bottom || left == right {
                out.fill(T::zero());
                continue;
            }
            let from = &map[(first_row + (y - top) * g.stride[0]) * g.size[1] + first..];
            out[..left].fill(T::zero());
            out[right..].fill(T::zero());
            if g.stride[1] == 1 {
                out[left..right].copy_from_slice(&from[..right - left]);
            } else {
                for (o, v) in out[left..right].iter_mut().zip(from.iter().step_by(g.stride[1])) {
                    *o = *v;
                }
            }
        }
    }
}

wide! {
/// Add `columns` [channels x taps, out pixels] of a whole map back to where they came from in `image` [channels, h, w].
fn add_columns<T: Element>(g: &Geometry, columns: &[T], image: &mut [T]) {
    let taps = g.kernel[0] * g.kernel[1];
    for (depth, line) in columns.chunks_exact(g.out_area()).enumerate() {
        let (channel, tap) = (depth / taps, depth % taps);
        let map = &mut image[channel * g.area()..][..g.area()];
        let (top, bottom, first_row) = g.inside(0, tap / g.kernel[1]);
        let (left, right, first) = g.inside(1, tap % g.kernel[1]);
        if left == right {
            continue;
        }
        for y in top..bottom {
            let from = &line[y * g.out_size[1]..][left..right];
            let to = &mut map[(first_row + (y - top) * g.stride[0]) * g.size[1] + first..];
            if g.stride[1] == 1 {
                for (t, v) in to.iter_mut().zip(from) {
                    *t += *v;
                }
            } else {
                for (t, v) in to.iter_mut().step_by(g.stride[1]).zip(from) {
                    *t += *v;
                }
            }
        }
    }
}
}

/// The convolution of `x` [n, c, h, w] with `w` [o, c/groups, kh, kw]; returns [n, o, h', w'].
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, precision: Precision) -> Vec<T> {
    let (depth, out_area) = (g.depth(), g.out_area());
    let (inputs, outputs) = (g.group_inputs(), g.group_outputs());
    let rows = rows_per_tile(g);
    let tiles = g.out_size[0].div_ceil(rows);
    buffer(g.images * g.outputs * out_area, |out| {
        let out = Shared::new(out);
        for_ranges(g.images * g.groups * tiles, 1, |range| {
            for task in range {
                let (plane, tile) = (task / tiles, task % tiles);
                let (image, group) = (plane / g.groups, plane % g.groups);
                let rows = tile * rows..((tile + 1) * rows).min(g.out_size[0]);
                let pixels = rows.len() * g.out_size[1];
                let at = rows.start * g.out_size[1];
                let from = &x[(image * g.inputs + group * inputs) * g.area()..][..inputs * g.area()];
                let first = (image * g.outputs + group * outputs) * out_area + at;
                if let Some(bias) = bias {
                    for o in 0..outputs {
                        // SAFETY: this task alone writes these pixels of these channels.
                        unsafe { out.part(first + o * out_area, pixels) }.fill(bias[group * outputs + o]);
                    }
                }
                let weight = Matrix::of(&w[group * outputs * depth..], depth, 1);
                let size = [outputs, pixels, depth];
                if g.is_pointwise() {
                    let seen = Matrix::of(&from[at..], g.area(), 1);
                    // SAFETY: both factors are live slices; this task alone writes these pixels.
                    unsafe { product(size, out.at(first), out_area, bias.is_some(), weight, seen, precision) };
                } else {
                    let columns = buffer(depth * pixels, |c| cut_columns(g, from, rows, c));
                    // SAFETY: as above.
                    unsafe {
                        product(
                            size,
                            out.at(first),
                            out_area,
                            bias.is_some(),
                            weight,
                            Matrix::of(&columns, pixels, 1),
                            precision,
                        )
                    };
                }
            }
        });
    })
}

/// The gradient of the input: `columns = weight' dy`, added back to the places they were cut from.
pub(super) fn input_gradient<T: Element>(g: &Geometry, w: &[T], dy: &[T], precision: Precision) -> Vec<T> {
    let (depth, out_area) = (g.depth(), g.out_area());
    let (inputs, outputs) = (g.group_inputs(), g.group_outputs());
    let taps = g.kernel[0] * g.kernel[1];
    let planes = g.images * g.groups;
    // A task is some channels of one image: enough tasks for every thread, columns of about a tile.
    let fits = (TILE / (taps * out_area).max(1)).max(8);
    let channels = inputs
        .div_ceil((rayon::current_num_threads() * 2).div_ceil(planes))
        .min(fits)
        .max(1);
    let parts = inputs.div_ceil(channels);
    buffer(g.images * g.inputs * g.area(), |dx| {
        let dx = Shared::new(dx);
        for_ranges(planes * parts, 1, |range| {
            for task in range {
                let (plane, part) = (task / parts, task % parts);
                let (image, group) = (plane / g.groups, plane % g.groups);
                let from = part * channels;
                let count = channels.min(inputs - from);
                let rows = count * taps;
                let dy = &dy[(image * g.outputs + group * outputs) * out_area..][..outputs * out_area];
                let weight = Matrix::of(&w[group * outputs * depth + from * taps..], 1, depth);
                let at = (image * g.inputs + group * inputs + from) * g.area();
                let size = [rows, out_area, outputs];
                // SAFETY: this task alone writes these channels of this image.
                let target = unsafe { dx.part(at, count * g.area()) };
                if g.is_pointwise() {
                    // SAFETY: both factors are live slices, `target` is this task's own.
                    unsafe {
                        product(
                            size,
                            target.as_mut_ptr(),
                            out_area,
                            false,
                            weight,
                            Matrix::of(dy, out_area, 1),
                            precision,
                        )
                    };
                } else {
                    let columns = buffer(rows * out_area, |c: &mut [T]| {
                        // SAFETY: as above.
                        unsafe {
                            product(
                                size,
                                c.as_mut_ptr(),
                                out_area,
                                false,
                                weight,
                                Matrix::of(dy, out_area, 1),
                                precision,
                            )
                        };
                    });
                    target.fill(T::zero());
                    add_columns(g, &columns, target);
                }
            }
        });
    })
}

/// The gradient of the weight: `dy columns'`, summed over images and tiles in a fixed order.
pub(super) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dy: &[T], precision: Precision) -> Vec<T> {
    let (depth, out_area) = (g.depth(), g.out_area());
    let (inputs, outputs) = (g.group_inputs(), g.group_outputs());
    let rows = rows_per_tile(g);
    let tiles = g.out_size[0].div_ceil(rows);
    let all = g.images * tiles;
    let workers = rayon::current_num_threads().min(all).max(1);
    let mut parts: Vec<Vec<T>> = (0..workers)
        .into_par_iter()
        .map(|worker| {
            let mut sum = vec![T::zero(); g.outputs * depth];
            for task in worker * all / workers..(worker + 1) * all / workers {
                let (image, tile) = (task / tiles, task % tiles);
                let rows = tile * rows..((tile + 1) * rows).min(g.out_size[0]);
                let pixels = rows.len() * g.out_size[1];
                let at = rows.start * g.out_size[1];
                for group in 0..g.groups {
                    let from = &x[(image * g.inputs + group * inputs) * g.area()..][..inputs * g.area()];
                    let seen_by = Matrix::of(
                        &dy[(image * g.outputs + group * outputs) * out_area + at..],
                        out_area,
                        1,
                    );
                    let target = sum[group * outputs * depth..].as_mut_ptr();
                    let size = [outputs, depth, pixels];
                    if g.is_pointwise() {
                        // SAFETY: both factors are live slices, `sum` is this worker's own.
                        unsafe {
                            product(
                                size,
                                target,
                                depth,
                                true,
                                seen_by,
                                Matrix::of(&from[at..], 1, g.area()),
                                precision,
                            )
                        };
                    } else {
                        let columns = buffer(depth * pixels, |c| cut_columns(g, from, rows.clone(), c));
                        // SAFETY: as above.
                        unsafe {
                            product(
                                size,
                                target,
                                depth,
                                true,
                                seen_by,
                                Matrix::of(&columns, 1, pixels),
                                precision,
                            )
                        };
                    }
                }
            }
            sum
        })
        .collect();
    let mut total = parts.swap_remove(0);
    for part in &parts {
        for (t, v) in total.iter_mut().zip(part) {
            *t += *v;
        }
    }
    total
}

/// The gradient of the bias: the sum of `dy` over images and pixels.
pub(super) fn bias_gradient<T: Element>(g: &Geometry, dy: &[T]) -> Vec<T> {
    (0..g.outputs)
        .into_par_iter()
        .map(|o| {
            let mut total = 0.0;
            for image in 0..g.images {
                let map = &dy[(image * g.outputs + o) * g.out_area()..][..g.out_area()];
                total += map.iter().map(|v| v.to_f64()).sum::<f64>();
            }
            T::from_f64(total)
        })
        .collect()
}

/// Every element rounded to bfloat16.
pub(super) fn rounded<T: Element>(values: &[T]) -> Vec<T> {
    fill_by(values.len(), |at, out: &mut [T]| round_part(&values[at..], out))
}

wide! {
fn round_part<T: Element>(from: &[T], to: &mut [T]) {
    for (t, v) in to.iter_mut().zip(from) {
        *t = v.to_bf16();
    }
}
}
