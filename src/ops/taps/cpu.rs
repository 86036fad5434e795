//! One matrix product per tap and image.

use super::Taps;
use crate::ops::conv2d::{Convolution, Geometry};
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Shared, buffer, filled, for_ranges};
use crate::ops::precision::Precision;
use crate::ops::product::Matrix;

/// What one tap joins: output rows and columns, and the input pixel of the first of them.
struct Overlap {
    tap: usize,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    row: usize,
    column: usize,
}

impl Overlap {
    fn pixels(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// The rows of a rectangle of this size whose first pixel is (`row`, `column`) of a map `width` wide, as ranges of the map.
    fn lines(&self, row: usize, column: usize, width: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let (height, length) = (self.rows.len(), self.columns.len());
        (row..row + height).map(move |y| y * width + column..y * width + column + length)
    }
}

/// The taps that see anything.
fn overlaps(g: &Geometry) -> Vec<Overlap> {
    let mut list = Vec::new();
    for i in 0..g.kernel[0] {
        for j in 0..g.kernel[1] {
            let (top, bottom, row) = g.inside(0, i);
            let (left, right, column) = g.inside(1, j);
            if top < bottom && left < right {
                list.push(Overlap {
                    tap: i * g.kernel[1] + j,
                    rows: top..bottom,
                    columns: left..right,
                    row,
                    column,
                });
            }
        }
    }
    list
}

/// The pixels `lines` of `count` maps, one map behind the other.
fn cut<T: Element>(maps: &[T], area: usize, count: usize, lines: impl Fn() -> Vec<std::ops::Range<usize>>) -> Vec<T> {
    let lines = lines();
    let mut pixels = Vec::with_capacity(count * lines.iter().map(ExactSizeIterator::len).sum::<usize>());
    for map in maps.chunks_exact(area).take(count) {
        for line in &lines {
            pixels.extend_from_slice(&map[line.clone()]);
        }
    }
    pixels
}

/// The convolution of `x` [n, inputs, h, w] with `kernels` [taps, outputs, inputs].
fn convolve<T: Element>(
    g: &Geometry,
    x: &[T],
    kernels: &[T],
    [inputs, outputs]: [usize; 2],
    bias: Option<&[T]>,
    precision: Precision,
) -> Vec<T> {
    let (list, area, width) = (overlaps(g), g.area(), g.size[1]);
    let parts = (rayon::current_num_threads() * 2)
        .div_ceil(g.images.max(1))
        .min(outputs);
    let per_part = outputs.div_ceil(parts);
    let parts = outputs.div_ceil(per_part);
    buffer(g.images * outputs * area, |out| {
        let out = Shared::fresh(out);
        for_ranges(g.images * parts, 1, |range| {
            for task in range {
                let (image, first) = (task / parts, task % parts * per_part);
                let count = per_part.min(outputs - first);
                // SAFETY: this task alone writes these maps.
                let maps = unsafe { out.new_part((image * outputs + first) * area, count * area) };
                let maps = filled(maps, T::zero());
                if let Some(bias) = bias {
                    for (map, b) in maps.chunks_exact_mut(area).zip(&bias[first..]) {
                        map.fill(*b);
                    }
                }
                let seen = &x[image * inputs * area..][..inputs * area];
                for overlap in &list {
                    let pixels = overlap.pixels();
                    let columns = cut(seen, area, inputs, || {
                        overlap.lines(overlap.row, overlap.column, width).collect()
                    });
                    let kernel = &kernels[(overlap.tap * outputs + first) * inputs..];
                    let kernel = Matrix::new(kernel, count, inputs, inputs);
                    let columns = Matrix::new(&columns, inputs, pixels, pixels);
                    let sums = kernel.times(columns).at(precision).values();
                    for (map, sums) in maps.chunks_exact_mut(area).zip(sums.chunks_exact(pixels)) {
                        let lines = overlap.lines(overlap.rows.start, overlap.columns.start, width);
                        for (line, sums) in lines.zip(sums.chunks_exact(overlap.columns.len())) {
                            for (t, s) in map[line].iter_mut().zip(sums) {
                                *t += *s;
                            }
                        }
                    }
                }
            }
        });
    })
}

/// `w` [outputs, inputs, taps] as [taps, outputs, inputs], or with `turned` as [taps backwards, inputs, outputs].
fn by_tap<T: Element>(g: &Geometry, w: &[T], turned: bool) -> Vec<T> {
    let (taps, inputs, outputs) = (g.kernel[0] * g.kernel[1], g.inputs, g.outputs);
    let (rows, length) = if turned { (inputs, outputs) } else { (outputs, inputs) };
    buffer(w.len(), |to| {
        let to = Shared::fresh(to);
        for_ranges(rows, 16, |range| {
            for row in range {
                for at in 0..length {
                    let from = if turned { at * inputs + row } else { row * inputs + at };
                    for (tap, v) in w[from * taps..][..taps].iter().enumerate() {
                        let tap = if turned { taps - 1 - tap } else { tap };
                        // SAFETY: this task alone writes this row of every tap.
                        let place = unsafe { to.new_part((tap * rows + row) * length + at, 1) };
                        place[0].write(*v);
                    }
                }
            }
        });
    })
}

impl<T: Element> Convolution<T> for Taps {
    /// The map keeps its size, and more than half of the products would be with zeros outside it.
    fn suits(&self, g: &Geometry) -> bool {
        let inside = |axis: usize| -> usize {
            let spans = (0..g.kernel[axis]).map(|tap| g.inside(axis, tap));
            spans.map(|(low, high, _)| high - low).sum()
        };
        g.stride == [1, 1]
            && g.groups == 1
            && (0..2).all(|i| g.kernel[i] % 2 == 1 && g.padding[i] == g.dilation[i] * (g.kernel[i] - 1) / 2)
            && 2 * inside(0) * inside(1) < g.kernel[0] * g.kernel[1] * g.out_area()
    }

