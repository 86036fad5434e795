//! The two heads on the decoder's map: classifier and projection.

use candle_core::{DType, Tensor};

use super::config::ProjectionConfig;
use super::decoder::Conventions;
use super::layer::{BatchNorm, Conv2d, ConvSpec};
use super::param::Builder;
use super::pass::Pass;
use crate::error::Result;
use crate::ops::Layout;

/// One convolution to the classes, then bilinear to the size asked for.
pub(super) struct Classifier {
    conv: Conv2d,
    align_corners: bool,
}

impl Classifier {
    pub(super) fn new(builder: &mut Builder, conventions: &Conventions, input: usize, classes: usize) -> Result<Self> {
        let spec = ConvSpec {
            bias: true,
            init: conventions.init,
            ..ConvSpec::new(input, classes, conventions.kernel)
        };
        Ok(Classifier {
            conv: Conv2d::new(builder, conventions.classifier, spec)?,
            align_corners: conventions.align_corners,
        })
    }

    /// The decoder's map -> [n, classes, size], of type `dtype`; without a size at the map's.
    pub(super) fn forward(&self, maps: &Tensor, size: Option<[usize; 2]>, dtype: DType, pass: &Pass) -> Result<Tensor> {
        let logits = pass.graph().leave(&self.conv.forward(maps, pass)?, dtype)?;
        let graph = pass.graph().in_layout(Layout::ChannelsFirst);
        match size {
            Some(size) => graph.resize_bilinear(&logits, size, self.align_corners),
            None => Ok(logits),
        }
    }
}

/// The projection head of contrastive pretraining: `projection.conv1` to `convN`, 1x1 with bias, ReLU between them, and with
/// `norm` a batch norm `projection.norm1` ... before each ReLU.
pub(super) struct Projection {
    layers: Vec<(Conv2d, Option<BatchNorm>)>,
}

impl Projection {
    pub(super) fn new(builder: &mut Builder, config: &ProjectionConfig, mut input: usize) -> Result<Self> {
        let mut layers = Vec::new();
        for layer in 1..=config.layers {
            let spec = ConvSpec {
                bias: true,
                ..ConvSpec::new(input, config.channels, 1)
            };
            let conv = Conv2d::new(builder, &format!("projection.conv{layer}"), spec)?;
            let normed = config.norm && layer < config.layers;
            let norm = normed.then(|| BatchNorm::new(builder, &format!("projection.norm{layer}"), config.channels));
            layers.push((conv, norm.transpose()?));
            input = config.channels;
        }
        Ok(Projection { layers })
    }

    /// The decoder's map -> [n, channels, h, w], of type `dtype`, not normalised.
    pub(super) fn forward(&self, maps: &Tensor, dtype: DType, pass: &Pass) -> Result<Tensor> {
        let mut x = maps.clone();
        for (i, (conv, norm)) in self.layers.iter().enumerate() {
            x = conv.forward(&x, pass)?;
            x = match norm {
                Some(norm) => norm.forward(&x, None, true, pass)?,
                None if i + 1 < self.layers.len() => pass.graph().relu(&x)?,
                None => x,
            };
        }
        pass.graph().leave(&x, dtype)
    }
}
