//! What a panel holds, and adding to it: everything is checked here, so that drawing need not doubt it.

use super::figure::{Figure, Panel};
use super::options::{BarOptions, HeatmapOptions, LineOptions, Look, Spread, check_range};
use super::palette::{Colour, ColourMap, Marker};
use super::picture::Picture;
use super::stats;
use crate::error::Result;
use crate::{ensure, fail};

/// What joins the points of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Joint {
    Line,
    Nothing,
    Step,
    /// The band is filled, its upper end drawn as a line.
    Area,
}

/// How the samples of a group are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GroupKind {
    /// Quartiles, whiskers, outliers.
    Box,
    /// The density to both sides.
    Violin,
}

/// What is written over the data.
#[derive(Clone, Debug)]
pub(super) enum Note {
    Text {
        at: [f64; 2],
        text: String,
        to: Option<[f64; 2]>,
    },
    HLine(f64),
    VLine(f64),
    Span {
        x: Option<[f64; 2]>,
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

    /// The categories of the layer, and whether its bars lie.
    pub(super) fn categories(&self) -> Option<(&[String], bool)> {
        match self {
            Layer::Bars { names, options, .. } => Some((names, options.horizontal)),
            Layer::Groups { names, horizontal, .. } => Some((names, *horizontal)),
            _ => None,
        }
    }
}

/// `line "ours"`: the function and the series an error is about.
fn series(what: &str, label: &str) -> String {
    match label {
        "" => what.to_string(),
        _ => format!("{what} \"{label}\""),
    }
}

/// As many y as x, and at least one point to see.
fn check_points(what: &str, x: &[f64], y: &[f64]) -> Result<()> {
    ensure!(
        x.len() == y.len(),
        "{what}: x has {} values, y has {}; they must be as long",
        x.len(),
        y.len()
    );
    let nothing = if x.is_empty() {
        "x and y are empty"
    } else {
        "no point has a finite x and y"
    };
    ensure!(
        x.iter().zip(y).any(|(x, y)| x.is_finite() && y.is_finite()),
        "{what}: there is nothing to draw, {nothing}"
    );
    Ok(())
}

impl Figure {
    /// A line through the points (`x[i]`, `y[i]`); it is interrupted where a value is NaN or infinite.
    pub fn line(&mut self, x: &[f64], y: &[f64], options: LineOptions) -> Result<&mut Self> {
        self.curve("line", x, y, Joint::Line, options)
    }

    /// A line that keeps each value until the next x.
    pub fn step(&mut self, x: &[f64], y: &[f64], options: LineOptions) -> Result<&mut Self> {
        self.curve("step", x, y, Joint::Step, options)
    }

    /// Points without a line.
    pub fn scatter(&mut self, x: &[f64], y: &[f64], options: LineOptions) -> Result<&mut Self> {
        self.curve("scatter", x, y, Joint::Nothing, options)
    }

    /// The area between `base` (one number or as many as points) and `y`.
    pub fn area(&mut self, x: &[f64], y: &[f64], base: &[f64], look: Look) -> Result<&mut Self> {
        let base = match base {
            [one] => vec![*one; y.len()],
            many => many.to_vec(),
        };
        ensure!(
            base.len() == y.len() && base.iter().all(|v| !v.is_infinite()),
            "{}: base must be a finite number or {} of them",
            series("area", &look.label),
            y.len()
        );
        let band = Some(Spread::Between(base, y.to_vec()));
        self.curve(
            "area",
            x,
            y,
            Joint::Area,
            LineOptions {
                look,
                band,
                ..LineOptions::default()
            },
        )
    }

