//! Panels with two axes: limits, ticks, margins and the place of the legend are decided here; `series` draws the data.

use super::axis::{Axis, Request, Scale};
use super::categories::Categories;
use super::figure::{Layer, Panel, Spread};
use super::layout::{Margins, Place, TITLE_LEADING, centre, draw_title, fit, title_lines};
use super::legend::{Entry, Legend};
use super::palette::{GRID, INK};
use super::series;
use super::style::Style;
use super::svg::{Anchor, Area, Canvas, Stroke};
use super::text::{CAP, DEPTH, Font};
use crate::error::Result;

/// Everything about the panel but its position.
pub(super) struct Plan<'a> {
    pub(super) panel: &'a Panel,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) margins: Margins,
    categories: Option<Categories>,
    entries: Vec<Entry>,
    legend: Option<(Legend, Spot)>,
    x_labels: bool,
}

/// Where a legend stands.
enum Spot {
    /// Left and top, from the panel's corner.
    Inside([f64; 2]),
    Below,
}

/// Legend entries of the panel's layers that have a label.
pub(super) fn entries(panel: &Panel) -> Vec<Entry> {
    panel.layers.iter().filter_map(series::entry).collect()
}

/// Limits of the finite x values that the axis can show.
pub(super) fn x_range(panel: &Panel) -> Option<[f64; 2]> {
    let [scale, _] = panel.scales();
    let mut range: Option<[f64; 2]> = None;
    for layer in &panel.layers {
        let Layer::Line { x, y, .. } = layer else { continue };
        for (x, y) in x.iter().zip(y) {
            if y.is_finite() {
                grow(&mut range, *x, scale);
            }
        }
    }
    range
}

fn grow(range: &mut Option<[f64; 2]>, value: f64, scale: Scale) {
    if value.is_finite() && (scale == Scale::Linear || value > 0.0) {
        let [low, high] = range.unwrap_or([value, value]);
        *range = Some([low.min(value), high.max(value)]);
    }
}

fn y_range(panel: &Panel) -> Option<[f64; 2]> {
    let [_, scale] = panel.scales();
    let mut range = None;
    let mut spread = |s: &Option<Spread>, i, v: f64| {
        if let Some(s) = s.as_ref().filter(|_| v.is_finite()) {
            s.ends(i, v).into_iter().for_each(|end| grow(&mut range, end, scale));
        }
    };
    for layer in &panel.layers {
        match layer {
            Layer::Line { y, options, .. } => y.iter().enumerate().for_each(|(i, v)| {
                spread(&options.band, i, *v);
                spread(&options.error, i, *v);
            }),
            Layer::Bars { values, options, .. } => {
                values
                    .iter()
                    .enumerate()
                    .for_each(|(i, v)| spread(&options.error, i, *v));
            }
            _ => {}
        }
    }
    for layer in &panel.layers {
        match layer {
            Layer::Line { x, y, .. } => {
                let shown = y.iter().zip(x).filter(|(_, x)| x.is_finite());
                shown.for_each(|(y, _)| grow(&mut range, *y, scale));
            }
            Layer::Bars { values, .. } => {
                values.iter().for_each(|v| grow(&mut range, *v, scale));
                if scale == Scale::Linear {
                    grow(&mut range, 0.0, scale);
                }
            }
            _ => {}
        }
    }
    range
}

/// All x values are whole numbers, as steps and epochs are.
fn whole_x(panel: &Panel) -> bool {
    panel.layers.iter().all(|l| match l {
        Layer::Line { x, .. } => x.iter().filter(|v| v.is_finite()).all(|v| v.fract() == 0.0),
        _ => true,
    })
}

