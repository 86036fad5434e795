//! Modules of candle-nn as layers: they ask a `VarBuilder` for their tensors, and get our parameters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result as EngineResult, Shape, Tensor};
use candle_nn::init::{FanInOut, NormalOrUniform};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Embedding, Module, VarBuilder};

use super::init::Init;
use super::param::{Builder, Slot};
use super::pass::Pass;
use crate::error::{Error, Result};
use crate::ops::integers;

type Make = dyn Fn(VarBuilder) -> EngineResult<Box<dyn Module>>;

/// A module of candle-nn: what it is, and how it is made of tensors. It is made anew for each pass, so that it has the parameters
/// as they enter that pass.
pub struct Borrowed {
    what: String,
    make: Box<Make>,
}

impl Borrowed {
    /// The module that `make` makes, which messages call `what`. Its parameters have the names it asks for, and start as it asks for.
    pub fn new(what: impl Into<String>, make: impl Fn(VarBuilder) -> EngineResult<Box<dyn Module>> + 'static) -> Self {
        Borrowed {
            what: what.into(),
            make: Box::new(make),
        }
    }

    /// A row of numbers for each of `count` integers, as `torch.nn.Embedding`.
    pub fn embedding(count: usize, channels: usize) -> Self {
        Self::new(format!("embedding {count} x {channels}"), move |parameters| {
            let rows = candle_nn::embedding(count, channels, parameters)?;
            Ok(Box::new(Rows { rows, count }))
        })
    }

    /// What it is, in a few words.
    pub(super) fn describe(&self) -> String {
        self.what.clone()
    }

    /// Make a parameter of each tensor that the module asks for.
    pub(super) fn declare(&self, builder: &mut Builder) -> Result<()> {
        let wishes = Arc::new(Mutex::new(Vec::new()));
        let asking = Asking(wishes.clone());
        (self.make)(VarBuilder::from_backend(Box::new(asking), DType::F32, Device::Cpu))?;
        let wishes = std::mem::take(&mut *wishes.lock().unwrap_or_else(PoisonError::into_inner));
        for (name, shape, init) in wishes {
            let init = rule(init, &shape).map_err(|e| Error::usage(format!("{}: {name}: {e}", self.what)))?;
            builder.parameter(name, shape.dims(), init)?;
        }
        Ok(())
    }

    /// What the module makes of `x` with the parameters of this pass.
    pub(super) fn compute(&self, tensors: &[Slot], x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let Some(first) = tensors.first() else {
            crate::fail!("internal: {} has no parameters", self.what)
        };
        let named = tensors.iter().map(|slot| (slot.name.clone(), slot.tensor(pass)));
        let named: HashMap<String, Tensor> = named.collect();
        let parameters = VarBuilder::from_tensors(named, first.var.dtype(), first.var.device());
        Ok((self.make)(parameters)?.forward(x)?)
    }
}

/// The start that a module of candle-nn wishes for a parameter, as one of ours.
fn rule(init: candle_nn::Init, shape: &Shape) -> Result<Init> {
    Ok(match init {
        candle_nn::Init::Const(0.0) => Init::Zero,
        candle_nn::Init::Const(1.0) => Init::One,
        candle_nn::Init::Randn { mean: 0.0, stdev } => Init::Normal(stdev),
        candle_nn::Init::Uniform { lo, up } if lo == -up => Init::Uniform(up),
        candle_nn::Init::Kaiming {
            dist,
            fan,
            non_linearity,
        } => {
            let inputs: usize = match fan {
                FanInOut::FanIn => shape.dims().iter().skip(1).product(),
                FanInOut::FanOut => shape.elem_count() / shape.dims().get(1).copied().unwrap_or(1).max(1),
            };
            let sd = non_linearity.gain() / (inputs.max(1) as f64).sqrt();
            match dist {
                NormalOrUniform::Normal => Init::Normal(sd),
                NormalOrUniform::Uniform => Init::Uniform(3f64.sqrt() * sd),
            }
        }
        other => crate::fail!("starts as {other:?}, which no rule here does"),
    })
}

/// Remembers what a module asks for.
struct Asking(Arc<Mutex<Vec<(String, Shape, candle_nn::Init)>>>);

impl SimpleBackend for Asking {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> EngineResult<Tensor> {
        let mut wishes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wishes.push((name.to_string(), shape.clone(), init));
        // one number stands for all: the numbers are not looked at, and the tensor may be larger than the memory
        Tensor::zeros(1, dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> EngineResult<Tensor> {
        candle_core::bail!("{name} is asked for without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// candle's embedding, which does not say what is wrong with an index.
struct Rows {
    rows: Embedding,
    count: usize,
}

impl Module for Rows {
    fn forward(&self, indices: &Tensor) -> EngineResult<Tensor> {
        if !matches!(indices.dtype(), DType::U8 | DType::U32 | DType::I64) {
            candle_core::bail!(
                "the input holds {}, expected integers from 0 to {}; convert it with to_dtype(\"i64\")",
                indices.dtype().as_str(),
                self.count - 1
            );
        }
        let all = integers(indices)?;
        if let Some(index) = all.iter().find(|i| !(0..self.count as i64).contains(*i)) {
            candle_core::bail!(
                "the input holds {index}, expected integers from 0 to {}",
                self.count - 1
            );
        }
        self.rows.forward(indices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Layer, Module as Network};
    use crate::ops::Tape;

    /// Two modules of candle-nn in one, their names below one another.
    #[test]
    fn a_module_of_candle_has_our_parameters_names_and_gradients() {
        let make = |parameters: VarBuilder| -> EngineResult<Box<dyn Module>> {
            let first = candle_nn::linear(3, 4, parameters.pp("first"))?;
            let second = candle_nn::linear(4, 2, parameters.pp("second"))?;
            Ok(Box::new(candle_nn::func(move |x| second.forward(&first.forward(x)?))))
        };
        let network = |seed| {
            Network::new(
                Layer::Borrowed(std::rc::Rc::new(Borrowed::new("two", make))),
                seed,
                &Device::Cpu,
                Arc::default(),
            )
        };
        let network = network(5).unwrap();
        let slots = network.tensors();
        let names: Vec<&str> = slots.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["first.weight", "first.bias", "second.weight", "second.bias"]);
        let weight = slots[0].var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(
            weight.iter().any(|w| *w != 0.0) && weight.iter().all(|w| w.abs() < 2.0),
            "{weight:?}"
        );
        let x = Tensor::new(&[[1f32, 2.0, 3.0], [0.5, -1.0, 2.0]], &Device::Cpu).unwrap();
        let tape = Tape::new();
        let mut pass = Pass::evaluation().on(&tape);
        assert!(!network.forward(&x, &pass).unwrap().tensor().unwrap().track_op());
        pass.track = true;
        slots[1].freeze(true);
        let y = network.forward(&x, &pass).unwrap().tensor().unwrap();
        let gradients = tape.backward(&y.sqr().unwrap().sum_all().unwrap()).unwrap();
        // d/db of the sum of y^2, y = x w + b: 2 y summed over the rows
        let found = gradients.get(&slots[3].var).unwrap().to_vec1::<f32>().unwrap();
        let expected = (y.detach() * 2.0).unwrap().sum(0).unwrap().to_vec1::<f32>().unwrap();
        assert!(
            found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5),
            "{found:?} {expected:?}"
        );
        assert!(gradients.get(&slots[0].var).is_some() && gradients.get(&slots[1].var).is_none());
    }
}
