//! The factor on the learning rate (or on any other number) at each step.

use crate::error::{POSITIVE, Result, in_range};
use crate::options::{Arg, Given, Problem, Reading};
use crate::{choices, ensure, options};

choices! {
    /// The shape of a schedule.
    pub enum Shape {
        /// 1 throughout.
        Constant = "constant",
        /// `(1 - step / steps) ^ power` (DeepLab's).
        Poly = "poly",
        /// `(1 + cos(pi step / steps)) / 2`.
        Cosine = "cosine",
        /// `gamma ^ floor(step / every)`.
        Step = "step",
    }
    beside {
        /// Given by a function of the step that the caller supplies.
        Function = "function",
    }
}

options! {
    /// A schedule: its shape, and a linear warm-up that multiplies it.
    #[derive(PartialEq)]
    pub struct Schedule {
        /// The shape.
        name: Shape = Shape::Poly,
        /// Exponent of poly.
        power: f64 = 0.9,
        /// Factor of step at each drop.
        gamma: f64 = 0.1,
        /// Steps between two drops of step; a third of all if absent.
        every: Option<usize> = None,
        /// Steps of linear warm-up: the factor is multiplied by `min(1, (step + 1) / warmup)`.
        warmup: usize = 0,
    }
    or "string, map or closure", "a name, a map or a closure", Schedule::form, Shape::choices()
}

impl Schedule {
    /// A schedule of this shape with the usual constants.
    pub fn new(name: Shape) -> Self {
        Schedule {
            name,
            ..Schedule::default()
        }
    }

    /// A name, or a function of the step; a map must name the shape.
    fn form(given: &Given) -> Option<Reading<Self>> {
        match given {
            Given::Text(_) => Some(Shape::read(given).map(Schedule::new)),
            Given::Function => Some(Ok(Schedule::new(Shape::Function))),
            Given::Map(map) if !map.iter().any(|(name, _)| name == "name") => {
                let text = "`name` is missing, such as #{ name: \"poly\", power: 0.9, warmup: 30 }";
                Some(Err(Problem::Inside(String::new(), text.into())))
            }
            _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: Shape) -> Schedule {
        Schedule::new(name)
    }

    #[test]
    fn factors_at_hand_made_places() {
        let factor = |schedule: Schedule, step| schedule.factor(step, 400);
        assert_eq!(factor(named(Shape::Constant), 399), 1.0);
        assert_eq!(factor(named(Shape::Poly), 0), 1.0);
        assert!((factor(named(Shape::Poly), 200) - 0.5f64.powf(0.9)).abs() < 1e-15);
        assert_eq!(factor(named(Shape::Poly), 400), 0.0);
        assert!((factor(named(Shape::Cosine), 200) - 0.5).abs() < 1e-15);
        let every = Some(100);
        assert!(
            (factor(
                Schedule {
                    every,
                    ..named(Shape::Step)
                },
                250
            ) - 0.01)
                .abs()
                < 1e-15
        );
        assert_eq!(
            factor(
                Schedule {
                    warmup: 10,
                    ..named(Shape::Constant)
                },
                4
            ),
            0.5
        );
    }

    #[test]
    fn a_script_gives_a_name_a_map_or_a_function() {
        let text = |t: &str| Given::Text(t.into());
        let map = |pairs: &[(&str, Given)]| Given::Map(pairs.iter().map(|(n, v)| (n.to_string(), v.clone())).collect());
        assert_eq!(Schedule::read(&text("step")).unwrap(), named(Shape::Step));
        assert_eq!(Schedule::read(&Given::Function).unwrap().name, Shape::Function);
        let given = map(&[("name", text("step")), ("every", Given::Int(7))]);
        let expected = Schedule {
            every: Some(7),
            ..named(Shape::Step)
        };
        assert_eq!(Schedule::read(&given).unwrap(), expected);
        let record = serde_json::to_string(&expected).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&record).unwrap(), expected);
        let error = |given: &Given| Schedule::read(given).unwrap_err().of("schedule").error("f").to_string();
        assert!(error(&text("pol")).contains("did you mean \"poly\""));
        assert!(error(&text("function")).contains("not known"));
        assert!(error(&map(&[("power", Given::Int(1))])).contains("`name` is missing"));
        assert!(error(&map(&[("name", text("poly")), ("pwer", Given::Int(2))])).contains("did you mean `power`"));
        assert!(error(&Given::Int(3)).contains("must be a name, a map or a closure, found the number 3"));
    }
}
