//! From a figure to its SVG: how large every panel may be once its labels are measured, then the drawing.

use super::area::Area;
use super::backend::Backend;
use super::chart::Content;
use super::figure::{Figure, Found};
use super::font::Font;
use super::identity::{self, identities};
use super::layers::Layer;
use super::legend::{Entry, Legend};
use super::options::LegendPlace;
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
    /// Where a legend stands; `Best` is inside.
    pub(super) legend: LegendPlace,
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
    let backend = Backend::new(Canvas::new(font, style.clone(), dpi, figure.cancel.clone()));
    let looks = identities(figure, &style);
    let entries = identity::shared(figure, &looks, &style);
    let contents = figure.panels.iter().zip(looks);
    let contents = contents.map(|(panel, looks)| Content::new(panel, looks, &backend));
    let contents = contents.collect::<Result<Vec<_>>>()?;
    let layout = Layout::new(figure, &contents, entries, &backend, style)?;
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
    contents: &'a [Content<'a>],
    style: Style,
    plans: Vec<Plan<'a>>,
    size: [f64; 2],
    /// Widths of the columns, heights of the rows, without what stands around the panels.
    inner: [Vec<f64>; 2],
    /// Most of each margin over the panels of a column (left, right) and of a row (top, bottom).
    margins: [Vec<f64>; 4],
    /// Panels whose legend stands below them, since inside it would cover data.
    below: Vec<bool>,
    gap: f64,
    entries: Vec<Entry>,
    legend: Legend,
    edge: f64,
    /// Above all panels.
    title: Block,
}

