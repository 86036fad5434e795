//! What determines a model except its numbers.

use crate::error::{Result, choose};
use crate::{choices, ensure, options};

choices! {
    /// The network families.
    pub enum Architecture {
        /// DeepLabV3+ (Chen et al. 2018) with the names and the arithmetic of `segmentation_models_pytorch.DeepLabV3Plus`.
        DeepLabV3Plus = "deeplabv3plus",
        /// DeepLabV3 (Chen et al. 2017) with the names and the arithmetic of torchvision's `deeplabv3_resnet*`.
        DeepLabV3 = "deeplabv3",
        /// FCN (Long et al. 2015) with the names and the arithmetic of torchvision's `fcn_resnet*`.
        Fcn = "fcn",
        /// U-Net (Ronneberger et al. 2015) with the names and the arithmetic of `segmentation_models_pytorch.Unet`.
        Unet = "unet",
        /// SegFormer (Xie et al. 2021) with the names and the arithmetic of Hugging Face's `SegformerForSemanticSegmentation`.
        Segformer = "segformer",
        /// A linear classifier of patches (Oquab et al. 2023) with the names and the arithmetic of DINOv2's own.
        Linear = "linear",
        /// DPT (Ranftl et al. 2021) with the names and the arithmetic of UniMatch V2's (Yang et al. 2025).
        Dpt = "dpt",
    }
}

