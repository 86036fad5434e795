//! One anchor's row of logits: its loss, and the gradient with respect to the logits, in place.

use std::ops::Range;

use super::cpu::Real;

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
    fn nothing<T: Real>(row: &mut [T]) -> Self {
        row.fill(T::default());
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

/// `loss = logsumexp(denominator) - mean(positives)`, denominator = positives and the others' parts' negatives.
/// Gradient: softmax over the denominator, minus 1/|P| on the positives; factor 1/sum.
pub(super) fn all_keys<T: Real>(row: &mut [T], parts: &[Part], own: Option<usize>, bound: Option<f64>) -> RowResult {
    let count: usize = positives(parts, own).map(|r| r.len()).sum();
    if count == 0 {
        return RowResult::nothing(row);
    }
    let mut largest = T::of(f64::NEG_INFINITY);
    if bound.is_none() {
        let ranges = parts.iter().filter(|p| p.others).flat_map(negatives);
        for range in positives(parts, own).chain(ranges) {
            let m = T::largest(&row[range]);
            largest = if m > largest { m } else { largest };
        }
    }
    let shift = bound.map_or(largest, T::of);
    let mut result = RowResult::default();
    let mut total = 0.0;
    for range in positives(parts, own) {
        result.positive.1 += range.len() as f64;
        let (e, s) = T::exponentials(&mut row[range], shift);
        total += e;
        result.positive.0 += s;
    }
    for part in parts {
        for range in negatives(part) {
            if part.others {
                result.negative.1 += range.len() as f64;
                let (e, s) = T::exponentials(&mut row[range], shift);
                total += e;
                result.negative.0 += s;
            } else {
                row[range].fill(T::default());
            }
        }
    }
    let share = T::of(total / count as f64);
    for range in positives(parts, own) {
        row[range].iter_mut().for_each(|x| *x = *x - share);
    }
    if let Some(own) = own {
        row[own] = T::default();
    }
    result.loss = shift.wide() + total.ln() - result.positive.0 / count as f64;
    result.factor = 1.0 / total;
    result
}

/// `loss = mean over positives of softplus(S - s)`, S = logsumexp of the negatives.
/// Gradient: `-sigmoid(S - s)/|P|` on the positives, `softmax * mean sigmoid` on the negatives; factor mean sigmoid / sum.
pub(super) fn own_positive<T: Real>(
    row: &mut [T],
    parts: &[Part],
    own: Option<usize>,
    bound: Option<f64>,
) -> RowResult {
    let count: usize = positives(parts, own).map(|r| r.len()).sum();
    if count == 0 {
        return RowResult::nothing(row);
    }
    let mut largest = T::of(f64::NEG_INFINITY);
    if bound.is_none() {
        for range in parts.iter().filter(|p| p.others).flat_map(negatives) {
            let m = T::largest(&row[range]);
            largest = if m > largest { m } else { largest };
        }
    }
    let shift = bound.map_or(largest, T::of);
    let mut result = RowResult::default();
    let mut total = 0.0;
    for part in parts {
        for range in negatives(part) {
            if part.others {
                result.negative.1 += range.len() as f64;
                let (e, s) = T::exponentials(&mut row[range], shift);
                total += e;
                result.negative.0 += s;
            } else {
                row[range].fill(T::default());
            }
        }
    }
    if result.negative.1 == 0.0 {
        // nothing competes: softplus(-infinity) = 0
        result.positive = positives(parts, own).fold((0.0, 0.0), |(s, n), r| {
            (s + T::sum(&row[r.clone()]), n + r.len() as f64)
        });
        row.fill(T::default());
        return result;
    }
    let competition = T::of(shift.wide() + total.ln());
    let mut sigmoids = 0.0;
    for range in positives(parts, own) {
        result.positive.1 += range.len() as f64;
        let (softplus, sigmoid, s) = T::sigmoids(&mut row[range], competition);
        result.loss += softplus / count as f64;
        sigmoids += sigmoid;
        result.positive.0 += s;
    }
    let share = T::of(if sigmoids > 0.0 { -total / sigmoids } else { 0.0 });
    for range in positives(parts, own) {
        row[range].iter_mut().for_each(|x| *x = *x * share);
    }
    if let Some(own) = own {
        row[own] = T::default();
    }
    result.factor = sigmoids / (count as f64 * total);
    result
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
}
