//! What the axes of a panel have to show: the limits of its data, and the room left free at their ends.

use super::axis::Scale;
use super::figure::Panel;
use super::layers::{GroupKind, Joint, Layer, Note};
use super::stats;
use crate::error::Result;
use crate::fail;

/// The names of the axes, in the order of their numbers.
const AXES: [&str; 3] = ["x", "y", "right"];

/// What a layer shows along an axis: its values, and what is drawn around them.
fn along(panel: &Panel, index: usize, axis: usize) -> (Vec<f64>, Vec<f64>) {
    let (layer, right) = &panel.layers[index];
    if axis != 0 && (axis == 2) != *right {
        return Default::default();
    }
    let linear = panel.scales()[axis] == Scale::Linear;
    let zero = || if linear { vec![0.0] } else { Vec::new() };
    let lies = panel.categories().is_some_and(|(_, lies)| lies);
    let of_values = (axis == 0) == lies;
    match layer {
        Layer::Curve { x, y, joint, options } => {
            let seen = |i: &usize| x[*i].is_finite() && y[*i].is_finite();
            let seen: Vec<usize> = (0..x.len()).filter(seen).collect();
            if axis == 0 {
                return (seen.iter().map(|i| x[*i]).collect(), Vec::new());
            }
            let spreads = [&options.band, &options.error].into_iter().flatten();
            let ends = spreads.flat_map(|s| seen.iter().flat_map(|i| s.ends(*i, y[*i])));
            let base = if *joint == Joint::Area && options.band.is_none() {
                zero()
            } else {
                Vec::new()
            };
            (seen.iter().map(|i| y[*i]).collect(), ends.chain(base).collect())
        }
        Layer::Bars { values, options, .. } if of_values => {
            let ends = bar_ends(panel, index);
            let bases = ends.iter().map(|[base, _]| *base).filter(|_| linear);
            let errors = options.error.iter().flat_map(|error| {
                let of = |(i, [_, end]): (usize, &[f64; 2])| error.ends(i, values[i]).map(|e| e - values[i] + end);
                ends.iter().enumerate().flat_map(of)
            });
            (
                ends.iter().map(|[_, end]| *end).collect(),
                bases.chain(errors).collect(),
            )
        }
        Layer::Groups { samples, kind, .. } if of_values => match kind {
            GroupKind::Box => (samples.concat(), Vec::new()),
            GroupKind::Violin => {
                let ends = samples.iter().flat_map(|values| stats::density(values, None).0);
                (samples.concat(), ends.collect())
            }
        },
        Layer::Bins { edges, .. } if axis == 0 => (edges.clone(), Vec::new()),
        Layer::Bins { heights, .. } => (Vec::new(), [heights.clone(), zero()].concat()),
        Layer::Note { note, .. } => {
            let values = match note {
                Note::Text { at, to, .. } => [Some(*at), *to].iter().flatten().map(|p| p[axis.min(1)]).collect(),
                Note::HLine(y) if axis != 0 => vec![*y],
                Note::VLine(x) if axis == 0 => vec![*x],
                Note::Span { x, y } => if axis == 0 { x } else { y }.iter().flatten().copied().collect(),
                Note::HLine(_) | Note::VLine(_) => Vec::new(),
            };
            (values, Vec::new())
        }
        _ => Default::default(),
    }
}

/// Limits of the finite values that the axis can show.
pub(super) fn range(panel: &Panel, axis: usize) -> Option<[f64; 2]> {
    let linear = panel.scales()[axis] == Scale::Linear;
    let layers = (0..panel.layers.len()).map(|i| along(panel, i, axis));
    let all = layers.flat_map(|(values, around)| values.into_iter().chain(around));
    let shown = all.filter(|v| v.is_finite() && (linear || *v > 0.0)).map(|v| [v, v]);
    shown.reduce(|[low, high], [v, _]| [low.min(v), high.max(v)])
}

/// What logarithmic axes leave out, layer by layer.
pub(super) fn left_out(panel: &Panel) -> Vec<String> {
    let mut out = Vec::new();
    for (axis, scale) in panel.scales().into_iter().enumerate() {
        for (i, (layer, _)) in panel.layers.iter().enumerate().filter(|_| scale != Scale::Linear) {
            let (values, _) = along(panel, i, axis);
            let lost = values.iter().filter(|v| **v <= 0.0).count();
            if lost > 0 {
                let (name, axis, all) = (layer.name(), AXES[axis], values.len());
                out.push(format!(
                    "{name}: {lost} of {all} values along the logarithmic {axis} axis are not above 0 and not shown"
                ));
            }
        }
    }
    out
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
        let has_values = |i: &usize| !along(panel, *i, axis).0.is_empty();
        let layer = (0..panel.layers.len())
            .find(has_values)
            .map(|i| panel.layers[i].0.name());
        let (name, axis) = (layer.unwrap_or("figure".into()), AXES[axis]);
        fail!("{name}: no value is positive, but the {axis} axis is logarithmic; leave out `log` or shift the values");
    };
    let linear = panel.scales()[axis] == Scale::Linear;
    let matching = |is: fn(&Layer) -> bool| panel.layers.iter().any(|(layer, _)| is(layer));
    let standing = matching(|l| matches!(l, Layer::Bars { .. } | Layer::Bins { .. }));
    let values = panel.categories().is_none_or(|(_, lies)| (axis == 0) == lies);
    if axis == 0 && !(standing && values && panel.categories().is_some()) {
        let loose = matching(|l| {
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
    let high = match matching(written) {
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
