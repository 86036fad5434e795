//! Lengths and colours of a figure's parts; the lengths follow from the letter size.

use super::options::{FigureOptions, Look};
use super::palette::Colour;

/// Lengths in points.
#[derive(Clone, Debug)]
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
    /// Text and axes.
    pub(super) ink: Colour,
    /// Behind everything.
    pub(super) ground: Colour,
    /// Grid lines.
    pub(super) grid: Colour,
    /// Outlines of patches and pictures.
    pub(super) edge: Colour,
    /// One colour per series.
    series: Vec<Colour>,
}

impl Style {
    pub(super) fn of(options: &FigureOptions) -> Style {
        let size = options.font_size.unwrap_or(options.preset.measures().1);
        let unit = size / 8.0;
        let [ink, ground, grid] = match options.dark {
            true => [[0xE6; 3], [0x16, 0x18, 0x1D], [0x35, 0x38, 0x40]],
            false => [[0x1A; 3], [0xFF; 3], [0xE6; 3]],
        };
        Style {
            size,
            small: size * 0.875,
            line: 1.2 * unit,
            axis: 0.6 * unit,
            thin: 0.4 * unit,
            marker: 2.2 * unit,
            tick: 2.4 * unit,
            gap: 3.0 * unit,
            band: if options.dark { 0.3 } else { 0.2 },
            ink,
            ground,
            grid,
            edge: [0x80; 3],
            series: options.palette.colours(),
        }
    }

    /// The colour that a look asks for.
    pub(super) fn ink_of(&self, look: &Look) -> Option<Colour> {
        look.color.map(|ink| ink.of(&self.series))
    }

    /// Colour of the n-th series.
    pub(super) fn series(&self, n: usize) -> Colour {
        self.series[n % self.series.len()]
    }
}
