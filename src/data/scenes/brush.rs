//! Simple shapes in one colour, lit and seen through the air.

use super::canvas::{Bounds, Canvas, Capsule, Colour, Polygon, scaled};
use super::street::Street;

/// Paints a thing that stands at (x, z) in the street.
pub(super) struct Brush<'a> {
    pub street: &'a Street,
    pub canvas: &'a mut Canvas,
    /// The class of what is painted.
    pub class: u8,
    pub x: f32,
    pub z: f32,
}

impl Brush<'_> {
    /// Where the point `x` metres to the right of the thing's middle and `y` metres above the ground appears.
    pub fn at(&self, x: f32, y: f32) -> [f32; 2] {
        self.street.project(self.x + x, y, self.z)
    }

    /// Pixels per metre.
    pub fn scale(&self) -> f32 {
        self.street.scale(self.z)
    }

    /// `colour` in the light on a face towards the viewer.
    pub fn lit(&self, colour: Colour) -> Colour {
        scaled(colour, self.street.weather.light[1])
    }

    /// A flat shape of one colour, brighter at the top.
    pub fn fill(&mut self, shape: &Polygon, colour: Colour) {
        let colour = self.street.through_air(colour, self.z);
        let b = shape.bounds();
        let height = (b.3 - b.1).max(1.0);
        let shade = |_: f32, y: f32| scaled(colour, 1.1 - 0.25 * (y - b.1) / height);
        self.canvas.paint(b, self.class, |x, y| shape.contains(x, y), shade);
    }

    /// A limb or a rod from `a` to `b`, brighter on the side of the light.
    pub fn stroke(&mut self, a: [f32; 2], b: [f32; 2], radius: f32, colour: Colour) {
        let colour = self.street.through_air(colour, self.z);
        let shape = Capsule { a, b, radius };
        let [left, _, right] = self.street.weather.light;
        let light = if left > right { -1.0 } else { 1.0 };
        let middle = (a[0] + b[0]) / 2.0;
        let wide = (b[0] - a[0]).abs() / 2.0 + radius;
        let shade = |x: f32, _: f32| scaled(colour, 1.0 + 0.25 * light * ((x - middle) / wide).clamp(-1.0, 1.0));
        let inside = |x: f32, y: f32| shape.contains(x, y);
        self.canvas.paint(shape.bounds(), self.class, inside, shade);
    }

    /// A shadow on the ground: an ellipse `wide` by `long` metres around the point `ahead` metres beyond the thing.
    pub fn shadow(&mut self, ahead: f32, wide: f32, long: f32) {
        let (street, x, z) = (self.street, self.x, self.z + ahead);
        let middle = street.project(x, 0.0, z);
        let rx = wide / 2.0 * street.scale(z);
        let near = street.project(x, 0.0, (z - long / 2.0).max(0.8))[1];
        let far = street.project(x, 0.0, z + long / 2.0)[1];
        let (cy, ry) = ((near + far) / 2.0, ((near - far) / 2.0).max(0.6));
        let bounds = Bounds(middle[0] - rx, far, middle[0] + rx, near);
        let inside = |px: f32, py: f32| ((px - middle[0]) / rx).powi(2) + ((py - cy) / ry).powi(2) <= 1.0;
        self.canvas.darken(bounds, street.weather.shadow.min(0.7), inside);
    }

    /// A filled ellipse of one colour.
    pub fn ellipse(&mut self, [cx, cy]: [f32; 2], [rx, ry]: [f32; 2], colour: Colour) {
        let colour = self.street.through_air(colour, self.z);
        let inside = |x: f32, y: f32| ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2) <= 1.0;
        let shade = |_: f32, y: f32| scaled(colour, 1.0 - 0.15 * (y - cy) / ry);
        let bounds = Bounds(cx - rx, cy - ry, cx + rx, cy + ry);
        self.canvas.paint(bounds, self.class, inside, shade);
    }
}
