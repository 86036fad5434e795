//! Legends: as many columns as fit, as wide as their text.

use super::area::Area;
use super::font::CAP;
use super::font::Font;
use super::palette::{Colour, Dash, Marker};
use super::style::Style;
use super::svg::{Anchor, Canvas, Stroke};

/// Height of an entry, in units of the letters' size.
const LINE: f64 = 1.35;

/// One line of a legend: a name, and what stands before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entry {
    pub(super) label: String,
    pub(super) colour: Colour,
    /// A patch of this opacity: bars, or the band of a line.
    pub(super) patch: Option<f64>,
    pub(super) hatch: usize,
    pub(super) line: Option<Dash>,
    pub(super) marker: Marker,
    /// The colour of a class: its patch has a frame.
    pub(super) framed: bool,
}

impl Entry {
    /// A class of a label image.
    pub(super) fn class(name: &str, colour: Colour) -> Entry {
        Entry {
            label: name.to_string(),
            colour,
            patch: Some(1.0),
            framed: true,
            ..Entry::default()
        }
    }

    /// One entry can stand for both: they are equal, or lines of one name, colour and dash.
    pub(super) fn agrees(&self, other: &Entry) -> bool {
        let known = |entry: &Entry| (entry.label.clone(), entry.colour, entry.line);
        self == other || (self.line.is_some() && known(self) == known(other))
    }

    /// How much it shows beside the line.
    pub(super) fn detail(&self) -> u8 {
        u8::from(self.marker != Marker::None) + u8::from(self.patch.is_some())
    }

    fn draw_symbol(&self, canvas: &mut Canvas, [x, y]: [f64; 2], wide: f64, style: &Style) {
        let tall = style.small * 0.8;
        let area = Area::new(x, y - tall / 2.0, wide, tall);
        if let Some(opacity) = self.patch {
            canvas.hatch = self.hatch;
            canvas.rect(area, self.colour, opacity);
            canvas.hatch = 0;
        }
        if self.framed {
            canvas.frame(area, Stroke::solid(style.edge, style.thin));
        }
        if let Some(dash) = self.line {
            let stroke = Stroke::solid(self.colour, style.line);
            canvas.line([x, y], [x + wide, y], Stroke { dash, ..stroke });
        }
        // points alone are a little larger
        let radius = style.marker * if self.line.is_some() { 1.0 } else { 1.1 };
        canvas.marker(self.marker, [x + wide / 2.0, y], radius, self.colour, 1.0);
    }
}

/// Where the entries of a legend go.
pub(super) struct Legend {
    columns: Vec<f64>,
    rows: usize,
    pub(super) size: [f64; 2],
}

impl Legend {
    /// The arrangement with at most `columns` columns (fewer where `width` does not allow them), as even as possible.
    pub(super) fn arrange(entries: &[Entry], columns: usize, width: f64, style: &Style, font: &Font) -> Legend {
        let mut most = columns.clamp(1, entries.len().max(1));
        loop {
            let rows = entries.len().div_ceil(most);
            let used = entries.len().div_ceil(rows.max(1)).max(1);
            let widest = |c: usize| {
                let column = entries.iter().skip(c * rows).take(rows);
                let text = column.map(|e| font.width(&e.label, style.small)).fold(0.0, f64::max);
                symbol_width(entries, style) + style.small * 0.5 + text
            };
            let columns: Vec<f64> = (0..used).map(widest).collect();
            let total = columns.iter().sum::<f64>() + style.small * 1.2 * (used - 1) as f64;
            if total <= width || most == 1 {
                return Legend {
                    columns,
                    rows,
                    size: [total.min(width), style.small * LINE * rows as f64],
                };
            }
            most = used.min(most) - 1;
        }
    }

    /// Draw it over something else.
    pub(super) fn draw_on_ground(&self, canvas: &mut Canvas, at: [f64; 2], entries: &[Entry]) {
        let (ground, around) = (canvas.style.ground, canvas.style.gap * 0.5);
        let area = Area::new(at[0], at[1], self.size[0], self.size[1]);
        canvas.rect(area.grown(around), ground, 0.85);
        self.draw(canvas, at, entries);
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, at: [f64; 2], entries: &[Entry]) {
        let style = canvas.style.clone();
        let wide = symbol_width(entries, &style);
        let mut x = at[0];
        for (column, width) in self.columns.iter().enumerate() {
            for (row, entry) in entries.iter().skip(column * self.rows).take(self.rows).enumerate() {
                let y = at[1] + style.small * LINE * (row as f64 + 0.5);
                entry.draw_symbol(canvas, [x, y], wide, &style);
                let room = (self.size[0] - (x - at[0]) - wide - style.small * 0.5).max(style.small);
                let text = canvas.font.shorten(&entry.label, style.small, room + 0.01);
                let place = [x + wide + style.small * 0.5, y + style.small * CAP / 2.0];
                canvas.text(place, &text, style.small, Anchor::Start, 0.0, style.ink);
            }
            x += width + style.small * 1.2;
        }
    }
}

fn symbol_width(entries: &[Entry], style: &Style) -> f64 {
    style.small
        * if entries.iter().any(|e| e.line.is_some()) {
            2.4
        } else {
            1.1
        }
}
