//! The figure: panels in a grid, filled layer by layer, checked when each layer is added.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::axis::Scale;
use super::legend::Entry;
use super::palette::{ColourMap, Dash, Marker};
use super::picture::Picture;
use crate::error::{Error, Result, choose};
use crate::{ensure, fail};

/// Size, letter size and resolution for the place where a figure will stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Preset {
    /// One column of a paper: 3.5 x 2.6 in, 8 pt, 300 dpi.
    #[default]
    Paper,
    /// IEEE column: 3.3 x 2.5 in, 8 pt, 600 dpi.
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
    /// Above everything; `^{}` and `_{}` raise and lower here and in every other text.
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
    fn check(&self, what: &str, values: &[f64], holds: bool) -> Result<()> {
        let (lists, n) = match self {
            Spread::Around(s) => (vec![s], values.len()),
            Spread::Between(low, high) => (vec![low, high], values.len()),
        };
        for list in &lists {
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

/// Options of a line or of scattered points.
#[derive(Clone, Debug, Default)]
pub struct LineOptions {
    /// Name in the legend.
    pub label: String,
    /// A shaded band.
    pub band: Option<Spread>,
    /// Error bars.
    pub error: Option<Spread>,
    /// Dashes; by default each line of a panel has its own.
    pub dash: Option<Dash>,
    /// Marker; by default each line of a panel has its own, shown where there are few points.
    pub marker: Option<Marker>,
    /// Colour; by default the next of the palette.
    pub colour: Option<[u8; 3]>,
    /// Drawn pale and without a turn in the palette: raw values behind a smoothed line of the same colour.
    pub faint: bool,
}

/// Options of a group of bars.
#[derive(Clone, Debug, Default)]
pub struct BarOptions {
    /// Name in the legend.
    pub label: String,
    /// Error bars.
    pub error: Option<Spread>,
    /// Colour; by default the next of the palette.
    pub colour: Option<[u8; 3]>,
}

/// Options of a heat map.
#[derive(Clone, Debug)]
pub struct HeatmapOptions {
    /// Names of the rows, top to bottom.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Write the numbers into the cells (left out where they do not fit).
    pub numbers: bool,
    /// Texts for the cells in place of the numbers, row by row.
    pub texts: Option<Vec<String>>,
    /// Colours.
    pub colours: ColourMap,
    /// Values of the first and last colour; by default the smallest and largest value (symmetric for `Diverging`).
    pub range: Option<[f64; 2]>,
    /// Beside the colour bar.
    pub label: String,
    /// Square cells.
    pub square: bool,
}

impl Default for HeatmapOptions {
    fn default() -> Self {
        HeatmapOptions {
            rows: Vec::new(),
            columns: Vec::new(),
            numbers: true,
            texts: None,
            colours: ColourMap::Viridis,
            range: None,
            label: String::new(),
            square: false,
        }
    }
}

/// One layer of a panel, checked.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    Line {
        x: Vec<f64>,
        y: Vec<f64>,
        joined: bool,
        turn: usize,
        options: LineOptions,
    },
    Bars {
        labels: Vec<String>,
        values: Vec<f64>,
        turn: usize,
        options: BarOptions,
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
    },
}

/// One cell of the grid.
#[derive(Clone, Debug, Default)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) log: Log,
    pub(super) log2: bool,
    pub(super) ticks: Option<Vec<(f64, String)>>,
    /// Axes without numbers: the values have no meaning by themselves.
    pub(super) bare: bool,
    pub(super) layers: Vec<Layer>,
}

impl Panel {
    pub(super) fn scales(&self) -> [Scale; 2] {
        let scale = |on| if on { Scale::Log10 } else { Scale::Linear };
        let x = if self.log2 {
            Scale::Log2
        } else {
            scale(matches!(self.log, Log::X | Log::Both))
        };
        [x, scale(matches!(self.log, Log::Y | Log::Both))]
    }

    fn turns(&self) -> usize {
        let counts = |l: &&Layer| match l {
            Layer::Line { options, .. } => !options.faint,
            _ => true,
        };
        self.layers.iter().filter(counts).count()
    }
}

/// A figure under construction: add layers, then save.
#[derive(Clone, Debug)]
pub struct Figure {
    pub(super) options: FigureOptions,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) panels: Vec<Panel>,
    pub(super) current: usize,
    /// A legend of the whole figure, below the panels.
    pub(super) legend: Vec<Entry>,
    /// Relative heights of the rows of panels.
    pub(super) heights: Vec<f64>,
    /// The panels of a column have one x axis, labelled below the last.
    pub(super) shared_x: bool,
    /// Width in inches where the options give no size.
    pub(super) width: Option<f64>,
    /// Facts kept in the file: run ids, the hash of the script.
    pub metadata: Vec<(String, String)>,
    /// What the reader of the figure should know about it: values that were left out.
    pub warnings: Vec<String>,
    /// Drawing ends with [`crate::error::Error::Interrupted`] once this is set.
    pub cancel: Arc<AtomicBool>,
    /// Characters of the last drawing that the font does not have.
    pub(super) missing: RefCell<Vec<char>>,
}

