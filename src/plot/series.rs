//! Lines, points, bands, error bars and bars inside the rectangle of a panel.

use super::cartesian::Plan;
use super::figure::{Layer, LineOptions, Spread};
use super::legend::{Entry, Symbol};
use super::palette::{self, Colour, Dash, INK, Marker};
use super::style::Style;
use super::svg::{Area, Canvas, Stroke};

/// Lines of more points than this show no markers.
const MARKED: usize = 24;
/// Share of a category's slot that its bars fill.
const FILLED: f64 = 0.8;

struct Look {
    colour: Colour,
    dash: Dash,
    marker: Marker,
    opacity: f64,
}

fn look(y: &[f64], joined: bool, turn: usize, options: &LineOptions) -> Look {
    let few = y.iter().filter(|v| v.is_finite()).count() <= MARKED;
    let marker = match options.marker {
        Some(marker) => marker,
        None if !joined || (few && !options.faint) => Marker::of_series(turn),
        None => Marker::None,
    };
    Look {
        colour: options.colour.unwrap_or(palette::series(turn)),
        dash: options.dash.unwrap_or(if options.faint {
            Dash::Solid
        } else {
            Dash::of_series(turn)
        }),
        marker,
        opacity: if options.faint { 0.3 } else { 1.0 },
    }
}

/// The legend's entry for this layer, if it has a label.
pub(super) fn entry(layer: &Layer) -> Option<Entry> {
    let (label, symbol) = match layer {
        Layer::Line {
            y,
            joined,
            turn,
            options,
            ..
        } => {
            let Look {
                colour, dash, marker, ..
            } = look(y, *joined, *turn, options);
            let band = options.band.is_some();
            let symbol = if *joined {
                Symbol::Line {
                    colour,
                    dash,
                    marker,
                    band,
                }
            } else {
                Symbol::Point { colour, marker }
            };
            (&options.label, symbol)
        }
        Layer::Bars { turn, options, .. } => {
            let colour = options.colour.unwrap_or(palette::series(*turn));
            (&options.label, Symbol::Bar { colour, turn: *turn })
        }
        _ => return None,
    };
    (!label.is_empty()).then(|| Entry {
        label: label.clone(),
        symbol,
    })
}

/// Draw all layers: bands at the back, then bars and lines, points in front.
pub(super) fn draw(canvas: &mut Canvas, plan: &Plan, area: Area, style: &Style) {
    for layer in &plan.panel.layers {
        if let Layer::Line {
            x,
            y,
            turn,
            options,
            joined,
        } = layer
            && let Some(band) = &options.band
        {
            draw_band(
                canvas,
                plan,
                area,
                x,
                y,
                band,
                look(y, *joined, *turn, options).colour,
                style.band,
            );
        }
    }
    for layer in &plan.panel.layers {
        match layer {
            Layer::Line {
                x,
                y,
                joined,
                turn,
                options,
            } => {
                let look = look(y, *joined, *turn, options);
                draw_line(canvas, plan, area, (x, y), *joined, &look, options, style);
            }
            Layer::Bars { .. } => draw_bars(canvas, plan, area, layer, style),
            _ => {}
        }
    }
}

fn at(plan: &Plan, area: Area, x: f64, y: f64) -> Option<[f64; 2]> {
    let [px, py] = [plan.x.place(x)?, plan.y.place(y)?];
    Some([area.x + px * area.w, area.bottom() - py * area.h])
}

fn height(plan: &Plan, area: Area, y: f64) -> Option<f64> {
    plan.y.clamped(y).map(|p| area.bottom() - p * area.h)
}

/// The stretches between values that cannot be drawn.
fn stretches(points: &[Option<[f64; 2]>]) -> Vec<Vec<[f64; 2]>> {
    points
        .split(Option::is_none)
        .map(|s| s.iter().flatten().copied().collect::<Vec<_>>())
        .filter(|s| !s.is_empty())
        .collect()
}

/// A long line without what nobody can see: per third of a point in x the first, lowest, highest and last value.
fn thinned(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    if points.len() < 1000 || points.windows(2).any(|w| w[1][0] < w[0][0]) {
        return points;
    }
    let column = |p: &[f64; 2]| (p[0] * 3.0) as i64;
    let mut out = Vec::new();
    for group in points.chunk_by(|a, b| column(a) == column(b)) {
        let pick = |better: fn(f64, f64) -> bool| {
            (1..group.len()).fold(0, |best, i| if better(group[i][1], group[best][1]) { i } else { best })
        };
        let mut keep = vec![0, pick(|a, b| a < b), pick(|a, b| a > b), group.len() - 1];
        keep.sort_unstable();
        keep.dedup();
        out.extend(keep.into_iter().map(|i| group[i]));
    }
    out
}

