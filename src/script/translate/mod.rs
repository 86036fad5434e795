//! Errors of Rhai in our words. Only here is the text of an error read; elsewhere its kind says what it is.
//!
//! `runtime` translates what goes wrong while a script runs, `syntax` what cannot be parsed.

pub mod runtime;
pub mod syntax;

use rhai::{EvalAltResult, FnPtr};

use super::table::Table;
use super::values::with_article;
use crate::error::Error;

/// Whether Rhai found no version of this closure for the number of arguments it was called with.
pub fn is_wrong_count(error: &EvalAltResult, closure: &FnPtr) -> bool {
    match error {
        EvalAltResult::ErrorFunctionNotFound(signature, _) => signature.split(' ').next() == Some(closure.fn_name()),
        _ => false,
    }
}

/// The text of an error of the library, with the script's names of types, behind the name of the function that was called.
pub fn named(table: &Table, function: &str, error: &Error) -> String {
    let text = plain(table, &error.to_string());
    let bare = function.rsplit("::").next().unwrap_or(function);
    if text.starts_with(function) || text.starts_with(bare) {
        text
    } else {
        format!("{function}: {text}")
    }
}

/// The text with the script's names for Rust's type names.
fn plain(table: &Table, text: &str) -> String {
    if !text.contains("::") {
        return text.to_string();
    }
    table.types.iter().fold(text.to_string(), |text, t| {
        text.replace(&format!("a {}", t.rust_name), &with_article(t.name))
            .replace(t.rust_name, t.name)
    })
}
