//! The loops: any rule of putting elements together, and its way back. What is cut up for several threads depends on the shape
//! alone, so that a result is the same to the bit for any number of them.

use candle_core::WithDType;
use rayon::prelude::*;

use super::plan::Plan;
use crate::ops::kernel::cpu::{fill_by, wide};
use crate::ops::kernel::{Element, is_nan};

/// Partial results side by side.
const LANES: usize = 16;
/// Columns that are so few that several rows are taken at once.
const FEW: usize = LANES / 2;
/// Columns that one task takes where results lie side by side.
const STRIP: usize = 256;
/// Elements that make a task worth its start.
const TASK: usize = 16_384;
/// Tasks that keep every processor of today busy.
const TASKS: usize = 256;

/// How elements become one number.
pub(super) trait Rule<T>: Sync {
    /// What is known after some elements.
    type Sum: Copy + Send + Sync;
    /// What is known about a result before the first.
    type Known: Copy + Default;
    /// What is known after no element.
    const START: Self::Sum;
    /// What is known about result number `result`.
    fn known(&self, _result: usize) -> Self::Known {
        Self::Known::default()
    }
    /// One element more, the one at place `at` of those that become this result.
    fn add(&self, sum: Self::Sum, x: T, known: Self::Known, at: usize) -> Self::Sum;
    /// Two partial results.
    fn join(a: Self::Sum, b: Self::Sum) -> Self::Sum;
}

/// Add up, in double precision.
pub(super) struct Total;

impl<T: Element> Rule<T> for Total {
    type Sum = f64;
    type Known = ();
    const START: f64 = 0.0;
    #[inline(always)]
    fn add(&self, sum: f64, x: T, (): (), _: usize) -> f64 {
        sum + x.to_f64()
    }
    fn join(a: f64, b: f64) -> f64 {
        a + b
    }
}

impl Rule<i64> for Total {
    type Sum = i64;
    type Known = ();
    const START: i64 = 0;
    #[inline(always)]
    fn add(&self, sum: i64, x: i64, (): (), _: usize) -> i64 {
        sum.wrapping_add(x)
    }
    fn join(a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }
}

/// Add up, in double precision, what a function makes of each element and of what is known about its result.
pub(super) struct Terms<'a, K, F>(pub(super) &'a [K], pub(super) F);

impl<T, K: Copy + Default + Sync, F: Fn(T, K) -> f64 + Sync> Rule<T> for Terms<'_, K, F> {
    type Sum = f64;
    type Known = K;
    const START: f64 = 0.0;
    fn known(&self, result: usize) -> K {
        self.0[result]
    }
    #[inline(always)]
    fn add(&self, sum: f64, x: T, known: K, _: usize) -> f64 {
        sum + (self.1)(x, known)
    }
    fn join(a: f64, b: f64) -> f64 {
        a + b
    }
}

/// Equal, or both not a number.
#[inline(always)]
pub(super) fn same<T: Ordered>(a: T, b: T) -> bool {
    a == b || is_nan(a) && is_nan(b)
}

/// Elements that have a smallest and a largest.
pub(super) trait Ordered: WithDType + Default {
    /// Below or equal to all.
    const LOWEST: Self;
    /// Above or equal to all.
    const HIGHEST: Self;
}

impl Ordered for f32 {
    const LOWEST: f32 = f32::NEG_INFINITY;
    const HIGHEST: f32 = f32::INFINITY;
}

impl Ordered for f64 {
    const LOWEST: f64 = f64::NEG_INFINITY;
    const HIGHEST: f64 = f64::INFINITY;
}

impl Ordered for i64 {
    const LOWEST: i64 = i64::MIN;
    const HIGHEST: i64 = i64::MAX;
}

/// The largest element, or the smallest; NaN wherever there is one.
pub(super) struct Extreme<const LARGEST: bool>;

