//! Resizing on a GPU. The sources of every row and column are uploaded with each call (a few kilobytes, no wait).

use candle_core::{DType, Device, Result, Tensor};

use super::{Sizes, bilinear_taps, nearest_places};
use crate::ops::Layout;
use crate::ops::kernel::cuda::{Buffer, Launch, Source, arithmetic, lanes};
use crate::ops::pool::cuda::whole;
use crate::ops::tape::Graph;

const SOURCE: Source = Source::new("resize", include_str!("resize.cu"));

impl Sizes {
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

/// Tables of numbers as `dtype` on the device, in one upload.
fn upload_tables<const N: usize>(tables: [Vec<f64>; N], dtype: DType, device: &Device) -> Result<[Tensor; N]> {
    let all = Tensor::new(tables.concat(), &Device::Cpu)?
        .to_dtype(dtype)?
        .to_device(device)?;
    let mut start = 0;
    let mut parts = Vec::with_capacity(N);
    for table in &tables {
        parts.push(all.narrow(0, start, table.len())?);
        start += table.len();
    }
    <[Tensor; N]>::try_from(parts).map_err(|_| candle_core::Error::Msg("internal: a table is missing".into()))
}

/// The places that each row and column of a nearest resize takes, on the device.
fn nearest_tables(sizes: Sizes, device: &Device) -> Result<[Tensor; 2]> {
    let numbers = |places: Vec<usize>| places.into_iter().map(|p| p as f64).collect();
    upload_tables(nearest_places(sizes).map(numbers), DType::U32, device)
}

/// The bilinear resize, recorded in `graph`.
pub(super) fn bilinear(graph: Graph, sizes: Sizes, x: &Tensor, align_corners: bool) -> Result<Tensor> {
    let taps = bilinear_taps(sizes, align_corners);
    let places = taps.each_ref().map(|taps| {
        let low: Vec<f64> = taps.iter().map(|t| t.low as f64).collect();
        (low, taps.iter().map(|t| t.high as f64).collect())
    });
    let [(row_low, row_high), (column_low, column_high)] = places;
    let shares = taps.each_ref().map(|taps| taps.iter().map(|t| t.share).collect());
    let places = [row_low, row_high, column_low, column_high];
    let [row_low, row_high, column_low, column_high] = upload_tables(places, DType::U32, x.device())?;
    let [row_share, column_share] = upload_tables(shares, arithmetic(x.dtype()), x.device())?;
    let tables = vec![row_low, row_high, row_share, column_low, column_high, column_share];
    let kernels = [
        ["bilinear_forward", "bilinear_last_forward"],
        ["bilinear_backward", "bilinear_last_backward"],
    ]
    .map(|both| graph.layout.kernel(both));
    record(graph, "resize_bilinear", sizes, x, kernels, tables)
}

/// The nearest resize, recorded in `graph`.
pub(super) fn nearest(graph: Graph, sizes: Sizes, x: &Tensor) -> Result<Tensor> {
    let tables = nearest_tables(sizes, x.device())?;
    let kernels = [
        ["nearest_forward", "nearest_last_forward"],
        ["nearest_backward", "nearest_last_backward"],
    ]
    .map(|both| graph.layout.kernel(both));
    record(graph, "resize_nearest", sizes, x, kernels, tables.to_vec())
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
    // every output is the one input: few threads would each add up a whole map
    let one = layout == Layout::ChannelsLast && sizes.from == [1, 1];
    let run = move |kernel: &'static str, source: &Tensor, shape: [usize; 4]| -> Result<Buffer> {
        let count = shape.iter().product();
        let mut target = Buffer::like(source, count)?;
        let launch = Launch::of(&SOURCE, kernel, source).read(source);
        let launch = tables.iter().fold(launch, |launch, t| launch.read(t));
        sizes.each(layout, launch.write(&mut target), count, source)?;
        Ok(target)
    };
    let [from, to] = [sizes.from, sizes.to].map(|size| layout.shape(sizes.shape(size)));
    let y = run(forward, x, to)?;
    graph.record_light(name, &[x], y.output(&to), move |dy| {
        let dx = if one { whole(dy, 1)? } else { run(backward, dy, from)? };
        Ok(vec![Some(dx.tensor(&from))])
    })
}

/// Label maps of any integer type: candle's own choice of rows and columns.
pub(super) fn labels(labels: &Tensor, sizes: Sizes) -> Result<Tensor> {
    let rank = labels.rank();
    let [rows, columns] = nearest_tables(sizes, labels.device())?;
    labels.index_select(&rows, rank - 2)?.index_select(&columns, rank - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{LAYOUTS, agree, from_layout, random, to_layout};

    #[test]
    fn resizing_on_a_gpu_is_that_of_the_processor() {
        for (from, to) in [
            ([5, 7], [8, 9]),
            ([6, 4], [3, 9]),
            ([1, 3], [4, 1]),
            ([9, 8], [2, 3]),
            ([1, 1], [5, 9]),
        ] {
            for (layout, channels) in LAYOUTS.into_iter().flat_map(|layout| [3, 8].map(|c| (layout, c))) {
                let x = random(&[2, channels, from[0], from[1]], 1);
                let (images, graph) = (2, Graph::default().in_layout(layout));
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
                        |t| {
                            Ok(from_layout(
                                &bilinear(graph, sizes, &to_layout(&t[0], layout)?, align)?,
                                layout,
                            )?)
                        },
                    );
                }
                agree(
                    1,
                    &[x],
                    |t| crate::ops::resize_nearest(&t[0], to),
                    |t| {
                        Ok(from_layout(
                            &nearest(graph, sizes, &to_layout(&t[0], layout)?)?,
                            layout,
                        )?)
                    },
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
            let (images, channels) = (2, 1);
            let sizes = Sizes {
                images,
                channels,
                from,
                to,
            };
            let found = labels(&maps, sizes).unwrap();
            let expected = crate::ops::resize_labels(&maps, to).unwrap();
            assert_eq!(found.dtype(), dtype);
            let list = |t: Tensor| t.to_dtype(DType::I64).unwrap().to_vec3::<i64>().unwrap();
            assert_eq!(list(found), list(expected));
        }
    }
}
