//! Where results are recorded: in candle's graph, or on a [`Tape`] that runs backward with less work and less memory.
//!
//! candle's own backward makes, for every argument of every node, a tensor of zeros and a sum, and keeps the whole graph until
//! the end. A tape hands gradients on as they are, adds only where a value was used twice, drops each step (with what it
//! kept) as soon as it has run, and keeps only what a backward pass reads; a map that little work gives back (batch norm
//! and rectifier from the batch norm's input, a depthwise convolution from its own) is computed again instead. Results on a tape are leaves for candle, so any candle operation may follow or stand between.
//!
//! ```text
//! let tape = Tape::new();
//! let y = Graph::on(&tape).conv2d(&x, &weight, None, &options)?;     // a network passes its Graph on to every layer
//! let gradients = tape.backward(&loss(y))?;                          // a GradStore, as Tensor::backward's
//! ```

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use candle_core::backprop::GradStore;
use candle_core::{Result as EngineResult, Tensor, TensorId};

use super::graph::{Backward, Output, record};
use super::kernel::cpu::fill_by;
use super::kernel::{View, by_dtype, on_gpu, plain};
use super::layout::Layout;
use super::precision::Precision;
use crate::error::Result;

/// The graph that an operation's result joins; a cheap handle. The default is candle's, as with the free functions.
#[derive(Clone, Copy, Default)]
pub struct Graph<'a> {
    tape: Option<&'a Tape>,
    pub(super) precision: Precision,
    pub(super) layout: Layout,
}

impl<'a> Graph<'a> {
    /// Record on `tape`.
    pub fn on(tape: &'a Tape) -> Self {
        Graph {
            tape: Some(tape),
            ..Graph::default()
        }
    }

    /// The same graph, whose convolutions round their factors to `precision`.
    pub fn at(self, precision: Precision) -> Self {
        Graph { precision, ..self }
    }

    /// The same graph for maps that lie so.
    pub(crate) fn laid(self, layout: Layout) -> Self {
        Graph { layout, ..self }
    }

    /// `output` as a tensor whose gradient flows to `arguments` by `backward`; a plain tensor if no argument is tracked.
    pub(crate) fn record(
        self,
        name: &'static str,
        arguments: &[&Tensor],
        output: Output,
        backward: impl Backward,
    ) -> EngineResult<Tensor> {
        let everything = Needs {
            arguments: usize::MAX,
            result: true,
        };
        self.record_what(name, arguments, everything, output, backward)
    }

    /// As [`Graph::record`]; a tape keeps only what the backward pass `needs`, and of the results that can be computed again
    /// ([`Graph::recomputable`]) nothing. What it does not need, `backward` must not read: it gets the gradient in its place.
    pub(crate) fn record_what(
        self,
        name: &'static str,
        arguments: &[&Tensor],
        needs: Needs,
        output: Output,
        backward: impl Backward,
    ) -> EngineResult<Tensor> {
        match self.tape {
            Some(tape) if arguments.iter().any(|t| t.track_op()) => {
                let kept: Vec<Kept> = arguments
                    .iter()
                    .enumerate()
                    .map(|(i, t)| {
                        if i < needs.arguments {
                            tape.keep(t)
                        } else {
                            Kept::Nothing
                        }
                    })
                    .collect();
                Ok(tape.push(arguments, output, |result| {
                    let result = needs.result.then(|| result.clone());
                    Box::new(move |gradient| {
                        let values = kept
                            .iter()
                            .map(|k| k.value(gradient))
                            .collect::<EngineResult<Vec<_>>>()?;
                        backward(
                            &values.iter().collect::<Vec<_>>(),
                            result.as_ref().unwrap_or(gradient),
                            gradient,
                        )
                    })
                }))
            }
            _ => record(name, arguments, output, backward),
        }
    }

    /// `t` as a tape holds it: the tensor, or how it is computed again.
    pub(crate) fn keep(self, t: &Tensor) -> Kept {
        self.tape.map_or_else(|| Kept::Value(t.clone()), |tape| tape.keep(t))
    }