impl<const LARGEST: bool> Extreme<LARGEST> {
    /// Whether `x` takes the place of `best`.
    #[inline(always)]
    fn wins<T: Ordered>(x: T, best: T) -> bool {
        (if LARGEST { x > best } else { x < best }) || is_nan(x)
    }
}

impl<T: Ordered, const LARGEST: bool> Rule<T> for Extreme<LARGEST> {
    type Sum = T;
    type Known = ();
    const START: T = if LARGEST { T::LOWEST } else { T::HIGHEST };
    #[inline(always)]
    fn add(&self, best: T, x: T, (): (), _: usize) -> T {
        if Self::wins(x, best) { x } else { best }
    }
    fn join(a: T, b: T) -> T {
        if Self::wins(b, a) { b } else { a }
    }
}

/// The place of the largest element, or of the smallest: of the first of equal ones, and of the first NaN before all others.
pub(super) struct Place<const LARGEST: bool>;

impl<T: Ordered, const LARGEST: bool> Rule<T> for Place<LARGEST> {
    type Sum = (T, usize);
    type Known = ();
    const START: (T, usize) = (if LARGEST { T::LOWEST } else { T::HIGHEST }, 0);
    #[inline(always)]
    fn add(&self, best: (T, usize), x: T, (): (), at: usize) -> (T, usize) {
        if Extreme::<LARGEST>::wins(x, best.0) && !is_nan(best.0) {
            (x, at)
        } else {
            best
        }
    }
    fn join(a: (T, usize), b: (T, usize)) -> (T, usize) {
        let (better, equal) = (Extreme::<LARGEST>::wins(b.0, a.0) && !is_nan(a.0), same(a.0, b.0));
        if better || equal && b.1 < a.1 { b } else { a }
    }
}

/// The results of `rule`, each finished by `finish`, which also gets its number.
pub(super) fn reduce<T, R, U>(
    plan: &Plan,
    rule: &R,
    x: &[T],
    finish: impl Fn(R::Sum, usize) -> U + Sync + Send,
) -> Vec<U>
where
    T: Copy + Sync,
    R: Rule<T>,
    U: Send,
{
    let (width, length, groups) = (plan.width, plan.length(), plan.groups_of_results());
    let results = plan.results();
    // Few results are made from partial ones: of how many rows each?
    let work = length * width.min(STRIP);
    let tasks = groups * width.div_ceil(STRIP);
    let parts = (TASKS / tasks.max(1)).min(work / TASK).max(1);
    let rows = length.div_ceil(parts).max(1);
    let parts = length.div_ceil(rows).max(1);
    let mut sums = vec![R::START; parts * results];
    if length > 0 && results > 0 {
        let share = (TASK / (rows * width)).max(1);
        sums.par_chunks_mut(width)
            .with_min_len(share)
            .enumerate()
            .for_each(|(i, sums)| {
                let (part, group) = (i / groups, i % groups);
                let range = part * rows..((part + 1) * rows).min(length);
                if width <= FEW {
                    return strip::<T, R, FEW>(plan, rule, x, group, range, 0, sums);
                }
                if width <= STRIP {
                    return strip::<T, R, STRIP>(plan, rule, x, group, range, 0, sums);
                }
                sums.par_chunks_mut(STRIP).enumerate().for_each(|(i, sums)| {
                    strip::<T, R, STRIP>(plan, rule, x, group, range.clone(), i * STRIP, sums);
                });
            });
    }
    let one = |i: usize| {
        let sum = (1..parts).fold(sums[i], |sum, part| R::join(sum, sums[part * results + i]));
        finish(sum, i)
    };
    (0..results).into_par_iter().with_min_len(TASK).map(one).collect()
}