    fn curve(&mut self, what: &str, x: &[f64], y: &[f64], joint: Joint, options: LineOptions) -> Result<&mut Self> {
        let name = series(what, &options.look.label);
        check_points(&name, x, y)?;
        if let Some(band) = options.band.as_ref().filter(|_| joint != Joint::Area) {
            band.check(&format!("{name}: band"), y, false)?;
        }
        if let Some(error) = &options.error {
            error.check(&format!("{name}: error"), y, true)?;
        }
        for (option, list) in [("values", &options.values), ("sizes", &options.sizes)] {
            let Some(list) = list else { continue };
            ensure!(
                list.len() == x.len(),
                "{name}: {option} has {} numbers for {} points",
                list.len(),
                x.len()
            );
            ensure!(
                list.iter().any(|v| v.is_finite()),
                "{name}: {option}: no number is finite"
            );
            let negative = list
                .iter()
                .find(|v| option == "sizes" && (**v < 0.0 || v.is_infinite()));
            ensure!(
                negative.is_none(),
                "{name}: sizes holds {}; expected finite numbers from 0",
                negative.unwrap_or(&0.0)
            );
        }
        check_range(&name, options.range)?;
        options.look.check(&name)?;
        self.check_texts(&name, [&options.look.label, &options.bar])?;
        let (x, y) = (x.to_vec(), y.to_vec());
        self.add(what, Layer::Curve { x, y, joint, options })
    }

    /// Bars over named categories; bars of a second call stand beside those of the first, or on them.
    pub fn bars(&mut self, names: &[String], values: &[f64], options: BarOptions) -> Result<&mut Self> {
        let what = series("bars", &options.look.label);
        ensure!(
            names.len() == values.len(),
            "{what}: there are {} labels and {} values; they must be as many",
            names.len(),
            values.len()
        );
        ensure!(
            values.iter().any(|v| v.is_finite()),
            "{what}: there is nothing to draw, no value is finite"
        );
        if let Some(error) = &options.error {
            error.check(&format!("{what}: error"), values, true)?;
        }
        options.look.check(&what)?;
        self.check_texts(&what, names.iter().chain([&options.look.label]))?;
        self.add(
            "bars",
            Layer::Bars {
                names: names.to_vec(),
                values: values.to_vec(),
                options,
            },
        )
    }

    /// How often values fall between edges: into so many bins of the same width, or between these `edges`; `density` makes the
    /// area one.
    pub fn histogram(
        &mut self,
        values: &[f64],
        bins: Option<usize>,
        edges: &[f64],
        density: bool,
        look: Look,
    ) -> Result<&mut Self> {
        let what = series("histogram", &look.label);
        let values = self.samples(&what, values)?;
        let edges = match edges {
            [] => stats::edges(&values, bins),
            _ => edges.to_vec(),
        };
        ensure!(
            edges.len() > 1 && edges.len() <= 10_001 && edges.windows(2).all(|w| w[0] < w[1]),
            "{what}: bins: expected 1 to 10000 bins, or their edges in rising order"
        );
        look.check(&what)?;
        self.check_texts(&what, [&look.label])?;
        let heights = stats::counts(&values, &edges, density);
        self.add("histogram", Layer::Bins { edges, heights, look })
    }

    /// The density of values, smoothed with a Gaussian kernel (Scott's rule, or `bandwidth`); its area is one.
    pub fn density(&mut self, values: &[f64], bandwidth: Option<f64>, look: Look) -> Result<&mut Self> {
        let what = series("density", &look.label);
        let values = self.samples(&what, values)?;
        ensure!(
            bandwidth.is_none_or(|b| b > 0.0 && b.is_finite()),
            "{what}: bandwidth must be a number above 0"
        );
        let (x, y) = stats::density(&values, bandwidth);
        self.area(&x, &y, &[0.0], look)
    }

    /// A box or a violin for the samples of each named group; those of a second call stand beside those of the first.
    pub fn groups(
        &mut self,
        names: &[String],
        samples: &[Vec<f64>],
        kind: GroupKind,
        horizontal: bool,
        look: Look,
    ) -> Result<&mut Self> {
        let what = if kind == GroupKind::Box { "box" } else { "violin" };
        ensure!(!names.is_empty(), "{what}: there is no group to draw");
        ensure!(
            names.len() == samples.len(),
            "{what}: there are {} names and {} groups; they must be as many",
            names.len(),
            samples.len()
        );
        let clean = |(name, values): (&String, &Vec<f64>)| self.samples(&format!("{what}: group \"{name}\""), values);
        let samples = names.iter().zip(samples).map(clean).collect::<Result<_>>()?;
        look.check(what)?;
        self.check_texts(what, names.iter().chain([&look.label]))?;
        self.add(
            what,
            Layer::Groups {
                names: names.to_vec(),
                samples,
                kind,
                horizontal,
                look,
            },
        )
    }

