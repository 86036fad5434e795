//! One anchor's row of logits: its loss, and the gradient with respect to the logits, in place.

use std::ops::Range;

use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::wide;

/// The columns of one run of keys, and among them those of the anchor's class (the positives).
pub(super) struct Part {
    /// All columns.
    pub all: Range<usize>,
    /// The columns of the anchor's class.
    pub same: Range<usize>,
    /// Whether keys of other classes are in the denominator.
    pub others: bool,
}

/// What a row gives. The row itself becomes the gradient with respect to the logits divided by `factor`.
#[derive(Default)]
pub(super) struct RowResult {
    /// The anchor's loss.
    pub loss: f64,
    /// What the row is still to be multiplied by.
    pub factor: f64,
    /// Sum of the positive logits, and their number.
    pub positive: (f64, f64),
    /// Sum of the negative logits, and their number.
    pub negative: (f64, f64),
}

impl RowResult {
    /// An anchor without positives: no loss, no gradient.
    fn nothing<T: Element>(row: &mut [T]) -> Self {
        row.fill(T::zero());
        RowResult::default()
    }
}

/// The positives as one or two ranges: without the anchor's own column.
fn without(range: Range<usize>, own: Option<usize>) -> [Range<usize>; 2] {
    match own {
        Some(own) if range.contains(&own) => [range.start..own, own + 1..range.end],
        _ => [range, 0..0],
    }
}

fn positives(parts: &[Part], own: Option<usize>) -> impl Iterator<Item = Range<usize>> {
    parts.iter().flat_map(move |part| without(part.same.clone(), own))
}

/// Where the negatives of a part lie: before and behind its positives.
fn negatives(part: &Part) -> [Range<usize>; 2] {
    [part.all.start..part.same.start, part.same.end..part.all.end]
}

/// The negatives that stand in the denominator.
fn competitors(parts: &[Part]) -> impl Iterator<Item = Range<usize>> {
    parts.iter().filter(|part| part.others).flat_map(negatives)
}

/// What is subtracted before the exponentials: the bound of all logits, or where that is too far the largest of these.
fn shift_of<T: Element>(row: &[T], ranges: impl Iterator<Item = Range<usize>>, bound: Option<f64>) -> T {
    let most = || {
        let lowest = T::from_f64(f64::NEG_INFINITY);
        ranges.fold(lowest, |most, range| most.larger(largest(&row[range])))
    };
    bound.map_or_else(most, T::from_f64)
}

/// The exponentials of the negatives in place, added to `total`; 0 where they do not count.
fn compete<T: Element>(row: &mut [T], parts: &[Part], shift: T, total: &mut f64, result: &mut RowResult) {
    for part in parts {
        for range in negatives(part) {
            if part.others {
                result.negative.1 += range.len() as f64;
                let (e, s) = exponentials(&mut row[range], shift);
                *total += e;
                result.negative.0 += s;
            } else {
                row[range].fill(T::zero());
            }
        }
    }
}

/// `loss = logsumexp(denominator) - mean(positives)`, denominator = positives and the others' parts' negatives.
/// Gradient: softmax over the denominator, minus 1/|P| on the positives; factor 1/sum.
pub(super) fn all_keys<T: Element>(row: &mut [T], parts: &[Part], own: Option<usize>, bound: Option<f64>) -> RowResult {
    let count: usize = positives(parts, own).map(|r| r.len()).sum();
    if count == 0 {
        return RowResult::nothing(row);
    }
    let shift = shift_of(row, positives(parts, own).chain(competitors(parts)), bound);
    let mut result = RowResult::default();
    let mut total = 0.0;
    for range in positives(parts, own) {
        result.positive.1 += range.len() as f64;
        let (e, s) = exponentials(&mut row[range], shift);
        total += e;
        result.positive.0 += s;
    }
    compete(row, parts, shift, &mut total, &mut result);
    let share = T::from_f64(total / count as f64);
    for range in positives(parts, own) {
        row[range].iter_mut().for_each(|x| *x -= share);
    }
    if let Some(own) = own {
        row[own] = T::zero();
    }
    result.loss = shift.to_f64() + total.ln() - result.positive.0 / count as f64;
    result.factor = 1.0 / total;
    result
}

