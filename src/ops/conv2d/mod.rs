//! Two-dimensional convolution with stride, padding, dilation, groups and bias.

pub(super) mod cpu;
mod cuda;

use std::borrow::Cow;

use candle_core::{Result as EngineResult, Tensor};

use super::kernel::{Element, View, by_dtype, on_gpu, output, plain};
use super::precision::Precision;
use super::tape::{Graph, Needs};
use super::{depthwise, taps, winograd};
use crate::ensure;
use crate::error::Result;

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

/// The kernels to choose from.
#[derive(Clone, Copy)]
enum Way {
    Depthwise,
    Winograd,
    Taps,
    Columns,
}

/// Every size of one convolution.
#[derive(Clone, Debug)]
pub(crate) struct Geometry {
    pub(crate) images: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) size: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) out_size: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) groups: usize,
}

impl Geometry {
    /// Check the shapes against one another and work out the sizes.
    /// `x`: images, channels, height, width of the input.
    pub(super) fn new(x: &[usize], weight: &Tensor, bias: Option<&Tensor>, o: &Conv2dOptions) -> Result<Self> {
        let w = weight.dims();
        ensure!(
            x.len() == 4,
            "conv2d: the input has shape {x:?}, expected [images, channels, height, width]"
        );
        ensure!(
            w.len() == 4 && w.iter().all(|&d| d > 0),
            "conv2d: the weight has shape {w:?}, expected [outputs, channels / groups, kernel height, kernel width]"
        );
        ensure!(
            o.groups > 0 && x[1].is_multiple_of(o.groups) && w[0].is_multiple_of(o.groups),
            "conv2d: groups {} must divide the channels of the input {x:?} and the outputs of the weight {w:?}",
            o.groups
        );
        ensure!(
            w[1] == x[1] / o.groups,
            "conv2d: input {x:?} and weight {w:?} do not fit with groups {}: the weight takes {} channels, the input has {}; \
             give an input of {} channels or a weight of shape [{}, {}, {}, {}]",
            o.groups,
            w[1] * o.groups,
            x[1],
            w[1] * o.groups,
            w[0],
            x[1] / o.groups,
            w[2],
            w[3]
        );
        if let Some(bias) = bias {
            ensure!(
                bias.dims() == [w[0]],
                "conv2d: the bias has shape {:?}, expected [{}] for weight {w:?}",
                bias.dims(),
                w[0]
            );
        }
        ensure!(
            o.stride.iter().chain(&o.dilation).all(|&v| v > 0),
            "conv2d: stride {:?} and dilation {:?} must be at least 1",
            o.stride,
            o.dilation
        );
        let mut out_size = [0; 2];
        for axis in 0..2 {
            let padded = x[2 + axis] + 2 * o.padding[axis];
            let reach = o.dilation[axis] * (w[2 + axis] - 1) + 1;
            ensure!(
                padded >= reach,
                "conv2d: the kernel of weight {w:?} with dilation {:?} covers {reach} pixels, input {x:?} with padding {:?} has only \
                 {padded}; enlarge the input or the padding",
                o.dilation,
                o.padding
            );
            out_size[axis] = (padded - reach) / o.stride[axis] + 1;
        }
        Ok(Geometry {
            images: x[0],
            inputs: x[1],
            outputs: w[0],
            size: [x[2], x[3]],
            kernel: [w[2], w[3]],
            out_size,
            stride: o.stride,
            padding: o.padding,
            dilation: o.dilation,
            groups: o.groups,
        })
    }

    /// Pixels of one input map.
    pub(crate) fn area(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Pixels of one output map.
    pub(crate) fn out_area(&self) -> usize {
        self.out_size[0] * self.out_size[1]
    }

    /// Input channels of one group.
    pub(crate) fn group_inputs(&self) -> usize {
        self.inputs / self.groups
    }

    /// Output channels of one group.
    pub(crate) fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    /// Rows of the column matrix of one group: channels x taps.
    pub(crate) fn depth(&self) -> usize {
        self.group_inputs() * self.kernel[0] * self.kernel[1]
    }

    /// Whether each output pixel is made of exactly the input pixel at its place.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    /// The kernels that are fastest for these sizes.
    fn way(&self) -> Way {
        if self.groups > 1 && self.group_inputs() == 1 {
            Way::Depthwise
        } else if winograd::suits(self) {
            Way::Winograd
        } else if taps::suits(self) {
            Way::Taps
        } else {
            Way::Columns
        }
    }

    /// The outputs `low..high` along `axis` whose tap `tap` falls inside the map, and the input coordinate of output `low`.
    pub(crate) fn inside(&self, axis: usize, tap: usize) -> (usize, usize, usize) {
        let (stride, reach) = (self.stride[axis], tap * self.dilation[axis]);
        let (size, padding) = (self.size[axis], self.padding[axis]);
        let low = padding.saturating_sub(reach).div_ceil(stride);
        let high = (size + padding)
            .saturating_sub(reach)
            .div_ceil(stride)
            .min(self.out_size[axis]);
        if low >= high {
            return (0, 0, 0);
        }
        (low, high, low * stride + reach - padding)
    }
}

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
pub fn conv2d(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>, o: &Conv2dOptions) -> Result<Tensor> {
    Graph::default().conv2d(input, weight, bias, o)
}

/// The linear layer `weight x + bias` at every position of a map: a 1x1 convolution with the weight of `nn.Linear`.
///
/// Shapes: input `[n, c, h, w]`, weight `[o, c]`, bias `[o]`, result `[n, o, h, w]`.
///
/// # Errors
/// Shapes that do not fit one another.
pub fn linear(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    Graph::default().linear(input, weight, bias)
}

impl Graph<'_> {
    /// [`conv2d`], recorded in this graph.
    pub fn conv2d(self, input: &Tensor, weight: &Tensor, bias: Option<&Tensor>, o: &Conv2dOptions) -> Result<Tensor> {
        let geometry = Geometry::new(&self.dims("conv2d", input)?, weight, bias, o)?;
        self.convolve(geometry, input, weight, bias)
    }

