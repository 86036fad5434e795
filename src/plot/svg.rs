//! A small SVG writer in points (1/72 inch): the only place that knows the syntax. It remembers where texts stand and, while it
//! is asked to, what a legend should not cover.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::area::Area;
use super::font::{CAP, DEPTH, Font};
use super::palette::{Colour, Dash, Marker};
use super::picture::Picture;
use super::style::Style;
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

/// A text of a drawing and the corners of the rectangle around its letters, in points.
#[derive(Clone, Debug)]
pub struct TextBox {
    /// The text as given.
    pub text: String,
    /// Its corners, in order.
    pub corners: [[f64; 2]; 4],
}

/// The drawing so far.
pub(super) struct Canvas {
    body: String,
    pub(super) font: Font,
    pub(super) style: Style,
    /// Resolution for which pictures are reduced.
    pub(super) dpi: f64,
    /// Dashes and white lines across bars of what is drawn next.
    pub(super) dash: Dash,
    pub(super) hatch: usize,
    /// Points of what is drawn, while they are wanted.
    pub(super) marks: Option<Vec<[f64; 2]>>,
    pub(super) texts: Vec<TextBox>,
    /// Nothing is kept of this drawing but its marks.
    pub(super) dry: bool,
    /// What could not be shown.
    pub(super) warnings: Vec<String>,
    cancel: Arc<AtomicBool>,
}

impl Canvas {
    pub(super) fn new(font: Font, style: Style, dpi: f64, cancel: Arc<AtomicBool>) -> Self {
        Canvas {
            body: String::new(),
            font,
            style,
            dpi,
            dash: Dash::Solid,
            hatch: 0,
            marks: None,
            texts: Vec::new(),
            dry: false,
            warnings: Vec::new(),
            cancel,
        }
    }

    /// Forget what was drawn.
    pub(super) fn clear(&mut self) {
        self.body.clear();
        self.texts.clear();
        self.marks = None;
        self.dry = false;
    }

