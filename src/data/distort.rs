//! The colour distortion of the second view (SimCLR: jitter, grey, blur) with torchvision's arithmetic, in place on three planes
//! of colours in 0..1.

use crate::error::Result;
use crate::random::Random;
use crate::{ensure, options};

options! {
    /// Strength and probability of each distortion.
    #[derive(PartialEq)]
    pub struct Distort {
        /// Brightness factor uniform in `1 +- brightness` (not below 0).
        brightness: f64 = 0.8,
        /// Contrast factor uniform in `1 +- contrast` (not below 0).
        contrast: f64 = 0.8,
        /// Saturation factor uniform in `1 +- saturation` (not below 0).
        saturation: f64 = 0.8,
        /// Hue shift uniform in `+- hue`, in turns of the colour circle.
        hue: f64 = 0.2,
        /// Probability that the four changes above are made at all (in random order).
        probability: f64 = 0.8,
        /// Probability of turning the image grey, afterwards.
        grey: f64 = 0.2,
        /// Probability of a Gaussian blur (standard deviation uniform in 0.1..2 pixels), last.
        blur: f64 = 0.0,
    }
}

impl Distort {
    /// Refuse numbers that make no sense.
    pub fn check(&self) -> Result<()> {
        for (name, value, most) in [
            ("brightness", self.brightness, 10.0),
            ("contrast", self.contrast, 10.0),
            ("saturation", self.saturation, 10.0),
            ("hue", self.hue, 0.5),
            ("probability", self.probability, 1.0),
            ("grey", self.grey, 1.0),
            ("blur", self.blur, 1.0),
        ] {
            ensure!(
                (0.0..=most).contains(&value),
                "distort: found {name} {value}, expected a number between 0 and {most}"
            );
        }
        Ok(())
    }

    /// Draw and apply to `planes` (`[3, height, width]`, colours in 0..1).
    pub fn apply(&self, planes: &mut [f32], [height, width]: [usize; 2], random: &mut Random) {
        if random.chance(self.probability) {
            let around_one =
                |strength: f64, random: &mut Random| random.uniform((1.0 - strength).max(0.0), 1.0 + strength) as f32;
            for change in random.permutation(4) {
                match change {
                    0 => brightness(planes, around_one(self.brightness, random)),
                    1 => contrast(planes, around_one(self.contrast, random)),
                    2 => saturation(planes, around_one(self.saturation, random)),
                    _ => hue(planes, random.uniform(-self.hue, self.hue) as f32),
                }
            }
        }
        if random.chance(self.grey) {
            saturation(planes, 0.0);
        }
        if random.chance(self.blur) {
            blur(planes, [height, width], random.uniform(0.1, 2.0) as f32);
        }
    }
}

/// The three planes, as one iterator of mutable (red, green, blue).
fn pixels(planes: &mut [f32]) -> impl Iterator<Item = (&mut f32, &mut f32, &mut f32)> {
    let (red, rest) = planes.split_at_mut(planes.len() / 3);
    let (green, blue) = rest.split_at_mut(rest.len() / 2);
    red.iter_mut().zip(green).zip(blue).map(|((r, g), b)| (r, g, b))
}

/// torchvision's grey value.
fn grey(r: f32, g: f32, b: f32) -> f32 {
    0.2989 * r + 0.587 * g + 0.114 * b
}

/// `clamp(factor * colour)`: torchvision's `adjust_brightness`.
pub fn brightness(planes: &mut [f32], factor: f32) {
    for value in planes {
        *value = (*value * factor).clamp(0.0, 1.0);
    }
}

/// `clamp(factor * colour + (1 - factor) * mean grey of the image)`: torchvision's `adjust_contrast`.
pub fn contrast(planes: &mut [f32], factor: f32) {
    let area = planes.len() / 3;
    let mean_of = |plane: &[f32]| {
        // Eight running sums in f32 per chunk, chunks in f64: fast and exact enough.
        let chunk_sum = |chunk: &[f32]| {
            let mut lanes = [0.0f32; 8];
            for group in chunk.chunks(8) {
                for (lane, value) in lanes.iter_mut().zip(group) {
                    *lane += value;
                }
            }
            f64::from(lanes.iter().sum::<f32>())
        };
        (plane.chunks(4096).map(chunk_sum).sum::<f64>() / area.max(1) as f64) as f32
    };
    let mean = grey(
        mean_of(&planes[..area]),
        mean_of(&planes[area..2 * area]),
        mean_of(&planes[2 * area..]),
    );
    let offset = (1.0 - factor) * mean;
    for value in planes {
        *value = (*value * factor + offset).clamp(0.0, 1.0);
    }
}

