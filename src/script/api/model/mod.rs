//! `model::` and the methods of models.

mod compute;
mod parameters;
mod state;

use std::cell::RefCell;
use std::rc::Rc;

use crate::names;
use crate::nn::{Architecture, EncoderKind, ModelConfig, Pass, Segmenter, Value};
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
        if !ctx.in_network() {
            ctx.remember_network(&self.0);
        }
        let (model, session) = (self.0.borrow(), ctx.session());
        let outer = ctx.outer(&self.0);
        let training = model.training() && outer.as_ref().is_none_or(|o| o.training);
        // only training draws: evaluating must not move the session's random state
        let check = || session.check_cancel();
        let random = training.then(|| RefCell::new(session.random()));
        let mut pass = Pass::evaluation().until(&check);
        if let Some(outer) = &outer {
            pass = pass.at(outer.precision).knowing(&outer.known);
            pass.frozen_norm = outer.frozen_norm;
        }
        (pass.training, pass.random) = (training, random.as_ref());
        if ctx.tracking() {
            pass = pass.on(ctx.tape());
            pass.track = true;
        }
        body(&model, &pass)
    }
}

impl Reply for Value {
    const KIND: &'static str = Tensor::NAME;
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

/// The names of the encoders of an architecture.
fn encoders(architecture: Architecture) -> Vec<&'static str> {
    architecture.encoders().iter().map(|(name, _)| *name).collect()
}

names! {
    /// The encoder of most networks.
    struct PyramidName: encoders(Architecture::DeepLabV3Plus);
    /// The encoder of a U-Net.
    struct UnetName: encoders(Architecture::Unet);
    /// The encoder of a SegFormer.
    struct MitName: encoders(Architecture::Segformer);
    /// The encoder of networks on a foundation model.
    struct VitName: encoders(Architecture::Dpt);
}

/// A network with the given options over its architecture's defaults.
fn make(
    ctx: &Call,
    architecture: Architecture,
    encoder: &str,
    classes: usize,
    given: Nested<ModelConfig>,
    seed: Option<u64>,
) -> Result<Model> {
    let encoder = EncoderKind::from_name(architecture, encoder)?;
    let config = given.over(ctx.function(), ModelConfig::new(architecture, encoder, classes))?;
    let session = ctx.session();
    let seed = seed.unwrap_or_else(|| session.seed());
    Ok(Model::new(Segmenter::new_until(
        &config,
        seed,
        session.device(),
        session.cancel_flag(),
    )?))
}

/// The defaults of an architecture, with its smallest encoder.
fn usual(architecture: Architecture) -> ModelConfig {
    let (_, smallest) = architecture.encoders()[0];
    ModelConfig::new(architecture, smallest, 0)
}

/// The constructors of our architectures: `name: architecture, encoder, without(options);` each. All take an encoder, the number of classes, the
/// options of networks but for those left out, and a seed.
macro_rules! constructors {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident: $architecture:ident, $about:literal $encoder:ident $(= $usual:literal)?, without($($left_out:ident),*);
    )*) => {
        entries! {$(
            $(#[doc = $doc])*
            fn $name(ctx,
                #[doc = $about]
                encoder: $encoder $(= $encoder($usual.into()))?,
                /// Number of classes.
                classes: usize,
                ..given without($($left_out),*): Nested<ModelConfig> = usual(Architecture::$architecture),
                /// Seed of the random parameters; the session's if absent.
                seed: Option<u64> = None
            ) -> Model {
                make(ctx, Architecture::$architecture, &encoder.0, classes, given, seed)
            }
        )*}
    };
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.namespace("model", "Make and load segmentation networks.", architectures());
    let functions = entries! {
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
    };
    table.namespace("model", "Make and load segmentation networks.", functions);
    table.script_type::<Model>();
    compute::declare(table);
    state::declare(table);
    parameters::declare(table);
}

fn architectures() -> Vec<Entry> {
    constructors! {
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
        deeplabv3plus: DeepLabV3Plus, "The encoder." PyramidName, without(frozen, drop_path);

        /// Make a DeepLabV3 network with random parameters.
        ///
        /// Atrous spatial pyramid pooling on the encoder's last map (Chen et al. 2017), with the names and the arithmetic of
        /// torchvision's `deeplabv3_resnet50`: the encoder is called `backbone`, the classifier `classifier.4`.
        /// ```
        /// let net = model::deeplabv3(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.eval();
        /// assert_eq(net.features(tensor::zeros([1, 3, 32, 32])).shape, [1, 16, 4, 4]);
        /// ```
        deeplabv3: DeepLabV3, "The encoder." PyramidName, without(frozen, drop_path);

        /// Make an FCN network with random parameters.
        ///
        /// One convolution on the encoder's last map (Long et al. 2015), with the names and the arithmetic of torchvision's
        /// `fcn_resnet50`: the encoder is called `backbone`, the classifier `classifier.4`.
        /// ```
        /// let net = model::fcn(#{ encoder: "resnet18", classes: 3 });
        /// net.eval();
        /// assert_eq(net.features(tensor::zeros([1, 3, 32, 32])).shape, [1, 128, 4, 4]);
        /// ```
        fcn: Fcn, "The encoder." PyramidName, without(atrous_rates, separable, frozen, drop_path);

        /// Make a U-Net with random parameters.
        ///
        /// From coarse to fine, each map of the encoder joins the enlarged one before it (Ronneberger et al. 2015), with the names
        /// and the arithmetic of `segmentation_models_pytorch.Unet`. Its features have the size of the images.
        /// ```
        /// let net = model::unet(#{ encoder: "resnet18", classes: 3, decoder_channels: 32 });
        /// net.eval();
        /// assert_eq(net.features(tensor::zeros([1, 3, 32, 32])).shape, [1, 2, 32, 32]);
        /// ```
        unet: Unet, "The encoder." UnetName, without(atrous_rates, separable, dropout, frozen, drop_path);

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
        segformer: Segformer, "The encoder." MitName = "mit_b0", without(output_stride, atrous_rates, separable, frozen);

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
        linear: Linear, "The encoder; `_reg`: with registers." VitName = "dinov2_vits14", without(output_stride, decoder_channels, atrous_rates, separable, dropout);

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
        dpt: Dpt, "The encoder; `_reg`: with registers." VitName = "dinov2_vits14", without(output_stride, atrous_rates, separable, dropout);
    }
}
