//! The whole model: encoder, decoder, classifier, projection head.

mod tests;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{DType, Device, Tensor};

use super::config::{Family, ModelConfig};
use super::decoder::{Conventions, Decoder};
use super::encoder::Encoder;
use super::head::{Classifier, Projection};
use super::load::{self, LoadOptions, LoadReport};
use super::module::Module;
use super::origin::Origin;
use super::param::{Builder, Parameter, Slot};
use super::pass::Pass;
use super::weights;
use crate::ensure;
use crate::error::{Error, Result};
use crate::ops::kernel::on_gpu;
use crate::ops::optimizer::average_all;
use crate::ops::{Layout, Precision};
use crate::session::Place;

/// The key of a checkpoint's metadata that holds the [`ModelConfig`] as JSON.
pub const CONFIG_KEY: &str = "seglab.model";
/// The key of that JSON for a network of the user's own.
const OWN: &str = "own";

/// A segmentation network with a classifier for cross-entropy and a projection head for pixel contrast.
///
/// Images come in normalised (the model does not touch colours), [n, 3, h, w], of any size. The mode that [`Segmenter::training`]
/// reports is a remark for callers; what a forward pass does is said by its [`Pass`].
pub struct Segmenter {
    pub(super) kind: Kind,
    /// All tensors; of a network of one's own they are listed when first asked for.
    slots: OnceCell<Vec<Arc<Slot>>>,
    /// Where the numbers come from; whoever changes them says so here.
    pub origin: Origin,
    training: AtomicBool,
    pub(super) dtype: DType,
    pub(super) device: Device,
}

/// What computes.
pub(super) enum Kind {
    /// Encoder, decoder and heads of one of our architectures.
    Parts(Box<Parts>),
    /// A network of the user's own, or a layer (which has no classes).
    Own(Rc<Module>, Option<usize>),
}

/// The parts of one of our architectures.
pub(super) struct Parts {
    pub(super) config: ModelConfig,
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
    pub(super) classifier: Classifier,
    pub(super) projection: Projection,
}

impl Segmenter {
    /// A model with random parameters, as PyTorch initialises the same modules: torchvision's ResNet (normal, fan out), U-Net
    /// with `initialize_decoder` and `initialize_head` of segmentation_models_pytorch, everything else as `nn.Conv2d` does
    /// (also DeepLabV3+, for which segmentation_models_pytorch calls no initialisation of its own). Each parameter is drawn
    /// from its own stream, derived from `seed` and its name: two models that share a part share its numbers.
    ///
    /// # Errors
    /// A [`ModelConfig::check`] that fails.
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Result<Self> {
        Self::build(config, Some(seed), None, DType::F32, device)
    }

    /// [`Segmenter::new`] that ends with [`crate::error::Error::Interrupted`] soon after `stop` is raised.
    ///
    /// # Errors
    /// As [`Segmenter::new`].
    pub fn new_until(config: &ModelConfig, seed: u64, device: &Device, stop: Arc<AtomicBool>) -> Result<Self> {
        Self::build(config, Some(seed), Some(stop), DType::F32, device)
    }

    fn build(
        config: &ModelConfig,
        seed: Option<u64>,
        stop: Option<Arc<AtomicBool>>,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        config.check()?;
        let conventions = Conventions::of(config.architecture);
        let (channels, _) = Decoder::output(config);
        let mut owned = Builder::new(seed, dtype, device).until(stop);
        let builder = &mut owned;
        let encoder = Encoder::new(builder, config)?;
        let decoder = Decoder::new(builder, config)?;
        let classifier = Classifier::new(builder, &conventions, channels, config.classes)?;
        let projection = Projection::new(builder, &config.projection, channels)?;
        let parts = Parts {
            config: config.clone(),
            encoder,
            decoder,
            classifier,
            projection,
        };
        let slots = owned.finish()?;
        let mut model = Self::with(Kind::Parts(Box::new(parts)), slots.into(), dtype, device);
        model.origin.seed = seed;
        if config.frozen {
            model.freeze(conventions.encoder);
        }
        Ok(model)
    }

