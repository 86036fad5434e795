//! What a panel holds.

use super::figure::Panel;
use super::options::{BarOptions, HeatmapOptions, LineOptions, Look};
use super::picture::Picture;
use crate::choices;

choices! {
    /// What joins the points of a curve, by the function that draws it.
    pub enum Joint {
        /// A line; it is interrupted where a value is NaN or infinite.
        Line = "line",
        /// Nothing: scattered points.
        Nothing = "scatter",
        /// A line that keeps each value until the next x.
        Step = "step",
        /// The band is filled, its upper end drawn as a line.
        Area = "area",
    }
}

choices! {
    /// How the samples of a group are shown.
    pub enum GroupKind {
        /// Quartiles, whiskers, outliers.
        Box = "box",
        /// The density to both sides.
        Violin = "violin",
    }
}

/// The bins of a histogram.
#[derive(Clone, Debug)]
pub enum Bins {
    /// So many of the same width.
    Count(usize),
    /// Between these edges.
    Edges(Vec<f64>),
}

/// What is written over the data.
#[derive(Clone, Debug)]
pub enum Note {
    /// A text at a place of the panel, with an arrow to another.
    Text {
        /// Its middle.
        at: [f64; 2],
        /// What it says.
        text: String,
        /// Where the arrow ends.
        to: Option<[f64; 2]>,
    },
    /// A horizontal line over the whole width.
    HLine(f64),
    /// A vertical line over the whole height.
    VLine(f64),
    /// A shaded span of x, of y or of both.
    Span {
        /// From and to.
        x: Option<[f64; 2]>,
        /// From and to.
        y: Option<[f64; 2]>,
    },
}

/// One layer of a panel, checked.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    Curve {
        x: Vec<f64>,
        y: Vec<f64>,
        joint: Joint,
        options: LineOptions,
    },
    Bars {
        names: Vec<String>,
        values: Vec<f64>,
        options: BarOptions,
    },
    Bins {
        edges: Vec<f64>,
        heights: Vec<f64>,
        look: Look,
    },
    Groups {
        names: Vec<String>,
        samples: Vec<Vec<f64>>,
        kind: GroupKind,
        horizontal: bool,
        look: Look,
    },
    Note {
        note: Note,
        look: Look,
    },
    Heatmap {
        values: Vec<f64>,
        rows: usize,
        columns: usize,
        options: HeatmapOptions,
    },
    Picture {
        picture: Picture,
        sharp: bool,
        points: Vec<([f64; 2], Look)>,
    },
}

impl Layer {
    pub(super) fn look(&self) -> Option<&Look> {
        match self {
            Layer::Curve { options, .. } => Some(&options.look),
            Layer::Bars { options, .. } => Some(&options.look),
            Layer::Bins { look, .. } | Layer::Groups { look, .. } | Layer::Note { look, .. } => Some(look),
            Layer::Heatmap { .. } | Layer::Picture { .. } => None,
        }
    }

    /// The function that draws it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Layer::Curve { joint, .. } => joint.name(),
            Layer::Bars { .. } => "bars",
            Layer::Bins { .. } => "histogram",
            Layer::Groups { kind, .. } => kind.name(),
            Layer::Note { note, .. } => match note {
                Note::Text { .. } => "text",
                Note::HLine(_) => "hline",
                Note::VLine(_) => "vline",
                Note::Span { .. } => "span",
            },
            Layer::Heatmap { .. } => "heatmap",
            Layer::Picture { .. } => "image",
        }
    }

    /// The function and the series an error is about: `line "ours"`.
    pub(super) fn name(&self) -> String {
        let label = match self {
            Layer::Note {
                note: Note::Text { text, .. },
                ..
            } => text,
            layer => layer.look().map_or("", |look| &look.label),
        };
        series(self.kind(), label)
    }

    /// The categories of the layer, and whether its bars lie.
    pub(super) fn categories(&self) -> Option<(&[String], bool)> {
        match self {
            Layer::Bars { names, options, .. } => Some((names, options.horizontal)),
            Layer::Groups { names, horizontal, .. } => Some((names, *horizontal)),
            _ => None,
        }
    }
}

/// A function and the series it draws: `line "ours"`.
pub(super) fn series(kind: &str, label: &str) -> String {
    match label {
        "" => kind.to_string(),
        _ => format!("{kind} \"{label}\""),
    }
}

impl Panel {
    /// The categories of the panel's bars, boxes and violins, and whether they lie.
    pub(super) fn categories(&self) -> Option<(&[String], bool)> {
        self.layers.iter().find_map(|(l, _)| l.categories())
    }
}
