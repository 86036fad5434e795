//! Convolution on a GPU: cuDNN for the three products, our own kernels for the bias and, with the channels last, for depthwise ones.
//!
//! The products are computed in the input's element type: weights of another type (f32 masters of a bf16 network) are converted
//! on the way in, their gradients on the way out.

use candle_core::{DType, Result, Tensor};

use super::Geometry;
use crate::ops::kernel::cuda::{
    BLOCKS, Buffer, Columns, Convolution, Launch, Product, Source, THREADS, arithmetic, convolve,
};
use crate::ops::layout::cuda::{pack, unpack};
use crate::ops::tape::{Graph, Needs};
use crate::ops::{Layout, depthwise};

const SOURCE: Source = Source::new("conv2d", include_str!("conv2d.cu"));

impl Geometry {
    fn sizes(&self, layout: Layout) -> Convolution {
        let two = |v: [usize; 2]| v.map(|n| n as i32);
        let four = |a: usize, b: usize, [h, w]: [usize; 2]| [a as i32, b as i32, h as i32, w as i32];
        Convolution {
            input: four(self.images, self.inputs, self.size),
            weight: four(self.outputs, self.group_inputs(), self.kernel),
            output: four(self.images, self.outputs, self.out_size),
            stride: two(self.stride),
            padding: two(self.padding),
            dilation: two(self.dilation),
            groups: self.groups as i32,
            layout,
        }
    }

    /// Whether every output channel is made of one input channel of the same number.
    fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.inputs && self.groups == self.outputs
    }
}

/// How the products of one convolution are computed.
#[derive(Clone, Copy)]
struct Way {
    sizes: Convolution,
    /// By our own kernels.
    depthwise: bool,
    /// Rows and columns of the matrices to turn in a weight.
    matrix: [usize; 2],
}

impl Way {
    fn new(g: &Geometry, layout: Layout) -> Self {
        let depthwise = layout == Layout::ChannelsLast && g.is_depthwise();
        let taps = g.kernel[0] * g.kernel[1];
        Way {
            sizes: g.sizes(layout),
            depthwise,
            matrix: [if depthwise { g.outputs } else { g.group_inputs() }, taps],
        }
    }

    /// The weight as the products take it, in the type of the maps `x`.
    fn weight(&self, weight: &Tensor, x: &Tensor) -> Result<Tensor> {
        match self.sizes.layout {
            Layout::ChannelsFirst => weight.detach().to_dtype(x.dtype()),
            Layout::ChannelsLast => pack(weight, x, self.matrix),
        }
    }

    fn compute(&self, product: Product, a: &Tensor, b: &Tensor) -> Result<Buffer> {
        match self.depthwise {
            true => depthwise::cuda::convolve(product, &self.sizes, a, b),
            false => convolve(product, &self.sizes, a, b),
        }
    }

    /// The gradient of a weight such as `like`.
    fn weight_gradient(&self, x: &Tensor, dy: &Tensor, like: &Tensor) -> Result<Tensor> {
        let gradient = self.compute(Product::WeightGradient, x, dy)?;
        if self.sizes.layout == Layout::ChannelsFirst || self.depthwise {
            return gradient.tensor(like.shape()).to_dtype(like.dtype());
        }
        unpack(&gradient.tensor(like.elem_count()), like, self.matrix)
    }
}

/// The convolution, recorded in `graph`.
pub(super) fn conv2d(graph: Graph, g: Geometry, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (way, layout) = (Way::new(&g, graph.layout), graph.layout);
    let shape = layout.shape([g.images, g.outputs, g.out_size[0], g.out_size[1]]);
    // Kept for the backward pass: converting again costs little, but memory less.
    let w = way.weight(weight, x)?;
    let mut y = way.compute(Product::Output, x, &w)?;
    if let Some(bias) = bias {
        let bias = bias.detach().to_dtype(arithmetic(x.dtype()))?;
        add_bias(&g, layout, x, &mut y, &bias)?;
    }
    let mut arguments = vec![x, weight];
    arguments.extend(bias);
    let (needs, output) = (Needs::first(3), y.output(&shape));
    graph.record("conv2d", &arguments, needs, output, move |arguments, _, dy| {
        let (x, weight) = (arguments[0], arguments[1]);
        let gradient = |(i, argument): (usize, &&Tensor)| -> Result<Option<Tensor>> {
            Ok(match (argument.track_op(), i) {
                (false, _) => None,
                (_, 0) => Some(way.compute(Product::InputGradient, &w, dy)?.tensor(x.shape())),
                (_, 1) => Some(way.weight_gradient(x, dy, weight)?),
                _ => Some(bias_gradient(&g, layout, dy, argument.dtype())?),
            })
        };
        arguments.iter().enumerate().map(gradient).collect()
    })
}

/// Add the bias to fresh maps `y`, of the type of `x`.
fn add_bias(g: &Geometry, layout: Layout, x: &Tensor, y: &mut Buffer, bias: &Tensor) -> Result<()> {
    let (rows, area) = (g.images * g.out_area(), g.out_area());
    match layout {
        Layout::ChannelsFirst => Launch::of(&SOURCE, "bias_add", x)
            .write(y)
            .read(bias)
            .ints(&[g.outputs, area, rows * g.outputs])
            .each(rows * g.outputs),
        Layout::ChannelsLast => {
            let columns = Columns::with(16 / x.dtype().size_in_bytes(), [rows, g.outputs], &[])?;
            let launch = Launch::of(&SOURCE, "bias_add_last", x).write(y).read(bias);
            launch.ints(&columns.ints()).run(columns.all(), THREADS)
        }
    }
}

