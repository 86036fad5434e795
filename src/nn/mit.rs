//! The Mix Transformer encoder (Xie et al. 2021) with the parameter names of Hugging Face's `SegformerModel`.

use std::sync::Arc;

use candle_core::Tensor;

use super::config::ModelConfig;
use super::init::ConvInit;
use super::layer::{Conv2d, ConvSpec, LayerNorm, Linear, drop_path};
use super::param::{Builder, Slot};
use super::pass::Pass;
use super::resnet::Pyramid;
use crate::error::Result;
use crate::ops::Conv2dOptions;

/// Heads of the attention in each stage.
const HEADS: [usize; 4] = [1, 2, 5, 8];
/// By how much each side shrinks before it becomes keys and values.
const RATIOS: [usize; 4] = [8, 4, 2, 1];
/// Hidden channels of the feed-forward part, per channel.
const EXPANSION: usize = 4;

fn conv(input: usize, output: usize, kernel: usize, stride: usize, groups: usize) -> ConvSpec {
    ConvSpec {
        stride,
        groups,
        bias: true,
        init: ConvInit::Transformer,
        ..ConvSpec::new(input, output, kernel)
    }
}

/// The convolution that makes a smaller map of a stage's, kernel and stride alike, and its norm.
struct Reduction {
    weight: Arc<Slot>,
    bias: Arc<Slot>,
    norm: LayerNorm,
    ratio: usize,
}

impl Reduction {
    fn new(builder: &mut Builder, name: &str, channels: usize, ratio: usize) -> Result<Self> {
        let shape = [channels, channels, ratio, ratio];
        let (weight, bias) = ConvInit::Transformer.rules(shape);
        Ok(Reduction {
            weight: builder.parameter(format!("{name}.sr.weight"), &shape, weight)?,
            bias: builder.parameter(format!("{name}.sr.bias"), &[channels], bias)?,
            norm: LayerNorm::new(builder, &format!("{name}.layer_norm"), channels)?,
            ratio,
        })
    }

    /// A side shorter than the kernel counts as continued by zeros, so that images of any size are taken.
    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        let mut weight = self.weight.tensor(pass);
        if height.min(width) < self.ratio {
            weight = weight.narrow(2, 0, height.min(self.ratio))?;
            weight = weight.narrow(3, 0, width.min(self.ratio))?;
        }
        let options = Conv2dOptions {
            stride: [self.ratio; 2],
            ..Conv2dOptions::default()
        };
        let bias = self.bias.tensor(pass);
        let x = pass.graph().conv2d(x, &weight, Some(&bias), &options)?;
        self.norm.forward(&x, pass)
    }
}

/// x + attention(norm(x)), then x + mlp(norm(x)). What the branches are added to, and what the norms take, is never bf16.
struct Block {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    reduction: Option<Reduction>,
    output: Linear,
    norm2: LayerNorm,
    widen: Linear,
    depthwise: Conv2d,
    narrow: Linear,
    heads: usize,
    /// Probability that a branch is left out while training.
    drop: f64,
}

