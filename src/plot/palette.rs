//! Colours, dashes and markers: safe for colour-blind readers, and different in shape so that they print in grey.

use crate::error::{Result, choose};

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

/// Text and axes.
pub(super) const INK: Colour = [0x1A, 0x1A, 0x1A];
/// Grid lines.
pub(super) const GRID: Colour = [0xE6, 0xE6, 0xE6];
/// Where a label image says "ignored", and cells without a value.
pub(super) const NOTHING: Colour = [0xF2, 0xF2, 0xF2];

/// Paul Tol's "bright" scheme, the strongest first (personal.sron.nl/~pault).
const SERIES: [Colour; 7] = [
    [0x44, 0x77, 0xAA],
    [0xEE, 0x66, 0x77],
    [0x22, 0x88, 0x33],
    [0xCC, 0xBB, 0x44],
    [0xAA, 0x33, 0x77],
    [0x66, 0xCC, 0xEE],
    [0xBB, 0xBB, 0xBB],
];

/// Colour of the n-th series.
pub(super) fn series(n: usize) -> Colour {
    SERIES[n % SERIES.len()]
}

/// How a line is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dash {
    /// Not at all.
    Solid,
    /// Dashes.
    Dashed,
    /// Dots.
    Dotted,
    /// A dash, a dot.
    DashDot,
    /// Long dashes.
    Long,
}

impl Dash {
    /// Parse `solid`, `dashed`, `dotted`, `dashdot` or `long`.
    pub fn parse(name: &str) -> Result<Self> {
        let all = [
            ("solid", Dash::Solid),
            ("dashed", Dash::Dashed),
            ("dotted", Dash::Dotted),
            ("dashdot", Dash::DashDot),
            ("long", Dash::Long),
        ];
        choose("dash", name, &all)
    }

    pub(super) fn of_series(n: usize) -> Self {
        [Dash::Solid, Dash::Dashed, Dash::DashDot, Dash::Dotted, Dash::Long][n % 5]
    }

    /// SVG's `stroke-dasharray` for this line width.
    pub(super) fn array(self, width: f64) -> Option<String> {
        let pattern: &[f64] = match self {
            Dash::Solid => return None,
            Dash::Dashed => &[3.6, 1.6],
            Dash::Dotted => &[1.0, 1.4],
            Dash::DashDot => &[4.5, 1.4, 1.0, 1.4],
            Dash::Long => &[7.0, 2.0],
        };
        let text: Vec<String> = pattern.iter().map(|p| format!("{:.2}", p * width)).collect();
        Some(text.join(" "))
    }
}

/// The shape of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// No point at all.
    None,
    /// A disc.
    Circle,
    /// A square.
    Square,
    /// A triangle, point up.
    Triangle,
    /// A square on its corner.
    Diamond,
    /// A triangle, point down.
    Down,
    /// Two crossing strokes, upright.
    Plus,
    /// Two crossing strokes, oblique.
    Cross,
}

impl Marker {
    /// Parse `none`, `circle`, `square`, `triangle`, `diamond`, `down`, `plus` or `cross`.
    pub fn parse(name: &str) -> Result<Self> {
        let all = [
            ("none", Marker::None),
            ("circle", Marker::Circle),
            ("square", Marker::Square),
            ("triangle", Marker::Triangle),
            ("diamond", Marker::Diamond),
            ("down", Marker::Down),
            ("plus", Marker::Plus),
            ("cross", Marker::Cross),
        ];
        choose("marker", name, &all)
    }

    pub(super) fn of_series(n: usize) -> Self {
        use Marker::*;
        [Circle, Square, Triangle, Diamond, Down, Plus, Cross][n % 7]
    }
}

/// A map from numbers to colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourMap {
    /// Dark violet to yellow, even steps of lightness.
    Viridis,
    /// White to dark blue: shares and counts.
    Blues,
    /// Blue, white, red: values on both sides of zero.
    Diverging,
}

impl ColourMap {
    /// Parse `viridis`, `blues` or `diverging`.
    pub fn parse(name: &str) -> Result<Self> {
        let all = [
            ("viridis", ColourMap::Viridis),
            ("blues", ColourMap::Blues),
            ("diverging", ColourMap::Diverging),
        ];
        choose("colors", name, &all)
    }

    /// The colour at `t` in 0..1, between the nearest stops.
    pub(super) fn at(self, t: f64) -> Colour {
        let stops: &[u32] = match self {
            ColourMap::Viridis => &[
                0x440154, 0x472D7B, 0x3B528B, 0x2C728E, 0x21918C, 0x28AE80, 0x5EC962, 0xADDC30, 0xFDE725,
            ],
            ColourMap::Blues => &[
                0xF7FBFF, 0xDEEBF7, 0xC6DBEF, 0x9ECAE1, 0x6BAED6, 0x4292C6, 0x2171B5, 0x08519C, 0x08306B,
            ],
            ColourMap::Diverging => &[
                0x2166AC, 0x4393C3, 0x92C5DE, 0xD1E5F0, 0xF7F7F7, 0xFDDBC7, 0xF4A582, 0xD6604D, 0xB2182B,
            ],
        };
        let place = t.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
        let low = (place.floor() as usize).min(stops.len() - 2);
        let part = place - low as f64;
        let [a, b] = [rgb(stops[low]), rgb(stops[low + 1])];
        std::array::from_fn(|i| (f64::from(a[i]) + part * (f64::from(b[i]) - f64::from(a[i]))).round() as u8)
    }
}

fn rgb(hex: u32) -> Colour {
    let [_, r, g, b] = hex.to_be_bytes();
    [r, g, b]
}

/// Black or white, whichever is read better on `ground`.
pub(super) fn ink_on(ground: Colour) -> Colour {
    let light = 0.299 * f64::from(ground[0]) + 0.587 * f64::from(ground[1]) + 0.114 * f64::from(ground[2]);
    if light > 140.0 { INK } else { [255; 3] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_maps_hit_their_ends_and_read_well() {
        assert_eq!(ColourMap::Blues.at(0.0), [0xF7, 0xFB, 0xFF]);
        assert_eq!(ColourMap::Viridis.at(1.0), [0xFD, 0xE7, 0x25]);
        assert_eq!(ColourMap::Diverging.at(0.5), [0xF7; 3]);
        assert_eq!(ink_on(ColourMap::Blues.at(1.0)), [255; 3]);
        assert_eq!(ink_on([255; 3]), INK);
    }

    #[test]
    fn names_are_a_closed_set() {
        assert_eq!(Dash::parse("dotted").unwrap(), Dash::Dotted);
        let text = Marker::parse("sqare").unwrap_err().to_string();
        assert!(text.contains("did you mean \"square\""), "{text}");
    }
}
