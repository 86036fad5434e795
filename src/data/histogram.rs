//! How many pixels each class has; on the way every file is checked.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::{Dataset, IGNORED};
use crate::error::{Error, Result};

/// Names of faulty samples that an error lists.
const LISTED: usize = 20;

/// How many pixels each class has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Pixels per class.
    pub counts: Vec<u64>,
    /// Pixels without a class.
    pub ignored: u64,
}

impl Dataset {
    /// Pixels per class over the whole set (loads every sample, on all threads), which also checks every file.
    ///
    /// # Errors
    /// The first sample that cannot be loaded, with the number and the names of all such samples.
    pub fn histogram(&self) -> Result<Histogram> {
        self.histogram_until(&AtomicBool::new(false))
    }

    /// [`Dataset::histogram`] that ends as interrupted once `cancel` is set.
    pub fn histogram_until(&self, cancel: &AtomicBool) -> Result<Histogram> {
        let outcomes: Vec<Result<[u64; 256]>> = (0..self.len())
            .into_par_iter()
            .map(|i| {
                if cancel.load(Ordering::Relaxed) {
                    return Err(Error::Interrupted);
                }
                let mut counts = [0u64; 256];
                for &label in &self.get(i)?.labels {
                    counts[label as usize] += 1;
                }
                Ok(counts)
            })
            .collect();
        let mut parts = Vec::with_capacity(self.len());
        let (mut first, mut bad) = (None, Vec::new());
        for (i, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(counts) => parts.push(counts),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => {
                    bad.push(self.sample_name(i)?);
                    first.get_or_insert(error);
                }
            }
        }
        if let Some(first) = first {
            return Err(self.with_all(first, &bad));
        }
        let total = |label: usize| parts.iter().map(|p| p[label]).sum();
        Ok(Histogram {
            counts: (0..self.classes()).map(total).collect(),
            ignored: total(IGNORED as usize),
        })
    }

    /// The first error, with the number and the names of all samples that cannot be loaded.
    fn with_all(&self, first: Error, bad: &[String]) -> Error {
        match first {
            Error::File { path, what } if bad.len() > 1 => {
                let listed = &bad[..bad.len().min(LISTED)];
                let more = if listed.len() < bad.len() { ", .." } else { "" };
                let what = format!(
                    "{what}; {} of {} images cannot be used: {}{more}",
                    bad.len(),
                    self.len(),
                    listed.join(", ")
                );
                Error::file(path, what)
            }
            other => other,
        }
    }
}
