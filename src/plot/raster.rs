//! Scatters of very many points become a picture inside the figure, since one shape for each would make files of many megabytes.

use std::collections::HashMap;

use resvg::tiny_skia::{FillRule, Mask, Path, PathBuilder, Pixmap, Transform};

use super::area::Area;
use super::axis::Axis;
use super::backend::{Backend, Dot};
use super::palette::Marker;
use super::png;
use crate::error::{Error, Result};

/// More points than this are drawn as a picture, if none has a larger radius than this, in points.
pub(super) const MOST: usize = 5000;
pub(super) const LARGEST: f64 = 30.0;
/// Least resolution of such a picture.
const DPI: f64 = 300.0;
/// Points drawn between two looks at the cancel flag.
const BATCH: usize = 1000;
/// Parts of a pixel to which places and radii are rounded, so that points can share their stamps.
const PARTS: f64 = 8.0;
/// Bytes of stamps that are kept.
const STAMPS: usize = 1 << 26;

/// Draw the points over the panel.
pub(super) fn draw(backend: &Backend, area: Area, dots: impl Iterator<Item = Dot>, [x, y]: [&Axis; 2]) -> Result<()> {
    let (scale, dry) = {
        let canvas = backend.canvas();
        (canvas.dpi.max(DPI) / 72.0, canvas.dry)
    };
    let size = [area.w, area.h].map(|v| (v * scale).ceil().clamp(1.0, 10_000.0) as u32);
    let failed = || Error::usage("figure: a scatter does not fit into memory; make dpi or size smaller");
    let mut pixels = Pixmap::new(size[0], size[1]).ok_or_else(failed)?;
    let (mut stamps, mut held) = (HashMap::new(), 0);
    for (i, dot) in dots.enumerate() {
        let (Some(px), Some(py)) = (x.place(dot.at.0), y.place(dot.at.1)) else {
            continue;
        };
        if i % 16 == 0
            && let Some(marks) = &mut backend.canvas().marks
        {
            marks.push([area.x + px * area.w, area.bottom() - py * area.h]);
        }
        if i % BATCH == 0 {
            backend.canvas().check_cancel()?;
        }
        if dry {
            continue;
        }
        let at = [px * area.w * scale, (1.0 - py) * area.h * scale].map(|v| (v * PARTS).round());
        let [column, row] = at.map(|v| (v / PARTS).floor());
        let key = (
            dot.shape,
            (dot.radius * scale * PARTS).round().max(1.0) as u32,
            [at[0] - column * PARTS, at[1] - row * PARTS].map(|part| part as u8),
        );
        if held > STAMPS {
            (stamps, held) = (HashMap::new(), 0);
        }
        let stamp = stamps.entry(key).or_insert_with(|| {
            let stamp = Stamp::new(key);
            held += stamp.as_ref().map_or(0, |stamp| stamp.cover.data().len());
            stamp
        });
        if let Some(stamp) = stamp {
            stamp.press(&mut pixels, [column as i64, row as i64], &dot);
        }
    }
    if dry {
        return Ok(());
    }
    let bytes = png::encode(size.map(|v| v as usize), &pixels.take_demultiplied(), None, &[])?;
    let exact = Area::new(area.x, area.y, f64::from(size[0]) / scale, f64::from(size[1]) / scale);
    backend.canvas().png(exact, &bytes, false);
    Ok(())
}

/// How much of each pixel a marker covers: drawn once for all points of one shape, radius and place within a pixel.
struct Stamp {
    cover: Mask,
    /// Pixels from the left upper corner to the pixel that the point is in.
    middle: i64,
}

impl Stamp {
    /// Shape, radius and place in parts of a pixel.
    fn new((shape, radius, part): (Marker, u32, [u8; 2])) -> Option<Stamp> {
        let radius = f64::from(radius) / PARTS;
        let middle = (radius * 1.4).ceil() + 1.0;
        let mut cover = Mask::new(2 * middle as u32 + 1, 2 * middle as u32 + 1)?;
        let [x, y] = part.map(|part| (middle + f64::from(part) / PARTS) as f32);
        let place = Transform::from_row(radius as f32, 0.0, 0.0, radius as f32, x, y);
        cover.fill_path(&outline(shape)?, FillRule::Winding, true, place);
        let middle = middle as i64;
        Some(Stamp { cover, middle })
    }

    /// Lay the dot's colour over the pixels around this one.
    fn press(&self, pixels: &mut Pixmap, [column, row]: [i64; 2], dot: &Dot) {
        let (width, height) = (i64::from(pixels.width()), i64::from(pixels.height()));
        let side = i64::from(self.cover.width());
        let (left, top) = (column - self.middle, row - self.middle);
        let columns = (-left).clamp(0, side) as usize..(width - left).clamp(0, side) as usize;
        if columns.is_empty() {
            return;
        }
        let opacity = (dot.opacity * 255.0).round() as u32;
        let [r, g, b] = dot.colour.map(u32::from);
        let bytes = pixels.data_mut();
        for line in (-top).clamp(0, side)..(height - top).clamp(0, side) {
            let cover = &self.cover.data()[(line * side) as usize..][columns.clone()];
            let start = ((top + line) * width + left + columns.start as i64) as usize * 4;
            for (pixel, cover) in bytes[start..].chunks_exact_mut(4).zip(cover) {
                let over = u32::from(*cover) * opacity / 255;
                if over == 0 {
                    continue;
                }
                for (below, ink) in pixel.iter_mut().zip([r, g, b, 255]) {
                    *below = ((u32::from(*below) * (255 - over) + ink * over + 127) / 255) as u8;
                }
            }
        }
    }
}

fn outline(shape: Marker) -> Option<Path> {
    let corners = shape.corners();
    if corners.is_empty() {
        return PathBuilder::from_circle(0.0, 0.0, 1.0);
    }
    let mut path = PathBuilder::new();
    for (i, [x, y]) in corners.iter().map(|p| p.map(|v| v as f32)).enumerate() {
        if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    path.close();
    path.finish()
}
