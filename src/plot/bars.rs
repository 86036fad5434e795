//! Bars, histograms, boxes and violins, drawn through plotters.

use plotters::element::{EmptyElement, PathElement, Polygon, Rectangle, Text};
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::backend::{pen, units};
use super::chart::letters;
use super::layers::{GroupKind, Layer};
use super::options::{BarOptions, Look};
use super::palette::Marker;
use super::ranges::bar_ends;
use super::series::Pencil;
use super::{stats, text};
use crate::error::Result;

/// Share of a category's slot that its bars fill.
const FILLED: f64 = 0.8;

impl Pencil<'_> {
    /// Where this one of several things of a kind stands in the slot of its category: distance of its middle, and its width.
    fn slot(&self) -> (f64, f64) {
        let layers = &self.plan.panel.layers;
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

    /// A place in the panel from the one along the categories and the value, which ends with its axis.
    fn turned(&self, category: f64, value: f64) -> (f64, f64) {
        match self.lies {
            true => (self.x.bound(value).unwrap_or(f64::NAN), -category),
            false => (category, self.y.bound(value).unwrap_or(f64::NAN)),
        }
    }

    /// Whether the axis of the values shows this one.
    fn shows(&self, value: f64) -> bool {
        if self.lies { self.x } else { self.y }.contains(value)
    }

    pub(super) fn bars(&self, values: &[f64], options: &BarOptions) -> Result<()> {
        let (middle, width) = self.slot();
        let kinds = self.plan.panel.layers.iter();
        let kinds = kinds.filter(|(l, _)| matches!(l, Layer::Bars { .. })).count();
        let fill = pen(self.look().colour, options.look.alpha.unwrap_or(1.0), 0.0).filled();
        self.backend.canvas().hatch = if kinds > 1 { self.look().turn } else { 0 };
        for (i, [base, end]) in bar_ends(self.plan.panel, self.layer).into_iter().enumerate() {
            let (left, right) = (i as f64 + middle - 0.47 * width, i as f64 + middle + 0.47 * width);
            if values[i].is_finite() {
                self.draw([Rectangle::new([self.turned(left, base), self.turned(right, end)], fill)])?;
            }
        }
        self.backend.canvas().hatch = 0;
        Ok(())
    }

    /// Error bars at the ends of bars, and the values above them.
    pub(super) fn bar_errors(&self, values: &[f64], options: &BarOptions) -> Result<()> {
        let (middle, width) = self.slot();
        let room = width * if self.lies { self.area.h } else { self.area.w } / values.len().max(1) as f64;
        let decimals = text::decimals(values);
        for (i, [base, end]) in bar_ends(self.plan.panel, self.layer).into_iter().enumerate() {
            let (value, category) = (values[i], i as f64 + middle);
            if !value.is_finite() {
                continue;
            }
            let mut top = end;
            let ends = options
                .error
                .as_ref()
                .map(|e| e.ends(i, value).map(|v| v - value + end));
            if let Some(ends) = ends.filter(|ends| ends.iter().all(|v| v.is_finite())) {
                top = if value < 0.0 { ends[0] } else { ends[1] };
                if self.shows(end) {
                    self.error(self.turned(category, end), ends, self.lies, self.style.ink)?;
                }
            }
            if options.values {
                let inside = options.stacked.then_some((base + end) / 2.0);
                let at = self.turned(category, inside.unwrap_or(top));
                self.value(at, text::fixed(value, decimals), inside.is_some(), value < 0.0, room)?;
            }
        }
        Ok(())
    }

    /// The value of a bar beyond its end, or in the middle of it; smaller where the bars are narrow.
    fn value(&self, at: (f64, f64), label: String, inside: bool, down: bool, room: f64) -> Result<()> {
        let wide = self.backend.canvas().font.width(&label, 1.0);
        let small = self.style.small;
        let fits = if self.lies { room / 1.1 } else { room / wide * 1.2 };
        let size = (small * 0.9).min(fits).max(small * 0.5);
        let beside = units(self.style.gap * 0.7) as i32;
        let (h, v, away) = match (self.lies, inside, down) {
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
        let colour = self.look().colour;
        let fill = pen(colour, look.alpha.unwrap_or(0.5), 0.0).filled();
        let (Some(base), x) = (self.y.bound(0.0), self.x) else {
            return Ok(());
        };
        let mut outline = vec![(edges[0], base)];
        for (w, height) in edges.windows(2).zip(heights) {
            let (Some(left), Some(right), Some(top)) = (x.bound(w[0]), x.bound(w[1]), self.y.bound(*height)) else {
                continue;
            };
            if *height > 0.0 && left < right {
                self.draw([Rectangle::new([(left, base), (right, top)], fill)])?;
            }
            outline.extend([(w[0], top), (w[1], top)]);
        }
        outline.push((edges[edges.len() - 1], base));
        let (x, y): (Vec<f64>, Vec<f64>) = outline.into_iter().unzip();
        let line = pen(colour, 1.0, look.width.unwrap_or(self.style.line * 0.6));
        let mut pieces = self.seen(&x, &y).into_iter().filter(|p| p.len() > 1);
        pieces.try_for_each(|piece| self.draw(LineSeries::new(piece, line)))
    }

    pub(super) fn groups(&self, samples: &[Vec<f64>], kind: GroupKind, look: &Look) -> Result<()> {
        let (middle, width) = self.slot();
        let colour = self.look().colour;
        let fill = pen(colour, look.alpha.unwrap_or(0.45), 0.0).filled();
        let line = pen(colour, 1.0, look.width.unwrap_or(self.style.line * 0.7));
        for (i, values) in samples.iter().enumerate() {
            let centre = i as f64 + middle;
            // from shares of the width across the category, and values
            let at = |(across, value): (f64, f64)| self.turned(centre + across * width, value);
            let path =
                |points: &[(f64, f64)], pen| PathElement::new(points.iter().copied().map(at).collect::<Vec<_>>(), pen);
            if kind == GroupKind::Violin {
                let (places, density) = stats::density(values, None);
                let most = density.iter().copied().fold(1e-300, f64::max);
                let side = |sign: f64| {
                    let half = density.iter().map(move |d| sign * 0.47 * d / most);
                    half.zip(places.iter().copied()).collect::<Vec<_>>()
                };
                let mut outline = side(-1.0);
                outline.extend(side(1.0).into_iter().rev());
                self.draw([Polygon::new(outline.iter().copied().map(at).collect::<Vec<_>>(), fill)])?;
                outline.push(outline[0]);
                self.draw([path(&outline, line)])?;
            }
            let found = stats::box_stats(values);
            let [q1, median, q3] = found.quartiles;
            let [low, high] = found.whiskers;
            let half = if kind == GroupKind::Box { 0.4 } else { 0.07 };
            let across = |half: f64, value: f64| [(-half, value), (half, value)];
            let corners = [at((-half, q1)), at((half, q3))];
            self.draw([
                path(&[(0.0, low), (0.0, q1)], line),
                path(&[(0.0, q3), (0.0, high)], line),
            ])?;
            self.draw([Rectangle::new(corners, fill), Rectangle::new(corners, line)])?;
            self.draw([path(&across(half, median), pen(self.style.ink, 1.0, self.style.line))])?;
            if kind == GroupKind::Box {
                self.draw([low, high].map(|end| path(&across(0.2, end), line)))?;
                let outside = found.outliers.iter().filter(|v| self.shows(**v));
                let radius = self.style.marker * 0.5;
                self.draw(outside.map(|v| self.dot(at((0.0, *v)), Marker::Circle, radius, 0.8)))?;
            }
        }
        Ok(())
    }
}
