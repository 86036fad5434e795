//! The temperature of a pretraining, which may move.

use serde::{Deserialize, Serialize};

use super::schedule::{Schedule, Shape};
use crate::error::{POSITIVE, Result, in_range};
use crate::loss::PixelContrastOptions;
use crate::options::{Arg, Field, Given, Inside, OptionSet, Problem, Reading, wrong};
use crate::{ensure, options};

/// How the temperature of the contrastive loss moves; it starts at the loss's own `temperature`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Temperature {
    /// It stays.
    #[default]
    Fixed,
    /// From the start to `to`: `to + (start - to) * factor(step)`.
    Scheduled {
        /// The value where the schedule's factor is 0.
        to: f64,
        /// The shape between the two.
        schedule: Schedule,
    },
    /// A parameter trained with the others (no weight decay), kept within bounds.
    Learnable {
        /// Lower bound.
        min: f64,
        /// Upper bound.
        max: f64,
    },
    /// Given by a function of the step that the caller supplies.
    Function,
}

/// Bounds of a learnt temperature.
const BOUNDS: [f64; 2] = [0.01, 1.0];

impl Temperature {
    /// Learnt between the usual bounds, or these.
    fn learnable(min: Option<f64>, max: Option<f64>) -> Self {
        Temperature::Learnable {
            min: min.unwrap_or(BOUNDS[0]),
            max: max.unwrap_or(BOUNDS[1]),
        }
    }

    /// Refuse temperatures that are not above 0.
    pub(super) fn check(&self, start: f64) -> Result<()> {
        let positive = |what: &str, value: f64| in_range("pretrain", what, value, POSITIVE);
        positive("temperature", start)?;
        match self {
            Temperature::Scheduled { to, schedule } => {
                positive("temperature: to", *to)?;
                schedule.check()
            }
            Temperature::Learnable { min, max } => {
                positive("temperature: min", *min)?;
                positive("temperature: max", *max)?;
                ensure!(
                    *min <= start && start <= *max,
                    "pretrain: the temperature starts at {start}, outside its bounds {min} to {max}"
                );
                Ok(())
            }
            Temperature::Fixed | Temperature::Function => Ok(()),
        }
    }
}

options! {
    /// The map that says how a temperature moves: it is learnt between bounds, or goes from one value to another along a schedule.
    pub struct MovingTemperature {
        /// Where a learnt one starts.
        learnable: Option<f64> = None,
        /// The lower bound of a learnt one; 0.01 if not given.
        min: Option<f64> = None,
        /// The upper bound of a learnt one; 1.0 if not given.
        max: Option<f64> = None,
        /// Where a scheduled one starts.
        from: Option<f64> = None,
        /// Where a scheduled one ends.
        to: Option<f64> = None,
        /// The shape between the two; cosine if not given.
        schedule: Option<Schedule> = None,
    }
}

impl MovingTemperature {
    /// Where it starts, if that is given, and how it moves. A map that says `learnable` is one of a learnt temperature, whatever its value.
    fn read(given: &Given) -> Reading<(Option<f64>, Temperature)> {
        let problem = |text: &str| Err(Problem::Inside(String::new(), text.into()));
        let learnt = matches!(given, Given::Map(map) if map.iter().any(|(name, _)| name == "learnable"));
        let moving = Self::default().over(given)?;
        let scheduled = moving.from.is_some() || moving.to.is_some() || moving.schedule.is_some();
        if learnt {
            if scheduled {
                return problem("`learnable` goes with `min` and `max`, not with `from`, `to` and `schedule`");
            }
            return Ok((moving.learnable, Temperature::learnable(moving.min, moving.max)));
        }
        if moving.min.is_some() || moving.max.is_some() {
            return problem("`min` and `max` go with `learnable`, such as #{ learnable: 0.07, min: 0.01, max: 1.0 }");
        }
        let Some(to) = moving.to else {
            return problem("`to` is missing, such as #{ from: 0.2, to: 0.07, schedule: \"cosine\" }");
        };
        let schedule = moving.schedule.unwrap_or_else(|| Schedule::new(Shape::Cosine));
        if schedule.name == Shape::Function {
            return problem("the schedule is a closure; give the closure as the temperature itself");
        }
        Ok((moving.from, Temperature::Scheduled { to, schedule }))
    }
}

/// The loss of a pretraining: the options of the pixel contrastive loss, of which the temperature takes further forms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PretrainLoss {
    /// The options; their temperature is the one at the start.
    pub options: PixelContrastOptions,
    /// How the temperature moves.
    pub temperature: Temperature,
}

impl From<PixelContrastOptions> for PretrainLoss {
    fn from(options: PixelContrastOptions) -> Self {
        PretrainLoss {
            options,
            temperature: Temperature::Fixed,
        }
    }
}

impl OptionSet for PretrainLoss {
    const OWNER: &'static str = "PretrainLoss";

    fn fields(&self) -> Vec<Field> {
        let mut fields = self.options.fields();
        for field in fields.iter_mut().filter(|field| field.name == "temperature") {
            field.kind = "float, string, map or closure".into();
            field.inside = || Inside::Map(MovingTemperature::default().fields());
        }
        fields
    }

    fn offer_all(&mut self, name: &str, given: &Given) -> Option<Reading<()>> {
        if name != "temperature" {
            return self.options.offer_all(name, given);
        }
        let read = match given {
            Given::Nothing => return Some(Ok(())),
            Given::Int(_) | Given::Float(_) => f64::read_option(given).map(|number| (Some(number), Temperature::Fixed)),
            Given::Function => Ok((None, Temperature::Function)),
            Given::Text(text) if text == "learnable" => Ok((None, Temperature::learnable(None, None))),
            Given::Map(_) => MovingTemperature::read(given),
            _ => Err(wrong("a number, \"learnable\", a closure or a map", given)),
        };
        Some(read.map_err(|problem| problem.of(name)).map(|(start, temperature)| {
            self.options.temperature = start.unwrap_or(self.options.temperature);
            self.temperature = temperature;
        }))
    }
}
