//! A small SVG writer in points (1/72 inch): the only place that knows the syntax.

use std::fmt::Write;

use super::palette::{Colour, Dash, INK, Marker};
use super::picture::Picture;
use super::text::{self, FAMILY, Font, Level, SCRIPT};
use crate::error::Result;

/// Where a text starts from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stroke {
    pub(super) colour: Colour,
    pub(super) width: f64,
    pub(super) dash: Dash,
    pub(super) opacity: f64,
}

impl Stroke {
    pub(super) fn solid(colour: Colour, width: f64) -> Self {
        Stroke {
            colour,
            width,
            dash: Dash::Solid,
            opacity: 1.0,
        }
    }

    fn attributes(&self) -> String {
        let mut out = format!(r#"stroke="{}" stroke-width="{}""#, hex(self.colour), n(self.width));
        if let Some(dash) = self.dash.array(self.width) {
            let _ = write!(out, r#" stroke-dasharray="{dash}""#);
        }
        if self.opacity < 1.0 {
            let _ = write!(out, r#" stroke-opacity="{}""#, n(self.opacity));
        }
        out
    }
}

/// A rectangle: left, top, width, height.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) w: f64,
    pub(super) h: f64,
}

impl Area {
    pub(super) fn right(&self) -> f64 {
        self.x + self.w
    }
    pub(super) fn bottom(&self) -> f64 {
        self.y + self.h
    }
    pub(super) fn contains(&self, p: [f64; 2]) -> bool {
        p[0] >= self.x && p[0] <= self.right() && p[1] >= self.y && p[1] <= self.bottom()
    }
}

/// The drawing so far.
pub(super) struct Canvas {
    body: String,
    pub(super) font: Font,
    /// Resolution for which pictures are reduced.
    dpi: f64,
    /// Characters that were asked for and that the font does not have.
    pub(super) missing: Vec<char>,
}

impl Canvas {
    pub(super) fn new(dpi: f64) -> Result<Self> {
        Ok(Canvas {
            body: String::new(),
            font: Font::load()?,
            dpi,
            missing: Vec::new(),
        })
    }

    /// The whole document; `metadata` goes into its `<metadata>` element.
    pub(super) fn finish(self, size: [f64; 2], title: &str, metadata: &[(String, String)]) -> String {
        let [w, h] = [n(size[0]), n(size[1])];
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}pt\" height=\"{h}pt\" viewBox=\"0 0 {w} {h}\" \
             font-family=\"{FAMILY}, Verdana, sans-serif\" fill=\"{}\">\n",
            hex(INK)
        );
        if !title.is_empty() {
            let _ = writeln!(out, "<title>{}</title>", escape(&text::plain(title)));
        }
        if !metadata.is_empty() {
            out.push_str("<metadata xmlns:lab=\"urn:seglab\">\n");
            for (key, value) in metadata {
                let _ = writeln!(out, r#"<lab:entry key="{}">{}</lab:entry>"#, escape(key), escape(value));
            }
            out.push_str("</metadata>\n");
        }
        let _ = writeln!(out, r##"<rect width="{w}" height="{h}" fill="#ffffff"/>"##);
        out.push_str(&self.body);
        out.push_str("</svg>\n");
        out
    }

    pub(super) fn rect(&mut self, a: Area, fill: Colour, opacity: f64) {
        self.rect_filled(a, &hex(fill), opacity, None);
    }

    pub(super) fn frame(&mut self, a: Area, stroke: Stroke) {
        self.rect_filled(a, "none", 1.0, Some(stroke));
    }

    /// A bar of the n-th series: the colour, from the second series on with white lines across it.
    pub(super) fn bar(&mut self, a: Area, colour: Colour, series: usize) {
        self.rect(a, colour, 1.0);
        let lines = hatch(a, series);
        if !lines.is_empty() {
            let _ = writeln!(
                self.body,
                r##"<path d="{lines}" fill="none" stroke="#ffffff" stroke-width="0.7"/>"##
            );
        }
    }

    fn rect_filled(&mut self, a: Area, fill: &str, opacity: f64, stroke: Option<Stroke>) {
        let [x, y, w, h] = [n(a.x), n(a.y), n(a.w.max(0.0)), n(a.h.max(0.0))];
        let _ = write!(
            self.body,
            r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{fill}""#
        );
        if opacity < 1.0 {
            let _ = write!(self.body, r#" fill-opacity="{}""#, n(opacity));
        }
        if let Some(s) = stroke {
            let _ = write!(self.body, " {}", s.attributes());
        }
        self.body.push_str("/>\n");
    }

    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], stroke: Stroke) {
        let [a, b, c, d] = [n(from[0]), n(from[1]), n(to[0]), n(to[1])];
        let _ = writeln!(
            self.body,
            r#"<line x1="{a}" y1="{b}" x2="{c}" y2="{d}" {}/>"#,
            stroke.attributes()
        );
    }

    pub(super) fn polyline(&mut self, points: &[[f64; 2]], stroke: Stroke) {
        let _ = writeln!(
            self.body,
            r#"<polyline points="{}" fill="none" stroke-linejoin="round" {}/>"#,
            coordinates(points),
            stroke.attributes()
        );
    }

    pub(super) fn polygon(&mut self, points: &[[f64; 2]], fill: Colour, opacity: f64) {
        let list = coordinates(points);
        let _ = writeln!(
            self.body,
            r#"<polygon points="{list}" fill="{}" fill-opacity="{}"/>"#,
            hex(fill),
            n(opacity)
        );
    }

    /// A point of this shape; `radius` is that of the disc, the others have about its area.
    pub(super) fn marker(&mut self, shape: Marker, at: [f64; 2], radius: f64, colour: Colour, opacity: f64) {
        let [x, y] = at;
        let points = |list: &[[f64; 2]]| -> Vec<[f64; 2]> {
            list.iter().map(|p| [x + p[0] * radius, y + p[1] * radius]).collect()
        };
        match shape {
            Marker::None => {}
            Marker::Circle => {
                let [x, y, r] = [n(x), n(y), n(radius)];
                let colour = hex(colour);
                let _ = write!(self.body, r#"<circle cx="{x}" cy="{y}" r="{r}" fill="{colour}""#);
                if opacity < 1.0 {
                    let _ = write!(self.body, r#" fill-opacity="{}""#, n(opacity));
                }
                self.body.push_str("/>\n");
            }
            Marker::Square => {
                let half = radius * 0.89;
                self.rect(
                    Area {
                        x: x - half,
                        y: y - half,
                        w: 2.0 * half,
                        h: 2.0 * half,
                    },
                    colour,
                    opacity,
                );
            }
            Marker::Triangle => self.polygon(&points(&[[0.0, -1.3], [1.18, 0.78], [-1.18, 0.78]]), colour, opacity),
            Marker::Down => self.polygon(&points(&[[0.0, 1.3], [1.18, -0.78], [-1.18, -0.78]]), colour, opacity),
            Marker::Diamond => {
                self.polygon(
                    &points(&[[0.0, -1.3], [1.1, 0.0], [0.0, 1.3], [-1.1, 0.0]]),
                    colour,
                    opacity,
                );
            }
            Marker::Plus | Marker::Cross => {
                let ends = if shape == Marker::Plus {
                    [[-1.2, 0.0], [1.2, 0.0], [0.0, -1.2], [0.0, 1.2]]
                } else {
                    [[-0.9, -0.9], [0.9, 0.9], [-0.9, 0.9], [0.9, -0.9]]
                };
                let p = points(&ends);
                let stroke = Stroke {
                    opacity,
                    ..Stroke::solid(colour, radius * 0.6)
                };
                self.line(p[0], p[1], stroke);
                self.line(p[2], p[3], stroke);
            }
        }
    }

    /// Text with its base line at `at`; `turn` degrees clockwise around that point.
    pub(super) fn text(&mut self, at: [f64; 2], text: &str, size: f64, anchor: Anchor, turn: f64, colour: Colour) {
        if text.is_empty() {
            return;
        }
        for c in self.font.missing(text) {
            if !self.missing.contains(&c) {
                self.missing.push(c);
            }
        }
        let [x, y] = [n(at[0]), n(at[1])];
        let _ = write!(self.body, r#"<text x="{x}" y="{y}" font-size="{}""#, n(size));
        match anchor {
            Anchor::Start => {}
            Anchor::Middle => self.body.push_str(r#" text-anchor="middle""#),
            Anchor::End => self.body.push_str(r#" text-anchor="end""#),
        }
        if turn != 0.0 {
            let _ = write!(self.body, r#" transform="rotate({} {x} {y})""#, n(turn));
        }
        if colour != INK {
            let _ = write!(self.body, r#" fill="{}""#, hex(colour));
        }
        self.body.push('>');
        for (level, piece) in text::pieces(text) {
            let piece = escape(&piece);
            let shift = match level {
                Level::Line => {
                    self.body.push_str(&piece);
                    continue;
                }
                Level::Above => 0.38 * size,
                Level::Below => -0.16 * size,
            };
            let _ = write!(
                self.body,
                r#"<tspan font-size="{}" baseline-shift="{}">{piece}</tspan>"#,
                n(size * SCRIPT),
                n(shift)
            );
        }
        self.body.push_str("</text>\n");
    }

    /// Text whose capitals are centred on `at`.
    pub(super) fn centred(&mut self, at: [f64; 2], text: &str, size: f64, colour: Colour) {
        self.text(
            [at[0], at[1] + size * text::CAP / 2.0],
            text,
            size,
            Anchor::Middle,
            0.0,
            colour,
        );
    }

    /// A picture in `area`, reduced to the resolution in force; `sharp` keeps the pixels' edges when it is enlarged.
    pub(super) fn picture(&mut self, area: Area, picture: &Picture, sharp: bool) -> Result<()> {
        let most = [area.w / 72.0 * self.dpi, area.h / 72.0 * self.dpi].map(|v| v.round().max(1.0) as usize);
        let reduced = picture.reduced(most[0], most[1]);
        let data = base64(&super::png::encode(&reduced, None, &[])?);
        let [x, y, w, h] = [n(area.x), n(area.y), n(area.w), n(area.h)];
        let style = if sharp {
            r#" style="image-rendering:pixelated""#
        } else {
            ""
        };
        let _ = writeln!(
            self.body,
            r#"<image x="{x}" y="{y}" width="{w}" height="{h}" preserveAspectRatio="none"{style} href="data:image/png;base64,{data}"/>"#
        );
        Ok(())
    }
}

/// Distance between the lines across a bar, in points, along the horizontal.
const HATCH: f64 = 4.0;

/// The lines across a bar of the n-th series as path data: none, rising, level, falling, upright. They are cut to the
/// rectangle here, since patterns and clip paths do not look the same everywhere.
fn hatch(a: Area, series: usize) -> String {
    let mut out = String::new();
    let mut line = |p: [f64; 2], q: [f64; 2]| {
        let _ = write!(out, "M{},{}L{},{}", n(p[0]), n(p[1]), n(q[0]), n(q[1]));
    };
    let count = |length: f64, step: f64| (length / step).ceil().max(0.0) as usize;
    match series % 5 {
        1 | 3 => {
            for k in 0..count(a.w + a.h, HATCH) {
                // x + y = c from the left top corner on; falling lines are the mirror image
                let c = HATCH * (k as f64 + 0.5);
                let (from, to) = ((c - a.h).max(0.0), c.min(a.w));
                if to > from {
                    let mirror = |x: f64| if series % 5 == 1 { a.x + x } else { a.right() - x };
                    line([mirror(from), a.y + c - from], [mirror(to), a.y + c - to]);
                }
            }
        }
        2 => (1..count(a.h, HATCH * 0.75)).for_each(|k| {
            let y = a.bottom() - HATCH * 0.75 * k as f64;
            line([a.x, y], [a.right(), y]);
        }),
        4 => (1..count(a.w, HATCH * 0.75)).for_each(|k| {
            let x = a.x + HATCH * 0.75 * k as f64;
            line([x, a.y], [x, a.bottom()]);
        }),
        _ => {}
    }
    out
}

fn hex(c: Colour) -> String {
    format!("#{:02x}{:02x}{:02x}", c[0], c[1], c[2])
}

/// A coordinate: hundredths of a point.
fn n(v: f64) -> String {
    let text = format!("{v:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_string()
    } else {
        text.to_string()
    }
}

fn coordinates(points: &[[f64; 2]]) -> String {
    let mut out = String::with_capacity(points.len() * 12);
    for p in points {
        let _ = write!(out, "{},{} ", n(p[0]), n(p[1]));
    }
    out.truncate(out.trim_end().len());
    out
}

/// `text` as XML character data; control characters, which XML forbids, become spaces.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let part = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = part(0) << 16 | part(1) << 8 | part(2);
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_standard() {
        // RFC 4648, section 10
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn lines_across_a_bar_stay_inside() {
        let a = Area {
            x: 10.0,
            y: 20.0,
            w: 7.0,
            h: 30.0,
        };
        assert!(hatch(a, 0).is_empty());
        for series in 1..5 {
            let data = hatch(a, series);
            let numbers: Vec<f64> = data
                .split(['M', 'L', ','])
                .filter(|t| !t.is_empty())
                .map(|t| t.parse().unwrap())
                .collect();
            assert!(numbers.len() >= 4);
            for p in numbers.chunks(2) {
                assert!(a.contains([p[0], p[1]]), "{series}: {p:?}");
            }
        }
    }

    #[test]
    fn text_is_escaped_and_numbers_are_short() {
        assert_eq!(escape("a<b & \"c\"\u{1}"), "a&lt;b &amp; &quot;c&quot; ");
        assert_eq!((n(1.50), n(-0.001), n(2.0)), ("1.5".into(), "0".into(), "2".into()));
    }
}
