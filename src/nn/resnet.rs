//! The ResNet encoder (He et al. 2016) with torchvision's parameter names and 7x7 stem.

use candle_core::Tensor;

use super::config::EncoderKind;
use super::init::ConvInit;
use super::layer::{ConvNorm, ConvSpec};
use super::param::Builder;
use super::pass::Pass;
use crate::error::Result;

/// The maps of an encoder, from fine to coarse.
pub(super) struct Pyramid {
    /// After the stem, before its pooling: stride 2. A Mix Transformer has none.
    pub(super) stem: Option<Tensor>,
    /// After the first stage: stride 4.
    pub(super) layer1: Tensor,
    /// After the second stage: stride 8.
    pub(super) layer2: Tensor,
    /// After the third stage: stride 16 (8 at output stride 8).
    pub(super) layer3: Tensor,
    /// After the fourth stage: the output stride.
    pub(super) layer4: Tensor,
}

impl Pyramid {
    /// From fine to coarse.
    pub(super) fn into_maps(self) -> Vec<Tensor> {
        let stages = [self.layer1, self.layer2, self.layer3, self.layer4];
        self.stem.into_iter().chain(stages).collect()
    }

    /// The inverse of [`Pyramid::into_maps`].
    pub(super) fn from_maps(maps: Vec<Tensor>) -> Result<Self> {
        let (stem, stages) = match maps.len() {
            5 => (maps.first().cloned(), &maps[1..]),
            _ => (None, &maps[..]),
        };
        match stages {
            [layer1, layer2, layer3, layer4] => Ok(Pyramid {
                stem,
                layer1: layer1.clone(),
                layer2: layer2.clone(),
                layer3: layer3.clone(),
                layer4: layer4.clone(),
            }),
            _ => crate::fail!("internal: {} maps", maps.len()),
        }
    }
}

/// Where dilation begins in a stage whose stride was replaced by dilation d.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Dilation {
    /// In all of its 3x3 convolutions (`make_dilated` of segmentation_models_pytorch).
    WholeStage,
    /// From its second block on; the first keeps the dilation of the stage before (`replace_stride_with_dilation` of torchvision).
    AfterFirstBlock,
}

/// A residual block: relu(body(x) + shortcut(x)).
struct Block {
    /// Two 3x3 convolutions, or 1x1, 3x3, 1x1; the last one adds the shortcut before its ReLU.
    body: Vec<ConvNorm>,
    /// 1x1 convolution where the channels or the size change.
    shortcut: Option<ConvNorm>,
}

impl Block {
    fn new(
        builder: &mut Builder,
        name: &str,
        kind: EncoderKind,
        [input, output]: [usize; 2],
        stride: usize,
        dilation: usize,
    ) -> Result<Self> {
        let spec = |input, output, kernel, stride| ConvSpec {
            stride,
            dilation: if kernel == 1 { 1 } else { dilation },
            init: ConvInit::ResNet,
            ..ConvSpec::new(input, output, kernel)
        };
        let specs = if kind.bottleneck() {
            let width = output / 4;
            vec![
                spec(input, width, 1, 1),
                spec(width, width, 3, stride),
                spec(width, output, 1, 1),
            ]
        } else {
            vec![spec(input, output, 3, stride), spec(output, output, 3, 1)]
        };
        let mut body = Vec::new();
        for (i, spec) in specs.into_iter().enumerate() {
            let (conv, norm) = (format!("{name}.conv{}", i + 1), format!("{name}.bn{}", i + 1));
            body.push(ConvNorm::new(builder, &conv, &norm, spec)?);
        }
        let shortcut = if input != output || stride != 1 {
            let (conv, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
            Some(ConvNorm::new(builder, &conv, &norm, spec(input, output, 1, stride))?)
        } else {
            None
        };
        Ok(Block { body, shortcut })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let Some((last, first)) = self.body.split_last() else {
            return Ok(x.clone());
        };
        let mut y = x.clone();
        for layer in first {
            y = layer.forward(&y, pass)?;
        }
        match &self.shortcut {
            Some(shortcut) => last.forward_onto(&y, &shortcut.forward_linear(x, pass)?, pass),
            None => last.forward_onto(&y, x, pass),
        }
    }
}

/// Stem and four stages of residual blocks.
pub(super) struct ResNet {
    stem: ConvNorm,
    stages: [Vec<Block>; 4],
    /// Strides of the five maps of the [`Pyramid`].
    pub(super) strides: [usize; 5],
}

impl ResNet {
    /// Stages whose stride would exceed `output_stride` get stride 1 and twice the dilation of the stage before.
    pub(super) fn new(
        builder: &mut Builder,
        name: &str,
        kind: EncoderKind,
        output_stride: usize,
        mode: Dilation,
    ) -> Result<Self> {
        let stem = ConvSpec {
            stride: 2,
            init: ConvInit::ResNet,
            ..ConvSpec::new(3, 64, 7)
        };
        let stem = ConvNorm::new(builder, &format!("{name}.conv1"), &format!("{name}.bn1"), stem)?;
        let channels = kind.channels();
        let mut strides = [2, 4, 8, 16, 32];
        let mut stages: [Vec<Block>; 4] = Default::default();
        let (mut stride, mut dilation) = (4, 1);
        for (s, count) in kind.blocks().into_iter().enumerate() {
            let before = dilation;
            let step = match s {
                0 => 1,
                _ if stride * 2 > output_stride => {
                    dilation *= 2;
                    1
                }
                _ => 2,
            };
            stride *= step;
            strides[s + 1] = stride;
            for b in 0..count {
                let io = [if b == 0 { channels[s] } else { channels[s + 1] }, channels[s + 1]];
                let first = b == 0 && mode == Dilation::AfterFirstBlock;
                stages[s].push(Block::new(
                    builder,
                    &format!("{name}.layer{}.{b}", s + 1),
                    kind,
                    io,
                    if b == 0 { step } else { 1 },
                    if first { before } else { dilation },
                )?);
            }
        }
        Ok(ResNet { stem, stages, strides })
    }

    /// Images [n, 3, h, w] -> the five maps; each side is the image's divided by the stride, rounded up.
    pub(super) fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Pyramid> {
        let stem = self.stem.forward(images, pass)?;
        let pooled = pass.graph().max_pool2d(&stem, [3, 3], [2, 2], [1, 1])?;
        let stage = |index: usize, x: &Tensor| -> Result<Tensor> {
            let mut x = x.clone();
            for block in &self.stages[index] {
                x = block.forward(&x, pass)?;
            }
            Ok(x)
        };
        let layer1 = stage(0, &pooled)?;
        drop(pooled);
        let layer2 = stage(1, &layer1)?;
        let layer3 = stage(2, &layer2)?;
        let layer4 = stage(3, &layer3)?;
        Ok(Pyramid {
            stem: Some(stem),
            layer1,
            layer2,
            layer3,
            layer4,
        })
    }
}
