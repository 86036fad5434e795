//! Tiles (or channels) in and out of the transforms, 16 side by side, and the matrix products between them.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::transforms::{LANES, Lanes, POINTS, both, kernel, kernel_gradient, patch, result, result_gradient};
use super::{Tile, Winograd, tiles};
use crate::ops::conv2d::cpu::rounded;
use crate::ops::conv2d::{Convolution, Geometry};
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Shared, buffer, for_ranges, wide};
use crate::ops::precision::Precision;
use crate::ops::product::Matrix;

/// Elements of the transformed patches held at once (8 MiB of f32).
const HELD: usize = 2 << 20;
/// Elements of the transformed kernels and results of one task: within a second-level cache of 1 MiB.
const TASK: usize = 192 * 1024;

/// Maps of one image with zeros around: `before` of them above and left, so that every patch lies inside.
struct Padded<T> {
    data: Vec<T>,
    width: usize,
    plane: usize,
    before: usize,
}

impl<T: Element> Padded<T> {
    fn new(g: &Geometry, before: usize, after: usize, planes: usize) -> Self {
        let width = g.size[1] + before + after;
        let plane = width * (g.size[0] + before + after);
        Padded {
            data: vec![T::zero(); plane * planes],
            width,
            plane,
            before,
        }
    }

    #[inline(always)]
    fn load(&mut self, g: &Geometry, index: usize, map: &[T]) {
        let start = index * self.plane + self.before * self.width + self.before;
        for (y, row) in map.chunks_exact(g.size[1]).enumerate() {
            self.data[start + y * self.width..][..row.len()].copy_from_slice(row);
        }
    }

    /// Put the `SIDE` x `SIDE` patch of `tile` into lane `lane`.
    #[inline(always)]
    fn gather<const SIDE: usize>(&self, g: &Geometry, index: usize, tile: Tile, lane: usize, to: &mut Lanes<T>) {
        let step = g.dilation[0];
        let start = index * self.plane + tile.row * self.width + tile.column;
        for i in 0..SIDE {
            let row = &self.data[start + i * step * self.width..][..(SIDE - 1) * step + 1];
            for j in 0..SIDE {
                to[i * SIDE + j][lane] = row[j * step];
            }
        }
    }
}

/// The images of the batch in groups whose transformed patches fit [`HELD`].
fn groups(g: &Geometry, all: &[Tile], channels: usize) -> Vec<Vec<Tile>> {
    let per_image = all.len() / g.images.max(1);
    let images = (HELD / (POINTS * channels * per_image).max(1)).clamp(1, g.images.max(1));
    all.chunks((images * per_image).max(1)).map(<[Tile]>::to_vec).collect()
}

/// Channels of one task, whose kernels (`channels` each) and results (`count` tiles each) fit [`TASK`].
fn block(outputs: usize, channels: usize, count: usize) -> usize {
    let fits = TASK / (POINTS * (channels + count));
    let shared = outputs.div_ceil(rayon::current_num_threads());
    fits.min(shared).clamp(8, 64)
}

wide! {
/// Patches of `SIDE` x `SIDE` of every channel of `x`, transformed: `[POINTS, channels, padded tiles]`.
fn transform_tiles<T: Element>(g: &Geometry, x: &[T], channels: std::ops::Range<usize>, of: usize, list: &[Tile], gradient: bool, into: Shared<T>, stride: usize) {
    let count = list.len().next_multiple_of(LANES);
    let step = g.dilation[0];
    let (before, after) = if gradient { (0, 3 * step) } else { (step, 4 * step) };
    let first_image = list.first().map_or(0, |t| t.image);
    let images = list.last().map_or(0, |t| t.image + 1) - first_image;
    let mut padded = Padded::<T>::new(g, before, after, images);
    let mut from = [[T::zero(); LANES]; POINTS];
    let mut to = [[T::zero(); LANES]; POINTS];
    for (index, c) in channels.enumerate() {
        for i in 0..images {
            padded.load(g, i, &x[((first_image + i) * of + c) * g.area()..][..g.area()]);
        }
        for (strip, lanes) in list.chunks(LANES).enumerate() {
            for (lane, tile) in lanes.iter().enumerate() {
                if gradient {
                    padded.gather::<4>(g, tile.image - first_image, *tile, lane, &mut from);
                } else {
                    padded.gather::<6>(g, tile.image - first_image, *tile, lane, &mut from);
                }
            }
            if gradient {
                both(&from, &mut to, result_gradient::<T>);
            } else {
                both(&from, &mut to, patch::<T>);
            }
            for (point, values) in to.iter_mut().enumerate() {
                values[lanes.len()..].fill(T::zero());
                // SAFETY: the caller gives each task its own channels.
                unsafe { into.new_part(point * stride + index * count + strip * LANES, LANES) }
                    .write_copy_of_slice(values);
            }
        }
    }
}
}

