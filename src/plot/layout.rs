//! From a figure to its SVG: how large every panel may be once its labels are measured, then the drawing.

use super::cartesian;
use super::figure::{Figure, Layer, Panel};
use super::legend::{Entry, Legend};
use super::matrix;
use super::palette::INK;
use super::style::Style;
use super::svg::{Anchor, Area, Canvas, Stroke};
use super::text::{self, Font};
use crate::ensure;
use crate::error::Result;

/// Free room around the inner rectangle of a panel: left, right, top, bottom.
pub(super) type Margins = [f64; 4];

/// What a panel needs to know about its surroundings.
pub(super) struct Place {
    /// Width and height of the inner rectangle.
    pub(super) inner: [f64; 2],
    /// The longest that a name beside or below the axes may be.
    pub(super) names: [f64; 2],
    /// Limits of x over all panels, where they share it.
    pub(super) x_range: Option<[f64; 2]>,
    /// Numbers and label below the x axis are drawn here (not only in a panel further down).
    pub(super) x_labels: bool,
    /// The legend stands below the whole figure.
    pub(super) legend_elsewhere: bool,
}

/// A panel with everything decided but its position.
enum Plan<'a> {
    Empty,
    Axes(cartesian::Plan<'a>),
    Matrix(matrix::Plan<'a>),
    Picture(&'a Panel, Margins),
}

impl Plan<'_> {
    fn margins(&self) -> Margins {
        match self {
            Plan::Empty => [0.0; 4],
            Plan::Axes(p) => p.margins,
            Plan::Matrix(p) => p.margins,
            Plan::Picture(_, m) => *m,
        }
    }
}

/// The figure as SVG; pictures in it are reduced to `dpi`. Returns the document and its size in points.
pub(super) fn render(figure: &Figure, dpi: f64) -> Result<(String, [f64; 2])> {
    ensure!(
        figure.panels.iter().any(|p| !p.layers.is_empty()),
        "figure: there is nothing to draw; add .line, .bars, .scatter, .heatmap, .image or .masks first"
    );
    let style = Style::of(figure.options.preset);
    let mut canvas = Canvas::new(dpi)?;
    let layout = Layout::new(figure, &style, &canvas.font)?;
    layout.draw(&mut canvas, &style)?;
    *figure.missing.borrow_mut() = std::mem::take(&mut canvas.missing);
    let svg = canvas.finish(layout.size, &figure.options.title, &figure.metadata);
    Ok((svg, layout.size))
}

struct Layout<'a> {
    figure: &'a Figure,
    plans: Vec<Plan<'a>>,
    size: [f64; 2],
    inner_width: f64,
    inner_heights: Vec<f64>,
    left: Vec<f64>,
    right: Vec<f64>,
    top: Vec<f64>,
    bottom: Vec<f64>,
    gap: f64,
    entries: Vec<Entry>,
    legend: Legend,
    edge: f64,
    head: f64,
    title: Vec<String>,
}

impl<'a> Layout<'a> {
    fn new(figure: &'a Figure, style: &Style, font: &Font) -> Result<Self> {
        let edge = style.gap * 0.7;
        let width = figure.options.size.map_or_else(|| default_width(figure), |s| s[0]) * 72.0;
        let entries = shared_entries(figure);
        let legend = Legend::arrange(&entries, entries.len(), width - 2.0 * edge, style, font);
        let titled = figure.panels.len() > 1 && !figure.options.title.is_empty();
        let title = match titled {
            true => title_lines(&figure.options.title, width - 2.0 * edge, style, font),
            false => Vec::new(),
        };
        let head = match title.len() {
            0 => 0.0,
            lines => style.size * (1.25 + TITLE_LEADING * (lines - 1) as f64) + style.gap,
        };
        let pictures = figure.panels.iter().all(|p| p.layers.is_empty() || is_picture(p));
        let mut layout = Layout {
            figure,
            plans: Vec::new(),
            size: [width, figure.options.size.map_or(0.75 * width, |s| s[1] * 72.0)],
            inner_width: width / figure.columns as f64 * 0.7,
            inner_heights: vec![figure.options.preset.size()[1] * 72.0 * 0.7; figure.rows],
            left: vec![0.0; figure.columns],
            right: vec![0.0; figure.columns],
            top: vec![0.0; figure.rows],
            bottom: vec![0.0; figure.rows],
            gap: if pictures { style.gap * 0.8 } else { style.gap * 2.5 },
            entries,
            legend,
            edge,
            head,
            title,
        };
        // labels decide the margins, the margins the length of the axes, the length the labels: this settles quickly
        for _ in 0..4 {
            layout.plan(style, font)?;
            layout.share_room(style)?;
        }
        layout.plan(style, font)?;
        // all panels of a column or row keep to its margins, so that their labels stand in line
        for (i, plan) in layout.plans.iter_mut().enumerate() {
            let (row, column) = (i / figure.columns, i % figure.columns);
            let margins = [
                layout.left[column],
                layout.right[column],
                layout.top[row],
                layout.bottom[row],
            ];
            match plan {
                Plan::Axes(p) => p.margins = margins,
                Plan::Matrix(p) => p.margins = margins,
                Plan::Empty | Plan::Picture(..) => {}
            }
        }
        Ok(layout)
    }

