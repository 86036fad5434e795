//! The transformer of CLIP and SigLIP, for images and for texts: blocks of attention and two layers, each behind a norm.

use candle_core::{D, DType, Device, Result as EngineResult, Tensor};
use candle_nn::{LayerNorm, Linear, Module, VarBuilder};

use super::config::{Act, Side};
use crate::error::Result;
use crate::ops::pieces::Check;

/// The blocks of one side.
pub(super) struct Tower {
    blocks: Vec<Block>,
}

impl Tower {
    /// `vb` stands at the part called `encoder`.
    pub(super) fn new(side: &Side, vb: &VarBuilder) -> EngineResult<Self> {
        let block = |i: usize| Block::new(side, &vb.pp("layers").pp(i));
        let blocks = (0..side.num_hidden_layers).map(block).collect::<EngineResult<_>>()?;
        Ok(Tower { blocks })
    }

    /// The tokens `[n, t, width]` behind all blocks. `mask` is added to the scores of the attention. `check` is asked before each block.
    pub(super) fn forward(&self, tokens: Tensor, mask: Option<&Tensor>, check: Check) -> Result<Tensor> {
        self.blocks.iter().try_fold(tokens, |tokens, block| {
            check()?;
            Ok(block.forward(&tokens, mask)?)
        })
    }

    /// As [`Tower::forward`], but in the last block every token keeps its own value: nothing is mixed over the image.
    pub(super) fn values(&self, tokens: Tensor, check: Check) -> Result<Tensor> {
        let Some((last, others)) = self.blocks.split_last() else {
            return Ok(tokens);
        };
        let tokens = others.iter().try_fold(tokens, |tokens, block| {
            check()?;
            Result::Ok(block.forward(&tokens, None)?)
        })?;
        check()?;
        Ok(last.values(&tokens)?)
    }
}

struct Block {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: LayerNorm,
    layers: TwoLayers,
    heads: usize,
}

impl Block {
    fn new(side: &Side, vb: &VarBuilder) -> EngineResult<Self> {
        let width = side.hidden_size;
        let linear = |name: &str| candle_nn::linear(width, width, vb.pp("self_attn").pp(name));
        let norm = |name: &str| candle_nn::layer_norm(width, side.layer_norm_eps, vb.pp(name));
        Ok(Block {
            norm1: norm("layer_norm1")?,
            query: linear("q_proj")?,
            key: linear("k_proj")?,
            value: linear("v_proj")?,
            out: linear("out_proj")?,
            norm2: norm("layer_norm2")?,
            layers: TwoLayers::new(side, &vb.pp("mlp"))?,
            heads: side.num_attention_heads,
        })
    }

    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> EngineResult<Tensor> {
        let y = self.norm1.forward(x)?;
        let (n, t, width) = y.dims3()?;
        let split = |layer: &Linear| {
            let heads = layer.forward(&y)?.reshape((n, t, self.heads, width / self.heads))?;
            heads.transpose(1, 2)?.contiguous()
        };
        let (q, k, v) = (split(&self.query)?, split(&self.key)?, split(&self.value)?);
        let scale = ((width / self.heads) as f64).sqrt();
        let scores = (q.matmul(&k.t()?)? / scale)?;
        let scores = match mask {
            Some(mask) => scores.broadcast_add(mask)?,
            None => scores,
        };
        let mixed = candle_nn::ops::softmax_last_dim(&scores)?.matmul(&v)?;
        let mixed = mixed.transpose(1, 2)?.reshape((n, t, width))?;
        self.rest(x, &mixed)
    }

    fn values(&self, x: &Tensor) -> EngineResult<Tensor> {
        self.rest(x, &self.value.forward(&self.norm1.forward(x)?)?)
    }

    /// What follows on the attention.
    fn rest(&self, x: &Tensor, attended: &Tensor) -> EngineResult<Tensor> {
        let x = (x + self.out.forward(attended)?)?;
        &x + self.layers.forward(&self.norm2.forward(&x)?)?
    }
}

/// Two linear layers with a function between them.
pub(super) struct TwoLayers {
    first: Linear,
    act: Act,
    second: Linear,
}

impl TwoLayers {
    pub(super) fn new(side: &Side, vb: &VarBuilder) -> EngineResult<Self> {
        Ok(TwoLayers {
            first: candle_nn::linear(side.hidden_size, side.intermediate_size, vb.pp("fc1"))?,
            act: side.hidden_act,
            second: candle_nn::linear(side.intermediate_size, side.hidden_size, vb.pp("fc2"))?,
        })
    }
}

impl Module for TwoLayers {
    fn forward(&self, x: &Tensor) -> EngineResult<Tensor> {
        self.second.forward(&self.act.apply(&self.first.forward(x)?)?)
    }
}

/// The mask with which no token sees those behind it: `[t, t]`.
pub(super) fn causal(tokens: usize, device: &Device) -> EngineResult<Tensor> {
    let row = |i: usize| (0..tokens).map(move |j| if j > i { f32::NEG_INFINITY } else { 0.0 });
    let numbers: Vec<f32> = (0..tokens).flat_map(row).collect();
    Tensor::from_vec(numbers, (tokens, tokens), device)
}

/// Rows of length 1.
pub(super) fn unit_rows(x: &Tensor) -> EngineResult<Tensor> {
    let length = x.to_dtype(DType::F64)?.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    x.broadcast_div(&length.clamp(1e-12, f64::INFINITY)?.to_dtype(x.dtype())?)
}
