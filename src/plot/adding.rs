//! Adding to the panels of a figure: everything is checked here, so that drawing need not doubt it.

use super::figure::Figure;
use super::layers::{GroupKind, Joint, Layer, Note, series};
use super::options::{BarOptions, HeatmapOptions, LineOptions, Look, Spread, check_range};
use super::palette::{Colour, ColourMap, Marker};
use super::picture::Picture;
use super::stats;
use crate::error::{POSITIVE, Result, in_range};
use crate::{ensure, fail};

/// As many of one as of the other: `12 names` and `11 values`.
fn as_many(what: &str, (n, these): (usize, &str), (m, those): (usize, &str)) -> Result<()> {
    ensure!(
        n == m,
        "{what}: there are {n} {these} and {m} {those}; they must be as many"
    );
    Ok(())
}

/// Something to see: a finite number.
fn check_some(what: &str, values: &[f64]) -> Result<()> {
    let some = values.iter().any(|v| v.is_finite());
    ensure!(some, "{what}: there is nothing to draw, no value is finite");
    Ok(())
}

impl Figure {
    /// The points (`x[i]`, `y[i]`) and what joins them.
    pub fn curve(&mut self, joint: Joint, x: &[f64], y: &[f64], options: impl Into<LineOptions>) -> Result<&mut Self> {
        let options = options.into();
        let name = series(joint.name(), &options.look.label);
        let (n, m) = (x.len(), y.len());
        ensure!(n == m, "{name}: x has {n} values, y has {m}; they must be as long");
        ensure!(n > 0, "{name}: there is nothing to draw, x and y are empty");
        let seen = x.iter().zip(y).any(|(x, y)| x.is_finite() && y.is_finite());
        ensure!(seen, "{name}: there is nothing to draw, no point has a finite x and y");
        if let Some(band) = options.band.as_ref().filter(|_| joint != Joint::Area) {
            band.check(&format!("{name}: band"), y, false)?;
        }
        if let Some(error) = &options.error {
            error.check(&format!("{name}: error"), y, true)?;
        }
        for (option, list) in [("values", &options.values), ("sizes", &options.sizes)] {
            let Some(list) = list else { continue };
            let given = list.len();
            ensure!(given == n, "{name}: {option} has {given} numbers for {n} points");
            check_some(&format!("{name}: {option}"), list)?;
        }
        let mut sizes = options.sizes.iter().flatten().filter(|size| !size.is_nan());
        sizes.try_for_each(|size| in_range(&name, "sizes: the size", *size, 0.0..))?;
        check_range(&name, "range", options.range)?;
        options.look.check(&name)?;
        self.check_texts(&name, [&options.look.label, &options.bar])?;
        let (x, y) = (x.to_vec(), y.to_vec());
        self.add(&name, Layer::Curve { x, y, joint, options })
    }

    /// A line through the points.
    pub fn line(&mut self, x: &[f64], y: &[f64], options: impl Into<LineOptions>) -> Result<&mut Self> {
        self.curve(Joint::Line, x, y, options)
    }

    /// Points without a line.
    pub fn scatter(&mut self, x: &[f64], y: &[f64], options: impl Into<LineOptions>) -> Result<&mut Self> {
        self.curve(Joint::Nothing, x, y, options)
    }

    /// The area between `base` (one number or as many as points) and `y`.
    pub fn area(&mut self, x: &[f64], y: &[f64], base: &[f64], look: Look) -> Result<&mut Self> {
        let name = series("area", &look.label);
        let base = match base {
            [one] => vec![*one; y.len()],
            many => many.to_vec(),
        };
        let fits = base.len() == y.len() && base.iter().all(|v| !v.is_infinite());
        ensure!(fits, "{name}: base must be a finite number or {} of them", y.len());
        let options = LineOptions {
            band: Some(Spread::Between(base, y.to_vec())),
            ..look.into()
        };
        self.curve(Joint::Area, x, y, options)
    }