/// `loss = mean over positives of softplus(S - s)`, S = logsumexp of the negatives.
/// Gradient: `-sigmoid(S - s)/|P|` on the positives, `softmax * mean sigmoid` on the negatives; factor mean sigmoid / sum.
pub(super) fn own_positive<T: Element>(
    row: &mut [T],
    parts: &[Part],
    own: Option<usize>,
    bound: Option<f64>,
) -> RowResult {
    let count: usize = positives(parts, own).map(|r| r.len()).sum();
    if count == 0 {
        return RowResult::nothing(row);
    }
    let shift = shift_of(row, competitors(parts), bound);
    let mut result = RowResult::default();
    let mut total = 0.0;
    compete(row, parts, shift, &mut total, &mut result);
    if result.negative.1 == 0.0 {
        // nothing competes: softplus(-infinity) = 0
        result.positive =
            positives(parts, own).fold((0.0, 0.0), |(s, n), r| (s + sum(&row[r.clone()]), n + r.len() as f64));
        row.fill(T::zero());
        return result;
    }
    let competition = T::from_f64(shift.to_f64() + total.ln());
    let mut passed = 0.0;
    for range in positives(parts, own) {
        result.positive.1 += range.len() as f64;
        let (softplus, sigmoid, s) = sigmoids(&mut row[range], competition);
        result.loss += softplus / count as f64;
        passed += sigmoid;
        result.positive.0 += s;
    }
    let share = T::from_f64(if passed > 0.0 { -total / passed } else { 0.0 });
    for range in positives(parts, own) {
        row[range].iter_mut().for_each(|x| *x *= share);
    }
    if let Some(own) = own {
        row[own] = T::zero();
    }
    result.factor = passed / (count as f64 * total);
    result
}

/// Partial sums kept at the same time.
const LANES: usize = 32;
/// Elements after which the partial sums go over to f64 (and products of factors in 1..2 are still far from overflow).
const SPAN: usize = LANES * 64;

wide! {
/// `x -> exp(x - shift)` in place; returns the sum of the results and the sum of the x.
widest fn exponentials<T: Element>(row: &mut [T], shift: T) -> (f64, f64) {
    let (mut total, mut logits) = (0.0, 0.0);
    for span in row.chunks_mut(SPAN) {
        let (mut e, mut s) = ([T::zero(); LANES], [T::zero(); LANES]);
        by_lanes_mut(span, |i, x| {
            s[i] += *x;
            *x = (*x - shift).exp();
            e[i] += *x;
        });
        total += add_up(&e);
        logits += add_up(&s);
    }
    (total, logits)
}
}

wide! {
/// `x -> sigmoid(shift - x)` in place; returns the sum of softplus(shift - x), the sum of the results and the sum of the x.
widest fn sigmoids<T: Element>(row: &mut [T], shift: T) -> (f64, f64, f64) {
    let (mut softplus, mut total, mut logits) = (0.0, 0.0, 0.0);
    for span in row.chunks_mut(SPAN) {
        // the logarithm of a product of up to 64 factors instead of 64 logarithms
        let (mut product, mut linear) = ([T::one(); LANES], [T::zero(); LANES]);
        let (mut sigma, mut s) = ([T::zero(); LANES], [T::zero(); LANES]);
        by_lanes_mut(span, |i, x| {
            let d = shift - *x;
            let over = d >= T::zero();
            let u = (if over { T::zero() - d } else { d }).exp();
            s[i] += *x;
            *x = (if over { T::one() } else { u }) / (T::one() + u);
            product[i] *= T::one() + u;
            linear[i] += if over { d } else { T::zero() };
            sigma[i] += *x;
        });
        softplus += add_up(&linear) + product.iter().map(|p| p.to_f64().ln()).sum::<f64>();
        total += add_up(&sigma);
        logits += add_up(&s);
    }
    (softplus, total, logits)
}
}

wide! {
/// Sum.
widest fn sum<T: Element>(row: &[T]) -> f64 {
    let span = |span: &[T]| {
        let mut s = [T::zero(); LANES];
        by_lanes(span, |i, x| s[i] += x);
        add_up(&s)
    };
    row.chunks(SPAN).map(span).sum()
}
}

wide! {
/// Largest element, minus infinity if there is none.
widest fn largest<T: Element>(row: &[T]) -> T {
    let mut m = [T::from_f64(f64::NEG_INFINITY); LANES];
    by_lanes(row, |i, x| m[i] = m[i].larger(x));
    m.into_iter().fold(T::from_f64(f64::NEG_INFINITY), T::larger)
}
}

/// `f(lane, element)` for every element, whole groups of lanes first: a loop of known length becomes vector code.
#[inline(always)]
fn by_lanes_mut<T>(row: &mut [T], mut f: impl FnMut(usize, &mut T)) {
    let (groups, rest) = row.as_chunks_mut::<LANES>();
    for group in groups {
        for (i, x) in group.iter_mut().enumerate() {
            f(i, x);
        }
    }
    for (i, x) in rest.iter_mut().enumerate() {
        f(i, x);
    }
}

