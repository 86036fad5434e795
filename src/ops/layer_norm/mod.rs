//! Layer norm over the channels of a map.

mod cpu;
mod cuda;

use candle_core::Tensor;

use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use super::tape::Needs;
use crate::ensure;
use crate::error::Result;

/// Sizes of a map: images, channels, positions.
#[derive(Clone, Copy)]
struct Sizes {
    images: usize,
    channels: usize,
    area: usize,
}

operation! {
/// `(x - mean) / sqrt(var + eps) * weight + bias` with the mean and the biased variance of the channels at each position
/// (Ba et al. 2016): PyTorch's `F.layer_norm` of the vector that each position of a map holds.
///
/// Shapes: input `[n, c, h, w]`, weight and bias `[c]`, result as the input.
///
/// # Errors
/// Shapes that do not fit.
pub fn layer_norm(graph, input: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let &[images, channels, height, width] = input.dims() else {
        crate::fail!(
            "layer_norm: the input has shape {:?}, expected [images, channels, height, width]",
            input.dims()
        )
    };
    ensure!(
        weight.dims() == [channels] && bias.dims() == [channels],
        "layer_norm: weight {:?} and bias {:?} must be [{channels}] for the input {:?}",
        weight.dims(),
        bias.dims(),
        input.dims()
    );
    let sizes = Sizes {
        images,
        channels,
        area: height * width,
    };
    let (input, weight, bias) = (input.contiguous()?, weight.contiguous()?, bias.contiguous()?);
    if on_gpu(input.device()) {
        return Ok(cuda::layer_norm(graph, sizes, &input, &weight, &bias, eps)?);
    }
    let needs = Needs::first(2);
    Ok(by_dtype!(input, "layer_norm", T => {
        let (result, moments) = {
            let (x, w, b) = (View::<T>::of(&input)?, View::<T>::of(&weight)?, View::<T>::of(&bias)?);
            cpu::forward::<T>(sizes, &x, &w, &b, eps)
        };
        let arguments = [&input, &weight, &bias];
        let output = output(result, input.shape());
        graph.record("layer_norm", &arguments, needs, output, move |arguments, _, gradient| {
            let (input, weight) = (arguments[0], arguments[1]);
            let (x, w, dy) = (View::<T>::of(input)?, View::<T>::of(weight)?, View::<T>::of(gradient)?);
            let (dw, db) = cpu::affine_gradients::<T>(sizes, &x, &moments, &dy);
            let dx = cpu::input_gradient::<T>(sizes, &x, &w, &moments, &dy);
            let each = [plain(dx, input.shape()), plain(dw, sizes.channels), plain(db, sizes.channels)];
            Ok(each.into_iter().map(Some).collect())
        })
    })?)
}
}
