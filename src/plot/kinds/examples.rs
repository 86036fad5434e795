//! Images beside their truth and the network's prediction.

use crate::ensure;
use crate::error::Result;
use crate::plot::legend::Entry;
use crate::plot::palette::NOTHING;
use crate::plot::{Figure, FigureOptions, IGNORED, Picture};

/// One row of the figure.
#[derive(Clone, Debug)]
pub struct Example {
    /// Beside the row; may be empty.
    pub name: String,
    /// The image.
    pub image: Picture,
    /// Its labels, one per pixel.
    pub truth: Vec<u8>,
    /// The predicted labels, one per pixel.
    pub prediction: Vec<u8>,
}

/// A row per example: image, truth, prediction, with `overlay` the prediction over the image; below them the names of the
/// classes that occur, in the colours of `palette`.
pub fn examples(
    rows: &[Example],
    class_names: &[String],
    palette: &[[u8; 3]],
    overlay: bool,
    frame: &FigureOptions,
) -> Result<Figure> {
    ensure!(
        !rows.is_empty(),
        "examples: there is no image to show; give at least one index"
    );
    ensure!(
        class_names.len() <= palette.len(),
        "examples: {} class names but only {} colours",
        class_names.len(),
        palette.len()
    );
    let columns = ["Image", "Truth", "Prediction", "Overlay"];
    let columns = &columns[..if overlay { 4 } else { 3 }];
    let mut figure = Figure::new(FigureOptions {
        rows: rows.len(),
        columns: columns.len(),
        ..frame.clone()
    })?;
    let mut seen = [false; 256];
    for (r, row) in rows.iter().enumerate() {
        let (width, height) = (row.image.width, row.image.height);
        for (c, title) in columns.iter().enumerate() {
            let [title, name] = [(r, *title), (c, row.name.as_str())].map(|(at, text)| if at == 0 { text } else { "" });
            figure.panel(r, c, title, "", name, None)?;
            match c {
                0 => figure.image(row.image.clone())?,
                1 => figure.labels(width, height, &row.truth, palette)?,
                2 => figure.labels(width, height, &row.prediction, palette)?,
                _ => figure.masks(&row.image, &row.prediction, palette)?,
            };
        }
        for label in row.truth.iter().chain(&row.prediction) {
            seen[usize::from(*label)] = true;
        }
    }
    let present = class_names.iter().zip(palette).enumerate().filter(|(i, _)| seen[*i]);
    figure.legend = present.map(|(_, (name, colour))| Entry::class(name, *colour)).collect();
    if seen[usize::from(IGNORED)] {
        figure.legend.push(Entry::class("ignored", NOTHING));
    }
    Ok(figure)
}
