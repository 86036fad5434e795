//! Texts that have to fit: cut, wrapped or made smaller; numbers as words.

use super::font::{CAP, DEPTH, Font};
use super::svg::{Anchor, Canvas, turned};
use super::tex::{Laid, Run};

impl Font {
    /// `text` cut to `width` with an ellipsis where it is longer.
    pub(super) fn shorten(&self, text: &str, size: f64, width: f64) -> String {
        if self.width(text, size) <= width {
            return text.to_string();
        }
        let chars: Vec<char> = self.plain(text).chars().collect();
        for keep in (1..chars.len()).rev() {
            let cut: String = chars[..keep].iter().collect::<String>().trim_end().to_string() + "…";
            if self.width(&cut, size) <= width {
                return cut;
            }
        }
        "…".to_string()
    }
}

impl Laid {
    /// How far scripts reach above the capitals and below the other letters of a text of this size.
    pub(super) fn reach(&self, size: f64) -> [f64; 2] {
        let beyond = |side: fn(&Run) -> f64, usual: f64| self.runs.iter().map(side).fold(usual, f64::max) - usual;
        let above = beyond(|run| CAP * run.size - run.at[1], CAP * size);
        [above, beyond(|run| DEPTH * run.size + run.at[1], DEPTH * size)]
    }
}

/// Distance of two lines of a text, in units of the font size.
pub(super) const LEADING: f64 = 1.2;

/// A text in lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) lines: Vec<String>,
    pub(super) size: f64,
    /// How far scripts reach above the capitals of the first line and below the letters of the last.
    reach: [f64; 2],
}

impl Block {
    /// `text` in as few lines as stay within `width`, broken at spaces outside of formulas; its letters are smaller where a single
    /// word is too long.
    pub(super) fn new(text: &str, size: f64, width: f64, font: &Font) -> Block {
        let mut words: Vec<String> = Vec::new();
        for word in text.split(' ').filter(|w| !w.is_empty()) {
            let open = |last: &&mut String| last.matches('$').count() % 2 == 1 || unclosed(last);
            match words.last_mut().filter(open) {
                Some(open) => *open = format!("{open} {word}"),
                None => words.push(word.to_string()),
            }
        }
        let widest = words.iter().map(|w| font.width(w, size)).fold(0.0, f64::max);
        let size = size * (width / widest.max(1e-9)).clamp(0.5, 1.0);
        let mut lines: Vec<String> = Vec::new();
        for word in words {
            match lines.last_mut() {
                Some(line) if font.width(&format!("{line} {word}"), size) <= width => *line = format!("{line} {word}"),
                _ => lines.push(word),
            }
        }
        for line in &mut lines {
            *line = font.shorten(line, size, width + 0.01);
        }
        let reach = |line: Option<&String>| line.map_or([0.0; 2], |line| font.lay(line, size).reach(size));
        let reach = [reach(lines.first())[0], reach(lines.last())[1]];
        Block { lines, size, reach }
    }

    /// From the top of the first line to what reaches below the last, and `gap`; nothing without a text.
    pub(super) fn room(&self, gap: f64) -> f64 {
        match self.lines.len() {
            0 => 0.0,
            n => self.size * (CAP + DEPTH + LEADING * (n - 1) as f64) + self.reach[0] + self.reach[1] + gap,
        }
    }

    /// Draw it with the top of its first line at `at`, which is in the middle of it.
    pub(super) fn draw(&self, canvas: &mut Canvas, at: [f64; 2]) {
        self.write(canvas, at, 0.0);
    }

    /// Draw it from below to above, with the top of its first line at `at`, which is in the middle of it.
    pub(super) fn draw_rising(&self, canvas: &mut Canvas, at: [f64; 2]) {
        self.write(canvas, at, -90.0);
    }

    fn write(&self, canvas: &mut Canvas, at: [f64; 2], turn: f64) {
        for (i, line) in self.lines.iter().enumerate() {
            let below = self.reach[0] + self.size * (CAP + LEADING * i as f64);
            let (base, ink) = (turned(at, turn, [0.0, below]), canvas.style.ink);
            canvas.text(base, line, self.size, Anchor::Middle, turn, ink);
        }
    }
}

fn unclosed(text: &str) -> bool {
    text.matches('{').count() > text.matches('}').count()
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

/// How many decimals tell these values apart: as many as they have, at most those of three or four significant digits.
pub(super) fn decimals(values: &[f64]) -> usize {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let whole = |d: &usize| {
        let mut scaled = finite().map(|v| v * 10f64.powi(*d as i32));
        scaled.all(|v| (v - v.round()).abs() < 1e-6)
    };
    let most = match finite().fold(0.0, |m: f64, v| m.max(v.abs())) {
        m if m >= 100.0 => 0,
        m if m >= 10.0 => 1,
        m if m >= 1.0 => 2,
        _ => 3,
    };
    (0..=most).find(whole).unwrap_or(most)
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
    fn long_texts_are_wrapped_cut_or_smaller() {
        let font = Font::load("sans").unwrap();
        let block = |text: &str, width: f64| Block::new(text, 10.0, width, &font);
        assert_eq!(block("one two three", 50.0).lines, ["one two", "three"]);
        assert_eq!(block("at $a = b$ now", 38.0).lines, ["at", "$a = b$", "now"]);
        let Block { lines, size, .. } = block("unbreakable", 40.0);
        assert!(lines == ["unbreakable"] && size < 8.0 && font.width(&lines[0], size) < 40.1);
        // scripts above one another reach further than letters do: 0.5 + 0.7 * 0.72 - 0.72 above
        let [above, below] = block("$x_b^a$", 50.0).reach;
        assert!((above - 2.84).abs() < 1e-9 && below > 1.0 && block("x", 50.0).reach == [0.0; 2]);
        assert!(font.shorten("a long name of a class", 10.0, 40.0).ends_with('…'));
    }

    #[test]
    fn numbers_are_short_and_have_a_true_minus() {
        assert_eq!(
            [number(0.500, 3), number(-2.0, 2), fixed(-0.0, 1)],
            ["0.5", "−2", "0.0"]
        );
        assert_eq!(short(0.12345), "0.123");
        assert_eq!(short(123456.0), "1.2×10^{5}");
        assert_eq!(short(-0.00001), "−1×10^{−5}");
        assert_eq!(short(f64::NAN), "NaN");
    }
}
