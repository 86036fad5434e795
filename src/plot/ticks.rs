//! Round ticks of an axis and their labels, as many as there is room for.

use super::axis::{Axis, Request, Scale};
use super::font::{CAP, Font};
use super::text;

/// The axis of these values, with what is left free at its ends, and its ticks.
pub(super) fn linear(r: &Request, font: &Font) -> Axis {
    let [mut low, mut high] = r.range;
    if high - low <= (low.abs().max(high.abs()) * 1e-12).max(f64::MIN_POSITIVE) {
        let half = match low.abs() {
            size if size < 1e-300 || (r.whole && size < 1e15) => 1.0,
            size => size * 0.1,
        };
        (low, high) = ((low - half).max(-f64::MAX), (high + half).min(f64::MAX));
    } else {
        let span = |share: f64| share * high - share * low;
        (low, high) = (
            (low - span(r.pad[0])).max(-f64::MAX),
            (high + span(r.pad[1])).min(f64::MAX),
        );
    }
    let mut axis = Axis {
        scale: Scale::Linear,
        low,
        high,
        ..Axis::default()
    };
    let most = if r.horizontal {
        r.length / (2.4 * r.font_size)
    } else {
        r.length / (2.0 * r.font_size)
    };
    for count in (2..=(most as usize).clamp(2, 8)).rev() {
        let (step, parts) = round_step(high / count as f64 - low / count as f64, r.whole);
        let at = multiples(step, low, high);
        if at.len() < 2 && count > 2 {
            continue;
        }
        let (labels, note) = label_linear(&at, step);
        axis.minor = multiples(step / parts, low, high);
        axis.ticks = at.into_iter().zip(labels).collect();
        axis.note = note;
        if fits(&axis, r, font) {
            break;
        }
    }
    axis
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
    let mut out = Vec::new();
    let mut k = first;
    while k * step <= high && out.len() < 200 {
        out.push(k * step);
        k += 1.0;
    }
    out
}

/// Labels of evenly spaced ticks: a common offset or power of ten is taken out where the numbers get long.
fn label_linear(at: &[f64], step: f64) -> (Vec<String>, String) {
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
    (rest.iter().map(|v| text::fixed(v / unit, decimals)).collect(), note)
}

pub(super) fn logarithmic(r: &Request, font: &Font) -> Axis {
    let base: f64 = if r.scale == Scale::Log2 { 2.0 } else { 10.0 };
    let [mut low, mut high] = r.range;
    let span = high.ln() - low.ln();
    if span < 1e-9 {
        (low, high) = (low / base.sqrt(), high * base.sqrt());
    } else {
        let (least, most) = ((-r.pad[0] * span).exp(), (r.pad[1] * span).exp());
        (low, high) = (low * least, high * most);
    }
    // at the ends of what a number can be there is no room left
    low = low.max(f64::MIN_POSITIVE);
    high = if high > low { high.min(f64::MAX) } else { low * base };
    let mut axis = Axis {
        scale: r.scale,
        low,
        high,
        ..Axis::default()
    };
    let (first, last) = (
        (low.ln() / base.ln() - 1e-9).ceil() as i32,
        (high.ln() / base.ln() + 1e-9).floor() as i32,
    );
    let inside = |v: &f64| *v >= low * (1.0 - 1e-9) && *v <= high * (1.0 + 1e-9);
    let plain = base == 10.0 && first >= -3 && last <= 4;
    let label = |v: f64, k: i32| match (base == 2.0, plain) {
        (true, _) if first >= 0 && last <= 12 => text::number(v, 0),
        (true, _) => text::power(2, k),
        (_, true) => text::number(v, 6),
        _ => text::power(10, k),
    };
    if last - first >= 1 {
        for stride in 1..=(last - first).max(1) {
            let k = (first..=last).filter(|k| k.rem_euclid(stride) == 0);
            axis.ticks = k
                .map(|k| (base.powf(f64::from(k)), label(base.powf(f64::from(k)), k)))
                .collect();
            if fits(&axis, r, font) {
                break;
            }
        }
        if base == 10.0 && last - first <= 8 {
            let all = (first - 1..=last).flat_map(|k| (2..10).map(move |m| f64::from(m) * 10f64.powi(k)));
            axis.minor = all.filter(inside).collect();
        }
        return axis;
    }
    // less than two powers in sight: round multiples get labels as well
    let choices: [&[f64]; 4] = [
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        &[1.0, 2.0, 3.0, 5.0],
        &[1.0, 2.0, 5.0],
        &[1.0, 3.0],
    ];
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    for multiples in choices {
        let all = (first..=last).flat_map(|k| multiples.iter().map(move |m| (*m, k, m * 10f64.powi(k))));
        let ticks = all.filter(|(_, _, v)| inside(v)).map(|(m, k, v)| {
            let text = if (-4..5).contains(&k) {
                text::number(v, 6)
            } else {
                format!("{m}×{}", text::power(10, k))
            };
            (v, text)
        });
        axis.ticks = ticks.collect();
        if axis.ticks.len() >= 2 && fits(&axis, r, font) {
            return axis;
        }
    }
    let mut linear = linear(
        &Request {
            scale: Scale::Linear,
            pad: [0.0; 2],
            range: [low, high],
            ticks: None,
            ..*r
        },
        font,
    );
    linear.scale = r.scale;
    linear
}

