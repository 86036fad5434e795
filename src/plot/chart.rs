//! Panels with axes, drawn by plotters: limits, ticks, margins and the place of the legend are decided here; `series` draws the
//! data.

use plotters::chart::{ChartBuilder, DualCoordChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::IntoDrawingArea;
use plotters::element::Rectangle;
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle};

use super::area::Area;
use super::axis::{Axis, Request, Scale};
use super::backend::{Backend, UNIT, pen, units};
use super::categories::{Categories, wrap};
use super::colourbar::ColourBar;
use super::figure::{Panel, Ticks};
use super::font::{CAP, DEPTH, Font};
use super::identity::{Identity, entries};
use super::layers::Layer;
use super::layout::{Margins, Surroundings, draw_title, title_room};
use super::legend::{Entry, Legend};
use super::options::LegendPlace;
use super::palette::Colour;
use super::placing::Spot;
use super::ranges::{left_out, limits, whole_x};
use super::series;
use super::style::Style;
use super::svg::{Anchor, Canvas, Stroke};
use super::text::Block;
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
    title: Block,
    has_right: bool,
    names: Option<Categories>,
    /// Letter size of the labels of y: smaller where many bars lie.
    y_size: f64,
    pub(super) entries: Vec<Entry>,
    pub(super) legend: Option<(Legend, Spot)>,
    bar: Option<ColourBar>,
    /// Numbers stand below x, beside y.
    shown: [bool; 2],
    /// The labels of x, y and the right axis.
    texts: [Block; 3],
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
        let text = |name: &String| match font.width(name, y_size) <= around.names[0] {
            true => name.clone(),
            false => wrap(name, 2, |t| font.width(t, y_size)).join("\n"),
        };
        let ticks = names.iter().enumerate().map(|(i, name)| (-(i as f64), text(name)));
        ticks.rev().collect()
    });
    let axis = |i: usize| -> Result<Axis> {
        let (range, pad) = limits(panel, i, around.ranges[i.min(1)].filter(|_| i < 2))?;
        let upright = categories.is_some() && !lies && i == 0;
        let own = match upright {
            true => Some(&[][..]),
            false => panel.ticks[i].as_deref(),
        };
        let request = Request {
            scale: match upright || (lies && i == 1) {
                true => Scale::Linear,
                false => panel.scales()[i],
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
    let text = |text: &str, shown: bool, room: f64| Block::new(if shown { text } else { "" }, style.size, room, font);
    let mut plan = Plan {
        panel,
        axes: [x, y, right],
        margins: [0.0; 4],
        labels: [0.0; 2],
        title: text(&panel.title, true, width),
        has_right,
        names: below.map(|(n, _)| Categories::new(n, width / n.len() as f64, around.names[1], style, font)),
        y_size,
        legend: None,
        bar: colour_bar(panel, height, style, font),
        shown: around.shown,
        texts: [
            text(&panel.x, around.shown[0], width),
            text(&panel.y, around.shown[1], height),
            text(&panel.right, true, height),
        ],
        entries: entries(panel, &looks),
        looks,
    };
    let spot = match panel.place {
        LegendPlace::Nowhere => None,
        _ if plan.entries.is_empty() || around.legend_elsewhere => None,
        LegendPlace::Best if around.below => Some(Spot::Below),
        LegendPlace::Below => Some(Spot::Below),
        LegendPlace::Best => Some(Spot::Inside),
        place => place.corner().map(|(right, low)| Spot::Corner(right, low)),
    };
    plan.legend = spot.map(|spot| {
        let columns = if spot == Spot::Below { usize::MAX } else { 1 };
        (plan.arranged(columns, width, style, font), spot)
    });
    plan.measure(width, style, font);
    Ok(plan)
}

/// The bar of the first points that have colours.
fn colour_bar(panel: &Panel, height: f64, style: &Style, font: &Font) -> Option<ColourBar> {
    panel.layers.iter().find_map(|(layer, _)| {
        let Layer::Curve { options, .. } = layer else {
            return None;
        };
        let scale = (options.colors, options.values.as_deref()?, options.range);
        Some(ColourBar::new(scale, &options.bar, height, style, font))
    })
}

impl Plan<'_> {
    pub(super) fn arranged(&self, columns: usize, width: f64, style: &Style, font: &Font) -> Legend {
        Legend::arrange(&self.entries, columns.min(self.entries.len()), width, style, font)
    }

    fn measure(&mut self, width: f64, style: &Style, font: &Font) {
        let bare = self.panel.bare;
        let [x, y, second] = &self.axes;
        let ticks = if bare { 0.0 } else { 2.0 * style.tick };
        let numbers = |axis: &Axis, size: f64, shown: bool| match shown && !bare {
            true => axis.widest(size, font),
            false => 0.0,
        };
        let label = |axis: usize| self.texts[axis].room(style.gap);
        let mut left = ticks + numbers(y, self.y_size, self.shown[1]) + label(1);
        let mut right = style.axis;
        if self.has_right {
            right = ticks + numbers(second, style.small, true) + label(2);
        }
        let mut bottom = ticks.max(style.axis);
        if self.shown[0] {
            let mut places = x.ticks.iter().filter_map(|t| Some((x.place(t.0)?, &t.1)));
            if let Some((place, label)) = places.next_back().filter(|_| !bare) {
                right = right.max(font.width(label, style.small) / 2.0 - (1.0 - place) * width);
            }
            let rise = |tick: &(f64, String)| font.lay(&tick.1, style.small).reach(style.small)[0];
            let tall = match bare {
                true => 0.0,
                false => style.small * CAP + x.ticks.iter().map(rise).fold(0.0, f64::max),
            };
            bottom = ticks + self.names.as_ref().map_or(tall, |c| c.height);
            left = left.max(self.names.as_ref().map_or(0.0, |c| c.overhang));
            let note = match x.note.as_str() {
                "" => 0.0,
                _ => style.small * 1.1 + style.gap,
            };
            bottom += label(0).max(note);
        }
        self.labels = [left, bottom];
        bottom += self.legend_below().map_or(0.0, |height| height + style.gap * 1.5);
        let (room, head) = self.bar.as_ref().map_or((0.0, 0.0), |b| (b.room, b.head));
        let mut top = head.max(style.small * CAP / 2.0);
        let notes = !y.note.is_empty() || (self.has_right && !second.note.is_empty());
        if notes && !bare {
            top = top.max(style.small * 1.1 + style.gap * 0.6);
        }
        self.margins = [left, right + room, top + title_room(&self.title, style), bottom];
    }

    /// Height of a legend below the panel.
    fn legend_below(&self) -> Option<f64> {
        let (legend, spot) = self.legend.as_ref()?;
        (*spot == Spot::Below).then_some(legend.size[1])
    }

    /// Height of what makes the panel taller than usual: a legend below it, many lying bars, long names.
    pub(super) fn extra(&self, style: &Style) -> f64 {
        let lying = self.panel.categories().filter(|(_, lies)| *lies);
        let bars = lying.map_or(0.0, |(names, _)| {
            names.len() as f64 * style.small * 1.35 - 12.0 * style.size
        });
        let names = self
            .names
            .as_ref()
            .map_or(0.0, |names| names.height - 4.0 * style.small);
        self.legend_below().unwrap_or(0.0) + bars.max(0.0) + names.max(0.0)
    }

    /// The data alone, with nothing around it.
    pub(super) fn draw_data(&self, backend: &Backend, area: Area) -> Result<()> {
        let chart = self.chart(backend, area, [0.0; 3])?;
        series::draw(self, &chart, backend, area)
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
        let style = backend.canvas().style.clone();
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
        backend.canvas().marks = Some(Vec::new());
        series::draw(self, &chart, backend, area)?;
        let mut canvas = backend.canvas();
        let spot = self.free_spot(&canvas, area);
        canvas.marks = None;
        drop(canvas);
        self.draw_axes(&mut chart, &style)?;
        let canvas = &mut *backend.canvas();
        canvas.warnings.extend(left_out(self.panel));
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
            let [x, y] = [0, 1].map(|i| self.axes[i].ends());
            let mut frame = line;
            frame.filled = false;
            chart.draw_series([Rectangle::new([(x[0], y[0]), (x[1], y[1])], frame)])?;
        }
        let label = |axis: usize, shown: bool| {
            move |v: &f64| match shown && !self.panel.bare {
                true => self.axes[axis].label(*v),
                false => String::new(),
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
            .x_desc(self.texts[0].lines.join("\n"))
            .y_desc(self.texts[1].lines.join("\n"));
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
                .y_desc(self.texts[2].lines.join("\n"));
            mesh.draw()?;
        }
        Ok(())
    }

    /// What plotters does not draw: small ticks, common factors, names under the axis, the title.
    fn draw_notes(&self, canvas: &mut Canvas, area: Area, style: &Style) {
        let stroke = Stroke::solid(style.ink, style.axis);
        if !self.panel.bare {
            let small = style.tick * 0.55;
            let minor = |axis: usize| {
                self.axes[axis]
                    .minor
                    .iter()
                    .filter_map(move |v| self.axes[axis].place(*v))
            };
            for x in minor(0).map(|p| area.x + p * area.w) {
                canvas.line([x, area.bottom()], [x, area.bottom() + small], stroke);
            }
            let sides = [(1, area.x, -small, true), (2, area.right(), small, self.has_right)];
            for (axis, at, out, _) in sides.iter().filter(|side| side.3) {
                for y in minor(*axis).map(|p| area.bottom() - p * area.h) {
                    canvas.line([*at, y], [at + out, y], stroke);
                }
            }
            let above = area.y - style.gap * 0.8;
            let below = area.bottom() + self.labels[1] - style.small * DEPTH;
            for (axis, at, anchor, shown) in [
                (1, [area.x, above], Anchor::Middle, self.shown[1]),
                (2, [area.right(), above], Anchor::Middle, self.has_right),
                (0, [area.right(), below], Anchor::End, self.shown[0]),
            ] {
                if shown {
                    canvas.small(at, &self.axes[axis].note, anchor);
                }
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
        draw_title(
            canvas,
            &self.title,
            area,
            self.margins[2] - title_room(&self.title, style),
        );
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
