//! Heat maps: cells in colours, numbers where they fit, names of rows and columns, the colour bar.

use super::axis::{Axis, Request, Scale};
use super::categories::Categories;
use super::figure::{HeatmapOptions, Layer, Panel};
use super::layout::{Margins, Place, TITLE_LEADING, centre, draw_title, fit, title_lines};
use super::palette::{ColourMap, INK, NOTHING, ink_on};
use super::picture::Picture;
use super::style::Style;
use super::svg::{Anchor, Area, Canvas, Stroke};
use super::text::{self, CAP, DEPTH, Font};
use crate::error::{Error, Result};

/// Matrices with more rows or columns than this are drawn as one picture.
const CELLS: usize = 48;

/// Everything about the panel but its position.
pub(super) struct Plan<'a> {
    panel: &'a Panel,
    values: &'a [f64],
    rows: usize,
    columns: usize,
    options: &'a HeatmapOptions,
    row_names: Vec<String>,
    column_names: Categories,
    range: [f64; 2],
    bar: Axis,
    bar_width: f64,
    pub(super) margins: Margins,
}

/// Decide on colours and measure what stands around the cells.
pub(super) fn plan<'a>(panel: &'a Panel, place: &Place, style: &Style, font: &Font) -> Result<Plan<'a>> {
    let Some(Layer::Heatmap {
        values,
        rows,
        columns,
        options,
    }) = panel.layers.first()
    else {
        return Err(Error::usage("heatmap: the panel shows something else"));
    };
    let (rows, columns) = (*rows, *columns);
    let names = |given: &[String], n: usize, room: f64| -> Vec<String> {
        if !given.is_empty() {
            return given.to_vec();
        }
        let every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].into_iter();
        let every = every
            .clone()
            .find(|e| n as f64 / *e as f64 * style.size * 2.2 <= room)
            .unwrap_or(n.max(1));
        (0..n)
            .map(|i| if i % every == 0 { i.to_string() } else { String::new() })
            .collect()
    };
    let [mut width, mut height] = place.inner;
    if options.square {
        let cell = (width / columns as f64).min(height / rows as f64);
        (width, height) = (cell * columns as f64, cell * rows as f64);
    }
    let row_names: Vec<String> = names(&options.rows, rows, height)
        .iter()
        .map(|t| font.shorten(t, style.small, place.names[0]))
        .collect();
    let column_names = names(&options.columns, columns, width);
    let column_names = if options.columns.is_empty() {
        Categories::upright(column_names, style)
    } else {
        Categories::new(
            &column_names,
            width / columns as f64,
            place.names[1].max(0.25 * place.inner[0]),
            style,
            font,
        )
    };
    let range = options.range.unwrap_or_else(|| limits(values, options.colours));
    let request = Request {
        scale: Scale::Linear,
        range,
        whole: false,
        pad: [0.0; 2],
        ticks: None,
        length: height,
        horizontal: false,
        font_size: style.small,
    };
    let bar = Axis::new(&request, font)?;
    let bar_width = style.size * 0.9;
    let widest = |list: &mut dyn Iterator<Item = &String>| list.map(|t| font.width(t, style.small)).fold(0.0, f64::max);
    let label = style.size * (CAP + DEPTH) + style.gap;
    let some = |text: &str| if text.is_empty() { 0.0 } else { label };
    let left = widest(&mut row_names.iter()) + style.gap + some(&panel.y);
    let numbers = widest(&mut bar.ticks.iter().map(|t| &t.1)).max(font.width(&bar.note, style.small) - bar_width);
    let right = style.gap * 2.0 + bar_width + style.tick + style.gap * 0.7 + numbers + some(&options.label);
    let lines = title_lines(&panel.title, width, style, font).len();
    let title = some(&panel.title) + lines.saturating_sub(1) as f64 * TITLE_LEADING * style.size;
    let mut top = title.max(style.small * CAP / 2.0);
    if !bar.note.is_empty() {
        top = style.small * 1.3 + style.gap + title;
    }
    let bottom = style.gap + column_names.height + some(&panel.x);
    let margins = [left.max(column_names.overhang), right, top, bottom];
    Ok(Plan {
        panel,
        values,
        rows,
        columns,
        options,
        row_names,
        column_names,
        range,
        bar,
        bar_width,
        margins,
    })
}

