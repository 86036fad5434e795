//! Smallest, mean and largest element, in one pass over the elements part by part.

use candle_core::{DType, Tensor};

use crate::error::Result;

/// Elements that are looked at together.
const PART: usize = 1 << 18;
/// Sums that run beside each other.
const LANES: usize = 8;

/// What is said about the elements of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Statistics {
    /// The smallest finite element.
    pub min: f64,
    /// The largest finite element.
    pub max: f64,
    /// How many are finite.
    pub finite: usize,
    /// How many are not a number.
    pub nan: usize,
    /// How many are infinite.
    pub infinite: usize,
    sum: f64,
}

impl Statistics {
    /// The statistics of a tensor.
    pub fn of(t: &Tensor) -> Result<Self> {
        let flat = t.contiguous()?.flatten_all()?;
        let mut all = Statistics {
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            finite: 0,
            nan: 0,
            infinite: 0,
            sum: 0.0,
        };
        for start in (0..flat.elem_count()).step_by(PART) {
            let part = flat.narrow(0, start, PART.min(flat.elem_count() - start))?;
            match t.dtype() {
                DType::F64 => all.add(&part.to_vec1::<f64>()?, |x| x),
                dtype if dtype.is_float() => all.add(&part.to_dtype(DType::F32)?.to_vec1::<f32>()?, f64::from),
                _ => all.add(&part.to_dtype(DType::I64)?.to_vec1::<i64>()?, |x| x as f64),
            }
        }
        Ok(all)
    }

    /// The mean of the finite elements.
    pub fn mean(&self) -> f64 {
        self.sum / self.finite as f64
    }

    fn add<T: Copy>(&mut self, values: &[T], number: impl Fn(T) -> f64) {
        let (mut sums, mut low, mut high) = ([0.0; LANES], [f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
        for values in values.chunks(LANES) {
            for (lane, value) in values.iter().enumerate() {
                let x = number(*value);
                sums[lane] += x;
                low[lane] = if x < low[lane] { x } else { low[lane] };
                high[lane] = if x > high[lane] { x } else { high[lane] };
            }
        }
        let sum: f64 = sums.iter().sum();
        if sum.is_finite() {
            // a finite sum: all these numbers are finite
            self.sum += sum;
            self.finite += values.len();
            self.min = low.into_iter().fold(self.min, f64::min);
            self.max = high.into_iter().fold(self.max, f64::max);
            return;
        }
        for x in values.iter().map(|v| number(*v)) {
            if x.is_nan() {
                self.nan += 1;
            } else if x.is_infinite() {
                self.infinite += 1;
            } else {
                self.finite += 1;
                self.sum += x;
                (self.min, self.max) = (self.min.min(x), self.max.max(x));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let t = Tensor::new(&[1f32, f32::NAN, -3.0, f32::INFINITY, 5.0], &Device::Cpu).unwrap();
        let s = Statistics::of(&t).unwrap();
        assert_eq!((s.min, s.mean(), s.max), (-3.0, 1.0, 5.0));
        assert_eq!((s.finite, s.nan, s.infinite), (3, 1, 1));
    }

    #[test]
    fn parts_and_lanes_make_the_whole() {
        let n = PART as u32 + 13;
        let t = Tensor::arange(0u32, n, &Device::Cpu).unwrap();
        let s = Statistics::of(&t).unwrap();
        assert_eq!((s.min, s.max), (0.0, f64::from(n - 1)));
        assert_eq!(s.mean(), f64::from(n - 1) / 2.0); // the mean of 0, 1, .. n - 1
    }
}
