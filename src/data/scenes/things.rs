//! What stands and moves in the street, drawn from far to near: trees, people, lamps, signs, and the cars of `cars`.

use super::brush::{ellipse, fill, ground_shadow, stroke};
use super::canvas::{Bounds, Canvas, Colour, Polygon, hash, hsv, mix, noise, scaled};
use super::cars::{paint_car, paint_passing_car};
use super::class;
use super::street::{Street, leaf_colour};
use crate::random::Random;

/// A thing at (x, z); the rest of its looks is drawn when it is painted.
pub(super) struct Thing {
    kind: Kind,
    pub x: f32,
    pub z: f32,
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
    let panel = plate.shrunk(0.75);
    // A symbol of a few cells, mirrored left and right.
    let symbol = |x: f32, y: f32| {
        let (i, j) = (((x - cx).abs() / r * 3.5) as i32, ((y - cy) / r * 2.5 + 10.0) as i32);
        i < 2 && (y - cy).abs() < r * 0.6 && hash(i, j, key) < 0.55
    };
    let shade = |x: f32, y: f32| if symbol(x, y) { mark } else { face };
    canvas.paint(panel.bounds(), class::SIGN, |x, y| panel.contains(x, y), shade);
}