wide! {
/// Patches of every tile in lanes of channels: `[POINTS, tiles, inputs]`, for the tiles `range`.
fn transform_channels<T: Element>(g: &Geometry, x: &[T], list: &[Tile], range: std::ops::Range<usize>, into: Shared<T>) {
    let step = g.dilation[0];
    let mut padded = Padded::<T>::new(g, step, 4 * step, LANES);
    let mut from = [[T::zero(); LANES]; POINTS];
    let mut to = [[T::zero(); LANES]; POINTS];
    for strip in range {
        let c = strip * LANES;
        let mut loaded = usize::MAX;
        for (t, tile) in list.iter().enumerate() {
            if loaded != tile.image {
                loaded = tile.image;
                for lane in 0..LANES {
                    padded.load(g, lane, &x[(tile.image * g.inputs + c + lane) * g.area()..][..g.area()]);
                }
            }
            for lane in 0..LANES {
                padded.gather::<6>(g, lane, *tile, lane, &mut from);
            }
            both(&from, &mut to, patch::<T>);
            for (point, values) in to.iter().enumerate() {
                // SAFETY: the caller gives each task its own channels.
                unsafe { into.new_part((point * list.len() + t) * g.inputs + c, LANES) }.write_copy_of_slice(values);
            }
        }
    }
}
}

wide! {
/// The kernels of outputs `range`, transformed: `[POINTS, range, inputs]`. With `turned`, output and input change places and the
/// kernel is turned by half a circle.
fn transform_kernels<T: Element>(w: &[T], inputs: usize, outputs: usize, range: std::ops::Range<usize>, turned: bool, into: &mut [MaybeUninit<T>]) {
    let stride = range.len() * inputs;
    let mut from = [[T::zero(); LANES]; POINTS];
    let mut to = [[T::zero(); LANES]; POINTS];
    for (index, o) in range.enumerate() {
        for c in (0..inputs).step_by(LANES) {
            for lane in 0..LANES {
                if turned {
                    let taps = &w[((c + lane) * outputs + o) * 9..][..9];
                    for k in 0..9 {
                        from[k][lane] = taps[8 - k];
                    }
                } else {
                    let taps = &w[(o * inputs + c + lane) * 9..][..9];
                    for k in 0..9 {
                        from[k][lane] = taps[k];
                    }
                }
            }
            both(&from, &mut to, kernel::<T>);
            for (point, values) in to.iter().enumerate() {
                into[point * stride + index * inputs + c..][..LANES].write_copy_of_slice(values);
            }
        }
    }
}
}

wide! {
/// `m` [POINTS, channels, padded tiles] transformed back into the maps `first..` of `out`, plus the bias.
fn results<T: Element>(g: &Geometry, m: &[T], of: usize, range: std::ops::Range<usize>, list: &[Tile], bias: Option<&[T]>, out: Shared<T>) {
    let count = list.len().next_multiple_of(LANES);
    let stride = range.len() * count;
    let step = g.dilation[0];
    let mut from = [[T::zero(); LANES]; POINTS];
    let mut to = [[T::zero(); LANES]; POINTS];
    for (index, o) in range.enumerate() {
        let add = bias.map_or(T::zero(), |b| b[o]);
        for (strip, lanes) in list.chunks(LANES).enumerate() {
            for (point, values) in from.iter_mut().enumerate() {
                values.copy_from_slice(&m[point * stride + index * count + strip * LANES..][..LANES]);
            }
            both(&from, &mut to, result::<T>);
            for (lane, tile) in lanes.iter().enumerate() {
                // SAFETY: the caller gives each task its own maps.
                let map = unsafe { out.new_part((tile.image * of + o) * g.area(), g.area()) };
                for i in 0..4 {
                    let y = tile.row + i * step;
                    if y >= g.size[0] {
                        break;
                    }
                    let row = &mut map[y * g.size[1]..][..g.size[1]];
                    for j in 0..4 {
                        let x = tile.column + j * step;
                        if x < g.size[1] {
                            row[x].write(to[i * 4 + j][lane] + add);
                        }
                    }
                }
            }
        }
    }
}
}

/// The matrix products `a b` of all points, `[POINTS, rows, columns]`.
fn at_points<'a, T: Element>(
    [rows, columns]: [usize; 2],
    factors: impl Fn(usize) -> (Matrix<'a, T>, Matrix<'a, T>),
) -> Vec<T> {
    buffer(POINTS * rows * columns, |out| {
        for (point, out) in out.chunks_exact_mut(rows * columns).enumerate() {
            let (a, b) = factors(point);
            // SAFETY: `out` is borrowed mutably.
            unsafe { a.times(b).store_shared(Shared::fresh(out), columns, false) };
        }
    })
}

