//! The layers that networks of one's own are made of: what each is, which tensors it has, what it computes.

use std::rc::Rc;

use candle_core::{DType, Tensor, Var};

use super::activation::Activation;
use super::candle::Borrowed;
use super::config::{Architecture, EncoderKind, Family, ModelConfig};
use super::encoder::Encoder;
use super::init::{ConvInit, Init};
use super::layer::{BatchNorm, Conv2d, LayerNorm};
use super::module::Network;
use super::param::{Builder, Slot};
use super::pass::Pass;
use super::resnet::Dilation;
use crate::error::Result;
use crate::ops::{BatchNormOptions, BatchNormState, Conv2dOptions};
use crate::{ensure, fail};

/// A layer without its tensors.
#[derive(Clone)]
pub enum Layer {
    /// A convolution of maps `[n, input, h, w]`.
    Conv2d {
        /// Channels in.
        input: usize,
        /// Channels out.
        output: usize,
        /// Height and width of the kernel.
        kernel: [usize; 2],
        /// Whether it adds a number per channel.
        bias: bool,
        /// Stride, padding, dilation, groups.
        options: Conv2dOptions,
    },
    /// A linear map of the last dimension.
    Linear {
        /// Numbers in.
        input: usize,
        /// Numbers out.
        output: usize,
        /// Whether it adds a vector.
        bias: bool,
    },
    /// Batch norm over `[n, channels, ..]`.
    BatchNorm(usize),
    /// Group norm over `[n, channels, ..]`.
    GroupNorm {
        /// Number of groups.
        groups: usize,
        /// Number of channels.
        channels: usize,
    },
    /// Layer norm: over the channels of maps `[n, channels, h, w]`, over the last dimension of all else.
    LayerNorm(usize),
    /// Dropout with this probability.
    Dropout {
        /// The probability.
        p: f64,
        /// Of whole maps of `[n, channels, ..]` instead of single numbers.
        channels: bool,
    },
    /// A function of each number.
    Activation(Activation),
    /// The maximum of each window.
    MaxPool(Window),
    /// The mean of each window.
    AvgPool(Window),
    /// Larger maps.
    Upsample {
        /// Factor of both sides.
        scale: f64,
        /// By interpolation instead of the nearest pixel.
        bilinear: bool,
        /// Whether the corners stay corners.
        align_corners: bool,
    },
    /// One layer after the other.
    Sequential,
    /// The input plus what a layer makes of it.
    Residual,
    /// Parts that a block takes one by one, as PyTorch's `ModuleList`.
    List,
    /// The encoder of a segmentation network, perhaps of another output stride; gives its maps from fine to coarse.
    Encoder(EncoderKind, Option<usize>),
    /// A module of candle-nn.
    Borrowed(Rc<Borrowed>),
    /// Whatever its author computes from its parts.
    Block(Rc<dyn Network>),
}

/// The layers that our own networks are made of too, and an encoder.
pub(super) enum Built {
    Encoder(Box<Encoder>),
    Conv2d(Conv2d),
    BatchNorm(BatchNorm),
    LayerNorm(LayerNorm),
}

/// The windows of a pooling.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Border.
    pub padding: [usize; 2],
}

