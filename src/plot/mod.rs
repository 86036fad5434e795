//! Figures: plain data in, figure file out.
//!
//! A [`Figure`] is filled layer by layer and saved as PNG, SVG or PDF with its data as CSV beside it; [`kinds`] holds
//! the figures that are made in one call. Nothing here knows tensors, models or data sets.
//!
//! How a figure becomes a file: `layout` measures all texts in the embedded font (DejaVu Sans) until axes and margins
//! fit one another, `cartesian`/`series` and `matrix` draw their panels, `svg` writes the one document from which
//! `export` makes every format, so that all formats look the same.
//!
//! | to add | write |
//! |---|---|
//! | a figure of one call | a file in `kinds/` that fills a [`Figure`] |
//! | a kind of layer | a variant of `Layer` in `figure`; the exhaustive matches ask for the rest |
//! | a marker, dash, colour map | a variant in `palette` |

mod axis;
mod cartesian;
mod categories;
mod csv;
mod export;
mod figure;
pub mod kinds;
mod layout;
mod legend;
mod matrix;
mod palette;
mod picture;
mod png;
mod series;
mod style;
mod svg;
mod terminal;
mod text;

pub use figure::{BarOptions, Figure, FigureOptions, HeatmapOptions, LineOptions, Log, Preset, Spread};
pub use palette::{ColourMap, Dash, Marker};
pub use picture::{IGNORED, Picture};
