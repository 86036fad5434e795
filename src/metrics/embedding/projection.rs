//! Two dimensions to look at: principal components, or t-SNE.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use bhtsne::tSNE;

use crate::error::{Error, Result};
use crate::{choices, ensure};

/// How many rounds of the power iteration; the plane is for the eye.
const ROUNDS: usize = 60;

choices! {
    /// How features become points in the plane.
    pub enum Projection {
        /// The two directions of largest variance: linear, distances mean something.
        Pca = "pca",
        /// t-SNE (van der Maaten and Hinton 2008, Barnes-Hut form): neighbours stay neighbours, distances between groups mean
        /// nothing. It starts from the principal components, so that it is the same each time.
        Tsne = "tsne",
    }
}

/// One point per row of `features` (`[n, dim]`), after dividing each row by its norm.
///
/// # Errors
/// Fewer than 8 rows, numbers that are not finite, a length that is no multiple of `dim`; [`Error::Interrupted`] soon after `stop`
/// is set.
pub fn project(features: &[f32], dim: usize, projection: Projection, stop: &AtomicBool) -> Result<Vec<[f64; 2]>> {
    ensure!(
        dim > 0 && features.len().is_multiple_of(dim) && features.len() / dim >= 8,
        "embedding: {} numbers in rows of {dim}, expected at least 8 whole rows",
        features.len()
    );
    ensure!(
        features.iter().all(|x| x.is_finite()),
        "embedding: features that are not finite; has the network diverged?"
    );
    let mut rows: Vec<Vec<f32>> = features.chunks_exact(dim).map(<[f32]>::to_vec).collect();
    for row in &mut rows {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
        row.iter_mut().for_each(|x| *x /= norm);
    }
    let plane = principal(&rows, dim, stop)?;
    match projection {
        Projection::Pca => Ok(plane),
        Projection::Tsne => neighbours(&rows, &plane, stop),
    }
}

/// Coordinates along the two directions of largest variance; their signs are chosen so that the largest entry is positive.
fn principal(rows: &[Vec<f32>], dim: usize, stop: &AtomicBool) -> Result<Vec<[f64; 2]>> {
    let n = rows.len() as f64;
    let mut mean = vec![0.0f64; dim];
    rows.iter()
        .for_each(|row| mean.iter_mut().zip(row).for_each(|(m, x)| *m += f64::from(*x) / n));
    let centred: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| row.iter().zip(&mean).map(|(x, m)| f64::from(*x) - m).collect())
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut found: Vec<Vec<f64>> = Vec::new();
    for axis in 0..2 {
        // power iteration: it needs a start that is not orthogonal to the eigenvector
        let mut v: Vec<f64> = (0..dim).map(|i| 1.0 + ((i * 7 + axis * 3) % 11) as f64 * 0.1).collect();
        for _ in 0..ROUNDS {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let mut next = vec![0.0; dim];
            for row in &centred {
                let along = dot(row, &v);
                next.iter_mut().zip(row).for_each(|(s, x)| *s += along * x);
            }
            for earlier in &found {
                let along = dot(&next, earlier);
                next.iter_mut().zip(earlier).for_each(|(x, e)| *x -= along * e);
            }
            let norm = dot(&next, &next).sqrt();
            if norm < 1e-12 {
                v = vec![0.0; dim];
                break;
            }
            v = next.into_iter().map(|x| x / norm).collect();
        }
        let largest = v
            .iter()
            .copied()
            .fold(0.0, |m: f64, x| if x.abs() > m.abs() { x } else { m });
        if largest < 0.0 {
            v.iter_mut().for_each(|x| *x = -*x);
        }
        found.push(v);
    }
    Ok(centred
        .iter()
        .map(|row| [dot(row, &found[0]), dot(row, &found[1])])
        .collect())
}

/// t-SNE from a small copy of the plane.
fn neighbours(rows: &[Vec<f32>], plane: &[[f64; 2]], stop: &AtomicBool) -> Result<Vec<[f64; 2]>> {
    let size = plane.iter().flatten().fold(1e-12f64, |m, x| m.max(x.abs()));
    let start: Vec<f32> = plane.iter().flatten().map(|x| (x / size * 1e-2) as f32).collect();
    // the package can be left from its callbacks only, and only by unwinding
    let go_on = || {
        if stop.load(Ordering::Relaxed) {
            resume_unwind(Box::new(Error::Interrupted));
        }
    };
    let distance = |a: &Vec<f32>, b: &Vec<f32>| {
        go_on();
        a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f32>().sqrt()
    };
    let perplexity = ((rows.len() - 1) as f32 / 3.0 - 0.1).clamp(1.0, 30.0);
    let embed = || {
        tSNE::<f32, Vec<f32>>::new(rows)
            .perplexity(perplexity)
            .initial_embedding(start)
            .epoch_callback(|_, _| go_on())
            .barnes_hut(0.5, distance)
            .embedding()
    };
    // one thread: the package's sums depend on how the work was shared out, and rounding grows over its 1000 rounds
    let points = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .map_err(|e| Error::Usage(format!("t-SNE: no thread could be started ({e})")))?
        .install(|| catch_unwind(AssertUnwindSafe(embed)));
    let points = match points {
        Ok(points) => points,
        Err(cause) => match cause.downcast::<Error>() {
            Ok(error) => return Err(*error),
            Err(panic) => resume_unwind(panic),
        },
    };
    Ok(points
        .chunks_exact(2)
        .map(|p| [f64::from(p[0]), f64::from(p[1])])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two groups of 20 points in 5 dimensions.
    fn groups() -> Vec<f32> {
        let mut random = crate::random::Random::new(2);
        let mut features = Vec::new();
        for i in 0..40 {
            let centre = if i < 20 {
                [3.0, 0.0, 0.0, 0.0, 1.0]
            } else {
                [0.0, 0.0, 3.0, 0.0, 1.0]
            };
            features.extend(centre.map(|c: f64| (c + 0.1 * random.normal()) as f32));
        }
        features
    }

    fn gap(points: &[[f64; 2]]) -> f64 {
        let mean = |part: &[[f64; 2]], i: usize| part.iter().map(|p| p[i]).sum::<f64>() / part.len() as f64;
        let (a, b) = points.split_at(20);
        let spread = a
            .iter()
            .map(|p| ((p[0] - mean(a, 0)).powi(2) + (p[1] - mean(a, 1)).powi(2)).sqrt())
            .sum::<f64>()
            / 20.0;
        ((mean(a, 0) - mean(b, 0)).powi(2) + (mean(a, 1) - mean(b, 1)).powi(2)).sqrt() / spread
    }

    #[test]
    fn both_projections_keep_two_groups_apart_and_repeat() {
        for projection in [Projection::Pca, Projection::Tsne] {
            let go = AtomicBool::new(false);
            let points = project(&groups(), 5, projection, &go).unwrap();
            assert!(
                points.len() == 40 && gap(&points) > 3.0,
                "{projection:?}: {}",
                gap(&points)
            );
            assert_eq!(points, project(&groups(), 5, projection, &go).unwrap());
            let ended = project(&groups(), 5, projection, &AtomicBool::new(true));
            assert!(matches!(ended, Err(Error::Interrupted)), "{projection:?}");
        }
        assert!(project(&[1.0; 10], 5, Projection::Pca, &AtomicBool::new(false)).is_err());
    }
}
