//! The loop: batch, loss, gradients, update, record; told to listeners, evaluated, checkpointed, paused between two steps.

use std::cell::RefCell;
use std::time::Instant;

use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::buffers::Buffers;
use super::config::{Objective, Temperature};
use super::course::Feed;
use super::event::{Event, Flow, Hooks, Moment};
use super::events::EventFile;
use super::failure::{faulty_file, not_finite};
use super::folder;
use super::ledger::{self, Facts, Ledger, Number, Row};
use super::objective;
use super::run::{self, Run, Status};
use super::schedule::Shape;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::nn::Parent;
use crate::ops::{Precision, add_gradients};
use crate::random::Random;

/// The stream of random numbers inside a step: dropout and sampling.
const STEP: u64 = 0x57E9;

/// Make the steps from `run.step` up to `until`.
pub(super) fn run(run: &mut Run, until: usize, hooks: &mut Hooks) -> Result<()> {
    if run.step >= until && !run.owes_score {
        return Ok(());
    }
    let mode = run.model.borrow().training();
    run.model.borrow().set_training(true);
    let outcome = match Ledger::new(run, hooks) {
        Ok(mut ledger) => {
            let outcome = steps(run, until, hooks, &mut ledger);
            // A loss that was not finite came before whatever else ended the steps.
            settle(run, &mut ledger).and(outcome)
        }
        Err(error) => Err(error),
    };
    run.model.borrow().set_training(mode);
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
            // Whatever went wrong, the state between two steps is worth keeping; the error itself is the news.
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
    if run.step == 0 {
        warn_of_labels(run)?;
    }
    let per_epoch = run.batch_options().batches_per_epoch(run.identity.images);
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
            crate::fail!("{}: the data set {} gave no batch", run.name, run.identity.name)
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
    // The step is done, whatever happens; its score can be measured when the run goes on.
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

/// One step on one batch: nothing but this changes parameters. After an error the state is that before the step.
fn step(
    run: &mut Run,
    batch: &[Vec<Batch>],
    scores: &[(String, f64)],
    hooks: &mut Hooks,
    ledger: &mut Ledger,
) -> Result<Flow> {
    // Batch norm's running statistics move in the forward pass already.
    let buffers = Buffers::of(run)?;
    let outcome = attempt(run, batch, scores, hooks, ledger);
    match outcome {
        Ok(flow) => {
            if ledger.every > 1 {
                buffers.put_back(ledger.guard.as_ref())?;
            }
            Ok(flow)
        }
        Err(failure) => {
            ledger.take_back(run.step);
            buffers.put_back(None)?;
            match failure {
                Failure::NotFinite(facts) => Err(not_finite(run, &facts)),
                Failure::Other(error) => Err(error),
            }
        }
    }
}

/// Why a step was not made.
enum Failure {
    NotFinite(Facts),
    Other(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Other(error.into())
    }
}

fn attempt(
    run: &mut Run,
    groups: &[Vec<Batch>],
    scores: &[(String, f64)],
    hooks: &mut Hooks,
    ledger: &mut Ledger,
) -> std::result::Result<Flow, Failure> {
    let lr = learning_rate(run, hooks)?;
    let temperature = temperature(run, hooks)?;
    let whole = gradients(run, groups, temperature, hooks)?;
    let (gradients, loss) = (whole.gradients, whole.loss);
    let norm = match &ledger.guard {
        Some(guard) => {
            let squares = run.optimizer.squares(&gradients)?;
            Number::Waiting(guard.judge(&squares, &loss, run.config.clip)?)
        }
        None => Number::Known(run.optimizer.gradient_norm(&gradients)?),
    };
    ledger.push(Row {
        step: run.step,
        epoch: whole.epoch,
        lr,
        updates: run.optimizer.steps(),
        loss: Number::Waiting(loss),
        metrics: whole.metrics,
        norm,
    });
    if ledger.every > 1 {
        warn_of_idle_parameters(run, &gradients);
        update(run, &gradients, lr, 1.0, ledger)?;
        return Ok(Flow::Continue);
    }
    let Some(facts) = ledger.read()?.pop() else {
        return Err(Error::usage(format!("internal: {}: a step left nothing to read", run.name)).into());
    };
    if !facts.finite() {
        return Err(Failure::NotFinite(facts));
    }
    warn_of_idle_parameters(run, &gradients);
    let mut flow = Flow::Continue;
    if !hooks.epochs_only {
        let told = [facts.metrics.as_slice(), scores].concat();
        flow = tell(hooks, &facts.event(Moment::Step, &told))?;
    }
    if flow != Flow::SkipBatch {
        let scale = run
            .config
            .clip
            .map_or(1.0, |most| (most / (facts.norm + 1e-6)).min(1.0));
        update(run, &gradients, lr, scale, ledger)?;
    }
    for (batch, (features, labels), random) in &whole.keys {
        let averaged = run.average.as_ref().map(|a| objective::averaged_keys(a, batch));
        let averaged = averaged.transpose()?;
        let features = averaged.as_ref().unwrap_or(features);
        let ignored = match &run.config.objective {
            Objective::PixelContrast { options, .. } => options.ignore_label,
            _ => 255,
        };
        if let Some(memory) = &mut run.memory {
            memory.store(features, labels, ignored, &mut random.borrow_mut())?;
        }
    }
    run.history.push(&facts.row());
    ledger.last = Some(facts);
    Ok(flow)
}

/// What the batches of one step gave.
struct Whole<'a> {
    gradients: GradStore,
    loss: Tensor,
    epoch: usize,
    metrics: Vec<(String, Number)>,
    /// What the memory of past keys takes of each batch.
    keys: Vec<(&'a Batch, (Tensor, Tensor), RefCell<Random>)>,
}

/// The loss of a step and its gradients: the means over the batches that are accumulated.
fn gradients<'a>(
    run: &mut Run,
    groups: &'a [Vec<Batch>],
    temperature: Option<f64>,
    hooks: &mut Hooks,
) -> Result<Whole<'a>> {
    let count = groups.len();
    let mut whole: Option<Whole> = None;
    for (i, group) in groups.iter().enumerate() {
        let Some(batch) = group.first() else { continue };
        let pass = run.step * count + i;
        let random = RefCell::new(Random::derived(run.config.seed, &[STEP, pass as u64]));
        let computed = match (&mut hooks.loss, &run.config.objective) {
            (Some(loss), Objective::Custom) => {
                run.model
                    .borrow()
                    .set_manner(run.config.precision, run.config.course.frozen_norm);
                let value = loss(group, pass);
                run.model.borrow().set_manner(Precision::F32, false);
                objective::Computed::of(value?)
            }
            _ => objective::compute(run, batch, temperature, &random, &hooks.tape)?,
        };
        let mut share = ledger::scalar(&run.name, &computed.loss)?;
        let mut minimised = computed.loss;
        if count > 1 {
            let part = 1.0 / count as f64;
            (share, minimised) = ((share * part)?, (minimised * part)?);
        }
        for warning in computed.warnings {
            let times = run.warned.entry(warning.clone()).or_default();
            *times += 1;
            if *times == 1 {
                run.session.warn(&format!("{}: step {}: {warning}", run.name, run.step));
            }
        }
        let gradients = hooks.tape.backward(&minimised)?;
        // The graph holds every intermediate map; nothing below needs it.
        drop(minimised);
        let keys = computed.keys.map(|keys| (batch, keys, random));
        whole = Some(match whole {
            None => Whole {
                gradients,
                loss: share,
                epoch: batch.epoch,
                metrics: computed.metrics,
                keys: keys.into_iter().collect(),
            },
            Some(so_far) => Whole {
                gradients: add_gradients(so_far.gradients, &gradients)?,
                loss: (so_far.loss + share)?,
                epoch: so_far.epoch,
                // counts and temperatures are those of the last batch
                metrics: computed.metrics,
                keys: so_far.keys.into_iter().chain(keys).collect(),
            },
        });
    }
    match whole {
        Some(whole) => Ok(whole),
        None => crate::fail!("internal: {}: a step without a batch", run.name),
    }
}

