//! Resizing maps: bilinear, nearest, and label maps.

mod cpu;
mod cuda;

use candle_core::{DType, Tensor};

use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use crate::ensure;
use crate::error::Result;
use crate::session::memory::affordable;

/// Where one output coordinate takes its value: `(1 - share) * v[low] + share * v[high]`.
#[derive(Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    share: f64,
}

/// The taps of every output coordinate, as PyTorch's `interpolate(size=...)` computes them.
fn bilinear_taps(from: usize, to: usize, align_corners: bool) -> Vec<Tap> {
    (0..to)
        .map(|at| {
            let source = match (align_corners, to) {
                (true, 0 | 1) => 0.0,
                (true, _) => at as f64 * (from - 1) as f64 / (to - 1) as f64,
                (false, _) => ((at as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0),
            };
            let low = (source as usize).min(from - 1);
            Tap {
                low,
                high: (low + 1).min(from - 1),
                share: source - low as f64,
            }
        })
        .collect()
}

/// The source of every output coordinate under "nearest": `floor(at * from / to)` in single precision, as PyTorch's.
fn nearest_places(from: usize, to: usize) -> Vec<usize> {
    let scale = from as f32 / to as f32;
    (0..to).map(|at| ((at as f32 * scale) as usize).min(from - 1)).collect()
}

/// The sides that are the nearest multiples of `multiple`, at least one of them.
pub fn nearest_multiple(size: [usize; 2], multiple: usize) -> [usize; 2] {
    let multiple = multiple.max(1);
    size.map(|side| {
        (side.saturating_add(multiple / 2) / multiple)
            .max(1)
            .saturating_mul(multiple)
    })
}

/// Check a resize of the last two dimensions and return `[planes, height, width]`.
fn planes(
    name: &str,
    (dims, dtype): (&[usize], DType),
    ranks: std::ops::RangeInclusive<usize>,
    size: [usize; 2],
) -> Result<[usize; 3]> {
    let rank = dims.len();
    ensure!(
        ranks.contains(&rank) && dims[rank.saturating_sub(2)..].iter().all(|&d| d > 0),
        "{name}: the input has shape {dims:?}, expected {} with at least one pixel",
        if ranks.contains(&4) {
            "[images, channels, height, width]"
        } else {
            "[images, height, width]"
        }
    );
    ensure!(
        size[0] > 0 && size[1] > 0,
        "{name}: size {size:?} must be at least [1, 1]; input {dims:?}"
    );
    let count = dims[..rank - 2].iter().product();
    affordable(&[count, size[0], size[1]], dtype)?;
    Ok([count, dims[rank - 2], dims[rank - 1]])
}

fn resized(input: &Tensor, size: [usize; 2]) -> Vec<usize> {
    let mut shape = input.dims().to_vec();
    let rank = shape.len();
    shape[rank - 2..].copy_from_slice(&size);
    shape
}

operation! {
/// Bilinear interpolation to `size`, equal to PyTorch's `interpolate(size=size, mode="bilinear")`.
///
/// Shapes: `[n, c, h, w]` to `[n, c, size[0], size[1]]`. With `align_corners` the corner pixels' centres map onto one another
/// (`source = at (h - 1) / (h' - 1)`), else the corners of the maps do (`source = (at + 1/2) h / h' - 1/2`). No smoothing when shrinking.
///
/// # Errors
/// A shape that is not 4-dimensional, an empty map, a size of 0.
pub fn resize_bilinear(graph, input: &Tensor, size: [usize; 2], align_corners: bool) -> Result<Tensor> {
    let dims = graph.dims("resize_bilinear", input)?;
    let [count, height, width] = planes("resize_bilinear", (&dims, input.dtype()), 4..=4, size)?;
    if [height, width] == size {
        return Ok(input.clone());
    }
    let input = input.contiguous()?;
    if on_gpu(input.device()) {
        let sizes = cuda::Sizes {
            images: dims[0],
            channels: dims[1],
            from: [height, width],
            to: size,
        };
        return Ok(cuda::bilinear(graph, sizes, &input, align_corners)?);
    }
    let rows = bilinear_taps(height, size[0], align_corners);
    let columns = bilinear_taps(width, size[1], align_corners);
    Ok(by_dtype!(input, "resize_bilinear", T => {
        let result = {
            let x = View::<T>::of(&input)?;
            cpu::bilinear(count, [height, width], &rows, &columns, &x)
        };
        let input_shape = input.shape().clone();
        graph.record_light("resize_bilinear", &[&input], output(result, resized(&input, size)), move |gradient| {
            let dy = View::<T>::of(gradient)?;
            let dx = cpu::bilinear_gradient(count, [height, width], &rows, &columns, &dy);
            Ok(vec![Some(plain(dx, &input_shape))])
        })
    })?)
}
}

operation! {
/// Nearest-neighbour interpolation to `size`, equal to PyTorch's `interpolate(size=size, mode="nearest")`: `source = floor(at h / h')`.
///
/// Shapes: `[n, c, h, w]` to `[n, c, size[0], size[1]]`.
///
/// # Errors
/// As [`resize_bilinear`].
pub fn resize_nearest(graph, input: &Tensor, size: [usize; 2]) -> Result<Tensor> {
    let dims = graph.dims("resize_nearest", input)?;
    let [count, height, width] = planes("resize_nearest", (&dims, input.dtype()), 4..=4, size)?;
    let input = input.contiguous()?;
    if on_gpu(input.device()) {
        let sizes = cuda::Sizes {
            images: dims[0],
            channels: dims[1],
            from: [height, width],
            to: size,
        };
        return Ok(cuda::nearest(graph, sizes, &input)?);
    }
    let (rows, columns) = (nearest_places(height, size[0]), nearest_places(width, size[1]));
    Ok(by_dtype!(input, "resize_nearest", T => {
        let result = {
            let x = View::<T>::of(&input)?;
            cpu::nearest(count, [height, width], &rows, &columns, &x)
        };
        let input_shape = input.shape().clone();
        graph.record_light("resize_nearest", &[&input], output(result, resized(&input, size)), move |gradient| {
            let dy = View::<T>::of(gradient)?;
            let dx = cpu::nearest_gradient(count, [height, width], &rows, &columns, &dy);
            Ok(vec![Some(plain(dx, &input_shape))])
        })
    })?)
}
}

/// Resize label maps `[n, h, w]` (or `[h, w]`) of an integer type by "nearest"; labels are never mixed.
///
/// # Errors
/// Labels that are not integers, an empty map, a size of 0.
pub fn resize_labels(labels: &Tensor, size: [usize; 2]) -> Result<Tensor> {
    let [count, height, width] = planes("resize_labels", (labels.dims(), labels.dtype()), 2..=3, size)?;
    let (rows, columns) = (nearest_places(height, size[0]), nearest_places(width, size[1]));
    let labels = labels.contiguous()?;
    if on_gpu(labels.device()) && labels.dtype().is_int() {
        return Ok(cuda::labels(&labels, [height, width], size)?);
    }
    macro_rules! run {
        ($T:ty) => {{
            let x = View::<$T>::of(&labels)?;
            plain(
                cpu::nearest(count, [height, width], &rows, &columns, &x),
                resized(&labels, size),
            )
        }};
    }
    Ok(match labels.dtype() {
        DType::U8 => run!(u8),
        DType::U32 => run!(u32),
        DType::I16 => run!(i16),
        DType::I32 => run!(i32),
        DType::I64 => run!(i64),
        other => crate::fail!(
            "resize_labels: the labels are {}, expected an integer type; for values use resize_nearest",
            other.as_str()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn labels_are_taken_not_mixed() {
        let labels = Tensor::new(&[[[1u8, 2], [3, 255]]], &Device::Cpu).unwrap();
        let up = resize_labels(&labels, [4, 3]).unwrap();
        // columns floor(x * 2/3) = 0, 0, 1; rows 0, 0, 1, 1
        assert_eq!(
            up.to_vec3::<u8>().unwrap(),
            [[[1, 1, 2], [1, 1, 2], [3, 3, 255], [3, 3, 255]]]
        );
        assert!(resize_labels(&labels.to_dtype(DType::F32).unwrap(), [2, 2]).is_err());
    }
}
