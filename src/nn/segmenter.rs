//! The whole model: encoder, decoder, classifier, projection head.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{DType, Device, Tensor};

use super::config::{Architecture, ModelConfig};
use super::decoder::{Conventions, Decoder};
use super::encoder::Encoder;
use super::head::{Classifier, Projection};
use super::load::{self, LoadOptions, LoadReport};
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

/// A segmentation network with a classifier for cross-entropy and a projection head for pixel contrast.
///
/// Images come in normalised (the model does not touch colours), [n, 3, h, w], of any size. The mode that [`Segmenter::training`]
/// reports and the precision are remarks for callers; what a forward pass does is said by its [`Pass`].
pub struct Segmenter {
    config: ModelConfig,
    encoder: Encoder,
    decoder: Decoder,
    classifier: Classifier,
    projection: Projection,
    slots: Vec<Arc<Slot>>,
    /// Where the numbers come from; whoever changes them says so here.
    pub origin: Origin,
    training: AtomicBool,
    bf16: AtomicBool,
    dtype: DType,
    device: Device,
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
        Self::build(config, Some(seed), DType::F32, device)
    }

    fn build(config: &ModelConfig, seed: Option<u64>, dtype: DType, device: &Device) -> Result<Self> {
        config.check()?;
        let conventions = Conventions::of(config.architecture);
        let (channels, _) = Decoder::output(config);
        let mut owned = Builder::new(seed, dtype, device);
        let builder = &mut owned;
        let encoder = Encoder::new(builder, config)?;
        let decoder = Decoder::new(builder, config)?;
        let classifier = Classifier::new(builder, &conventions, channels, config.classes)?;
        let projection = Projection::new(builder, &config.projection, channels)?;
        Ok(Segmenter {
            config: config.clone(),
            encoder,
            decoder,
            classifier,
            projection,
            slots: owned.finish()?,
            origin: Origin { seed, parent: None },
            training: AtomicBool::new(true),
            bf16: AtomicBool::new(false),
            dtype,
            device: device.clone(),
        })
    }

    /// What the model is.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The device of the parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bytes of all parameters and running statistics.
    pub fn bytes(&self) -> usize {
        let of = |s: &Arc<Slot>| s.var.elem_count() * s.var.dtype().size_in_bytes();
        self.slots.iter().map(of).sum()
    }

    /// The name below which the parameters of the encoder's first stage lie, such as `encoder.layer1` or `backbone.layer1`.
    pub fn stage_name(&self) -> &'static str {
        Conventions::of(self.config.architecture).stage
    }

    /// The name below which the classifier's parameters lie: `segmentation_head.0` or, with torchvision's names, `classifier.4`.
    pub fn classifier_name(&self) -> &'static str {
        Conventions::of(self.config.architecture).classifier
    }

    /// Whether [`Segmenter::classify`] resizes with aligned corners.
    pub fn align_corners(&self) -> bool {
        Conventions::of(self.config.architecture).align_corners
    }

    /// The decoder's map, [n, decoder channels, h / stride, w / stride] with the sides rounded up; the stride is 4
    /// (deeplabv3plus, segformer), the output stride (deeplabv3, fcn) or 1 (unet).
    pub fn features(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        let pass = self.laid(pass);
        pass.graph().leave(&self.maps(images, &pass)?, self.dtype)
    }

    /// Logits [n, classes, h, w] at the size of the images: `classify(features(images))`.
    pub fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        let size = self.check_images(images)?;
        self.classify_maps(&self.maps(images, pass)?, Some(size), pass)
    }

    /// The classifier on the decoder's map, then bilinear to `size`: with aligned corners as segmentation_models_pytorch does
    /// (deeplabv3plus, unet), without as the others do (deeplabv3, fcn, segformer).
    pub fn classify(&self, features: &Tensor, size: [usize; 2], pass: &Pass) -> Result<Tensor> {
        let features = features.to_dtype(self.dtype)?;
        self.classify_maps(&self.laid(pass).graph().enter(&features)?, Some(size), pass)
    }

    /// The projection head on the decoder's map, [n, projection channels, h, w]. Not normalised: the loss does that.
    pub fn project(&self, features: &Tensor, pass: &Pass) -> Result<Tensor> {
        let features = features.to_dtype(self.dtype)?;
        self.project_maps(&self.laid(pass).graph().enter(&features)?, pass)
    }

    /// [`Segmenter::features`] as the network has them inside: on a GPU bf16 in a pass of that precision, and perhaps with the channels
    /// last.
    pub(crate) fn maps(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        let size = self.check_images(images)?;
        let pass = self.laid(pass);
        let pyramid = self.encoder.forward(&pass.graph().enter(images)?, &pass)?;
        self.decoder.forward(&pyramid, size, &pass)
    }

    /// [`Segmenter::classify`] of [`Segmenter::maps`]; without a size at theirs.
    pub(crate) fn classify_maps(&self, maps: &Tensor, size: Option<[usize; 2]>, pass: &Pass) -> Result<Tensor> {
        self.classifier.forward(maps, size, self.dtype, &self.laid(pass))
    }

    /// [`Segmenter::project`] of [`Segmenter::maps`].
    pub(crate) fn project_maps(&self, maps: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.projection.forward(maps, self.dtype, &self.laid(pass))
    }

    /// `pass` with maps as this network has them in it, if they are not laid so already: on a GPU a network of convolutions has the channels last where tensor cores
    /// compute (bf16, TF32), which want them so.
    fn laid<'a>(&self, pass: &Pass<'a>) -> Pass<'a> {
        let cores = pass.precision == Precision::Bf16 || crate::device::tf32();
        let convolutions = self.config.architecture != Architecture::Segformer;
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

    /// The embedding of every position: `project(features(images))` divided by its Euclidean norm over the channels.
    pub fn embed(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        pass.graph()
            .normalize(&self.project_maps(&self.maps(images, pass)?, pass)?, 1, 1e-12)
    }

    fn check_images(&self, images: &Tensor) -> Result<[usize; 2]> {
        let dims = images.dims();
        ensure!(
            matches!(dims, [n, 3, h, w] if *n > 0 && *h > 0 && *w > 0) && images.dtype() == self.dtype,
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
        self.slots.iter().filter(wanted).map(parameter).collect()
    }

    /// Whether some parameter, frozen or not, is below this name.
    pub fn has_part(&self, prefix: &str) -> bool {
        self.slots.iter().any(|s| !s.buffer && s.below(prefix))
    }

    /// The tensors that are saved but not trained: batch norm's running statistics.
    pub fn buffers(&self) -> Vec<Parameter> {
        let buffer = |s: &Arc<Slot>| Parameter {
            name: s.name.clone(),
            var: s.var.clone(),
        };
        self.slots.iter().filter(|s| s.buffer).map(buffer).collect()
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
        let slots = self.slots.iter().filter(|s| !s.buffer && s.below(prefix));
        slots.map(|s| s.freeze(frozen)).count()
    }

    /// Whether some parameters are kept as they are.
    pub fn has_frozen(&self) -> bool {
        self.slots.iter().any(|s| s.frozen())
    }

    /// Remember whether the model is being trained; a new model is, as in PyTorch.
    pub fn set_training(&self, training: bool) {
        self.training.store(training, Ordering::Relaxed);
    }

    /// What [`Segmenter::set_training`] said last.
    pub fn training(&self) -> bool {
        self.training.load(Ordering::Relaxed)
    }

    /// Remember in which precision a caller that has no say of its own (a loss written in a script) should run its passes.
    pub fn set_precision(&self, precision: Precision) {
        self.bf16.store(precision == Precision::Bf16, Ordering::Relaxed);
    }

    /// What [`Segmenter::set_precision`] said last; f32 for a new model.
    pub fn precision(&self) -> Precision {
        match self.bf16.load(Ordering::Relaxed) {
            true => Precision::Bf16,
            false => Precision::F32,
        }
    }

    /// Replace the classifier by a fresh one for `classes` classes. An optimiser made before still holds the old parameters.
    pub fn new_classifier(&mut self, classes: usize, seed: u64) -> Result<()> {
        let config = ModelConfig {
            classes,
            ..self.config.clone()
        };
        config.check()?;
        let conventions = Conventions::of(config.architecture);
        let (channels, _) = Decoder::output(&config);
        let mut builder = Builder::new(Some(seed), self.dtype, &self.device);
        self.classifier = Classifier::new(&mut builder, &conventions, channels, classes)?;
        for slot in builder.finish()? {
            if let Some(old) = self.slots.iter_mut().find(|s| s.name == slot.name) {
                *old = slot;
            }
        }
        self.config = config;
        Ok(())
    }

    /// A copy of every parameter and buffer with its name, in the order of the modules. Later training does not change it.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let copy = |s: &Arc<Slot>| Ok((s.name.clone(), s.var.as_detached_tensor().copy()?));
        self.slots.iter().map(copy).collect()
    }

    /// Take over named tensors. A file with bare torchvision names (`conv1.weight`) is recognised: the prefix `encoder.` that
    /// makes most names fit is found unless `options.prefix` gives one. `num_batches_tracked`, torchvision's `fc.*` and
    /// `aux_classifier.*` are passed over; a file without `projection.*` is complete.
    ///
    /// # Errors
    /// With `strict`: names the first tensor that is missing, unexpected or of another shape; the model is then unchanged.
    pub fn load_state(&self, map: &HashMap<String, Tensor>, options: &LoadOptions) -> Result<LoadReport> {
        load::load(&self.slots, &Conventions::of(self.config.architecture), map, options)
    }

    /// The names of the parameters and running statistics that hold NaN or infinity.
    pub fn not_finite(&self) -> Result<Vec<String>> {
        load::not_finite(self.slots.iter().map(|s| (&s.name, s.var.as_detached_tensor())))
    }

    /// Write the model to a safetensors file, its configuration as JSON in the metadata (`seglab.model`). PyTorch loads it.
    pub fn save(&self, place: impl Into<Place>) -> Result<()> {
        let place = place.into();
        let config = serde_json::to_string(&self.config).map_err(|e| Error::file(place.path(), e))?;
        weights::write(place, &self.state()?, &[(CONFIG_KEY, &config)])
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
        let config: ModelConfig = serde_json::from_str(config)
            .map_err(|e| Error::file(path, format!("the model configuration cannot be read: {e}")))?;
        let mut model = Self::build(&config, None, DType::F32, device)?;
        let ours: HashMap<_, _> = file.tensors.into_iter().filter(|(name, _)| model.has(name)).collect();
        ensure!(
            ours.len() == model.slots.len(),
            "{}: {} of the model's {} tensors are missing; the file is incomplete",
            path.display(),
            model.slots.len() - ours.len(),
            model.slots.len()
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
        self.slots.iter().any(|s| s.name == name)
    }

    /// A deep copy: same configuration, numbers, mode and frozen parameters, nothing shared.
    pub fn copy(&self) -> Result<Self> {
        self.to_dtype(self.dtype)
    }

    /// A deep copy whose parameters have another floating-point type (f64 for gradient checks).
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let mut copy = Self::build(&self.config, None, dtype, &self.device)?;
        copy.origin = self.origin.clone();
        for (from, to) in self.slots.iter().zip(&copy.slots) {
            to.var.set(&from.var.as_detached_tensor().to_dtype(dtype)?.copy()?)?;
            to.freeze(from.frozen());
        }
        copy.set_training(self.training());
        Ok(copy)
    }

    /// Move every number (parameters and running statistics) towards those of `model`, a network of the same architecture:
    /// `own = momentum own + (1 - momentum) model`. Cost: one pass over the numbers.
    pub fn follow(&self, model: &Segmenter, momentum: f64) -> Result<()> {
        ensure!(
            self.slots.len() == model.slots.len(),
            "follow: the two networks differ in architecture"
        );
        let pairs = self.slots.iter().zip(&model.slots);
        let pairs: Vec<_> = pairs
            .map(|(own, other)| (&own.var, other.var.as_detached_tensor()))
            .collect();
        average_all(&pairs, momentum)
    }

    /// Number of trainable values, the frozen ones included, the running statistics not.
    pub fn parameter_count(&self) -> usize {
        let parameters = self.slots.iter().filter(|s| !s.buffer);
        parameters.map(|s| s.var.elem_count()).sum()
    }

    /// A table of the parts: channels and stride of their maps, parameters, how many of them are frozen.
    pub fn summary(&self) -> String {
        super::summary::table(&self.config, &self.slots, &self.encoder.parts(&self.config))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::nn::{Architecture, EncoderKind};
    use crate::random::Random;

    fn small(architecture: Architecture, classes: usize) -> ModelConfig {
        let (_, encoder) = architecture.encoders()[0];
        let mut config = ModelConfig::new(architecture, encoder, classes);
        config.decoder_channels = 16;
        config.projection.channels = 8;
        config
    }

    fn model(classes: usize) -> Segmenter {
        Segmenter::new(&small(Architecture::DeepLabV3Plus, classes), 3, &Device::Cpu).unwrap()
    }

    fn images(n: usize, h: usize, w: usize) -> Tensor {
        let mut random = Random::new(9);
        let pixels = (0..n * 3 * h * w).map(|_| random.normal() as f32).collect::<Vec<_>>();
        Tensor::from_vec(pixels, (n, 3, h, w), &Device::Cpu).unwrap()
    }

    fn numbers(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn every_architecture_answers_at_the_size_of_any_image() {
        for (name, architecture) in Architecture::ALL {
            let model = Segmenter::new(&small(architecture, 5), 0, &Device::Cpu).unwrap();
            for [h, w] in [[32, 48], [33, 17]] {
                let pass = Pass::evaluation();
                let logits = model.forward(&images(1, h, w), &pass).unwrap();
                assert_eq!(logits.dims(), [1, 5, h, w], "{name}");
                let embedded = model.embed(&images(1, h, w), &pass).unwrap();
                let norms = numbers(&embedded.sqr().unwrap().sum(1).unwrap());
                assert!(
                    embedded.dims()[1] == 8 && norms.iter().all(|n| (n - 1.0).abs() < 1e-5),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn a_saved_model_knows_its_architecture_and_answers_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let model = model(4);
        model.save(&path).unwrap();
        let loaded = Segmenter::load(&path, &Device::Cpu).unwrap();
        assert_eq!(loaded.config(), model.config());
        let (x, pass) = (images(1, 32, 32), Pass::evaluation());
        assert_eq!(
            numbers(&model.forward(&x, &pass).unwrap()),
            numbers(&loaded.forward(&x, &pass).unwrap())
        );
        let bare = folder.path().join("bare.safetensors");
        weights::write(&bare, &model.state().unwrap(), &[]).unwrap();
        let text = Segmenter::load(&bare, &Device::Cpu).err().unwrap().to_string();
        assert!(
            text.contains("no model configuration") && text.contains("load_weights"),
            "{text}"
        );
    }

    #[test]
    fn frozen_parameters_get_no_gradient_but_statistics_move() {
        let model = model(4);
        let all = model.parameters("").len();
        let encoder = model.freeze("encoder");
        assert_eq!((encoder, model.parameters("encoder").len()), (60, 0)); // 20 convolutions, 20 batch norms of two
        assert_eq!(model.parameters("").len(), all - 60);
        let before = model.state().unwrap();
        let random = RefCell::new(Random::new(0));
        let logits = model.forward(&images(2, 32, 32), &Pass::training(&random)).unwrap();
        let gradients = logits.sqr().unwrap().mean_all().unwrap().backward().unwrap();
        let after = model.state().unwrap();
        let moved = |name: &str| {
            let at = before.iter().position(|(n, _)| n == name).unwrap();
            numbers(&before[at].1) != numbers(&after[at].1)
        };
        assert!(moved("encoder.bn1.running_mean") && !moved("encoder.bn1.weight"));
        assert!(
            model
                .parameters("decoder")
                .iter()
                .all(|p| gradients.get(&p.var).is_some())
        );
        assert_eq!(model.unfreeze("encoder"), 60);
        let encoder = model.parameters("encoder");
        assert!(encoder.iter().all(|p| gradients.get(&p.var).is_none()));
    }

    #[test]
    fn without_tracking_no_graph_is_kept() {
        let (model, x) = (model(4), images(2, 32, 32));
        assert!(!model.forward(&x, &Pass::evaluation()).unwrap().track_op());
    }

    #[test]
    fn options_of_one_part_do_not_change_the_numbers_of_another() {
        let mut config = small(Architecture::DeepLabV3Plus, 7);
        config.projection.norm = true;
        let (a, mut b) = (model(4), Segmenter::new(&config, 3, &Device::Cpu).unwrap());
        b.new_classifier(4, 3).unwrap();
        assert_eq!(b.config().classes, 4);
        let of = |m: &Segmenter| -> HashMap<String, Vec<f32>> {
            m.state()
                .unwrap()
                .iter()
                .map(|(n, t)| (n.clone(), numbers(t)))
                .collect()
        };
        let (a, b) = (of(&a), of(&b));
        assert!(a.iter().all(|(name, values)| b[name] == *values));
    }

    #[test]
    fn a_copy_shares_nothing() {
        let model = model(4);
        let copy = model.copy().unwrap();
        copy.new_numbers();
        let (a, b) = (model.state().unwrap(), copy.state().unwrap());
        assert!(a.iter().zip(&b).all(|((_, a), (_, b))| numbers(a) != numbers(b)));
    }

    impl Segmenter {
        fn new_numbers(&self) {
            for slot in &self.slots {
                slot.var.set(&(slot.var.as_detached_tensor() + 1.0).unwrap()).unwrap();
            }
        }
    }

    #[test]
    fn impossible_images_are_named() {
        let model = model(4);
        let pass = Pass::evaluation();
        let grey = Tensor::zeros((1, 1, 8, 8), DType::F32, &Device::Cpu).unwrap();
        let text = model.forward(&grey, &pass).unwrap_err().to_string();
        assert!(
            text.contains("[n, 3, height, width]") && text.contains("[1, 1, 8, 8]"),
            "{text}"
        );
        let random = RefCell::new(Random::new(0));
        let text = model
            .forward(&images(1, 32, 32), &Pass::training(&random))
            .unwrap_err()
            .to_string();
        assert!(text.contains("2 images or more"), "{text}");
        let pass = Pass {
            random: None,
            ..Pass::training(&random)
        };
        let text = model.forward(&images(2, 32, 32), &pass).unwrap_err().to_string();
        assert!(text.contains("random state"), "{text}");
    }

    #[test]
    fn real_imagenet_weights_fill_the_first_half_of_a_resnet50() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../shared/data/weights/resnet50_imagenet_to_layer2.safetensors");
        if !path.exists() {
            return; // development data, not part of the project
        }
        let mut config = small(Architecture::DeepLabV3Plus, 4);
        config.encoder = EncoderKind::Resnet50;
        let model = Segmenter::new(&config, 0, &Device::Cpu).unwrap();
        let file = weights::read(&path, &Device::Cpu).unwrap();
        let options = LoadOptions {
            strict: false,
            ..LoadOptions::default()
        };
        let report = model.load_state(&file.tensors, &options).unwrap();
        assert_eq!(
            (report.loaded.len(), report.unexpected.len(), report.wrong_shape.len()),
            (120, 0, 0)
        );
        assert!(report.missing.iter().any(|n| n == "encoder.layer3.0.conv1.weight"));
        assert!(model.load_state(&file.tensors, &LoadOptions::default()).is_err());
        let (_, bn) = model.state().unwrap().swap_remove(1);
        assert_eq!(numbers(&bn), numbers(&file.tensors["bn1.weight"]));
    }
}
