//! Panels that hold a picture: its frame, its texts, markers on it.

use super::area::Area;
use super::figure::Panel;
use super::font::{CAP, DEPTH, Font};
use super::layers::Layer;
use super::layout::{Margins, draw_title, title_room};
use super::legend::{Entry, Legend};
use super::options::Look;
use super::palette::Marker;
use super::picture::Picture;
use super::style::Style;
use super::svg::{Anchor, Canvas, Stroke};
use super::text::Block;
use crate::error::Result;

/// A panel with a picture, its texts laid out.
pub(super) struct Plan<'a> {
    picture: &'a Picture,
    sharp: bool,
    points: &'a [([f64; 2], Look)],
    classes: &'a [Entry],
    /// Where the classes stand: right or left, below or above.
    corner: Option<(bool, bool)>,
    title: Block,
    x: Block,
    y: Block,
    pub(super) margins: Margins,
}

/// Lay the texts around the picture.
pub(super) fn plan<'a>(panel: &'a Panel, [width, height]: [f64; 2], style: &Style, font: &Font) -> Option<Plan<'a>> {
    let (Layer::Picture { picture, sharp, points }, _) = panel.layers.first()? else {
        return None;
    };
    let [title, x] = [&panel.title, &panel.sides[0].label].map(|text| Block::new(text, style.size, width, font));
    let y = Block::new(&panel.sides[1].label, style.size, height, font);
    let gap = style.gap * 0.6;
    let margins = [y.room(gap), 0.0, title_room(&title, style), x.room(gap)];
    Some(Plan {
        picture,
        sharp: *sharp,
        points,
        classes: &panel.classes,
        corner: panel.place.corner(),
        title,
        x,
        y,
        margins,
    })
}

impl Plan<'_> {
    /// Height over width of the picture.
    pub(super) fn aspect(&self) -> f64 {
        self.picture.aspect()
    }

    /// Draw the picture as large as it fits into `area`.
    pub(super) fn draw(&self, canvas: &mut Canvas, area: Area) -> Result<()> {
        let style = canvas.style.clone();
        let inside = area.fitted(self.aspect());
        canvas.picture(inside, self.picture, self.sharp)?;
        canvas.frame(inside, Stroke::solid(style.edge, style.thin));
        for (at, look) in self.points {
            self.draw_point(canvas, inside, *at, look, &style);
        }
        if let Some((right, low)) = self.corner.filter(|_| !self.classes.is_empty()) {
            let legend = Legend::arrange(self.classes, 1, inside.w - 2.0 * style.gap, &style, &canvas.font);
            let [x, y] = inside.corner(right, low, legend.size, style.gap);
            legend.draw_on_ground(canvas, [x, y], self.classes);
        }
        draw_title(canvas, &self.title, Area::new(area.x, inside.y, area.w, inside.h), 0.0);
        let below = inside.bottom() + style.gap * 0.6;
        self.x.draw(canvas, [area.x + area.w / 2.0, below]);
        self.y
            .draw_rising(canvas, [area.x - self.margins[0], area.y + area.h / 2.0]);
        Ok(())
    }

    fn draw_point(&self, canvas: &mut Canvas, inside: Area, at: [f64; 2], look: &Look, style: &Style) {
        let scale = inside.w / self.picture.width as f64;
        let place = [inside.x + at[0] * scale, inside.y + at[1] * scale];
        let radius = look.size.map_or(style.marker * 1.3, |d| d / 2.0);
        let shape = look.marker.unwrap_or(Marker::Circle);
        let colour = style.ink_of(look).unwrap_or([0xD6, 0x27, 0x28]);
        // white around it, so that it is seen on any ground
        canvas.marker(shape, place, radius * 1.4, [255; 3], 0.9);
        canvas.marker(shape, place, radius, colour, look.alpha.unwrap_or(1.0));
        if look.label.is_empty() {
            return;
        }
        // a name stands on a light ground, to the right of its point or where the picture ends there to the left
        let [wide, high] = [canvas.font.width(&look.label, style.small), style.small * (CAP + DEPTH)];
        let away = radius * 1.4 + style.gap * 0.5;
        let left = match place[0] + away + wide + style.gap > inside.right() {
            true => place[0] - away - wide,
            false => place[0] + away,
        };
        let ground = Area::new(left, place[1] - style.small * CAP / 2.0, wide, high);
        canvas.rect(ground.grown(style.gap * 0.3), [255; 3], 0.8);
        let base = [left, place[1] + style.small * CAP / 2.0];
        canvas.text(base, &look.label, style.small, Anchor::Start, 0.0, colour);
    }
}
