//! How one forward pass runs.

use std::cell::RefCell;

use super::known::Known;
use crate::error::Result;
use crate::ops::pieces::Check;
use crate::ops::{Graph, Layout, Precision, Tape};
use crate::random::Random;

/// How one forward pass runs: the mode of batch norm and dropout, gradients or none, and where dropout draws from.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// Batch norm uses the batch's own statistics (and updates the running ones), dropout is active.
    pub training: bool,
    /// In training too batch norm uses the running statistics and leaves them as they are.
    pub frozen_norm: bool,
    /// Keep the graph for `backward`. Without it parameters enter detached and every intermediate map is freed at once.
    pub track: bool,
    /// Where dropout draws from; needed only when training a model whose dropout is not 0.
    pub random: Option<&'a RefCell<Random>>,
    /// Where the operations are recorded: on a tape (whose `Tape::backward` is cheaper), or in candle's graph.
    pub tape: Option<&'a Tape>,
    /// What the factors of convolutions are rounded to.
    pub precision: Precision,
    /// Asked before each layer that takes long; its error ends the pass.
    pub check: Option<Check<'a>>,
    /// Maps of a frozen encoder that need not be computed.
    pub(crate) known: &'a [Known],
    /// How maps lie inside the network, which decides that itself.
    pub(super) layout: Layout,
}

impl<'a> Pass<'a> {
    /// Running statistics, no dropout, no gradients: prediction.
    pub fn evaluation() -> Self {
        Pass {
            training: false,
            frozen_norm: false,
            track: false,
            random: None,
            tape: None,
            precision: Precision::F32,
            check: None,
            known: &[],
            layout: Layout::ChannelsFirst,
        }
    }

    /// Batch statistics, dropout drawn from `random`, gradients.
    pub fn training(random: &'a RefCell<Random>) -> Self {
        Pass {
            training: true,
            track: true,
            random: Some(random),
            ..Pass::evaluation()
        }
    }

    /// The same pass recorded on `tape`; take the gradients by its `backward`.
    pub fn on(self, tape: &'a Tape) -> Self {
        Pass {
            tape: Some(tape),
            ..self
        }
    }

    /// The same pass with convolutions in this precision.
    pub fn at(self, precision: Precision) -> Self {
        Pass { precision, ..self }
    }

    /// The same pass, which takes these maps for the images that they are of.
    pub(crate) fn knowing(self, known: &'a [Known]) -> Self {
        Pass { known, ..self }
    }

    /// The same pass, ended by the error of `check`.
    pub fn until(self, check: Check<'a>) -> Self {
        Pass {
            check: Some(check),
            ..self
        }
    }

    /// The error that ends the pass, if there is one.
    pub(super) fn go_on(&self) -> Result<()> {
        self.check.map_or(Ok(()), |check| check())
    }

    /// Where this pass records its operations, in which precision, and how the maps lie.
    pub(super) fn graph(&self) -> Graph<'a> {
        let graph = self.tape.map(Graph::on).unwrap_or_default();
        graph.at(self.precision).in_layout(self.layout)
    }
}