    /// Let a tape compute `result` again from what it keeps anyway, instead of keeping it for the operations that follow.
    pub(crate) fn recomputable(self, result: &Tensor, again: impl Fn() -> EngineResult<Tensor> + 'static) {
        if let (Some(tape), true) = (self.tape, result.track_op()) {
            tape.again.borrow_mut().insert(result.id(), Rc::new(again));
        }
    }

    /// As [`Graph::record`] for a backward pass that needs no values: a tape then keeps neither arguments nor result.
    pub(crate) fn record_light(
        self,
        name: &'static str,
        arguments: &[&Tensor],
        output: Output,
        backward: impl Fn(&Tensor) -> EngineResult<Vec<Option<Tensor>>> + Send + Sync + 'static,
    ) -> EngineResult<Tensor> {
        match self.tape {
            Some(tape) if arguments.iter().any(|t| t.track_op()) => {
                Ok(tape.push(arguments, output, |_| Box::new(backward)))
            }
            _ => record(name, arguments, output, move |_, _, gradient| backward(gradient)),
        }
    }
}

/// Which values a backward pass reads: the first so many arguments, and perhaps the result.
#[derive(Clone, Copy)]
pub(crate) struct Needs {
    pub(crate) arguments: usize,
    pub(crate) result: bool,
}

/// How a result is computed a second time.
type Again = Rc<dyn Fn() -> EngineResult<Tensor>>;

/// An argument as a tape holds it until the backward pass.
pub(crate) enum Kept {
    Value(Tensor),
    Again(Again),
    Nothing,
}

impl Kept {
    /// The tensor; `placeholder` where it is not needed.
    pub(crate) fn value(&self, placeholder: &Tensor) -> EngineResult<Tensor> {
        match self {
            Kept::Value(t) => Ok(t.clone()),
            Kept::Again(again) => again(),
            Kept::Nothing => Ok(placeholder.clone()),
        }
    }
}

/// The gradients of a step's arguments from that of its result.
type StepBackward = Box<dyn FnOnce(&Tensor) -> EngineResult<Vec<Option<Tensor>>>>;

/// One recorded operation.
struct Step {
    arguments: Vec<Argument>,
    result: TensorId,
    backward: StepBackward,
}

/// Where the gradient of one argument goes.
enum Argument {
    /// Nowhere.
    Untracked,
    /// To a variable or the result of an earlier step.
    Leaf(TensorId),
    /// Through candle's graph, which a candle operation between two steps has made.
    Candle(Tensor),
}

impl Argument {
    fn of(t: &Tensor) -> Self {
        match (t.track_op(), t.is_variable()) {
            (false, _) => Argument::Untracked,
            (true, true) => Argument::Leaf(t.id()),
            (true, false) => Argument::Candle(t.clone()),
        }
    }
}

/// The operations of one forward pass, in order.
#[derive(Default)]
pub struct Tape {
    steps: RefCell<Vec<Step>>,
    again: RefCell<HashMap<TensorId, Again>>,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    fn keep(&self, t: &Tensor) -> Kept {
        match self.again.borrow().get(&t.id()) {
            Some(again) => Kept::Again(again.clone()),
            None => Kept::Value(t.clone()),
        }
    }

    fn push(
        &self,
        arguments: &[&Tensor],
        output: Output,
        backward: impl FnOnce(&Tensor) -> Box<dyn FnOnce(&Tensor) -> EngineResult<Vec<Option<Tensor>>>>,
    ) -> Tensor {
        let none = candle_core::op::BackpropOp::none();
        let result = Tensor::from_storage(output.storage, output.shape, none, true);
        self.steps.borrow_mut().push(Step {
            arguments: arguments.iter().map(|t| Argument::of(t)).collect(),
            result: result.id(),
            backward: backward(&result),
        });
        result
    }