/// The convolution of `x` [n, inputs, h, w] with transformed kernels of `w`.
fn convolve<T: Element>(
    g: &Geometry,
    x: &[T],
    w: &[T],
    [inputs, outputs]: [usize; 2],
    turned: bool,
    bias: Option<&[T]>,
) -> Vec<T> {
    let all = tiles(g);
    buffer(g.images * outputs * g.area(), |out| {
        let out = Shared::fresh(out);
        for list in groups(g, &all, inputs) {
            let count = list.len().next_multiple_of(LANES);
            let patches = buffer(POINTS * inputs * count, |v| {
                let v = Shared::fresh(v);
                for_ranges(inputs, 4, |range| {
                    // SAFETY (of the writes inside): each range of channels is one task's own.
                    let own = v.from(range.start * count);
                    transform_tiles(g, x, range, inputs, &list, false, own, inputs * count);
                });
            });
            for_ranges(outputs, block(outputs, inputs, count), |range| {
                let kernels = buffer(POINTS * range.len() * inputs, |u| {
                    transform_kernels(w, inputs, outputs, range.clone(), turned, u);
                });
                let rows = range.len();
                let products = at_points([rows, count], |point| {
                    let u = Matrix::new(&kernels[point * rows * inputs..], rows, inputs, inputs);
                    (u, Matrix::new(&patches[point * inputs * count..], inputs, count, count))
                });
                results(g, &products, outputs, range, &list, bias, out);
            });
        }
    })
}

wide! {
/// Add the transformed-back `sums` [POINTS, range, inputs] to the kernels `dw` [range, inputs, 3, 3].
fn add_kernels<T: Element>(sums: &[T], inputs: usize, count: usize, dw: &mut [T]) {
    let stride = count * inputs;
    let mut from = [[T::zero(); LANES]; POINTS];
    let mut to = [[T::zero(); LANES]; POINTS];
    for (strip, kernels) in dw.chunks_exact_mut(9 * LANES).enumerate() {
        for (point, values) in from.iter_mut().enumerate() {
            values.copy_from_slice(&sums[point * stride + strip * LANES..][..LANES]);
        }
        both(&from, &mut to, kernel_gradient::<T>);
        for (lane, taps) in kernels.chunks_exact_mut(9).enumerate() {
            for (k, t) in taps.iter_mut().enumerate() {
                *t += to[k][lane];
            }
        }
    }
}
}

impl<T: Element> Convolution<T> for Winograd {
    fn suits(&self, g: &Geometry) -> bool {
        super::suits(g)
    }

    fn forward(&self, g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, precision: Precision) -> Vec<T> {
        let (x, w) = (rounded(x, precision), rounded(w, precision));
        convolve(g, &x, &w, [g.inputs, g.outputs], false, bias)
    }

    /// The convolution of `dy` with the kernels turned round.
    fn input_gradient(&self, g: &Geometry, w: &[T], dy: &[T], precision: Precision) -> Vec<T> {
        let (w, dy) = (rounded(w, precision), rounded(dy, precision));
        convolve(g, &dy, &w, [g.outputs, g.inputs], true, None)
    }

    fn weight_gradient(&self, g: &Geometry, x: &[T], dy: &[T], precision: Precision) -> Vec<T> {
        let (x, dy) = (&*rounded(x, precision), &*rounded(dy, precision));
        let all = tiles(g);
        let mut dw = vec![T::zero(); g.outputs * g.inputs * 9];
        for list in groups(g, &all, g.inputs) {
            let (used, count) = (list.len(), list.len().next_multiple_of(LANES));
            let patches = buffer(POINTS * used * g.inputs, |v| {
                let v = Shared::fresh(v);
                for_ranges(g.inputs / LANES, 1, |range| transform_channels(g, x, &list, range, v));
            });
            let per_task = block(g.outputs, g.inputs, count);
            dw.par_chunks_mut(per_task * g.inputs * 9)
                .enumerate()
                .for_each(|(task, dw)| {
                    let first = task * per_task;
                    let size = per_task.min(g.outputs - first);
                    let gradients = buffer(POINTS * size * count, |m| {
                        transform_tiles(
                            g,
                            dy,
                            first..first + size,
                            g.outputs,
                            &list,
                            true,
                            Shared::fresh(m),
                            size * count,
                        );
                    });
                    let sums = at_points([size, g.inputs], |point| {
                        let m = Matrix::new(&gradients[point * size * count..], size, used, count);
                        (
                            m,
                            Matrix::new(&patches[point * used * g.inputs..], used, g.inputs, g.inputs),
                        )
                    });
                    add_kernels(&sums, g.inputs, size, dw);
                });
        }
        dw
    }
}
