//! The data of a panel with axes, drawn through plotters: bands at the back, then bars and boxes, lines, error bars, points,
//! texts in front.

use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::DrawingArea;
use plotters::element::{ErrorBar, PathElement, Polygon, Rectangle};
use plotters::series::{AreaSeries, LineSeries};

use super::axis::Axis;
use super::backend::{Backend, Dot, pen, units};
use super::chart::{Chart, Plan};
use super::clip;
use super::figure::Panel;
use super::identity::{Identity, shown_marker};
use super::layers::{GroupKind, Joint, Layer};
use super::options::{BarOptions, LineOptions, Look};
use super::palette::{Colour, Dash, Marker};
use super::ranges::bar_ends;
use super::style::Style;
use super::svg::Area;
use super::{notes, raster, stats, text};
use crate::error::Result;

/// Share of a category's slot that its bars fill.
const FILLED: f64 = 0.8;

/// Where one of several things of a kind stands in the slot of its category: distance of its middle, and its width.
fn slot(panel: &Panel, index: usize) -> (f64, f64) {
    // stacked bars share one place
    let key = |i: usize| match &panel.layers[i].0 {
        Layer::Bars { options, .. } => Some((0, if options.stacked { usize::MAX } else { i })),
        Layer::Groups { kind, .. } => Some((1 + *kind as usize, i)),
        _ => None,
    };
    let Some(own) = key(index) else { return (0.0, 0.0) };
    let mut places: Vec<_> = (0..panel.layers.len())
        .filter_map(key)
        .filter(|k| k.0 == own.0)
        .collect();
    places.dedup();
    let at = places.iter().position(|k| *k == own).unwrap_or(0) as f64;
    let width = FILLED / places.len() as f64;
    (-FILLED / 2.0 + width * (at + 0.5), width)
}

/// What a layer is drawn with.
struct Pencil<'a> {
    plan: &'a Plan<'a>,
    backend: &'a Backend,
    area: Area,
    style: Style,
    layer: usize,
    y: &'a Axis,
    /// The category axis is the vertical one.
    lies: bool,
}

type Surface<'a> = DrawingArea<Backend, Cartesian2d<Axis, Axis>>;

/// Draw all layers.
pub(super) fn draw(plan: &Plan, chart: &mut Chart, backend: &Backend, area: Area) -> Result<()> {
    let style = backend.0.borrow().style.clone();
    let lies = plan.panel.categories().is_some_and(|(_, lies)| lies);
    for pass in 0..6 {
        for (i, (layer, right)) in plan.panel.layers.iter().enumerate() {
            let on = if *right {
                chart.secondary_plotting_area()
            } else {
                chart.plotting_area()
            };
            let y = &plan.axes[if *right { 2 } else { 1 }];
            let pencil = Pencil {
                plan,
                backend,
                area,
                style: style.clone(),
                layer: i,
                y,
                lies,
            };
            match (pass, layer) {
                (0 | 2 | 5, Layer::Note { note, look }) => {
                    let identity = &plan.looks[i];
                    notes::draw(note, look, identity, pass, on, [&plan.axes[0], y], backend, area)?;
                }
                (1, Layer::Curve { x, y, joint, options }) => pencil.band(on, (x, y), *joint, options)?,
                (1, Layer::Bars { values, options, .. }) => pencil.bars(on, values, options)?,
                (1, Layer::Bins { edges, heights, look }) => pencil.bins(on, edges, heights, look)?,
                (
                    1,
                    Layer::Groups {
                        samples, kind, look, ..
                    },
                ) => pencil.groups(on, samples, *kind, look)?,
                (3, Layer::Curve { x, y, joint, options }) => pencil.line(on, (x, y), *joint, options)?,
                (3, Layer::Bars { values, options, .. }) => pencil.bar_errors(on, values, options)?,
                (4, Layer::Curve { x, y, joint, options }) => pencil.points(on, (x, y), *joint, options)?,
                _ => {}
            }
        }
    }
    Ok(())
}

