//! The loop: batch, loss, gradients, update, record; told to listeners, evaluated, checkpointed, paused between two steps.

use std::time::Instant;

use super::config::Objective;
use super::course::Feed;
use super::event::{Event, Flow, Hooks, Moment};
use super::events::EventFile;
use super::failure::{faulty_file, not_finite};
use super::features;
use super::folder;
use super::ledger::{Facts, Ledger};
use super::run::{Run, Status};
use super::step::step;
use crate::error::{Error, Result};
use crate::nn::Parent;

/// Make the steps from `run.step` up to `until`.
pub(super) fn run(run: &mut Run, until: usize, hooks: &mut Hooks) -> Result<()> {
    if run.step >= until && !run.owes_score {
        folder::catch_up(run);
        return Ok(());
    }
    let mode = run.model.borrow().training();
    run.model.borrow().set_training(true);
    let outcome = match Ledger::new(run, hooks) {
        Ok(mut ledger) => {
            let outcome = steps(run, until, hooks, &mut ledger);
            // A loss that was not finite is the earlier error, so it is the one that is told.
            settle(run, &mut ledger).and(outcome)
        }
        Err(error) => Err(error),
    };
    let model = run.model.borrow();
    model.set_training(mode);
    drop(model);
    descend(run);
    match outcome {
        // A Ctrl-C inside a function of the caller's: the step was undone, the run stands before it.
        Ok(()) | Err(Error::Interrupted) => {
            if run.status == Status::Done && run.config.checkpoint_every == Some(0) {
                return folder::write_record(run);
            }
            folder::write(run)
        }
        Err(error) => {
            run.status = Status::Stopped;
            // The checkpoint after the last whole step is kept; the caller is told of this error, not of one in writing.
            if run.step > 0 && !matches!(error, Error::Training(_)) {
                let _ = folder::write(run);
            }
            Err(error)
        }
    }
}

/// From now on the model's numbers come from this run.
fn descend(run: &Run) {
    if let (true, Ok(path), Ok(mut model)) = (run.step > 0, run.checkpoint_path(), run.model.try_borrow_mut()) {
        let path = path.path().with_file_name("").display().to_string();
        model.origin.parent = Some(Parent {
            path,
            step: Some(run.step),
        });
    }
}

fn steps(run: &mut Run, until: usize, hooks: &mut Hooks, ledger: &mut Ledger) -> Result<()> {
    folder::begin(run)?;
    features::begin(run)?;
    if run.step == 0 {
        warn_of_labels(run)?;
    }
    let per_epoch = run.batch_options().batches_per_epoch(run.identities[0].images);
    let per_epoch = per_epoch.div_ceil(run.config.course.accumulate).max(1);
    let mut batches = Feed::new(run)?;
    let mut progress = run.session.progress(&run.name, run.step as u64, until as u64);
    let mut scores: Vec<(String, f64)> = Vec::new();
    run.status = Status::Paused;
    let mut saved = Instant::now();
    let mut events = match run.session.event_files() {
        true => Some(EventFile::of(run)?),
        false => None,
    };
    if run.owes_score && evaluate(run, &mut scores)? {
        run.status = Status::Stopped;
        return Ok(());
    }
    while run.step < until {
        if run.session.cancelled() {
            return Ok(());
        }
        let Some(batch) = batches.next() else {
            crate::fail!("{}: the data set {} gave no batch", run.name, run.identities[0].name)
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                settle(run, ledger)?;
                return Err(faulty_file(run, error));
            }
        };
        let mut flow = step(run, &batch, &scores, hooks, ledger)?;
        drop(batch);
        run.step += 1;

        let due = |every: Option<usize>| every.is_some_and(|every| run.step.is_multiple_of(every));
        let score = run.scored();
        let save = (due(run.config.checkpoint_every) || overdue(run, saved)) && run.step < until;
        let epoch = run.step.is_multiple_of(per_epoch) && hooks.listener.is_some();
        if ledger.full() || score || save || epoch || flow == Flow::Stop || run.step == until {
            settle(run, ledger)?;
        }
        if score && evaluate(run, &mut scores)? {
            flow = Flow::Stop;
        }
        if let Some(events) = &mut events {
            events.update(&run.history)?;
            if let (true, Some(val)) = (score, &run.val) {
                events.example(run, val)?;
            }
        }
        if let (true, Some(facts)) = (epoch, &ledger.last)
            && tell(hooks, &facts.event(Moment::Epoch, &scores))? == Flow::Stop
        {
            flow = Flow::Stop;
        }
        if flow == Flow::Stop {
            run.status = Status::Stopped;
            return Ok(());
        }
        if save {
            folder::write(run)?;
            saved = Instant::now();
        }
        let score = scores.iter().find(|(n, _)| n == "val_miou");
        let score = score.map(|(_, v)| format!(" val mIoU {v:.3}")).unwrap_or_default();
        let known = ledger.last.as_ref();
        let known = known.map(|f| format!("loss {:.4}{} lr {:.2e}{score}", f.loss, named(run, f), f.lr));
        progress.at(run.step as u64, &known.unwrap_or_default());
    }
    if run.step >= run.steps() && !run.owes_score {
        run.status = Status::Done;
        for (warning, times) in std::mem::take(&mut run.warned) {
            if times > 1 {
                run.session
                    .warn(&format!("{}: in {times} of its steps: {warning}", run.name));
            }
        }
    }
    Ok(())
}

