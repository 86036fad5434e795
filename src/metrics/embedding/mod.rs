//! Is the embedding any good: diagnostics of features with their classes, and two dimensions to look at.

mod projection;
mod spectrum;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use crate::ensure;
use crate::error::Result;
pub use projection::{Projection, project};

/// One class in the embedding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassSpread {
    /// Its label.
    pub label: i64,
    /// How many of the pixels it has.
    pub pixels: usize,
    /// Mean cosine of its pixels to their mean direction: 1 for a point, higher is tighter.
    pub intra: f64,
}

/// What can be said of an embedding without training anything on it. Features are compared by direction alone.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingDiagnostics {
    /// Pixels that were looked at.
    pub pixels: usize,
    /// The classes, by ascending label.
    pub classes: Vec<ClassSpread>,
    /// Mean squared distance of two pixels of one class, 0 to 4, lower is better; `None` if no class has two.
    pub alignment: Option<f64>,
    /// log mean e^(-2 d^2) over all pairs of pixels, 0 (one point) to about -4 (spread over the sphere), lower is more even.
    pub uniformity: Option<f64>,
    /// Mean of the classes' `intra`.
    pub intra: f64,
    /// Mean cosine between the mean directions of two classes, lower is better; `None` for one class.
    pub inter: Option<f64>,
    /// The largest of these cosines: the two classes that are confused most easily.
    pub inter_largest: Option<f64>,
    /// e^(entropy of the shares of variance), 1 to the number of channels: how many directions are used.
    pub effective_rank: f64,
}

/// Diagnostics of `features` (`labels.len()` rows of `dim` numbers, any norm; rows of norm 0 are left out).
///
/// Alignment and uniformity: Wang and Isola 2020; effective rank: Roy and Vetterli 2007. Cost: `n^2 dim + dim^3` operations: take
/// a few hundred to a few thousand pixels.
///
/// # Errors
/// No pixel with a direction, features that are not finite, or another number of numbers than `labels.len() * dim`.
pub fn diagnose(features: &[f32], dim: usize, labels: &[i64]) -> Result<EmbeddingDiagnostics> {
    let (rows, labels) = directions(features, dim, labels)?;
    let n = labels.len();
    let mut sums: BTreeMap<i64, (usize, Vec<f64>)> = BTreeMap::new();
    for (row, &label) in rows.chunks_exact(dim).zip(&labels) {
        let (count, sum) = sums.entry(label).or_insert_with(|| (0, vec![0.0; dim]));
        *count += 1;
        sum.iter_mut().zip(row).for_each(|(s, x)| *s += f64::from(*x));
    }
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    // the mean cosine to the mean direction is the length of the mean; the pairs' cosines add up to |sum|^2 - n
    let classes: Vec<ClassSpread> = sums
        .iter()
        .map(|(&label, (count, sum))| ClassSpread {
            label,
            pixels: *count,
            intra: norm(sum) / *count as f64,
        })
        .collect();
    let pairs: f64 = sums.values().map(|(count, _)| (count * (count - 1)) as f64).sum();
    let cosines: f64 = sums
        .values()
        .map(|(count, sum)| norm(sum).powi(2) - *count as f64)
        .sum();
    let means: Vec<Vec<f64>> = sums
        .values()
        .filter(|(_, sum)| norm(sum) > 0.0)
        .map(|(_, sum)| sum.iter().map(|x| x / norm(sum)).collect())
        .collect();
    let mut between = Vec::new();
    for (i, a) in means.iter().enumerate() {
        between.extend(
            means[..i]
                .iter()
                .map(|b| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>()),
        );
    }
    Ok(EmbeddingDiagnostics {
        pixels: n,
        alignment: (pairs > 0.0).then(|| (2.0 - 2.0 * cosines / pairs).max(0.0)),
        uniformity: uniformity(&rows, dim)?,
        intra: classes.iter().map(|c| c.intra).sum::<f64>() / classes.len() as f64,
        inter: (!between.is_empty()).then(|| between.iter().sum::<f64>() / between.len() as f64),
        inter_largest: between.iter().copied().reduce(f64::max),
        effective_rank: effective_rank(&rows, dim),
        classes,
    })
}

