//! `nn::`: layers as values, and networks made of them.

mod block;

use std::rc::Rc;

use block::Block;

use rhai::Array;

use super::Model;
use crate::names;
use crate::nn::{Activation, Borrowed, EncoderKind, Layer, Module, Segmenter, Window};
use crate::ops::Conv2dOptions;
use crate::script::Callback;
use crate::script::api::tensor::layers::Mode;
use crate::script::prelude::*;
use crate::script::values::describe;

/// A layer without parts as a value; its tensors are drawn from `seed`, or from the session's random state.
fn layer(ctx: &Call, layer: Layer, seed: Option<u64>) -> Result<Model> {
    let session = ctx.session();
    let seed = seed.unwrap_or_else(|| session.random().bits());
    let module = Module::new(layer, seed, session.device(), session.cancel_flag())?;
    Ok(Model::new(Segmenter::layer(module, session.device())))
}

/// A layer of parts as a value.
fn network(ctx: &Call, layer: Layer, parts: Vec<(String, Rc<Module>)>) -> Model {
    Model::new(Segmenter::layer(Module::of(layer, parts), ctx.session().device()))
}

/// The modules of an array of layers, called 0, 1, ..
fn numbered(layers: &[Model], name: &str) -> Result<Vec<(String, Rc<Module>)>> {
    let part = |(i, model): (usize, &Model)| Ok((i.to_string(), module(model, &format!("element {i} of `{name}`"))?));
    layers.iter().enumerate().map(part).collect()
}

/// The module of a layer.
pub(super) fn module(model: &Model, what: &str) -> Result<Rc<Module>> {
    let network = model.0.borrow();
    match network.module() {
        Some(module) => Ok(module.clone()),
        None => fail!(
            "{what} is a whole network with heads, found {}; expected a layer of nn::, such as nn::encoder(\"resnet50\")",
            model.brief()
        ),
    }
}

