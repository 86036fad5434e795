//! Random scale, crop and flip of an image and its labels together, in one pass that computes the crop's pixels only.

use super::{IGNORED, IMAGENET_MEAN, Sample};
use crate::error::Result;
use crate::random::Random;
use crate::{ensure, options};

options! {
    /// What to do with an image and its labels; what is not named is not done.
    #[derive(PartialEq)]
    pub struct Augment {
        /// Smallest and largest factor; the factor is uniform between them and the same for both sides.
        scale: Option<[f64; 2]> = None,
        /// Height and width of the result; the image's own size if not given. A smaller image is padded below and to the right
        /// (mean colour, label 255), a larger one is cropped at a random place.
        crop: Option<[usize; 2]> = None,
        /// Probability of a mirror image.
        flip: f64 = 0.0,
    }
}

/// An augmented image: colours in 0..1 by channel (`[3, height, width]`) and labels (`[height, width]`).
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Colours in 0..1, the red plane, then green, then blue.
    pub planes: Vec<f32>,
    /// One class per pixel, 255 where there is none.
    pub labels: Vec<u8>,
}

impl Augment {
    /// Refuse numbers that make no sense.
    pub fn check(&self) -> Result<()> {
        if let Some([low, high]) = self.scale {
            ensure!(
                low > 0.0 && low <= high && high <= 16.0,
                "augment: found scale [{low}, {high}], expected [smallest, largest] with 0 < smallest <= largest <= 16"
            );
        }
        if let Some(crop) = self.crop {
            ensure!(
                crop.iter().all(|c| (1..=16384).contains(c)),
                "augment: found crop {crop:?}, expected [height, width], each 1 to 16384"
            );
        }
        ensure!(
            (0.0..=1.0).contains(&self.flip),
            "augment: found flip {}, expected a probability between 0 and 1",
            self.flip
        );
        Ok(())
    }

    /// Draw and apply. The scaled size is `floor(side * factor)`; colours are interpolated bilinearly between pixel centres
    /// (`F.interpolate(.., align_corners=False)`), labels are those of the pixel at the same place.
    pub fn apply(&self, sample: &Sample, random: &mut Random) -> View {
        let factor = self.scale.map_or(1.0, |[low, high]| random.uniform(low, high));
        let scaled = sample.size().map(|side| ((side as f64 * factor) as usize).max(1));
        let [height, width] = self.crop.unwrap_or(sample.size());
        let top = random.below(scaled[0].saturating_sub(height) + 1);
        let left = random.below(scaled[1].saturating_sub(width) + 1);
        let flip = random.chance(self.flip);
        let rows = Axis::new(sample.height, scaled[0], top, height);
        let mut columns = Axis::new(sample.width, scaled[1], left, width);
        if flip {
            columns.taps.reverse();
        }
        let mut view = View {
            height,
            width,
            planes: vec![0.0; 3 * height * width],
            labels: vec![IGNORED; height * width],
        };
        columns.sample_rows(&rows, sample, &mut view);
        view
    }
}

/// The image and labels as they are.
pub(super) fn unchanged(sample: &Sample) -> View {
    View {
        height: sample.height,
        width: sample.width,
        planes: planes_from_pixels(&sample.pixels),
        labels: sample.labels.clone(),
    }
}

/// Interleaved bytes to three planes with colours in 0..1.
pub(super) fn planes_from_pixels(pixels: &[u8]) -> Vec<f32> {
    let area = pixels.len() / 3;
    let mut planes = vec![0.0; 3 * area];
    let (red, rest) = planes.split_at_mut(area);
    let (green, blue) = rest.split_at_mut(area);
    for (((pixel, r), g), b) in pixels.chunks_exact(3).zip(red).zip(green).zip(blue) {
        *r = f32::from(pixel[0]) / 255.0;
        *g = f32::from(pixel[1]) / 255.0;
        *b = f32::from(pixel[2]) / 255.0;
    }
    planes
}

/// Where one output position lies in the input: between two neighbours, and the nearest one; none in the padding.
#[derive(Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    part: f32,
    nearest: usize,
}

struct Axis {
    taps: Vec<Option<Tap>>,
}

impl Axis {
    /// Positions `start..start + count` of an axis of `from` pixels scaled to `to`; beyond `to` is padding.
    fn new(from: usize, to: usize, start: usize, count: usize) -> Self {
        let ratio = from as f64 / to as f64;
        let tap = |i: usize| {
            let at = ((i as f64 + 0.5) * ratio - 0.5).max(0.0);
            let low = (at as usize).min(from - 1);
            Tap {
                low,
                high: (low + 1).min(from - 1),
                part: (at - low as f64) as f32,
                nearest: (((i as f64 + 0.5) * ratio) as usize).min(from - 1),
            }
        };
        Axis {
            taps: (start..start + count).map(|i| (i < to).then(|| tap(i))).collect(),
        }
    }

