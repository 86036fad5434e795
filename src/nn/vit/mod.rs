//! The Vision Transformer of DINOv2 (Oquab et al. 2023; with registers Darcet et al. 2024), with the parameter names and the arithmetic of
//! Hugging Face's `Dinov2Model` and `Dinov2WithRegistersModel`.
//!
//! The tokens of an image (class token, registers, patches row by row) are a map of one column, `[n, d, tokens, 1]`.

mod position;
mod tests;

use std::sync::Arc;

use candle_core::Tensor;

use super::config::EncoderKind;
use super::init::{ConvInit, Init};
use super::layer::{Conv2d, LayerNorm, Linear, drop_path};
use super::param::{Builder, Slot};
use super::pass::Pass;
use super::resnet::Pyramid;
use crate::ensure;
use crate::error::Result;
use crate::ops::{Conv2dOptions, Filter, nearest_multiple};
use position::on_grid;

/// Side of a patch, in pixels: the stride of the maps.
pub(super) const PATCH: usize = 14;

/// Spread of the random numbers that a network starts from.
const SPREAD: f64 = 0.02;

/// Everything that determines a Vision Transformer except its numbers.
#[derive(Clone, Debug)]
pub(super) struct VitConfig {
    /// What messages call it.
    pub(super) name: &'static str,
    /// Numbers of a token.
    pub(super) width: usize,
    /// Heads of the attention.
    pub(super) heads: usize,
    /// Blocks behind which each of the four maps is taken, one after the other.
    pub(super) blocks: [usize; 4],
    /// Tokens that belong to no patch, beside the class token.
    pub(super) registers: usize,
    /// Patches along each side of the images that the position embeddings were made for.
    pub(super) grid: usize,
    /// Probability that a branch of the last block is left out while training.
    pub(super) drop_path: f64,
}

impl VitConfig {
    /// That of a published network, `None` for an encoder of another kind.
    pub(super) fn of(kind: EncoderKind, drop_path: f64) -> Option<Self> {
        let registers = match kind {
            EncoderKind::DinoV2S | EncoderKind::DinoV2B | EncoderKind::DinoV2L => 0,
            EncoderKind::DinoV2SReg | EncoderKind::DinoV2BReg | EncoderKind::DinoV2LReg => 4,
            _ => return None,
        };
        let width = kind.channels()[4];
        Some(VitConfig {
            name: kind.name(),
            width,
            heads: width / 64,
            blocks: kind.blocks(),
            registers,
            grid: 37, // of images of 518 x 518
            drop_path,
        })
    }
}

/// Patches, class token and registers with their positions.
struct Embeddings {
    class: Arc<Slot>,
    positions: Arc<Slot>,
    registers: Option<Arc<Slot>>,
    projection: Conv2d,
    filter: Filter,
}

impl Embeddings {
    fn new(builder: &mut Builder, name: &str, config: &VitConfig) -> Result<Self> {
        let d = config.width;
        let class = builder.parameter(format!("{name}.cls_token"), &[1, 1, d], Init::Normal(SPREAD))?;
        // what stands for hidden patches in the pretraining of DINOv2: it is kept for those who read the file, and not trained here
        builder.buffer(format!("{name}.mask_token"), &[1, d], Init::Zero)?;
        let tokens = 1 + config.grid * config.grid;
        let positions = format!("{name}.position_embeddings");
        let positions = builder.parameter(positions, &[1, tokens, d], Init::Normal(SPREAD))?;
        let registers = match config.registers {
            0 => None,
            n => Some(builder.parameter(format!("{name}.register_tokens"), &[1, n, d], Init::Zero)?),
        };
        let options = Conv2dOptions {
            stride: [PATCH; 2],
            ..Conv2dOptions::default()
        };
        let (projection, shape) = (format!("{name}.patch_embeddings.projection"), [d, 3, PATCH, PATCH]);
        Ok(Embeddings {
            class,
            positions,
            projection: Conv2d::shaped(builder, &projection, shape, options, true, ConvInit::Transformer)?,
            // as each of the two models does in transformers
            filter: match registers {
                None => Filter::Cubic,
                Some(_) => Filter::SmoothCubic,
            },
            registers,
        })
    }

