//! The results of many runs as rows of a table.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::point::State;
use super::record::Record;
use super::sweep::Sweep;
use crate::ensure;
use crate::error::{Error, Result};
use crate::session::Place;
use crate::train::History;

/// A value in a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// As written on the command line.
    Text(String),
    /// As the script gave it to `result(..)`.
    Value(Value),
}

/// One run: what it was given, what came of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Arguments, then results; a result called as an argument is `result_NAME`.
    pub cells: Vec<(String, Cell)>,
    /// `done`, `failed`, `interrupted`, `running` or `missing`.
    pub status: &'static str,
    /// The run folder.
    pub folder: PathBuf,
}

/// The runs below `folder`: the points of the sweep there, or every folder that holds a `result.json`, sorted by name.
///
/// # Errors
/// There are none; a record cannot be read.
pub fn rows(folder: &Path) -> Result<Vec<Row>> {
    if folder.join("sweep.json").exists() {
        let sweep = Sweep::read(folder)?;
        let states = sweep.states()?;
        let of = |(point, (state, record)): (&super::point::Point, (State, Option<Record>))| Row {
            cells: cells(&point.arguments, record.as_ref()),
            status: state.name(),
            folder: sweep.folder().join(&point.folder),
        };
        return Ok(sweep.points().iter().zip(states).map(of).collect());
    }
    let entries = Place::from(folder).list()?;
    let mut folders: Vec<PathBuf> = entries
        .iter()
        .map(|e| e.path().to_path_buf())
        .filter(|p| p.is_dir())
        .collect();
    folders.push(folder.to_path_buf());
    folders.sort();
    let mut rows = Vec::new();
    for folder in folders {
        let Some(record) = Record::read(&folder)? else { continue };
        let arguments: Vec<(String, String)> = record.arguments.clone().into_iter().collect();
        rows.push(Row {
            cells: cells(&arguments, Some(&record)),
            status: record.status.name(),
            folder,
        });
    }
    ensure!(
        !rows.is_empty(),
        "{}: no result.json here or one folder below; result(#{{ .. }}) in a script or a sweep writes it",
        folder.display()
    );
    Ok(rows)
}

/// The histories of the training runs in the folders of `rows`, each called by the arguments of its row and, where a script made several, its own
/// name; only those called `run` where that is given. Runs without a history are left out.
///
/// # Errors
/// A history cannot be read.
pub fn histories(rows: &[Row], run: Option<&str>) -> Result<Vec<(String, History)>> {
    let mut found = Vec::new();
    for row in rows {
        let mut own = Vec::new();
        for place in Place::from(&row.folder).list().unwrap_or_default() {
            let name = place.name();
            let history = place.join("history.csv");
            if run.is_none_or(|run| run == name) && history.exists()? {
                let read = History::from_csv(&history.text("the history")?);
                own.push((name, read.map_err(|e| Error::file(history.path(), e))?));
            }
        }
        let words = row.cells.iter().filter_map(|(name, cell)| match cell {
            Cell::Text(text) => Some(format!("{name}={text}")),
            Cell::Value(_) => None,
        });
        let words = words.collect::<Vec<_>>().join(" ");
        let several = own.len() > 1;
        found.extend(own.into_iter().map(|(name, history)| match (several, words.as_str()) {
            (_, "") => (name, history),
            (true, words) => (format!("{words} {name}"), history),
            (false, words) => (words.to_string(), history),
        }));
    }
    Ok(found)
}

fn cells(arguments: &[(String, String)], record: Option<&Record>) -> Vec<(String, Cell)> {
    let mut cells: Vec<(String, Cell)> = arguments
        .iter()
        .map(|(n, v)| (n.clone(), Cell::Text(v.clone())))
        .collect();
    for (name, value) in record.into_iter().flat_map(|r| &r.result) {
        let taken = arguments.iter().any(|(n, _)| n == name);
        let name = if taken { format!("result_{name}") } else { name.clone() };
        cells.push((name, Cell::Value(value.clone())));
    }
    cells
}
