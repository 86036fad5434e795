//! What an evaluation reports: the numbers of the confusion matrix together with the protocol that made them.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::Confusion;

/// How a score was obtained; a number without it cannot be compared with another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// Name of the data set.
    pub data: String,
    /// SHA-256 of the names of its images, in order.
    pub split_hash: String,
    /// Number of images.
    pub images: usize,
    /// Height and width of the labels, where predictions are compared (`None`: each image at its own size).
    pub size: Option<[usize; 2]>,
    /// Scales whose predictions are averaged.
    pub scales: Vec<f64>,
    /// Whether the mirrored image takes part in the average.
    pub flip: bool,
    /// Height and width of the sliding window (`None`: the whole image at once).
    pub window: Option<[usize; 2]>,
    /// The label that marks pixels without truth.
    pub ignore_label: u8,
    /// The classes, in order.
    pub classes: Vec<String>,
}

impl std::fmt::Display for Protocol {
    /// One line: data, size, scales, flip, window, ignore label, classes.
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let size = |s: &[usize; 2]| format!("{}x{}", s[0], s[1]);
        let hash: String = self.split_hash.chars().take(12).collect();
        let scales: Vec<String> = self.scales.iter().map(f64::to_string).collect();
        write!(
            f,
            "data {} ({} images, split {hash}), size {}, scales {}, flip {}, window {}, ignore label {}, {} classes: {}",
            self.data,
            self.images,
            self.size.as_ref().map_or("own".into(), size),
            scales.join(" "),
            if self.flip { "yes" } else { "no" },
            self.window.as_ref().map_or("whole image".into(), size),
            self.ignore_label,
            self.classes.len(),
            self.classes.join(" ")
        )
    }
}

/// The result of evaluating a network on a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The counts over the whole data set.
    pub confusion: Confusion,
    /// How they were obtained.
    pub protocol: Protocol,
    /// What is doubtful about the true labels, in sentences.
    #[serde(default)]
    pub doubts: Vec<String>,
}

impl Score {
    /// Mean intersection over union of the classes present in truth or prediction, without those that the labels cannot hold, 0..1,
    /// higher is better.
    pub fn miou(&self) -> f64 {
        self.confusion.miou()
    }

    /// Intersection over union per class; NaN for an absent class.
    pub fn iou(&self) -> Vec<f64> {
        self.confusion.iou()
    }

    /// Share of pixels that are right, higher is better.
    pub fn pixel_accuracy(&self) -> f64 {
        self.confusion.pixel_accuracy()
    }

    /// Mean recall of the classes of the truth, higher is better.
    pub fn mean_accuracy(&self) -> f64 {
        self.confusion.mean_accuracy()
    }

    /// Name of class `index` (its number where the data set names none).
    pub fn class_name(&self, index: usize) -> String {
        self.protocol
            .classes
            .get(index)
            .cloned()
            .unwrap_or_else(|| index.to_string())
    }

    /// Names of the classes in neither truth nor prediction, or that the labels cannot hold; left out of the means.
    pub fn absent(&self) -> Vec<String> {
        self.confusion
            .absent()
            .into_iter()
            .map(|c| self.class_name(c))
            .collect()
    }

    /// A table for reading: one line per class, then the means, the absent classes and the protocol.
    pub fn table(&self) -> String {
        let (iou, recall) = (self.iou(), self.confusion.recall());
        let total = self.confusion.total().max(1) as f64;
        let width = (0..iou.len())
            .map(|c| self.class_name(c).chars().count())
            .chain([14])
            .max()
            .unwrap_or(14);
        let number = |v: f64| if v.is_nan() { "-".to_string() } else { format!("{v:.4}") };
        let mut text = format!("{:width$} {:>8} {:>8} {:>8}\n", "class", "IoU", "recall", "share");
        for c in 0..iou.len() {
            let share = self.confusion.row(c) as f64 / total;
            let _ = writeln!(
                text,
                "{:width$} {:>8} {:>8} {:>8}",
                self.class_name(c),
                number(iou[c]),
                number(recall[c]),
                number(share)
            );
        }
        for (name, value) in [
            ("mIoU", self.miou()),
            ("pixel accuracy", self.pixel_accuracy()),
            ("mean accuracy", self.mean_accuracy()),
        ] {
            let _ = writeln!(text, "{name:width$} {:>8}", number(value));
        }
        let absent = self.absent();
        if !absent.is_empty() {
            let _ = writeln!(text, "absent (left out of the means): {}", absent.join(", "));
        }
        for doubt in &self.doubts {
            let _ = writeln!(text, "doubtful: {doubt}");
        }
        let _ = write!(text, "protocol: {}", self.protocol);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_classes_means_absent_classes_and_protocol() {
        let mut confusion = Confusion::new(3);
        confusion.add(&[0, 0, 1, 1], &[0, 0, 1, 0], 255).unwrap();
        let score = Score {
            confusion,
            protocol: Protocol {
                data: "toy/val".into(),
                split_hash: "0123456789abcdef".into(),
                images: 1,
                size: Some([2, 2]),
                scales: vec![1.0],
                flip: false,
                window: None,
                ignore_label: 255,
                classes: vec!["sky".into(), "road".into(), "car".into()],
            },
            doubts: vec!["toy/val: no pixel has the class car".into()],
        };
        let text = score.table();
        // IoU sky 2/3, road 1/2; mIoU 7/12; three of four pixels right.
        for part in [
            "0.6667",
            "0.5000",
            "0.5833",
            "0.7500",
            "car",
            "absent",
            "split 0123456789ab)",
            "size 2x2",
            "doubtful: toy/val: no pixel",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
