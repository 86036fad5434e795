//! From one run to a study: a script swept over values of its arguments, on this machine or as a job array of Slurm; the record that
//! a run of a script leaves (`result.json`); the table of all of them; a recorded run made once more.
//!
//! Each point of a sweep is an ordinary `seglab run` in a folder of its own. Nothing is remembered but what these folders hold, so
//! whatever was killed, the same command finds what is left to do.

mod grid;
mod local;
mod point;
mod record;
mod replay;
mod rows;
mod slurm;
mod sweep;

pub use grid::{Arguments, points};
pub use local::{Jobs, run_here, run_point};
pub use record::{Outcome, Record};
pub use replay::{Difference, replay};
pub use rows::{Cell, Row, histories, rows};
pub use slurm::{Array, at_time_limit, jobs, submit, time_left};
pub use sweep::{Shared, State, Sweep};