impl Layer {
    /// Make its tensors: `weight`, `bias`, ..., with PyTorch's initial values. What our own networks are made of too is
    /// an object of its own.
    pub(super) fn build(&self, builder: &mut Builder) -> Result<Option<Built>> {
        let some = |channels: usize| -> Result<()> {
            ensure!(channels > 0, "{}: needs at least 1 channel", self.describe());
            Ok(())
        };
        match self {
            Layer::Conv2d {
                input,
                output,
                kernel,
                bias,
                options,
            } => {
                let groups = options.groups;
                ensure!(
                    *input > 0 && *output > 0,
                    "conv2d: {input} channels in and {output} out, expected at least 1 each"
                );
                ensure!(
                    groups > 0 && input % groups == 0 && output % groups == 0,
                    "conv2d: {input} and {output} channels in {groups} groups; both must be multiples of the groups"
                );
                ensure!(
                    kernel
                        .iter()
                        .chain(&options.stride)
                        .chain(&options.dilation)
                        .all(|n| *n > 0),
                    "conv2d: kernel {kernel:?}, stride {:?} and dilation {:?} must be at least 1",
                    options.stride,
                    options.dilation
                );
                let shape = [*output, input / groups, kernel[0], kernel[1]];
                let conv = Conv2d::shaped(builder, "", shape, options.clone(), *bias, ConvInit::Default)?;
                return Ok(Some(Built::Conv2d(conv)));
            }
            Layer::Linear { input, output, bias } => {
                ensure!(
                    *input > 0 && *output > 0,
                    "linear: {input} to {output}, expected at least 1"
                );
                let (weight, add) = ConvInit::Default.rules([*output, *input, 1, 1]);
                builder.parameter("weight".into(), &[*output, *input], weight)?;
                if *bias {
                    builder.parameter("bias".into(), &[*output], add)?;
                }
            }
            Layer::BatchNorm(channels) => {
                some(*channels)?;
                return Ok(Some(Built::BatchNorm(BatchNorm::new(builder, "", *channels)?)));
            }
            Layer::GroupNorm { groups, channels } => {
                ensure!(
                    *groups > 0 && channels % groups == 0,
                    "group_norm: {channels} channels in {groups} groups; the channels must be a multiple of the groups"
                );
                some(*channels)?;
                builder.parameter("weight".into(), &[*channels], Init::One)?;
                builder.parameter("bias".into(), &[*channels], Init::Zero)?;
            }
            Layer::LayerNorm(channels) => {
                some(*channels)?;
                return Ok(Some(Built::LayerNorm(LayerNorm::new(builder, "", *channels)?)));
            }
            Layer::Dropout { p, .. } => ensure!(
                (0.0..=1.0).contains(p),
                "dropout: the probability is {p}, expected 0 to 1"
            ),
            Layer::Upsample { scale, .. } => ensure!(
                scale.is_finite() && *scale > 0.0 && *scale <= 64.0,
                "upsample: the scale is {scale}, expected a number above 0, up to 64"
            ),
            Layer::Encoder(kind, output_stride) => {
                let architecture = match kind.family() {
                    Family::ResNet => Architecture::Unet,
                    Family::Mit => Architecture::Segformer,
                    Family::Vit => Architecture::Linear,
                };
                let mut config = ModelConfig::new(architecture, *kind, 1);
                if let Some(stride) = output_stride {
                    config.output_stride = *stride;
                }
                config.check()?;
                let encoder = Encoder::named(builder, "", &config, Dilation::WholeStage)?;
                return Ok(Some(Built::Encoder(Box::new(encoder))));
            }
            Layer::Borrowed(module) => module.declare(builder)?,
            Layer::Activation(_)
            | Layer::MaxPool(_)
            | Layer::AvgPool(_)
            | Layer::Sequential
            | Layer::Residual
            | Layer::List
            | Layer::Block(_) => {}
        }
        Ok(None)
    }

