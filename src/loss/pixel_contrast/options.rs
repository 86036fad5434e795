//! What can be chosen: the variant, the sampling and the numbers.

use super::memory::MemoryOptions;
use crate::error::{POSITIVE, Result, in_range};
use crate::ops::check_class_weights;
use crate::ops::pixel_contrast::Denominator;
use crate::{choices, ensure, options};

choices! {
    /// Which pixels are contrasted with which; the formulas stand in the [module's documentation](super).
    pub enum Variant {
        /// An image against its distorted self (Zhao et al. 2021).
        WithinImage = "within_image",
        /// The same, with further positives from a partner's distorted view (Zhao et al. 2021).
        CrossImage = "cross_image",
        /// All images against all distorted images (Zhao et al. 2021, reported as worse).
        Batch = "batch",
        /// Each view against itself, positives not competing (the authors' released code).
        ReleasedWithinImage = "released_within_image",
        /// An image and its partner's distorted view as one bag (the authors' released code).
        ReleasedCrossImage = "released_cross_image",
        /// All pixels of the batch (of both views, if there are two) as one bag, positives not competing (ContrastiveSeg, Wang et al.
        /// 2021).
        OwnPositive = "own_positive",
        /// All pixels of the batch (of both views, if there are two) as one bag (SupCon, Khosla et al. 2020).
        Supcon = "supcon",
    }
}

/// How the anchors' losses become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Mean over an image's anchors, then over the images that have one.
    Images,
    /// Mean over an image's anchors, then over all images: one without anchors counts 0.
    AllImages,
    /// Mean over all anchors.
    Anchors,
}

impl Variant {
    /// What stands below the fraction bar.
    pub fn denominator(self) -> Denominator {
        match self {
            Variant::WithinImage | Variant::CrossImage | Variant::Batch | Variant::Supcon => Denominator::AllKeys,
            Variant::ReleasedWithinImage | Variant::ReleasedCrossImage | Variant::OwnPositive => {
                Denominator::OwnPositive
            }
        }
    }

    /// How anchors are averaged.
    pub fn reduction(self) -> Reduction {
        match self {
            Variant::WithinImage | Variant::CrossImage => Reduction::Images,
            Variant::ReleasedWithinImage | Variant::ReleasedCrossImage => Reduction::AllImages,
            Variant::Batch | Variant::OwnPositive | Variant::Supcon => Reduction::Anchors,
        }
    }

    /// Whether there must be a distorted view; a variant that can do without takes both views into its bag where both are given.
    pub fn needs_distorted(self) -> bool {
        !matches!(self, Variant::OwnPositive | Variant::Supcon)
    }

    /// Whether the method behind the variant trains with two views of an image: all but ContrastiveSeg.
    pub fn is_of_two_views(self) -> bool {
        self != Variant::OwnPositive
    }

    /// Whether images have partners.
    pub fn uses_partners(self) -> bool {
        matches!(self, Variant::CrossImage | Variant::ReleasedCrossImage)
    }

    /// What to warn of where batches of so many images leave an image without a partner.
    pub fn without_partner(self, images: usize) -> Option<String> {
        (self.uses_partners() && images == 1).then(|| {
            format!(
                "pixel_contrast: one image has no partner, so that \"{}\" sees its own two views only; give batches of two images or more",
                self.name()
            )
        })
    }

    /// Whether the loss may be multiplied by temperature / base temperature.
    pub fn has_base_temperature(self) -> bool {
        matches!(self, Variant::OwnPositive | Variant::Supcon)
    }
}

choices! {
    /// Which pixels become anchors, per image.
    pub enum Sampling {
        /// All valid pixels; with `max_anchors`, as `Uniform`.
        All = "all",
        /// `max_anchors` pixels, each as likely as any other.
        Uniform = "uniform",
        /// The same number of each class present: `per_class`, or `max_anchors` divided by the classes; a smaller class gives
        /// all it has.
        ClassBalanced = "class_balanced",
        /// As `ClassBalanced`, `hard_fraction` of each class from wrongly predicted pixels, filled up from the other kind when
        /// short (ContrastiveSeg).
        Hard = "hard",
        /// Pixels within `radius` of a pixel of another class.
        Boundary = "boundary",
    }
}

