//! Where the legend of a panel with axes stands: where it covers no data.

use super::area::Area;
use super::backend::Backend;
use super::chart::Plan;
use super::legend::Legend;
use super::options::LegendPlace;
use super::style::Style;
use super::svg::Canvas;
use crate::error::Result;

/// A legend and its left upper corner.
type Placed = (Legend, [f64; 2]);

impl Plan<'_> {
    /// Whether a legend in the panel would cover data; the panel is drawn once to see.
    pub(super) fn crowded(&self, backend: &Backend, inner: [f64; 2]) -> Result<bool> {
        if self.place != LegendPlace::Best {
            return Ok(false);
        }
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
    pub(super) fn free_spot(&self, canvas: &Canvas, area: Area) -> Option<Placed> {
        let marks = canvas.marks.as_deref().unwrap_or_default();
        let style = &canvas.style;
        let (edge, margin) = (style.gap, style.gap * 0.8);
        for columns in [1, 2, 3] {
            let legend = self.legend(columns, area.w - 2.0 * edge, style, &canvas.font);
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

    pub(super) fn draw_legend(&self, canvas: &mut Canvas, area: Area, free: Option<Placed>, style: &Style) {
        let entries = &self.content.entries;
        if self.place == LegendPlace::Below {
            let legend = self.legend(usize::MAX, area.w, style, &canvas.font);
            let [w, h] = legend.size;
            let outer = area.w + self.margins[0] + self.margins[1];
            let left = area.x - self.margins[0] + ((outer - w) / 2.0).max(0.0);
            legend.draw(canvas, [left, area.bottom() + self.margins[3] - h], entries);
        } else if self.place != LegendPlace::Nowhere {
            let (right, low) = self.place.corner().unwrap_or((true, false));
            let (legend, at) = free.filter(|_| self.place == LegendPlace::Best).unwrap_or_else(|| {
                let legend = self.legend(1, area.w, style, &canvas.font);
                let at = area.corner(right, low, legend.size, style.gap);
                (legend, at)
            });
            legend.draw_on_ground(canvas, at, entries);
        }
    }
}