    /// The gradients of `loss` by every variable it depends on, through candle's graph and this tape, which is empty afterwards.
    ///
    /// # Errors
    /// Those of the operations' backward passes; a loss on a device without kernels.
    pub fn backward(&self, loss: &Tensor) -> Result<GradStore> {
        let mut gradients = HashMap::new();
        merge(&mut gradients, &loss.backward()?)?;
        loop {
            let Some(step) = self.steps.borrow_mut().pop() else {
                break;
            };
            self.again.borrow_mut().remove(&step.result);
            let Some(gradient) = gradients.remove(&step.result) else {
                continue;
            };
            let parts = (step.backward)(&gradient.contiguous()?)?;
            drop(gradient);
            for (argument, part) in step.arguments.iter().zip(parts) {
                let Some(part) = part else { continue };
                match argument {
                    Argument::Untracked => {}
                    Argument::Leaf(id) => accumulate(&mut gradients, *id, part)?,
                    Argument::Candle(t) => {
                        merge(&mut gradients, &(t * part)?.sum_all()?.backward()?)?;
                    }
                }
            }
        }
        let mut store = GradStore::default();
        for (id, gradient) in gradients {
            store.insert_id(id, gradient);
        }
        Ok(store)
    }
}

/// Add the gradients of `store`.
fn merge(gradients: &mut HashMap<TensorId, Tensor>, store: &GradStore) -> Result<()> {
    for id in store.get_ids() {
        if let Some(part) = store.get_id(*id) {
            accumulate(gradients, *id, part.clone())?;
        }
    }
    Ok(())
}

/// Add `part` to the gradient of `id`.
fn accumulate(gradients: &mut HashMap<TensorId, Tensor>, id: TensorId, part: Tensor) -> Result<()> {
    let sum = match gradients.get(&id) {
        None => part,
        // Gradients are outside any graph, so that candle's sum records nothing.
        Some(old) if on_gpu(old.device()) => (old.detach() + part.detach())?,
        Some(old) => {
            let (a, b) = (old.contiguous()?, part.contiguous()?);
            by_dtype!(a, "backward", T => {
                let (x, y) = (View::<T>::of(&a)?, View::<T>::of(&b)?);
                let sum = fill_by(x.len(), |at, out| {
                    for ((o, x), y) in out.iter_mut().zip(&x[at..]).zip(&y[at..]) {
                        o.write(*x + *y);
                    }
                });
                Ok::<_, candle_core::Error>(plain(sum, a.shape()))
            })?
        }
    };
    gradients.insert(id, sum);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{self, Conv2dOptions};
    use candle_core::{Device, Var};

    #[test]
    fn the_tape_gives_the_gradients_of_candles_graph() {
        let x = Var::randn(0f64, 1.0, (2, 3, 6, 5), &Device::Cpu).unwrap();
        let w = Var::randn(0f64, 1.0, (3, 3, 3, 3), &Device::Cpu).unwrap();
        let b = Var::randn(0f64, 1.0, 3, &Device::Cpu).unwrap();
        let o = Conv2dOptions::same(3, 1, 1);
        // a weight used twice, a residual, a candle operation in between and behind, a value that leads nowhere
        let network = |graph: Graph| -> Tensor {
            let once = graph.conv2d(&x, &w, Some(&b), &o).unwrap();
            let _unused = graph.relu(&once).unwrap();
            let between = (graph.relu(&once).unwrap() + &once).unwrap().transpose(2, 3).unwrap();
            let twice = graph.conv2d(&between, &w, None, &o).unwrap();
            let joined = graph
                .concat(&[&twice, &between.contiguous().unwrap(), &twice], 1)
                .unwrap();
            (graph.resize_bilinear(&joined, [7, 9], true).unwrap().sqr().unwrap() * 0.5)
                .unwrap()
                .mean_all()
                .unwrap()
        };
        let expected = network(Graph::default()).backward().unwrap();
        let tape = Tape::new();
        let found = tape.backward(&network(Graph::on(&tape))).unwrap();
        for var in [&x, &w, &b] {
            let (a, b) = (expected.get(var).unwrap(), found.get(var).unwrap());
            let error = (a - b)
                .unwrap()
                .abs()
                .unwrap()
                .max_all()
                .unwrap()
                .to_scalar::<f64>()
                .unwrap();
            assert!(error < 1e-12, "{error}");
        }
        assert!(tape.steps.borrow().is_empty());
        assert!(ops::relu(&x).unwrap().track_op());
    }
}
