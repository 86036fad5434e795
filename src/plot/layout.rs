//! From a figure to its SVG: how large every panel may be once its labels are measured, then the drawing.

use std::cell::RefCell;
use std::rc::Rc;

use super::backend::{Backend, LEADING};
use super::figure::{Figure, Found, Panel};
use super::font::{CAP, DEPTH, Font};
use super::identity::{self, Identity, identities};
use super::layers::Layer;
use super::legend::{Entry, Legend};
use super::options::LegendPlace;
use super::ranges;
use super::style::Style;
use super::svg::{Anchor, Area, Canvas};
use super::{chart, matrix, photos};
use crate::ensure;
use crate::error::Result;

/// Free room around the inner rectangle of a panel: left, right, top, bottom.
pub(super) type Margins = [f64; 4];

/// What a panel needs to know about its surroundings.
pub(super) struct Surroundings {
    /// Width and height of the inner rectangle.
    pub(super) inner: [f64; 2],
    /// The longest that a name beside or below the axes may be.
    pub(super) names: [f64; 2],
    /// Limits of x and y, where panels share them.
    pub(super) ranges: [Option<[f64; 2]>; 2],
    /// Numbers and labels of x and y are drawn here (not only in a panel further down or left).
    pub(super) shown: [bool; 2],
    /// The legend stands below the whole figure.
    pub(super) legend_elsewhere: bool,
    /// The legend stands below this panel: inside it would cover data.
    pub(super) below: bool,
}

