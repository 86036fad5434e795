//! The decoders behind one face.

use candle_core::Tensor;

use super::config::{Architecture, Family, ModelConfig};
use super::deeplabv3::DeepLabV3;
use super::deeplabv3plus::DeepLabV3Plus;
use super::dpt::Dpt;
use super::fcn::Fcn;
use super::init::ConvInit;
use super::linear_head::LinearHead;
use super::param::Builder;
use super::pass::Pass;
use super::resnet::{Dilation, Pyramid};
use super::segformer::Segformer;
use super::unet::Unet;
use crate::error::Result;

/// From the encoder's maps to one map.
pub(super) enum Decoder {
    DeepLabV3Plus(Box<DeepLabV3Plus>),
    DeepLabV3(Box<DeepLabV3>),
    Fcn(Fcn),
    Unet(Unet),
    Segformer(Segformer),
    Linear(LinearHead),
    Dpt(Box<Dpt>),
}

/// What an architecture calls its parts and how its classifier works.
pub(super) struct Conventions {
    /// Name of the encoder.
    pub(super) encoder: &'static str,
    /// Name of the decoder.
    pub(super) decoder: &'static str,
    /// Name of the classifier's convolution.
    pub(super) classifier: &'static str,
    /// Where dilation begins in the encoder's dilated stages.
    pub(super) dilation: Dilation,
    /// Kernel of the classifier's convolution.
    pub(super) kernel: usize,
    /// Initialisation of the classifier's convolution.
    pub(super) init: ConvInit,
    /// Whether the logits are resized to the image with aligned corners.
    pub(super) align_corners: bool,
}

impl Conventions {
    pub(super) fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::DeepLabV3Plus => Conventions {
                encoder: "encoder",
                decoder: "decoder",
                classifier: "segmentation_head.0",
                dilation: Dilation::WholeStage,
                kernel: 1,
                init: ConvInit::Default,
                align_corners: true,
            },
            Architecture::Unet => Conventions {
                kernel: 3,
                init: ConvInit::Head,
                ..Self::of(Architecture::DeepLabV3Plus)
            },
            Architecture::Segformer => Conventions {
                encoder: "segformer.encoder",
                decoder: "decode_head",
                classifier: "decode_head.classifier",
                init: ConvInit::Transformer,
                ..Self::of(Architecture::Fcn)
            },
            Architecture::Linear => Conventions {
                decoder: "decode_head",
                classifier: "decode_head.conv_seg",
                init: ConvInit::Classifier,
                ..Self::of(Architecture::Fcn)
            },
            Architecture::Dpt => Conventions {
                decoder: "head",
                classifier: "head.scratch.output_conv.2",
                align_corners: true,
                ..Self::of(Architecture::Fcn)
            },
            Architecture::DeepLabV3 | Architecture::Fcn => Conventions {
                encoder: "backbone",
                decoder: "classifier",
                classifier: "classifier.4",
                dilation: Dilation::AfterFirstBlock,
                kernel: 1,
                init: ConvInit::Default,
                align_corners: false,
            },
        }
    }
}

impl Decoder {
    pub(super) fn new(builder: &mut Builder, config: &ModelConfig) -> Result<Self> {
        Ok(match config.architecture {
            Architecture::DeepLabV3Plus => Decoder::DeepLabV3Plus(Box::new(DeepLabV3Plus::new(builder, config)?)),
            Architecture::DeepLabV3 => Decoder::DeepLabV3(Box::new(DeepLabV3::new(builder, config)?)),
            Architecture::Fcn => Decoder::Fcn(Fcn::new(builder, config)?),
            Architecture::Unet => Decoder::Unet(Unet::new(builder, config)?),
            Architecture::Segformer => Decoder::Segformer(Segformer::new(builder, config)?),
            Architecture::Linear => Decoder::Linear(LinearHead::new(builder, config)?),
            Architecture::Dpt => Decoder::Dpt(Box::new(Dpt::new(builder, config)?)),
        })
    }

    /// Which of `count` maps of the encoder is the first that the result depends on.
    pub(super) fn looks_from(&self, count: usize) -> usize {
        match self {
            Decoder::Linear(_) | Decoder::Fcn(_) | Decoder::DeepLabV3(_) => count - 1,
            Decoder::DeepLabV3Plus(_) | Decoder::Unet(_) | Decoder::Segformer(_) | Decoder::Dpt(_) => 0,
        }
    }

    /// The decoder's map for images of this size.
    pub(super) fn forward(&self, pyramid: &Pyramid, size: [usize; 2], pass: &Pass) -> Result<Tensor> {
        match self {
            Decoder::DeepLabV3Plus(decoder) => decoder.forward(pyramid, pass),
            Decoder::DeepLabV3(decoder) => decoder.forward(pyramid, pass),
            Decoder::Fcn(decoder) => decoder.forward(pyramid, pass),
            Decoder::Unet(decoder) => decoder.forward(pyramid, size, pass),
            Decoder::Segformer(decoder) => decoder.forward(pyramid, pass),
            Decoder::Linear(decoder) => decoder.forward(pyramid, pass),
            Decoder::Dpt(decoder) => decoder.forward(pyramid, pass),
        }
    }

    /// Channels and stride of the decoder's map.
    pub(super) fn output(config: &ModelConfig) -> (usize, f64) {
        match config.architecture {
            Architecture::DeepLabV3Plus | Architecture::Segformer if config.encoder.family() != Family::Vit => {
                (config.decoder_channels, 4.0)
            }
            Architecture::DeepLabV3Plus
            | Architecture::Segformer
            | Architecture::DeepLabV3
            | Architecture::Fcn
            | Architecture::Linear => (config.decoder_channels, config.output_stride as f64),
            Architecture::Dpt => (config.decoder_channels, config.output_stride as f64 / 8.0),
            Architecture::Unet => {
                let [.., last] = Unet::channels(config);
                (last, 1.0)
            }
        }
    }
}
