//! The layers that own parameters: convolution, batch norm, and the pair of them.

use std::sync::Arc;

use candle_core::Tensor;

use super::init::{ConvInit, Init};
use super::param::{Builder, Slot};
use super::pass::Pass;
use crate::error::Result;
use crate::fail;
use crate::ops::{BatchNormOptions, BatchNormState, Conv2dOptions};

/// What a convolution is: square kernel, padding so that stride 1 keeps the size.
#[derive(Clone, Copy)]
pub(super) struct ConvSpec {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    pub(super) groups: usize,
    pub(super) bias: bool,
    pub(super) init: ConvInit,
}

impl ConvSpec {
    /// Stride 1, no dilation, one group, no bias, PyTorch's own initialisation.
    pub(super) fn new(input: usize, output: usize, kernel: usize) -> Self {
        ConvSpec {
            input,
            output,
            kernel,
            stride: 1,
            dilation: 1,
            groups: 1,
            bias: false,
            init: ConvInit::Default,
        }
    }
}

/// What `part` of the layer `name` is called; a layer without a name is the whole network.
fn inside(name: &str, part: &str) -> String {
    match name {
        "" => part.into(),
        name => format!("{name}.{part}"),
    }
}

/// A two-dimensional convolution: `NAME.weight` [out, in / groups, k, k] and perhaps `NAME.bias` [out].
pub(super) struct Conv2d {
    weight: Arc<Slot>,
    bias: Option<Arc<Slot>>,
    options: Conv2dOptions,
}

impl Conv2d {
    pub(super) fn new(builder: &mut Builder, name: &str, spec: ConvSpec) -> Result<Self> {
        let shape = [spec.output, spec.input / spec.groups, spec.kernel, spec.kernel];
        let options = Conv2dOptions {
            groups: spec.groups,
            padding: [spec.kernel / 2 * spec.dilation; 2],
            ..Conv2dOptions::same(spec.kernel, spec.stride, spec.dilation)
        };
        Self::shaped(builder, name, shape, options, spec.bias, spec.init)
    }

