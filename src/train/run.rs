//! [`Run`]: a training run with all its state, which can be paused, changed, continued, saved and loaded.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use candle_core::Var;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::Change;
use super::config::{Task, TrainConfig};
use super::course::{self, Beside};
use super::event::Hooks;
use super::folder::{self, Sitting};
use super::history::History;
use super::lent::Lent;
use super::optimizer::Optimizer;
use super::{capacity, checkpoint, evaluate, features, fit, trained};
use crate::data::{BatchOptions, Dataset};
use crate::error::Result;
use crate::loss::pixel_contrast::Memory;
use crate::nn::{Parent, Segmenter};
use crate::session::{Place, Session};
use crate::{choices, ensure, fail};

choices! {
    /// Where a run stands.
    pub enum Status {
        /// All steps are made.
        Done = "done",
        /// Interrupted between two steps, or advanced by fewer steps than were left.
        Paused = "paused",
        /// Stopped by a callback, or by a loss that was not finite.
        Stopped = "stopped",
    }
}

/// What identifies a data set in the record of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataIdentity {
    /// What the set is called.
    pub name: String,
    /// Number of images.
    pub images: usize,
    /// SHA-256 of their names, in order.
    pub split_hash: String,
    /// Height and width, if the set was resized.
    pub size: Option<[usize; 2]>,
}

impl DataIdentity {
    /// The identity of this set.
    pub fn of(data: &Dataset) -> Self {
        DataIdentity {
            name: data.name().to_string(),
            images: data.len(),
            split_hash: data.split_hash(),
            size: data.size(),
        }
    }
}

/// One training run. Its whole state is the model's numbers, the optimiser's, the temperature, the memory of past keys
/// with its averaged network, the history and the position;
/// every random draw follows from the seed and the step, so a run continued from a checkpoint equals one never interrupted.
pub struct Run {
    pub(super) session: Session,
    pub(super) model: Rc<RefCell<Segmenter>>,
    /// Its sources; none in a run read without its data.
    pub(super) data: Vec<Dataset>,
    pub(super) val: Option<Dataset>,
    /// What its sources are.
    pub(super) identities: Vec<DataIdentity>,
    pub(super) config: TrainConfig,
    pub(super) optimizer: Optimizer,
    /// Whether the parameters are updated by kernels of a GPU, which judge a step by themselves.
    pub(super) on_gpu: bool,
    pub(super) temperature: Option<Var>,
    pub(super) memory: Option<Memory>,
    /// The slowly moving average of the model whose features the memory stores, where it is asked for.
    pub(super) average: Option<Segmenter>,
    /// Warnings of the loss and in how many steps they came up; shown at the first and, with the number, at the end.
    pub(super) warned: BTreeMap<String, usize>,
    pub(super) history: History,
    pub(super) changes: Vec<Change>,
    pub(super) status: Status,
    pub(super) step: usize,
    /// Whether the evaluation that was due after the newest step was interrupted, and is still to be made.
    pub(super) owes_score: bool,
    pub(super) name: String,
    /// The folder it was read from and goes on in; none for a run that has one of its own name below the session's.
    pub(super) home: Option<std::path::PathBuf>,
    /// The seed of the model's first parameters, and the run or file that trained it before.
    pub(super) model_seed: Option<u64>,
    pub(super) parent: Option<Parent>,
    /// The programs and scripts that made steps of the run, in order.
    pub(super) sittings: Vec<Sitting>,
    /// Whether this session has made steps, so that the last of `sittings` is its own.
    pub(super) begun: bool,
    pub(super) beside: Beside,
}

impl Run {
    /// A run that has made no step yet, or, where the session goes on with an earlier attempt ([`Session::goes_on`]), the steps of
    /// that. It writes to the folder `name` (numbered if taken) below the session's.
    ///
    /// # Errors
    /// Settings that cannot be ([`TrainConfig::resolved`]), a data set without images or with other classes than the model,
    /// no trainable parameters.
    pub fn new(
        session: &Session,
        model: Rc<RefCell<Segmenter>>,
        data: Dataset,
        val: Option<Dataset>,
        config: &TrainConfig,
    ) -> Result<Self> {
        Self::with_sources(session, model, vec![data], val, config, Lent::default())
    }

