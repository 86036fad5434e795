//! The options that all trainings share.

use super::closures::Closures;
use crate::data::Augment;
use crate::ops::Precision;
use crate::script::api::Model;
use crate::script::api::known::{GivenAverage, GivenSchedule, MovingTemperature};
use crate::script::api::optim::{shape, with_groups};
use crate::script::options::Options;
use crate::script::prelude::*;
use crate::script::values::describe;
use crate::train::{Course, Keep, OptimizerConfig, Schedule, Shape, Temperature, TrainConfig};

/// Images per step, of one source or of each of several.
#[derive(Clone, Debug)]
pub(super) struct BatchSizes(Vec<usize>);

impl From<usize> for BatchSizes {
    fn from(size: usize) -> Self {
        BatchSizes(vec![size])
    }
}

impl Arg for BatchSizes {
    fn kind() -> String {
        "int or [int]".into()
    }
    fn wanted() -> String {
        "an integer >= 1, or an array of them for several sources".into()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        usize::convert(value)
            .map(|n| vec![n])
            .or_else(|| Vec::<usize>::convert(value))
            .map(BatchSizes)
    }
}

shared_options! {
    /// The options as the script gave them.
    pub(super) struct Settings {
        /// How many steps (or give `epochs`).
        steps: Option<usize> = None,
        /// How often to go through the data.
        epochs: Option<usize> = None,
        /// Images per step; with several sources one number for each.
        batch_size: BatchSizes = 8.into(),
        /// `#{ name: "sgd" | "adamw", lr, momentum, nesterov, weight_decay, groups, beta1, beta2, eps }`.
        optimizer: Nested<OptimizerConfig> = Nested::default(),
        /// `"constant"`, `"poly"`, `"cosine"`, `"step"`, `#{ name, power, gamma, every, warmup }` or a closure: step to factor.
        schedule: GivenSchedule = GivenSchedule::default(),
        /// Largest norm of all gradients together.
        clip: Option<f64> = None,
        /// `#{ scale: [0.5, 2.0], crop: [h, w], flip: 0.5 }`.
        augment: Option<Nested<Augment>> = None,
        /// Batches whose gradients are averaged for one update; a step is an update.
        accumulate: usize = 1,
        /// Keep an average of the network, `average = ema average + (1 - ema) network` after each update: `run.ema`, evaluated beside.
        /// `#{ decay: 0.99, warm_up: true, model: teacher }` lets the decay begin small, and puts the average into a network made by
        /// `copy()`, so that the loss can ask it.
        ema: GivenAverage = GivenAverage::default(),
        /// Multiply the learning rate by this for each stage from the heads to the images.
        layer_decay: Option<f64> = None,
        /// `"last"`, or `"best"`: `run.best` is a copy of the network with the best val mIoU.
        keep: String = "last".into(),
        /// Stop after so many evaluations without a better val mIoU.
        patience: Option<usize> = None,
        /// Batch norm uses its running statistics and leaves them as they are.
        frozen_norm: bool = false,
        /// Compute the maps of a frozen encoder (`frozen: true`) once per image, without `augment`: kept in memory up to a quarter of what
        /// is left, then in files in the run's folder until the run ends.
        cache_features: bool = false,
        /// Seed of everything random in the run; the session's if absent.
        seed: Option<u64> = None,
        /// `"f32"`, or `"bf16"`: the factors of convolutions rounded to bfloat16, all else (parameters, sums, statistics, losses,
        /// evaluation) in f32.
        precision: String = "f32".into(),
        /// Write `last.safetensors` every so many steps and at the end; only at the end if absent; never, pauses and failures
        /// apart, if 0.
        checkpoint_every: Option<usize> = None,
        /// Write it also after so many minutes without, against a sudden end; 0 leaves it to `checkpoint_every`.
        checkpoint_minutes: f64 = 10.0,
        /// Told `#{ step, epoch, loss, lr, metrics }` before each update; may answer "skip" or "stop"; any other answer means nothing.
        on_step: Option<FnPtr> = None,
        /// Told the same at the end of each epoch; may answer "stop"; any other answer means nothing.
        on_epoch: Option<FnPtr> = None,
    }
}

impl Settings {
    /// Put them over a task's defaults; the closures are kept apart.
    pub(super) fn apply(self, ctx: &Call, base: TrainConfig) -> Result<(TrainConfig, Closures)> {
        let path = ctx.function();
        let precision = crate::error::choose(&format!("{path}: precision"), &self.precision, &Precision::CHOICES)?;
        let keep = crate::error::choose(&format!("{path}: keep"), &self.keep, &Keep::CHOICES)?;
        let [batch_size, more_batch_sizes @ ..] = self.batch_size.0.as_slice() else {
            fail!("{path}: batch_size is empty, expected a number")
        };
        let mut closures = Closures {
            on_step: self.on_step,
            on_epoch: self.on_epoch,
            ..Closures::default()
        };
        let average = average(path, self.ema.0)?;
        closures.average = average.model;
        let (schedule, closure) = schedule(path, self.schedule.0, &base.schedule)?;
        closures.schedule = closure;
        let config = TrainConfig {
            steps: self.steps,
            epochs: self.epochs,
            batch_size: *batch_size,
            course: Course {
                accumulate: self.accumulate,
                ema: average.decay,
                ema_warm_up: average.warm_up,
                layer_decay: self.layer_decay,
                keep,
                patience: self.patience,
                frozen_norm: self.frozen_norm,
                cache_features: self.cache_features,
                more_batch_sizes: more_batch_sizes.to_vec(),
            },
            optimizer: optimizer(path, self.optimizer.options())?,
            schedule,
            clip: self.clip,
            augment: self.augment.map(|o| o.fill(&format!("{path}: augment"))).transpose()?,
            seed: self.seed.unwrap_or(ctx.session().seed()),
            precision,
            checkpoint_every: self.checkpoint_every,
            checkpoint_minutes: self.checkpoint_minutes,
            ..base
        };
        Ok((config, closures))
    }
}

