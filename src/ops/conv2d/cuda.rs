//! Convolution on a GPU: cuDNN for the three products, our own kernels for the bias.
//!
//! The products are computed in the input's element type: weights of another type (f32 masters of a bf16 network) are converted
//! on the way in, their gradients on the way out.

use candle_core::{DType, Result, Tensor};

use super::Geometry;
use crate::ops::kernel::cuda::{BLOCKS, Buffer, Convolution, Launch, Product, Source, THREADS, arithmetic, convolve};
use crate::ops::tape::Graph;

const SOURCE: Source = Source {
    name: "conv2d",
    text: include_str!("conv2d.cu"),
};

impl Geometry {
    fn sizes(&self) -> Convolution {
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
        }
    }
}

/// The convolution, recorded in `graph`.
pub(super) fn conv2d(graph: Graph, g: Geometry, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (sizes, dtype) = (g.sizes(), x.dtype());
    let shape = (g.images, g.outputs, g.out_size[0], g.out_size[1]);
    // Kept for the backward pass: converting again costs little, but memory less.
    let w = weight.detach().to_dtype(dtype)?;
    let mut y = convolve(Product::Output, &sizes, x, &w)?;
    if let Some(bias) = bias {
        let bias = bias.detach().to_dtype(arithmetic(dtype))?;
        let n = g.images * g.outputs * g.out_area();
        let launch = Launch::of(&SOURCE, "bias_add", x).write(&mut y).read(&bias);
        launch.ints(&[g.outputs, g.out_area(), n]).each(n)?;
    }
    let mut arguments = vec![x, weight];
    arguments.extend(bias);
    graph.record("conv2d", &arguments, y.output(shape), move |arguments, _, dy| {
        let (x, weight) = (arguments[0], arguments[1]);
        let product = |product, a: &Tensor, like: &Tensor| {
            convolve(product, &sizes, a, dy)?
                .tensor(like.shape())
                .to_dtype(like.dtype())
        };
        let input_gradient = x
            .track_op()
            .then(|| product(Product::InputGradient, &w, x))
            .transpose()?;
        let weight_gradient = weight
            .track_op()
            .then(|| product(Product::WeightGradient, x, weight))
            .transpose()?;
        let mut gradients = vec![input_gradient, weight_gradient];
        if let Some(bias) = arguments.get(2) {
            gradients.push(
                bias.track_op()
                    .then(|| bias_gradient(&g, dy, bias.dtype()))
                    .transpose()?,
            );
        }
        Ok(gradients)
    })
}

fn bias_gradient(g: &Geometry, dy: &Tensor, dtype: DType) -> Result<Tensor> {
    let work = (g.images * g.out_area()).div_ceil(16 * THREADS);
    let splits = (BLOCKS / g.outputs).clamp(1, work.max(1));
    let mut parts = Buffer::new(dy.device(), DType::F64, g.outputs * splits)?;
    Launch::of(&SOURCE, "bias_sums", dy)
        .read(dy)
        .write(&mut parts)
        .ints(&[g.images, g.outputs, g.out_area()])
        .run([splits, g.outputs, 1], THREADS)?;
    let parts = parts.tensor(g.outputs * splits);
    let mut sums = Buffer::new(dy.device(), arithmetic(dy.dtype()), g.outputs)?;
    let launch = Launch::of(&SOURCE, "bias_finish", dy).read(&parts).write(&mut sums);
    launch.ints(&[g.outputs, splits]).each(g.outputs)?;
    sums.tensor(g.outputs).to_dtype(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Conv2dOptions;
    use crate::ops::kernel::cuda::emulated::{agree, random};

    #[test]
    fn a_linear_layer_on_a_gpu_is_that_of_the_processor() {
        let inputs = [random(&[2, 5, 3, 4], 1), random(&[7, 5], 2), random(&[7], 3)];
        let rounded = inputs
            .each_ref()
            .map(|t| t.to_dtype(DType::BF16).unwrap().to_dtype(DType::F64).unwrap());
        let kernel = inputs[1].reshape((7, 5, 1, 1)).unwrap();
        let g = Geometry::new(&inputs[0], &kernel, Some(&inputs[2]), &Conv2dOptions::default()).unwrap();
        agree(
            1,
            &rounded,
            |t| crate::ops::linear(&t[0], &t[1], &t[2]),
            |t| Ok(conv2d(Graph::default(), g.clone(), &t[0], &t[1], Some(&t[2]))?),
        );
    }

    #[test]
    fn convolution_on_a_gpu_is_that_of_the_processor() {
        let cases = [
            ([2, 4, 7, 6], [6, 4, 3, 3], 1, [1, 1], [1, 1], [1, 1]),
            ([2, 4, 7, 6], [4, 1, 3, 3], 4, [2, 1], [2, 1], [2, 1]),
            ([1, 6, 5, 5], [4, 3, 1, 1], 2, [1, 1], [0, 0], [1, 1]),
            ([2, 3, 9, 8], [5, 3, 3, 2], 1, [2, 2], [1, 0], [1, 1]),
        ];
        for (input, weight, groups, stride, padding, dilation) in cases {
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
            let g = Geometry::new(&inputs[0], &inputs[1], None, &o).unwrap();
            agree(
                1,
                &inputs,
                |t| crate::ops::conv2d(&t[0], &t[1], Some(&t[2]), &o),
                |t| Ok(conv2d(Graph::default(), g.clone(), &t[0], &t[1], Some(&t[2]))?),
            );
        }
    }
}
