//! What a run does beside its steps: further sources, an averaged network, the best network so far, stopping early.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::checkpoint::{as_they_are, below, under};
use super::features::Features;
use super::lent::{Lent, Memories};
use super::run::Run;
use crate::data::{Batch, BatchOptions, Batches, Dataset};
use crate::error::{Error, Result};
use crate::nn::Segmenter;
use crate::options::Handle;
use crate::{choices, ensure, fail, options};

choices! {
    /// Which network a run keeps.
    pub enum Keep {
        /// The last one.
        Last = "last",
        /// A copy of the one with the best val mIoU as well.
        Best = "best",
    }
}

options! {
    /// How a run goes beside its steps.
    #[derive(PartialEq)]
    pub struct Course {
        /// Batches whose gradients are averaged for one update; a step is an update.
        accumulate: usize = 1,
        /// Keep an average of the network, `average = ema average + (1 - ema) network` after each update: `run.ema`, evaluated beside.
        /// `#{ decay: 0.99, warm_up: true, model: teacher }` lets the decay begin small, and puts the average into a network made by
        /// `copy()`, so that the loss can ask it.
        ema: Option<f64> = None,
        /// Multiply the learning rate by this for each stage from the heads to the images.
        layer_decay: Option<f64> = None,
        /// `"best"`: `run.best` is a copy of the network with the best val mIoU.
        keep: Keep = Keep::Last,
        /// Stop after so many evaluations without a better val mIoU.
        patience: Option<usize> = None,
        /// Batch norm uses its running statistics and leaves them as they are.
        frozen_norm: bool = false,
        /// Compute the maps of a frozen encoder (`frozen: true`) once per image, without `augment`: kept in memory up to a quarter of what
        /// is left, then in files in the run's folder until the run ends.
        cache_features: bool = false,
    }
    beside {
        /// Whether the decay of `ema` begins small, so that the average does not remember the first numbers: after so many updates at most
        /// `1 - 1 / (updates + 1)`.
        ema_warm_up: bool = false,
        /// Images per step of the sources after the first.
        more_batch_sizes: Vec<usize> = Vec::new(),
    }
    flat
}

options! {
    /// How a run averages its network, where more than the decay is to be said.
    #[derive(PartialEq)]
    pub struct AverageOptions {
        /// The decay; it must be given.
        decay: Option<f64> = None,
        /// Whether the decay begins small.
        warm_up: bool = false,
        /// A network made by `copy()` that the average is put into.
        model: Handle = Handle,
    }
}

impl Course {
    /// Refuse what cannot be; `name` is the task's.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        ensure!(self.accumulate > 0, "{name}: accumulate is 0, expected at least 1");
        ensure!(
            self.ema.is_none_or(|d| (0.0..1.0).contains(&d)),
            "{name}: ema is {}, expected a decay from 0 up to but not including 1, such as 0.99",
            self.ema.unwrap_or(0.0)
        );
        ensure!(
            self.layer_decay.is_none_or(|d| d > 0.0 && d <= 1.0),
            "{name}: layer_decay is {}, expected a number above 0, up to 1",
            self.layer_decay.unwrap_or(0.0)
        );
        ensure!(
            self.patience != Some(0),
            "{name}: patience is 0, expected at least 1 evaluation"
        );
        ensure!(
            self.more_batch_sizes.iter().all(|n| *n > 0),
            "{name}: batch_size is 0, expected at least 1"
        );
        Ok(())
    }

    /// Refuse what needs evaluations where there are none.
    pub(super) fn check_evaluations(&self, name: &str, val: bool, eval_every: Option<usize>) -> Result<()> {
        let asked = match (self.keep, self.patience) {
            (_, Some(_)) => "patience",
            (Keep::Best, None) => "keep: \"best\"",
            (Keep::Last, None) => return Ok(()),
        };
        ensure!(
            val,
            "{name}: {asked} judges by the val mIoU; give val, the images to evaluate on"
        );
        ensure!(
            self.patience.is_none() || eval_every.is_some(),
            "{name}: {asked} counts evaluations; give eval_every, the steps between two of them"
        );
        Ok(())
    }
}

/// What a run keeps for its [`Course`].
#[derive(Default)]
pub(super) struct Beside {
    /// The averaged network.
    pub(super) average: Option<Rc<RefCell<Segmenter>>>,
    /// The best network so far.
    pub(super) best: Option<Rc<RefCell<Segmenter>>>,
    pub(super) judged: Judged,
    /// What the caller's loss fills.
    pub(super) memories: Memories,
    /// What a frozen encoder made of the images; no part of the state, as it can be computed again.
    pub(super) features: Option<Features>,
}

/// What the evaluations came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Judged {
    /// The best val mIoU.
    pub(super) best: Option<f64>,
    /// The step it came after.
    pub(super) step: usize,
    /// Evaluations since then.
    pub(super) since: usize,
}

const AVERAGE: &str = "run.ema.";
const BEST: &str = "run.best.";

impl Beside {
    /// That of a new run, with what its caller lends it.
    pub(super) fn new(course: &Course, model: &Rc<RefCell<Segmenter>>, lent: Lent) -> Result<Self> {
        let average = match (course.ema, lent.average) {
            (Some(_), Some(given)) => {
                ensure!(
                    !Rc::ptr_eq(&given, model),
                    "ema: `model` is the network that is trained, expected one that follows it, made by copy()"
                );
                given.borrow().check_follows(&model.borrow())?;
                Some(given)
            }
            (Some(_), None) => Some(Rc::new(RefCell::new(model.borrow().copy()?))),
            (None, Some(_)) => fail!("ema: the run keeps no average, so there is none to put into a network"),
            (None, None) => None,
        };
        Ok(Beside {
            average,
            memories: Memories::new(lent.memories),
            ..Beside::default()
        })
    }

