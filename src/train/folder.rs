//! The run folder: `config.json` (everything resolved), `history.csv`, `last.safetensors` (all state).
//!
//! A new run gets a folder of its own below the session's. A run that was read from the `last.safetensors` of a run folder goes on in that
//! folder, wherever it lies.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::Change;
use super::checkpoint;
use super::config::TrainConfig;
use super::run::{DataIdentity, Run, Status};
use crate::device::{device_name, tf32};
use crate::error::{Error, Result};
use crate::nn::Parent;
use crate::session::digest::sha256;
use crate::session::{Place, Session};

const CHECKPOINT: &str = "last.safetensors";
const HISTORY: &str = "history.csv";
const CONFIG: &str = "config.json";
const FILES: &str = "data.csv";
/// Image files are read once more for their hash where all of them have at most so many bytes.
const MOST_HASHED: u64 = 1 << 30;

/// The program, the script and their settings that made a run, or went on with it later.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Sitting {
    /// The step it began at.
    from_step: usize,
    program: String,
    device: String,
    tf32: bool,
    threads: usize,
    session_seed: u64,
    /// What the script was given on the command line, as written.
    arguments: BTreeMap<String, String>,
    script_sha256: String,
    script: String,
}

/// `config.json`: everything needed to repeat the run.
#[derive(Serialize)]
struct ConfigFile<'a> {
    name: &'a str,
    status: Status,
    step: usize,
    model: Value,
    model_seed: Option<u64>,
    parent: &'a Option<Parent>,
    parameters: usize,
    data: &'a DataIdentity,
    val: Option<DataIdentity>,
    training: &'a TrainConfig,
    changes: &'a [Change],
    #[serde(flatten)]
    made: &'a Sitting,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    continued: &'a [Sitting],
}

/// What of `config.json` a run that goes on in its folder keeps. A file of an older program lacks some of it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    pub(super) model_seed: Option<u64>,
    pub(super) parent: Option<Parent>,
    #[serde(flatten)]
    made: Sitting,
    continued: Vec<Sitting>,
}

impl Kept {
    /// Who made the run and who went on with it.
    pub(super) fn sittings(self) -> Vec<Sitting> {
        std::iter::once(self.made).chain(self.continued).collect()
    }
}

/// A free name for a new run below the session's folder.
pub(super) fn claim_name(session: &Session, wanted: &str) -> String {
    // A folder with nothing but a config.json is of a run that ended before it had anything to keep.
    let earlier = Cell::new(None);
    let name = session.claim_name(wanted, |folder| {
        let taken = [CHECKPOINT, HISTORY].iter().any(|file| folder.join(file).exists());
        if taken {
            earlier.set(Some(folder.to_path_buf()));
        }
        taken
    });
    if let Some(earlier) = earlier.take() {
        session.warn(&format!(
            "{} holds an earlier run, so this one is kept as {name}; --overwrite replaces, train::load(\"{}\", #{{ data: .. }}) goes on \
             with the earlier one",
            earlier.display(),
            earlier.join(CHECKPOINT).display()
        ));
    }
    name
}

/// The folder that the run in this checkpoint lives in, with its record, if the checkpoint is a run folder's and no other run of this
/// session goes on there.
pub(super) fn home(session: &Session, checkpoint: &Place) -> Option<(PathBuf, Kept)> {
    if checkpoint.path().file_name()? != CHECKPOINT {
        return None;
    }
    let folder = std::path::absolute(checkpoint.path()).ok()?.parent()?.to_path_buf();
    if !checkpoint.at(folder.join(CONFIG)).exists().ok()? {
        return None;
    }
    let kept = kept(checkpoint);
    session.claim(&folder).then_some((folder, kept))
}

/// What the `config.json` beside a checkpoint says of who made the run.
pub(super) fn kept(checkpoint: &Place) -> Kept {
    let record = checkpoint.at(checkpoint.path().with_file_name(CONFIG));
    record.json("the record of the run").ok().flatten().unwrap_or_default()
}

/// Where the newest checkpoint lies.
pub(super) fn checkpoint_path(run: &Run) -> Result<Place> {
    path(run, CHECKPOINT)
}

fn path(run: &Run, file: &str) -> Result<Place> {
    match &run.home {
        Some(folder) => run.session.output_path(folder.join(file)),
        None => run.session.output_path(Path::new(&run.name).join(file)),
    }
}

/// Where the maps of a frozen encoder lie that do not fit into memory.
pub(super) fn features_path(run: &Run) -> Result<Place> {
    path(run, "features")
}