    pub(super) fn with(kind: Kind, slots: OnceCell<Vec<Arc<Slot>>>, dtype: DType, device: &Device) -> Self {
        Segmenter {
            kind,
            slots,
            origin: Origin::default(),
            training: AtomicBool::new(true),
            dtype,
            device: device.clone(),
        }
    }

    /// What the model is, unless it is a network of the user's own.
    pub fn config(&self) -> Option<&ModelConfig> {
        match &self.kind {
            Kind::Parts(parts) => Some(&parts.config),
            Kind::Own(..) => None,
        }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        match &self.kind {
            Kind::Parts(parts) => parts.config.classes,
            Kind::Own(_, classes) => classes.unwrap_or(0),
        }
    }

    /// All tensors.
    pub(super) fn slots(&self) -> &[Arc<Slot>] {
        self.slots.get_or_init(|| match &self.kind {
            Kind::Own(module, _) => module.tensors(),
            Kind::Parts(_) => Vec::new(),
        })
    }

    /// The device of the parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bytes of all parameters and running statistics.
    pub fn bytes(&self) -> usize {
        let of = |s: &Arc<Slot>| s.var.elem_count() * s.var.dtype().size_in_bytes();
        self.slots().iter().map(of).sum()
    }

    /// The name below which the parameters of the encoder's first stage lie, such as `encoder.layer1` or `backbone.layer1`.
    pub fn stage_name(&self) -> Option<String> {
        let names = self.stages()?;
        // before it lie the stem of a ResNet and the embeddings of DINOv2
        let before = usize::from(self.config()?.encoder.family() != Family::Mit);
        names.get(before)?.first().cloned()
    }

