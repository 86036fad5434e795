//! What is written over the data of a panel, drawn through plotters: lines and spans over its whole width, texts with arrows.

use plotters::element::{EmptyElement, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, ShapeStyle};

use super::axis::Axis;
use super::backend::{UNIT, pen};
use super::chart::letters;
use super::font::{CAP, DEPTH};
use super::layers::Note;
use super::options::Look;
use super::palette::Dash;
use super::series::Pencil;
use crate::error::Result;

impl Pencil<'_> {
    /// Spans in pass 0, lines in pass 2, texts in pass 5.
    pub(super) fn note(&self, note: &Note, look: &Look, pass: usize) -> Result<()> {
        match note {
            Note::Span { x, y } if pass == 0 => self.span([x, y], look),
            Note::HLine(at) if pass == 2 && self.y.contains(*at) => {
                let [left, right] = self.x.ends();
                self.rule(vec![(left, *at), (right, *at)], look)
            }
            Note::VLine(at) if pass == 2 && self.x.contains(*at) => {
                let [low, high] = self.y.ends();
                self.rule(vec![(*at, low), (*at, high)], look)
            }
            Note::Text { at, text, to } if pass == 5 => self.text(*at, text, *to, look),
            _ => Ok(()),
        }
    }

    fn span(&self, [x, y]: [&Option<[f64; 2]>; 2], look: &Look) -> Result<()> {
        let within = |axis: &Axis, span: &Option<[f64; 2]>| {
            let [low, high] = span.unwrap_or(axis.ends()).map(|v| axis.bound(v).unwrap_or(v));
            (low < high).then_some([low, high])
        };
        let (Some([left, right]), Some([low, high])) = (within(self.x, x), within(self.y, y)) else {
            return Ok(());
        };
        let colour = self.style.ink_of(look).unwrap_or(self.style.edge);
        let fill = pen(colour, look.alpha.unwrap_or(0.18), 0.0).filled();
        // a legend may stand on it
        let marks = self.backend.canvas().marks.take();
        let drawn = self.draw([Rectangle::new([(left, low), (right, high)], fill)]);
        self.backend.canvas().marks = marks;
        drawn
    }

    fn rule(&self, ends: Vec<(f64, f64)>, look: &Look) -> Result<()> {
        let width = look.width.unwrap_or(self.style.line * 0.7);
        self.backend.canvas().dash = self.look().dash;
        let line = pen(self.look().colour, look.alpha.unwrap_or(1.0), width);
        let drawn = self.draw([PathElement::new(ends, line)]);
        self.backend.canvas().dash = Dash::Solid;
        drawn
    }

    /// A text around a point of the panel, moved as far as it must to stay inside, and its arrow.
    fn text(&self, at: [f64; 2], text: &str, to: Option<[f64; 2]>, look: &Look) -> Result<()> {
        let (area, style) = (self.area, &self.style);
        let size = look.size.unwrap_or(style.small);
        let ink = style.ink_of(look).unwrap_or(style.ink);
        let place = |p: [f64; 2]| {
            let (x, y) = (self.x.place(p[0])?, self.y.place(p[1])?);
            Some([area.x + x * area.w, area.bottom() - y * area.h])
        };
        let Some([x, y]) = place(at) else { return Ok(()) };
        let (half, gap) = (self.backend.canvas().font.width(text, size) / 2.0, style.gap * 0.5);
        let keep = |v: f64, half: f64, low: f64, high: f64| v.min(high - half).max(low + half);
        let middle = [
            keep(x, half + gap, area.x, area.right()),
            keep(y, size * 0.6, area.y, area.bottom()),
        ];
        if let (Some(to), Some(tip)) = (to, to.and_then(place)) {
            let hull = [half + gap, size * (CAP + DEPTH) / 2.0 + gap];
            let line = pen(ink, 1.0, look.width.unwrap_or(style.line * 0.6));
            self.arrow((to[0], to[1]), [middle[0] - tip[0], middle[1] - tip[1]], hull, line)?;
        }
        let centred = letters(ink, size).pos(Pos::new(HPos::Center, VPos::Center));
        let text = Text::new(text.to_string(), pixels([middle[0] - x, middle[1] - y]), centred);
        self.draw([EmptyElement::at((at[0], at[1])) + text])
    }

    /// A line with a head that ends at `tip` and begins at the edge of a text: its middle as seen from there, and half its size.
    fn arrow(&self, tip: (f64, f64), [x, y]: [f64; 2], hull: [f64; 2], line: ShapeStyle) -> Result<()> {
        // how far along the way the edge of the text is
        let edge = (hull[0] / x.abs().max(1e-9)).min(hull[1] / y.abs().max(1e-9));
        if edge >= 1.0 {
            return Ok(());
        }
        let along = [x / x.hypot(y), y / x.hypot(y)];
        let (long, wide) = (self.style.line * 4.0, self.style.line * 1.6);
        let back =
            |far: f64, aside: f64| pixels([along[0] * far - along[1] * aside, along[1] * far + along[0] * aside]);
        let shaft = vec![pixels([x * (1.0 - edge), y * (1.0 - edge)]), back(long * 0.8, 0.0)];
        let head = vec![(0, 0), back(long, wide), back(long, -wide)];
        let shapes = EmptyElement::at(tip) + PathElement::new(shaft, line) + Polygon::new(head, line.color.filled());
        self.draw([shapes])
    }
}

/// A distance in points as plotters takes it.
fn pixels(by: [f64; 2]) -> (i32, i32) {
    let [x, y] = by.map(|v| (v * UNIT).round() as i32);
    (x, y)
}
