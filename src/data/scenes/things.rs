//! What stands and moves in the street: trees, cars, people, poles, signs; drawn from far to near.

use super::canvas::{Bounds, Canvas, Capsule, Colour, Polygon, hash, hsv, mix, noise, scaled};
use super::class;
use super::street::{Street, leaf_colour};
use crate::random::Random;

/// A thing at (x, z); the rest of its looks is drawn from its own stream when it is painted.
struct Thing {
    kind: Kind,
    x: f32,
    z: f32,
}

#[derive(Clone, Copy)]
enum Kind {
    Tree,
    /// Seen from behind or in front.
    Car,
    /// Seen from the side.
    PassingCar,
    Person,
    Lamp,
    Sign,
}

/// Place things along the street and paint them from far to near.
pub(super) fn paint_things(street: &Street, canvas: &mut Canvas, random: &mut Random) {
    let mut things = Vec::new();
    let uniform = |random: &mut Random, a: f32, b: f32| random.uniform(f64::from(a), f64::from(b)) as f32;
    for side in [0, 1] {
        let outward = if side == 0 { -1.0 } else { 1.0 };
        let (edge, line) = (street.road[side], street.line[side]);
        let kerb = |offset: f32| edge + outward * offset;
        if random.chance(0.6) {
            let step = uniform(random, 6.0, 16.0);
            let start = uniform(random, 3.0, 12.0);
            for i in 0..6 {
                let z = start + i as f32 * step + uniform(random, -1.0, 1.0);
                if z < 60.0 && random.chance(0.75) && !street.crosses(z - 1.0, z + 1.0) {
                    things.push(Thing {
                        kind: Kind::Tree,
                        x: kerb(uniform(random, 0.8, 1.6)),
                        z,
                    });
                }
            }
        }
        let step = uniform(random, 9.0, 22.0);
        let start = uniform(random, 3.0, 14.0);
        for i in 0..4 {
            let z = start + i as f32 * step;
            if z < 55.0 && random.chance(0.8) && !street.crosses(z, z) {
                things.push(Thing {
                    kind: Kind::Lamp,
                    x: kerb(uniform(random, 0.3, 0.7)),
                    z,
                });
            }
        }
        for _ in 0..random.below(4) {
            let z = uniform(random, 4.0, 22.0);
            if !street.crosses(z, z) {
                things.push(Thing {
                    kind: Kind::Sign,
                    x: kerb(uniform(random, 0.3, 0.9)),
                    z,
                });
            }
        }
        for _ in 0..random.below(5) {
            let z = uniform(random, 3.5, 28.0);
            let x = edge + (line - edge) * uniform(random, 0.15, 0.9);
            things.push(Thing {
                kind: Kind::Person,
                x,
                z,
            });
        }
        if random.chance(0.5) {
            let start = uniform(random, 4.0, 12.0);
            for i in 0..5 {
                let z = start + i as f32 * uniform(random, 5.8, 7.5);
                if random.chance(0.7) && !street.crosses(z, z + 4.5) {
                    things.push(Thing {
                        kind: Kind::Car,
                        x: kerb(-1.1),
                        z,
                    });
                }
            }
        }
    }
    let [left, right] = street.road;
    for _ in 0..random.below(4) {
        let lane = uniform(random, 0.3, 0.7);
        things.push(Thing {
            kind: Kind::Car,
            x: left + (right - left) * lane,
            z: uniform(random, 6.0, 45.0),
        });
    }
    if let Some([near, far]) = street.crossing.filter(|_| random.chance(0.6)) {
        let x = uniform(random, left * 1.5, right * 1.5);
        things.push(Thing {
            kind: Kind::PassingCar,
            x,
            z: near + (far - near) * 0.4,
        });
    }
    if random.chance(0.3) {
        let z = uniform(random, 6.0, 20.0); // someone crosses the road
        things.push(Thing {
            kind: Kind::Person,
            x: uniform(random, left, right),
            z,
        });
    }
    things.sort_by(|a, b| b.z.total_cmp(&a.z));
    for thing in &things {
        match thing.kind {
            Kind::Tree => paint_tree(street, canvas, thing, random),
            Kind::Car => paint_car(street, canvas, thing, random),
            Kind::PassingCar => paint_passing_car(street, canvas, thing, random),
            Kind::Person => paint_person(street, canvas, thing, random),
            Kind::Lamp => paint_lamp(street, canvas, thing, random),
            Kind::Sign => paint_sign(street, canvas, thing, random),
        }
    }
}

/// A flat shape of one colour, a little brighter on the side of the light and at the top.
fn fill(street: &Street, canvas: &mut Canvas, class: u8, shape: &Polygon, colour: Colour, z: f32) {
    let colour = street.through_air(colour, z);
    let b = shape.bounds();
    let height = (b.3 - b.1).max(1.0);
    let shade = |_: f32, y: f32| scaled(colour, 1.1 - 0.25 * (y - b.1) / height);
    canvas.paint(b, class, |x, y| shape.contains(x, y), shade);
}

