//! Text of a figure: how wide it is in the embedded font, `^{superscripts}` and `_{subscripts}`, numbers as words.

use crate::error::{Error, Result};

/// The font of all figures, embedded in the program.
pub(super) const FAMILY: &str = "DejaVu Sans";
/// Height of capitals and digits, in units of the font size.
pub(super) const CAP: f64 = 0.73;
/// Depth of the letters that go below the line, in units of the font size.
pub(super) const DEPTH: f64 = 0.24;
/// Size of sub- and superscripts relative to the text around them.
pub(super) const SCRIPT: f64 = 0.7;

/// The bytes of the font file.
pub(super) fn font_data() -> &'static [u8] {
    dejavu::sans::regular()
}

/// Measures text.
pub(super) struct Font {
    face: ttf_parser::Face<'static>,
}

/// A piece of text on the line, above it or below it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Level {
    Line,
    Above,
    Below,
}

impl Font {
    pub(super) fn load() -> Result<Self> {
        let face = ttf_parser::Face::parse(font_data(), 0)
            .map_err(|e| Error::usage(format!("the embedded font cannot be read ({e})")))?;
        Ok(Font { face })
    }

    /// Width of `text` at `size`, in the unit of `size`; markup is understood.
    pub(super) fn width(&self, text: &str, size: f64) -> f64 {
        pieces(text)
            .iter()
            .map(|(level, piece)| {
                let scale = if *level == Level::Line { size } else { size * SCRIPT };
                let units: f64 = piece.chars().map(|c| self.advance(c)).sum();
                units * scale / f64::from(self.face.units_per_em())
            })
            .sum()
    }

    fn advance(&self, c: char) -> f64 {
        self.face
            .glyph_index(c)
            .and_then(|g| self.face.glyph_hor_advance(g))
            .map_or(f64::from(self.face.units_per_em()) * 0.6, f64::from)
    }

    /// The characters that no letter of the font stands for, each once.
    pub(super) fn missing(&self, text: &str) -> Vec<char> {
        let mut out: Vec<char> = Vec::new();
        for c in text
            .chars()
            .filter(|c| !c.is_control() && self.face.glyph_index(*c).is_none())
        {
            if !out.contains(&c) {
                out.push(c);
            }
        }
        out
    }

    /// `text` in as many lines as it needs to stay within `width`, broken at spaces; what is left after `most` lines is
    /// shortened.
    pub(super) fn lines(&self, text: &str, size: f64, width: f64, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ') {
            let full = lines.len() == most;
            match lines.last_mut() {
                Some(line) if full || self.width(&format!("{line} {word}"), size) <= width => {
                    *line = format!("{line} {word}")
                }
                _ => lines.push(word.to_string()),
            }
        }
        lines.iter().map(|line| self.shorten(line, size, width)).collect()
    }

    /// `text` cut to `width` with an ellipsis where it is longer.
    pub(super) fn shorten(&self, text: &str, size: f64, width: f64) -> String {
        if self.width(text, size) <= width {
            return text.to_string();
        }
        let chars: Vec<char> = text.chars().collect();
        for keep in (1..chars.len()).rev() {
            let cut: String = chars[..keep].iter().collect::<String>().trim_end().to_string() + "…";
            if self.width(&cut, size) <= width {
                return cut;
            }
        }
        "…".to_string()
    }
}

/// `text` cut at its markup: `L_{NCE}` is `L` on the line and `NCE` below it. A brace that is never closed is plain text.
pub(super) fn pieces(text: &str) -> Vec<(Level, String)> {
    let mut out: Vec<(Level, String)> = Vec::new();
    let mut rest = text;
    let push = |out: &mut Vec<(Level, String)>, level, piece: &str| {
        if !piece.is_empty() {
            out.push((level, piece.to_string()));
        }
    };
    loop {
        let start = match (rest.find("^{"), rest.find("_{")) {
            (Some(a), Some(b)) => a.min(b),
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => break,
        };
        let Some(length) = rest[start + 2..].find('}') else {
            break;
        };
        push(&mut out, Level::Line, &rest[..start]);
        let level = if rest.as_bytes()[start] == b'^' {
            Level::Above
        } else {
            Level::Below
        };
        push(&mut out, level, &rest[start + 2..start + 2 + length]);
        rest = &rest[start + 3 + length..];
    }
    push(&mut out, Level::Line, rest);
    out
}

