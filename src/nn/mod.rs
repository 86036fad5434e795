//! Named parameters, layers, encoders, decoders, heads, segmenter.
//!
//! A model is an encoder, a decoder and two heads:
//!
//! ```text
//! images -> encoder -> decoder                                       -> features -> head: classifier -> logits
//!                                                                               -> head: projection -> embeddings
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `config` | [`ModelConfig`]: everything that determines a model except its numbers |
//! | `pass` | [`Pass`]: how one forward pass runs (training, gradients, random state) |
//! | `param`, `init`, `layer` | named tensors, their random initialisation, convolution, linear layer, norms |
//! | `resnet`, `mit`, `vit` | the encoders; `encoder` is the enum over them |
//! | `aspp`, `deeplabv3plus`, `deeplabv3`, `fcn`, `unet`, `segformer`, `linear_head`, `dpt` | the decoders; `decoder` is the enum over them |
//! | `head` | classifier and projection head |
//! | `layers`, `activation`, `candle`, `module`, `own` | networks of one's own: the layers of `nn::`, those of candle-nn, [`Module`], a layer with its tensors and parts, and the whole as a [`Segmenter`] |
//! | `parts`, `known` | encoder, decoder and heads one by one; maps of an encoder that were computed before |
//! | `segmenter`, `summary` | [`Segmenter`]: the whole, and its table |
//! | `state` | its numbers: saved, loaded, copied, averaged |
//! | `load/`, `weights`, `npy/` | fitting named tensors to a model; safetensors files; NumPy's files |
//!
//! To add a decoder: its file, its variant in [`Architecture`] and in `decoder::Decoder`; the exhaustive matches ask for
//! the rest. An encoder likewise: its file, its names in `EncoderKind`, its variant in `encoder::Encoder`. Parameter names are those of the ecosystem (torchvision's ResNet; segmentation_models_pytorch's DeepLabV3+
//! and U-Net; torchvision's DeepLabV3 and FCN; Hugging Face's SegFormer and DINOv2; UniMatch V2's DPT), so that weights load without conversion.

mod activation;
mod aspp;
mod candle;
mod config;
mod decoder;
mod deeplabv3;
mod deeplabv3plus;
mod dpt;
mod encoder;
mod fcn;
mod head;
mod init;
mod known;
mod layer;
mod layers;
mod linear_head;
mod load;
mod mit;
mod module;
pub mod npy;
mod on_gpu;
mod origin;
mod own;
mod param;
mod parts;
mod pass;
mod resnet;
mod segformer;
mod segmenter;
mod state;
mod summary;
mod unet;
mod vit;
pub mod weights;

pub use activation::Activation;
pub use candle::Borrowed;
pub use config::{Architecture, EncoderKind, Family, ModelConfig, ProjectionConfig};
pub(crate) use known::Known;
pub use layers::{Layer, Window};
pub use load::{LoadOptions, LoadReport, WrongShape};
pub use module::{Given, Module, Network, Value};
pub use origin::{Origin, Parent};
pub use param::Parameter;
pub(crate) use parts::Inside;
pub use parts::Outputs;
pub use pass::Pass;
pub use segmenter::Segmenter;
pub use state::CONFIG_KEY;
