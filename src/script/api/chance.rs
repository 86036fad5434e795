//! Chance from the session's seed, the time, and evenly spaced numbers.

use crate::script::prelude::*;

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.global(entries! {
        /// Make `n` evenly spaced numbers from `from` to `to`, both included.
        /// ```
        /// assert_eq(linspace(0, 1, 5), [0, 0.25, 0.5, 0.75, 1]);
        /// ```
        fn linspace(ctx, from: f64, to: f64, n: usize) -> Vec<f64> {
            const MOST: usize = 1 << 24;
            ensure!(n <= MOST, "linspace: n is {n}, expected at most {MOST}; tensor::arange makes longer ones");
            let part = |i: usize| i as f64 / (n.max(2) - 1) as f64;
            Ok((0..n).map(|i| if i + 1 == n && n > 1 { to } else { from + (to - from) * part(i) }).collect())
        }
        /// One item of a list by chance, from the session's seed.
        /// ```
        /// seed(1);
        /// let one = choice(["a", "b", "c"]);
        /// seed(1);
        /// assert(one in ["a", "b", "c"] && one == choice(["a", "b", "c"]));
        /// ```
        fn choice(ctx, list: Array) -> Dynamic {
            ensure!(!list.is_empty(), "choice: the list is empty");
            Ok(list[ctx.session().random().below(list.len())].clone())
        }
        /// A new list of the same items in an order by chance.
        /// ```
        /// let mixed = shuffle([1, 2, 3, 4]);
        /// assert_eq(mixed.sort(), [1, 2, 3, 4]);
        /// ```
        fn shuffle(ctx, list: Array) -> Array {
            let mut list = list;
            ctx.session().random().shuffle(&mut list);
            Ok(list)
        }
        /// The integers from 0 to `n` - 1 in an order by chance.
        /// ```
        /// assert_eq(permutation(5).sort(), [0, 1, 2, 3, 4]);
        /// ```
        fn permutation(ctx, n: usize) -> Vec<usize> {
            const MOST: usize = 1 << 24;
            ensure!(n <= MOST, "permutation: n is {n}, expected at most {MOST}");
            Ok(ctx.session().random().permutation(n))
        }
        /// An integer by chance from `low` up to but without `high`, as torch's.
        /// ```
        /// let dice = randint(1, 7);
        /// assert(dice >= 1 && dice < 7);
        /// ```
        fn randint(ctx, low: i64, high: i64) -> i64 {
            let span = high.checked_sub(low).filter(|s| *s > 0).and_then(|s| usize::try_from(s).ok());
            let Some(span) = span else { fail!("randint: high must lie above low, found {low} and {high}") };
            Ok(low + ctx.session().random().below(span) as i64)
        }
        /// The date and the time of day, in universal time.
        /// ```
        /// assert_eq(now().len, "2026-01-31 15:30:00".len);
        /// ```
        fn now(ctx) -> String { Ok(crate::session::clock::now()) }
    });
}
