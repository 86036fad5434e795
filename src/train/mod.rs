//! Configuration, optimisers, schedules, the loop with its events, evaluation, run folder.
//!
//! | file | holds |
//! |---|---|
//! | `config` | [`TrainConfig`]: everything that determines a run except model and data |
//! | `optimizer`, `schedule`, `temperature` | SGD and AdamW with groups and state; the courses of the learning rate and of the temperature |
//! | `preset` | settings of publications, by name |
//! | `run` | [`Run`]: a run with its whole state; resume, advance, save, load |
//! | `change` | settings that are changed on the way |
//! | `course` | accumulation, an averaged network, the best network, patience, further sources |
//! | `lent` | what of the caller's a run changes: the network for its average, the memories that its loss fills |
//! | `fit`, `step`, `objective` | the loop; one step of it; the losses of the two built-in tasks |
//! | `trained` | which parameters a task trains |
//! | `capacity` | batches that are larger than the data or the memory; data that do not fit the network |
//! | `failure` | the errors that end a run, with what was kept |
//! | `event` | what the loop tells its callers ([`Event`]) and what they answer ([`Flow`]) |
//! | `history`, `folder`, `checkpoint` | the recorded columns; `config.json`, `history.csv`, `last.safetensors` |
//! | `evaluate`, `predict` | the score of a data set with its protocol; label maps |
//! | `embedding` | pixels as the projection head sees them, and their diagnostics |
//!
//! A run is continued by its position: order of the images, augmentation, dropout and sampling are drawn from the seed and the
//! number of the step, never from a generator that would have to be saved.

mod buffers;
mod capacity;
mod change;
mod checkpoint;
pub mod config;
mod course;
pub mod embedding;
pub mod evaluate;
pub mod event;
pub mod events;
mod failure;
mod features;
mod fit;
mod folder;
pub mod history;
mod ledger;
mod lent;
mod objective;
mod on_gpu;
pub mod optimizer;
mod predict;
mod preset;
pub mod run;
pub mod schedule;
mod step;
pub mod temperature;
mod trained;

pub use change::Change;
pub use config::{Objective, Task, TrainConfig};
pub use course::{AverageOptions, Course, Keep};
pub use evaluate::EvalOptions;
pub use event::{Event, Flow, Hooks, Listener, LossValue, Moment};
pub use history::History;
pub use lent::Lent;
pub use optimizer::{Group, Groups, Optimizer, OptimizerConfig, Rule};
pub use preset::Preset;
pub use run::{Run, Status};
pub use schedule::{Schedule, Shape};
pub use temperature::{MovingTemperature, PretrainLoss, Temperature};
