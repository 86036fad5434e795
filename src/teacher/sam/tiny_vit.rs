//! The image encoder of Mobile-SAM (Zhang et al. 2023), a TinyViT (Wu et al. 2022): convolutions, then attention within windows.
//!
//! Our own: that of candle-transformers approximates the GELU of the authors, takes 1024 x 1024 pixels only, and is slow where each
//! channel has a filter of its own.

use candle_core::{Result as EngineResult, Tensor};
use candle_nn::{LayerNorm, Linear, Module, VarBuilder};
use candle_transformers::models::segment_anything::LayerNorm2d;

use crate::error::Result;
use crate::ops::{Conv2dOptions, conv2d};

/// By how much the inner part of a block is wider.
const EXPANSION: usize = 4;

/// Width, blocks, heads and window of the four stages; the first is made of convolutions.
pub(super) struct Plan {
    pub(super) widths: [usize; 4],
    pub(super) blocks: [usize; 4],
    pub(super) heads: [usize; 4],
    pub(super) windows: [usize; 4],
}

impl Plan {
    /// That of Mobile-SAM.
    pub(super) const REAL: Plan = Plan {
        widths: [64, 128, 160, 320],
        blocks: [2, 2, 6, 2],
        heads: [2, 4, 5, 10],
        windows: [7, 7, 14, 7],
    };
    /// A small one for random numbers.
    pub(super) const SMALL: Plan = Plan {
        widths: [8, 8, 16, 24],
        blocks: [1; 4],
        heads: [1, 2, 2, 3],
        windows: [7, 7, 14, 7],
    };
}

pub(super) struct TinyVit {
    first: [Conv; 2],
    convolutions: Vec<ConvBlock>,
    /// What leads to each stage but the first, and its blocks.
    stages: Vec<(Merge, Vec<Block>)>,
    neck: [(Conv, LayerNorm2d); 2],
}

impl TinyVit {
    pub(super) fn new(plan: &Plan, output: usize, vb: &VarBuilder) -> EngineResult<Self> {
        let [width, .., last] = plan.widths;
        let names = |stage: usize| vb.pp("layers").pp(stage);
        let first = vb.pp("patch_embed").pp("seq");
        let convolution = |i: usize| ConvBlock::new(width, &names(0).pp("blocks").pp(i));
        let stage = |s: usize| {
            // the map is halved before each stage but the last
            let stride = if s < 3 { 2 } else { 1 };
            let merge = Merge::new(
                plan.widths[s - 1],
                plan.widths[s],
                stride,
                &names(s - 1).pp("downsample"),
            )?;
            let block = |i: usize| Block::new(plan, s, &names(s).pp("blocks").pp(i));
            Ok((merge, (0..plan.blocks[s]).map(block).collect::<EngineResult<_>>()?))
        };
        let neck = |i: usize, input, kernel| {
            let conv = Conv::plain(input, output, kernel, &vb.pp("neck").pp(2 * i))?;
            EngineResult::Ok((conv, LayerNorm2d::new(output, 1e-6, vb.pp("neck").pp(2 * i + 1))?))
        };
        Ok(TinyVit {
            first: [
                Conv::new(3, width / 2, Conv2dOptions::same(3, 2, 1), 3, &first.pp(0))?,
                Conv::new(width / 2, width, Conv2dOptions::same(3, 2, 1), 3, &first.pp(2))?,
            ],
            convolutions: (0..plan.blocks[0]).map(convolution).collect::<EngineResult<_>>()?,
            stages: (1..4).map(stage).collect::<EngineResult<_>>()?,
            neck: [neck(0, last, 1)?, neck(1, output, 3)?],
        })
    }

    /// `[n, output, side / 16, side / 16]` of `[n, 3, side, side]`.
    pub(super) fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let mut map = self.first[1].forward(&self.first[0].forward(images)?.gelu_erf()?)?;
        for block in &self.convolutions {
            map = block.forward(&map)?;
        }
        for (merge, blocks) in &self.stages {
            map = merge.forward(&map)?;
            for block in blocks {
                map = block.forward(&map)?;
            }
        }
        for (conv, norm) in &self.neck {
            map = norm.forward(&conv.forward(&map)?)?;
        }
        Ok(map)
    }
}

