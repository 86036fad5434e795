//! Strips of the inner dimension, so that every pass reads memory in order.

use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{STRIP, Shared, buffer, filled, for_strips, wide};

wide! {
/// The unit vectors, and the lengths before (at least `eps`).
pub(super) fn forward<T: Element>(around: [usize; 3], eps: f64, x: &[T]) -> (Vec<T>, Vec<T>) {
    let ([_, length, inner], eps) = (around, T::from_f64(eps));
    let mut lengths = Vec::new();
    let result = buffer(x.len(), |out| {
        let out = Shared::fresh(out);
        lengths = buffer(around[0] * inner, |lengths| {
            let lengths = Shared::fresh(lengths);
            for_strips(around, |outer, start, count| {
                // SAFETY: this task alone handles these positions.
                let norm = filled(unsafe { lengths.new_part(outer * inner + start, count) }, T::zero());
                let at = |i: usize| (outer * length + i) * inner + start;
                if inner == 1 {
                    norm[0] = x[at(0)..][..length].iter().map(|v| *v * *v).sum();
                } else {
                    for i in 0..length {
                        for (n, v) in norm.iter_mut().zip(&x[at(i)..]) {
                            *n += *v * *v;
                        }
                    }
                }
                let mut inverse = [T::zero(); STRIP];
                for (n, inverse) in norm.iter_mut().zip(&mut inverse) {
                    *n = eps.larger(n.sqrt());
                    *inverse = T::one() / *n;
                }
                if inner == 1 {
                    // SAFETY: as above.
                    let to = unsafe { out.new_part(at(0), length) };
                    for (t, v) in to.iter_mut().zip(&x[at(0)..]) {
                        t.write(*v * inverse[0]);
                    }
                    return;
                }
                for i in 0..length {
                    // SAFETY: as above.
                    let to = unsafe { out.new_part(at(i), count) };
                    for ((t, v), f) in to.iter_mut().zip(&x[at(i)..]).zip(&inverse) {
                        t.write(*v * *f);
                    }
                }
            });
        });
    });
    (result, lengths)
}
}

wide! {
/// `(dy - y (y . dy)) / length`, or `dy / eps` where the length was cut off at `eps`.
pub(super) fn backward<T: Element>(around: [usize; 3], eps: f64, y: &[T], lengths: &[T], dy: &[T]) -> Vec<T> {
    let ([_, length, inner], eps) = (around, T::from_f64(eps));
    buffer(y.len(), |dx| {
        let dx = Shared::fresh(dx);
        for_strips(around, |outer, start, count| {
            let norm = &lengths[outer * inner + start..][..count];
            let at = |i: usize| (outer * length + i) * inner + start;
            let mut dots = [T::zero(); STRIP];
            if inner == 1 {
                dots[0] = y[at(0)..][..length]
                    .iter()
                    .zip(&dy[at(0)..])
                    .map(|(y, d)| *y * *d)
                    .sum();
            } else {
                for i in 0..length {
                    for ((s, y), d) in dots[..count].iter_mut().zip(&y[at(i)..]).zip(&dy[at(i)..]) {
                        *s += *y * *d;
                    }
                }
            }
            let mut inverse = [T::zero(); STRIP];
            for ((f, s), n) in inverse.iter_mut().zip(&mut dots).zip(norm) {
                *f = T::one() / *n;
                if *n <= eps {
                    *s = T::zero();
                }
            }
            if inner == 1 {
                // SAFETY: this task alone handles these positions.
                let to = unsafe { dx.new_part(at(0), length) };
                for ((t, y), d) in to.iter_mut().zip(&y[at(0)..]).zip(&dy[at(0)..]) {
                    t.write((*d - *y * dots[0]) * inverse[0]);
                }
                return;
            }
            for i in 0..length {
                // SAFETY: as above.
                let to = unsafe { dx.new_part(at(i), count) };
                let values = to.iter_mut().zip(&y[at(i)..]).zip(&dy[at(i)..]);
                for (((t, y), d), (s, f)) in values.zip(dots.iter().zip(&inverse)) {
                    t.write((*d - *y * *s) * *f);
                }
            }
        });
    })
}
}
