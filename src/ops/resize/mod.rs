//! Resizing maps: bilinear, nearest, and label maps.

mod cpu;
mod cuda;

use candle_core::{DType, Tensor};

use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use super::tape::Graph;
use crate::error::Result;
use crate::session::memory::affordable;
use crate::{ensure, fail};

/// Sizes of a resize: images and channels, their height and width, those of the result.
#[derive(Clone, Copy)]
struct Sizes {
    images: usize,
    channels: usize,
    from: [usize; 2],
    to: [usize; 2],
}

impl Sizes {
    /// Those of maps, an argument of `name`.
    fn of_maps(name: &str, graph: Graph, maps: &Tensor, to: [usize; 2]) -> Result<Self> {
        let dims = graph.dims(name, maps)?;
        match dims[..] {
            [images, channels, height, width] => Sizes {
                images,
                channels,
                from: [height, width],
                to,
            }
            .checked(name, maps),
            _ => fail!("{name}: the input has shape {dims:?}, expected [images, channels, height, width]"),
        }
    }

    fn checked(self, name: &str, input: &Tensor) -> Result<Self> {
        ensure!(
            self.from.iter().chain(&self.to).all(|side| *side > 0),
            "{name}: size {:?} of input {:?}, expected at least one pixel before and after",
            self.to,
            input.dims()
        );
        affordable(&[self.planes(), self.to[0], self.to[1]], input.dtype())?;
        Ok(self)
    }

    /// The maps at one of the two sizes, with the channels first.
    fn shape(self, [height, width]: [usize; 2]) -> [usize; 4] {
        [self.images, self.channels, height, width]
    }

    fn planes(self) -> usize {
        self.images * self.channels
    }

    fn area(self) -> usize {
        self.from[0] * self.from[1]
    }

    fn out_area(self) -> usize {
        self.to[0] * self.to[1]
    }
}

/// Where one output coordinate takes its value: `(1 - share) * v[low] + share * v[high]`.
#[derive(Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    share: f64,
}

/// The taps of every output row and column, as PyTorch's `interpolate(size=...)` computes them.
fn bilinear_taps(s: Sizes, align_corners: bool) -> [Vec<Tap>; 2] {
    let tap = |from: usize, to: usize, at: usize| {
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
    };
    [0, 1].map(|axis| (0..s.to[axis]).map(|at| tap(s.from[axis], s.to[axis], at)).collect())
}

/// The source of every output row and column under "nearest": `floor(at * from / to)` in single precision, as PyTorch's.
fn nearest_places(s: Sizes) -> [Vec<usize>; 2] {
    [0, 1].map(|axis| {
        let (from, to) = (s.from[axis], s.to[axis]);
        let scale = from as f32 / to as f32;
        (0..to).map(|at| ((at as f32 * scale) as usize).min(from - 1)).collect()
    })
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

operation! {
/// Bilinear interpolation to `size`, equal to PyTorch's `interpolate(size=size, mode="bilinear")`.
///
/// Shapes: `[n, c, h, w]` to `[n, c, size[0], size[1]]`. With `align_corners` the corner pixels' centres map onto one another
/// (`source = at (h - 1) / (h' - 1)`), else the corners of the maps do (`source = (at + 1/2) h / h' - 1/2`). No smoothing when shrinking.
///
/// # Errors
/// A shape that is not 4-dimensional, an empty map, a size of 0.
pub fn resize_bilinear(graph, input: &Tensor, size: [usize; 2], align_corners: bool) -> Result<Tensor> {
    let sizes = Sizes::of_maps("resize_bilinear", graph, input, size)?;
    if sizes.from == size {
        return Ok(input.clone());
    }
    let input = input.contiguous()?;
    if on_gpu(input.device()) {
        return Ok(cuda::bilinear(graph, sizes, &input, align_corners)?);
    }
    let taps = bilinear_taps(sizes, align_corners);
    Ok(by_dtype!(input, "resize_bilinear", T => {
        let result = cpu::bilinear(sizes, &taps, &View::<T>::of(&input)?);
        graph.record_light("resize_bilinear", &[&input], output(result, &sizes.shape(size)), move |gradient| {
            let dx = cpu::bilinear_gradient(sizes, &taps, &View::<T>::of(gradient)?);
            Ok(vec![Some(plain(dx, &sizes.shape(sizes.from)))])
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
    let sizes = Sizes::of_maps("resize_nearest", graph, input, size)?;
    let input = input.contiguous()?;
    if on_gpu(input.device()) {
        return Ok(cuda::nearest(graph, sizes, &input)?);
    }
    let places = nearest_places(sizes);
    Ok(by_dtype!(input, "resize_nearest", T => {
        let result = cpu::nearest(sizes, &places, &View::<T>::of(&input)?);
        graph.record_light("resize_nearest", &[&input], output(result, &sizes.shape(size)), move |gradient| {
            let dx = cpu::nearest_gradient(sizes, &places, &View::<T>::of(gradient)?);
            Ok(vec![Some(plain(dx, &sizes.shape(sizes.from)))])
        })
    })?)
}
}

/// Resize label maps `[n, h, w]` (or `[h, w]`) of an integer type by "nearest"; labels are never mixed.
///
/// # Errors
/// Labels that are not integers, an empty map, a size of 0.
pub fn resize_labels(labels: &Tensor, size: [usize; 2]) -> Result<Tensor> {
    let (images, from, shape) = match *labels.dims() {
        [height, width] => (1, [height, width], size.to_vec()),
        [images, height, width] => (images, [height, width], vec![images, size[0], size[1]]),
        _ => fail!(
            "resize_labels: the input has shape {:?}, expected [images, height, width]",
            labels.dims()
        ),
    };
    let sizes = Sizes {
        images,
        channels: 1,
        from,
        to: size,
    };
    let sizes = sizes.checked("resize_labels", labels)?;
    let labels = labels.contiguous()?;
    if on_gpu(labels.device()) && labels.dtype().is_int() {
        return Ok(cuda::labels(&labels, sizes)?);
    }
    let places = nearest_places(sizes);
    macro_rules! run {
        ($T:ty) => {
            plain(cpu::nearest(sizes, &places, &View::<$T>::of(&labels)?), shape)
        };
    }
    Ok(match labels.dtype() {
        DType::U8 => run!(u8),
        DType::U32 => run!(u32),
        DType::I16 => run!(i16),
        DType::I32 => run!(i32),
        DType::I64 => run!(i64),
        other => fail!(
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
