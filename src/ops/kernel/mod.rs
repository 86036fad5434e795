//! What every CPU kernel shares: the element types, views of tensors, fresh buffers, and a border to vector code.

pub(crate) mod cpu;
pub(crate) mod cuda;

use candle_core::{CpuStorage, DType, Error, Result, Shape, Storage, StorageRef, Tensor, WithDType};

pub(crate) use cuda::on_gpu;

use super::graph::Output;

/// The floating-point types that the operations compute in.
pub(crate) trait Element: WithDType + Default + std::iter::Sum {
    /// Square root.
    fn sqrt(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// `e^self`, within 2 units in the last place; written so that a loop over it becomes vector code.
    fn exp(self) -> Self;
    /// The larger one; `other` if one is NaN.
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self >= other { self } else { other }
    }
    /// The nearest bfloat16 (ties to even), in this type.
    fn to_bf16(self) -> Self;
    /// Distribution function and density of the standard normal distribution.
    fn gauss(self) -> (Self, Self);
    /// The elements of a CPU tensor of this type.
    fn elements_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;
}

impl Element for f32 {
    fn elements_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F32(elements) => Some(elements),
            _ => None,
        }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f32::ln(self)
    }
    /// `2^n e^r` with `n = round(x / ln 2)`: minimax polynomial of degree 6 for `e^r`, |r| <= ln 2 / 2 (as in Cephes `expf`).
    #[inline(always)]
    fn exp(self) -> Self {
        const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the rounded integer in the low bits
        // Comparisons, not `clamp`, so that NaN passes through `r`.
        let x = if self < -87.3 { -87.3 } else { self };
        let x = if x > 88.3 { 88.3 } else { x };
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
        let p = 1.987_569_1e-4;
        let p = p * r + 1.398_199_9e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 1.666_666_5e-1;
        let p = p * r + 5.000_000_3e-1;
        let p = p * r * r + r + 1.0;
        let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3F80_0000));
        p * scale
    }
    #[inline(always)]
    fn to_bf16(self) -> Self {
        let bits = self.to_bits();
        let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000;
        // the carry of the rounding would turn some NaNs into infinity or zero
        f32::from_bits(if self.is_nan() { bits } else { rounded })
    }
    /// Formula 7.1.26 of Abramowitz and Stegun for the complementary error function: off by 1.5e-7 at most.
    #[inline(always)]
    fn gauss(self) -> (Self, Self) {
        let bell = Element::exp(-0.5 * self * self);
        let t = 1.0 / (1.0 + 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2 * self.abs());
        let p = 1.061_405_4 * t - 1.453_152;
        let p = p * t + 1.421_413_7;
        let p = p * t - 0.284_496_72;
        let p = p * t + 0.254_829_6;
        let beyond = 0.5 * p * t * bell;
        let below = if self < 0.0 { beyond } else { 1.0 - beyond };
        (below, bell * 0.398_942_3)
    }
}

impl Element for f64 {
    fn elements_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F64(elements) => Some(elements),
            _ => None,
        }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn gauss(self) -> (Self, Self) {
        let below = 0.5 * candle_core::cpu::erf::erfc_f64(-self * std::f64::consts::FRAC_1_SQRT_2);
        (below, f64::exp(-0.5 * self * self) * 0.398_942_280_401_432_7)
    }
    #[inline(always)]
    fn to_bf16(self) -> Self {
        f64::from((self as f32).to_bf16())
    }
}

/// Whether a number is none; elements have no `is_nan` of their own.
#[inline(always)]
#[allow(clippy::eq_op)]
pub(crate) fn is_nan<T: PartialEq>(v: T) -> bool {
    v != v
}

/// Sizes around dimension `dim` of `x`, an argument of `name`: of all dimensions before it, its own, of all behind it.
pub(crate) fn around(name: &str, x: &Tensor, dim: usize) -> crate::error::Result<[usize; 3]> {
    let dims = x.dims();
    crate::ensure!(dim < dims.len(), "{name}: dimension {dim} of {dims:?} does not exist");
    let size = |dims: &[usize]| dims.iter().product();
    Ok([size(&dims[..dim]), dims[dim], size(&dims[dim + 1..])])
}