/// What a run averages, and where to.
#[derive(Default)]
struct Average {
    decay: Option<f64>,
    warm_up: bool,
    model: Option<Model>,
}

/// An average from its decay or a map.
fn average(path: &str, given: Dynamic) -> Result<Average> {
    if given.is_unit() {
        return Ok(Average::default());
    }
    let path = format!("{path}: ema");
    let Some(map) = given.clone().try_cast::<Map>() else {
        let Some(decay) = <f64 as Arg>::convert(&given) else {
            fail!(
                "{path}: expected a decay such as 0.99, or #{{ decay, warm_up, model }}, found {}",
                describe(&given)
            )
        };
        return Ok(Average {
            decay: Some(decay),
            ..Average::default()
        });
    };
    let mut options = Options::new(map);
    let average = Average {
        decay: options.take(&path, "decay")?,
        warm_up: options.take_or(&path, "warm_up", false)?,
        model: options.take(&path, "model")?,
    };
    options.finish(&path)?;
    ensure!(
        average.decay.is_some(),
        "{path}: `decay` is missing, such as #{{ decay: 0.99, warm_up: true }}"
    );
    Ok(average)
}

fn optimizer(path: &str, mut options: Options) -> Result<OptimizerConfig> {
    let path = format!("{path}: optimizer");
    let groups = options.take_or(&path, "groups", Dynamic::UNIT)?;
    let config = options.fill(&path, &OptimizerConfig::default())?;
    with_groups(&path, config, &groups)
}

/// A schedule from a name, a map or a closure.
fn schedule(path: &str, given: Dynamic, default: &Schedule) -> Result<(Schedule, Option<FnPtr>)> {
    if given.is_unit() {
        return Ok((default.clone(), None));
    }
    if let Some(closure) = given.clone().try_cast::<FnPtr>() {
        return Ok((Schedule::new(Shape::Function), Some(closure)));
    }
    if let Some(map) = given.clone().try_cast::<Map>() {
        let path = format!("{path}: schedule");
        let mut options = Options::new(map);
        let Some(name) = options.take::<String>(&path, "name")? else {
            fail!("{path}: `name` is missing, such as #{{ name: \"poly\", power: 0.9, warmup: 30 }}")
        };
        let base = Schedule::new(shape(&path, &name)?);
        return Ok((options.fill(&path, &base)?, None));
    }
    match String::convert(&given) {
        Some(name) => Ok((Schedule::new(shape(path, &name)?), None)),
        None => fail!(
            "{path}: `schedule` must be a name, a map or a closure, found {}",
            describe(&given)
        ),
    }
}

/// The start of the temperature, how it moves, and the closure that moves it.
pub(super) fn temperature(path: &str, loss: &mut Options) -> Result<(Option<f64>, Temperature, Option<FnPtr>)> {
    let path = format!("{path}: loss: temperature");
    let learnable = |min, max| Temperature::Learnable { min, max };
    let given = loss.take_or(&path, "temperature", Dynamic::UNIT)?;
    if given.is_unit() {
        return Ok((None, Temperature::Fixed, None));
    }
    if let Some(number) = <f64 as Arg>::convert(&given) {
        return Ok((Some(number), Temperature::Fixed, None));
    }
    if let Some(closure) = given.clone().try_cast::<FnPtr>() {
        return Ok((None, Temperature::Function, Some(closure)));
    }
    if let Some(map) = given.clone().try_cast::<Map>() {
        let mut options = Options::new(map);
        let learnt = options.contains("learnable");
        let given = options.take_or(&path, "schedule", Dynamic::UNIT)?;
        let mut number = |name| options.take::<f64>(&path, name);
        let moving = MovingTemperature {
            learnable: number("learnable")?,
            min: number("min")?,
            max: number("max")?,
            from: number("from")?,
            to: number("to")?,
        };
        options.finish(&path)?;
        let scheduled = moving.from.is_some() || moving.to.is_some() || !given.is_unit();
        if learnt {
            ensure!(
                !scheduled,
                "{path}: `learnable` goes with `min` and `max`, not with `from`, `to` and `schedule`"
            );
            let (min, max) = (moving.min.unwrap_or(0.01), moving.max.unwrap_or(1.0));
            return Ok((moving.learnable, learnable(min, max), None));
        }
        ensure!(
            moving.min.is_none() && moving.max.is_none(),
            "{path}: `min` and `max` go with `learnable`, such as #{{ learnable: 0.07, min: 0.01, max: 1.0 }}"
        );
        let start = moving.from;
        let Some(to) = moving.to else {
            fail!("{path}: `to` is missing, such as #{{ from: 0.2, to: 0.07, schedule: \"cosine\" }}")
        };
        let (schedule, closure) = schedule(&path, given, &Schedule::new(Shape::Cosine))?;
        ensure!(
            closure.is_none(),
            "{path}: the schedule is a closure; give the closure as the temperature itself"
        );
        return Ok((start, Temperature::Scheduled { to, schedule }, None));
    }
    match given.into_immutable_string() {
        Ok(name) if name == "learnable" => Ok((None, learnable(0.01, 1.0), None)),
        Ok(name) => fail!("{path}: \"{name}\" is not known, expected a number, \"learnable\", a closure or a map"),
        Err(found) => fail!("{path}: expected a number, \"learnable\", a closure or a map, found {found}"),
    }
}
