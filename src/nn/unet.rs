//! The decoder of U-Net (Ronneberger et al. 2015), as in `segmentation_models_pytorch.Unet`.

use candle_core::Tensor;

use super::config::ModelConfig;
use super::init::ConvInit;
use super::layer::{ConvNorm, ConvSpec};
use super::param::Builder;
use super::pass::Pass;
use super::resnet::Pyramid;
use crate::error::Result;

/// Five blocks from coarse to fine: resize to the next finer map (nearest), join with it, two 3x3 convolutions.
pub(super) struct Unet {
    blocks: Vec<[ConvNorm; 2]>,
}

impl Unet {
    /// Channels of the five blocks: `decoder_channels` halved at each (256, 128, 64, 32, 16).
    pub(super) fn channels(config: &ModelConfig) -> [usize; 5] {
        [0, 1, 2, 3, 4].map(|i| config.decoder_channels >> i)
    }

    pub(super) fn new(builder: &mut Builder, config: &ModelConfig) -> Result<Self> {
        let [stem, layer1, layer2, layer3, layer4] = config.encoder.channels();
        let skips = [layer3, layer2, layer1, stem, 0];
        let mut input = layer4;
        let mut blocks = Vec::new();
        for (i, (skip, output)) in skips.into_iter().zip(Self::channels(config)).enumerate() {
            let mut conv = |number: usize, input: usize| {
                let spec = ConvSpec {
                    init: ConvInit::Decoder,
                    ..ConvSpec::new(input, output, 3)
                };
                let name = format!("decoder.blocks.{i}.conv{number}");
                ConvNorm::new(builder, &format!("{name}.0"), &format!("{name}.1"), spec)
            };
            blocks.push([conv(1, input + skip)?, conv(2, output)?]);
            input = output;
        }
        Ok(Unet { blocks })
    }

    /// The map at the size of the images, `size`.
    pub(super) fn forward(&self, pyramid: &Pyramid, size: [usize; 2], pass: &Pass) -> Result<Tensor> {
        let stages = [&pyramid.layer3, &pyramid.layer2, &pyramid.layer1];
        let skips: Vec<&Tensor> = stages.into_iter().chain(&pyramid.stem).collect();
        let mut x = pyramid.layer4.clone();
        for (i, [first, second]) in self.blocks.iter().enumerate() {
            x = match skips.get(i) {
                Some(skip) => {
                    let x = pass.graph().resize_nearest(&x, pass.graph().size(skip)?)?;
                    pass.graph().concat_channels(&[&x, *skip])?
                }
                None => pass.graph().resize_nearest(&x, size)?,
            };
            x = second.forward(&first.forward(&x, pass)?, pass)?;
        }
        Ok(x)
    }
}
