//! A canvas that keeps colour and label together, the shapes drawn on it, and noise for textures.

use crate::random::Random;

/// Red, green, blue; 0..1 in good light, above 1 where overexposed.
pub(super) type Colour = [f32; 3];

/// Where within a pixel the coverage of a shape is tested (a rotated grid).
const SUBSAMPLES: [[f32; 2]; 4] = [[0.375, 0.125], [0.875, 0.375], [0.125, 0.625], [0.625, 0.875]];

/// Colours and labels of a picture in the making, painted from back to front.
pub(super) struct Canvas {
    pub height: usize,
    pub width: usize,
    pub colours: Vec<Colour>,
    pub labels: Vec<u8>,
}

/// A rectangle in pixels: left, top, right, bottom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds(pub f32, pub f32, pub f32, pub f32);

impl Canvas {
    pub fn new(height: usize, width: usize) -> Self {
        Canvas {
            height,
            width,
            colours: vec![[0.0; 3]; height * width],
            labels: vec![0; height * width],
        }
    }

    /// Paint the shape `inside` with `shade`; both take a position in pixels. The colour is blended by coverage, the label
    /// is set where the pixel's centre is inside.
    pub fn paint(
        &mut self,
        bounds: Bounds,
        class: u8,
        inside: impl Fn(f32, f32) -> bool,
        shade: impl Fn(f32, f32) -> Colour,
    ) {
        self.cover(bounds, |x, y, colour, label| {
            let covered = SUBSAMPLES.iter().filter(|s| inside(x + s[0], y + s[1])).count();
            if covered > 0 {
                *colour = mix(*colour, shade(x + 0.5, y + 0.5), covered as f32 * 0.25);
            }
            if inside(x + 0.5, y + 0.5) {
                *label = class;
            }
        });
    }

    /// Darken the shape `inside` (a shadow); labels stay.
    pub fn darken(&mut self, bounds: Bounds, factor: f32, inside: impl Fn(f32, f32) -> bool) {
        self.cover(bounds, |x, y, colour, _| {
            let covered = SUBSAMPLES.iter().filter(|s| inside(x + s[0], y + s[1])).count();
            let by = 1.0 - (1.0 - factor) * covered as f32 * 0.25;
            *colour = colour.map(|c| c * by);
        });
    }

    /// Visit the pixels of `bounds`: their left upper corner, colour and label.
    fn cover(&mut self, bounds: Bounds, mut visit: impl FnMut(f32, f32, &mut Colour, &mut u8)) {
        let clip = |v: f32, n: usize| (v.max(0.0) as usize).min(n);
        let (left, right) = (clip(bounds.0, self.width), clip(bounds.2 + 1.0, self.width));
        let (top, bottom) = (clip(bounds.1, self.height), clip(bounds.3 + 1.0, self.height));
        if left >= right {
            return;
        }
        for y in top..bottom {
            let row = y * self.width + left..y * self.width + right;
            let pixels = self.colours[row.clone()].iter_mut().zip(&mut self.labels[row]);
            for (x, (colour, label)) in pixels.enumerate() {
                visit((left + x) as f32, y as f32, colour, label);
            }
        }
    }
}

/// A convex polygon.
pub(super) struct Polygon {
    points: Vec<[f32; 2]>,
}

impl Polygon {
    /// From its corners, in either sense of rotation.
    pub fn new(points: impl Into<Vec<[f32; 2]>>) -> Self {
        let mut points = points.into();
        let area: f32 = (0..points.len())
            .map(|i| {
                let ([ax, ay], [bx, by]) = (points[i], points[(i + 1) % points.len()]);
                ax * by - bx * ay
            })
            .sum();
        if area < 0.0 {
            points.reverse();
        }
        Polygon { points }
    }

    pub fn contains(&self, x: f32, y: f32) -> bool {
        let mut last = self.points[self.points.len() - 1];
        self.points.iter().all(|&p| {
            let side = (p[0] - last[0]) * (y - last[1]) - (p[1] - last[1]) * (x - last[0]);
            last = p;
            side >= 0.0
        })
    }

    pub fn bounds(&self) -> Bounds {
        let start = Bounds(f32::MAX, f32::MAX, f32::MIN, f32::MIN);
        self.points.iter().fold(start, |b, p| {
            Bounds(b.0.min(p[0]), b.1.min(p[1]), b.2.max(p[0]), b.3.max(p[1]))
        })
    }

    /// The polygon shrunk towards its middle.
    pub fn shrunk(&self, factor: f32) -> Self {
        let n = self.points.len() as f32;
        let middle = [0, 1].map(|i| self.points.iter().map(|p| p[i]).sum::<f32>() / n);
        let shrink = |p: &[f32; 2]| [0, 1].map(|i| middle[i] + (p[i] - middle[i]) * factor);
        Polygon {
            points: self.points.iter().map(shrink).collect(),
        }
    }
}

