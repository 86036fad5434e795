//! The layers of a panel with axes, drawn through plotters: spans and bands at the back, then bars and boxes, lines, error bars,
//! points, texts in front. Curves are here; `bars` and `notes` draw the other layers. All of them hand plotters' elements to one
//! function, which draws them or takes down the points that the axes have to show; what lies outside of the panel is cut by the
//! backend.

use std::borrow::Borrow;
use std::cell::RefCell;

use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::DrawingArea;
use plotters::element::{Drawable, ErrorBar, PointCollection, Polygon};
use plotters::series::{AreaSeries, LineSeries};

use super::area::Area;
use super::axis::Axis;
use super::backend::{Backend, Dot, pen, units};
use super::figure::Panel;
use super::identity::{Identity, shown_marker};
use super::layers::{Joint, Layer};
use super::options::LineOptions;
use super::palette::{Colour, Dash, Marker};
use super::raster;
use super::style::Style;
use crate::error::Result;

/// A value along x and one along y.
pub(super) type Point = (f64, f64);

/// Where plotters draws points of values.
pub(super) type Paper = DrawingArea<Backend, Cartesian2d<Axis, Axis>>;

/// What becomes of the elements of a layer.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// They are drawn, against these axes.
    Paper(&'a Paper, [&'a Axis; 2]),
    /// Their points are taken down.
    Points(&'a RefCell<Vec<Point>>),
}

/// What a layer is drawn with.
pub(super) struct Pencil<'a> {
    pub(super) panel: &'a Panel,
    pub(super) backend: &'a Backend,
    pub(super) area: Area,
    pub(super) style: &'a Style,
    /// The number of the layer in its panel, and how it looks.
    pub(super) layer: usize,
    pub(super) look: Identity,
    /// The category axis is the vertical one.
    pub(super) lies: bool,
    /// Which of its axes are logarithmic.
    log: [bool; 2],
    pub(super) target: Target<'a>,
}

