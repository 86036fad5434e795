//! The encoders behind one face.

use super::config::{Architecture, ModelConfig};
use super::decoder::Conventions;
use super::mit::Mit;
use super::param::Builder;
use super::pass::Pass;
use super::resnet::{Pyramid, ResNet};
use crate::error::Result;
use candle_core::Tensor;

/// From images to maps of several strides.
pub(super) enum Encoder {
    ResNet(ResNet),
    Mit(Mit),
}

/// One line of the summary's table.
pub(super) struct Part {
    pub(super) name: String,
    /// The names below which its parameters lie.
    pub(super) prefixes: Vec<String>,
    pub(super) channels: usize,
    pub(super) stride: usize,
}

impl Encoder {
    pub(super) fn new(builder: &mut Builder, config: &ModelConfig) -> Result<Self> {
        let conventions = Conventions::of(config.architecture);
        let name = conventions.encoder;
        Ok(match config.architecture {
            Architecture::Segformer => Encoder::Mit(Mit::new(builder, name, config)?),
            _ => Encoder::ResNet(ResNet::new(
                builder,
                name,
                config.encoder,
                config.output_stride,
                conventions.dilation,
            )?),
        })
    }

    pub(super) fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Pyramid> {
        match self {
            Encoder::ResNet(encoder) => encoder.forward(images, pass),
            Encoder::Mit(encoder) => encoder.forward(images, pass),
        }
    }

    /// The parts from fine to coarse.
    pub(super) fn parts(&self, config: &ModelConfig) -> Vec<Part> {
        let name = Conventions::of(config.architecture).encoder;
        let [stem, stages @ ..] = config.encoder.channels();
        let stage = |i: usize, stride: usize| {
            let prefixes = match self {
                Encoder::ResNet(_) => vec![format!("{name}.layer{}", i + 1)],
                Encoder::Mit(_) => ["block", "patch_embeddings", "layer_norm"]
                    .map(|part| format!("{name}.{part}.{i}"))
                    .to_vec(),
            };
            Part {
                name: prefixes[0].clone(),
                prefixes,
                channels: stages[i],
                stride,
            }
        };
        match self {
            Encoder::ResNet(encoder) => {
                let first = Part {
                    name: format!("{name}.conv1"),
                    prefixes: vec![format!("{name}.conv1"), format!("{name}.bn1")],
                    channels: stem,
                    stride: encoder.strides[0],
                };
                let rest = (0..4).map(|i| stage(i, encoder.strides[i + 1]));
                std::iter::once(first).chain(rest).collect()
            }
            Encoder::Mit(_) => (0..4).map(|i| stage(i, 4 << i)).collect(),
        }
    }
}
