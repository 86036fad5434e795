//! What is written over the data of a panel: lines and spans over its whole width, texts with arrows, values at bars.

use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::DrawingArea;
use plotters::element::{EmptyElement, PathElement, Polygon, Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::backend::{Backend, pen, units};
use super::chart::letters;
use super::font::{CAP, DEPTH};
use super::identity::Identity;
use super::layers::Note;
use super::options::Look;
use super::palette::Dash;
use super::svg::Area;
use crate::error::Result;

type Surface = DrawingArea<Backend, Cartesian2d<Axis, Axis>>;

/// Spans in pass 0, lines in pass 2, texts in pass 5.
#[expect(clippy::too_many_arguments, reason = "the parts of one layer, used once")]
pub(super) fn draw(
    note: &Note,
    look: &Look,
    identity: &Identity,
    pass: usize,
    on: &Surface,
    [x, y]: [&Axis; 2],
    backend: &Backend,
    area: Area,
) -> Result<()> {
    let style = backend.0.borrow().style.clone();
    let ends = |axis: &Axis| [axis.value(0.0), axis.value(1.0)];
    match note {
        Note::Span { x: wide, y: high } if pass == 0 => {
            let within = |axis: &Axis, span: &Option<[f64; 2]>| {
                let [low, high] = span.unwrap_or(ends(axis)).map(|v| axis.bound(v).unwrap_or(v));
                (low < high).then_some([low, high])
            };
            if let (Some(x), Some(y)) = (within(x, wide), within(y, high)) {
                let colour = look.colour.unwrap_or(style.edge);
                let marks = backend.0.borrow_mut().marks.take();
                on.draw(&Rectangle::new(
                    [(x[0], y[0]), (x[1], y[1])],
                    pen(colour, look.alpha.unwrap_or(0.18), 0.0).filled(),
                ))?;
                // a legend may stand on it
                backend.0.borrow_mut().marks = marks;
            }
        }
        Note::HLine(_) | Note::VLine(_) if pass == 2 => {
            let ([x0, x1], [y0, y1]) = (ends(x), ends(y));
            let points = match note {
                Note::HLine(at) if y.contains(*at) => vec![(x0, *at), (x1, *at)],
                Note::VLine(at) if x.contains(*at) => vec![(*at, y0), (*at, y1)],
                _ => return Ok(()),
            };
            let line = pen(
                identity.colour,
                look.alpha.unwrap_or(1.0),
                look.width.unwrap_or(style.line * 0.7),
            );
            backend.0.borrow_mut().dash = identity.dash;
            let drawn = on.draw(&PathElement::new(points, line));
            backend.0.borrow_mut().dash = Dash::Solid;
            drawn?;
        }
        Note::Text { at, text, to } if pass == 5 => {
            let size = look.size.unwrap_or(style.small);
            let ink = look.colour.unwrap_or(style.ink);
            let place = |p: [f64; 2]| {
                Some([
                    area.x + x.place(p[0])? * area.w,
                    area.bottom() - y.place(p[1])? * area.h,
                ])
            };
            let Some([px, py]) = place(*at) else { return Ok(()) };
            // the whole text stays in the panel
            let half = backend.0.borrow().font.width(text, size) / 2.0;
            let keep = |v: f64, half: f64, low: f64, high: f64| v.min(high - half).max(low + half);
            let gap = style.gap * 0.5;
            let px = keep(px, half + gap, area.x, area.right());
            let py = keep(py, size * 0.6, area.y, area.bottom());
            let back = (x.value((px - area.x) / area.w), y.value((area.bottom() - py) / area.h));
            let anchored = letters(ink, size).pos(Pos::new(HPos::Center, VPos::Center));
            if let Some(tip) = to.and_then(place) {
                let line = pen(ink, 1.0, look.width.unwrap_or(style.line * 0.6));
                let hull = [half + gap, size * (CAP + DEPTH) / 2.0 + gap];
                arrow(on, [x, y], area, [px, py], hull, tip, line, style.line)?;
            }
            on.draw(&Text::new(text.clone(), back, anchored))?;
        }
        _ => {}
    }
    Ok(())
}

/// A line from the edge of a text (its middle and half its size) to a point, with a head.
#[expect(clippy::too_many_arguments, reason = "the parts of one arrow, used once")]
fn arrow(
    on: &Surface,
    [x, y]: [&Axis; 2],
    area: Area,
    middle: [f64; 2],
    hull: [f64; 2],
    tip: [f64; 2],
    line: plotters::style::ShapeStyle,
    unit: f64,
) -> Result<()> {
    let way = [tip[0] - middle[0], tip[1] - middle[1]];
    let length = way[0].hypot(way[1]);
    // how far along the way the edge of the text is
    let edge = (hull[0] / way[0].abs().max(1e-9)).min(hull[1] / way[1].abs().max(1e-9));
    if edge >= 1.0 {
        return Ok(());
    }
    let along = [way[0] / length, way[1] / length];
    let (long, wide) = (unit * 4.0, unit * 1.6);
    let neck = [tip[0] - along[0] * long * 0.8, tip[1] - along[1] * long * 0.8];
    let side = |s: f64| {
        [
            tip[0] - along[0] * long - s * along[1] * wide,
            tip[1] - along[1] * long + s * along[0] * wide,
        ]
    };
    let back = |p: [f64; 2]| {
        (
            x.value((p[0] - area.x) / area.w),
            y.value((area.bottom() - p[1]) / area.h),
        )
    };
    let start = [middle[0] + way[0] * edge, middle[1] + way[1] * edge];
    on.draw(&PathElement::new(vec![back(start), back(neck)], line))?;
    on.draw(&Polygon::new(
        [tip, side(1.0), side(-1.0)].map(back).to_vec(),
        line.color.filled(),
    ))?;
    Ok(())
}

/// The value of a bar beyond its end, or in the middle of it; smaller where the bars are narrow.
#[expect(clippy::too_many_arguments, reason = "the parts of one label, used once")]
pub(super) fn value(
    backend: &Backend,
    on: &Surface,
    at: (f64, f64),
    label: &str,
    [x, y]: [&Axis; 2],
    lies: bool,
    inside: bool,
    down: bool,
    room: f64,
) -> Result<()> {
    let (Some(px), Some(py)) = (x.bound(at.0), y.bound(at.1)) else {
        return Ok(());
    };
    let style = backend.0.borrow().style.clone();
    let wide = backend.0.borrow().font.width(label, 1.0);
    let fits = if lies { room / 1.1 } else { room / wide * 1.2 };
    let size = (style.small * 0.9).min(fits).max(style.small * 0.5);
    let anchor = match (lies, inside, down) {
        (_, true, _) => Pos::new(HPos::Center, VPos::Center),
        (true, _, false) => Pos::new(HPos::Left, VPos::Center),
        (true, _, true) => Pos::new(HPos::Right, VPos::Center),
        (false, _, false) => Pos::new(HPos::Center, VPos::Bottom),
        (false, _, true) => Pos::new(HPos::Center, VPos::Top),
    };
    let beside = units(style.gap * 0.7) as i32;
    let away = match (lies, inside, down) {
        (true, false, false) => beside,
        (true, false, true) => -beside,
        _ => 0,
    };
    let text = Text::new(label.to_string(), (away, 0), letters(style.ink, size).pos(anchor));
    on.draw(&(EmptyElement::at((px, py)) + text))?;
    Ok(())
}
