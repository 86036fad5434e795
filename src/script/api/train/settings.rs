//! The options that all trainings share.

use super::closures::Closures;
use crate::data::Augment;
use crate::ops::Precision;
use crate::script::api::optim::{shape, with_groups};
use crate::script::options::Options;
use crate::script::prelude::*;
use crate::train::{OptimizerConfig, Schedule, Shape, Temperature, TrainConfig};

/// The options as the script gave them.
pub(super) struct Settings {
    pub(super) steps: Option<usize>,
    pub(super) epochs: Option<usize>,
    pub(super) batch_size: usize,
    pub(super) optimizer: Options,
    pub(super) schedule: Dynamic,
    pub(super) clip: Option<f64>,
    pub(super) augment: Option<Options>,
    pub(super) seed: Option<u64>,
    pub(super) precision: String,
    pub(super) checkpoint_every: Option<usize>,
    pub(super) eval_every: Option<usize>,
    pub(super) on_step: Option<FnPtr>,
    pub(super) on_epoch: Option<FnPtr>,
}

impl Settings {
    /// Put them over a task's defaults; the closures are kept apart.
    pub(super) fn apply(self, ctx: &Call, base: TrainConfig) -> Result<(TrainConfig, Closures)> {
        let path = ctx.function();
        let precision = crate::error::choose(&format!("{path}: precision"), &self.precision, &Precision::CHOICES)?;
        let mut closures = Closures {
            on_step: self.on_step,
            on_epoch: self.on_epoch,
            ..Closures::default()
        };
        let (schedule, closure) = schedule(path, self.schedule, &base.schedule)?;
        closures.schedule = closure;
        let augment = |o: Options| o.fill(&format!("{path}: augment"), &Augment::default());
        let config = TrainConfig {
            steps: self.steps,
            epochs: self.epochs,
            batch_size: self.batch_size,
            optimizer: optimizer(path, self.optimizer)?,
            schedule,
            clip: self.clip,
            augment: self.augment.map(augment).transpose()?,
            seed: self.seed.unwrap_or(ctx.session().seed()),
            precision,
            checkpoint_every: self.checkpoint_every,
            eval_every: self.eval_every,
            ..base
        };
        Ok((config, closures))
    }
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
    match given.into_immutable_string() {
        Ok(name) => Ok((Schedule::new(shape(path, &name)?), None)),
        Err(found) => fail!("{path}: `schedule` must be a name, a map or a closure, found {found}"),
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
        if options.contains("learnable") {
            let start = options.take::<f64>(&path, "learnable")?;
            let min = options.take_or(&path, "min", 0.01)?;
            let max = options.take_or(&path, "max", 1.0)?;
            options.finish(&path)?;
            return Ok((start, learnable(min, max), None));
        }
        let start = options.take::<f64>(&path, "from")?;
        let Some(to) = options.take::<f64>(&path, "to")? else {
            fail!("{path}: `to` is missing, such as #{{ from: 0.2, to: 0.07, schedule: \"cosine\" }}")
        };
        let given = options.take_or(&path, "schedule", Dynamic::UNIT)?;
        options.finish(&path)?;
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
