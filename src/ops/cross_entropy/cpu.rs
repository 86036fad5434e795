//! Value and gradient in one pass: strips of pixels whose logits fit the first-level cache.

use rayon::prelude::*;

use super::{Problem, Reduction};
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Shared, buffer, wide};

/// Pixels handled at once; with 19 classes of f32 a strip is 19 KiB.
const STRIP: usize = 256;
/// Strips per task.
const STRIPS_PER_TASK: usize = 16;

/// What the losses of the pixels came to.
pub(super) struct Loss<T> {
    /// Their sum or mean.
    pub(super) total: f64,
    /// Each of them, where they are not reduced.
    pub(super) map: Option<Vec<T>>,
    /// The gradient of the total by the logits.
    pub(super) gradient: Option<Vec<T>>,
}

wide! {
/// The loss and, when `wanted`, its gradient.
pub(super) fn loss<T: Element>(p: &Problem, logits: &[T], truth: &[i64], wanted: bool) -> Loss<T> {
    let counted = truth.iter().filter(|y| **y != p.ignore);
    let denominator: f64 = counted.map(|y| p.weights[*y as usize]).sum();
    let factor = match p.reduction {
        Reduction::Mean if denominator > 0.0 => 1.0 / denominator,
        Reduction::Mean => 0.0,
        Reduction::Sum | Reduction::None => 1.0,
    };
    let mut map = (p.reduction == Reduction::None).then(|| vec![T::zero(); truth.len()]);
    let losses = map.as_mut().map(|map| Shared::new(map));
    let strips = p.area.div_ceil(STRIP);
    let run = |gradient: Option<Shared<T>>| -> f64 {
        let tasks = (p.images * strips).div_ceil(STRIPS_PER_TASK);
        let sums: Vec<f64> = (0..tasks)
            .into_par_iter()
            .map(|task| {
                let mut scratch = Scratch::new();
                let all = task * STRIPS_PER_TASK..((task + 1) * STRIPS_PER_TASK).min(p.images * strips);
                let mut sum = 0.0;
                for strip in all {
                    let (image, start) = (strip / strips, strip % strips * STRIP);
                    let pixels = STRIP.min(p.area - start);
                    let labels = &truth[image * p.area + start..][..pixels];
                    let logits = &logits[image * p.classes * p.area + start..];
                    let gradient = gradient.map(|g| (g, image * p.classes * p.area + start));
                    let losses = losses.map(|l| l.from(image * p.area + start));
                    sum += strip_loss(p, logits, labels, factor, losses, gradient, &mut scratch);
                }
                sum
            })
            .collect();
        sums.iter().sum::<f64>() * factor
    };
    let mut total = 0.0;
    let gradient = if wanted {
        Some(buffer(logits.len(), |g| total = run(Some(Shared::fresh(g)))))
    } else {
        total = run(None);
        None
    };
    Loss { total, map, gradient }
}
}

/// Per-pixel numbers of one strip.
struct Scratch<T> {
    largest: [T; STRIP],
    total: [T; STRIP],
}

impl<T: Element> Scratch<T> {
    fn new() -> Self {
        Scratch {
            largest: [T::zero(); STRIP],
            total: [T::zero(); STRIP],
        }
    }
}

/// The weighted loss of one strip; `logits` starts at its first pixel, with `p.area` between classes. `losses` takes each pixel's.
#[inline(always)]
fn strip_loss<T: Element>(
    p: &Problem,
    logits: &[T],
    labels: &[i64],
    factor: f64,
    losses: Option<Shared<T>>,
    gradient: Option<(Shared<T>, usize)>,
    scratch: &mut Scratch<T>,
) -> f64 {
    let pixels = labels.len();
    let class = |c: usize| &logits[c * p.area..][..pixels];
    let largest = &mut scratch.largest[..pixels];
    let total = &mut scratch.total[..pixels];
    largest.copy_from_slice(class(0));
    for c in 1..p.classes {
        for (m, v) in largest.iter_mut().zip(class(c)) {
            *m = m.larger(*v);
        }
    }
    total.fill(T::zero());
    for c in 0..p.classes {
        match gradient {
            Some((g, at)) => {
                // SAFETY: this task alone writes these pixels.
                let to = unsafe { g.new_part(at + c * p.area, pixels) };
                for (((t, s), v), m) in to.iter_mut().zip(total.iter_mut()).zip(class(c)).zip(largest.iter()) {
                    *s += *t.write((*v - *m).exp());
                }
            }
            None => {
                for ((s, v), m) in total.iter_mut().zip(class(c)).zip(largest.iter()) {
                    *s += (*v - *m).exp();
                }
            }
        }
    }
    let spread = p.smoothing / p.classes as f64;
    let weight_sum: f64 = p.weights.iter().sum();
    let mut loss = 0.0;
    for (i, &y) in labels.iter().enumerate() {
        if y == p.ignore {
            continue;
        }
        let y = y as usize;
        let log_total = largest[i].to_f64() + total[i].ln().to_f64();
        let mut pixel = (1.0 - p.smoothing) * p.weights[y] * (log_total - logits[y * p.area + i].to_f64());
        if p.smoothing > 0.0 {
            for c in 0..p.classes {
                pixel += spread * p.weights[c] * (log_total - logits[c * p.area + i].to_f64());
            }
        }
        loss += pixel;
        if let Some(losses) = losses {
            // SAFETY: this task alone writes this pixel.
            let to = unsafe { losses.part(i, 1) };
            to[0] = T::from_f64(pixel);
        }
    }
    let Some((g, at)) = gradient else { return loss };
    // gradient of class c: (S softmax_c - b_c - a [c = y]) factor with a = (1 - s) w_y, b_c = s / C w_c, S = a + sum b
    for (i, &y) in labels.iter().enumerate() {
        let whole = if y == p.ignore {
            0.0
        } else {
            (1.0 - p.smoothing) * p.weights[y as usize] + spread * weight_sum
        };
        total[i] = T::from_f64(whole * factor) / total[i];
        largest[i] = if y == p.ignore {
            T::zero()
        } else {
            T::from_f64(spread * factor)
        };
    }
    for c in 0..p.classes {
        // SAFETY: this task alone writes these pixels.
        let to = unsafe { g.part(at + c * p.area, pixels) };
        if p.smoothing > 0.0 {
            let weight = T::from_f64(p.weights[c]);
            for ((t, s), b) in to.iter_mut().zip(total.iter()).zip(largest.iter()) {
                *t = *t * *s - *b * weight;
            }
        } else {
            for (t, s) in to.iter_mut().zip(total.iter()) {
                *t *= *s;
            }
        }
    }
    for (i, &y) in labels.iter().enumerate() {
        if y != p.ignore {
            // SAFETY: as above.
            let to = unsafe { g.part(at + y as usize * p.area + i, 1) };
            to[0] -= T::from_f64((1.0 - p.smoothing) * p.weights[y as usize] * factor);
        }
    }
    loss
}
