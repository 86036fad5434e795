//! The confusion matrix of a whole evaluation set, counted in `u64`.

use serde::{Deserialize, Serialize};

use crate::ensure;
use crate::error::Result;

/// How often truth `r` was predicted as `c`, over every pixel seen so far. One matrix serves a whole data set: a mean of
/// per-image scores is another number, and not the published one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
    never_true: Vec<usize>,
}

impl Confusion {
    /// An empty matrix over this number of classes.
    pub fn new(classes: usize) -> Self {
        Confusion {
            classes,
            counts: vec![0; classes * classes],
            never_true: Vec::new(),
        }
    }

    /// The matrix with classes that no pixel can truly have, because the ignore label is one of them. Such a class is left out
    /// of the means however often it is predicted (as in torchmetrics); the predictions are errors of the pixels' true classes.
    pub fn never_true(mut self, classes: Vec<usize>) -> Self {
        self.never_true = classes;
        self
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Pixels of class `truth` that were predicted as `prediction` (0 outside the matrix).
    pub fn count(&self, truth: usize, prediction: usize) -> u64 {
        let inside = truth < self.classes && prediction < self.classes;
        if inside {
            self.counts[truth * self.classes + prediction]
        } else {
            0
        }
    }

    /// The counts, one row per true class.
    pub fn rows(&self) -> Vec<Vec<u64>> {
        self.counts.chunks(self.classes.max(1)).map(<[u64]>::to_vec).collect()
    }

    /// All counted pixels.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Count the pixels of one label map against its prediction; pixels whose truth is `ignore` are dropped.
    ///
    /// # Errors
    /// The maps differ in length, or a label lies outside the classes (nothing is counted then).
    pub fn add(&mut self, truth: &[u8], prediction: &[u8], ignore: u8) -> Result<()> {
        ensure!(
            truth.len() == prediction.len(),
            "confusion: the truth has {} pixels, the prediction {}; predict at the size of the labels",
            truth.len(),
            prediction.len()
        );
        // A table over every pair of bytes keeps the inner loop free of tests; it is read out once per map.
        let mut table = vec![0u64; 1 << 16];
        for (&t, &p) in truth.iter().zip(prediction) {
            table[usize::from(t) << 8 | usize::from(p)] += 1;
        }
        self.add_pairs(&table, ignore)
    }

    /// Count pixels by a table of pairs: `table[truth * 256 + prediction]` pixels each, as [`Confusion::add`].
    ///
    /// # Errors
    /// A label outside the classes (nothing is counted then).
    pub fn add_pairs(&mut self, table: &[u64], ignore: u8) -> Result<()> {
        let seen = || table.iter().enumerate().filter(|(_, n)| **n > 0);
        for (pair, n) in seen() {
            let (t, p) = (pair >> 8, pair & 255);
            ensure!(
                t < self.classes || t == usize::from(ignore),
                "confusion: the truth holds label {t} ({n} pixels), expected 0..{} or {ignore} for ignored pixels",
                self.classes
            );
            ensure!(
                p < self.classes || t == usize::from(ignore),
                "confusion: the prediction holds class {p}, expected 0..{}",
                self.classes
            );
        }
        for (pair, n) in seen() {
            let (t, p) = (pair >> 8, pair & 255);
            if t != usize::from(ignore) {
                self.counts[t * self.classes + p] += *n;
            }
        }
        Ok(())
    }

    /// Add the counts of another matrix over the same classes.
    pub fn merge(&mut self, other: &Confusion) -> Result<()> {
        ensure!(
            self.classes == other.classes,
            "confusion: cannot add a matrix of {} classes to one of {}",
            other.classes,
            self.classes
        );
        for (a, b) in self.counts.iter_mut().zip(&other.counts) {
            *a += b;
        }
        Ok(())
    }

    /// Intersection over union per class, `C_cc / (row + column - C_cc)`, higher is better; NaN for a class that occurs in
    /// neither truth nor prediction, or can never be true.
    pub fn iou(&self) -> Vec<f64> {
        (0..self.classes)
            .map(|c| {
                if self.never_true.contains(&c) {
                    return f64::NAN;
                }
                let hit = self.count(c, c);
                ratio(hit, self.row(c) + self.column(c) - hit)
            })
            .collect()
    }

    /// Recall per class, `C_cc / row`, higher is better; NaN for a class that the truth lacks.
    pub fn recall(&self) -> Vec<f64> {
        (0..self.classes)
            .map(|c| ratio(self.count(c, c), self.row(c)))
            .collect()
    }

    /// Mean of [`Confusion::iou`] over the classes present in truth or prediction, without those that can never be true (NaN when
    /// nothing was counted).
    pub fn miou(&self) -> f64 {
        mean(&self.iou())
    }

    /// Share of the counted pixels that are right (aAcc), higher is better.
    pub fn pixel_accuracy(&self) -> f64 {
        let hits = (0..self.classes).map(|c| self.count(c, c)).sum();
        ratio(hits, self.total())
    }

    /// Mean recall over the classes of the truth (mAcc), higher is better.
    pub fn mean_accuracy(&self) -> f64 {
        mean(&self.recall())
    }

    /// Classes that occur in neither truth nor prediction or can never be true, and are left out of the means.
    pub fn absent(&self) -> Vec<usize> {
        (0..self.classes)
            .filter(|&c| self.row(c) + self.column(c) == 0 || self.never_true.contains(&c))
            .collect()
    }

    /// Pixels whose truth is `class`.
    pub fn row(&self, class: usize) -> u64 {
        (0..self.classes).map(|p| self.count(class, p)).sum()
    }

    /// Pixels predicted as `class`.
    pub fn column(&self, class: usize) -> u64 {
        (0..self.classes).map(|t| self.count(t, class)).sum()
    }
}

/// `part / whole`, NaN for nothing of nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        f64::NAN
    } else {
        part as f64 / whole as f64
    }
}

