//! Panels with axes, drawn by plotters: limits, ticks, margins and the place of the legend are decided here; `series` draws the
//! data.

use plotters::chart::{ChartBuilder, DualCoordChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::IntoDrawingArea;
use plotters::element::Rectangle;
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle};

use super::axis::{Axis, Request, Scale};
use super::backend::{Backend, LEADING, UNIT, pen, units};
use super::categories::{Categories, wrap};
use super::colourbar::ColourBar;
use super::figure::{Panel, Ticks};
use super::font::{CAP, DEPTH, Font};
use super::identity::{Identity, entries};
use super::layers::Layer;
use super::layout::{Margins, Surroundings, draw_title, title_height};
use super::legend::{Entry, Legend};
use super::options::LegendPlace;
use super::palette::Colour;
use super::ranges::{limits, whole_x};
use super::series;
use super::style::Style;
use super::svg::{Anchor, Area, Canvas, Stroke};
use crate::error::Result;

/// A panel as plotters draws it: x with the left axis, x with the right one.
pub(super) type Chart<'a> = DualCoordChartContext<'a, Backend, Cartesian2d<Axis, Axis>, Cartesian2d<Axis, Axis>>;

/// Everything about the panel but its position.
pub(super) struct Plan<'a> {
    pub(super) panel: &'a Panel,
    /// How the layers look, in their order.
    pub(super) looks: Vec<Identity>,
    /// x, y and the right axis.
    pub(super) axes: [Axis; 3],
    pub(super) margins: Margins,
    /// Room that the labels at the left and below need, without what other panels of the column or row need.
    labels: [f64; 2],
    /// Height of the lines of the title beyond the first.
    title: f64,
    has_right: bool,
    names: Option<Categories>,
    /// Letter size of the labels of y: smaller where many bars lie.
    y_size: f64,
    entries: Vec<Entry>,
    legend: Option<(Legend, Spot)>,
    bar: Option<ColourBar>,
    /// Numbers stand below x, beside y.
    shown: [bool; 2],
    /// The labels of x, y and the right axis: their lines, and the size of their letters.
    texts: [(Vec<String>, f64); 3],
}

/// Where a legend stands.
#[derive(Clone, Copy, PartialEq)]
enum Spot {
    Inside,
    Corner(bool, bool),
    Below,
}