    fn plan(&mut self, style: &Style, font: &Font) -> Result<()> {
        let figure = self.figure;
        self.plans.clear();
        for (i, panel) in figure.panels.iter().enumerate() {
            figure.check_cancel()?;
            let (row, column) = (i / figure.columns, i % figure.columns);
            let place = Place {
                inner: [self.inner_width, self.inner_heights[row]],
                names: [
                    0.38 * self.size[0] / figure.columns as f64,
                    0.55 * self.size[1] / figure.rows as f64,
                ],
                x_range: figure.shared_x.then(|| shared_range(figure, column)).flatten(),
                x_labels: !figure.shared_x || row + 1 == figure.rows,
                legend_elsewhere: !self.entries.is_empty(),
            };
            let plan = match panel.layers.first() {
                None => Plan::Empty,
                Some(Layer::Heatmap { .. }) => Plan::Matrix(matrix::plan(panel, &place, style, font)?),
                Some(Layer::Picture { .. }) => {
                    Plan::Picture(panel, picture_margins(panel, self.inner_width, style, font))
                }
                Some(_) => Plan::Axes(cartesian::plan(panel, &place, style, font)?),
            };
            self.plans.push(plan);
        }
        Ok(())
    }

    fn share_room(&mut self, style: &Style) -> Result<()> {
        let (rows, columns) = (self.figure.rows, self.figure.columns);
        let most = |side: usize, cells: &mut dyn Iterator<Item = usize>| {
            cells.map(|i| self.plans[i].margins()[side]).fold(0.0, f64::max)
        };
        self.left = (0..columns)
            .map(|c| most(0, &mut (0..rows).map(|r| r * columns + c)))
            .collect();
        self.right = (0..columns)
            .map(|c| most(1, &mut (0..rows).map(|r| r * columns + c)))
            .collect();
        self.top = (0..rows)
            .map(|r| most(2, &mut (0..columns).map(|c| r * columns + c)))
            .collect();
        self.bottom = (0..rows)
            .map(|r| most(3, &mut (0..columns).map(|c| r * columns + c)))
            .collect();
        let sides: f64 = self.left.iter().chain(&self.right).sum();
        let free = self.size[0] - 2.0 * self.edge - sides - self.gap * (columns - 1) as f64;
        self.inner_width = free / columns as f64;
        self.check_room(self.inner_width, style, "wide", self.size[0])?;
        let natural: Vec<f64> = (0..rows).map(|r| self.natural_height(r)).collect();
        let foot = if self.entries.is_empty() {
            0.0
        } else {
            self.legend.size[1] + 1.5 * style.gap
        };
        let around = self.top.iter().chain(&self.bottom).sum::<f64>()
            + 2.0 * self.edge
            + self.gap * (rows - 1) as f64
            + self.head
            + foot;
        let total: f64 = natural.iter().sum();
        let fixed = match (self.figure.options.size, self.only_axes()) {
            (Some(size), _) => Some(size[1] * 72.0),
            (None, true) => {
                let panels = self.figure.heights.iter().sum::<f64>();
                let share = if panels > 1.0 { 0.8 } else { 1.0 };
                let legends: f64 = (0..rows).map(|r| self.legends_below(r)).sum();
                Some(self.figure.options.preset.size()[1] * 72.0 * panels * share + foot + legends)
            }
            (None, false) => None,
        };
        let scale = match fixed {
            Some(height) => (height - around) / total,
            None => 1.0,
        };
        self.inner_heights = natural.iter().map(|h| h * scale).collect();
        self.size[1] = fixed.unwrap_or(around + total);
        let lowest = self.inner_heights.iter().copied().fold(f64::INFINITY, f64::min);
        self.check_room(lowest, style, "high", self.size[1])
    }

