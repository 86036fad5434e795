//! One task per channel: its statistics, then (while it is still in the cache) its values.

use std::mem::MaybeUninit;

use super::{BatchNormOptions, Sizes};
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Shared, buffer, by_maps, for_ranges, per_task, wide};

/// Mean, biased variance and `1 / sqrt(var + eps)` of each channel, as used by the forward pass.
pub(super) struct Statistics {
    pub(super) mean: Vec<f64>,
    pub(super) var: Vec<f64>,
    pub(super) scale: Vec<f64>,
}

/// What [`backward`] returns; `residual` only where it is not simply the result's gradient.
pub(super) struct Gradients<T> {
    pub(super) input: Vec<T>,
    pub(super) weight: Vec<T>,
    pub(super) bias: Vec<T>,
    pub(super) residual: Option<Vec<T>>,
}

/// Elements summed in single precision before the sum goes on in double: a first-level cache of 32 KiB, half.
const BLOCK: usize = 4096;
/// Running sums side by side.
const LANES: usize = 32;

/// The sum of `term(x)` over a block.
#[inline(always)]
fn sum_by<T: Element>(x: &[T], term: impl Fn(T) -> T) -> f64 {
    let mut sums = [T::zero(); LANES];
    let blocks = x.chunks_exact(LANES);
    let rest: f64 = blocks.remainder().iter().map(|v| term(*v).to_f64()).sum();
    for block in blocks {
        for (s, v) in sums.iter_mut().zip(block) {
            *s += term(*v);
        }
    }
    sums.iter().map(|s| s.to_f64()).sum::<f64>() + rest
}

/// Mean and sum of squared deviations of a channel: block by block in two passes over the first-level cache, joined by the
/// formula of Chan, Golub, LeVeque (1979).
#[inline(always)]
fn moments<'a, T: Element>(maps: impl Iterator<Item = &'a [T]>) -> (f64, f64) {
    let (mut count, mut mean, mut spread) = (0.0, 0.0, 0.0);
    for block in maps.flat_map(|map| map.chunks(BLOCK)) {
        let n = block.len() as f64;
        let centre = sum_by(block, |v| v) / n;
        let around = T::from_f64(centre);
        let deviation = sum_by(block, |v| (v - around) * (v - around));
        let total = count + n;
        let delta = centre - mean;
        spread += deviation + delta * delta * count * n / total;
        mean += delta * n / total;
        count = total;
    }
    (mean, spread)
}

wide! {
/// The normalised batch and the statistics used; `given` are the running ones for evaluation.
pub(super) fn forward<T: Element>(
    sizes: Sizes,
    x: &[T],
    affine: [&[T]; 2],
    residual: Option<&[T]>,
    given: Option<(Vec<f64>, Vec<f64>)>,
    o: &BatchNormOptions,
) -> (Vec<T>, Statistics) {
    let Sizes { images, channels, area } = sizes;
    let [w, b] = affine;
    let count = (images * area) as f64;
    let mut statistics = Statistics {
        mean: vec![0.0; channels],
        var: vec![0.0; channels],
        scale: vec![0.0; channels],
    };
    let known = given.is_some();
    if let Some((mean, var)) = given {
        statistics.mean = mean;
        statistics.var = var;
    }
    let mean = Shared::new(&mut statistics.mean);
    let var = Shared::new(&mut statistics.var);
    let scale = Shared::new(&mut statistics.scale);
    let result = buffer(x.len(), |out| {
        let out = Shared::fresh(out);
        for_ranges(channels, per_task(images * area), |range| {
            for c in range {
                // SAFETY: this task alone handles channel `c`.
                let (mean, var, scale) =
                    unsafe { (&mut mean.part(c, 1)[0], &mut var.part(c, 1)[0], &mut scale.part(c, 1)[0]) };
                if !known {
                    let (m, spread) = moments((0..images).map(|n| &x[(n * channels + c) * area..][..area]));
                    (*mean, *var) = (m, spread / count);
                }
                *scale = 1.0 / (*var + o.eps).sqrt();
                let (factor, shift) = affine_of(w[c], b[c], *mean, *scale);
                for n in 0..images {
                    let at = (n * channels + c) * area;
                    let map = &x[at..][..area];
                    // SAFETY: this task alone writes the maps of channel `c`.
                    let to = unsafe { out.new_part(at, area) };
                    match (residual.map(|r| &r[at..][..area]), o.relu) {
                        (None, false) => each(to, map, |v| v * factor + shift),
                        (None, true) => each(to, map, |v| T::zero().larger(v * factor + shift)),
                        (Some(r), false) => each2(to, map, r, |v, r| v * factor + shift + r),
                        (Some(r), true) => each2(to, map, r, |v, r| T::zero().larger(v * factor + shift + r)),
                    }
                }
            }
        });
    });
    (result, statistics)
}
}

