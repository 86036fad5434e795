//! Lengths of a figure's parts, all following from the letter size.

use super::figure::Preset;
use super::palette::Colour;

/// Lengths in points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Letters of labels and titles.
    pub(super) size: f64,
    /// Letters of ticks, legends and cells.
    pub(super) small: f64,
    /// Data lines.
    pub(super) line: f64,
    /// Axes.
    pub(super) axis: f64,
    /// Grid lines and outlines.
    pub(super) thin: f64,
    /// Radius of markers.
    pub(super) marker: f64,
    /// Length of ticks.
    pub(super) tick: f64,
    /// The usual distance between two things.
    pub(super) gap: f64,
    /// Opacity of bands.
    pub(super) band: f64,
    /// Outlines of patches and pictures.
    pub(super) edge: Colour,
}

impl Style {
    pub(super) fn of(preset: Preset) -> Style {
        let size = preset.font_size();
        let unit = size / 8.0;
        Style {
            size,
            small: size * 0.875,
            line: 1.2 * unit,
            axis: 0.6 * unit,
            thin: 0.4 * unit,
            marker: 2.2 * unit,
            tick: 2.6 * unit,
            gap: 3.0 * unit,
            band: 0.2,
            edge: [0x80; 3],
        }
    }
}
