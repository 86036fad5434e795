//! What determines a model except its numbers.

use serde::{Deserialize, Serialize};

use crate::ensure;
use crate::error::{Result, choose};

/// The network families.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// DeepLabV3+ (Chen et al. 2018) with the names and the arithmetic of `segmentation_models_pytorch.DeepLabV3Plus`.
    DeepLabV3Plus,
    /// DeepLabV3 (Chen et al. 2017) with the names and the arithmetic of torchvision's `deeplabv3_resnet*`.
    DeepLabV3,
    /// FCN (Long et al. 2015) with the names and the arithmetic of torchvision's `fcn_resnet*`.
    Fcn,
    /// U-Net (Ronneberger et al. 2015) with the names and the arithmetic of `segmentation_models_pytorch.Unet`.
    Unet,
    /// SegFormer (Xie et al. 2021) with the names and the arithmetic of Hugging Face's `SegformerForSemanticSegmentation`.
    Segformer,
    /// A linear classifier of patches (Oquab et al. 2023) with the names and the arithmetic of DINOv2's own.
    Linear,
    /// DPT (Ranftl et al. 2021) with the names and the arithmetic of UniMatch V2's (Yang et al. 2025).
    Dpt,
}

impl Architecture {
    /// Every architecture with its name in scripts and checkpoints.
    pub const ALL: [(&'static str, Architecture); 7] = [
        ("deeplabv3plus", Architecture::DeepLabV3Plus),
        ("deeplabv3", Architecture::DeepLabV3),
        ("fcn", Architecture::Fcn),
        ("unet", Architecture::Unet),
        ("segformer", Architecture::Segformer),
        ("linear", Architecture::Linear),
        ("dpt", Architecture::Dpt),
    ];

    /// The architecture of this name; the error lists the valid names.
    pub fn from_name(name: &str) -> Result<Self> {
        choose("architecture", name, &Self::ALL)
    }

    /// The name in scripts and checkpoints.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::DeepLabV3Plus => "deeplabv3plus",
            Architecture::DeepLabV3 => "deeplabv3",
            Architecture::Fcn => "fcn",
            Architecture::Unet => "unet",
            Architecture::Segformer => "segformer",
            Architecture::Linear => "linear",
            Architecture::Dpt => "dpt",
        }
    }

    /// The encoders it can have, with their names.
    pub fn encoders(self) -> &'static [(&'static str, EncoderKind)] {
        let (resnets, others) = EncoderKind::ALL.split_at(4);
        let (mits, vits) = others.split_at(6);
        match self {
            Architecture::Segformer => mits,
            Architecture::Linear | Architecture::Dpt => vits,
            _ => resnets,
        }
    }
}

/// The kinds of encoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Residual networks with a 7x7 stem.
    ResNet,
    /// Mix Transformers, SegFormer's.
    Mit,
    /// Vision Transformers, DINOv2's.
    Vit,
}

/// The encoders: ResNet (7x7 stem, torchvision's parameter names), Mix Transformer and DINOv2 (Hugging Face's).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum EncoderKind {
    /// 2, 2, 2, 2 basic blocks; 512 channels at the end; 11.2 million parameters.
    Resnet18,
    /// 3, 4, 6, 3 basic blocks; 512 channels at the end; 21.3 million parameters.
    Resnet34,
    /// 3, 4, 6, 3 bottlenecks; 2048 channels at the end; 23.5 million parameters.
    Resnet50,
    /// 3, 4, 23, 3 bottlenecks; 2048 channels at the end; 42.5 million parameters.
    Resnet101,
    /// 2, 2, 2, 2 blocks; 256 channels at the end.
    #[serde(rename = "mit_b0")]
    MitB0,
    /// 2, 2, 2, 2 blocks; 512 channels at the end, as all that follow.
    #[serde(rename = "mit_b1")]
    MitB1,
    /// 3, 4, 6, 3 blocks.
    #[serde(rename = "mit_b2")]
    MitB2,
    /// 3, 4, 18, 3 blocks.
    #[serde(rename = "mit_b3")]
    MitB3,
    /// 3, 8, 27, 3 blocks.
    #[serde(rename = "mit_b4")]
    MitB4,
    /// 3, 6, 40, 3 blocks.
    #[serde(rename = "mit_b5")]
    MitB5,
    /// 12 blocks of 384 channels; 22.1 million parameters.
    #[serde(rename = "dinov2_vits14")]
    DinoV2S,
    /// 12 blocks of 768 channels; 86.6 million parameters.
    #[serde(rename = "dinov2_vitb14")]
    DinoV2B,
    /// 24 blocks of 1024 channels; 304 million parameters.
    #[serde(rename = "dinov2_vitl14")]
    DinoV2L,
    /// The small one with four registers.
    #[serde(rename = "dinov2_vits14_reg")]
    DinoV2SReg,
    /// The base one with four registers.
    #[serde(rename = "dinov2_vitb14_reg")]
    DinoV2BReg,
    /// The large one with four registers.
    #[serde(rename = "dinov2_vitl14_reg")]
    DinoV2LReg,
}

