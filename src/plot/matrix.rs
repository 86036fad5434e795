//! Heat maps: cells in colours, numbers in them, names of rows and columns, the colour bar.

use super::backend::LEADING;
use super::categories::Categories;
use super::colourbar::ColourBar;
use super::figure::Panel;
use super::font::{CAP, DEPTH, Font};
use super::layers::Layer;
use super::layout::{Margins, Surroundings, draw_title, title_height};
use super::options::HeatmapOptions;
use super::palette::ink_on;
use super::picture::Picture;
use super::style::Style;
use super::svg::{Anchor, Area, Canvas, Stroke};
use super::text;
use crate::error::{Error, Result};

/// Matrices with more rows or columns than this are drawn as one picture.
const CELLS: usize = 48;
/// The smallest letters that can be read on paper, in points, and those that are still good to read.
const READABLE: [f64; 2] = [3.0, 4.5];

/// Everything about the panel but its position.
pub(super) struct Plan<'a> {
    panel: &'a Panel,
    values: &'a [f64],
    rows: usize,
    columns: usize,
    options: &'a HeatmapOptions,
    row_names: Vec<String>,
    row_size: f64,
    column_names: Categories,
    bar: ColourBar,
    labels: [(Vec<String>, f64); 2],
    pub(super) margins: Margins,
}

/// Decide on colours and measure what stands around the cells.
pub(super) fn plan<'a>(panel: &'a Panel, around: &Surroundings, style: &Style, font: &Font) -> Result<Plan<'a>> {
    let Some((
        Layer::Heatmap {
            values,
            rows,
            columns,
            options,
        },
        _,
    )) = panel.layers.first()
    else {
        return Err(Error::usage("heatmap: the panel shows something else"));
    };
    let (rows, columns) = (*rows, *columns);
    let numbered = |n: usize, room: f64| -> Vec<String> {
        let every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].into_iter();
        let every = every
            .clone()
            .find(|e| n as f64 / *e as f64 * style.size * 2.2 <= room)
            .unwrap_or(n.max(1));
        (0..n)
            .map(|i| if i % every == 0 { i.to_string() } else { String::new() })
            .collect()
    };
    let [width, height] = match options.square {
        true => {
            let area = Area::new(0.0, 0.0, around.inner[0], around.inner[1]).fitted(rows as f64 / columns as f64);
            [area.w, area.h]
        }
        false => around.inner,
    };
    let row_size = style.small * (height / rows as f64 / (style.small * 1.05)).clamp(0.5, 1.0);
    let row_names: Vec<String> = match options.rows.as_slice() {
        [] => numbered(rows, height),
        names => names
            .iter()
            .map(|t| font.shorten(t, row_size, around.names[0]))
            .collect(),
    };
    let column_names = match options.columns.as_slice() {
        [] => Categories::upright(numbered(columns, width), style),
        names => Categories::new(names, width / columns as f64, around.names[1], style, font),
    };
    let range = options.range.unwrap_or_else(|| options.colours.limits(values));
    let bar = ColourBar::new(options.colours, range, &options.label, height, style, font);
    let labels = [
        font.wrapped(&panel.x, style.size, width),
        font.wrapped(&panel.y, style.size, height),
    ];
    let room = |(lines, size): &(Vec<String>, f64)| match lines.len() {
        0 => 0.0,
        n => size * (CAP + DEPTH + LEADING * (n - 1) as f64) + style.gap,
    };
    let size = if options.rows.is_empty() { style.small } else { row_size };
    let widest = row_names.iter().map(|t| font.width(t, size)).fold(0.0, f64::max);
    let left = (widest + style.gap + room(&labels[1])).max(column_names.overhang);
    let top = bar.head.max(style.small * CAP / 2.0) + title_height(&panel.title, width, style, font);
    let bottom = style.gap + column_names.height + room(&labels[0]);
    let margins = [left, bar.room, top, bottom];
    Ok(Plan {
        panel,
        values,
        rows,
        columns,
        options,
        row_names,
        row_size: size,
        column_names,
        bar,
        labels,
        margins,
    })
}

