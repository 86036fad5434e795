//! Labels moved to the borders of masks.

use candle_core::{Device, Tensor};

use crate::data::IGNORED;
use crate::ensure;
use crate::error::{Result, in_range};
use crate::ops::{integers, numbers};

/// Give every mask of a label map `[h, w]` of integers 0 to 255 the label that most of its pixels have, where these are at least `share`
/// of all its pixels; pixels without label (255) count among all, and get the label too. Smaller masks lie above larger ones. What no mask
/// covers stays.
///
/// # Errors
/// Shapes that differ; a label beyond 255; a share that is none.
pub fn snap(labels: &Tensor, masks: &[Tensor], share: f64) -> Result<Tensor> {
    in_range(
        "snap",
        "share",
        share,
        (std::ops::Bound::Excluded(0.0), std::ops::Bound::Included(1.0)),
    )?;
    ensure!(
        labels.rank() == 2 && labels.dtype().is_int(),
        "snap: `labels` must be a label map [h, w] of integers, found {} {:?}",
        labels.dtype().as_str(),
        labels.dims()
    );
    let before = integers(labels)?;
    if let Some(strange) = before.iter().find(|label| !(0..=255).contains(*label)) {
        crate::fail!("snap: `labels` holds the label {strange}, expected 0 to 255");
    }
    let mut areas = Vec::with_capacity(masks.len());
    for (i, mask) in masks.iter().enumerate() {
        ensure!(
            mask.dims() == labels.dims(),
            "snap: mask {i} has the shape {:?}, the labels {:?}; both must be of the same image",
            mask.dims(),
            labels.dims()
        );
        let inside: Vec<bool> = numbers(mask)?.into_iter().map(|v| v != 0.0).collect();
        areas.push((inside.iter().filter(|v| **v).count(), inside));
    }
    areas.sort_by_key(|(area, _)| std::cmp::Reverse(*area));
    let mut after = before.clone();
    for (area, inside) in areas {
        let pixels = || inside.iter().enumerate().filter(|(_, v)| **v).map(|(i, _)| i);
        let mut counts = [0usize; 256];
        pixels().for_each(|i| counts[before[i] as usize] += 1);
        counts[usize::from(IGNORED)] = 0;
        // of two labels as frequent the first
        let most = counts
            .iter()
            .enumerate()
            .max_by_key(|(label, count)| (**count, std::cmp::Reverse(*label)));
        if let Some((label, count)) = most.filter(|(_, count)| **count > 0 && **count as f64 >= share * area as f64) {
            debug_assert!(*count <= area);
            pixels().for_each(|i| after[i] = label as i64);
        }
    }
    let after = Tensor::from_vec(after, labels.dims(), &Device::Cpu)?;
    Ok(after.to_dtype(labels.dtype())?.to_device(labels.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    fn map(rows: &[[u8; 4]]) -> Tensor {
        let rows: Vec<Vec<u8>> = rows.iter().map(|r| r.to_vec()).collect();
        Tensor::new(rows, &Device::Cpu).unwrap()
    }

    #[test]
    fn masks_take_their_majority_and_small_ones_lie_above() {
        let labels = map(&[[1, 1, 2, 2], [1, 1, 1, 2], [255, 2, 2, 0]]);
        let left = map(&[[1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0]]); // five of seven are 1
        let corner = map(&[[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]); // a single 2 inside it
        let out = |masks: &[Tensor], share| snap(&labels, masks, share).unwrap().to_vec2::<u8>().unwrap();
        let snapped = [[1, 1, 2, 2], [1, 1, 1, 2], [1, 2, 2, 0]];
        // given in either order
        assert_eq!(out(&[corner.clone(), left.clone()], 0.7), snapped);
        assert_eq!(out(&[left.clone(), corner], 0.7), snapped);
        assert_eq!(out(std::slice::from_ref(&left), 0.5)[0], [1, 1, 1, 2]);
        // 5 / 7 = 0.714 does not reach it
        assert_eq!(out(&[left], 0.72), labels.to_vec2::<u8>().unwrap());
    }

    #[test]
    fn pixels_without_label_never_win() {
        let labels = map(&[[255, 255, 255, 3]]);
        let mask = map(&[[1, 1, 1, 1]]);
        let out = |share| {
            snap(&labels, std::slice::from_ref(&mask), share)
                .unwrap()
                .to_vec2::<u8>()
                .unwrap()
        };
        assert_eq!(out(0.25), [[3, 3, 3, 3]]);
        assert_eq!(out(0.26), [[255, 255, 255, 3]]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let labels = map(&[[0, 1, 2, 3]]);
        for share in [0.0, -0.5, 1.1, f64::NAN] {
            assert!(snap(&labels, &[], share).unwrap_err().to_string().contains("share"));
        }
        let text = snap(&labels, &[map(&[[1, 1, 1, 1]; 2])], 0.5).unwrap_err().to_string();
        assert!(text.contains("mask 0 has the shape [2, 4]"), "{text}");
        let text = snap(&labels.to_dtype(DType::F32).unwrap(), &[], 0.5)
            .unwrap_err()
            .to_string();
        assert!(text.contains("of integers"), "{text}");
        let text = snap(
            &labels.to_dtype(DType::I64).unwrap().affine(1.0, -1.0).unwrap(),
            &[],
            0.5,
        )
        .unwrap_err()
        .to_string();
        assert!(text.contains("label -1"), "{text}");
    }
}
