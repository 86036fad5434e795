//! Strips of the inner dimension, so that every pass reads memory in order.

use super::Around;
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{STRIP, Shared, buffer, filled, for_strips, wide};

wide! {
/// The unit vectors, and the lengths before (at least `eps`).
pub(super) fn forward<T: Element>(a: Around, eps: f64, x: &[T]) -> (Vec<T>, Vec<T>) {
    let eps = T::from_f64(eps);
    let mut lengths = Vec::new();
    let result = buffer(x.len(), |out| {
        let out = Shared::fresh(out);
        lengths = buffer(a.outer * a.inner, |lengths| {
            let lengths = Shared::fresh(lengths);
            for_strips([a.outer, a.length, a.inner], |outer, start, count| {
                // SAFETY: this task alone handles these positions.
                let norm = filled(unsafe { lengths.new_part(outer * a.inner + start, count) }, T::zero());
                let at = |i: usize| (outer * a.length + i) * a.inner + start;
                if a.inner == 1 {
                    norm[0] = x[at(0)..][..a.length].iter().map(|v| *v * *v).sum();
                } else {
                    for i in 0..a.length {
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
                if a.inner == 1 {
                    // SAFETY: as above.
                    let to = unsafe { out.new_part(at(0), a.length) };
                    for (t, v) in to.iter_mut().zip(&x[at(0)..]) {
                        t.write(*v * inverse[0]);
                    }
                    return;
                }
                for i in 0..a.length {
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
pub(super) fn backward<T: Element>(a: Around, eps: f64, y: &[T], lengths: &[T], dy: &[T]) -> Vec<T> {
    let eps = T::from_f64(eps);
    buffer(y.len(), |dx| {
        let dx = Shared::fresh(dx);
        for_strips([a.outer, a.length, a.inner], |outer, start, count| {
            let norm = &lengths[outer * a.inner + start..][..count];
            let at = |i: usize| (outer * a.length + i) * a.inner + start;
            let mut dots = [T::zero(); STRIP];
            if a.inner == 1 {
                dots[0] = y[at(0)..][..a.length]
                    .iter()
                    .zip(&dy[at(0)..])
                    .map(|(y, d)| *y * *d)
                    .sum();
            } else {
                for i in 0..a.length {
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
            if a.inner == 1 {
                // SAFETY: this task alone handles these positions.
                let to = unsafe { dx.new_part(at(0), a.length) };
                for ((t, y), d) in to.iter_mut().zip(&y[at(0)..]).zip(&dy[at(0)..]) {
                    t.write((*d - *y * dots[0]) * inverse[0]);
                }
                return;
            }
            for i in 0..a.length {
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
