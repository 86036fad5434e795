//! From a figure to its SVG: how large every panel may be once its labels are measured, then the drawing.

use super::area::Area;
use super::backend::Backend;
use super::figure::{Figure, Found};
use super::font::Font;
use super::identity::{self, Identity, identities};
use super::layers::Layer;
use super::legend::{Entry, Legend};
use super::ranges;
use super::style::Style;
use super::svg::Canvas;
use super::text::Block;
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
    Picture(Box<photos::Plan<'a>>),
}

impl Plan<'_> {
    fn margins(&self) -> Margins {
        match self {
            Plan::Empty => [0.0; 4],
            Plan::Axes(p) => p.margins,
            Plan::Matrix(p) => p.margins,
            Plan::Picture(p) => p.margins,
        }
    }

    /// Height over width, where these belong together.
    fn aspect(&self) -> Option<f64> {
        match self {
            Plan::Picture(p) => Some(p.aspect()),
            Plan::Matrix(p) => p.aspect(),
            Plan::Empty | Plan::Axes(_) => None,
        }
    }
}

/// The figure as SVG; pictures in it are reduced to `dpi`. Returns the document, its size in points, and the fonts it names.
pub(super) fn render(figure: &Figure, dpi: f64) -> Result<(String, [f64; 2], Font)> {
    ensure!(
        figure.panels.iter().any(|p| !p.layers.is_empty()),
        "figure: there is nothing to draw; add .line, .bars, .scatter, .heatmap, .image or .masks first"
    );
    let style = Style::of(&figure.options);
    let font = Font::load(&figure.options.font)?;
    let canvas = Canvas::new(font, style.clone(), dpi, figure.cancel.clone());
    let backend = Backend::new(canvas);
    let layout = Layout::new(figure, &backend, &style)?;
    layout.draw(&backend)?;
    let mut canvas = backend.canvas();
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
    /// Above all panels.
    title: Block,
    /// Height of the title.
    head: f64,
}

