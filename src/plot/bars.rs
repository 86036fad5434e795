//! Bars, histograms, boxes and violins, drawn through plotters.

use plotters::element::{EmptyElement, PathElement, Polygon, Rectangle, Text};
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::backend::{pen, units};
use super::chart::letters;
use super::layers::{GroupKind, Layer};
use super::options::{BarOptions, Look};
use super::palette::Marker;
use super::series::{Pencil, Point, Target};
use super::{stats, text};
use crate::error::Result;

/// Share of a category's slot that its bars fill.
const FILLED: f64 = 0.8;

impl Pencil<'_> {
    /// Where this one of several things of a kind stands in the slot of its category: distance of its middle, and its width.
    fn slot(&self) -> (f64, f64) {
        let layers = &self.panel.layers;
        // stacked bars share one place
        let key = |i: usize| match &layers[i].0 {
            Layer::Bars { options, .. } => Some((0, if options.stacked { usize::MAX } else { i })),
            Layer::Groups { kind, .. } => Some((1 + *kind as usize, i)),
            _ => None,
        };
        let Some(own) = key(self.layer) else { return (0.0, 0.0) };
        let alike = (0..layers.len()).filter_map(key).filter(|k| k.0 == own.0);
        let mut places: Vec<_> = alike.collect();
        places.dedup();
        let at = places.iter().position(|k| *k == own).unwrap_or(0) as f64;
        let width = FILLED / places.len() as f64;
        (-FILLED / 2.0 + width * (at + 0.5), width)
    }

    /// The point at this place along the categories with this value.
    fn turned(&self, category: f64, value: f64) -> Point {
        match self.lies {
            true => (value, -category),
            false => (category, value),
        }
    }

    /// The middle of each bar that has a value, and where it begins and ends: on those of its sign before, if they are stacked.
    fn ends<'v>(&self, values: &'v [f64], stacked: bool) -> impl Iterator<Item = (usize, f64, [f64; 2])> + use<'_, 'v> {
        let (middle, _) = self.slot();
        let before = self.panel.layers[..self.layer].iter();
        let below: Vec<&Vec<f64>> = before
            .filter_map(|(layer, _)| match layer {
                Layer::Bars { values, options, .. } if stacked && options.stacked => Some(values),
                _ => None,
            })
            .collect();
        let finite = values.iter().enumerate().filter(|(_, v)| v.is_finite());
        finite.map(move |(i, v)| {
            let below = below.iter().filter_map(|values| values.get(i));
            let base = below
                .filter(|b| b.is_finite() && (**b < 0.0) == (*v < 0.0))
                .sum::<f64>();
            (i, i as f64 + middle, [base, base + v])
        })
    }

    pub(super) fn bars(&self, values: &[f64], options: &BarOptions) -> Result<()> {
        let (_, width) = self.slot();
        let kinds = self.panel.layers.iter();
        let kinds = kinds.filter(|(l, _)| matches!(l, Layer::Bars { .. })).count();
        let fill = pen(self.look.colour, options.look.alpha.unwrap_or(1.0), 0.0).filled();
        self.backend.canvas().hatch = if kinds > 1 { self.look.turn } else { 0 };
        let bars = self.ends(values, options.stacked).map(|(_, middle, [base, end])| {
            let (left, right) = (middle - 0.47 * width, middle + 0.47 * width);
            Rectangle::new([self.turned(left, base), self.turned(right, end)], fill)
        });
        self.draw(bars)?;
        self.backend.canvas().hatch = 0;
        Ok(())
    }

    /// Error bars at the ends of bars, and the values above them.
    pub(super) fn bar_errors(&self, values: &[f64], options: &BarOptions) -> Result<()> {
        let (_, width) = self.slot();
        let room = width * if self.lies { self.area.h } else { self.area.w } / values.len().max(1) as f64;
        let decimals = text::decimals(values);
        for (i, category, [base, end]) in self.ends(values, options.stacked) {
            let (value, mut top) = (values[i], end);
            if let Some(error) = &options.error {
                let [low, high] = error.ends(i, value).map(|v| v - value + end);
                let beyond = if value < 0.0 { low } else { high };
                top = if beyond.is_nan() { end } else { beyond };
                self.error(self.turned(category, end), [low, high], self.lies, self.style.ink)?;
            }
            if options.values {
                let inside = options.stacked.then_some((base + end) / 2.0);
                let at = self.turned(category, inside.unwrap_or(top));
                self.value(at, text::fixed(value, decimals), inside.is_some(), value < 0.0, room)?;
            }
        }
        Ok(())
    }

    /// The value of a bar beyond its end, or in the middle of it, or inside where the bar leaves the panel; smaller where the bars are
    /// narrow.
    fn value(&self, at: Point, label: String, inside: bool, down: bool, room: f64) -> Result<()> {
        let wide = self.backend.canvas().font.width(&label, 1.0);
        let small = self.style.small;
        let fits = if self.lies { room / 1.1 } else { room / wide * 1.2 };
        let size = (small * 0.9).min(fits).max(small * 0.5);
        let beside = units(self.style.gap * 0.7) as i32;
        let leaves = match self.target {
            Target::Paper(_, [x, y]) => !x.contains(at.0) || !y.contains(at.1),
            Target::Points(_) => false,
        };
        let (h, v, away) = match (self.lies, inside, down != leaves) {
            (_, true, _) => (HPos::Center, VPos::Center, 0),
            (true, _, false) => (HPos::Left, VPos::Center, beside),
            (true, _, true) => (HPos::Right, VPos::Center, -beside),
            (false, _, false) => (HPos::Center, VPos::Bottom, 0),
            (false, _, true) => (HPos::Center, VPos::Top, 0),
        };
        let style = letters(self.style.ink, size).pos(Pos::new(h, v));
        self.draw([EmptyElement::at(at) + Text::new(label, (away, 0), style)])
    }

    pub(super) fn bins(&self, edges: &[f64], heights: &[f64], look: &Look) -> Result<()> {
        let fill = pen(self.look.colour, look.alpha.unwrap_or(0.5), 0.0).filled();
        let line = pen(self.look.colour, 1.0, look.width.unwrap_or(self.style.line * 0.6));
        let bins = || edges.windows(2).zip(heights);
        let filled = bins().filter(|(_, height)| **height > 0.0);
        self.draw(filled.map(|(w, height)| Rectangle::new([(w[0], 0.0), (w[1], *height)], fill)))?;
        let tops = bins().flat_map(|(w, height)| [(w[0], *height), (w[1], *height)]);
        let ends = [edges[0], edges[edges.len() - 1]].map(|edge| (edge, 0.0));
        self.draw(LineSeries::new(
            ends[..1].iter().copied().chain(tops).chain([ends[1]]),
            line,
        ))
    }

    pub(super) fn groups(&self, samples: &[Vec<f64>], kind: GroupKind, look: &Look) -> Result<()> {
        let (middle, width) = self.slot();
        let fill = pen(self.look.colour, look.alpha.unwrap_or(0.45), 0.0).filled();
        let line = pen(self.look.colour, 1.0, look.width.unwrap_or(self.style.line * 0.7));
        let bold = pen(self.style.ink, 1.0, self.style.line);
        for (i, values) in samples.iter().enumerate() {
            // from shares of the width across the category, and values
            let at = |across: f64, value: f64| self.turned(i as f64 + middle + across * width, value);
            if kind == GroupKind::Violin {
                let (places, density) = stats::density(values, None);
                let most = density.iter().copied().fold(1e-300, f64::max);
                let point = |sign: f64, i: usize| at(sign * 0.47 * density[i] / most, places[i]);
                let left = (0..places.len()).map(|i| point(-1.0, i));
                let right = (0..places.len()).rev().map(|i| point(1.0, i));
                let mut outline: Vec<Point> = left.chain(right).collect();
                self.draw([Polygon::new(outline.clone(), fill)])?;
                outline.push(outline[0]);
                self.draw([PathElement::new(outline, line)])?;
            }
            let found = stats::box_stats(values);
            let [q1, median, q3] = found.quartiles;
            let [low, high] = found.whiskers;
            let half = if kind == GroupKind::Box { 0.4 } else { 0.07 };
            let across = |half: f64, value: f64| [at(-half, value), at(half, value)];
            let corners = [at(-half, q1), at(half, q3)];
            self.draw([[low, q1], [q3, high]].map(|ends| PathElement::new(ends.map(|v| at(0.0, v)), line)))?;
            self.draw([Rectangle::new(corners, fill), Rectangle::new(corners, line)])?;
            self.draw([PathElement::new(across(half, median), bold)])?;
            if kind == GroupKind::Box {
                self.draw([low, high].map(|end| PathElement::new(across(0.2, end), line)))?;
                let radius = self.style.marker * 0.5;
                let dot = |v: &f64| self.dot(at(0.0, *v), Marker::Circle, radius, 0.8);
                self.draw(found.outliers.iter().map(dot))?;
            }
        }
        Ok(())
    }
}