impl Block {
    fn new(builder: &mut Builder, name: &str, c: usize, stage: usize, drop: f64) -> Result<Self> {
        let attention = format!("{name}.attention.self");
        let wide = c * EXPANSION;
        Ok(Block {
            norm1: LayerNorm::new(builder, &format!("{name}.layer_norm_1"), c)?,
            query: Linear::new(builder, &format!("{attention}.query"), c, c)?,
            key: Linear::new(builder, &format!("{attention}.key"), c, c)?,
            value: Linear::new(builder, &format!("{attention}.value"), c, c)?,
            reduction: match RATIOS[stage] {
                1 => None,
                ratio => Some(Reduction::new(builder, &attention, c, ratio)?),
            },
            output: Linear::new(builder, &format!("{name}.attention.output.dense"), c, c)?,
            norm2: LayerNorm::new(builder, &format!("{name}.layer_norm_2"), c)?,
            widen: Linear::new(builder, &format!("{name}.mlp.dense1"), c, wide)?,
            depthwise: Conv2d::new(
                builder,
                &format!("{name}.mlp.dwconv.dwconv"),
                conv(wide, wide, 3, 1, wide),
            )?,
            narrow: Linear::new(builder, &format!("{name}.mlp.dense2"), wide, c)?,
            heads: HEADS[stage],
            drop,
        })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (graph, images) = (pass.graph(), x.dims()[0]);
        let y = graph.rounded(&self.norm1.forward(x, pass)?)?;
        let query = self.query.forward(&y, pass)?;
        let small = match &self.reduction {
            Some(reduction) => reduction.forward(&y, pass)?,
            None => y,
        };
        let (key, value) = (self.key.forward(&small, pass)?, self.value.forward(&small, pass)?);
        let y = graph.attention(&query, &key, &value, self.heads)?;
        let y = graph.widened(&self.output.forward(&y, pass)?)?;
        let x = graph.residual(x, &y, &drop_path(self.drop, images, pass)?)?;
        let y = graph.rounded(&self.norm2.forward(&x, pass)?)?;
        let y = self.widen.forward(&y, pass)?;
        let y = graph.gelu(&self.depthwise.forward(&y, pass)?)?;
        let y = graph.widened(&self.narrow.forward(&y, pass)?)?;
        graph.residual(&x, &y, &drop_path(self.drop, images, pass)?)
    }
}

/// Four stages: an overlapping patch embedding, blocks, a norm.
pub(super) struct Mit {
    embeddings: Vec<(Conv2d, LayerNorm)>,
    blocks: Vec<Vec<Block>>,
    norms: Vec<LayerNorm>,
}

impl Mit {
    pub(super) fn new(builder: &mut Builder, name: &str, config: &ModelConfig) -> Result<Self> {
        let channels = config.encoder.channels(); // the colours, then the stages
        let mut embeddings = Vec::new();
        for s in 0..4 {
            let (kernel, stride) = if s == 0 { (7, 4) } else { (3, 2) };
            let spec = conv(channels[s], channels[s + 1], kernel, stride, 1);
            let name = format!("{name}.patch_embeddings.{s}");
            embeddings.push((
                Conv2d::new(builder, &format!("{name}.proj"), spec)?,
                LayerNorm::new(builder, &format!("{name}.layer_norm"), channels[s + 1])?,
            ));
        }
        let counts = config.encoder.blocks();
        let last = counts.iter().sum::<usize>() - 1;
        let (mut blocks, mut depth) = (Vec::new(), 0);
        for (s, count) in counts.into_iter().enumerate() {
            let mut stage = Vec::new();
            for b in 0..count {
                let drop = config.drop_path * depth as f64 / last as f64;
                let name = format!("{name}.block.{s}.{b}");
                stage.push(Block::new(builder, &name, channels[s + 1], s, drop)?);
                depth += 1;
            }
            blocks.push(stage);
        }
        let norm = |s: usize| LayerNorm::new(builder, &format!("{name}.layer_norm.{s}"), channels[s + 1]);
        Ok(Mit {
            embeddings,
            blocks,
            norms: (0..4).map(norm).collect::<Result<_>>()?,
        })
    }

    /// Images [n, 3, h, w] -> maps of strides 4, 8, 16, 32, the sides rounded up.
    pub(super) fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Pyramid> {
        let mut x = images.clone();
        let mut stage = |s: usize| -> Result<Tensor> {
            let (embedding, norm) = &self.embeddings[s];
            let y = pass.graph().widened(&embedding.forward(&x, pass)?)?;
            x = norm.forward(&y, pass)?;
            for block in &self.blocks[s] {
                x = block.forward(&x, pass)?;
            }
            x = pass.graph().rounded(&self.norms[s].forward(&x, pass)?)?;
            Ok(x.clone())
        };
        Ok(Pyramid {
            stem: None,
            layer1: stage(0)?,
            layer2: stage(1)?,
            layer3: stage(2)?,
            layer4: stage(3)?,
        })
    }
}
