//! The choice between our tiles and the `gemm` package.

#[cfg(target_arch = "x86_64")]
use std::any::TypeId;

use gemm::Parallelism;

#[cfg(target_arch = "x86_64")]
use super::{lowered_cpu as lowered, tiles_cpu as tiles};
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Shared, buffer};
use crate::ops::precision::Precision;

/// A matrix in borrowed memory, with any steps.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    pub(super) data: &'a [T],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_step: usize,
    pub(super) column_step: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `rows x columns`, row by row, `step` elements from one row to the next.
    pub(crate) fn new(data: &'a [T], rows: usize, columns: usize, step: usize) -> Self {
        Matrix {
            data,
            rows,
            columns,
            row_step: step,
            column_step: 1,
        }
    }

    /// The same numbers with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
            ..self
        }
    }

    /// Whether the last element lies inside the memory.
    fn fits(&self) -> bool {
        self.rows == 0
            || self.columns == 0
            || (self.rows - 1) * self.row_step + (self.columns - 1) * self.column_step < self.data.len()
    }

    /// The same matrix, whose elements are of type `U` as well as `T`.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn same<U: 'static>(self) -> Option<Matrix<'a, U>>
    where
        T: 'static,
    {
        (TypeId::of::<T>() == TypeId::of::<U>()).then(|| Matrix {
            // SAFETY: the two types are one.
            data: unsafe { std::slice::from_raw_parts(self.data.as_ptr().cast(), self.data.len()) },
            rows: self.rows,
            columns: self.columns,
            row_step: self.row_step,
            column_step: self.column_step,
        })
    }
}

impl<'a, T: Element> Matrix<'a, T> {
    /// The product of this and another matrix.
    pub(crate) fn times(self, right: Matrix<'a, T>) -> Product<'a, T> {
        Product {
            factors: [self, right],
            scale: T::one(),
            precision: Precision::F32,
        }
    }

    /// The elements row by row, rounded to bfloat16.
    fn rounded(self) -> Vec<T> {
        let places =
            (0..self.rows).flat_map(|i| (0..self.columns).map(move |j| i * self.row_step + j * self.column_step));
        places.map(|at| self.data[at].to_bf16()).collect()
    }
}

/// A product that is computed, on this thread, when it is stored.
pub(crate) struct Product<'a, T> {
    factors: [Matrix<'a, T>; 2],
    scale: T,
    precision: Precision,
}

impl<T: Element> Product<'_, T> {
    /// Times a number.
    pub(crate) fn scaled(self, scale: T) -> Self {
        Product { scale, ..self }
    }

    /// Of factors whose elements in [`Precision::Bf16`] count as rounded.
    pub(crate) fn at(self, precision: Precision) -> Self {
        Product { precision, ..self }
    }

    /// Its elements, row by row.
    pub(crate) fn values(self) -> Vec<T> {
        let [rows, columns] = [self.factors[0].rows, self.factors[1].columns];
        buffer(rows * columns, |out| {
            // SAFETY: nobody else knows of `out`.
            unsafe { self.store_shared(Shared::fresh(out), columns, false) };
        })
    }

    /// Put it into `target`, or add it to what is there; `step` elements from one row of `target` to the next.
    pub(crate) fn store(self, target: &mut [T], step: usize, add: bool) {
        // SAFETY: `target` is borrowed mutably.
        unsafe { self.store_shared(Shared::new(target), step, add) };
    }

    /// [`Product::store`] into memory that other tasks write as well.
    ///
    /// # Safety
    /// Nobody else touches the elements written, a row of the product each `step` elements from the start of `target`; they are
    /// initialised when `add`.
    pub(crate) unsafe fn store_shared(self, target: Shared<T>, step: usize, add: bool) {
        let ([a, b], scale) = (self.factors, self.scale);
        if a.rows == 0 || b.columns == 0 {
            return;
        }
        assert!(
            a.columns == b.rows
                && a.fits()
                && b.fits()
                && step >= b.columns
                && (a.rows - 1) * step + b.columns <= target.len(),
            "internal: matrices of a product do not fit"
        );
        let out = target.at(0);
        if self.precision == Precision::F32 {
            // SAFETY: the matrices fit (asserted above), and nobody else touches the result by the caller's promise.
            return unsafe { by_package(out, step, add, scale, a, b) };
        }
        #[cfg(target_arch = "x86_64")]
        if let (Some(a), Some(b)) = (a.same::<f32>(), b.same::<f32>())
            && scale == T::one()
            && tiles::available()
        {
            // SAFETY: T is f32, the processor has the instructions, the rest as above.
            return unsafe { tiles::product(out.cast(), step, add, a, b) };
        }
        // SAFETY: as above.
        unsafe { rounded_first(out, step, add, scale, a, b) }
    }
}