    /// Bars over named categories; bars of a second call stand beside those of the first, or on them.
    pub fn bars(&mut self, names: &[String], values: &[f64], options: BarOptions) -> Result<&mut Self> {
        let what = series("bars", &options.look.label);
        as_many(&what, (names.len(), "names"), (values.len(), "values"))?;
        check_some(&what, values)?;
        if let Some(error) = &options.error {
            error.check(&format!("{what}: error"), values, true)?;
        }
        options.look.check(&what)?;
        self.check_texts(&what, names.iter().chain([&options.look.label]))?;
        let (names, values) = (names.to_vec(), values.to_vec());
        self.add(&what, Layer::Bars { names, values, options })
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
        let rising = (2..=10_001).contains(&edges.len()) && edges.windows(2).all(|w| w[0] < w[1]);
        ensure!(
            rising,
            "{what}: bins: expected 1 to 10000 bins, or their edges in rising order"
        );
        look.check(&what)?;
        self.check_texts(&what, [&look.label])?;
        let heights = stats::counts(&values, &edges, density);
        self.add(&what, Layer::Bins { edges, heights, look })
    }

    /// The density of values, smoothed with a Gaussian kernel (Scott's rule, or `bandwidth`); its area is one.
    pub fn density(&mut self, values: &[f64], bandwidth: Option<f64>, look: Look) -> Result<&mut Self> {
        let what = series("density", &look.label);
        let values = self.samples(&what, values)?;
        in_range(&what, "bandwidth", bandwidth.unwrap_or(1.0), POSITIVE)?;
        let (x, y) = stats::density(&values, bandwidth);
        self.area(&x, &y, &[0.0], look)
    }

    /// A box or a violin for the samples of each named group; those of a second call stand beside those of the first.
    pub fn groups(
        &mut self,
        kind: GroupKind,
        names: &[String],
        samples: &[Vec<f64>],
        horizontal: bool,
        look: Look,
    ) -> Result<&mut Self> {
        let what = series(kind.name(), &look.label);
        ensure!(!names.is_empty(), "{what}: there is no group to draw");
        as_many(&what, (names.len(), "names"), (samples.len(), "groups"))?;
        let clean = |(name, values): (&String, &Vec<f64>)| self.samples(&format!("{what}: group \"{name}\""), values);
        let samples = names.iter().zip(samples).map(clean).collect::<Result<_>>()?;
        look.check(&what)?;
        self.check_texts(&what, names.iter().chain([&look.label]))?;
        let layer = Layer::Groups {
            names: names.to_vec(),
            samples,
            kind,
            horizontal,
            look,
        };
        self.add(&what, layer)
    }

    /// The values that are numbers; infinite ones are refused, NaN is left out with a warning.
    fn samples(&mut self, what: &str, values: &[f64]) -> Result<Vec<f64>> {
        if let Some(i) = values.iter().position(|v| v.is_infinite()) {
            fail!("{what}: value {i} is {}, expected finite numbers", values[i]);
        }
        let kept: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        ensure!(!kept.is_empty(), "{what}: there is no number in it");
        let (all, lost) = (values.len(), values.len() - kept.len());
        if lost > 0 {
            let warning = format!("{what}: {lost} of {all} values are NaN and left out");
            self.warnings.push(warning);
        }
        Ok(kept)
    }

    /// A text, a line or a span over the data.
    pub fn note(&mut self, note: Note, look: Look) -> Result<&mut Self> {
        let (what, label) = match &note {
            Note::Text { text, .. } => ("text", text),
            Note::HLine(_) => ("hline", &look.label),
            Note::VLine(_) => ("vline", &look.label),
            Note::Span { .. } => ("span", &look.label),
        };
        let what = series(what, label);
        match &note {
            Note::Text { at, text, to } => {
                self.check_texts("text", [text])?;
                for (name, [x, y]) in [("x", *at)].into_iter().chain(to.map(|to| ("to", to))) {
                    let finite = x.is_finite() && y.is_finite();
                    ensure!(finite, "{what}: {name}: expected finite numbers, found x {x}, y {y}");
                }
            }
            Note::HLine(y) => in_range(&what, "y", *y, ..)?,
            Note::VLine(x) => in_range(&what, "x", *x, ..)?,
            Note::Span { x, y } => {
                let some = x.is_some() || y.is_some();
                ensure!(some, "{what}: expected `x` or `y`, as in #{{ x: [10, 20] }}");
                check_range(&what, "x", *x)?;
                check_range(&what, "y", *y)?;
            }
        }
        look.check(&what)?;
        self.check_texts(&what, [&look.label])?;
        self.add(&what, Layer::Note { note, look })
    }

