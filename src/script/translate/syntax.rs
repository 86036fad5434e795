//! Parse errors in plain words, with the fix where the text shows what was meant.

use rhai::{LexError, ParseErrorType};

use super::runtime::{ITERABLE, lower_first};
use crate::script::compare::as_written;
use crate::script::habits::keyword;
use crate::script::report::Place;

/// Message and hint of a parse error in `source`; `place` moves to where the fix belongs.
pub fn explain(kind: &ParseErrorType, source: &str, place: &mut Option<Place>) -> (String, Option<String>) {
    let text = lower_first(&as_written(&kind.to_string()));
    let (before, after) = around(place.as_ref());
    let previous = before.trim_end().rsplit(|c: char| !is_word(c)).next().unwrap_or("");
    let next = after.split(|c: char| !is_word(c)).next().unwrap_or("");
    let at_end = after.trim().is_empty()
        && place
            .as_ref()
            .is_none_or(|p| p.line >= source.trim_end().lines().count());
    let foreign = || keyword(previous).or_else(|| keyword(next)).map(str::to_string);
    let fix = |fix: &str| Some(fix.to_string());
    match kind {
        ParseErrorType::UnexpectedEOF => (text, open_bracket(source)),
        ParseErrorType::MissingToken(token, _) if at_end && ["}", ")", "]"].contains(&token.as_str()) => {
            (text, open_bracket(source))
        }
        ParseErrorType::Reserved(name) if name == "#" => (text, fix("comments start with `//`")),
        ParseErrorType::Reserved(name) => {
            let hint = match name.as_str() {
                "null" | "nil" | "void" => "nothing is written `()`".to_string(),
                other => keyword(other).map_or_else(
                    || format!("`{other}` is a reserved word; choose another name"),
                    str::to_string,
                ),
            };
            (text, Some(hint))
        }
        ParseErrorType::MissingToken(token, _) if token == ";" => {
            if let Some(hint) = foreign() {
                return (text, Some(hint));
            }
            if after.starts_with(':') {
                let hint = if before.contains('{') {
                    "maps are written #{ name: value }"
                } else {
                    "types are not declared: let x = 3"
                };
                return (text, fix(hint));
            }
            if after.starts_with(',') && before.contains("let ") {
                return (text, fix("declare one variable at a time: let a = 1; let b = 2;"));
            }
            if next == "if" {
                return (text, fix("a choice is written if condition { a } else { b }"));
            }
            if before.trim().is_empty()
                && let Some(end) = end_of_code_before(place.as_ref(), source)
            {
                *place = Some(end);
                return ("a `;` is missing at the end of this statement".into(), None);
            }
            (text, fix("statements end with `;`, blocks are wrapped in { }"))
        }
        ParseErrorType::MissingToken(token, _) if token == "," => {
            let hint = match () {
                () if after.starts_with('=') || after.starts_with(':') && text.contains("function call") => {
                    format!("options go into a map: f(x, #{{ {previous}: value }})")
                }
                () if after.starts_with(':') => "types are not declared: fn f(x) { .. }".into(),
                () if next == "for" => "lists are made from others: [0, 1, 2].map(|i| 2 * i)".into(),
                () if after.starts_with(';') || after.trim().is_empty() => {
                    return (
                        text,
                        open_bracket(source).or_else(|| fix("is a closing bracket missing?")),
                    );
                }
                () => return (text, foreign()),
            };
            (text, Some(hint))
        }
        ParseErrorType::MissingToken(token, _) if token == "]" && after.starts_with(',') => {
            (text, fix("several indices go into an array: t[[0, 1]]"))
        }
        ParseErrorType::MissingToken(token, _) if token == "{" => (
            text,
            foreign().or_else(|| fix("blocks are wrapped in { }, without `:` before them")),
        ),
        ParseErrorType::MissingToken(token, _) if token == ":" => (text, fix("entries are written name: value")),
        ParseErrorType::MissingToken(token, _) if token == "catch" => (text, fix("write try { .. } catch (e) { .. }")),
        ParseErrorType::UnknownOperator(sign) => {
            let hint = match sign.as_str() {
                "@" => "the matrix product is a.matmul(b)",
                "++" => "write x += 1",
                "--" => "write x -= 1",
                "?" => "a choice is written if condition { a } else { b }",
                "===" => "write ==",
                "//" => "write floor(a / b)",
                _ => return (text, None),
            };
            (text, fix(hint))
        }
        ParseErrorType::BadInput(LexError::MalformedChar(_)) => (text, fix("strings are written \"..\" or `..`")),
        ParseErrorType::BadInput(LexError::UnterminatedString) => (
            text,
            fix("a string ends on its line; longer ones are written in backticks"),
        ),
        ParseErrorType::BadInput(LexError::ImproperSymbol(symbol, _)) if symbol == "=" => {
            ("`=` assigns a value".into(), fix("`==` compares"))
        }
        ParseErrorType::BadInput(LexError::ImproperSymbol(symbol, _)) => {
            let hint = match symbol.as_str() {
                "->" => fix("a switch is written switch x { 1 => a, _ => b }; types are not declared"),
                "===" | "!==" => fix("write == or !="),
                ":=" => fix("write let x = 3"),
                _ => None,
            };
            (format!("`{symbol}` is not a sign of this language"), hint)
        }
        ParseErrorType::BadInput(LexError::UnexpectedInput(found)) if found == ":" => (
            text,
            fix("parts of a tensor: t[0..2], of several dimensions t[[0.., 1]], where 0.. is all"),
        ),
        ParseErrorType::BadInput(LexError::UnexpectedInput(found)) if !found.is_ascii() => {
            (text, fix("names are made of the letters a to z, digits and `_`"))
        }
        _ if text.contains("'fn'") => (text, fix("a function without a name is a closure: |x| x + 1")),
        ParseErrorType::FnMissingBody(_) => (
            text,
            fix("write fn f(x) { .. }; the type of the result is not declared"),
        ),
        ParseErrorType::VariableExpected if after.starts_with(['(', '[']) => (
            text,
            fix("declare one variable at a time: let a = list[0]; let b = list[1];"),
        ),
        ParseErrorType::MismatchedType(wanted, _) if wanted == "an iterable value" => {
            ("this value cannot be iterated over".into(), fix(ITERABLE))
        }
        ParseErrorType::PropertyExpected => (text, fix("this word is reserved and cannot be a property")),
        ParseErrorType::VariableExpected => (text, fix("a name is wanted here; reserved words cannot be names")),
        ParseErrorType::ExprTooDeep => (text, fix("take the inner parts out: let part = ..;")),
        _ => (text, foreign()),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The line's text before and from the place.
fn around(place: Option<&Place>) -> (String, String) {
    let Some(place) = place else {
        return (String::new(), String::new());
    };
    let chars: Vec<char> = place.text.chars().collect();
    let at = place.column.saturating_sub(1).min(chars.len());
    (chars[..at].iter().collect(), chars[at..].iter().collect())
}

/// The end of the last line of code above `place`.
fn end_of_code_before(place: Option<&Place>, source: &str) -> Option<Place> {
    let place = place?;
    let lines: Vec<&str> = source.lines().take(place.line - 1).collect();
    let line = lines
        .iter()
        .rposition(|l| !l.trim().is_empty() && !l.trim().starts_with("//"))?;
    Some(Place {
        source: place.source.clone(),
        line: line + 1,
        column: lines[line].trim_end().chars().count() + 1,
        text: lines[line].to_string(),
    })
}

/// Which bracket or string is never closed, and where it stands.
fn open_bracket(source: &str) -> Option<String> {
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut line = 1;
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            '/' if chars.peek() == Some(&'/') => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' => {
                while let Some(c) = chars.next_if(|c| *c != '"' && *c != '\n') {
                    if c == '\\' {
                        let _ = chars.next();
                    }
                }
                let _ = chars.next_if_eq(&'"');
            }
            '(' | '[' | '{' => open.push((c, line)),
            ')' | ']' | '}' => {
                let _ = open.pop();
            }
            _ => {}
        }
    }
    let (bracket, line) = open.last()?;
    Some(format!("the `{bracket}` of line {line} is not closed"))
}