/// A limb or a rod.
fn stroke(street: &Street, canvas: &mut Canvas, class: u8, a: [f32; 2], b: [f32; 2], radius: f32, look: (Colour, f32)) {
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
fn ground_shadow(street: &Street, canvas: &mut Canvas, [x, z]: [f32; 2], wide: f32, long: f32) {
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

fn ellipse(
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

/// A trunk and a crown of several overlapping balls with a ragged outline.
fn paint_tree(street: &Street, canvas: &mut Canvas, at: &Thing, random: &mut Random) {
    let u = |random: &mut Random, a: f64, b: f64| random.uniform(a, b) as f32;
    let (height, scale) = (u(random, 3.5, 8.5), street.scale(at.z));
    let (crown, trunk) = (u(random, 1.1, 2.4), u(random, 0.1, 0.25));
    let bark = scaled(
        hsv(u(random, 0.04, 0.1), u(random, 0.1, 0.45), u(random, 0.18, 0.4)),
        street.weather.light[1],
    );
    ground_shadow(street, canvas, [at.x, at.z], crown * 2.0, crown * 2.0);
    let foot = street.project(at.x, 0.0, at.z);
    let fork = street.project(at.x + u(random, -0.2, 0.2), height - crown, at.z);
    stroke(street, canvas, class::TREE, foot, fork, trunk * scale, (bark, at.z));
    let blobs: Vec<[f32; 3]> = (0..6)
        .map(|i| {
            let spread = if i == 0 { 0.0 } else { crown * 0.75 };
            let x = at.x + u(random, -1.0, 1.0) * spread;
            let y = height - crown + u(random, -0.6, 0.8) * spread;
            let [px, py] = street.project(x, y, at.z);
            [px, py, crown * u(random, 0.5, 0.85) * scale]
        })
        .collect();
    let (key, leaf, unit) = (random.bits() as u32, leaf_colour(random), scale * 0.35);
    let bounds = blobs
        .iter()
        .fold(Bounds(f32::MAX, f32::MAX, f32::MIN, f32::MIN), |b, [x, y, r]| {
            let r = r * 1.2;
            Bounds(b.0.min(x - r), b.1.min(y - r), b.2.max(x + r), b.3.max(y + r))
        });
    let ragged = |x: f32, y: f32| 0.6 + 0.8 * noise(x / unit, y / unit, key);
    let inside = |x: f32, y: f32| {
        let limit = ragged(x, y);
        blobs
            .iter()
            .any(|[bx, by, r]| (x - bx).powi(2) + (y - by).powi(2) <= r * r * limit)
    };
    let slope = street.weather.light[2] - street.weather.light[0];
    let high = (bounds.3 - bounds.1).max(1.0);
    canvas.paint(bounds, class::TREE, inside, |x, y| {
        let fine = noise(x / unit * 2.5, y / unit * 2.5, key ^ 3);
        let side = (x - fork[0]) / (crown * scale) * slope * 0.5;
        let light = 0.55 + 0.6 * fine + side + 0.35 * (0.5 - (y - bounds.1) / high);
        street.through_air(scaled(leaf, light.max(0.15) * street.weather.light[1] * 1.3), at.z)
    });
}

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
fn paint_car(street: &Street, canvas: &mut Canvas, at: &Thing, random: &mut Random) {
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
fn paint_passing_car(street: &Street, canvas: &mut Canvas, at: &Thing, random: &mut Random) {
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

/// Legs in mid-step, a trunk, arms, a head.
fn paint_person(street: &Street, canvas: &mut Canvas, at: &Thing, random: &mut Random) {
    let u = |random: &mut Random, a: f64, b: f64| random.uniform(a, b) as f32;
    let (tall, wide) = (u(random, 1.5, 1.95), u(random, 0.85, 1.2));
    let (stride, swing) = (u(random, 0.0, 0.3), u(random, -0.25, 0.25));
    let cloth = |random: &mut Random| {
        let saturation = if random.chance(0.5) { 0.1 } else { u(random, 0.3, 0.9) };
        scaled(
            hsv(random.unit() as f32, saturation, u(random, 0.08, 0.85)),
            street.weather.light[1],
        )
    };
    let (coat, trousers) = (cloth(random), cloth(random));
    let skin = scaled(
        hsv(u(random, 0.04, 0.08), u(random, 0.3, 0.55), u(random, 0.3, 0.85)),
        street.weather.light[1],
    );
    let hair = scaled(hsv(0.07, 0.4, u(random, 0.05, 0.4)), street.weather.light[1]);
    let scale = street.scale(at.z);
    let point = |dx: f32, y: f32| street.project(at.x + dx, y * tall / 1.75, at.z);
    ground_shadow(street, canvas, [at.x, at.z], 0.7, 0.5);
    let mut limb = |a: [f32; 2], b: [f32; 2], radius: f32, colour: Colour| {
        stroke(
            street,
            canvas,
            class::PERSON,
            a,
            b,
            radius * wide * scale,
            (colour, at.z),
        );
    };
    limb(
        point(-0.08, 0.85),
        point(-0.08 - stride, 0.06),
        0.085,
        scaled(trousers, 0.85),
    );
    limb(point(0.08, 0.85), point(0.08 + stride, 0.06), 0.085, trousers);
    limb(point(-0.02, 0.95), point(0.02, 1.32), 0.2, coat);
    limb(point(-0.22, 1.35), point(-0.27 - swing, 0.85), 0.06, scaled(coat, 0.85));
    limb(point(0.22, 1.35), point(0.27 + swing, 0.85), 0.06, coat);
    let head = point(0.0, 1.62);
    ellipse(
        street,
        canvas,
        class::PERSON,
        point(0.0, 1.67),
        [0.115 * scale, 0.12 * scale],
        (hair, at.z),
    );
    ellipse(
        street,
        canvas,
        class::PERSON,
        head,
        [0.095 * scale, 0.12 * scale],
        (skin, at.z),
    );
}

/// A street lamp or a plain mast.
fn paint_lamp(street: &Street, canvas: &mut Canvas, at: &Thing, random: &mut Random) {
    let u = |random: &mut Random, a: f64, b: f64| random.uniform(a, b) as f32;
    let (tall, thick) = (u(random, 4.5, 8.5), u(random, 0.07, 0.13) * street.scale(at.z));
    let metal = scaled([u(random, 0.08, 0.6); 3], street.weather.light[1]);
    let (foot, top) = (street.project(at.x, 0.0, at.z), street.project(at.x, tall, at.z));
    stroke(street, canvas, class::POLE, foot, top, thick, (metal, at.z));
    if random.chance(0.65) {
        let inward = if at.x < 0.0 { 1.0 } else { -1.0 };
        let end = street.project(at.x + inward * u(random, 0.8, 1.8), tall + 0.2, at.z);
        stroke(street, canvas, class::POLE, top, end, thick * 0.7, (metal, at.z));
        stroke(
            street,
            canvas,
            class::POLE,
            end,
            [end[0] + inward * thick * 3.0, end[1]],
            thick * 1.4,
            (scaled(metal, 1.3), at.z),
        );
    }
}

/// A traffic sign on its pole: disc, triangle, square or board.
fn paint_sign(street: &Street, canvas: &mut Canvas, at: &Thing, random: &mut Random) {
    let u = |random: &mut Random, a: f64, b: f64| random.uniform(a, b) as f32;
    let (scale, light) = (street.scale(at.z), street.weather.light[1]);
    let (tall, radius) = (u(random, 2.1, 3.0), u(random, 0.32, 0.5));
    let metal = scaled([u(random, 0.3, 0.6); 3], light);
    let foot = street.project(at.x, 0.0, at.z);
    stroke(
        street,
        canvas,
        class::POLE,
        foot,
        street.project(at.x, tall, at.z),
        0.05 * scale,
        (metal, at.z),
    );
    let [cx, cy] = street.project(at.x, tall, at.z);
    let r = radius * scale;
    let (red, white, blue) = ([0.75, 0.08, 0.08], [0.9; 3], [0.1, 0.25, 0.65]);
    let yellow = [0.9, 0.75, 0.1];
    let around = |n: usize, turn: f32, r: f32| -> Vec<[f32; 2]> {
        (0..n)
            .map(|i| {
                let a = (i as f32 + turn) * std::f32::consts::TAU / n as f32;
                [cx + r * a.sin(), cy - r * a.cos()]
            })
            .collect()
    };
    let (outline, rim, face) = match random.below(6) {
        0 => (around(16, 0.0, r), red, white),
        1 => (around(16, 0.0, r), blue, blue),
        2 => (around(3, 0.0, r * 1.15), red, white),
        3 => (around(4, 0.5, r * 1.2), white, blue),
        4 => (around(8, 0.5, r), white, red),
        _ => {
            let half = [r * u(random, 1.3, 2.2), r * 0.9];
            let board = vec![
                [cx - half[0], cy - half[1]],
                [cx + half[0], cy - half[1]],
                [cx + half[0], cy + half[1]],
                [cx - half[0], cy + half[1]],
            ];
            let ground = [blue, yellow, [0.08, 0.4, 0.2], white][random.below(4)];
            (board, white, ground)
        }
    };
    let plate = Polygon::new(outline);
    fill(street, canvas, class::SIGN, &plate, scaled(rim, light), at.z);
    let key = random.bits() as u32;
    let face = street.through_air(scaled(face, light), at.z);
    let mark = mix(face, if face[0] > 0.6 { [0.05; 3] } else { [0.95; 3] }, 0.8);
    let inner = plate.shrunk(0.75);
    // A symbol of a few cells, mirrored left and right.
    let symbol = |x: f32, y: f32| {
        let (i, j) = (((x - cx).abs() / r * 3.5) as i32, ((y - cy) / r * 2.5 + 10.0) as i32);
        i < 2 && (y - cy).abs() < r * 0.6 && hash(i, j, key) < 0.55
    };
    let shade = |x: f32, y: f32| if symbol(x, y) { mark } else { face };
    canvas.paint(inner.bounds(), class::SIGN, |x, y| inner.contains(x, y), shade);
}
