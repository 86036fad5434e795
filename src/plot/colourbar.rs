//! The bar beside a panel that says which colour stands for which value.

use super::area::Area;
use super::axis::{Axis, Request};
use super::font::{CAP, Font};
use super::palette::ColourMap;
use super::picture::Picture;
use super::style::Style;
use super::svg::{Anchor, Canvas, Stroke};
use super::text::Block;
use crate::error::Result;

pub(super) struct ColourBar {
    colours: ColourMap,
    range: [f64; 2],
    label: Block,
    axis: Axis,
    width: f64,
    /// Width with numbers and label, from the panel on.
    pub(super) room: f64,
    /// Height of the common factor above it.
    pub(super) head: f64,
}

impl ColourBar {
    /// The bar of these values, `height` points high, or of the range that was asked for.
    pub(super) fn new(
        (colours, values, range): (ColourMap, &[f64], Option<[f64; 2]>),
        label: &str,
        height: f64,
        style: &Style,
        font: &Font,
    ) -> ColourBar {
        let range = range.unwrap_or_else(|| colours.limits(values));
        let request = Request {
            range,
            length: height,
            font_size: style.small,
            ..Request::default()
        };
        let axis = Axis::new(&request, font);
        let width = style.size * 0.9;
        let label = Block::new(label, style.size, height, font);
        let numbers = axis.widest(style.small, font);
        let numbers = numbers.max(font.width(&axis.note, style.small) - width);
        let head = match axis.note.is_empty() {
            true => 0.0,
            false => style.small * 1.3 + style.gap,
        };
        let room = style.gap * 2.7 + width + style.tick + numbers + label.room(style.gap * 1.4);
        ColourBar {
            colours,
            range,
            label,
            axis,
            width,
            room,
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
        let tick = bar.right() + style.tick;
        for (value, label) in &self.axis.ticks {
            let Some(p) = self.axis.place(*value) else { continue };
            let y = bar.bottom() - p * bar.h;
            canvas.line([bar.right(), y], [tick, y], stroke);
            canvas.small(
                [tick + style.gap * 0.7, y + style.small * CAP / 2.0],
                label,
                Anchor::Start,
            );
        }
        canvas.small([bar.x, bar.y - style.gap], &self.axis.note, Anchor::Start);
        let left = area.right() + away + self.room - self.label.room(0.0);
        self.label.draw_rising(canvas, [left, area.y + area.h / 2.0]);
        Ok(())
    }
}
