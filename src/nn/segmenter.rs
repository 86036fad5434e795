//! The whole model: encoder, decoder, classifier, projection head.

mod tests;

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{DType, Device, Tensor};

use super::config::{Family, ModelConfig};
use super::decoder::{Conventions, Decoder};
use super::encoder::Encoder;
use super::head::{Classifier, Projection};
use super::module::Module;
use super::origin::Origin;
use super::param::{Builder, Parameter, Slot};
use super::pass::Pass;
use crate::ensure;
use crate::error::Result;
use crate::ops::kernel::on_gpu;
use crate::ops::{Layout, Precision};

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

    pub(super) fn build(
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

    pub(super) fn conventions(&self) -> Option<Conventions> {
        Some(Conventions::of(self.config()?.architecture))
    }

    /// Whether [`Segmenter::classify`] resizes with aligned corners.
    pub fn align_corners(&self) -> bool {
        self.conventions().is_some_and(|c| c.align_corners)
    }

    /// `pass` with the maps as this network has them inside: on a GPU a network of convolutions has the channels last where tensor cores
    /// compute (bf16, TF32), which want them so; and where the pass says so already.
    pub(super) fn in_own_layout<'a>(&self, pass: &Pass<'a>) -> Pass<'a> {
        let cores = pass.precision == Precision::Bf16 || crate::device::tf32();
        let convolutions = self.config().is_some_and(|c| c.encoder.family() == Family::ResNet);
        match on_gpu(&self.device) && self.dtype == DType::F32 && convolutions && cores {
            true => Pass {
                layout: Layout::ChannelsLast,
                ..*pass
            },
            false => *pass,
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
        self.listed(|s| !s.buffer && !s.frozen() && s.below(prefix))
    }

    /// Whether some parameter, frozen or not, is below this name.
    pub fn has_part(&self, prefix: &str) -> bool {
        self.slots().iter().any(|s| !s.buffer && s.below(prefix))
    }

    /// The tensors that are saved but not trained: batch norm's running statistics.
    pub fn buffers(&self) -> Vec<Parameter> {
        self.listed(|s| s.buffer)
    }

    fn listed(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<Parameter> {
        let parameter = |s: &Arc<Slot>| Parameter {
            name: s.name.clone(),
            var: s.var.clone(),
        };
        self.slots().iter().filter(|s| wanted(s)).map(parameter).collect()
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
            return Err(super::own::own("new_classifier"));
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

    /// Number of trainable values, the frozen ones included, the running statistics not.
    pub fn parameter_count(&self) -> usize {
        super::param::count(self.slots().iter().map(|s| &**s))[0]
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
