//! The ends of an axis, round ticks and their labels, as many as there is room for.

use super::axis::{Axis, Request};
use super::figure::Ticks;
use super::font::{CAP, Font};
use super::text;

impl Axis {
    /// The axis for what is asked: with the given ticks, or with the most of the round ones whose labels keep apart.
    pub(super) fn new(r: &Request, font: &Font) -> Axis {
        let [low, high] = ends(r);
        let axis = Axis {
            log: r.log,
            low,
            high,
            ..Axis::default()
        };
        if let Some(own) = r.ticks {
            // all that are in sight; some without their names where they stand too close
            let mut ticks: Ticks = own.iter().filter(|tick| axis.contains(tick.0)).cloned().collect();
            let free = free(&ticks, &axis, r, 0.4, font);
            for (tick, _) in ticks.iter_mut().zip(free).filter(|(_, free)| !free) {
                tick.1.clear();
            }
            return Axis { ticks, ..axis };
        }
        let mut choices = match r.log {
            true => logarithmic(&axis, r),
            false => linear(&axis, r),
        };
        let gap = if r.horizontal { 0.7 } else { 0.4 };
        let fits = |choice: &Axis| free(&choice.ticks, &axis, r, gap, font).iter().all(|free| *free);
        let best = choices.iter().position(fits).unwrap_or(choices.len() - 1);
        choices.swap_remove(best)
    }
}

/// Whether each label keeps apart from those before it that do: by so many letter heights.
fn free(ticks: &[(f64, String)], axis: &Axis, r: &Request, gap: f64, font: &Font) -> Vec<bool> {
    let mut end = f64::NEG_INFINITY;
    let free = |(value, label): &(f64, String)| {
        let centre = axis.place(*value).unwrap_or(0.0) * r.length;
        let extent = match r.horizontal {
            true => font.width(label, r.font_size),
            false => r.font_size * CAP,
        };
        let free = centre - extent / 2.0 >= end;
        if free {
            end = centre + extent / 2.0 + r.font_size * gap;
        }
        free
    };
    ticks.iter().map(free).collect()
}

/// The range with what is left free at its ends; a range of one value is widened.
fn ends(r: &Request) -> [f64; 2] {
    let [low, high] = r.range;
    if !r.log {
        let half = match low.abs() {
            _ if high - low > (low.abs().max(high.abs()) * 1e-12).max(f64::MIN_POSITIVE) => None,
            size if size < 1e-300 || (r.whole && size < 1e15) => Some(1.0),
            size => Some(size * 0.1),
        };
        let [below, above] = r.pad.map(|share| half.unwrap_or(share * high - share * low));
        return [(low - below).max(-f64::MAX), (high + above).min(f64::MAX)];
    }
    let span = high.ln() - low.ln();
    let [low, high] = match span < 1e-9 {
        true => [low / 10f64.sqrt(), high * 10f64.sqrt()],
        false => [low * (-r.pad[0] * span).exp(), high * (r.pad[1] * span).exp()],
    };
    // at the ends of what a number can be there is no room left
    let low = low.max(f64::MIN_POSITIVE);
    [low, if high > low { high.min(f64::MAX) } else { low * 10.0 }]
}

