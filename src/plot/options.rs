//! The options of figures and of what is drawn into them.

use super::palette::{ColourMap, Dash, Marker, Palette};
use crate::error::Result;
use crate::{choices, ensure, fail, options};

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
    /// Width and height in inches.
    pub fn size(self) -> [f64; 2] {
        match self {
            Preset::Paper => [3.5, 2.6],
            Preset::Ieee | Preset::Nature => [3.3, 2.5],
            Preset::Slides => [8.0, 4.5],
        }
    }

    /// Letter size in points.
    pub fn font_size(self) -> f64 {
        match self {
            Preset::Paper | Preset::Ieee => 8.0,
            Preset::Nature => 7.0,
            Preset::Slides => 16.0,
        }
    }

    /// Dots per inch of a PNG unless the caller wants another number.
    pub fn dpi(self) -> f64 {
        match self {
            Preset::Paper => 300.0,
            Preset::Ieee | Preset::Nature => 600.0,
            Preset::Slides => 160.0,
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
        if let Some([w, h]) = self.size {
            ensure!(
                (0.5..=50.0).contains(&w) && (0.5..=50.0).contains(&h),
                "figure: size [{w}, {h}] is not between 0.5 and 50 inches"
            );
        }
        let (rows, columns) = (self.rows.max(1), self.columns.max(1));
        ensure!(
            rows.saturating_mul(columns) <= 400,
            "figure: {rows} rows x {columns} columns are more than 400 panels"
        );
        for (name, list, n, what) in [
            ("widths", &self.widths, columns, "columns"),
            ("heights", &self.heights, rows, "rows"),
        ] {
            ensure!(
                list.is_empty() || list.len() == n,
                "figure: {name} has {} numbers for {n} {what}",
                list.len()
            );
            ensure!(
                list.iter().all(|v| (0.05..=20.0).contains(v)),
                "figure: {name} {list:?} are not all between 0.05 and 20"
            );
        }
        let points = self.font_size.unwrap_or(8.0);
        ensure!(
            (2.0..=200.0).contains(&points),
            "figure: font_size {points} is not between 2 and 200 points"
        );
        self.palette.check()
    }
}

/// A half width around each value, or lower and upper ends.
#[derive(Clone, Debug, PartialEq)]
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

    /// As many as there are values, finite or NaN (nothing is drawn there), none negative or upside down; error bars
    /// (`holds`) include their value.
    pub(super) fn check(&self, what: &str, values: &[f64], holds: bool) -> Result<()> {
        let lists = match self {
            Spread::Around(s) => vec![s],
            Spread::Between(low, high) => vec![low, high],
        };
        for list in &lists {
            let n = values.len();
            ensure!(
                list.len() == n,
                "{what} has {} values but there are {n} points",
                list.len()
            );
            if let Some(i) = list.iter().position(|v| v.is_infinite()) {
                fail!(
                    "{what} is {} at point {i}; expected a finite number, or () to draw none there",
                    list[i]
                );
            }
        }
        for (i, value) in values.iter().enumerate() {
            let [low, high] = self.ends(i, *value);
            match self {
                Spread::Around(s) => ensure!(
                    s[i] >= 0.0 || s[i].is_nan(),
                    "{what} is {} at point {i}; half widths cannot be negative",
                    s[i]
                ),
                Spread::Between(..) => {
                    ensure!(
                        low <= high || low.is_nan() || high.is_nan(),
                        "{what} reaches from {low} to {high} at point {i}; expected [low, high] with the lower ends first"
                    );
                    ensure!(
                        !(holds && (*value < low || *value > high)),
                        "{what} reaches from {low} to {high} at point {i}, whose value is {value}; [low, high] are the ends, \
                         not their distances from the value"
                    );
                }
            }
        }
        Ok(())
    }
}

/// How a series looks; what is not given follows from its label or place.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Name in the legend; one label is one colour, dash and marker in the whole figure.
    pub label: String,
    /// Colour.
    pub colour: Option<[u8; 3]>,
    /// Width of lines in points.
    pub width: Option<f64>,
    /// Opacity, 0 to 1.
    pub alpha: Option<f64>,
    /// Diameter of markers in points.
    pub size: Option<f64>,
    /// Dashes.
    pub dash: Option<Dash>,
    /// Marker.
    pub marker: Option<Marker>,
    /// Pale, and not counted among the series: raw values behind a smoothed line of the same colour.
    pub faint: bool,
}

impl Look {
    pub(super) fn check(&self, what: &str) -> Result<()> {
        for (name, value, most) in [
            ("width", self.width, 100.0),
            ("alpha", self.alpha, 1.0),
            ("size", self.size, 500.0),
        ] {
            let value = value.unwrap_or(most);
            ensure!(
                (0.0..=most).contains(&value),
                "{what}: {name} {value} is not between 0 and {most}"
            );
        }
        Ok(())
    }
}

/// Options of a line, a step or scattered points.
#[derive(Clone, Debug, Default)]
pub struct LineOptions {
    /// Colour, width and so on.
    pub look: Look,
    /// A shaded band.
    pub band: Option<Spread>,
    /// Error bars.
    pub error: Option<Spread>,
    /// A number for each point, shown as its colour.
    pub values: Option<Vec<f64>>,
    /// A number for each point, shown as its area.
    pub sizes: Option<Vec<f64>>,
    /// Colours of `values`.
    pub colours: ColourMap,
    /// The values of the first and last colour.
    pub range: Option<[f64; 2]>,
    /// Beside the colour bar of `values`.
    pub bar: String,
}

/// Options of a group of bars.
#[derive(Clone, Debug, Default)]
pub struct BarOptions {
    /// Colour, width and so on.
    pub look: Look,
    /// Error bars.
    pub error: Option<Spread>,
    /// The bars lie.
    pub horizontal: bool,
    /// On top of those of the calls before.
    pub stacked: bool,
    /// The values stand at the bars.
    pub values: bool,
}

/// Options of a heat map.
#[derive(Clone, Debug, Default)]
pub struct HeatmapOptions {
    /// Names of the rows, top to bottom.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Write the numbers into the cells; by default where they can be read well.
    pub numbers: Option<bool>,
    /// Texts for the cells in place of the numbers, row by row; of several sets the first that can be read well.
    pub texts: Vec<Vec<String>>,
    /// Colours.
    pub colours: ColourMap,
    /// Values of the first and last colour; by default the smallest and largest value (symmetric for `Diverging`).
    pub range: Option<[f64; 2]>,
    /// Beside the colour bar.
    pub label: String,
    /// Square cells.
    pub square: bool,
}

pub(super) fn check_range(what: &str, range: Option<[f64; 2]>) -> Result<()> {
    let Some([low, high]) = range else { return Ok(()) };
    ensure!(
        low < high && low.is_finite() && high.is_finite(),
        "{what}: the range [{low}, {high}] is empty; expected two finite numbers, the second larger"
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