/// Draw all layers of a panel, those of the left and the right axis on their targets.
pub(super) fn draw<'a>(
    panel: &Panel,
    looks: &[Identity],
    backend: &Backend,
    area: Area,
    target: impl Fn(bool) -> Target<'a>,
) -> Result<()> {
    let style = &backend.canvas().style.clone();
    for pass in 0..6 {
        for (i, (layer, at_right)) in panel.layers.iter().enumerate() {
            let pencil = Pencil {
                panel,
                backend,
                area,
                style,
                layer: i,
                look: looks[i],
                lies: panel.categories().is_some_and(|(_, lies)| lies),
                log: [0, 1 + usize::from(*at_right)].map(|axis| panel.sides[axis].log),
                target: target(*at_right),
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
    /// Draw elements of plotters, or take down their points.
    pub(super) fn draw<E>(&self, elements: impl IntoIterator<Item = E>) -> Result<()>
    where
        E: Drawable<Backend>,
        for<'e> &'e E: PointCollection<'e, Point>,
    {
        for element in elements {
            match self.target {
                Target::Paper(paper, _) => paper.draw(&element)?,
                Target::Points(points) => {
                    let new = (&element).point_iter().into_iter().map(|p| *p.borrow());
                    points.borrow_mut().extend(new);
                }
            }
        }
        Ok(())
    }

    /// Whether its axes can show this point somewhere.
    fn can_show(&self, at: Point) -> bool {
        let along = |(v, log): (f64, bool)| v.is_finite() && (!log || v > 0.0);
        [at.0, at.1].into_iter().zip(self.log).all(along)
    }

    fn band(&self, (x, y): (&[f64], &[f64]), joint: Joint, options: &LineOptions) -> Result<()> {
        let Some(band) = &options.band else { return Ok(()) };
        let opacity = match joint {
            Joint::Area => options.look.alpha.unwrap_or(0.3),
            _ => self.style.band * options.look.alpha.unwrap_or(1.0),
        };
        let fill = pen(self.look.colour, opacity, 0.0).filled();
        let ends = |i: usize| -> Option<[Point; 2]> {
            let [low, high] = band.ends(i, y[i]);
            let known = x[i].is_finite() && y[i].is_finite() && !low.is_nan() && !high.is_nan();
            known.then_some([(x[i], low), (x[i], high)])
        };
        let all: Vec<_> = (0..x.len()).map(ends).collect();
        for piece in all.split(Option::is_none).filter(|s| s.len() > 1) {
            let (lower, mut outline): (Vec<Point>, Vec<Point>) = piece.iter().flatten().map(|[a, b]| (*a, *b)).unzip();
            // a flat lower end is the base of plotters' area; else the outline goes back along it
            let base = lower[0].1;
            if lower.iter().all(|p| p.1 == base) {
                self.draw(AreaSeries::new(outline, base, fill))?;
            } else {
                outline.extend(lower.into_iter().rev());
                self.draw([Polygon::new(outline, fill)])?;
            }
        }
        Ok(())
    }

    fn line(&self, (x, y): (&[f64], &[f64]), joint: Joint, options: &LineOptions) -> Result<()> {
        let (look, colour, area) = (&options.look, self.look.colour, joint == Joint::Area);
        let thin = area || (look.faint && look.width.is_none());
        let width = look.width.unwrap_or(self.style.line) * if thin { 0.7 } else { 1.0 };
        let opacity = match area {
            true => 1.0,
            false => look.alpha.unwrap_or(if look.faint { 0.3 } else { 1.0 }),
        };
        let points: Vec<Point> = match joint {
            Joint::Nothing => Vec::new(),
            // at each x the value before, then its own
            Joint::Step => (0..x.len())
                .flat_map(|i| [i.saturating_sub(1), i].map(|k| (x[i], y[k])))
                .skip(1)
                .collect(),
            Joint::Line | Joint::Area => x.iter().copied().zip(y.iter().copied()).collect(),
        };
        let lonely = shown_marker(y, joint, look, &self.look) == Marker::None;
        if !area {
            self.backend.canvas().dash = self.look.dash;
        }
        for piece in points.split(|p| !self.can_show(*p)) {
            match piece {
                // a value between two gaps would not be seen without a point
                [at] if lonely => self.draw([self.dot(*at, Marker::Circle, width, opacity)])?,
                [] | [_] => {}
                _ => self.draw(LineSeries::new(piece.to_vec(), pen(colour, opacity, width)))?,
            }
        }
        self.backend.canvas().dash = Dash::Solid;
        for (i, (x, y)) in x.iter().zip(y).enumerate() {
            let Some(error) = &options.error else { break };
            if self.can_show((*x, *y)) {
                self.error((*x, *y), error.ends(i, *y), false, colour)?;
            }
        }
        Ok(())
    }

    /// An error bar.
    pub(super) fn error(&self, at: Point, [low, high]: [f64; 2], flat: bool, colour: Colour) -> Result<()> {
        let style = pen(colour, 1.0, self.style.line * 0.7);
        let cap = units(self.style.marker * 1.8);
        match flat {
            _ if low.is_nan() || high.is_nan() => Ok(()),
            true => self.draw([ErrorBar::new_horizontal(at.1, low, at.0, high, style, cap)]),
            false => self.draw([ErrorBar::new_vertical(at.0, low, at.1, high, style, cap)]),
        }
    }

    pub(super) fn dot(&self, at: Point, shape: Marker, radius: f64, opacity: f64) -> Dot {
        Dot {
            at,
            shape,
            radius,
            colour: self.look.colour,
            opacity,
        }
    }

    fn points(&self, (x, y): (&[f64], &[f64]), joint: Joint, options: &LineOptions) -> Result<()> {
        let look = &options.look;
        let shape = shown_marker(y, joint, look, &self.look);
        if shape == Marker::None {
            return Ok(());
        }
        let scattered = joint == Joint::Nothing;
        let usual = match scattered {
            true if x.len() > 1500 => self.style.marker * 0.5,
            true => self.style.marker * 0.85,
            false => self.style.marker,
        };
        let radius = look.size.map_or(usual, |d| d / 2.0);
        let largest = options.sizes.iter().flatten().copied().fold(1e-300, f64::max);
        let opacity = look.alpha.unwrap_or(if scattered { 0.75 } else { 1.0 });
        let values = options.values.as_deref();
        let limits = || options.colors.limits(values.unwrap_or_default());
        let [low, high] = options.range.unwrap_or_else(limits);
        let dot = |i: usize| -> Option<Dot> {
            let share = match &options.sizes {
                Some(sizes) => (sizes[i] / largest).sqrt() * 2.0,
                None => 1.0,
            };
            let mut dot = self.dot((x[i], y[i]), shape, radius * share, opacity);
            if let Some(values) = values {
                dot.colour = options.colors.at((values[i] - low) / (high - low));
            }
            (self.can_show(dot.at) && dot.radius.is_finite()).then_some(dot)
        };
        let dots = (0..x.len()).filter_map(dot);
        let most = radius * if options.sizes.is_some() { 2.0 } else { 1.0 };
        match self.target {
            Target::Paper(_, axes) if x.len() > raster::MOST && most <= raster::LARGEST => {
                let seen = dots.filter(|dot| axes[0].contains(dot.at.0) && axes[1].contains(dot.at.1));
                raster::draw(self.backend, self.area, seen, axes)
            }
            _ => self.draw(dots),
        }
    }
}