impl Plan<'_> {
    /// Whether the cells are to be square.
    pub(super) fn square(&self) -> bool {
        self.options.square
    }

    /// Height over width of square cells.
    pub(super) fn aspect(&self) -> f64 {
        self.rows as f64 / self.columns as f64
    }

    /// Draw the panel with its inner rectangle at `area`.
    pub(super) fn draw(&self, canvas: &mut Canvas, area: Area) -> Result<()> {
        let inner = if self.options.square {
            area.fitted(self.aspect())
        } else {
            area
        };
        let style = canvas.style.clone();
        if self.rows.max(self.columns) <= CELLS {
            self.draw_cells(canvas, inner, &style);
        } else {
            let pixels = self.values.iter().flat_map(|v| self.bar.colour(*v)).collect();
            canvas.picture(inner, &Picture::new(self.columns, self.rows, pixels)?, true)?;
            if self.options.numbers == Some(true) {
                self.warn_of_numbers(canvas);
            }
        }
        canvas.frame(inner, Stroke::solid(style.ink, style.axis));
        self.draw_names(canvas, inner, &style);
        let title = title_height(&self.panel.title, inner.w, &style, &canvas.font);
        draw_title(
            canvas,
            &self.panel.title,
            inner,
            (self.margins[2] - title).min(self.bar.head.max(style.gap)),
        );
        self.bar.draw(canvas, inner, 0.0)
    }

    fn warn_of_numbers(&self, canvas: &mut Canvas) {
        canvas.warnings.push(format!(
            "heatmap: the cells of {} x {} are too small for their numbers; give a larger `size` or numbers: false",
            self.rows, self.columns
        ));
    }

    /// The texts of the cells, the longer ones first: with fewer and fewer decimals.
    fn texts(&self) -> Vec<Vec<String>> {
        if !self.options.texts.is_empty() {
            return self.options.texts.clone();
        }
        let most = text::decimals(self.values).min(2);
        let with = |d: usize| self.values.iter().map(|v| cell_number(*v, d)).collect();
        (0..=most).rev().map(with).collect()
    }

    fn draw_cells(&self, canvas: &mut Canvas, area: Area, style: &Style) {
        let (w, h) = (area.w / self.columns as f64, area.h / self.rows as f64);
        let fitting = |texts: &Vec<String>| {
            let longest = texts.iter().map(|t| canvas.font.width(t, 1.0)).fold(0.0, f64::max);
            style.small.min((w - style.thin * 2.0) / longest.max(0.1)).min(h * 0.8)
        };
        // smaller letters first, then fewer digits, then the smallest letters that can be read
        let all = self.texts();
        let sizes: Vec<f64> = all.iter().map(fitting).collect();
        let best = sizes.iter().position(|s| *s >= READABLE[1]).unwrap_or(sizes.len() - 1);
        let (texts, size) = (&all[best], sizes[best]);
        let wanted = self.options.numbers.unwrap_or(size >= READABLE[1]);
        let shown = wanted && size >= READABLE[0];
        if wanted && !shown {
            self.warn_of_numbers(canvas);
        }
        let gap = style.thin.min(w.min(h) * 0.08);
        for (i, value) in self.values.iter().enumerate() {
            let (row, column) = (i / self.columns, i % self.columns);
            let colour = self.bar.colour(*value);
            let [x, y] = [area.x + column as f64 * w, area.y + row as f64 * h];
            canvas.rect(Area::new(x + gap / 2.0, y + gap / 2.0, w - gap, h - gap), colour, 1.0);
            if shown {
                canvas.centred([x + w / 2.0, y + h / 2.0], &texts[i], size, ink_on(colour));
            }
        }
    }

    fn draw_names(&self, canvas: &mut Canvas, area: Area, style: &Style) {
        let (w, h) = (area.w / self.columns as f64, area.h / self.rows as f64);
        for (i, name) in self.row_names.iter().enumerate() {
            let at = [
                area.x - style.gap,
                area.y + (i as f64 + 0.5) * h + self.row_size * CAP / 2.0,
            ];
            canvas.text(at, name, self.row_size, Anchor::End, 0.0, style.ink);
        }
        let top = area.bottom() + style.gap;
        self.column_names.draw(canvas, |i| area.x + (i as f64 + 0.5) * w, top);
        let [(x, x_size), (y, y_size)] = &self.labels;
        for (i, line) in x.iter().enumerate() {
            let base = top + self.column_names.height + style.gap + x_size * (CAP + LEADING * i as f64);
            canvas.text(
                [area.x + area.w / 2.0, base],
                line,
                *x_size,
                Anchor::Middle,
                0.0,
                style.ink,
            );
        }
        for (i, line) in y.iter().enumerate() {
            let at = [
                area.x - self.margins[0] + y_size * (CAP + LEADING * i as f64),
                area.y + area.h / 2.0,
            ];
            canvas.text(at, line, *y_size, Anchor::Middle, -90.0, style.ink);
        }
    }
}

fn cell_number(value: f64, decimals: usize) -> String {
    let size = value.abs();
    if !value.is_finite() || (size > 0.0 && size < 0.005) || size >= 1e5 {
        return text::short(value);
    }
    text::fixed(value, if size >= 1000.0 { 0 } else { decimals })
}
