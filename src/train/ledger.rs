//! The numbers of steps (loss, gradient norm, metrics) until they are read.
//!
//! Reading a number from a GPU waits until the GPU has done all its work, and then the GPU has nothing to do while the next step is
//! prepared. So the numbers of several steps stay on the GPU and are read together: every [`READ_EVERY`] steps, and earlier where they are
//! needed (a pause, the end, an evaluation, a checkpoint, the end of an epoch that a callback is told of). They are read after every step
//! on the processor, for a callback that is told of every step, and for a memory of past keys, which lies in main memory.

use candle_core::{DType, Device, Tensor};

use super::event::{Event, Hooks, Moment};
use super::run::Run;
use crate::error::Result;
use crate::ops::optimizer::guard::Guard;

/// Steps whose numbers a GPU keeps before they are read.
pub(super) const READ_EVERY: usize = 20;

/// A number that was measured.
pub(super) enum Number {
    /// It is known.
    Known(f64),
    /// An f64 scalar, perhaps still being computed.
    Waiting(Tensor),
}

/// A step whose numbers were not read yet.
pub(super) struct Row {
    pub(super) step: usize,
    pub(super) epoch: usize,
    pub(super) lr: f64,
    /// Updates the optimiser had made before.
    pub(super) updates: u64,
    pub(super) loss: Number,
    pub(super) metrics: Vec<(String, Number)>,
    pub(super) norm: Number,
}

/// The numbers of a step.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) step: usize,
    pub(super) epoch: usize,
    pub(super) lr: f64,
    pub(super) updates: u64,
    pub(super) loss: f64,
    pub(super) norm: f64,
    /// The objective's numbers, then `grad_norm`.
    pub(super) metrics: Vec<(String, f64)>,
}

impl Facts {
    /// Whether the parameters could be updated.
    pub(super) fn finite(&self) -> bool {
        self.loss.is_finite() && self.norm.is_finite()
    }

    /// The row of the history.
    pub(super) fn row(&self) -> Vec<(String, f64)> {
        let fixed = [
            ("step", self.step as f64),
            ("epoch", self.epoch as f64),
            ("loss", self.loss),
            ("lr", self.lr),
        ];
        let fixed = fixed.map(|(name, value)| (name.to_string(), value));
        fixed.into_iter().chain(self.metrics.iter().cloned()).collect()
    }

    /// The event to tell callers.
    pub(super) fn event<'a>(&self, moment: Moment, metrics: &'a [(String, f64)]) -> Event<'a> {
        Event {
            moment,
            step: self.step,
            epoch: self.epoch,
            loss: self.loss,
            lr: self.lr,
            metrics,
        }
    }
}

impl Row {
    /// Its numbers, in the order of the history.
    fn numbers(&self) -> impl Iterator<Item = &Number> {
        let metrics = self.metrics.iter().map(|(_, number)| number);
        std::iter::once(&self.loss).chain(metrics).chain([&self.norm])
    }

    /// Its facts, once the numbers have these values.
    fn facts(self, values: &[f64]) -> Facts {
        let names = self.metrics.into_iter().map(|(name, _)| name);
        let names = names.chain(["grad_norm".to_string()]);
        Facts {
            step: self.step,
            epoch: self.epoch,
            lr: self.lr,
            updates: self.updates,
            loss: values[0],
            norm: values[values.len() - 1],
            metrics: names.zip(values[1..].iter().copied()).collect(),
        }
    }
}

/// The steps not read yet.
pub(super) struct Ledger {
    /// Steps between two readings; 1 where every step is read before the parameters are updated.
    pub(super) every: usize,
    /// On a GPU: what its updates ask.
    pub(super) guard: Option<Guard>,
    /// The step read last.
    pub(super) last: Option<Facts>,
    rows: Vec<Row>,
}

impl Ledger {
    /// For the steps that a run makes now.
    pub(super) fn new(run: &Run, hooks: &Hooks) -> Result<Self> {
        let told_of_steps = hooks.listener.is_some() && !hooks.epochs_only;
        let device = run.model.borrow().device().clone();
        Ok(Ledger {
            every: match run.on_gpu && !told_of_steps && run.memory.is_none() {
                true => READ_EVERY,
                false => 1,
            },
            guard: run.on_gpu.then(|| Guard::new(1.0, &device)).transpose()?,
            last: None,
            rows: Vec::new(),
        })
    }

    /// Keep a step for later.
    pub(super) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Take back a step that an error ended.
    pub(super) fn take_back(&mut self, step: usize) {
        self.rows.retain(|row| row.step < step);
    }

    /// Whether it is time to read.
    pub(super) fn full(&self) -> bool {
        self.rows.len() >= self.every
    }

    /// Read all steps, waiting for the device once, and forget them.
    pub(super) fn read(&mut self) -> Result<Vec<Facts>> {
        let rows = std::mem::take(&mut self.rows);
        let mut values = read(rows.iter().flat_map(Row::numbers))?.into_iter();
        let facts = rows.into_iter().map(|row| {
            let count = row.numbers().count();
            let values: Vec<f64> = values.by_ref().take(count).collect();
            row.facts(&values)
        });
        Ok(facts.collect())
    }
}

/// The values, in order; those on a GPU in one piece.
fn read<'a>(numbers: impl Iterator<Item = &'a Number>) -> Result<Vec<f64>> {
    let mut values = Vec::new();
    let mut far: Vec<(usize, &Tensor)> = Vec::new();
    for number in numbers {
        let value = match number {
            Number::Known(value) => *value,
            Number::Waiting(t) if t.device().is_cpu() => t.to_scalar()?,
            Number::Waiting(t) => {
                far.push((values.len(), t));
                f64::NAN
            }
        };
        values.push(value);
    }
    if !far.is_empty() {
        let tensors: Vec<&Tensor> = far.iter().map(|(_, t)| *t).collect();
        let found = Tensor::stack(&tensors, 0)?.to_device(&Device::Cpu)?.to_vec1::<f64>()?;
        far.iter().zip(found).for_each(|((at, _), value)| values[*at] = value);
    }
    Ok(values)
}

/// A loss as an f64 scalar outside any graph.
pub(super) fn scalar(name: &str, loss: &Tensor) -> Result<Tensor> {
    if loss.elem_count() != 1 {
        crate::fail!(
            "{name}: the loss must be one number, found a tensor of shape {:?}; take its mean()",
            loss.dims()
        )
    }
    Ok(loss.detach().flatten_all()?.to_dtype(DType::F64)?.reshape(())?)
}