/// Smallest and largest finite value, the same on both sides of zero for a diverging map.
fn limits(values: &[f64], colours: ColourMap) -> [f64; 2] {
    let finite = values.iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let most = low.abs().max(high.abs());
    match colours {
        ColourMap::Diverging if most > 0.0 => [-most, most],
        _ if high > low => [low, high],
        _ if low == 0.0 => [0.0, 1.0],
        _ => [low - low.abs() * 0.5, low + low.abs() * 0.5],
    }
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

    fn colour(&self, value: f64) -> [u8; 3] {
        let [low, high] = self.range;
        if value.is_finite() {
            self.options.colours.at((value - low) / (high - low))
        } else {
            NOTHING
        }
    }

    /// Draw the panel with its inner rectangle at `area`.
    pub(super) fn draw(&self, canvas: &mut Canvas, area: Area, style: &Style) -> Result<()> {
        let area = if self.options.square {
            let cell = (area.w / self.columns as f64).min(area.h / self.rows as f64);
            let (w, h) = (cell * self.columns as f64, cell * self.rows as f64);
            Area {
                x: area.x + (area.w - w) / 2.0,
                y: area.y + (area.h - h) / 2.0,
                w,
                h,
            }
        } else {
            area
        };
        if self.rows.max(self.columns) <= CELLS {
            self.draw_cells(canvas, area, style);
        } else {
            let pixels = self.values.iter().flat_map(|v| self.colour(*v)).collect();
            canvas.picture(area, &Picture::new(self.columns, self.rows, pixels)?, true)?;
        }
        canvas.frame(area, Stroke::solid(INK, style.axis));
        self.draw_names(canvas, area, style);
        self.draw_bar(canvas, area, style)
    }

    fn draw_cells(&self, canvas: &mut Canvas, area: Area, style: &Style) {
        let (w, h) = (area.w / self.columns as f64, area.h / self.rows as f64);
        let decimals = if self.values.iter().all(|v| v.fract() == 0.0) {
            0
        } else {
            2
        };
        let texts: Vec<String> = match &self.options.texts {
            Some(texts) => texts.clone(),
            None => self.values.iter().map(|v| cell_number(*v, decimals)).collect(),
        };
        let longest = texts.iter().map(|t| canvas.font.width(t, 1.0)).fold(0.0, f64::max);
        let size = style.small.min((w - style.gap * 0.5) / longest.max(0.1)).min(h * 0.8);
        let readable = self.options.numbers && size >= style.small * 0.56;
        let gap = style.thin.min(w.min(h) * 0.08);
        for (i, value) in self.values.iter().enumerate() {
            let (row, column) = (i / self.columns, i % self.columns);
            let colour = self.colour(*value);
            let [x, y] = [area.x + column as f64 * w, area.y + row as f64 * h];
            canvas.rect(
                Area {
                    x: x + gap / 2.0,
                    y: y + gap / 2.0,
                    w: w - gap,
                    h: h - gap,
                },
                colour,
                1.0,
            );
            if readable {
                canvas.centred([x + w / 2.0, y + h / 2.0], &texts[i], size, ink_on(colour));
            }
        }
    }

    fn draw_names(&self, canvas: &mut Canvas, area: Area, style: &Style) {
        let (w, h) = (area.w / self.columns as f64, area.h / self.rows as f64);
        let mut end = f64::NEG_INFINITY;
        for (i, name) in self.row_names.iter().enumerate() {
            let y = area.y + (i as f64 + 0.5) * h;
            if y - style.small * 0.5 >= end && !name.is_empty() {
                let at = [area.x - style.gap, y + style.small * CAP / 2.0];
                canvas.text(at, name, style.small, Anchor::End, 0.0, INK);
                end = y + style.small * 0.45;
            }
        }
        let top = area.bottom() + style.gap;
        self.column_names.draw(canvas, |i| area.x + (i as f64 + 0.5) * w, top);
        let outer = [area.x - self.margins[0], area.right() + self.margins[1]];
        let (text, size) = fit(&self.panel.x, style.size, outer[1] - outer[0], &canvas.font);
        let middle = centre(area.x + area.w / 2.0, canvas.font.width(&text, size), outer);
        let base = top + self.column_names.height + style.gap + size * CAP;
        canvas.text([middle, base], &text, size, Anchor::Middle, 0.0, INK);
        let ends = [area.y - style.small * CAP / 2.0, top + self.column_names.height];
        let (text, size) = fit(&self.panel.y, style.size, ends[1] - ends[0], &canvas.font);
        let middle = centre(area.y + area.h / 2.0, canvas.font.width(&text, size), ends);
        let at = [outer[0] + size * CAP + size * 0.05, middle];
        canvas.text(at, &text, size, Anchor::Middle, -90.0, INK);
        let lift = if self.bar.note.is_empty() {
            style.gap * 0.8
        } else {
            style.small * 1.3 + style.gap
        };
        draw_title(canvas, &self.panel.title, area, lift, outer, style);
    }

    fn draw_bar(&self, canvas: &mut Canvas, area: Area, style: &Style) -> Result<()> {
        let bar = Area {
            x: area.right() + style.gap * 2.0,
            y: area.y,
            w: self.bar_width,
            h: area.h,
        };
        let [low, high] = self.range;
        let steps = 128;
        let level = |i: usize| high - (high - low) * (i as f64 + 0.5) / steps as f64;
        let pixels = (0..steps).flat_map(|i| self.colour(level(i))).collect();
        canvas.picture(bar, &Picture::new(1, steps, pixels)?, false)?;
        canvas.frame(bar, Stroke::solid(INK, style.axis));
        let stroke = Stroke::solid(INK, style.axis);
        for (value, label) in &self.bar.ticks {
            let Some(p) = self.bar.place(*value) else { continue };
            let y = bar.bottom() - p * bar.h;
            canvas.line([bar.right(), y], [bar.right() + style.tick, y], stroke);
            let at = [bar.right() + style.tick + style.gap * 0.7, y + style.small * CAP / 2.0];
            canvas.text(at, label, style.small, Anchor::Start, 0.0, INK);
        }
        let at = [bar.x, bar.y - style.gap];
        canvas.text(at, &self.bar.note, style.small, Anchor::Start, 0.0, INK);
        let (text, size) = fit(&self.options.label, style.size, area.h + self.margins[3], &canvas.font);
        let at = [area.right() + self.margins[1] - size * DEPTH, area.y + area.h / 2.0];
        canvas.text(at, &text, size, Anchor::Middle, -90.0, INK);
        Ok(())
    }
}

fn cell_number(value: f64, decimals: usize) -> String {
    let size = value.abs();
    if !value.is_finite() || (size > 0.0 && size < 0.005) || size >= 1e5 {
        return text::short(value);
    }
    text::fixed(value, if size >= 1000.0 { 0 } else { decimals })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_symmetric_for_a_diverging_map_and_never_empty() {
        assert_eq!(limits(&[-1.0, 3.0, f64::NAN], ColourMap::Diverging), [-3.0, 3.0]);
        assert_eq!(limits(&[2.0, 2.0], ColourMap::Blues), [1.0, 3.0]);
        assert_eq!(limits(&[0.0], ColourMap::Viridis), [0.0, 1.0]);
    }
}