/// Evenly spaced ticks, from many to few.
fn linear(axis: &Axis, r: &Request) -> Vec<Axis> {
    let (low, high) = (axis.low, axis.high);
    let most = r.length / (r.font_size * if r.horizontal { 2.4 } else { 2.0 });
    let spaced = |count: usize| {
        let (step, parts) = round_step(high / count as f64 - low / count as f64, r.whole);
        let at = multiples(step, low, high);
        let (ticks, note) = labelled(&at, step);
        (at.len() > 1 || count == 2).then(|| Axis {
            ticks,
            note,
            minor: multiples(step / parts, low, high),
            ..axis.clone()
        })
    };
    (2..=(most as usize).clamp(2, 8)).rev().filter_map(spaced).collect()
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `raw`, and into how many parts minor ticks cut it.
fn round_step(raw: f64, whole: bool) -> (f64, f64) {
    let unit = 10f64.powf(raw.log10().floor());
    for (m, parts) in [(1.0, 5.0), (2.0, 4.0), (2.5, 5.0), (5.0, 5.0), (10.0, 5.0)] {
        let step: f64 = m * unit;
        if step >= raw * (1.0 - 1e-9) && !(whole && step.fract() != 0.0) {
            let parts = if whole && (step / parts).fract() != 0.0 {
                1.0
            } else {
                parts
            };
            return (step, parts);
        }
    }
    (if whole { 1.0 } else { 10.0 * unit }, 1.0)
}

fn multiples(step: f64, low: f64, high: f64) -> Vec<f64> {
    let slack = step * 1e-8;
    let (low, high) = ((low - slack).max(-f64::MAX), (high + slack).min(f64::MAX));
    let first = (low / step).ceil();
    let all = (0..200).map(|k| (first + f64::from(k)) * step);
    all.take_while(|v| *v <= high).collect()
}

/// Labels of evenly spaced ticks: a common offset or power of ten is taken out where the numbers get long.
fn labelled(at: &[f64], step: f64) -> (Ticks, String) {
    let largest = at.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let (mut offset, mut note) = (0.0, String::new());
    if step < largest * 1e-5 {
        // the next lower multiple of a power of ten that is wider than all ticks together
        let span = 10f64.powf((at[at.len() - 1] - at[0]).max(step).log10().ceil());
        offset = (at[0] / span).floor() * span;
        note = format!(
            "{} {}",
            if offset < 0.0 { "−" } else { "+" },
            text::number(offset.abs(), 12)
        );
    }
    let rest: Vec<f64> = at.iter().map(|v| ((v - offset) / step).round() * step).collect();
    let largest = rest.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let exponent = largest.log10().floor();
    let mut unit = 1.0;
    if largest > 0.0 && !(-3.0..5.0).contains(&exponent) {
        unit = 10f64.powf(exponent);
        note = format!("×{} {note}", text::power(10, exponent as i32))
            .trim_end()
            .to_string();
    }
    let decimals = (0..=12)
        .find(|d| {
            let s = step / unit * 10f64.powi(*d);
            (s - s.round()).abs() < 1e-6 * s.max(1.0) && s.round() >= 1.0
        })
        .unwrap_or(12) as usize;
    let labels = rest.iter().map(|v| text::fixed(v / unit, decimals));
    (at.iter().copied().zip(labels).collect(), note)
}

/// Powers of ten, from all to few; where less than two are in sight, round multiples of them.
fn logarithmic(axis: &Axis, r: &Request) -> Vec<Axis> {
    let (low, high) = (axis.low, axis.high);
    let inside = |v: &f64| *v >= low * (1.0 - 1e-9) && *v <= high * (1.0 + 1e-9);
    let (first, last) = ((low.log10() - 1e-9).ceil() as i32, (high.log10() + 1e-9).floor() as i32);
    if last > first {
        let every = |stride: i32| {
            let powers = (first..=last).filter(|k| k.rem_euclid(stride) == 0);
            let label = |k: i32| match 10f64.powi(k) {
                v if first >= -3 && last <= 4 => (v, text::number(v, 6)),
                v => (v, text::power(10, k)),
            };
            let between = (first - 1..=last).flat_map(|k| (2..10).map(move |m| f64::from(m) * 10f64.powi(k)));
            Axis {
                ticks: powers.map(label).collect(),
                minor: between.filter(|v| last - first <= 8 && inside(v)).collect(),
                ..axis.clone()
            }
        };
        return (1..=last - first).map(every).collect();
    }
    let sets: [&[f64]; 4] = [
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        &[1.0, 2.0, 3.0, 5.0],
        &[1.0, 2.0, 5.0],
        &[1.0, 3.0],
    ];
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let multiples = |multiples: &[f64]| {
        let all = (first..=last).flat_map(|k| multiples.iter().map(move |m| (*m, k, m * 10f64.powi(k))));
        let ticks = all.filter(|(_, _, v)| inside(v)).map(|(m, k, v)| match k {
            -4..5 => (v, text::number(v, 6)),
            _ => (v, format!("{m}×{}", text::power(10, k))),
        });
        Axis {
            ticks: ticks.collect(),
            ..axis.clone()
        }
    };
    let several = sets.into_iter().map(multiples).filter(|choice| choice.ticks.len() > 1);
    several.chain(linear(axis, r)).collect()
}

#[cfg(test)]
mod tests {
    use plotters::coord::ranged1d::Ranged;

    use super::*;

    fn request(log: bool, range: [f64; 2], whole: bool) -> Request<'static> {
        Request {
            log,
            range,
            whole,
            length: 180.0,
            horizontal: true,
            font_size: 7.0,
            ..Request::default()
        }
    }

    fn axis(log: bool, range: [f64; 2], whole: bool) -> Axis {
        Axis::new(&request(log, range, whole), &Font::load("sans").unwrap())
    }

    fn labels(a: &Axis) -> Vec<&str> {
        a.ticks.iter().map(|t| t.1.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_powers_on_a_logarithmic_axis() {
        for (log, range, whole, wanted) in [
            (
                false,
                [0.0, 1.0],
                false,
                &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"][..],
            ),
            (false, [-3.0, 2.0], false, &["−3", "−2", "−1", "0", "1", "2"]),
            (false, [0.0, 3.0], true, &["0", "1", "2", "3"]),
            (false, [5.0, 5.0], true, &["4", "5", "6"]),
            (true, [0.01, 100.0], false, &["0.01", "0.1", "1", "10", "100"]),
        ] {
            assert_eq!(labels(&axis(log, range, whole)), wanted);
        }
        assert_eq!(labels(&axis(true, [1e-8, 1.0], false)).last(), Some(&"10^{0}"));
        assert!(axis(true, [2.0, 3.0], false).ticks.len() >= 2);
    }

    #[test]
    fn long_numbers_lose_a_common_factor_or_offset() {
        for (range, note, label) in [
            ([0.0, 3e7], "×10^{7}", "0.5"),
            ([0.0, 2e-9], "×10^{−9}", "0.50"),
            ([1e6, 1e6 + 1.0], "+ 1000000", "0.2"),
            ([1e6 + 0.1, 1e6 + 0.5], "+ 1000000", "0.30"),
        ] {
            let a = axis(false, range, false);
            assert!(a.note == note && labels(&a).contains(&label), "{a:?}");
        }
    }

    #[test]
    fn any_finite_range_has_ticks() {
        let most = f64::MAX;
        for (log, range) in [
            (true, [1.0, 1e300]),
            (true, [1.0, most]),
            (true, [f64::MIN_POSITIVE, most]),
            (true, [5e-324, 1e-320]),
            (true, [most, most]),
            (true, [1e-300, 1e300]),
            (false, [-most, most]),
            (false, [0.0, most]),
            (false, [most, most]),
            (false, [5e-324, 1e-323]),
        ] {
            for whole in [false, true] {
                let a = axis(log, range, whole);
                assert!(a.ticks.len() < 20, "{range:?}: {a:?}");
                let ends = range.map(|v| a.place(v.clamp(a.low, a.high)).unwrap());
                assert!(
                    ends.iter().all(|p| (-1e-9..=1.0 + 1e-9).contains(p)),
                    "{range:?}: {ends:?}"
                );
            }
        }
        let a = axis(true, [1.0, 1e300], false);
        assert!(
            a.ticks.len() >= 3 && (a.place(1e150).unwrap() - 0.5).abs() < 1e-9,
            "{a:?}"
        );
        let a = axis(false, [-most, most], false);
        assert!(a.ticks.len() >= 3 && a.place(0.0).unwrap() == 0.5, "{a:?}");
    }

    #[test]
    fn labels_never_touch() {
        let font = Font::load("sans").unwrap();
        for range in [
            [0.0, 1.0],
            [-1e5, 1e5],
            [12345.0, 12399.0],
            [1e-12, 1e12],
            [0.1, 0.10001],
        ] {
            for length in [30.0, 80.0, 300.0] {
                let r = Request {
                    length,
                    pad: [0.03; 2],
                    ..request(false, range, false)
                };
                let a = Axis::new(&r, &font);
                let free = free(&a.ticks, &a, &r, 0.7, &font);
                assert!(
                    a.ticks.len() <= 2 || !free.contains(&false),
                    "{range:?} {length}: {a:?}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_placed_is_none_or_far_outside() {
        let a = axis(true, [1.0, 100.0], false);
        assert_eq!((a.place(0.0), a.place(10.0)), (None, Some(0.5)));
        assert!(a.map(&-1.0, (0, 100)) < -10_000 && a.map(&f64::INFINITY, (0, 100)) > 10_000);
        assert_eq!(axis(false, [0.0, 1.0], false).place(f64::NAN), None);
    }
}