    /// [`Run::new`] with several sources, a batch of each of which comes with every batch of the first, and with the caller's things that
    /// the run changes.
    pub fn with_sources(
        session: &Session,
        model: Rc<RefCell<Segmenter>>,
        data: Vec<Dataset>,
        val: Option<Dataset>,
        config: &TrainConfig,
        lent: Lent,
    ) -> Result<Self> {
        let task = config.task.name();
        let [first, more @ ..] = data.as_slice() else {
            fail!("{task}: `data` is an empty array, expected data sets")
        };
        ensure!(!first.is_empty(), "{task}: the data set {} has no images", first.name());
        let batches = batch_options(config, 0).batches_per_epoch(first.len());
        let config = config.resolved(batches)?;
        course::check_sources(task, more, &config.course)?;
        config
            .course
            .check_evaluations(task, val.is_some(), config.eval_every)?;
        capacity::check_classes(task, &model.borrow(), first)?;
        if config.task != Task::Fit {
            first.check_labelled(task)?;
        }
        if let Some(val) = &val {
            val.check_labelled(&format!("{task}: val"))?;
            capacity::check_classes(task, &model.borrow(), val)?;
        }
        capacity::check(session, &model.borrow(), first, &config)?;
        features::check(task, &model.borrow(), &config)?;
        let origin = model.borrow().origin.clone();
        let mut run = Run {
            name: folder::claim_name(session, task),
            beside: Beside::new(&config.course, &model, lent)?,
            memory: config.memory().map(Memory::new).transpose()?,
            model_seed: origin.seed,
            parent: origin.parent,
            ..Self::of(session, model, data.iter().map(DataIdentity::of).collect(), config)?
        };
        (run.data, run.val) = (data, val);
        if session.goes_on() {
            checkpoint::take_up(&mut run)?;
        }
        Ok(run)
    }

    /// A run at its beginning, without a name, data, a memory and what goes on beside the steps.
    pub(super) fn of(
        session: &Session,
        model: Rc<RefCell<Segmenter>>,
        identities: Vec<DataIdentity>,
        config: TrainConfig,
    ) -> Result<Self> {
        let network = model.borrow();
        let (optimizer, temperature) = trained::optimizer(&network, &config)?;
        let average = config.averaging().map(|_| network.copy()).transpose()?;
        let on_gpu = network.device().is_cuda();
        drop(network);
        Ok(Run {
            session: session.clone(),
            model,
            data: Vec::new(),
            val: None,
            identities,
            config,
            optimizer,
            on_gpu,
            temperature,
            memory: None,
            average,
            warned: BTreeMap::new(),
            history: History::default(),
            changes: Vec::new(),
            status: Status::Paused,
            step: 0,
            owes_score: false,
            name: String::new(),
            home: None,
            model_seed: None,
            parent: None,
            sittings: Vec::new(),
            begun: false,
            beside: Beside::default(),
        })
    }

    /// Go on to the last step. Nothing happens if it is reached.
    ///
    /// # Errors
    /// A loss or gradient that is not finite: the parameters stay as the step before left them, a checkpoint of that state is
    /// written and named. An error of a hook, of the data, or of the disk. The run stays usable.
    pub fn resume(&mut self, hooks: &mut Hooks) -> Result<()> {
        let left = self.steps().saturating_sub(self.step);
        fit::run(self, self.step + left, hooks)
    }

    /// Make at most `n` steps more. Where fewer are left the run is lengthened to hold them, which stretches its schedule; the
    /// change is recorded.
    pub fn advance(&mut self, n: usize, hooks: &mut Hooks) -> Result<()> {
        let until = self.step + n;
        if until > self.steps() {
            self.set("steps", &Value::from(until))?;
        }
        fit::run(self, until, hooks)
    }

    /// Where the run stands.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Steps made so far.
    pub fn step(&self) -> usize {
        self.step
    }

    /// All steps of the run.
    pub fn steps(&self) -> usize {
        self.config.steps.unwrap_or(0)
    }

    /// The loss of the last step (NaN before the first).
    pub fn loss(&self) -> f64 {
        self.history.last("loss").unwrap_or(f64::NAN)
    }

    /// One row per step: `step`, `epoch`, `loss`, `lr`, then the metrics.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The model, shared with the caller.
    pub fn model(&self) -> &Rc<RefCell<Segmenter>> {
        &self.model
    }

