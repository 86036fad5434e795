//! The data of a figure as CSV: one row per value, so that every kind of figure reads back the same way.

use super::figure::Figure;
use super::layers::{Layer, Note};
use crate::error::{Error, Result};

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
pub(super) fn table(figure: &Figure) -> Result<Option<Vec<u8>>> {
    let failed = |e: csv::Error| Error::usage(format!("figure: its data cannot be written ({e})"));
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(HEADER.split(',')).map_err(failed)?;
    for (i, panel) in figure.panels.iter().enumerate() {
        let number = (i + 1).to_string();
        let name: &str = if panel.title.is_empty() { &number } else { &panel.title };
        for (layer, _) in &panel.layers {
            let mut row = |series: &str, x: &str, y: f64, ends: Option<[f64; 2]>| {
                let [low, high] = ends.map_or(Default::default(), |ends| ends.map(|v| v.to_string()));
                let row = [name, layer.kind(), series, x, &y.to_string(), &low, &high];
                table.write_record(row).map_err(failed)
            };
            match layer {
                Layer::Curve { x, y, options, .. } => {
                    let spread = options.band.as_ref().or(options.error.as_ref());
                    for (i, (x, y)) in x.iter().zip(y).enumerate() {
                        let value = || options.values.as_ref().map(|v| [v[i], f64::NAN]);
                        let ends = spread.map(|s| s.ends(i, *y)).or_else(value);
                        row(&options.look.label, &x.to_string(), *y, ends)?;
                    }
                }
                Layer::Bars { names, values, options } => {
                    for (i, (name, value)) in names.iter().zip(values).enumerate() {
                        let ends = options.error.as_ref().map(|s| s.ends(i, *value));
                        row(&options.look.label, name, *value, ends)?;
                    }
                }
                Layer::Bins { edges, heights, look } => {
                    for (w, height) in edges.windows(2).zip(heights) {
                        let middle = ((w[0] + w[1]) / 2.0).to_string();
                        row(&look.label, &middle, *height, Some([w[0], w[1]]))?;
                    }
                }
                Layer::Groups { names, samples, .. } => {
                    for (name, values) in names.iter().zip(samples) {
                        for (i, value) in values.iter().enumerate() {
                            row(name, &i.to_string(), *value, None)?;
                        }
                    }
                }
                Layer::Note {
                    note: Note::HLine(y),
                    look,
                } => row(&look.label, "", *y, None)?,
                Layer::Heatmap {
                    values,
                    columns,
                    options,
                    ..
                } => {
                    let name = |names: &[String], i: usize| names.get(i).cloned().unwrap_or_else(|| i.to_string());
                    for (i, value) in values.iter().enumerate() {
                        let of_row = name(&options.row_names, i / columns);
                        row(&of_row, &name(&options.column_names, i % columns), *value, None)?;
                    }
                }
                Layer::Note { .. } | Layer::Picture { .. } => {}
            }
        }
    }
    let bytes = table.into_inner().map_err(|e| failed(e.into_error().into()))?;
    Ok((bytes.len() > HEADER.len() + 1).then_some(bytes))
}
