//! `model::` and the methods of models.

mod methods;
mod parameters;

use std::cell::RefCell;
use std::rc::Rc;

use crate::nn::{Architecture, EncoderKind, ModelConfig, Pass, ProjectionConfig, Segmenter, Value};
use crate::script::Context;
use crate::script::prelude::*;
use crate::script::table::Entry;

pub use parameters::Parameters;

/// A segmentation network in scripts: a handle, copies of it are the same network.
#[derive(Clone)]
pub struct Model(pub Rc<RefCell<Segmenter>>);

impl Model {
    /// A handle of its own for this network.
    pub fn new(segmenter: Segmenter) -> Self {
        Model(Rc::new(RefCell::new(segmenter)))
    }

    /// Run `body` with the pass that the model's mode and `tensor::no_grad` ask for.
    fn pass<T>(&self, ctx: &Call, body: impl FnOnce(&Segmenter, &Pass) -> Result<T>) -> Result<T> {
        if ctx.outer().is_none() {
            ctx.remember_network(&self.0);
        }
        let (model, session) = (self.0.borrow(), ctx.session());
        let outer = ctx.outer();
        let training = model.training() && outer.is_none_or(|o| o.training);
        // only training draws: evaluating must not move the session's random state
        let check = || session.check_cancel();
        let random = training.then(|| RefCell::new(session.random()));
        let precision = outer.map_or(model.precision(), |o| o.precision);
        let mut pass = Pass::evaluation().at(precision).until(&check);
        pass.frozen_norm = outer.map_or(model.frozen_norm(), |o| o.frozen_norm);
        (pass.training, pass.random) = (training, random.as_ref());
        if ctx.tracking() {
            pass = pass.on(ctx.tape());
            pass.track = true;
        }
        body(&model, &pass)
    }
}

impl Reply for Value {
    fn kind() -> String {
        Tensor::NAME.into()
    }
    fn reply(self, _: &Context) -> Dynamic {
        match self {
            Value::Tensor(t) => Dynamic::from(t),
            Value::Maps(maps) => Dynamic::from_array(maps.into_iter().map(Dynamic::from).collect()),
            Value::Outputs(given) => {
                let named = [("features", given.features), ("embeddings", given.embeddings)];
                let named = named.into_iter().filter_map(|(name, t)| Some((name, t?)));
                let all = std::iter::once(("logits", given.logits)).chain(named);
                let map: Map = all.map(|(name, t)| (name.into(), Dynamic::from(t))).collect();
                map.into()
            }
        }
    }
}

impl ScriptType for Model {
    const NAME: &'static str = "Model";
    const DOC: &'static str =
        "A segmentation network (encoder, decoder, classifier, projection head), a network of your own, or a layer.";
    fn display(&self) -> String {
        self.0.borrow().summary()
    }
    fn brief(&self) -> String {
        let model = self.0.borrow();
        match (model.config(), model.module()) {
            (Some(config), _) => format!(
                "Model {} {} {} classes",
                config.architecture.name(),
                config.encoder.name(),
                config.classes
            ),
            (_, Some(module)) if model.classes() > 0 => {
                format!("Model {} {} classes", module.describe(), model.classes())
            }
            (_, module) => format!("Model {}", module.map(|m| m.describe()).unwrap_or_default()),
        }
    }
}

/// The options shared by all architectures, put over the architecture's defaults.
fn config(
    architecture: Architecture,
    encoder: &str,
    classes: usize,
    projection: Nested<ProjectionConfig>,
) -> Result<ModelConfig> {
    let mut config = ModelConfig::new(architecture, EncoderKind::from_name(architecture, encoder)?, classes);
    let path = format!("model::{}: projection", architecture.name());
    config.projection = projection.fill(&path)?;
    Ok(config)
}

fn make(ctx: &Call, config: &ModelConfig, seed: Option<u64>) -> Result<Model> {
    let session = ctx.session();
    let seed = seed.unwrap_or_else(|| session.seed());
    Ok(Model::new(Segmenter::new_until(
        config,
        seed,
        session.device(),
        session.cancel_flag(),
    )?))
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.namespace("model", "Make and load segmentation networks.", constructors());
    table.script_type::<Model>();
    table.methods::<Model>("Model", methods::entries());
    parameters::declare(table);
}

