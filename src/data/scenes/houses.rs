//! The houses along both sides of the street.

use super::canvas::{Bounds, Canvas, Colour, Polygon, drawn, floor, hash, hsv, mix, noise, scaled};
use super::class;
use super::street::Street;
use crate::random::Random;

impl Street {
    /// Houses along both sides, from far to near, with gaps.
    pub fn paint_buildings(&self, canvas: &mut Canvas, random: &mut Random) {
        for side in [0, 1] {
            let (gaps, low, high) = (
                random.uniform(0.05, 0.35),
                random.uniform(3.0, 7.0),
                random.uniform(8.0, 24.0),
            );
            let mut blocks = Vec::new();
            let mut z = random.between(-8.0, 2.5);
            while z < 85.0 {
                let long = random.between(5.0, 18.0);
                let back = if random.chance(0.3) {
                    random.between(0.5, 4.0)
                } else {
                    0.0
                };
                let house = House {
                    from: z,
                    to: z + long,
                    x: self.line[side] + if side == 0 { -back } else { back },
                    height: random.between(low, high),
                    wall: wall_colour(random),
                    window: window_style(random),
                    key: random.bits() as u32,
                };
                if !random.chance(gaps) && !self.crosses(house.from, house.to) {
                    blocks.push(house);
                }
                z += long;
            }
            for (i, house) in blocks.iter().enumerate().rev() {
                // What the next nearer house hides of the wall towards the viewer.
                let hidden = blocks[..i]
                    .last()
                    .filter(|near| near.to >= house.from && near.x.abs() <= house.x.abs())
                    .map_or(0.0, |near| near.height);
                self.paint_house(canvas, house, side, hidden);
            }
        }
    }

    fn paint_house(&self, canvas: &mut Canvas, house: &House, side: usize, hidden: f32) {
        let near = house.from.max(0.6);
        if house.to <= near {
            return;
        }
        // The wall along the street; seen from the left it faces right and the other way round.
        let light = self.weather.light[2 - 2 * side];
        let at = |y: f32, z: f32| self.project(house.x, y, z);
        let wall = Polygon::new([
            at(0.0, near),
            at(house.height, near),
            at(house.height, house.to),
            at(0.0, house.to),
        ]);
        canvas.paint(
            wall.bounds(),
            class::BUILDING,
            |x, y| wall.contains(x, y),
            |x, y| {
                let z = (self.focal * house.x / (x - self.vanish[0])).clamp(near, house.to);
                let up = self.eye - (y - self.vanish[1]) / self.scale(z);
                // Walls seen at a sharp angle: the pattern is finer than a pixel along z.
                let detail = (self.scale(z) * house.x.abs() / z / 3.0).clamp(0.0, 1.0);
                self.through_air(scaled(house.colour(z - house.from, up, detail), light), z)
            },
        );
        // The wall towards the viewer.
        if house.from > 0.6 && hidden < house.height {
            let outer = house.x + if side == 0 { -14.0 } else { 14.0 };
            let (a, b) = (
                self.project(house.x, house.height, near),
                self.project(outer, hidden, near),
            );
            let bounds = Bounds(a[0].min(b[0]), a[1], a[0].max(b[0]), b[1]);
            let inside = |x: f32, y: f32| x >= bounds.0 && x <= bounds.2 && y >= bounds.1 && y <= bounds.3;
            canvas.paint(bounds, class::BUILDING, inside, |x, y| {
                let along = ((x - self.vanish[0]) / self.scale(near) - house.x).abs();
                let up = self.eye - (y - self.vanish[1]) / self.scale(near);
                let detail = (self.scale(near) / 3.0).clamp(0.0, 1.0);
                self.through_air(
                    scaled(house.colour(along + 0.7, up, detail), self.weather.light[1]),
                    near,
                )
            });
        }
    }
}

/// One house: a box along the street.
struct House {
    from: f32,
    to: f32,
    x: f32,
    height: f32,
    wall: Colour,
    window: Window,
    key: u32,
}

/// Windows in a grid: the distance between them, their share of it, their colour.
struct Window {
    step: [f32; 2],
    share: [f32; 2],
    glass: Colour,
    shop: Option<Colour>,
}

impl House {
    /// The colour `along` metres from the corner and `up` metres high; `detail` 0..1 fades windows too small to see.
    fn colour(&self, along: f32, up: f32, detail: f32) -> Colour {
        let w = &self.window;
        let wall = scaled(self.wall, 0.85 + 0.3 * noise(along * 0.5, up * 0.5, self.key));
        if up > self.height - 0.4 {
            return scaled(wall, 0.7);
        }
        if let Some(shop) = w.shop.filter(|_| up < 3.2) {
            let sign = (2.6..3.1).contains(&up);
            let cell = floor(along / 2.4);
            let glass = along / 2.4 - cell as f32 > 0.15 && up > 0.4;
            let front = if sign {
                shop
            } else {
                scaled(w.glass, 0.6 + 0.6 * hash(cell, 0, self.key))
            };
            return if sign || glass {
                mix(wall, front, 0.3 + 0.7 * detail)
            } else {
                wall
            };
        }
        let (cx, cy) = (floor(along / w.step[0]), floor(up / w.step[1]));
        let inside = [along / w.step[0] - cx as f32, up / w.step[1] - cy as f32];
        let pane = (0..2).all(|i| (inside[i] - 0.5).abs() < w.share[i] / 2.0) && cy >= 0;
        let tone = hash(cx, cy, self.key);
        let glass = scaled(w.glass, 0.5 + tone * if tone > 0.9 { 1.6 } else { 0.8 });
        let mean = mix(wall, w.glass, w.share[0] * w.share[1] * 0.8);
        mix(mean, if pane { glass } else { wall }, detail)
    }
}

/// A wall's colour: plaster, brick, stone, concrete; now and then as blue as the sky, as green as a tree.
pub(super) fn wall_colour(random: &mut Random) -> Colour {
    let value = random.between(0.25, 0.9);
    let (hue, saturation) = match random.below(6) {
        0 | 1 => ([0.0, 0.13], [0.15, 0.55]),
        2 | 3 => ([0.0, 1.0], [0.0, 0.1]),
        4 => ([0.53, 0.65], [0.1, 0.4]),
        _ => ([0.0, 1.0], [0.1, 0.45]),
    };
    let [hue, saturation] = [hue, saturation].map(|[low, high]| random.between(low, high));
    hsv(hue, saturation, value)
}

fn window_style(random: &mut Random) -> Window {
    Window {
        step: [random.between(1.4, 3.5), random.between(2.6, 3.6)],
        share: [random.between(0.35, 0.85), random.between(0.4, 0.75)],
        glass: drawn(random, [0.5, 0.7], [0.0, 0.4], [0.15, 0.7]),
        shop: random
            .chance(0.4)
            .then(|| drawn(random, [0.0, 1.0], [0.3, 0.9], [0.4, 0.9])),
    }
}