impl EncoderKind {
    /// Every encoder with its name in scripts and checkpoints.
    pub const ALL: [(&'static str, EncoderKind); 16] = [
        ("resnet18", EncoderKind::Resnet18),
        ("resnet34", EncoderKind::Resnet34),
        ("resnet50", EncoderKind::Resnet50),
        ("resnet101", EncoderKind::Resnet101),
        ("mit_b0", EncoderKind::MitB0),
        ("mit_b1", EncoderKind::MitB1),
        ("mit_b2", EncoderKind::MitB2),
        ("mit_b3", EncoderKind::MitB3),
        ("mit_b4", EncoderKind::MitB4),
        ("mit_b5", EncoderKind::MitB5),
        ("dinov2_vits14", EncoderKind::DinoV2S),
        ("dinov2_vitb14", EncoderKind::DinoV2B),
        ("dinov2_vitl14", EncoderKind::DinoV2L),
        ("dinov2_vits14_reg", EncoderKind::DinoV2SReg),
        ("dinov2_vitb14_reg", EncoderKind::DinoV2BReg),
        ("dinov2_vitl14_reg", EncoderKind::DinoV2LReg),
    ];

    /// The encoder of this name for this architecture; the error lists the valid names.
    pub fn from_name(architecture: Architecture, name: &str) -> Result<Self> {
        choose("encoder", name, architecture.encoders())
    }

    /// The name in scripts and checkpoints.
    pub fn name(self) -> &'static str {
        match self {
            EncoderKind::Resnet18 => "resnet18",
            EncoderKind::Resnet34 => "resnet34",
            EncoderKind::Resnet50 => "resnet50",
            EncoderKind::Resnet101 => "resnet101",
            EncoderKind::MitB0 => "mit_b0",
            EncoderKind::MitB1 => "mit_b1",
            EncoderKind::MitB2 => "mit_b2",
            EncoderKind::MitB3 => "mit_b3",
            EncoderKind::MitB4 => "mit_b4",
            EncoderKind::MitB5 => "mit_b5",
            EncoderKind::DinoV2S => "dinov2_vits14",
            EncoderKind::DinoV2B => "dinov2_vitb14",
            EncoderKind::DinoV2L => "dinov2_vitl14",
            EncoderKind::DinoV2SReg => "dinov2_vits14_reg",
            EncoderKind::DinoV2BReg => "dinov2_vitb14_reg",
            EncoderKind::DinoV2LReg => "dinov2_vitl14_reg",
        }
    }

    /// What kind of encoder it is.
    pub fn family(self) -> Family {
        match self {
            EncoderKind::Resnet18 | EncoderKind::Resnet34 | EncoderKind::Resnet50 | EncoderKind::Resnet101 => {
                Family::ResNet
            }
            EncoderKind::MitB0
            | EncoderKind::MitB1
            | EncoderKind::MitB2
            | EncoderKind::MitB3
            | EncoderKind::MitB4
            | EncoderKind::MitB5 => Family::Mit,
            EncoderKind::DinoV2S
            | EncoderKind::DinoV2B
            | EncoderKind::DinoV2L
            | EncoderKind::DinoV2SReg
            | EncoderKind::DinoV2BReg
            | EncoderKind::DinoV2LReg => Family::Vit,
        }
    }

    /// Refuse images of a size that it does not take; the error says which it does.
    pub fn check_sides(self, size: [usize; 2]) -> Result<()> {
        match self.family() {
            Family::Vit => super::vit::check_sides(self.name(), size),
            Family::ResNet | Family::Mit => Ok(()),
        }
    }

    /// Of what the sides of the images must be multiples.
    pub fn multiple(self) -> usize {
        match self.family() {
            Family::Vit => super::vit::PATCH,
            Family::ResNet | Family::Mit => 1,
        }
    }

    /// Blocks in each of the four stages; of a Vision Transformer those from one map to the next.
    pub fn blocks(self) -> [usize; 4] {
        match self {
            EncoderKind::Resnet18 | EncoderKind::MitB0 | EncoderKind::MitB1 => [2, 2, 2, 2],
            EncoderKind::Resnet34 | EncoderKind::Resnet50 | EncoderKind::MitB2 => [3, 4, 6, 3],
            EncoderKind::Resnet101 => [3, 4, 23, 3],
            EncoderKind::MitB3 => [3, 4, 18, 3],
            EncoderKind::MitB4 => [3, 8, 27, 3],
            EncoderKind::MitB5 => [3, 6, 40, 3],
            EncoderKind::DinoV2S | EncoderKind::DinoV2B | EncoderKind::DinoV2SReg | EncoderKind::DinoV2BReg => {
                [3, 3, 3, 3]
            }
            EncoderKind::DinoV2L | EncoderKind::DinoV2LReg => [5, 7, 6, 6],
        }
    }