    /// The values that are numbers; infinite ones are refused, NaN is left out with a warning.
    fn samples(&mut self, what: &str, values: &[f64]) -> Result<Vec<f64>> {
        if let Some(i) = values.iter().position(|v| v.is_infinite()) {
            fail!("{what}: value {i} is {}, expected finite numbers", values[i]);
        }
        let kept: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        ensure!(!kept.is_empty(), "{what}: there is no number in it");
        if kept.len() < values.len() {
            self.warnings.push(format!(
                "{what}: {} of {} values are NaN and left out",
                values.len() - kept.len(),
                values.len()
            ));
        }
        Ok(kept)
    }

    /// A text at a place of the panel, with an arrow to another.
    pub fn text(&mut self, at: [f64; 2], text: &str, to: Option<[f64; 2]>, look: Look) -> Result<&mut Self> {
        self.check_texts("text", [&text.to_string()])?;
        ensure!(
            at.iter().chain(to.iter().flatten()).all(|v| v.is_finite()),
            "text: \"{text}\" stands at {at:?}, expected finite numbers"
        );
        self.note(
            "text",
            Note::Text {
                at,
                text: text.to_string(),
                to,
            },
            look,
        )
    }

    /// A horizontal line over the whole width.
    pub fn hline(&mut self, y: f64, look: Look) -> Result<&mut Self> {
        ensure!(y.is_finite(), "hline: y is {y}, expected a finite number");
        self.note("hline", Note::HLine(y), look)
    }

    /// A vertical line over the whole height.
    pub fn vline(&mut self, x: f64, look: Look) -> Result<&mut Self> {
        ensure!(x.is_finite(), "vline: x is {x}, expected a finite number");
        self.note("vline", Note::VLine(x), look)
    }

    /// A shaded span of x, of y or of both.
    pub fn span(&mut self, x: Option<[f64; 2]>, y: Option<[f64; 2]>, look: Look) -> Result<&mut Self> {
        ensure!(
            x.is_some() || y.is_some(),
            "span: expected `x` or `y`, as in #{{ x: [10, 20] }}"
        );
        check_range("span: x", x)?;
        check_range("span: y", y)?;
        self.note("span", Note::Span { x, y }, look)
    }

    fn note(&mut self, what: &str, note: Note, look: Look) -> Result<&mut Self> {
        let what_label = series(what, &look.label);
        look.check(&what_label)?;
        self.check_texts(&what_label, [&look.label])?;
        self.add(what, Layer::Note { note, look })
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
        for texts in &options.texts {
            ensure!(
                texts.len() == values.len(),
                "heatmap: {} texts for {} cells",
                texts.len(),
                values.len()
            );
        }
        check_range("heatmap", options.range)?;
        self.check_texts(
            "heatmap",
            options.rows.iter().chain(&options.columns).chain([&options.label]),
        )?;
        let values = values.to_vec();
        self.alone(
            "heatmap",
            Layer::Heatmap {
                values,
                rows,
                columns,
                options,
            },
        )
    }

    /// A picture; where the current panel has something already, it takes the next free one.
    pub fn image(&mut self, picture: Picture) -> Result<&mut Self> {
        self.alone(
            "image",
            Layer::Picture {
                picture,
                sharp: false,
                points: Vec::new(),
            },
        )
    }

    /// A label image laid over a picture, half transparent, with outlines: `labels` row by row, one per pixel.
    pub fn masks(&mut self, picture: &Picture, labels: &[u8], palette: &[[u8; 3]]) -> Result<&mut Self> {
        let picture = picture.overlay(labels, palette, 0.5)?;
        self.alone(
            "masks",
            Layer::Picture {
                picture,
                sharp: false,
                points: Vec::new(),
            },
        )
    }

