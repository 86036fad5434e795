//! The decoder of DeepLabV3 (Chen et al. 2017), as in torchvision's `deeplabv3_resnet50`.

use candle_core::Tensor;

use super::aspp::{Aspp, AsppSpec};
use super::config::ModelConfig;
use super::layer::{ConvNorm, ConvSpec};
use super::param::Builder;
use super::pass::Pass;
use super::resnet::Pyramid;
use crate::error::Result;

/// ASPP and one 3x3 convolution on the encoder's last map.
pub(super) struct DeepLabV3 {
    aspp: Aspp,
    smooth: ConvNorm,
}

impl DeepLabV3 {
    pub(super) fn new(builder: &mut Builder, config: &ModelConfig) -> Result<Self> {
        let [.., coarse] = config.encoder.channels();
        let channels = config.decoder_channels;
        let aspp = AsppSpec {
            input: coarse,
            output: channels,
            rates: config.atrous_rates,
            separable: config.separable,
            dropout: config.dropout,
        };
        Ok(DeepLabV3 {
            aspp: Aspp::new(builder, "classifier.0", &aspp)?,
            smooth: ConvNorm::new(
                builder,
                "classifier.1",
                "classifier.2",
                ConvSpec::new(channels, channels, 3),
            )?,
        })
    }

    /// The map at the encoder's output stride.
    pub(super) fn forward(&self, pyramid: &Pyramid, pass: &Pass) -> Result<Tensor> {
        self.smooth.forward(&self.aspp.forward(&pyramid.layer4, pass)?, pass)
    }
}
