//! What the axes of a panel have to show: the limits of its data, and the room left free at their ends.

use super::axis::Scale;
use super::figure::Panel;
use super::layers::{GroupKind, Joint, Layer, Note};
use super::stats;
use crate::error::{Error, Result};

/// Limits of the finite values that the axis (x, y, right) can show.
pub(super) fn range(panel: &Panel, axis: usize) -> Option<[f64; 2]> {
    let scale = panel.scales()[axis];
    let lies = panel.categories().is_some_and(|(_, lies)| lies);
    let mut range: Option<[f64; 2]> = None;
    let mut grow = |v: f64| {
        if v.is_finite() && (scale == Scale::Linear || v > 0.0) {
            let [low, high] = range.unwrap_or([v, v]);
            range = Some([low.min(v), high.max(v)]);
        }
    };
    for (i, (layer, right)) in panel.layers.iter().enumerate() {
        if axis != 0 && (axis == 2) != *right {
            continue;
        }
        let values = (axis == 0) == lies;
        match layer {
            Layer::Curve { x, y, joint, options } => {
                for (i, (x, y)) in x
                    .iter()
                    .zip(y)
                    .enumerate()
                    .filter(|(_, (x, y))| x.is_finite() && y.is_finite())
                {
                    if axis == 0 {
                        grow(*x);
                        continue;
                    }
                    grow(*y);
                    let ends = [&options.band, &options.error]
                        .into_iter()
                        .flatten()
                        .flat_map(|s| s.ends(i, *y));
                    ends.for_each(&mut grow);
                }
                if *joint == Joint::Area && axis != 0 && scale == Scale::Linear && options.band.is_none() {
                    grow(0.0);
                }
            }
            Layer::Bars {
                values: list, options, ..
            } if values => {
                for (i, [base, end]) in bar_ends(panel, i).into_iter().enumerate() {
                    if scale == Scale::Linear {
                        grow(base);
                    }
                    grow(end);
                    if let Some(error) = options.error.as_ref().filter(|_| list[i].is_finite()) {
                        error.ends(i, list[i]).into_iter().for_each(|e| grow(e - list[i] + end));
                    }
                }
            }
            Layer::Groups { samples, kind, .. } if values => {
                samples
                    .iter()
                    .for_each(|s| group_range(s, *kind).into_iter().for_each(&mut grow));
            }
            Layer::Bins { edges, .. } if axis == 0 => edges.iter().copied().for_each(&mut grow),
            Layer::Bins { heights, .. } => {
                heights.iter().copied().for_each(&mut grow);
                if scale == Scale::Linear {
                    grow(0.0);
                }
            }
            Layer::Note { note, .. } => match note {
                Note::Text { at, to, .. } => [Some(*at), *to]
                    .into_iter()
                    .flatten()
                    .for_each(|p| grow(p[axis.min(1)])),
                Note::HLine(y) if axis != 0 => grow(*y),
                Note::VLine(x) if axis == 0 => grow(*x),
                Note::Span { x, y } => {
                    let ends = if axis == 0 { x } else { y };
                    ends.iter().flatten().copied().for_each(&mut grow);
                }
                Note::HLine(_) | Note::VLine(_) => {}
            },
            _ => {}
        }
    }
    range
}

/// All x values are whole numbers, as steps and epochs are.
pub(super) fn whole_x(panel: &Panel) -> bool {
    panel.layers.iter().all(|(l, _)| match l {
        Layer::Curve { x, .. } => x.iter().filter(|v| v.is_finite()).all(|v| v.fract() == 0.0),
        Layer::Bins { .. } => false,
        _ => true,
    })
}

/// Limits of the axis, and the share of them left free at both ends.
pub(super) fn limits(panel: &Panel, axis: usize, shared: Option<[f64; 2]>) -> Result<([f64; 2], [f64; 2])> {
    if let Some((names, lies)) = panel.categories().filter(|(_, lies)| (axis == 0) != *lies && axis != 2) {
        let n = names.len() as f64;
        return Ok((if lies { [0.5 - n, 0.5] } else { [-0.5, n - 0.5] }, [0.0; 2]));
    }
    if let Some(limits) = panel.limits[axis] {
        return Ok((limits, [0.0; 2]));
    }
    let Some(range) = shared.or_else(|| range(panel, axis)) else {
        let axis = ["x", "y", "right"][axis];
        return Err(Error::usage(format!(
            "figure: the {axis} axis is logarithmic but no value is positive; leave out `log` or shift the values"
        )));
    };
    let linear = panel.scales()[axis] == Scale::Linear;
    let standing = panel
        .layers
        .iter()
        .any(|(l, _)| matches!(l, Layer::Bars { .. } | Layer::Bins { .. }));
    let values = panel.categories().is_none_or(|(_, lies)| (axis == 0) == lies);
    if axis == 0 && !(standing && values && panel.categories().is_some()) {
        let loose = panel.layers.iter().any(|(l, _)| {
            matches!(
                l,
                Layer::Curve {
                    joint: Joint::Nothing,
                    ..
                }
            )
        });
        return Ok((range, [if loose { 0.05 } else { 0.025 }; 2]));
    }
    let from_zero = standing && linear;
    let low = match linear {
        true if from_zero && range[0] >= 0.0 => 0.0,
        // no room below zero where nothing is there
        true if range[0] >= 0.0 => (range[0] / (range[1] - range[0]).max(1e-300)).min(0.05),
        _ => 0.05,
    };
    let written = |l: &Layer| matches!(l, Layer::Bars { options, .. } if options.values && options.horizontal);
    let high = match panel.layers.iter().any(|(l, _)| written(l)) {
        true => 0.14,
        false if from_zero && range[1] <= 0.0 => 0.0,
        false => 0.06,
    };
    Ok((range, [low, high]))
}

/// Where the bars of layer `index` begin and end: on those before, if they are stacked.
pub(super) fn bar_ends(panel: &Panel, index: usize) -> Vec<[f64; 2]> {
    let Some((Layer::Bars { values, options, .. }, _)) = panel.layers.get(index) else {
        return Vec::new();
    };
    let below = |i: usize, v: f64| -> f64 {
        let before = panel.layers[..index].iter().filter_map(|(l, _)| match l {
            Layer::Bars { values, options, .. } if options.stacked => values.get(i).copied(),
            _ => None,
        });
        before.filter(|b| b.is_finite() && (*b < 0.0) == (v < 0.0)).sum()
    };
    let ends = |(i, v): (usize, &f64)| {
        let base = if options.stacked { below(i, *v) } else { 0.0 };
        [base, base + v]
    };
    values.iter().enumerate().map(ends).collect()
}

/// The lowest and highest value that a box or violin shows.
pub(super) fn group_range(samples: &[f64], kind: GroupKind) -> [f64; 2] {
    let shown = match kind {
        GroupKind::Box => samples.to_vec(),
        GroupKind::Violin => stats::density(samples, None).0,
    };
    shown
        .iter()
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], v| [a.min(*v), b.max(*v)])
}