#[expect(clippy::too_many_arguments, reason = "the parts of one layer, used once")]
fn draw_band(
    canvas: &mut Canvas,
    plan: &Plan,
    area: Area,
    x: &[f64],
    y: &[f64],
    band: &Spread,
    colour: Colour,
    opacity: f64,
) {
    let mut upper: Vec<[f64; 2]> = Vec::new();
    let mut lower: Vec<[f64; 2]> = Vec::new();
    let mut close = |upper: &mut Vec<[f64; 2]>, lower: &mut Vec<[f64; 2]>| {
        if upper.len() > 1 {
            let mut outline = thinned(std::mem::take(upper));
            let mut back = thinned(std::mem::take(lower));
            back.reverse();
            outline.extend(back);
            canvas.polygon(&outline, colour, opacity);
        }
        upper.clear();
        lower.clear();
    };
    for (i, (x, y)) in x.iter().zip(y).enumerate() {
        let [low, high] = band.ends(i, *y);
        let ends = plan.x.place(*x).filter(|_| y.is_finite()).map(|p| area.x + p * area.w);
        match (ends, height(plan, area, low), height(plan, area, high)) {
            (Some(px), Some(low), Some(high)) => {
                upper.push([px, high]);
                lower.push([px, low]);
            }
            _ => close(&mut upper, &mut lower),
        }
    }
    close(&mut upper, &mut lower);
}

#[expect(clippy::too_many_arguments, reason = "the parts of one layer, used once")]
fn draw_line(
    canvas: &mut Canvas,
    plan: &Plan,
    area: Area,
    (x, y): (&[f64], &[f64]),
    joined: bool,
    look: &Look,
    options: &LineOptions,
    style: &Style,
) {
    let points: Vec<Option<[f64; 2]>> = x.iter().zip(y).map(|(x, y)| at(plan, area, *x, *y)).collect();
    let width = if options.faint { style.line * 0.7 } else { style.line };
    let stroke = Stroke {
        colour: look.colour,
        width,
        dash: look.dash,
        opacity: look.opacity,
    };
    if joined {
        for stretch in stretches(&points) {
            match stretch.as_slice() {
                // a value between two gaps would not be seen without a point
                [lonely] if look.marker == Marker::None => {
                    canvas.marker(Marker::Circle, *lonely, style.line, look.colour, look.opacity);
                }
                [_] => {}
                _ => canvas.polyline(&thinned(stretch), stroke),
            }
        }
    }
    if let Some(error) = &options.error {
        for (i, point) in points.iter().enumerate() {
            if let Some([px, _]) = point {
                let ends = error.ends(i, y[i]).map(|v| height(plan, area, v));
                draw_error(canvas, *px, ends, look.colour, style);
            }
        }
    }
    let many = !joined && plan.points() > 1500;
    let radius = if many {
        style.marker * 0.5
    } else if joined {
        style.marker
    } else {
        style.marker * 0.85
    };
    let opacity = if joined { 1.0 } else { 0.75 };
    if look.marker != Marker::None {
        for point in points.iter().flatten() {
            canvas.marker(look.marker, *point, radius, look.colour, opacity);
        }
    }
}

fn draw_error(canvas: &mut Canvas, x: f64, ends: [Option<f64>; 2], colour: Colour, style: &Style) {
    let [Some(low), Some(high)] = ends else { return };
    let stroke = Stroke::solid(colour, style.line * 0.7);
    let half = style.marker * 0.9;
    canvas.line([x, low], [x, high], stroke);
    for y in [low, high] {
        canvas.line([x - half, y], [x + half, y], stroke);
    }
}

/// The rectangles of one call of `bars`, with each bar's value and index.
fn bar_areas(plan: &Plan, area: Area, layer: &Layer) -> Vec<(usize, Area)> {
    let Layer::Bars { values, turn, .. } = layer else {
        return Vec::new();
    };
    let groups = plan.panel.layers.len() as f64;
    let slot = area.w / values.len() as f64;
    let width = slot * FILLED / groups;
    let base = height(plan, area, 0.0).unwrap_or(area.bottom());
    let one = |(i, v): (usize, &f64)| {
        let end = height(plan, area, *v).filter(|_| v.is_finite())?;
        let x = area.x + slot * (i as f64 + (1.0 - FILLED) / 2.0) + width * *turn as f64;
        Some((
            i,
            Area {
                x,
                y: end.min(base),
                w: width * 0.94,
                h: (end - base).abs(),
            },
        ))
    };
    values.iter().enumerate().filter_map(one).collect()
}