impl Architecture {
    /// The encoders it can have, with their names.
    pub fn encoders(self) -> Vec<(&'static str, EncoderKind)> {
        let families: &[Family] = match self {
            Architecture::Segformer => &[Family::Mit, Family::Vit],
            Architecture::Linear | Architecture::Dpt => &[Family::Vit],
            Architecture::DeepLabV3Plus | Architecture::DeepLabV3 | Architecture::Fcn => &[Family::ResNet, Family::Vit],
            // its blocks double the sides from map to map
            Architecture::Unet => &[Family::ResNet],
        };
        let of = |family: &Family| {
            let family = *family;
            EncoderKind::ALL
                .into_iter()
                .filter(move |(_, kind)| kind.family() == family)
        };
        families.iter().flat_map(of).collect()
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

choices! {
    /// The encoders: ResNet (7x7 stem, torchvision's parameter names), Mix Transformer and DINOv2 (Hugging Face's).
    pub enum EncoderKind {
        /// 2, 2, 2, 2 basic blocks; 512 channels at the end; 11.2 million parameters.
        Resnet18 = "resnet18",
        /// 3, 4, 6, 3 basic blocks; 512 channels at the end; 21.3 million parameters.
        Resnet34 = "resnet34",
        /// 3, 4, 6, 3 bottlenecks; 2048 channels at the end; 23.5 million parameters.
        Resnet50 = "resnet50",
        /// 3, 4, 23, 3 bottlenecks; 2048 channels at the end; 42.5 million parameters.
        Resnet101 = "resnet101",
        /// 2, 2, 2, 2 blocks; 256 channels at the end.
        MitB0 = "mit_b0",
        /// 2, 2, 2, 2 blocks; 512 channels at the end, as all that follow.
        MitB1 = "mit_b1",
        /// 3, 4, 6, 3 blocks.
        MitB2 = "mit_b2",
        /// 3, 4, 18, 3 blocks.
        MitB3 = "mit_b3",
        /// 3, 8, 27, 3 blocks.
        MitB4 = "mit_b4",
        /// 3, 6, 40, 3 blocks.
        MitB5 = "mit_b5",
        /// 12 blocks of 384 channels; 22.1 million parameters.
        DinoV2S = "dinov2_vits14",
        /// 12 blocks of 768 channels; 86.6 million parameters.
        DinoV2B = "dinov2_vitb14",
        /// 24 blocks of 1024 channels; 304 million parameters.
        DinoV2L = "dinov2_vitl14",
        /// The small one with four registers.
        DinoV2SReg = "dinov2_vits14_reg",
        /// The base one with four registers.
        DinoV2BReg = "dinov2_vitb14_reg",
        /// The large one with four registers.
        DinoV2LReg = "dinov2_vitl14_reg",
    }
}

impl EncoderKind {
    /// The encoder of this name for this architecture; the error lists the valid names.
    pub fn from_name(architecture: Architecture, name: &str) -> Result<Self> {
        choose("encoder", name, &architecture.encoders())
    }

    /// What kind of encoder it is, the blocks and the channels.
    fn facts(self) -> (Family, [usize; 4], [usize; 5]) {
        use Family::{Mit, ResNet, Vit};
        let basic = [64, 64, 128, 256, 512];
        let wide = [64, 256, 512, 1024, 2048];
        let mix = [3, 64, 128, 320, 512];
        match self {
            EncoderKind::Resnet18 => (ResNet, [2, 2, 2, 2], basic),
            EncoderKind::Resnet34 => (ResNet, [3, 4, 6, 3], basic),
            EncoderKind::Resnet50 => (ResNet, [3, 4, 6, 3], wide),
            EncoderKind::Resnet101 => (ResNet, [3, 4, 23, 3], wide),
            EncoderKind::MitB0 => (Mit, [2, 2, 2, 2], [3, 32, 64, 160, 256]),
            EncoderKind::MitB1 => (Mit, [2, 2, 2, 2], mix),
            EncoderKind::MitB2 => (Mit, [3, 4, 6, 3], mix),
            EncoderKind::MitB3 => (Mit, [3, 4, 18, 3], mix),
            EncoderKind::MitB4 => (Mit, [3, 8, 27, 3], mix),
            EncoderKind::MitB5 => (Mit, [3, 6, 40, 3], mix),
            EncoderKind::DinoV2S | EncoderKind::DinoV2SReg => (Vit, [3, 3, 3, 3], [3, 384, 384, 384, 384]),
            EncoderKind::DinoV2B | EncoderKind::DinoV2BReg => (Vit, [3, 3, 3, 3], [3, 768, 768, 768, 768]),
            EncoderKind::DinoV2L | EncoderKind::DinoV2LReg => (Vit, [5, 7, 6, 6], [3, 1024, 1024, 1024, 1024]),
        }
    }

    /// What kind of encoder it is.
    pub fn family(self) -> Family {
        self.facts().0
    }

    /// Blocks in each of the four stages; of a Vision Transformer those from one map to the next.
    pub fn blocks(self) -> [usize; 4] {
        self.facts().1
    }

    /// Channels of what the first stage takes (the stem's map; the image for a transformer) and of the four stages.
    pub fn channels(self) -> [usize; 5] {
        self.facts().2
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

    /// Whether the blocks are bottlenecks (1x1, 3x3, 1x1) instead of two 3x3 convolutions.
    pub fn bottleneck(self) -> bool {
        matches!(self, EncoderKind::Resnet50 | EncoderKind::Resnet101)
    }
}

options! {
    /// The projection head: 1x1 convolutions with ReLU between them.
    #[derive(PartialEq)]
    pub struct ProjectionConfig {
        /// Number of convolutions (1 is a linear projection).
        layers: usize = 3,
        /// Channels of every layer, the last included.
        channels: usize = 256,
        /// Batch norm between each hidden convolution and its ReLU.
        norm: bool = false,
    }
}

options! {
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
    /// Of `linear` and `dpt` `decoder_channels` is that of the encoder (`linear`, the only one) or 64, 128, 256 for the three sizes (`dpt`);
    /// `dropout` is not used. With a DINOv2 encoder the output stride is 14, the only one, and `drop_path` 0.
    #[derive(PartialEq)]
    pub struct ModelConfig {
        /// Stride of the encoder's last map: 8, 16 or 32 of a ResNet, whose last stages are dilated instead.
        output_stride: usize = 16,
        /// Channels of the decoder (U-Net: of the coarsest of its five blocks, each finer one has half). Where the default depends on the encoder,
        /// that of the smallest is shown: a quarter of the encoder's last map (FCN), 768 of `mit_b2` and larger, 128 and 256 of
        /// `dinov2_vitb14` and `dinov2_vitl14`.
        decoder_channels: usize = 256,
        /// Dilations of the three atrous branches.
        atrous_rates: [usize; 3] = [12, 24, 36],
        /// Whether the atrous branches are depthwise separable.
        separable: bool = true,
        /// Dropout probability before the classifier (DeepLab: after the pyramid), in training.
        dropout: f64 = 0.5,
        /// Keep the encoder as it is: nothing goes back through it, and it runs as in evaluation.
        frozen: bool = false,
        /// Probability that a branch of the encoder's last block is left out, in training; it falls in even steps to 0 in the first.
        drop_path: f64 = 0.0,
        /// The projection head: `#{ layers: 3, channels: 256, norm: false }`.
        projection: ProjectionConfig = ProjectionConfig::default(),
    }
    beside {
        /// The network family.
        architecture: Architecture = Architecture::DeepLabV3Plus,
        /// The encoder.
        encoder: EncoderKind = EncoderKind::Resnet18,
        /// Number of classes: the channels of the logits.
        classes: usize = 0,
    }
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
        let (output_stride, drop_path) = match (encoder.family(), architecture) {
            (Family::Vit, _) => (14, 0.0),
            (_, Architecture::Segformer) => (output_stride, 0.1),
            _ => (output_stride, 0.0),
        };
        ModelConfig {
            architecture,
            encoder,
            classes,
            output_stride,
            decoder_channels,
            separable: architecture == Architecture::DeepLabV3Plus,
            dropout,
            drop_path,
            ..ModelConfig::default()
        }
    }

    /// An error naming the first option that cannot be.
    pub fn check(&self) -> Result<()> {
        let name = self.architecture.name();
        EncoderKind::from_name(self.architecture, self.encoder.name())?;
        for (option, p) in [("drop_path", self.drop_path), ("dropout", self.dropout)] {
            ensure!(
                (0.0..1.0).contains(&p),
                "{name}: {option} is {p}, expected a probability from 0 up to but not including 1"
            );
        }
        let least = if self.architecture == Architecture::Unet { 16 } else { 1 };
        for (option, n, possible) in [
            ("classes", self.classes, 1..=65536),
            ("decoder_channels", self.decoder_channels, least..=8192),
            ("projection.layers", self.projection.layers, 1..=16),
            ("projection.channels", self.projection.channels, 1..=8192),
        ] {
            let (low, high) = (possible.start(), possible.end());
            ensure!(
                possible.contains(&n),
                "{name}: {option} is {n}, expected {low} to {high}"
            );
        }
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
        ensure!(
            self.atrous_rates.iter().all(|r| (1..=1024).contains(r)),
            "{name}: atrous_rates is {:?}, expected three numbers from 1 to 1024",
            self.atrous_rates
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