names! {
    /// A function of each number.
    struct ActivationName: Activation::names();
    /// The encoder of a segmentation network.
    struct EncoderName: EncoderKind::ALL.map(|(name, _)| name).to_vec();
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.namespace("nn", "Layers, and networks of one's own made of them.", entries! {
        /// Make a convolution of maps `[n, input, h, w]`, as `torch.nn.Conv2d`.
        /// ```
        /// let conv = nn::conv2d(3, 8, #{ kernel: 3, padding: 1, stride: 2 });
        /// assert_eq(conv.forward(tensor::randn([1, 3, 8, 8])).shape, [1, 8, 4, 4]);
        /// assert_eq(conv.parameters().names, ["weight", "bias"]);
        /// ```
        fn conv2d(ctx,
            /// Channels in.
            input: usize,
            /// Channels out.
            output: usize,
            kernel: Pair = Pair([3, 3]),
            stride: Pair = Pair([1, 1]),
            /// Zeros around the map; half the kernel keeps the size.
            padding: Pair = Pair([0, 0]),
            dilation: Pair = Pair([1, 1]),
            /// Groups of channels that do not see one another; `input` for a depthwise convolution.
            groups: usize = 1,
            /// Add a number to each channel.
            bias: bool = true,
            /// Seed of the random parameters; drawn from the session's if absent.
            seed: Option<u64> = None
        ) -> Model {
            let options = Conv2dOptions { stride: stride.0, padding: padding.0, dilation: dilation.0, groups };
            layer(ctx, Layer::Conv2d { input, output, kernel: kernel.0, bias, options }, seed)
        }

        /// Make a linear map of the last dimension, as `torch.nn.Linear`.
        /// ```
        /// assert_eq(nn::linear(4, 2).forward(tensor::randn([5, 3, 4])).shape, [5, 3, 2]);
        /// ```
        fn linear(ctx,
            /// Numbers in.
            input: usize,
            /// Numbers out.
            output: usize,
            /// Add a vector.
            bias: bool = true,
            /// Seed of the random parameters; drawn from the session's if absent.
            seed: Option<u64> = None
        ) -> Model {
            layer(ctx, Layer::Linear { input, output, bias }, seed)
        }

        /// Make a batch norm over `[n, channels, ..]`, as `torch.nn.BatchNorm2d` (momentum 0.1, eps 1e-5).
        /// ```
        /// let norm = nn::batch_norm(2);
        /// let y = norm.forward(tensor::randn([4, 2, 3, 3]) * 5 + 3);
        /// assert_close(y.mean().item(), 0.0, #{ tolerance: 1e-4 });
        /// assert(norm.state().running_mean.abs().max().item() > 0.0);
        /// ```
        fn batch_norm(ctx, channels: usize) -> Model {
            layer(ctx, Layer::BatchNorm(channels), Some(0))
        }

        /// Make a group norm over `[n, channels, ..]`, as `torch.nn.GroupNorm`.
        /// ```
        /// let y = nn::group_norm(2, 4).forward(tensor::randn([1, 4, 3, 3]) * 5 + 3);
        /// assert_close(y.mean().item(), 0.0, #{ tolerance: 1e-4 });
        /// ```
        fn group_norm(ctx, groups: usize, channels: usize) -> Model {
            layer(ctx, Layer::GroupNorm { groups, channels }, Some(0))
        }

        /// Make a layer norm: over the last dimension as `torch.nn.LayerNorm`, of maps `[n, channels, h, w]` over the channels.
        /// ```
        /// let y = nn::layer_norm(8).forward(tensor::randn([2, 3, 8]) * 5 + 3);
        /// assert_close(y.mean(2), tensor::zeros([2, 3]), #{ tolerance: 1e-5 });
        /// ```
        fn layer_norm(ctx, channels: usize) -> Model {
            layer(ctx, Layer::LayerNorm(channels), Some(0))
        }

        /// Make a dropout: in training each number is 0 with this probability, and the others grow by `1 / (1 - p)`.
        /// ```
        /// let drop = nn::dropout(0.5);
        /// drop.eval();
        /// assert_eq(drop.forward(tensor::ones([3])), tensor::ones([3]));
        /// let maps = nn::dropout(0.5, #{ channels: true }).forward(tensor::ones([2, 8, 4, 4]));
        /// assert_eq(maps.max([2, 3]), maps.min([2, 3]));
        /// ```
        fn dropout(ctx, p: f64 = 0.5,
            /// Of whole maps of `[n, channels, ..]`, as `torch.nn.Dropout2d`.
            channels: bool = false
        ) -> Model {
            layer(ctx, Layer::Dropout { p, channels }, Some(0))
        }

        /// Make a table with a row of numbers for each of `count` integers, as `torch.nn.Embedding`.
        /// ```
        /// let rows = nn::embedding(5, 3);
        /// let y = rows.forward(tensor::from([[0, 4], [4, 1]]).to_dtype("i64"));
        /// assert_eq(y.shape, [2, 2, 3]);
        /// assert_eq(y[0][1], rows.state().weight[4]);
        /// ```
        fn embedding(ctx,
            /// How many integers there are: 0 to `count - 1`.
            count: usize,
            /// Numbers in a row.
            channels: usize,
            /// Seed of the random parameters; drawn from the session's if absent.
            seed: Option<u64> = None
        ) -> Model {
            ensure!(count > 0 && channels > 0, "embedding: {count} rows of {channels} numbers, expected at least 1 of each");
            layer(ctx, Layer::Borrowed(Rc::new(Borrowed::embedding(count, channels))), seed)
        }

        /// Make a function of each number.
        /// ```
        /// assert_eq(nn::activation("relu").forward(tensor::from([-1.0, 2.0])), tensor::from([0.0, 2.0]));
        /// assert_close(nn::activation("leaky_relu", #{ slope: 0.1 }).forward(tensor::from([-1.0])), [-0.1]);
        /// ```
        fn activation(ctx,
            /// The function.
            name: ActivationName,
            /// The factor of negative numbers: 0.01 for leaky_relu, 1 for elu if absent.
            slope: Option<f64> = None
        ) -> Model {
            layer(ctx, Layer::Activation(Activation::named(&name.0, slope)?), Some(0))
        }

        /// Make a pooling that takes the maximum of each window; the stride is the kernel unless given.
        /// ```
        /// assert_eq(nn::max_pool(2).forward(tensor::randn([1, 3, 8, 8])).shape, [1, 3, 4, 4]);
        /// ```
        fn max_pool(ctx, kernel: Pair = Pair([2, 2]), stride: Option<Pair> = None, padding: Pair = Pair([0, 0])) -> Model {
            layer(ctx, Layer::MaxPool(Window { kernel: kernel.0, stride: stride.unwrap_or(kernel).0, padding: padding.0 }), Some(0))
        }

        /// Make a pooling that takes the mean of each window; the stride is the kernel unless given.
        /// ```
        /// assert_eq(nn::avg_pool(2).forward(tensor::ones([1, 3, 8, 8])), tensor::ones([1, 3, 4, 4]));
        /// ```
        fn avg_pool(ctx, kernel: Pair = Pair([2, 2]), stride: Option<Pair> = None, padding: Pair = Pair([0, 0])) -> Model {
            layer(ctx, Layer::AvgPool(Window { kernel: kernel.0, stride: stride.unwrap_or(kernel).0, padding: padding.0 }), Some(0))
        }

        /// Make a layer that enlarges maps by a factor, as `torch.nn.Upsample`.
        /// ```
        /// assert_eq(nn::upsample(2).forward(tensor::randn([1, 3, 4, 5])).shape, [1, 3, 8, 10]);
        /// ```
        fn upsample(ctx,
            /// Factor of both sides.
            scale: f64 = 2.0,
            /// How pixels between the old ones are found.
            mode: Mode = Mode::Bilinear,
            align_corners: bool = false
        ) -> Model {
            let bilinear = mode == Mode::Bilinear;
            layer(ctx, Layer::Upsample { scale, bilinear, align_corners }, Some(0))
        }

        /// Make the encoder of a segmentation network as a layer: `forward` gives its maps from fine to coarse.
        ///
        /// The names are torchvision's (ResNet) and Hugging Face's (Mix Transformer, DINOv2), whose weights load. DINOv2 gives the normed
        /// patches behind four of its blocks, of images whose sides are multiples of 14.
        /// ```
        /// let maps = nn::encoder("resnet18").forward(tensor::randn([2, 3, 32, 32]));
        /// assert_eq(maps[4].shape, [2, 512, 1, 1]);
        /// ```
        fn encoder(ctx,
            /// The encoder.
            name: EncoderName,
            /// Stride of the last map of a ResNet: 8, 16 or 32, which it is if absent.
            output_stride: Option<usize> = None,
            /// Seed of the random parameters; drawn from the session's if absent.
            seed: Option<u64> = None
        ) -> Model {
            let kind = crate::error::choose("encoder", &name.0, &EncoderKind::ALL)?;
            layer(ctx, Layer::Encoder(kind, output_stride), seed)
        }

        /// Make a network of layers that follow one another; its parameters are called `0.weight`, `0.bias`, `1.weight`, ...
        /// ```
        /// let net = nn::sequential([nn::conv2d(3, 8, #{ padding: 1, bias: false }), nn::batch_norm(8), nn::activation("relu")]);
        /// assert_eq(net.forward(tensor::randn([2, 3, 5, 5])).shape, [2, 8, 5, 5]);
        /// assert_eq(net.parameters().names, ["0.weight", "1.weight", "1.bias"]);
        /// ```
        fn sequential(ctx, /// The layers, in order.
                      layers: Vec<Model>) -> Model {
            Ok(network(ctx, Layer::Sequential, numbered(&layers, "layers")?))
        }

        /// Make a layer that adds its input to what another layer makes of it; the names of that one begin with `layer.`.
        /// ```
        /// let block = nn::residual(nn::conv2d(4, 4, #{ padding: 1 }));
        /// let x = tensor::randn([1, 4, 5, 5]);
        /// assert_eq(block.parameters().names, ["layer.weight", "layer.bias"]);
        /// assert_eq(block.forward(x).shape, x.shape);
        /// ```
        fn residual(ctx, /// What is added; it keeps the shape.
                    layer: Model) -> Model {
            Ok(network(ctx, Layer::Residual, vec![("layer".into(), module(&layer, "`layer`")?)]))
        }

        /// Make a network from named layers and a closure that computes with them: `|parts, x| parts.head.forward(..)`.
        ///
        /// The names of the parameters follow the map's keys, as PyTorch's follow the attributes of a module; an array of layers is a
        /// `ModuleList`: `parts.down[1]`, with the names `down.1.weight`, .. The closure returns a
        /// tensor, or for `model::from` also `#{ logits, features, embeddings }`. `module` is a word that Rhai keeps for itself.
        /// ```
        /// let net = nn::block(#{ stem: nn::conv2d(3, 8, #{ padding: 1 }), head: nn::conv2d(8, 2, #{ kernel: 1 }) },
        ///     |parts, x| parts.head.forward(parts.stem.forward(x).relu()));
        /// assert_eq(net.forward(tensor::randn([1, 3, 5, 5])).shape, [1, 2, 5, 5]);
        /// assert_eq(net.parameters().names, ["head.weight", "head.bias", "stem.weight", "stem.bias"]);
        /// ```
        fn block(ctx,
            /// Layers, or arrays of layers, by name.
            parts: Map,
            /// What they compute together.
            forward: FnPtr
        ) -> Model {
            let part = |(name, value): (_, Dynamic)| {
                let name = String::from(name);
                ensure!(!name.is_empty() && !name.contains('.'), "the name of a part must not be empty or hold a dot, found \"{name}\"");
                if let Some(model) = Model::convert(&value) {
                    return Ok((name.clone(), module(&model, &format!("`{name}`"))?));
                }
                let Some(elements) = value.read_lock::<Array>() else {
                    fail!("`{name}` must be a layer or an array of layers, found {}", describe(&value))
                };
                let layer = |(i, element): (usize, &Dynamic)| match Model::convert(element) {
                    Some(model) => Ok(model),
                    None => fail!("element {i} of `{name}` must be a layer (nn::sequential and nn::block make one of several), found {}", describe(element)),
                };
                let layers = elements.iter().enumerate().map(layer).collect::<Result<Vec<_>>>()?;
                Ok((name.clone(), Module::of(Layer::List, numbered(&layers, &name)?)))
            };
            let parts = parts.into_iter().map(part).collect::<Result<Vec<_>>>()?;
            let block = Block(Callback::new(ctx, forward));
            Ok(network(ctx, Layer::Block(Rc::new(block)), parts))
        }
    });
}
