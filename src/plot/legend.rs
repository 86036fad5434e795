//! Legends: as many columns as fit, as wide as their text.

use super::area::Area;
use super::font::CAP;
use super::font::Font;
use super::palette::{Colour, Dash, Marker};
use super::style::Style;
use super::svg::{Anchor, Canvas, Stroke};

/// What stands before a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Symbol {
    Line {
        colour: Colour,
        dash: Dash,
        marker: Marker,
        band: bool,
    },
    Point {
        colour: Colour,
        marker: Marker,
    },
    Bar {
        colour: Colour,
        turn: usize,
        opacity: f64,
    },
    Class(Colour),
}

/// One line of a legend.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) label: String,
    pub(super) symbol: Symbol,
}

impl Entry {
    /// A class of a label image.
    pub(super) fn class(name: &str, colour: Colour) -> Entry {
        Entry {
            label: name.to_string(),
            symbol: Symbol::Class(colour),
        }
    }

    /// Same name, colour and dashes: one entry can stand for both.
    pub(super) fn agrees(&self, other: &Entry) -> bool {
        use Symbol::Line;
        self.label == other.label
            && match (self.symbol, other.symbol) {
                (Line { colour: a, dash: b, .. }, Line { colour: c, dash: d, .. }) => (a, b) == (c, d),
                (a, b) => a == b,
            }
    }

    /// How much the symbol shows beside the line.
    pub(super) fn detail(&self) -> u8 {
        match self.symbol {
            Symbol::Line { marker, band, .. } => u8::from(marker != Marker::None) + u8::from(band),
            _ => 0,
        }
    }
}

/// Where the entries of a legend go.
pub(super) struct Legend {
    columns: Vec<f64>,
    rows: usize,
    line: f64,
    pub(super) size: [f64; 2],
}

impl Legend {
    /// The arrangement with at most `columns` columns (fewer where `width` does not allow them), as even as possible.
    pub(super) fn arrange(entries: &[Entry], columns: usize, width: f64, style: &Style, font: &Font) -> Legend {
        let line = style.small * 1.35;
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
                    line,
                    size: [total.min(width), line * rows as f64],
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
                let y = at[1] + self.line * (row as f64 + 0.5);
                symbol(canvas, &entry.symbol, [x, y], wide, &style);
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
    let line = entries.iter().any(|e| matches!(e.symbol, Symbol::Line { .. }));
    style.small * if line { 2.4 } else { 1.1 }
}

fn symbol(canvas: &mut Canvas, symbol: &Symbol, at: [f64; 2], wide: f64, style: &Style) {
    let [x, y] = at;
    let tall = style.small * 0.8;
    let patch = Area::new(x, y - tall / 2.0, wide, tall);
    match *symbol {
        Symbol::Line {
            colour,
            dash,
            marker,
            band,
        } => {
            if band {
                canvas.rect(patch, colour, style.band);
            }
            let stroke = Stroke {
                dash,
                ..Stroke::solid(colour, style.line)
            };
            canvas.line([x, y], [x + wide, y], stroke);
            canvas.marker(marker, [x + wide / 2.0, y], style.marker, colour, 1.0);
        }
        Symbol::Point { colour, marker } => canvas.marker(marker, [x + wide / 2.0, y], style.marker * 1.1, colour, 1.0),
        Symbol::Bar { colour, turn, opacity } => {
            canvas.hatch = turn;
            canvas.rect(patch, colour, opacity);
            canvas.hatch = 0;
        }
        Symbol::Class(colour) => {
            canvas.rect(patch, colour, 1.0);
            canvas.frame(patch, Stroke::solid(style.edge, style.thin));
        }
    }
}
