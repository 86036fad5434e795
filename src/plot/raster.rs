//! Scatters of very many points become a picture inside the figure, since one shape for each would make files of many megabytes.

use resvg::tiny_skia::{Color, FillRule, Paint, Path, PathBuilder, Pixmap, PixmapMut, Transform};

use super::axis::Axis;
use super::backend::{Backend, Dot};
use super::palette::Marker;
use super::png;
use super::svg::Area;
use crate::error::{Error, Result};

/// More points than this are drawn as a picture.
pub(super) const MOST: usize = 5000;
/// Least resolution of such a picture.
const DPI: f64 = 300.0;
/// Points drawn between two looks at the cancel flag, and points kept for the legend to avoid.
const BATCH: usize = 1000;

/// Draw the points over the panel.
pub(super) fn draw(backend: &Backend, area: Area, dots: impl Iterator<Item = Dot>, [x, y]: [&Axis; 2]) -> Result<()> {
    let scale = backend.0.borrow().dpi.max(DPI) / 72.0;
    let dry = backend.0.borrow().dry;
    let size = [area.w, area.h].map(|v| (v * scale).ceil().clamp(1.0, 10_000.0) as u32);
    let failed = || Error::usage("figure: a scatter does not fit into memory; make dpi or size smaller");
    let mut pixels = Pixmap::new(size[0], size[1]).ok_or_else(failed)?;
    let mut shape: Option<(Marker, Path)> = None;
    for (i, dot) in dots.enumerate() {
        let (Some(px), Some(py)) = (x.place(dot.at.0), y.place(dot.at.1)) else {
            continue;
        };
        if i % 16 == 0
            && let Some(marks) = &mut backend.0.borrow_mut().marks
        {
            marks.push([area.x + px * area.w, area.bottom() - py * area.h]);
        }
        if i % BATCH == 0 && backend.0.borrow().cancelled() {
            return Err(Error::Interrupted);
        }
        if dry {
            continue;
        }
        if shape.as_ref().is_none_or(|s| s.0 != dot.shape) {
            shape = outline(dot.shape).map(|path| (dot.shape, path));
        }
        if let Some((_, path)) = &shape {
            let at = [px * area.w * scale, (1.0 - py) * area.h * scale];
            stamp(&mut pixels.as_mut(), path, at, dot.radius * scale, &dot);
        }
    }
    let bytes = png::encode_transparent(&pixels)?;
    let exact = Area::new(area.x, area.y, f64::from(size[0]) / scale, f64::from(size[1]) / scale);
    backend.0.borrow_mut().png(exact, &bytes, false);
    Ok(())
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

fn stamp(pixels: &mut PixmapMut, path: &Path, at: [f64; 2], radius: f64, dot: &Dot) {
    let [r, g, b] = dot.colour;
    let mut paint = Paint::default();
    paint.set_color(Color::from_rgba8(r, g, b, (dot.opacity * 255.0).round() as u8));
    let place = Transform::from_row(radius as f32, 0.0, 0.0, radius as f32, at[0] as f32, at[1] as f32);
    pixels.fill_path(path, &paint, FillRule::Winding, place, None);
}