fn bias_gradient(g: &Geometry, layout: Layout, dy: &Tensor, dtype: DType) -> Result<Tensor> {
    let parts = |splits: usize| Buffer::new(dy.device(), DType::F64, g.outputs * splits);
    let (parts, splits) = match layout {
        Layout::ChannelsFirst => {
            let work = (g.images * g.out_area()).div_ceil(16 * THREADS);
            let splits = (BLOCKS / g.outputs).clamp(1, work.max(1));
            let mut parts = parts(splits)?;
            Launch::of(&SOURCE, "bias_sums", dy)
                .read(dy)
                .write(&mut parts)
                .ints(&[g.images, g.outputs, g.out_area()])
                .run([splits, g.outputs, 1], THREADS)?;
            (parts, splits)
        }
        Layout::ChannelsLast => {
            let columns = Columns::of(&[dy])?;
            let splits = columns.splits();
            let mut parts = parts(splits)?;
            let launch = Launch::of(&SOURCE, "bias_sums_last", dy).read(dy).write(&mut parts);
            launch.ints(&columns.ints()).run(columns.grid(splits), THREADS)?;
            (parts, splits)
        }
    };
    let parts = parts.tensor(g.outputs * splits);
    let mut sums = Buffer::new(dy.device(), arithmetic(dy.dtype()), g.outputs)?;
    let launch = Launch::of(&SOURCE, "bias_finish", dy).read(&parts).write(&mut sums);
    launch
        .ints(&[g.outputs, splits])
        .run([g.outputs.div_ceil(THREADS / 32), 1, 1], THREADS)?;
    sums.tensor(g.outputs).to_dtype(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Conv2dOptions;
    use crate::ops::kernel::cuda::emulated::{LAYOUTS, agree, from_layout, random, to_layout};

    #[test]
    fn a_linear_layer_on_a_gpu_is_that_of_the_processor() {
        let inputs = [random(&[2, 5, 3, 4], 1), random(&[7, 5], 2), random(&[7], 3)];
        let rounded = inputs
            .each_ref()
            .map(|t| t.to_dtype(DType::BF16).unwrap().to_dtype(DType::F64).unwrap());
        let kernel = inputs[1].reshape((7, 5, 1, 1)).unwrap();
        let g = Geometry::new(inputs[0].dims(), &kernel, Some(&inputs[2]), &Conv2dOptions::default()).unwrap();
        agree(
            1,
            &rounded,
            |t| crate::ops::linear(&t[0], &t[1], &t[2]),
            |t| Ok(conv2d(Graph::default(), g.clone(), &t[0], &t[1], Some(&t[2]))?),
        );
    }

    /// Input, weight, groups, stride, padding, dilation.
    type Case = ([usize; 4], [usize; 4], usize, [usize; 2], [usize; 2], [usize; 2]);

    #[test]
    fn convolution_on_a_gpu_is_that_of_the_processor() {
        let cases: [Case; 8] = [
            ([2, 4, 7, 6], [6, 4, 3, 3], 1, [1, 1], [1, 1], [1, 1]),
            ([2, 4, 7, 6], [4, 1, 3, 3], 4, [2, 1], [2, 1], [2, 1]),
            ([1, 6, 5, 5], [4, 3, 1, 1], 2, [1, 1], [0, 0], [1, 1]),
            ([2, 3, 9, 8], [5, 3, 3, 2], 1, [2, 2], [1, 0], [1, 1]),
            // the bias of whole packs in several shares
            ([1, 2, 40, 40], [48, 2, 1, 1], 1, [1, 1], [0, 0], [1, 1]),
            // depthwise: whole packs of channels, an odd number, more taps than a block sums at once
            ([2, 24, 9, 8], [24, 1, 3, 3], 24, [1, 1], [2, 2], [2, 2]),
            ([2, 3, 8, 9], [3, 1, 5, 3], 3, [2, 2], [2, 0], [1, 1]),
            ([3, 72, 6, 20], [72, 1, 3, 3], 72, [1, 2], [0, 1], [1, 1]),
        ];
        for ((input, weight, groups, stride, padding, dilation), layout) in
            cases.into_iter().flat_map(|case| LAYOUTS.map(|layout| (case, layout)))
        {
            let o = Conv2dOptions {
                stride,
                padding,
                dilation,
                groups,
            };
            // f32 weights whose values bf16 holds: the product is computed in bf16
            let weights = random(&weight, 2)
                .to_dtype(DType::BF16)
                .unwrap()
                .to_dtype(DType::F64)
                .unwrap();
            let inputs = [random(&input, 1), weights, random(&[weight[0]], 3)];
            let g = Geometry::new(inputs[0].dims(), &inputs[1], None, &o).unwrap();
            let graph = Graph::default().in_layout(layout);
            agree(
                1,
                &inputs,
                |t| crate::ops::conv2d(&t[0], &t[1], Some(&t[2]), &o),
                |t| {
                    let y = conv2d(graph, g.clone(), &to_layout(&t[0], layout)?, &t[1], Some(&t[2]))?;
                    Ok(from_layout(&y, layout)?)
                },
            );
        }
    }
}
