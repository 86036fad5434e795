//! What can be chosen: the variant, the sampling and the numbers.

use serde::{Deserialize, Serialize};

use super::memory::MemoryOptions;
use crate::ensure;
use crate::error::{POSITIVE, Result, choose, in_range};
use crate::ops::check_class_weights;
use crate::ops::pixel_contrast::Denominator;

/// Which pixels are contrasted with which; the formulas stand in the [module's documentation](super).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// An image against its distorted self (Zhao et al. 2021).
    #[default]
    WithinImage,
    /// The same, with further positives from a partner's distorted view (Zhao et al. 2021).
    CrossImage,
    /// All images against all distorted images (Zhao et al. 2021, reported as worse).
    Batch,
    /// Each view against itself, positives not competing (the authors' released code).
    ReleasedWithinImage,
    /// An image and its partner's distorted view as one bag (the authors' released code).
    ReleasedCrossImage,
    /// All pixels of the batch (of both views, if there are two) as one bag, positives not competing (ContrastiveSeg, Wang et al.
    /// 2021).
    OwnPositive,
    /// All pixels of the batch (of both views, if there are two) as one bag (SupCon, Khosla et al. 2020).
    Supcon,
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
    /// All variants, in the order of the documentation.
    pub const ALL: [(&'static str, Variant); 7] = [
        ("within_image", Variant::WithinImage),
        ("cross_image", Variant::CrossImage),
        ("batch", Variant::Batch),
        ("released_within_image", Variant::ReleasedWithinImage),
        ("released_cross_image", Variant::ReleasedCrossImage),
        ("own_positive", Variant::OwnPositive),
        ("supcon", Variant::Supcon),
    ];

    /// The variant of this name; the error lists the names.
    pub fn parse(name: &str) -> Result<Variant> {
        choose("variant", name, &Self::ALL)
    }

    /// Its name in scripts.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, v)| *v == self).map_or("", |(name, _)| name)
    }

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

/// Which pixels become anchors, per image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// All valid pixels; with `max_anchors`, as `Uniform`.
    #[default]
    All,
    /// `max_anchors` pixels, each as likely as any other.
    Uniform,
    /// The same number of each class present: `per_class`, or `max_anchors` divided by the classes; a smaller class gives
    /// all it has.
    ClassBalanced,
    /// As `ClassBalanced`, `hard_fraction` of each class from wrongly predicted pixels, filled up from the other kind when
    /// short (ContrastiveSeg).
    Hard,
    /// Pixels within `radius` of a pixel of another class.
    Boundary,
}

impl Sampling {
    /// All kinds.
    pub const ALL: [(&'static str, Sampling); 5] = [
        ("all", Sampling::All),
        ("uniform", Sampling::Uniform),
        ("class_balanced", Sampling::ClassBalanced),
        ("hard", Sampling::Hard),
        ("boundary", Sampling::Boundary),
    ];

    /// The sampling of this name; the error lists the names.
    pub fn parse(name: &str) -> Result<Sampling> {
        choose("sampling", name, &Self::ALL)
    }
}

/// Which `max_keys` pixels become keys, per image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySampling {
    /// Each pixel as likely as any other.
    #[default]
    Uniform,
    /// The same number of each class present; a smaller class gives all it has.
    ClassBalanced,
}

impl KeySampling {
    /// All kinds.
    pub const ALL: [(&'static str, KeySampling); 2] = [
        ("uniform", KeySampling::Uniform),
        ("class_balanced", KeySampling::ClassBalanced),
    ];

    /// The sampling of this name; the error lists the names.
    pub fn parse(name: &str) -> Result<KeySampling> {
        choose("key_sampling", name, &Self::ALL)
    }
}

/// The settings of [`pixel_contrast`](super::pixel_contrast()).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PixelContrastOptions {
    /// Which pixels are contrasted with which.
    pub variant: Variant,
    /// Divides the cosines; small: only the nearest keys matter.
    pub temperature: f64,
    /// With `own_positive` and `supcon`: the loss is multiplied by temperature / base_temperature.
    pub base_temperature: Option<f64>,
    /// With the cross-image variants: the partner of each image; a random derangement if not given.
    pub partners: Option<Vec<usize>>,
    /// Pixels with this label take no part.
    pub ignore_label: i64,
    /// Bring features (bilinearly) and labels to this size first.
    pub resize: Option<[usize; 2]>,
    /// Which pixels become anchors.
    pub sampling: Sampling,
    /// At most this many anchors per image.
    pub max_anchors: Option<usize>,
    /// At most this many anchors per class and image.
    pub per_class: Option<usize>,
    /// With `hard`: the share of wrongly predicted pixels.
    pub hard_fraction: f64,
    /// With `boundary`: the distance in pixels of the features (larger of the two axes).
    pub radius: usize,
    /// At most this many keys per image; all if not given.
    pub max_keys: Option<usize>,
    /// Which pixels become keys when `max_keys` is given.
    pub key_sampling: KeySampling,
    /// Weight of each class's anchors in the means, by label; 1 each if not given.
    pub class_weights: Option<Vec<f64>>,
    /// Past keys of each class as further keys.
    pub memory: Option<MemoryOptions>,
}

impl Default for PixelContrastOptions {
    fn default() -> Self {
        PixelContrastOptions {
            variant: Variant::WithinImage,
            temperature: 0.07,
            base_temperature: None,
            partners: None,
            ignore_label: 255,
            resize: None,
            sampling: Sampling::All,
            max_anchors: None,
            per_class: None,
            hard_fraction: 0.5,
            radius: 2,
            max_keys: None,
            key_sampling: KeySampling::Uniform,
            class_weights: None,
            memory: None,
        }
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
    fn names_are_the_same_in_parsing_and_in_json() {
        for (name, variant) in Variant::ALL {
            assert_eq!(serde_json::to_value(variant).unwrap(), name);
            assert_eq!(Variant::parse(name).unwrap().name(), name);
        }
        for (name, sampling) in Sampling::ALL {
            assert_eq!(serde_json::to_value(sampling).unwrap(), name);
        }
        let text = serde_json::from_str::<PixelContrastOptions>(r#"{"temprature": 1}"#)
            .unwrap_err()
            .to_string();
        assert!(text.contains("temprature"));
    }

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
