//! Everything that determines a training run except the model and the data: saved with each checkpoint and in `config.json`.

use serde::{Deserialize, Serialize};

use super::course::Course;
use super::optimizer::OptimizerConfig;
use super::schedule::{Schedule, Shape};
use crate::data::{Augment, Distort};
use crate::ensure;
use crate::error::{POSITIVE, Result, in_range};
use crate::loss::PixelContrastOptions;
use crate::ops::{CrossEntropyOptions, Precision, Reduction};

/// What a run does, and which parameters it trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Contrastive pretraining: everything but the classifier.
    Pretrain,
    /// Cross-entropy: everything but the projection head.
    Finetune,
    /// A loss of the caller's: every parameter that receives a gradient.
    Fit,
}

impl Task {
    /// The name in scripts and folders.
    pub fn name(self) -> &'static str {
        match self {
            Task::Pretrain => "pretrain",
            Task::Finetune => "finetune",
            Task::Fit => "fit",
        }
    }
}

/// How the temperature of the contrastive loss moves; it starts at the loss's own `temperature`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Temperature {
    /// It stays.
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

/// The settings of one run. Unknown names are refused when read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// What the run does.
    pub task: Task,
    /// The loss.
    pub objective: Objective,
    /// How many steps; with `epochs` instead it is filled in when the run is made.
    pub steps: Option<usize>,
    /// How often the data set is gone through.
    pub epochs: Option<usize>,
    /// Images per step.
    pub batch_size: usize,
    /// The optimiser; its learning rate is multiplied by the schedule's factor.
    pub optimizer: OptimizerConfig,
    /// The learning rate's course.
    pub schedule: Schedule,
    /// Largest Euclidean norm of all gradients together; longer ones are shortened.
    pub clip: Option<f64>,
    /// Random scale, crop and flip of image and labels.
    pub augment: Option<Augment>,
    /// Colour distortion of the second view.
    pub distort: Option<Distort>,
    /// Colour distortions of further views.
    #[serde(default)]
    pub views: Vec<Distort>,
    /// Order of the images, augmentation, dropout and sampling follow from it.
    pub seed: u64,
    /// What the factors of the convolutions of a training step are rounded to. Evaluation is always in f32.
    #[serde(default)]
    pub precision: Precision,
    /// Accumulation, an averaged network, the best network, further sources.
    #[serde(default)]
    pub course: Course,
    /// Evaluate on the validation set every so many steps (and at the end); only at the end if not given.
    pub eval_every: Option<usize>,
    /// Write `last.safetensors` every so many steps (and at the end, at a pause, at a failure). With 0 a run that ends well
    /// writes none.
    pub checkpoint_every: Option<usize>,
    /// Write `last.safetensors` also after so many minutes without; 0 leaves it to `checkpoint_every`. Where that is 0 this does not count.
    #[serde(default = "ten")]
    pub checkpoint_minutes: f64,
}

/// Minutes of work that a sudden end may cost, if nothing else was asked for.
fn ten() -> f64 {
    10.0
}

impl TrainConfig {
    /// Contrastive pretraining. SGD with learning rate 0.03 (MoCo's), momentum 0.9, weight decay 4e-5 (DeepLab's), cosine with
    /// a warm-up of 30 steps; the second view, where the variant's method has one, is distorted as in SimCLR. Not the settings of
    /// the method's paper.
    pub fn pretrain(options: PixelContrastOptions) -> Self {
        let distort = options.variant.is_of_two_views().then(Distort::default);
        let objective = Objective::PixelContrast {
            options: Box::new(options),
            temperature: Temperature::Fixed,
        };
        TrainConfig {
            distort,
            schedule: Schedule {
                warmup: 30,
                ..Schedule::new(Shape::Cosine)
            },
            ..Self::with(Task::Pretrain, objective)
        }
    }

    /// Supervised training with cross-entropy. SGD with learning rate 0.01, momentum 0.9, weight decay 4e-5, poly 0.9 (DeepLab's;
    /// a network that starts from random numbers bears 0.05).
    pub fn finetune(options: CrossEntropyOptions) -> Self {
        Self::with(Task::Finetune, Objective::CrossEntropy(options))
    }

    /// A loss of the caller's, otherwise as [`TrainConfig::finetune`].
    pub fn fit() -> Self {
        Self::with(Task::Fit, Objective::Custom)
    }

    fn with(task: Task, objective: Objective) -> Self {
        TrainConfig {
            task,
            objective,
            steps: None,
            epochs: None,
            batch_size: 8,
            optimizer: OptimizerConfig::default(),
            schedule: Schedule::new(Shape::Poly),
            clip: None,
            augment: None,
            distort: None,
            views: Vec::new(),
            seed: 0,
            precision: Precision::F32,
            course: Course::default(),
            eval_every: None,
            checkpoint_every: None,
            checkpoint_minutes: ten(),
        }
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
                check_temperature(options.temperature, temperature)?;
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
        let lr = if self.task == Task::Pretrain { 0.03 } else { 0.01 };
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

/// Refuse temperatures that are not above 0.
fn check_temperature(start: f64, temperature: &Temperature) -> Result<()> {
    let positive = |what: &str, value: f64| in_range("pretrain", what, value, POSITIVE);
    positive("temperature", start)?;
    match temperature {
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