    fn forward(&self, g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, precision: Precision) -> Vec<T> {
        convolve(g, x, &by_tap(g, w, false), [g.inputs, g.outputs], bias, precision)
    }

    /// The convolution of `dy` with the kernel turned round.
    fn input_gradient(&self, g: &Geometry, w: &[T], dy: &[T], precision: Precision) -> Vec<T> {
        convolve(g, dy, &by_tap(g, w, true), [g.outputs, g.inputs], None, precision)
    }

    /// For each tap the product of the two rectangles it joins, summed over the images in order.
    fn weight_gradient(&self, g: &Geometry, x: &[T], dy: &[T], precision: Precision) -> Vec<T> {
        let (list, area, width) = (overlaps(g), g.area(), g.size[1]);
        let (taps, inputs, outputs) = (g.kernel[0] * g.kernel[1], g.inputs, g.outputs);
        let per_part = outputs.div_ceil((rayon::current_num_threads() * 2).min(outputs));
        buffer(outputs * inputs * taps, |dw| {
            let dw = Shared::fresh(dw);
            for_ranges(outputs, per_part, |range| {
                let (first, count) = (range.start, range.len());
                // SAFETY: this task alone writes these kernels.
                let kernels = filled(
                    unsafe { dw.new_part(first * inputs * taps, count * inputs * taps) },
                    T::zero(),
                );
                let mut sums = vec![T::zero(); count * inputs];
                for overlap in &list {
                    let pixels = overlap.pixels();
                    for image in 0..g.images {
                        let from = &dy[(image * outputs + first) * area..][..count * area];
                        let seen = &x[image * inputs * area..][..inputs * area];
                        let place = (overlap.rows.start, overlap.columns.start);
                        let gradient = cut(from, area, count, || overlap.lines(place.0, place.1, width).collect());
                        let columns = cut(seen, area, inputs, || {
                            overlap.lines(overlap.row, overlap.column, width).collect()
                        });
                        let gradient = Matrix::new(&gradient, count, pixels, pixels);
                        let columns = Matrix::new(&columns, inputs, pixels, pixels).transposed();
                        gradient
                            .times(columns)
                            .at(precision)
                            .store(&mut sums, inputs, image > 0);
                    }
                    for (kernel, sum) in kernels.chunks_exact_mut(taps).zip(&sums) {
                        kernel[overlap.tap] = *sum;
                    }
                }
            });
        })
    }
}
