//! Colours, dashes and markers: safe for colour-blind readers, and different in shape so that they print in grey.

use serde::{Deserialize, Serialize};

use crate::choices;
use crate::error::not_known;
use crate::options::{Arg, Given, Problem, Reading, Source, pick, wrong};

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

/// Where a label image says "ignored", and cells without a value.
pub(super) const NOTHING: Colour = [0xF2, 0xF2, 0xF2];

/// Names of colours.
const NAMES: [(&str, u32); 16] = [
    ("black", 0x000000),
    ("white", 0xFFFFFF),
    ("gray", 0x808080),
    ("grey", 0x808080),
    ("red", 0xD62728),
    ("green", 0x228833),
    ("blue", 0x1F77B4),
    ("orange", 0xE69F00),
    ("purple", 0xAA3377),
    ("brown", 0x8C564B),
    ("pink", 0xE377C2),
    ("yellow", 0xF0E442),
    ("cyan", 0x66CCEE),
    ("magenta", 0xCC3399),
    ("navy", 0x08306B),
    ("teal", 0x21918C),
];

/// A colour as it is given: its name, `"#4477AA"`, `"C0"` (the first of the figure's palette) or `[red, green, blue]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ink {
    /// As it is.
    Rgb([u8; 3]),
    /// The colour of this series.
    Series(usize),
}

impl Ink {
    /// The colour where series have these.
    pub(super) fn of(self, series: &[Colour]) -> Colour {
        match self {
            Ink::Rgb(colour) => colour,
            Ink::Series(n) => series[n % series.len()],
        }
    }
}

impl Arg for Ink {
    fn kind() -> String {
        "string or [int; 3]".into()
    }
    fn wanted() -> String {
        "a colour: its name, \"#4477AA\", \"C0\" or [red, green, blue]".into()
    }
    fn read(value: &dyn Source) -> Reading<Self> {
        let Some(text) = String::convert(value) else {
            let colour = <[u8; 3]>::convert(value).map(Ink::Rgb);
            return colour.ok_or_else(|| wrong(&Self::wanted(), value));
        };
        let is_hex = |digits: &&str| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let digits = text.strip_prefix('#').filter(is_hex);
        let hex = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let place = text.strip_prefix('C').and_then(|place| place.parse().ok());
        let named = NAMES.iter().find(|(name, _)| *name == text).map(|(_, hex)| *hex);
        match (hex.or(named), place) {
            (Some(hex), _) => Ok(Ink::Rgb(rgb(hex))),
            (None, Some(place)) => Ok(Ink::Series(place)),
            (None, None) => {
                let names = not_known(&text, NAMES.iter().map(|(name, _)| *name));
                let others = "; others are \"#RRGGBB\", \"C0\", \"C1\", .. and [red, green, blue]";
                Err(Problem::Inside(String::new(), names + others))
            }
        }
    }
    fn literal(&self) -> Option<String> {
        match self {
            Ink::Rgb(colour) => colour.literal(),
            Ink::Series(n) => Some(format!("\"C{n}\"")),
        }
    }
}

/// The colours that series take in turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Palette {
    /// Paul Tol's "bright" scheme, the strongest first (personal.sron.nl/~pault).
    #[default]
    Tol,
    /// Okabe and Ito's colours; on paper without colours their lightness differs.
    OkabeIto,
    /// The caller's.
    Own(Vec<[u8; 3]>),
}

impl Arg for Palette {
    fn kind() -> String {
        "string or [color]".into()
    }
    fn wanted() -> String {
        "\"tol\", \"okabe_ito\" or an array of colours".into()
    }
    fn choices() -> Vec<&'static str> {
        vec!["tol", "okabe_ito"]
    }
    fn read(value: &dyn Source) -> Reading<Self> {
        let own = |given: &Given| Ok(Ink::read(given)?.of(&Palette::Tol.colours()));
        match &value.given() {
            Given::Text(_) => pick(value, &[("tol", Palette::Tol), ("okabe_ito", Palette::OkabeIto)]),
            Given::List(colours) => colours.iter().map(own).collect::<Reading<_>>().map(Palette::Own),
            other => Err(wrong(&Self::wanted(), other)),
        }
    }
    fn literal(&self) -> Option<String> {
        match self {
            Palette::Tol => Some("\"tol\"".into()),
            Palette::OkabeIto => Some("\"okabe_ito\"".into()),
            Palette::Own(colours) => colours.literal(),
        }
    }
}

