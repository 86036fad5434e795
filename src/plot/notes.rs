//! What is written over the data of a panel, drawn through plotters: lines and spans over its whole width, texts with arrows.

use plotters::element::{Drawable, PathElement, PointCollection, Rectangle};
use plotters_backend::{BackendCoord, DrawingBackend};

use super::area::Area;
use super::backend::{Backend, Drawn, pen, point};
use super::font::{CAP, DEPTH};
use super::layers::Note;
use super::options::Look;
use super::palette::{Colour, Dash};
use super::series::{Pencil, Point};
use super::svg::{Anchor, Stroke};
use crate::error::Result;

/// From one end of an axis to the other.
const ALL: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];

impl Pencil<'_> {
    /// Spans in pass 0, lines in pass 2, texts in pass 5.
    pub(super) fn note(&self, note: &Note, look: &Look, pass: usize) -> Result<()> {
        match note {
            Note::Span { x, y } if pass == 0 => {
                let ([left, right], [low, high]) = (x.unwrap_or(ALL), y.unwrap_or(ALL));
                let colour = self.style.ink_of(look).unwrap_or(self.style.edge);
                let fill = pen(colour, look.alpha.unwrap_or(0.18), 0.0).filled();
                // a legend may stand on it
                let marks = self.backend.canvas().marks.take();
                self.draw([Rectangle::new([(left, low), (right, high)], fill)])?;
                self.backend.canvas().marks = marks;
                Ok(())
            }
            Note::HLine(y) if pass == 2 => self.rule(ALL.map(|x| (x, *y)), look),
            Note::VLine(x) if pass == 2 => self.rule(ALL.map(|y| (*x, y)), look),
            Note::Text { at, text, to } if pass == 5 => self.draw([Label {
                points: [Some(*at), *to].into_iter().flatten().map(Point::from).collect(),
                text: text.clone(),
                size: look.size.unwrap_or(self.style.small),
                colour: self.style.ink_of(look).unwrap_or(self.style.ink),
                width: look.width.unwrap_or(self.style.line * 0.6),
                area: self.area,
            }]),
            _ => Ok(()),
        }
    }

    fn rule(&self, ends: [Point; 2], look: &Look) -> Result<()> {
        let width = look.width.unwrap_or(self.style.line * 0.7);
        self.backend.canvas().dash = self.look.dash;
        let line = pen(self.look.colour, look.alpha.unwrap_or(1.0), width);
        self.draw([PathElement::new(ends, line)])?;
        self.backend.canvas().dash = Dash::Solid;
        Ok(())
    }
}

/// A text around a point of the panel, moved as far as it must to stay inside, and an arrow from it to another as plotters' element.
struct Label {
    points: Vec<Point>,
    text: String,
    size: f64,
    colour: Colour,
    /// Of the arrow.
    width: f64,
    area: Area,
}

impl<'a> PointCollection<'a, Point> for &'a Label {
    type Point = &'a Point;
    type IntoIter = std::slice::Iter<'a, Point>;
    fn point_iter(self) -> Self::IntoIter {
        self.points.iter()
    }
}

impl Drawable<Backend> for Label {
    fn draw<I: Iterator<Item = BackendCoord>>(&self, at: I, backend: &mut Backend, _: (u32, u32)) -> Drawn {
        backend.ensure_prepared()?;
        let mut canvas = backend.canvas();
        let (area, size, style) = (self.area, self.size, canvas.style.clone());
        let (half, gap) = (canvas.font.width(&self.text, size) / 2.0, style.gap * 0.5);
        let keep = |v: f64, half: f64, low: f64, high: f64| v.min(high - half).max(low + half);
        let mut places = at.map(point);
        let Some([x, y]) = places.next() else { return Ok(()) };
        let x = keep(x, half + gap, area.x, area.right());
        let y = keep(y, size * 0.6, area.y, area.bottom());
        if let Some(tip) = places.next().map(|tip| area.nearest(tip)) {
            let (away, hull) = ([x - tip[0], y - tip[1]], [half + gap, size * (CAP + DEPTH) / 2.0 + gap]);
            // how far along the way to the middle of the text its edge is
            let edge = (hull[0] / away[0].abs().max(1e-9)).min(hull[1] / away[1].abs().max(1e-9));
            if edge < 1.0 {
                let long = away[0].hypot(away[1]);
                let along = away.map(|v| v / long);
                let back = |far: f64, aside: f64| {
                    [
                        tip[0] + along[0] * far - along[1] * aside,
                        tip[1] + along[1] * far + along[0] * aside,
                    ]
                };
                let (head, wide) = (style.line * 4.0, style.line * 1.6);
                let line = Stroke::solid(self.colour, self.width);
                canvas.line(back(long * (1.0 - edge), 0.0), back(head * 0.8, 0.0), line);
                canvas.polygon(&[tip, back(head, wide), back(head, -wide)], self.colour, 1.0);
            }
        }
        let base = [x, y + size * CAP / 2.0];
        canvas.text(base, &self.text, size, Anchor::Middle, 0.0, self.colour);
        Ok(())
    }
}
