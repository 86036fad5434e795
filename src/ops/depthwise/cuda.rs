//! Depthwise convolution on a GPU, of maps with the channels last; with the channels first cuDNN does it.

use candle_core::{DType, Result, Tensor};

use crate::ops::kernel::cuda::{Buffer, Columns, Convolution, Launch, Product, Source, THREADS, arithmetic, lanes};

const SOURCE: Source = Source::new("depthwise", include_str!("depthwise.cu"));

/// Taps that a block sums, as in the kernel.
const TAPS: usize = 9;

impl Convolution {
    /// The kernels' `WINDOW`.
    fn window(&self) -> [usize; 12] {
        let ([.., h, w], [.., oh, ow], [.., kh, kw]) = (self.input, self.output, self.weight);
        let ([sh, sw], [ph, pw], [dh, dw]) = (self.stride, self.padding, self.dilation);
        [h, w, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw].map(|v| v as usize)
    }
}

/// One product as [`convolve`](crate::ops::kernel::cuda::convolve) computes it, but for the weight: it comes packed, `[taps, channels]`, and its
/// gradient is `[channels, taps]`, of the arithmetic type.
pub(in crate::ops) fn convolve(product: Product, sizes: &Convolution, a: &Tensor, b: &Tensor) -> Result<Buffer> {
    let elements = |s: [i32; 4]| s.iter().map(|n| *n as usize).product::<usize>();
    let (kernel, n, map) = match product {
        Product::Output => ("depthwise_forward", elements(sizes.output), [a, b]),
        Product::InputGradient => ("depthwise_backward", elements(sizes.input), [b, a]),
        Product::WeightGradient => return weight_gradient(sizes, a, b),
    };
    let [map, weight] = map;
    let channels = sizes.input[1] as usize;
    let (lanes, wide) = lanes(channels, &[map, weight])?;
    let mut to = Buffer::like(map, n)?;
    Launch::of(&SOURCE, kernel, map)
        .read(map)
        .read(weight)
        .write(&mut to)
        .ints(&[n, channels, usize::from(wide)])
        .ints(&sizes.window())
        .each(n / lanes)?;
    Ok(to)
}

fn weight_gradient(sizes: &Convolution, x: &Tensor, dy: &Tensor) -> Result<Buffer> {
    let [channels, _, kh, kw] = sizes.weight.map(|n| n as usize);
    let taps = kh * kw;
    let pair = if x.dtype() == DType::F64 { 1 } else { 2 }; // as in the kernel
    let columns = Columns::with(pair, [dy.elem_count() / channels, channels], &[dy, x])?;
    let splits = columns.splits();
    let mut parts = Buffer::new(x.device(), DType::F64, taps * channels * splits)?;
    let [shares, sets, _] = columns.grid(splits);
    Launch::of(&SOURCE, "depthwise_weight_sums", x)
        .read(x)
        .read(dy)
        .write(&mut parts)
        .ints(&columns.ints())
        .ints(&sizes.window())
        .run([shares, sets, taps.div_ceil(TAPS)], THREADS)?;
    let parts = parts.tensor(taps * channels * splits);
    let mut gradient = Buffer::new(x.device(), arithmetic(x.dtype()), channels * taps)?;
    Launch::of(&SOURCE, "depthwise_weight_finish", x)
        .read(&parts)
        .write(&mut gradient)
        .ints(&[channels, taps, splits])
        .run([(channels * taps).div_ceil(THREADS / 32), 1, 1], THREADS)?;
    Ok(gradient)
}
