//! Names under an axis: upright where there is room (in several lines, if that helps), else oblique, else standing; smaller
//! before anything is cut.

use super::font::{CAP, Font};
use super::style::Style;
use super::svg::{Anchor, Canvas};

/// Distance of two lines of one name, in units of the font size.
const LEADING: f64 = 1.15;
/// Most lines of an upright name.
const MOST_LINES: usize = 3;

/// Names of evenly spaced categories, ready to be drawn below an axis.
#[derive(Default)]
pub(super) struct Categories {
    /// The lines of each name.
    texts: Vec<Vec<String>>,
    turn: f64,
    size: f64,
    /// How far they reach below their upper end.
    pub(super) height: f64,
    /// How far they reach to the left of the axis' beginning.
    pub(super) overhang: f64,
}

impl Categories {
    /// Names in slots of this width, turned ones at best no longer than `limit`.
    pub(super) fn new(names: &[String], slot: f64, limit: f64, style: &Style, font: &Font) -> Categories {
        let width = |text: &str, size: f64| font.width(text, size);
        let small = style.small;
        let slope = std::f64::consts::FRAC_1_SQRT_2;
        let upright = (1..=MOST_LINES).find_map(|lines| {
            let wrapped = names.iter().map(|name| {
                let cut = wrap(name, lines, |text| width(text, small));
                cut.iter()
                    .all(|line| width(line, small) + small * 0.5 <= slot)
                    .then_some(cut)
            });
            wrapped.collect::<Option<Vec<_>>>()
        });
        if let Some(texts) = upright {
            let lines = texts.iter().map(Vec::len).max().unwrap_or(1).max(1);
            let height = small * (CAP + LEADING * (lines - 1) as f64);
            return Categories {
                texts,
                size: small,
                height,
                ..Categories::default()
            };
        }
        let longest = names.iter().map(|name| width(name, small)).fold(0.0, f64::max);
        // standing names are as small as their slots want, and where they are long a little smaller
        let size = small * (slot / (small * 1.05)).clamp(0.55, 1.0) * (limit / longest).clamp(0.75, 1.0);
        let oblique = size * 1.1 <= slot * slope;
        // two lines of an oblique name stand side by side along the axis
        let room = if oblique { slot * slope } else { slot };
        let most = if 2.0 * LEADING * size <= room { 2 } else { 1 };
        let lines = |name: &String| match width(name, size) > limit {
            true => wrap(name, most, |text| width(text, size)),
            false => vec![name.clone()],
        };
        let texts: Vec<Vec<String>> = names.iter().map(lines).collect();
        let longest = |lines: &Vec<String>| lines.iter().map(|line| width(line, size)).fold(0.0, f64::max);
        let widths: Vec<f64> = texts.iter().map(longest).collect();
        let widest = widths.iter().copied().fold(0.0, f64::max);
        let reach = |(i, w): (usize, &f64)| {
            let aside = (texts[i].len().max(1) - 1) as f64 * LEADING * size / slope / 2.0;
            (w + size * CAP * 0.5) * slope + aside - slot * (i as f64 + 0.5)
        };
        let overhang = widths.iter().enumerate().map(reach).fold(0.0, f64::max);
        let (turn, height, overhang) = match oblique {
            true => (-45.0, (widest + size * CAP) * slope, overhang),
            false => (-90.0, widest, 0.0),
        };
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
            texts: texts.into_iter().map(|text| vec![text]).collect(),
            size: style.small,
            height: style.small * CAP,
            ..Categories::default()
        }
    }

    /// Draw name `i` below the point (`x(i)`, `y`).
    pub(super) fn draw(&self, canvas: &mut Canvas, x: impl Fn(usize) -> f64, y: f64) {
        let (cap, leading) = (self.size * CAP, self.size * LEADING);
        for (i, lines) in self.texts.iter().enumerate() {
            for (k, text) in lines.iter().enumerate() {
                let aside = k as f64 - (lines.len() - 1) as f64 / 2.0;
                let (at, anchor) = match self.turn {
                    0.0 => ([x(i), y + cap + k as f64 * leading], Anchor::Middle),
                    -45.0 => {
                        let aside = aside * leading * std::f64::consts::SQRT_2;
                        ([x(i) + cap * 0.5 + aside, y + cap * 0.75], Anchor::End)
                    }
                    _ => ([x(i) + cap * 0.5 + aside * leading, y], Anchor::End),
                };
                let ink = canvas.style.ink;
                canvas.text(at, text, self.size, anchor, self.turn, ink);
            }
        }
    }
}

/// `name` in at most `lines` lines, broken behind spaces, underscores, hyphens and slashes so that the longest is as short as
/// possible; a name with markup such as `L_{NCE}` is left whole.
pub(super) fn wrap(name: &str, lines: usize, width: impl Fn(&str) -> f64) -> Vec<String> {
    if name.contains(['{', '$']) {
        return vec![name.to_string()];
    }
    let pieces: Vec<&str> = name.split_inclusive([' ', '_', '-', '/']).collect();
    let width = |line: &str| width(line.trim_end());
    // as many pieces into each line as stay within this width
    let filled = |most: f64| -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for piece in &pieces {
            match out.last_mut() {
                Some(line) if width(&format!("{line}{piece}")) <= most => line.push_str(piece),
                _ => out.push((*piece).to_string()),
            }
        }
        out.iter().map(|line| line.trim_end().to_string()).collect()
    };
    // the least width that is enough is that of a run of pieces, and no piece is wider
    let widest = pieces.iter().map(|piece| width(piece)).fold(0.0, f64::max);
    let runs = (0..pieces.len()).flat_map(|i| (i..pieces.len()).map(move |k| (i, k)));
    let mut widths: Vec<f64> = runs
        .map(|(i, k)| width(&pieces[i..=k].concat()))
        .filter(|w| *w >= widest)
        .collect();
    widths.sort_by(f64::total_cmp);
    let enough = widths.partition_point(|most| filled(*most).len() > lines);
    widths.get(enough).map_or_else(Vec::new, |most| filled(*most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::FigureOptions;

    fn lines(name: &str, n: usize) -> Vec<String> {
        wrap(name, n, |line| line.chars().count() as f64)
    }

    #[test]
    fn names_break_at_separators_into_even_lines() {
        assert_eq!(lines("released_within_image", 2), ["released_", "within_image"]);
        assert_eq!(lines("released_within_image", 3), ["released_", "within_", "image"]);
        assert_eq!(lines("label fraction 1/8", 2), ["label", "fraction 1/8"]);
        assert_eq!(lines("L_{NCE} of x", 3), ["L_{NCE} of x"]);
    }

    #[test]
    fn names_are_never_cut() {
        let style = Style::of(&FigureOptions::default());
        let font = Font::load("sans").unwrap();
        let names: Vec<String> = ["none", "released_within_image", "released_cross_image_of_everything"]
            .map(String::from)
            .into();
        for slot in [1.2, 3.5, 30.0] {
            let set = Categories::new(&names, style.small * slot, 40.0, &style, &font);
            let text: Vec<String> = set.texts.iter().map(|lines| lines.concat()).collect();
            assert_eq!(text, names);
        }
    }
}
