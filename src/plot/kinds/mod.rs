//! Figures made in one call, each from plain data; one file per kind, each filling a [`crate::plot::Figure`].

mod confusion;
mod curves;
mod embedding;
mod examples;
mod label_efficiency;

pub use confusion::confusion;
pub use curves::{CurveData, CurvesOptions, curves};
pub use embedding::{EmbeddingData, embedding};
pub use examples::{Example, examples};
pub use label_efficiency::{EfficiencyRow, Labels, label_efficiency};

use std::collections::BTreeMap;

use crate::ensure;
use crate::error::Result;

/// A figure over classes needs some, and not more than label images can hold.
fn check_names(what: &str, names: &[String]) -> Result<()> {
    let n = names.len();
    ensure!(
        n > 0 && n <= 255,
        "{what}: {n} classes cannot be shown, expected 1 to 255"
    );
    ensure!(
        names.iter().all(|name| !name.is_empty()),
        "{what}: a class has an empty name"
    );
    Ok(())
}

/// Each of them once, in the order of their first places.
fn unique<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut out = Vec::new();
    for one in all {
        if !out.contains(&one) {
            out.push(one);
        }
    }
    out
}

/// A line of means over several runs.
#[derive(Default)]
struct Means {
    x: Vec<f64>,
    y: Vec<f64>,
    /// Standard deviations (n - 1; 0 for a single value).
    sd: Vec<f64>,
    counts: Vec<usize>,
}

impl Means {
    /// The mean of the values at each x from 0 on.
    fn of(points: impl Iterator<Item = (f64, f64)>) -> Means {
        let mut at: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (x, y) in points {
            // positive numbers are in the order of their bits
            at.entry(x.max(0.0).to_bits()).or_default().push(y);
        }
        let mut means = Means::default();
        for (x, values) in at {
            let n = values.len();
            let mean = values.iter().sum::<f64>() / n as f64;
            let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
            means.x.push(f64::from_bits(x));
            means.y.push(mean);
            means.sd.push((squares / (n.max(2) - 1) as f64).sqrt());
            means.counts.push(n);
        }
        means
    }
}
