//! The text's side of CLIP and SigLIP.

use candle_core::{Device, Result as EngineResult, Tensor};
use candle_nn::{Embedding, LayerNorm, Linear, Module, VarBuilder};

use super::config::{Config, Family, TextSide};
use super::tower::{Tower, causal};
use crate::error::Result;
use crate::ops::pieces::Check;

/// The text's side.
pub(super) struct TextModel {
    tokens: Embedding,
    positions: Tensor,
    tower: Tower,
    norm: LayerNorm,
    head: Linear,
    causal: bool,
}

impl TextModel {
    pub(super) fn new(config: &Config, vb: &VarBuilder) -> EngineResult<Self> {
        let side: &TextSide = &config.text;
        let width = side.tower.hidden_size;
        let own = vb.pp("text_model");
        let names = own.pp("embeddings");
        let causal = config.family == Family::Clip;
        let head = match config.family {
            Family::Clip => candle_nn::linear_no_bias(width, config.projection, vb.pp("text_projection"))?,
            Family::Siglip => candle_nn::linear(width, config.projection, own.pp("head"))?,
        };
        Ok(TextModel {
            tokens: candle_nn::embedding(side.vocab_size, width, names.pp("token_embedding"))?,
            positions: names
                .pp("position_embedding")
                .get((side.max_position_embeddings, width), "weight")?,
            tower: Tower::new(&side.tower, &own.pp("encoder"))?,
            norm: candle_nn::layer_norm(width, side.tower.layer_norm_eps, own.pp("final_layer_norm"))?,
            head,
            causal,
        })
    }

    /// `[rows, width]`: the features of the token at the place of each row.
    pub(super) fn forward(&self, rows: &[Vec<u32>], places: &[usize], device: &Device, check: Check) -> Result<Tensor> {
        let length = rows.first().map_or(0, Vec::len);
        let ids = Tensor::from_vec(rows.concat(), (rows.len(), length), device)?;
        let tokens = self
            .tokens
            .forward(&ids)?
            .broadcast_add(&self.positions.narrow(0, 0, length)?)?;
        let mask = match self.causal {
            true => Some(causal(length, device)?),
            false => None,
        };
        let tokens = self.norm.forward(&self.tower.forward(tokens, mask.as_ref(), check)?)?;
        let one = |(i, place): (usize, &usize)| tokens.narrow(0, i, 1)?.narrow(1, *place, 1)?.squeeze(1);
        let chosen = places.iter().enumerate().map(one).collect::<EngineResult<Vec<_>>>()?;
        Ok(self.head.forward(&Tensor::cat(&chosen, 0)?)?)
    }
}