    /// A matrix in colours, `values` row by row from the top.
    pub fn heatmap(
        &mut self,
        values: &[f64],
        rows: usize,
        columns: usize,
        options: HeatmapOptions,
    ) -> Result<&mut Self> {
        let (what, cells, n) = ("heatmap", rows * columns, values.len());
        ensure!(
            cells == n,
            "{what}: {rows} rows x {columns} columns need {cells} values, found {n}"
        );
        check_some(what, values)?;
        for (names, m, (one, all)) in [
            (&options.row_names, rows, ("row_names", "rows")),
            (&options.column_names, columns, ("column_names", "columns")),
        ] {
            if !names.is_empty() {
                as_many(what, (names.len(), one), (m, all))?;
            }
        }
        let mut texts = options.texts.iter();
        texts.try_for_each(|texts| as_many(what, (texts.len(), "texts"), (n, "cells")))?;
        check_range(what, "range", options.range)?;
        let names = options.row_names.iter().chain(&options.column_names);
        self.check_texts(what, names.chain([&options.label]))?;
        let values = values.to_vec();
        let layer = Layer::Heatmap {
            values,
            rows,
            columns,
            options,
        };
        self.alone(what, layer)
    }

    /// A picture; where the current panel has something already, it takes the next free one.
    pub fn image(&mut self, picture: Picture) -> Result<&mut Self> {
        self.picture_layer("image", picture, false)
    }

    /// A label image laid over a picture, half transparent, with outlines: `labels` row by row, one per pixel.
    pub fn masks(&mut self, picture: &Picture, labels: &[u8], palette: &[[u8; 3]]) -> Result<&mut Self> {
        self.picture_layer("masks", picture.overlay(labels, palette, 0.5)?, false)
    }

    /// A label image in the colours of its classes.
    pub fn labels(&mut self, width: usize, height: usize, labels: &[u8], palette: &[[u8; 3]]) -> Result<&mut Self> {
        self.picture_layer("labels", Picture::labels(width, height, labels, palette)?, true)
    }

    fn picture_layer(&mut self, what: &str, picture: Picture, sharp: bool) -> Result<&mut Self> {
        let points = Vec::new();
        let layer = Layer::Picture { picture, sharp, points };
        self.alone(what, layer)
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
        in_range("overlay", "alpha", alpha, 0.0..=1.0)?;
        as_many("overlay", (values.len(), "values"), (rows * columns, "cells"))?;
        check_some("overlay", values)?;
        check_range("overlay", "range", range)?;
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
        let what = series("point", &look.label);
        look.check(&what)?;
        self.check_texts(&what, [&look.label])?;
        let Some((Layer::Picture { picture, points, .. }, _)) = self.here().layers.first_mut() else {
            fail!("{what}: the panel has no image yet; call .image first");
        };
        let (width, height) = (picture.width, picture.height);
        let inside = (0.0..=width as f64).contains(&x) && (0.0..=height as f64).contains(&y);
        ensure!(
            inside,
            "{what}: x {x}, y {y} is outside of the image of {width} x {height} pixels (width x height)"
        );
        let marker = Some(look.marker.unwrap_or(Marker::Circle));
        points.push(([x, y], Look { marker, ..look }));
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
            let Some(free) = self.panels.iter().position(|p| p.layers.is_empty()) else {
                let n = self.panels.len();
                fail!("{what}: all {n} panels are taken; make the figure with more `rows` or `columns`");
            };
            self.current = free;
        }
        self.here().layers.push((layer, false));
        Ok(self)
    }
}