/// The rows divided by their norms, and their labels; rows of norm 0 are left out.
fn directions(features: &[f32], dim: usize, labels: &[i64]) -> Result<(Vec<f32>, Vec<i64>)> {
    ensure!(
        dim > 0 && features.len() == labels.len() * dim,
        "embedding: {} numbers for {} pixels of {dim} channels, expected {}",
        features.len(),
        labels.len(),
        labels.len() * dim
    );
    let mut rows = Vec::with_capacity(features.len());
    let mut kept = Vec::with_capacity(labels.len());
    for (row, &label) in features.chunks_exact(dim).zip(labels) {
        let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        ensure!(
            norm.is_finite(),
            "embedding: features that are not finite; has the network diverged?"
        );
        if norm > 0.0 {
            rows.extend(row.iter().map(|x| (f64::from(*x) / norm) as f32));
            kept.push(label);
        }
    }
    ensure!(
        !kept.is_empty(),
        "embedding: no pixel with features other than 0; are all labels ignored?"
    );
    Ok((rows, kept))
}

fn uniformity(rows: &[f32], dim: usize) -> Result<Option<f64>> {
    let n = rows.len() / dim;
    if n < 2 {
        return Ok(None);
    }
    let x = Tensor::from_slice(rows, (n, dim), &Device::Cpu)?;
    let cosines: Vec<f32> = x.matmul(&x.t()?)?.flatten_all()?.to_vec1()?;
    // e^(-2 |a - b|^2) = e^(4 cos - 4)
    let sum: f64 = cosines
        .chunks_exact(n)
        .enumerate()
        .map(|(i, row)| row[..i].iter().map(|c| f64::from((4.0 * c - 4.0).exp())).sum::<f64>())
        .sum();
    Ok(Some((2.0 * sum / (n * (n - 1)) as f64).ln()))
}

/// From the covariance of the rows, or the Gram matrix of the centred rows, which has the same spectrum, if that is smaller.
fn effective_rank(rows: &[f32], dim: usize) -> f64 {
    let n = rows.len() / dim;
    let mut mean = vec![0.0f64; dim];
    rows.chunks_exact(dim).for_each(|row| {
        mean.iter_mut()
            .zip(row)
            .for_each(|(m, x)| *m += f64::from(*x) / n as f64)
    });
    let centred: Vec<f64> = rows
        .iter()
        .zip(mean.iter().cycle())
        .map(|(x, m)| f64::from(*x) - m)
        .collect();
    let values = spectrum::eigenvalues(spectrum::gram(&centred, n, dim));
    let total: f64 = values.iter().map(|v| v.max(0.0)).sum();
    if total <= 1e-12 {
        return 1.0;
    }
    let shares = values.iter().map(|v| v.max(0.0) / total).filter(|share| *share > 0.0);
    shares.map(|share| -share * share.ln()).sum::<f64>().exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tight_classes_at_right_angles() {
        // class 3 twice at x, class 8 twice at y (lengths do not matter)
        let d = diagnose(&[2.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 5.0], 2, &[3, 3, 8, 8]).unwrap();
        assert_eq!((d.pixels, d.alignment, d.intra), (4, Some(0.0), 1.0));
        assert_eq!((d.inter, d.inter_largest), (Some(0.0), Some(0.0)));
        // 2 of 6 pairs at distance 0, 4 at squared distance 2
        assert!((d.uniformity.unwrap() - ((2.0 + 4.0 * (-4f64).exp()) / 6.0).ln()).abs() < 1e-6);
        assert!((d.effective_rank - 1.0).abs() < 1e-6); // all variance lies along x - y
    }

    #[test]
    fn opposite_pixels_of_one_class_are_as_far_as_can_be() {
        let d = diagnose(&[1.0, 0.0, -1.0, 0.0], 2, &[0, 0]).unwrap();
        assert_eq!((d.alignment, d.intra, d.inter), (Some(4.0), 0.0, None));
    }

    #[test]
    fn an_even_cloud_uses_all_directions() {
        let mut random = crate::random::Random::new(0);
        let cloud: Vec<f32> = (0..4000 * 6).map(|_| random.normal() as f32).collect();
        let d = diagnose(&cloud, 6, &vec![0; 4000][..]).unwrap();
        assert!(
            d.effective_rank > 5.9 && d.effective_rank <= 6.0 + 1e-9,
            "{}",
            d.effective_rank
        );
        let few = diagnose(&cloud[..18], 6, &[0; 3]).unwrap(); // three points span a plane
        assert!(few.effective_rank <= 2.0 + 1e-6);
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        assert!(diagnose(&[], 2, &[]).is_err());
        assert!(diagnose(&[0.0, 0.0], 2, &[1]).is_err());
        assert!(diagnose(&[1.0, f32::NAN], 2, &[1]).is_err());
        assert!(diagnose(&[1.0], 2, &[1]).is_err());
    }
}