/// Move the parameters, and what follows them; on a GPU by what its guard says, else with the gradients times `scale`.
fn update(run: &mut Run, gradients: &GradStore, lr: f64, scale: f64, ledger: &Ledger) -> Result<()> {
    let base = run.optimizer.lr();
    run.optimizer.set_lr(lr);
    let updated = match &ledger.guard {
        Some(guard) => run.optimizer.step_guarded(gradients, guard),
        None => run.optimizer.step(gradients, scale),
    };
    run.optimizer.set_lr(base);
    updated?;
    keep_within_bounds(run)?;
    run.beside.follow(&run.model.borrow(), &run.config.course)?;
    move_average(run)
}

fn tell(hooks: &mut Hooks, event: &Event) -> Result<Flow> {
    match &mut hooks.listener {
        Some(listener) => listener(event),
        None => Ok(Flow::Continue),
    }
}

fn learning_rate(run: &Run, hooks: &mut Hooks) -> Result<f64> {
    let schedule = &run.config.schedule;
    let mut factor = schedule.factor(run.step, run.steps());
    if schedule.name == Shape::Function {
        match &mut hooks.schedule {
            Some(given) => factor *= given(run.step)?,
            None => crate::fail!(
                "{}: the schedule is a function of the step; give it again to go on",
                run.name
            ),
        }
    }
    Ok(run.optimizer.lr() * factor)
}

