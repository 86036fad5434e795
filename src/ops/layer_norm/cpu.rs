//! Strips of positions, all their channels while they are in the cache; the gradients of weight and bias channel by channel.

use super::Sizes;
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{STRIP, Shared, buffer, for_ranges, for_strips, per_task, wide};

/// Mean and `1 / sqrt(var + eps)` of each position, `[images, area]`.
pub(super) struct Moments<T> {
    mean: Vec<T>,
    scale: Vec<T>,
}

wide! {
/// The normalised map, and the moments it was normalised by.
pub(super) fn forward<T: Element>(s: Sizes, x: &[T], w: &[T], b: &[T], eps: f64) -> (Vec<T>, Moments<T>) {
    let (count, eps) = (T::from_f64(s.channels as f64), T::from_f64(eps));
    let (mut means, mut scales) = (vec![T::zero(); s.images * s.area], vec![T::zero(); s.images * s.area]);
    let (mean, scale) = (Shared::new(&mut means), Shared::new(&mut scales));
    let result = buffer(x.len(), |out| {
        let out = Shared::fresh(out);
        for_strips([s.images, s.channels, s.area], |image, start, len| {
            let at = |c: usize| (image * s.channels + c) * s.area + start;
            let here = image * s.area + start;
            // SAFETY: this task alone handles these positions.
            let (mean, scale) = unsafe { (mean.part(here, len), scale.part(here, len)) };
            for c in 0..s.channels {
                for (m, v) in mean.iter_mut().zip(&x[at(c)..]) {
                    *m += *v;
                }
            }
            mean.iter_mut().for_each(|m| *m /= count);
            for c in 0..s.channels {
                for ((k, m), v) in scale.iter_mut().zip(&*mean).zip(&x[at(c)..]) {
                    *k += (*v - *m) * (*v - *m);
                }
            }
            scale.iter_mut().for_each(|k| *k = T::one() / (*k / count + eps).sqrt());
            for c in 0..s.channels {
                // SAFETY: as above.
                let to = unsafe { out.new_part(at(c), len) };
                for (((t, v), m), k) in to.iter_mut().zip(&x[at(c)..]).zip(&*mean).zip(&*scale) {
                    t.write((*v - *m) * *k * w[c] + b[c]);
                }
            }
        });
    });
    (result, Moments { mean: means, scale: scales })
}
}

wide! {
/// `scale (g - mean(g) - xhat mean(g xhat))` with `g = dy weight`, the means over the channels.
pub(super) fn input_gradient<T: Element>(s: Sizes, x: &[T], w: &[T], moments: &Moments<T>, dy: &[T]) -> Vec<T> {
    let count = T::from_f64(s.channels as f64);
    buffer(x.len(), |out| {
        let out = Shared::fresh(out);
        for_strips([s.images, s.channels, s.area], |image, start, len| {
            let at = |c: usize| (image * s.channels + c) * s.area + start;
            let here = image * s.area + start;
            let (mean, scale) = (&moments.mean[here..][..len], &moments.scale[here..][..len]);
            let (mut plain, mut along) = ([T::zero(); STRIP], [T::zero(); STRIP]);
            for c in 0..s.channels {
                let (x, dy) = (&x[at(c)..][..len], &dy[at(c)..][..len]);
                for i in 0..len {
                    let g = dy[i] * w[c];
                    plain[i] += g;
                    along[i] += g * (x[i] - mean[i]) * scale[i];
                }
            }
            for (a, b) in plain.iter_mut().zip(&mut along) {
                *a /= count;
                *b /= count;
            }
            for c in 0..s.channels {
                let (x, dy) = (&x[at(c)..][..len], &dy[at(c)..][..len]);
                // SAFETY: this task alone handles these positions.
                let to = unsafe { out.new_part(at(c), len) };
                for i in 0..len {
                    let normal = (x[i] - mean[i]) * scale[i];
                    to[i].write(scale[i] * (dy[i] * w[c] - plain[i] - normal * along[i]));
                }
            }
        });
    })
}
}

wide! {
/// The gradients of weight, `sum dy xhat`, and of bias, `sum dy`, over images and positions.
pub(super) fn affine_gradients<T: Element>(s: Sizes, x: &[T], moments: &Moments<T>, dy: &[T]) -> (Vec<T>, Vec<T>) {
    let (mut weight, mut bias) = (vec![T::zero(); s.channels], vec![T::zero(); s.channels]);
    let (dw, db) = (Shared::new(&mut weight), Shared::new(&mut bias));
    for_ranges(s.channels, per_task(s.images * s.area), |range| {
        for c in range {
            let (mut products, mut sum) = (0.0, 0.0);
            for image in 0..s.images {
                let at = (image * s.channels + c) * s.area;
                for start in (0..s.area).step_by(STRIP) {
                    let len = STRIP.min(s.area - start);
                    let (x, dy) = (&x[at + start..][..len], &dy[at + start..][..len]);
                    let here = image * s.area + start;
                    let (mean, scale) = (&moments.mean[here..][..len], &moments.scale[here..][..len]);
                    let mut terms = [T::zero(); STRIP];
                    for i in 0..len {
                        terms[i] = dy[i] * (x[i] - mean[i]) * scale[i];
                    }
                    products += sum_of(&terms);
                    terms.fill(T::zero());
                    terms[..len].copy_from_slice(dy);
                    sum += sum_of(&terms);
                }
            }
            // SAFETY: this task alone handles channel `c`.
            unsafe {
                dw.part(c, 1)[0] = T::from_f64(products);
                db.part(c, 1)[0] = T::from_f64(sum);
            }
        }
    });
    (weight, bias)
}
}

/// The sum of a strip, sixteen at a time.
#[inline(always)]
fn sum_of<T: Element>(terms: &[T; STRIP]) -> f64 {
    let mut sums = [T::zero(); 16];
    for block in terms.chunks_exact(16) {
        for (s, v) in sums.iter_mut().zip(block) {
            *s += *v;
        }
    }
    sums.iter().map(|s| s.to_f64()).sum()
}
