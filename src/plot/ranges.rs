//! What the axes of a panel have to show: the limits of its data, and the room left free at their ends.

use std::cell::RefCell;

use super::area::Area;
use super::backend::Backend;
use super::figure::Panel;
use super::identity::Identity;
use super::layers::{Joint, Layer, Note};
use super::series::{self, Point, Target};
use crate::error::Result;
use crate::fail;

/// The names of the axes, in the order of their numbers.
const AXES: [&str; 3] = ["x", "y", "right"];

/// From the least to the greatest of the values.
pub(super) type Range = [f64; 2];

/// What the layers of a panel show along x, y and the right axis; nothing along categories.
pub(super) fn ranges(panel: &Panel, looks: &[Identity], backend: &Backend) -> Result<[Option<Range>; 3]> {
    let seen: [RefCell<Vec<Point>>; 2] = Default::default();
    series::draw(panel, looks, backend, Area::default(), |right| {
        Target::Points(&seen[usize::from(right)])
    })?;
    let [left, right] = seen.map(RefCell::into_inner);
    let all = left.iter().chain(&right).map(|p| p.0).collect::<Vec<f64>>();
    let upright = |points: Vec<Point>| points.iter().map(|p| p.1).collect::<Vec<f64>>();
    let mut values = [all, upright(left), upright(right)].into_iter();
    Ok([0, 1, 2].map(|axis| {
        let log = panel.sides[axis].log;
        let shown = values
            .next()?
            .into_iter()
            .filter(|v| v.is_finite() && (!log || *v > 0.0));
        let range = shown.map(|v| [v, v]).reduce(joined);
        range.filter(|_| panel.categories().is_none_or(|(_, lies)| axis != usize::from(lies)))
    }))
}

/// The range of both.
pub(super) fn joined(a: Range, b: Range) -> Range {
    [a[0].min(b[0]), a[1].max(b[1])]
}

/// The values of a layer along an axis.
fn along(panel: &Panel, index: usize, axis: usize) -> Vec<f64> {
    let (layer, right) = &panel.layers[index];
    let lies = panel.categories().is_some_and(|(_, lies)| lies);
    match layer {
        _ if axis != 0 && (axis == 2) != *right => Vec::new(),
        Layer::Curve { x, y, .. } => {
            let seen = x.iter().zip(y).filter(|(x, y)| x.is_finite() && y.is_finite());
            seen.map(|(x, y)| if axis == 0 { *x } else { *y }).collect()
        }
        Layer::Bars { values, .. } if (axis == 0) == lies => values.clone(),
        Layer::Groups { samples, .. } if (axis == 0) == lies => samples.concat(),
        Layer::Bins { edges, .. } if axis == 0 => edges.clone(),
        Layer::Note { note, .. } => match note {
            Note::Text { at, to, .. } => [Some(*at), *to].iter().flatten().map(|p| p[axis.min(1)]).collect(),
            Note::HLine(y) if axis != 0 => vec![*y],
            Note::VLine(x) if axis == 0 => vec![*x],
            Note::Span { x, y } => if axis == 0 { x } else { y }.iter().flatten().copied().collect(),
            Note::HLine(_) | Note::VLine(_) => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// What logarithmic axes leave out, layer by layer.
pub(super) fn left_out(panel: &Panel) -> Vec<String> {
    let mut out = Vec::new();
    for (axis, _) in panel.sides.iter().enumerate().filter(|(_, side)| side.log) {
        for (i, (layer, _)) in panel.layers.iter().enumerate() {
            let values = along(panel, i, axis);
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

/// Limits of the axis for data of this range, and the share of them left free at both ends.
pub(super) fn limits(panel: &Panel, axis: usize, range: Option<Range>) -> Result<(Range, [f64; 2])> {
    let categories = panel.categories();
    if let Some((names, lies)) = categories.filter(|(_, lies)| axis == usize::from(*lies)) {
        let n = names.len() as f64;
        return Ok((if lies { [0.5 - n, 0.5] } else { [-0.5, n - 0.5] }, [0.0; 2]));
    }
    if let Some(limits) = panel.sides[axis].limits {
        return Ok((limits, [0.0; 2]));
    }
    let Some(range) = range else {
        let has_values = |i: &usize| !along(panel, *i, axis).is_empty();
        let layer = (0..panel.layers.len()).find(has_values);
        let name = layer.map_or("figure".into(), |i| panel.layers[i].0.name());
        let axis = AXES[axis];
        fail!("{name}: no value is positive, but the {axis} axis is logarithmic; leave out `log` or shift the values");
    };
    let any = |is: fn(&Layer) -> bool| panel.layers.iter().any(|(layer, _)| is(layer));
    let standing = any(|l| matches!(l, Layer::Bars { .. } | Layer::Bins { .. }));
    if axis == 0 && !(standing && categories.is_some()) {
        let loose = |l: &Layer| matches!(l, Layer::Curve { joint, .. } if *joint == Joint::Nothing);
        return Ok((range, [if any(loose) { 0.05 } else { 0.025 }; 2]));
    }
    let linear = !panel.sides[axis].log;
    let from_zero = standing && linear;
    let low = match linear && range[0] >= 0.0 {
        true if from_zero => 0.0,
        // no room below zero where nothing is there
        true => (range[0] / (range[1] - range[0]).max(1e-300)).min(0.05),
        false => 0.05,
    };
    let written = |l: &Layer| matches!(l, Layer::Bars { options, .. } if options.values && options.horizontal);
    let high = match any(written) {
        true => 0.14,
        false if from_zero && range[1] <= 0.0 => 0.0,
        false => 0.06,
    };
    Ok((range, [low, high]))
}