impl Pencil<'_> {
    fn look(&self) -> &Identity {
        &self.plan.looks[self.layer]
    }

    fn x(&self) -> &Axis {
        &self.plan.axes[0]
    }

    /// A place in the panel from the one along the categories and the value.
    fn turned(&self, category: f64, value: f64) -> (f64, f64) {
        if self.lies {
            (value, -category)
        } else {
            (category, value)
        }
    }

    /// The axis of the values of bars and boxes.
    fn values(&self) -> &Axis {
        if self.lies { self.x() } else { self.y }
    }

    /// The stretches of a line that can be seen, cut at the edges of the panel.
    fn seen(&self, x: &[f64], y: &[f64]) -> Vec<Vec<(f64, f64)>> {
        let place = |(x, y): (&f64, &f64)| Some([self.x().place(*x)?, self.y.place(*y)?]);
        let placed: Vec<Option<[f64; 2]>> = x.iter().zip(y).map(place).collect();
        let pieces = placed.split(Option::is_none).filter(|s| !s.is_empty());
        let pieces = pieces.flat_map(|s| clip::line(&s.iter().flatten().copied().collect::<Vec<_>>()));
        pieces
            .map(|piece| self.back(clip::thinned(piece, self.area.w)))
            .collect()
    }

    /// From places between 0 and 1 to values.
    fn back(&self, points: Vec<[f64; 2]>) -> Vec<(f64, f64)> {
        points
            .into_iter()
            .map(|p| (self.x().value(p[0]), self.y.value(p[1])))
            .collect()
    }

    fn band(&self, on: &Surface, (x, y): (&[f64], &[f64]), joint: Joint, options: &LineOptions) -> Result<()> {
        let Some(band) = &options.band else { return Ok(()) };
        let opacity = match joint {
            Joint::Area => options.look.alpha.unwrap_or(0.3),
            _ => self.style.band * options.look.alpha.unwrap_or(1.0),
        };
        let fill = pen(self.look().colour, opacity, 0.0).filled();
        let ends = |i: usize| -> Option<[[f64; 2]; 2]> {
            let [low, high] = band.ends(i, y[i]);
            let place = self.x().place(x[i]).filter(|_| y[i].is_finite())?;
            // what a logarithmic axis cannot show reaches to its lower end
            let height = |v: f64| {
                if v.is_nan() {
                    None
                } else {
                    Some(self.y.place(v).unwrap_or(-0.01))
                }
            };
            Some([[place, height(low)?], [place, height(high)?]])
        };
        let all: Vec<_> = (0..x.len()).map(ends).collect();
        for piece in all.split(Option::is_none).filter(|s| s.len() > 1) {
            let side = |k: usize| clip::thinned(piece.iter().flatten().map(|e| e[k]).collect(), self.area.w);
            let mut outline = side(1);
            let lower = side(0);
            // a flat lower end is the base of plotters' area; else the outline goes back along it
            let flat = lower.iter().all(|p| p[1] == lower[0][1]);
            let inside = outline
                .iter()
                .chain(&lower)
                .all(|p| p.iter().all(|v| (0.0..=1.0).contains(v)));
            if flat && inside {
                let base = self.y.value(lower[0][1]);
                for element in AreaSeries::new(self.back(outline), base, fill) {
                    on.draw(&element)?;
                }
                continue;
            }
            outline.extend(lower.into_iter().rev());
            let corners = clip::polygon(outline);
            if corners.len() > 2 {
                on.draw(&Polygon::new(self.back(corners), fill))?;
            }
        }
        Ok(())
    }

    fn line(&self, on: &Surface, (x, y): (&[f64], &[f64]), joint: Joint, options: &LineOptions) -> Result<()> {
        let look = &options.look;
        let width = look.width.unwrap_or(if look.faint {
            self.style.line * 0.7
        } else {
            self.style.line
        });
        let opacity = match joint {
            Joint::Area => 1.0,
            _ => look.alpha.unwrap_or(if look.faint { 0.3 } else { 1.0 }),
        };
        if joint != Joint::Nothing {
            let stepped;
            let (x, y) = if joint == Joint::Step {
                stepped = clip::steps(x, y);
                (stepped.0.as_slice(), stepped.1.as_slice())
            } else {
                (x, y)
            };
            let lonely = shown_marker(y, joint, look, self.look()) == Marker::None;
            let width = if joint == Joint::Area { width * 0.7 } else { width };
            self.backend.0.borrow_mut().dash = if joint == Joint::Area {
                Dash::Solid
            } else {
                self.look().dash
            };
            for piece in self.seen(x, y) {
                match piece.as_slice() {
                    // a value between two gaps would not be seen without a point
                    [at] if lonely => on.draw(&self.dot(*at, Marker::Circle, width, opacity))?,
                    [_] => {}
                    _ => {
                        for element in LineSeries::new(piece, pen(self.look().colour, opacity, width)) {
                            on.draw(&element)?;
                        }
                    }
                }
            }
            self.backend.0.borrow_mut().dash = Dash::Solid;
        }
        let Some(error) = &options.error else { return Ok(()) };
        for (i, (x, y)) in x.iter().zip(y).enumerate() {
            if self.x().contains(*x) && self.y.contains(*y) {
                let [low, high] = error.ends(i, *y);
                self.error(on, (*x, *y), [low, high], false, self.look().colour)?;
            }
        }
        Ok(())
    }

    /// An error bar, cut at the edges of the panel.
    fn error(&self, on: &Surface, at: (f64, f64), ends: [f64; 2], flat: bool, colour: Colour) -> Result<()> {
        let axis = if flat { self.x() } else { self.y };
        let [Some(low), Some(high)] = ends.map(|v| axis.bound(v)) else {
            return Ok(());
        };
        let style = pen(colour, 1.0, self.style.line * 0.7);
        let cap = units(self.style.marker * 1.8);
        match flat {
            true => on.draw(&ErrorBar::new_horizontal(at.1, low, at.0, high, style, cap))?,
            false => on.draw(&ErrorBar::new_vertical(at.0, low, at.1, high, style, cap))?,
        }
        Ok(())
    }

    fn dot(&self, at: (f64, f64), shape: Marker, radius: f64, opacity: f64) -> Dot {
        Dot {
            at,
            shape,
            radius,
            colour: self.look().colour,
            opacity,
        }
    }

    fn points(&self, on: &Surface, (x, y): (&[f64], &[f64]), joint: Joint, options: &LineOptions) -> Result<()> {
        let look = &options.look;
        let shape = shown_marker(y, joint, look, self.look());
        if shape == Marker::None || matches!(joint, Joint::Step | Joint::Area) && look.marker.is_none() {
            return Ok(());
        }
        let scattered = joint == Joint::Nothing;
        let usual = match scattered {
            true if x.len() > 1500 => self.style.marker * 0.5,
            true => self.style.marker * 0.85,
            false => self.style.marker,
        };
        let radius = look.size.map_or(usual, |d| d / 2.0);
        let largest = options.sizes.iter().flatten().copied().fold(0.0, f64::max);
        let opacity = look.alpha.unwrap_or(if scattered { 0.75 } else { 1.0 });
        let [low, high] = options
            .range
            .unwrap_or_else(|| options.colours.limits(options.values.as_deref().unwrap_or(&[])));
        let dot = |i: usize| -> Option<Dot> {
            if !self.x().contains(x[i]) || !self.y.contains(y[i]) {
                return None;
            }
            let share = options
                .sizes
                .as_ref()
                .map_or(1.0, |s| (s[i] / largest.max(1e-300)).sqrt() * 2.0);
            let mut dot = self.dot((x[i], y[i]), shape, radius * share, opacity);
            if let Some(values) = &options.values {
                dot.colour = options.colours.at((values[i] - low) / (high - low));
            }
            dot.radius.is_finite().then_some(dot)
        };
        let dots = (0..x.len()).filter_map(dot);
        let most = radius * if options.sizes.is_some() { 2.0 } else { 1.0 };
        if x.len() > raster::MOST && most <= raster::LARGEST {
            return raster::draw(self.backend, self.area, dots, [self.x(), self.y]);
        }
        for dot in dots {
            on.draw(&dot)?;
        }
        Ok(())
    }

    fn bars(&self, on: &Surface, values: &[f64], options: &BarOptions) -> Result<()> {
        let (middle, width) = slot(self.plan.panel, self.layer);
        let kinds = self
            .plan
            .panel
            .layers
            .iter()
            .filter(|(l, _)| matches!(l, Layer::Bars { .. }))
            .count();
        let fill = pen(self.look().colour, options.look.alpha.unwrap_or(1.0), 0.0).filled();
        self.backend.0.borrow_mut().hatch = if kinds > 1 { self.look().turn } else { 0 };
        for (i, [base, end]) in bar_ends(self.plan.panel, self.layer).into_iter().enumerate() {
            let (Some(base), Some(end)) = (self.values().bound(base), self.values().bound(end)) else {
                continue;
            };
            if values[i].is_finite() {
                let (left, right) = (i as f64 + middle - 0.47 * width, i as f64 + middle + 0.47 * width);
                on.draw(&Rectangle::new(
                    [self.turned(left, base), self.turned(right, end)],
                    fill,
                ))?;
            }
        }
        self.backend.0.borrow_mut().hatch = 0;
        Ok(())
    }

    /// Error bars at the ends of bars, and the values above them.
    fn bar_errors(&self, on: &Surface, values: &[f64], options: &BarOptions) -> Result<()> {
        let (middle, width) = slot(self.plan.panel, self.layer);
        let slots = values.len().max(1) as f64;
        let room = width * if self.lies { self.area.h } else { self.area.w } / slots;
        let decimals = text::decimals(values);
        for (i, [base, end]) in bar_ends(self.plan.panel, self.layer).into_iter().enumerate() {
            if !values[i].is_finite() {
                continue;
            }
            let category = i as f64 + middle;
            let mut top = end;
            if let Some(error) = &options.error {
                let ends = error.ends(i, values[i]).map(|v| v - values[i] + end);
                if ends.iter().all(|v| v.is_finite()) {
                    top = if values[i] < 0.0 { ends[0] } else { ends[1] };
                    if self.values().contains(end) {
                        self.error(on, self.turned(category, end), ends, self.lies, self.style.ink)?;
                    }
                }
            }
            if options.values {
                let label = text::fixed(values[i], decimals);
                let inside = options.stacked.then_some((base + end) / 2.0);
                let at = self.turned(category, inside.unwrap_or(top));
                let down = values[i] < 0.0;
                notes::value(
                    self.backend,
                    on,
                    at,
                    &label,
                    [self.x(), self.y],
                    self.lies,
                    inside.is_some(),
                    down,
                    room,
                )?;
            }
        }
        Ok(())
    }

    fn bins(&self, on: &Surface, edges: &[f64], heights: &[f64], look: &Look) -> Result<()> {
        let colour = self.look().colour;
        let fill = pen(colour, look.alpha.unwrap_or(0.5), 0.0).filled();
        let (Some(base), x) = (self.y.bound(0.0), self.x()) else {
            return Ok(());
        };
        let mut outline = vec![[edges[0], base]];
        for (w, height) in edges.windows(2).zip(heights) {
            let (Some(left), Some(right), Some(top)) = (x.bound(w[0]), x.bound(w[1]), self.y.bound(*height)) else {
                continue;
            };
            if *height > 0.0 && left < right {
                on.draw(&Rectangle::new([(left, base), (right, top)], fill))?;
            }
            outline.extend([[w[0], top], [w[1], top]]);
        }
        outline.push([edges[edges.len() - 1], base]);
        let (x, y): (Vec<f64>, Vec<f64>) = outline.into_iter().map(|p| (p[0], p[1])).unzip();
        for piece in self.seen(&x, &y).into_iter().filter(|p| p.len() > 1) {
            let width = look.width.unwrap_or(self.style.line * 0.6);
            for element in LineSeries::new(piece, pen(colour, 1.0, width)) {
                on.draw(&element)?;
            }
        }
        Ok(())
    }

    fn groups(&self, on: &Surface, samples: &[Vec<f64>], kind: GroupKind, look: &Look) -> Result<()> {
        let (middle, width) = slot(self.plan.panel, self.layer);
        let colour = self.look().colour;
        let fill = pen(colour, look.alpha.unwrap_or(0.45), 0.0).filled();
        let line = pen(colour, 1.0, look.width.unwrap_or(self.style.line * 0.7));
        let bound = |v: f64| self.values().bound(v).unwrap_or(f64::NAN);
        for (i, values) in samples.iter().enumerate() {
            let centre = i as f64 + middle;
            let across = |half: f64, v: f64, line| {
                let ends = [-half, half].map(|c| self.turned(centre + c * width, bound(v)));
                PathElement::new(ends.to_vec(), line)
            };
            if kind == GroupKind::Violin {
                let (at, density) = stats::density(values, None);
                let most = density.iter().copied().fold(1e-300, f64::max);
                let side = |sign: f64| {
                    at.iter()
                        .zip(&density)
                        .map(move |(v, d)| (centre + sign * 0.47 * width * d / most, *v))
                };
                let outline = side(-1.0).chain(side(1.0).collect::<Vec<_>>().into_iter().rev());
                let corners: Vec<_> = outline.map(|(c, v)| self.turned(c, bound(v))).collect();
                on.draw(&Polygon::new(corners.clone(), fill))?;
                on.draw(&PathElement::new([corners.as_slice(), &corners[..1]].concat(), line))?;
            }
            let found = stats::box_stats(values);
            let [q1, median, q3] = found.quartiles;
            let [low, high] = found.whiskers;
            let half = if kind == GroupKind::Box { 0.4 } else { 0.07 };
            let corners = [
                self.turned(centre - half * width, bound(q1)),
                self.turned(centre + half * width, bound(q3)),
            ];
            let stem = |a: f64, b: f64| {
                PathElement::new(vec![self.turned(centre, bound(a)), self.turned(centre, bound(b))], line)
            };
            on.draw(&stem(low, q1))?;
            on.draw(&stem(q3, high))?;
            on.draw(&Rectangle::new(corners, fill))?;
            on.draw(&Rectangle::new(corners, line))?;
            on.draw(&across(half, median, pen(self.style.ink, 1.0, self.style.line)))?;
            if kind == GroupKind::Box {
                for end in [low, high] {
                    on.draw(&across(0.2, end, line))?;
                }
                let outside = found.outliers.iter().filter(|v| self.values().contains(**v));
                for v in outside {
                    on.draw(&self.dot(self.turned(centre, *v), Marker::Circle, self.style.marker * 0.5, 0.8))?;
                }
            }
        }
        Ok(())
    }
}
