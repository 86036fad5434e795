//! The transforms of Winograd's filtering, of several squares side by side.

use crate::ops::kernel::Element;

/// Tiles or channels transformed side by side.
pub(super) const LANES: usize = 16;
/// Points of the transformed tile.
pub(super) const POINTS: usize = 36;
pub(super) type Lanes<T> = [[T; LANES]; POINTS];

/// `f` along both axes of a square of `A` points: `B` points each way.
#[inline(always)]
pub(super) fn both<T: Element, const A: usize, const B: usize>(
    from: &Lanes<T>,
    to: &mut Lanes<T>,
    f: impl Fn([T; A]) -> [T; B],
) {
    let mut half = [[T::zero(); LANES]; POINTS];
    for j in 0..A {
        for l in 0..LANES {
            let v = f(std::array::from_fn(|i| from[i * A + j][l]));
            for k in 0..B {
                half[k * A + j][l] = v[k];
            }
        }
    }
    for k in 0..B {
        for l in 0..LANES {
            let v = f(std::array::from_fn(|j| half[k * A + j][l]));
            for m in 0..B {
                to[k * B + m][l] = v[m];
            }
        }
    }
}

#[inline(always)]
fn number<T: Element>(v: f64) -> T {
    T::from_f64(v)
}

/// The points that the polynomials are evaluated at: 0, +-P, +-Q and infinity. These two have the least rounding error of all pairs
/// of small fractions, a fifth of that of the usual 1 and 2, and all constants below are exact.
const P: f64 = 0.75;
const Q: f64 = 1.5;
/// The divisors of the rows of G at 0, +-P, +-Q.
const AT_ZERO: f64 = P * P * Q * Q;
const AT_P: f64 = 2.0 * P * P * (P * P - Q * Q);
const AT_Q: f64 = 2.0 * Q * Q * (Q * Q - P * P);

/// `B' d`.
#[inline(always)]
pub(super) fn patch<T: Element>([a, b, c, d, e, f]: [T; 6]) -> [T; 6] {
    let (pp, qq) = (number::<T>(P * P), number::<T>(Q * Q));
    let (product, sum) = (number::<T>(P * P * Q * Q), number::<T>(P * P + Q * Q));
    let (even_p, odd_p) = (e - qq * c, number::<T>(P) * (d - qq * b));
    let (even_q, odd_q) = (e - pp * c, number::<T>(Q) * (d - pp * b));
    [
        product * a - sum * c + e,
        even_p + odd_p,
        even_p - odd_p,
        even_q + odd_q,
        even_q - odd_q,
        product * b - sum * d + f,
    ]
}

/// `A' m`.
#[inline(always)]
pub(super) fn result<T: Element>([a, b, c, d, e, f]: [T; 6]) -> [T; 4] {
    let (even_p, odd_p, even_q, odd_q) = (b + c, b - c, d + e, d - e);
    [
        a + even_p + even_q,
        number::<T>(P) * odd_p + number::<T>(Q) * odd_q,
        number::<T>(P * P) * even_p + number::<T>(Q * Q) * even_q,
        number::<T>(P * P * P) * odd_p + number::<T>(Q * Q * Q) * odd_q + f,
    ]
}

/// `A dy`.
#[inline(always)]
pub(super) fn result_gradient<T: Element>([a, b, c, d]: [T; 4]) -> [T; 6] {
    let (even_p, odd_p) = (
        a + number::<T>(P * P) * c,
        number::<T>(P) * b + number::<T>(P * P * P) * d,
    );
    let (even_q, odd_q) = (
        a + number::<T>(Q * Q) * c,
        number::<T>(Q) * b + number::<T>(Q * Q * Q) * d,
    );
    [a, even_p + odd_p, even_p - odd_p, even_q + odd_q, even_q - odd_q, d]
}

/// `G w`.
#[inline(always)]
pub(super) fn kernel<T: Element>([a, b, c]: [T; 3]) -> [T; 6] {
    let even_p = number::<T>(1.0 / AT_P) * a + number::<T>(P * P / AT_P) * c;
    let even_q = number::<T>(1.0 / AT_Q) * a + number::<T>(Q * Q / AT_Q) * c;
    let (odd_p, odd_q) = (number::<T>(P / AT_P) * b, number::<T>(Q / AT_Q) * b);
    let zero = number::<T>(1.0 / AT_ZERO) * a;
    [zero, even_p + odd_p, even_p - odd_p, even_q + odd_q, even_q - odd_q, c]
}

/// `G' u`.
#[inline(always)]
pub(super) fn kernel_gradient<T: Element>([a, b, c, d, e, f]: [T; 6]) -> [T; 3] {
    let (even_p, odd_p, even_q, odd_q) = (b + c, b - c, d + e, d - e);
    [
        number::<T>(1.0 / AT_ZERO) * a + number::<T>(1.0 / AT_P) * even_p + number::<T>(1.0 / AT_Q) * even_q,
        number::<T>(P / AT_P) * odd_p + number::<T>(Q / AT_Q) * odd_q,
        number::<T>(P * P / AT_P) * even_p + number::<T>(Q * Q / AT_Q) * even_q + f,
    ]
}
