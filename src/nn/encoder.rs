//! The encoders behind one face.

use super::config::{EncoderKind, Family, ModelConfig};
use super::decoder::Conventions;
use super::mit::Mit;
use super::param::Builder;
use super::pass::Pass;
use super::resnet::{Dilation, Pyramid, ResNet};
use super::vit::{PATCH, Vit, VitConfig};
use crate::error::Result;
use candle_core::Tensor;

/// From images to maps of several strides.
pub(super) enum Encoder {
    ResNet(ResNet),
    Mit(Mit),
    Vit(Vit),
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
        Self::named(builder, conventions.encoder, config, conventions.dilation)
    }

    /// The encoder of `config`, the names of whose tensors begin with `name`.
    pub(super) fn named(builder: &mut Builder, name: &str, config: &ModelConfig, dilation: Dilation) -> Result<Self> {
        if let Some(vit) = VitConfig::of(config.encoder, config.drop_path) {
            return Ok(Encoder::Vit(Vit::new(builder, name, &vit)?));
        }
        Ok(match config.encoder.family() {
            Family::Mit => Encoder::Mit(Mit::new(builder, name, config)?),
            _ => Encoder::ResNet(ResNet::new(
                builder,
                name,
                config.encoder,
                config.output_stride,
                dilation,
            )?),
        })
    }

    pub(super) fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Pyramid> {
        match self {
            Encoder::ResNet(encoder) => encoder.forward(images, pass),
            Encoder::Mit(encoder) => encoder.forward(images, pass),
            Encoder::Vit(encoder) => encoder.forward(images, pass),
        }
    }

    /// The names below which the tensors of stem and stages lie, where the encoder is called `name` (nothing, or with names of its own).
    pub(super) fn stage_names(&self, name: &str, kind: EncoderKind) -> Vec<Vec<String>> {
        let dotted = if name.is_empty() {
            String::new()
        } else {
            format!("{name}.")
        };
        let stages = 0..kind.blocks().len();
        match self {
            Encoder::ResNet(_) => {
                let stem = vec![format!("{dotted}conv1"), format!("{dotted}bn1")];
                let stages = stages.map(|i| vec![format!("{dotted}layer{}", i + 1)]);
                std::iter::once(stem).chain(stages).collect()
            }
            Encoder::Mit(_) => {
                let parts = ["block", "patch_embeddings", "layer_norm"];
                let stage = |i: usize| parts.map(|part| format!("{dotted}{part}.{i}")).to_vec();
                stages.map(stage).collect()
            }
            Encoder::Vit(encoder) => encoder.stage_names(&dotted),
        }
    }

    /// The parts from fine to coarse.
    pub(super) fn parts(&self, config: &ModelConfig) -> Vec<Part> {
        let name = Conventions::of(config.architecture).encoder;
        let channels = config.encoder.channels();
        let names = self.stage_names(name, config.encoder);
        let strides = match self {
            Encoder::ResNet(encoder) => encoder.strides.to_vec(),
            Encoder::Mit(_) => vec![4, 8, 16, 32],
            // the blocks up to the next map; the embeddings go with the first
            Encoder::Vit(_) => {
                let mut names = names.into_iter();
                let mut prefixes = names.next().unwrap_or_default();
                let mut block = 0;
                let part = |(count, channels): (usize, &usize)| {
                    let name = format!("{name}.encoder.layer.{block}-{}", block + count - 1);
                    block += count;
                    prefixes.extend(names.by_ref().take(count).flatten());
                    Part {
                        name,
                        prefixes: std::mem::take(&mut prefixes),
                        channels: *channels,
                        stride: PATCH,
                    }
                };
                let blocks = config.encoder.blocks().into_iter();
                return blocks.zip(&channels[1..]).map(part).collect();
            }
        };
        // a stem is a part of its own where there is one
        let facts = strides.iter().zip(&channels[channels.len() - strides.len()..]);
        let part = |(prefixes, (stride, channels)): (Vec<String>, (&usize, &usize))| Part {
            name: prefixes[0].clone(),
            prefixes,
            channels: *channels,
            stride: *stride,
        };
        names.into_iter().zip(facts).map(part).collect()
    }
}
