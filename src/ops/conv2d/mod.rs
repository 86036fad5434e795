//! Two-dimensional convolution with stride, padding, dilation, groups and bias.

pub(super) mod cpu;
mod cuda;
mod geometry;

use candle_core::{Result as EngineResult, Tensor};

use super::depthwise::Depthwise;
use super::kernel::{Element, View, by_dtype, on_gpu, output, plain};
use super::operation;
use super::precision::Precision;
use super::tape::{Graph, Needs};
use super::taps::Taps;
use super::winograd::Winograd;
use crate::ensure;
use crate::error::Result;
use crate::session::memory::affordable;
use cpu::Columns;
pub(crate) use geometry::Geometry;

/// How the kernel moves over the map; each pair is [vertical, horizontal].
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2dOptions {
    /// Step of the kernel.
    pub stride: [usize; 2],
    /// Zeros added on each side.
    pub padding: [usize; 2],
    /// Distance between the kernel's taps.
    pub dilation: [usize; 2],
    /// Number of channel groups that do not see one another; the number of channels for a depthwise convolution.
    pub groups: usize,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Conv2dOptions {
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        }
    }
}

impl Conv2dOptions {
    /// Padding such that an odd `kernel` at stride 1 keeps the size of the map: `dilation * (kernel - 1) / 2`.
    pub fn same(kernel: usize, stride: usize, dilation: usize) -> Self {
        let padding = dilation * (kernel.max(1) - 1) / 2;
        Conv2dOptions {
            stride: [stride; 2],
            padding: [padding; 2],
            dilation: [dilation; 2],
            groups: 1,
        }
    }
}

/// A way to compute convolutions on the CPU: `x` [n, c, h, w], `w` [o, c / groups, kh, kw], `dy` like the result [n, o, h', w'].
pub(super) trait Convolution<T: Element>: Sync {
    /// Whether it is the fastest way for these sizes; [`Columns`], which the choice ends with, takes all.
    fn suits(&self, g: &Geometry) -> bool;
    /// The convolution.
    fn forward(&self, g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, precision: Precision) -> Vec<T>;
    /// The gradient of the input.
    fn input_gradient(&self, g: &Geometry, w: &[T], dy: &[T], precision: Precision) -> Vec<T>;
    /// The gradient of the weight.
    fn weight_gradient(&self, g: &Geometry, x: &[T], dy: &[T], precision: Precision) -> Vec<T>;
    /// Whether the result is computed a second time for the backward pass rather than kept.
    fn is_cheap(&self) -> bool {
        false
    }
}

/// The way that is fastest for these sizes.
fn fastest<T: Element>(g: &Geometry) -> &'static dyn Convolution<T> {
    let ways: [&'static dyn Convolution<T>; 3] = [&Depthwise, &Winograd, &Taps];
    ways.into_iter().find(|way| way.suits(g)).unwrap_or(&Columns)
}

operation! {
/// Two-dimensional convolution (cross-correlation, as every network library has it).
///
/// `out[n, o, y, x] = bias[o] + sum_{c, i, j} weight[o, c, i, j] * input[n, c, y*stride + i*dilation - padding, ...]`, zeros
/// outside the map; with `groups`, output channel `o` sees only the channels of its group.
///
/// Shapes: input `[n, c, h, w]`, weight `[o, c / groups, kh, kw]`, bias `[o]`, result `[n, o, h', w']` with
/// `h' = (h + 2 padding - dilation (kh - 1) - 1) / stride + 1`.
///
/// Computed as a matrix product over columns that are cut out tile by tile (a tile stays in the second-level cache); 3x3 at stride 1
/// with 32 channels or more by Winograd's F(4x4, 3x3) with a quarter of the multiplications; taps that mostly fall outside (large dilation) one by one; 1x1
/// convolutions need no columns, depthwise ones have direct kernels.
///
/// # Errors
/// Shapes that do not fit one another, stride or dilation 0, groups that do not divide the channels.
pub fn conv2d(graph, input: &Tensor, weight: &Tensor, bias: Option<&Tensor>, o: &Conv2dOptions) -> Result<Tensor> {
    let geometry = Geometry::new(&graph.dims("conv2d", input)?, weight, bias, o)?;
    graph.convolve(geometry, input, weight, bias)
}
}

operation! {
/// The linear layer `weight x + bias` at every position of a map: a 1x1 convolution with the weight of `nn.Linear`.
///
/// Shapes: input `[n, c, h, w]`, weight `[o, c]`, bias `[o]`, result `[n, o, h, w]`.
///
/// # Errors
/// Shapes that do not fit one another.
pub fn linear(graph, input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    ensure!(
        weight.rank() == 2,
        "linear: the weight has shape {:?}, expected [outputs, inputs]",
        weight.dims()
    );
    let kernel = weight.detach().unsqueeze(2)?.unsqueeze(3)?;
    let geometry = Geometry::new(
        &graph.dims("linear", input)?,
        &kernel,
        Some(bias),
        &Conv2dOptions::default(),
    )?;
    graph.convolve(geometry, input, weight, Some(bias))
}
}

