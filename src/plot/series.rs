//! The data of a panel with axes, drawn through plotters: spans and bands at the back, then bars and boxes, lines, error bars,
//! points, texts in front. Curves are here; `bars` and `notes` draw the other layers.

use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::DrawingArea;
use plotters::element::{Drawable, ErrorBar, PointCollection, Polygon};
use plotters::series::{AreaSeries, LineSeries};

use super::area::Area;
use super::axis::Axis;
use super::backend::{Backend, Dot, pen, units};
use super::chart::{Chart, Plan};
use super::clip;
use super::identity::{Identity, shown_marker};
use super::layers::{Joint, Layer};
use super::options::LineOptions;
use super::palette::{Colour, Dash, Marker};
use super::raster;
use super::style::Style;
use crate::error::Result;

/// What a layer is drawn with.
pub(super) struct Pencil<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) backend: &'a Backend,
    on: &'a DrawingArea<Backend, Cartesian2d<Axis, Axis>>,
    pub(super) area: Area,
    pub(super) style: Style,
    /// The number of the layer in its panel.
    pub(super) layer: usize,
    pub(super) x: &'a Axis,
    pub(super) y: &'a Axis,
    /// The category axis is the vertical one.
    pub(super) lies: bool,
}

/// Draw all layers.
pub(super) fn draw(plan: &Plan, chart: &Chart, backend: &Backend, area: Area) -> Result<()> {
    let style = backend.canvas().style.clone();
    let lies = plan.panel.categories().is_some_and(|(_, lies)| lies);
    for pass in 0..6 {
        for (i, (layer, right)) in plan.panel.layers.iter().enumerate() {
            let pencil = Pencil {
                plan,
                backend,
                on: match right {
                    true => chart.secondary_plotting_area(),
                    false => chart.plotting_area(),
                },
                area,
                style: style.clone(),
                layer: i,
                x: &plan.axes[0],
                y: &plan.axes[1 + usize::from(*right)],
                lies,
            };
            match (pass, layer) {
                (0 | 2 | 5, Layer::Note { note, look }) => pencil.note(note, look, pass)?,
                (1, Layer::Curve { x, y, joint, options }) => pencil.band((x, y), *joint, options)?,
                (1, Layer::Bars { values, options, .. }) => pencil.bars(values, options)?,
                (1, Layer::Bins { edges, heights, look }) => pencil.bins(edges, heights, look)?,
                (
                    1,
                    Layer::Groups {
                        samples, kind, look, ..
                    },
                ) => pencil.groups(samples, *kind, look)?,
                (3, Layer::Curve { x, y, joint, options }) => pencil.line((x, y), *joint, options)?,
                (3, Layer::Bars { values, options, .. }) => pencil.bar_errors(values, options)?,
                (4, Layer::Curve { x, y, joint, options }) => pencil.points((x, y), *joint, options)?,
                _ => {}
            }
        }
    }
    Ok(())
}

