//! The decoder of FCN (Long et al. 2015), as in torchvision's `fcn_resnet50`.

use candle_core::Tensor;

use super::config::ModelConfig;
use super::layer::{ConvNorm, ConvSpec, dropout};
use super::param::Builder;
use super::pass::Pass;
use super::resnet::Pyramid;
use crate::error::Result;

/// One 3x3 convolution on the encoder's last map, then dropout.
pub(super) struct Fcn {
    conv: ConvNorm,
    dropout: f64,
}

impl Fcn {
    pub(super) fn new(builder: &mut Builder, config: &ModelConfig) -> Result<Self> {
        let [.., coarse] = config.encoder.channels();
        let spec = ConvSpec::new(coarse, config.decoder_channels, 3);
        Ok(Fcn {
            conv: ConvNorm::new(builder, "classifier.0", "classifier.1", spec)?,
            dropout: config.dropout,
        })
    }

    /// The map at the encoder's output stride.
    pub(super) fn forward(&self, pyramid: &Pyramid, pass: &Pass) -> Result<Tensor> {
        dropout(self.conv.forward(&pyramid.layer4, pass)?, self.dropout, pass)
    }
}
