//! Strips of the inner dimension, so that every pass reads memory in order.

use crate::ops::kernel::cpu::{STRIP, Shared, buffer, for_strips, wide};
use crate::ops::kernel::{Element, is_nan};

/// Numbers that are added side by side.
const LANES: usize = 8;

wide! {
/// Softmax of `[outer, length, inner]` over the length, or its logarithm.
pub(super) fn forward<T: Element>(around: [usize; 3], log: bool, x: &[T]) -> Vec<T> {
    let [_, length, inner] = around;
    buffer(x.len(), |out| {
        let out = Shared::fresh(out);
        for_strips(around, |outer, start, count| {
            let at = |i: usize| (outer * length + i) * inner + start;
            if inner == 1 {
                let line = &x[at(0)..][..length];
                let largest = line.iter().fold(T::from_f64(f64::NEG_INFINITY), |a, b| above(a, *b));
                let total = added(length, |i| power(line[i] - largest));
                // SAFETY: this task alone handles these positions.
                let to = unsafe { out.new_part(at(0), length) };
                let (less, factor) = (largest + T::from_f64(total.ln()), T::from_f64(1.0 / total));
                for (t, v) in to.iter_mut().zip(line) {
                    t.write(if log { *v - less } else { power(*v - largest) * factor });
                }
                return;
            }
            let (mut largest, mut total) = ([T::from_f64(f64::NEG_INFINITY); STRIP], [0.0; STRIP]);
            let (largest, total) = (&mut largest[..count], &mut total[..count]);
            for i in 0..length {
                for (m, v) in largest.iter_mut().zip(&x[at(i)..]) {
                    *m = above(*m, *v);
                }
            }
            for i in 0..length {
                // SAFETY: as above.
                let to = unsafe { out.new_part(at(i), count) };
                let values = to.iter_mut().zip(&x[at(i)..]);
                for ((t, v), (m, s)) in values.zip(largest.iter().zip(total.iter_mut())) {
                    let e = power(*v - *m);
                    *s += e.to_f64();
                    t.write(e);
                }
            }
            for (m, s) in largest.iter_mut().zip(total.iter_mut()) {
                if log {
                    *m += T::from_f64(s.ln());
                } else {
                    *m = T::from_f64(1.0 / *s);
                }
            }
            for i in 0..length {
                // SAFETY: as above; the second pass wrote them.
                let to = unsafe { out.part(at(i), count) };
                for ((t, v), m) in to.iter_mut().zip(&x[at(i)..]).zip(largest.iter()) {
                    *t = if log { *v - *m } else { *t * *m };
                }
            }
        });
    })
}
}

wide! {
/// The gradient of `x`: `y (dy - y . dy)`, or with the logarithm `dy - exp(y) (1 . dy)`.
pub(super) fn backward<T: Element>(around: [usize; 3], log: bool, y: &[T], dy: &[T]) -> Vec<T> {
    let [_, length, inner] = around;
    buffer(y.len(), |dx| {
        let dx = Shared::fresh(dx);
        for_strips(around, |outer, start, count| {
            let at = |i: usize| (outer * length + i) * inner + start;
            let part = |y: T, d: T| if log { d } else { y * d };
            let whole = |y: T, d: T, sum: T| if log { d - power(y) * sum } else { y * (d - sum) };
            if inner == 1 {
                let (y, dy) = (&y[at(0)..][..length], &dy[at(0)..][..length]);
                let sum = T::from_f64(added(length, |i| part(y[i], dy[i])));
                // SAFETY: this task alone handles these positions.
                let to = unsafe { dx.new_part(at(0), length) };
                for ((t, y), d) in to.iter_mut().zip(y).zip(dy) {
                    t.write(whole(*y, *d, sum));
                }
                return;
            }
            let mut sums = [0.0; STRIP];
            let sums = &mut sums[..count];
            for i in 0..length {
                for ((s, y), d) in sums.iter_mut().zip(&y[at(i)..]).zip(&dy[at(i)..]) {
                    *s += part(*y, *d).to_f64();
                }
            }
            for i in 0..length {
                // SAFETY: as above.
                let to = unsafe { dx.new_part(at(i), count) };
                let values = to.iter_mut().zip(&y[at(i)..]).zip(&dy[at(i)..]);
                for (((t, y), d), s) in values.zip(sums.iter()) {
                    t.write(whole(*y, *d, T::from_f64(*s)));
                }
            }
        });
    })
}
}

/// The larger one, and NaN if one of them is.
#[inline(always)]
fn above<T: Element>(a: T, b: T) -> T {
    if a < b || is_nan(b) { b } else { a }
}

/// The sum of `n` numbers, several side by side in double precision.
#[inline(always)]
fn added<T: Element>(n: usize, value: impl Fn(usize) -> T) -> f64 {
    let mut lanes = [0.0; LANES];
    for start in (0..n / LANES * LANES).step_by(LANES) {
        for (k, lane) in lanes.iter_mut().enumerate() {
            *lane += value(start + k).to_f64();
        }
    }
    let rest = (n / LANES * LANES..n).map(|i| value(i).to_f64());
    lanes.iter().sum::<f64>() + rest.sum::<f64>()
}

/// `e^x` of a number that is not above 0, 0 where it is smaller than all that the fast one gives.
#[inline(always)]
fn power<T: Element>(x: T) -> T {
    if x < T::from_f64(-87.3) { T::zero() } else { x.exp() }
}
