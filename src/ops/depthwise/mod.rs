//! Depthwise convolution: each output channel is made of one input channel. Called by `conv2d`.

mod cpu;
pub(super) mod cuda;

pub(super) use cpu::{forward, input_gradient, weight_gradient};
