//! What a model computes: the whole, or a part.

use candle_core::DType;

use super::Model;
use crate::nn::Value;
use crate::script::prelude::*;
use crate::session::memory::affordable;

/// How the array that `encode` gives remembers, as its tag, that a side of the images was odd: a map of stride 2 does not tell.
const ODD_HEIGHT: i32 = 1;
const ODD_WIDTH: i32 = 2;

/// Declare the methods.
pub(super) fn declare(table: &mut Table) {
    table.methods::<Model>(entries! {
        /// Compute the logits [n, classes, h, w] of normalised images [n, 3, h, w], at their size.
        ///
        /// Images of any size are taken. In training mode batch norm uses the batch's own statistics and updates the running
        /// ones, and dropout is active; call `eval()` before predicting. Inside `tensor::no_grad` no graph is kept. A layer of `nn::` gives
        /// what it computes of any tensor.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// let logits = net.forward(tensor::randn([2, 3, 32, 40]));
        /// assert_eq(logits.shape, [2, 3, 32, 40]);
        /// ```
        fn forward(ctx, model: Model, /// Normalised images [n, 3, h, w]; whatever a layer takes.
                   images: Tensor) -> Value {
            let images = ctx.seen(&images);
            model.pass(ctx, |model, pass| model.compute(&images, pass))
        }

        /// Compute the decoder's map of normalised images: what the classifier and the projection head look at.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// assert_eq(net.features(tensor::randn([2, 3, 32, 32])).shape, [2, 16, 8, 8]);
        /// ```
        fn features(ctx, model: Model, /// Normalised images [n, 3, h, w].
                    images: Tensor) -> Tensor {
            let images = ctx.seen(&images);
            model.pass(ctx, |model, pass| model.features(&images, pass))
        }

        /// Compute the embedding of every position: the projection head's map, of unit norm over the channels.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16, projection: #{ channels: 8 } });
        /// let z = net.embed(tensor::randn([2, 3, 32, 32]));
        /// assert_eq(z.shape, [2, 8, 8, 8]);
        /// assert_close((z * z).sum().item(), 128.0, #{ tolerance: 1e-3 });
        /// ```
        fn embed(ctx, model: Model, /// Normalised images [n, 3, h, w].
                 images: Tensor) -> Tensor {
            let images = ctx.seen(&images);
            model.pass(ctx, |model, pass| model.embed(&images, pass))
        }

        /// Compute the encoder's maps of normalised images, from fine to coarse.
        ///
        /// Of a ResNet the maps after the stem (stride 2) and the four stages, of a Mix Transformer those of the four stages, of DINOv2 the
        /// normed patches (stride 14) behind the blocks at a quarter, a half, three quarters and the end of its depth.
        /// `decode`, then `classify` or `project` go on with them: in a row they compute what `forward` and `embed` do.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// let x = tensor::randn([2, 3, 32, 32]);
        /// net.eval();
        /// let maps = net.encode(x);
        /// assert_eq(maps[1].shape, [2, 64, 8, 8]);
        /// assert_eq(net.classify(net.decode(maps), [32, 32]), net.forward(x));
        /// ```
        fn encode(ctx, model: Model, /// Normalised images [n, 3, h, w].
                  images: Tensor) -> Dynamic {
            let images = ctx.seen(&images);
            let maps = model.pass(ctx, |model, pass| model.encode(&images, pass))?;
            let maps: Array = maps.into_iter().map(Dynamic::from).collect();
            let odd = |side: usize| (images.dims()[side] % 2) as i32;
            let mut maps = Dynamic::from_array(maps);
            maps.set_tag(ODD_HEIGHT * odd(2) + ODD_WIDTH * odd(3));
            Ok(maps)
        }

        /// Compute the decoder's map of the encoder's maps: `features` is `decode` of `encode`.
        /// ```
        /// let net = model::unet(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// let x = tensor::randn([2, 3, 32, 32]);
        /// let maps = net.encode(x);
        /// maps[4] = maps[4] * 0.5;
        /// assert_eq(net.decode(maps).shape, net.features(x).shape);
        /// ```
        fn decode(ctx, model: Model, /// What `encode` gave, perhaps changed.
                  maps: Dynamic,
                  /// The size of the images (U-Net's map has it); twice that of the finest map if absent, less one where `encode` saw
                  /// an odd side.
                  size: Option<[usize; 2]> = None) -> Tensor {
            let odd = |side: i32| usize::from(maps.tag() & side != 0);
            let odd = [odd(ODD_HEIGHT), odd(ODD_WIDTH)];
            let maps = <Vec<Tensor> as Arg>::read(&maps).map_err(|_| Error::usage("`maps` must be the array of tensors that encode gave"))?;
            let maps: Vec<Tensor> = maps.iter().map(|t| ctx.seen(t)).collect();
            let from_maps = || match maps.first().map(Tensor::dims) {
                Some([_, _, h, w]) => [(2 * h).saturating_sub(odd[0]), (2 * w).saturating_sub(odd[1])],
                _ => [1, 1],
            };
            let size = size.unwrap_or_else(from_maps);
            model.pass(ctx, |model, pass| model.decode(&maps, size, pass))
        }

        /// Compute the logits of the decoder's map, resized to the size of the images.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// assert_eq(net.classify(tensor::randn([1, 16, 8, 8]), [32, 30]).shape, [1, 3, 32, 30]);
        /// ```
        fn classify(ctx, model: Model, /// What `features` or `decode` gave, perhaps changed.
                    features: Tensor,
                    /// Height and width of the logits.
                    size: [usize; 2]) -> Tensor {
            let features = ctx.seen(&features);
            let classes = model.0.borrow().classes();
            let images = features.dims().first().copied().unwrap_or(0);
            affordable(&[images, classes, size[0], size[1]], DType::F32)?;
            model.pass(ctx, |model, pass| model.classify(&features, size, pass))
        }

        /// Compute the projection head's map of the decoder's map, not normalised (`embed` is, over the channels).
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16, projection: #{ channels: 8 } });
        /// assert_eq(net.project(tensor::randn([1, 16, 8, 8])).shape, [1, 8, 8, 8]);
        /// ```
        fn project(ctx, model: Model, /// What `features` or `decode` gave, perhaps changed.
                   features: Tensor) -> Tensor {
            let features = ctx.seen(&features);
            model.pass(ctx, |model, pass| model.project(&features, pass))
        }

        /// Compute `logits`, `features` and `embeddings` of normalised images in one pass.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.eval();
        /// let x = tensor::randn([1, 3, 32, 32]);
        /// let out = net.outputs(x);
        /// assert_eq(out.logits, net.forward(x));
        /// assert_eq(out.embeddings, net.embed(x));
        /// ```
        fn outputs(ctx, model: Model, /// Normalised images [n, 3, h, w].
                   images: Tensor) -> Map {
            let images = ctx.seen(&images);
            let out = model.pass(ctx, |model, pass| model.outputs(&images, pass))?;
            let parts = [("logits", out.logits), ("features", out.features), ("embeddings", out.embeddings)];
            Ok(named(parts.map(|(name, t)| (name, Dynamic::from(t)))))
        }
    });
}
