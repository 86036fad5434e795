//! Axes: values and their places. To plotters an axis is a `Ranged` coordinate; its own ones
//! overflow for ranges that are finite but wide.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::figure::Ticks;
use super::font::Font;

/// Lengths of an axis from it to what is as good as infinitely far away.
const FAR: f64 = 1e5;

/// One axis: limits, ticks, and the factor or offset that was taken out of the labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Axis {
    /// Powers of a number are evenly spaced, not values.
    pub(super) log: bool,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Ticks,
    pub(super) minor: Vec<f64>,
    /// "×10^{5}" or "+ 1000000", drawn at the end of the axis; often empty.
    pub(super) note: String,
}

/// What an axis has to show, and the room for it.
#[derive(Default)]
pub(super) struct Request<'a> {
    pub(super) log: bool,
    /// Smallest and largest value, positive on a logarithmic axis.
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
    /// Width of the widest line of the labels.
    pub(super) fn widest(&self, size: f64, font: &Font) -> f64 {
        let lines = self.ticks.iter().flat_map(|tick| tick.1.split('\n'));
        lines.map(|line| font.width(line, size)).fold(0.0, f64::max)
    }

    /// Without ticks and what they say.
    pub(super) fn bare(mut self) -> Axis {
        self.ticks.clear();
        self.minor.clear();
        self.note.clear();
        self
    }

    /// Where `value` lies between the ends, 0..1; `None` for NaN, infinity and what a logarithmic axis cannot show.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let p = match self.log {
            true => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
            // halves: the distance of two numbers may be more than a number can be
            false => (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0),
        };
        (p.is_finite() && (value > 0.0 || !self.log)).then_some(p)
    }

    /// Whether the axis shows this value.
    pub(super) fn contains(&self, value: f64) -> bool {
        self.place(value).is_some_and(|p| (-1e-9..=1.0 + 1e-9).contains(&p))
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    /// What is infinite lies far outside, as does what a logarithmic axis cannot show, below its lower end.
    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let far = if *value > 0.0 { FAR } else { -FAR };
        let place = self.place(*value).unwrap_or(far).clamp(-FAR, FAR);
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
        let tick = self.ticks.iter().find(|tick| tick.0 == *value);
        tick.map_or(String::new(), |tick| tick.1.clone())
    }
}