impl<'a> Layout<'a> {
    fn new(figure: &'a Figure, backend: &Backend, style: &Style) -> Result<Self> {
        let edge = style.gap * 0.7;
        let width = figure.options.size.map_or_else(|| default_width(figure), |s| s[0]) * 72.0;
        let looks = identities(figure, style);
        let entries = identity::shared(figure, &looks);
        let canvas = backend.canvas();
        let legend = Legend::arrange(&entries, entries.len(), width - 2.0 * edge, style, &canvas.font);
        let title = match figure.panels.len() {
            1 => Block::default(),
            _ => Block::new(&figure.options.title, style.size, width - 2.0 * edge, &canvas.font),
        };
        let head = title_room(&title, style);
        drop(canvas);
        let (rows, columns) = (figure.rows, figure.columns);
        let ([w, h], ..) = figure.options.preset.measures();
        let mut layout = Layout {
            figure,
            looks,
            plans: Vec::new(),
            size: [width, figure.options.size.map_or(width * h / w, |s| s[1] * 72.0)],
            inner_widths: vec![width / columns as f64 * 0.7; columns],
            inner_heights: vec![h * 72.0 * 0.7; rows],
            margins: [vec![0.0; columns], vec![0.0; columns], vec![0.0; rows], vec![0.0; rows]],
            below: vec![false; figure.panels.len()],
            gap: style.gap * if only_pictures(figure) { 0.8 } else { 2.5 },
            entries,
            legend,
            edge,
            title,
            head,
        };
        // labels decide the margins, the margins the length of the axes, the length the labels: this settles quickly
        for round in 0..6 {
            layout.plan(style, &backend.canvas().font)?;
            layout.share_room(style)?;
            if round == 2 {
                layout.look_for_room(backend)?;
            }
        }
        layout.plan(style, &backend.canvas().font)?;
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
            let plan = match panel.layers.first().map(|(layer, _)| layer) {
                None => Plan::Empty,
                Some(Layer::Heatmap { .. }) => {
                    matrix::plan(panel, &around, style, font).map_or(Plan::Empty, |p| Plan::Matrix(Box::new(p)))
                }
                Some(Layer::Picture { .. }) => {
                    photos::plan(panel, around.inner, style, font).map_or(Plan::Empty, |p| Plan::Picture(Box::new(p)))
                }
                Some(_) => {
                    let looks = self.looks[i].clone();
                    Plan::Axes(Box::new(chart::plan(panel, looks, &around, style, font)?))
                }
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
        let options = &self.figure.options;
        for side in 0..4 {
            let mut most = vec![0.0f64; if side < 2 { columns } else { rows }];
            for (i, plan) in self.plans.iter().enumerate() {
                let place = if side < 2 { i % columns } else { i / columns };
                most[place] = most[place].max(plan.margins()[side]);
            }
            self.margins[side] = most;
        }
        let sum = |sides: [usize; 2]| {
            sides
                .map(|side| self.margins[side].iter().sum::<f64>())
                .iter()
                .sum::<f64>()
        };
        let (aside, above) = (sum([0, 1]), sum([2, 3]));
        let free = self.size[0] - 2.0 * self.edge - aside - self.gap * (columns - 1) as f64;
        self.inner_widths = weights(&options.widths, columns)
            .iter()
            .map(|share| free * share)
            .collect();
        self.check_room(&self.inner_widths, style, "wide", self.size[0])?;
        let natural: Vec<f64> = (0..rows).map(|row| self.natural_height(row)).collect();
        let foot = match self.entries.is_empty() {
            true => 0.0,
            false => self.legend.size[1] + 1.5 * style.gap,
        };
        let around = above + 2.0 * self.edge + self.gap * (rows - 1) as f64 + self.head + foot;
        let total: f64 = natural.iter().sum();
        let only_axes = self.plans.iter().all(|plan| plan.aspect().is_none());
        let height = match options.size {
            Some(size) => size[1] * 72.0,
            None if only_axes => {
                let panels = match options.heights.as_slice() {
                    [] => rows as f64,
                    heights => heights.iter().sum(),
                };
                let share = if panels > 1.0 { 0.8 } else { 1.0 };
                let extra: f64 = (0..rows).map(|row| self.extra(row, style)).sum();
                options.preset.measures().0[1] * 72.0 * panels * share + foot + extra + self.head
            }
            None => around + total,
        };
        let scale = (height - around) / total;
        self.inner_heights = natural.iter().map(|h| h * scale).collect();
        self.size[1] = height;
        self.check_room(&self.inner_heights, style, "high", height)
    }

    fn check_room(&self, rooms: &[f64], style: &Style, what: &str, size: f64) -> Result<()> {
        ensure!(
            rooms.iter().all(|room| *room >= 2.0 * style.size),
            "figure: {:.1} in is not {what} enough for {} x {} panels with their labels; give a larger `size` (in inches) \
             or shorter labels",
            size / 72.0,
            self.figure.rows,
            self.figure.columns
        );
        Ok(())
    }

    /// The panels of a row with their columns.
    fn row(&self, row: usize) -> impl Iterator<Item = (usize, &Plan<'a>)> {
        let columns = self.figure.columns;
        self.plans[row * columns..(row + 1) * columns].iter().enumerate()
    }

    fn extra(&self, row: usize, style: &Style) -> f64 {
        let height = |(_, plan): (usize, &Plan)| if let Plan::Axes(p) = plan { p.extra(style) } else { 0.0 };
        self.row(row).map(height).fold(0.0, f64::max)
    }

    fn natural_height(&self, row: usize) -> f64 {
        let options = &self.figure.options;
        let share = options.heights.get(row).copied().unwrap_or(1.0);
        let of = |(column, plan): (usize, &Plan)| match (plan, plan.aspect()) {
            (Plan::Empty, _) => 0.0,
            (_, Some(aspect)) => aspect * self.inner_widths[column],
            (_, None) => options.preset.measures().0[1] * 72.0 * 0.7 * share,
        };
        match self.row(row).map(of).fold(0.0, f64::max) {
            0.0 => self.inner_widths[0] * 0.5,
            tallest => tallest,
        }
    }

    fn draw(&self, backend: &Backend) -> Result<()> {
        let [width, height] = self.size;
        let top = Area::new(self.edge, self.edge + self.head, width - 2.0 * self.edge, 0.0);
        draw_title(&mut backend.canvas(), &self.title, top, 0.0);
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
                    Plan::Matrix(plan) => plan.draw(&mut backend.canvas(), area)?,
                    Plan::Picture(plan) => plan.draw(&mut backend.canvas(), area)?,
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
            self.legend.draw(&mut backend.canvas(), at, &self.entries);
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

/// Height of a title with the room below it; nothing without one.
pub(super) fn title_room(title: &Block, style: &Style) -> f64 {
    title.room(style.gap * 0.8)
}

/// Title above `area`, the letters of its last line `lift` above it.
pub(super) fn draw_title(canvas: &mut Canvas, title: &Block, area: Area, lift: f64) {
    let top = area.y - lift - title.room(canvas.style.gap * 0.6);
    title.draw(canvas, [area.x + area.w / 2.0, top]);
}

fn only_pictures(figure: &Figure) -> bool {
    let mut first = figure.panels.iter().filter_map(|p| p.layers.first());
    first.all(|(layer, _)| matches!(layer, Layer::Picture { .. }))
}

fn default_width(figure: &Figure) -> f64 {
    let ([one, _], ..) = figure.options.preset.measures();
    let narrow = figure.columns == 1 || (only_pictures(figure) && figure.columns <= 4) || one > 5.0;
    figure.width.unwrap_or(if narrow { one } else { 2.0 * one + 0.16 })
}
