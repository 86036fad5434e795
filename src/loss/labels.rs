//! Label maps as the losses need them: plain numbers, at the size of the features.

use candle_core::{Device, Tensor};

use crate::ensure;
use crate::error::Result;
use crate::ops::{checked_labels, integers, resize_labels};

/// Marks a pixel that takes no part.
pub(crate) const IGNORED: u32 = u32::MAX;

/// A label map `[n, h, w]` as numbers, brought to `size` by nearest neighbour as PyTorch's `interpolate(mode="nearest")`:
/// row y of the result is row `floor(y * h / size[0])`. `function` and `what` are named in errors.
///
/// # Errors
/// A tensor that is not `[n, h, w]` of an integer type, another number of images, sizes that cannot be one map at two
/// strides (a map smaller than the features, another aspect ratio).
pub(crate) fn label_map(
    function: &str,
    what: &str,
    labels: &Tensor,
    images: usize,
    size: [usize; 2],
) -> Result<Vec<i64>> {
    ensure!(
        labels.rank() == 3 && labels.dtype().is_int(),
        "{function}: {what} of shape {:?} and type {:?}, expected integers [n, h, w]",
        labels.dims(),
        labels.dtype()
    );
    let (n, h, w) = labels.dims3()?;
    ensure!(
        n == images,
        "{function}: {what} of shape {:?} are {n} images, the features {images}; both must come from the same batch",
        labels.dims()
    );
    ensure!(
        fits([h, w], size),
        "{function}: features of {} x {} and {what} of {h} x {w} pixels are not the same map at two strides; crop or pad \
         them alike, or give `resize`",
        size[0],
        size[1]
    );
    let labels = labels.to_device(&Device::Cpu)?; // once per batch, where they lie on a GPU
    let labels = if [h, w] == size {
        labels
    } else {
        resize_labels(&labels, size)?
    };
    Ok(integers(&labels)?)
}

/// The class of each pixel (`None` where ignored) of labels `[n, h, w]` for logits `[n, c, h, w]`.
///
/// # Errors
/// Shapes that differ, a label outside `0..c` (named with its place).
pub(crate) fn targets(
    function: &str,
    logits: &Tensor,
    labels: &Tensor,
    ignore_label: i64,
) -> Result<Vec<Option<usize>>> {
    let (n, c, h, w) = logits.dims4()?;
    ensure!(
        labels.dtype().is_int() && labels.dims() == [n, h, w],
        "{function}: labels of shape {:?} and type {:?} for logits {:?}, expected integers [{n}, {h}, {w}]",
        labels.dims(),
        labels.dtype(),
        logits.dims()
    );
    let all = checked_labels(function, labels, c, ignore_label)?;
    Ok(all
        .into_iter()
        .map(|label| (label != ignore_label).then_some(label as usize))
        .collect())
}

/// Whether features of this size can be the labels' map at some stride (sizes may be rounded up or down).
fn fits(labels: [usize; 2], features: [usize; 2]) -> bool {
    let [(lh, fh), (lw, fw)] = [(labels[0], features[0]), (labels[1], features[1])];
    if lh < fh || lw < fw || fh == 0 || fw == 0 {
        return false;
    }
    if lh * fw == lw * fh {
        return true;
    }
    let stride = |l: usize, f: usize| {
        (
            l as f64 / (f + 1) as f64,
            if f > 1 { l as f64 / (f - 1) as f64 } else { f64::MAX },
        )
    };
    let (a, b) = (stride(lh, fh), stride(lw, fw));
    2 * lh >= 3 * fh && 2 * lw >= 3 * fw && a.0 <= b.1 && b.0 <= a.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn sizes_that_are_one_map_fit() {
        assert!(
            fits([128, 128], [32, 32])
                && fits([129, 97], [17, 13])
                && fits([16, 20], [2, 3])
                && fits([16, 16], [12, 12])
        );
        assert!(!fits([6, 7], [6, 6]) && !fits([128, 96], [32, 32]) && !fits([4, 4], [8, 8]));
    }

    #[test]
    fn maps_are_shrunk_and_wrong_ones_refused() {
        let labels = Tensor::arange(0i64, 16, &Device::Cpu)
            .unwrap()
            .reshape((1, 4, 4))
            .unwrap();
        assert_eq!(label_map("f", "labels", &labels, 1, [2, 2]).unwrap(), [0, 2, 8, 10]);
        let text = label_map("f", "labels", &labels, 2, [2, 2]).unwrap_err().to_string();
        assert!(text.contains("1 images") && text.contains("2"), "{text}");
        assert!(label_map("f", "labels", &labels.to_dtype(DType::F32).unwrap(), 1, [4, 4]).is_err());
    }
}
