//! Colours for what is typed.

use crate::script::pieces::{Kind, pieces};

/// The text with ANSI colours; `bracket` marks the byte of a bracket to show.
pub fn paint(text: &str, bracket: Option<usize>) -> String {
    let mut out = String::with_capacity(2 * text.len());
    for piece in pieces(text) {
        let code = match piece.kind {
            Kind::Keyword => "35",
            Kind::Number => "36",
            Kind::Text => "32",
            Kind::Comment => "2",
            Kind::Word if text[piece.end..].trim_start().starts_with('(') => "34",
            Kind::Word if text[piece.end..].starts_with("::") => "33",
            Kind::Other if bracket == Some(piece.start) => "1;4",
            Kind::Word | Kind::Other => "",
        };
        let part = &text[piece.start..piece.end];
        if code.is_empty() {
            out.push_str(part);
        } else {
            out.push_str(&format!("\x1b[{code}m{part}\x1b[0m"));
        }
    }
    out
}
