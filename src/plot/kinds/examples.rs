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

/// Options of [`examples`].
#[derive(Clone, Debug, Default)]
pub struct ExamplesOptions {
    /// Size and letters.
    pub frame: FigureOptions,
    /// Above the figure; may be empty.
    pub title: String,
    /// A fourth column: the prediction laid over the image.
    pub overlay: bool,
}

/// A row per example: image, truth, prediction, if wanted the prediction over the image; below them the names of the
/// classes that occur, in the colours of `palette`.
pub fn examples(
    rows: &[Example],
    class_names: &[String],
    palette: &[[u8; 3]],
    options: &ExamplesOptions,
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
    let columns = if options.overlay { 4 } else { 3 };
    let mut figure = Figure::new(FigureOptions {
        title: options.title.clone(),
        rows: rows.len(),
        columns,
        ..options.frame.clone()
    })?;
    let mut seen = [false; 256];
    for (r, row) in rows.iter().enumerate() {
        let (width, height) = (row.image.width, row.image.height);
        let title = |text| if r == 0 { text } else { "" };
        figure
            .panel(r, 0, title("Image"), "", &row.name, None)?
            .image(row.image.clone())?;
        figure
            .panel(r, 1, title("Truth"), "", "", None)?
            .labels(width, height, &row.truth, palette)?;
        figure
            .panel(r, 2, title("Prediction"), "", "", None)?
            .labels(width, height, &row.prediction, palette)?;
        if options.overlay {
            figure
                .panel(r, 3, title("Overlay"), "", "", None)?
                .masks(&row.image, &row.prediction, palette)?;
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