/// A convolution, the batch norm behind it taken in.
struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    options: Conv2dOptions,
}

impl Conv {
    fn new(input: usize, output: usize, options: Conv2dOptions, kernel: usize, vb: &VarBuilder) -> EngineResult<Self> {
        let weight = vb
            .pp("c")
            .get((output, input / options.groups, kernel, kernel), "weight")?;
        let norm = vb.pp("bn");
        let part = |name: &str| norm.get(output, name);
        let scale = (part("weight")? / (part("running_var")? + 1e-5)?.sqrt()?)?;
        let bias = (part("bias")? - (part("running_mean")? * &scale)?)?;
        Ok(Conv {
            weight: weight.broadcast_mul(&scale.reshape((output, 1, 1, 1))?)?,
            bias: Some(bias),
            options,
        })
    }

    fn plain(input: usize, output: usize, kernel: usize, vb: &VarBuilder) -> EngineResult<Self> {
        Ok(Conv {
            weight: vb.get((output, input, kernel, kernel), "weight")?,
            bias: None,
            options: Conv2dOptions::same(kernel, 1, 1),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        conv2d(x, &self.weight, self.bias.as_ref(), &self.options)
    }
}

/// A convolution of each channel by itself.
fn apart(channels: usize, stride: usize) -> Conv2dOptions {
    Conv2dOptions {
        groups: channels,
        ..Conv2dOptions::same(3, stride, 1)
    }
}

/// Wider, each channel by itself, narrow again, beside the input.
struct ConvBlock([Conv; 3]);

impl ConvBlock {
    fn new(width: usize, vb: &VarBuilder) -> EngineResult<Self> {
        let wide = EXPANSION * width;
        Ok(ConvBlock([
            Conv::new(width, wide, Conv2dOptions::same(1, 1, 1), 1, &vb.pp("conv1"))?,
            Conv::new(wide, wide, apart(wide, 1), 3, &vb.pp("conv2"))?,
            Conv::new(wide, width, Conv2dOptions::same(1, 1, 1), 1, &vb.pp("conv3"))?,
        ]))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.0[0].forward(x)?.gelu_erf()?;
        let y = self.0[1].forward(&y)?.gelu_erf()?;
        Ok((self.0[2].forward(&y)? + x)?.gelu_erf()?)
    }
}

/// Another width and, with a stride, a smaller map.
struct Merge([Conv; 3]);

impl Merge {
    fn new(input: usize, output: usize, stride: usize, vb: &VarBuilder) -> EngineResult<Self> {
        Ok(Merge([
            Conv::new(input, output, Conv2dOptions::same(1, 1, 1), 1, &vb.pp("conv1"))?,
            Conv::new(output, output, apart(output, stride), 3, &vb.pp("conv2"))?,
            Conv::new(output, output, Conv2dOptions::same(1, 1, 1), 1, &vb.pp("conv3"))?,
        ]))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.0[0].forward(x)?.gelu_erf()?;
        let y = self.0[1].forward(&y)?.gelu_erf()?;
        self.0[2].forward(&y)
    }
}

/// Attention within windows, a convolution, two layers.
struct Block {
    attention: Attention,
    window: usize,
    local: Conv,
    norm: LayerNorm,
    layers: [Linear; 2],
}

impl Block {
    fn new(plan: &Plan, stage: usize, vb: &VarBuilder) -> EngineResult<Self> {
        let (width, window) = (plan.widths[stage], plan.windows[stage]);
        let wide = EXPANSION * width;
        let names = vb.pp("mlp");
        Ok(Block {
            attention: Attention::new(width, plan.heads[stage], window, &vb.pp("attn"))?,
            window,
            local: Conv::new(width, width, apart(width, 1), 3, &vb.pp("local_conv"))?,
            norm: candle_nn::layer_norm(width, 1e-5, names.pp("norm"))?,
            layers: [
                candle_nn::linear(width, wide, names.pp("fc1"))?,
                candle_nn::linear(wide, width, names.pp("fc2"))?,
            ],
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, c, h, w) = x.dims4()?;
        let side = self.window;
        let [rows, columns] = [h, w].map(|size| size.div_ceil(side));
        let padded = x
            .pad_with_zeros(2, 0, rows * side - h)?
            .pad_with_zeros(3, 0, columns * side - w)?;
        // [n, c, rows, side, columns, side] -> windows of tokens, and back
        let windows = padded
            .reshape(&[n, c, rows, side, columns, side])?
            .permute([0, 2, 4, 3, 5, 1])?
            .reshape((n * rows * columns, side * side, c))?;
        let attended = self
            .attention
            .forward(&windows)?
            .reshape(&[n, rows, columns, side, side, c])?
            .permute([0, 5, 1, 3, 2, 4])?
            .reshape((n, c, rows * side, columns * side))?;
        let attended = attended.narrow(2, 0, h)?.narrow(3, 0, w)?;
        let x = self.local.forward(&(x + attended)?)?;
        let tokens = x.flatten_from(2)?.transpose(1, 2)?.contiguous()?;
        let inner = self.layers[0].forward(&self.norm.forward(&tokens)?)?.gelu_erf()?;
        let added = self.layers[1].forward(&inner)?.transpose(1, 2)?.reshape((n, c, h, w))?;
        Ok((x + added)?)
    }
}

/// Attention between the tokens of a window, with a number added for each distance.
struct Attention {
    norm: LayerNorm,
    all: Linear,
    out: Linear,
    /// `[heads, tokens, tokens]`.
    distances: Tensor,
    heads: usize,
}

impl Attention {
    fn new(width: usize, heads: usize, side: usize, vb: &VarBuilder) -> EngineResult<Self> {
        // the authors number the distances as they meet them, the first token's first: by rows, then columns
        let biases = vb.get((heads, side * side), "attention_biases")?;
        let place = |i: usize| (i / side, i % side);
        let number = |i: usize, j: usize| {
            let ((a, b), (c, d)) = (place(i), place(j));
            (a.abs_diff(c) * side + b.abs_diff(d)) as u32
        };
        let tokens = side * side;
        let numbers: Vec<u32> = (0..tokens * tokens)
            .map(|at| number(at / tokens, at % tokens))
            .collect();
        let numbers = Tensor::from_vec(numbers, tokens * tokens, biases.device())?;
        Ok(Attention {
            norm: candle_nn::layer_norm(width, 1e-5, vb.pp("norm"))?,
            all: candle_nn::linear(width, 3 * width, vb.pp("qkv"))?,
            out: candle_nn::linear(width, width, vb.pp("proj"))?,
            distances: biases.index_select(&numbers, 1)?.reshape((heads, tokens, tokens))?,
            heads,
        })
    }

    fn forward(&self, x: &Tensor) -> EngineResult<Tensor> {
        let (n, t, width) = x.dims3()?;
        let d = width / self.heads;
        let all = self
            .all
            .forward(&self.norm.forward(x)?)?
            .reshape((n, t, self.heads, 3 * d))?;
        let part = |i: usize| all.narrow(3, i * d, d)?.transpose(1, 2)?.contiguous();
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scores = (q.matmul(&k.t()?)? / (d as f64).sqrt())?.broadcast_add(&self.distances)?;
        let mixed = candle_nn::ops::softmax_last_dim(&scores)?.matmul(&v)?;
        self.out.forward(&mixed.transpose(1, 2)?.reshape((n, t, width))?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candle_core::{DType, Device};

    use super::*;
    use crate::nn::weights;

    /// Against timm's TinyViT with the last stage as in Mobile-SAM; see tests/golden/make_golden_teachers.py.
    #[test]
    fn the_encoder_of_mobile_sam_is_timms() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/teachers");
        let read = |name: &str| weights::read(folder.join(name), &Device::Cpu).unwrap().tensors;
        let vb = VarBuilder::from_tensors(read("mobile_sam.safetensors"), DType::F32, &Device::Cpu);
        let encoder = TinyVit::new(&Plan::SMALL, 16, &vb.pp("image_encoder")).unwrap();
        let golden = read("expected.safetensors");
        let found = encoder.forward(&golden["tiny.images"]).unwrap();
        let expected = &golden["tiny.maps"];
        assert_eq!(found.dims(), expected.dims());
        let difference = (found - expected).unwrap().abs().unwrap().flatten_all().unwrap();
        let most = difference.max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(most < 1e-4, "{most}");
    }
}
