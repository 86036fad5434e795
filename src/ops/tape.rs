//! Where results are recorded: in candle's graph, or on a [`Tape`] that runs backward with less work and less memory.
//!
//! candle's own backward makes, for every argument of every node, a tensor of zeros and a sum, and keeps the whole graph until
//! the end. A tape hands gradients on as they are, adds only where a value was used twice, drops what a step kept as soon as it
//! has run, and keeps only what a backward pass reads; a map that little work gives back (batch norm and rectifier from the
//! batch norm's input, a depthwise convolution from its own) is computed again instead. Any candle operation may follow a result
//! of a tape or stand between two: [`Tape::backward`](super::Tape::backward) goes through both.
//!
//! ```text
//! let tape = Tape::new();
//! let y = Graph::on(&tape).conv2d(&x, &weight, None, &options)?;     // a network passes its Graph on to every layer
//! let gradients = tape.backward(&loss(y))?;                          // a GradStore, as Tensor::backward's
//! ```

use std::sync::Arc;

use candle_core::{Result as EngineResult, Tensor};

use super::backward::Tape;
use super::graph::{Backward, Output, record};
use super::layout::Layout;
use super::precision::Precision;

/// The graph that an operation's result joins; a cheap handle. The default is candle's, as with the free functions.
#[derive(Clone, Copy, Default)]
pub struct Graph<'a> {
    tape: Option<&'a Tape>,
    lasting: bool,
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

    /// Record on `tape` what a backward pass leaves as it is, as it leaves candle's graph: it can be gone through again.
    pub fn lasting_on(tape: &'a Tape) -> Self {
        Graph {
            lasting: true,
            ..Graph::on(tape)
        }
    }

    /// The same graph, whose convolutions round their factors to `precision`.
    pub fn at(self, precision: Precision) -> Self {
        Graph { precision, ..self }
    }

    /// The same graph for maps in this layout.
    pub(crate) fn in_layout(self, layout: Layout) -> Self {
        Graph { layout, ..self }
    }

    /// Whether what is recorded here can be gone through again.
    pub(super) fn lasts(self) -> bool {
        self.lasting
    }

    /// `output` as a tensor whose gradient flows to `arguments` by `backward`; a plain tensor if no argument is tracked. A tape keeps
    /// only what the backward pass `needs`, and of the results that can be computed again ([`Graph::recomputable`]) nothing. What it
    /// does not need, `backward` must not read: it gets the gradient in its place.
    pub(crate) fn record(
        self,
        name: &'static str,
        arguments: &[&Tensor],
        needs: Needs,
        output: Output,
        backward: impl Backward,
    ) -> EngineResult<Tensor> {
        match self.tape {
            Some(tape) if arguments.iter().any(|t| t.track_op()) => {
                let keep = |(i, t): (usize, &&Tensor)| match i < needs.arguments {
                    true => tape.keep(t),
                    false => Kept::Nothing,
                };
                let kept: Vec<Kept> = arguments.iter().enumerate().map(keep).collect();
                tape.push(name, arguments, output, self.lasting, |result| {
                    // without its graph, of which this step is a part
                    let result = needs.result.then(|| result.detach());
                    Arc::new(move |gradient| {
                        let values = kept.iter().map(|k| k.value(gradient));
                        let values = values.collect::<EngineResult<Vec<_>>>()?;
                        let values: Vec<&Tensor> = values.iter().collect();
                        backward(&values, result.as_ref().unwrap_or(gradient), gradient)
                    })
                })
            }
            _ => record(name, arguments, output, backward),
        }
    }

    /// `t` as a tape holds it: the tensor, or how it is computed again.
    pub(crate) fn keep(self, t: &Tensor) -> Kept {
        self.tape.map_or_else(|| Kept::Value(t.clone()), |tape| tape.keep(t))
    }

    /// Let a tape compute `result` again from what it keeps anyway, instead of keeping it for the operations that follow.
    pub(crate) fn recomputable(
        self,
        result: &Tensor,
        again: impl Fn() -> EngineResult<Tensor> + Send + Sync + 'static,
    ) {
        if let Some(tape) = self.tape {
            tape.recomputable(result, Arc::new(again));
        }
    }

    /// As [`Graph::record`] for a backward pass that needs no values.
    pub(crate) fn record_light(
        self,
        name: &'static str,
        arguments: &[&Tensor],
        output: Output,
        backward: impl Fn(&Tensor) -> EngineResult<Vec<Option<Tensor>>> + Send + Sync + 'static,
    ) -> EngineResult<Tensor> {
        self.record(name, arguments, Needs::NOTHING, output, move |_, _, gradient| {
            backward(gradient)
        })
    }
}

/// Which values a backward pass reads: the first so many arguments, and perhaps the result.
#[derive(Clone, Copy)]
pub(crate) struct Needs {
    arguments: usize,
    pub(super) result: bool,
}

impl Needs {
    /// Nothing.
    pub(crate) const NOTHING: Self = Needs::first(0);
    /// The first argument.
    pub(crate) const ARGUMENT: Self = Needs::first(1);
    /// The result.
    pub(crate) const RESULT: Self = Needs::first(0).and_result(true);

    /// The first `arguments`.
    pub(crate) const fn first(arguments: usize) -> Self {
        Needs {
            arguments,
            result: false,
        }
    }

    /// These, and perhaps the result.
    pub(crate) const fn and_result(self, result: bool) -> Self {
        Needs { result, ..self }
    }
}

/// How a result is computed a second time.
pub(super) type Again = Arc<dyn Fn() -> EngineResult<Tensor> + Send + Sync>;

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
