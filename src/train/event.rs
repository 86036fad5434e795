//! What the loop tells its callers, and what they may answer.

use candle_core::Tensor;

use crate::data::Batch;
use crate::error::Result;
use crate::nn::Pass;
use crate::ops::Tape;

/// When an event happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The loss and the gradients of a step are known; the parameters are about to be updated.
    Step,
    /// The last step of an epoch is done, its evaluation (if one is due) included.
    Epoch,
}

/// A moment in a run.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Which moment.
    pub moment: Moment,
    /// The step, from 0.
    pub step: usize,
    /// The epoch, from 0.
    pub epoch: usize,
    /// The loss of this step.
    pub loss: f64,
    /// The learning rate of this step.
    pub lr: f64,
    /// Further numbers: `grad_norm`, `temperature`, the loss's counts, the last validation scores.
    pub metrics: &'a [(String, f64)],
}

/// What a caller answers to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Do not update the parameters with this batch (at [`Moment::Step`]).
    SkipBatch,
    /// Finish this step, then stop; the run can be resumed.
    Stop,
}

/// What a loss of the caller's gives.
pub struct LossValue {
    /// The scalar that is minimised.
    pub loss: Tensor,
    /// Further numbers for the history.
    pub metrics: Vec<(String, f64)>,
}

impl From<Tensor> for LossValue {
    fn from(loss: Tensor) -> Self {
        LossValue {
            loss,
            metrics: Vec::new(),
        }
    }
}

/// A loss of the caller's: of a batch of each source; how the network passes them; and the number of the pass (the step, where nothing is
/// accumulated).
pub type LossFunction<'a> = Box<dyn FnMut(&[Batch], &Pass, usize) -> Result<LossValue> + 'a>;
/// A number for each step.
pub type StepFunction<'a> = Box<dyn FnMut(usize) -> Result<f64> + 'a>;
/// Told at each [`Moment`].
pub type Listener<'a> = Box<dyn FnMut(&Event) -> Result<Flow> + 'a>;

/// The functions that a run calls. They are not part of its state: give them again when it goes on.
#[derive(Default)]
pub struct Hooks<'a> {
    /// The loss, for [`super::Objective::Custom`].
    pub loss: Option<LossFunction<'a>>,
    /// The tape that passes are recorded on; a loss may use candle's graph besides.
    pub tape: Tape,
    /// The factor on the learning rate, for a schedule of shape [`super::Shape::Function`].
    pub schedule: Option<StepFunction<'a>>,
    /// The temperature, for [`super::Temperature::Function`].
    pub temperature: Option<StepFunction<'a>>,
    /// Told of each step and epoch.
    pub listener: Option<Listener<'a>>,
    /// The listener has nothing to do at [`Moment::Step`] and is not told of it: a GPU need not wait at every step.
    pub epochs_only: bool,
}
