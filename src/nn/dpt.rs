//! The decoder of DPT (Ranftl et al. 2021) as UniMatch V2 (Yang et al. 2025) has it.

use std::sync::Arc;

use candle_core::Tensor;

use super::config::ModelConfig;
use super::init::ConvInit;
use super::layer::{Conv2d, ConvSpec};
use super::param::{Builder, Slot};
use super::pass::Pass;
use super::resnet::Pyramid;
use crate::error::Result;
use crate::fail;

/// Channels of the four maps before they are brought to those of the decoder, for encoders of so many channels.
fn channels(encoder: usize) -> Result<[usize; 4]> {
    match encoder {
        384 => Ok([48, 96, 192, 384]),
        768 => Ok([96, 192, 384, 768]),
        1024 => Ok([256, 512, 1024, 1024]),
        other => fail!("internal: dpt has no channels for an encoder of {other}"),
    }
}

/// A convolution with bias that keeps the size.
fn conv(builder: &mut Builder, name: &str, input: usize, output: usize, kernel: usize) -> Result<Conv2d> {
    let spec = ConvSpec {
        bias: true,
        ..ConvSpec::new(input, output, kernel)
    };
    Conv2d::new(builder, name, spec)
}

/// A transposed convolution whose kernel is its stride: every pixel becomes a square of pixels by itself.
struct Enlarge {
    weight: Arc<Slot>,
    bias: Arc<Slot>,
    factor: usize,
}

impl Enlarge {
    fn new(builder: &mut Builder, name: &str, channels: usize, factor: usize) -> Result<Self> {
        let shape = [channels, channels, factor, factor];
        let (weight, bias) = ConvInit::Default.rules(shape);
        Ok(Enlarge {
            weight: builder.parameter(format!("{name}.weight"), &shape, weight)?,
            bias: builder.parameter(format!("{name}.bias"), &[channels], bias)?,
            factor,
        })
    }

    /// A linear layer to the pixels of each square, which are then put into their places.
    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        pass.go_on()?;
        let (n, c, h, w) = x.dims4()?;
        let f = self.factor;
        let weight = self.weight.tensor(pass).reshape((c, c * f * f))?.t()?;
        let bias = self.bias.tensor(pass).unsqueeze(1)?.broadcast_as((c, f * f))?;
        let squares = pass.graph().linear(x, &weight, &bias.reshape(c * f * f)?)?;
        let squares = squares.reshape((n, c, f, f, h, w))?.permute((0, 1, 4, 2, 5, 3))?;
        Ok(squares.contiguous()?.reshape((n, c, h * f, w * f))?)
    }
}

/// x + conv(relu(conv(relu(x)))).
struct Unit {
    first: Conv2d,
    second: Conv2d,
}

impl Unit {
    fn new(builder: &mut Builder, name: &str, channels: usize) -> Result<Self> {
        Ok(Unit {
            first: conv(builder, &format!("{name}.conv1"), channels, channels, 3)?,
            second: conv(builder, &format!("{name}.conv2"), channels, channels, 3)?,
        })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let graph = pass.graph();
        let y = self.first.forward(&graph.relu(x)?, pass)?;
        let y = self.second.forward(&graph.relu(&y)?, pass)?;
        graph.residual(x, &y, &vec![1.0; x.dims()[0]])
    }
}

/// A coarse map joined with a finer one, enlarged.
struct Fusion {
    output: Conv2d,
    /// Of the finer map; the coarsest has none to join.
    side: Option<Unit>,
    unit: Unit,
}

impl Fusion {
    fn new(builder: &mut Builder, name: &str, channels: usize, coarsest: bool) -> Result<Self> {
        let output = conv(builder, &format!("{name}.out_conv"), channels, channels, 1)?;
        let side = format!("{name}.resConfUnit1");
        let side = match coarsest {
            false => Some(Unit::new(builder, &side, channels)?),
            true => {
                // UniMatch V2's files hold these numbers, which nothing is computed with
                let shape = [channels, channels, 3, 3];
                let (weight, bias) = ConvInit::Default.rules(shape);
                for part in ["conv1", "conv2"] {
                    builder.buffer(format!("{side}.{part}.weight"), &shape, weight)?;
                    builder.buffer(format!("{side}.{part}.bias"), &[channels], bias)?;
                }
                None
            }
        };
        Ok(Fusion {
            output,
            side,
            unit: Unit::new(builder, &format!("{name}.resConfUnit2"), channels)?,
        })
    }

