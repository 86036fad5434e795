//! Differentiable operations that candle lacks, gets wrong or does slowly.
//!
//! One operation is one file, or one folder `ops/<op>/{mod,cpu}.rs` once it has kernels of its own: `mod.rs` holds the
//! function, its documentation (formula, shapes) and its backward, `cpu.rs` the loops (the only place with `unsafe`).
//! [`Graph`] says where a result is recorded: candle's graph (the free functions) or a [`Tape`] (a training loop); `operation!` declares
//! both. What every kernel shares is in `kernel/`, matrix products in `product/`, functions of each element in `pointwise/`. To add an
//! operation: its file, a `mod` line, a `pub use` line, a golden case or an oracle in `tests/golden.rs`, a finite-difference case in
//! `tests/gradients/`.
//!
//! All take tensors with any strides, f32 or f64.

mod argmax;
mod arithmetic;
mod arrange;
mod attention;
mod backward;
mod batch_norm;
mod concat;
mod conv2d;
mod cross_entropy;
mod cumsum;
mod depthwise;
mod dropout;
mod functions;
mod gelu;
mod gradients;
pub(crate) mod graph;
mod halves;
mod histogram;
pub(crate) mod kernel;
mod layer_norm;
mod layout;
mod maximum;
mod multinomial;
mod normalize;
mod numbers;
mod operation;
pub mod optimizer;
pub mod pieces;
pub mod pixel_contrast;
mod pointwise;
mod pool;
mod power;
mod precision;
mod product;
pub mod reduce;
mod relu;
mod resample;
mod residual;
mod resize;
mod softmax;
mod sort;
mod tape;
mod taps;
mod winograd;

pub use argmax::upsampled_argmax;
pub(crate) use argmax::{PairCounts, add_window};
pub use arithmetic::{add, affine, divide, divide_by, divide_number, multiply, subtract};
pub use arrange::{Border, flip, pad, roll, scatter_add};
pub use attention::attention;
pub use backward::Tape;
pub use batch_norm::{BatchNormOptions, BatchNormState, batch_norm};
pub use concat::concat;
pub use conv2d::{Conv2dOptions, conv2d, linear};
pub use cross_entropy::{CrossEntropyOptions, Reduction, cross_entropy};
pub(crate) use cross_entropy::{check_class_weights, checked_labels};
pub use cumsum::cumsum;
pub use dropout::dropout;
pub use functions::{abs, clamp, cos, erf, exp, leaky_relu, log, sigmoid, silu, sin, softplus, sqrt, tanh};
pub use gelu::gelu;
pub use gradients::add_gradients;
pub use halves::in_single;
pub use histogram::{Bins, histogram};
pub use kernel::cpu::start_threads;
pub use layer_norm::layer_norm;
pub(crate) use layout::Layout;
pub use maximum::{maximum, minimum};
pub use multinomial::multinomial;
pub use normalize::normalize;
pub use numbers::{integers, numbers};
pub(crate) use operation::operation;
pub use pool::{avg_pool2d, max_pool2d};
pub use power::{power, power_of};
pub use precision::Precision;
pub use relu::relu;
pub use resample::{Filter, resampled};
pub use residual::{residual, scaled_residual};
pub use resize::{nearest_multiple, resize_bilinear, resize_labels, resize_nearest};
pub use softmax::{log_softmax, softmax};
pub use sort::{Between, median, median_of_all, quantile, sort, topk};
pub use tape::Graph;
