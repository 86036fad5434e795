//! The functions that a script defines: signature, the comment in front, the text.

use super::pieces::{Kind, Piece, partner, pieces};

/// One function of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// The names of its parameters.
    pub parameters: Vec<String>,
    /// The lines of comment directly in front, without their slashes.
    pub comment: String,
    /// Its text from `fn` to the last brace.
    pub text: String,
    /// Where that text begins in the script.
    pub start: usize,
}

impl Definition {
    /// `name(a, b)`.
    pub fn signature(&self) -> String {
        format!("{}({})", self.name, self.parameters.join(", "))
    }
}

/// The functions that `text` defines, in their order; what is half written is left out.
pub fn definitions(text: &str) -> Vec<Definition> {
    let pieces = pieces(text);
    let is_fn = |i: &usize| pieces[*i].kind == Kind::Keyword && &text[pieces[*i].start..pieces[*i].end] == "fn";
    let found = (0..pieces.len()).filter(is_fn);
    found.filter_map(|i| definition(text, &pieces, i)).collect()
}

/// The function whose `fn` is the piece `at`.
fn definition(text: &str, pieces: &[Piece], at: usize) -> Option<Definition> {
    let part = |p: &Piece| &text[p.start..p.end];
    let mut rest = pieces[at + 1..]
        .iter()
        .filter(|p| p.kind != Kind::Comment && !part(p).trim().is_empty());
    let name = rest.next().filter(|p| p.kind == Kind::Word)?;
    let _ = rest.next().filter(|p| part(p) == "(")?;
    let mut parameters = Vec::new();
    loop {
        let piece = rest.next()?;
        match part(piece) {
            ")" => break,
            "," => {}
            word => parameters.push(word.to_string()),
        }
    }
    let brace = rest.next().filter(|p| part(p) == "{")?;
    let end = partner(text, brace.start)?;
    Some(Definition {
        name: part(name).to_string(),
        parameters,
        comment: comment(text, &pieces[..at]),
        text: text[pieces[at].start..=end].to_string(),
        start: pieces[at].start,
    })
}

/// The comment at the end of these pieces, with at most a line's end and `private` behind it.
fn comment(text: &str, pieces: &[Piece]) -> String {
    let mut lines = Vec::new();
    for piece in pieces.iter().rev() {
        let part = &text[piece.start..piece.end];
        match piece.kind {
            Kind::Comment if part.starts_with("/*") => {
                let inner = part.trim_start_matches(['/', '*']).trim_end_matches(['/', '*']);
                let inner = inner
                    .lines()
                    .map(|l| l.trim().trim_start_matches('*').trim().to_string());
                lines.extend(inner.rev());
                break;
            }
            Kind::Comment => lines.push(part.trim_start_matches('/').trim().to_string()),
            _ if part == "private" || part == " " || part == "\t" || part == "\r" => {}
            // a line break goes on with the comment, an empty line ends it
            _ if part == "\n" && !text[..piece.start].trim_end_matches([' ', '\t', '\r']).ends_with('\n') => {}
            _ => break,
        }
    }
    lines.reverse();
    lines.join("\n").trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_comment_and_text_are_found() {
        let text = "// not this\n\n/// The mean\n// of two.\nprivate fn mean(a, b) { `${a}}` }\nlet f = 1; /* Says\n * it. */ fn g( ) { }\nfn half(";
        let all = definitions(text);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].signature(), "mean(a, b)");
        assert_eq!(all[0].comment, "The mean\nof two.");
        assert_eq!(all[0].text, "fn mean(a, b) { `${a}}` }");
        assert_eq!(
            (all[1].signature().as_str(), all[1].comment.as_str()),
            ("g()", "Says\nit.")
        );
    }

    #[test]
    fn code_in_front_is_no_comment() {
        assert_eq!(definitions("let a = 1;\nfn f() {}")[0].comment, "");
    }
}
