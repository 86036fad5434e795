//! Plain words in messages: what packages say about their own Rust types and sources means nothing to the writer of a script.

use super::values::basic_type_name;

/// Crates whose types turn up in messages.
const CRATES: [&str; 22] = [
    "alloc",
    "std",
    "core",
    "candle_core",
    "candle_nn",
    "candle_transformers",
    "gemm",
    "half",
    "image",
    "krilla",
    "png",
    "plotters",
    "rayon",
    "resvg",
    "rhai",
    "safetensors",
    "seglab",
    "serde_json",
    "tiff",
    "tokenizers",
    "usvg",
    "zip",
];

/// The text without Rust's types (`core::ops::range::Range<i64>`), structures (`ChunkType { type: IDAT, .. }`), names of closures
/// (`anon$..`) and places in sources (`/../lib.rs:12:5`).
pub(super) fn words(text: &str) -> String {
    let mut text = text.to_string();
    for (said, plain) in [
        ("called `Option::unwrap()` on a `None` value", "a value is missing"),
        ("called `Result::unwrap()` on an `Err` value: ", ""),
    ] {
        text = text.replace(said, plain);
    }
    if text.contains("::") {
        text = replaced(&text, type_path);
    }
    if text.contains(" { ") {
        text = replaced(&text, structure);
    }
    if text.contains("anon$") {
        text = replaced(&text, closure);
    }
    if text.contains(".rs:") {
        text = replaced(&text, source);
    }
    text
}

/// The text with each place at which `find` sees something (its length and what to say instead) changed; words are not looked into.
fn replaced(text: &str, find: fn(&str) -> Option<(usize, String)>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let at_start = !out.ends_with(|c: char| c.is_alphanumeric() || "_:/#".contains(c));
        match find(rest).filter(|_| at_start) {
            Some((length, instead)) => {
                out.push_str(&instead);
                rest = &rest[length..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    &text[..end]
}

/// `core::ops::range::Range<i64>`.
fn type_path(text: &str) -> Option<(usize, String)> {
    if !CRATES.contains(&word(text)) || !text[word(text).len()..].starts_with("::") {
        return None;
    }
    let mut length = text
        .find(|c: char| !c.is_alphanumeric() && !"_:".contains(c))
        .unwrap_or(text.len());
    length = text[..length].trim_end_matches(':').len();
    if text[length..].starts_with('<') {
        let mut depth = 0;
        for (at, c) in text[length..].char_indices() {
            depth += i32::from(c == '<') - i32::from(c == '>');
            if depth == 0 {
                length += at + 1;
                break;
            }
        }
    }
    Some((length, basic_type_name(&text[..length]).to_string()))
}

/// `ChunkType { type: IDAT, critical: true }`: what it says of its type or kind, else its name in words.
fn structure(text: &str) -> Option<(usize, String)> {
    let name = word(text);
    let fields = text[name.len()..].strip_prefix(" { ")?;
    let field = word(fields);
    if !name.starts_with(char::is_uppercase) || field.is_empty() || !fields[field.len()..].starts_with(": ") {
        return None;
    }
    let mut depth = 0;
    let end = text.char_indices().find(|(_, c)| {
        depth += i32::from(*c == '{') - i32::from(*c == '}');
        *c == '}' && depth == 0
    });
    let end = end.map_or(text.len(), |(at, _)| at + 1);
    let told = ["type", "kind", "name"]
        .contains(&field)
        .then(|| word(&fields[field.len() + 2..]));
    let instead = match told.filter(|value| !value.is_empty()) {
        Some(value) => value.to_string(),
        None => in_words(name),
    };
    Some((end, instead))
}

/// `chunk type` for `ChunkType`.
fn in_words(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// Rhai's name of a function without one.
fn closure(text: &str) -> Option<(usize, String)> {
    let rest = text.strip_prefix("anon$")?;
    Some((text.len() - rest.len() + word(rest).len(), "a closure".into()))
}

/// `/home/somebody/lib.rs:12:5`, with the `at` in front of it.
fn source(text: &str) -> Option<(usize, String)> {
    let start = if text.starts_with("at ") { 3 } else { 0 };
    let end = text[start..]
        .find(char::is_whitespace)
        .map_or(text.len(), |n| start + n);
    let end = start + text[start..end].trim_end_matches([',', ')', '.', ';']).len();
    let (_, number) = text[start..end].split_once(".rs:")?;
    number
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| (end, "its source".into()))
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn rust_is_put_into_words() {
        for (said, plain) in [
            ("found a core::ops::range::Range<i64>", "found a range"),
            ("(alloc::vec::Vec<rhai::types::dynamic::Dynamic>, i)", "(array, i)"),
            ("std::time::Instant has none", "Instant has none"),
            (
                "error while decoding ChunkType { type: IDAT, critical: true } chunk.",
                "error while decoding IDAT chunk.",
            ),
            (
                "found LimitErrorKind { inner: Size { a: 1 } }!",
                "found limit error kind!",
            ),
            ("no function anon$0f3a_b (int)", "no function a closure (int)"),
            ("broken at /home/x/src/lib.rs:12:5, sorry", "broken its source, sorry"),
            (
                "index: called `Option::unwrap()` on a `None` value",
                "index: a value is missing",
            ),
        ] {
            assert_eq!(words(said), plain);
        }
    }

    #[test]
    fn scripts_are_left_alone() {
        for text in [
            "tensor::from: expected numbers, found #{ a: 1 }",
            "there is no file lesson.rs",
            "write `for x in list { y }`, or data::scenes(#{ count: 3 })",
            "ümläut :: {} <i64>",
        ] {
            assert_eq!(words(text), text);
        }
    }
}