impl Graph<'_> {
    fn convolve(self, geometry: Geometry, input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let [height, width] = geometry.out_size;
        affordable(&[geometry.images, geometry.outputs, height, width], input.dtype())?;
        let input = input.contiguous()?;
        let weight = weight.contiguous()?;
        let bias = bias.map(Tensor::contiguous).transpose()?;
        if on_gpu(input.device()) {
            return Ok(cuda::conv2d(self, geometry, &input, &weight, bias.as_ref())?);
        }
        Ok(by_dtype!(input, "conv2d", T => typed::<T>(self, geometry, &input, &weight, bias.as_ref()))?)
    }
}

fn typed<T: Element>(
    graph: Graph,
    g: Geometry,
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> EngineResult<Tensor> {
    let (way, precision) = (fastest::<T>(&g), graph.precision);
    let result = {
        let (x, w) = (View::<T>::of(input)?, View::<T>::of(weight)?);
        let b = bias.map(View::<T>::of).transpose()?;
        way.forward(&g, &x, &w, b.as_deref(), precision)
    };
    let shape = (g.images, g.outputs, g.out_size[0], g.out_size[1]);
    let mut arguments = vec![input, weight];
    arguments.extend(bias);
    let tracked: Vec<bool> = arguments.iter().map(|t| t.track_op()).collect();
    let again = way.is_cheap().then(|| {
        let (g, kept, weight) = (g.clone(), graph.keep(input), weight.clone());
        let bias = bias.cloned();
        move || -> EngineResult<Tensor> {
            let input = kept.value(&weight)?;
            let (x, w) = (View::<T>::of(&input)?, View::<T>::of(&weight)?);
            let b = bias.as_ref().map(View::<T>::of).transpose()?;
            Ok(plain(way.forward(&g, &x, &w, b.as_deref(), precision), shape))
        }
    });
    let output = output(result, shape);
    let needs = Needs::first(2);
    let result = graph.record("conv2d", &arguments, needs, output, move |arguments, _, dy| {
        let (input, weight) = (arguments[0], arguments[1]);
        let (x, w, dy) = (View::<T>::of(input)?, View::<T>::of(weight)?, View::<T>::of(dy)?);
        let gradient = |i: usize| match i {
            0 => plain(way.input_gradient(&g, &w, &dy, precision), input.shape()),
            1 => plain(way.weight_gradient(&g, &x, &dy, precision), weight.shape()),
            _ => plain(cpu::bias_gradient(&g, &dy), g.outputs),
        };
        let each = tracked.iter().enumerate();
        Ok(each.map(|(i, tracked)| tracked.then(|| gradient(i))).collect())
    })?;
    if let Some(again) = again {
        graph.recomputable(&result, again);
    }
    Ok(result)
}

/// The convolution and both gradients over columns, whatever kernel [`conv2d`] would choose: the oracle of the faster ones.
#[cfg(test)]
pub(super) fn by_columns<T: Element>(g: &Geometry, x: &[T], w: &[T], dy: &[T]) -> (Vec<T>, Vec<T>, Vec<T>) {
    (
        Columns.forward(g, x, w, None, Precision::F32),
        Columns.input_gradient(g, w, dy, Precision::F32),
        Columns.weight_gradient(g, x, dy, Precision::F32),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    /// In bf16 every way computes the exact convolution of rounded factors, forward and backward, but for f32 sums.
    #[test]
    fn bf16_is_the_convolution_of_rounded_factors() {
        let cases = [
            ([2, 32, 12, 13], [48, 32, 3, 3], Conv2dOptions::same(3, 1, 1)), // Winograd
            ([2, 24, 9, 11], [40, 24, 1, 1], Conv2dOptions::default()),      // pointwise
            ([1, 3, 16, 15], [8, 3, 7, 7], Conv2dOptions::same(7, 2, 1)),    // columns
            ([2, 16, 8, 7], [8, 16, 3, 3], Conv2dOptions::same(3, 1, 6)),    // taps
        ];
        for (x, w, o) in cases {
            let draw = |shape: &[usize; 4]| Var::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
            let (x, w) = (draw(&x), draw(&w));
            let rounded = |t: &Tensor| t.to_dtype(DType::BF16).unwrap().to_dtype(DType::F64).unwrap();
            let (x64, w64) = (
                Var::from_tensor(&rounded(&x)).unwrap(),
                Var::from_tensor(&rounded(&w)).unwrap(),
            );
            let found = Graph::default().at(Precision::Bf16).conv2d(&x, &w, None, &o).unwrap();
            let expected = conv2d(&x64, &w64, None, &o).unwrap();
            let c = Tensor::randn(0f32, 1.0, found.shape(), &Device::Cpu).unwrap();
            let error = |a: &Tensor, b: &Tensor| {
                let largest = |t: Tensor| t.abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
                largest((a.to_dtype(DType::F64).unwrap() - b).unwrap()) / largest(b.clone())
            };
            assert!(error(&found, &expected) < 3e-6, "{o:?}");
            let gradients = (found * &c).unwrap().sum_all().unwrap().backward().unwrap();
            let oracle = (expected * rounded(&c)).unwrap().sum_all().unwrap().backward().unwrap();
            for (a, b) in [(&x, &x64), (&w, &w64)] {
                let (a, b) = (gradients.get(a).unwrap(), oracle.get(b).unwrap());
                assert!(error(a, b) < 3e-6, "{o:?}: {}", error(a, b));
            }
        }
    }
}