    /// The tensors for a checkpoint.
    pub(super) fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        let mut all = self.memories.tensors()?;
        for (prefix, network) in [(AVERAGE, &self.average), (BEST, &self.best)] {
            if let Some(network) = network {
                all.extend(under(prefix, network.borrow().state()?));
            }
        }
        Ok(all)
    }

    /// Take over the state that a checkpoint with these tensors holds.
    pub(super) fn restore(
        &mut self,
        model: &Segmenter,
        tensors: &HashMap<String, Tensor>,
        judged: Judged,
    ) -> Result<()> {
        let load = |prefix: &str, into: &mut Option<Rc<RefCell<Segmenter>>>| -> Result<()> {
            let state = below(prefix, tensors);
            if state.is_empty() {
                return Ok(());
            }
            let network = match into {
                Some(network) => network,
                none => none.insert(Rc::new(RefCell::new(model.copy()?))),
            };
            network.borrow().load_state(&state, &as_they_are())?;
            Ok(())
        };
        load(AVERAGE, &mut self.average)?;
        load(BEST, &mut self.best)?;
        self.memories.restore(tensors)?;
        self.judged = judged;
        Ok(())
    }

    /// The averaged network follows the model after the newest of so many updates.
    pub(super) fn follow(&self, model: &Segmenter, course: &Course, updates: u64) -> Result<()> {
        let (Some(average), Some(decay)) = (&self.average, course.ema) else {
            return Ok(());
        };
        let decay = if course.ema_warm_up {
            warmed_up(decay, updates)
        } else {
            decay
        };
        average.borrow().follow(model, decay)
    }

    /// Judge the val mIoU after `step` steps: keep the network if it is the best so far; whether patience is at its end.
    pub(super) fn judge(
        &mut self,
        scores: &[(String, f64)],
        model: &Segmenter,
        course: &Course,
        step: usize,
    ) -> Result<bool> {
        let Some((_, score)) = scores.iter().find(|(name, _)| name == "val_miou") else {
            return Ok(false);
        };
        if self.judged.best.is_none_or(|best| *score > best) {
            self.judged = Judged {
                best: Some(*score),
                step,
                since: 0,
            };
            if course.keep == Keep::Best {
                self.best = Some(Rc::new(RefCell::new(model.copy()?)));
            }
        } else {
            self.judged.since += 1;
        }
        Ok(course.patience.is_some_and(|most| self.judged.since >= most))
    }
}

/// The decay of an average after so many updates, as Mean Teacher warms it up (Tarvainen and Valpola 2017): an average that starts
/// at random numbers would remember them for thousands of steps.
pub(super) fn warmed_up(decay: f64, updates: u64) -> f64 {
    decay.min(1.0 - 1.0 / (updates as f64 + 1.0))
}

/// The batches of all sources.
pub(super) struct Feed {
    sources: Vec<Batches>,
    accumulate: usize,
}

impl Feed {
    /// From the run's position on.
    pub(super) fn new(run: &Run) -> Result<Self> {
        let device = run.model.borrow().device().clone();
        let first = run.batch_options();
        let course = &run.config.course;
        let sizes = std::iter::once(&first.size).chain(&course.more_batch_sizes);
        let source = |(i, (data, size)): (usize, (&Dataset, &usize))| {
            let options = BatchOptions {
                size: *size,
                seed: first.seed.wrapping_add((i as u64) << 32), // each in an order of its own
                ..first.clone()
            };
            data.batches(&options, &device)
        };
        let sources = run.data()?.iter().zip(sizes).enumerate().map(source);
        Ok(Feed {
            sources: sources.collect::<Result<_>>()?,
            accumulate: course.accumulate,
        })
    }

    /// The batches of one step: as many times as are accumulated one of each source.
    pub(super) fn next(&mut self) -> Option<Result<Vec<Vec<Batch>>>> {
        let mut groups = Vec::with_capacity(self.accumulate);
        for _ in 0..self.accumulate {
            let group: Option<Result<Vec<Batch>>> = self.sources.iter_mut().map(Iterator::next).collect();
            match group? {
                Ok(group) => groups.push(group),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(groups))
    }
}

/// The factor of the learning rate of each parameter: it falls from stage to stage towards the images (Clark et al. 2020, Bao et al. 2022).
pub(super) fn layer_factor<'a>(model: &'a Segmenter, decay: f64) -> Result<impl Fn(&str) -> f64 + 'a> {
    let Some(stages) = model.stages() else {
        fail!(
            "layer_decay: the order of the layers of this network is not known; it needs an encoder (nn::encoder) or nn::sequential, or \
             give the rates by hand: optimizer: #{{ groups: #{{ \"stem\": 0.1 }} }}"
        )
    };
    let deepest = stages.len();
    Ok(move |name: &str| {
        let below = |prefix: &String| {
            name.strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
        };
        let depth = stages.iter().position(|prefixes| prefixes.iter().any(below));
        decay.powi((deepest - depth.unwrap_or(deepest)) as i32)
    })
}

/// An error of a further source.
pub(super) fn check_sources(name: &str, more: &[Dataset], course: &Course) -> Result<()> {
    ensure!(
        more.len() == course.more_batch_sizes.len(),
        "{name}: {} sources and {} batch sizes; give one for each: batch_size: [4, 8]",
        more.len() + 1,
        course.more_batch_sizes.len() + 1
    );
    match more.iter().position(Dataset::is_empty) {
        Some(i) => Err(Error::usage(format!(
            "{name}: source {} of the data, {}, has no images",
            i + 1,
            more[i].name()
        ))),
        None => Ok(()),
    }
}
