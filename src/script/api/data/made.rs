//! Data sets whose images a script's closure makes: one at a time, when it is needed, on the script's own thread.

use std::sync::Arc;

use rhai::{EvalAltResult, Scope};

use super::facts::item_map;
use super::pictures::sample_of;
use crate::data::{Dataset, Sample, Source};
use crate::random::Random;
use crate::script::Callback;
use crate::script::prelude::*;
use crate::script::translate;

/// The stream of random numbers for what a closure draws.
const CLOSURES: u64 = 0xC105;

/// A closure that makes images.
pub(super) struct Maker {
    function: &'static str,
    closure: Callback,
    /// What the closure draws follows from this and the place of the image, whenever it is made.
    seed: u64,
    classes: usize,
}

impl Maker {
    pub fn new(ctx: &Call, function: &'static str, closure: FnPtr, classes: usize) -> Self {
        Maker {
            function,
            closure: Callback::new(ctx, closure),
            seed: ctx.session().seed(),
            classes,
        }
    }

    /// What the closure gives for `argument`, as the sample at place `i`.
    fn make(&self, i: usize, argument: Dynamic) -> Result<Sample> {
        let seed = Random::derived(self.seed, &[CLOSURES, i as u64]).bits();
        let call = || self.closure.call(self.function, vec![argument]);
        let answer = self.closure.context.session().with_seed(seed, call);
        let answer = answer.map_err(|error| self.failed(i, *error))?;
        sample_of(self.function, i, &answer.flatten(), self.classes)
    }

    /// The error of the closure for the item `i`.
    fn failed(&self, i: usize, error: EvalAltResult) -> Error {
        if translate::is_wrong_count(&error, &self.closure.closure) {
            return Error::usage(format!(
                "{}: it calls its closure with 1 argument, but the closure takes another number of parameters; write |x| ...",
                self.function
            ));
        }
        let mut error = innermost(error);
        if matches!(error, EvalAltResult::ErrorTerminated(..)) {
            return Error::Interrupted;
        }
        let line = error
            .position()
            .line()
            .map_or(String::new(), |line| format!(" in line {line}"));
        let (text, hint) = translate::runtime::explain(&self.closure.context, &Scope::new(), &mut error, false);
        let hint = hint.map_or(String::new(), |hint| format!("; {hint}"));
        Error::usage(format!(
            "{}: item {i}: its closure failed{line}: {text}{hint}",
            self.function
        ))
    }
}

/// The error without the calls that led to it.
fn innermost(error: EvalAltResult) -> EvalAltResult {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            innermost(*inner)
        }
        other => other,
    }
}

/// So many items that a closure makes from their number.
pub(super) struct Generated {
    pub count: usize,
    pub maker: Maker,
}

impl Source for Generated {
    fn len(&self) -> usize {
        self.count
    }
    fn name(&self, i: usize) -> String {
        format!("item_{i}")
    }
    fn labelled(&self, _: usize) -> bool {
        self.maker.classes > 0
    }
    fn load(&self, i: usize) -> Result<Arc<Sample>> {
        let sample = self.maker.make(i, Dynamic::from_int(i as i64))?;
        ensure!(
            sample.labelled == (self.maker.classes > 0),
            "{}: item {i} has no labels, but the set has {} classes; leave out classes for images without labels",
            self.maker.function,
            self.maker.classes
        );
        Ok(Arc::new(sample))
    }
}

/// The items of a set, each changed by a closure.
pub(super) struct Mapped {
    pub set: Dataset,
    pub maker: Maker,
    /// Whether the closure gives labels to images that have none.
    pub labels: bool,
}

impl Source for Mapped {
    fn len(&self) -> usize {
        self.set.len()
    }
    fn name(&self, i: usize) -> String {
        self.set.sample_name(i).unwrap_or_default()
    }
    fn labelled(&self, i: usize) -> bool {
        self.labels || self.set.labelled(i).unwrap_or(false)
    }
    fn load(&self, i: usize) -> Result<Arc<Sample>> {
        let original = self.set.get(i)?;
        let item = item_map(&original, self.maker.closure.context.session().device())?;
        let sample = self.maker.make(i, Dynamic::from_map(item))?;
        ensure!(
            sample.labelled == self.labelled(i),
            "map: item {i} ({}) {}",
            sample.name,
            match sample.labelled {
                true => "had no labels and now has some: say which classes there are with classes or class_names",
                false => "has lost its labels; .without_labels() forgets those of the whole set",
            }
        );
        Ok(Arc::new(Sample {
            name: original.name.clone(),
            ..sample
        }))
    }
}
