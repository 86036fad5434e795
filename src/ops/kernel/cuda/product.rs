//! Matrix products into memory that is there already, parts of matrices included: by cuBLAS on a GPU, by loops in tests.
//!
//! candle's own `matmul` makes a new result each time; a sum of many products (the streamed contrastive loss) would have to hold
//! each of them once more.

use candle_core::{DType, Result, Tensor};

use super::{address, backend};

/// A matrix inside a contiguous tensor, row by row.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    tensor: &'a Tensor,
    first: usize,
    rows: usize,
    columns: usize,
    pitch: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// `rows x columns` numbers from element `first` on, `pitch` elements from one row to the next.
    pub(crate) fn new(tensor: &'a Tensor, first: usize, [rows, columns]: [usize; 2], pitch: usize) -> Self {
        Matrix {
            tensor,
            first,
            rows,
            columns,
            pitch,
            transposed: false,
        }
    }

    /// The same numbers with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            transposed: !self.transposed,
            ..self
        }
    }

    fn fits(&self) -> bool {
        let [rows, columns] = if self.transposed {
            [self.columns, self.rows]
        } else {
            [self.rows, self.columns]
        };
        columns <= self.pitch && self.first + (rows - 1) * self.pitch + columns <= self.tensor.elem_count()
    }

    fn place(&self) -> Result<u64> {
        Ok(address(self.tensor)? + (self.first * self.tensor.dtype().size_in_bytes()) as u64)
    }
}

/// `c = scale a b`, or `c + scale a b` if `add`, in place; f32 (with TF32 where [`tf32`](crate::device::tf32) allows it, sums in f32)
/// or f64. All lie on one device; `c` shares no element with `a` or `b` and is not transposed. The same numbers give the same sums.
pub(crate) fn multiply(c: Matrix, add: bool, scale: f64, a: Matrix, b: Matrix) -> Result<()> {
    if c.rows == 0 || c.columns == 0 || a.columns == 0 {
        return Ok(()); // nothing to do: no caller has an empty sum to store
    }
    let dtype = c.tensor.dtype();
    let same = |m: &Matrix| m.tensor.dtype() == dtype && m.tensor.device().same_device(c.tensor.device());
    let shapes = a.rows == c.rows && b.columns == c.columns && a.columns == b.rows && !c.transposed;
    let typed = matches!(dtype, DType::F32 | DType::F64) && same(&a) && same(&b);
    if !(shapes && typed && a.fits() && b.fits() && c.fits()) {
        candle_core::bail!("internal: matrices of a product do not fit")
    }
    backend::of(c.tensor.device())?.multiply(c, add, scale, a, b)
}

/// The products of many matrices, `[b, m, k]` and `[b, k, n]` (each may be a transposed view), f32, f64 or bf16 with sums in f32.
pub(crate) fn batched(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    backend::of(a.device())?.batched(a, b)
}