fn draw_bars(canvas: &mut Canvas, plan: &Plan, area: Area, layer: &Layer, style: &Style) {
    let Layer::Bars {
        values, turn, options, ..
    } = layer
    else {
        return;
    };
    let colour = options.colour.unwrap_or(palette::series(*turn));
    for (i, bar) in bar_areas(plan, area, layer) {
        canvas.bar(bar, colour, *turn);
        if let Some(error) = &options.error {
            let ends = error.ends(i, values[i]).map(|v| height(plan, area, v));
            draw_error(canvas, bar.x + bar.w / 2.0, ends, INK, style);
        }
    }
}

/// Points that a legend should not cover, close enough together that it cannot slip between them.
pub(super) fn obstacles(plan: &Plan, area: Area, style: &Style) -> Vec<[f64; 2]> {
    let step = style.small * 0.5;
    let mut out = Vec::new();
    for layer in &plan.panel.layers {
        match layer {
            Layer::Line {
                x, y, joined, options, ..
            } => {
                let shown = extremes(y);
                let points: Vec<_> = shown.iter().map(|i| at(plan, area, x[*i], y[*i])).collect();
                out.extend(points.iter().flatten());
                for stretch in stretches(&points).into_iter().filter(|_| *joined) {
                    stretch.windows(2).for_each(|w| between(&mut out, w[0], w[1], step));
                }
                for spread in [&options.band, &options.error].into_iter().flatten() {
                    for (i, p) in shown.iter().copied().zip(&points) {
                        let (Some([px, _]), [Some(a), Some(b)]) =
                            (p, spread.ends(i, y[i]).map(|v| height(plan, area, v)))
                        else {
                            continue;
                        };
                        between(&mut out, [*px, a], [*px, b], step);
                    }
                }
            }
            Layer::Bars { values, options, .. } => {
                for (i, bar) in bar_areas(plan, area, layer) {
                    let (left, right) = (bar.x, bar.right());
                    let (mut top, mut low) = (bar.y, bar.bottom());
                    if let Some(ends) = options.error.as_ref().map(|e| e.ends(i, values[i])) {
                        for y in ends.into_iter().filter_map(|v| height(plan, area, v)) {
                            (top, low) = (top.min(y), low.max(y));
                        }
                    }
                    for x in [left, (left + right) / 2.0, right] {
                        between(&mut out, [x, top], [x, low], step);
                    }
                }
            }
            _ => {}
        }
    }
    out
}

/// Every index of a short list, of a long one those of the lowest and highest value in each of a thousand parts.
fn extremes(values: &[f64]) -> Vec<usize> {
    if values.len() <= 4000 {
        return (0..values.len()).collect();
    }
    let part = values.len().div_ceil(1000);
    let mut out = Vec::with_capacity(2000);
    for start in (0..values.len()).step_by(part) {
        let end = (start + part).min(values.len());
        let pick = |better: fn(&f64, &f64) -> bool| {
            (start + 1..end).fold(
                start,
                |best, i| if better(&values[i], &values[best]) { i } else { best },
            )
        };
        let (low, high) = (pick(f64::lt), pick(f64::gt));
        out.extend([low.min(high), low.max(high)]);
    }
    out
}

fn between(out: &mut Vec<[f64; 2]>, a: [f64; 2], b: [f64; 2], step: f64) {
    let length = (b[0] - a[0]).hypot(b[1] - a[1]);
    let parts = (length / step).ceil().max(1.0) as usize;
    for k in 0..=parts {
        let t = k as f64 / parts as f64;
        out.push([a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_breaks_where_a_value_is_missing() {
        let p = |v: f64| Some([v, v]);
        let cut = stretches(&[p(0.0), p(1.0), None, None, p(2.0), None]);
        assert_eq!(cut, vec![vec![[0.0, 0.0], [1.0, 1.0]], vec![[2.0, 2.0]]]);
    }

    #[test]
    fn thinning_keeps_the_extremes() {
        let mut points: Vec<[f64; 2]> = (0..50_000).map(|i| [f64::from(i) * 0.004, 0.0]).collect();
        points[777][1] = 9.0;
        points[778][1] = -9.0;
        let thin = thinned(points);
        assert!(thin.len() < 3000, "{}", thin.len());
        assert!(thin.iter().any(|p| p[1] == 9.0) && thin.iter().any(|p| p[1] == -9.0));
        assert_eq!(thin[thin.len() - 1][0], 49_999.0 * 0.004);
    }
}
