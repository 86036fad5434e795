//! Statistics of results: groups, summaries with bootstrap intervals, paired comparisons.

use crate::random::Random;
use crate::script::api::base::{equal, natural_order};
use crate::script::api::math::some;
use crate::script::prelude::*;
use crate::script::show::show;
use crate::script::values::describe;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 10_000;

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.methods::<Array>(entries! {
        /// The middle of the numbers, the mean of the two in the middle of an even count.
        /// ```
        /// assert_eq([3, 1, 2].median(), 2);
        /// assert_eq([4, 1, 2, 3].median(), 2.5);
        /// ```
        fn median(ctx, numbers: Array) -> f64 { quantile(&numbers, 0.5) }
        /// The number below which the part `q` of them lies, between neighbours in proportion, as NumPy's.
        /// ```
        /// assert_eq([0, 10].quantile(0.25), 2.5);
        /// ```
        fn quantile(ctx, numbers: Array, q: f64) -> f64 { quantile(&numbers, q) }
        /// The different items: numbers or texts in their order, others as they come.
        /// ```
        /// assert_eq([3, 1, 3, 1.0].unique(), [1, 3]);
        /// assert_eq([[2], [1], [2]].unique(), [[2], [1]]);
        /// ```
        fn unique(ctx, list: Array) -> Array {
            let mut list = list;
            let ordered = list.windows(2).all(|pair| natural_order(&pair[0], &pair[1]).is_ok());
            if ordered {
                list.sort_by(|a, b| natural_order(a, b).unwrap_or(std::cmp::Ordering::Equal));
                list.dedup_by(|a, b| equal(ctx, a, b));
                return Ok(list);
            }
            let mut kept = Array::new();
            for item in list {
                if !kept.iter().any(|k| equal(ctx, k, &item)) {
                    kept.push(item);
                }
            }
            Ok(kept)
        }
    });
    table.global(entries! {
        /// The rows in groups by what they have under a name: a map of arrays.
        /// ```
        /// let rows = [#{ method: "a", miou: 0.1 }, #{ method: "b", miou: 0.2 }, #{ method: "a", miou: 0.3 }];
        /// assert_eq(group(rows, "method").a.len, 2);
        /// ```
        fn group(ctx, rows: Vec<Map>, by: String) -> Map {
            let mut groups = Map::new();
            for (i, row) in rows.into_iter().enumerate() {
                let key = show(ctx.table(), entry("group", i, &row, &by)?, false);
                let group = groups.entry(key.into()).or_insert_with(|| Dynamic::from_array(Array::new()));
                if let Some(mut group) = group.write_lock::<Array>() {
                    group.push(row.into());
                }
            }
            Ok(groups)
        }
    });
    table.namespace("stats", "Statistics of results over seeds.", entries! {
        /// One row for each combination of the columns `by`: `n`, `mean`, `sd` and the 95 % bootstrap interval of the mean, `low` and `high`.
        ///
        /// The resamples come from the session's seed. The interval of few seeds is too narrow: with 3 it holds the true mean in about
        /// 3 of 4 cases.
        /// ```
        /// let rows = [#{ method: "a", miou: 0.1 }, #{ method: "a", miou: 0.3 }, #{ method: "b", miou: 0.5 }];
        /// let s = stats::summary(rows, #{ by: "method", value: "miou" });
        /// assert_eq([s[0].method, s[0].n], ["a", 2]);
        /// assert_close(s[0].mean, 0.2);
        /// assert(s[0].low >= 0.1 && s[0].high <= 0.3);
        /// ```
        fn summary(ctx, rows: Vec<Map>, /// The column of the numbers.
            value: String, /// The column or columns that make a group.
            by: Dynamic = Dynamic::UNIT) -> Vec<Map> {
            let by = match Vec::<String>::convert(&by) {
                Some(columns) => columns,
                None => String::convert(&by).into_iter().collect(),
            };
            let mut groups: Vec<(Vec<Dynamic>, Vec<f64>)> = Vec::new();
            for (i, row) in rows.iter().enumerate() {
                let key: Vec<Dynamic> =
                    by.iter().map(|c| entry("stats::summary", i, row, c).cloned()).collect::<Result<_>>()?;
                let found = entry("stats::summary", i, row, &value)?;
                let Some(number) = f64::convert(found) else {
                    fail!("stats::summary: `{value}` of row {i} is not a number but {}", describe(found))
                };
                let same = |other: &[Dynamic]| other.iter().zip(&key).all(|(a, b)| equal(ctx, a, b));
                match groups.iter_mut().find(|(other, _)| same(other)) {
                    Some((_, numbers)) => numbers.push(number),
                    None => groups.push((key, vec![number])),
                }
            }
            let mut random = ctx.session().random();
            let mut out = Vec::new();
            for (key, numbers) in groups {
                ctx.session().check_cancel()?;
                let mut row: Map = by.iter().zip(key).map(|(c, v)| (c.as_str().into(), v)).collect();
                let (low, high, _) = bootstrap(&mut random, &numbers);
                row.extend(named([
                    ("n", Dynamic::from_int(numbers.len() as i64)),
                    ("mean", mean(&numbers).into()),
                    ("sd", deviation(&numbers).into()),
                    ("low", low.into()),
                    ("high", high.into()),
                ]));
                out.push(row);
            }
            Ok(out)
        }
        /// Compare two methods by pairs of results, such as those of the same seeds.
        ///
        /// The map has the `difference` of the means, `low` and `high` of its 95 % bootstrap interval, and `p`, how often chance alone
        /// gives a difference as large, of either sign.
        /// ```
        /// let c = stats::paired([0.5, 0.6, 0.55, 0.58], [0.4, 0.5, 0.44, 0.5]);
        /// assert_close(c.difference, 0.0975);
        /// assert(c.low > 0 && c.p < 0.05);
        /// ```
        fn paired(ctx, a: Vec<f64>, b: Vec<f64>) -> Map {
            ensure!(
                a.len() == b.len() && a.len() > 1,
                "stats::paired: pairs of results are wanted, at least 2; found {} and {}",
                a.len(),
                b.len()
            );
            let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
            let (low, high, p) = bootstrap(&mut ctx.session().random(), &differences);
            let difference = mean(&differences);
            Ok(named([("difference", difference), ("low", low), ("high", high), ("p", p)].map(|(name, x)| (name, x.into()))))
        }
    });
}

