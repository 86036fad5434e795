//! What is typed at the prompt and is no script: `name?`, `help name`, and `_` for the last value.

use crate::script::pieces::{Kind, pieces};

/// A question about a name.
#[derive(Debug, PartialEq)]
pub struct Question<'a> {
    /// What is asked about; empty for all.
    pub name: &'a str,
    /// Whether the text of a function is wanted too.
    pub text: bool,
}

/// `name?`, `name??`, `?name` or `help name`, if the input is one of them.
pub fn question(input: &str) -> Option<Question<'_>> {
    let input = input.trim();
    let marks = input.trim_end_matches('?').len()..input.len();
    let (name, text) = match (input.strip_prefix('?'), input.strip_prefix("help")) {
        (Some(name), _) => (name.trim_start_matches('?'), name.starts_with('?')),
        (_, Some(name)) if name.is_empty() || name.starts_with(' ') => (name.trim_end_matches(';'), false),
        _ if marks.is_empty() => return None,
        _ => (&input[..marks.start], marks.len() > 1),
    };
    let name = name.trim();
    let is_name = name.chars().all(|c| c.is_alphanumeric() || "_:.()".contains(c));
    is_name.then_some(Question { name, text })
}

/// The input with `ans` in every place where `_` stands for a value, as in IPython.
pub fn last_value(input: &str) -> String {
    let all = pieces(input);
    let part = |i: usize| all.get(i).map_or("", |p| &input[p.start..p.end]);
    let next = |i: usize| (i + 1..all.len()).map(part).find(|p| !p.trim().is_empty());
    let mut out = String::with_capacity(input.len());
    for (i, piece) in all.iter().enumerate() {
        let arm = || input[piece.end..].trim_start().starts_with("=>");
        let parameter = || [Some("|"), Some(",")].contains(&next(i)) && input[..piece.start].trim_end().ends_with('|');
        let value = piece.kind == Kind::Word && part(i) == "_" && !arm() && !parameter();
        out.push_str(if value { "ans" } else { part(i) });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_told_from_scripts() {
        let asked = |input| question(input).map(|q| (q.name, q.text));
        assert_eq!(asked("tensor::zeros?"), Some(("tensor::zeros", false)));
        assert_eq!(asked("f()??"), Some(("f()", true)));
        assert_eq!(asked("?f"), Some(("f", false)));
        assert_eq!(asked("help sort"), Some(("sort", false)));
        assert_eq!(asked("help"), Some(("", false)));
        for script in ["help(\"sort\")", "helper", "a + b", "\"why?\"", "x ?? 3"] {
            assert_eq!(asked(script), None, "{script}");
        }
    }

    #[test]
    fn an_underscore_is_the_last_value() {
        assert_eq!(last_value("_ + 1"), "ans + 1");
        assert_eq!(last_value("f(_, `${_}`) // _"), "f(ans, `${ans}`) // _");
        for other in ["switch x { 1 => 2, _ => 3 }", "let _a = 1", "\"_\"", "f(|_| 1)", "a._b"] {
            assert_eq!(last_value(other), other);
        }
    }
}
