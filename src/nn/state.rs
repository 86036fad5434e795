//! The numbers of a network: saved, loaded, copied, averaged.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::config::ModelConfig;
use super::decoder::Conventions;
use super::load::{self, LoadOptions, LoadReport};
use super::param::Slot;
use super::segmenter::{Kind, Segmenter};
use super::weights;
use crate::ensure;
use crate::error::{Error, Result};
use crate::ops::optimizer::average_all;
use crate::session::Place;

/// The key of a checkpoint's metadata that holds the [`ModelConfig`] as JSON.
pub const CONFIG_KEY: &str = "seglab.model";
/// The key of that JSON for a network of the user's own.
const OWN: &str = "own";

impl Segmenter {
    /// A copy of every parameter and buffer with its name, in the order of the modules. Later training does not change it.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let copy = |s: &Arc<Slot>| Ok((s.name.clone(), s.var.as_detached_tensor().copy()?));
        self.slots().iter().map(copy).collect()
    }

    /// Take over named tensors. A file with bare torchvision names (`conv1.weight`) is recognised: the prefix `encoder.` that
    /// makes most names fit is found unless `options.prefix` gives one. `num_batches_tracked`, torchvision's `fc.*` and
    /// `aux_classifier.*` are passed over; a file without `projection.*` is complete.
    ///
    /// # Errors
    /// With `strict`: names the first tensor that is missing, unexpected or of another shape; the model is then unchanged.
    pub fn load_state(&self, map: &HashMap<String, Tensor>, options: &LoadOptions) -> Result<LoadReport> {
        load::load(self.slots(), self.conventions().as_ref(), map, options)
    }

    /// The names of the parameters and running statistics that hold NaN or infinity.
    pub fn not_finite(&self) -> Result<Vec<String>> {
        load::not_finite(self.slots().iter().map(|s| (&s.name, s.var.as_detached_tensor())))
    }

    /// Write the model to a safetensors file, its configuration as JSON in the metadata (`seglab.model`). PyTorch loads it.
    pub fn save(&self, place: impl Into<Place>) -> Result<()> {
        let config = self.record()?.to_string();
        weights::write(place, &self.state()?, &[(CONFIG_KEY, &config)])
    }

    /// What determines the model except its numbers, for files: its configuration, or the layers of a network of the user's own.
    pub fn record(&self) -> Result<serde_json::Value> {
        match &self.kind {
            Kind::Parts(parts) => {
                let encoder = Conventions::of(parts.config.architecture).encoder;
                let config = ModelConfig {
                    frozen: parts.config.frozen && self.parameters(encoder).is_empty(), // it may have been thawed since
                    ..parts.config.clone()
                };
                serde_json::to_value(config).map_err(|e| Error::usage(format!("internal: the configuration: {e}")))
            }
            Kind::Own(_, classes) => Ok(serde_json::json!({ (OWN): { "classes": classes, "layers": self.summary() } })),
        }
    }

    /// Read a model that [`Segmenter::save`] (or a training run) wrote; the file knows its own architecture.
    ///
    /// # Errors
    /// The file is missing, corrupt, or has no configuration (then it holds bare weights for [`Segmenter::load_state`]).
    pub fn load(place: impl Into<Place>, device: &Device) -> Result<Self> {
        let place = place.into();
        let file = weights::read(&place, device)?;
        let path = place.path();
        let Some(config) = file.metadata.get(CONFIG_KEY) else {
            return Err(Error::file(
                path,
                "holds weights but no model configuration; make the model first, then load_weights",
            ));
        };
        let unreadable = |e| Error::file(path, format!("the model configuration cannot be read: {e}"));
        let config: serde_json::Value = serde_json::from_str(config).map_err(unreadable)?;
        if config.get(OWN).is_some() {
            return Err(Error::file(
                path,
                "holds the numbers of a network that a script built with nn:: and model::from, not how it is built; build it with \
                 the same script, then net.load_weights(path), or train::load(path, #{ model: net, .. }) for a run",
            ));
        }
        for fact in ["architecture", "encoder", "classes"] {
            ensure!(
                config.get(fact).is_some(),
                "{}: the model configuration lacks `{fact}`; the file is incomplete",
                path.display()
            );
        }
        let config: ModelConfig = serde_json::from_value(config).map_err(unreadable)?;
        let mut model = Self::build(&config, None, None, DType::F32, device)?;
        let ours: HashMap<_, _> = file.tensors.into_iter().filter(|(name, _)| model.has(name)).collect();
        ensure!(
            ours.len() == model.slots().len(),
            "{}: {} of the model's {} tensors are missing; the file is incomplete",
            path.display(),
            model.slots().len() - ours.len(),
            model.slots().len()
        );
        let options = LoadOptions {
            prefix: Some(String::new()),
            ..LoadOptions::default()
        };
        model.load_state(&ours, &options).map_err(|e| Error::file(path, e))?;
        model.origin.read_from(path);
        Ok(model)
    }

    fn has(&self, name: &str) -> bool {
        self.slots().iter().any(|s| s.name == name)
    }

    /// A deep copy: same configuration, numbers, mode and frozen parameters, nothing shared.
    pub fn copy(&self) -> Result<Self> {
        self.to_dtype(self.dtype)
    }

    /// A deep copy whose parameters have another floating-point type (f64 for gradient checks).
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let parts = match &self.kind {
            Kind::Parts(parts) => parts,
            Kind::Own(module, classes) => {
                let kind = Kind::Own(module.copy(dtype, &self.device)?, *classes);
                let mut copy = Self::with(kind, OnceCell::new(), dtype, &self.device);
                copy.origin = self.origin.clone();
                return Ok(copy);
            }
        };
        let mut copy = Self::build(&parts.config, None, None, dtype, &self.device)?;
        copy.origin = self.origin.clone();
        for (from, to) in self.slots().iter().zip(copy.slots()) {
            to.var.set(&from.var.as_detached_tensor().to_dtype(dtype)?.copy()?)?;
            to.freeze(from.frozen());
        }
        copy.set_training(self.training());
        Ok(copy)
    }

    /// Move every number (parameters and running statistics) towards those of `model`, a network of the same architecture:
    /// `own = momentum own + (1 - momentum) model`. Cost: one pass over the numbers.
    pub fn follow(&self, model: &Segmenter, momentum: f64) -> Result<()> {
        self.check_follows(model)?;
        ensure!(
            (0.0..=1.0).contains(&momentum),
            "the decay is {momentum}, expected 0 to 1 (0.99 is usual)"
        );
        let pairs = self.slots().iter().zip(model.slots());
        // A part that both networks share is its own average.
        let pairs: Vec<_> = pairs
            .filter(|(own, other)| !Arc::ptr_eq(own, other))
            .map(|(own, other)| (&own.var, other.var.as_detached_tensor()))
            .collect();
        average_all(&pairs, momentum)
    }

    /// Refuse a network that this one cannot follow, because they are built differently.
    pub fn check_follows(&self, model: &Segmenter) -> Result<()> {
        let fits =
            |(own, other): (&Arc<Slot>, &Arc<Slot>)| own.name == other.name && own.var.dims() == other.var.dims();
        ensure!(
            self.slots().len() == model.slots().len() && self.slots().iter().zip(model.slots()).all(fits),
            "the two networks differ in architecture or classes; make the one that follows with copy()"
        );
        Ok(())
    }
}
