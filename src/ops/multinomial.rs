//! Draws from given probabilities.

use candle_core::Tensor;

use super::numbers::numbers;
use super::pieces::Check;
use crate::ensure;
use crate::error::Result;
use crate::random::Random;

/// Draws between two looks at whether a person has ended them.
const DRAWS: usize = 1 << 16;

/// `count` draws from each row of `weights` (`[classes]` or `[rows, classes]`, of any sum): the places drawn, i64 `[count]` or `[rows,
/// count]`. Without `replacement` no place is drawn twice; the order is that in which they were drawn.
///
/// # Errors
/// Weights that are negative, not finite or all 0; fewer of them above 0 than draws without replacement; that of `check`.
pub fn multinomial(
    weights: &Tensor,
    count: usize,
    replacement: bool,
    random: &mut Random,
    check: Check,
) -> Result<Tensor> {
    let (rows, classes) = match weights.dims() {
        [classes] => (1, *classes),
        [rows, classes] => (*rows, *classes),
        other => crate::fail!("multinomial: probabilities of shape {other:?}, expected [classes] or [rows, classes]"),
    };
    ensure!(count > 0, "multinomial: 0 draws, expected at least 1");
    let numbers = numbers(weights)?;
    let mut drawn: Vec<i64> = Vec::with_capacity(rows * count);
    for row in 0..rows {
        let weights = &numbers[row * classes..][..classes];
        if let Some(at) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            crate::fail!(
                "multinomial: probability {} at place {at} of row {row}, expected finite numbers that are not negative",
                weights[at]
            );
        }
        let some = weights.iter().filter(|w| **w > 0.0).count();
        ensure!(
            some > 0,
            "multinomial: all {classes} probabilities of row {row} are 0, expected one above 0"
        );
        if replacement {
            with_replacement(weights, count, random, check, &mut drawn)?;
            continue;
        }
        ensure!(
            count <= some,
            "multinomial: {count} draws from row {row}, which has {some} probabilities above 0; draw fewer, or with `replacement: true`"
        );
        check()?;
        // the first `count` of clocks that ring at these rates
        let mut rings: Vec<(f64, i64)> = weights
            .iter()
            .zip(0..)
            .filter(|(weight, _)| **weight > 0.0)
            .map(|(weight, place)| (-(1.0 - random.unit()).ln() / weight, place))
            .collect();
        rings.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        drawn.extend(rings[..count].iter().map(|(_, place)| place));
    }
    let shape = if weights.rank() == 1 {
        vec![count]
    } else {
        vec![rows, count]
    };
    Ok(Tensor::from_vec(drawn, shape, weights.device())?)
}

fn with_replacement(
    weights: &[f64],
    count: usize,
    random: &mut Random,
    check: Check,
    drawn: &mut Vec<i64>,
) -> Result<()> {
    let largest = weights.iter().fold(0.0f64, |most, w| most.max(*w));
    let mut sum = 0.0;
    let sums: Vec<f64> = weights
        .iter()
        .map(|weight| {
            sum += weight / largest; // the sum of finite numbers may be infinite
            sum
        })
        .collect();
    let last = weights.iter().rposition(|w| *w > 0.0).unwrap_or(0);
    for i in 0..count {
        if i % DRAWS == 0 {
            check()?;
        }
        let at = random.unit() * sum;
        drawn.push(sums.partition_point(|sum| *sum <= at).min(last) as i64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn draws(weights: &[f64], count: usize, replacement: bool, seed: u64) -> Result<Vec<i64>> {
        let weights = Tensor::new(weights, &Device::Cpu)?;
        Ok(multinomial(&weights, count, replacement, &mut Random::new(seed), &|| Ok(()))?.to_vec1()?)
    }

    #[test]
    fn places_come_as_often_as_their_weights_say() {
        let n = 40_000;
        let weights = [1.0, 0.0, 3.0, 4.0];
        let drawn = draws(&weights, n, true, 1).unwrap();
        for (place, weight) in weights.iter().enumerate() {
            let share = drawn.iter().filter(|d| **d == place as i64).count() as f64 / n as f64;
            let deviation = (weight / 8.0 * (1.0 - weight / 8.0) / n as f64).sqrt();
            assert!((share - weight / 8.0).abs() <= 4.0 * deviation, "{place}: {share}");
        }
        // without replacement: the second is drawn from what the first left; P(2, then 3) = 3/8 4/5
        let pairs = (0..n as u64).map(|seed| draws(&weights, 2, false, seed).unwrap());
        let share = pairs.filter(|pair| pair == &[2, 3]).count() as f64 / n as f64;
        assert!((share - 0.3).abs() < 4.0 * (0.3 * 0.7 / n as f64).sqrt(), "{share}");
        let mut all = draws(&weights, 3, false, 5).unwrap();
        all.sort_unstable();
        assert_eq!(all, [0, 2, 3]);
        assert_eq!(draws(&[1e308, 1e308, 0.0], 9, true, 0).unwrap().iter().max(), Some(&1));
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        for (weights, count, text) in [
            (&[0.5, -0.5][..], 1, "-0.5 at place 1"),
            (&[f64::NAN, 1.0], 1, "NaN at place 0"),
            (&[0.0, 0.0], 1, "all 2 probabilities"),
            (&[1.0, 0.0], 2, "1 probabilities above 0"),
            (&[1.0], 0, "0 draws"),
            (&[], 1, "all 0 probabilities"),
        ] {
            let found = draws(weights, count, false, 0).unwrap_err().to_string();
            assert!(found.contains(text), "{found}");
        }
    }
}
