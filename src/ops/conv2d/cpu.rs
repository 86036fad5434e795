//! Convolution as matrix products over columns, cut out tile by tile.

use rayon::prelude::*;

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::{Convolution, Geometry};
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Shared, buffer, fill_by, filled, for_ranges, wide};
use crate::ops::precision::Precision;
use crate::ops::product::Matrix;

/// Elements of a tile of columns: half of a second-level cache of 1 MiB.
const TILE: usize = 128 * 1024;

/// Output rows per tile, so that its columns have about [`TILE`] elements and every thread gets some.
fn rows_per_tile(g: &Geometry) -> usize {
    // tokens, a map of one column: nothing is cut out, and few at a time would read the weights again and again
    let fits = match g.is_pointwise() && g.out_size[1] == 1 {
        true => usize::MAX,
        false => TILE / (g.depth() * g.out_size[1]).max(1),
    };
    let tasks = rayon::current_num_threads() * 2;
    let shared = (g.images * g.groups * g.out_size[0]).div_ceil(tasks);
    fits.min(shared).clamp(1, g.out_size[0].max(1))
}

/// Fill `columns` [depth, pixels] with what the output rows `rows` of one group see of `image` [group inputs, h, w].
fn cut_columns<T: Element>(g: &Geometry, image: &[T], rows: Range<usize>, columns: &mut [MaybeUninit<T>]) {
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
                filled(out, T::zero());
                continue;
            }
            let from = &map[(first_row + (y - top) * g.stride[0]) * g.size[1] + first..];
            filled(&mut out[..left], T::zero());
            filled(&mut out[right..], T::zero());
            if g.stride[1] == 1 {
                out[left..right].write_copy_of_slice(&from[..right - left]);
            } else {
                for (o, v) in out[left..right].iter_mut().zip(from.iter().step_by(g.stride[1])) {
                    o.write(*v);
                }
            }
        }
    }
}

/// What the output rows `rows` of one group see of `image`, as a matrix [depth, pixels]: the image itself, or `columns` cut out of it.
fn seen<'a, T: Element>(g: &Geometry, image: &'a [T], rows: Range<usize>, columns: &'a mut Vec<T>) -> Matrix<'a, T> {
    let (depth, pixels) = (g.depth(), rows.len() * g.out_size[1]);
    if g.is_pointwise() {
        return Matrix::new(&image[rows.start * g.out_size[1]..], depth, pixels, g.area());
    }
    *columns = buffer(depth * pixels, |c| cut_columns(g, image, rows, c));
    Matrix::new(columns, depth, pixels, pixels)
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

/// Over columns: any sizes.
pub(super) struct Columns;

impl<T: Element> Convolution<T> for Columns {
    fn suits(&self, _: &Geometry) -> bool {
        true
    }

    fn forward(&self, g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, precision: Precision) -> Vec<T> {
        let (depth, out_area) = (g.depth(), g.out_area());
        let (inputs, outputs) = (g.group_inputs(), g.group_outputs());
        let rows = rows_per_tile(g);
        let tiles = g.out_size[0].div_ceil(rows);
        buffer(g.images * g.outputs * out_area, |out| {
            let out = Shared::fresh(out);
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
                            let map = unsafe { out.new_part(first + o * out_area, pixels) };
                            filled(map, bias[group * outputs + o]);
                        }
                    }
                    let weight = Matrix::new(&w[group * outputs * depth..], outputs, depth, depth);
                    let mut columns = Vec::new();
                    let product = weight.times(seen(g, from, rows, &mut columns)).at(precision);
                    // SAFETY: this task alone writes these pixels, and has written the bias.
                    unsafe { product.store_shared(out.from(first), out_area, bias.is_some()) };
                }
            });
        })
    }

    /// `columns = weight' dy`, added back to the places they were cut from.
    fn input_gradient(&self, g: &Geometry, w: &[T], dy: &[T], precision: Precision) -> Vec<T> {
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
            let dx = Shared::fresh(dx);
            for_ranges(planes * parts, 1, |range| {
                for task in range {
                    let (plane, part) = (task / parts, task % parts);
                    let (image, group) = (plane / g.groups, plane % g.groups);
                    let from = part * channels;
                    let count = channels.min(inputs - from);
                    let rows = count * taps;
                    let dy = &dy[(image * g.outputs + group * outputs) * out_area..][..outputs * out_area];
                    let weight =
                        Matrix::new(&w[group * outputs * depth + from * taps..], outputs, rows, depth).transposed();
                    let dy = Matrix::new(dy, outputs, out_area, out_area);
                    let at = (image * g.inputs + group * inputs + from) * g.area();
                    let product = weight.times(dy).at(precision);
                    if g.is_pointwise() {
                        // SAFETY: this task alone writes these channels of this image.
                        unsafe { product.store_shared(dx.from(at), out_area, false) };
                    } else {
                        let columns = product.values();
                        // SAFETY: as above.
                        let target = filled(unsafe { dx.new_part(at, count * g.area()) }, T::zero());
                        add_columns(g, &columns, target);
                    }
                }
            });
        })
    }

    /// `dy columns'`, summed over images and tiles in a fixed order.
    fn weight_gradient(&self, g: &Geometry, x: &[T], dy: &[T], precision: Precision) -> Vec<T> {
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
                        let dy = &dy[(image * g.outputs + group * outputs) * out_area + at..];
                        let seen_by = Matrix::new(dy, outputs, pixels, out_area);
                        let mut columns = Vec::new();
                        let seen = seen(g, from, rows.clone(), &mut columns).transposed();
                        let target = &mut sum[group * outputs * depth..];
                        seen_by.times(seen).at(precision).store(target, depth, true);
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

/// The elements as they count in this precision, for kernels whose own arithmetic is f32.
pub(crate) fn rounded<T: Element>(values: &[T], precision: Precision) -> Cow<'_, [T]> {
    match precision {
        Precision::F32 => Cow::Borrowed(values),
        Precision::Bf16 => Cow::Owned(fill_by(values.len(), |at, out| round_part(&values[at..], out))),
    }
}

wide! {
fn round_part<T: Element>(from: &[T], to: &mut [MaybeUninit<T>]) {
    for (t, v) in to.iter_mut().zip(from) {
        t.write(v.to_bf16());
    }
}
}