/// Mean of the numbers that are not NaN.
fn mean(values: &[f64]) -> f64 {
    let present: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    present.iter().sum::<f64>() / present.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_made_numbers() {
        let mut c = Confusion::new(4);
        // Truth 0 0 0 1 1 ignored, class 3 nowhere, class 2 only predicted.
        c.add(&[0, 0, 0, 1, 1, 255], &[0, 0, 1, 1, 2, 0], 255).unwrap();
        assert_eq!(
            c.rows(),
            vec![vec![2, 1, 0, 0], vec![0, 1, 1, 0], vec![0; 4], vec![0; 4]]
        );
        let iou = c.iou();
        assert_eq!(&iou[..3], &[2.0 / 3.0, 1.0 / 3.0, 0.0]);
        assert!(iou[3].is_nan());
        assert!((c.miou() - 1.0 / 3.0).abs() < 1e-15); // (2/3 + 1/3 + 0) / 3: class 3 is left out
        assert_eq!(c.pixel_accuracy(), 0.6);
        assert_eq!(c.mean_accuracy(), (2.0 / 3.0 + 0.5) / 2.0);
        assert_eq!(c.absent(), vec![3]);
    }

    #[test]
    fn a_class_that_is_never_true_counts_in_no_mean_and_its_predictions_are_errors() {
        // Label 2 means "ignored" here although there are three classes; it is predicted for one pixel of class 0.
        let count = |matrix: Confusion| {
            let mut matrix = matrix;
            matrix.add(&[0, 0, 1, 255], &[0, 2, 1, 2], 255).unwrap();
            matrix
        };
        let without = count(Confusion::new(3).never_true(vec![2]));
        assert_eq!(without.miou(), (0.5 + 1.0) / 2.0); // torchmetrics: JaccardIndex("multiclass", num_classes=3, ignore_index=2)
        assert!(without.iou()[2].is_nan());
        assert_eq!((without.absent(), without.pixel_accuracy()), (vec![2], 2.0 / 3.0));
        assert_eq!(without.mean_accuracy(), (0.5 + 1.0) / 2.0);
        assert_eq!(count(Confusion::new(3)).miou(), 0.5); // a class that may be true, but is not here, counts as 0
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let truth: Vec<u8> = (0..200)
            .map(|i| if i % 9 == 0 { 255 } else { (i * 7 % 3) as u8 })
            .collect();
        let prediction: Vec<u8> = (0..200).map(|i| (i * 5 % 3) as u8).collect();
        let mut whole = Confusion::new(3);
        whole.add(&truth, &prediction, 255).unwrap();
        let (mut a, mut b) = (Confusion::new(3), Confusion::new(3));
        a.add(&truth[..77], &prediction[..77], 255).unwrap();
        b.add(&truth[77..], &prediction[77..], 255).unwrap();
        a.merge(&b).unwrap();
        assert_eq!(a, whole);
        assert!(a.merge(&Confusion::new(2)).is_err());
    }

    #[test]
    fn a_label_outside_the_classes_is_named_and_nothing_counted() {
        let mut c = Confusion::new(11);
        let text = c.add(&[1, 57], &[1, 1], 255).unwrap_err().to_string();
        assert!(text.contains("label 57") && text.contains("0..11"), "{text}");
        assert_eq!(c.total(), 0);
        assert!(c.add(&[1], &[1, 1], 255).is_err());
    }
}
