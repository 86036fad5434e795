//! Scatters of very many points become a picture inside the figure, since one shape for each would make files of many megabytes.

use resvg::tiny_skia::{FillRule, Paint, Path, PathBuilder, Pixmap, Transform};

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

/// Draw the points over the panel.
pub(super) fn draw(backend: &Backend, area: Area, dots: impl Iterator<Item = Dot>, [x, y]: [&Axis; 2]) -> Result<()> {
    let (scale, dry) = {
        let canvas = backend.canvas();
        (canvas.dpi.max(DPI) / 72.0, canvas.dry)
    };
    let [width, height] = [area.w, area.h].map(|v| (v * scale).ceil().clamp(1.0, 10_000.0) as u32);
    let failed = || Error::usage("figure: a scatter does not fit into memory; make dpi or size smaller");
    let mut pixels = Pixmap::new(width, height).ok_or_else(failed)?;
    for (i, dot) in dots.enumerate() {
        let (Some(px), Some(py)) = (x.place(dot.at.0), y.place(dot.at.1)) else {
            continue;
        };
        let at = [px * area.w, (1.0 - py) * area.h];
        if i % 16 == 0
            && let Some(marks) = &mut backend.canvas().marks
        {
            marks.push([area.x + at[0], area.y + at[1]]);
        }
        if i % BATCH == 0 {
            backend.canvas().check_cancel()?;
        }
        if let Some(shape) = outline(dot.shape).filter(|_| !dry) {
            let [x, y, radius] = [at[0], at[1], dot.radius].map(|v| (v * scale) as f32);
            let place = Transform::from_row(radius, 0.0, 0.0, radius, x, y);
            let mut paint = Paint::default();
            let [r, g, b] = dot.colour;
            paint.set_color_rgba8(r, g, b, (dot.opacity * 255.0).round() as u8);
            pixels.fill_path(&shape, &paint, FillRule::Winding, place, None);
        }
    }
    if !dry {
        let size = [width, height].map(|v| v as usize);
        let bytes = png::encode(size, &pixels.take_demultiplied(), None, &[])?;
        let exact = Area::new(area.x, area.y, f64::from(width) / scale, f64::from(height) / scale);
        backend.canvas().png(exact, &bytes, false);
    }
    Ok(())
}

/// A marker of radius 1 around the origin.
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