impl Palette {
    pub(super) fn colours(&self) -> Vec<Colour> {
        let list: &[u32] = match self {
            Palette::Tol => &[0x4477AA, 0xEE6677, 0x228833, 0xCCBB44, 0xAA3377, 0x66CCEE, 0xBBBBBB],
            Palette::OkabeIto => &[0x000000, 0xE69F00, 0x56B4E9, 0x009E73, 0xD55E00, 0x0072B2, 0xCC79A7],
            Palette::Own(colours) => return colours.clone(),
        };
        list.iter().map(|hex| rgb(*hex)).collect()
    }
}

choices! {
    /// How a line is interrupted.
    pub enum Dash {
        /// Not at all.
        Solid = "solid",
        /// Dashes.
        Dashed = "dashed",
        /// Dots.
        Dotted = "dotted",
        /// A dash, a dot.
        DashDot = "dashdot",
        /// Long dashes.
        Long = "long",
    }
}

impl Dash {
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

choices! {
    /// The shape of a point.
    pub enum Marker {
        /// No point at all.
        None = "none",
        /// A disc.
        Circle = "circle",
        /// A square.
        Square = "square",
        /// A triangle, point up.
        Triangle = "triangle",
        /// A square on its corner.
        Diamond = "diamond",
        /// A triangle, point down.
        Down = "down",
        /// Two crossing strokes, upright.
        Plus = "plus",
        /// Two crossing strokes, oblique.
        Cross = "cross",
    }
}

impl Marker {
    pub(super) fn of_series(n: usize) -> Self {
        use Marker::*;
        [Circle, Square, Triangle, Diamond, Down, Plus, Cross][n % 7]
    }

    /// The corners for a disc of radius 1 in its place, about as large; none for a disc.
    pub(super) fn corners(self) -> Vec<[f64; 2]> {
        let turn = std::f64::consts::FRAC_1_SQRT_2;
        let turned = |[x, y]: [f64; 2]| [(x - y) * turn, (x + y) * turn];
        // half the width of a stroke, and half its length
        let (b, l) = (0.32, 1.25);
        let mut arm = [[-b, -l], [b, -l], [b, -b]];
        let plus = (0..4).flat_map(|_| {
            let corners = arm;
            arm = arm.map(|[x, y]| [-y, x]);
            corners
        });
        match self {
            Marker::None | Marker::Circle => Vec::new(),
            Marker::Square => vec![[-0.89, -0.89], [0.89, -0.89], [0.89, 0.89], [-0.89, 0.89]],
            Marker::Triangle => vec![[0.0, -1.3], [1.18, 0.78], [-1.18, 0.78]],
            Marker::Down => vec![[0.0, 1.3], [1.18, -0.78], [-1.18, -0.78]],
            Marker::Diamond => vec![[0.0, -1.3], [1.1, 0.0], [0.0, 1.3], [-1.1, 0.0]],
            Marker::Plus => plus.collect(),
            Marker::Cross => plus.map(turned).collect(),
        }
    }
}

choices! {
    /// A map from numbers to colours.
    pub enum ColourMap {
        /// Dark violet to yellow, even steps of lightness.
        Viridis = "viridis",
        /// White to dark blue: shares and counts.
        Blues = "blues",
        /// Blue, white, red: values on both sides of zero.
        Diverging = "diverging",
    }
}

impl ColourMap {
    /// The colour at `t` in 0..1, between the nearest stops; that of nothing for NaN.
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
        if t.is_nan() {
            return NOTHING;
        }
        let place = t.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
        let low = (place.floor() as usize).min(stops.len() - 2);
        let part = place - low as f64;
        let [a, b] = [rgb(stops[low]), rgb(stops[low + 1])];
        std::array::from_fn(|i| (f64::from(a[i]) + part * (f64::from(b[i]) - f64::from(a[i]))).round() as u8)
    }

    /// Values of the first and last colour: the smallest and largest finite one, for `Diverging` as far below zero as above.
    pub(super) fn limits(self, values: &[f64]) -> [f64; 2] {
        let finite = values.iter().copied().filter(|v| v.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let most = low.abs().max(high.abs());
        match self {
            ColourMap::Diverging if most > 0.0 => [-most, most],
            _ if high > low => [low, high],
            _ if low == 0.0 => [0.0, 1.0],
            _ => [low - low.abs() * 0.5, low + low.abs() * 0.5],
        }
    }
}

fn rgb(hex: u32) -> Colour {
    let [_, r, g, b] = hex.to_be_bytes();
    [r, g, b]
}

/// Black or white, whichever is read better on `ground`.
pub(super) fn ink_on(ground: Colour) -> Colour {
    let light = 0.299 * f64::from(ground[0]) + 0.587 * f64::from(ground[1]) + 0.114 * f64::from(ground[2]);
    if light > 140.0 { [0x1A; 3] } else { [255; 3] }
}
