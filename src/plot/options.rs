//! The options of figures and of what is drawn into them.

use serde::{Deserialize, Serialize};

use super::palette::{ColourMap, Dash, Ink, Marker, Palette};
use crate::error::{Result, in_range};
use crate::{choices, ensure, options};

choices! {
    /// Size, letter size and resolution for the place where a figure will stand.
    pub enum Preset {
        /// One column of a paper: 3.5 x 2.6 in, 8 pt, 300 dpi.
        Paper = "paper",
        /// IEEE column: 3.3 x 2.5 in, 8 pt serif, 600 dpi.
        Ieee = "ieee",
        /// Nature column: 3.3 x 2.5 in, 7 pt, 600 dpi.
        Nature = "nature",
        /// A slide: 8 x 4.5 in, 16 pt, 160 dpi.
        Slides = "slides",
    }
}

impl Preset {
    /// Width and height in inches, letter size in points, dots per inch of a PNG.
    pub(super) fn measures(self) -> ([f64; 2], f64, f64) {
        match self {
            Preset::Paper => ([3.5, 2.6], 8.0, 300.0),
            Preset::Ieee => ([3.3, 2.5], 8.0, 600.0),
            Preset::Nature => ([3.3, 2.5], 7.0, 600.0),
            Preset::Slides => ([8.0, 4.5], 16.0, 160.0),
        }
    }
}

choices! {
    /// Which axes are logarithmic.
    pub enum Log {
        /// Neither.
        None = "none",
        /// The horizontal one.
        X = "x",
        /// The vertical one.
        Y = "y",
        /// Both.
        Both = "xy",
    }
}

options! {
    /// Options of a figure; the labels are those of every panel that does not get its own.
    #[derive(PartialEq)]
    pub struct FigureOptions {
        /// Above the figure.
        title: String = String::new(),
        /// Below the x axis.
        x: String = String::new(),
        /// Beside the y axis.
        y: String = String::new(),
        /// Rows of panels, see `.panel`.
        rows: usize = 1,
        /// Columns of panels.
        columns: usize = 1,
        /// Logarithmic axes.
        log: Log = Log::None,
        /// The same x limits for all panels, numbers below the last row only.
        share_x: bool = false,
        /// The same y limits for all panels, numbers beside the first column only.
        share_y: bool = false,
        /// Relative widths of the columns; all the same if empty.
        widths: Vec<f64> = Vec::new(),
        /// Relative heights of the rows; all the same if empty.
        heights: Vec<f64> = Vec::new(),
        /// `"paper"` (3.5 x 2.6 in, 8 pt), `"ieee"` (3.3 x 2.5 in, 8 pt serif, 600 dpi), `"nature"` (7 pt) or `"slides"` (8 x 4.5 in).
        preset: Preset = Preset::Paper,
        /// Width and height in inches; by default the preset's, more for several panels, as high as pictures need.
        size: Option<[f64; 2]> = None,
        /// `"sans"`, `"serif"` or the name of an installed family; by default the preset's.
        font: String = String::new(),
        /// Letter size in points; by default the preset's.
        font_size: Option<f64> = None,
        /// Colours of the series: a name or an array of colours.
        palette: Palette = Palette::Tol,
        /// Light on a dark ground.
        dark: bool = false,
    }
}

impl FigureOptions {
    pub(super) fn check(&self) -> Result<()> {
        for side in self.size.iter().flatten() {
            in_range("figure", "size (inches)", *side, 0.5..=50.0)?;
        }
        let (rows, columns) = (self.rows, self.columns);
        ensure!(
            rows.saturating_mul(columns) <= 400,
            "figure: {rows} rows x {columns} columns are more than 400 panels"
        );
        for (name, list, n, what) in [
            ("widths", &self.widths, columns, "columns"),
            ("heights", &self.heights, rows, "rows"),
        ] {
            let given = list.len();
            ensure!(
                given == 0 || given == n,
                "figure: {name} has {given} numbers for {n} {what}"
            );
            list.iter()
                .try_for_each(|v| in_range("figure", name, *v, 0.05..=20.0))?;
        }
        in_range(
            "figure",
            "font_size (points)",
            self.font_size.unwrap_or(8.0),
            2.0..=200.0,
        )?;
        let none = self.palette == Palette::Own(Vec::new());
        ensure!(!none, "figure: palette: there is no colour in it");
        Ok(())
    }
}

/// A half width around each value, or lower and upper ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Spread {
    /// `value - s` to `value + s`: standard deviations, confidence half widths.
    Around(Vec<f64>),
    /// Lower and upper ends.
    Between(Vec<f64>, Vec<f64>),
}

impl Spread {
    /// Lower and upper end at `i` for this value.
    pub(super) fn ends(&self, i: usize, value: f64) -> [f64; 2] {
        match self {
            Spread::Around(s) => [value - s[i], value + s[i]],
            Spread::Between(low, high) => [low[i], high[i]],
        }
    }
}

