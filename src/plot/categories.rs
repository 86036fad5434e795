//! Names under an axis: upright where there is room, else oblique, else standing.

use super::palette::INK;
use super::style::Style;
use super::svg::{Anchor, Canvas};
use super::text::{CAP, Font};

/// Names of evenly spaced categories, ready to be drawn below an axis.
pub(super) struct Categories {
    texts: Vec<String>,
    turn: f64,
    size: f64,
    /// How far they reach below their upper end.
    pub(super) height: f64,
    /// How far they reach to the left of the axis' beginning.
    pub(super) overhang: f64,
}

impl Categories {
    /// Names in slots of this width; none longer than `limit`.
    pub(super) fn new(names: &[String], slot: f64, limit: f64, style: &Style, font: &Font) -> Categories {
        let size = style.small;
        let every = ((size * 0.95) / slot.max(0.01)).ceil().max(1.0) as usize;
        let cut = |(i, t): (usize, &String)| {
            if i % every == 0 {
                font.shorten(t, size, limit)
            } else {
                String::new()
            }
        };
        let texts: Vec<String> = names.iter().enumerate().map(cut).collect();
        let widths: Vec<f64> = texts.iter().map(|t| font.width(t, size)).collect();
        let widest = widths.iter().copied().fold(0.0, f64::max);
        let slots = slot * every as f64;
        let slope = std::f64::consts::FRAC_1_SQRT_2;
        let (turn, height) = if widest + size * 0.5 <= slots {
            (0.0, size * CAP)
        } else if size * 1.1 <= slots * slope {
            (-45.0, (widest + size * CAP) * slope)
        } else {
            (-90.0, widest)
        };
        let reach = |(i, w): (usize, &f64)| match turn {
            0.0 => w / 2.0 - slot * (i as f64 + 0.5),
            -45.0 => (w + size * CAP * 0.5) * slope - slot * (i as f64 + 0.5),
            _ => 0.0,
        };
        let overhang = widths.iter().enumerate().map(reach).fold(0.0, f64::max);
        Categories {
            texts,
            turn,
            size,
            height,
            overhang,
        }
    }

    /// Names that are known to fit side by side.
    pub(super) fn upright(texts: Vec<String>, style: &Style) -> Categories {
        Categories {
            texts,
            turn: 0.0,
            size: style.small,
            height: style.small * CAP,
            overhang: 0.0,
        }
    }

    /// Draw name `i` below the point (`x(i)`, `y`).
    pub(super) fn draw(&self, canvas: &mut Canvas, x: impl Fn(usize) -> f64, y: f64) {
        let cap = self.size * CAP;
        for (i, text) in self.texts.iter().enumerate() {
            let (at, anchor) = match self.turn {
                0.0 => ([x(i), y + cap], Anchor::Middle),
                -45.0 => ([x(i) + cap * 0.5, y + cap * 0.75], Anchor::End),
                _ => ([x(i) + cap * 0.5, y], Anchor::End),
            };
            canvas.text(at, text, self.size, anchor, self.turn, INK);
        }
    }
}