    /// `finer` is the map to join, `size` that of the result.
    fn forward(&self, x: &Tensor, finer: Option<&Tensor>, size: [usize; 2], pass: &Pass) -> Result<Tensor> {
        let graph = pass.graph();
        let joined = match (&self.side, finer) {
            (Some(side), Some(finer)) => graph.residual(x, &side.forward(finer, pass)?, &vec![1.0; x.dims()[0]])?,
            _ => x.clone(),
        };
        let y = graph.resize_bilinear(&self.unit.forward(&joined, pass)?, size, true)?;
        self.output.forward(&y, pass)
    }
}

/// The four maps at strides 14/4, 14/2, 14 and 28, joined from coarse to fine.
pub(super) struct Dpt {
    projects: Vec<Conv2d>,
    quadruple: Enlarge,
    double: Enlarge,
    halve: Conv2d,
    narrow: Vec<Conv2d>,
    fusions: Vec<Fusion>,
    last: Conv2d,
}

impl Dpt {
    pub(super) fn new(builder: &mut Builder, config: &ModelConfig) -> Result<Self> {
        let [.., encoder] = config.encoder.channels();
        let width = config.decoder_channels;
        let maps = channels(encoder)?;
        let mut projects = Vec::new();
        for (i, channels) in maps.into_iter().enumerate() {
            projects.push(conv(builder, &format!("head.projects.{i}"), encoder, channels, 1)?);
        }
        let quadruple = Enlarge::new(builder, "head.resize_layers.0", maps[0], 4)?;
        let double = Enlarge::new(builder, "head.resize_layers.1", maps[1], 2)?;
        let halve = ConvSpec {
            stride: 2,
            bias: true,
            ..ConvSpec::new(maps[3], maps[3], 3)
        };
        let halve = Conv2d::new(builder, "head.resize_layers.3", halve)?;
        let mut narrow = Vec::new();
        for (i, channels) in maps.into_iter().enumerate() {
            let name = format!("head.scratch.layer{}_rn", i + 1);
            narrow.push(Conv2d::new(builder, &name, ConvSpec::new(channels, width, 3))?);
        }
        let mut fusions = Vec::new();
        for i in 1..=4 {
            fusions.push(Fusion::new(
                builder,
                &format!("head.scratch.refinenet{i}"),
                width,
                i == 4,
            )?);
        }
        Ok(Dpt {
            projects,
            quadruple,
            double,
            halve,
            narrow,
            fusions,
            last: conv(builder, "head.scratch.output_conv.0", width, width, 3)?,
        })
    }

    /// The map at stride 14/8.
    pub(super) fn forward(&self, pyramid: &Pyramid, pass: &Pass) -> Result<Tensor> {
        let graph = pass.graph();
        let sources = [&pyramid.layer1, &pyramid.layer2, &pyramid.layer3, &pyramid.layer4];
        let mut maps = Vec::new();
        for (i, (source, project)) in sources.into_iter().zip(&self.projects).enumerate() {
            let map = project.forward(source, pass)?;
            let map = match i {
                0 => self.quadruple.forward(&map, pass)?,
                1 => self.double.forward(&map, pass)?,
                2 => map,
                _ => self.halve.forward(&map, pass)?,
            };
            maps.push(self.narrow[i].forward(&map, pass)?);
        }
        let mut path: Option<Tensor> = None;
        for (i, fusion) in self.fusions.iter().enumerate().rev() {
            let size = match i {
                0 => graph.size(&maps[0])?.map(|side| 2 * side),
                _ => graph.size(&maps[i - 1])?,
            };
            path = Some(match &path {
                Some(path) => fusion.forward(path, Some(&maps[i]), size, pass)?,
                None => fusion.forward(&maps[i], None, size, pass)?,
            });
        }
        match path {
            Some(path) => graph.relu(&self.last.forward(&path, pass)?),
            None => fail!("internal: dpt without maps"),
        }
    }
}
