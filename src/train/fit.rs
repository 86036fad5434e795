//! The loop: batch, loss, gradients, update, record; told to listeners, evaluated, checkpointed, paused between two steps.

use std::cell::RefCell;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};

use super::config::{Objective, Temperature};
use super::event::{Event, Flow, Hooks, Moment};
use super::folder;
use super::objective;
use super::run::{self, Run, Status};
use super::schedule::Shape;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::ops::Precision;
use crate::ops::checked_labels;
use crate::random::Random;

/// The stream of random numbers inside a step: dropout and sampling.
const STEP: u64 = 0x57E9;

/// Make the steps from `run.step` up to `until`.
pub(super) fn run(run: &mut Run, until: usize, hooks: &mut Hooks) -> Result<()> {
    if run.step >= until {
        return Ok(());
    }
    let mode = run.model.borrow().training();
    run.model.borrow().set_training(true);
    let outcome = steps(run, until, hooks);
    run.model.borrow().set_training(mode);
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

fn steps(run: &mut Run, until: usize, hooks: &mut Hooks) -> Result<()> {
    folder::write_config(run)?;
    let device = run.model.borrow().device().clone();
    let options = run.batch_options();
    let per_epoch = options.batches_per_epoch(run.identity.images).max(1);
    let mut batches = run.data()?.batches(&options, &device)?;
    let mut progress = run.session.progress(&run.name, run.steps() as u64);
    let mut scores: Vec<(String, f64)> = Vec::new();
    run.status = Status::Paused;
    while run.step < until {
        if run.session.cancelled() {
            return Ok(());
        }
        let Some(batch) = batches.next() else {
            crate::fail!("{}: the data set {} gave no batch", run.name, run.identity.name)
        };
        let batch = batch?;
        let (mut flow, facts) = step(run, &batch, &scores, hooks)?;
        run.step += 1;

        let last = run.step == run.steps();
        if last
            || run
                .config
                .eval_every
                .is_some_and(|every| run.step.is_multiple_of(every))
        {
            scores = match run.validate() {
                // Ctrl-C during an evaluation: this step is done, its score is missing.
                Err(Error::Interrupted) => Vec::new(),
                other => other?,
            };
            for (name, value) in &scores {
                run.history.amend(name, *value);
            }
        }
        if run.step.is_multiple_of(per_epoch) {
            let event = Event {
                moment: Moment::Epoch,
                step: run.step - 1,
                metrics: &scores,
                ..facts.event(&scores)
            };
            if tell(hooks, &event)? == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        if flow == Flow::Stop {
            run.status = Status::Stopped;
            return Ok(());
        }
        if run
            .config
            .checkpoint_every
            .is_some_and(|every| run.step.is_multiple_of(every))
            && run.step < until
        {
            folder::write(run)?;
        }
        let score = scores.iter().find(|(n, _)| n == "val_miou");
        let score = score.map(|(_, v)| format!(" val mIoU {v:.3}")).unwrap_or_default();
        progress.at(
            run.step as u64,
            &format!("loss {:.4} lr {:.2e}{score}", facts.loss, facts.lr),
        );
    }
    if run.step >= run.steps() {
        run.status = Status::Done;
    }
    Ok(())
}

/// What a step found out.
struct Facts {
    step: usize,
    epoch: usize,
    loss: f64,
    lr: f64,
    metrics: Vec<(String, f64)>,
}

impl Facts {
    fn event<'a>(&self, metrics: &'a [(String, f64)]) -> Event<'a> {
        Event {
            moment: Moment::Step,
            step: self.step,
            epoch: self.epoch,
            loss: self.loss,
            lr: self.lr,
            metrics,
        }
    }
}

