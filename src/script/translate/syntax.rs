//! Parse errors in plain words, with the fix where the text shows what was meant.

use rhai::{LexError, ParseErrorType};

use super::runtime::{ITERABLE, lower_first};
use crate::script::compare::as_written;
use crate::script::habits::keyword;
use crate::script::report::Location;

const CLOSURES: &str = "a function without a name is a closure: |x| x + 1";

/// Message and hint of a parse error in `source`; `place` moves to where the fix belongs.
pub fn explain(kind: &ParseErrorType, source: &str, place: &mut Option<Location>) -> (String, Option<String>) {
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
    let hint = match kind {
        ParseErrorType::UnexpectedEOF => open_bracket(source),
        ParseErrorType::MissingToken(token, _) if at_end && ["}", ")", "]"].contains(&token.as_str()) => {
            open_bracket(source)
        }
        ParseErrorType::Reserved(name) => match name.as_str() {
            "#" => fix("comments start with `//`"),
            "null" | "nil" | "void" => fix("nothing is written `()`"),
            other => match keyword(other) {
                Some(hint) => fix(hint),
                None => Some(format!("`{other}` is a reserved word; choose another name")),
            },
        },
        ParseErrorType::MissingToken(token, _) => match token.as_str() {
            ";" => match foreign() {
                Some(hint) => Some(hint),
                None if after.starts_with(':') && before.contains('{') => fix("maps are written #{ name: value }"),
                None if after.starts_with(':') => fix("types are not declared: let x = 3"),
                None if after.starts_with(',') && before.contains("let ") => {
                    fix("declare one variable at a time: let a = 1; let b = 2;")
                }
                None if next == "if" => fix("a choice is written if condition { a } else { b }"),
                None => {
                    if before.trim().is_empty()
                        && let Some(end) = end_of_code_before(place.as_ref(), source)
                    {
                        *place = Some(end);
                        return ("a `;` is missing at the end of this statement".into(), None);
                    }
                    fix("statements end with `;`, blocks are wrapped in { }")
                }
            },
            "," if after.starts_with('=') || after.starts_with(':') && text.contains("function call") => {
                Some(format!("options go into a map: f(x, #{{ {previous}: value }})"))
            }
            "," if after.starts_with(':') => fix("types are not declared: fn f(x) { .. }"),
            "," if next == "for" => fix("lists are made from others: [0, 1, 2].map(|i| 2 * i)"),
            "," if after.starts_with(';') || after.trim().is_empty() => {
                open_bracket(source).or_else(|| fix("is a closing bracket missing?"))
            }
            "]" if after.starts_with(',') => fix("several indices go into an array: t[[0, 1]]"),
            "{" => foreign().or_else(|| fix("blocks are wrapped in { }, without `:` before them")),
            ":" => fix("entries are written name: value"),
            "catch" => fix("write try { .. } catch (e) { .. }"),
            _ if text.contains("'fn'") => fix(CLOSURES),
            _ => foreign(),
        },
        ParseErrorType::UnknownOperator(sign) => match sign.as_str() {
            "@" => fix("the matrix product is a.matmul(b)"),
            "++" => fix("write x += 1"),
            "--" => fix("write x -= 1"),
            "?" => fix("a choice is written if condition { a } else { b }"),
            "===" => fix("write =="),
            "//" => fix("write floor(a / b)"),
            _ => None,
        },
        ParseErrorType::BadInput(LexError::MalformedChar(_)) => fix("strings are written \"..\" or `..`"),
        ParseErrorType::BadInput(LexError::UnterminatedString) => {
            fix("a string ends on its line; longer ones are written in backticks")
        }
        ParseErrorType::BadInput(LexError::ImproperSymbol(symbol, _)) => {
            let hint = match symbol.as_str() {
                "=" => return ("`=` assigns a value".into(), fix("`==` compares")),
                "->" => fix("a switch is written switch x { 1 => a, _ => b }; types are not declared"),
                "===" | "!==" => fix("write == or !="),
                ":=" => fix("write let x = 3"),
                _ => None,
            };
            return (format!("`{symbol}` is not a sign of this language"), hint);
        }
        ParseErrorType::BadInput(LexError::UnexpectedInput(found)) if found == ":" => {
            fix("parts of a tensor: t[0..2], of several dimensions t[[0.., 1]], where 0.. is all")
        }
        ParseErrorType::BadInput(LexError::UnexpectedInput(found)) if !found.is_ascii() => {
            fix("names are made of the letters a to z, digits and `_`")
        }
        _ if text.contains("'fn'") => fix(CLOSURES),
        ParseErrorType::FnMissingBody(_) => fix("write fn f(x) { .. }; the type of the result is not declared"),
        ParseErrorType::VariableExpected if after.starts_with(['(', '[']) => {
            fix("declare one variable at a time: let a = list[0]; let b = list[1];")
        }
        ParseErrorType::MismatchedType(wanted, _) if wanted == "an iterable value" => {
            return ("this value cannot be iterated over".into(), fix(ITERABLE));
        }
        ParseErrorType::PropertyExpected => fix("this word is reserved and cannot be a property"),
        ParseErrorType::VariableExpected => fix("a name is wanted here; reserved words cannot be names"),
        ParseErrorType::ExprTooDeep => fix("take the inner parts out: let part = ..;"),
        _ => foreign(),
    };
    (text, hint)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The line's text before and from the place.
fn around(place: Option<&Location>) -> (String, String) {
    let Some(place) = place else {
        return (String::new(), String::new());
    };
    let chars: Vec<char> = place.text.chars().collect();
    let at = place.column.saturating_sub(1).min(chars.len());
    (chars[..at].iter().collect(), chars[at..].iter().collect())
}

/// The end of the last line of code above `place`.
fn end_of_code_before(place: Option<&Location>, source: &str) -> Option<Location> {
    let place = place?;
    let lines: Vec<&str> = source.lines().take(place.line - 1).collect();
    let line = lines
        .iter()
        .rposition(|l| !l.trim().is_empty() && !l.trim().starts_with("//"))?;
    Some(Location {
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