/// `line "ours"`: the function and the series an error is about.
fn series(what: &str, label: &str) -> String {
    match label {
        "" => what.to_string(),
        _ => format!("{what} \"{label}\""),
    }
}

impl Figure {
    /// An empty figure; fails for a size that is not between 0.5 and 50 inches.
    pub fn new(options: FigureOptions) -> Result<Self> {
        if let Some([w, h]) = options.size {
            ensure!(
                (0.5..=50.0).contains(&w) && (0.5..=50.0).contains(&h),
                "figure: size [{w}, {h}] is not between 0.5 and 50 inches"
            );
        }
        let (rows, columns) = (options.rows.max(1), options.columns.max(1));
        ensure!(
            rows * columns <= 400,
            "figure: {rows} rows x {columns} columns are more than 400 panels"
        );
        let panel = Panel {
            x: options.x.clone(),
            y: options.y.clone(),
            log: options.log,
            ..Panel::default()
        };
        let mut panels = vec![panel; rows * columns];
        if panels.len() == 1 {
            panels[0].title = options.title.clone();
        }
        let heights = vec![1.0; rows];
        Ok(Figure {
            options,
            rows,
            columns,
            panels,
            current: 0,
            legend: Vec::new(),
            heights,
            shared_x: false,
            width: None,
            metadata: Vec::new(),
            warnings: Vec::new(),
            cancel: Arc::default(),
            missing: RefCell::default(),
        })
    }

    /// What the reader should know: values left out and, once the figure is drawn, characters that its font lacks.
    pub fn warnings(&self) -> Vec<String> {
        let mut out = self.warnings.clone();
        let missing = self.missing.borrow();
        if !missing.is_empty() {
            let list: Vec<String> = missing.iter().map(|c| format!("{c} (U+{:04X})", *c as u32)).collect();
            out.push(format!(
                "figure: the font has no letter for {}; boxes stand there",
                list.join(", ")
            ));
        }
        out
    }

