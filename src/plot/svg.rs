//! A small SVG writer in points (1/72 inch): the only place that knows the syntax. It remembers where texts stand and, while it
//! is asked to, what a legend should not cover.

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use resvg::usvg::fontdb::{self, Weight};

use super::area::Area;
use super::font::{CAP, DEPTH, Font};
use super::palette::{Colour, Dash, Marker};
use super::picture::Picture;
use super::style::Style;
use crate::error::{Error, Result};

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
}

impl Display for Stroke {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, r#"stroke="{}" stroke-width="{}""#, hex(self.colour), n(self.width))?;
        if let Some(dash) = self.dash.array(self.width) {
            write!(f, r#" stroke-dasharray="{dash}""#)?;
        }
        if self.opacity < 1.0 {
            write!(f, r#" stroke-opacity="{}""#, n(self.opacity))?;
        }
        Ok(())
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

    /// [`Error::Interrupted`] once the drawing is to end.
    pub(super) fn check_cancel(&self) -> Result<()> {
        match self.cancel.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    /// The whole document; `metadata` goes into its `<metadata>` element.
    pub(super) fn finish(&mut self, size: [f64; 2], title: &str, metadata: &[(String, String)]) -> String {
        let [w, h] = size.map(n);
        let family = escape(self.font.family(0));
        let generic = if family.contains("Serif") {
            "serif"
        } else {
            "sans-serif"
        };
        let (ink, ground) = (hex(self.style.ink), hex(self.style.ground));
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}pt\" height=\"{h}pt\" viewBox=\"0 0 {w} {h}\" \
             font-family=\"{family}, {generic}\" fill=\"{ink}\">\n"
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
        let _ = writeln!(out, r#"<rect width="{w}" height="{h}" fill="{ground}"/>"#);
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

    /// A shape: its element with its geometry, and how it is filled or drawn.
    fn shape(&mut self, geometry: impl Display, paint: impl Display) {
        let _ = writeln!(self.body, "<{geometry} {paint}/>");
    }

    pub(super) fn rect(&mut self, a: Area, colour: Colour, opacity: f64) {
        self.shape(rectangle("rect", a), fill(colour, opacity));
        let hatch = a.hatch(self.hatch);
        if !hatch.is_empty() {
            let lines: String = hatch
                .iter()
                .map(|line| format!("M{}", coordinates(line).replace(' ', "L")))
                .collect();
            let stroke = Stroke::solid(self.style.ground, 0.7);
            self.shape(format!(r#"path d="{lines}" fill="none""#), stroke);
        }
        let [p, q, r, s] = a.corners();
        self.mark(&[p, q, r, s, p]);
        self.mark(&[[a.x + a.w / 2.0, a.y], [a.x + a.w / 2.0, a.bottom()]]);
    }

    pub(super) fn frame(&mut self, a: Area, stroke: Stroke) {
        self.shape(rectangle("rect", a) + r#" fill="none""#, stroke);
    }

    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], stroke: Stroke) {
        let [a, b, c, d] = [from[0], from[1], to[0], to[1]].map(n);
        self.shape(format!(r#"line x1="{a}" y1="{b}" x2="{c}" y2="{d}""#), stroke);
        self.mark(&[from, to]);
    }

    pub(super) fn polyline(&mut self, points: &[[f64; 2]], stroke: Stroke) {
        let points_of = coordinates(points);
        self.shape(
            format!(r#"polyline points="{points_of}" fill="none" stroke-linejoin="round""#),
            stroke,
        );
        self.mark(points);
    }

    pub(super) fn polygon(&mut self, points: &[[f64; 2]], colour: Colour, opacity: f64) {
        self.shape(
            format!(r#"polygon points="{}""#, coordinates(points)),
            fill(colour, opacity),
        );
        self.mark(points);
    }

    /// A point of this shape; `radius` is that of the disc, the others have about its area.
    pub(super) fn marker(&mut self, shape: Marker, at: [f64; 2], radius: f64, colour: Colour, opacity: f64) {
        if shape == Marker::Circle {
            let [x, y, r] = [at[0], at[1], radius].map(n);
            self.shape(format!(r#"circle cx="{x}" cy="{y}" r="{r}""#), fill(colour, opacity));
            self.mark(&[at]);
            return;
        }
        let corners = shape.corners().into_iter();
        let points: Vec<_> = corners.map(|[x, y]| [at[0] + x * radius, at[1] + y * radius]).collect();
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
        let (share, name) = match anchor {
            Anchor::Start => (0.0, ""),
            Anchor::Middle => (0.5, r#" text-anchor="middle""#),
            Anchor::End => (1.0, r#" text-anchor="end""#),
        };
        let shift = -share * laid.width;
        // the rectangle around the letters
        let [above, below] = laid.reach(size);
        let high = (CAP + DEPTH * 0.8) * size + above + below;
        let flat = Area::new(shift, -CAP * size - above, laid.width, high);
        let corners = flat.corners().map(|corner| turned(at, turn, corner));
        let [a, b, c, d] = corners;
        self.mark(&[a, b, c, d, a]);
        self.texts.push(TextBox {
            text: text.to_string(),
            corners,
        });
        // a text in one face keeps its place where a viewer has another font
        let simple = matches!(laid.runs.as_slice(), [run] if run.face == 0);
        let (left, anchor) = if simple { (at[0], name) } else { (at[0] + shift, "") };
        let [x, y] = [left, at[1]].map(n);
        let _ = write!(self.body, r#"<text x="{x}" y="{y}" font-size="{}"{anchor}"#, n(size));
        if turn != 0.0 {
            let _ = write!(self.body, r#" transform="rotate({} {} {y})""#, n(turn), n(at[0]));
        }
        if colour != self.style.ink {
            let _ = write!(self.body, " {}", fill(colour, 1.0));
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
            let (face, family) = (&self.font.faces[run.face], self.font.family(run.face));
            if family != self.font.family(0) {
                let _ = write!(self.body, r#" font-family="{}""#, escape(family));
            }
            let bold = face.weight >= Weight::SEMIBOLD;
            let weight = if bold { r#" font-weight="bold""# } else { "" };
            let upright = face.style == fontdb::Style::Normal;
            let slant = if upright { "" } else { r#" font-style="italic""# };
            let _ = write!(self.body, "{weight}{slant}>{letters}</tspan>");
        }
        self.body.push_str("</text>\n");
    }

    /// A small text of the figure's colour, its base line at `at`.
    pub(super) fn small(&mut self, at: [f64; 2], text: &str, anchor: Anchor) {
        self.text(at, text, self.style.small, anchor, 0.0, self.style.ink);
    }

    /// A picture in `area`, reduced to the resolution in force; `sharp` keeps the pixels' edges when it is enlarged.
    pub(super) fn picture(&mut self, area: Area, picture: &Picture, sharp: bool) -> Result<()> {
        let [width, height] = [area.w, area.h].map(|v| (v / 72.0 * self.dpi).round().max(1.0) as usize);
        self.png(area, &picture.reduced(width, height).png()?, sharp);
        Ok(())
    }

    /// The bytes of a PNG file in `area`.
    pub(super) fn png(&mut self, area: Area, bytes: &[u8], sharp: bool) {
        let style = if sharp {
            r#" style="image-rendering:pixelated""#
        } else {
            ""
        };
        let place = rectangle("image", area) + r#" preserveAspectRatio="none""#;
        let data = STANDARD.encode(bytes);
        self.shape(place + style, format!(r#"href="data:image/png;base64,{data}""#));
    }
}

/// Where something lies that starts from `at` and is turned around it, `turn` degrees clockwise.
pub(super) fn turned(at: [f64; 2], turn: f64, [x, y]: [f64; 2]) -> [f64; 2] {
    let (sin, cos) = turn.to_radians().sin_cos();
    [at[0] + x * cos - y * sin, at[1] + x * sin + y * cos]
}

/// An element with its place.
fn rectangle(element: &str, a: Area) -> String {
    let [x, y, w, h] = [a.x, a.y, a.w.max(0.0), a.h.max(0.0)].map(n);
    format!(r#"{element} x="{x}" y="{y}" width="{w}" height="{h}""#)
}

fn fill(colour: Colour, opacity: f64) -> String {
    let colour = hex(colour);
    match opacity < 1.0 {
        true => format!(r#"fill="{colour}" fill-opacity="{}""#, n(opacity)),
        false => format!(r#"fill="{colour}""#),
    }
}

fn hex(c: Colour) -> String {
    format!("#{:02x}{:02x}{:02x}", c[0], c[1], c[2])
}

/// A coordinate: hundredths of a point.
fn n(v: f64) -> String {
    let text = format!("{v:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_string()
}

fn coordinates(points: &[[f64; 2]]) -> String {
    let pairs: Vec<String> = points.iter().map(|p| p.map(n).join(",")).collect();
    pairs.join(" ")
}

/// `text` as XML character data; control characters, which XML forbids, become spaces.
fn escape(text: &str) -> String {
    let plain = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    let text: String = text.chars().map(plain).collect();
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
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
