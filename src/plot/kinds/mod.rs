//! Figures made in one call, each from plain data; one file per kind, each filling a [`crate::plot::Figure`].

mod confusion;
mod curves;
mod embedding;
mod examples;
mod label_efficiency;

pub use confusion::{ConfusionData, confusion};
pub use curves::{CurveData, CurvesOptions, curves};
pub use embedding::{EmbeddingData, embedding};
pub use examples::{Example, ExamplesOptions, examples};
pub use label_efficiency::{EfficiencyRow, Labels, label_efficiency};

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

/// Mean and standard deviation (n - 1; 0 for a single value).
fn mean_sd(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (
        mean,
        if values.len() > 1 {
            (squares / (n - 1.0)).sqrt()
        } else {
            0.0
        },
    )
}
