//! The figure: panels in a grid, filled layer by layer, checked when each layer is added.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::font::Font;
use super::layers::Layer;
use super::legend::Entry;
use super::options::{FigureOptions, LegendPlace, Log, Preset, check_range};
use super::svg::TextBox;
use crate::ensure;
use crate::error::{Error, Result};

/// Own ticks of an axis: place and name of each.
pub(super) type Ticks = Vec<(f64, String)>;

/// What is wanted of an axis.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    pub(super) label: String,
    pub(super) log: bool,
    pub(super) limits: Option<[f64; 2]>,
    pub(super) ticks: Option<Ticks>,
}

/// One cell of the grid.
#[derive(Clone, Debug, Default)]
pub(super) struct Panel {
    pub(super) title: String,
    /// What is wanted of x, y and the right axis.
    pub(super) sides: [Side; 3],
    pub(super) place: LegendPlace,
    /// A legend of classes in a corner of the panel's picture.
    pub(super) classes: Vec<Entry>,
    /// Axes without numbers: the values have no meaning by themselves.
    pub(super) bare: bool,
    /// What is drawn now belongs to the right axis.
    pub(super) to_right: bool,
    /// The layers, and whether each belongs to the right axis.
    pub(super) layers: Vec<(Layer, bool)>,
}

impl Panel {
    fn set_log(&mut self, log: Log) {
        self.sides[0].log = matches!(log, Log::X | Log::Both);
        self.sides[1].log = matches!(log, Log::Y | Log::Both);
    }
}

/// A figure under construction: add layers, then save.
#[derive(Clone, Debug)]
pub struct Figure {
    pub(super) options: FigureOptions,
    pub(super) panels: Vec<Panel>,
    pub(super) current: usize,
    /// A legend of the whole figure, below the panels.
    pub(super) legend: Vec<Entry>,
    /// Width in inches where the options give no size.
    pub(super) width: Option<f64>,
    /// Facts kept in the file: run ids, the hash of the script.
    pub metadata: Vec<(String, String)>,
    /// What the reader of the figure should know about it: values that were left out.
    pub warnings: Vec<String>,
    /// Drawing ends with [`Error::Interrupted`] once this is set.
    pub cancel: Arc<AtomicBool>,
    /// What the last drawing found out.
    pub(super) found: RefCell<Found>,
}

/// What a drawing found out.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) warnings: Vec<String>,
    pub(super) texts: Vec<TextBox>,
}

impl Figure {
    /// An empty figure; fails for a size that is not between 0.5 and 50 inches, an unknown font, unknown TeX.
    pub fn new(mut options: FigureOptions) -> Result<Self> {
        (options.rows, options.columns) = (options.rows.max(1), options.columns.max(1));
        options.check()?;
        if options.font.is_empty() {
            let serif = options.preset == Preset::Ieee;
            options.font = if serif { "serif" } else { "sans" }.into();
        }
        let font = Font::load(&options.font)?;
        for (option, text) in [("title", &options.title), ("x", &options.x), ("y", &options.y)] {
            font.check(&format!("figure: {option}"), text)?;
        }
        let mut panel = Panel::default();
        panel.set_log(options.log);
        for (side, label) in panel.sides.iter_mut().zip([&options.x, &options.y]) {
            side.label.clone_from(label);
        }
        let mut panels = vec![panel; options.rows * options.columns];
        if panels.len() == 1 {
            panels[0].title = options.title.clone();
        }
        Ok(Figure {
            options,
            panels,
            current: 0,
            legend: Vec::new(),
            width: None,
            metadata: Vec::new(),
            warnings: Vec::new(),
            cancel: Arc::default(),
            found: RefCell::default(),
        })
    }

    /// What the reader should know: values left out and, once the figure is drawn, what could not be shown.
    pub fn warnings(&self) -> Vec<String> {
        [self.warnings.as_slice(), &self.found.borrow().warnings].concat()
    }

    /// Where the texts of the last drawing stand.
    pub fn text_boxes(&self) -> Vec<TextBox> {
        self.found.borrow().texts.clone()
    }