    /// Images [n, 3, rows * 14, columns * 14] -> tokens [n, d, 1 + registers + rows * columns, 1].
    fn forward(&self, images: &Tensor, [rows, columns]: [usize; 2], pass: &Pass) -> Result<Tensor> {
        let patches = pass.graph().widened(&self.projection.forward(images, pass)?)?;
        let (n, d, ..) = patches.dims4()?;
        let positions = self.positions.tensor(pass).squeeze(0)?;
        let grid = positions.narrow(0, 1, positions.dim(0)? - 1)?;
        let places = on_grid(&grid, [rows, columns], self.filter)?.unsqueeze(0)?;
        let patches = patches.reshape((n, d, rows * columns))?.broadcast_add(&places)?;
        let class = self.class.tensor(pass).broadcast_add(&positions.narrow(0, 0, 1)?)?;
        let mut first = vec![class];
        if let Some(registers) = &self.registers {
            first.push(registers.tensor(pass));
        }
        let first = Tensor::cat(&first, 1)?.transpose(1, 2)?;
        let first = first.broadcast_as((n, d, first.dim(2)?))?;
        Ok(Tensor::cat(&[&first, &patches], 2)?.unsqueeze(3)?)
    }
}

/// x + scale attention(norm(x)), then x + scale mlp(norm(x)), with a scale for each channel. What the branches are added to, and what the
/// norms take, is never bf16.
struct Block {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    scale1: Arc<Slot>,
    norm2: LayerNorm,
    widen: Linear,
    narrow: Linear,
    scale2: Arc<Slot>,
    heads: usize,
    /// Probability that a branch is left out while training.
    drop: f64,
}

impl Block {
    fn new(builder: &mut Builder, name: &str, config: &VitConfig, drop: f64) -> Result<Self> {
        let d = config.width;
        let attention = format!("{name}.attention.attention");
        Ok(Block {
            norm1: LayerNorm::new(builder, &format!("{name}.norm1"), d)?.with_eps(1e-6),
            query: Linear::new(builder, &format!("{attention}.query"), d, d)?,
            key: Linear::new(builder, &format!("{attention}.key"), d, d)?,
            value: Linear::new(builder, &format!("{attention}.value"), d, d)?,
            output: Linear::new(builder, &format!("{name}.attention.output.dense"), d, d)?,
            scale1: builder.parameter(format!("{name}.layer_scale1.lambda1"), &[d], Init::One)?,
            norm2: LayerNorm::new(builder, &format!("{name}.norm2"), d)?.with_eps(1e-6),
            widen: Linear::new(builder, &format!("{name}.mlp.fc1"), d, 4 * d)?,
            narrow: Linear::new(builder, &format!("{name}.mlp.fc2"), 4 * d, d)?,
            scale2: builder.parameter(format!("{name}.layer_scale2.lambda1"), &[d], Init::One)?,
            heads: config.heads,
            drop,
        })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (graph, images) = (pass.graph(), x.dims()[0]);
        let y = graph.rounded(&self.norm1.forward(x, pass)?)?;
        let (query, key) = (self.query.forward(&y, pass)?, self.key.forward(&y, pass)?);
        let y = graph.attention(&query, &key, &self.value.forward(&y, pass)?, self.heads)?;
        let y = graph.widened(&self.output.forward(&y, pass)?)?;
        let factors = drop_path(self.drop, images, pass)?;
        let x = graph.scaled_residual(x, &y, &self.scale1.tensor(pass), &factors)?;
        let y = graph.rounded(&self.norm2.forward(&x, pass)?)?;
        let y = graph.gelu(&self.widen.forward(&y, pass)?)?;
        let y = graph.widened(&self.narrow.forward(&y, pass)?)?;
        let factors = drop_path(self.drop, images, pass)?;
        graph.scaled_residual(&x, &y, &self.scale2.tensor(pass), &factors)
    }
}

