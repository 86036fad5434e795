//! How one forward pass runs.

use std::cell::RefCell;

use crate::random::Random;

/// How one forward pass runs: the mode of batch norm and dropout, gradients or none, and where dropout draws from.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// Batch norm uses the batch's own statistics (and updates the running ones), dropout is active.
    pub training: bool,
    /// Keep the graph for `backward`. Without it parameters enter detached and every intermediate map is freed at once.
    pub track: bool,
    /// Where dropout draws from; needed only when training a model whose dropout is not 0.
    pub random: Option<&'a RefCell<Random>>,
}

impl<'a> Pass<'a> {
    /// Running statistics, no dropout, no gradients: prediction.
    pub fn evaluation() -> Self {
        Pass {
            training: false,
            track: false,
            random: None,
        }
    }

    /// Batch statistics, dropout drawn from `random`, gradients.
    pub fn training(random: &'a RefCell<Random>) -> Self {
        Pass {
            training: true,
            track: true,
            random: Some(random),
        }
    }
}