/// `clamp(factor * colour + (1 - factor) * grey of the pixel)`: torchvision's `adjust_saturation`; factor 0 is its
/// `rgb_to_grayscale`.
pub fn saturation(planes: &mut [f32], factor: f32) {
    for (r, g, b) in pixels(planes) {
        let rest = (1.0 - factor) * grey(*r, *g, *b);
        *r = (*r * factor + rest).clamp(0.0, 1.0);
        *g = (*g * factor + rest).clamp(0.0, 1.0);
        *b = (*b * factor + rest).clamp(0.0, 1.0);
    }
}

/// Turn the hue by `shift` turns (-0.5 to 0.5) in HSV, saturation and value kept: torchvision's `adjust_hue`, without branches.
///
/// With hue `h` in sixths of a turn and chroma `c = max - min`, channel `n` (5, 3, 1 for red, green, blue) is
/// `max - c * clamp(min(k, 4 - k), 0, 1)`, `k = (n + h) mod 6`.
pub fn hue(planes: &mut [f32], shift: f32) {
    let turn = if shift < 0.0 { shift + 1.0 } else { shift } * 6.0;
    for (r, g, b) in pixels(planes) {
        let high = r.max(*g).max(*b);
        let chroma = high - r.min(*g).min(*b);
        let scale = if chroma > 0.0 { 1.0 / chroma } else { 0.0 };
        let from_red = (*g - *b) * scale;
        let from_green = 2.0 + (*b - *r) * scale;
        let from_blue = 4.0 + (*r - *g) * scale;
        let h = if *g == high { from_green } else { from_blue };
        let h = if *r == high { from_red } else { h } + turn; // -1 to 11
        let h = if h < 0.0 { h + 6.0 } else { h };
        let channel = |n: f32| {
            let k = h + n; // 0 to 16
            let k = if k >= 6.0 { k - 6.0 } else { k };
            let k = if k >= 6.0 { k - 6.0 } else { k };
            high - chroma * k.min(4.0 - k).clamp(0.0, 1.0)
        };
        (*r, *g, *b) = (channel(5.0), channel(3.0), channel(1.0));
    }
}

/// Gaussian blur with standard deviation `sigma` pixels, cut off at 3 sigma, the border mirrored; rows, then columns.
pub fn blur(planes: &mut [f32], [height, width]: [usize; 2], sigma: f32) {
    let radius = (3.0 * sigma).ceil() as usize;
    let kernel: Vec<f32> = (0..=radius)
        .map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp())
        .collect();
    let sum = kernel[0] + 2.0 * kernel[1..].iter().sum::<f32>();
    let kernel: Vec<f32> = kernel.iter().map(|k| k / sum).collect();
    let mut line = vec![0.0; width];
    let mut out = vec![0.0; height * width];
    for plane in planes.chunks_exact_mut(height * width) {
        for row in plane.chunks_exact_mut(width) {
            line.copy_from_slice(row);
            for (x, value) in row.iter_mut().enumerate() {
                let pair =
                    |i: usize| line[mirrored(x as isize - i as isize, width)] + line[mirrored((x + i) as isize, width)];
                *value = kernel[0] * line[x] + (1..=radius).map(|i| kernel[i] * pair(i)).sum::<f32>();
            }
        }
        for (y, target) in out.chunks_exact_mut(width).enumerate() {
            let row = |at: isize| {
                let y = mirrored(at, height);
                &plane[y * width..(y + 1) * width]
            };
            for (t, s) in target.iter_mut().zip(row(y as isize)) {
                *t = kernel[0] * s;
            }
            for (i, k) in kernel.iter().enumerate().skip(1) {
                let (above, below) = (row(y as isize - i as isize), row((y + i) as isize));
                for ((t, a), b) in target.iter_mut().zip(above).zip(below) {
                    *t += k * (a + b);
                }
            }
        }
        plane.copy_from_slice(&out);
    }
}

/// Fold a position outside `0..n` back inside, the border pixel not repeated.
fn mirrored(at: isize, n: usize) -> usize {
    let period = (2 * n as isize - 2).max(1);
    let at = at.rem_euclid(period) as usize;
    if at < n { at } else { period as usize - at }
}

#[cfg(test)]
mod tests {
    use super::*;

