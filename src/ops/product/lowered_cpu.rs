//! The package's kernels for instruction sets below this processor's, which `SEGLAB_CPU` may ask for; the package itself always takes
//! the best.

use gemm::Parallelism;
use gemm_common::gemm::gemm_basic_generic;
use gemm_common::simd::{MixedSimd, Scalar, V3};

use super::cpu::Matrix;
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Level, lowered};

/// See `by_package` in `cpu.rs`; false if the processor's best is wanted, and nothing is done.
///
/// # Safety
/// As there.
pub(super) unsafe fn product<T: Element>(
    out: *mut T,
    step: usize,
    add: bool,
    scale: T,
    a: Matrix<T>,
    b: Matrix<T>,
) -> bool {
    let Some(level) = lowered() else { return false };
    let portable = level == Level::Portable;
    if let (Some(a), Some(b)) = (a.same::<f32>(), b.same::<f32>()) {
        let kernel = if portable { portable_f32 } else { avx2_f32 };
        // SAFETY: T is f32, the rest is the caller's promise.
        unsafe { kernel(out.cast(), step, add, scale.to_f64() as f32, a, b) }
    } else if let (Some(a), Some(b)) = (a.same::<f64>(), b.same::<f64>()) {
        let kernel = if portable { portable_f64 } else { avx2_f64 };
        // SAFETY: T is f64, the rest is the caller's promise.
        unsafe { kernel(out.cast(), step, add, scale.to_f64(), a, b) }
    } else {
        false
    }
}

macro_rules! kernel {
    ($name:ident, $type:ident, $package:ident, $set:ident, $simd:ident, $lanes:literal) => {
        /// # Safety
        /// As [`product`].
        unsafe fn $name(
            out: *mut $type,
            step: usize,
            add: bool,
            scale: $type,
            a: Matrix<$type>,
            b: Matrix<$type>,
        ) -> bool {
            use $package::microkernel::$set::$type::{H_M, H_N, H_UKR, MR_DIV_N, NR, UKR};
            let Some(simd) = <$simd as MixedSimd<$type, $type, $type, $type>>::try_new() else {
                return false;
            };
            // The kernels are for results column by column; row by row it is the product of the transposed factors.
            // SAFETY: by the caller's promise.
            unsafe {
                gemm_basic_generic::<$simd, $type, $lanes, { MR_DIV_N * $lanes }, NR, MR_DIV_N, H_M, H_N>(
                    simd,
                    b.columns,
                    a.rows,
                    a.columns,
                    out,
                    step as isize,
                    1,
                    add,
                    b.data.as_ptr(),
                    b.row_step as isize,
                    b.column_step as isize,
                    a.data.as_ptr(),
                    a.row_step as isize,
                    a.column_step as isize,
                    1.0,
                    scale,
                    false,
                    false,
                    false,
                    |a, b, c| a * b + c,
                    &UKR,
                    &H_UKR,
                    false,
                    Parallelism::None,
                );
            }
            true
        }
    };
}
kernel!(portable_f32, f32, gemm_f32, scalar, Scalar, 1);
kernel!(portable_f64, f64, gemm_f64, scalar, Scalar, 1);
kernel!(avx2_f32, f32, gemm_f32, fma, V3, 8);
kernel!(avx2_f64, f64, gemm_f64, fma, V3, 4);
