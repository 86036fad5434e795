//! Adding to the panels of a figure: everything is checked here, so that drawing need not doubt it.

use super::figure::Figure;
use super::layers::{Bins, GroupKind, Joint, Layer, Note, series};
use super::options::{BarOptions, HeatmapOptions, LineOptions, Look, Spread, check_range};
use super::palette::{Colour, ColourMap, Marker};
use super::picture::Picture;
use super::stats;
use crate::error::{POSITIVE, Result, in_range};
use crate::{ensure, fail};

/// Most bins of a histogram.
const MOST_BINS: usize = 10_000;

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

/// As many as there are values, finite or NaN (nothing is drawn there), none negative or upside down; error bars include their
/// value.
fn check_spread(what: &str, option: &str, spread: Option<&Spread>, values: &[f64]) -> Result<()> {
    let Some(spread) = spread else { return Ok(()) };
    let what = format!("{what}: {option}");
    let (n, lists) = match spread {
        Spread::Around(s) => (values.len(), [s, s]),
        Spread::Between(low, high) => (values.len(), [low, high]),
    };
    for list in lists {
        let given = list.len();
        ensure!(given == n, "{what} has {given} values but there are {n} points");
        if let Some(i) = list.iter().position(|v| v.is_infinite()) {
            let found = list[i];
            fail!("{what} is {found} at point {i}; expected a finite number, or () to draw none there");
        }
    }
    for (i, value) in values.iter().enumerate() {
        let [low, high] = lists.map(|list| list[i]);
        if matches!(spread, Spread::Around(_)) {
            let half = low;
            ensure!(
                half.is_nan() || half >= 0.0,
                "{what} is {half} at point {i}; half widths cannot be negative"
            );
            continue;
        }
        ensure!(
            low <= high || low.is_nan() || high.is_nan(),
            "{what} reaches from {low} to {high} at point {i}; expected [low, high] with the lower ends first"
        );
        ensure!(
            option == "band" || !(*value < low || *value > high),
            "{what} reaches from {low} to {high} at point {i}, whose value is {value}; [low, high] are the ends, not their \
             distances from the value"
        );
    }
    Ok(())
}

impl Layer {
    /// Fails for what cannot be drawn; `what` names the layer.
    fn check(&self, what: &str) -> Result<()> {
        match self {
            Layer::Curve { x, y, joint, options } => {
                let (n, m) = (x.len(), y.len());
                ensure!(n == m, "{what}: x has {n} values, y has {m}; they must be as long");
                ensure!(n > 0, "{what}: there is nothing to draw, x and y are empty");
                let seen = x.iter().zip(y).any(|(x, y)| x.is_finite() && y.is_finite());
                ensure!(seen, "{what}: there is nothing to draw, no point has a finite x and y");
                let band = options.band.as_ref().filter(|_| *joint != Joint::Area);
                check_spread(what, "band", band, y)?;
                check_spread(what, "error", options.error.as_ref(), y)?;
                for (option, list) in [("values", &options.values), ("sizes", &options.sizes)] {
                    let Some(list) = list else { continue };
                    let given = list.len();
                    ensure!(given == n, "{what}: {option} has {given} numbers for {n} points");
                    check_some(&format!("{what}: {option}"), list)?;
                }
                let mut sizes = options.sizes.iter().flatten().filter(|size| !size.is_nan());
                sizes.try_for_each(|size| in_range(what, "sizes: the size", *size, 0.0..))?;
                check_range(what, "range", options.range)
            }
            Layer::Bars { names, values, options } => {
                as_many(what, (names.len(), "names"), (values.len(), "values"))?;
                check_some(what, values)?;
                check_spread(what, "error", options.error.as_ref(), values)
            }
            Layer::Note { note, .. } => match note {
                Note::Text { at: [x, y], to, .. } => {
                    let ends = to.iter().flatten().map(|v| ("to", v));
                    let mut places = [("x", x), ("y", y)].into_iter().chain(ends);
                    places.try_for_each(|(name, v)| in_range(what, name, *v, ..))
                }
                Note::HLine(y) => in_range(what, "y", *y, ..),
                Note::VLine(x) => in_range(what, "x", *x, ..),
                Note::Span { x, y } => {
                    let some = x.is_some() || y.is_some();
                    ensure!(some, "{what}: expected `x` or `y`, as in #{{ x: [10, 20] }}");
                    check_range(what, "x", *x)?;
                    check_range(what, "y", *y)
                }
            },
            Layer::Heatmap {
                values,
                rows,
                columns,
                options,
            } => {
                let (cells, n) = (rows * columns, values.len());
                ensure!(
                    cells == n,
                    "{what}: {rows} rows x {columns} columns need {cells} values, found {n}"
                );
                check_some(what, values)?;
                let texts = options.texts.iter().map(|texts| (texts, "texts", (n, "cells")));
                let names = [
                    (&options.row_names, "row_names", (*rows, "rows")),
                    (&options.column_names, "column_names", (*columns, "columns")),
                ];
                for (list, name, all) in names.into_iter().chain(texts).filter(|(list, ..)| !list.is_empty()) {
                    as_many(what, (list.len(), name), all)?;
                }
                check_range(what, "range", options.range)
            }
            Layer::Bins { .. } | Layer::Groups { .. } | Layer::Picture { .. } => Ok(()),
        }
    }