    fn check_room(&self, room: f64, style: &Style, what: &str, size: f64) -> Result<()> {
        ensure!(
            room >= 2.0 * style.size,
            "figure: {:.1} in is not {what} enough for {} x {} panels with their labels; give a larger `size` (in inches) \
             or shorter labels",
            size / 72.0,
            self.figure.rows,
            self.figure.columns
        );
        Ok(())
    }

    fn legends_below(&self, row: usize) -> f64 {
        let plans = &self.plans[row * self.figure.columns..(row + 1) * self.figure.columns];
        let height = |p: &Plan| if let Plan::Axes(p) = p { p.below() } else { 0.0 };
        plans.iter().map(height).fold(0.0, f64::max)
    }

    fn only_axes(&self) -> bool {
        let fixed = |p: &Plan| match p {
            Plan::Picture(..) => true,
            Plan::Matrix(m) => m.square(),
            _ => false,
        };
        !self.plans.iter().any(fixed)
    }

    fn natural_height(&self, row: usize) -> f64 {
        let columns = self.figure.columns;
        let of = |plan: &Plan| match plan {
            Plan::Empty => 0.0,
            Plan::Picture(panel, _) => match panel.layers.first() {
                Some(Layer::Picture { picture, .. }) => self.inner_width * picture.aspect(),
                _ => 0.0,
            },
            Plan::Matrix(m) if m.square() => self.inner_width * m.aspect(),
            _ => self.figure.options.preset.size()[1] * 72.0 * 0.7 * self.figure.heights[row],
        };
        let tallest = self.plans[row * columns..(row + 1) * columns]
            .iter()
            .map(of)
            .fold(0.0, f64::max);
        if tallest > 0.0 { tallest } else { self.inner_width * 0.5 }
    }

    fn draw(&self, canvas: &mut Canvas, style: &Style) -> Result<()> {
        let [width, height] = self.size;
        for (i, line) in self.title.iter().enumerate() {
            let at = [
                width / 2.0,
                self.edge + style.size * (text::CAP + TITLE_LEADING * i as f64),
            ];
            canvas.text(at, line, style.size, Anchor::Middle, 0.0, INK);
        }
        let mut y = self.edge + self.head;
        for row in 0..self.figure.rows {
            y += self.top[row];
            let mut x = self.edge;
            for column in 0..self.figure.columns {
                self.figure.check_cancel()?;
                x += self.left[column];
                let area = Area {
                    x,
                    y,
                    w: self.inner_width,
                    h: self.inner_heights[row],
                };
                match &self.plans[row * self.figure.columns + column] {
                    Plan::Empty => {}
                    Plan::Axes(plan) => plan.draw(canvas, area, style),
                    Plan::Matrix(plan) => plan.draw(canvas, area, style)?,
                    Plan::Picture(panel, _) => draw_picture(canvas, panel, area, style)?,
                }
                x += self.inner_width + self.right[column] + self.gap;
            }
            y += self.inner_heights[row] + self.bottom[row] + self.gap;
        }
        if !self.entries.is_empty() {
            let at = [
                (width - self.legend.size[0]) / 2.0,
                height - self.edge - self.legend.size[1],
            ];
            self.legend.draw(canvas, at, &self.entries, style);
        }
        Ok(())
    }
}

/// `text` at `size`, smaller (to three quarters) or shortened where it is longer than `room`.
pub(super) fn fit(text: &str, size: f64, room: f64, font: &Font) -> (String, f64) {
    let width = font.width(text, size);
    if width <= room {
        return (text.to_string(), size);
    }
    let size = size * (room / width).max(0.75);
    (font.shorten(text, size, room + 0.01), size)
}

/// The centre of something `length` long that stands at `wish` unless it would leave `ends`.
pub(super) fn centre(wish: f64, length: f64, ends: [f64; 2]) -> f64 {
    wish.min(ends[1] - length / 2.0).max(ends[0] + length / 2.0)
}

/// Most lines of a title.
const TITLE_LINES: usize = 4;
/// Distance of two lines of a title, in units of the font size.
pub(super) const TITLE_LEADING: f64 = 1.2;

/// The lines of a title over an area this wide.
pub(super) fn title_lines(title: &str, width: f64, style: &Style, font: &Font) -> Vec<String> {
    if title.is_empty() {
        return Vec::new();
    }
    font.lines(title, style.size, width, TITLE_LINES)
}

