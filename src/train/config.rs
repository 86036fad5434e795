//! Everything that determines a training run except the model and the data: saved with each checkpoint and in `config.json`.

use serde::{Deserialize, Serialize};

use super::course::Course;
use super::optimizer::OptimizerConfig;
use super::schedule::{Schedule, Shape};
use super::temperature::{PretrainLoss, Temperature};
use crate::data::{Augment, Distort};
use crate::error::{POSITIVE, Result, in_range};
use crate::loss::PixelContrastOptions;
use crate::loss::pixel_contrast::MemoryOptions;
use crate::ops::{CrossEntropyOptions, Precision, Reduction};
use crate::{choices, ensure, options};

choices! {
    /// What a run does, and which parameters it trains.
    pub enum Task {
        /// Contrastive pretraining: everything but the classifier.
        Pretrain = "pretrain",
        /// Cross-entropy: everything but the projection head.
        Finetune = "finetune",
        /// A loss of the caller's: every parameter that receives a gradient.
        Fit = "fit",
    }
}

/// What is minimised.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The pixel contrastive loss between the projected features of an image and of its distorted view.
    PixelContrast {
        /// Variant, sampling, temperature at the start.
        options: Box<PixelContrastOptions>,
        /// How the temperature moves.
        temperature: Temperature,
    },
    /// Cross-entropy of the logits at the size of the labels.
    CrossEntropy(CrossEntropyOptions),
    /// A function of the caller's ([`super::Hooks::loss`]).
    Custom,
}

options! {
    /// The settings of one run. Unknown names are refused when read.
    pub struct TrainConfig {
        /// A second view of each image with other colours; a pretraining of two views has that of SimCLR if none is given.
        distort: Option<Distort> = None,
        /// Deliver `batch.views` too, a colour version of the same crop for each of these maps.
        views: Vec<Distort> = Vec::new(),
        /// Evaluate on `val` every so many steps and at the end; only at the end if absent.
        eval_every: Option<usize> = None,
        /// How many steps (or give `epochs`).
        steps: Option<usize> = None,
        /// How often to go through the data.
        epochs: Option<usize> = None,
        /// Images per step.
        batch_size: usize = 8,
        /// The optimiser; its learning rate is multiplied by the schedule's factor.
        optimizer: OptimizerConfig = OptimizerConfig::default(),
        /// The learning rate's course, that of the task if absent: `#{ name, power, gamma, every, warmup }`, a closure (step to factor) or a name.
        schedule: Schedule = Schedule::new(Shape::Poly) => "()",
        /// Largest Euclidean norm of all gradients together; longer ones are shortened.
        clip: Option<f64> = None,
        /// Random scale, crop and flip of image and labels.
        augment: Option<Augment> = None,
        /// Accumulation, an averaged network, the best network, further sources.
        course: Course = Course::default(),
        /// Seed of everything random in the run; the session's if absent.
        seed: u64 = 0 => "()",
        /// `"bf16"`: the factors of convolutions rounded to bfloat16, all else (parameters, sums, statistics, losses, evaluation) in f32.
        precision: Precision = Precision::F32,
        /// Write `last.safetensors` every so many steps and at the end; only at the end if absent; never, pauses and failures
        /// apart, if 0.
        checkpoint_every: Option<usize> = None,
        /// Write it also after so many minutes without, against a sudden end; 0 leaves it to `checkpoint_every`. Where that is 0 this does not
        /// count.
        checkpoint_minutes: f64 = 10.0,
    }
    beside {
        /// What the run does.
        task: Task = Task::Fit,
        /// The loss.
        objective: Objective = Objective::Custom,
    }
}

impl TrainConfig {
    /// Contrastive pretraining. SGD with learning rate 0.03 (MoCo's), momentum 0.9, weight decay 4e-5 (DeepLab's), cosine with
    /// a warm-up of 30 steps; the second view, where the variant's method has one, is distorted as in SimCLR. Not the settings of
    /// the method's paper.
    pub fn pretrain(loss: impl Into<PretrainLoss>) -> Self {
        let PretrainLoss { options, temperature } = loss.into();
        TrainConfig {
            task: Task::Pretrain,
            distort: options.variant.is_of_two_views().then(Distort::default),
            objective: Objective::PixelContrast {
                options: Box::new(options),
                temperature,
            },
            schedule: Schedule {
                warmup: 30,
                ..Schedule::new(Shape::Cosine)
            },
            ..TrainConfig::default()
        }
    }

    /// Supervised training with cross-entropy. SGD with learning rate 0.05, momentum 0.9, weight decay 4e-5, poly 0.9: DeepLab's, but for
    /// the learning rate, which is the best for a network that starts from random numbers and sees few images (`docs/study.md`).
    pub fn finetune(options: CrossEntropyOptions) -> Self {
        TrainConfig {
            task: Task::Finetune,
            objective: Objective::CrossEntropy(options),
            ..TrainConfig::default()
        }
    }

    /// A loss of the caller's, otherwise as [`TrainConfig::finetune`].
    pub fn fit() -> Self {
        TrainConfig::default()
    }

    /// The memory of past keys that the loss asks for.
    pub(super) fn memory(&self) -> Option<&MemoryOptions> {
        match &self.objective {
            Objective::PixelContrast { options, .. } => options.memory.as_ref(),
            _ => None,
        }
    }

    /// The momentum of the averaged network, where the memory is to hold its features.
    pub(super) fn averaging(&self) -> Option<f64> {
        self.memory()?.momentum_encoder
    }

    /// Fill in what was left open for a data set that has `batches` batches per epoch, and refuse what cannot be.
    pub fn resolved(&self, batches: usize) -> Result<Self> {
        let name = self.task.name();
        ensure!(
            self.steps.is_none() || self.epochs.is_none(),
            "{name}: give steps or epochs, not both"
        );
        let Some(steps) = self.steps.or(self
            .epochs
            .map(|e| (e * batches).div_ceil(self.course.accumulate.max(1))))
        else {
            crate::fail!("{name}: give the length of the training, steps: 400 or epochs: 20")
        };
        for (option, value) in [
            ("steps", Some(steps)),
            ("batch_size", Some(self.batch_size)),
            ("eval_every", self.eval_every),
        ] {
            ensure!(value != Some(0), "{name}: {option} is 0, expected at least 1");
        }
        if let Some(clip) = self.clip {
            in_range(name, "clip", clip, POSITIVE)?;
        }
        in_range(name, "checkpoint_minutes", self.checkpoint_minutes, 0.0..)?;
        match &self.objective {
            Objective::PixelContrast { options, temperature } => {
                options.check()?;
                temperature.check(options.temperature)?;
            }
            Objective::CrossEntropy(options) => {
                options.check(&format!("{name}: loss"), None)?;
                ensure!(
                    options.reduction != Reduction::None,
                    "{name}: loss: reduction \"none\" leaves one loss for each pixel, expected \"mean\" or \"sum\""
                );
            }
            Objective::Custom => {}
        }
        self.course.check(name)?;
        self.schedule.check()?;
        let lr = if self.task == Task::Pretrain { 0.03 } else { 0.05 };
        let optimizer = self.optimizer.resolved(lr, 0.9, 4e-5);
        optimizer.check()?;
        Ok(TrainConfig {
            steps: Some(steps),
            epochs: None,
            optimizer,
            ..self.clone()
        })
    }
}