/// Whether neighbouring labels keep apart.
fn fits(axis: &Axis, r: &Request, font: &Font) -> bool {
    let mut end = f64::NEG_INFINITY;
    axis.ticks.iter().all(|(value, label)| {
        let centre = axis.place(*value).unwrap_or(0.0) * r.length;
        let half = extent(label, r, font) / 2.0;
        let free = centre - half >= end;
        end = centre + half + r.font_size * if r.horizontal { 0.7 } else { 0.4 };
        free
    })
}

/// The ticks that were asked for; where they stand too close, some without their names.
pub(super) fn thin(ticks: &[(f64, String)], axis: &Axis, r: &Request, font: &Font) -> Vec<(f64, String)> {
    let mut end = f64::NEG_INFINITY;
    let mut out = Vec::new();
    for (value, label) in ticks {
        let Some(p) = axis.place(*value).filter(|_| axis.contains(*value)) else {
            continue;
        };
        let half = extent(label, r, font) / 2.0;
        let free = p * r.length - half >= end;
        if free {
            end = p * r.length + half + r.font_size * 0.4;
        }
        out.push((*value, if free { label.clone() } else { String::new() }));
    }
    out
}

fn extent(label: &str, r: &Request, font: &Font) -> f64 {
    if r.horizontal {
        font.width(label, r.font_size)
    } else {
        r.font_size * CAP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale, range: [f64; 2], whole: bool) -> Axis {
        let r = Request {
            scale,
            range,
            whole,
            pad: [0.0; 2],
            ticks: None,
            length: 180.0,
            horizontal: true,
            font_size: 7.0,
        };
        Axis::new(&r, &Font::load("sans").unwrap())
    }

    fn labels(a: &Axis) -> Vec<&str> {
        a.ticks.iter().map(|t| t.1.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(
            labels(&axis(Scale::Linear, [0.0, 1.0], false)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(&axis(Scale::Linear, [-3.0, 2.0], false)),
            ["−3", "−2", "−1", "0", "1", "2"]
        );
        assert_eq!(labels(&axis(Scale::Linear, [0.0, 3.0], true)), ["0", "1", "2", "3"]);
        assert_eq!(labels(&axis(Scale::Linear, [5.0, 5.0], true)), ["4", "5", "6"]);
    }

    #[test]
    fn long_numbers_lose_a_common_factor_or_offset() {
        let a = axis(Scale::Linear, [0.0, 3e7], false);
        assert_eq!((a.note.as_str(), a.ticks[1].1.as_str()), ("×10^{7}", "0.5"));
        let a = axis(Scale::Linear, [0.0, 2e-9], false);
        assert_eq!(a.note, "×10^{−9}");
        let a = axis(Scale::Linear, [1e6, 1e6 + 1.0], false);
        assert!(a.note == "+ 1000000" && labels(&a).contains(&"0.2"), "{a:?}");
        let a = axis(Scale::Linear, [1e6 + 0.1, 1e6 + 0.5], false);
        assert!(a.note == "+ 1000000" && labels(&a).contains(&"0.30"), "{a:?}");
    }

    #[test]
    fn log_ticks_are_powers() {
        assert_eq!(labels(&axis(Scale::Log10, [1e-8, 1.0], false)).last(), Some(&"10^{0}"));
        assert_eq!(
            labels(&axis(Scale::Log10, [0.01, 100.0], false)),
            ["0.01", "0.1", "1", "10", "100"]
        );
        assert_eq!(labels(&axis(Scale::Log2, [1.0, 8.0], false)), ["1", "2", "4", "8"]);
        assert!(axis(Scale::Log10, [2.0, 3.0], false).ticks.len() >= 2);
        assert!((axis(Scale::Log10, [1.0, 100.0], false).place(10.0).unwrap() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn any_finite_range_has_ticks() {
        let most = f64::MAX;
        for (scale, range) in [
            (Scale::Log10, [1.0, 1e300]),
            (Scale::Log10, [1.0, most]),
            (Scale::Log10, [f64::MIN_POSITIVE, most]),
            (Scale::Log10, [5e-324, 1e-320]),
            (Scale::Log10, [most, most]),
            (Scale::Log2, [1e-300, 1e300]),
            (Scale::Linear, [-most, most]),
            (Scale::Linear, [0.0, most]),
            (Scale::Linear, [most, most]),
            (Scale::Linear, [5e-324, 1e-323]),
        ] {
            for whole in [false, true] {
                let a = axis(scale, range, whole);
                assert!(a.ticks.len() < 20, "{range:?}: {a:?}");
                let ends = range.map(|v| a.place(a.bound(v).unwrap()).unwrap());
                assert!(
                    ends.iter().all(|p| (-1e-9..=1.0 + 1e-9).contains(p)),
                    "{range:?}: {ends:?}"
                );
            }
        }
        let a = axis(Scale::Log10, [1.0, 1e300], false);
        assert!(
            a.ticks.len() >= 3 && (a.place(1e150).unwrap() - 0.5).abs() < 1e-9,
            "{a:?}"
        );
        let a = axis(Scale::Linear, [-most, most], false);
        assert!(a.ticks.len() >= 3 && a.place(0.0).unwrap() == 0.5, "{a:?}");
    }

    #[test]
    fn labels_never_touch() {
        let font = Font::load("sans").unwrap();
        for (low, high) in [
            (0.0, 1.0),
            (-1e5, 1e5),
            (12345.0, 12399.0),
            (1e-12, 1e12),
            (0.1, 0.10001),
        ] {
            for length in [30.0, 80.0, 300.0] {
                let r = Request {
                    scale: Scale::Linear,
                    range: [low, high],
                    whole: false,
                    pad: [0.03; 2],
                    ticks: None,
                    length,
                    horizontal: true,
                    font_size: 8.0,
                };
                let a = Axis::new(&r, &font);
                assert!(
                    a.ticks.len() <= 2 || fits(&a, &r, &font),
                    "{low} {high} {length}: {a:?}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_placed_is_none_or_at_the_end() {
        let a = axis(Scale::Log10, [1.0, 100.0], false);
        assert_eq!(a.place(0.0), None);
        assert_eq!(a.bound(-1.0), Some(1.0));
        assert!((a.value(0.5) - 10.0).abs() < 1e-9);
        assert_eq!(axis(Scale::Linear, [0.0, 1.0], false).place(f64::NAN), None);
    }
}
