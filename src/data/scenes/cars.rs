//! Cars, from behind, in front and the side.

use super::brush::{ellipse, fill, ground_shadow};
use super::canvas::{Canvas, Colour, Polygon, hsv, scaled};
use super::class;
use super::street::Street;
use super::things::Thing;
use crate::random::Random;

/// A car's paint: mostly white, grey, black; otherwise any hue.
fn car_colour(random: &mut Random) -> Colour {
    if random.chance(0.55) {
        [random.uniform(0.06, 0.85) as f32; 3]
    } else {
        hsv(
            random.unit() as f32,
            random.uniform(0.4, 0.9) as f32,
            random.uniform(0.25, 0.8) as f32,
        )
    }
}

/// A car that drives along the street: its end and the side turned to the viewer, as a box with a cabin on top.
pub(super) fn paint_car(street: &Street, canvas: &mut Canvas, at: &Thing, random: &mut Random) {
    let u = |random: &mut Random, a: f64, b: f64| random.uniform(a, b) as f32;
    let (half, long) = (u(random, 0.82, 0.98), u(random, 3.8, 4.8));
    let (belt, roof) = (u(random, 0.8, 1.0), u(random, 1.35, 1.85));
    let colour = car_colour(random);
    let glass = scaled(hsv(0.6, 0.2, 1.0), u(random, 0.1, 0.35));
    let rear = random.chance(0.6);
    let light = street.weather.light;
    let (z0, z1) = (at.z, at.z + long);
    let point = |x: f32, y: f32, z: f32| street.project(x, y, z);
    ground_shadow(street, canvas, [at.x, at.z + long / 2.0], half * 2.6, long * 1.1);
    // The far end sits a little inwards; the cabin more so.
    let (cab0, cab1) = (z0 + long * u(random, 0.08, 0.2), z1 - long * u(random, 0.2, 0.32));
    let inset = half * 0.82;
    let mut part = |shape: Polygon, colour: Colour, z: f32| fill(street, canvas, class::CAR, &shape, colour, z);
    // The flank that can be seen, if any.
    let flank = if at.x > half {
        Some(-1.0)
    } else {
        (at.x < -half).then_some(1.0)
    };
    let (top0, top1) = (cab0 + 0.25, cab1 - 0.5);
    if let Some(way) = flank {
        let (x, xi) = (at.x + way * half, at.x + way * inset);
        let lit = light[if way < 0.0 { 0 } else { 2 }];
        let cabin = [
            point(x, belt - 0.08, cab0),
            point(xi, roof, top0),
            point(xi, roof, top1),
            point(x, belt - 0.08, cab1),
        ];
        part(Polygon::new(cabin), scaled(colour, lit), z0);
        part(Polygon::new(cabin).shrunk(0.75), scaled(glass, lit), z0);
        let body = [
            point(x, 0.25, z0),
            point(x, belt, z0),
            point(x, belt, z1),
            point(x, 0.25, z1),
        ];
        part(Polygon::new(body), scaled(colour, lit), z0);
        for z in [z0 + long * 0.2, z1 - long * 0.2] {
            let wheel: Vec<[f32; 2]> = (0..10)
                .map(|i| {
                    let a = i as f32 * std::f32::consts::TAU / 10.0;
                    point(x, 0.32 + 0.32 * a.sin(), z + 0.32 * a.cos())
                })
                .collect();
            part(Polygon::new(wheel), [0.05; 3], z);
        }
    }
    let top = [
        point(at.x - inset, roof, top0),
        point(at.x + inset, roof, top0),
        point(at.x + inset, roof, top1),
        point(at.x - inset, roof, top1),
    ];
    part(Polygon::new(top), scaled(colour, 1.1 * street.weather.ground_light), z0);
    let deck = [
        point(at.x - half, belt, z0),
        point(at.x + half, belt, z0),
        point(at.x + half, belt, cab0),
        point(at.x - half, belt, cab0),
    ];
    part(Polygon::new(deck), scaled(colour, street.weather.ground_light), z0);
    let cabin = [
        point(at.x - half, belt - 0.08, cab0),
        point(at.x + half, belt - 0.08, cab0),
        point(at.x + inset, roof, top0),
        point(at.x - inset, roof, top0),
    ];
    part(Polygon::new(cabin), scaled(colour, light[1]), z0);
    part(Polygon::new(cabin).shrunk(0.8), scaled(glass, 1.2 * light[1]), z0);
    for x in [-0.75, 0.5] {
        let tyre = [[x, 0.0], [x + 0.25, 0.0], [x + 0.25, 0.4], [x, 0.4]]
            .map(|[dx, y]| point(at.x + dx * half / 0.75, y, z0 + 0.05));
        part(Polygon::new(tyre), [0.04; 3], z0);
    }
    let quad = |x0: f32, x1: f32, y0: f32, y1: f32| {
        let x = |x: f32| at.x + x * half;
        Polygon::new([
            point(x(x0), y0, z0),
            point(x(x1), y0, z0),
            point(x(x1), y1, z0),
            point(x(x0), y1, z0),
        ])
    };
    part(quad(-1.0, 1.0, 0.22, belt), scaled(colour, light[1]), z0);
    part(quad(-1.0, 1.0, 0.22, 0.36), scaled(colour, light[1] * 0.45), z0);
    let lamp = if rear { [0.75, 0.06, 0.05] } else { [1.0, 0.97, 0.85] };
    part(quad(-0.97, -0.68, belt - 0.3, belt - 0.12), lamp, z0);
    part(quad(0.68, 0.97, belt - 0.3, belt - 0.12), lamp, z0);
    part(quad(-0.28, 0.28, 0.45, 0.57), scaled([0.9, 0.88, 0.75], light[1]), z0);
}

/// A car on the crossing road, seen from the side.
pub(super) fn paint_passing_car(street: &Street, canvas: &mut Canvas, at: &Thing, random: &mut Random) {
    let (z, light) = (at.z, street.weather.light[1]);
    let colour = scaled(car_colour(random), light);
    let (long, way) = (
        random.uniform(3.9, 4.8) as f32,
        if random.chance(0.5) { 1.0 } else { -1.0 },
    );
    let point = |along: f32, y: f32| street.project(at.x + way * (along - 0.5) * long, y, z);
    ground_shadow(street, canvas, [at.x, z], long * 1.1, 1.8);
    let mut part =
        |points: Vec<[f32; 2]>, colour: Colour| fill(street, canvas, class::CAR, &Polygon::new(points), colour, z);
    part(
        vec![
            point(0.08, 0.85),
            point(0.22, 1.42),
            point(0.58, 1.45),
            point(0.76, 0.85),
        ],
        colour,
    );
    part(
        vec![
            point(0.14, 0.88),
            point(0.25, 1.33),
            point(0.39, 1.35),
            point(0.39, 0.88),
        ],
        [0.15, 0.17, 0.2],
    );
    part(
        vec![
            point(0.42, 0.88),
            point(0.42, 1.35),
            point(0.56, 1.36),
            point(0.70, 0.88),
        ],
        [0.15, 0.17, 0.2],
    );
    part(
        vec![
            point(0.0, 0.3),
            point(0.0, 0.85),
            point(0.76, 0.9),
            point(0.98, 0.72),
            point(1.0, 0.3),
        ],
        colour,
    );
    let radius = 0.33 * street.scale(z);
    for along in [0.2, 0.8] {
        ellipse(
            street,
            canvas,
            class::CAR,
            point(along, 0.33),
            [radius; 2],
            ([0.05; 3], z),
        );
    }
}
