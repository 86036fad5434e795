//! What stands and moves in the street, drawn from far to near: trees, people, lamps, signs, and the cars of `cars`.

use super::brush::Brush;
use super::canvas::{Bounds, Canvas, Polygon, drawn, hash, hsv, mix, noise, scaled};
use super::cars::{paint_car, paint_passing_car};
use super::class;
use super::street::{Street, leaf_colour};
use crate::random::Random;

/// How a thing is painted; the rest of its looks is drawn then.
type Paint = fn(&mut Brush, &mut Random);

/// Place things along the street and paint them from far to near.
pub(super) fn paint_things(street: &Street, canvas: &mut Canvas, random: &mut Random) {
    let mut things: Vec<(u8, Paint, [f32; 2])> = Vec::new();
    let mut put = |class: u8, paint: Paint, x: f32, z: f32| things.push((class, paint, [x, z]));
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
                    put(class::TREE, paint_tree, kerb(uniform(random, 0.8, 1.6)), z);
                }
            }
        }
        let step = uniform(random, 9.0, 22.0);
        let start = uniform(random, 3.0, 14.0);
        for i in 0..4 {
            let z = start + i as f32 * step;
            if z < 55.0 && random.chance(0.8) && !street.crosses(z, z) {
                put(class::POLE, paint_lamp, kerb(uniform(random, 0.3, 0.7)), z);
            }
        }
        for _ in 0..random.below(4) {
            let z = uniform(random, 4.0, 22.0);
            if !street.crosses(z, z) {
                put(class::POLE, paint_sign, kerb(uniform(random, 0.3, 0.9)), z);
            }
        }
        for _ in 0..random.below(5) {
            let z = uniform(random, 3.5, 28.0);
            let x = edge + (line - edge) * uniform(random, 0.15, 0.9);
            put(class::PERSON, paint_person, x, z);
        }
        if random.chance(0.5) {
            let start = uniform(random, 4.0, 12.0);
            for i in 0..5 {
                let z = start + i as f32 * uniform(random, 5.8, 7.5);
                if random.chance(0.7) && !street.crosses(z, z + 4.5) {
                    put(class::CAR, paint_car, kerb(-1.1), z);
                }
            }
        }
    }
    let [left, right] = street.road;
    for _ in 0..random.below(4) {
        let x = left + (right - left) * uniform(random, 0.3, 0.7);
        put(class::CAR, paint_car, x, uniform(random, 6.0, 45.0));
    }
    if let Some([near, far]) = street.crossing.filter(|_| random.chance(0.6)) {
        let x = uniform(random, left * 1.5, right * 1.5);
        put(class::CAR, paint_passing_car, x, near + (far - near) * 0.4);
    }
    if random.chance(0.3) {
        let z = uniform(random, 6.0, 20.0); // someone crosses the road
        put(class::PERSON, paint_person, uniform(random, left, right), z);
    }
    things.sort_by(|(.., a), (.., b)| b[1].total_cmp(&a[1]));
    for (class, paint, [x, z]) in things {
        let mut brush = Brush {
            street,
            canvas,
            class,
            x,
            z,
        };
        paint(&mut brush, random);
    }
}

/// A trunk and a crown of several overlapping balls with a ragged outline.
fn paint_tree(brush: &mut Brush, random: &mut Random) {
    let (street, z, scale) = (brush.street, brush.z, brush.scale());
    let height = random.between(3.5, 8.5);
    let (crown, trunk) = (random.between(1.1, 2.4), random.between(0.1, 0.25));
    let bark = brush.lit(drawn(random, [0.04, 0.1], [0.1, 0.45], [0.18, 0.4]));
    brush.shadow(0.0, crown * 2.0, crown * 2.0);
    let foot = brush.at(0.0, 0.0);
    let fork = brush.at(random.between(-0.2, 0.2), height - crown);
    brush.stroke(foot, fork, trunk * scale, bark);
    let blobs: Vec<[f32; 3]> = (0..6)
        .map(|i| {
            let spread = if i == 0 { 0.0 } else { crown * 0.75 };
            let x = random.between(-1.0, 1.0) * spread;
            let y = height - crown + random.between(-0.6, 0.8) * spread;
            let [px, py] = brush.at(x, y);
            [px, py, crown * random.between(0.5, 0.85) * scale]
        })
        .collect();
    let (key, leaf, unit) = (random.bits() as u32, leaf_colour(random), scale * 0.35);
    let bounds = blobs
        .iter()
        .fold(Bounds(f32::MAX, f32::MAX, f32::MIN, f32::MIN), |b, [x, y, r]| {
            let r = r * 1.2;
            Bounds(b.0.min(x - r), b.1.min(y - r), b.2.max(x + r), b.3.max(y + r))
        });
    let inside = |x: f32, y: f32| {
        let limit = 0.6 + 0.8 * noise(x / unit, y / unit, key);
        blobs
            .iter()
            .any(|[bx, by, r]| (x - bx).powi(2) + (y - by).powi(2) <= r * r * limit)
    };
    let slope = street.weather.light[2] - street.weather.light[0];
    let high = (bounds.3 - bounds.1).max(1.0);
    brush.canvas.paint(bounds, brush.class, inside, |x, y| {
        let fine = noise(x / unit * 2.5, y / unit * 2.5, key ^ 3);
        let side = (x - fork[0]) / (crown * scale) * slope * 0.5;
        let light = 0.55 + 0.6 * fine + side + 0.35 * (0.5 - (y - bounds.1) / high);
        street.through_air(scaled(leaf, light.max(0.15) * street.weather.light[1] * 1.3), z)
    });
}