options! {
    /// How a series looks; what is not given follows from its label or place.
    pub struct Look {
        /// Name in the legend; one label is one colour, dash and marker in the whole figure.
        label: String = String::new(),
        /// A name, `"#4477AA"`, `"C0"` (the palette's first) or `[red, green, blue]`; by default the next of the palette.
        color: Option<Ink> = None,
        /// Width of lines in points.
        width: Option<f64> = None,
        /// Opacity, 0 to 1.
        alpha: Option<f64> = None,
        /// Diameter of markers, height of letters, in points.
        size: Option<f64> = None,
        /// By default each line has its own.
        dash: Option<Dash> = None,
        /// By default each series has its own, shown where there are few points.
        marker: Option<Marker> = None,
    }
    beside {
        /// Pale, and not counted among the series: raw values behind a smoothed line of the same colour.
        faint: bool = false,
    }
    flat
}

impl Look {
    /// The usual look of the series of this name.
    pub fn named(label: impl Into<String>) -> Look {
        Look {
            label: label.into(),
            ..Look::default()
        }
    }

    pub(super) fn check(&self, what: &str) -> Result<()> {
        for (name, value, most) in [
            ("width", self.width, 100.0),
            ("alpha", self.alpha, 1.0),
            ("size", self.size, 500.0),
        ] {
            in_range(what, name, value.unwrap_or(most), 0.0..=most)?;
        }
        Ok(())
    }
}

options! {
    /// Options of a line or of scattered points.
    pub struct LineOptions {
        /// The colours of small to large numbers.
        colors: ColourMap = ColourMap::Viridis,
        /// The values of the first and the last colour.
        range: Option<[f64; 2]> = None,
        /// Beside the colour bar.
        bar: String = String::new(),
        /// Colour, width and so on.
        look: Look = Look::default(),
    }
    beside {
        /// A shaded band.
        band: Option<Spread> = None,
        /// Error bars.
        error: Option<Spread> = None,
        /// A number for each point, shown as its colour.
        values: Option<Vec<f64>> = None,
        /// A number for each point, shown as its area.
        sizes: Option<Vec<f64>> = None,
    }
}

impl From<Look> for LineOptions {
    fn from(look: Look) -> Self {
        LineOptions {
            look,
            ..LineOptions::default()
        }
    }
}

options! {
    /// Options of a group of bars.
    pub struct BarOptions {
        /// Let the bars lie, the first on top.
        horizontal: bool = false,
        /// Put them on those of the calls before.
        stacked: bool = false,
        /// Write the values at the bars.
        values: bool = false,
        /// Colour, width and so on.
        look: Look = Look::default(),
    }
    beside {
        /// Error bars.
        error: Option<Spread> = None,
    }
}

options! {
    /// Options of a heat map.
    pub struct HeatmapOptions {
        /// Beside the rows, from the top.
        row_names: Vec<String> = Vec::new(),
        /// Below the columns.
        column_names: Vec<String> = Vec::new(),
        /// Write the numbers into the cells; by default where they can be read well.
        numbers: Option<bool> = None,
        /// The colours of small to large numbers; `"diverging"` is blue below zero, red above.
        colors: ColourMap = ColourMap::Viridis,
        /// The values of the first and the last colour; by default those of the data.
        range: Option<[f64; 2]> = None,
        /// Beside the colour bar.
        label: String = String::new(),
        /// Make the cells square.
        square: bool = false,
    }
    beside {
        /// Texts for the cells in place of the numbers, row by row; of several sets the first that can be read well.
        texts: Vec<Vec<String>> = Vec::new(),
    }
}

/// A range of an option: two finite numbers, the second larger.
pub(super) fn check_range(what: &str, option: &str, range: Option<[f64; 2]>) -> Result<()> {
    let Some([low, high]) = range else { return Ok(()) };
    ensure!(
        !(low > high && (low - high).is_finite()),
        "{what}: {option}: [{low}, {high}] is the wrong way round, expected [{high}, {low}]"
    );
    ensure!(
        low < high && low.is_finite() && high.is_finite(),
        "{what}: {option} [{low}, {high}] is empty; expected two finite numbers, the second larger"
    );
    Ok(())
}

choices! {
    /// Where a legend stands.
    pub enum LegendPlace {
        /// Where it covers no data, else below.
        Best = "best",
        /// Below the panel, or below the figure for all panels.
        Below = "below",
        /// In this corner.
        TopLeft = "top left",
        /// In this corner.
        TopRight = "top right",
        /// In this corner.
        BottomLeft = "bottom left",
        /// In this corner.
        BottomRight = "bottom right",
        /// Nowhere.
        Nowhere = "none",
    }
}

impl LegendPlace {
    /// Right or left, below or above, where it is a corner.
    pub(super) fn corner(self) -> Option<(bool, bool)> {
        match self {
            LegendPlace::TopLeft => Some((false, false)),
            LegendPlace::TopRight => Some((true, false)),
            LegendPlace::BottomLeft => Some((false, true)),
            LegendPlace::BottomRight => Some((true, true)),
            LegendPlace::Best | LegendPlace::Below | LegendPlace::Nowhere => None,
        }
    }
}