impl Pencil<'_> {
    /// Draw elements of plotters.
    pub(super) fn draw<E>(&self, elements: impl IntoIterator<Item = E>) -> Result<()>
    where
        E: Drawable<Backend>,
        for<'e> &'e E: PointCollection<'e, (f64, f64)>,
    {
        let mut elements = elements.into_iter();
        Ok(elements.try_for_each(|element| self.on.draw(&element))?)
    }

    pub(super) fn look(&self) -> &Identity {
        &self.plan.looks[self.layer]
    }

    /// The stretches of a line that can be seen, cut at the edges of the panel.
    pub(super) fn seen(&self, x: &[f64], y: &[f64]) -> Vec<Vec<(f64, f64)>> {
        let place = |(x, y): (&f64, &f64)| Some([self.x.place(*x)?, self.y.place(*y)?]);
        let placed: Vec<Option<[f64; 2]>> = x.iter().zip(y).map(place).collect();
        let pieces = placed.split(Option::is_none).filter(|s| !s.is_empty());
        let pieces = pieces.flat_map(|s| clip::line(&s.iter().flatten().copied().collect::<Vec<_>>()));
        pieces
            .map(|piece| self.back(clip::thinned(piece, self.area.w)))
            .collect()
    }

    /// From places between 0 and 1 to values.
    fn back(&self, points: Vec<[f64; 2]>) -> Vec<(f64, f64)> {
        let value = |p: [f64; 2]| (self.x.value(p[0]), self.y.value(p[1]));
        points.into_iter().map(value).collect()
    }

    fn band(&self, (x, y): (&[f64], &[f64]), joint: Joint, options: &LineOptions) -> Result<()> {
        let Some(band) = &options.band else { return Ok(()) };
        let opacity = match joint {
            Joint::Area => options.look.alpha.unwrap_or(0.3),
            _ => self.style.band * options.look.alpha.unwrap_or(1.0),
        };
        let fill = pen(self.look().colour, opacity, 0.0).filled();
        let ends = |i: usize| -> Option<[[f64; 2]; 2]> {
            let [low, high] = band.ends(i, y[i]);
            let place = self.x.place(x[i]).filter(|_| y[i].is_finite())?;
            // what a logarithmic axis cannot show reaches to its lower end
            let height = |v: f64| (!v.is_nan()).then(|| self.y.place(v).unwrap_or(-0.01));
            Some([[place, height(low)?], [place, height(high)?]])
        };
        let all: Vec<_> = (0..x.len()).map(ends).collect();
        for piece in all.split(Option::is_none).filter(|s| s.len() > 1) {
            let side = |k: usize| clip::thinned(piece.iter().flatten().map(|e| e[k]).collect(), self.area.w);
            let (lower, mut outline) = (side(0), side(1));
            // a flat lower end is the base of plotters' area; else the outline goes back along it
            let flat = lower.iter().all(|p| p[1] == lower[0][1]);
            let mut places = outline.iter().chain(&lower).flatten();
            if flat && places.all(|v| (0.0..=1.0).contains(v)) {
                let base = self.y.value(lower[0][1]);
                self.draw(AreaSeries::new(self.back(outline), base, fill))?;
                continue;
            }
            outline.extend(lower.into_iter().rev());
            let corners = clip::polygon(outline);
            if corners.len() > 2 {
                self.draw([Polygon::new(self.back(corners), fill)])?;
            }
        }
        Ok(())
    }

    fn line(&self, (x, y): (&[f64], &[f64]), joint: Joint, options: &LineOptions) -> Result<()> {
        let (look, colour) = (&options.look, self.look().colour);
        let share = match (joint, look.width, look.faint) {
            (Joint::Area, ..) | (_, None, true) => 0.7,
            _ => 1.0,
        };
        let width = look.width.unwrap_or(self.style.line) * share;
        let opacity = match joint {
            Joint::Area => 1.0,
            _ => look.alpha.unwrap_or(if look.faint { 0.3 } else { 1.0 }),
        };
        let pieces = match joint {
            Joint::Nothing => Vec::new(),
            Joint::Step => {
                let (x, y) = clip::steps(x, y);
                self.seen(&x, &y)
            }
            Joint::Line | Joint::Area => self.seen(x, y),
        };
        let lonely = shown_marker(y, joint, look, self.look()) == Marker::None;
        if joint != Joint::Area {
            self.backend.canvas().dash = self.look().dash;
        }
        for piece in pieces {
            match piece.as_slice() {
                // a value between two gaps would not be seen without a point
                [at] if lonely => self.draw([self.dot(*at, Marker::Circle, width, opacity)])?,
                [_] => {}
                _ => self.draw(LineSeries::new(piece, pen(colour, opacity, width)))?,
            }
        }
        self.backend.canvas().dash = Dash::Solid;
        for (i, (x, y)) in x.iter().zip(y).enumerate() {
            let Some(error) = &options.error else { break };
            if self.x.contains(*x) && self.y.contains(*y) {
                self.error((*x, *y), error.ends(i, *y), false, colour)?;
            }
        }
        Ok(())
    }

    /// An error bar, cut at the edges of the panel.
    pub(super) fn error(&self, at: (f64, f64), ends: [f64; 2], flat: bool, colour: Colour) -> Result<()> {
        let axis = if flat { self.x } else { self.y };
        let [Some(low), Some(high)] = ends.map(|v| axis.bound(v)) else {
            return Ok(());
        };
        let style = pen(colour, 1.0, self.style.line * 0.7);
        let cap = units(self.style.marker * 1.8);
        match flat {
            true => self.draw([ErrorBar::new_horizontal(at.1, low, at.0, high, style, cap)]),
            false => self.draw([ErrorBar::new_vertical(at.0, low, at.1, high, style, cap)]),
        }
    }

    pub(super) fn dot(&self, at: (f64, f64), shape: Marker, radius: f64, opacity: f64) -> Dot {
        Dot {
            at,
            shape,
            radius,
            colour: self.look().colour,
            opacity,
        }
    }

    fn points(&self, (x, y): (&[f64], &[f64]), joint: Joint, options: &LineOptions) -> Result<()> {
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
        let values = options.values.as_deref();
        let limits = || options.colors.limits(values.unwrap_or_default());
        let [low, high] = options.range.unwrap_or_else(limits);
        let dot = |i: usize| -> Option<Dot> {
            let share = match &options.sizes {
                Some(sizes) => (sizes[i] / largest.max(1e-300)).sqrt() * 2.0,
                None => 1.0,
            };
            let mut dot = self.dot((x[i], y[i]), shape, radius * share, opacity);
            if let Some(values) = values {
                dot.colour = options.colors.at((values[i] - low) / (high - low));
            }
            let seen = self.x.contains(x[i]) && self.y.contains(y[i]);
            (seen && dot.radius.is_finite()).then_some(dot)
        };
        let dots = (0..x.len()).filter_map(dot);
        let most = radius * if options.sizes.is_some() { 2.0 } else { 1.0 };
        if x.len() > raster::MOST && most <= raster::LARGEST {
            return raster::draw(self.backend, self.area, dots, [self.x, self.y]);
        }
        self.draw(dots)
    }
}