    // torch.manual_seed(0); x = (torch.rand(3, 2, 4) * 255).round() / 255; x[:, 0, 0] = x[0, 0, 0]; x[:, 1, 3] = 0
    const INPUT: [f32; 24] = [
        0.49804, 0.76863, 0.09020, 0.13333, 0.30588, 0.63529, 0.49020, 0.00000, 0.49804, 0.63137, 0.34902, 0.40000,
        0.02353, 0.16863, 0.29412, 0.00000, 0.49804, 0.80000, 0.16078, 0.28235, 0.68235, 0.91373, 0.39608, 0.00000,
    ];

    fn close(change: impl Fn(&mut [f32]), expected: [f32; 24]) {
        let mut planes = INPUT;
        change(&mut planes);
        for (found, expected) in planes.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{planes:?}");
        }
    }

    #[test]
    fn values_equal_torchvision() {
        // torchvision.transforms.functional.adjust_*(x, 1.6), adjust_hue(x, -0.17), rgb_to_grayscale(x, 3)
        close(
            |p| brightness(p, 1.6),
            [
                0.79686, 1.00000, 0.14431, 0.21333, 0.48941, 1.00000, 0.78431, 0.00000, 0.79686, 1.00000, 0.55843,
                0.64000, 0.03765, 0.26980, 0.47059, 0.00000, 0.79686, 1.00000, 0.25725, 0.45176, 1.00000, 1.00000,
                0.63373, 0.00000,
            ],
        );
        close(
            |p| contrast(p, 1.6),
            [
                0.59534, 1.00000, 0.00000, 0.01181, 0.28789, 0.81495, 0.58279, 0.00000, 0.59534, 0.80868, 0.35691,
                0.43848, 0.00000, 0.06828, 0.26907, 0.00000, 0.59534, 1.00000, 0.05573, 0.25024, 0.89024, 1.00000,
                0.43221, 0.00000,
            ],
        );
        close(
            |p| saturation(p, 1.6),
            [
                0.49807, 0.81487, 0.00000, 0.02923, 0.37959, 0.78065, 0.56572, 0.00000, 0.49807, 0.59526, 0.40833,
                0.45590, 0.00000, 0.03398, 0.25200, 0.00000, 0.49807, 0.86506, 0.10716, 0.26766, 0.98195, 1.00000,
                0.41513, 0.00000,
            ],
        );
        close(
            |p| hue(p, -0.17),
            [
                0.49804, 0.63137, 0.28361, 0.25631, 0.02353, 0.16863, 0.38431, 0.00000, 0.49804, 0.66612, 0.34902,
                0.40000, 0.41318, 0.46196, 0.29412, 0.00000, 0.49804, 0.80000, 0.09020, 0.13333, 0.68235, 0.91373,
                0.49020, 0.00000,
            ],
        );
        close(
            |p| saturation(p, 0.0),
            [
                0.49799, 0.69156, 0.25016, 0.30684, 0.18303, 0.39304, 0.36432, 0.00000, 0.49799, 0.69156, 0.25016,
                0.30684, 0.18303, 0.39304, 0.36432, 0.00000, 0.49799, 0.69156, 0.25016, 0.30684, 0.18303, 0.39304,
                0.36432, 0.00000,
            ],
        );
    }

    #[test]
    fn blur_keeps_a_constant_and_spreads_a_point() {
        let mut planes = vec![0.25; 3 * 5 * 4];
        blur(&mut planes, [5, 4], 1.3);
        assert!(planes.iter().all(|v| (v - 0.25).abs() < 1e-6));
        let mut point = vec![0.0; 3 * 9 * 9];
        point[4 * 9 + 4] = 1.0;
        blur(&mut point, [9, 9], 0.5);
        // Weights of distance 0, 1, 2 at sigma 0.5: 1, e^-2, e^-8; the sum with both sides is 1.27134.
        let centre = 1.0f32 / 1.27134;
        assert!((point[4 * 9 + 4] - centre * centre).abs() < 1e-4);
        assert!((point[4 * 9 + 5] - centre * centre * (-2.0f32).exp()).abs() < 1e-4);
        assert_eq!(mirrored(-2, 5), 2);
        assert_eq!(mirrored(6, 5), 2);
        assert_eq!(mirrored(-3, 1), 0);
    }

    #[test]
    fn probabilities_are_kept() {
        let mut random = Random::new(0);
        let options = Distort {
            probability: 0.0,
            grey: 0.3,
            ..Distort::default()
        };
        let changed = (0..1000).filter(|_| {
            let mut planes = INPUT;
            options.apply(&mut planes, [2, 4], &mut random);
            planes != INPUT
        });
        assert!((250..350).contains(&changed.count()));
        assert!(
            Distort {
                hue: 0.6,
                ..Distort::default()
            }
            .check()
            .is_err()
        );
    }
}
