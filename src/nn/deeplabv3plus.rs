//! The decoder of DeepLabV3+ (Chen et al. 2018), as in `segmentation_models_pytorch.DeepLabV3Plus`.

use candle_core::Tensor;

use super::aspp::Aspp;
use super::config::ModelConfig;
use super::layer::{ConvNorm, ConvSpec};
use super::param::Builder;
use super::pass::Pass;
use super::resnet::Pyramid;
use crate::error::Result;

/// Channels to which the stride-4 map is reduced before it joins (the paper's choice).
const LOW_LEVEL_CHANNELS: usize = 48;

/// ASPP, separable 3x3, upsampled to stride 4, joined with the reduced stride-4 map, separable 3x3.
pub(super) struct DeepLabV3Plus {
    aspp: Aspp,
    smooth: ConvNorm,
    low_level: ConvNorm,
    fuse: ConvNorm,
}

impl DeepLabV3Plus {
    pub(super) fn new(builder: &mut Builder, config: &ModelConfig) -> Result<Self> {
        let ([_, fine, ..], channels) = (config.encoder.channels(), config.decoder_channels);
        let smooth = ConvSpec::new(channels, channels, 3);
        let low_level = ConvSpec::new(fine, LOW_LEVEL_CHANNELS, 1);
        let fuse = ConvSpec::new(LOW_LEVEL_CHANNELS + channels, channels, 3);
        Ok(DeepLabV3Plus {
            aspp: Aspp::new(builder, "decoder.aspp.0", config)?,
            smooth: ConvNorm::separable(builder, "decoder.aspp.1", "decoder.aspp.2", smooth)?,
            low_level: ConvNorm::new(builder, "decoder.block1.0", "decoder.block1.1", low_level)?,
            fuse: ConvNorm::separable(builder, "decoder.block2.0", "decoder.block2.1", fuse)?,
        })
    }

    /// The map of stride 4. The coarse map is resized to the size of the fine one with aligned corners, which for sides that
    /// the output stride divides is `nn.UpsamplingBilinear2d` by 4 (2 at output stride 8).
    pub(super) fn forward(&self, pyramid: &Pyramid, pass: &Pass) -> Result<Tensor> {
        let coarse = self.smooth.forward(&self.aspp.forward(&pyramid.layer4, pass)?, pass)?;
        let size = pass.graph().size(&pyramid.layer1)?;
        let coarse = pass.graph().resize_bilinear(&coarse, size, true)?;
        let fine = self.low_level.forward(&pyramid.layer1, pass)?;
        self.fuse
            .forward(&pass.graph().concat_channels(&[&coarse, &fine])?, pass)
    }
}