/// Decide on the axes and measure what stands around them.
pub(super) fn plan<'a>(
    panel: &'a Panel,
    looks: Vec<Identity>,
    around: &Surroundings,
    style: &Style,
    font: &Font,
) -> Result<Plan<'a>> {
    let [width, height] = around.inner;
    let categories = panel.categories();
    let lies = categories.is_some_and(|(_, lies)| lies);
    let has_right = panel.layers.iter().any(|(_, right)| *right);
    let mut y_size = style.small;
    let names: Option<Ticks> = categories.filter(|_| lies).map(|(names, _)| {
        y_size = style.small * (height / names.len() as f64 / (style.small * 1.1)).clamp(0.5, 1.0);
        let lines = |name: &String| wrap(name, 2, |t| font.width(t, y_size));
        let fits = |name: &String| font.width(name, y_size) <= around.names[0];
        let text = |name: &String| {
            if fits(name) {
                name.clone()
            } else {
                lines(name).join("\n")
            }
        };
        names
            .iter()
            .enumerate()
            .map(|(i, name)| (-(i as f64), text(name)))
            .rev()
            .collect()
    });
    let axis = |i: usize| -> Result<Axis> {
        let (range, pad) = limits(panel, i, around.ranges[i.min(1)].filter(|_| i < 2))?;
        let upright = categories.is_some() && !lies && i == 0;
        let own = if upright {
            Some(&[][..])
        } else {
            panel.ticks[i].as_deref()
        };
        let request = Request {
            scale: if upright || (lies && i == 1) {
                Scale::Linear
            } else {
                panel.scales()[i]
            },
            range,
            whole: i == 0 && categories.is_none() && whole_x(panel),
            pad,
            ticks: if lies && i == 1 { names.as_deref() } else { own },
            length: if i == 0 { width } else { height },
            horizontal: i == 0,
            font_size: if i == 1 { y_size } else { style.small },
        };
        Ok(Axis::new(&request, font))
    };
    let (x, y) = (axis(0)?, axis(1)?);
    let right = if has_right { axis(2)? } else { y.clone() };
    let below = categories.filter(|(_, lies)| !lies && around.shown[0]);
    let entries = entries(panel, &looks);
    let mut plan = Plan {
        panel,
        axes: [x, y, right],
        margins: [0.0; 4],
        labels: [0.0; 2],
        title: 0.0,
        has_right,
        names: below.map(|(n, _)| Categories::new(n, width / n.len() as f64, around.names[1], style, font)),
        y_size,
        legend: None,
        bar: colour_bar(panel, height, style, font),
        shown: around.shown,
        texts: [
            font.wrapped(&panel.x, style.size, width),
            font.wrapped(&panel.y, style.size, height),
            font.wrapped(&panel.right, style.size, height),
        ],
        looks,
        entries,
    };
    if !around.shown[0] {
        plan.texts[0].0.clear();
    }
    if !around.shown[1] {
        plan.texts[1].0.clear();
    }
    if !plan.entries.is_empty() && !around.legend_elsewhere {
        plan.legend = match (panel.place, around.below) {
            (LegendPlace::Nowhere, _) => None,
            (LegendPlace::Below, _) | (LegendPlace::Best, true) => {
                Some((plan.arranged(usize::MAX, width, style, font), Spot::Below))
            }
            (place, _) => {
                let spot = match place {
                    LegendPlace::TopLeft => Spot::Corner(false, false),
                    LegendPlace::TopRight => Spot::Corner(true, false),
                    LegendPlace::BottomLeft => Spot::Corner(false, true),
                    LegendPlace::BottomRight => Spot::Corner(true, true),
                    LegendPlace::Best | LegendPlace::Below | LegendPlace::Nowhere => Spot::Inside,
                };
                Some((plan.arranged(1, width, style, font), spot))
            }
        };
    }
    plan.measure(width, style, font);
    Ok(plan)
}

fn colour_bar(panel: &Panel, height: f64, style: &Style, font: &Font) -> Option<ColourBar> {
    panel.layers.iter().find_map(|(layer, _)| match layer {
        Layer::Curve { options, .. } => {
            let values = options.values.as_ref()?;
            let range = options.range.unwrap_or_else(|| options.colours.limits(values));
            Some(ColourBar::new(
                options.colours,
                range,
                &options.bar,
                height,
                style,
                font,
            ))
        }
        _ => None,
    })
}