    /// The settings in force.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Settings changed while training.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Name of the run and of its folder below the session's: `pretrain`, `finetune`, `finetune-2`, ...
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The newest checkpoint, which is in the run's folder.
    pub fn checkpoint_path(&self) -> Result<Place> {
        folder::checkpoint_path(self)
    }

    /// The session the run belongs to.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The sources, unless the run was loaded without them.
    pub(super) fn data(&self) -> Result<&[Dataset]> {
        let first = &self.identities[0];
        ensure!(
            !self.data.is_empty(),
            "this run was loaded without its data set {} ({} images); give it: train::load(path, #{{ data: ... }})",
            first.name,
            first.images
        );
        Ok(&self.data)
    }

    /// What the batches from the present step on are made of.
    pub(super) fn batch_options(&self) -> BatchOptions {
        batch_options(&self.config, self.step)
    }

    /// Evaluate on the validation set with the defaults: the names and values that go into the history.
    pub(super) fn validate(&self) -> Result<Vec<(String, f64)>> {
        let Some(val) = &self.val else { return Ok(Vec::new()) };
        let mut scores = Vec::new();
        let average = self.beside.average.iter().map(|average| ("ema_", average));
        for (prefix, model) in std::iter::once(("", &self.model)).chain(average) {
            let options = evaluate::EvalOptions::default();
            let score = evaluate::segmentation(&self.session, &model.borrow(), val, &options)?;
            scores.push((format!("{prefix}val_miou"), score.miou()));
            scores.push((format!("{prefix}val_pixel_accuracy"), score.pixel_accuracy()));
        }
        Ok(scores)
    }

    /// The averaged network, where the run has one.
    pub fn average(&self) -> Option<&Rc<RefCell<Segmenter>>> {
        self.beside.average.as_ref()
    }

    /// A copy of the network with the best val mIoU, where the run keeps it.
    pub fn best(&self) -> Option<&Rc<RefCell<Segmenter>>> {
        self.beside.best.as_ref()
    }

    /// Whether the validation set is scored after the steps made so far.
    pub(super) fn scored(&self) -> bool {
        let due = self
            .config
            .eval_every
            .is_some_and(|every| self.step.is_multiple_of(every));
        self.val.is_some() && self.step > 0 && (self.step == self.steps() || due)
    }

    /// The temperature as it stands, if it is learnt.
    pub fn learnt_temperature(&self) -> Option<f64> {
        let value = self.temperature.as_ref()?.as_detached_tensor();
        value.to_dtype(candle_core::DType::F64).and_then(|t| t.to_scalar()).ok()
    }
}

fn batch_options(config: &TrainConfig, start: usize) -> BatchOptions {
    BatchOptions {
        size: config.batch_size,
        shuffle: true,
        seed: config.seed,
        augment: config.augment.clone(),
        distort: config.distort.clone(),
        views: config.views.clone(),
        drop_last: true,
        start: start * config.course.accumulate,
        ..BatchOptions::default()
    }
}

/// Saving and loading.
impl Run {
    /// Write the whole state to a safetensors file, which is also a model file.
    pub fn save(&self, place: impl Into<Place>) -> Result<()> {
        checkpoint::save(self, &place.into())
    }

    /// Read a run that [`Run::save`] or the run folder's `last.safetensors` holds. To go on it needs its data set again, and its
    /// validation set where it had one.
    ///
    /// # Errors
    /// The file is missing, corrupt or no checkpoint of a run; the data set is not the one of the run.
    pub fn load(
        session: &Session,
        place: impl Into<Place>,
        data: Option<Dataset>,
        val: Option<Dataset>,
    ) -> Result<Self> {
        Self::load_into(session, place, None, data.into_iter().collect(), val, Lent::default())
    }

    /// [`Run::load`] of a run that trains a network of the user's own, into that network (built as it was), that has several
    /// sources, or that changes what is lent to it.
    pub fn load_into(
        session: &Session,
        place: impl Into<Place>,
        model: Option<Rc<RefCell<Segmenter>>>,
        data: Vec<Dataset>,
        val: Option<Dataset>,
        lent: Lent,
    ) -> Result<Self> {
        checkpoint::load(session, &place.into(), model, data, val, lent)
    }
}
