//! The options of figures and of what is drawn into them.

use super::palette::{ColourMap, Dash, Marker, Palette};
use crate::error::{Result, choose};
use crate::{ensure, fail};

/// Size, letter size and resolution for the place where a figure will stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Preset {
    /// One column of a paper: 3.5 x 2.6 in, 8 pt, 300 dpi.
    #[default]
    Paper,
    /// IEEE column: 3.3 x 2.5 in, 8 pt serif, 600 dpi.
    Ieee,
    /// Nature column: 3.3 x 2.5 in, 7 pt, 600 dpi.
    Nature,
    /// A slide: 8 x 4.5 in, 16 pt, 160 dpi.
    Slides,
}

impl Preset {
    /// Parse `paper`, `ieee`, `nature` or `slides`.
    pub fn parse(name: &str) -> Result<Self> {
        let all = [
            ("paper", Preset::Paper),
            ("ieee", Preset::Ieee),
            ("nature", Preset::Nature),
            ("slides", Preset::Slides),
        ];
        choose("preset", name, &all)
    }

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

/// Which axes are logarithmic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Log {
    /// Neither.
    #[default]
    None,
    /// The horizontal one.
    X,
    /// The vertical one.
    Y,
    /// Both.
    Both,
}

impl Log {
    /// Parse `none`, `x`, `y` or `xy`.
    pub fn parse(name: &str) -> Result<Self> {
        choose(
            "log",
            name,
            &[("none", Log::None), ("x", Log::X), ("y", Log::Y), ("xy", Log::Both)],
        )
    }
}

/// Options of a figure; the labels are those of every panel that does not get its own.
#[derive(Clone, Debug, Default)]
pub struct FigureOptions {
    /// Size, letter size, resolution.
    pub preset: Preset,
    /// Width and height in inches; without it the preset's, larger for several panels, as high as pictures need.
    pub size: Option<[f64; 2]>,
    /// Above everything.
    pub title: String,
    /// Below the horizontal axis.
    pub x: String,
    /// Beside the vertical axis.
    pub y: String,
    /// Rows of panels (0 is 1).
    pub rows: usize,
    /// Columns of panels (0 is 1).
    pub columns: usize,
    /// Logarithmic axes.
    pub log: Log,
    /// All panels have the same x limits; numbers stand below the last row only.
    pub share_x: bool,
    /// All panels have the same y limits; numbers stand beside the first column only.
    pub share_y: bool,
    /// Relative widths of the columns; empty: all the same.
    pub widths: Vec<f64>,
    /// Relative heights of the rows; empty: all the same.
    pub heights: Vec<f64>,
    /// `sans`, `serif` or the name of an installed family; empty: the preset's.
    pub font: String,
    /// Letter size in points; without it the preset's.
    pub font_size: Option<f64>,
    /// Colours of the series.
    pub palette: Palette,
    /// Light on a dark ground.
    pub dark: bool,
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

/// Where a legend stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LegendPlace {
    /// Where it covers no data, else below.
    #[default]
    Best,
    /// Below the panel, or below the figure for all panels.
    Below,
    /// In this corner: right, lower.
    Corner(bool, bool),
    /// Nowhere.
    Nowhere,
}

impl LegendPlace {
    /// Parse `best`, `below`, `none`, `top left` and the other corners.
    pub fn parse(name: &str) -> Result<Self> {
        let all = [
            ("best", LegendPlace::Best),
            ("below", LegendPlace::Below),
            ("top left", LegendPlace::Corner(false, false)),
            ("top right", LegendPlace::Corner(true, false)),
            ("bottom left", LegendPlace::Corner(false, true)),
            ("bottom right", LegendPlace::Corner(true, true)),
            ("none", LegendPlace::Nowhere),
        ];
        choose("place", name, &all)
    }
}
