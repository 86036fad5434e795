//! Depthwise convolution: each output channel is made of one input channel. Called by `conv2d`.
//!
//! Memory bounds it and not arithmetic: it stays in f32 in every precision.

mod cpu;
pub(super) mod cuda;

use super::conv2d::{Convolution, Geometry};
use super::kernel::Element;
use super::precision::Precision;

/// By direct loops.
pub(super) struct Depthwise;

impl<T: Element> Convolution<T> for Depthwise {
    fn suits(&self, g: &Geometry) -> bool {
        g.groups > 1 && g.group_inputs() == 1
    }
    fn forward(&self, g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, _: Precision) -> Vec<T> {
        cpu::forward(g, x, w, bias)
    }
    fn input_gradient(&self, g: &Geometry, w: &[T], dy: &[T], _: Precision) -> Vec<T> {
        cpu::input_gradient(g, w, dy)
    }
    fn weight_gradient(&self, g: &Geometry, x: &[T], dy: &[T], _: Precision) -> Vec<T> {
        cpu::weight_gradient(g, x, dy)
    }
    fn is_cheap(&self) -> bool {
        true
    }
}