    /// [`Error::Interrupted`] once the drawing is to end.
    pub(super) fn check_cancel(&self) -> Result<()> {
        match self.cancel.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    /// Fails where a text has TeX that is not understood; an option of `what` says it.
    pub(super) fn check_text(&self, what: &str, option: &str, text: &str) -> Result<()> {
        match text.contains(['$', '{']) {
            true => Font::load(&self.options.font)?.check(&format!("{what}: {option}"), text),
            false => Ok(()),
        }
    }

    pub(super) fn here(&mut self) -> &mut Panel {
        &mut self.panels[self.current]
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
        let (rows, columns) = (self.options.rows, self.options.columns);
        ensure!(
            row < rows && column < columns,
            "panel: row {row}, column {column} is outside of {rows} x {columns} panels (counted from 0)"
        );
        for (option, text) in [("title", title), ("x", x), ("y", y)] {
            self.check_text("panel", option, text)?;
        }
        self.current = row * columns + column;
        let panel = self.here();
        panel.to_right = false;
        let [along, upright, _] = &mut panel.sides;
        for (text, place) in [
            (title, &mut panel.title),
            (x, &mut along.label),
            (y, &mut upright.label),
        ] {
            if !text.is_empty() {
                *place = text.to_string();
            }
        }
        if let Some(log) = log {
            panel.set_log(log);
        }
        Ok(self)
    }

    /// What follows in this panel is drawn against a second axis on the right.
    pub fn right(&mut self, label: &str, log: bool) -> Result<&mut Self> {
        self.check_text("right", "y", label)?;
        let panel = self.here();
        panel.to_right = true;
        panel.sides[2].log = log;
        panel.sides[2].label = label.to_string();
        Ok(self)
    }

    /// What follows in this panel is drawn against the left axis again.
    pub fn left(&mut self) -> &mut Self {
        self.here().to_right = false;
        self
    }

    /// The ends of the panel's axes; after [`Figure::right`] y is that of the right axis.
    pub fn limits(&mut self, x: Option<[f64; 2]>, y: Option<[f64; 2]>) -> Result<&mut Self> {
        ensure!(
            x.is_some() || y.is_some(),
            "limits: expected `x` or `y`, as in #{{ y: [0, 1] }}"
        );
        for (name, limits) in [("x", x), ("y", y)] {
            let Some([low, _]) = limits else { continue };
            check_range("limits", name, limits)?;
            let side = self.side(name);
            ensure!(
                !side.log || low > 0.0,
                "limits: {name}: {low} cannot be shown on a logarithmic axis; give a number above 0"
            );
            side.limits = limits;
        }
        Ok(self)
    }

    /// Own ticks of the panel's axes, named by these or by their numbers.
    pub fn ticks(&mut self, axis: &str, at: &[f64], names: &[String]) -> Result<&mut Self> {
        ensure!(
            names.is_empty() || names.len() == at.len(),
            "ticks: there are {} names for {} ticks of {axis}",
            names.len(),
            at.len()
        );
        ensure!(
            at.iter().all(|v| v.is_finite()),
            "ticks: {axis}: {at:?} are not all finite numbers"
        );
        names.iter().try_for_each(|name| self.check_text("ticks", axis, name))?;
        let name = |(i, v): (usize, &f64)| (*v, names.get(i).cloned().unwrap_or_else(|| super::text::number(*v, 6)));
        self.side(axis).ticks = Some(at.iter().enumerate().map(name).collect());
        Ok(self)
    }

    /// The axis of this name: y is the one that is drawn against now.
    fn side(&mut self, name: &str) -> &mut Side {
        let panel = self.here();
        let right = usize::from(panel.to_right);
        &mut panel.sides[if name == "x" { 0 } else { 1 + right }]
    }

    /// Where the legend of the panel stands; with names and colours a legend of classes below the figure, or in a corner of the
    /// panel's picture.
    pub fn legend(&mut self, names: &[String], colours: &[[u8; 3]], place: LegendPlace) -> Result<&mut Self> {
        let (n, m) = (names.len(), colours.len());
        ensure!(
            n <= m,
            "legend: there are {n} names but {m} colours; `palette` needs one for each"
        );
        names
            .iter()
            .try_for_each(|name| self.check_text("legend", "names", name))?;
        let classes = names
            .iter()
            .zip(colours)
            .map(|(name, colour)| Entry::class(name, *colour));
        if place.corner().is_some() && !names.is_empty() {
            let panel = self.here();
            ensure!(
                matches!(panel.layers.first(), Some((Layer::Picture { .. }, _))),
                "legend: the panel has no image to stand on; leave out `place`, then the classes stand below the figure"
            );
            (panel.classes, panel.place) = (classes.collect(), place);
            return Ok(self);
        }
        self.legend.extend(classes);
        if names.is_empty() {
            self.here().place = place;
            if self.panels.len() > 1 && self.current == 0 {
                self.panels.iter_mut().for_each(|p| p.place = place);
            }
        }
        Ok(self)
    }
}

impl std::fmt::Display for Figure {
    /// `Figure of 2 x 3 panels, 6 filled`, or what the only panel holds.
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        if let [panel] = self.panels.as_slice() {
            return write!(f, "Figure with {} layers", panel.layers.len());
        }
        let filled = self.panels.iter().filter(|p| !p.layers.is_empty()).count();
        let (rows, columns) = (self.options.rows, self.options.columns);
        write!(f, "Figure of {rows} x {columns} panels, {filled} filled")
    }
}
