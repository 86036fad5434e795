//! Plotters draws its charts through this: a `DrawingBackend` over the canvas in units of 1/20 point, since its coordinates are
//! whole numbers. Its own texts are not used; ours are measured in the fonts of the figure.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use plotters::drawing::DrawingAreaErrorKind;
use plotters::element::{Drawable, PointCollection};
use plotters::style::{Color, RGBColor, ShapeStyle};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontTransform,
};

use super::area::Area;
use super::font::{CAP, DEPTH};
use super::palette::{Colour, Marker};
use super::svg::{Anchor, Canvas, Stroke, turned};
use super::text::LEADING;
use crate::error::Error;

/// Units of plotters in a point.
pub(super) const UNIT: f64 = 20.0;
/// Where the page begins for plotters, in both directions: it takes no negative places, and lines may come from outside of the page.
pub(super) const PAGE: i32 = 1_000_000_000;

/// The canvas, shared with plotters while it draws.
#[derive(Clone)]
pub(super) struct Backend {
    canvas: Rc<RefCell<Canvas>>,
    /// What lies outside of it is not drawn.
    inside: Option<Area>,
}

impl Backend {
    pub(super) fn new(canvas: Canvas) -> Backend {
        Backend {
            canvas: Rc::new(RefCell::new(canvas)),
            inside: None,
        }
    }

    /// The same canvas, of which only this part is drawn on.
    pub(super) fn within(&self, area: Area) -> Backend {
        let [x, y, w, h] = [area.x, area.y, area.w, area.h].map(|v| f64::from(units(v)) / UNIT);
        Backend {
            canvas: self.canvas.clone(),
            // what lies on an edge is inside in spite of rounding
            inside: Some(Area::new(x, y, w, h).grown(1e-6)),
        }
    }

    /// The canvas, for as long as nothing else draws.
    pub(super) fn canvas(&self) -> RefMut<'_, Canvas> {
        self.canvas.borrow_mut()
    }
}

impl From<DrawingAreaErrorKind<Error>> for Error {
    fn from(error: DrawingAreaErrorKind<Error>) -> Self {
        match error {
            DrawingAreaErrorKind::BackendError(DrawingErrorKind::DrawingError(error)) => error,
            other => Error::usage(format!("figure: a panel cannot be drawn ({other})")),
        }
    }
}

pub(super) type Drawn<T = ()> = std::result::Result<T, DrawingErrorKind<Error>>;

/// A length in points as plotters takes it.
pub(super) fn units(points: f64) -> u32 {
    (points * UNIT).round().clamp(0.0, 1e6) as u32
}

/// A colour of ours as plotters' style for lines this wide.
pub(super) fn pen(colour: Colour, opacity: f64, width: f64) -> ShapeStyle {
    let ink = RGBColor(colour[0], colour[1], colour[2]).mix(opacity);
    Color::stroke_width(&ink, units(width))
}

/// The place on the page, in points.
pub(super) fn point(p: BackendCoord) -> [f64; 2] {
    [p.0 - PAGE, p.1 - PAGE].map(|v| f64::from(v) / UNIT)
}

fn colour(c: BackendColor) -> Colour {
    [c.rgb.0, c.rgb.1, c.rgb.2]
}

fn stroke<S: BackendStyle>(style: &S, canvas: &Canvas) -> Stroke {
    let width = f64::from(style.stroke_width()) / UNIT;
    Stroke {
        colour: colour(style.color()),
        width,
        dash: canvas.dash,
        opacity: style.color().alpha,
    }
}

impl DrawingBackend for Backend {
    type ErrorType = Error;