impl<'a> Layout<'a> {
    fn new(
        figure: &'a Figure,
        contents: &'a [Content<'a>],
        entries: Vec<Entry>,
        backend: &Backend,
        style: Style,
    ) -> Result<Self> {
        let options = &figure.options;
        let edge = style.gap * 0.7;
        let width = options.size.map_or_else(|| default_width(figure), |s| s[0]) * 72.0;
        let canvas = backend.canvas();
        let legend = Legend::arrange(&entries, entries.len(), width - 2.0 * edge, &style, &canvas.font);
        let title = if figure.panels.len() > 1 {
            options.title.as_str()
        } else {
            ""
        };
        let title = Block::new(title, style.size, width - 2.0 * edge, &canvas.font);
        drop(canvas);
        let ([w, h], ..) = options.preset.measures();
        let mut layout = Layout {
            figure,
            contents,
            plans: Vec::new(),
            size: [width, options.size.map_or(width * h / w, |s| s[1] * 72.0)],
            inner: [
                vec![width / figure.options.columns as f64 * 0.7; figure.options.columns],
                vec![h * 72.0 * 0.7; figure.options.rows],
            ],
            margins: Default::default(),
            below: vec![false; figure.panels.len()],
            gap: style.gap * if only_pictures(figure) { 0.8 } else { 2.5 },
            entries,
            legend,
            edge,
            title,
            style,
        };
        // labels decide the margins, the margins the length of the axes, the length the labels: this settles quickly
        for round in 0..6 {
            layout.plan(&backend.canvas().font)?;
            layout.share_room(&backend.canvas().font)?;
            if round == 2 {
                layout.look_for_room(backend)?;
            }
        }
        layout.plan(&backend.canvas().font)?;
        // all panels of a column or row keep to its margins, so that their labels stand in line
        for i in 0..contents.len() {
            let margins = [0, 1, 2, 3].map(|side| layout.margins[side][layout.place(i)[side / 2]]);
            match &mut layout.plans[i] {
                Plan::Axes(p) => p.margins = margins,
                Plan::Matrix(p) => p.margins = margins,
                Plan::Empty | Plan::Picture(..) => {}
            }
        }
        Ok(layout)
    }

    /// Column and row of a panel.
    fn place(&self, panel: usize) -> [usize; 2] {
        [panel % self.figure.options.columns, panel / self.figure.options.columns]
    }

    /// Width and height of a panel without what stands around it.
    fn inner(&self, panel: usize) -> [f64; 2] {
        let [column, row] = self.place(panel);
        [self.inner[0][column], self.inner[1][row]]
    }

    fn plan(&mut self, font: &Font) -> Result<()> {
        let (figure, style) = (self.figure, &self.style);
        let options = &figure.options;
        let ranges = [options.share_x, options.share_y]
            .into_iter()
            .enumerate()
            .map(|(axis, on)| {
                let ranges = self.contents.iter().filter(|_| on).filter_map(|c| c.ranges[axis]);
                ranges.reduce(ranges::joined)
            });
        let ranges: Vec<_> = ranges.collect();
        let mut plans = Vec::new();
        for (i, content) in self.contents.iter().enumerate() {
            figure.check_cancel()?;
            let mut beneath = figure
                .panels
                .iter()
                .skip(i + figure.options.columns)
                .step_by(figure.options.columns);
            let last = beneath.all(|p| p.layers.is_empty());
            let around = Surroundings {
                inner: self.inner(i),
                names: [
                    0.4 * self.size[0] / figure.options.columns as f64,
                    0.4 * self.size[1].max(self.size[0] * 0.7) / figure.options.rows as f64,
                ],
                ranges: [ranges[0], ranges[1]],
                shown: [!options.share_x || last, !options.share_y || self.place(i)[0] == 0],
                legend: match content.panel.place {
                    _ if !self.entries.is_empty() && figure.legend.is_empty() => LegendPlace::Nowhere,
                    LegendPlace::Best if self.below[i] => LegendPlace::Below,
                    place => place,
                },
            };
            plans.push(match content.panel.layers.first().map(|(layer, _)| layer) {
                None => Plan::Empty,
                Some(Layer::Heatmap { .. }) => {
                    matrix::plan(content.panel, &around, style, font).map_or(Plan::Empty, |p| Plan::Matrix(Box::new(p)))
                }
                Some(Layer::Picture { .. }) => photos::plan(content.panel, around.inner, style, font)
                    .map_or(Plan::Empty, |p| Plan::Picture(Box::new(p))),
                Some(_) => Plan::Axes(Box::new(chart::plan(content, &around, style, font)?)),
            });
        }
        self.plans = plans;
        Ok(())
    }

    /// Find the panels in which a legend would cover data.
    fn look_for_room(&mut self, backend: &Backend) -> Result<()> {
        for (i, plan) in self.plans.iter().enumerate() {
            if let Plan::Axes(p) = plan {
                self.below[i] = p.crowded(backend, self.inner(i))?;
            }
        }
        Ok(())
    }

    /// Widths and heights for the panels: what the margins leave.
    fn share_room(&mut self, font: &Font) -> Result<()> {
        let (rows, columns) = (self.figure.options.rows, self.figure.options.columns);
        let options = &self.figure.options;
        self.margins = [0, 1, 2, 3].map(|side| {
            let mut most = vec![0.0f64; [columns, rows][side / 2]];
            for (i, plan) in self.plans.iter().enumerate() {
                let most = &mut most[self.place(i)[side / 2]];
                *most = most.max(plan.margins()[side]);
            }
            most
        });
        let sum = |side: usize| self.margins[side].iter().sum::<f64>();
        let around = |sides: f64, n: usize| sides + 2.0 * self.edge + self.gap * (n - 1) as f64;
        let free = self.size[0] - around(sum(0) + sum(1), columns);
        let shares = |given: &[f64], n: usize| if given.is_empty() { vec![1.0; n] } else { given.to_vec() };
        let widths = shares(&options.widths, columns);
        let total: f64 = widths.iter().sum();
        self.inner[0] = widths.iter().map(|share| free * (share / total)).collect();
        self.check_room(0, "wide")?;
        let heights = shares(&options.heights, rows);
        let ([_, usual], ..) = options.preset.measures();
        let natural = |row: usize| {
            let of = |(column, plan): (usize, &Plan)| match (plan, plan.aspect()) {
                (Plan::Empty, _) => 0.0,
                (_, Some(aspect)) => aspect * self.inner[0][column],
                (_, None) => usual * 72.0 * 0.7 * heights[row],
            };
            match self.row(row).map(of).fold(0.0, f64::max) {
                0.0 => self.inner[0][0] * 0.5,
                tallest => tallest,
            }
        };
        let natural: Vec<f64> = (0..rows).map(natural).collect();
        let foot = match self.entries.is_empty() {
            true => 0.0,
            false => self.legend.size[1] + 1.5 * self.style.gap,
        };
        let around = around(sum(2) + sum(3), rows) + self.head() + foot;
        let total: f64 = natural.iter().sum();
        let height = match options.size {
            Some(size) => size[1] * 72.0,
            None if self.plans.iter().all(|plan| plan.aspect().is_none()) => {
                let panels: f64 = heights.iter().sum();
                let share = if panels > 1.0 { 0.8 } else { 1.0 };
                let extra = |(column, plan): (usize, &Plan)| match plan {
                    Plan::Axes(p) => p.extra(self.inner[0][column], &self.style, font),
                    _ => 0.0,
                };
                let extra: f64 = (0..rows).map(|row| self.row(row).map(extra).fold(0.0, f64::max)).sum();
                usual * 72.0 * panels * share + foot + extra + self.head()
            }
            None => around + total,
        };
        let scale = (height - around) / total;
        self.inner[1] = natural.iter().map(|h| h * scale).collect();
        self.size[1] = height;
        self.check_room(1, "high")
    }

    fn check_room(&self, side: usize, what: &str) -> Result<()> {
        ensure!(
            self.inner[side].iter().all(|room| *room >= 2.0 * self.style.size),
            "figure: {:.1} in is not {what} enough for {} x {} panels with their labels; give a larger `size` (in inches) \
             or shorter labels",
            self.size[side] / 72.0,
            self.figure.options.rows,
            self.figure.options.columns
        );
        Ok(())
    }

    /// The panels of a row with their columns.
    fn row(&self, row: usize) -> impl Iterator<Item = (usize, &Plan<'a>)> {
        let columns = self.figure.options.columns;
        self.plans[row * columns..(row + 1) * columns].iter().enumerate()
    }

    /// Height of the title.
    fn head(&self) -> f64 {
        title_room(&self.title, &self.style)
    }

    fn draw(&self, backend: &Backend) -> Result<()> {
        let [width, height] = self.size;
        let mut y = self.edge + self.head();
        let top = Area::new(self.edge, y, width - 2.0 * self.edge, 0.0);
        draw_title(&mut backend.canvas(), &self.title, top, 0.0);
        for row in 0..self.figure.options.rows {
            y += self.margins[2][row];
            let mut x = self.edge;
            for (column, plan) in self.row(row) {
                self.figure.check_cancel()?;
                x += self.margins[0][column];
                let area = Area::new(x, y, self.inner[0][column], self.inner[1][row]);
                match plan {
                    Plan::Empty => {}
                    Plan::Axes(plan) => plan.draw(backend, area)?,
                    Plan::Matrix(plan) => plan.draw(&mut backend.canvas(), area)?,
                    Plan::Picture(plan) => plan.draw(&mut backend.canvas(), area)?,
                }
                x += self.inner[0][column] + self.margins[1][column] + self.gap;
            }
            y += self.inner[1][row] + self.margins[3][row] + self.gap;
        }
        if !self.entries.is_empty() {
            let [w, h] = self.legend.size;
            let at = [(width - w) / 2.0, height - self.edge - h];
            self.legend.draw(&mut backend.canvas(), at, &self.entries);
        }
        Ok(())
    }
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
    let narrow = figure.options.columns == 1 || (only_pictures(figure) && figure.options.columns <= 4) || one > 5.0;
    figure.width.unwrap_or(if narrow { one } else { 2.0 * one + 0.16 })
}
