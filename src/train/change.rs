//! Settings that are changed while training.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::Objective;
use super::run::{Run, Status};
use super::temperature::Temperature;
use crate::ensure;
use crate::error::{Result, or_meant};
use crate::options::{Given, OptionSet};

/// A setting changed while training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The first step with the new value.
    pub step: usize,
    /// The setting.
    pub name: String,
    /// Its new value.
    pub value: Value,
}

impl Run {
    /// Change a setting from the next step on: `lr`, `momentum`, `weight_decay`, `temperature`, `steps`, `clip`, `eval_every`,
    /// `checkpoint_every`, `checkpoint_minutes`. `lr` is the base rate that the schedule's factor scales. The change is recorded with its step in `config.json` and in the checkpoint.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<()> {
        const CHANGEABLE: [&str; 9] = [
            "lr",
            "momentum",
            "weight_decay",
            "temperature",
            "steps",
            "clip",
            "eval_every",
            "checkpoint_every",
            "checkpoint_minutes",
        ];
        if !CHANGEABLE.contains(&name) {
            let hint = or_meant(name, CHANGEABLE, "", "");
            crate::fail!(
                "set: {name} cannot be changed while training; what can: {}{hint}",
                CHANGEABLE.join(", ")
            )
        }
        let mut config = self.config.clone();
        let given = Given::from(value);
        let put = match (name, &mut config.objective) {
            ("lr" | "momentum" | "weight_decay", _) => config.optimizer.put(name, &given),
            (
                "temperature",
                Objective::PixelContrast {
                    options,
                    temperature: Temperature::Fixed,
                },
            ) => options.put(name, &given),
            ("temperature", Objective::PixelContrast { .. }) => {
                crate::fail!("set: the temperature of this run moves by itself; only a fixed one can be set")
            }
            ("temperature", _) => crate::fail!("set: {} has no temperature", self.config.task.name()),
            _ => config.put(name, &given),
        };
        put.map_err(|problem| problem.error("set"))?;
        if value.is_null() {
            match name {
                "clip" => config.clip = None,
                "eval_every" => config.eval_every = None,
                "checkpoint_every" => config.checkpoint_every = None,
                _ => crate::fail!("set: `{name}` must be a number, found ()"),
            }
        }
        ensure!(
            config.steps >= Some(self.step),
            "set: steps is {}, but {} are already made",
            config.steps.unwrap_or(0),
            self.step
        );
        let config = config.resolved(1)?;
        self.optimizer.set_config(&config.optimizer)?;
        self.config = config;
        self.changes.push(Change {
            step: self.step,
            name: name.to_string(),
            value: value.clone(),
        });
        if self.status == Status::Done && self.step < self.steps() {
            self.status = Status::Paused;
        }
        Ok(())
    }
}