/// Decide on the axes and measure what stands around them.
pub(super) fn plan<'a>(panel: &'a Panel, place: &Place, style: &Style, font: &Font) -> Result<Plan<'a>> {
    let [width, height] = place.inner;
    let [x_scale, y_scale] = panel.scales();
    let names = panel.layers.iter().find_map(|l| match l {
        Layer::Bars { labels, .. } => Some(labels),
        _ => None,
    });
    let all_x = place.x_range.or_else(|| x_range(panel));
    let (range, pad, fixed) = match names {
        Some(names) => (Some([-0.5, names.len() as f64 - 0.5]), 0.0, Some(&[][..])),
        None => (
            all_x,
            if has_bare_points(panel) { 0.05 } else { 0.025 },
            panel.ticks.as_deref(),
        ),
    };
    let Some(range) = range else {
        return Err(nothing_on_log("x"));
    };
    let scale = if names.is_some() { Scale::Linear } else { x_scale };
    let whole = names.is_none() && whole_x(panel);
    let request = Request {
        scale,
        range,
        whole,
        pad: [pad; 2],
        ticks: fixed,
        length: width,
        horizontal: true,
        font_size: style.small,
    };
    let x = Axis::new(&request, font)?;

    let Some(range) = y_range(panel) else {
        return Err(nothing_on_log("y"));
    };
    let floor = names.is_some() && range[0] >= 0.0 && y_scale == Scale::Linear;
    let ceiling = names.is_some() && range[1] <= 0.0;
    let low = if floor {
        0.0
    } else if y_scale == Scale::Linear && range[0] >= 0.0 {
        (range[0] / (range[1] - range[0]).max(1e-300)).min(0.05)
    } else {
        0.05
    };
    let pad = [low, if ceiling { 0.0 } else { 0.05 }];
    let request = Request {
        scale: y_scale,
        range,
        whole: false,
        pad,
        ticks: None,
        length: height,
        horizontal: false,
        font_size: style.small,
    };
    let y = Axis::new(&request, font)?;

    let categories = names.map(|n| Categories::new(n, width / n.len() as f64, place.names[1], style, font));
    let entries = entries(panel);
    let mut plan = Plan {
        panel,
        x,
        y,
        margins: [0.0; 4],
        categories,
        entries,
        legend: None,
        x_labels: place.x_labels,
    };
    if !plan.entries.is_empty() && !place.legend_elsewhere {
        plan.legend = Some(plan.place_legend(place.inner, style, font));
    }
    plan.margins = plan.measure(width, style, font);
    Ok(plan)
}

fn has_bare_points(panel: &Panel) -> bool {
    panel
        .layers
        .iter()
        .any(|l| matches!(l, Layer::Line { joined: false, .. }))
}

fn nothing_on_log(axis: &str) -> crate::error::Error {
    crate::error::Error::usage(format!(
        "figure: the {axis} axis is logarithmic but no value is positive; leave out `log` or shift the values"
    ))
}