/// One step on one batch: nothing but this changes parameters. After an error the state is that before the step.
fn step(run: &mut Run, batch: &Batch, scores: &[(String, f64)], hooks: &mut Hooks) -> Result<(Flow, Facts)> {
    // Batch norm's running statistics move in the forward pass already.
    let buffers = buffers(run)?;
    let outcome = attempt(run, batch, scores, hooks);
    if outcome.is_err() {
        restore(&buffers)?;
    }
    match outcome {
        Ok(done) => Ok(done),
        Err(Failure::NotFinite(facts)) => Err(not_finite(run, &facts)),
        Err(Failure::Other(error)) => Err(error),
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
    batch: &Batch,
    scores: &[(String, f64)],
    hooks: &mut Hooks,
) -> std::result::Result<(Flow, Facts), Failure> {
    let lr = learning_rate(run, hooks)?;
    let temperature = temperature(run, hooks)?;
    let random = RefCell::new(Random::derived(run.config.seed, &[STEP, run.step as u64]));
    let computed = match (&mut hooks.loss, &run.config.objective) {
        (Some(loss), Objective::Custom) => {
            run.model.borrow().set_precision(run.config.precision);
            let value = loss(batch, run.step);
            run.model.borrow().set_precision(Precision::F32);
            objective::Computed::new(value?)
        }
        _ => objective::compute(run, batch, temperature, &random)?,
    };
    let mut facts = Facts {
        step: run.step,
        epoch: batch.epoch,
        loss: scalar(&run.name, &computed.loss)?,
        lr,
        metrics: computed.metrics,
    };
    for warning in computed.warnings {
        if run.warned.insert(warning.clone()) {
            run.session.warn(&format!("{}: step {}: {warning}", run.name, run.step));
        }
    }
    let gradients = computed.tape.backward(&computed.loss)?;
    // The graph holds every intermediate map; nothing below needs it.
    drop(computed.loss);
    let norm = run.optimizer.gradient_norm(&gradients)?;
    facts.metrics.push(("grad_norm".into(), norm));
    if !facts.loss.is_finite() || !norm.is_finite() {
        if let Objective::CrossEntropy(options) = &run.config.objective {
            // A GPU does not stop at a label that is no class: its loss is NaN. Here there is time to name it.
            checked_labels(&batch.labels, run.model.borrow().config().classes, options.ignore_label)?;
        }
        return Err(Failure::NotFinite(facts));
    }
    warn_of_idle_parameters(run, &gradients);

    let told = [facts.metrics.as_slice(), scores].concat();
    let flow = tell(hooks, &facts.event(&told))?;
    if flow != Flow::SkipBatch {
        let scale = run.config.clip.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
        let base = run.optimizer.lr();
        run.optimizer.set_lr(lr);
        let updated = run.optimizer.step(&gradients, scale);
        run.optimizer.set_lr(base);
        updated?;
        keep_within_bounds(run)?;
        move_average(run)?;
    }
    if let (Some((features, labels)), Some(memory)) = (&computed.keys, &mut run.memory) {
        let averaged = run.average.as_ref().map(|a| objective::averaged_keys(a, batch));
        let averaged = averaged.transpose()?;
        let features = averaged.as_ref().unwrap_or(features);
        let ignored = match &run.config.objective {
            Objective::PixelContrast { options, .. } => options.ignore_label,
            _ => 255,
        };
        memory.store(features, labels, ignored, &mut random.borrow_mut())?;
    }
    let mut row = vec![
        ("step".to_string(), run.step as f64),
        ("epoch".to_string(), batch.epoch as f64),
        ("loss".to_string(), facts.loss),
        ("lr".to_string(), lr),
    ];
    row.extend(facts.metrics.iter().cloned());
    run.history.push(&row);
    Ok((flow, facts))
}

fn tell(hooks: &mut Hooks, event: &Event) -> Result<Flow> {
    match &mut hooks.listener {
        Some(listener) => listener(event),
        None => Ok(Flow::Continue),
    }
}

/// The loss as a number, which waits for the device.
fn scalar(name: &str, loss: &Tensor) -> Result<f64> {
    if loss.elem_count() != 1 {
        crate::fail!(
            "{name}: the loss must be one number, found a tensor of shape {:?}; take its mean()",
            loss.dims()
        )
    }
    Ok(loss.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?[0])
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

/// The model's running statistics with a copy of each.
fn buffers(run: &Run) -> Result<Vec<(Var, Tensor)>> {
    let model = run.model.borrow();
    let copy = |var: Var| -> Result<(Var, Tensor)> {
        let copy = var.as_detached_tensor().copy()?;
        Ok((var, copy))
    };
    model.buffers().into_iter().map(|p| copy(p.var)).collect()
}

fn restore(buffers: &[(Var, Tensor)]) -> Result<()> {
    buffers.iter().try_for_each(|(var, copy)| Ok(var.set(copy)?))
}

/// The error for a loss or gradient that is not finite; the state before this step is saved and named.
fn not_finite(run: &mut Run, facts: &Facts) -> Error {
    let norm = facts
        .metrics
        .iter()
        .find(|(n, _)| n == "grad_norm")
        .map_or(f64::NAN, |(_, v)| *v);
    let what = if facts.loss.is_finite() {
        format!(
            "the gradients are not finite (norm {norm}) while the loss is {}",
            facts.loss
        )
    } else {
        format!("the loss is {}", facts.loss)
    };
    run.status = Status::Stopped;
    let saved = match folder::write(run) {
        Ok(()) => match folder::checkpoint_path(run) {
            Ok(path) => format!("the state before this step is in {}", path.display()),
            Err(e) => format!("no checkpoint could be written ({e})"),
        },
        Err(e) => format!("no checkpoint could be written ({e})"),
    };
    Error::Training(format!(
        "{}: {what} at step {} with learning rate {:.3e}; the parameters were not updated; {saved}; a smaller learning rate, a \
         warm-up or clip usually helps",
        run.name, facts.step, facts.lr
    ))
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