    /// With a weight of this shape.
    pub(super) fn shaped(
        builder: &mut Builder,
        name: &str,
        shape: [usize; 4],
        options: Conv2dOptions,
        has_bias: bool,
        init: ConvInit,
    ) -> Result<Self> {
        let (weight, bias) = init.rules(shape);
        let weight = builder.parameter(inside(name, "weight"), &shape, weight)?;
        let bias = has_bias.then(|| builder.parameter(inside(name, "bias"), &shape[..1], bias));
        Ok(Conv2d {
            weight,
            bias: bias.transpose()?,
            options,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        pass.go_on()?;
        let bias = self.bias.as_ref().map(|b| b.tensor(pass));
        pass.graph()
            .conv2d(x, &self.weight.tensor(pass), bias.as_ref(), &self.options)
    }
}

/// Batch norm over [n, c, h, w] with momentum 0.1 and eps 1e-5 (PyTorch's defaults): `NAME.weight`, `bias`,
/// `running_mean`, `running_var`, each [c].
pub(super) struct BatchNorm {
    weight: Arc<Slot>,
    bias: Arc<Slot>,
    mean: Arc<Slot>,
    var: Arc<Slot>,
}

impl BatchNorm {
    pub(super) fn new(builder: &mut Builder, name: &str, channels: usize) -> Result<Self> {
        Ok(BatchNorm {
            weight: builder.parameter(inside(name, "weight"), &[channels], Init::One)?,
            bias: builder.parameter(inside(name, "bias"), &[channels], Init::Zero)?,
            mean: builder.buffer(inside(name, "running_mean"), &[channels], Init::Zero)?,
            var: builder.buffer(inside(name, "running_var"), &[channels], Init::One)?,
        })
    }

    /// bn(x), plus `residual` if given, through ReLU if asked: one node of the graph.
    pub(super) fn forward(&self, x: &Tensor, residual: Option<&Tensor>, relu: bool, pass: &Pass) -> Result<Tensor> {
        let options = BatchNormOptions {
            training: pass.training && !pass.frozen_norm,
            momentum: 0.1,
            eps: 1e-5,
            relu,
        };
        let state = BatchNormState {
            mean: &self.mean.var,
            var: &self.var.var,
        };
        pass.go_on()?;
        let (weight, bias) = (self.weight.tensor(pass), self.bias.tensor(pass));
        pass.graph().batch_norm(x, &weight, &bias, state, residual, &options)
    }
}

/// A linear layer at every position of a map: `NAME.weight` [out, in] and `NAME.bias` [out].
pub(super) struct Linear {
    weight: Arc<Slot>,
    bias: Arc<Slot>,
}

impl Linear {
    pub(super) fn new(builder: &mut Builder, name: &str, input: usize, output: usize) -> Result<Self> {
        let (weight, bias) = ConvInit::Transformer.rules([output, input, 1, 1]);
        Ok(Linear {
            weight: builder.parameter(inside(name, "weight"), &[output, input], weight)?,
            bias: builder.parameter(inside(name, "bias"), &[output], bias)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        pass.go_on()?;
        pass.graph()
            .linear(x, &self.weight.tensor(pass), &self.bias.tensor(pass))
    }
}

/// Layer norm over the channels of [n, c, h, w]: `NAME.weight` and `NAME.bias`, each [c].
pub(super) struct LayerNorm {
    weight: Arc<Slot>,
    bias: Arc<Slot>,
    eps: f64,
}

impl LayerNorm {
    /// With eps 1e-5, PyTorch's default.
    pub(super) fn new(builder: &mut Builder, name: &str, channels: usize) -> Result<Self> {
        Ok(LayerNorm {
            weight: builder.parameter(inside(name, "weight"), &[channels], Init::One)?,
            bias: builder.parameter(inside(name, "bias"), &[channels], Init::Zero)?,
            eps: 1e-5,
        })
    }

    /// The same norm with another eps.
    pub(super) fn with_eps(self, eps: f64) -> Self {
        LayerNorm { eps, ..self }
    }

    /// Number of channels.
    pub(super) fn channels(&self) -> usize {
        self.weight.var.elem_count()
    }

    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (weight, bias) = (self.weight.tensor(pass), self.bias.tensor(pass));
        pass.graph().layer_norm(x, &weight, &bias, self.eps)
    }
}

/// A convolution without bias and its batch norm.
pub(super) struct ConvNorm {
    /// What a separable one begins with.
    depthwise: Option<Conv2d>,
    conv: Conv2d,
    norm: BatchNorm,
}

impl ConvNorm {
    pub(super) fn new(builder: &mut Builder, conv: &str, norm: &str, spec: ConvSpec) -> Result<Self> {
        Ok(ConvNorm {
            depthwise: None,
            conv: Conv2d::new(builder, conv, spec)?,
            norm: BatchNorm::new(builder, norm, spec.output)?,
        })
    }

    /// Depthwise separable: the convolution per channel is `conv.0`, the 1x1 that follows `conv.1`, as in segmentation_models_pytorch's
    /// `SeparableConv2d`.
    pub(super) fn separable(builder: &mut Builder, conv: &str, norm: &str, spec: ConvSpec) -> Result<Self> {
        let depthwise = ConvSpec {
            output: spec.input,
            groups: spec.input,
            ..spec
        };
        let depthwise = Conv2d::new(builder, &format!("{conv}.0"), depthwise)?;
        let pointwise = ConvSpec::new(spec.input, spec.output, 1);
        Ok(ConvNorm {
            depthwise: Some(depthwise),
            ..Self::new(builder, &format!("{conv}.1"), norm, pointwise)?
        })
    }

    fn apply(&self, x: &Tensor, residual: Option<&Tensor>, relu: bool, pass: &Pass) -> Result<Tensor> {
        let x = match &self.depthwise {
            Some(depthwise) => self.conv.forward(&depthwise.forward(x, pass)?, pass)?,
            None => self.conv.forward(x, pass)?,
        };
        self.norm.forward(&x, residual, relu, pass)
    }

    /// relu(bn(conv(x))).
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.apply(x, None, true, pass)
    }

    /// bn(conv(x)), the projected shortcut of a residual block.
    pub(super) fn forward_linear(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.apply(x, None, false, pass)
    }

    /// relu(bn(conv(x)) + residual).
    pub(super) fn forward_onto(&self, x: &Tensor, residual: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.apply(x, Some(residual), true, pass)
    }
}

/// Dropout with probability `p` while training, nothing otherwise.
pub(super) fn dropout(x: Tensor, p: f64, pass: &Pass) -> Result<Tensor> {
    if !pass.training || p == 0.0 {
        return Ok(x);
    }
    match pass.random {
        Some(random) => pass.graph().dropout(&x, p, &mut random.borrow_mut()),
        None => fail!("forward: dropout {p} in training mode needs a random state; pass one, or set dropout to 0"),
    }
}

/// What a branch that is left out with probability `p` while training counts in each image: 0, or so much that its mean is 1.
pub(super) fn drop_path(p: f64, images: usize, pass: &Pass) -> Result<Vec<f64>> {
    if !pass.training || p == 0.0 {
        return Ok(vec![1.0; images]);
    }
    let Some(random) = pass.random else {
        fail!("forward: drop_path {p} in training mode needs a random state; pass one, or set drop_path to 0")
    };
    let mut random = random.borrow_mut();
    let factor = |_| if random.unit() < p { 0.0 } else { 1.0 / (1.0 - p) };
    Ok((0..images).map(factor).collect())
}
