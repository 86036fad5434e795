//! The factor on the learning rate (or on any other number) at each step.

use serde::{Deserialize, Deserializer, Serialize};

use crate::ensure;
use crate::error::{POSITIVE, Result, in_range};

/// The shape of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// 1 throughout.
    Constant,
    /// `(1 - step / steps) ^ power` (DeepLab's).
    Poly,
    /// `(1 + cos(pi step / steps)) / 2`.
    Cosine,
    /// `gamma ^ floor(step / every)`.
    Step,
    /// Given by a function of the step that the caller supplies.
    Function,
}

impl Shape {
    /// The names a script may use, with their shapes.
    pub const NAMES: [(&'static str, Shape); 4] = [
        ("constant", Shape::Constant),
        ("poly", Shape::Poly),
        ("cosine", Shape::Cosine),
        ("step", Shape::Step),
    ];
}

/// A schedule: its shape, and a linear warm-up that multiplies it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schedule {
    /// The shape.
    pub name: Shape,
    /// Exponent of `poly`.
    pub power: f64,
    /// Factor of `step` at each drop.
    pub gamma: f64,
    /// Steps between two drops of `step` (`None`: a third of all steps).
    pub every: Option<usize>,
    /// The factor is multiplied by `min(1, (step + 1) / warmup)`; 0 for none.
    pub warmup: usize,
}

impl Schedule {
    /// A schedule of this shape with the usual constants: power 0.9, gamma 0.1, no warm-up.
    pub fn new(name: Shape) -> Self {
        Schedule {
            name,
            power: 0.9,
            gamma: 0.1,
            every: None,
            warmup: 0,
        }
    }

    /// The factor at `step` (from 0) of `steps`. A [`Shape::Function`] counts as 1 here: its owner multiplies.
    pub fn factor(&self, step: usize, steps: usize) -> f64 {
        let done = (step as f64 / steps.max(1) as f64).min(1.0);
        let shape = match self.name {
            Shape::Constant | Shape::Function => 1.0,
            Shape::Poly => (1.0 - done).powf(self.power),
            Shape::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            Shape::Step => {
                let every = self.every.unwrap_or(steps.div_ceil(3)).max(1);
                self.gamma.powf((step / every) as f64)
            }
        };
        let warm = if self.warmup == 0 {
            1.0
        } else {
            ((step + 1) as f64 / self.warmup as f64).min(1.0)
        };
        shape * warm
    }

    /// Refuse constants that make no sense.
    pub fn check(&self) -> Result<()> {
        in_range("schedule", "power", self.power, POSITIVE)?;
        in_range("schedule", "gamma", self.gamma, POSITIVE)?;
        ensure!(self.every != Some(0), "schedule: every is 0, expected at least 1 step");
        Ok(())
    }
}

/// Written as a name, `"poly"`, or with its constants, `{ name: "poly", power: 0.9, warmup: 30 }`.
impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            name: Shape,
            power: Option<f64>,
            gamma: Option<f64>,
            every: Option<usize>,
            warmup: Option<usize>,
        }
        // Not an untagged enum: it would swallow the message that names the unknown option.
        let value = serde_json::Value::deserialize(d)?;
        if value.is_string() {
            return serde_json::from_value(value)
                .map(Schedule::new)
                .map_err(serde::de::Error::custom);
        }
        let full: Full = serde_json::from_value(value).map_err(serde::de::Error::custom)?;
        let plain = Schedule::new(full.name);
        Ok(Schedule {
            name: full.name,
            power: full.power.unwrap_or(plain.power),
            gamma: full.gamma.unwrap_or(plain.gamma),
            every: full.every,
            warmup: full.warmup.unwrap_or(plain.warmup),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> serde_json::Result<Schedule> {
        serde_json::from_str(text)
    }

    #[test]
    fn factors_at_hand_made_places() {
        let factor = |text: &str, step| parse(text).unwrap().factor(step, 400);
        assert_eq!(factor("\"constant\"", 399), 1.0);
        assert_eq!(factor("\"poly\"", 0), 1.0);
        assert!((factor("\"poly\"", 200) - 0.5f64.powf(0.9)).abs() < 1e-15);
        assert_eq!(factor("\"poly\"", 400), 0.0);
        assert!((factor("\"cosine\"", 200) - 0.5).abs() < 1e-15);
        assert!((factor(r#"{"name": "step", "every": 100}"#, 250) - 0.01).abs() < 1e-15);
        assert_eq!(factor(r#"{"name": "constant", "warmup": 10}"#, 4), 0.5);
    }

    #[test]
    fn unknown_names_are_refused_by_name() {
        assert!(parse("\"pol\"").unwrap_err().to_string().contains("`pol`"));
        assert!(
            parse(r#"{"name": "poly", "pwer": 2}"#)
                .unwrap_err()
                .to_string()
                .contains("`pwer`")
        );
    }

    #[test]
    fn the_record_reads_back() {
        let schedule = parse(r#"{"name": "step", "every": 7, "warmup": 3}"#).unwrap();
        assert_eq!(parse(&serde_json::to_string(&schedule).unwrap()).unwrap(), schedule);
    }
}
