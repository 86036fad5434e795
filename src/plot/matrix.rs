//! Heat maps: cells in colours, numbers in them, names of rows and columns, the colour bar.

use super::area::Area;
use super::categories::Categories;
use super::colourbar::ColourBar;
use super::figure::Panel;
use super::font::{CAP, Font};
use super::layers::Layer;
use super::layout::{Margins, Surroundings, draw_title, title_room};
use super::options::HeatmapOptions;
use super::palette::ink_on;
use super::picture::Picture;
use super::style::Style;
use super::svg::{Anchor, Canvas, Stroke};
use super::text::{self, Block};
use crate::error::Result;

/// Matrices with more rows or columns than this are drawn as one picture.
const CELLS: usize = 48;
/// The smallest letters that can be read on paper, in points, and those that are still good to read.
const READABLE: [f64; 2] = [3.0, 4.5];

/// Everything about the panel but its position.
pub(super) struct Plan<'a> {
    values: &'a [f64],
    rows: usize,
    columns: usize,
    options: &'a HeatmapOptions,
    row_names: Vec<String>,
    row_size: f64,
    column_names: Categories,
    bar: ColourBar,
    title: Block,
    x: Block,
    y: Block,
    pub(super) margins: Margins,
}

/// Decide on colours and measure what stands around the cells.
pub(super) fn plan<'a>(panel: &'a Panel, around: &Surroundings, style: &Style, font: &Font) -> Option<Plan<'a>> {
    let (layer, _) = panel.layers.first()?;
    let Layer::Heatmap {
        values,
        rows,
        columns,
        options,
    } = layer
    else {
        return None;
    };
    let (rows, columns) = (*rows, *columns);
    // numbers where there are no names: every second, fifth and so on if there is no room for all
    let numbered = |n: usize, room: f64| -> Vec<String> {
        let fits = |every: &usize| n as f64 / *every as f64 * style.size * 2.2 <= room;
        let every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].into_iter().find(fits);
        let shown = |i: &usize| i.is_multiple_of(every.unwrap_or(n));
        (0..n)
            .map(|i| Some(i).filter(shown).map_or(String::new(), |i| i.to_string()))
            .collect()
    };
    let mut inner = Area::new(0.0, 0.0, around.inner[0], around.inner[1]);
    if options.square {
        inner = inner.fitted(rows as f64 / columns as f64);
    }
    let row_size = style.small * (inner.h / rows as f64 / (style.small * 1.05)).clamp(0.5, 1.0);
    let (row_names, size) = match options.row_names.as_slice() {
        [] => (numbered(rows, inner.h), style.small),
        names => {
            let short = names.iter().map(|t| font.shorten(t, row_size, around.names[0]));
            (short.collect(), row_size)
        }
    };
    let column_names = match options.column_names.as_slice() {
        [] => Categories::upright(numbered(columns, inner.w), style),
        names => Categories::new(names, inner.w / columns as f64, around.names[1], style, font),
    };
    let scale = (options.colors, values.as_slice(), options.range);
    let bar = ColourBar::new(scale, &options.label, inner.h, style, font);
    let [title, x] = [&panel.title, &panel.sides[0].label].map(|text| Block::new(text, style.size, inner.w, font));
    let y = Block::new(&panel.sides[1].label, style.size, inner.h, font);
    let widest = row_names.iter().map(|t| font.width(t, size)).fold(0.0, f64::max);
    let left = (widest + style.gap + y.room(style.gap)).max(column_names.overhang);
    let top = bar.head.max(style.small * CAP / 2.0) + title_room(&title, style);
    let bottom = style.gap + column_names.height + x.room(style.gap);
    let margins = [left, bar.room, top, bottom];
    Some(Plan {
        values,
        rows,
        columns,
        options,
        row_names,
        row_size: size,
        column_names,
        bar,
        title,
        x,
        y,
        margins,
    })
}

impl Plan<'_> {
    /// Height over width of square cells, if they are to be square.
    pub(super) fn aspect(&self) -> Option<f64> {
        self.options.square.then_some(self.rows as f64 / self.columns as f64)
    }

    /// Draw the panel with its inner rectangle at `area`.
    pub(super) fn draw(&self, canvas: &mut Canvas, area: Area) -> Result<()> {
        let area = self.aspect().map_or(area, |aspect| area.fitted(aspect));
        let style = canvas.style.clone();
        let fits = match self.rows.max(self.columns) <= CELLS {
            true => self.draw_cells(canvas, area, &style),
            false => {
                let pixels = self.values.iter().flat_map(|v| self.bar.colour(*v)).collect();
                canvas.picture(area, &Picture::new(self.columns, self.rows, pixels)?, true)?;
                self.options.numbers != Some(true)
            }
        };
        if !fits {
            canvas.warnings.push(format!(
                "heatmap: the cells of {} x {} are too small for their numbers; give a larger `size` or numbers: false",
                self.rows, self.columns
            ));
        }
        canvas.frame(area, Stroke::solid(style.ink, style.axis));
        self.draw_names(canvas, area, &style);
        let lift = self.margins[2] - title_room(&self.title, &style);
        draw_title(canvas, &self.title, area, lift.min(self.bar.head.max(style.gap)));
        self.bar.draw(canvas, area, 0.0)
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

    /// Draw every cell; false where the numbers that it should show cannot be read.
    fn draw_cells(&self, canvas: &mut Canvas, area: Area, style: &Style) -> bool {
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
        let gap = style.thin.min(w.min(h) * 0.08);
        for (i, value) in self.values.iter().enumerate() {
            let (row, column) = (i / self.columns, i % self.columns);
            let colour = self.bar.colour(*value);
            let cell = Area::new(area.x + column as f64 * w, area.y + row as f64 * h, w, h);
            canvas.rect(cell.grown(-gap / 2.0), colour, 1.0);
            if shown {
                let base = [cell.x + w / 2.0, cell.y + h / 2.0 + size * CAP / 2.0];
                canvas.text(base, &texts[i], size, Anchor::Middle, 0.0, ink_on(colour));
            }
        }
        shown || !wanted
    }

    fn draw_names(&self, canvas: &mut Canvas, area: Area, style: &Style) {
        let (w, h) = (area.w / self.columns as f64, area.h / self.rows as f64);
        for (i, name) in self.row_names.iter().enumerate() {
            let middle = area.y + (i as f64 + 0.5) * h;
            let base = [area.x - style.gap, middle + self.row_size * CAP / 2.0];
            canvas.text(base, name, self.row_size, Anchor::End, 0.0, style.ink);
        }
        let top = area.bottom() + style.gap;
        self.column_names.draw(canvas, |i| area.x + (i as f64 + 0.5) * w, top);
        let below = top + self.column_names.height + style.gap;
        self.x.draw(canvas, [area.x + area.w / 2.0, below]);
        self.y
            .draw_rising(canvas, [area.x - self.margins[0], area.y + area.h / 2.0]);
    }
}

fn cell_number(value: f64, decimals: usize) -> String {
    let size = value.abs();
    if !value.is_finite() || (size > 0.0 && size < 0.005) || size >= 1e5 {
        return text::short(value);
    }
    text::fixed(value, if size >= 1000.0 { 0 } else { decimals })
}