    /// Compute a layer that has neither parts nor an encoder, of what [`Layer::build`] made.
    pub(super) fn compute(
        &self,
        built: Option<&Built>,
        tensors: &[Slot],
        x: &Tensor,
        relu: bool,
        pass: &Pass,
    ) -> Result<Tensor> {
        pass.go_on()?;
        let graph = pass.graph();
        let tensor = |index: usize| match tensors.get(index) {
            Some(slot) => Ok(slot.tensor(pass)),
            None => fail!("internal: {} lacks tensor {index}", self.describe()),
        };
        match built {
            Some(Built::Conv2d(conv)) => return graph.widened(&conv.forward(&graph.rounded(x)?, pass)?),
            Some(Built::BatchNorm(norm)) => return norm.forward(x, None, relu, pass),
            Some(Built::LayerNorm(norm)) if x.rank() == 4 => return norm.forward(x, pass),
            Some(Built::LayerNorm(norm)) => {
                let (dims, channels) = (x.dims(), norm.channels());
                ensure!(
                    dims.last() == Some(&channels) && dims.len() > 1,
                    "layer_norm: the input has shape {dims:?}, expected [n, {channels}, h, w] or [.., {channels}]"
                );
                let rows = x.contiguous()?.reshape(((), channels, 1, 1))?;
                return Ok(norm.forward(&rows, pass)?.reshape(dims)?);
            }
            Some(Built::Encoder(_)) | None => {}
        }
        match self {
            Layer::Linear { input, bias, .. } => {
                ensure!(
                    x.dims().last() == Some(input) && x.rank() > 1,
                    "linear: the input has shape {:?}, expected [.., {input}]; the channels of a map are mixed by a conv2d with kernel 1",
                    x.dims()
                );
                let rows = x.contiguous()?.reshape(((), *input))?;
                let mut y = rows.matmul(&tensor(0)?.t()?)?;
                if *bias {
                    y = y.broadcast_add(&tensor(1)?)?;
                }
                let shape = [&x.dims()[..x.rank() - 1], &y.dims()[1..]].concat();
                Ok(y.reshape(shape)?)
            }
            Layer::GroupNorm { groups, channels } => {
                ensure!(
                    x.rank() >= 2 && x.dims()[1] == *channels,
                    "group_norm: the input has shape {:?}, expected [n, {channels}, ..]",
                    x.dims()
                );
                let images = x.dims()[0];
                let channel = |t: Tensor| -> Result<Tensor> {
                    let mut shape = vec![1; x.rank()];
                    shape[1] = *channels;
                    Ok(t.reshape(shape)?)
                };
                // Each group of each image as a channel of one image: batch norm over that is group norm.
                let rows = x.contiguous()?.reshape((1, images * groups, ()))?;
                let constant = |value: f64| {
                    Var::from_tensor(&Tensor::full(value, images * groups, x.device())?.to_dtype(x.dtype())?)
                };
                let (one, zero) = (constant(1.0)?, constant(0.0)?);
                let (mean, var) = (constant(0.0)?, constant(1.0)?);
                let options = BatchNormOptions {
                    training: true,
                    momentum: 0.0,
                    eps: 1e-5,
                    relu: false,
                };
                let state = BatchNormState { mean: &mean, var: &var };
                let (one, zero) = (one.as_detached_tensor(), zero.as_detached_tensor());
                let y = graph
                    .batch_norm(&rows, &one, &zero, state, None, &options)?
                    .reshape(x.shape())?;
                Ok(y.broadcast_mul(&channel(tensor(0)?)?)?
                    .broadcast_add(&channel(tensor(1)?)?)?)
            }
            Layer::Dropout { p, channels: false } => super::layer::dropout(x.clone(), *p, pass),
            Layer::Dropout { p, channels: true } => {
                let &[n, c, ..] = x.dims() else {
                    fail!(
                        "dropout: the input has shape {:?}, expected [n, channels, ..]",
                        x.dims()
                    )
                };
                let mut dims = vec![1; x.rank()];
                dims[..2].copy_from_slice(&[n, c]);
                let kept = super::layer::dropout(Tensor::ones(dims, x.dtype(), x.device())?, *p, pass)?;
                Ok(x.broadcast_mul(&kept)?)
            }
            Layer::Activation(function) => function.compute(x, graph),
            Layer::MaxPool(w) => graph.max_pool2d(x, w.kernel, w.stride, w.padding),
            Layer::AvgPool(w) => graph.avg_pool2d(x, w.kernel, w.stride, w.padding),
            Layer::Upsample {
                scale,
                bilinear,
                align_corners,
            } => {
                let &[_, _, h, w] = x.dims() else {
                    fail!(
                        "upsample: the input has shape {:?}, expected [n, c, height, width]",
                        x.dims()
                    )
                };
                let size = [h, w].map(|side| ((side as f64 * scale).floor() as usize).max(1));
                match bilinear {
                    true => graph.resize_bilinear(x, size, *align_corners),
                    false => graph.resize_nearest(x, size),
                }
            }
            Layer::Borrowed(module) => module.compute(tensors, x, pass),
            _ => {
                fail!("internal: {} is not computed from tensors alone", self.describe())
            }
        }
    }

    /// What it is, in a few words.
    pub fn describe(&self) -> String {
        let sides = |[a, b]: [usize; 2]| if a == b { a.to_string() } else { format!("{a}x{b}") };
        match self {
            Layer::Conv2d {
                input,
                output,
                kernel,
                options,
                ..
            } => {
                let mut text = format!("conv2d {input} -> {output}, kernel {}", sides(*kernel));
                for (name, value, usual) in [
                    ("stride", options.stride, 1),
                    ("padding", options.padding, 0),
                    ("dilation", options.dilation, 1),
                    ("groups", [options.groups; 2], 1),
                ] {
                    if value != [usual; 2] {
                        text.push_str(&format!(", {name} {}", sides(value)));
                    }
                }
                text
            }
            Layer::Linear { input, output, .. } => format!("linear {input} -> {output}"),
            Layer::BatchNorm(c) => format!("batch_norm {c}"),
            Layer::GroupNorm { groups, channels } => format!("group_norm {channels} in {groups} groups"),
            Layer::LayerNorm(c) => format!("layer_norm {c}"),
            Layer::Dropout { p, channels: false } => format!("dropout {p}"),
            Layer::Dropout { p, channels: true } => format!("dropout {p} of channels"),
            Layer::Activation(function) => function.describe(),
            Layer::MaxPool(w) => format!("max_pool {}", sides(w.kernel)),
            Layer::AvgPool(w) => format!("avg_pool {}", sides(w.kernel)),
            Layer::Upsample { scale, .. } => format!("upsample {scale}"),
            Layer::Sequential => "sequential".into(),
            Layer::Residual => "residual".into(),
            Layer::List => "list".into(),
            Layer::Encoder(kind, _) => format!("encoder {}", kind.name()),
            Layer::Borrowed(module) => module.describe(),
            Layer::Block(_) => "block".into(),
        }
    }
}

/// The element type in which all layers are made.
pub(super) const DTYPE: DType = DType::F32;
