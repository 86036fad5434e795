//! Resizing on a GPU. The sources of every row and column are uploaded with each call (a few kilobytes, no wait).

use candle_core::{DType, Device, Result, Tensor};

use super::{Tap, bilinear_taps, nearest_places};
use crate::ops::Layout;
use crate::ops::kernel::cuda::{Buffer, Launch, Source, arithmetic, lanes};
use crate::ops::tape::Graph;

const SOURCE: Source = Source {
    name: "resize",
    text: include_str!("resize.cu"),
};

/// Sizes of a resize: images and channels, their height and width, those of the result.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) images: usize,
    pub(super) channels: usize,
    pub(super) from: [usize; 2],
    pub(super) to: [usize; 2],
}

impl Sizes {
    fn shape(self, layout: Layout, [h, w]: [usize; 2]) -> [usize; 4] {
        layout.shape([self.images, self.channels, h, w])
    }

    /// Run a kernel over maps of `count` elements from those of `maps`.
    fn each(self, layout: Layout, launch: Launch, count: usize, maps: &Tensor) -> Result<()> {
        let launch = launch.ints(&[count, self.from[0], self.from[1], self.to[0], self.to[1]]);
        match layout {
            Layout::ChannelsFirst => launch.each(count),
            Layout::ChannelsLast => {
                let (lanes, wide) = lanes(self.channels, &[maps])?;
                launch.ints(&[self.channels, usize::from(wide)]).each(count / lanes)
            }
        }
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
    let kernels = match graph.layout {
        Layout::ChannelsFirst => ["bilinear_forward", "bilinear_backward"],
        Layout::ChannelsLast => ["bilinear_last_forward", "bilinear_last_backward"],
    };
    record(
        graph,
        "resize_bilinear",
        sizes,
        x,
        kernels,
        rows.into_iter().chain(columns).collect(),
    )
}

/// The nearest resize, recorded in `graph`.
pub(super) fn nearest(graph: Graph, sizes: Sizes, x: &Tensor) -> Result<Tensor> {
    let Sizes { from, to, .. } = sizes;
    let rows = places(nearest_places(from[0], to[0]).into_iter(), x.device())?;
    let columns = places(nearest_places(from[1], to[1]).into_iter(), x.device())?;
    let kernels = match graph.layout {
        Layout::ChannelsFirst => ["nearest_forward", "nearest_backward"],
        Layout::ChannelsLast => ["nearest_last_forward", "nearest_last_backward"],
    };
    record(graph, "resize_nearest", sizes, x, kernels, vec![rows, columns])
}

/// Run a kernel forward, record one that goes back; both take the same tables.
fn record(
    graph: Graph,
    name: &'static str,
    sizes: Sizes,
    x: &Tensor,
    [forward, backward]: [&'static str; 2],
    tables: Vec<Tensor>,
) -> Result<Tensor> {
    let layout = graph.layout;
    let run = move |kernel: &'static str, source: &Tensor, shape: [usize; 4]| -> Result<Buffer> {
        let count = shape.iter().product();
        let mut target = Buffer::like(source, count)?;
        let launch = Launch::of(&SOURCE, kernel, source).read(source);
        let launch = tables.iter().fold(launch, |launch, t| launch.read(t));
        sizes.each(layout, launch.write(&mut target), count, source)?;
        Ok(target)
    };
    let [from, to] = [sizes.from, sizes.to].map(|size| sizes.shape(layout, size));
    let y = run(forward, x, to)?;
    graph.record_light(name, &[x], y.output(&to), move |dy| {
        Ok(vec![Some(run(backward, dy, from)?.tensor(&from))])
    })
}

/// Label maps of any integer type: candle's own choice of rows and columns.
pub(super) fn labels(labels: &Tensor, from: [usize; 2], to: [usize; 2]) -> Result<Tensor> {
    let rank = labels.rank();
    let rows = places(nearest_places(from[0], to[0]).into_iter(), labels.device())?;
    let columns = places(nearest_places(from[1], to[1]).into_iter(), labels.device())?;
    labels.index_select(&rows, rank - 2)?.index_select(&columns, rank - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{LAYOUTS, agree, laid, random, unlaid};

    #[test]
    fn resizing_on_a_gpu_is_that_of_the_processor() {
        for (from, to) in [([5, 7], [8, 9]), ([6, 4], [3, 9]), ([1, 3], [4, 1]), ([9, 8], [2, 3])] {
            for (layout, channels) in LAYOUTS.into_iter().flat_map(|layout| [3, 8].map(|c| (layout, c))) {
                let x = random(&[2, channels, from[0], from[1]], 1);
                let (images, graph) = (2, Graph::default().laid(layout));
                let sizes = Sizes {
                    images,
                    channels,
                    from,
                    to,
                };
                for align in [true, false] {
                    agree(
                        1,
                        std::slice::from_ref(&x),
                        |t| crate::ops::resize_bilinear(&t[0], to, align),
                        |t| Ok(unlaid(&bilinear(graph, sizes, &laid(&t[0], layout)?, align)?, layout)?),
                    );
                }
                agree(
                    1,
                    &[x],
                    |t| crate::ops::resize_nearest(&t[0], to),
                    |t| Ok(unlaid(&nearest(graph, sizes, &laid(&t[0], layout)?)?, layout)?),
                );
            }
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
            let found = labels(&maps, from, to).unwrap();
            let expected = crate::ops::resize_labels(&maps, to).unwrap();
            assert_eq!(found.dtype(), dtype);
            let list = |t: Tensor| t.to_dtype(DType::I64).unwrap().to_vec3::<i64>().unwrap();
            assert_eq!(list(found), list(expected));
        }
    }
}
