//! Named tensors of a model, in a fixed order, and the builder that makes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{DType, Device, Tensor, Var};
use rayon::prelude::*;

use super::init::Init;
use super::pass::Pass;
use crate::error::{Error, Result};
use crate::session::memory::affordable;

/// A trainable tensor of a model and its name; the variable is shared with the model, so setting it trains the model.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The name in the ecosystem's checkpoints, such as `encoder.layer1.0.conv1.weight`.
    pub name: String,
    /// The variable.
    pub var: Var,
}

/// One tensor of a model: a parameter, or a buffer (running statistics) that no optimiser touches.
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) var: Var,
    pub(super) buffer: bool,
    frozen: Arc<AtomicBool>,
}

impl Slot {
    /// The same tensor under another name.
    pub(super) fn renamed(&self, name: String) -> Self {
        Slot {
            name,
            var: self.var.clone(),
            buffer: self.buffer,
            frozen: self.frozen.clone(),
        }
    }

    /// The tensor as it enters the graph of this pass: detached if nothing is tracked or the parameter is frozen.
    pub(super) fn tensor(&self, pass: &Pass) -> Tensor {
        if pass.track && !self.frozen() {
            self.var.as_tensor().clone()
        } else {
            self.var.as_detached_tensor()
        }
    }

    pub(super) fn frozen(&self) -> bool {
        self.frozen.load(Ordering::Relaxed)
    }

    pub(super) fn freeze(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Relaxed);
    }

    /// Whether the name lies below `prefix`: equal to it, or continued after a dot (`layer1` does not cover `layer10`).
    pub(super) fn below(&self, prefix: &str) -> bool {
        let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
        match self.name.strip_prefix(prefix) {
            Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('.'),
            None => false,
        }
    }
}

/// How many numbers the parameters among these tensors have: all, and those that are frozen.
pub(super) fn count<'a>(tensors: impl Iterator<Item = &'a Slot>) -> [usize; 2] {
    tensors.filter(|slot| !slot.buffer).fold([0, 0], |[all, frozen], slot| {
        let n = slot.var.elem_count();
        [all + n, frozen + if slot.frozen() { n } else { 0 }]
    })
}

/// Makes the tensors of a model in the order in which its parts ask for them.
pub(super) struct Builder {
    seed: Option<u64>,
    dtype: DType,
    device: Device,
    slots: Vec<Arc<Slot>>,
    /// Numbers in all slots so far.
    numbers: usize,
    /// Raised when the drawing of a large model is to end.
    stop: Option<Arc<AtomicBool>>,
    draws: Vec<(usize, Init)>,
}

impl Builder {
    /// `seed: None` leaves the drawn parameters at 0, for a model that is about to be filled from a file.
    pub(super) fn new(seed: Option<u64>, dtype: DType, device: &Device) -> Self {
        Builder {
            seed,
            dtype,
            device: device.clone(),
            slots: Vec::new(),
            numbers: 0,
            stop: None,
            draws: Vec::new(),
        }
    }

    /// The same builder, whose drawing ends soon after `stop` is raised.
    pub(super) fn until(self, stop: Option<Arc<AtomicBool>>) -> Self {
        Builder { stop, ..self }
    }

    /// A trainable tensor.
    pub(super) fn parameter(&mut self, name: String, shape: &[usize], init: Init) -> Result<Arc<Slot>> {
        self.slot(name, shape, init, false)
    }

    /// A tensor that is saved with the model but not trained.
    pub(super) fn buffer(&mut self, name: String, shape: &[usize], init: Init) -> Result<Arc<Slot>> {
        self.slot(name, shape, init, true)
    }

    fn slot(&mut self, name: String, shape: &[usize], init: Init, buffer: bool) -> Result<Arc<Slot>> {
        affordable(shape, self.dtype)?;
        self.numbers = self.numbers.saturating_add(shape.iter().product());
        affordable(&[self.numbers], self.dtype)?;
        let var = match init {
            Init::One => Var::ones(shape, self.dtype, &self.device)?,
            _ => Var::zeros(shape, self.dtype, &self.device)?,
        };
        if !matches!(init, Init::Zero | Init::One) {
            self.draws.push((self.slots.len(), init));
        }
        let slot = Arc::new(Slot {
            name,
            var,
            buffer,
            frozen: Arc::default(),
        });
        self.slots.push(slot.clone());
        Ok(slot)
    }

    /// Draw the random parameters and hand over all tensors in order. Every parameter has a stream of its own, derived
    /// from the seed and its name: neither threads nor other options change its values.
    pub(super) fn finish(self) -> Result<Vec<Arc<Slot>>> {
        if let Some(seed) = self.seed {
            self.draws.par_iter().try_for_each(|(index, init)| -> Result<()> {
                if self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                    return Err(Error::Interrupted);
                }
                let slot = &self.slots[*index];
                let values = init.draw(seed, &slot.name, slot.var.elem_count());
                let values = Tensor::from_vec(values, slot.var.shape(), &Device::Cpu)?;
                slot.var.set(&values.to_dtype(self.dtype)?.to_device(&self.device)?)?;
                Ok(())
            })?;
        }
        Ok(self.slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_ends_when_it_is_stopped() {
        let stop = Arc::new(AtomicBool::new(false));
        let drawn = |stop: &Arc<AtomicBool>| {
            let mut builder = Builder::new(Some(1), DType::F32, &Device::Cpu).until(Some(stop.clone()));
            builder.parameter("a".into(), &[4], Init::Normal(1.0)).unwrap();
            builder.finish()
        };
        assert!(drawn(&stop).is_ok());
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(drawn(&stop), Err(Error::Interrupted)));
    }

    #[test]
    fn prefixes_end_at_dots() {
        let mut builder = Builder::new(None, DType::F32, &Device::Cpu);
        let slot = builder
            .parameter("encoder.layer1.0.conv1.weight".into(), &[1], Init::Zero)
            .unwrap();
        for prefix in [
            "",
            "encoder",
            "encoder.",
            "encoder.layer1",
            "encoder.layer1.0.conv1.weight",
        ] {
            assert!(slot.below(prefix), "{prefix}");
        }
        for prefix in ["enc", "encoder.layer", "layer1", "encoder.layer1.0.conv1.weight.x"] {
            assert!(!slot.below(prefix), "{prefix}");
        }
    }

    #[test]
    fn a_parameter_depends_on_seed_and_name_only() {
        let draw = |seed, names: &[&str]| -> Vec<Vec<f32>> {
            let mut builder = Builder::new(Some(seed), DType::F32, &Device::Cpu);
            for name in names {
                builder.parameter(name.to_string(), &[5], Init::Normal(1.0)).unwrap();
            }
            let slots = builder.finish().unwrap();
            slots.iter().map(|s| s.var.to_vec1().unwrap()).collect()
        };
        assert_eq!(draw(1, &["a", "b"])[1], draw(1, &["c", "d", "b"])[2]);
        assert_ne!(draw(1, &["a"]), draw(2, &["a"]));
        assert_ne!(draw(1, &["a"])[0], draw(1, &["b"])[0]);
    }

    #[test]
    fn frozen_or_untracked_parameters_enter_detached() {
        let mut builder = Builder::new(None, DType::F32, &Device::Cpu);
        let slot = builder.parameter("a".into(), &[1], Init::One).unwrap();
        let mut pass = Pass::evaluation();
        assert!(!slot.tensor(&pass).is_variable());
        pass.track = true;
        assert!(slot.tensor(&pass).is_variable());
        slot.freeze(true);
        assert!(!slot.tensor(&pass).is_variable());
    }
}