/// Run `$body` with `$T` standing for the Rust type of `$tensor`'s elements; other types than f32 and f64 are refused.
macro_rules! by_dtype {
    ($tensor:expr, $name:expr, $T:ident => $body:expr) => {
        match $tensor.dtype() {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => Err($crate::ops::kernel::wrong_dtype($name, other)),
        }
    };
}
pub(crate) use by_dtype;

/// The engine error for an element type without kernels.
pub(crate) fn wrong_dtype(name: &str, found: DType) -> Error {
    Error::Msg(format!(
        "{name}: elements are {}, expected f32 or f64; convert with to_dtype",
        found.as_str()
    ))
}

/// A contiguous CPU tensor read as a slice for as long as the view lives.
pub(crate) struct View<'a, T> {
    storage: StorageRef<'a>,
    start: usize,
    end: usize,
    element: std::marker::PhantomData<T>,
}

impl<'a, T: WithDType> View<'a, T> {
    /// Borrow the elements of `tensor`, which must be contiguous (call `contiguous()` before) and on the CPU.
    pub(crate) fn of(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("internal: a kernel was given a tensor that is not contiguous")
        };
        let view = View {
            storage,
            start,
            end,
            element: std::marker::PhantomData,
        };
        view.slice()?;
        Ok(view)
    }

    fn slice(&self) -> Result<&[T]> {
        match &*self.storage {
            Storage::Cpu(storage) => Ok(&T::cpu_storage_as_slice(storage)?[self.start..self.end]),
            _ => candle_core::bail!("this operation has no kernel for this device yet; move the tensor to the CPU"),
        }
    }
}

impl<T: WithDType> std::ops::Deref for View<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        self.slice().unwrap_or(&[]) // checked when the view was made
    }
}

/// A CPU tensor outside any graph.
pub(crate) fn plain<T: WithDType>(data: Vec<T>, shape: impl Into<Shape>) -> Tensor {
    let storage = Storage::Cpu(T::to_cpu_storage_owned(data));
    Tensor::from_storage(storage, shape, candle_core::op::BackpropOp::none(), false)
}

/// A CPU result for [`record`](super::graph::record).
pub(crate) fn output<T: WithDType>(data: Vec<T>, shape: impl Into<Shape>) -> Output {
    Output {
        storage: Storage::Cpu(T::to_cpu_storage_owned(data)),
        shape: shape.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_exp_is_within_two_units_in_the_last_place() {
        for i in -87_000..88_000 {
            let x = i as f32 * 1e-3;
            let (fast, exact) = (Element::exp(x), (x as f64).exp());
            assert!(((fast as f64 - exact) / exact).abs() < 2.4e-7, "{x}: {fast} {exact}");
        }
        assert!(Element::exp(f32::NAN).is_nan());
        assert!(Element::exp(-1000f32) < 1e-37);
    }

    #[test]
    fn the_normal_distribution_function_is_within_a_few_roundings() {
        for i in -9000..9000 {
            let x = i as f32 * 1e-3;
            let ((below, density), (exact, bell)) = (x.gauss(), (x as f64).gauss());
            assert!((below as f64 - exact).abs() < 3e-7, "{x}: {below} {exact}");
            assert!((density as f64 - bell).abs() < 1e-7, "{x}: {density} {bell}");
        }
        assert!((1.96f64.gauss().0 - 0.975_002_104_851_779_6).abs() < 1e-15); // published
        assert!(f32::NAN.gauss().0.is_nan());
    }

    #[test]
    fn rounding_to_bfloat16_takes_the_nearest_and_ties_to_even() {
        let cases = [
            (1.0f32, 1.0),
            (1.0 + 1.0 / 256.0, 1.0), // half way between 1 and 1 + 2^-7: to the even fraction
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0), // half way, odd below
            (-1.0 - 1.01 / 256.0, -1.0 - 2.0 / 256.0),
            (f32::MAX, f32::INFINITY),
            (0.0, 0.0),
        ];
        for (x, expected) in cases {
            assert_eq!(x.to_bf16(), expected, "{x}");
        }
        assert!(f32::NAN.to_bf16().is_nan() && f32::from_bits(0x7F80_0001).to_bf16().is_nan());
    }
}
