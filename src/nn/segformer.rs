//! The decoder of SegFormer (Xie et al. 2021), as in Hugging Face's `SegformerForSemanticSegmentation`.

use candle_core::Tensor;

use super::config::ModelConfig;
use super::init::ConvInit;
use super::layer::{ConvNorm, ConvSpec, Linear, dropout};
use super::param::Builder;
use super::pass::Pass;
use super::resnet::Pyramid;
use crate::error::Result;

/// A linear layer on each of the four maps, all enlarged to the finest, joined, and one 1x1 convolution.
pub(super) struct Segformer {
    linear: Vec<Linear>,
    fuse: ConvNorm,
    dropout: f64,
}

impl Segformer {
    pub(super) fn new(builder: &mut Builder, config: &ModelConfig) -> Result<Self> {
        let [_, stages @ ..] = config.encoder.channels();
        let width = config.decoder_channels;
        let mut linear = Vec::new();
        for (s, channels) in stages.into_iter().enumerate() {
            linear.push(Linear::new(
                builder,
                &format!("decode_head.linear_c.{s}.proj"),
                channels,
                width,
            )?);
        }
        let spec = ConvSpec {
            init: ConvInit::Transformer,
            ..ConvSpec::new(4 * width, width, 1)
        };
        Ok(Segformer {
            linear,
            fuse: ConvNorm::new(builder, "decode_head.linear_fuse", "decode_head.batch_norm", spec)?,
            dropout: config.dropout,
        })
    }

    /// The map at stride 4.
    pub(super) fn forward(&self, pyramid: &Pyramid, pass: &Pass) -> Result<Tensor> {
        let size = pass.graph().size(&pyramid.layer1)?;
        let maps = [&pyramid.layer1, &pyramid.layer2, &pyramid.layer3, &pyramid.layer4];
        let mut joined = Vec::new();
        for (linear, map) in self.linear.iter().zip(maps) {
            let map = linear.forward(map, pass)?;
            joined.push(pass.graph().resize_bilinear(&map, size, false)?);
        }
        let joined: Vec<&Tensor> = joined.iter().rev().collect();
        let x = pass.graph().concat_channels(&joined)?;
        dropout(self.fuse.forward(&x, pass)?, self.dropout, pass)
    }
}