    /// [`crate::error::Error::Interrupted`] once the drawing is to end.
    pub(super) fn check_cancel(&self) -> Result<()> {
        match self.cancel.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    /// Go to the panel in this row and column (from 0); the next layers are drawn there. Texts that are not empty
    /// replace those of the figure.
    pub fn panel(
        &mut self,
        row: usize,
        column: usize,
        title: &str,
        x: &str,
        y: &str,
        log: Option<Log>,
    ) -> Result<&mut Self> {
        ensure!(
            row < self.rows && column < self.columns,
            "panel: row {row}, column {column} is outside of {} x {} panels (counted from 0)",
            self.rows,
            self.columns
        );
        self.current = row * self.columns + column;
        let panel = &mut self.panels[self.current];
        for (text, place) in [(title, &mut panel.title), (x, &mut panel.x), (y, &mut panel.y)] {
            if !text.is_empty() {
                *place = text.to_string();
            }
        }
        panel.log = log.unwrap_or(panel.log);
        Ok(self)
    }

    /// A line through the points (`x[i]`, `y[i]`); it is interrupted where a value is NaN or infinite.
    pub fn line(&mut self, x: &[f64], y: &[f64], options: LineOptions) -> Result<&mut Self> {
        self.points("line", x, y, true, options)
    }

    /// Points without a line.
    pub fn scatter(&mut self, x: &[f64], y: &[f64], options: LineOptions) -> Result<&mut Self> {
        self.points("scatter", x, y, false, options)
    }

    fn points(&mut self, what: &str, x: &[f64], y: &[f64], joined: bool, options: LineOptions) -> Result<&mut Self> {
        ensure!(
            x.len() == y.len(),
            "{what}: x has {} values, y has {}; they must be as long",
            x.len(),
            y.len()
        );
        ensure!(
            x.iter().zip(y).any(|(x, y)| x.is_finite() && y.is_finite()),
            "{what}: there is nothing to draw, {}",
            if x.is_empty() {
                "x and y are empty"
            } else {
                "no point has a finite x and y"
            }
        );
        for (name, spread) in [("band", &options.band), ("error", &options.error)] {
            if let Some(spread) = spread {
                spread.check(&format!("{}: {name}", series(what, &options.label)), y, name == "error")?;
            }
        }
        let turn = self.add(what, |l| matches!(l, Layer::Line { .. }))?.turns();
        self.panels[self.current].layers.push(Layer::Line {
            x: x.to_vec(),
            y: y.to_vec(),
            joined,
            turn,
            options,
        });
        Ok(self)
    }

    /// Bars over named categories; bars of a second call stand beside those of the first.
    pub fn bars(&mut self, labels: &[String], values: &[f64], options: BarOptions) -> Result<&mut Self> {
        ensure!(
            labels.len() == values.len(),
            "bars: there are {} labels and {} values; they must be as many",
            labels.len(),
            values.len()
        );
        ensure!(
            values.iter().any(|v| v.is_finite()),
            "bars: there is nothing to draw, no value is finite"
        );
        if let Some(spread) = &options.error {
            spread.check(&format!("{}: error", series("bars", &options.label)), values, true)?;
        }
        let panel = self.add("bars", |l| matches!(l, Layer::Bars { .. }))?;
        if let Some(Layer::Bars { labels: first, .. }) = panel.layers.first() {
            ensure!(
                first == labels,
                "bars: the categories {labels:?} differ from those of the first call, {first:?}"
            );
        }
        let turn = panel.turns();
        panel.layers.push(Layer::Bars {
            labels: labels.to_vec(),
            values: values.to_vec(),
            turn,
            options,
        });
        Ok(self)
    }

    /// A matrix in colours, `values` row by row from the top.
    pub fn heatmap(
        &mut self,
        values: &[f64],
        rows: usize,
        columns: usize,
        options: HeatmapOptions,
    ) -> Result<&mut Self> {
        ensure!(
            rows * columns == values.len(),
            "heatmap: {rows} rows x {columns} columns need {} values, found {}",
            rows * columns,
            values.len()
        );
        ensure!(
            values.iter().any(|v| v.is_finite()),
            "heatmap: there is nothing to draw, no value is finite"
        );
        for (what, names, n) in [("row", &options.rows, rows), ("column", &options.columns, columns)] {
            ensure!(
                names.is_empty() || names.len() == n,
                "heatmap: there are {} {what} names for {n} {what}s",
                names.len()
            );
        }
        if let Some(texts) = &options.texts {
            ensure!(
                texts.len() == values.len(),
                "heatmap: {} texts for {} cells",
                texts.len(),
                values.len()
            );
        }
        if let Some([low, high]) = options.range {
            ensure!(
                low < high,
                "heatmap: the range [{low}, {high}] is empty; the second number must be larger"
            );
        }
        self.alone("heatmap")?.layers.push(Layer::Heatmap {
            values: values.to_vec(),
            rows,
            columns,
            options,
        });
        Ok(self)
    }

    /// A picture; where the current panel has something already, it takes the next free one.
    pub fn image(&mut self, picture: Picture) -> Result<&mut Self> {
        self.alone("image")?
            .layers
            .push(Layer::Picture { picture, sharp: false });
        Ok(self)
    }

    /// A label image laid over a picture, half transparent, with outlines: `labels` row by row, one per pixel.
    pub fn masks(&mut self, picture: &Picture, labels: &[u8], palette: &[[u8; 3]]) -> Result<&mut Self> {
        let picture = picture.overlay(labels, palette, 0.5)?;
        self.alone("masks")?
            .layers
            .push(Layer::Picture { picture, sharp: false });
        Ok(self)
    }

    /// A label image in the colours of its classes.
    pub fn labels(&mut self, width: usize, height: usize, labels: &[u8], palette: &[[u8; 3]]) -> Result<&mut Self> {
        let picture = Picture::labels(width, height, labels, palette)?;
        self.alone("labels")?
            .layers
            .push(Layer::Picture { picture, sharp: true });
        Ok(self)
    }

    fn add(&mut self, what: &str, same: impl Fn(&Layer) -> bool) -> Result<&mut Panel> {
        let panel = &mut self.panels[self.current];
        if !panel.layers.iter().all(same) {
            fail!("{what}: this panel already shows something that cannot share its axes; use another panel");
        }
        Ok(panel)
    }

    fn alone(&mut self, what: &str) -> Result<&mut Panel> {
        if !self.panels[self.current].layers.is_empty() {
            let free = self.panels.iter().position(|p| p.layers.is_empty());
            let Some(free) = free else {
                fail!(
                    "{what}: all {} panels are taken; make the figure with more `rows` or `columns`",
                    self.panels.len()
                );
            };
            self.current = free;
        }
        Ok(&mut self.panels[self.current])
    }
}

impl std::fmt::Display for Figure {
    /// `Figure of 2 x 3 panels, 6 filled`, or what the only panel holds.
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        if let [panel] = self.panels.as_slice() {
            return write!(f, "Figure with {} layers", panel.layers.len());
        }
        let filled = self.panels.iter().filter(|p| !p.layers.is_empty()).count();
        write!(f, "Figure of {} x {} panels, {filled} filled", self.rows, self.columns)
    }
}
