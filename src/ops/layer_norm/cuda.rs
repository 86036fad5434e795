//! Layer norm over the channels on a GPU; nothing is read back.

use candle_core::{DType, Result, Tensor};

use super::Sizes;
use crate::ops::kernel::cuda::{BLOCKS, Buffer, Launch, Source, THREADS, arithmetic};
use crate::ops::tape::{Graph, Needs};

const SOURCE: Source = Source::new("layer_norm", include_str!("layer_norm.cu"));

/// Positions of a block, as in the kernels.
const TILE: usize = 32;

/// The normalised map, recorded in `graph`.
pub(super) fn layer_norm(
    graph: Graph,
    s: Sizes,
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    let (device, real, n) = (x.device(), arithmetic(x.dtype()), x.elem_count());
    for part in [weight, bias] {
        if part.dtype() != real {
            candle_core::bail!(
                "layer_norm: weight and bias are {}, expected {} for input of {}; convert them with to_dtype",
                part.dtype().as_str(),
                real.as_str(),
                x.dtype().as_str()
            )
        }
    }
    let positions = s.images * s.area;
    let sizes = [s.images, s.channels, s.area];
    let blocks = positions.div_ceil(TILE);
    let moment = || Buffer::new(device, real, positions);
    let (mut mean, mut scale, mut y) = (moment()?, moment()?, Buffer::like(x, n)?);
    Launch::of(&SOURCE, "layer_norm_forward", x)
        .read(x)
        .read(weight)
        .read(bias)
        .write(&mut mean)
        .write(&mut scale)
        .write(&mut y)
        .ints(&sizes)
        .real(eps)
        .run([blocks, 1, 1], THREADS)?;
    let (mean, scale) = (mean.tensor(positions.max(1)), scale.tensor(positions.max(1)));
    let needs = Needs::first(2);
    let arguments = [x, weight, bias];
    let output = y.output(x.shape());
    graph.record("layer_norm", &arguments, needs, output, move |arguments, _, dy| {
        let (x, weight) = (arguments[0], arguments[1]);
        let mut dx = Buffer::like(x, n)?;
        Launch::of(&SOURCE, "layer_norm_gradient", x)
            .read(x)
            .read(dy)
            .read(weight)
            .read(&mean)
            .read(&scale)
            .write(&mut dx)
            .ints(&sizes)
            .run([blocks, 1, 1], THREADS)?;
        let work = positions.div_ceil(16 * THREADS);
        let splits = (2 * BLOCKS / s.channels.max(1)).clamp(1, work.max(1));
        let mut parts = Buffer::new(x.device(), DType::F64, s.channels * splits * 2)?;
        Launch::of(&SOURCE, "layer_norm_sums", x)
            .read(x)
            .read(dy)
            .read(&mean)
            .read(&scale)
            .write(&mut parts)
            .ints(&sizes)
            .run([splits, s.channels, 1], THREADS)?;
        let parts = parts.tensor((s.channels * splits * 2).max(1));
        let vector = || Buffer::new(x.device(), real, s.channels);
        let (mut dweight, mut dbias) = (vector()?, vector()?);
        Launch::of(&SOURCE, "layer_norm_finish", x)
            .read(&parts)
            .write(&mut dweight)
            .write(&mut dbias)
            .ints(&[s.channels, splits])
            .each(s.channels)?;
        let each = [
            dx.tensor(x.shape()),
            dweight.tensor(s.channels),
            dbias.tensor(s.channels),
        ];
        Ok(each.into_iter().map(Some).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{agree, random};

    #[test]
    fn layer_norm_on_a_gpu_is_that_of_the_processor() {
        // less than a block of positions, a ragged one, several splits of the sums
        for [images, channels, height, width] in [[1, 3, 2, 3], [2, 11, 5, 9], [2, 9, 60, 81]] {
            let inputs = [
                random(&[images, channels, height, width], 1),
                random(&[channels], 2),
                random(&[channels], 3),
            ];
            let sizes = Sizes {
                images,
                channels,
                area: height * width,
            };
            agree(
                1,
                &inputs,
                |t| crate::ops::layer_norm(&t[0], &t[1], &t[2], 1e-5),
                |t| Ok(layer_norm(Graph::default(), sizes, &t[0], &t[1], &t[2], 1e-5)?),
            );
        }
    }
}