    /// The name below which the encoder's parameters lie.
    pub(crate) fn encoder_name(&self) -> Option<&'static str> {
        Some(self.conventions()?.encoder)
    }

    /// The name below which the classifier's parameters lie: `segmentation_head.0` or, with torchvision's names, `classifier.4`.
    pub fn classifier_name(&self) -> Option<&'static str> {
        Some(self.conventions()?.classifier)
    }

    fn conventions(&self) -> Option<Conventions> {
        Some(Conventions::of(self.config()?.architecture))
    }

    /// Whether [`Segmenter::classify`] resizes with aligned corners.
    pub fn align_corners(&self) -> bool {
        self.conventions().is_some_and(|c| c.align_corners)
    }

    /// `pass` with maps as this network has them in it, if they are not laid so already: on a GPU a network of convolutions has the channels last where tensor cores
    /// compute (bf16, TF32), which want them so.
    pub(super) fn laid<'a>(&self, pass: &Pass<'a>) -> Pass<'a> {
        let cores = pass.precision == Precision::Bf16 || crate::device::tf32();
        let convolutions = self.config().is_some_and(|c| c.encoder.family() == Family::ResNet);
        let last = on_gpu(&self.device) && self.dtype == DType::F32 && convolutions && cores;
        let last = last || pass.layout == Layout::ChannelsLast;
        Pass {
            layout: if last {
                Layout::ChannelsLast
            } else {
                Layout::ChannelsFirst
            },
            ..*pass
        }
    }

    pub(super) fn check_images(&self, images: &Tensor) -> Result<[usize; 2]> {
        let dims = images.dims();
        ensure!(
            matches!(dims, [n, c, h, w] if *n > 0 && *h > 0 && *w > 0 && (*c == 3 || self.config().is_none()))
                && images.dtype() == self.dtype,
            "forward: images must be {:?} of shape [n, 3, height, width], found {:?} of shape {dims:?}",
            self.dtype,
            images.dtype()
        );
        ensure!(
            images.device().same_device(&self.device),
            "forward: the model is on {:?}, the images are on {:?}; move one with to_device",
            self.device.location(),
            images.device().location()
        );
        Ok([dims[2], dims[3]])
    }

    /// The trainable parameters below `prefix` ("" is all), without the frozen ones, in the order of the modules. The prefix
    /// ends at a dot: `encoder.layer1` does not cover `encoder.layer10`.
    pub fn parameters(&self, prefix: &str) -> Vec<Parameter> {
        let wanted = |s: &&Arc<Slot>| !s.buffer && !s.frozen() && s.below(prefix);
        let parameter = |s: &Arc<Slot>| Parameter {
            name: s.name.clone(),
            var: s.var.clone(),
        };
        self.slots().iter().filter(wanted).map(parameter).collect()
    }

    /// Whether some parameter, frozen or not, is below this name.
    pub fn has_part(&self, prefix: &str) -> bool {
        self.slots().iter().any(|s| !s.buffer && s.below(prefix))
    }

    /// The tensors that are saved but not trained: batch norm's running statistics.
    pub fn buffers(&self) -> Vec<Parameter> {
        let buffer = |s: &Arc<Slot>| Parameter {
            name: s.name.clone(),
            var: s.var.clone(),
        };
        self.slots().iter().filter(|s| s.buffer).map(buffer).collect()
    }

    /// Keep the parameters below `prefix` as they are: they enter the graph detached and [`Segmenter::parameters`] leaves them
    /// out. As in PyTorch (`requires_grad = False`), this does not stop batch norm from updating its running statistics in
    /// training. Returns how many parameters lie below the prefix.
    pub fn freeze(&self, prefix: &str) -> usize {
        self.set_frozen(prefix, true)
    }

    /// Undo [`Segmenter::freeze`].
    pub fn unfreeze(&self, prefix: &str) -> usize {
        self.set_frozen(prefix, false)
    }

    fn set_frozen(&self, prefix: &str, frozen: bool) -> usize {
        let slots = self.slots().iter().filter(|s| !s.buffer && s.below(prefix));
        slots.map(|s| s.freeze(frozen)).count()
    }

    /// Whether some parameters are kept as they are.
    pub fn has_frozen(&self) -> bool {
        self.slots().iter().any(|s| s.frozen())
    }

    /// Remember whether the model is being trained; a new model is, as in PyTorch.
    pub fn set_training(&self, training: bool) {
        if let Kind::Own(module, _) = &self.kind {
            module.set_training(training);
        }
        self.training.store(training, Ordering::Relaxed);
    }

    /// What [`Segmenter::set_training`] said last.
    pub fn training(&self) -> bool {
        match &self.kind {
            Kind::Own(module, _) => module.training(),
            Kind::Parts(_) => self.training.load(Ordering::Relaxed),
        }
    }

    /// Replace the classifier by a fresh one for `classes` classes. An optimiser made before still holds the old parameters.
    pub fn new_classifier(&mut self, classes: usize, seed: u64) -> Result<()> {
        let Kind::Parts(parts) = &mut self.kind else {
            return Err(super::parts::own("new_classifier"));
        };
        let config = ModelConfig {
            classes,
            ..parts.config.clone()
        };
        config.check()?;
        let conventions = Conventions::of(config.architecture);
        let (channels, _) = Decoder::output(&config);
        let mut builder = Builder::new(Some(seed), self.dtype, &self.device);
        parts.classifier = Classifier::new(&mut builder, &conventions, channels, classes)?;
        for slot in builder.finish()? {
            let slots = self.slots.get_mut().into_iter().flatten();
            if let Some(old) = slots.into_iter().find(|s| s.name == slot.name) {
                *old = slot;
            }
        }
        parts.config = config;
        Ok(())
    }

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

    /// Number of trainable values, the frozen ones included, the running statistics not.
    pub fn parameter_count(&self) -> usize {
        let parameters = self.slots().iter().filter(|s| !s.buffer);
        parameters.map(|s| s.var.elem_count()).sum()
    }

    /// A table of the parts: channels and stride of their maps, parameters, how many of them are frozen.
    pub fn summary(&self) -> String {
        match &self.kind {
            Kind::Parts(parts) => {
                super::summary::table(&parts.config, self.slots(), &parts.encoder.parts(&parts.config))
            }
            Kind::Own(module, classes) => {
                let classes = classes.map(|n| format!(", {n} classes")).unwrap_or_default();
                super::summary::own_table(format!("{}{classes}", module.describe()), module, self.slots())
            }
        }
    }
}
