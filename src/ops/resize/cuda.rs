//! Resizing on a GPU. The sources of every row and column are uploaded with each call (a few kilobytes, no wait).

use candle_core::{DType, Device, Result, Tensor};

use super::{Tap, bilinear_taps, nearest_places, resized};
use crate::ops::kernel::cuda::{Buffer, Launch, Source, arithmetic};
use crate::ops::tape::Graph;

const SOURCE: Source = Source {
    name: "resize",
    text: include_str!("resize.cu"),
};

/// Sizes of a resize: maps, their height and width, those of the result.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) planes: usize,
    pub(super) from: [usize; 2],
    pub(super) to: [usize; 2],
}

impl Sizes {
    fn inputs(self) -> usize {
        self.planes * self.from[0] * self.from[1]
    }

    fn outputs(self) -> usize {
        self.planes * self.to[0] * self.to[1]
    }

    /// The kernels' integers for a grid over `count` elements.
    fn ints(self, count: usize) -> [usize; 5] {
        [count, self.from[0], self.from[1], self.to[0], self.to[1]]
    }
}

/// Places on the device.
fn places(places: impl Iterator<Item = usize>, device: &Device) -> Result<Tensor> {
    Tensor::new(places.map(|p| p as u32).collect::<Vec<_>>(), device)
}

/// The low and high sources and the shares of the high ones, on the device.
fn taps(taps: &[Tap], dtype: DType, device: &Device) -> Result<[Tensor; 3]> {
    let shares: Vec<f64> = taps.iter().map(|t| t.share).collect();
    // converted before it is uploaded
    let shares = Tensor::new(shares, &Device::Cpu)?.to_dtype(arithmetic(dtype))?;
    Ok([
        places(taps.iter().map(|t| t.low), device)?,
        places(taps.iter().map(|t| t.high), device)?,
        shares.to_device(device)?,
    ])
}

/// The bilinear resize, recorded in `graph`.
pub(super) fn bilinear(graph: Graph, sizes: Sizes, x: &Tensor, align_corners: bool) -> Result<Tensor> {
    let (Sizes { from, to, .. }, dtype, device) = (sizes, x.dtype(), x.device());
    let rows = taps(&bilinear_taps(from[0], to[0], align_corners), dtype, device)?;
    let columns = taps(&bilinear_taps(from[1], to[1], align_corners), dtype, device)?;
    let run = move |kernel: &'static str, source: &Tensor, count: usize| -> Result<Buffer> {
        let mut target = Buffer::like(source, count)?;
        let launch = Launch::of(&SOURCE, kernel, source).read(source);
        let launch = rows.iter().chain(&columns).fold(launch, |launch, t| launch.read(t));
        launch.write(&mut target).ints(&sizes.ints(count)).each(count)?;
        Ok(target)
    };
    let y = run("bilinear_forward", x, sizes.outputs())?;
    let shape = x.shape().clone();
    graph.record_light("resize_bilinear", &[x], y.output(resized(x, to)), move |dy| {
        Ok(vec![Some(run("bilinear_backward", dy, sizes.inputs())?.tensor(&shape))])
    })
}

/// The nearest resize, recorded in `graph`.
pub(super) fn nearest(graph: Graph, sizes: Sizes, x: &Tensor) -> Result<Tensor> {
    let Sizes { from, to, .. } = sizes;
    let rows = places(nearest_places(from[0], to[0]).into_iter(), x.device())?;
    let columns = places(nearest_places(from[1], to[1]).into_iter(), x.device())?;
    let run = move |kernel: &'static str, source: &Tensor, count: usize| -> Result<Buffer> {
        let mut target = Buffer::like(source, count)?;
        let launch = Launch::of(&SOURCE, kernel, source)
            .read(source)
            .read(&rows)
            .read(&columns);
        launch.write(&mut target).ints(&sizes.ints(count)).each(count)?;
        Ok(target)
    };
    let y = run("nearest_forward", x, sizes.outputs())?;
    let shape = x.shape().clone();
    graph.record_light("resize_nearest", &[x], y.output(resized(x, to)), move |dy| {
        Ok(vec![Some(run("nearest_backward", dy, sizes.inputs())?.tensor(&shape))])
    })
}

/// Label maps of any integer type: candle's own choice of rows and columns.
pub(super) fn labels(labels: &Tensor, sizes: Sizes) -> Result<Tensor> {
    let Sizes { from, to, .. } = sizes;
    let rank = labels.rank();
    let rows = places(nearest_places(from[0], to[0]).into_iter(), labels.device())?;
    let columns = places(nearest_places(from[1], to[1]).into_iter(), labels.device())?;
    labels.index_select(&rows, rank - 2)?.index_select(&columns, rank - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{agree, random};

    #[test]
    fn resizing_on_a_gpu_is_that_of_the_processor() {
        for (from, to) in [([5, 7], [8, 9]), ([6, 4], [3, 9]), ([1, 3], [4, 1]), ([9, 8], [2, 3])] {
            let x = random(&[2, 3, from[0], from[1]], 1);
            let sizes = Sizes { planes: 6, from, to };
            for align in [true, false] {
                agree(
                    1,
                    std::slice::from_ref(&x),
                    |t| crate::ops::resize_bilinear(&t[0], to, align),
                    |t| Ok(bilinear(Graph::default(), sizes, &t[0], align)?),
                );
            }
            agree(
                1,
                &[x],
                |t| crate::ops::resize_nearest(&t[0], to),
                |t| Ok(nearest(Graph::default(), sizes, &t[0])?),
            );
        }
    }

    #[test]
    fn labels_are_those_of_the_processor() {
        for dtype in [DType::U8, DType::I64] {
            let maps = Tensor::arange(0u8, 70, &Device::Cpu)
                .unwrap()
                .reshape((2, 5, 7))
                .unwrap();
            let maps = maps.to_dtype(dtype).unwrap();
            let (from, to) = ([5, 7], [8, 3]);
            let found = labels(&maps, Sizes { planes: 2, from, to }).unwrap();
            let expected = crate::ops::resize_labels(&maps, to).unwrap();
            assert_eq!(found.dtype(), dtype);
            let list = |t: Tensor| t.to_dtype(DType::I64).unwrap().to_vec3::<i64>().unwrap();
            assert_eq!(list(found), list(expected));
        }
    }
}