/// A panel with everything decided but its position.
enum Plan<'a> {
    Empty,
    Axes(Box<chart::Plan<'a>>),
    Matrix(Box<matrix::Plan<'a>>),
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

/// The figure as SVG, to be `kept` or to become another kind of file; pictures in it are reduced to `dpi`. Returns the document, its size in points, and the fonts it names.
pub(super) fn render(figure: &Figure, dpi: f64, kept: bool) -> Result<(String, [f64; 2], Font)> {
    ensure!(
        figure.panels.iter().any(|p| !p.layers.is_empty()),
        "figure: there is nothing to draw; add .line, .bars, .scatter, .heatmap, .image or .masks first"
    );
    let style = Style::of(&figure.options);
    let font = Font::load(&figure.options.font)?;
    let canvas = Canvas::new(font, style.clone(), dpi, kept, figure.cancel.clone());
    let backend = Backend(Rc::new(RefCell::new(canvas)));
    let layout = Layout::new(figure, &backend, &style)?;
    layout.draw(&backend)?;
    let mut canvas = backend.0.borrow_mut();
    let svg = canvas.finish(layout.size, &figure.options.title, &figure.metadata);
    let missing = std::mem::take(&mut *canvas.font.missing.borrow_mut());
    if !missing.is_empty() {
        let list: Vec<String> = missing.iter().map(|c| format!("{c} (U+{:04X})", *c as u32)).collect();
        canvas.warnings.push(format!(
            "figure: the font has no letter for {}; boxes stand there (choose an installed `font` that has them)",
            list.join(", ")
        ));
    }
    *figure.found.borrow_mut() = Found {
        warnings: std::mem::take(&mut canvas.warnings),
        texts: std::mem::take(&mut canvas.texts),
    };
    let font = std::mem::replace(&mut canvas.font, Font::load("")?);
    Ok((svg, layout.size, font))
}

struct Layout<'a> {
    figure: &'a Figure,
    looks: Vec<Vec<Identity>>,
    plans: Vec<Plan<'a>>,
    size: [f64; 2],
    inner_widths: Vec<f64>,
    inner_heights: Vec<f64>,
    /// Most of each margin over the panels of a column (left, right) and of a row (top, bottom).
    margins: [Vec<f64>; 4],
    /// Panels whose legend stands below them.
    below: Vec<bool>,
    gap: f64,
    entries: Vec<Entry>,
    legend: Legend,
    edge: f64,
    head: f64,
}

impl<'a> Layout<'a> {
    fn new(figure: &'a Figure, backend: &Backend, style: &Style) -> Result<Self> {
        let edge = style.gap * 0.7;
        let width = figure.options.size.map_or_else(|| default_width(figure), |s| s[0]) * 72.0;
        let looks = identities(figure, style);
        let entries = shared_entries(figure, &looks);
        let canvas = backend.0.borrow();
        let legend = Legend::arrange(&entries, entries.len(), width - 2.0 * edge, style, &canvas.font);
        let head = match figure.panels.len() {
            1 => 0.0,
            _ => title_height(&figure.options.title, width - 2.0 * edge, style, &canvas.font),
        };
        drop(canvas);
        let (rows, columns) = (figure.rows, figure.columns);
        let pictures = figure.panels.iter().all(|p| p.layers.is_empty() || is_picture(p));
        let [w, h] = figure.options.preset.size();
        let mut layout = Layout {
            figure,
            looks,
            plans: Vec::new(),
            size: [width, figure.options.size.map_or(width * h / w, |s| s[1] * 72.0)],
            inner_widths: vec![width / columns as f64 * 0.7; columns],
            inner_heights: vec![h * 72.0 * 0.7; rows],
            margins: [vec![0.0; columns], vec![0.0; columns], vec![0.0; rows], vec![0.0; rows]],
            below: vec![false; figure.panels.len()],
            gap: if pictures { style.gap * 0.8 } else { style.gap * 2.5 },
            entries,
            legend,
            edge,
            head,
        };
        // labels decide the margins, the margins the length of the axes, the length the labels: this settles quickly
        for round in 0..6 {
            layout.plan(style, &backend.0.borrow().font)?;
            layout.share_room(style)?;
            if round == 2 {
                layout.look_for_room(backend)?;
            }
        }
        layout.plan(style, &backend.0.borrow().font)?;
        // all panels of a column or row keep to its margins, so that their labels stand in line
        for (i, plan) in layout.plans.iter_mut().enumerate() {
            let (row, column) = (i / columns, i % columns);
            let margins = [0, 1, 2, 3].map(|side| layout.margins[side][if side < 2 { column } else { row }]);
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
        let shared = |axis: usize| {
            let on = [figure.options.share_x, figure.options.share_y][axis];
            let ranges = figure
                .panels
                .iter()
                .filter(|_| on)
                .filter_map(|p| ranges::range(p, axis));
            ranges.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])])
        };
        let ranges = [shared(0), shared(1)];
        self.plans.clear();
        for (i, panel) in figure.panels.iter().enumerate() {
            figure.check_cancel()?;
            let (row, column) = (i / figure.columns, i % figure.columns);
            let beneath = figure.panels.iter().skip(i + figure.columns).step_by(figure.columns);
            let last = beneath.filter(|p| !p.layers.is_empty()).count() == 0;
            let around = Surroundings {
                inner: [self.inner_widths[column], self.inner_heights[row]],
                names: [
                    0.4 * self.size[0] / figure.columns as f64,
                    0.4 * self.size[1].max(self.size[0] * 0.7) / figure.rows as f64,
                ],
                ranges,
                shown: [!figure.options.share_x || last, !figure.options.share_y || column == 0],
                legend_elsewhere: !self.entries.is_empty() && figure.legend.is_empty(),
                below: self.below[i],
            };
            let plan = match panel.layers.first() {
                None => Plan::Empty,
                Some((Layer::Heatmap { .. }, _)) => Plan::Matrix(Box::new(matrix::plan(panel, &around, style, font)?)),
                Some((Layer::Picture { .. }, _)) => {
                    Plan::Picture(panel, photos::margins(panel, around.inner, style, font))
                }
                Some(_) => Plan::Axes(Box::new(chart::plan(
                    panel,
                    self.looks[i].clone(),
                    &around,
                    style,
                    font,
                )?)),
            };
            self.plans.push(plan);
        }
        Ok(())
    }

    /// Find the panels in which a legend would cover data.
    fn look_for_room(&mut self, backend: &Backend) -> Result<()> {
        for (i, plan) in self.plans.iter().enumerate() {
            if let Plan::Axes(p) = plan {
                let inner = [
                    self.inner_widths[i % self.figure.columns],
                    self.inner_heights[i / self.figure.columns],
                ];
                self.below[i] = p.crowded(backend, inner)?;
            }
        }
        Ok(())
    }

    fn share_room(&mut self, style: &Style) -> Result<()> {
        let (rows, columns) = (self.figure.rows, self.figure.columns);
        for side in 0..4 {
            let cells = |k: usize| -> Vec<usize> {
                match side < 2 {
                    true => (0..rows).map(|r| r * columns + k).collect(),
                    false => (0..columns).map(|c| k * columns + c).collect(),
                }
            };
            let most = |k: usize| {
                cells(k)
                    .into_iter()
                    .map(|i| self.plans[i].margins()[side])
                    .fold(0.0, f64::max)
            };
            self.margins[side] = (0..if side < 2 { columns } else { rows }).map(most).collect();
        }
        let sides: f64 = self.margins[0].iter().chain(&self.margins[1]).sum();
        let free = self.size[0] - 2.0 * self.edge - sides - self.gap * (columns - 1) as f64;
        let shares = weights(&self.figure.options.widths, columns);
        self.inner_widths = shares.iter().map(|s| free * s).collect();
        let narrowest = self.inner_widths.iter().copied().fold(f64::INFINITY, f64::min);
        self.check_room(narrowest, style, "wide", self.size[0])?;
        let natural: Vec<f64> = (0..rows).map(|r| self.natural_height(r)).collect();
        let foot = if self.entries.is_empty() {
            0.0
        } else {
            self.legend.size[1] + 1.5 * style.gap
        };
        let around = self.margins[2].iter().chain(&self.margins[3]).sum::<f64>()
            + 2.0 * self.edge
            + self.gap * (rows - 1) as f64
            + self.head
            + foot;
        let total: f64 = natural.iter().sum();
        let fixed = match (self.figure.options.size, self.only_axes()) {
            (Some(size), _) => Some(size[1] * 72.0),
            (None, true) => {
                let heights = &self.figure.options.heights;
                let panels: f64 = if heights.is_empty() {
                    rows as f64
                } else {
                    heights.iter().sum()
                };
                let share = if panels > 1.0 { 0.8 } else { 1.0 };
                let extra: f64 = (0..rows).map(|r| self.extra(r, style)).sum();
                Some(self.figure.options.preset.size()[1] * 72.0 * panels * share + foot + extra + self.head)
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

    fn extra(&self, row: usize, style: &Style) -> f64 {
        let plans = &self.plans[row * self.figure.columns..(row + 1) * self.figure.columns];
        let height = |p: &Plan| if let Plan::Axes(p) = p { p.extra(style) } else { 0.0 };
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
        let of = |(column, plan): (usize, &Plan)| match plan {
            Plan::Empty => 0.0,
            Plan::Picture(panel, _) => photos::aspect(panel) * self.inner_widths[column],
            Plan::Matrix(m) if m.square() => self.inner_widths[column] * m.aspect(),
            _ => {
                let share = self.figure.options.heights.get(row).copied().unwrap_or(1.0);
                self.figure.options.preset.size()[1] * 72.0 * 0.7 * share
            }
        };
        let plans = &self.plans[row * columns..(row + 1) * columns];
        let tallest = plans.iter().enumerate().map(of).fold(0.0, f64::max);
        if tallest > 0.0 {
            tallest
        } else {
            self.inner_widths[0] * 0.5
        }
    }

    fn draw(&self, backend: &Backend) -> Result<()> {
        let [width, height] = self.size;
        if self.head > 0.0 {
            let area = Area::new(self.edge, self.edge + self.head, width - 2.0 * self.edge, 0.0);
            draw_title(&mut backend.0.borrow_mut(), &self.figure.options.title, area, 0.0);
        }
        let mut y = self.edge + self.head;
        for row in 0..self.figure.rows {
            y += self.margins[2][row];
            let mut x = self.edge;
            for column in 0..self.figure.columns {
                self.figure.check_cancel()?;
                x += self.margins[0][column];
                let area = Area::new(x, y, self.inner_widths[column], self.inner_heights[row]);
                match &self.plans[row * self.figure.columns + column] {
                    Plan::Empty => {}
                    Plan::Axes(plan) => plan.draw(backend, area)?,
                    Plan::Matrix(plan) => plan.draw(&mut backend.0.borrow_mut(), area)?,
                    Plan::Picture(panel, _) => photos::draw(&mut backend.0.borrow_mut(), panel, area)?,
                }
                x += self.inner_widths[column] + self.margins[1][column] + self.gap;
            }
            y += self.inner_heights[row] + self.margins[3][row] + self.gap;
        }
        if !self.entries.is_empty() {
            let at = [
                (width - self.legend.size[0]) / 2.0,
                height - self.edge - self.legend.size[1],
            ];
            self.legend.draw(&mut backend.0.borrow_mut(), at, &self.entries);
        }
        Ok(())
    }
}

/// Shares that add up to one.
fn weights(given: &[f64], n: usize) -> Vec<f64> {
    let all = if given.is_empty() { vec![1.0; n] } else { given.to_vec() };
    let sum: f64 = all.iter().sum();
    all.iter().map(|w| w / sum).collect()
}

/// Height of a title over something this wide, with the room below it; 0 without one.
pub(super) fn title_height(title: &str, width: f64, style: &Style, font: &Font) -> f64 {
    let (lines, size) = font.wrapped(title, style.size, width);
    match lines.len() {
        0 => 0.0,
        n => size * (CAP + DEPTH + LEADING * (n - 1) as f64) + style.gap * 0.8,
    }
}

/// Title above `area`, its last line `lift` above it.
pub(super) fn draw_title(canvas: &mut Canvas, title: &str, area: Area, lift: f64) {
    let style = &canvas.style;
    let (lines, size) = canvas.font.wrapped(title, style.size, area.w);
    let (ink, lift) = (style.ink, lift + style.gap * 0.6 + size * DEPTH);
    for (i, line) in lines.iter().rev().enumerate() {
        let at = [area.x + area.w / 2.0, area.y - lift - size * LEADING * i as f64];
        canvas.text(at, line, size, Anchor::Middle, 0.0, ink);
    }
}

fn is_picture(panel: &Panel) -> bool {
    matches!(panel.layers.first(), Some((Layer::Picture { .. }, _)))
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
fn shared_entries(figure: &Figure, looks: &[Vec<Identity>]) -> Vec<Entry> {
    if !figure.legend.is_empty() {
        return figure.legend.clone();
    }
    let shown = figure
        .panels
        .iter()
        .zip(looks)
        .filter(|(p, _)| p.place != LegendPlace::Nowhere);
    let lists: Vec<Vec<Entry>> = shown
        .map(|(p, l)| identity::entries(p, l))
        .filter(|l| !l.is_empty())
        .collect();
    if lists.len() < 2 {
        return Vec::new();
    }
    let mut out: Vec<Entry> = Vec::new();
    for entry in lists.iter().flatten() {
        match out.iter_mut().find(|e| e.label == entry.label) {
            Some(same) if !same.agrees(entry) => return Vec::new(),
            // of equal entries the one that shows most: with marker or band
            Some(same) if same.detail() < entry.detail() => *same = entry.clone(),
            Some(_) => {}
            None => out.push(entry.clone()),
        }
    }
    // panels that have nothing in common keep their own legends
    let common = out
        .iter()
        .any(|e| lists.iter().filter(|l| l.iter().any(|o| o.agrees(e))).count() > 1);
    if common { out } else { Vec::new() }
}