/// cuBLAS reads matrices column by column: ours look transposed to it, so it is asked for `c^T = b^T a^T`.
#[cfg(feature = "cuda")]
pub(super) fn on_gpu(
    device: &candle_core::cuda::CudaDevice,
    c: Matrix,
    add: bool,
    scale: f64,
    a: Matrix,
    b: Matrix,
) -> Result<()> {
    use std::ffi::c_void;
    use std::ptr::from_ref;

    use candle_core::cuda::cudarc::cublas::{result, sys};

    let stream = device.cuda_stream();
    stream
        .context()
        .bind_to_thread()
        .map_err(|e| candle_core::Error::Msg(format!("cuBLAS: the device cannot be used: {e}")))?;
    let operation = |m: &Matrix| {
        if m.transposed {
            sys::cublasOperation_t::CUBLAS_OP_T
        } else {
            sys::cublasOperation_t::CUBLAS_OP_N
        }
    };
    let (kind, compute) = match c.tensor.dtype() {
        DType::F64 => (
            sys::cudaDataType_t::CUDA_R_64F,
            sys::cublasComputeType_t::CUBLAS_COMPUTE_64F,
        ),
        _ if crate::device::tf32() => (
            sys::cudaDataType_t::CUDA_R_32F,
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
        ),
        _ => (
            sys::cudaDataType_t::CUDA_R_32F,
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        ),
    };
    let double = [scale, if add { 1.0 } else { 0.0 }];
    let single = double.map(|v| v as f32);
    let factor = |i: usize| -> *const c_void {
        match c.tensor.dtype() {
            DType::F64 => from_ref(&double[i]).cast(),
            _ => from_ref(&single[i]).cast(),
        }
    };
    // SAFETY: the three matrices lie inside their tensors, which are on this device; both factors are of the type that goes with
    // the arithmetic and are read before the call returns.
    unsafe {
        result::gemm_ex(
            *device.cublas_handle().handle(),
            operation(&b),
            operation(&a),
            c.columns as i32,
            c.rows as i32,
            a.columns as i32,
            factor(0),
            b.place()? as *const c_void,
            kind,
            b.pitch as i32,
            a.place()? as *const c_void,
            kind,
            a.pitch as i32,
            factor(1),
            c.place()? as *mut c_void,
            kind,
            c.pitch as i32,
            compute,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    }
    .map_err(|e| {
        candle_core::Error::Msg(format!(
            "cuBLAS: the product of {} x {} and {} x {} failed: {e:?}",
            a.rows, a.columns, b.rows, b.columns
        ))
    })
}

/// The product by its definition, each sum in f64.
#[cfg(test)]
pub(super) fn emulated(c: Matrix, add: bool, scale: f64, a: Matrix, b: Matrix) -> Result<()> {
    fn run<T: Copy>(
        c: Matrix,
        add: bool,
        scale: f64,
        [a, b]: [Matrix; 2],
        wide: fn(T) -> f64,
        narrow: fn(f64) -> T,
    ) -> Result<()> {
        let (to, at_a, at_b) = (c.place()? as *mut T, a.place()? as *const T, b.place()? as *const T);
        let offset = |m: &Matrix, i: usize, j: usize| if m.transposed { j * m.pitch + i } else { i * m.pitch + j };
        for i in 0..c.rows {
            for j in 0..c.columns {
                // SAFETY: `multiply` has checked that the three matrices lie inside live tensors of type T.
                unsafe {
                    let one = |k: usize| wide(*at_a.add(offset(&a, i, k))) * wide(*at_b.add(offset(&b, k, j)));
                    let sum = scale * (0..a.columns).map(one).sum::<f64>();
                    let place = to.add(i * c.pitch + j);
                    *place = narrow(if add { sum + wide(*place) } else { sum });
                }
            }
        }
        Ok(())
    }
    match c.tensor.dtype() {
        DType::F64 => run::<f64>(c, add, scale, [a, b], |v| v, |v| v),
        _ => run::<f32>(c, add, scale, [a, b], f64::from, |v| v as f32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::random;
    use candle_core::Device;

    #[test]
    fn parts_of_matrices_and_their_transposes_multiply_as_candle_does() {
        for dtype in [DType::F32, DType::F64] {
            let (a, b) = (
                random(&[5, 7], 1).to_dtype(dtype).unwrap(),
                random(&[9, 7], 2).to_dtype(dtype).unwrap(),
            );
            let c = Tensor::ones((6, 8), dtype, &Device::Cpu).unwrap();
            // rows 1..4 of a's columns 2..6, times the transpose of rows 3..8 of b's columns 1..5, into rows 2..5, columns 1..6
            let (x, y) = (Matrix::new(&a, 9, [3, 4], 7), Matrix::new(&b, 22, [5, 4], 7));
            let z = Matrix::new(&c, 17, [3, 5], 8);
            multiply(z, true, 0.5, x, y.transposed()).unwrap();
            let x = a
                .narrow(0, 1, 3)
                .unwrap()
                .narrow(1, 2, 4)
                .unwrap()
                .contiguous()
                .unwrap();
            let y = b
                .narrow(0, 3, 5)
                .unwrap()
                .narrow(1, 1, 4)
                .unwrap()
                .contiguous()
                .unwrap();
            let product = x.matmul(&y.t().unwrap()).unwrap();
            let found = c.narrow(0, 2, 3).unwrap().narrow(1, 1, 5).unwrap();
            let off = (found - product.affine(0.5, 1.0).unwrap()).unwrap().abs().unwrap();
            assert!(
                off.max_all()
                    .unwrap()
                    .to_dtype(DType::F64)
                    .unwrap()
                    .to_scalar::<f64>()
                    .unwrap()
                    < 1e-5
            );
            assert!(
                (c.to_dtype(DType::F64)
                    .unwrap()
                    .narrow(0, 0, 2)
                    .unwrap()
                    .sum_all()
                    .unwrap()
                    .to_scalar::<f64>()
                    .unwrap()
                    - 16.0)
                    .abs()
                    < 1e-12
            );
            assert!(
                multiply(
                    z,
                    true,
                    1.0,
                    Matrix::new(&a, 9, [3, 4], 7),
                    Matrix::new(&b, 0, [5, 4], 7)
                )
                .is_err()
            );
        }
    }
}
