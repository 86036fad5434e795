//! How many pixels each class has; on the way every file is checked.

use std::sync::atomic::{AtomicBool, Ordering};

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

impl Histogram {
    /// What is doubtful about these counts, in sentences: classes without any pixel, more than half of the pixels without class.
    /// `what` names the images; `names` are those of the classes, of which no pixel can have `never`.
    pub fn doubts(&self, what: &str, names: &[String], never: &[usize]) -> Vec<String> {
        let mut doubts = Vec::new();
        let absent: Vec<&str> = (0..self.counts.len())
            .filter(|class| self.counts[*class] == 0 && !never.contains(class))
            .map(|class| names.get(class).map_or("?", String::as_str))
            .collect();
        let total = self.counts.iter().sum::<u64>() + self.ignored;
        let binary = self.counts.len() == 2 && self.counts[0] > 0 && self.counts[1] == 0 && self.ignored > 0;
        let hint = match binary {
            true => "; masks of 0 and 255 are read with label_map: #{ \"0\": 0, \"255\": 1 }",
            false => "",
        };
        if !absent.is_empty() {
            let (noun, shown) = (
                if absent.len() == 1 { "class" } else { "classes" },
                absent.len().min(LISTED),
            );
            let more = if shown < absent.len() { ", .." } else { "" };
            doubts.push(format!(
                "{what}: no pixel has the {noun} {}{more}{hint}",
                absent[..shown].join(", ")
            ));
        }
        if 2 * self.ignored > total {
            let share = 100.0 * self.ignored as f64 / total as f64;
            doubts.push(format!(
                "{what}: {share:.0} % of the pixels have no class (ignored){hint}"
            ));
        }
        doubts
    }
}

impl Dataset {
    /// What is doubtful about the labels, from a few images spread over a large set, at the size of their files; nothing for a set
    /// with images that have no label map. See [`Histogram::doubts`].
    pub fn label_doubts(&self, cancel: &AtomicBool) -> Result<Vec<String>> {
        /// Images looked at; fewer where labels are not to be had without their image.
        const LOOKED_AT: [usize; 2] = [200, 40];
        let labelled = (0..self.len()).map(|i| self.labelled(i)).collect::<Result<Vec<_>>>()?;
        if self.is_empty() || labelled.contains(&false) {
            return Ok(Vec::new());
        }
        let most = LOOKED_AT[usize::from(!self.has_label_files())];
        let looked_at = if self.len() > most {
            self.spread(most)?
        } else {
            self.clone()
        };
        let counts: Vec<[u64; 256]> = looked_at
            .for_each(0..looked_at.len(), |source, i| {
                if cancel.load(Ordering::Relaxed) {
                    return Err(Error::Interrupted);
                }
                match source.labels_alone(i) {
                    Some(labels) => Ok(counted(&labels?)),
                    None => Ok(counted(&source.load(i)?.labels)),
                }
            })
            .into_iter()
            .collect::<Result<_>>()?;
        let what = match looked_at.len() < self.len() {
            true => format!(
                "{} ({} of {} images looked at)",
                self.name(),
                looked_at.len(),
                self.len()
            ),
            false => self.name().to_string(),
        };
        let histogram = self.summed(&counts);
        Ok(histogram.doubts(&what, self.class_names(), &self.never_true()))
    }

    /// Pixels per class over the whole set (loads every sample, on all threads), which also checks every file.
    ///
    /// # Errors
    /// The first sample that cannot be loaded, with the number and the names of all such samples.
    pub fn histogram(&self) -> Result<Histogram> {
        self.histogram_until(&AtomicBool::new(false))
    }

    /// [`Dataset::histogram`] that ends as interrupted once `cancel` is set.
    pub fn histogram_until(&self, cancel: &AtomicBool) -> Result<Histogram> {
        let outcomes = self.counts_until(cancel);
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
        Ok(self.summed(&parts))
    }

    /// Weights for drawing that favour images with rare classes: each class has the same weight in all, shared by its pixels.
    pub fn balanced_weights(&self, cancel: &AtomicBool) -> Result<Vec<f64>> {
        self.check_labelled("weights: \"balanced\"")?;
        let counts = self.counts_until(cancel).into_iter().collect::<Result<Vec<_>>>()?;
        let all = self.summed(&counts).counts;
        let weight = |image: &[u64; 256]| {
            let shares = all.iter().zip(image).filter(|(total, _)| **total > 0);
            shares.map(|(total, own)| *own as f64 / *total as f64).sum()
        };
        Ok(counts.iter().map(weight).collect())
    }

    /// The pixels per label of every image.
    fn counts_until(&self, cancel: &AtomicBool) -> Vec<Result<[u64; 256]>> {
        self.for_each(0..self.len(), |source, i| match cancel.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(counted(&source.load(i)?.labels)),
        })
    }

    /// The counts of all images together.
    fn summed(&self, parts: &[[u64; 256]]) -> Histogram {
        let total = |label: usize| parts.iter().map(|p| p[label]).sum();
        Histogram {
            counts: (0..self.classes()).map(total).collect(),
            ignored: total(IGNORED as usize),
        }
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

/// How many pixels have each label.
fn counted(labels: &[u8]) -> [u64; 256] {
    let mut counts = [0u64; 256];
    for &label in labels {
        counts[usize::from(label)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_name_absent_classes_and_the_share_without_class() {
        let names: Vec<String> = ["sky", "road", "car"].map(String::from).to_vec();
        let doubts = |counts: &[u64], ignored, never: &[usize]| {
            let counts = counts.to_vec();
            Histogram { counts, ignored }.doubts("photos", &names, never)
        };
        assert!(doubts(&[5, 1, 1], 7, &[]).is_empty()); // half is not more than half
        assert_eq!(doubts(&[5, 1, 0], 0, &[]), ["photos: no pixel has the class car"]);
        assert!(doubts(&[5, 1, 0], 0, &[2]).is_empty());
        assert_eq!(
            doubts(&[1, 1, 1], 9, &[]),
            ["photos: 75 % of the pixels have no class (ignored)"]
        ); // 9 of 12
        let binary = doubts(&[5, 0], 2, &[]);
        assert!(
            binary.len() == 1 && binary[0].contains("road; masks of 0 and 255"),
            "{binary:?}"
        );
    }
}