    /// What is written for the layer, with the option that says it.
    fn texts(&self) -> Vec<(&'static str, &String)> {
        let label = self.look().map(|look| ("label", &look.label));
        let own: Vec<(&'static str, &String)> = match self {
            Layer::Curve { options, .. } => vec![("bar", &options.bar)],
            Layer::Bars { names, .. } | Layer::Groups { names, .. } => {
                names.iter().map(|name| ("names", name)).collect()
            }
            Layer::Note {
                note: Note::Text { text, .. },
                ..
            } => vec![("text", text)],
            Layer::Heatmap { options, .. } => {
                let rows = options.row_names.iter().map(|name| ("row_names", name));
                let columns = options.column_names.iter().map(|name| ("column_names", name));
                rows.chain(columns).chain([("label", &options.label)]).collect()
            }
            Layer::Bins { .. } | Layer::Note { .. } | Layer::Picture { .. } => Vec::new(),
        };
        own.into_iter().chain(label).collect()
    }
}

impl Figure {
    /// The points (`x[i]`, `y[i]`) and what joins them.
    pub fn curve(&mut self, joint: Joint, x: &[f64], y: &[f64], options: impl Into<LineOptions>) -> Result<&mut Self> {
        let (x, y, options) = (x.to_vec(), y.to_vec(), options.into());
        self.add(Layer::Curve { x, y, joint, options })
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
        let (names, values) = (names.to_vec(), values.to_vec());
        self.add(Layer::Bars { names, values, options })
    }

    /// How often values fall into bins, by default as many as the values want; `density` makes the area one.
    pub fn histogram(&mut self, values: &[f64], bins: Option<Bins>, density: bool, look: Look) -> Result<&mut Self> {
        let what = series("histogram", &look.label);
        let values = self.samples(&what, values)?;
        let edges = match bins {
            None => stats::edges(&values, None),
            Some(Bins::Count(n)) if (1..=MOST_BINS).contains(&n) => stats::edges(&values, Some(n)),
            Some(Bins::Edges(edges))
                if (2..=MOST_BINS + 1).contains(&edges.len()) && edges.windows(2).all(|w| w[0] < w[1]) =>
            {
                edges
            }
            _ => fail!("{what}: bins: expected 1 to {MOST_BINS} bins, or their edges in rising order"),
        };
        let heights = stats::counts(&values, &edges, density);
        self.add(Layer::Bins { edges, heights, look })
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
        let kept = names.iter().zip(samples);
        let kept = kept.map(|(name, values)| self.samples(&format!("{what}: group \"{name}\""), values));
        let samples = kept.collect::<Result<_>>()?;
        self.add(Layer::Groups {
            names: names.to_vec(),
            samples,
            kind,
            horizontal,
            look,
        })
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
        self.add(Layer::Note { note, look })
    }

    /// A matrix in colours, `values` row by row from the top.
    pub fn heatmap(
        &mut self,
        values: &[f64],
        rows: usize,
        columns: usize,
        options: HeatmapOptions,
    ) -> Result<&mut Self> {
        self.alone(Layer::Heatmap {
            values: values.to_vec(),
            rows,
            columns,
            options,
        })
    }

    /// A picture; where the current panel has something already, it takes the next free one.
    pub fn image(&mut self, picture: Picture) -> Result<&mut Self> {
        self.shown(picture, false)
    }

    /// A label image laid over a picture, half transparent, with outlines: `labels` row by row, one per pixel.
    pub fn masks(&mut self, picture: &Picture, labels: &[u8], palette: &[[u8; 3]]) -> Result<&mut Self> {
        self.shown(picture.overlay(labels, palette, 0.5)?, false)
    }

    /// A label image in the colours of its classes.
    pub fn labels(&mut self, width: usize, height: usize, labels: &[u8], palette: &[[u8; 3]]) -> Result<&mut Self> {
        self.shown(Picture::labels(width, height, labels, palette)?, true)
    }

    fn shown(&mut self, picture: Picture, sharp: bool) -> Result<&mut Self> {
        let points = Vec::new();
        self.alone(Layer::Picture { picture, sharp, points })
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
        self.check_text(&what, "label", &look.label)?;
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
    fn add(&mut self, layer: Layer) -> Result<&mut Self> {
        let what = self.check(&layer)?;
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
    fn alone(&mut self, layer: Layer) -> Result<&mut Self> {
        let what = self.check(&layer)?;
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

    /// Fails for a layer that cannot be drawn; gives its name.
    fn check(&self, layer: &Layer) -> Result<String> {
        let what = layer.name();
        layer.check(&what)?;
        layer.look().map_or(Ok(()), |look| look.check(&what))?;
        let mut texts = layer.texts().into_iter();
        texts.try_for_each(|(option, text)| self.check_text(&what, option, text))?;
        Ok(what)
    }
}
