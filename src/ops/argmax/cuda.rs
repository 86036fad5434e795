//! Label maps on a GPU, counted there: only the counts are read back, once.

use candle_core::{DType, Device, Result, Tensor};

use super::PAIRS;
use crate::ops::kernel::cuda::{Buffer, Launch, Source};

const SOURCE: Source = Source::new("argmax", include_str!("argmax.cu"));

/// Labels `[n, height, width]` of one byte each.
pub(super) fn upsampled(logits: &Tensor, [height, width]: [usize; 2], align_corners: bool) -> Result<Tensor> {
    let (n, classes, h, w) = logits.dims4()?;
    let mut labels = Buffer::new(logits.device(), DType::U8, n * height * width)?;
    Launch::of(&SOURCE, "argmax_upsampled", logits)
        .read(logits)
        .write(&mut labels)
        .ints(&[n, classes, h, w, height, width, usize::from(align_corners)])
        .each(n * height * width)?;
    Ok(labels.tensor((n, height, width)))
}

/// How often each pair of truth and label occurred.
pub(crate) struct PairCounts {
    table: Tensor,
    /// Says for which element type the kernels are compiled; they use none.
    any: Tensor,
}

impl PairCounts {
    /// Nothing counted yet.
    pub(crate) fn new(device: &Device) -> Result<Self> {
        Ok(PairCounts {
            table: Tensor::zeros(PAIRS, DType::I64, device)?,
            any: Tensor::zeros(1, DType::F32, device)?,
        })
    }

    /// Count the pixels of label maps against the truth, both of one byte each.
    pub(crate) fn add(&self, truth: &Tensor, labels: &Tensor) -> Result<()> {
        let n = labels.elem_count();
        if truth.elem_count() != n || truth.dtype() != DType::U8 || labels.dtype() != DType::U8 {
            candle_core::bail!(
                "internal: the truth has {} pixels, the prediction {n}",
                truth.elem_count()
            )
        }
        Launch::of(&SOURCE, "argmax_count", &self.any)
            .read(truth)
            .read(labels)
            .update(&self.table)
            .int(n)
            .each(n.div_ceil(16))
    }

    /// The counts, by `truth * 256 + label`; waits for the device.
    pub(crate) fn read(&self) -> Result<Vec<u64>> {
        let counts = self.table.to_vec1::<i64>()?;
        Ok(counts.into_iter().map(|n| n as u64).collect())
    }
}

/// Add a window `[n, c, h, w]` to maps `[n, c, height, width]` in place, its corner at `[top, left]`.
pub(crate) fn add_window(maps: &Tensor, window: &Tensor, [top, left]: [usize; 2]) -> Result<()> {
    let (n, c, height, width) = maps.dims4()?;
    let (windows, planes, h, w) = window.dims4()?;
    if (windows, planes) != (n, c) || top + h > height || left + w > width || window.dtype() != maps.dtype() {
        candle_core::bail!(
            "internal: a window {:?} does not fit into {:?}",
            window.dims(),
            maps.dims()
        )
    }
    Launch::of(&SOURCE, "argmax_add_window", maps)
        .read(window)
        .update(maps)
        .ints(&[n * c, h, w, height, width, top, left])
        .each(n * c * h * w)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{available, random};

    #[test]
    fn labels_on_a_gpu_are_those_of_the_processor() {
        if !available() {
            return;
        }
        let logits = random(&[2, 5, 6, 7], 1).to_dtype(DType::F32).unwrap();
        for corners in [false, true] {
            for size in [[6, 7], [24, 28], [13, 9], [3, 20], [1, 1]] {
                let found = upsampled(&logits, size, corners).unwrap();
                let expected = super::super::upsampled_argmax(&logits, size, corners).unwrap();
                assert_eq!(
                    found.to_vec3::<u8>().unwrap(),
                    expected.to_vec3::<u8>().unwrap(),
                    "{size:?} {corners}"
                );
            }
        }
    }

    #[test]
    fn every_pair_is_counted_once() {
        if !available() {
            return;
        }
        let byte = |i: usize, kinds: usize| {
            if i.is_multiple_of(41) {
                255
            } else {
                (i * i / 50 % kinds) as u8
            }
        };
        let truth: Vec<u8> = (0..2 * 9 * 59).map(|i| byte(i, 4)).collect();
        let labels: Vec<u8> = (0..2 * 9 * 59).map(|i| byte(i + 3, 5)).collect();
        let counts = PairCounts::new(&Device::Cpu).unwrap();
        let tensor = |v: &Vec<u8>| Tensor::from_slice(v, v.len(), &Device::Cpu).unwrap();
        let mut expected = vec![0u64; PAIRS];
        for _ in 0..2 {
            counts.add(&tensor(&truth), &tensor(&labels)).unwrap();
            for (t, p) in truth.iter().zip(&labels) {
                expected[usize::from(*t) << 8 | usize::from(*p)] += 1;
            }
        }
        assert_eq!(counts.read().unwrap(), expected);
        assert!(counts.add(&tensor(&truth), &tensor(&labels[1..].to_vec())).is_err());
    }

    #[test]
    fn windows_are_added_where_they_belong() {
        if !available() {
            return;
        }
        let maps = Tensor::ones((2, 3, 5, 6), DType::F32, &Device::Cpu).unwrap();
        let window = random(&[2, 3, 2, 4], 1).to_dtype(DType::F32).unwrap();
        add_window(&maps, &window, [3, 1]).unwrap();
        let inside = maps.narrow(2, 3, 2).unwrap().narrow(3, 1, 4).unwrap();
        let off = (inside - (window.clone() + 1.0).unwrap()).unwrap().abs().unwrap();
        assert!(off.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6);
        let rest =
            maps.sum_all().unwrap().to_scalar::<f32>().unwrap() - window.sum_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((rest - 180.0).abs() < 1e-3);
        assert!(add_window(&maps, &window, [4, 1]).is_err());
    }
}