/// The temperature of this step, unless it is fixed or learnt.
fn temperature(run: &Run, hooks: &mut Hooks) -> Result<Option<f64>> {
    let Objective::PixelContrast { options, temperature } = &run.config.objective else {
        return Ok(None);
    };
    let value = match temperature {
        Temperature::Fixed | Temperature::Learnable { .. } => return Ok(None),
        Temperature::Scheduled { to, schedule } => {
            to + (options.temperature - to) * schedule.factor(run.step, run.steps())
        }
        Temperature::Function => match &mut hooks.temperature {
            Some(given) => given(run.step)?,
            None => crate::fail!(
                "{}: the temperature is a function of the step; give it again to go on",
                run.name
            ),
        },
    };
    crate::ensure!(
        value.is_finite() && value > 0.0,
        "{}: the temperature at step {} is {value}, expected a number above 0",
        run.name,
        run.step
    );
    Ok(Some(value))
}

fn keep_within_bounds(run: &Run) -> Result<()> {
    let Objective::PixelContrast {
        temperature: Temperature::Learnable { min, max },
        ..
    } = &run.config.objective
    else {
        return Ok(());
    };
    if let Some(var) = &run.temperature {
        var.set(&var.as_detached_tensor().clamp(*min, *max)?)?;
    }
    Ok(())
}

/// The averaged network follows the model. In the first steps with the momentum `1 - 1 / (updates + 1)` of Mean Teacher
/// (Tarvainen and Valpola 2017), as long as it is smaller: an average that starts at random numbers would remember them
/// for thousands of steps.
fn move_average(run: &Run) -> Result<()> {
    if let (Some(average), Some(momentum)) = (&run.average, run::averaging(&run.config)) {
        let updates = run.optimizer.steps() as f64;
        average.follow(&run.model.borrow(), momentum.min(1.0 - 1.0 / (updates + 1.0)))?;
    }
    Ok(())
}

/// Say before the first step what is doubtful about the labels. A file that cannot be read stops the step that needs it.
fn warn_of_labels(run: &Run) -> Result<()> {
    match run.data()?.label_doubts(&run.session.cancel_flag()) {
        Ok(doubts) => doubts
            .iter()
            .for_each(|doubt| run.session.warn(&format!("{}: {doubt}", run.name))),
        Err(Error::Interrupted) => return Err(Error::Interrupted),
        Err(_) => {}
    }
    Ok(())
}

/// Once, at the first step: parameters that a loss of ours should move but does not.
fn warn_of_idle_parameters(run: &Run, gradients: &GradStore) {
    if run.step > 0 || matches!(run.config.objective, Objective::Custom) {
        return;
    }
    let idle = run.optimizer.without_gradient(gradients);
    if let Some(first) = idle.first() {
        let text = format!(
            "{}: {} parameters receive no gradient (first: {first})",
            run.name,
            idle.len()
        );
        run.session.warn(&text);
    }
}