/// The normalisation as one factor and one shift.
#[inline(always)]
fn affine_of<T: Element>(w: T, b: T, mean: f64, scale: f64) -> (T, T) {
    let factor = w.to_f64() * scale;
    (T::from_f64(factor), T::from_f64(b.to_f64() - mean * factor))
}

wide! {
/// The values of [`forward`] without a residual a second time, to the bit.
pub(super) fn again<T: Element>(sizes: Sizes, x: &[T], affine: [&[T]; 2], statistics: &Statistics, relu: bool) -> Vec<T> {
    let Sizes { channels, area, .. } = sizes;
    by_maps(x.len() / area.max(1), area, area, |plane, to| {
        let c = plane % channels;
        let (factor, shift) = affine_of(affine[0][c], affine[1][c], statistics.mean[c], statistics.scale[c]);
        let map = &x[plane * area..][..area];
        if relu {
            each(to, map, |v| T::zero().larger(v * factor + shift));
        } else {
            each(to, map, |v| v * factor + shift);
        }
    })
}
}

/// Where the gradient passes the rectifier.
#[derive(Clone, Copy)]
pub(super) enum Passed<'a, T> {
    /// Everywhere: there is none.
    All,
    /// Where the result is above 0, or NaN.
    Result(&'a [T]),
    /// Where the normalised input is above 0, or NaN.
    Input,
}

/// `dy` where the rectifier of `y` lets it pass: NaN is stopped nowhere, as PyTorch's does not.
#[inline(always)]
fn through<T: Element>(y: T, dy: T) -> T {
    if y <= T::zero() { T::zero() } else { dy }
}

#[inline(always)]
fn each<T: Element>(to: &mut [MaybeUninit<T>], a: &[T], f: impl Fn(T) -> T) {
    for (t, a) in to.iter_mut().zip(a) {
        t.write(f(*a));
    }
}

#[inline(always)]
fn each2<T: Element>(to: &mut [MaybeUninit<T>], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    for ((t, a), b) in to.iter_mut().zip(a).zip(b) {
        t.write(f(*a, *b));
    }
}