/// Take the folder before steps are made: held against other processes, with the script at work in the record.
pub(super) fn begin(run: &mut Run) -> Result<()> {
    if let Some(above) = run.home.as_ref().and_then(|folder| folder.parent()) {
        run.session.hold(above)?;
    }
    match run.sittings.last_mut() {
        Some(sitting) if run.begun => {
            let now = Sitting::now(&run.session, sitting.from_step, &run.model.borrow());
            (sitting.script_sha256, sitting.script) = (now.script_sha256, now.script);
        }
        _ => {
            let now = Sitting::now(&run.session, run.step, &run.model.borrow());
            run.sittings.push(now);
            if run.step == 0 && run.home.is_none() {
                // A run that may be overwritten: its checkpoint would not fit the new record.
                for file in [CHECKPOINT, HISTORY, FILES] {
                    let _ = std::fs::remove_file(path(run, file)?.path());
                }
            }
            run.begun = true;
            write_files(run)?;
        }
    }
    write_record(run)
}

/// Write `data.csv`: the image and label files that the run is trained on, with the SHA-256 of their contents, so that a changed file
/// can be named later. Sets that are drawn or made by a script have none; contents are left out where reading all takes long.
fn write_files(run: &Run) -> Result<()> {
    let Ok(data) = run.data() else { return Ok(()) };
    let files: Vec<PathBuf> = data[0].files().collect();
    let sizes: Vec<u64> = files.iter().map(|f| f.metadata().map_or(0, |m| m.len())).collect();
    if files.is_empty() || path(run, FILES)?.exists()? {
        return Ok(());
    }
    let read_all = sizes.iter().sum::<u64>() <= MOST_HASHED;
    let hash = |file: &PathBuf| match read_all {
        true => Place::from(file)
            .bytes("the file", MOST_HASHED)
            .map_or(String::new(), |bytes| sha256([bytes])),
        false => String::new(),
    };
    let hashes: Vec<String> = files.par_iter().map(hash).collect();
    let mut table = csv::Writer::from_writer(Vec::new());
    let failed = |e: csv::Error| Error::usage(format!("{FILES}: {e}"));
    table.write_record(["file", "bytes", "sha256"]).map_err(failed)?;
    for ((file, size), hash) in files.iter().zip(sizes).zip(hashes) {
        let name = file.display().to_string();
        table.write_record([name, size.to_string(), hash]).map_err(failed)?;
    }
    let bytes = table.into_inner().map_err(|e| Error::usage(format!("{FILES}: {e}")))?;
    path(run, FILES)?.write(bytes)
}

/// Write all files; each replaces the old one in one stroke. The checkpoint comes first: whatever is left out by a sudden end
/// follows from it.
pub(super) fn write(run: &Run) -> Result<()> {
    checkpoint::save(run, &checkpoint_path(run)?)?;
    write_record(run)
}

/// Complete the record of a run that was read complete: a sudden end after its last checkpoint may have left the record behind, and a file
/// half written. A folder that cannot be written to, or that another process works in, keeps what it has.
pub(super) fn catch_up(run: &Run) {
    if run.begun {
        return;
    }
    if let Some(above) = run.home.as_ref().and_then(|folder| folder.parent())
        && run.session.hold(above).is_ok()
        && let Ok(record) = record(run)
    {
        let behind = |(place, text): &(Place, String)| place.text("the record").ok().as_ref() != Some(text);
        let _ = record
            .into_iter()
            .filter(behind)
            .try_for_each(|(place, text)| place.write(text));
    }
}

/// Write the record.
pub(super) fn write_record(run: &Run) -> Result<()> {
    record(run)?.into_iter().try_for_each(|(place, text)| place.write(text))
}

/// The record of the run: `config.json` and, once there is one, `history.csv`.
fn record(run: &Run) -> Result<Vec<(Place, String)>> {
    let (model, nobody) = (run.model.borrow(), Sitting::default());
    let (made, continued) = run.sittings.split_first().unwrap_or((&nobody, &[]));
    let record = ConfigFile {
        name: &run.name,
        status: run.status,
        step: run.step,
        model: model.record()?,
        model_seed: run.model_seed,
        parent: &run.parent,
        parameters: model.parameter_count(),
        data: &run.identities[0],
        val: run.val.as_ref().map(DataIdentity::of),
        training: &run.config,
        changes: &run.changes,
        made,
        continued,
    };
    let text = serde_json::to_string_pretty(&record).map_err(|e| Error::usage(e.to_string()))?;
    let mut files = vec![(path(run, CONFIG)?, text)];
    if !run.history.is_empty() {
        files.push((path(run, HISTORY)?, run.history.csv()));
    }
    Ok(files)
}

impl Sitting {
    fn now(session: &Session, from_step: usize, model: &crate::nn::Segmenter) -> Self {
        let script = session.script();
        Sitting {
            from_step,
            program: format!("seglab {}", env!("CARGO_PKG_VERSION")),
            device: device_name(model.device()),
            tf32: model.device().is_cuda() && tf32(),
            threads: rayon::current_num_threads(),
            session_seed: session.seed(),
            arguments: session.arguments(),
            script_sha256: sha256([&script]),
            script,
        }
    }
}