    pub(super) fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// The whole document; `metadata` goes into its `<metadata>` element.
    pub(super) fn finish(&mut self, size: [f64; 2], title: &str, metadata: &[(String, String)]) -> String {
        let [w, h] = size.map(n);
        let generic = if self.font.faces[0].family.contains("Serif") {
            "serif"
        } else {
            "sans-serif"
        };
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}pt\" height=\"{h}pt\" viewBox=\"0 0 {w} {h}\" \
             font-family=\"{}, {generic}\" fill=\"{}\">\n",
            escape(&self.font.faces[0].family),
            hex(self.style.ink)
        );
        if !title.is_empty() {
            let _ = writeln!(out, "<title>{}</title>", escape(&self.font.plain(title)));
        }
        if !metadata.is_empty() {
            out.push_str("<metadata xmlns:lab=\"urn:seglab\">\n");
            for (key, value) in metadata {
                let _ = writeln!(out, r#"<lab:entry key="{}">{}</lab:entry>"#, escape(key), escape(value));
            }
            out.push_str("</metadata>\n");
        }
        let _ = writeln!(
            out,
            r#"<rect width="{w}" height="{h}" fill="{}"/>"#,
            hex(self.style.ground)
        );
        out.push_str(&self.body);
        out.push_str("</svg>\n");
        out
    }

    /// Remember that something is drawn along these points.
    fn mark(&mut self, points: &[[f64; 2]]) {
        let step = self.style.small * 0.5;
        let Some(marks) = &mut self.marks else { return };
        marks.extend(points.first());
        for w in points.windows(2) {
            let length = (w[1][0] - w[0][0]).hypot(w[1][1] - w[0][1]);
            let parts = (length / step).ceil().max(1.0) as usize;
            let between = |k: usize| [0, 1].map(|i| w[0][i] + (w[1][i] - w[0][i]) * k as f64 / parts as f64);
            marks.extend((1..=parts).map(between));
        }
    }

    fn filled(&mut self, colour: Colour, opacity: f64) {
        let _ = write!(self.body, r#" fill="{}""#, hex(colour));
        if opacity < 1.0 {
            let _ = write!(self.body, r#" fill-opacity="{}""#, n(opacity));
        }
        self.body.push_str("/>\n");
    }

    pub(super) fn rect(&mut self, a: Area, fill: Colour, opacity: f64) {
        let [x, y, w, h] = [a.x, a.y, a.w.max(0.0), a.h.max(0.0)].map(n);
        let _ = write!(self.body, r#"<rect x="{x}" y="{y}" width="{w}" height="{h}""#);
        self.filled(fill, opacity);
        let mut lines = String::new();
        for [p, q] in a.hatch(self.hatch) {
            let [a, b, c, d] = [p[0], p[1], q[0], q[1]].map(n);
            let _ = write!(lines, "M{a},{b}L{c},{d}");
        }
        if !lines.is_empty() {
            let ground = hex(self.style.ground);
            let _ = writeln!(
                self.body,
                r#"<path d="{lines}" fill="none" stroke="{ground}" stroke-width="0.7"/>"#
            );
        }
        let [p, q, r, s] = a.corners();
        self.mark(&[p, q, r, s, p]);
        self.mark(&[[a.x + a.w / 2.0, a.y], [a.x + a.w / 2.0, a.bottom()]]);
    }

    pub(super) fn frame(&mut self, a: Area, stroke: Stroke) {
        let [x, y, w, h] = [a.x, a.y, a.w.max(0.0), a.h.max(0.0)].map(n);
        let _ = writeln!(
            self.body,
            r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="none" {}/>"#,
            stroke.attributes()
        );
    }

    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], stroke: Stroke) {
        let [a, b, c, d] = [from[0], from[1], to[0], to[1]].map(n);
        let _ = writeln!(
            self.body,
            r#"<line x1="{a}" y1="{b}" x2="{c}" y2="{d}" {}/>"#,
            stroke.attributes()
        );
        self.mark(&[from, to]);
    }

    pub(super) fn polyline(&mut self, points: &[[f64; 2]], stroke: Stroke) {
        let _ = writeln!(
            self.body,
            r#"<polyline points="{}" fill="none" stroke-linejoin="round" {}/>"#,
            coordinates(points),
            stroke.attributes()
        );
        self.mark(points);
    }

    pub(super) fn polygon(&mut self, points: &[[f64; 2]], fill: Colour, opacity: f64) {
        let _ = write!(self.body, r#"<polygon points="{}""#, coordinates(points));
        self.filled(fill, opacity);
        self.mark(points);
    }

    /// A point of this shape; `radius` is that of the disc, the others have about its area.
    pub(super) fn marker(&mut self, shape: Marker, at: [f64; 2], radius: f64, colour: Colour, opacity: f64) {
        if shape == Marker::Circle {
            let [x, y, r] = [at[0], at[1], radius].map(n);
            let _ = write!(self.body, r#"<circle cx="{x}" cy="{y}" r="{r}""#);
            self.filled(colour, opacity);
            self.mark(&[at]);
            return;
        }
        let corners = shape.corners();
        let points: Vec<_> = corners
            .iter()
            .map(|p| [at[0] + p[0] * radius, at[1] + p[1] * radius])
            .collect();
        if !points.is_empty() {
            self.polygon(&points, colour, opacity);
        }
    }

    /// Text with its base line at `at`; `turn` degrees clockwise around that point.
    pub(super) fn text(&mut self, at: [f64; 2], text: &str, size: f64, anchor: Anchor, turn: f64, colour: Colour) {
        if text.is_empty() {
            return;
        }
        let laid = self.font.lay(text, size);
        let shift = match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -laid.width / 2.0,
            Anchor::End => -laid.width,
        };
        self.remember(at, text, [shift, laid.width], (size, laid.reach(size)), turn);
        let simple = matches!(laid.runs.as_slice(), [run] if run.face == 0);
        let left = if simple { at[0] } else { at[0] + shift };
        let [x, y] = [left, at[1]].map(n);
        let _ = write!(self.body, r#"<text x="{x}" y="{y}" font-size="{}""#, n(size));
        match anchor {
            Anchor::Middle if simple => self.body.push_str(r#" text-anchor="middle""#),
            Anchor::End if simple => self.body.push_str(r#" text-anchor="end""#),
            _ => {}
        }
        if turn != 0.0 {
            let _ = write!(self.body, r#" transform="rotate({} {} {y})""#, n(turn), n(at[0]));
        }
        if colour != self.style.ink {
            let _ = write!(self.body, r#" fill="{}""#, hex(colour));
        }
        self.body.push('>');
        for run in &laid.runs {
            let letters = escape(&run.text);
            if simple {
                self.body.push_str(&letters);
                continue;
            }
            let [x, y] = [left + run.at[0], at[1] + run.at[1]].map(n);
            let _ = write!(self.body, r#"<tspan x="{x}" y="{y}""#);
            if run.size != size {
                let _ = write!(self.body, r#" font-size="{}""#, n(run.size));
            }
            let face = &self.font.faces[run.face];
            if face.family != self.font.faces[0].family {
                let _ = write!(self.body, r#" font-family="{}""#, escape(&face.family));
            }
            let weight = if face.bold { r#" font-weight="bold""# } else { "" };
            let slant = if face.italic { r#" font-style="italic""# } else { "" };
            let _ = write!(self.body, "{weight}{slant}>{letters}</tspan>");
        }
        self.body.push_str("</text>\n");
    }

    /// Keep the rectangle around a text: `across` is where it starts and its width, along the base line.
    fn remember(&mut self, at: [f64; 2], text: &str, across: [f64; 2], (size, reach): (f64, [f64; 2]), turn: f64) {
        let (sin, cos) = turn.to_radians().sin_cos();
        let high = (CAP + DEPTH * 0.8) * size + reach[0] + reach[1];
        let flat = Area::new(across[0], -CAP * size - reach[0], across[1], high);
        let corners = flat
            .corners()
            .map(|[x, y]| [at[0] + x * cos - y * sin, at[1] + x * sin + y * cos]);
        self.mark(&[corners[0], corners[1], corners[2], corners[3], corners[0]]);
        self.texts.push(TextBox {
            text: text.to_string(),
            corners,
        });
    }

    /// A small text of the figure's colour, its base line at `at`.
    pub(super) fn small(&mut self, at: [f64; 2], text: &str, anchor: Anchor) {
        self.text(at, text, self.style.small, anchor, 0.0, self.style.ink);
    }

    /// A picture in `area`, reduced to the resolution in force; `sharp` keeps the pixels' edges when it is enlarged.
    pub(super) fn picture(&mut self, area: Area, picture: &Picture, sharp: bool) -> Result<()> {
        let most = [area.w / 72.0 * self.dpi, area.h / 72.0 * self.dpi].map(|v| v.round().max(1.0) as usize);
        let reduced = picture.reduced(most[0], most[1]);
        self.png(area, &super::png::encode(&reduced, None, &[])?, sharp);
        Ok(())
    }

    /// The bytes of a PNG file in `area`.
    pub(super) fn png(&mut self, area: Area, bytes: &[u8], sharp: bool) {
        let [x, y, w, h] = [area.x, area.y, area.w, area.h].map(n);
        let style = if sharp {
            r#" style="image-rendering:pixelated""#
        } else {
            ""
        };
        let data = STANDARD.encode(bytes);
        let _ = writeln!(
            self.body,
            r#"<image x="{x}" y="{y}" width="{w}" height="{h}" preserveAspectRatio="none"{style} href="data:image/png;base64,{data}"/>"#
        );
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_numbers_are_short() {
        assert_eq!(escape("a<b & \"c\"\u{1}"), "a&lt;b &amp; &quot;c&quot; ");
        assert_eq!((n(1.50), n(-0.001), n(2.0)), ("1.5".into(), "0".into(), "2".into()));
    }
}
