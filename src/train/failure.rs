//! The errors that end a run; they say what was kept and how to go on.

use super::folder;
use super::ledger::Facts;
use super::run::{Run, Status};
use crate::error::Error;
use crate::session::Place;

/// Write the state of the run: where it is, or why it is nowhere.
fn saved(run: &Run) -> std::result::Result<Place, String> {
    let written = folder::write(run).and_then(|()| folder::checkpoint_path(run));
    written.map_err(|e| format!("no checkpoint could be written ({e})"))
}

/// The error for a file of the data that cannot be used: it also says what is kept, how to go on and how to find all such files.
pub(super) fn faulty_file(run: &mut Run, error: Error) -> Error {
    let Error::File { .. } = error else {
        return error;
    };
    run.status = Status::Stopped;
    let kept = match saved(run) {
        _ if run.step == 0 => String::new(),
        Ok(path) => format!(
            "; step {} of {} is in {path}: train::load(\"{path}\", #{{ data: .. }}).resume() goes on when the file is mended",
            run.step,
            run.steps(),
        ),
        Err(text) => format!("; {text}"),
    };
    Error::Training(format!(
        "{}: {error}{kept}; .histogram() of the data set reads all files and counts the bad ones",
        run.name
    ))
}

/// The error for a loss or gradient that is not finite; the state before this step is saved and named.
pub(super) fn not_finite(run: &mut Run, facts: &Facts) -> Error {
    let what = if facts.loss.is_finite() {
        format!(
            "the gradients are not finite (norm {}) while the loss is {}",
            facts.norm, facts.loss
        )
    } else {
        format!("the loss is {}", facts.loss)
    };
    run.status = Status::Stopped;
    let saved = match saved(run) {
        Ok(path) => format!("the state before this step is in {path}"),
        Err(text) => text,
    };
    Error::Training(format!(
        "{}: {what} at step {} with learning rate {:.3e}; the parameters were not updated; {saved}; a smaller learning rate, a \
         warm-up or clip usually helps",
        run.name, facts.step, facts.lr
    ))
}
