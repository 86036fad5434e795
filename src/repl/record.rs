//! The inputs as a script that runs; what failed is in it as a comment, since it may have made something.

use super::evaluate::Input;
use crate::script::Engine;
use crate::script::definitions::definitions;
use crate::script::pieces::{Kind, pieces};
use crate::script::values::unless_empty;

/// The inputs as statements of one script: each ends as a statement must, a value that a later input takes as `ans` is named
/// so, and of functions defined several times only the last definition stays.
pub fn script(inputs: &[Input]) -> String {
    let parser = crate::script::engine::parser();
    let mut out = String::new();
    let mut later_functions: Vec<(String, usize)> = Vec::new();
    let mut wants_ans = false;
    for input in inputs.iter().rev() {
        let mut text = input.text.trim().to_string();
        if !input.worked {
            out.insert_str(0, &format!("// failed: {}\n", text.replace('\n', "\n// ")));
            continue;
        }
        let uses_ans = mentions(&text, "ans");
        if let Ok(ast) = parser.compile(&text) {
            for f in ast.iter_functions() {
                let key = (f.name.to_string(), f.params.len());
                if later_functions.contains(&key) {
                    text = without_function(&text, &key.0);
                } else {
                    later_functions.push(key);
                }
            }
        }
        if wants_ans && input.gave_value {
            text = named(&parser, &text);
            wants_ans = false;
        }
        wants_ans |= uses_ans;
        if input.paused {
            text.push_str(" // Ctrl-C paused this training; the script trains to the end");
        }
        if !text.trim().is_empty() {
            out.insert_str(0, &format!("{}\n", ended(&parser, text.trim())));
        }
    }
    out
}

/// Whether the text holds this name.
fn mentions(text: &str, name: &str) -> bool {
    let found = pieces(text);
    found
        .iter()
        .any(|p| p.kind == Kind::Word && &text[p.start..p.end] == name)
}

/// The text without the definition of the function `name`.
fn without_function(text: &str, name: &str) -> String {
    match definitions(text).into_iter().find(|d| d.name == name) {
        Some(d) => format!("{}{}", &text[..d.start], &text[d.start + d.text.len()..]),
        None => text.to_string(),
    }
}

/// The text whose last statement gives its value to `ans`.
fn named(parser: &Engine, text: &str) -> String {
    let mut depth = 0_i32;
    let mut starts = vec![0];
    for piece in pieces(text).into_iter().filter(|p| p.kind == Kind::Other) {
        match &text[piece.start..piece.end] {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 && [";", "}"].contains(&&text[piece.start..piece.end]) {
            starts.push(piece.end);
        }
    }
    let attempts = starts.into_iter().rev().filter(|at| !text[*at..].trim().is_empty());
    let mut attempts = attempts.map(|at| {
        format!(
            "{}let ans = {}",
            unless_empty(&text[..at], |head| format!("{head} ")),
            text[at..].trim_start()
        )
    });
    attempts
        .find(|t| parser.compile(t).is_ok())
        .unwrap_or_else(|| text.to_string())
}

/// The text with a `;` where another statement could not follow without; it goes before a comment at the end.
fn ended(parser: &Engine, text: &str) -> String {
    if parser.compile(format!("{text}\n0")).is_ok() {
        return text.to_string();
    }
    let code = pieces(text)
        .into_iter()
        .rev()
        .find(|p| p.kind != Kind::Comment && !text[p.start..p.end].trim().is_empty());
    let end = code.map_or(text.len(), |p| p.end);
    format!("{};{}", &text[..end], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(texts: &[&str]) -> String {
        let input = |text: &&str| Input {
            text: (*text).to_string(),
            worked: !text.contains("missing"),
            gave_value: !text.starts_with("let") && !text.starts_with("fn"),
            paused: text.contains("train::"),
        };
        script(&texts.iter().map(input).collect::<Vec<_>>())
    }

    #[test]
    fn statements_end_and_failures_are_comments() {
        assert_eq!(
            saved(&[
                "let a = 1 // one",
                "missing",
                "let f = |x| { x }",
                "if a == 1 { 2 }",
                "f.call(a);"
            ]),
            "let a = 1; // one\n// failed: missing\nlet f = |x| { x };\nif a == 1 { 2 }\nf.call(a);\n"
        );
    }

    #[test]
    fn training_that_was_paused_is_marked() {
        assert_eq!(
            saved(&["let r = train::fit(net, d, f)", "r"]),
            "let r = train::fit(net, d, f); // Ctrl-C paused this training; the script trains to the end\nr;\n"
        );
    }

    #[test]
    fn the_last_value_is_named_where_it_is_used() {
        assert_eq!(
            saved(&["40 + 2", "let b = ans * 10", "b"]),
            "let ans = 40 + 2;\nlet b = ans * 10;\nb;\n"
        );
        assert_eq!(
            saved(&["print(1); #{ a: 2 }.a", "ans"]),
            "print(1); let ans = #{ a: 2 }.a;\nans;\n"
        );
    }

    #[test]
    fn a_function_is_defined_once() {
        assert_eq!(
            saved(&["fn f(x) { x }", "f(1)", "fn f(x) { 2 * x }"]),
            "f(1);\nfn f(x) { 2 * x }\n"
        );
    }
}
