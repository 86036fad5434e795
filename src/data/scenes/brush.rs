//! Simple shapes in one colour, lit and seen through the air.

use super::canvas::{Bounds, Canvas, Capsule, Colour, Polygon, scaled};
use super::street::Street;

/// A flat shape of one colour, a little brighter on the side of the light and at the top.
pub(super) fn fill(street: &Street, canvas: &mut Canvas, class: u8, shape: &Polygon, colour: Colour, z: f32) {
    let colour = street.through_air(colour, z);
    let b = shape.bounds();
    let height = (b.3 - b.1).max(1.0);
    let shade = |_: f32, y: f32| scaled(colour, 1.1 - 0.25 * (y - b.1) / height);
    canvas.paint(b, class, |x, y| shape.contains(x, y), shade);
}

/// A limb or a rod.
pub(super) fn stroke(
    street: &Street,
    canvas: &mut Canvas,
    class: u8,
    a: [f32; 2],
    b: [f32; 2],
    radius: f32,
    look: (Colour, f32),
) {
    let colour = street.through_air(look.0, look.1);
    let shape = Capsule { a, b, radius };
    let light = if street.weather.light[0] > street.weather.light[2] {
        -1.0
    } else {
        1.0
    };
    let middle = (a[0] + b[0]) / 2.0;
    let wide = (b[0] - a[0]).abs() / 2.0 + radius;
    let shade = |x: f32, _: f32| scaled(colour, 1.0 + 0.25 * light * ((x - middle) / wide).clamp(-1.0, 1.0));
    canvas.paint(shape.bounds(), class, |x, y| shape.contains(x, y), shade);
}

/// A shadow on the ground: an ellipse `wide` by `long` metres around (x, z).
pub(super) fn ground_shadow(street: &Street, canvas: &mut Canvas, [x, z]: [f32; 2], wide: f32, long: f32) {
    let middle = street.project(x, 0.0, z);
    let rx = wide / 2.0 * street.scale(z);
    let near = street.project(x, 0.0, (z - long / 2.0).max(0.8))[1];
    let far = street.project(x, 0.0, z + long / 2.0)[1];
    let (cy, ry) = ((near + far) / 2.0, ((near - far) / 2.0).max(0.6));
    let bounds = Bounds(middle[0] - rx, far, middle[0] + rx, near);
    canvas.darken(bounds, street.weather.shadow.min(0.7), |px, py| {
        ((px - middle[0]) / rx).powi(2) + ((py - cy) / ry).powi(2) <= 1.0
    });
}

/// A filled ellipse of one colour.
pub(super) fn ellipse(
    street: &Street,
    canvas: &mut Canvas,
    class: u8,
    [cx, cy]: [f32; 2],
    [rx, ry]: [f32; 2],
    look: (Colour, f32),
) {
    let colour = street.through_air(look.0, look.1);
    let inside = |x: f32, y: f32| ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2) <= 1.0;
    let shade = |_: f32, y: f32| scaled(colour, 1.0 - 0.15 * (y - cy) / ry);
    canvas.paint(Bounds(cx - rx, cy - ry, cx + rx, cy + ry), class, inside, shade);
}
