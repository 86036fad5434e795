//! Where the legend of a panel with axes stands: where it covers no data.

use super::area::Area;
use super::backend::Backend;
use super::chart::Plan;
use super::legend::Legend;
use super::style::Style;
use super::svg::Canvas;
use crate::error::Result;

/// Where a legend stands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Spot {
    Inside,
    Corner(bool, bool),
    Below,
}

impl Plan<'_> {
    /// Whether a legend in the panel would cover data; the panel is drawn once to see.
    pub(super) fn crowded(&self, backend: &Backend, inner: [f64; 2]) -> Result<bool> {
        let Some((_, Spot::Inside)) = &self.legend else {
            return Ok(false);
        };
        let [left, _, top, _] = self.margins;
        let area = Area::new(left, top, inner[0], inner[1]);
        backend.canvas().marks = Some(Vec::new());
        backend.canvas().dry = true;
        let drawn = self.draw_data(backend, area);
        let mut canvas = backend.canvas();
        let covers = self.free_spot(&canvas, area).is_none();
        canvas.clear();
        drawn.map(|()| covers)
    }

    /// The arrangement and the place of a legend that covers no marks.
    pub(super) fn free_spot(&self, canvas: &Canvas, area: Area) -> Option<(Legend, [f64; 2])> {
        let marks = canvas.marks.as_deref().unwrap_or_default();
        let style = &canvas.style;
        let (edge, margin) = (style.gap, style.gap * 0.8);
        for columns in [1, 2, 3] {
            let legend = self.arranged(columns, area.w - 2.0 * edge, style, &canvas.font);
            let [w, h] = legend.size;
            if w > 0.75 * area.w || h > 0.6 * area.h {
                continue;
            }
            let middle = area.x + (area.w - w) / 2.0;
            let corners = [true, false].map(|right| [false, true].map(|low| area.corner(right, low, [w, h], edge)));
            let [above, below] = corners[0].map(|corner| [middle, corner[1]]);
            for at in corners.into_iter().flatten().chain([above, below]) {
                let taken = Area::new(at[0], at[1], w, h).grown(margin);
                if !marks.iter().any(|p| taken.contains(*p)) {
                    return Some((legend, at));
                }
            }
        }
        None
    }

    pub(super) fn draw_legend(&self, canvas: &mut Canvas, area: Area, free: Option<(Legend, [f64; 2])>, style: &Style) {
        let Some((legend, spot)) = &self.legend else { return };
        let [w, h] = legend.size;
        let (legend, at) = match (spot, &free) {
            (Spot::Inside, Some((legend, at))) => (legend, *at),
            (Spot::Below, _) => {
                let outer = area.w + self.margins[0] + self.margins[1];
                let left = area.x - self.margins[0] + ((outer - w) / 2.0).max(0.0);
                (legend, [left, area.bottom() + self.margins[3] - h])
            }
            (Spot::Inside, None) => (legend, area.corner(true, false, legend.size, style.gap)),
            (Spot::Corner(right, low), _) => (legend, area.corner(*right, *low, legend.size, style.gap)),
        };
        match spot {
            Spot::Below => legend.draw(canvas, at, &self.entries),
            Spot::Inside | Spot::Corner(..) => legend.draw_on_ground(canvas, at, &self.entries),
        }
    }
}