choices! {
    /// Which `max_keys` pixels become keys, per image.
    pub enum KeySampling {
        /// Each pixel as likely as any other.
        Uniform = "uniform",
        /// The same number of each class present; a smaller class gives all it has.
        ClassBalanced = "class_balanced",
    }
}

options! {
    /// The settings of [`pixel_contrast`](super::pixel_contrast()).
    #[derive(PartialEq)]
    pub struct PixelContrastOptions {
        /// Which pixels are contrasted with which.
        variant: Variant = Variant::WithinImage,
        /// Divides the cosines; small: only the nearest keys matter.
        temperature: f64 = 0.07,
        /// The loss is multiplied by temperature / base_temperature (`"own_positive"`, `"supcon"`).
        base_temperature: Option<f64> = None,
        /// The partner of each image (cross-image variants); a random derangement if not given.
        partners: Option<Vec<usize>> = None,
        /// Pixels with this label take no part.
        ignore_label: i64 = 255,
        /// Bring features (bilinearly) and labels to this size first.
        resize: Option<[usize; 2]> = None,
        /// Which pixels become anchors.
        sampling: Sampling = Sampling::All,
        /// At most this many anchors per image.
        max_anchors: Option<usize> = None,
        /// At most this many anchors per class and image.
        per_class: Option<usize> = None,
        /// With `"hard"`: the share of wrongly predicted pixels.
        hard_fraction: f64 = 0.5,
        /// With `"boundary"`: how far from another class, in pixels of the features (larger of the two axes).
        radius: usize = 2,
        /// At most this many keys per image; all if not given.
        max_keys: Option<usize> = None,
        /// Which pixels become keys when `max_keys` is given.
        key_sampling: KeySampling = KeySampling::Uniform,
        /// Weight of each class's anchors in the means, by label; 1 each if not given.
        class_weights: Option<Vec<f64>> = None,
        /// Past keys of each class as further keys.
        memory: Option<MemoryOptions> = None,
    }
}

impl PixelContrastOptions {
    /// Refuse numbers that cannot work, and options that the variant or the sampling does not have.
    pub fn check(&self) -> Result<()> {
        let name = "pixel_contrast";
        in_range(name, "temperature", self.temperature, POSITIVE)?;
        if let Some(base) = self.base_temperature {
            in_range(name, "base_temperature", base, POSITIVE)?;
            ensure!(
                self.variant.has_base_temperature(),
                "{name}: variant \"{}\" has no base_temperature; it belongs to \"own_positive\" and \"supcon\"",
                self.variant.name()
            );
        }
        for (option, value) in [
            ("max_anchors", self.max_anchors),
            ("per_class", self.per_class),
            ("max_keys", self.max_keys),
            ("radius", Some(self.radius)),
        ] {
            ensure!(value != Some(0), "{name}: {option} is 0, expected at least 1");
        }
        in_range(name, "hard_fraction", self.hard_fraction, 0.0..=1.0)?;
        if let Some(weights) = &self.class_weights {
            check_class_weights(name, weights.iter().copied(), None)?;
        }
        self.memory.as_ref().map_or(Ok(()), MemoryOptions::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_numbers_are_refused() {
        for temperature in [0.0, -1.0, f64::NAN] {
            assert!(
                PixelContrastOptions {
                    temperature,
                    ..Default::default()
                }
                .check()
                .is_err()
            );
        }
        let base = PixelContrastOptions {
            base_temperature: Some(0.07),
            ..Default::default()
        };
        assert!(base.check().unwrap_err().to_string().contains("supcon"));
    }
}
