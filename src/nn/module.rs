//! Networks of one's own: a [`Module`] is a layer with its tensors, its named parts and its mode.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use candle_core::{DType, Device, Tensor};

use super::activation::Activation;
use super::layers::{Built, DTYPE, Layer};
use super::param::{Builder, Slot, count};
use super::pass::Pass;
use crate::error::{Error, Result};
use crate::{ensure, fail};

/// What the author of a block computes from its parts. The parameters are those of the parts, which record themselves on the tape of
/// the pass.
pub trait Network {
    /// The value for the input `x`.
    fn forward(&self, parts: &[(String, Rc<Module>)], x: &Tensor, pass: &Pass) -> Result<Value>;
}

/// What a layer or a network gives.
#[derive(Clone, Debug)]
pub enum Value {
    /// One tensor.
    Tensor(Tensor),
    /// The maps of an encoder.
    Maps(Vec<Tensor>),
    /// Logits and more.
    Outputs(Given),
}

/// What a network of one's own gives for images.
#[derive(Clone, Debug)]
pub struct Given {
    /// [n, classes, h, w], of any size.
    pub logits: Tensor,
    /// The map that the classifier looks at.
    pub features: Option<Tensor>,
    /// What a contrastive loss compares.
    pub embeddings: Option<Tensor>,
}

impl Value {
    /// The tensor, for a layer that goes on with it.
    pub fn tensor(self) -> Result<Tensor> {
        match self {
            Value::Tensor(t) => Ok(t),
            Value::Maps(maps) => fail!(
                "gives {} maps, expected one tensor; take one of them in a block",
                maps.len()
            ),
            Value::Outputs(_) => fail!("gives logits and more, expected one tensor"),
        }
    }
}

/// A layer, or a network of layers.
pub struct Module {
    layer: Layer,
    tensors: Vec<Slot>,
    built: Option<Built>,
    parts: Vec<(String, Rc<Module>)>,
    training: Cell<bool>,
    /// What the network it is a part of calls it.
    name: RefCell<String>,
}

impl Module {
    /// A layer without parts, its tensors drawn from `seed`; drawing ends soon after `stop` is raised.
    pub fn new(layer: Layer, seed: u64, device: &Device, stop: Arc<AtomicBool>) -> Result<Rc<Self>> {
        Self::made(layer, Some(seed), Some(stop), DTYPE, device)
    }

    fn made(
        layer: Layer,
        seed: Option<u64>,
        stop: Option<Arc<AtomicBool>>,
        dtype: DType,
        device: &Device,
    ) -> Result<Rc<Self>> {
        let mut builder = Builder::new(seed, dtype, device).until(stop);
        let built = layer.build(&mut builder)?;
        let slots = builder.finish()?;
        // the names of an encoder's tensors begin with the dot behind its own, empty name
        let bare = |slot: &Arc<Slot>| slot.renamed(slot.name.trim_start_matches('.').to_string());
        Ok(Rc::new(Module {
            layer,
            tensors: slots.iter().map(bare).collect(),
            built,
            parts: Vec::new(),
            training: Cell::new(true),
            name: RefCell::default(),
        }))
    }

    /// A layer of parts: sequential, residual, list or block.
    pub fn of(layer: Layer, parts: Vec<(String, Rc<Module>)>) -> Rc<Self> {
        for (name, part) in &parts {
            part.name.replace(name.clone());
        }
        Rc::new(Module {
            layer,
            tensors: Vec::new(),
            built: None,
            parts,
            training: Cell::new(true),
            name: RefCell::default(),
        })
    }

    /// Compute.
    ///
    /// # Errors
    /// An input that does not fit; the error names the layer.
    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Value> {
        self.compute(x, false, pass).map_err(|e| self.named(e))
    }

    fn compute(&self, x: &Tensor, relu: bool, pass: &Pass) -> Result<Value> {
        let pass = &Pass {
            training: pass.training && self.training.get(),
            ..*pass
        };
        match &self.layer {
            Layer::Sequential => {
                let mut value = Value::Tensor(x.clone());
                let mut parts = self.parts.iter().map(|(_, part)| part).peekable();
                while let Some(part) = parts.next() {
                    // batch norm and the rectifier behind it are one operation
                    let norm = matches!(part.layer, Layer::BatchNorm(_));
                    let relu = norm
                        && parts
                            .next_if(|next| matches!(next.layer, Layer::Activation(Activation::Relu)))
                            .is_some();
                    let x = value.tensor().map_err(|e| part.before(e))?;
                    value = part.compute(&x, relu, pass).map_err(|e| part.named(e))?;
                }
                Ok(value)
            }
            Layer::Residual => {
                let Some((_, part)) = self.parts.first() else {
                    fail!("internal: a residual without its layer")
                };
                let branch = part.forward(x, pass)?.tensor().map_err(|e| part.named(e))?;
                ensure!(
                    branch.dims() == x.dims() && x.rank() > 0,
                    "residual: its layer makes {:?} of {:?}, expected the same shape",
                    branch.dims(),
                    x.dims()
                );
                Ok(Value::Tensor(pass.graph().residual(
                    x,
                    &branch,
                    &vec![1.0; x.dims()[0]],
                )?))
            }
            Layer::Encoder(..) => {
                let Some(Built::Encoder(encoder)) = &self.built else {
                    fail!("internal: an encoder without itself")
                };
                ensure!(
                    matches!(x.dims(), [n, 3, h, w] if *n > 0 && *h > 0 && *w > 0),
                    "the images have shape {:?}, expected [n, 3, height, width]",
                    x.dims()
                );
                let graph = pass.graph();
                let maps = encoder.forward(&graph.enter(x)?, pass)?.into_maps().into_iter();
                Ok(Value::Maps(
                    maps.map(|map| graph.leave(&map, x.dtype())).collect::<Result<_>>()?,
                ))
            }
            Layer::Block(network) => network.forward(&self.parts, x, pass),
            Layer::List => fail!("internal: a list of layers computes nothing by itself"),
            layer => {
                let computed = layer.compute(self.built.as_ref(), &self.tensors, x, relu, pass)?;
                Ok(Value::Tensor(computed))
            }
        }
    }