    /// Fill the view row by row: blend the two source rows once (colours in 0..1), then pick columns from the blend.
    fn sample_rows(&self, rows: &Axis, sample: &Sample, view: &mut View) {
        let (width, area, stride) = (view.width, view.height * view.width, 3 * sample.width);
        let first = self.taps.iter().flatten().map(|t| t.low).min().unwrap_or(0);
        let last = self.taps.iter().flatten().map(|t| t.high).max().unwrap_or(0);
        let mut blend = vec![0.0f32; 3 * (last + 1 - first)];
        let (red, rest) = view.planes.split_at_mut(area);
        let (green, blue) = rest.split_at_mut(area);
        let outputs = red
            .chunks_exact_mut(width)
            .zip(green.chunks_exact_mut(width))
            .zip(blue.chunks_exact_mut(width))
            .zip(view.labels.chunks_exact_mut(width));
        for ((((red, green), blue), labels), row) in outputs.zip(&rows.taps) {
            let Some(row) = row else {
                red.fill(IMAGENET_MEAN[0]);
                green.fill(IMAGENET_MEAN[1]);
                blue.fill(IMAGENET_MEAN[2]);
                continue;
            };
            let source = |y: usize| &sample.pixels[y * stride + 3 * first..y * stride + 3 * (last + 1)];
            let (upper, lower) = ((1.0 - row.part) / 255.0, row.part / 255.0);
            for ((out, &a), &b) in blend.iter_mut().zip(source(row.low)).zip(source(row.high)) {
                *out = f32::from(a) * upper + f32::from(b) * lower;
            }
            let truth = &sample.labels[row.nearest * sample.width..(row.nearest + 1) * sample.width];
            let columns = self.taps.iter();
            for ((((tap, r), g), b), label) in columns.zip(red).zip(green).zip(blue).zip(labels) {
                let Some(tap) = tap else {
                    [*r, *g, *b] = IMAGENET_MEAN;
                    continue;
                };
                let (near, far) = (3 * (tap.low - first), 3 * (tap.high - first));
                let (near, far) = (&blend[near..near + 3], &blend[far..far + 3]);
                *r = near[0] + (far[0] - near[0]) * tap.part;
                *g = near[1] + (far[1] - near[1]) * tap.part;
                *b = near[2] + (far[2] - near[2]) * tap.part;
                *label = truth[tap.nearest];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A sample whose red is 10 x column, green 10 x row, and label = column.
    fn ramp(height: usize, width: usize) -> Sample {
        let at = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        Sample {
            name: "ramp".into(),
            height,
            width,
            pixels: Arc::new(at.clone().flat_map(|(y, x)| [10 * x as u8, 10 * y as u8, 0]).collect()),
            labels: at.map(|(_, x)| x as u8).collect(),
            labelled: true,
        }
    }

    fn augment(scale: f64, crop: Option<[usize; 2]>, flip: f64) -> Augment {
        Augment {
            scale: Some([scale, scale]),
            crop,
            flip,
        }
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        let sample = ramp(4, 6);
        let view = Augment::default().apply(&sample, &mut Random::new(0));
        let plain = unchanged(&sample);
        assert_eq!((view.height, view.width, &view.labels), (4, 6, &plain.labels));
        assert!(view.planes.iter().zip(&plain.planes).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn flip_mirrors_image_and_labels() {
        let sample = ramp(2, 5);
        let view = augment(1.0, None, 1.0).apply(&sample, &mut Random::new(0));
        assert_eq!(view.labels[..5], [4, 3, 2, 1, 0]);
        assert!((view.planes[0] * 255.0 - 40.0).abs() < 1e-3 && view.planes[4].abs() < 1e-6);
    }

    #[test]
    fn doubling_interpolates_between_centres() {
        // One row 0, 10 -> four pixels at -0.25, 0.25, 0.75, 1.25: 0, 2.5, 7.5, 10 (PyTorch's align_corners=False).
        let view = augment(2.0, Some([1, 4]), 0.0).apply(&ramp(1, 2), &mut Random::new(0));
        let red: Vec<f32> = view.planes[..4].iter().map(|v| v * 255.0).collect();
        for (a, b) in red.iter().zip([0.0, 2.5, 7.5, 10.0]) {
            assert!((a - b).abs() < 1e-3, "{red:?}");
        }
        assert_eq!(view.labels, [0, 0, 1, 1]);
    }

    #[test]
    fn a_shrunk_image_is_padded_with_mean_and_ignored() {
        let view = augment(0.5, None, 0.0).apply(&ramp(4, 4), &mut Random::new(0));
        assert_eq!((view.height, view.width), (4, 4));
        assert_eq!(view.labels[..4], [1, 3, 255, 255]);
        assert_eq!(view.labels[8..], [255; 8]);
        assert_eq!(view.planes[15], IMAGENET_MEAN[0]);
        assert_eq!(view.planes[16 + 2], IMAGENET_MEAN[1]);
    }

    #[test]
    fn crops_stay_inside_and_vary() {
        let sample = ramp(8, 20);
        let mut random = Random::new(3);
        let crop = Augment {
            crop: Some([4, 5]),
            ..Default::default()
        };
        let lefts: Vec<u8> = (0..50).map(|_| crop.apply(&sample, &mut random).labels[0]).collect();
        assert!(lefts.contains(&0) && lefts.contains(&15) && lefts.iter().all(|&l| l <= 15));
    }

    #[test]
    fn senseless_numbers_are_refused() {
        assert!(augment(0.0, None, 0.0).check().is_err());
        assert!(augment(1.0, Some([0, 3]), 0.0).check().is_err());
        assert!(augment(1.0, None, 1.5).check().unwrap_err().to_string().contains("1.5"));
    }
}