/// Score the validation set, write that into the newest row of the history and judge it; true where the run's patience is over.
fn evaluate(run: &mut Run, scores: &mut Vec<(String, f64)>) -> Result<bool> {
    // The step stays made if the evaluation fails; the score is then owed until the run goes on.
    run.owes_score = true;
    match run.validate() {
        Ok(found) => *scores = found,
        Err(Error::Interrupted) => return Ok(false),
        Err(error) => return Err(faulty_file(run, error)),
    }
    run.owes_score = false;
    for (name, value) in scores.iter() {
        run.history.amend(name, *value);
    }
    let (model, course) = (run.model.clone(), &run.config.course);
    let over = run.beside.judge(scores, &model.borrow(), course, run.step)? && run.step < run.steps();
    if over {
        let text = format!(
            "{}: stopped at step {} after {} evaluations without a better val mIoU than {:.4} of step {}",
            run.name,
            run.step,
            run.beside.judged.since,
            run.beside.judged.best.unwrap_or(f64::NAN),
            run.beside.judged.step
        );
        run.session.print(&text);
    }
    Ok(over)
}

/// Whether a checkpoint must be written because the last one is too old.
fn overdue(run: &Run, saved: Instant) -> bool {
    let (every, minutes) = (run.config.checkpoint_every, run.config.checkpoint_minutes);
    every != Some(0) && minutes > 0.0 && saved.elapsed().as_secs_f64() >= 60.0 * minutes
}

/// The numbers that a loss of the caller's named, for the bar.
fn named(run: &Run, facts: &Facts) -> String {
    let own = matches!(run.config.objective, Objective::Custom);
    let numbers = facts.metrics.iter().filter(|(name, _)| own && name != "grad_norm");
    numbers
        .take(3)
        .map(|(name, value)| format!(" {name} {value:.4}"))
        .collect()
}

/// Read what the last steps found out and write it into the history. A step that was not finite undid itself and those after it on
/// the device; the run goes back to before it and ends with the error.
fn settle(run: &mut Run, ledger: &mut Ledger) -> Result<()> {
    for facts in ledger.read()? {
        if !facts.finite() {
            run.step = facts.step;
            run.optimizer.rewind(facts.updates);
            return Err(not_finite(run, &facts));
        }
        run.history.push(&facts.row());
        ledger.last = Some(facts);
    }
    Ok(())
}

/// Tell the listener, if there is one.
pub(super) fn tell(hooks: &mut Hooks, event: &Event) -> Result<Flow> {
    match &mut hooks.listener {
        Some(listener) => listener(event),
        None => Ok(Flow::Continue),
    }
}

/// Say before the first step what is doubtful about the labels. A file that cannot be read stops the step that needs it.
fn warn_of_labels(run: &Run) -> Result<()> {
    match run.data()?[0].label_doubts(&run.session.cancel_flag()) {
        Ok(doubts) => doubts
            .iter()
            .for_each(|doubt| run.session.warn(&format!("{}: {doubt}", run.name))),
        Err(Error::Interrupted) => return Err(Error::Interrupted),
        Err(_) => {}
    }
    Ok(())
}
