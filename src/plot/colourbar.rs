//! The bar beside a panel that says which colour stands for which value.

use super::axis::{Axis, Request, Scale};
use super::font::{CAP, DEPTH, Font};
use super::palette::ColourMap;
use super::picture::Picture;
use super::style::Style;
use super::svg::{Anchor, Area, Canvas, Stroke};
use crate::error::Result;

pub(super) struct ColourBar {
    pub(super) colours: ColourMap,
    pub(super) range: [f64; 2],
    label: (Vec<String>, f64),
    axis: Axis,
    width: f64,
    /// Width with numbers and label, from the panel on.
    pub(super) room: f64,
    /// Height of the common factor above it.
    pub(super) head: f64,
}

impl ColourBar {
    pub(super) fn new(
        colours: ColourMap,
        range: [f64; 2],
        label: &str,
        height: f64,
        style: &Style,
        font: &Font,
    ) -> ColourBar {
        let request = Request {
            scale: Scale::Linear,
            range,
            whole: false,
            pad: [0.0; 2],
            ticks: None,
            length: height,
            horizontal: false,
            font_size: style.small,
        };
        let axis = Axis::new(&request, font);
        let width = style.size * 0.9;
        let label = font.wrapped(label, style.size, height);
        let widest = axis
            .ticks
            .iter()
            .map(|t| font.width(&t.1, style.small))
            .fold(0.0, f64::max);
        let numbers = widest.max(font.width(&axis.note, style.small) - width);
        let lines = label.0.len() as f64 * label.1 * 1.2;
        let room = style.gap * 2.0 + width + style.tick + style.gap * 0.7 + numbers + lines;
        let head = if axis.note.is_empty() {
            0.0
        } else {
            style.small * 1.3 + style.gap
        };
        ColourBar {
            colours,
            range,
            label,
            axis,
            width,
            room: room + if lines > 0.0 { style.gap } else { 0.0 },
            head,
        }
    }

    /// The colour of a value.
    pub(super) fn colour(&self, value: f64) -> [u8; 3] {
        let [low, high] = self.range;
        self.colours.at((value - low) / (high - low))
    }

    /// To the right of `area`, from this distance on.
    pub(super) fn draw(&self, canvas: &mut Canvas, area: Area, away: f64) -> Result<()> {
        let style = canvas.style.clone();
        let bar = Area::new(area.right() + away + style.gap * 2.0, area.y, self.width, area.h);
        let [low, high] = self.range;
        let steps = 128;
        let level = |i: usize| high - (high - low) * (i as f64 + 0.5) / steps as f64;
        let pixels = (0..steps).flat_map(|i| self.colour(level(i))).collect();
        canvas.picture(bar, &Picture::new(1, steps, pixels)?, false)?;
        let stroke = Stroke::solid(style.ink, style.axis);
        canvas.frame(bar, stroke);
        let text = bar.right() + style.tick + style.gap * 0.7;
        for (value, label) in &self.axis.ticks {
            let Some(p) = self.axis.place(*value) else { continue };
            let y = bar.bottom() - p * bar.h;
            canvas.line([bar.right(), y], [bar.right() + style.tick, y], stroke);
            canvas.text(
                [text, y + style.small * CAP / 2.0],
                label,
                style.small,
                Anchor::Start,
                0.0,
                style.ink,
            );
        }
        canvas.text(
            [bar.x, bar.y - style.gap],
            &self.axis.note,
            style.small,
            Anchor::Start,
            0.0,
            style.ink,
        );
        let right = area.right() + away + self.room;
        for (i, line) in self.label.0.iter().rev().enumerate() {
            let at = [right - self.label.1 * (DEPTH + 1.2 * i as f64), area.y + area.h / 2.0];
            canvas.text(at, line, self.label.1, Anchor::Middle, -90.0, style.ink);
        }
        Ok(())
    }
}
