//! The Lovasz-softmax loss: the Jaccard index itself, extended to probabilities.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::error::Result;
use crate::loss::labels::targets;
use crate::ops::numbers;

/// `mean over the classes present of sum_i e_i g_i`: `e` the errors `|[y = c] - p_c|` of the valid pixels in falling order, `g` the
/// steps by which the Jaccard loss of class c grows as they are taken in that order. `logits`: `[n, c, h, w]`, `labels`: integers
/// `[n, h, w]`, all images together. Nothing valid: 0 with zero gradient. Cost: a sort of the pixels for every class. Source: Berman et
/// al. 2018.
///
/// # Errors
/// Shapes that differ, a label outside `0..c`.
pub fn lovasz(logits: &Tensor, labels: &Tensor, ignore_label: i64) -> Result<Tensor> {
    let (n, c, h, w) = logits.dims4()?;
    let classes = targets("lovasz", logits, labels, ignore_label)?;
    let area = h * w;
    let valid: Vec<(usize, usize)> = classes
        .iter()
        .enumerate()
        .filter_map(|(pixel, class)| Some((pixel, (*class)?)))
        .collect();
    let numbers = numbers(logits)?;
    let place = |pixel: usize, class: usize| (pixel / area * c + class) * area + pixel % area;
    // the probabilities of each valid pixel, pixel by pixel
    let mut shares = vec![0f64; valid.len() * c];
    shares.par_chunks_mut(c).zip(&valid).for_each(|(p, (pixel, _))| {
        let logit = |k: usize| numbers[place(*pixel, k)];
        let largest = (0..c).map(logit).fold(f64::NEG_INFINITY, f64::max);
        (0..c).for_each(|k| p[k] = (logit(k) - largest).exp());
        let sum: f64 = p.iter().sum();
        p.iter_mut().for_each(|p| *p /= sum);
    });
    let present: Vec<usize> = (0..c).filter(|k| valid.iter().any(|(_, class)| class == k)).collect();
    let count = present.len().max(1) as f64;
    let parts: Vec<(f64, Vec<f64>)> = present
        .par_iter()
        .map(|k| of_class(&valid, |i| shares[i * c + k], *k))
        .collect();
    let value = parts.iter().map(|(loss, _)| loss).sum::<f64>() / count;
    // through the softmax: p_k (s_k - sum_j s_j p_j), s the slopes by the probabilities
    let mut slopes = vec![0f64; n * c * area];
    for (i, (pixel, _)) in valid.iter().enumerate() {
        let p = &shares[i * c..][..c];
        let along: f64 = present.iter().zip(&parts).map(|(k, (_, s))| s[i] * p[*k]).sum();
        for (k, share) in p.iter().enumerate() {
            slopes[place(*pixel, k)] = -share * along / count;
        }
        for (k, (_, s)) in present.iter().zip(&parts) {
            slopes[place(*pixel, *k)] += p[*k] * s[i] / count;
        }
    }
    let slopes = Tensor::from_vec(slopes, (n, c, h, w), logits.device())?.to_dtype(logits.dtype())?;
    super::with_slope(value, &super::total(&(logits * slopes)?, false)?)
}

/// The loss of one class, and its slope by the probability of each valid pixel.
fn of_class(valid: &[(usize, usize)], share: impl Fn(usize) -> f64, class: usize) -> (f64, Vec<f64>) {
    let error = |i: usize| match valid[i].1 == class {
        true => 1.0 - share(i),
        false => share(i),
    };
    let mut order: Vec<(f64, u32)> = (0..valid.len()).map(|i| (error(i), i as u32)).collect();
    order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let total = valid.iter().filter(|(_, c)| *c == class).count() as f64;
    let (mut hits, mut misses, mut before, mut loss) = (0.0, 0.0, 0.0, 0.0);
    let mut slopes = vec![0f64; valid.len()];
    for (error, i) in order {
        let right = valid[i as usize].1 == class;
        if right {
            hits += 1.0;
        } else {
            misses += 1.0;
        }
        let jaccard = 1.0 - (total - hits) / (total + misses);
        let step = jaccard - before;
        before = jaccard;
        loss += error * step;
        slopes[i as usize] = if right { -step } else { step };
    }
    (loss, slopes)
}
