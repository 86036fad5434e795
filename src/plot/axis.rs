//! Axes: values and their places. To plotters an axis is a `Ranged` coordinate; its own ones
//! overflow for ranges that are finite but wide.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::font::Font;
use super::ticks;

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Scale {
    #[default]
    Linear,
    Log10,
    Log2,
}

/// One axis: limits, ticks, and the factor or offset that was taken out of the labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) minor: Vec<f64>,
    /// "×10^{5}" or "+ 1000000", drawn at the end of the axis; often empty.
    pub(super) note: String,
}

/// What an axis has to show, and the room for it.
pub(super) struct Request<'a> {
    pub(super) scale: Scale,
    /// Smallest and largest value, positive on a log scale.
    pub(super) range: [f64; 2],
    /// All values are whole numbers: no ticks between them.
    pub(super) whole: bool,
    /// Share of the range left free below and above.
    pub(super) pad: [f64; 2],
    /// Fixed ticks instead of round ones.
    pub(super) ticks: Option<&'a [(f64, String)]>,
    /// Length in points.
    pub(super) length: f64,
    /// Labels stand side by side (x) rather than above one another (y).
    pub(super) horizontal: bool,
    pub(super) font_size: f64,
}

impl Axis {
    pub(super) fn new(r: &Request, font: &Font) -> Axis {
        let mut axis = match r.scale {
            Scale::Linear => ticks::linear(r, font),
            Scale::Log10 | Scale::Log2 => ticks::logarithmic(r, font),
        };
        if let Some(own) = r.ticks {
            axis.note = String::new();
            axis.minor = Vec::new();
            axis.ticks = ticks::thin(own, &axis, r, font);
        }
        axis
    }

    /// The value at this place between the ends.
    pub(super) fn value(&self, place: f64) -> f64 {
        match self.scale {
            Scale::Linear => self.low * (1.0 - place) + self.high * place,
            _ => (self.low.ln() * (1.0 - place) + self.high.ln() * place).exp(),
        }
    }

    /// Width of the widest line of the labels.
    pub(super) fn widest(&self, size: f64, font: &Font) -> f64 {
        let lines = self.ticks.iter().flat_map(|tick| tick.1.split('\n'));
        lines.map(|line| font.width(line, size)).fold(0.0, f64::max)
    }

    /// The values at its ends.
    pub(super) fn ends(&self) -> [f64; 2] {
        [self.low, self.high]
    }

    /// The label of a tick.
    pub(super) fn label(&self, value: f64) -> String {
        let near = self.ticks.iter().find(|t| t.0 == value);
        near.map_or(String::new(), |t| t.1.clone())
    }

    /// Where `value` lies between the ends, 0..1; `None` for NaN, infinity and what a log scale cannot show.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let p = match self.scale {
            // halves: the distance of two numbers may be more than a number can be
            Scale::Linear => (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0),
            _ => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
        };
        (p.is_finite() && (self.scale == Scale::Linear || value > 0.0)).then_some(p)
    }

    /// Whether the axis shows this value.
    pub(super) fn contains(&self, value: f64) -> bool {
        self.place(value).is_some_and(|p| (-1e-9..=1.0 + 1e-9).contains(&p))
    }

    /// The value, or the end of the axis beyond which it lies; `None` for NaN.
    pub(super) fn bound(&self, value: f64) -> Option<f64> {
        (!value.is_nan()).then(|| value.clamp(self.low, self.high))
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    /// What cannot be placed is drawn at the lower end, where plotters cuts what lies outside.
    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let place = self.place(*value).unwrap_or(0.0).clamp(-10.0, 10.0);
        let length = f64::from(limit.1) - f64::from(limit.0);
        (f64::from(limit.0) + place * length).round() as i32
    }

    /// The labelled ticks; plotters' lighter ones are not used.
    fn key_points<H: KeyPointHint>(&self, hint: H) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.iter().map(|t| t.0).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}
