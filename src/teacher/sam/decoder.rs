//! From an image's embedding and a prompt to masks.
//!
//! The attention is candle-transformers'; what follows is our own, because its activation there is an approximation of the authors' GELU.

use candle_core::{Result as EngineResult, Tensor};
use candle_nn::{ConvTranspose2d, ConvTranspose2dConfig, Embedding, Linear, Module, VarBuilder};
use candle_transformers::models::segment_anything::LayerNorm2d;
use candle_transformers::models::segment_anything::transformer::TwoWayTransformer;

/// Masks that answer one point.
pub(super) const ANSWERS: usize = 3;

pub(super) struct Decoder {
    score_token: Embedding,
    mask_tokens: Embedding,
    transformer: TwoWayTransformer,
    enlarge1: ConvTranspose2d,
    norm: LayerNorm2d,
    enlarge2: ConvTranspose2d,
    /// One for the only answer, one for each of several.
    mask_layers: Vec<Layers>,
    score_layers: Layers,
}

impl Decoder {
    pub(super) fn new(width: usize, score_width: usize, vb: &VarBuilder) -> EngineResult<Self> {
        let twice = ConvTranspose2dConfig {
            stride: 2,
            ..Default::default()
        };
        let names = vb.pp("output_upscaling");
        let [half, last] = [width / 4, width / 8];
        let mask_layers =
            (0..=ANSWERS).map(|i| Layers::new([width, width, last], &vb.pp("output_hypernetworks_mlps").pp(i)));
        Ok(Decoder {
            score_token: candle_nn::embedding(1, width, vb.pp("iou_token"))?,
            mask_tokens: candle_nn::embedding(ANSWERS + 1, width, vb.pp("mask_tokens"))?,
            transformer: TwoWayTransformer::new(2, width, 8, 2048, vb.pp("transformer"))?,
            enlarge1: candle_nn::conv_transpose2d(width, half, 2, twice, names.pp(0))?,
            norm: LayerNorm2d::new(half, 1e-6, names.pp(1))?,
            enlarge2: candle_nn::conv_transpose2d(half, last, 2, twice, names.pp(3))?,
            mask_layers: mask_layers.collect::<EngineResult<_>>()?,
            score_layers: Layers::new([width, score_width, ANSWERS + 1], &vb.pp("iou_prediction_head"))?,
        })
    }

    /// The masks of prompts: numbers above 0 inside, `[prompts, answers, 4 h, 4 w]`, and the guess how good each is, `[prompts, answers]`.
    /// `embedding` and `positions` are `[1, width, h, w]`, `sparse` is `[prompts, points, width]`, `dense` is as the embedding.
    pub(super) fn forward(
        &self,
        embedding: &Tensor,
        positions: &Tensor,
        sparse: &Tensor,
        dense: &Tensor,
        several: bool,
    ) -> EngineResult<(Tensor, Tensor)> {
        let prompts = sparse.dim(0)?;
        let own = Tensor::cat(&[self.score_token.embeddings(), self.mask_tokens.embeddings()], 0)?;
        let tokens = Tensor::cat(&[&own.unsqueeze(0)?.repeat((prompts, 1, 1))?, sparse], 1)?;
        let each = |map: &Tensor| map.repeat((prompts, 1, 1, 1));
        let (map, positions) = (each(&(embedding + dense)?)?, each(positions)?);
        let shape = map.dims4()?;
        let (tokens, map) = self.transformer.forward(&map, &positions, &tokens)?;
        let map = map.transpose(1, 2)?.reshape(shape)?;
        let map = self.norm.forward(&self.enlarge1.forward(&map)?)?.gelu_erf()?;
        let map = self.enlarge2.forward(&map)?.gelu_erf()?;
        let (_, _, h, w) = map.dims4()?;
        let (first, count) = if several { (1, ANSWERS) } else { (0, 1) };
        let token = |i: usize| tokens.narrow(1, i, 1)?.squeeze(1)?.contiguous();
        let filter = |i: usize| self.mask_layers[i].forward(&token(1 + i)?);
        let filters = (first..first + count).map(filter).collect::<EngineResult<Vec<_>>>()?;
        let masks = Tensor::stack(&filters, 1)?
            .contiguous()?
            .matmul(&map.flatten_from(2)?)?;
        let scores = self.score_layers.forward(&token(0)?)?.narrow(1, first, count)?;
        Ok((masks.reshape((prompts, count, h, w))?, scores))
    }
}

/// Three linear layers with ReLU between them.
struct Layers([Linear; 3]);

impl Layers {
    fn new([input, hidden, output]: [usize; 3], vb: &VarBuilder) -> EngineResult<Self> {
        let layer = |i: usize, from, to| candle_nn::linear(from, to, vb.pp("layers").pp(i));
        Ok(Layers([
            layer(0, input, hidden)?,
            layer(1, hidden, hidden)?,
            layer(2, hidden, output)?,
        ]))
    }
}

impl Module for Layers {
    fn forward(&self, x: &Tensor) -> EngineResult<Tensor> {
        let [first, second, third] = &self.0;
        third.forward(&second.forward(&first.forward(x)?.relu()?)?.relu()?)
    }
}