    /// A label image in the colours of its classes.
    pub fn labels(&mut self, width: usize, height: usize, labels: &[u8], palette: &[[u8; 3]]) -> Result<&mut Self> {
        let picture = Picture::labels(width, height, labels, palette)?;
        self.alone(
            "labels",
            Layer::Picture {
                picture,
                sharp: true,
                points: Vec::new(),
            },
        )
    }

    /// A heat map of any size laid over the panel's picture; NaN leaves the picture as it is.
    pub fn overlay(
        &mut self,
        values: &[f64],
        rows: usize,
        columns: usize,
        alpha: f64,
        colours: ColourMap,
        range: Option<[f64; 2]>,
    ) -> Result<&mut Self> {
        ensure!(
            (0.0..=1.0).contains(&alpha),
            "overlay: alpha {alpha} is not between 0 and 1"
        );
        ensure!(
            rows * columns == values.len() && values.iter().any(|v| v.is_finite()),
            "overlay: the heat map has no finite value"
        );
        check_range("overlay", range)?;
        let [low, high] = range.unwrap_or_else(|| colours.limits(values));
        let colour = |v: &f64| v.is_finite().then(|| colours.at((v - low) / (high - low)));
        let cells: Vec<Option<Colour>> = values.iter().map(colour).collect();
        let Some((Layer::Picture { picture, .. }, _)) = self.here().layers.first_mut() else {
            fail!("overlay: the panel has no image yet; call .image first");
        };
        picture.blend(&cells, rows, columns, alpha);
        Ok(self)
    }

    /// A marker on the panel's picture, in pixels from the left upper corner.
    pub fn point(&mut self, x: f64, y: f64, look: Look) -> Result<&mut Self> {
        look.check("point")?;
        self.check_texts("point", [&look.label])?;
        let Some((Layer::Picture { picture, points, .. }, _)) = self.here().layers.first_mut() else {
            fail!("point: the panel has no image yet; call .image first");
        };
        ensure!(
            (0.0..=picture.width as f64).contains(&x) && (0.0..=picture.height as f64).contains(&y),
            "point: x {x}, y {y} is outside of the image of {} x {} pixels (width x height)",
            picture.width,
            picture.height
        );
        points.push((
            [x, y],
            Look {
                marker: Some(look.marker.unwrap_or(Marker::Circle)),
                ..look
            },
        ));
        Ok(self)
    }

    /// Into the current panel, if it has axes.
    fn add(&mut self, what: &str, layer: Layer) -> Result<&mut Self> {
        let panel = self.here();
        ensure!(
            panel.layers.iter().all(|(l, _)| l.look().is_some()),
            "{what}: this panel already shows something that cannot share its axes; use another panel"
        );
        if let (Some((new, lies)), Some((old, lay))) = (layer.categories(), panel.categories()) {
            ensure!(
                new == old,
                "{what}: the categories {new:?} differ from those of the first call, {old:?}"
            );
            ensure!(
                lies == lay,
                "{what}: `horizontal` must be the same for all bars of a panel"
            );
        }
        let right = panel.to_right;
        panel.layers.push((layer, right));
        Ok(self)
    }

    /// Into an empty panel: the current one or the next.
    fn alone(&mut self, what: &str, layer: Layer) -> Result<&mut Self> {
        if !self.here().layers.is_empty() {
            let free = self.panels.iter().position(|p| p.layers.is_empty());
            let Some(free) = free else {
                fail!(
                    "{what}: all {} panels are taken; make the figure with more `rows` or `columns`",
                    self.panels.len()
                );
            };
            self.current = free;
        }
        self.here().layers.push((layer, false));
        Ok(self)
    }
}

impl Panel {
    /// The categories of the panel's bars, boxes and violins, and whether they lie.
    pub(super) fn categories(&self) -> Option<(&[String], bool)> {
        self.layers.iter().find_map(|(l, _)| l.categories())
    }
}