    /// Whether the blocks are bottlenecks (1x1, 3x3, 1x1) instead of two 3x3 convolutions.
    pub fn bottleneck(self) -> bool {
        matches!(self, EncoderKind::Resnet50 | EncoderKind::Resnet101)
    }

    /// Channels of what the first stage takes (the stem's map; the image for a transformer) and of the four stages.
    pub fn channels(self) -> [usize; 5] {
        match self {
            EncoderKind::Resnet18 | EncoderKind::Resnet34 => [64, 64, 128, 256, 512],
            EncoderKind::Resnet50 | EncoderKind::Resnet101 => [64, 256, 512, 1024, 2048],
            EncoderKind::MitB0 => [3, 32, 64, 160, 256],
            EncoderKind::DinoV2S | EncoderKind::DinoV2SReg => [3, 384, 384, 384, 384],
            EncoderKind::DinoV2B | EncoderKind::DinoV2BReg => [3, 768, 768, 768, 768],
            EncoderKind::DinoV2L | EncoderKind::DinoV2LReg => [3, 1024, 1024, 1024, 1024],
            _ => [3, 64, 128, 320, 512],
        }
    }
}

/// The projection head: 1x1 convolutions with ReLU between them.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectionConfig {
    /// Number of convolutions (1 is a linear projection).
    pub layers: usize,
    /// Channels of every layer, the last included.
    pub channels: usize,
    /// Batch norm between each hidden convolution and its ReLU.
    pub norm: bool,
}

impl Default for ProjectionConfig {
    fn default() -> Self {
        ProjectionConfig {
            layers: 3,
            channels: 256,
            norm: false,
        }
    }
}

/// Everything that determines a model except its numbers; saved with every checkpoint.
///
/// [`ModelConfig::new`] gives the defaults of each architecture:
///
/// | | deeplabv3plus | deeplabv3 | fcn | unet | segformer |
/// |---|---|---|---|---|---|
/// | `output_stride` | 16 | 8 | 8 | 32 | 32, the only one |
/// | `decoder_channels` | 256 | 256 | a quarter of the encoder's | 256 (halved at each of its five blocks) | 256 (mit_b0, mit_b1), 768 |
/// | `atrous_rates` | 12, 24, 36 | 12, 24, 36 | not used | not used | not used |
/// | `separable` | yes | no | not used | not used | not used |
/// | `dropout` | 0.5 | 0.5 | 0.1 | not used | 0.1 |
/// | `drop_path` | not used | not used | not used | not used | 0.1 |
///
/// Of `linear` and `dpt` the output stride is 14, the only one; `decoder_channels` is that of the encoder (`linear`, the only one) or 64,
/// 128, 256 for the three sizes (`dpt`); `drop_path` is 0, `dropout` is not used.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The network family.
    pub architecture: Architecture,
    /// The encoder.
    pub encoder: EncoderKind,
    /// Number of classes: the channels of the logits.
    pub classes: usize,
    /// Stride of the encoder's last map: 8, 16 or 32; below 32 the last stages use dilation instead of stride. 14 for a Vision Transformer.
    pub output_stride: usize,
    /// Channels of the decoder.
    pub decoder_channels: usize,
    /// Dilations of the three atrous branches (DeepLab).
    pub atrous_rates: [usize; 3],
    /// Whether the atrous branches are depthwise separable (DeepLab).
    pub separable: bool,
    /// Dropout probability in the decoder while training.
    pub dropout: f64,
    /// Stochastic depth while training (transformers): the probability that a branch of the last block is left out; it
    /// rises in even steps from 0 in the first block.
    #[serde(default)]
    pub drop_path: f64,
    /// The encoder stays as it is: its parameters are frozen, and it runs as in evaluation.
    #[serde(default)]
    pub frozen: bool,
    /// The projection head.
    pub projection: ProjectionConfig,
}

