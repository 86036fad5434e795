//! The text of a script cut into words, numbers, strings and signs; also tells whether a string or comment is left open.

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name.
    Word,
    /// A word of the language.
    Keyword,
    /// A number.
    Number,
    /// A string, quotes included.
    Text,
    /// A comment.
    Comment,
    /// Anything else.
    Other,
}

/// One piece: what, from where to where (bytes), and whether it lacks its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// After the last byte.
    pub end: usize,
    /// A string or comment without its end.
    pub open: bool,
}

/// Words of the language.
pub const KEYWORDS: &[&str] = &[
    "let", "const", "if", "else", "while", "loop", "for", "in", "do", "until", "break", "continue", "return", "throw",
    "try", "catch", "fn", "private", "import", "export", "as", "switch", "true", "false", "global",
];

/// Cut the text into pieces that cover all of it. What stands in the `${}` of a string is cut as well, its brackets belong to the
/// string around it.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    // the braces open in each `${` around this place
    let mut inside: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (kind, length, open) = if rest.starts_with("//") {
            (Kind::Comment, rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if c == '`' || (c == '}' && inside.last() == Some(&0)) {
            if c == '}' {
                let _ = inside.pop();
            }
            let (length, end) = backtick(rest);
            if end == End::Value {
                inside.push(0);
            }
            (Kind::Text, length, end == End::Open)
        } else if c == '"' || c == '\'' {
            quoted(rest, c)
        } else if c.is_ascii_digit() {
            let number = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            let mut length = rest.find(|c| !number(c)).unwrap_or(rest.len());
            // `0..5` is a range
            if let Some(dots) = rest[..length].find("..") {
                length = dots;
            }
            (Kind::Number, length, false)
        } else if c.is_alphabetic() || c == '_' {
            let length = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let kind = if KEYWORDS.contains(&&rest[..length]) {
                Kind::Keyword
            } else {
                Kind::Word
            };
            (kind, length, false)
        } else {
            match (c, inside.last_mut()) {
                ('{', Some(braces)) => *braces += 1,
                ('}', Some(braces)) => *braces -= 1,
                _ => {}
            }
            (Kind::Other, c.len_utf8(), false)
        };
        out.push(Piece {
            kind,
            start: at,
            end: at + length,
            open,
        });
        at += length;
    }
    out
}

/// The signs of the text, which are no part of words, strings or comments: where each stands, and how many brackets are open behind it.
pub fn signs(text: &str) -> impl Iterator<Item = (usize, &str, i32)> {
    let mut depth = 0;
    let signs = pieces(text).into_iter().filter(|piece| piece.kind == Kind::Other);
    signs.map(move |piece| {
        let sign = &text[piece.start..piece.end];
        match sign {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        (piece.start, sign, depth)
    })
}

/// How a part of a string in backticks ends.
#[derive(PartialEq)]
enum End {
    /// With its backtick.
    Closed,
    /// At a `${`.
    Value,
    /// Not at all.
    Open,
}

/// The length of the part of a string in backticks that begins here, with its backtick or the `}` behind a value.
fn backtick(text: &str) -> (usize, End) {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            // two backticks in a row are one backtick of the text
            (b'`', Some(b'`')) => at += 2,
            (b'`', _) => return (at + 1, End::Closed),
            (b'$', Some(b'{')) => return (at + 2, End::Value),
            _ => at += 1,
        }
    }
    (text.len(), End::Open)
}

/// A block comment, which may hold others.
fn comment(text: &str) -> (Kind, usize, bool) {
    let (mut depth, mut at) = (0_usize, 0);
    let bytes = text.as_bytes();
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return (Kind::Comment, at, false);
                }
            }
            _ => at += 1,
        }
    }
    (Kind::Comment, text.len(), true)
}

fn quoted(text: &str, quote: char) -> (Kind, usize, bool) {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return (Kind::Text, i, true),
            c if c == quote => return (Kind::Text, i + c.len_utf8(), false),
            _ => {}
        }
    }
    (Kind::Text, text.len(), true)
}

/// The bracket that belongs to the one at or before `pos`.
pub fn partner(text: &str, pos: usize) -> Option<usize> {
    let brackets: Vec<(usize, char)> = signs(text)
        .filter_map(|(at, sign, _)| Some((at, sign.chars().next().filter(|c| "()[]{}".contains(*c))?)))
        .collect();
    let here = brackets.iter().position(|(at, _)| *at == pos || *at + 1 == pos)?;
    let opens = |c: char| "([{".contains(c);
    let mut depth = 0_i64;
    let forward = opens(brackets[here].1);
    let walk: Box<dyn Iterator<Item = &(usize, char)>> = if forward {
        Box::new(brackets[here..].iter())
    } else {
        Box::new(brackets[..=here].iter().rev())
    };
    for (at, c) in walk {
        depth += if opens(*c) == forward { 1 } else { -1 };
        if depth == 0 {
            return Some(*at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_text_and_open_ends_are_seen() {
        for text in [
            "let a = 1.5e-3 + f(\"x\\\"y\") // c",
            "`a\nb`",
            "/* /* */ */ x",
            "0..5",
            "ä = \"ö",
        ] {
            let all = pieces(text);
            assert_eq!(all.iter().map(|p| &text[p.start..p.end]).collect::<String>(), text);
        }
        assert!(pieces("\"abc").iter().any(|p| p.open));
        assert!(pieces("1 /* x").iter().any(|p| p.open));
        assert!(!pieces("/* x */ 1").iter().any(|p| p.open));
    }

    #[test]
    fn the_values_inside_a_text_are_code() {
        let text = "`a ${f(`b ${x}`, #{ c: 1 })} d` + 2";
        let words: Vec<&str> = pieces(text)
            .iter()
            .filter(|p| p.kind == Kind::Word)
            .map(|p| &text[p.start..p.end])
            .collect();
        assert_eq!(words, ["f", "x", "c"]);
        assert!(pieces("`a ${x").last().is_some_and(|p| p.kind == Kind::Word && !p.open));
        assert!(
            pieces("`a ${x} b")
                .last()
                .is_some_and(|p| p.kind == Kind::Text && p.open)
        );
    }

    #[test]
    fn brackets_find_their_partner() {
        assert_eq!(partner("f(a[1], \")\")", 1), Some(11));
        assert_eq!(partner("f(a[1])", 7), Some(1));
        assert_eq!(partner("f(a", 1), None);
    }
}