/// Embeddings, blocks, and one norm for all maps.
pub(super) struct Vit {
    config: VitConfig,
    embeddings: Embeddings,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl Vit {
    pub(super) fn new(builder: &mut Builder, name: &str, config: &VitConfig) -> Result<Self> {
        let embeddings = Embeddings::new(builder, &format!("{name}.embeddings"), config)?;
        let count: usize = config.blocks.iter().sum();
        let mut blocks = Vec::with_capacity(count);
        for i in 0..count {
            let drop = config.drop_path * i as f64 / (count - 1).max(1) as f64;
            blocks.push(Block::new(builder, &format!("{name}.encoder.layer.{i}"), config, drop)?);
        }
        Ok(Vit {
            config: config.clone(),
            embeddings,
            blocks,
            norm: LayerNorm::new(builder, &format!("{name}.layernorm"), config.width)?.with_eps(1e-6),
        })
    }

    /// The names below which the tensors of embeddings and blocks lie, in order; the last block goes with the norm.
    pub(super) fn stage_names(&self, dotted: &str) -> Vec<Vec<String>> {
        let mut names = vec![vec![format!("{dotted}embeddings")]];
        names.extend((0..self.blocks.len()).map(|i| vec![format!("{dotted}encoder.layer.{i}")]));
        if let Some(last) = names.last_mut() {
            last.push(format!("{dotted}layernorm"));
        }
        names
    }

    /// Images [n, 3, h, w] -> the normed patches as maps [n, d, h / 14, w / 14], behind four of the blocks.
    ///
    /// # Errors
    /// Sides that are no multiples of 14.
    pub(super) fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Pyramid> {
        let (n, _, height, width) = images.dims4()?;
        check_sides(self.config.name, [height, width])?;
        let [rows, columns] = [height, width].map(|side| side / PATCH);
        let mut x = self.embeddings.forward(images, [rows, columns], pass)?;
        let mut blocks = self.blocks.iter();
        let mut map = |count: usize| -> Result<Tensor> {
            for block in blocks.by_ref().take(count) {
                x = block.forward(&x, pass)?;
            }
            let patches = x.narrow(2, 1 + self.config.registers, rows * columns)?;
            let y = self.norm.forward(&patches.contiguous()?, pass)?;
            let y = y.reshape((n, self.config.width, rows, columns))?;
            pass.graph().rounded(&y)
        };
        let [first, second, third, fourth] = self.config.blocks;
        Ok(Pyramid {
            stem: None,
            layer1: map(first)?,
            layer2: map(second)?,
            layer3: map(third)?,
            layer4: map(fourth)?,
        })
    }
}

/// Refuse images whose sides the patches of the encoder `name` do not fill.
pub(super) fn check_sides(name: &str, size: [usize; 2]) -> Result<()> {
    let [h, w] = nearest_multiple(size, PATCH);
    ensure!(
        size == [h, w],
        "{name} cuts images into patches of {PATCH} x {PATCH} pixels: found images of {} x {} (height x width), expected sides that are \
         multiples of {PATCH}, such as {h} x {w}; data.resize(#{{ multiple: {PATCH} }}) brings each image of a data set to the nearest \
         ones, data.resize([{h}, {w}]) all to one size, augment: #{{ crop: [{h}, {w}] }} cuts",
        size[0],
        size[1]
    );
    Ok(())
}

/// The name that published files have for a tensor that transformers, from version 5 on, calls otherwise.
pub(super) fn published(name: &str) -> Option<String> {
    const CALLED: [(&str, &str); 4] = [
        (".attention.q_proj.", ".attention.attention.query."),
        (".attention.k_proj.", ".attention.attention.key."),
        (".attention.v_proj.", ".attention.attention.value."),
        (".attention.o_proj.", ".attention.output.dense."),
    ];
    let (new, old) = CALLED.iter().find(|(new, _)| name.contains(new))?;
    Some(name.replace(new, old))
}