/// The same without changing them.
#[inline(always)]
fn by_lanes<T: Copy>(row: &[T], mut f: impl FnMut(usize, T)) {
    let (groups, rest) = row.as_chunks::<LANES>();
    for group in groups {
        for (i, x) in group.iter().enumerate() {
            f(i, *x);
        }
    }
    for (i, x) in rest.iter().enumerate() {
        f(i, *x);
    }
}

#[inline(always)]
fn add_up<T: Element>(lanes: &[T; LANES]) -> f64 {
    lanes.iter().map(|x| x.to_f64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four keys: own (column 0), positive (1), two negatives (2, 3).
    fn parts() -> Vec<Part> {
        vec![Part {
            all: 0..4,
            same: 0..2,
            others: true,
        }]
    }

    #[test]
    fn all_keys_by_hand() {
        let mut row = [5.0, 1.0, 0.0, 0.0];
        let r = all_keys(&mut row, &parts(), Some(0), None);
        let z = 1f64.exp() + 2.0; // the anchor itself does not count
        assert!((r.loss - (z.ln() - 1.0)).abs() < 1e-12);
        assert_eq!(row[0], 0.0);
        assert!(
            (row[1] * r.factor - (1f64.exp() / z - 1.0)).abs() < 1e-12 && (row[2] * r.factor - 1.0 / z).abs() < 1e-12
        );
        assert_eq!((r.positive, r.negative), ((1.0, 1.0), (0.0, 2.0)));
    }

    #[test]
    fn own_positive_by_hand() {
        let mut row = [1.0, 1.0, 0.0, 0.0];
        let r = own_positive(&mut row, &parts(), None, None);
        // S = ln 2; softplus(ln 2 - 1) = ln(1 + 2/e); sigmoid = 2 / (2 + e)
        assert!((r.loss - (1.0 + 2.0 / 1f64.exp()).ln()).abs() < 1e-12);
        let sigmoid = 2.0 / (2.0 + 1f64.exp());
        assert!((row[0] * r.factor + sigmoid / 2.0).abs() < 1e-12 && (row[3] * r.factor - sigmoid / 2.0).abs() < 1e-12);
    }

    #[test]
    fn huge_logits_stay_finite() {
        for part in [all_keys::<f32>, own_positive::<f32>] {
            let mut row = [300.0, -300.0, 200.0, -900.0];
            let r = part(&mut row, &parts(), None, None);
            assert!(r.loss.is_finite() && r.factor.is_finite() && row.iter().all(|x| x.is_finite()));
        }
    }

    #[test]
    fn no_positive_no_gradient_and_no_negative_no_loss() {
        let mut row = [1.0, 2.0];
        let lonely = vec![Part {
            all: 0..2,
            same: 0..1,
            others: true,
        }];
        assert_eq!(all_keys(&mut row, &lonely, Some(0), None).factor, 0.0);
        let mut row = [1.0, 2.0];
        let united = vec![Part {
            all: 0..2,
            same: 0..2,
            others: true,
        }];
        assert_eq!(own_positive(&mut row, &united, None, None).loss, 0.0);
        assert_eq!(row, [0.0, 0.0]);
    }

    #[test]
    fn sigmoids_agree_with_f64_at_every_length() {
        for n in [0, 1, 31, 32, 33, 100, 2048, 2100] {
            let row: Vec<f64> = (0..n).map(|i| ((i * 37) % 101) as f64 * 0.3 - 15.0).collect();
            let mut single: Vec<f32> = row.iter().map(|&x| x as f32).collect();
            let mut double = row.clone();
            let (a, b) = (sigmoids(&mut single, 2.0), sigmoids(&mut double, 2.0));
            for (a, b) in [(a.0, b.0), (a.1, b.1), (a.2, b.2)] {
                assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{n}: {a} {b}");
            }
            single
                .iter()
                .zip(&double)
                .for_each(|(a, b)| assert!((f64::from(*a) - b).abs() < 1e-5));
        }
    }

    #[test]
    fn sums_and_maxima_reach_the_remainder() {
        let row: Vec<f32> = (0..77).map(|i| i as f32).collect();
        assert_eq!(sum(&row), 2926.0); // 76 * 77 / 2
        assert_eq!(largest(&row), 76.0);
        assert_eq!(largest::<f32>(&[]), f32::NEG_INFINITY);
    }
}
