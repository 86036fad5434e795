//! The parts of the CPU kernel that need `unsafe`: the GEMM call, the vectorised exponential, rows written from many tasks.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};

use gemm::Parallelism;

/// A matrix in borrowed memory, with any steps.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `rows x columns`, row by row, `step` elements from one row to the next.
    pub(super) fn new(data: &'a [T], rows: usize, columns: usize, step: usize) -> Self {
        Matrix {
            data,
            rows,
            columns,
            row_step: step,
            column_step: 1,
        }
    }

    /// The same numbers with rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
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
}

/// `target = scale * a b` (`+ target` if `add`), on this thread; `step` elements from one row of `target` to the next.
pub(super) fn multiply<T: Real>(target: &mut [T], step: usize, add: bool, scale: T, a: Matrix<T>, b: Matrix<T>) {
    let (rows, columns) = (a.rows, b.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(
        a.columns == b.rows && a.fits() && b.fits() && step >= columns && (rows - 1) * step + columns <= target.len(),
        "internal: matrices of a product do not fit"
    );
    // SAFETY: the three matrices lie inside their slices (asserted above), and `target` is borrowed mutably, so it does not
    // overlap the other two.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            a.columns,
            target.as_mut_ptr(),
            1,
            step as isize,
            add,
            a.data.as_ptr(),
            a.column_step as isize,
            a.row_step as isize,
            b.data.as_ptr(),
            b.column_step as isize,
            b.row_step as isize,
            T::of(1.0),
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Rows of a matrix written by several tasks, each row once.
pub(super) struct ScatteredRows<'a, T> {
    data: *mut T,
    dim: usize,
    written: Vec<AtomicBool>,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: `write` is the only access to the memory, and it gives every row to the first that asks, once.
unsafe impl<T: Send> Sync for ScatteredRows<'_, T> {}

impl<'a, T> ScatteredRows<'a, T> {
    /// `data` as rows of `dim` elements.
    pub(super) fn new(data: &'a mut [T], dim: usize) -> Self {
        ScatteredRows {
            written: (0..data.len() / dim.max(1)).map(|_| AtomicBool::new(false)).collect(),
            data: data.as_mut_ptr(),
            dim,
            borrow: PhantomData,
        }
    }

    /// Copy `values` into row `row`, which nobody has written before.
    pub(super) fn write(&self, row: usize, values: impl Iterator<Item = T>) {
        let again = self.written[row].swap(true, Ordering::Relaxed);
        assert!(!again, "internal: row {row} is written twice");
        for (i, value) in values.take(self.dim).enumerate() {
            // SAFETY: `row` is a row (the index above was in range) and i < dim, so the element lies inside the borrowed
            // slice; this call is the only one for the row (asserted), so nobody else writes it.
            unsafe { self.data.add(row * self.dim + i).write(value) };
        }
    }
}

/// The numbers the kernel computes with.
pub(super) trait Real:
    Copy
    + Default
    + Send
    + Sync
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + 'static
{
    /// Nearest value.
    fn of(x: f64) -> Self;
    /// The same value.
    fn wide(self) -> f64;
    /// `x -> exp(x - shift)` in place; returns the sum of the results and the sum of the x.
    fn exponentials(row: &mut [Self], shift: Self) -> (f64, f64);
    /// `x -> sigmoid(s - x)` in place; returns the sum of softplus(s - x), the sum of the results and the sum of the x.
    fn sigmoids(row: &mut [Self], s: Self) -> (f64, f64, f64);
    /// Sum.
    fn sum(row: &[Self]) -> f64;
    /// Largest element, minus infinity if there is none.
    fn largest(row: &[Self]) -> Self;
}

impl Real for f64 {
    fn of(x: f64) -> f64 {
        x
    }
    fn wide(self) -> f64 {
        self
    }
    fn exponentials(row: &mut [f64], shift: f64) -> (f64, f64) {
        row.iter_mut().fold((0.0, 0.0), |(total, logits), x| {
            let e = (*x - shift).exp();
            let logit = std::mem::replace(x, e);
            (total + e, logits + logit)
        })
    }
    fn sigmoids(row: &mut [f64], s: f64) -> (f64, f64, f64) {
        row.iter_mut().fold((0.0, 0.0, 0.0), |(soft, total, logits), x| {
            let d = s - *x;
            let u = (-d.abs()).exp();
            let sigmoid = if d >= 0.0 { 1.0 / (1.0 + u) } else { u / (1.0 + u) };
            let logit = std::mem::replace(x, sigmoid);
            (soft + d.max(0.0) + u.ln_1p(), total + sigmoid, logits + logit)
        })
    }
    fn sum(row: &[f64]) -> f64 {
        row.iter().sum()
    }
    fn largest(row: &[f64]) -> f64 {
        row.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// One function compiled for AVX-512, for AVX2 and for any processor, chosen at run time.
macro_rules! vectorised {
    ($name:ident($($arg:ident: $type:ty),*) -> $out:ty, $body:ident) => {
        fn $name($($arg: $type),*) -> $out {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
                fn avx512($($arg: $type),*) -> $out {
                    $body::<true>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) -> $out {
                    $body::<true>($($arg),*)
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                {
                    // SAFETY: this processor has the features (asked above).
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: this processor has the features (asked above).
                    return unsafe { avx2($($arg),*) };
                }
            }
            $body::<false>($($arg),*)
        }
    };
}

impl Real for f32 {
    fn of(x: f64) -> f32 {
        x as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
    vectorised!(exponentials(row: &mut [f32], shift: f32) -> (f64, f64), exponentials_body);
    vectorised!(sigmoids(row: &mut [f32], s: f32) -> (f64, f64, f64), sigmoids_body);
    vectorised!(sum(row: &[f32]) -> f64, sum_body);
    vectorised!(largest(row: &[f32]) -> f32, largest_body);
}

/// Partial sums kept at the same time.
const LANES: usize = 32;
/// Elements after which the partial sums go over to f64 (and products of factors in 1..2 are still far from overflow).
const SPAN: usize = LANES * 64;

#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// e^x for x <= 80 or so, relative error about 1e-7; below -70 the answer is e^-70, which no sum here notices.
/// Cephes' expf: x = n ln 2 + r, a polynomial for e^r, n into the exponent's bits.
#[inline(always)]
fn exponential<const FMA: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer, in the low bits
    let x = if x < -70.0 { -70.0 } else { x };
    let shifted = multiply_add::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = multiply_add::<FMA>(n, -0.693_359_4, x);
    let r = multiply_add::<FMA>(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = multiply_add::<FMA>(p, r, c);
    }
    let p = multiply_add::<FMA>(p, r * r, r) + 1.0;
    let power = shifted.to_bits().wrapping_add(127).wrapping_sub(ROUND.to_bits()) << 23;
    p * f32::from_bits(power)
}

#[inline(always)]
fn exponentials_body<const FMA: bool>(row: &mut [f32], shift: f32) -> (f64, f64) {
    let (mut total, mut logits) = (0.0, 0.0);
    for span in row.chunks_mut(SPAN) {
        let (mut e, mut s) = ([0f32; LANES], [0f32; LANES]);
        let mut chunks = span.chunks_exact_mut(LANES);
        for chunk in &mut chunks {
            for i in 0..LANES {
                let x = chunk[i];
                let y = exponential::<FMA>(x - shift);
                chunk[i] = y;
                s[i] += x;
                e[i] += y;
            }
        }
        for (i, x) in chunks.into_remainder().iter_mut().enumerate() {
            s[i] += *x;
            *x = exponential::<FMA>(*x - shift);
            e[i] += *x;
        }
        total += add_up(&e);
        logits += add_up(&s);
    }
    (total, logits)
}

#[inline(always)]
fn sigmoids_body<const FMA: bool>(row: &mut [f32], shift: f32) -> (f64, f64, f64) {
    let (mut softplus, mut total, mut logits) = (0.0, 0.0, 0.0);
    for span in row.chunks_mut(SPAN) {
        // the logarithm of a product of up to 64 factors instead of 64 logarithms
        let (mut product, mut linear) = ([1f32; LANES], [0f32; LANES]);
        let (mut sigma, mut s) = ([0f32; LANES], [0f32; LANES]);
        let mut chunks = span.chunks_exact_mut(LANES);
        for chunk in &mut chunks {
            for i in 0..LANES {
                let x = chunk[i];
                let d = shift - x;
                let u = exponential::<FMA>(-d.abs());
                let y = (if d >= 0.0 { 1.0 } else { u }) / (1.0 + u);
                chunk[i] = y;
                product[i] *= 1.0 + u;
                linear[i] += if d >= 0.0 { d } else { 0.0 };
                sigma[i] += y;
                s[i] += x;
            }
        }
        for (i, x) in chunks.into_remainder().iter_mut().enumerate() {
            let d = shift - *x;
            let u = exponential::<FMA>(-d.abs());
            s[i] += *x;
            *x = (if d >= 0.0 { 1.0 } else { u }) / (1.0 + u);
            product[i] *= 1.0 + u;
            linear[i] += if d >= 0.0 { d } else { 0.0 };
            sigma[i] += *x;
        }
        softplus += add_up(&linear) + product.iter().map(|&p| f64::from(p).ln()).sum::<f64>();
        total += add_up(&sigma);
        logits += add_up(&s);
    }
    (softplus, total, logits)
}

#[inline(always)]
fn sum_body<const FMA: bool>(row: &[f32]) -> f64 {
    row.chunks(SPAN)
        .map(|span| {
            let mut s = [0f32; LANES];
            let chunks = span.chunks_exact(LANES);
            let rest = chunks.remainder();
            for chunk in chunks {
                for i in 0..LANES {
                    s[i] += chunk[i];
                }
            }
            rest.iter().enumerate().for_each(|(i, x)| s[i] += x);
            add_up(&s)
        })
        .sum()
}

#[inline(always)]
fn largest_body<const FMA: bool>(row: &[f32]) -> f32 {
    let mut m = [f32::NEG_INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for i in 0..LANES {
            m[i] = if chunk[i] > m[i] { chunk[i] } else { m[i] };
        }
    }
    m.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn add_up(lanes: &[f32; LANES]) -> f64 {
    lanes.iter().map(|&x| f64::from(x)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_exact_to_float_precision() {
        for i in -6900..=800 {
            let x = i as f32 * 0.01;
            let mut row = [x; 3];
            f32::exponentials(&mut row, 0.0);
            let wanted = f64::from(x).exp();
            assert!((row[1].wide() / wanted - 1.0).abs() < 3e-7, "{x}: {} {wanted}", row[1]);
            assert!((exponential::<false>(x).wide() / wanted - 1.0).abs() < 3e-7, "{x}");
        }
    }

    #[test]
    fn sigmoids_agree_with_f64_at_every_length() {
        for n in [0, 1, 31, 32, 33, 100, 2048, 2100] {
            let row: Vec<f64> = (0..n).map(|i| ((i * 37) % 101) as f64 * 0.3 - 15.0).collect();
            let mut single: Vec<f32> = row.iter().map(|&x| x as f32).collect();
            let mut double = row.clone();
            let (a, b) = (f32::sigmoids(&mut single, 2.0), f64::sigmoids(&mut double, 2.0));
            for (a, b) in [(a.0, b.0), (a.1, b.1), (a.2, b.2)] {
                assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{n}: {a} {b}");
            }
            single
                .iter()
                .zip(&double)
                .for_each(|(a, b)| assert!((a.wide() - b).abs() < 1e-5));
        }
    }

    #[test]
    fn sums_and_maxima_reach_the_remainder() {
        let row: Vec<f32> = (0..77).map(|i| i as f32).collect();
        assert_eq!(f32::sum(&row), 2926.0); // 76 * 77 / 2
        assert_eq!(f32::largest(&row), 76.0);
        assert_eq!(f32::largest(&[]), f32::NEG_INFINITY);
    }
}
