//! The data of a figure as CSV: one row per value, so that every kind of figure reads back the same way.

use std::fmt::Write;

use super::figure::Figure;
use super::layers::{Layer, Note};

/// The session knows figures' data by how this starts, so that it may replace them.
const HEADER: &str = "panel,kind,series,x,y,low,high";

/// A heat map of more numbers is a picture: its data would be many times as large as its drawing.
const LARGE: usize = 10_000;

/// Whether the figure holds a heat map too large to be written as text unless somebody wants it.
pub(super) fn is_large(figure: &Figure) -> bool {
    let mut layers = figure.panels.iter().flat_map(|panel| &panel.layers);
    layers.any(|(layer, _)| matches!(layer, Layer::Heatmap { values, .. } if values.len() > LARGE))
}

/// The figure's data; `None` where there are only pictures.
///
/// Columns: `panel` (its title or number), `kind` (line, scatter, bars, heatmap and so on), `series` (label, group, or the row of
/// a heat map), `x` (value, category or column), `y`, `low` and `high` (ends of a band, an error bar or a bin; for points
/// with colours `low` is their number). Missing values are `NaN`.
pub(super) fn table(figure: &Figure) -> Option<String> {
    let mut out = format!("{HEADER}\n");
    for (i, panel) in figure.panels.iter().enumerate() {
        let name = if panel.title.is_empty() {
            (i + 1).to_string()
        } else {
            panel.title.clone()
        };
        for (layer, _) in &panel.layers {
            let mut row = |kind: &str, series: &str, x: &str, y: f64, ends: Option<[f64; 2]>| {
                let ends = ends.map_or(String::from(","), |[low, high]| format!("{low},{high}"));
                let (name, series, x) = (quoted(&name), quoted(series), quoted(x));
                let _ = writeln!(out, "{name},{kind},{series},{x},{y},{ends}");
            };
            match layer {
                Layer::Curve { x, y, options, .. } => {
                    let spread = options.band.as_ref().or(options.error.as_ref());
                    for (i, (x, y)) in x.iter().zip(y).enumerate() {
                        let value = || options.values.as_ref().map(|v| [v[i], f64::NAN]);
                        let ends = spread.map(|s| s.ends(i, *y)).or_else(value);
                        row(layer.kind(), &options.look.label, &x.to_string(), *y, ends);
                    }
                }
                Layer::Bars { names, values, options } => {
                    for (i, (name, value)) in names.iter().zip(values).enumerate() {
                        let ends = options.error.as_ref().map(|s| s.ends(i, *value));
                        row(layer.kind(), &options.look.label, name, *value, ends);
                    }
                }
                Layer::Bins { edges, heights, look } => {
                    for (w, height) in edges.windows(2).zip(heights) {
                        let middle = ((w[0] + w[1]) / 2.0).to_string();
                        row(layer.kind(), &look.label, &middle, *height, Some([w[0], w[1]]));
                    }
                }
                Layer::Groups { names, samples, .. } => {
                    for (name, values) in names.iter().zip(samples) {
                        let values = values.iter().enumerate();
                        values.for_each(|(i, v)| row(layer.kind(), name, &i.to_string(), *v, None));
                    }
                }
                Layer::Note {
                    note: Note::HLine(y),
                    look,
                } => row(layer.kind(), &look.label, "", *y, None),
                Layer::Heatmap {
                    values,
                    columns,
                    options,
                    ..
                } => {
                    let name = |names: &[String], i: usize| names.get(i).cloned().unwrap_or_else(|| i.to_string());
                    for (i, value) in values.iter().enumerate() {
                        let (r, c) = (
                            name(&options.row_names, i / columns),
                            name(&options.column_names, i % columns),
                        );
                        row(layer.kind(), &r, &c, *value, None);
                    }
                }
                Layer::Note { .. } | Layer::Picture { .. } => {}
            }
        }
    }
    (out.len() > HEADER.len() + 1).then_some(out)
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_string()
    }
}
