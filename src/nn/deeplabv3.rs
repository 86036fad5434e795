//! The decoder of DeepLabV3 (Chen et al. 2017), as in torchvision's `deeplabv3_resnet50`.

use candle_core::Tensor;

use super::aspp::Aspp;
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
        let smooth = ConvSpec::new(config.decoder_channels, config.decoder_channels, 3);
        Ok(DeepLabV3 {
            aspp: Aspp::new(builder, "classifier.0", config)?,
            smooth: ConvNorm::new(builder, "classifier.1", "classifier.2", smooth)?,
        })
    }

    /// The map at the encoder's output stride.
    pub(super) fn forward(&self, pyramid: &Pyramid, pass: &Pass) -> Result<Tensor> {
        self.smooth.forward(&self.aspp.forward(&pyramid.layer4, pass)?, pass)
    }
}
