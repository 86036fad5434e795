//! The structs that nested option maps fill. A new one is a line here; one with several forms says which maps may stand where.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::{Augment, Distort};
use crate::loss::pixel_contrast::{KeySampling, MemoryOptions, Sampling, Variant};
use crate::loss::{CrossEntropyOptions, PixelContrastOptions};
use crate::nn::ProjectionConfig;
use crate::ops::Reduction;
use crate::script::nested::{self, Known};
use crate::script::prelude::*;
use crate::train::{Group, OptimizerConfig, Rule, Schedule, Shape};

impl Known for Augment {}
impl Known for CrossEntropyOptions {}
impl Known for Distort {}
impl Known for ProjectionConfig {}

impl Known for OptimizerConfig {
    fn options() -> Value {
        let group = Group {
            prefix: String::new(),
            lr: 1.0,
            weight_decay: None,
        };
        nested::with(
            nested::json(&Self::default()),
            [("groups", json!([nested::json(&group)]))],
        )
    }
}

impl Known for PixelContrastOptions {}

/// The loss of a pretraining: its temperature may move, and its memory is made by the run.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PretrainLoss(pub PixelContrastOptions);

impl Known for PretrainLoss {
    fn options() -> Value {
        nested::with(
            nested::json(&Self::default()),
            [
                (
                    "memory",
                    nested::or(Value::Null, nested::json(&MemoryOptions::default())),
                ),
                (
                    "temperature",
                    nested::or(json!(Self::default().0.temperature), MovingTemperature::options()),
                ),
            ],
        )
    }
}

/// The names that may stand for `option` inside the map `owner`, where only some may.
pub fn choices(owner: &str, option: &str) -> Vec<&'static str> {
    fn names<T>(all: &[(&'static str, T)]) -> Vec<&'static str> {
        all.iter().map(|(name, _)| *name).collect()
    }
    match (owner, option) {
        (_, "reduction") => names(&Reduction::CHOICES),
        (_, "variant") => names(&Variant::ALL),
        (_, "sampling") => names(&Sampling::ALL),
        (_, "key_sampling") => names(&KeySampling::ALL),
        ("optimizer", "name") => names(&Rule::NAMES),
        ("schedule", "name") | (_, "schedule") => names(&Shape::NAMES),
        _ => Vec::new(),
    }
}

/// A temperature that moves: either learnt between bounds, or from one value to another along a schedule.
#[derive(Default, Serialize, Deserialize)]
pub struct MovingTemperature {
    /// Where a learnt one starts.
    pub learnable: Option<f64>,
    /// The lower bound of a learnt one.
    pub min: Option<f64>,
    /// The upper bound of a learnt one.
    pub max: Option<f64>,
    /// Where a scheduled one starts.
    pub from: Option<f64>,
    /// Where a scheduled one ends.
    pub to: Option<f64>,
}

impl Known for MovingTemperature {
    fn options() -> Value {
        nested::with(
            nested::json(&Self::default()),
            [("schedule", <GivenSchedule as Arg>::options())],
        )
    }
}

/// A schedule as the script gave it: a name, a map of options, a closure or nothing.
#[derive(Default)]
pub struct GivenSchedule(pub Dynamic);

impl Arg for GivenSchedule {
    const TAKES_MAP: bool = true;
    fn kind() -> String {
        <Dynamic as Arg>::kind()
    }
    fn wanted() -> String {
        "a name, a map or a closure".into()
    }
    fn options() -> Value {
        nested::json(&Schedule::new(Shape::Poly))
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        Some(GivenSchedule(value.clone()))
    }
}

/// How a run averages its network, as the script gave it: a decay, a map of options or nothing.
#[derive(Default)]
pub struct GivenAverage(pub Dynamic);

impl Arg for GivenAverage {
    const TAKES_MAP: bool = true;
    fn kind() -> String {
        "float or map".into()
    }
    fn wanted() -> String {
        "a decay or a map".into()
    }
    fn options() -> Value {
        json!({ "decay": 0.99, "warm_up": false, "model": null })
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        Some(GivenAverage(value.clone()))
    }
}
