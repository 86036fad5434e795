//! The texts that were run: scripts, imported modules, inputs of the REPL.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use rhai::Position;

use super::catch::{Insertion, original};
use super::definitions::{Definition, definitions};

/// The texts that were run, by their names.
#[derive(Default)]
pub(super) struct Sources(RefCell<BTreeMap<String, Text>>);

/// A text that was run.
#[derive(Default)]
struct Text {
    text: String,
    /// How many came before it.
    number: usize,
    /// What was put into it for the interpreter.
    insertions: Vec<Insertion>,
    /// Where a method that changes its value stands inside an expression.
    asked: BTreeSet<Position>,
}

impl Sources {
    /// Keep a text.
    pub fn remember(&self, name: &str, text: &str, insertions: Vec<Insertion>) {
        let mut sources = self.0.borrow_mut();
        let source = Text {
            text: text.to_string(),
            number: sources.values().map(|s| s.number + 1).max().unwrap_or(0),
            insertions,
            ..Text::default()
        };
        sources.insert(name.to_string(), source);
    }

    /// The text called `name`; empty if there is none.
    pub fn text(&self, name: &str) -> String {
        self.0.borrow().get(name).map(|s| s.text.clone()).unwrap_or_default()
    }

    /// The place in the text called `name` of one in what the interpreter read.
    pub fn original(&self, name: &str, position: Position) -> Position {
        let sources = self.0.borrow();
        sources
            .get(name)
            .map_or(position, |s| original(&s.insertions, position))
    }

    /// Remember where in `name` the value of a method that changes its value is asked for.
    pub fn set_asked(&self, name: &str, asked: BTreeSet<Position>) {
        if let Some(source) = self.0.borrow_mut().get_mut(name) {
            source.asked = asked;
        }
    }

    /// Whether the value of the method called here is asked for, so that it must leave alone what it is called on.
    pub fn asked(&self, name: &str, position: Position) -> bool {
        self.0.borrow().get(name).is_some_and(|s| s.asked.contains(&position))
    }

    /// The function `name` of the texts, the latest one.
    pub fn definition(&self, name: &str) -> Option<Definition> {
        let sources = self.0.borrow();
        let mut sources: Vec<&Text> = sources.values().collect();
        sources.sort_by_key(|s| std::cmp::Reverse(s.number));
        let mut found = sources.into_iter().flat_map(|s| definitions(&s.text).into_iter().rev());
        found.find(|d| d.name == name)
    }
}