fn constructors() -> Vec<Entry> {
    entries! {
        /// Make a DeepLabV3+ network with random parameters.
        ///
        /// Atrous spatial pyramid pooling on the encoder's last map, joined with its stride-4 map (Chen et al. 2018). Names and
        /// arithmetic are those of `segmentation_models_pytorch.DeepLabV3Plus`, whose weights load unchanged. The random
        /// parameters are drawn as PyTorch draws them, each from its own stream, so that two networks made with one seed share
        /// the numbers of every part they share. A new model is in training mode.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.eval();
        /// assert_eq(net.forward(tensor::zeros([1, 3, 32, 32])).shape, [1, 3, 32, 32]);
        /// ```
        fn deeplabv3plus(ctx,
            /// `"resnet18"`, `"resnet34"`, `"resnet50"` or `"resnet101"`.
            encoder: String,
            /// Number of classes.
            classes: usize,
            /// Stride of the encoder's last map: 8, 16 or 32; the last stages are dilated instead.
            output_stride: usize = 16,
            /// Channels of the decoder.
            decoder_channels: usize = 256,
            /// Dilations of the three atrous branches.
            atrous_rates: [usize; 3] = [12, 24, 36],
            /// Whether the atrous branches are depthwise separable.
            separable: bool = true,
            /// Dropout probability after the pyramid, in training.
            dropout: f64 = 0.5,
            /// The projection head: `#{ layers: 3, channels: 256, norm: false }`.
            projection: Nested<ProjectionConfig> = Nested::default(),
            /// Seed of the random parameters; the session's if absent.
            seed: Option<u64> = None
        ) -> Model {
            let config = ModelConfig {
                output_stride,
                decoder_channels,
                atrous_rates,
                separable,
                dropout,
                ..config(Architecture::DeepLabV3Plus, &encoder, classes, projection)?
            };
            make(ctx, &config, seed)
        }

        /// Make a DeepLabV3 network with random parameters.
        ///
        /// Atrous spatial pyramid pooling on the encoder's last map (Chen et al. 2017), with the names and the arithmetic of
        /// torchvision's `deeplabv3_resnet50`: the encoder is called `backbone`, the classifier `classifier.4`.
        /// ```
        /// let net = model::deeplabv3(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.eval();
        /// assert_eq(net.features(tensor::zeros([1, 3, 32, 32])).shape, [1, 16, 4, 4]);
        /// ```
        fn deeplabv3(ctx,
            /// `"resnet18"`, `"resnet34"`, `"resnet50"` or `"resnet101"`.
            encoder: String,
            /// Number of classes.
            classes: usize,
            /// Stride of the encoder's last map: 8, 16 or 32.
            output_stride: usize = 8,
            /// Channels of the decoder.
            decoder_channels: usize = 256,
            /// Dilations of the three atrous branches.
            atrous_rates: [usize; 3] = [12, 24, 36],
            /// Whether the atrous branches are depthwise separable.
            separable: bool = false,
            /// Dropout probability after the pyramid, in training.
            dropout: f64 = 0.5,
            /// The projection head: `#{ layers: 3, channels: 256, norm: false }`.
            projection: Nested<ProjectionConfig> = Nested::default(),
            /// Seed of the random parameters; the session's if absent.
            seed: Option<u64> = None
        ) -> Model {
            let config = ModelConfig {
                output_stride,
                decoder_channels,
                atrous_rates,
                separable,
                dropout,
                ..config(Architecture::DeepLabV3, &encoder, classes, projection)?
            };
            make(ctx, &config, seed)
        }

        /// Make an FCN network with random parameters.
        ///
        /// One convolution on the encoder's last map (Long et al. 2015), with the names and the arithmetic of torchvision's
        /// `fcn_resnet50`: the encoder is called `backbone`, the classifier `classifier.4`.
        /// ```
        /// let net = model::fcn(#{ encoder: "resnet18", classes: 3 });
        /// net.eval();
        /// assert_eq(net.features(tensor::zeros([1, 3, 32, 32])).shape, [1, 128, 4, 4]);
        /// ```
        fn fcn(ctx,
            /// `"resnet18"`, `"resnet34"`, `"resnet50"` or `"resnet101"`.
            encoder: String,
            /// Number of classes.
            classes: usize,
            /// Stride of the encoder's last map: 8, 16 or 32.
            output_stride: usize = 8,
            /// Channels of the decoder; a quarter of the encoder's last map if absent.
            decoder_channels: Option<usize> = None,
            /// Dropout probability before the classifier, in training.
            dropout: f64 = 0.1,
            /// The projection head: `#{ layers: 3, channels: 256, norm: false }`.
            projection: Nested<ProjectionConfig> = Nested::default(),
            /// Seed of the random parameters; the session's if absent.
            seed: Option<u64> = None
        ) -> Model {
            let base = config(Architecture::Fcn, &encoder, classes, projection)?;
            let config = ModelConfig {
                output_stride,
                decoder_channels: decoder_channels.unwrap_or(base.decoder_channels),
                dropout,
                ..base
            };
            make(ctx, &config, seed)
        }

        /// Make a U-Net with random parameters.
        ///
        /// From coarse to fine, each map of the encoder joins the enlarged one before it (Ronneberger et al. 2015), with the names
        /// and the arithmetic of `segmentation_models_pytorch.Unet`. Its features have the size of the images.
        /// ```
        /// let net = model::unet(#{ encoder: "resnet18", classes: 3, decoder_channels: 32 });
        /// net.eval();
        /// assert_eq(net.features(tensor::zeros([1, 3, 32, 32])).shape, [1, 2, 32, 32]);
        /// ```
        fn unet(ctx,
            /// `"resnet18"`, `"resnet34"`, `"resnet50"` or `"resnet101"`.
            encoder: String,
            /// Number of classes.
            classes: usize,
            /// Stride of the encoder's last map: 8, 16 or 32.
            output_stride: usize = 32,
            /// Channels of the coarsest of the five blocks; each finer block has half.
            decoder_channels: usize = 256,
            /// The projection head: `#{ layers: 3, channels: 256, norm: false }`.
            projection: Nested<ProjectionConfig> = Nested::default(),
            /// Seed of the random parameters; the session's if absent.
            seed: Option<u64> = None
        ) -> Model {
            let config = ModelConfig {
                output_stride,
                decoder_channels,
                ..config(Architecture::Unet, &encoder, classes, projection)?
            };
            make(ctx, &config, seed)
        }

        /// Make a SegFormer network with random parameters.
        ///
        /// A Mix Transformer, whose four maps a linear layer each and one convolution join at stride 4 (Xie et al. 2021), with the
        /// names and the arithmetic of Hugging Face's `SegformerForSemanticSegmentation`, whose weights load unchanged (as
        /// transformers 4 names them, and the published files). Where a map is smaller than the kernel that reduces it
        /// (images below 32 pixels), it counts as continued by zeros.
        /// ```
        /// let net = model::segformer(#{ classes: 3, decoder_channels: 16 });
        /// net.eval();
        /// assert_eq(net.forward(tensor::zeros([1, 3, 32, 32])).shape, [1, 3, 32, 32]);
        /// assert_eq(net.features(tensor::zeros([1, 3, 32, 32])).shape, [1, 16, 8, 8]);
        /// ```
        fn segformer(ctx,
            /// `"mit_b0"`, `"mit_b1"`, `"mit_b2"`, `"mit_b3"`, `"mit_b4"` or `"mit_b5"`.
            encoder: String = "mit_b0".to_string(),
            /// Number of classes.
            classes: usize,
            /// Channels of the decoder; 256 for mit_b0 and mit_b1, 768 for the others if absent.
            decoder_channels: Option<usize> = None,
            /// Dropout probability before the classifier, in training.
            dropout: f64 = 0.1,
            /// Probability that a branch of the last block is left out, in training; less in those before it.
            drop_path: f64 = 0.1,
            /// The projection head: `#{ layers: 3, channels: 256, norm: false }`.
            projection: Nested<ProjectionConfig> = Nested::default(),
            /// Seed of the random parameters; the session's if absent.
            seed: Option<u64> = None
        ) -> Model {
            let base = config(Architecture::Segformer, &encoder, classes, projection)?;
            let config = ModelConfig {
                decoder_channels: decoder_channels.unwrap_or(base.decoder_channels),
                dropout,
                drop_path,
                ..base
            };
            make(ctx, &config, seed)
        }

        /// Make a linear classifier of the patches of a DINOv2 encoder, with random parameters.
        ///
        /// Batch norm and one linear layer on the encoder's last map (Oquab et al. 2023), enlarged to the images, with the names of DINOv2's own
        /// linear heads (`decode_head.bn`, `decode_head.conv_seg`). The encoder is called `backbone`; the file of Hugging Face's
        /// `facebook/dinov2-small` (-base, -large, -with-registers-small, ..) fits it: `load_weights(path, #{ strict: false })`. The sides of
        /// the images must be multiples of 14.
        /// ```
        /// let net = model::linear(#{ encoder: "dinov2_vits14", classes: 3, frozen: true });
        /// assert_eq(net.forward(tensor::randn([1, 3, 28, 42])).shape, [1, 3, 28, 42]);
        /// assert_eq(net.features(tensor::randn([1, 3, 28, 42])).shape, [1, 384, 2, 3]);
        /// assert_eq(net.parameters("backbone").len, 0);
        /// ```
        fn linear(ctx,
            /// `"dinov2_vits14"`, `"dinov2_vitb14"`, `"dinov2_vitl14"`, or with registers `"dinov2_vits14_reg"`, `"dinov2_vitb14_reg"`,
            /// `"dinov2_vitl14_reg"`.
            encoder: String = "dinov2_vits14".to_string(),
            /// Number of classes.
            classes: usize,
            /// Keep the encoder as it is: nothing goes back through it, and it runs as in evaluation.
            frozen: bool = false,
            /// Probability that a branch of the encoder's last block is left out, in training; less in those before it.
            drop_path: f64 = 0.0,
            /// The projection head: `#{ layers: 3, channels: 256, norm: false }`.
            projection: Nested<ProjectionConfig> = Nested::default(),
            /// Seed of the random parameters; the session's if absent.
            seed: Option<u64> = None
        ) -> Model {
            let config = ModelConfig {
                frozen,
                drop_path,
                ..config(Architecture::Linear, &encoder, classes, projection)?
            };
            make(ctx, &config, seed)
        }

        /// Make a DPT network on a DINOv2 encoder, with random parameters.
        ///
        /// The four maps of the encoder at strides 14/4 to 28, joined from coarse to fine (Ranftl et al. 2021), with the arithmetic and the
        /// names of the head of UniMatch V2 (`head`). The encoder is called `backbone`; the file of Hugging Face's `facebook/dinov2-small`
        /// (-base, -large, -with-registers-small, ..) fits it: `load_weights(path, #{ strict: false })`. The sides of the images must be
        /// multiples of 14.
        /// ```
        /// let net = model::dpt(#{ encoder: "dinov2_vits14", classes: 3, decoder_channels: 16, frozen: true });
        /// assert_eq(net.forward(tensor::randn([1, 3, 28, 42])).shape, [1, 3, 28, 42]);
        /// assert_eq(net.features(tensor::randn([1, 3, 28, 42])).shape, [1, 16, 16, 24]);
        /// ```
        fn dpt(ctx,
            /// `"dinov2_vits14"`, `"dinov2_vitb14"`, `"dinov2_vitl14"`, or with registers `"dinov2_vits14_reg"`, `"dinov2_vitb14_reg"`,
            /// `"dinov2_vitl14_reg"`.
            encoder: String = "dinov2_vits14".to_string(),
            /// Number of classes.
            classes: usize,
            /// Channels of the decoder; 64, 128 or 256 for the three sizes of encoders if absent.
            decoder_channels: Option<usize> = None,
            /// Keep the encoder as it is: nothing goes back through it, and it runs as in evaluation.
            frozen: bool = false,
            /// Probability that a branch of the encoder's last block is left out, in training; less in those before it.
            drop_path: f64 = 0.0,
            /// The projection head: `#{ layers: 3, channels: 256, norm: false }`.
            projection: Nested<ProjectionConfig> = Nested::default(),
            /// Seed of the random parameters; the session's if absent.
            seed: Option<u64> = None
        ) -> Model {
            let base = config(Architecture::Dpt, &encoder, classes, projection)?;
            let config = ModelConfig {
                decoder_channels: decoder_channels.unwrap_or(base.decoder_channels),
                frozen,
                drop_path,
                ..base
            };
            make(ctx, &config, seed)
        }

        /// Make a network for training and evaluation of a layer of one's own: what it gives for images is logits.
        ///
        /// Logits of any size; they are brought to that of the images, bilinear. A block may give `#{ logits, features, embeddings }`:
        /// `pretrain` compares the embeddings, without them the features.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [16, 16] });
        /// let layers = nn::sequential([nn::conv2d(3, 8, #{ padding: 1, stride: 2 }), nn::batch_norm(8), nn::activation("relu"),
        ///     nn::conv2d(8, data.classes, #{ kernel: 1 })]);
        /// let net = model::from(layers, #{ classes: data.classes });
        /// let run = train::finetune(net, data, #{ steps: 2, batch_size: 2, checkpoint_every: 0 });
        /// assert_eq(net.forward(tensor::zeros([1, 3, 16, 16])).shape, [1, data.classes, 16, 16]);
        /// ```
        fn from(ctx, /// A layer, such as `nn::block(..)` or `nn::sequential(..)`.
                network: Model,
                /// Number of classes.
                classes: usize) -> Model {
            let module = super::nn::module(&network, "`network`")?;
            Ok(Model::new(Segmenter::own(module, classes, ctx.session().device())?))
        }

        /// Read a model that `save` or a training run wrote; the file knows its own architecture.
        ///
        /// A file that is not found as named is looked for in the run folder. Bare weights (of PyTorch, say) are read by
        /// `load_weights` into a model made before.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.save("net.safetensors");
        /// assert_eq(model::load("net.safetensors").classes, 3);
        /// ```
        fn load(ctx, /// A safetensors file.
            path: String) -> Model {
            Ok(Model::new(Segmenter::load(ctx.session().input_path(&path)?, ctx.session().device())?))
        }
    }
}
