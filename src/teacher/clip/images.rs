//! The image's side of CLIP and SigLIP.

use candle_core::{D, Result as EngineResult, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, LayerNorm, Linear, Module, VarBuilder};

use super::PatchKind;
use super::config::{Config, Family, ImageSide};
use super::tower::{Tower, TwoLayers};
use crate::error::Result;
use crate::ops::pieces::Check;
use crate::ops::{Filter, resampled};

/// The image's side.
pub(super) struct ImageModel {
    patches: Conv2d,
    /// The token before the patches, its position added (CLIP).
    class: Option<Tensor>,
    /// `[1, width, side, side]`.
    positions: Tensor,
    norm_before: Option<LayerNorm>,
    tower: Tower,
    norm: LayerNorm,
    head: Head,
}

/// What brings a token to the space of the texts.
enum Head {
    /// A matrix.
    Linear(Linear),
    /// The attention of one learned token to all others, here to one alone, and two layers.
    Pooling {
        value: Linear,
        out: Linear,
        norm: LayerNorm,
        layers: TwoLayers,
    },
}

impl ImageModel {
    pub(super) fn new(config: &Config, vb: &VarBuilder) -> EngineResult<Self> {
        let side: &ImageSide = &config.image;
        let (width, eps) = (side.tower.hidden_size, side.tower.layer_norm_eps);
        let own = vb.pp("vision_model");
        let names = own.pp("embeddings");
        let clip = config.family == Family::Clip;
        let stride = Conv2dConfig {
            stride: side.patch_size,
            ..Default::default()
        };
        let patches = match clip {
            true => candle_nn::conv2d_no_bias(3, width, side.patch_size, stride, names.pp("patch_embedding"))?,
            false => candle_nn::conv2d(3, width, side.patch_size, stride, names.pp("patch_embedding"))?,
        };
        let per_side = side.image_size / side.patch_size;
        let first = usize::from(clip);
        let positions = names
            .pp("position_embedding")
            .get((first + per_side * per_side, width), "weight")?;
        let class = match clip {
            true => Some((names.get(width, "class_embedding")? + positions.get(0)?)?.reshape((1, 1, width))?),
            false => None,
        };
        let positions = positions.narrow(0, first, per_side * per_side)?;
        let positions = positions.t()?.contiguous()?.reshape((1, width, per_side, per_side))?;
        let norm = |name: &str| candle_nn::layer_norm(width, eps, own.pp(name));
        Ok(ImageModel {
            patches,
            class,
            positions,
            // the name as it is published
            norm_before: if clip { Some(norm("pre_layrnorm")?) } else { None },
            tower: Tower::new(&side.tower, &own.pp("encoder"))?,
            norm: norm("post_layernorm")?,
            head: match clip {
                true => Head::Linear(candle_nn::linear_no_bias(
                    width,
                    config.projection,
                    vb.pp("visual_projection"),
                )?),
                false => Head::pooling(side, &own.pp("head"))?,
            },
        })
    }

    /// `[1, width, rows, columns]` of a normalised image whose sides are multiples of the patch.
    pub(super) fn forward(&self, image: &Tensor, kind: PatchKind, check: Check) -> Result<Tensor> {
        let maps = self.patches.forward(image)?;
        let (n, _, rows, columns) = maps.dims4()?;
        let maps = maps.broadcast_add(&resampled(&self.positions, [rows, columns], Filter::Cubic)?)?;
        let tokens = maps.flatten_from(2)?.transpose(1, 2)?.contiguous()?;
        let tokens = match &self.class {
            Some(class) => Tensor::cat(&[class, &tokens], 1)?,
            None => tokens,
        };
        let tokens = match &self.norm_before {
            Some(norm) => norm.forward(&tokens)?,
            None => tokens,
        };
        // where the head itself pools, the blocks stay as they are
        let tokens = match (kind, &self.head) {
            (PatchKind::Values, Head::Linear(_)) => self.tower.values(tokens, check)?,
            _ => self.tower.forward(tokens, None, check)?,
        };
        let first = usize::from(self.class.is_some());
        let tokens = self
            .norm
            .forward(&tokens.narrow(1, first, rows * columns)?.contiguous()?)?;
        let features = match (kind, &self.head) {
            (_, Head::Linear(matrix)) => matrix.forward(&tokens)?,
            (PatchKind::Tokens, _) => tokens,
            (PatchKind::Values, head) => head.alone(&tokens)?,
        };
        let width = features.dim(D::Minus1)?;
        Ok(features.transpose(1, 2)?.reshape((n, width, rows, columns))?)
    }
}

impl Head {
    fn pooling(side: &ImageSide, vb: &VarBuilder) -> EngineResult<Self> {
        let width = side.tower.hidden_size;
        let names = vb.pp("attention");
        let matrices = names.get((3 * width, width), "in_proj_weight")?;
        let biases = names.get(3 * width, "in_proj_bias")?;
        Ok(Head::Pooling {
            value: Linear::new(
                matrices.narrow(0, 2 * width, width)?,
                Some(biases.narrow(0, 2 * width, width)?),
            ),
            out: candle_nn::linear(width, width, names.pp("out_proj"))?,
            norm: candle_nn::layer_norm(width, side.tower.layer_norm_eps, vb.pp("layernorm"))?,
            layers: TwoLayers::new(&side.tower, &vb.pp("mlp"))?,
        })
    }

    /// What the head gives for each token if there were no other: the attention's weight is 1.
    fn alone(&self, tokens: &Tensor) -> EngineResult<Tensor> {
        match self {
            Head::Linear(matrix) => matrix.forward(tokens),
            Head::Pooling {
                value,
                out,
                norm,
                layers,
            } => {
                let x = out.forward(&value.forward(tokens)?)?;
                &x + layers.forward(&norm.forward(&x)?)?
            }
        }
    }
}
