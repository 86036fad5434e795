//! Panels with axes, drawn by plotters: limits, ticks, margins and the place of the legend are decided here; `series` draws the
//! data.

use plotters::chart::{ChartBuilder, DualCoordChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::IntoDrawingArea;
use plotters::element::Rectangle;
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle};

use super::area::Area;
use super::axis::{Axis, Request};
use super::backend::{Backend, PAGE, UNIT, pen, units};
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
use super::ranges::{Range, left_out, limits, ranges, whole_x};
use super::series::{self, Target};
use super::style::Style;
use super::svg::{Anchor, Canvas, Stroke};
use super::text::Block;
use crate::error::Result;

/// What a panel with axes shows, before it has a size.
pub(super) struct Content<'a> {
    pub(super) panel: &'a Panel,
    /// How the layers look, in their order.
    looks: Vec<Identity>,
    /// Of the legend.
    pub(super) entries: Vec<Entry>,
    /// What x, y and the right axis have to show.
    pub(super) ranges: [Option<Range>; 3],
}

impl<'a> Content<'a> {
    pub(super) fn new(panel: &'a Panel, looks: Vec<Identity>, backend: &Backend) -> Result<Self> {
        let entries = entries(panel, &looks, &backend.canvas().style);
        Ok(Content {
            panel,
            entries,
            ranges: ranges(panel, &looks, backend)?,
            looks,
        })
    }
}

/// A panel as plotters draws it: x with the left axis, x with the right one.
type Chart<'a> = DualCoordChartContext<'a, Backend, Cartesian2d<Axis, Axis>, Cartesian2d<Axis, Axis>>;

/// Everything about the panel but its position.
pub(super) struct Plan<'a> {
    pub(super) content: &'a Content<'a>,
    /// x, y and the right axis.
    axes: [Axis; 3],
    pub(super) margins: Margins,
    /// Height of the labels below.
    labels: f64,
    title: Block,
    has_right: bool,
    names: Option<Categories>,
    /// Letter size of the labels of y: smaller where many bars lie.
    y_size: f64,
    /// Where the legend stands; `Best` is inside.
    pub(super) place: LegendPlace,
    bar: Option<ColourBar>,
    /// The labels of x, y and the right axis.
    texts: [Block; 3],
}

