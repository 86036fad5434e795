//! Pooling: maximum and mean over windows.

mod cpu;
pub(super) mod cuda;

use candle_core::Tensor;

use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use crate::ensure;
use crate::error::Result;

/// Every size of one pooling.
#[derive(Clone, Copy)]
struct Window {
    images: usize,
    channels: usize,
    size: [usize; 2],
    out_size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
}

impl Window {
    /// `dims`: images, channels, height, width.
    fn new(name: &str, dims: &[usize], kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Result<Self> {
        ensure!(
            dims.len() == 4,
            "{name}: the input has shape {dims:?}, expected [images, channels, height, width]"
        );
        let mut out_size = [0; 2];
        for axis in 0..2 {
            ensure!(
                kernel[axis] > 0 && stride[axis] > 0,
                "{name}: kernel {kernel:?} and stride {stride:?} must be at least 1"
            );
            ensure!(
                padding[axis] <= kernel[axis] / 2,
                "{name}: padding {padding:?} must be at most half of kernel {kernel:?}"
            );
            let padded = dims[2 + axis] + 2 * padding[axis];
            ensure!(
                dims[2 + axis] > 0 && padded >= kernel[axis],
                "{name}: kernel {kernel:?} is larger than input {dims:?} with padding {padding:?}; use a smaller kernel"
            );
            out_size[axis] = (padded - kernel[axis]) / stride[axis] + 1;
        }
        Ok(Window {
            images: dims[0],
            channels: dims[1],
            size: [dims[2], dims[3]],
            out_size,
            kernel,
            stride,
            padding,
        })
    }

    /// The shape of the result with the channels first.
    fn shape(&self) -> [usize; 4] {
        [self.images, self.channels, self.out_size[0], self.out_size[1]]
    }

    fn planes(&self) -> usize {
        self.images * self.channels
    }

    /// The input coordinates that output `at` sees along `axis`.
    fn span(&self, axis: usize, at: usize) -> (usize, usize) {
        let start = at * self.stride[axis];
        let end = (start + self.kernel[axis])
            .saturating_sub(self.padding[axis])
            .min(self.size[axis]);
        (start.saturating_sub(self.padding[axis]), end)
    }
}

operation! {
/// The maximum over windows; outside the map counts as minus infinity, NaN wins.
///
/// Shapes: `[n, c, h, w]` to `[n, c, h', w']` with `h' = (h + 2 padding - kernel) / stride + 1`. The place of each maximum (the first in
/// reading order, as PyTorch's) is kept for the backward pass.
///
/// # Errors
/// A shape that is not 4-dimensional, a kernel larger than the padded map, padding over half the kernel.
pub fn max_pool2d(graph, input: &Tensor, kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Result<Tensor> {
    let window = Window::new("max_pool2d", &graph.dims("max_pool2d", input)?, kernel, stride, padding)?;
    let input = input.contiguous()?;
    if on_gpu(input.device()) {
        return Ok(cuda::max(graph, window, &input)?);
    }
    Ok(by_dtype!(input, "max_pool2d", T => {
        let (result, places) = cpu::max_forward(window, &View::<T>::of(&input)?);
        let input_shape = input.shape().clone();
        graph.record_light("max_pool2d", &[&input], output(result, &window.shape()), move |gradient| {
            let dx = cpu::max_backward(window, &places, &View::<T>::of(gradient)?);
            Ok(vec![Some(plain(dx, &input_shape))])
        })
    })?)
}
}

operation! {
/// The mean over windows; zeros outside the map count (PyTorch's default).
///
/// Shapes as [`max_pool2d`].
///
/// # Errors
/// As [`max_pool2d`].
pub fn avg_pool2d(graph, input: &Tensor, kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Result<Tensor> {
    let window = Window::new("avg_pool2d", &graph.dims("avg_pool2d", input)?, kernel, stride, padding)?;
    let input = input.contiguous()?;
    if on_gpu(input.device()) {
        return Ok(cuda::mean(graph, window, &input)?);
    }
    Ok(by_dtype!(input, "avg_pool2d", T => {
        let result = cpu::mean_forward(window, &View::<T>::of(&input)?);
        let input_shape = input.shape().clone();
        graph.record_light("avg_pool2d", &[&input], output(result, &window.shape()), move |gradient| {
            let dx = cpu::mean_backward(window, &View::<T>::of(gradient)?);
            Ok(vec![Some(plain(dx, &input_shape))])
        })
    })?)
}
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn mean_of_windows_and_its_gradient() {
        let x = Var::from_tensor(
            &Tensor::arange(0f32, 16.0, &Device::Cpu)
                .unwrap()
                .reshape((1, 1, 4, 4))
                .unwrap(),
        )
        .unwrap();
        let y = avg_pool2d(&x, [2, 2], [2, 2], [0, 0]).unwrap();
        // windows {0,1,4,5}, {2,3,6,7}, {8,9,12,13}, {10,11,14,15}
        assert_eq!(
            y.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            [2.5, 4.5, 10.5, 12.5]
        );
        let grads = y.sum_all().unwrap().backward().unwrap();
        let g = grads.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(g, [0.25; 16]);
    }

    #[test]
    fn shape_errors_name_the_operation() {
        let x = Tensor::zeros((1, 1, 4, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        let text = max_pool2d(&x, [5, 5], [1, 1], [0, 0]).unwrap_err().to_string();
        assert!(text.contains("max_pool2d") && text.contains("[1, 1, 4, 4]"), "{text}");
    }

    #[test]
    fn maxima_and_their_places_are_those_of_a_search_in_reading_order() {
        for (h, w, k, s, p) in [(7, 9, 3, 2, 1), (6, 5, 2, 2, 0), (5, 8, 3, 1, 1), (9, 9, 4, 3, 2)] {
            let window = |data: Vec<f32>| {
                let x = Var::from_vec(data, (1, 1, h, w), &Device::Cpu).unwrap();
                let y = max_pool2d(&x, [k; 2], [s; 2], [p; 2]).unwrap();
                let dx = y.sum_all().unwrap().backward().unwrap().get(&x).unwrap().clone();
                let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                (y.dims()[2..].to_vec(), flat(&y), flat(&dx))
            };
            // few different values, so that ties abound
            let data: Vec<f32> = (0..h * w).map(|i| (i * 7 % 5) as f32 - 6.0).collect();
            let (size, found, gradient) = window(data.clone());
            let (mut expected, mut counts) = (Vec::new(), vec![0f32; h * w]);
            for at in 0..size[0] * size[1] {
                let span = |start: usize, size: usize| start.saturating_sub(p)..(start + k - p).min(size);
                let mut best: Option<usize> = None;
                for i in span(at / size[1] * s, h) {
                    for j in span(at % size[1] * s, w) {
                        if best.is_none_or(|b| data[i * w + j] > data[b]) {
                            best = Some(i * w + j);
                        }
                    }
                }
                expected.push(data[best.unwrap()]);
                counts[best.unwrap()] += 1.0;
            }
            assert_eq!((found, gradient), (expected, counts), "{h} {w} {k} {s} {p}");
        }
        let mut data = vec![1f32; 16];
        data[5] = f32::NAN;
        let x = Tensor::from_vec(data, (1, 1, 4, 4), &Device::Cpu).unwrap();
        let y = max_pool2d(&x, [2, 2], [2, 2], [0, 0]).unwrap().flatten_all().unwrap();
        assert!(y.to_vec1::<f32>().unwrap()[0].is_nan());
    }
}