impl Plan<'_> {
    fn arranged(&self, columns: usize, width: f64, style: &Style, font: &Font) -> Legend {
        Legend::arrange(&self.entries, columns.min(self.entries.len()), width, style, font)
    }

    fn measure(&mut self, width: f64, style: &Style, font: &Font) {
        let bare = self.panel.bare;
        let ticks = if bare { 0.0 } else { 2.0 * style.tick };
        let lines = |(lines, size): &(Vec<String>, f64)| match lines.len() {
            0 => 0.0,
            n => size * (CAP + DEPTH + LEADING * (n - 1) as f64) + style.gap,
        };
        let widest = |axis: &Axis, size: f64| {
            let lines = axis
                .ticks
                .iter()
                .flat_map(|t| t.1.split('\n').map(|line| font.width(line, size)));
            if bare { 0.0 } else { lines.fold(0.0, f64::max) }
        };
        let numbers = if self.shown[1] {
            widest(&self.axes[1], self.y_size)
        } else {
            0.0
        };
        let mut left = ticks + numbers + lines(&self.texts[1]);
        let mut right = style.axis;
        if self.has_right {
            right = ticks + widest(&self.axes[2], style.small) + lines(&self.texts[2]);
        }
        let mut bottom = ticks.max(style.axis);
        if self.shown[0] {
            let last = self.axes[0]
                .ticks
                .iter()
                .filter_map(|t| Some((self.axes[0].place(t.0)?, &t.1)))
                .next_back();
            if let Some((place, label)) = last.filter(|_| !bare) {
                right = right.max(font.width(label, style.small) / 2.0 - (1.0 - place) * width);
            }
            let tall = if bare { 0.0 } else { style.small * CAP };
            bottom = ticks + self.names.as_ref().map_or(tall, |c| c.height);
            left = left.max(self.names.as_ref().map_or(0.0, |c| c.overhang));
            let note = if self.axes[0].note.is_empty() {
                0.0
            } else {
                style.small * 1.1 + style.gap
            };
            bottom += lines(&self.texts[0]).max(note);
        }
        self.labels = [left, bottom];
        if let Some((legend, Spot::Below)) = &self.legend {
            bottom += legend.size[1] + style.gap * 1.5;
        }
        right += self.bar.as_ref().map_or(0.0, |b| b.room);
        let mut top = style.small * CAP / 2.0;
        let notes = !self.axes[1].note.is_empty() || (self.has_right && !self.axes[2].note.is_empty());
        if notes && !bare {
            top = top.max(style.small * 1.1 + style.gap * 0.6);
        }
        top = top.max(self.bar.as_ref().map_or(0.0, |b| b.head));
        let title = title_height(&self.panel.title, width, style, font);
        self.title = (title - style.size * (CAP + DEPTH) - style.gap * 0.8).max(0.0);
        self.margins = [left, right, top + title, bottom];
    }

    /// Height of what makes the panel taller than usual: a legend below it, long names, a long title.
    pub(super) fn extra(&self, style: &Style) -> f64 {
        let legend = match &self.legend {
            Some((legend, Spot::Below)) => legend.size[1],
            _ => 0.0,
        };
        let lying = self.panel.categories().filter(|(_, lies)| *lies);
        let bars = lying.map_or(0.0, |(n, _)| {
            (n.len() as f64 * style.small * 1.35 - 12.0 * style.size).max(0.0)
        });
        legend
            + bars
            + self
                .names
                .as_ref()
                .map_or(0.0, |c| (c.height - 4.0 * style.small).max(0.0))
    }

    /// Whether a legend in the panel would cover data; the panel is drawn once to see.
    pub(super) fn crowded(&self, backend: &Backend, inner: [f64; 2]) -> Result<bool> {
        let Some((_, Spot::Inside)) = &self.legend else {
            return Ok(false);
        };
        let [left, _, top, _] = self.margins;
        let area = Area::new(left, top, inner[0], inner[1]);
        backend.0.borrow_mut().marks = Some(Vec::new());
        backend.0.borrow_mut().dry = true;
        let drawn = self.draw_data(backend, area);
        let mut canvas = backend.0.borrow_mut();
        let covers = self.free_spot(&canvas, area).is_none();
        canvas.clear();
        drawn.map(|()| covers)
    }

    /// The arrangement and the place of a legend that covers no marks.
    fn free_spot(&self, canvas: &Canvas, area: Area) -> Option<(Legend, [f64; 2])> {
        let marks = canvas.marks.as_deref().unwrap_or_default();
        let style = &canvas.style;
        let (edge, margin) = (style.gap, style.gap * 0.8);
        for columns in [1, 2, 3] {
            let legend = self.arranged(columns, area.w - 2.0 * edge, style, &canvas.font);
            let [w, h] = legend.size;
            if w > 0.75 * area.w || h > 0.6 * area.h {
                continue;
            }
            let x = [area.right() - w - edge, area.x + edge, area.x + (area.w - w) / 2.0];
            let y = [area.y + edge, area.bottom() - h - edge];
            for at in x.iter().flat_map(|x| y.map(|y| [*x, y])) {
                let taken = Area::new(at[0], at[1], w, h).grown(margin);
                if !marks.iter().any(|p| taken.contains(*p)) {
                    return Some((legend, at));
                }
            }
        }
        None
    }

    /// The data alone, with nothing around it.
    fn draw_data(&self, backend: &Backend, area: Area) -> Result<()> {
        let mut chart = self.chart(backend, area, [0.0; 3])?;
        series::draw(self, &mut chart, backend, area)
    }

    /// Plotters' chart with its plotting area at `area` and labels in these margins: left, right, below.
    fn chart<'c>(&self, backend: &Backend, area: Area, labels: [f64; 3]) -> Result<Chart<'c>> {
        let [left, right, below] = labels.map(units);
        let root = backend.clone().into_drawing_area();
        let corner = (units(area.x) as i32 - left as i32, units(area.y) as i32);
        let place = root.shrink(corner, (units(area.w) + left + right + 1, units(area.h) + below + 1));
        let [x, y, second] = self.axes.clone();
        let chart = ChartBuilder::on(&place)
            .x_label_area_size(below)
            .y_label_area_size(left)
            .right_y_label_area_size(right)
            .build_cartesian_2d(x.clone(), y)?;
        Ok(chart.set_secondary_coord(x, second))
    }

    /// Draw the panel with its inner rectangle at `area`.
    pub(super) fn draw(&self, backend: &Backend, area: Area) -> Result<()> {
        let style = backend.0.borrow().style.clone();
        let right = self.margins[1] - self.bar.as_ref().map_or(0.0, |b| b.room);
        let mut chart = self.chart(backend, area, [self.margins[0], right, self.labels[1].max(1.0)])?;
        let bare = self.panel.bare;
        let mut mesh = chart.configure_mesh();
        mesh.disable_axes()
            .bold_line_style(pen(style.grid, 1.0, style.thin))
            .max_light_lines(0);
        if bare || self.panel.categories().is_some_and(|(_, lies)| lies) {
            mesh.disable_y_mesh();
        }
        if bare {
            mesh.disable_x_mesh();
        }
        mesh.draw()?;
        backend.0.borrow_mut().marks = Some(Vec::new());
        series::draw(self, &mut chart, backend, area)?;
        let mut canvas = backend.0.borrow_mut();
        let spot = self.free_spot(&canvas, area);
        canvas.marks = None;
        drop(canvas);
        self.draw_axes(&mut chart, &style)?;
        let canvas = &mut *backend.0.borrow_mut();
        self.draw_notes(canvas, area, &style);
        if let Some(bar) = &self.bar {
            bar.draw(canvas, area, right)?;
        }
        self.draw_legend(canvas, area, spot, &style);
        Ok(())
    }

    fn draw_axes(&self, chart: &mut Chart, style: &Style) -> Result<()> {
        let line = pen(style.ink, 1.0, style.axis);
        if self.panel.bare {
            let [x, y] = [0, 1].map(|i| [self.axes[i].value(0.0), self.axes[i].value(1.0)]);
            let mut frame = line;
            frame.filled = false;
            chart.draw_series([Rectangle::new([(x[0], y[0]), (x[1], y[1])], frame)])?;
        }
        let label = |axis: usize, shown: bool| {
            move |v: &f64| {
                if shown && !self.panel.bare {
                    self.axes[axis].label(*v)
                } else {
                    String::new()
                }
            }
        };
        let (x, y, right) = (label(0, self.shown[0]), label(1, self.shown[1]), label(2, true));
        let ticks = if self.panel.bare { 0 } else { units(style.tick) as i32 };
        let mut mesh = chart.configure_mesh();
        mesh.disable_mesh()
            .axis_style(line)
            .x_label_style(letters(style.ink, style.small))
            .y_label_style(letters(style.ink, self.y_size))
            .x_label_formatter(&x)
            .y_label_formatter(&y)
            .set_all_tick_mark_size(ticks)
            .axis_desc_style(letters(style.ink, style.size))
            .x_desc(self.texts[0].0.join("\n"))
            .y_desc(self.texts[1].0.join("\n"));
        if self.panel.bare {
            mesh.axis_style(pen(style.ink, 0.0, 0.0));
        }
        mesh.draw()?;
        if self.has_right {
            let mut mesh = chart.configure_secondary_axes();
            mesh.axis_style(line)
                .label_style(letters(style.ink, style.small))
                .y_label_formatter(&right)
                .set_all_tick_mark_size(ticks)
                .axis_desc_style(letters(style.ink, style.size))
                .y_desc(self.texts[2].0.join("\n"));
            mesh.draw()?;
        }
        Ok(())
    }

    /// What plotters does not draw: small ticks, common factors, names under the axis, the title.
    fn draw_notes(&self, canvas: &mut Canvas, area: Area, style: &Style) {
        let stroke = Stroke::solid(style.ink, style.axis);
        let small = style.tick * 0.55;
        if !self.panel.bare {
            for p in self.axes[0].minor.iter().filter_map(|v| self.axes[0].place(*v)) {
                let x = area.x + p * area.w;
                canvas.line([x, area.bottom()], [x, area.bottom() + small], stroke);
            }
            for (axis, at, side) in [(1, area.x, -1.0), (2, area.right(), 1.0)] {
                let shown = if axis == 2 && !self.has_right {
                    &[][..]
                } else {
                    &self.axes[axis].minor
                };
                for p in shown.iter().filter_map(|v| self.axes[axis].place(*v)) {
                    let y = area.bottom() - p * area.h;
                    canvas.line([at, y], [at + side * small, y], stroke);
                }
            }
            let above = area.y - style.gap * 0.8;
            if self.shown[1] {
                canvas.text(
                    [area.x, above],
                    &self.axes[1].note,
                    style.small,
                    Anchor::Middle,
                    0.0,
                    style.ink,
                );
            }
            if self.has_right {
                canvas.text(
                    [area.right(), above],
                    &self.axes[2].note,
                    style.small,
                    Anchor::Middle,
                    0.0,
                    style.ink,
                );
            }
            let below = area.bottom() + self.labels[1] - style.small * DEPTH;
            if self.shown[0] {
                canvas.text(
                    [area.right(), below],
                    &self.axes[0].note,
                    style.small,
                    Anchor::End,
                    0.0,
                    style.ink,
                );
            }
        }
        let zero = self.axes[1].place(0.0).filter(|p| *p > 1e-9 && *p < 1.0);
        if let Some(zero) = zero.filter(|_| self.panel.categories().is_some_and(|(_, lies)| !lies)) {
            let y = area.bottom() - zero * area.h;
            canvas.line([area.x, y], [area.right(), y], stroke);
        }
        if let Some(names) = &self.names {
            let at = |i: usize| area.x + self.axes[0].place(i as f64).unwrap_or(0.0) * area.w;
            names.draw(canvas, at, area.bottom() + 2.0 * style.tick);
        }
        let title = title_height(&self.panel.title, area.w, style, &canvas.font);
        draw_title(canvas, &self.panel.title, area, self.margins[2] - title);
    }

    fn draw_legend(&self, canvas: &mut Canvas, area: Area, spot: Option<(Legend, [f64; 2])>, style: &Style) {
        let Some((legend, place)) = &self.legend else { return };
        let [w, h] = legend.size;
        let corner = |right: bool, low: bool| {
            let x = if right {
                area.right() - w - style.gap
            } else {
                area.x + style.gap
            };
            [
                x,
                if low {
                    area.bottom() - h - style.gap
                } else {
                    area.y + style.gap
                },
            ]
        };
        let (legend, at) = match (place, &spot) {
            (Spot::Inside, Some((legend, at))) => (legend, *at),
            (Spot::Inside, None) => (legend, corner(true, false)),
            (Spot::Corner(right, low), _) => (legend, corner(*right, *low)),
            (Spot::Below, _) => {
                let outer = area.w + self.margins[0] + self.margins[1];
                let left = area.x - self.margins[0];
                (
                    legend,
                    [left + ((outer - w) / 2.0).max(0.0), area.bottom() + self.margins[3] - h],
                )
            }
        };
        if *place != Spot::Below {
            let ground = Area::new(at[0], at[1], legend.size[0], legend.size[1]).grown(style.gap * 0.5);
            canvas.rect(ground, style.ground, 0.85);
        }
        legend.draw(canvas, at, &self.entries);
    }
}

/// Plotters' style for a text of ours.
pub(super) fn letters(colour: Colour, size: f64) -> TextStyle<'static> {
    let font = FontDesc::new(FontFamily::SansSerif, size * UNIT, FontStyle::Normal);
    let ink = RGBColor(colour[0], colour[1], colour[2]);
    TextStyle {
        color: ink.to_backend_color(),
        ..TextStyle::from(font)
    }
}