wide! {
/// Rows `range` of the columns, at most `N`, from `start` on of a group of results.
widest fn strip[T: Copy, R: Rule<T>, const N: usize] as [T, R, N](
    plan: &Plan,
    rule: &R,
    x: &[T],
    group: usize,
    range: std::ops::Range<usize>,
    start: usize,
    sums: &mut [R::Sum],
) {
    let (rows, width) = (plan.rows, plan.width);
    let from = plan.start(group) + start;
    let mut known = [R::Known::default(); N];
    let known = &mut known[..sums.len()];
    for (i, known) in known.iter_mut().enumerate() {
        *known = rule.known(group * width + start + i);
    }
    let mut at = range.start;
    while at < range.end {
        let (block, row) = (at / rows, at % rows);
        let count = (rows - row).min(range.end - at);
        let first = from + plan.block(block) + row * width;
        if width <= FEW {
            few(rule, &x[first..first + count * width], known, at, sums);
        } else {
            for i in 0..count {
                let line = &x[first + i * width..][..sums.len()];
                for ((sum, x), known) in sums.iter_mut().zip(line).zip(&*known) {
                    *sum = rule.add(*sum, *x, *known, at + i);
                }
            }
        }
        at += count;
    }
}
}

/// Rows of a few columns, several rows at once; the first has the place `at`.
#[inline(always)]
fn few<T: Copy, R: Rule<T>>(rule: &R, x: &[T], known: &[R::Known], at: usize, sums: &mut [R::Sum]) {
    let width = sums.len();
    let together = LANES / width;
    let used = together * width;
    let (many, rest) = x.split_at(if x.len() < 4 * LANES { 0 } else { x.len() / used * used });
    if !many.is_empty() {
        let (mut lanes, mut about, mut row) = ([R::START; LANES], [R::Known::default(); LANES], [0; LANES]);
        for (i, (about, row)) in about.chunks_mut(width).zip(row.chunks_mut(width)).enumerate() {
            about.copy_from_slice(&known[..about.len()]);
            row.fill(at + i);
        }
        if used == LANES {
            // a fixed number of lanes becomes vector code
            for (i, block) in many.as_chunks::<LANES>().0.iter().enumerate() {
                for k in 0..LANES {
                    lanes[k] = rule.add(lanes[k], block[k], about[k], row[k] + i * together);
                }
            }
        } else {
            for (i, block) in many.chunks_exact(used).enumerate() {
                for (k, x) in block.iter().enumerate() {
                    lanes[k] = rule.add(lanes[k], *x, about[k], row[k] + i * together);
                }
            }
        }
        for lanes in lanes[..used].chunks(width) {
            sums.iter_mut()
                .zip(lanes)
                .for_each(|(sum, lane)| *sum = R::join(*sum, *lane));
        }
    }
    let before = at + many.len() / width;
    if let [sum] = sums {
        let one = |sum, (i, x): (usize, &T)| rule.add(sum, *x, known[0], before + i);
        *sum = rest.iter().enumerate().fold(*sum, one);
        return;
    }
    for (i, line) in rest.chunks(width).enumerate() {
        for ((sum, x), known) in sums.iter_mut().zip(line).zip(known) {
            *sum = rule.add(*sum, *x, *known, before + i);
        }
    }
}

/// A value for every element, from its place in memory and from what is `known` about its result.
pub(super) fn spread<U: Copy + Send, K: Copy>(
    plan: &Plan,
    elements: usize,
    known: impl Fn(usize) -> K + Sync + Send,
    value: impl Fn(usize, K) -> U + Sync + Send,
) -> Vec<U> {
    fill_by(elements, |start, mut rest| {
        let mut at = start;
        let (length, each, results) = plan.lines(at);
        for result in results {
            if rest.is_empty() {
                break;
            }
            let within = at % length;
            let (line, after) = rest.split_at_mut((length - within).min(rest.len()));
            let places = at..at + line.len();
            at = places.end;
            if each {
                for ((i, o), at) in line.iter_mut().enumerate().zip(places) {
                    o.write(value(at, known(result + within + i)));
                }
            } else {
                let known = known(result);
                for (o, at) in line.iter_mut().zip(places) {
                    o.write(value(at, known));
                }
            }
            rest = after;
        }
    })
}