/// Title above `area`, its letters' lower edge `lift` above it, between the `outer` left and right.
pub(super) fn draw_title(canvas: &mut Canvas, title: &str, area: Area, lift: f64, outer: [f64; 2], style: &Style) {
    let lines = title_lines(title, area.w, style, &canvas.font);
    for (i, text) in lines.iter().rev().enumerate() {
        let middle = centre(area.x + area.w / 2.0, canvas.font.width(text, style.size), outer);
        let rise = lift + style.size * (text::DEPTH * 0.6 + TITLE_LEADING * i as f64);
        canvas.text([middle, area.y - rise], text, style.size, Anchor::Middle, 0.0, INK);
    }
}

fn is_picture(panel: &Panel) -> bool {
    matches!(panel.layers.first(), Some(Layer::Picture { .. }))
}

fn default_width(figure: &Figure) -> f64 {
    if let Some(width) = figure.width {
        return width;
    }
    let one = figure.options.preset.size()[0];
    let pictures = figure.panels.iter().all(|p| p.layers.is_empty() || is_picture(p));
    if figure.columns == 1 || (pictures && figure.columns <= 4) || one > 5.0 {
        one
    } else {
        2.0 * one + 0.16
    }
}

/// The entries of one legend for all panels: the caller's, or those that several panels with lines agree on.
fn shared_entries(figure: &Figure) -> Vec<Entry> {
    if !figure.legend.is_empty() {
        return figure.legend.clone();
    }
    let lists: Vec<Vec<Entry>> = figure
        .panels
        .iter()
        .map(cartesian::entries)
        .filter(|l| !l.is_empty())
        .collect();
    let Some(longest) = lists.iter().max_by_key(|l| l.len()).filter(|_| lists.len() > 1) else {
        return Vec::new();
    };
    let all = || lists.iter().flatten();
    if !all().all(|e| longest.iter().any(|l| l.agrees(e))) {
        return Vec::new();
    }
    // of equal entries the one that shows most: with marker or band
    let richest = |l: &Entry| all().filter(|e| e.agrees(l)).max_by_key(|e| e.detail()).cloned();
    longest.iter().filter_map(richest).collect()
}

fn shared_range(figure: &Figure, column: usize) -> Option<[f64; 2]> {
    let panels = figure.panels.iter().skip(column).step_by(figure.columns);
    panels
        .filter_map(cartesian::x_range)
        .reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])])
}

fn picture_margins(panel: &Panel, width: f64, style: &Style, font: &Font) -> Margins {
    let line = |text: &str| {
        if text.is_empty() {
            0.0
        } else {
            style.size + style.gap * 0.6
        }
    };
    let more = title_lines(&panel.title, width, style, font).len().saturating_sub(1);
    let title = line(&panel.title) + more as f64 * TITLE_LEADING * style.size;
    [line(&panel.y), 0.0, title, line(&panel.x)]
}

fn draw_picture(canvas: &mut Canvas, panel: &Panel, area: Area, style: &Style) -> Result<()> {
    let Some(Layer::Picture { picture, sharp }) = panel.layers.first() else {
        return Ok(());
    };
    let scale = (area.w / picture.width as f64).min(area.h / picture.height as f64);
    let [w, h] = [picture.width as f64 * scale, picture.height as f64 * scale];
    let inside = Area {
        x: area.x + (area.w - w) / 2.0,
        y: area.y + (area.h - h) / 2.0,
        w,
        h,
    };
    canvas.picture(inside, picture, *sharp)?;
    canvas.frame(inside, Stroke::solid(style.edge, style.thin));
    draw_title(
        canvas,
        &panel.title,
        inside,
        style.gap * 0.6,
        [area.x, area.right()],
        style,
    );
    let (text, size) = fit(&panel.x, style.size, area.w, &canvas.font);
    let at = [
        area.x + area.w / 2.0,
        inside.bottom() + style.gap * 0.6 + size * text::CAP,
    ];
    canvas.text(at, &text, size, Anchor::Middle, 0.0, INK);
    let (text, size) = fit(&panel.y, style.size, area.h, &canvas.font);
    let at = [
        inside.x - style.gap * 0.6 - size * text::DEPTH * 0.6,
        area.y + area.h / 2.0,
    ];
    canvas.text(at, &text, size, Anchor::Middle, -90.0, INK);
    Ok(())
}