    /// The names below which the tensors of each stage lie: of the encoder if there is one, else of the layers of a sequence.
    pub(super) fn stages(&self, prefix: &str) -> Option<Vec<Vec<String>>> {
        if let (Layer::Encoder(kind, _), Some(Built::Encoder(encoder))) = (&self.layer, &self.built) {
            return Some(encoder.stage_names(prefix.trim_end_matches('.'), *kind));
        }
        let inner = self.parts.iter().find_map(|(name, part)| match part.layer {
            Layer::Sequential => None,
            _ => part.stages(&format!("{prefix}{name}.")),
        });
        match (&self.layer, inner) {
            (_, Some(stages)) => Some(stages),
            (Layer::Sequential, None) => {
                let trained = self
                    .parts
                    .iter()
                    .filter(|(_, part)| part.tensors().iter().any(|s| !s.buffer));
                Some(trained.map(|(name, _)| vec![format!("{prefix}{name}")]).collect())
            }
            _ => None,
        }
    }

    /// `error` with this layer in front; Ctrl-C stays Ctrl-C, and a closure's error is at its own line.
    fn named(&self, error: Error) -> Error {
        match (&error, &self.layer) {
            (Error::Interrupted | Error::Closure, _) | (_, Layer::Block(_) | Layer::Sequential) => error,
            _ => Error::usage(format!("{}: {error}", self.title())),
        }
    }

    fn before(&self, error: Error) -> Error {
        Error::usage(format!("the layer before {}: {error}", self.title()))
    }

    /// `stem (conv2d 3 -> 16, kernel 3)`.
    fn title(&self) -> String {
        let name = self.name.borrow();
        match name.is_empty() {
            true => self.layer.describe(),
            false => format!("layer {name} ({})", self.layer.describe()),
        }
    }

    /// What it is, in a few words.
    pub fn describe(&self) -> String {
        self.layer.describe()
    }

    /// Whether it is a list of layers.
    pub fn is_list(&self) -> bool {
        matches!(self.layer, Layer::List)
    }

    /// The named parts.
    pub fn parts(&self) -> &[(String, Rc<Module>)] {
        &self.parts
    }

    /// Whether it is in training mode.
    pub fn training(&self) -> bool {
        self.training.get()
    }

    /// Put it and its parts into training or evaluation mode.
    pub fn set_training(&self, training: bool) {
        self.training.set(training);
        self.parts.iter().for_each(|(_, part)| part.set_training(training));
    }

    /// All tensors with the names PyTorch's `state_dict` has for them; one that is a part twice counts once, under its first name.
    pub(super) fn tensors(&self) -> Vec<Arc<Slot>> {
        let mut all = Vec::new();
        self.collect("", &mut all, &mut HashSet::new());
        all
    }

    fn collect(&self, prefix: &str, all: &mut Vec<Arc<Slot>>, seen: &mut HashSet<candle_core::TensorId>) {
        for slot in &self.tensors {
            if seen.insert(slot.var.id()) {
                all.push(Arc::new(slot.renamed(format!("{prefix}{}", slot.name))));
            }
        }
        for (name, part) in &self.parts {
            part.collect(&format!("{prefix}{name}."), all, seen);
        }
    }

    /// A deep copy whose parameters have this type; what is a part twice is so in the copy.
    pub(super) fn copy(self: &Rc<Self>, dtype: DType, device: &Device) -> Result<Rc<Self>> {
        self.copied(dtype, device, &mut Vec::new())
    }

    fn copied(
        self: &Rc<Self>,
        dtype: DType,
        device: &Device,
        done: &mut Vec<(*const Module, Rc<Self>)>,
    ) -> Result<Rc<Self>> {
        if let Some((_, copy)) = done.iter().find(|(from, _)| std::ptr::eq(*from, Rc::as_ptr(self))) {
            return Ok(copy.clone());
        }
        let copy = match self.parts.is_empty() {
            true => Self::made(self.layer.clone(), None, None, dtype, device)?,
            false => {
                let parts = self.parts.iter();
                let parts = parts.map(|(name, part)| Ok((name.clone(), part.copied(dtype, device, done)?)));
                Self::of(self.layer.clone(), parts.collect::<Result<_>>()?)
            }
        };
        for (from, to) in self.tensors.iter().zip(&copy.tensors) {
            to.var.set(&from.var.as_detached_tensor().to_dtype(dtype)?.copy()?)?;
            to.freeze(from.frozen());
        }
        copy.training.set(self.training.get());
        done.push((Rc::as_ptr(self), copy.clone()));
        Ok(copy)
    }

    /// A line for each layer below `name`: what it is and how many numbers are trained.
    pub(super) fn table(&self, name: &str, rows: &mut Vec<[String; 4]>) {
        if self.parts.is_empty() {
            let [all, frozen] = count(self.tensors.iter()).map(super::summary::grouped);
            rows.push([name.to_string(), self.layer.describe(), all, frozen]);
        }
        for (part, module) in &self.parts {
            let name = if name.is_empty() {
                part.clone()
            } else {
                format!("{name}.{part}")
            };
            module.table(&name, rows);
        }
    }
}
