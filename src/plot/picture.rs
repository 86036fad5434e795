//! Pictures in figures: RGB images and label images in the colours of their classes.

use super::palette::{Colour, NOTHING};
use crate::error::Result;
use crate::{ensure, fail};

/// The label that means "not labelled".
pub const IGNORED: u8 = 255;

/// An RGB picture: rows from the top, pixels from the left, three bytes each.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height * width * 3` bytes.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// A picture of these bytes; fails when their number is not `width * height * 3`.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self> {
        ensure!(
            width > 0 && height > 0,
            "image: the picture is empty ({width} x {height} pixels)"
        );
        let (wanted, found) = (width * height * 3, pixels.len());
        ensure!(
            found == wanted,
            "image: {width} x {height} RGB pixels need {wanted} bytes, found {found}"
        );
        Ok(Picture { width, height, pixels })
    }

    /// A label image in the colours of `palette`; [`IGNORED`] becomes light grey. Fails on a label without a colour.
    pub fn labels(width: usize, height: usize, labels: &[u8], palette: &[[u8; 3]]) -> Result<Self> {
        check_labels(width, height, labels, palette)?;
        let colour = |l: &u8| match *l {
            IGNORED => NOTHING,
            label => palette[usize::from(label)],
        };
        Picture::new(width, height, labels.iter().flat_map(colour).collect())
    }

    /// This picture with the label image laid over it (`opacity` 0..1) and the outlines of the regions drawn in full
    /// colour; ignored pixels keep the picture.
    pub fn overlay(&self, labels: &[u8], palette: &[[u8; 3]], opacity: f64) -> Result<Self> {
        check_labels(self.width, self.height, labels, palette)?;
        let mut out = self.clone();
        for (i, label) in labels.iter().enumerate() {
            if *label == IGNORED {
                continue;
            }
            let (x, y) = (i % self.width, i / self.width);
            let edge = (x + 1 < self.width && labels[i + 1] != *label)
                || (y + 1 < self.height && labels[i + self.width] != *label);
            let part = if edge { 1.0 } else { opacity };
            let colour = palette[usize::from(*label)];
            for (p, c) in out.pixels[3 * i..3 * i + 3].iter_mut().zip(colour) {
                *p = (f64::from(*p) * (1.0 - part) + f64::from(c) * part).round() as u8;
            }
        }
        Ok(out)
    }

    /// A map of colours of any size laid over this picture, between its cells smoothed; cells without a colour leave it as it is.
    pub(super) fn blend(&mut self, cells: &[Option<Colour>], rows: usize, columns: usize, opacity: f64) {
        let (width, height) = (self.width, self.height);
        let place = |i: usize, n: usize, size: usize| {
            let at = ((i as f64 + 0.5) * n as f64 / size as f64 - 0.5).clamp(0.0, (n - 1) as f64);
            (at.floor() as usize, (at.ceil() as usize).min(n - 1), at.fract())
        };
        for (i, pixel) in self.pixels.chunks_exact_mut(3).enumerate() {
            let ((r0, r1, v), (c0, c1, u)) = (place(i / width, rows, height), place(i % width, columns, width));
            let shares = [
                (r0, c0, (1.0 - v) * (1.0 - u)),
                (r0, c1, (1.0 - v) * u),
                (r1, c0, v * (1.0 - u)),
                (r1, c1, v * u),
            ];
            for (k, p) in pixel.iter_mut().enumerate() {
                let below = f64::from(*p);
                let over = |c: Colour| below + opacity * (f64::from(c[k]) - below);
                let of = |(r, c, w): &(usize, usize, f64)| w * cells[r * columns + c].map_or(below, over);
                *p = shares.iter().map(of).sum::<f64>().round() as u8;
            }
        }
    }

    /// Height over width.
    pub(super) fn aspect(&self) -> f64 {
        self.height as f64 / self.width as f64
    }

    /// The picture shrunk (averaging over areas) to at most `width` x `height` pixels; never enlarged.
    pub(super) fn reduced(&self, width: usize, height: usize) -> Picture {
        let (width, height) = (width.clamp(1, self.width), height.clamp(1, self.height));
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let columns = shares(self.width, width);
        let mut pixels = Vec::with_capacity(width * height * 3);
        for row in shares(self.height, height) {
            for column in &columns {
                let mut sum = [0.0f32; 3];
                for (y, wy) in &row {
                    for (x, wx) in column {
                        let at = 3 * (y * self.width + x);
                        for (s, p) in sum.iter_mut().zip(&self.pixels[at..at + 3]) {
                            *s += wy * wx * f32::from(*p);
                        }
                    }
                }
                pixels.extend(sum.map(|s| s.round().clamp(0.0, 255.0) as u8));
            }
        }
        Picture { width, height, pixels }
    }
}

/// For each of `to` cells, the source cells it covers and their shares (which add up to one).
fn shares(from: usize, to: usize) -> Vec<Vec<(usize, f32)>> {
    let size = from as f64 / to as f64;
    let cell = |i: usize| {
        let (a, b) = (i as f64 * size, (i + 1) as f64 * size);
        let cover = |j: usize| ((b.min(j as f64 + 1.0) - a.max(j as f64)) / size) as f32;
        let cells = a.floor() as usize..(b.ceil() as usize).min(from);
        cells.map(|j| (j, cover(j))).filter(|(_, c)| *c > 1e-6).collect()
    };
    (0..to).map(cell).collect()
}

fn check_labels(width: usize, height: usize, labels: &[u8], palette: &[Colour]) -> Result<()> {
    let (all, given, n) = (width * height, labels.len(), palette.len());
    ensure!(
        given == all,
        "masks: the image has {width} x {height} = {all} pixels, the labels have {given}"
    );
    let strange = labels.iter().position(|l| *l != IGNORED && usize::from(*l) >= n);
    if let Some(i) = strange {
        let (label, x, y, last) = (labels[i], i % width, i / width, n.saturating_sub(1));
        fail!(
            "masks: label {label} at row {y}, column {x} has no colour; the palette has {n} (labels 0 to {last}, and {IGNORED} for ignored)"
        );
    }
    Ok(())
}
