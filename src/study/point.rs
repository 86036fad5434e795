//! One point of a sweep: its arguments, its folder, and what that holds.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::grid::Arguments;
use super::record::{Outcome, Record};
use crate::error::Result;
use crate::session::FolderLock;
use crate::session::digest::sha256;

/// A folder's name is cut behind so many bytes; a hash keeps it unlike others.
const LONGEST_NAME: usize = 100;

/// Where a point stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It was never begun.
    Missing,
    /// Some process is at work on it.
    Running,
    /// It was begun and ended by a signal.
    Interrupted,
    /// It ended with this error.
    Failed(String),
    /// It is done.
    Done,
}

impl State {
    /// The word in tables.
    pub fn name(&self) -> &'static str {
        match self {
            State::Missing => "missing",
            State::Running => Outcome::Running.name(),
            State::Interrupted => Outcome::Interrupted.name(),
            State::Failed(_) => Outcome::Failed.name(),
            State::Done => Outcome::Done.name(),
        }
    }
}

/// One point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Names and values, as written.
    pub arguments: Arguments,
    /// The name of its folder in the sweep's.
    pub folder: String,
}

impl Point {
    /// The point of these arguments.
    pub fn new(arguments: Arguments) -> Self {
        let folder = folder_name(&arguments);
        Point { arguments, folder }
    }

    /// `name=value` of all arguments.
    pub fn words(&self) -> impl Iterator<Item = String> {
        self.arguments.iter().map(|(name, value)| format!("{name}={value}"))
    }

    /// Whether both have the same arguments, in any order.
    pub fn is(&self, arguments: &Arguments) -> bool {
        self.arguments.len() == arguments.len() && arguments.iter().all(|a| self.arguments.contains(a))
    }

    /// What its folder below `sweep` says.
    pub fn state(&self, sweep: &Path) -> Result<(State, Option<Record>)> {
        let folder = sweep.join(&self.folder);
        if !folder.is_dir() {
            return Ok((State::Missing, None));
        }
        if FolderLock::is_held(&folder) {
            return Ok((State::Running, None));
        }
        let record = Record::read(&folder)?;
        let state = match &record {
            None => State::Missing,
            Some(record) => match record.status {
                Outcome::Done => State::Done,
                Outcome::Failed => State::Failed(record.error.clone().unwrap_or_default()),
                Outcome::Running | Outcome::Interrupted => State::Interrupted,
            },
        };
        Ok((state, record))
    }
}

/// `temperature=0.1,seed=0`, with a hash where that would not do as a name.
fn folder_name(arguments: &Arguments) -> String {
    let words: Vec<String> = arguments.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let text = words.join(",");
    let plain = |c: char| c.is_ascii_alphanumeric() || "._=,+-".contains(c);
    let name: String = text.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if name == text && name.len() <= LONGEST_NAME && !name.is_empty() {
        return name;
    }
    let kept = &name[..name.len().min(LONGEST_NAME)];
    format!("{kept}-{}", &sha256([&text])[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_after_their_arguments() {
        let name = |pairs: &[(&str, &str)]| {
            let arguments = pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            Point::new(arguments).folder
        };
        assert_eq!(name(&[("t", "0.1"), ("seed", "-1")]), "t=0.1,seed=-1");
        let (a, b) = (name(&[("data", "../a/b")]), name(&[("data", "../a_b")]));
        assert!(
            a.starts_with("data=.._a_b-") && b.starts_with("data=.._a_b-") && a != b,
            "{a} {b}"
        );
        assert!(name(&[("x", &"y".repeat(500))]).len() < 120);
        assert!(!name(&[]).is_empty());
    }
}