impl ModelConfig {
    /// The defaults of an architecture.
    pub fn new(architecture: Architecture, encoder: EncoderKind, classes: usize) -> Self {
        let [.., last] = encoder.channels();
        let (output_stride, decoder_channels, dropout) = match architecture {
            Architecture::DeepLabV3Plus => (16, 256, 0.5),
            Architecture::DeepLabV3 => (8, 256, 0.5),
            Architecture::Fcn => (8, last / 4, 0.1),
            Architecture::Unet => (32, 256, 0.0),
            Architecture::Segformer => match encoder {
                EncoderKind::MitB0 | EncoderKind::MitB1 => (32, 256, 0.1),
                _ => (32, 768, 0.1),
            },
            Architecture::Linear => (14, last, 0.0),
            Architecture::Dpt => match last {
                384 => (14, 64, 0.0),
                768 => (14, 128, 0.0),
                _ => (14, 256, 0.0),
            },
        };
        ModelConfig {
            architecture,
            encoder,
            classes,
            output_stride,
            decoder_channels,
            atrous_rates: [12, 24, 36],
            separable: architecture == Architecture::DeepLabV3Plus,
            dropout,
            drop_path: if architecture == Architecture::Segformer {
                0.1
            } else {
                0.0
            },
            frozen: false,
            projection: ProjectionConfig::default(),
        }
    }

    /// An error naming the first option that cannot be.
    pub fn check(&self) -> Result<()> {
        let name = self.architecture.name();
        EncoderKind::from_name(self.architecture, self.encoder.name())?;
        ensure!(
            (0.0..1.0).contains(&self.drop_path),
            "{name}: drop_path is {}, expected a probability from 0 up to but not including 1",
            self.drop_path
        );
        ensure!(
            (1..=65536).contains(&self.classes),
            "{name}: classes is {}, expected 1 to 65536",
            self.classes
        );
        let (possible, strides): (&[usize], _) = match self.encoder.family() {
            Family::ResNet => (&[8, 16, 32], "8, 16 or 32"),
            Family::Mit => (&[32], "32"),
            Family::Vit => (&[14], "14"),
        };
        ensure!(
            possible.contains(&self.output_stride),
            "{name}: output_stride is {}, expected {strides}",
            self.output_stride
        );
        ensure!(
            !self.frozen || self.encoder.family() == Family::Vit,
            "{name}: frozen is for encoders without batch norm, such as dinov2_vits14; of {} freeze(prefix) keeps the parameters, and \
             frozen_norm of the loops the statistics",
            self.encoder.name()
        );
        let [.., last] = self.encoder.channels();
        ensure!(
            self.architecture != Architecture::Linear || self.decoder_channels == last,
            "{name}: decoder_channels is {}, expected {last}, the channels of {}",
            self.decoder_channels,
            self.encoder.name()
        );
        let least = if self.architecture == Architecture::Unet { 16 } else { 1 };
        ensure!(
            (least..=8192).contains(&self.decoder_channels),
            "{name}: decoder_channels is {}, expected {least} to 8192",
            self.decoder_channels
        );
        ensure!(
            self.atrous_rates.iter().all(|r| (1..=1024).contains(r)),
            "{name}: atrous_rates is {:?}, expected three numbers from 1 to 1024",
            self.atrous_rates
        );
        ensure!(
            (0.0..1.0).contains(&self.dropout),
            "{name}: dropout is {}, expected a probability from 0 up to but not including 1",
            self.dropout
        );
        ensure!(
            (1..=16).contains(&self.projection.layers),
            "{name}: projection.layers is {}, expected 1 to 16",
            self.projection.layers
        );
        ensure!(
            (1..=8192).contains(&self.projection.channels),
            "{name}: projection.channels is {}, expected 1 to 8192",
            self.projection.channels
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_survives_json_and_refuses_unknown_names() {
        let config = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet50, 19);
        let text = serde_json::to_string(&config).unwrap();
        assert!(
            text.contains("\"deeplabv3plus\"") && text.contains("\"resnet50\""),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<ModelConfig>(&text).unwrap(), config);
        let wrong = text.replace("\"dropout\"", "\"drop\"");
        assert!(serde_json::from_str::<ModelConfig>(&wrong).is_err());
    }

    #[test]
    fn names_in_json_are_the_names_in_scripts() {
        for (name, architecture) in Architecture::ALL {
            assert_eq!(serde_json::to_string(&architecture).unwrap(), format!("\"{name}\""));
            assert_eq!(architecture.name(), name);
        }
        for (name, encoder) in EncoderKind::ALL {
            assert_eq!(serde_json::to_string(&encoder).unwrap(), format!("\"{name}\""));
            assert_eq!(encoder.name(), name);
        }
    }

    #[test]
    fn impossible_options_are_named() {
        let mut config = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet18, 11);
        config.output_stride = 12;
        let text = config.check().unwrap_err().to_string();
        assert_eq!(text, "deeplabv3plus: output_stride is 12, expected 8, 16 or 32");
        let text = EncoderKind::from_name(Architecture::Unet, "resnet5")
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("\"resnet101\"") && text.contains("did you mean"),
            "{text}"
        );
    }
}