/// Decide on the axes and measure what stands around them.
pub(super) fn plan<'a>(
    content: &'a Content<'a>,
    around: &Surroundings,
    style: &Style,
    font: &Font,
) -> Result<Plan<'a>> {
    let [width, height] = around.inner;
    let panel = content.panel;
    let categories = panel.categories();
    let lies = categories.is_some_and(|(_, lies)| lies);
    let has_right = panel.layers.iter().any(|(_, right)| *right);
    let mut y_size = style.small;
    let mut own = panel.sides.clone().map(|side| side.ticks);
    if let Some((names, _)) = categories {
        if lies {
            y_size = style.small * (height / names.len() as f64 / (style.small * 1.1)).clamp(0.5, 1.0);
        }
        let text = |name: &String| match font.width(name, y_size) <= around.names[0] {
            true => name.clone(),
            false => wrap(name, 2, |t| font.width(t, y_size)).join("\n"),
        };
        let ticks = names.iter().enumerate().map(|(i, name)| (-(i as f64), text(name)));
        // names under the axis are not plotters': they may be turned
        own[usize::from(lies)] = Some(if lies { ticks.rev().collect() } else { Ticks::new() });
    }
    let axis = |i: usize| -> Result<Axis> {
        let range = around.ranges.get(i).copied().flatten().or(content.ranges[i]);
        let (range, pad) = limits(panel, i, range)?;
        let along_names = categories.is_some() && i == usize::from(lies);
        let mut axis = Axis::new(
            &Request {
                log: panel.sides[i].log && !along_names,
                range,
                whole: i == 0 && categories.is_none() && whole_x(panel),
                pad,
                ticks: own[i].as_deref(),
                length: around.inner[i.min(1)],
                horizontal: i == 0,
                font_size: if i == 1 { y_size } else { style.small },
            },
            font,
        );
        if panel.bare {
            axis = axis.bare();
        } else if around.shown.get(i) == Some(&false) {
            axis.ticks.iter_mut().for_each(|tick| tick.1.clear());
            axis.note.clear();
        }
        Ok(axis)
    };
    let (x, y) = (axis(0)?, axis(1)?);
    let right = if has_right { axis(2)? } else { y.clone().bare() };
    let below = categories.filter(|(_, lies)| !lies && around.shown[0]);
    let text = |text: &str, shown: bool, room: f64| Block::new(if shown { text } else { "" }, style.size, room, font);
    let mut plan = Plan {
        content,
        axes: [x, y, right],
        margins: [0.0; 4],
        labels: 0.0,
        title: text(&panel.title, true, width),
        has_right,
        names: below.map(|(n, _)| Categories::new(n, width / n.len() as f64, around.names[1], style, font)),
        y_size,
        place: match content.entries.is_empty() {
            true => LegendPlace::Nowhere,
            false => around.legend,
        },
        bar: colour_bar(panel, height, style, font),
        texts: [
            text(&panel.sides[0].label, around.shown[0], width),
            text(&panel.sides[1].label, around.shown[1], height),
            text(&panel.sides[2].label, true, height),
        ],
    };
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
    fn lies(&self) -> bool {
        self.content.panel.categories().is_some_and(|(_, lies)| lies)
    }

    fn measure(&mut self, width: f64, style: &Style, font: &Font) {
        let [x, y, second] = &self.axes;
        let ticks = if self.content.panel.bare { 0.0 } else { 2.0 * style.tick };
        let label = |axis: usize| self.texts[axis].room(style.gap);
        let (names, overhang) = self.names.as_ref().map_or((0.0, 0.0), |n| (n.height, n.overhang));
        let left = (ticks + y.widest(self.y_size, font) + label(1)).max(overhang);
        let mut right = match self.has_right {
            true => ticks + second.widest(style.small, font) + label(2),
            false => style.axis,
        };
        if let Some((value, label)) = x.ticks.last() {
            let beyond = (1.0 - x.place(*value).unwrap_or(1.0)) * width;
            right = right.max(font.width(label, style.small) / 2.0 - beyond);
        }
        let reach = |text: &str| style.small * CAP + font.lay(text, style.small).reach(style.small)[0];
        let numbers = x
            .ticks
            .iter()
            .filter(|tick| !tick.1.is_empty())
            .map(|tick| reach(&tick.1));
        let note = if x.note.is_empty() {
            0.0
        } else {
            style.small * 1.1 + style.gap
        };
        self.labels = ticks + numbers.fold(names, f64::max) + label(0).max(note);
        let legend = self
            .legend_below(width, style, font)
            .map_or(0.0, |h| h + style.gap * 1.5);
        let (room, head) = self.bar.as_ref().map_or((0.0, 0.0), |b| (b.room, b.head));
        let notes = match y.note.is_empty() && second.note.is_empty() {
            true => style.small * CAP / 2.0,
            false => style.small * 1.1 + style.gap * 0.6,
        };
        let top = head.max(notes) + title_room(&self.title, style);
        self.margins = [left, right + room, top, self.labels + legend];
    }

    /// The legend in at most so many columns.
    pub(super) fn legend(&self, columns: usize, width: f64, style: &Style, font: &Font) -> Legend {
        Legend::arrange(&self.content.entries, columns, width, style, font)
    }

    /// Height of a legend below the panel.
    fn legend_below(&self, width: f64, style: &Style, font: &Font) -> Option<f64> {
        let below = self.place == LegendPlace::Below;
        below.then(|| self.legend(usize::MAX, width, style, font).size[1])
    }

    /// Height of what makes the panel taller than usual: a legend below it, many lying bars, long names.
    pub(super) fn extra(&self, width: f64, style: &Style, font: &Font) -> f64 {
        let lying = self.content.panel.categories().filter(|(_, lies)| *lies);
        let bars = lying.map_or(0.0, |(names, _)| {
            names.len() as f64 * style.small * 1.35 - 12.0 * style.size
        });
        let names = self.names.as_ref().map_or(0.0, |n| n.height - 4.0 * style.small);
        self.legend_below(width, style, font).unwrap_or(0.0) + bars.max(0.0) + names.max(0.0)
    }

    /// Plotters' chart with its plotting area at `area` and labels in these margins: left, right, below.
    fn chart<'c>(&self, backend: &Backend, area: Area, labels: [f64; 3]) -> Result<Chart<'c>> {
        let [left, right, below] = labels.map(units);
        let root = backend.clone().into_drawing_area();
        let corner = [area.x, area.y].map(|v| PAGE + units(v) as i32);
        let size = (units(area.w) + left + right + 1, units(area.h) + below + 1);
        let place = root.shrink((corner[0] - left as i32, corner[1]), size);
        let [x, y, second] = self.axes.clone();
        let chart = ChartBuilder::on(&place)
            .x_label_area_size(below)
            .y_label_area_size(left)
            .right_y_label_area_size(right)
            .build_cartesian_2d(x.clone(), y)?;
        Ok(chart.set_secondary_coord(x, second))
    }

    /// The data alone, with nothing around it.
    pub(super) fn draw_data(&self, backend: &Backend, area: Area) -> Result<()> {
        let chart = self.chart(backend, area, [0.0; 3])?;
        let (inside, [x, y, second]) = (backend.within(area), &self.axes);
        // lines may come from far outside of the panel: they are drawn on all of the page and cut
        let page = inside.clone().into_drawing_area();
        let left = page.apply_coord_spec(chart.plotting_area().as_coord_spec().clone());
        let right = page.apply_coord_spec(chart.secondary_plotting_area().as_coord_spec().clone());
        let target = |at_right| match at_right {
            true => Target::Paper(&right, [x, second]),
            false => Target::Paper(&left, [x, y]),
        };
        series::draw(self.content.panel, &self.content.looks, &inside, area, target)
    }

    /// Draw the panel with its inner rectangle at `area`.
    pub(super) fn draw(&self, backend: &Backend, area: Area) -> Result<()> {
        let style = backend.canvas().style.clone();
        let right = self.margins[1] - self.bar.as_ref().map_or(0.0, |b| b.room);
        let mut chart = self.chart(backend, area, [self.margins[0], right, self.labels.max(1.0)])?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_axes()
            .bold_line_style(pen(style.grid, 1.0, style.thin))
            .max_light_lines(0);
        if self.lies() {
            mesh.disable_y_mesh();
        }
        mesh.draw()?;
        backend.canvas().marks = Some(Vec::new());
        self.draw_data(backend, area)?;
        let free = self.free_spot(&backend.canvas(), area);
        backend.canvas().marks = None;
        self.draw_axes(&mut chart, &style)?;
        let canvas = &mut *backend.canvas();
        canvas.warnings.extend(left_out(self.content.panel));
        self.draw_notes(canvas, area, &style);
        if let Some(bar) = &self.bar {
            bar.draw(canvas, area, right)?;
        }
        self.draw_legend(canvas, area, free, &style);
        Ok(())
    }

    fn draw_axes(&self, chart: &mut Chart, style: &Style) -> Result<()> {
        let mut line = pen(style.ink, 1.0, style.axis);
        if self.content.panel.bare {
            let [x, y, _] = &self.axes;
            line.filled = false;
            chart.draw_series([Rectangle::new([(x.low, y.low), (x.high, y.high)], line)])?;
            line = pen(style.ink, 0.0, 0.0);
        }
        let ticks = units(style.tick) as i32;
        let mut mesh = chart.configure_mesh();
        mesh.disable_mesh()
            .axis_style(line)
            .x_label_style(letters(style.ink, style.small))
            .y_label_style(letters(style.ink, self.y_size))
            .set_all_tick_mark_size(ticks)
            .axis_desc_style(letters(style.ink, self.texts[0].size.min(self.texts[1].size)))
            .x_desc(self.texts[0].lines.join("\n"))
            .y_desc(self.texts[1].lines.join("\n"))
            .draw()?;
        if self.has_right {
            let mut mesh = chart.configure_secondary_axes();
            mesh.axis_style(line)
                .label_style(letters(style.ink, style.small))
                .set_all_tick_mark_size(ticks)
                .axis_desc_style(letters(style.ink, self.texts[2].size))
                .y_desc(self.texts[2].lines.join("\n"))
                .draw()?;
        }
        Ok(())
    }

    /// What plotters does not draw: small ticks, common factors, names under the axis, the title.
    fn draw_notes(&self, canvas: &mut Canvas, area: Area, style: &Style) {
        let stroke = Stroke::solid(style.ink, style.axis);
        let small = style.tick * 0.55;
        let [x, left, right] = &self.axes;
        for place in x.minor.iter().filter_map(|v| x.place(*v)) {
            let at = area.x + place * area.w;
            canvas.line([at, area.bottom()], [at, area.bottom() + small], stroke);
        }
        for (axis, at, out) in [(left, area.x, -small), (right, area.right(), small)] {
            for place in axis.minor.iter().filter_map(|v| axis.place(*v)) {
                let y = area.bottom() - place * area.h;
                canvas.line([at, y], [at + out, y], stroke);
            }
            canvas.small([at, area.y - style.gap * 0.8], &axis.note, Anchor::Middle);
        }
        let below = area.bottom() + self.labels - style.small * DEPTH;
        canvas.small([area.right(), below], &x.note, Anchor::End);
        let standing = self.content.panel.categories().is_some_and(|(_, lies)| !lies);
        let zero = self.axes[1].place(0.0).filter(|p| standing && *p > 1e-9 && *p < 1.0);
        if let Some(zero) = zero {
            let y = area.bottom() - zero * area.h;
            canvas.line([area.x, y], [area.right(), y], stroke);
        }
        if let Some(names) = &self.names {
            let at = |i: usize| area.x + self.axes[0].place(i as f64).unwrap_or(0.0) * area.w;
            names.draw(canvas, at, area.bottom() + 2.0 * style.tick);
        }
        let lift = self.margins[2] - title_room(&self.title, style);
        draw_title(canvas, &self.title, area, lift);
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
