//! One step: loss, gradients, update. Nothing else changes parameters.

use std::cell::RefCell;

use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::buffers::Buffers;
use super::config::Objective;
use super::course;
use super::event::{Flow, Hooks, Moment};
use super::failure::not_finite;
use super::features;
use super::fit::tell;
use super::ledger::{self, Facts, Ledger, Number, Row};
use super::objective;
use super::run::Run;
use super::schedule::Shape;
use super::temperature::Temperature;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::nn::Pass;
use crate::ops::add_gradients;
use crate::random::Random;

/// The stream of random numbers inside a step: dropout and sampling.
const STEP: u64 = 0x57E9;

/// One step on the batches of each source. After an error the state is that before the step.
pub(super) fn step(
    run: &mut Run,
    batch: &[Vec<Batch>],
    scores: &[(String, f64)],
    hooks: &mut Hooks,
    ledger: &mut Ledger,
) -> Result<Flow> {
    // Batch norm's running statistics move in the forward pass already, and a loss of the caller's may fill a memory.
    let buffers = Buffers::of(run)?;
    let memories = run.beside.memories.copies();
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
            run.beside.memories.put_back(memories);
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
        let known = features::known(run, group)?;
        let number = run.step * count + i;
        let random = RefCell::new(Random::derived(run.config.seed, &[STEP, number as u64]));
        let mut pass = Pass::training(&random).on(&hooks.tape).at(run.config.precision);
        pass = pass.knowing(&known);
        pass.frozen_norm = run.config.course.frozen_norm;
        let computed = match (&mut hooks.loss, &run.config.objective) {
            (Some(loss), Objective::Custom) => objective::Computed::of(loss(group, &pass, number)?),
            _ => objective::compute(run, batch, temperature, &pass, &random)?,
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
    let updates = run.optimizer.steps();
    run.beside.follow(&run.model.borrow(), &run.config.course, updates)?;
    move_average(run)
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

/// The network whose features the memory keeps follows the model.
fn move_average(run: &Run) -> Result<()> {
    if let (Some(average), Some(momentum)) = (&run.average, run.config.averaging()) {
        average.follow(&run.model.borrow(), course::warmed_up(momentum, run.optimizer.steps()))?;
    }
    Ok(())
}

/// Once, at the first step: parameters that a loss of ours should move but does not.
fn warn_of_idle_parameters(run: &Run, gradients: &GradStore) {
    if run.step > 0 {
        return;
    }
    let idle = run.optimizer.without_gradient(gradients);
    if idle.len() == run.optimizer.parameters().count() {
        let text = "the loss depends on none of the parameters that are trained, which stay as they are";
        run.session.warn(&format!("{}: {text}", run.name));
        return;
    }
    // a loss of one's own may well leave out a head
    if matches!(run.config.objective, Objective::Custom) {
        return;
    }
    if let Some(first) = idle.first() {
        let text = format!(
            "{}: {} parameters receive no gradient (first: {first})",
            run.name,
            idle.len()
        );
        run.session.warn(&text);
    }
}