    fn get_size(&self) -> (u32, u32) {
        // areas are cut out of it
        (2 * PAGE as u32, 2 * PAGE as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        self.canvas().check_cancel().map_err(DrawingErrorKind::DrawingError)
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, c: BackendColor) -> Drawn {
        let [x, y] = point(at);
        self.canvas()
            .rect(Area::new(x, y, 1.0 / UNIT, 1.0 / UNIT), colour(c), c.alpha);
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        self.ensure_prepared()?;
        let points: Vec<[f64; 2]> = path.into_iter().map(point).collect();
        let pieces = match self.inside {
            Some(inside) => inside.cut_line(&points),
            None => vec![points],
        };
        let mut canvas = self.canvas();
        let stroke = stroke(style, &canvas);
        if stroke.opacity == 0.0 || stroke.width == 0.0 {
            return Ok(());
        }
        for piece in pieces {
            match piece.as_slice() {
                [from, to] => canvas.line(*from, *to, stroke),
                points => canvas.polyline(points, stroke),
            }
        }
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(&mut self, a: BackendCoord, b: BackendCoord, style: &S, fill: bool) -> Drawn {
        self.ensure_prepared()?;
        let ([x, y], [right, bottom]) = (point(a), point(b));
        let area = Area::new(x, y, right - x, bottom - y);
        let Some(area) = self.inside.map_or(Some(area), |inside| inside.common(&area)) else {
            return Ok(());
        };
        let mut canvas = self.canvas();
        match fill {
            true => canvas.rect(area, colour(style.color()), style.color().alpha),
            false => {
                let stroke = stroke(style, &canvas);
                canvas.frame(area, stroke);
            }
        }
        Ok(())
    }

    /// Nothing: plotters' error bars have a disc in their middle, which would hide the marker that stands there.
    fn draw_circle<S: BackendStyle>(&mut self, _: BackendCoord, _: u32, _: &S, _: bool) -> Drawn {
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, corners: I, style: &S) -> Drawn {
        self.ensure_prepared()?;
        let points: Vec<[f64; 2]> = corners.into_iter().map(point).collect();
        let points = match self.inside {
            Some(inside) => inside.cut_polygon(&points),
            None => points,
        };
        if points.len() > 2 {
            self.canvas()
                .polygon(&points, colour(style.color()), style.color().alpha);
        }
        Ok(())
    }

    /// Lines of a text stand below one another; the place in them is that of capitals, not of the letters' full height.
    fn draw_text<T: BackendTextStyle>(&mut self, text: &str, style: &T, at: BackendCoord) -> Drawn {
        let size = style.size() / UNIT;
        let anchor = match style.anchor().h_pos {
            HPos::Left => Anchor::Start,
            HPos::Center => Anchor::Middle,
            HPos::Right => Anchor::End,
        };
        let lines: Vec<&str> = text.split('\n').collect();
        let below = LEADING * (lines.len() - 1) as f64;
        let reach = |line: &str, side: usize| self.canvas().font.lay(line, size).reach(size)[side] / size;
        let first = match style.anchor().v_pos {
            VPos::Top => CAP + reach(lines[0], 0),
            VPos::Center => (CAP - below) / 2.0,
            VPos::Bottom => -below - DEPTH - reach(lines[lines.len() - 1], 1),
        };
        let turn = match style.transform() {
            FontTransform::None => 0.0,
            FontTransform::Rotate90 => 90.0,
            FontTransform::Rotate180 => 180.0,
            FontTransform::Rotate270 => -90.0,
        };
        for (i, line) in lines.iter().enumerate() {
            let at = self.inside.map_or(point(at), |area| area.nearest(point(at)));
            let base = turned(at, turn, [0.0, size * (first + LEADING * i as f64)]);
            self.canvas()
                .text(base, line, size, anchor, turn, colour(style.color()));
        }
        Ok(())
    }

    fn estimate_text_size<T: BackendTextStyle>(&self, text: &str, style: &T) -> Drawn<(u32, u32)> {
        let size = style.size() / UNIT;
        Ok((units(self.canvas().font.width(text, size)), units(size)))
    }
}

/// A marker of ours as an element of plotters.
pub(super) struct Dot {
    pub(super) at: (f64, f64),
    pub(super) shape: Marker,
    pub(super) radius: f64,
    pub(super) colour: Colour,
    pub(super) opacity: f64,
}

impl<'a> PointCollection<'a, (f64, f64)> for &'a Dot {
    type Point = &'a (f64, f64);
    type IntoIter = std::iter::Once<Self::Point>;
    fn point_iter(self) -> Self::IntoIter {
        std::iter::once(&self.at)
    }
}

impl Drawable<Backend> for Dot {
    fn draw<I: Iterator<Item = BackendCoord>>(&self, mut at: I, backend: &mut Backend, _: (u32, u32)) -> Drawn {
        backend.ensure_prepared()?;
        let inside = |at: &[f64; 2]| backend.inside.is_none_or(|area| area.contains(*at));
        if let Some(at) = at.next().map(point).filter(inside) {
            backend
                .canvas()
                .marker(self.shape, at, self.radius, self.colour, self.opacity);
        }
        Ok(())
    }
}
