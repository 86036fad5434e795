//! Data sets and files: the published sets, folders of one's own, masks, tensors, weights.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise and says why it skips"
)]

mod compose;
mod folders;
mod masks;
mod sets;
mod tensors;
mod weights;

use std::path::Path;

use seglab::script::{Interpreter, Scope};
use seglab::session::Session;

/// What a script gives, as the REPL shows it, or its error; `ROOT` stands for the folder.
fn script(root: &Path, text: &str) -> Result<String, String> {
    let runs = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(runs.path()));
    let text = text.replace("ROOT", &root.display().to_string());
    match interpreter.run("test", &text, &mut Scope::new()) {
        Ok(value) => Ok(interpreter.display(&value)),
        Err(report) => Err(report.render(false)),
    }
}

/// The error of a script, which must hold all these parts.
fn refused(root: &Path, text: &str, parts: &[&str]) {
    match script(root, text) {
        Ok(value) => panic!("no error: {text} gives {value}"),
        Err(error) => {
            for part in parts {
                assert!(error.contains(part), "{part} is not in: {error}");
            }
        }
    }
}