/// What a row has under a name.
fn entry<'r>(function: &str, i: usize, row: &'r Map, name: &str) -> Result<&'r Dynamic> {
    match row.get(name) {
        Some(value) => Ok(value),
        None => {
            let keys: Vec<&str> = row.keys().map(|k| k.as_str()).collect();
            fail!("{function}: row {i} has no `{name}`; it has {}", keys.join(", "))
        }
    }
}

/// The sorted numbers' value at `q` of their length, between neighbours in proportion.
fn quantile(items: &Array, q: f64) -> Result<f64> {
    ensure!((0.0..=1.0).contains(&q), "q is {q}, expected 0 to 1");
    let mut numbers = some(items)?;
    if numbers.iter().any(|x| x.is_nan()) {
        return Ok(f64::NAN);
    }
    numbers.sort_by(f64::total_cmp);
    Ok(at(&numbers, q))
}

fn at(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    match place - below as f64 {
        0.0 => sorted[below],
        part => sorted[below] + part * (sorted[above] - sorted[below]),
    }
}

pub(super) fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// With n - 1 in the denominator.
pub(super) fn deviation(numbers: &[f64]) -> f64 {
    let mean = mean(numbers);
    let squares: f64 = numbers.iter().map(|x| (x - mean) * (x - mean)).sum();
    (squares / (numbers.len() as f64 - 1.0)).sqrt()
}

/// The 95 % percentile interval of the mean, and the two-sided p-value that it is 0.
fn bootstrap(random: &mut Random, numbers: &[f64]) -> (f64, f64, f64) {
    if numbers.iter().any(|x| x.is_nan()) {
        return (f64::NAN, f64::NAN, f64::NAN);
    }
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            (0..numbers.len())
                .map(|_| numbers[random.below(numbers.len())])
                .sum::<f64>()
                / numbers.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let share =
        |holds: fn(f64) -> bool| (means.iter().filter(|m| holds(**m)).count() + 1) as f64 / (RESAMPLES + 1) as f64;
    let p = 2.0 * share(|m| m <= 0.0).min(share(|m| m >= 0.0));
    (at(&means, 0.025), at(&means, 0.975), p.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 200 times 20 draws of a normal distribution. A percentile interval of so few draws holds the true mean a little less often than 95
    /// times of 100; the bounds are some 3 standard deviations around 93.
    #[test]
    fn the_interval_holds_the_mean_as_often_as_it_says() {
        let mut random = Random::new(3);
        let mut held = 0;
        for _ in 0..200 {
            let draws: Vec<f64> = (0..20).map(|_| random.normal() + 5.0).collect();
            let (low, high, _) = bootstrap(&mut random, &draws);
            held += usize::from(low <= 5.0 && 5.0 <= high);
        }
        assert!((176..=198).contains(&held), "{held} of 200");
    }

    #[test]
    fn p_is_large_without_and_small_with_a_difference() {
        let mut random = Random::new(1);
        let (_, _, p) = bootstrap(&mut random, &[0.1, -0.1, 0.2, -0.2]);
        assert!(p > 0.5, "{p}");
        let (low, _, p) = bootstrap(&mut random, &[0.1, 0.11, 0.09, 0.12]);
        assert!(low > 0.0 && p < 0.001, "{p}");
    }
}