/// Legs in mid-step, a trunk, arms, a head.
fn paint_person(brush: &mut Brush, random: &mut Random) {
    let (tall, wide) = (random.between(1.5, 1.95), random.between(0.85, 1.2));
    let (stride, swing) = (random.between(0.0, 0.3), random.between(-0.25, 0.25));
    let mut cloth = || {
        let saturation = if random.chance(0.5) {
            0.1
        } else {
            random.between(0.3, 0.9)
        };
        brush.lit(hsv(random.unit() as f32, saturation, random.between(0.08, 0.85)))
    };
    let (coat, trousers) = (cloth(), cloth());
    let skin = brush.lit(drawn(random, [0.04, 0.08], [0.3, 0.55], [0.3, 0.85]));
    let hair = brush.lit(hsv(0.07, 0.4, random.between(0.05, 0.4)));
    let scale = brush.scale();
    brush.shadow(0.0, 0.7, 0.5);
    let limbs = [
        ([-0.08, 0.85], [-0.08 - stride, 0.06], 0.085, scaled(trousers, 0.85)),
        ([0.08, 0.85], [0.08 + stride, 0.06], 0.085, trousers),
        ([-0.02, 0.95], [0.02, 1.32], 0.2, coat),
        ([-0.22, 1.35], [-0.27 - swing, 0.85], 0.06, scaled(coat, 0.85)),
        ([0.22, 1.35], [0.27 + swing, 0.85], 0.06, coat),
    ];
    for (from, to, radius, colour) in limbs {
        let [from, to] = [from, to].map(|[x, y]| brush.at(x, y * tall / 1.75));
        brush.stroke(from, to, radius * wide * scale, colour);
    }
    for (y, radius, colour) in [(1.67, 0.115, hair), (1.62, 0.095, skin)] {
        let middle = brush.at(0.0, y * tall / 1.75);
        brush.ellipse(middle, [radius * scale, 0.12 * scale], colour);
    }
}

/// A street lamp or a plain mast.
fn paint_lamp(brush: &mut Brush, random: &mut Random) {
    let (tall, thick) = (random.between(4.5, 8.5), random.between(0.07, 0.13) * brush.scale());
    let metal = brush.lit([random.between(0.08, 0.6); 3]);
    let (foot, top) = (brush.at(0.0, 0.0), brush.at(0.0, tall));
    brush.stroke(foot, top, thick, metal);
    if random.chance(0.65) {
        let inward = if brush.x < 0.0 { 1.0 } else { -1.0 };
        let end = brush.at(inward * random.between(0.8, 1.8), tall + 0.2);
        let tip = [end[0] + inward * thick * 3.0, end[1]];
        brush.stroke(top, end, thick * 0.7, metal);
        brush.stroke(end, tip, thick * 1.4, scaled(metal, 1.3));
    }
}

/// A traffic sign on its pole: disc, triangle, square or board.
fn paint_sign(brush: &mut Brush, random: &mut Random) {
    let (tall, radius) = (random.between(2.1, 3.0), random.between(0.32, 0.5));
    let metal = brush.lit([random.between(0.3, 0.6); 3]);
    let (foot, top) = (brush.at(0.0, 0.0), brush.at(0.0, tall));
    brush.stroke(foot, top, 0.05 * brush.scale(), metal);
    brush.class = class::SIGN;
    let [cx, cy] = top;
    let r = radius * brush.scale();
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
            let [wide, high] = [r * random.between(1.3, 2.2), r * 0.9];
            let corners = [[-wide, -high], [wide, -high], [wide, high], [-wide, high]];
            let board = corners.map(|[x, y]| [cx + x, cy + y]).to_vec();
            let ground = [blue, yellow, [0.08, 0.4, 0.2], white][random.below(4)];
            (board, white, ground)
        }
    };
    let plate = Polygon::new(outline);
    brush.fill(&plate, brush.lit(rim));
    let key = random.bits() as u32;
    let face = brush.street.through_air(brush.lit(face), brush.z);
    let mark = mix(face, if face[0] > 0.6 { [0.05; 3] } else { [0.95; 3] }, 0.8);
    let panel = plate.shrunk(0.75);
    // A symbol of a few cells, mirrored left and right.
    let symbol = |x: f32, y: f32| {
        let (i, j) = (((x - cx).abs() / r * 3.5) as i32, ((y - cy) / r * 2.5 + 10.0) as i32);
        i < 2 && (y - cy).abs() < r * 0.6 && hash(i, j, key) < 0.55
    };
    let shade = |x: f32, y: f32| if symbol(x, y) { mark } else { face };
    let inside = |x: f32, y: f32| panel.contains(x, y);
    brush.canvas.paint(panel.bounds(), brush.class, inside, shade);
}
