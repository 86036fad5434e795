//! Panels that hold a picture: its frame, its texts, markers on it.

use super::backend::LEADING;
use super::figure::Panel;
use super::font::{CAP, DEPTH, Font};
use super::layers::Layer;
use super::layout::{Margins, draw_title, title_height};
use super::palette::Marker;
use super::style::Style;
use super::svg::{Anchor, Area, Canvas, Stroke};
use crate::error::Result;

/// Height over width of the panel's picture.
pub(super) fn aspect(panel: &Panel) -> f64 {
    match panel.layers.first() {
        Some((Layer::Picture { picture, .. }, _)) => picture.aspect(),
        _ => 1.0,
    }
}

/// Room for the texts around the picture.
pub(super) fn margins(panel: &Panel, [width, height]: [f64; 2], style: &Style, font: &Font) -> Margins {
    let lines = |text: &str, room: f64| {
        let (lines, size) = font.wrapped(text, style.size, room);
        if lines.is_empty() {
            0.0
        } else {
            size * LEADING * lines.len() as f64 + style.gap * 0.6
        }
    };
    [
        lines(&panel.y, height),
        0.0,
        title_height(&panel.title, width, style, font),
        lines(&panel.x, width),
    ]
}

/// Draw the picture as large as it fits into `area`.
pub(super) fn draw(canvas: &mut Canvas, panel: &Panel, area: Area) -> Result<()> {
    let Some((Layer::Picture { picture, sharp, points }, _)) = panel.layers.first() else {
        return Ok(());
    };
    let style = canvas.style.clone();
    let inside = area.fitted(picture.aspect());
    canvas.picture(inside, picture, *sharp)?;
    canvas.frame(inside, Stroke::solid(style.edge, style.thin));
    for (at, look) in points {
        let scale = inside.w / picture.width as f64;
        let place = [inside.x + at[0] * scale, inside.y + at[1] * scale];
        let radius = look.size.map_or(style.marker * 1.3, |d| d / 2.0);
        let shape = look.marker.unwrap_or(Marker::Circle);
        let colour = look.colour.unwrap_or([0xD6, 0x27, 0x28]);
        // white around it, so that it is seen on any ground
        canvas.marker(shape, place, radius * 1.4, [255; 3], 0.9);
        canvas.marker(shape, place, radius, colour, look.alpha.unwrap_or(1.0));
        if look.label.is_empty() {
            continue;
        }
        // a name stands on a light ground, to the right of its point or where the picture ends there to the left
        let [wide, high] = [canvas.font.width(&look.label, style.small), style.small * (CAP + DEPTH)];
        let away = radius * 1.4 + style.gap * 0.5;
        let left = match place[0] + away + wide + style.gap > inside.right() {
            true => place[0] - away - wide,
            false => place[0] + away,
        };
        let ground = Area::new(left, place[1] - style.small * CAP / 2.0, wide, high);
        canvas.rect(ground.grown(style.gap * 0.3), [255; 3], 0.8);
        let base = [left, place[1] + style.small * CAP / 2.0];
        canvas.text(base, &look.label, style.small, Anchor::Start, 0.0, colour);
    }
    let title = Area::new(area.x, inside.y, area.w, inside.h);
    draw_title(canvas, &panel.title, title, 0.0);
    let (lines, size) = canvas.font.wrapped(&panel.x, style.size, area.w);
    for (i, line) in lines.iter().enumerate() {
        let y = inside.bottom() + style.gap * 0.6 + size * (CAP + LEADING * i as f64);
        canvas.text([area.x + area.w / 2.0, y], line, size, Anchor::Middle, 0.0, style.ink);
    }
    let (lines, size) = canvas.font.wrapped(&panel.y, style.size, area.h);
    for (i, line) in lines.iter().rev().enumerate() {
        let x = area.x - style.gap * 0.6 - size * (DEPTH + LEADING * i as f64);
        canvas.text([x, area.y + area.h / 2.0], line, size, Anchor::Middle, -90.0, style.ink);
    }
    Ok(())
}
