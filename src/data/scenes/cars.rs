//! Cars, from behind, in front and the side.

use super::brush::Brush;
use super::canvas::{Colour, Polygon, drawn, hsv, scaled};
use crate::random::Random;

/// A car's paint: mostly white, grey, black; otherwise any hue.
fn car_colour(random: &mut Random) -> Colour {
    if random.chance(0.55) {
        [random.between(0.06, 0.85); 3]
    } else {
        drawn(random, [0.0, 1.0], [0.4, 0.9], [0.25, 0.8])
    }
}

/// A car that drives along the street: its end and the side turned to the viewer, as a box with a cabin on top.
pub(super) fn paint_car(brush: &mut Brush, random: &mut Random) {
    let (street, x) = (brush.street, brush.x);
    let (half, long) = (random.between(0.82, 0.98), random.between(3.8, 4.8));
    let (belt, roof) = (random.between(0.8, 1.0), random.between(1.35, 1.85));
    let colour = car_colour(random);
    let glass = scaled(hsv(0.6, 0.2, 1.0), random.between(0.1, 0.35));
    let rear = random.chance(0.6);
    let light = street.weather.light;
    let (z0, z1) = (brush.z, brush.z + long);
    brush.shadow(long / 2.0, half * 2.6, long * 1.1);
    // The far end sits a little inwards; the cabin more so.
    let (cab0, cab1) = (
        z0 + long * random.between(0.08, 0.2),
        z1 - long * random.between(0.2, 0.32),
    );
    let inset = half * 0.82;
    let shape = |corners: [[f32; 3]; 4]| Polygon::new(corners.map(|[right, y, z]| street.project(x + right, y, z)));
    let (top0, top1, sill) = (cab0 + 0.25, cab1 - 0.5, belt - 0.08);
    // The flank that can be seen, if any.
    if x.abs() > half {
        let way = if x > half { -1.0 } else { 1.0 };
        let (side, inner) = (way * half, way * inset);
        let lit = light[if way < 0.0 { 0 } else { 2 }];
        let cabin = shape([
            [side, sill, cab0],
            [inner, roof, top0],
            [inner, roof, top1],
            [side, sill, cab1],
        ]);
        brush.fill(&cabin, scaled(colour, lit));
        brush.fill(&cabin.shrunk(0.75), scaled(glass, lit));
        let body = shape([[side, 0.25, z0], [side, belt, z0], [side, belt, z1], [side, 0.25, z1]]);
        brush.fill(&body, scaled(colour, lit));
        for z in [z0 + long * 0.2, z1 - long * 0.2] {
            let point = |i: u8| {
                let a = f32::from(i) * std::f32::consts::TAU / 10.0;
                street.project(x + side, 0.32 + 0.32 * a.sin(), z + 0.32 * a.cos())
            };
            brush.z = z;
            brush.fill(&Polygon::new((0..10).map(point).collect::<Vec<_>>()), [0.05; 3]);
        }
        brush.z = z0;
    }
    // A part that lies flat or leans, from its near to its far edge: half the width, height and z of each.
    let level = |[w0, y0, z0]: [f32; 3], [w1, y1, z1]: [f32; 3]| {
        shape([[-w0, y0, z0], [w0, y0, z0], [w1, y1, z1], [-w1, y1, z1]])
    };
    let ground_light = street.weather.ground_light;
    let top = level([inset, roof, top0], [inset, roof, top1]);
    brush.fill(&top, scaled(colour, 1.1 * ground_light));
    brush.fill(
        &level([half, belt, z0], [half, belt, cab0]),
        scaled(colour, ground_light),
    );
    let cabin = level([half, sill, cab0], [inset, roof, top0]);
    brush.fill(&cabin, scaled(colour, light[1]));
    brush.fill(&cabin.shrunk(0.8), scaled(glass, 1.2 * light[1]));
    for left in [-0.75, 0.5] {
        let tyre = [[left, 0.0], [left + 0.25, 0.0], [left + 0.25, 0.4], [left, 0.4]]
            .map(|[right, y]| [right * half / 0.75, y, z0 + 0.05]);
        brush.fill(&shape(tyre), [0.04; 3]);
    }
    // Parts of the end, from x0 to x1 (1 is half the car's width) and from y0 to y1.
    let lamp = if rear { [0.75, 0.06, 0.05] } else { [1.0, 0.97, 0.85] };
    for ([x0, x1, y0, y1], colour) in [
        ([-1.0, 1.0, 0.22, belt], scaled(colour, light[1])),
        ([-1.0, 1.0, 0.22, 0.36], scaled(colour, light[1] * 0.45)),
        ([-0.97, -0.68, belt - 0.3, belt - 0.12], lamp),
        ([0.68, 0.97, belt - 0.3, belt - 0.12], lamp),
        ([-0.28, 0.28, 0.45, 0.57], scaled([0.9, 0.88, 0.75], light[1])),
    ] {
        let part = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]].map(|[right, y]| [right * half, y, z0]);
        brush.fill(&shape(part), colour);
    }
}

/// A car on the crossing road, seen from the side.
pub(super) fn paint_passing_car(brush: &mut Brush, random: &mut Random) {
    let colour = brush.lit(car_colour(random));
    let long = random.between(3.9, 4.8);
    let way = if random.chance(0.5) { 1.0 } else { -1.0 };
    brush.shadow(0.0, long * 1.1, 1.8);
    let glass = [0.15, 0.17, 0.2];
    // Cabin, windows, body: the corners along the car (0 to 1) and their height.
    let parts: [(&[[f32; 2]], Colour); 4] = [
        (&[[0.08, 0.85], [0.22, 1.42], [0.58, 1.45], [0.76, 0.85]], colour),
        (&[[0.14, 0.88], [0.25, 1.33], [0.39, 1.35], [0.39, 0.88]], glass),
        (&[[0.42, 0.88], [0.42, 1.35], [0.56, 1.36], [0.70, 0.88]], glass),
        (
            &[[0.0, 0.3], [0.0, 0.85], [0.76, 0.9], [0.98, 0.72], [1.0, 0.3]],
            colour,
        ),
    ];
    for (corners, colour) in parts {
        let corner = |&[along, y]: &[f32; 2]| brush.at(way * (along - 0.5) * long, y);
        let shape = Polygon::new(corners.iter().map(corner).collect::<Vec<_>>());
        brush.fill(&shape, colour);
    }
    let radius = 0.33 * brush.scale();
    for along in [0.2, 0.8] {
        let middle = brush.at(way * (along - 0.5) * long, 0.33);
        brush.ellipse(middle, [radius; 2], [0.05; 3]);
    }
}