/// The product of rounded copies.
///
/// # Safety
/// As [`by_package`].
unsafe fn rounded_first<T: Element>(out: *mut T, step: usize, add: bool, scale: T, a: Matrix<T>, b: Matrix<T>) {
    let (left, right) = (a.rounded(), b.rounded());
    let a = Matrix::new(&left, a.rows, a.columns, a.columns);
    let b = Matrix::new(&right, b.rows, b.columns, b.columns);
    // SAFETY: by the caller's promise.
    unsafe { by_package(out, step, add, scale, a, b) };
}

/// The product in full precision by the `gemm` package.
///
/// # Safety
/// The matrices fit, `out` holds the rows of the result, `step` apart, and nobody else touches these.
unsafe fn by_package<T: Element>(out: *mut T, step: usize, add: bool, scale: T, a: Matrix<T>, b: Matrix<T>) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: by the caller's promise.
    if unsafe { lowered::product(out, step, add, scale, a, b) } {
        return;
    }
    // SAFETY: by the caller's promise.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out,
            1,
            step as isize,
            add,
            a.data.as_ptr(),
            a.column_step as isize,
            a.row_step as isize,
            b.data.as_ptr(),
            b.column_step as isize,
            b.row_step as isize,
            T::one(),
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// The product as a sum in f64 of factors rounded one by one.
    fn by_hand(
        [m, n, k]: [usize; 3],
        old: &[f32],
        a: impl Fn(usize, usize) -> f32,
        b: impl Fn(usize, usize) -> f32,
    ) -> Vec<f64> {
        let term = |i, j, d| f64::from(a(i, d).to_bf16()) * f64::from(b(d, j).to_bf16());
        (0..m * n)
            .map(|at| f64::from(old[at]) + (0..k).map(|d| term(at / n, at % n, d)).sum::<f64>())
            .collect()
    }

    fn matrix(data: &[f32], [rows, columns]: [usize; 2], [row_step, column_step]: [usize; 2]) -> Matrix<'_, f32> {
        Matrix {
            data,
            rows,
            columns,
            row_step,
            column_step,
        }
    }

    #[test]
    fn rounded_products_agree_with_sums_by_hand() {
        let mut random = Random::new(3);
        for [m, n, k] in [
            [1, 1, 1],
            [8, 32, 2],
            [9, 33, 3],
            [17, 15, 40],
            [130, 70, 35],
            [5, 530, 7],
            [3, 40, 1030],
        ] {
            let mut draw = |count: usize| (0..count).map(|_| random.normal() as f32).collect::<Vec<f32>>();
            let (a, b, old) = (draw(m * k), draw(k * n), draw(m * n));
            // both orders of both factors, and one with neither distance 1
            let spread: Vec<f32> = a.iter().flat_map(|v| [*v, 9.0]).collect();
            let lefts = [(&a, k, 1), (&a, 1, m), (&spread, 2 * k, 2)];
            for (left, row, column) in lefts {
                for (other_row, other_column) in [(n, 1), (1, k)] {
                    for add in [false, true] {
                        let zeros = vec![0.0; m * n];
                        let start = if add { &old } else { &zeros };
                        let expected = by_hand(
                            [m, n, k],
                            start,
                            |i, d| left[i * row + d * column],
                            |d, j| b[d * other_row + j * other_column],
                        );
                        let x = matrix(left, [m, k], [row, column]);
                        let y = matrix(&b, [k, n], [other_row, other_column]);
                        for by_tiles in [true, false] {
                            let mut out = old.clone();
                            if by_tiles {
                                x.times(y).at(Precision::Bf16).store(&mut out, n, add);
                            } else {
                                // SAFETY: the sizes are those of the live vectors.
                                unsafe { rounded_first(out.as_mut_ptr(), n, add, 1.0, x, y) };
                            }
                            for (found, expected) in out.iter().zip(&expected) {
                                let error = (f64::from(*found) - expected).abs();
                                assert!(
                                    error < 1e-5 * (k as f64).sqrt().max(1.0),
                                    "{m} {n} {k} {add}: {found} {expected}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn a_matrix_larger_than_its_memory_is_noticed() {
        let (short, whole) = ([1.0f32; 5], [1.0f32; 6]);
        Matrix::new(&short, 2, 3, 3)
            .times(Matrix::new(&whole, 3, 2, 2))
            .values();
    }
}