    /// [`linear`], recorded in this graph.
    pub fn linear(self, input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        ensure!(
            weight.rank() == 2,
            "linear: the weight has shape {:?}, expected [outputs, inputs]",
            weight.dims()
        );
        let kernel = weight.detach().unsqueeze(2)?.unsqueeze(3)?;
        let geometry = Geometry::new(
            &self.dims("linear", input)?,
            &kernel,
            Some(bias),
            &Conv2dOptions::default(),
        )?;
        self.convolve(geometry, input, weight, Some(bias))
    }

    fn convolve(self, geometry: Geometry, input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
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
    let (way, precision) = (g.way(), graph.precision);
    let result = {
        let (x, w) = (View::<T>::of(input)?, View::<T>::of(weight)?);
        let b = bias.map(View::<T>::of).transpose()?;
        match way {
            Way::Depthwise => depthwise::forward(&g, &x, &w, b.as_deref()),
            Way::Winograd => winograd::forward(&g, &rounded(&x, precision), &rounded(&w, precision), b.as_deref()),
            Way::Taps => taps::forward(&g, &x, &w, b.as_deref(), precision),
            Way::Columns => cpu::forward(&g, &x, &w, b.as_deref(), precision),
        }
    };
    let shape = (g.images, g.outputs, g.out_size[0], g.out_size[1]);
    let mut arguments = vec![input, weight];
    arguments.extend(bias);
    let tracked: Vec<bool> = arguments.iter().map(|t| t.track_op()).collect();
    let needs = Needs {
        arguments: 2,
        result: false,
    };
    // little work gives a depthwise result back
    let again = matches!(way, Way::Depthwise).then(|| {
        let (g, kept, weight) = (g.clone(), graph.keep(input), weight.clone());
        let bias = bias.cloned();
        move || -> EngineResult<Tensor> {
            let input = kept.value(&weight)?;
            let (x, w) = (View::<T>::of(&input)?, View::<T>::of(&weight)?);
            let b = bias.as_ref().map(View::<T>::of).transpose()?;
            Ok(plain(depthwise::forward(&g, &x, &w, b.as_deref()), shape))
        }
    });
    let result = graph.record_what(
        "conv2d",
        &arguments,
        needs,
        output(result, shape),
        move |arguments, _, gradient| {
            let (input, weight) = (arguments[0], arguments[1]);
            let (x, w, dy) = (View::<T>::of(input)?, View::<T>::of(weight)?, View::<T>::of(gradient)?);
            let bias_gradient = match tracked.get(2) {
                Some(true) => Some(plain(cpu::bias_gradient(&g, &dy), g.outputs)),
                _ => None,
            };
            let dy = match way {
                Way::Winograd => rounded(&dy, precision),
                _ => Cow::Borrowed(&*dy),
            };
            let dy: &[T] = &dy;
            let input_gradient = tracked[0].then(|| {
                let data = match way {
                    Way::Depthwise => depthwise::input_gradient(&g, &w, dy),
                    Way::Winograd => winograd::input_gradient(&g, &rounded(&w, precision), dy),
                    Way::Taps => taps::input_gradient(&g, &w, dy, precision),
                    Way::Columns => cpu::input_gradient(&g, &w, dy, precision),
                };
                plain(data, input.shape())
            });
            let weight_gradient = tracked[1].then(|| {
                let data = match way {
                    Way::Depthwise => depthwise::weight_gradient(&g, &x, dy),
                    Way::Winograd => winograd::weight_gradient(&g, &rounded(&x, precision), dy),
                    Way::Taps => taps::weight_gradient(&g, &x, dy, precision),
                    Way::Columns => cpu::weight_gradient(&g, &x, dy, precision),
                };
                plain(data, weight.shape())
            });
            let mut gradients = vec![input_gradient, weight_gradient];
            if tracked.len() > 2 {
                gradients.push(bias_gradient);
            }
            Ok(gradients)
        },
    )?;
    if let Some(again) = again {
        graph.recomputable(&result, again);
    }
    Ok(result)
}

/// The elements as they count in this precision, for kernels whose own arithmetic is f32.
fn rounded<T: Element>(values: &[T], precision: Precision) -> Cow<'_, [T]> {
    match precision {
        Precision::F32 => Cow::Borrowed(values),
        Precision::Bf16 => Cow::Owned(cpu::rounded(values)),
    }
}

/// The convolution and both gradients over columns, whatever kernel [`conv2d`] would choose: the oracle of the faster ones.
#[cfg(test)]
pub(super) fn by_columns<T: Element>(g: &Geometry, x: &[T], w: &[T], dy: &[T]) -> (Vec<T>, Vec<T>, Vec<T>) {
    (
        cpu::forward(g, x, w, None, Precision::F32),
        cpu::input_gradient(g, w, dy, Precision::F32),
        cpu::weight_gradient(g, x, dy, Precision::F32),
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
