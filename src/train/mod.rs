//! Configuration, optimisers, schedules, the loop with its events, evaluation, run folder.

pub mod history;
pub mod optimizer;
pub mod schedule;

pub use history::History;
pub use optimizer::{Group, Optimizer, OptimizerConfig, Rule};
pub use schedule::{Schedule, Shape};
