//! Every function of the table is documented with an example that runs, and the generated reference is up to date.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use rhai::Scope;
use seglab::script::table::Kind;
use seglab::script::{Interpreter, Table, api, help};
use seglab::session::Session;

fn table() -> Table {
    api::table()
}

#[test]
fn every_entry_has_a_summary_and_an_example_that_asserts() {
    let mut failures = Vec::new();
    for entry in &table().entries {
        let name = entry.signature();
        let summary = entry.summary();
        if !summary.starts_with(|c: char| c.is_uppercase()) || !summary.ends_with('.') {
            failures.push(format!(
                "{name}: the summary `{summary}` is not one sentence on the first line"
            ));
        }
        let examples = entry.examples();
        if entry.kind != Kind::Setter && examples.is_empty() {
            failures.push(format!("{name}: no example"));
        }
        let asserts = |example: &String| {
            ["assert(", "assert_eq(", "assert_close("]
                .iter()
                .any(|a| example.contains(a))
        };
        for silent in examples.iter().filter(|example| !asserts(example)) {
            failures.push(format!("{name}: this example asserts nothing:\n{silent}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_example_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for entry in &table().entries {
        for (i, example) in entry.examples().iter().enumerate() {
            let session = Session::quiet(folder.path());
            session.set_overwrite(true); // several examples write the same file, each in a session of its own
            let interpreter = Interpreter::new(session);
            let name = format!("example {i} of {}", entry.signature());
            if let Err(report) = interpreter.run(&name, example, &mut Scope::new()) {
                failures.push(report.render(false));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn names_are_unique_per_receiver() {
    let mut seen = std::collections::HashSet::new();
    for entry in table().entries.iter().filter(|e| e.kind != Kind::Operator) {
        let key = format!(
            "{:?} {} {}",
            entry.kind == Kind::Setter,
            entry.receiver,
            entry.full_name()
        );
        assert!(seen.insert(key.clone()), "{key} is declared twice");
    }
}

#[test]
fn the_generated_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/reference.md");
    let text = help::reference(&table());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap();
        std::fs::write(path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == text,
        "examples/reference.md is out of date; run the tests once with UPDATE_GOLDEN=1"
    );
}
