//! The run folder: `config.json` (everything resolved), `history.csv`, `last.safetensors` (all state).

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::checkpoint;
use super::run::{DataIdentity, Run};
use crate::device::{device_name, tf32};
use crate::error::{Error, Result};
use crate::session::Place;

/// Where the newest checkpoint lies.
pub(super) fn checkpoint_path(run: &Run) -> Result<Place> {
    path(run, "last.safetensors")
}

fn path(run: &Run, file: &str) -> Result<Place> {
    run.session.output_path(&format!("{}/{file}", run.name))
}

/// Write all three files; each replaces the old one in one stroke.
pub(super) fn write(run: &Run) -> Result<()> {
    write_record(run)?;
    checkpoint::save(run, &checkpoint_path(run)?)
}

/// Write `config.json` and `history.csv`.
pub(super) fn write_record(run: &Run) -> Result<()> {
    write_config(run)?;
    path(run, "history.csv")?.write(run.history.csv())
}

/// Write `config.json`.
pub(super) fn write_config(run: &Run) -> Result<()> {
    let text = serde_json::to_string_pretty(&record(run)).map_err(|e| Error::usage(e.to_string()))?;
    path(run, "config.json")?.write(text)
}

/// Everything needed to repeat the run, as JSON.
fn record(run: &Run) -> Value {
    let session = &run.session;
    let script = session.script();
    let model = run.model.borrow();
    json!({
        "program": format!("seglab {}", env!("CARGO_PKG_VERSION")),
        "name": run.name,
        "status": run.status,
        "step": run.step,
        "device": device_name(model.device()),
        "tf32": model.device().is_cuda() && tf32(),
        "threads": rayon::current_num_threads(),
        "session_seed": session.seed(),
        "model": model.config(),
        "parameters": model.parameter_count(),
        "data": run.identity,
        "val": run.val.as_ref().map(DataIdentity::of),
        "training": run.config,
        "changes": run.changes,
        "script_sha256": hex(&Sha256::digest(script.as_bytes())),
        "script": script,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
