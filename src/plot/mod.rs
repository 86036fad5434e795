//! Figures: plain data in, figure file out.
//!
//! A [`Figure`] is filled layer by layer and saved as PNG, SVG or PDF with its data as CSV beside it; [`kinds`] holds
//! the figures that are made in one call. Nothing here knows tensors, models or data sets.
//!
//! How a figure becomes a file: `layout` measures all texts in the fonts of the figure until axes and margins fit one
//! another; panels with axes (`chart`, `series`, `bars`, `notes`) are drawn by plotters through `backend`, heat maps (`matrix`) and
//! pictures (`photos`) directly; `svg` writes the one document from which `export` makes every format, so that all formats
//! look the same.
//!
//! | to add | write |
//! |---|---|
//! | a figure of one call | a file in `kinds/` that fills a [`Figure`] |
//! | a kind of layer | a variant of `Layer` in `layers`, its checks in `adding`; the exhaustive matches ask for the rest |
//! | a marker, dash, colour map | a variant in `palette` |
//! | a TeX command | a pair in `symbols`; one with arguments a line in `command` of `tex` |

mod adding;
mod area;
mod axis;
mod backend;
mod bars;
mod categories;
mod chart;
mod clip;
mod colourbar;
mod csv;
mod export;
mod figure;
mod font;
mod identity;
pub mod kinds;
mod layers;
mod layout;
mod legend;
mod matrix;
mod notes;
mod options;
mod palette;
mod photos;
mod picture;
mod placing;
mod png;
mod ranges;
mod raster;
mod series;
mod stats;
mod style;
mod svg;
mod symbols;
mod terminal;
mod tex;
mod text;
mod ticks;

pub use export::SaveOptions;
pub use figure::Figure;
pub use layers::{Bins, GroupKind, Joint, Note};
pub use options::{BarOptions, FigureOptions, HeatmapOptions, LegendPlace, LineOptions, Log, Look, Preset, Spread};
pub use palette::{ColourMap, Dash, Ink, Marker, Palette};
pub use picture::{IGNORED, Picture};
pub use svg::TextBox;
