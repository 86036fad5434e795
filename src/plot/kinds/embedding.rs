//! Pixel embeddings in the plane.

use super::check_names;
use crate::ensure;
use crate::error::Result;
use crate::plot::{Figure, FigureOptions, LineOptions, Preset};

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

/// A scatter of the classes that occur, each with its colour and marker; the axes have no numbers, since they mean nothing.
pub fn embedding(data: &EmbeddingData, preset: Preset) -> Result<Figure> {
    ensure!(
        data.points.len() == data.labels.len(),
        "embedding: there are {} points and {} labels; they must be as many",
        data.points.len(),
        data.labels.len()
    );
    check_names("embedding", &data.class_names)?;
    let classes = data.class_names.len();
    if let Some(label) = data.labels.iter().find(|l| **l >= classes) {
        crate::fail!(
            "embedding: label {label} has no name; there are {classes} classes (0 to {})",
            classes - 1
        );
    }
    ensure!(
        data.palette.is_empty() || data.palette.len() >= classes,
        "embedding: {} colours for {classes} classes",
        data.palette.len()
    );
    let [x, y] = data.axes.clone();
    let mut figure = Figure::new(FigureOptions {
        preset,
        title: data.title.clone(),
        x,
        y,
        ..FigureOptions::default()
    })?;
    figure.panels[0].bare = true;
    for (class, name) in data.class_names.iter().enumerate() {
        let of_class = data.points.iter().zip(&data.labels).filter(|(_, l)| **l == class);
        let (x, y): (Vec<f64>, Vec<f64>) = of_class.map(|(p, _)| (p[0], p[1])).unzip();
        if x.is_empty() {
            continue;
        }
        let colour = data.palette.get(class).copied();
        figure.scatter(
            &x,
            &y,
            LineOptions {
                label: name.clone(),
                colour,
                ..LineOptions::default()
            },
        )?;
    }
    Ok(figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_that_occurs_is_drawn() {
        let mut data = EmbeddingData {
            points: vec![[0.0, 0.0], [1.0, 1.0], [2.0, 0.5]],
            labels: vec![0, 2, 2],
            class_names: ["sky", "car", "tree"].map(String::from).to_vec(),
            palette: vec![],
            title: String::new(),
            axes: ["PC 1".into(), "PC 2".into()],
        };
        let svg = embedding(&data, Preset::Paper).unwrap().svg(None).unwrap();
        assert!(svg.contains(">sky<") && svg.contains(">tree<") && !svg.contains(">car<"));
        data.labels[0] = 3;
        assert!(
            embedding(&data, Preset::Paper)
                .unwrap_err()
                .to_string()
                .contains("label 3 has no name")
        );
    }
}