/// A line from `a` to `b` with round ends.
pub(super) struct Capsule {
    pub a: [f32; 2],
    pub b: [f32; 2],
    pub radius: f32,
}

impl Capsule {
    pub fn contains(&self, x: f32, y: f32) -> bool {
        let (dx, dy) = (self.b[0] - self.a[0], self.b[1] - self.a[1]);
        let (px, py) = (x - self.a[0], y - self.a[1]);
        let along = ((px * dx + py * dy) / (dx * dx + dy * dy).max(1e-6)).clamp(0.0, 1.0);
        let (ex, ey) = (px - along * dx, py - along * dy);
        ex * ex + ey * ey <= self.radius * self.radius
    }

    pub fn bounds(&self) -> Bounds {
        let r = self.radius;
        Bounds(
            self.a[0].min(self.b[0]) - r,
            self.a[1].min(self.b[1]) - r,
            self.a[0].max(self.b[0]) + r,
            self.a[1].max(self.b[1]) + r,
        )
    }
}

/// `a + (b - a) t`.
pub(super) fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * t)
}

/// Every channel times `by`.
pub(super) fn scaled(colour: Colour, by: f32) -> Colour {
    colour.map(|c| c * by)
}

/// The colour of this hue (turns), saturation and value.
pub(super) fn hsv(hue: f32, saturation: f32, value: f32) -> Colour {
    [5.0, 3.0, 1.0].map(|n| {
        let k = (n + hue.rem_euclid(1.0) * 6.0) % 6.0;
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

/// A colour whose hue, saturation and value are drawn from these ranges, in this order.
pub(super) fn drawn(random: &mut Random, hue: [f64; 2], saturation: [f64; 2], value: [f64; 2]) -> Colour {
    let [hue, saturation, value] = [hue, saturation, value].map(|[low, high]| random.between(low, high));
    hsv(hue, saturation, value)
}

/// The largest whole number not above `v` (inlined; the library call is slow without SSE 4.1).
pub(super) fn floor(v: f32) -> i32 {
    let i = v as i32;
    i - i32::from(v < i as f32)
}

/// A number in 0..1 that depends on a cell and a key only.
pub(super) fn hash(x: i32, y: i32, key: u32) -> f32 {
    (hash_bits(x, y, key) >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// 32 bits that depend on a cell and a key only.
pub(super) fn hash_bits(x: i32, y: i32, key: u32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x8DA6_B343) ^ (y as u32).wrapping_mul(0xD816_3841) ^ key;
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^ (h >> 15)
}

/// Smooth noise in 0..1 with features one unit wide.
pub(super) fn noise(x: f32, y: f32, key: u32) -> f32 {
    let (ix, iy) = (floor(x), floor(y));
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (tx, ty) = (smooth(x - ix as f32), smooth(y - iy as f32));
    let row = |y: i32| {
        let (a, b) = (hash(ix, y, key), hash(ix + 1, y, key));
        a + (b - a) * tx
    };
    let (a, b) = (row(iy), row(iy + 1));
    a + (b - a) * ty
}

/// Three octaves of [`noise`], 0..1.
pub(super) fn clouds(x: f32, y: f32, key: u32) -> f32 {
    (noise(x, y, key) * 4.0 + noise(x * 2.1, y * 2.1, key ^ 0x51) * 2.0 + noise(x * 4.3, y * 4.3, key ^ 0xA7)) / 7.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_covers_its_pixels_and_blends_its_border() {
        let mut canvas = Canvas::new(4, 4);
        let square = Polygon::new([[1.0, 1.0], [1.0, 3.0], [3.5, 3.0], [3.5, 1.0]]);
        canvas.paint(square.bounds(), 7, |x, y| square.contains(x, y), |_, _| [1.0; 3]);
        assert_eq!(canvas.labels[4..8], [0, 7, 7, 7]); // the centre at 3.5 lies on the border, which belongs to the shape
        assert_eq!(canvas.labels[12..], [0; 4]);
        assert_eq!(canvas.colours[5], [1.0; 3]);
        assert_eq!(canvas.colours[7], [0.5; 3]); // two of four subsamples
    }

    #[test]
    fn noise_is_smooth_and_stays_in_range() {
        for i in 0..200 {
            let x = i as f32 * 0.31 - 20.0;
            let (a, b) = (noise(x, -x, 5), noise(x + 0.01, -x, 5));
            assert!((0.0..=1.0).contains(&a) && (a - b).abs() < 0.03);
        }
        assert_eq!(floor(-0.5), -1);
        assert_eq!(hsv(1.0 / 3.0, 1.0, 1.0), [0.0, 1.0, 0.0]);
    }
}
