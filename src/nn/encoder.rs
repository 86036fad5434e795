//! The encoders behind one face.

use super::config::{Architecture, EncoderKind, ModelConfig};
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

    /// The names below which the tensors of stem and stages lie, where the encoder is called `name` (nothing, or with names of its own).
    pub(super) fn stage_names(&self, name: &str, kind: EncoderKind) -> Vec<Vec<String>> {
        let dotted = if name.is_empty() {
            String::new()
        } else {
            format!("{name}.")
        };
        let stage = |i: usize| match self {
            Encoder::ResNet(_) => vec![format!("{dotted}layer{}", i + 1)],
            Encoder::Mit(_) => ["block", "patch_embeddings", "layer_norm"]
                .map(|part| format!("{dotted}{part}.{i}"))
                .to_vec(),
        };
        let stem = match self {
            Encoder::ResNet(_) => Some(vec![format!("{dotted}conv1"), format!("{dotted}bn1")]),
            Encoder::Mit(_) => None,
        };
        stem.into_iter().chain((0..kind.blocks().len()).map(stage)).collect()
    }

    /// The parts from fine to coarse.
    pub(super) fn parts(&self, config: &ModelConfig) -> Vec<Part> {
        let name = Conventions::of(config.architecture).encoder;
        let [stem, stages @ ..] = config.encoder.channels();
        let names = self.stage_names(name, config.encoder);
        let (channels, strides): (Vec<usize>, Vec<usize>) = match self {
            Encoder::ResNet(encoder) => (std::iter::once(stem).chain(stages).collect(), encoder.strides.to_vec()),
            Encoder::Mit(_) => (stages.to_vec(), (0..4).map(|i| 4 << i).collect()),
        };
        let parts = names.into_iter().zip(channels.into_iter().zip(strides));
        let part = |(prefixes, (channels, stride)): (Vec<String>, (usize, usize))| Part {
            name: prefixes[0].clone(),
            prefixes,
            channels,
            stride,
        };
        parts.map(part).collect()
    }
}
