//! The options that all trainings share and only scripts have.

use super::closures::Closures;
use crate::options::Inside;
use crate::script::api::Model;
use crate::script::prelude::*;
use crate::train::{AverageOptions, Preset, TrainConfig};

/// How a run averages its network: a decay, or a map with more.
pub(super) enum Average {
    Decay(f64),
    Map(Nested<AverageOptions>),
}

impl Arg for Average {
    const FINITE: bool = true;
    const KIND: &'static str = "float or map";
    const WANTED: &'static str = "a decay such as 0.99, or #{ decay, warm_up, model }";
    fn inside() -> Inside {
        Nested::<AverageOptions>::inside()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        let decay = f64::convert(value).map(Average::Decay);
        decay.or_else(|| Nested::convert(value).map(Average::Map))
    }
}

shared_options! {
    /// What scripts can give beside the numbers of a run.
    pub(super) struct Extras {
        /// Settings of a publication, which options given beside it go before.
        preset: Option<Preset> = None,
        /// Images per step, 8 or as many as the preset's if absent; with several sources one number for each.
        batch_size: Option<Several<usize>> = None,
        ema: Option<Average> = None,
        /// Told `#{ step, epoch, loss, lr, metrics }` before each update; may answer "skip" or "stop"; any other answer means nothing.
        on_step: Option<FnPtr> = None,
        /// Told the same at the end of each epoch; may answer "stop"; any other answer means nothing.
        on_epoch: Option<FnPtr> = None,
    }
}

impl Extras {
    /// A task's defaults with the given options over them; the closures are kept apart.
    pub(super) fn over(
        self,
        ctx: &Call,
        base: TrainConfig,
        given: Nested<TrainConfig>,
    ) -> Result<(TrainConfig, Closures)> {
        let path = ctx.function();
        let base = match self.preset {
            Some(preset) => preset.over(base)?,
            None => base,
        };
        let batch_sizes = self.batch_size.map_or_else(|| vec![base.batch_size], |given| given.0);
        let [batch_size, more @ ..] = batch_sizes.as_slice() else {
            fail!("{path}: batch_size is empty, expected a number")
        };
        let (average, decay, warm_up) = match self.ema {
            None => (None, None, false),
            Some(Average::Decay(decay)) => (None, Some(decay), false),
            Some(Average::Map(mut map)) => {
                let path = format!("{path}: ema");
                let model = map.take::<Model>(&path, "model")?;
                let read = map.read(&path)?;
                ensure!(
                    read.decay.is_some(),
                    "{path}: `decay` is missing, such as #{{ decay: 0.99, warm_up: true }}"
                );
                (model, read.decay, read.warm_up)
            }
        };
        let closures = Closures {
            average,
            schedule: given.closure("schedule"),
            on_step: self.on_step,
            on_epoch: self.on_epoch,
            ..Closures::default()
        };
        let base = TrainConfig {
            batch_size: *batch_size,
            seed: ctx.session().seed(),
            ..base
        };
        let mut config = given.over(path, base)?;
        config.course.more_batch_sizes = more.to_vec();
        (config.course.ema, config.course.ema_warm_up) = (decay, warm_up);
        Ok((config, closures))
    }
}
