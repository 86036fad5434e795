//! Confusion matrix and what follows from it; embedding diagnostics.
//!
//! A metric here takes plain slices, says its unit and which direction is better, and knows nothing of networks or files.
//! To add one: a file named after it, its `mod` line below.

mod confusion;
pub mod embedding;
mod score;

pub use confusion::Confusion;
pub use score::{Protocol, Score};
