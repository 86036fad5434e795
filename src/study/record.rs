//! `result.json`: what a run of a script was and what came of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::choices;
use crate::device::{device_name, tf32};
use crate::error::Result;
use crate::session::digest::sha256;
use crate::session::{Place, Session};

/// The file's name in the run folder.
pub const FILE: &str = "result.json";

choices! {
    /// How a script ended, or that it has not.
    pub enum Outcome {
        /// It is at work, or was killed without a word.
        Running = "running",
        /// It ran to its end.
        Done = "done",
        /// It ended with an error.
        Failed = "failed",
        /// A signal ended it.
        Interrupted = "interrupted",
    }
}

/// The record of one run of a script.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// How it ended.
    pub status: Outcome,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the script said by `result(..)`.
    pub result: Map<String, Value>,
    /// Its file.
    pub script: String,
    /// SHA-256 of its text.
    pub script_sha256: String,
    /// Its text.
    pub text: String,
    /// `name=value` of the command line.
    pub arguments: BTreeMap<String, String>,
    /// The session's seed when it began.
    pub seed: u64,
    /// The device, as `cpu` or `cuda:0`.
    pub device: String,
    /// Whether f32 products on a GPU rounded their inputs to TF32.
    pub tf32: bool,
    /// Threads.
    pub threads: usize,
    /// Name and version of the program.
    pub program: String,
    /// SHA-256 of the program's file.
    pub program_sha256: String,
    /// Each training run of the script: its data and the run that its network came from, as in its `config.json`.
    pub runs: BTreeMap<String, Value>,
    /// Seconds from start to end, of all attempts the last.
    pub seconds: f64,
}

impl Record {
    /// The record in a run folder; nothing where there is none.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        Place::from(folder.join(FILE)).json("the record of a run")
    }

    /// The record of what `session` runs, as things stand.
    pub fn of(session: &Session, status: Outcome, error: Option<String>) -> Result<Self> {
        let script = session.script();
        Ok(Record {
            status,
            error,
            result: session.results(),
            script: session.script_path().display().to_string(),
            script_sha256: sha256([&script]),
            text: script,
            arguments: session.arguments(),
            seed: session.first_seed(),
            device: device_name(session.device()),
            tf32: session.device().is_cuda() && tf32(),
            threads: rayon::current_num_threads(),
            program: format!("seglab {}", env!("CARGO_PKG_VERSION")),
            program_sha256: session.program_sha256().to_string(),
            runs: runs(&session.folder()?),
            seconds: session.seconds(),
        })
    }

    /// Its results in a line, but those of several numbers: `miou 0.5000, pixel_accuracy 0.7500`.
    pub fn results(&self) -> String {
        let shown = |(name, value): (&String, &Value)| match value {
            Value::Array(_) | Value::Object(_) => None,
            Value::Number(x) if x.is_f64() => {
                let x = x.as_f64()?;
                Some(if x == 0.0 || x.abs() >= 1e-3 {
                    format!("{name} {x:.4}")
                } else {
                    format!("{name} {x:.3e}")
                })
            }
            _ => Some(format!("{name} {value}")),
        };
        self.result.iter().filter_map(shown).collect::<Vec<_>>().join(", ")
    }

    /// This record, of a run that failed for this reason.
    pub(super) fn failed(self, reason: &str) -> Self {
        Record {
            status: Outcome::Failed,
            error: Some(reason.to_string()),
            ..self
        }
    }

    /// Write it to the session's run folder.
    pub fn write(&self, session: &Session) -> Result<()> {
        self.write_to(&session.output_path(FILE)?)
    }

    /// Write it to this file.
    pub(super) fn write_to(&self, file: &Place) -> Result<()> {
        file.write_json(self)
    }
}

/// What the `config.json` of each training run below `folder` says of its data and its parent.
fn runs(folder: &Path) -> BTreeMap<String, Value> {
    let of = |(name, config): (String, Value)| {
        let part = |name: &str| config.get(name).cloned().unwrap_or(Value::Null);
        let kept = ["data", "val", "parent"].map(|name| (name.to_string(), part(name)));
        (name, Value::Object(kept.into_iter().collect()))
    };
    configs(folder).map(of).collect()
}

/// The steps of all training runs below `folder`, as their checkpoints have them.
pub(super) fn steps(folder: &Path) -> u64 {
    let steps = |(_, config): (String, Value)| config.get("step").and_then(Value::as_u64);
    configs(folder).filter_map(steps).sum()
}

/// The `config.json` of each training run below `folder`, with the run's name.
fn configs(folder: &Path) -> impl Iterator<Item = (String, Value)> {
    let entries = Place::from(folder).list().unwrap_or_default();
    entries.into_iter().filter_map(|entry| {
        let config = entry.join("config.json").json("the record of a training run").ok()??;
        Some((entry.name(), config))
    })
}