wide! {
/// The gradients, from the input `x` and the gradient `dy`.
///
/// With `d` = `dy` where the rectifier passed: `bias = sum d`, `weight = sum d xhat`,
/// `input = weight scale (d - (sum d + xhat sum d xhat) / count)`, without the bracket's second part in evaluation.
pub(super) fn backward<T: Element>(
    sizes: Sizes,
    x: &[T],
    affine: [&[T]; 2],
    passed: Passed<T>,
    dy: &[T],
    statistics: &Statistics,
    training: bool,
    want_residual: bool,
) -> Gradients<T> {
    let Sizes { images, channels, area } = sizes;
    let count = (images * area) as f64;
    let mut weight = vec![T::zero(); channels];
    let mut bias = vec![T::zero(); channels];
    let (dw, db) = (Shared::new(&mut weight), Shared::new(&mut bias));
    let mut residual = None;
    let input = buffer(x.len(), |dx| {
        let dx = Shared::fresh(dx);
        let run = |aside: Option<Shared<T>>| {
            for_ranges(channels, per_task(images * area), |range| {
                for c in range {
                    let (mean, scale) = (statistics.mean[c], statistics.scale[c]);
                    let (factor, shift) = affine_of(affine[0][c], affine[1][c], mean, scale);
                    let centre = T::from_f64(mean);
                    let (mut sum, mut product) = (0.0, 0.0);
                    for n in 0..images {
                        let at = (n * channels + c) * area;
                        for from in (at..at + area).step_by(BLOCK) {
                            let part = from..(from + BLOCK).min(at + area);
                            let (x, dy) = (&x[part.clone()], &dy[part.clone()]);
                            let (s, p) = match passed {
                                Passed::All => sums(x, x, dy, centre, |_, d| d),
                                Passed::Result(y) => sums(x, &y[part], dy, centre, through),
                                Passed::Input => sums(x, x, dy, centre, |x, d| through(x * factor + shift, d)),
                            };
                            sum += s;
                            product += p;
                        }
                    }
                    let total = product * scale;
                    // SAFETY: this task alone handles channel `c`.
                    unsafe {
                        dw.part(c, 1)[0] = T::from_f64(total);
                        db.part(c, 1)[0] = T::from_f64(sum);
                    }
                    // dx = a d + b x + e
                    let a = affine[0][c].to_f64() * scale;
                    let b = if training { -a * scale * total / count } else { 0.0 };
                    let e = if training { -a * sum / count - b * mean } else { 0.0 };
                    let (a, b, e) = (T::from_f64(a), T::from_f64(b), T::from_f64(e));
                    // in evaluation nothing of x, which may be NaN
                    let back = |x: T, d: T| if training { a * d + b * x + e } else { a * d };
                    for n in 0..images {
                        let at = (n * channels + c) * area;
                        let (map, d) = (&x[at..][..area], &dy[at..][..area]);
                        // SAFETY: this task alone writes the maps of channel `c`.
                        let to = unsafe { dx.new_part(at, area) };
                        match (passed, aside) {
                            (Passed::All, _) => each2(to, map, d, back),
                            (Passed::Input, _) => each2(to, map, d, |x, d| {
                                back(x, through(x * factor + shift, d))
                            }),
                            (Passed::Result(y), Some(aside)) => {
                                // SAFETY: as above.
                                let aside = unsafe { aside.new_part(at, area) };
                                let maps = to.iter_mut().zip(aside).zip(map).zip(d).zip(&y[at..][..area]);
                                for ((((t, aside), x), d), y) in maps {
                                    let d = through(*y, *d);
                                    aside.write(d);
                                    t.write(back(*x, d));
                                }
                            }
                            (Passed::Result(y), None) => {
                                for (((t, x), d), y) in to.iter_mut().zip(map).zip(d).zip(&y[at..][..area]) {
                                    t.write(back(*x, through(*y, *d)));
                                }
                            }
                        }
                    }
                }
            });
        };
        if want_residual {
            residual = Some(buffer(x.len(), |aside| run(Some(Shared::fresh(aside)))));
        } else {
            run(None);
        }
    });
    Gradients {
        input,
        weight,
        bias,
        residual,
    }
}
}

/// `sum d` and `sum d (x - centre)` over a block, `d` = `through(y, dy)`.
#[inline(always)]
fn sums<T: Element>(x: &[T], y: &[T], dy: &[T], centre: T, through: impl Fn(T, T) -> T) -> (f64, f64) {
    let (mut sum, mut product) = ([T::zero(); LANES], [T::zero(); LANES]);
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ds, d_rest) = dy.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    let mut add = |i: usize, x: T, y: T, d: T| {
        let d = through(y, d);
        sum[i] += d;
        product[i] += d * (x - centre);
    };
    for ((x, d), y) in xs.iter().zip(ds).zip(ys) {
        for i in 0..LANES {
            add(i, x[i], y[i], d[i]);
        }
    }
    for (i, ((x, d), y)) in x_rest.iter().zip(d_rest).zip(y_rest).enumerate() {
        add(i, *x, *y, *d);
    }
    let total = |lanes: &[T; LANES]| lanes.iter().map(|v| v.to_f64()).sum::<f64>();
    (total(&sum), total(&product))
}
