//! Pixel embeddings in the plane.

use super::check_names;
use crate::error::Result;
use crate::plot::{Figure, FigureOptions, Ink, Look};
use crate::{ensure, fail};

/// Points in the plane with the class of each.
#[derive(Clone, Debug)]
pub struct EmbeddingData {
    /// Coordinates, by principal components or t-SNE.
    pub points: Vec<[f64; 2]>,
    /// The class of each point.
    pub labels: Vec<usize>,
    /// One name per class.
    pub class_names: Vec<String>,
    /// One colour per class; empty for the colour-blind-safe palette of the plots.
    pub palette: Vec<[u8; 3]>,
    /// Above the figure; may be empty.
    pub title: String,
    /// Names of the two directions.
    pub axes: [String; 2],
}

/// One scatter per data set, side by side: the classes that occur, each with its colour and marker, in one legend; the axes
/// have no numbers, since they mean nothing.
pub fn embedding(sets: &[EmbeddingData], frame: &FigureOptions) -> Result<Figure> {
    ensure!(!sets.is_empty(), "embedding: there are no points to show");
    let title = if let [one] = sets {
        one.title.clone()
    } else {
        String::new()
    };
    let mut figure = Figure::new(FigureOptions {
        title,
        columns: sets.len(),
        ..frame.clone()
    })?;
    for (i, data) in sets.iter().enumerate() {
        let (n, m) = (data.points.len(), data.labels.len());
        ensure!(
            n == m,
            "embedding: there are {n} points and {m} labels; they must be as many"
        );
        check_names("embedding", &data.class_names)?;
        let (classes, colours) = (data.class_names.len(), data.palette.len());
        if let Some(label) = data.labels.iter().find(|l| **l >= classes) {
            let last = classes - 1;
            fail!("embedding: label {label} has no name; there are {classes} classes (0 to {last})");
        }
        ensure!(
            colours == 0 || colours >= classes,
            "embedding: {colours} colours for {classes} classes"
        );
        figure.panel(0, i, &data.title, &data.axes[0], &data.axes[1], None)?;
        figure.here().bare = true;
        for (class, name) in data.class_names.iter().enumerate() {
            let of_class = data.points.iter().zip(&data.labels).filter(|(_, l)| **l == class);
            let (x, y): (Vec<f64>, Vec<f64>) = of_class.map(|(p, _)| (p[0], p[1])).unzip();
            if x.is_empty() {
                continue;
            }
            let look = Look {
                color: data.palette.get(class).copied().map(Ink::Rgb),
                ..Look::named(name)
            };
            figure.scatter(&x, &y, look)?;
        }
    }
    Ok(figure)
}
