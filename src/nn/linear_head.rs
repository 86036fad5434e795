//! The linear classifier of patches that DINOv2 is judged with (Oquab et al. 2023).

use candle_core::Tensor;

use super::config::ModelConfig;
use super::layer::BatchNorm;
use super::param::Builder;
use super::pass::Pass;
use super::resnet::Pyramid;
use crate::error::Result;

/// Batch norm of the last map; the classifier behind it is linear.
pub(super) struct LinearHead {
    norm: BatchNorm,
}

impl LinearHead {
    pub(super) fn new(builder: &mut Builder, config: &ModelConfig) -> Result<Self> {
        Ok(LinearHead {
            norm: BatchNorm::new(builder, "decode_head.bn", config.decoder_channels)?,
        })
    }

    /// The map at the encoder's stride.
    pub(super) fn forward(&self, pyramid: &Pyramid, pass: &Pass) -> Result<Tensor> {
        self.norm.forward(&pyramid.layer4, None, false, pass)
    }
}