/// `text` without its markup.
pub(super) fn plain(text: &str) -> String {
    pieces(text).into_iter().map(|(_, piece)| piece).collect()
}

/// A number with at most `decimals` decimals, without trailing zeros, with a true minus sign.
pub(super) fn number(value: f64, decimals: usize) -> String {
    let mut text = format!("{value:.decimals$}");
    if text.contains('.') {
        text = text.trim_end_matches('0').trim_end_matches('.').to_string();
    }
    minus(text)
}

/// A number with exactly `decimals` decimals and a true minus sign; never "−0".
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    minus(format!("{value:.decimals$}"))
}

/// A number for a cell or a label: three significant digits, `1.2×10^{5}` where it is huge or tiny.
pub(super) fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_string();
    }
    if !value.is_finite() {
        return minus(value.to_string());
    }
    let exponent = value.abs().log10().floor() as i32;
    if (-3..5).contains(&exponent) {
        let decimals = if value.fract() == 0.0 {
            0
        } else {
            (2 - exponent).max(0) as usize
        };
        number(value, decimals)
    } else {
        format!("{}×{}", number(value / 10f64.powi(exponent), 1), power(10, exponent))
    }
}

/// `base^{exponent}` as markup, with a true minus sign.
pub(super) fn power(base: u32, exponent: i32) -> String {
    format!("{base}^{{{}}}", minus(exponent.to_string()))
}

fn minus(text: String) -> String {
    match text.strip_prefix('-') {
        Some(digits) if digits.bytes().all(|b| b == b'0' || b == b'.') => digits.to_string(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_cut_into_levels() {
        let cut = pieces("L_{NCE} in 10^{−3}");
        assert_eq!(cut.len(), 4);
        assert_eq!(cut[1], (Level::Below, "NCE".to_string()));
        assert_eq!(cut[3], (Level::Above, "−3".to_string()));
        assert_eq!(
            pieces("within_image ^{open"),
            vec![(Level::Line, "within_image ^{open".to_string())]
        );
        assert!(pieces("").is_empty());
    }

    #[test]
    fn width_follows_the_font() {
        let font = Font::load().unwrap();
        // every digit of DejaVu Sans is 1303 of 2048 units wide
        assert!((font.width("00", 10.0) - 2.0 * 10.0 * 1303.0 / 2048.0).abs() < 1e-9);
        assert!((font.width("0^{0}", 10.0) - 1.7 * 10.0 * 1303.0 / 2048.0).abs() < 1e-9);
        assert_eq!(font.shorten("road", 10.0, 100.0), "road");
        assert!(font.shorten("a long name of a class", 10.0, 40.0).ends_with('…'));
    }

    #[test]
    fn long_titles_break_at_spaces_and_strange_letters_are_named() {
        let font = Font::load().unwrap();
        assert_eq!(font.lines("one two three", 10.0, 50.0, 3), ["one two", "three"]);
        assert_eq!(font.lines("one two", 10.0, 500.0, 3), ["one two"]);
        assert!(font.lines("one two three four five", 10.0, 30.0, 2)[1].ends_with('…'));
        assert_eq!(font.missing("mIoU µ 分割 分 🚗"), ['分', '割', '🚗']);
    }

    #[test]
    fn numbers_are_short_and_have_a_true_minus() {
        assert_eq!(number(0.500, 3), "0.5");
        assert_eq!(number(-2.0, 2), "−2");
        assert_eq!(fixed(-0.0, 1), "0.0");
        assert_eq!(short(0.12345), "0.123");
        assert_eq!(short(123456.0), "1.2×10^{5}");
        assert_eq!(short(-0.00001), "−1×10^{−5}");
        assert_eq!(short(f64::NAN), "NaN");
    }
}