impl Plan<'_> {
    fn measure(&self, width: f64, style: &Style, font: &Font) -> Margins {
        let bare = self.panel.bare;
        let texts = |axis: &Axis| {
            axis.ticks
                .iter()
                .map(|t| font.width(&t.1, style.small))
                .collect::<Vec<_>>()
        };
        let widest = if bare {
            0.0
        } else {
            texts(&self.y).into_iter().fold(0.0, f64::max)
        };
        let ticks = if bare { 0.0 } else { style.tick + style.gap * 0.7 };
        let label = style.size * (CAP + DEPTH) + style.gap;
        let mut left = ticks + widest + if self.panel.y.is_empty() { 0.0 } else { label };
        let mut right: f64 = style.axis;
        let mut bottom = style.axis;
        if self.x_labels {
            let end = texts(&self.x).last().copied().unwrap_or(0.0) / 2.0;
            let last = self.x.ticks.last().and_then(|t| self.x.place(t.0)).unwrap_or(0.0);
            right = right.max(if bare { 0.0 } else { end - (1.0 - last) * width });
            let tall = if bare { 0.0 } else { style.small * CAP };
            bottom = ticks + self.categories.as_ref().map_or(tall, |c| c.height);
            left = left.max(self.categories.as_ref().map_or(0.0, |c| c.overhang));
            if !self.panel.x.is_empty() || !self.x.note.is_empty() {
                bottom += label + style.gap * 0.4;
            }
        }
        if let Some((legend, Spot::Below)) = &self.legend {
            bottom += legend.size[1] + style.gap * 1.5;
        }
        let mut top = style.small * CAP / 2.0;
        if !self.y.note.is_empty() && !bare {
            top = top.max(style.small * 1.1 + style.gap * 0.6);
        }
        let title = title_lines(&self.panel.title, width, style, font).len();
        if title > 0 {
            top += style.size * (CAP + DEPTH + TITLE_LEADING * (title - 1) as f64) + style.gap * 0.8;
        }
        [left, right, top, bottom]
    }

    /// Scattered points in all layers.
    pub(super) fn points(&self) -> usize {
        let count = |l: &Layer| match l {
            Layer::Line { x, joined: false, .. } => x.len(),
            _ => 0,
        };
        self.panel.layers.iter().map(count).sum()
    }

    /// Height of a legend below the axis, which comes on top of the usual height.
    pub(super) fn below(&self) -> f64 {
        match &self.legend {
            Some((legend, Spot::Below)) => legend.size[1],
            _ => 0.0,
        }
    }

    /// The corner or side that covers the least data, else below the axis.
    fn place_legend(&self, inner: [f64; 2], style: &Style, font: &Font) -> (Legend, Spot) {
        let [w, h] = inner;
        let area = Area { x: 0.0, y: 0.0, w, h };
        let obstacles = series::obstacles(self, area, style);
        let edge = style.gap;
        for columns in [1, 2, 3] {
            let legend = Legend::arrange(&self.entries, columns, w - 2.0 * edge, style, font);
            let [lw, lh] = legend.size;
            if lw > 0.75 * w || lh > 0.6 * h {
                continue;
            }
            let (right, centre, low) = (w - lw - edge, (w - lw) / 2.0, h - lh - edge);
            let spots = [
                [right, edge],
                [right, low],
                [edge, edge],
                [edge, low],
                [centre, edge],
                [centre, low],
            ];
            let margin = style.gap * 0.8;
            let free = spots.into_iter().find(|[x, y]| {
                let taken = Area {
                    x: x - margin,
                    y: y - margin,
                    w: lw + 2.0 * margin,
                    h: lh + 2.0 * margin,
                };
                !obstacles.iter().any(|p| taken.contains(*p))
            });
            if let Some(spot) = free {
                return (legend, Spot::Inside(spot));
            }
        }
        (
            Legend::arrange(&self.entries, self.entries.len(), w, style, font),
            Spot::Below,
        )
    }

    /// Draw the panel with its inner rectangle at `area`.
    pub(super) fn draw(&self, canvas: &mut Canvas, area: Area, style: &Style) {
        self.draw_grid(canvas, area, style);
        series::draw(canvas, self, area, style);
        self.draw_axes(canvas, area, style);
        self.draw_labels(canvas, area, style);
        if let Some((legend, spot)) = &self.legend {
            let at = match spot {
                Spot::Inside([x, y]) => {
                    let at = [area.x + x, area.y + y];
                    let edge = style.gap * 0.5;
                    let [w, h] = legend.size;
                    let ground = Area {
                        x: at[0] - edge,
                        y: at[1] - edge,
                        w: w + 2.0 * edge,
                        h: h + 2.0 * edge,
                    };
                    canvas.rect(ground, [255; 3], 0.85);
                    at
                }
                Spot::Below => {
                    let outer = area.w + self.margins[0] + self.margins[1];
                    let left = area.x - self.margins[0] + (outer - legend.size[0]) / 2.0;
                    [
                        left.max(area.x - self.margins[0]),
                        area.bottom() + self.margins[3] - legend.size[1],
                    ]
                }
            };
            legend.draw(canvas, at, &self.entries, style);
        }
    }

    fn draw_grid(&self, canvas: &mut Canvas, area: Area, style: &Style) {
        if self.panel.bare {
            return;
        }
        let stroke = Stroke::solid(GRID, style.thin);
        for (value, _) in &self.y.ticks {
            if let Some(p) = self.y.place(*value) {
                let y = area.bottom() - p * area.h;
                canvas.line([area.x, y], [area.right(), y], stroke);
            }
        }
        for (value, _) in &self.x.ticks {
            if let Some(p) = self.x.place(*value) {
                let x = area.x + p * area.w;
                canvas.line([x, area.y], [x, area.bottom()], stroke);
            }
        }
    }

    fn draw_axes(&self, canvas: &mut Canvas, area: Area, style: &Style) {
        let stroke = Stroke::solid(INK, style.axis);
        if self.panel.bare {
            canvas.frame(area, stroke);
            return;
        }
        canvas.line([area.x, area.y], [area.x, area.bottom()], stroke);
        canvas.line(
            [area.x - style.axis / 2.0, area.bottom()],
            [area.right(), area.bottom()],
            stroke,
        );
        let all = |axis: &Axis| -> Vec<(f64, f64)> {
            let major = axis.ticks.iter().map(|t| (t.0, style.tick));
            major
                .chain(axis.minor.iter().map(|v| (*v, style.tick * 0.55)))
                .collect()
        };
        for (value, length) in all(&self.x) {
            if let Some(p) = self.x.place(value) {
                let x = area.x + p * area.w;
                canvas.line([x, area.bottom()], [x, area.bottom() + length], stroke);
            }
        }
        for (value, length) in all(&self.y) {
            if let Some(p) = self.y.place(value) {
                let y = area.bottom() - p * area.h;
                canvas.line([area.x, y], [area.x - length, y], stroke);
            }
        }
        if let Some(zero) = self
            .y
            .place(0.0)
            .filter(|p| self.categories.is_some() && *p > 1e-9 && *p < 1.0)
        {
            let y = area.bottom() - zero * area.h;
            canvas.line([area.x, y], [area.right(), y], stroke);
        }
    }

    fn draw_labels(&self, canvas: &mut Canvas, area: Area, style: &Style) {
        let (small, cap) = (style.small, style.small * CAP);
        let bare = self.panel.bare;
        let out = style.tick + style.gap * 0.7;
        if !bare {
            for (value, label) in &self.y.ticks {
                if let Some(p) = self.y.place(*value) {
                    let at = [area.x - out, area.bottom() - p * area.h + cap / 2.0];
                    canvas.text(at, label, small, Anchor::End, 0.0, INK);
                }
            }
            let at = [area.x - out, area.y - style.small * CAP / 2.0 - style.gap * 0.6];
            canvas.text(at, &self.y.note, small, Anchor::Start, 0.0, INK);
        }
        let lines = title_lines(&self.panel.title, area.w, style, &canvas.font).len().max(1);
        let title = style.size * (CAP + DEPTH + TITLE_LEADING * (lines - 1) as f64);
        let lift = self.margins[2] - title - style.gap * 0.2;
        let outer = [area.x - self.margins[0], area.right() + self.margins[1]];
        draw_title(canvas, &self.panel.title, area, lift.max(style.gap * 0.5), outer, style);
        let ends = [area.y - style.small * CAP / 2.0, area.bottom() + out + cap];
        let (text, size) = fit(&self.panel.y, style.size, ends[1] - ends[0], &canvas.font);
        let middle = centre(area.y + area.h / 2.0, canvas.font.width(&text, size), ends);
        let at = [outer[0] + size * CAP + size * 0.05, middle];
        canvas.text(at, &text, size, Anchor::Middle, -90.0, INK);
        if !self.x_labels {
            return;
        }
        let mut y = area.bottom() + if bare { style.gap * 0.5 } else { out };
        match &self.categories {
            Some(categories) => {
                let at = |i: usize| area.x + self.x.place(i as f64).unwrap_or(0.0) * area.w;
                categories.draw(canvas, at, y);
                y += categories.height;
            }
            None if bare => {}
            None => {
                for (value, label) in &self.x.ticks {
                    if let Some(p) = self.x.place(*value) {
                        canvas.text([area.x + p * area.w, y + cap], label, small, Anchor::Middle, 0.0, INK);
                    }
                }
                y += cap;
            }
        }
        self.draw_x_label(canvas, area, y + style.gap * 1.4, style);
    }

    fn draw_x_label(&self, canvas: &mut Canvas, area: Area, top: f64, style: &Style) {
        let note = canvas.font.width(&self.x.note, style.small);
        let right = if note > 0.0 {
            area.right() - note - style.size
        } else {
            area.right() + self.margins[1]
        };
        let beside_y = if self.panel.y.is_empty() {
            0.0
        } else {
            style.size * (CAP + DEPTH)
        };
        let ends = [area.x - self.margins[0] + beside_y, right];
        let (text, size) = fit(&self.panel.x, style.size, ends[1] - ends[0], &canvas.font);
        let base = top + style.size * CAP;
        let middle = centre(area.x + area.w / 2.0, canvas.font.width(&text, size), ends);
        canvas.text([middle, base], &text, size, Anchor::Middle, 0.0, INK);
        canvas.text([area.right(), base], &self.x.note, style.small, Anchor::End, 0.0, INK);
    }
}
