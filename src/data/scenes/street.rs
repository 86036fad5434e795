//! The stage of a scene: camera, weather, sky, backdrop, ground.

use super::canvas::{Bounds, Canvas, Colour, clouds, drawn, floor, hash, hsv, mix, noise, scaled};
use super::class;
use super::houses::wall_colour;
use crate::random::Random;

/// The camera and the street. The world is in metres: x to the right of the camera, y up from the ground, z ahead.
pub(super) struct Street {
    height: f32,
    width: f32,
    /// The vanishing point of the street, in pixels.
    pub vanish: [f32; 2],
    /// Pixels per metre at one metre.
    pub focal: f32,
    /// Height of the camera above the ground.
    pub eye: f32,
    /// x of the road's left and right edge.
    pub road: [f32; 2],
    /// x of the left and right building line.
    pub line: [f32; 2],
    /// z where a crossing road begins and ends, if there is one.
    pub crossing: Option<[f32; 2]>,
    pub weather: Weather,
    /// Key of all textures.
    pub key: u32,
}

/// Light and air.
pub(super) struct Weather {
    zenith: Colour,
    /// Colour of the sky at the horizon, and of distant things.
    haze: Colour,
    /// Share of haze gained per metre.
    density: f32,
    cloud_cover: f32,
    cloud_colour: Colour,
    /// Light on a face towards the left, the viewer and the right; on the ground.
    pub light: [f32; 3],
    pub ground_light: f32,
    /// How dark a cast shadow is (1 = no shadow).
    pub shadow: f32,
    pub exposure: Colour,
    pub grain: f32,
}

impl Weather {
    fn draw(random: &mut Random) -> Self {
        let kind = random.below(5); // clear twice, broken clouds, overcast, evening
        let grey = random.between(0.55, 0.85);
        let (zenith, haze, cover) = match kind {
            0 | 1 => {
                let hue = random.between(0.55, 0.62);
                (
                    hsv(hue, random.between(0.4, 0.7), random.between(0.6, 0.9)),
                    hsv(hue, 0.15, 0.9),
                    random.between(0.0, 0.35),
                )
            }
            2 => (
                hsv(0.6, random.between(0.2, 0.45), random.between(0.5, 0.8)),
                [0.8, 0.82, 0.85],
                random.between(0.4, 0.7),
            ),
            3 => {
                let tint = random.between(-0.03, 0.03);
                (
                    [grey * 0.9; 3],
                    [grey + tint, grey, grey - tint],
                    random.between(0.3, 0.9),
                )
            }
            _ => (
                drawn(random, [0.58, 0.72], [0.2, 0.5], [0.35, 0.6]),
                drawn(random, [0.02, 0.12], [0.25, 0.55], [0.65, 0.95]),
                random.between(0.1, 0.6),
            ),
        };
        let direct = match kind {
            0 | 1 => random.between(0.35, 0.6),
            2 | 4 => random.between(0.15, 0.4),
            _ => 0.05,
        };
        let side = random.between(-1.0, 1.0);
        let face = |towards: f32| 0.6 + direct * (towards * side).max(0.0) + 0.1 * (1.0 - direct);
        let level = random.between(0.75, 1.15);
        let warmth = random.between(-0.08, 0.08) + if kind == 4 { 0.06 } else { 0.0 };
        Weather {
            zenith,
            haze,
            density: if random.chance(0.2) {
                random.between(0.015, 0.04)
            } else {
                random.between(0.001, 0.008)
            },
            cloud_cover: cover,
            cloud_colour: if kind == 4 {
                mix(haze, [0.5; 3], 0.5)
            } else {
                [grey.max(0.7); 3]
            },
            light: [face(-1.0), 0.65 + 0.3 * direct, face(1.0)],
            ground_light: 0.7 + 0.5 * direct,
            shadow: 1.0 - direct * 0.9,
            exposure: [level * (1.0 + warmth), level, level * (1.0 - warmth)],
            grain: random.between(0.008, 0.035),
        }
    }
}

impl Street {
    /// Draw the parameters of a street for a picture of this size.
    pub fn draw([height, width]: [usize; 2], random: &mut Random) -> Self {
        let (height, width) = (height as f32, width as f32);
        let lanes = 2 + random.below(3);
        let half = lanes as f32 * random.between(2.8, 3.5) / 2.0;
        let stand = random.between(-0.6, 0.6) * half;
        let road = [-half - stand, half - stand];
        let near = random.between(14.0, 40.0);
        Street {
            height,
            width,
            vanish: [width * random.between(0.3, 0.7), height * random.between(0.38, 0.54)],
            focal: (height * width * 1.33).sqrt() * random.between(0.6, 0.95),
            eye: random.between(1.35, 2.4),
            line: [road[0] - random.between(2.0, 5.5), road[1] + random.between(2.0, 5.5)],
            road,
            crossing: random.chance(0.35).then_some([near, near + 8.0]),
            weather: Weather::draw(random),
            key: random.bits() as u32,
        }
    }

    /// Where the point (x, y, z) appears.
    pub fn project(&self, x: f32, y: f32, z: f32) -> [f32; 2] {
        let scale = self.scale(z);
        [self.vanish[0] + x * scale, self.vanish[1] + (self.eye - y) * scale]
    }

    /// Pixels per metre at distance `z`.
    pub fn scale(&self, z: f32) -> f32 {
        self.focal / z
    }

    /// `colour` seen through `z` metres of air.
    pub fn through_air(&self, colour: Colour, z: f32) -> Colour {
        mix(colour, self.weather.haze, 1.0 - (-z * self.weather.density).exp())
    }

    /// x at the picture's border at distance `z`: left and right.
    pub fn reach(&self, z: f32) -> [f32; 2] {
        [-self.vanish[0], self.width - self.vanish[0]].map(|x| x / self.scale(z))
    }

    /// Whether the ground at (x, z) is road.
    pub fn is_road(&self, x: f32, z: f32) -> bool {
        (x >= self.road[0] && x <= self.road[1]) || self.crosses(z, z)
    }

    /// Whether the stretch `z0..z1` meets the crossing road.
    pub fn crosses(&self, z0: f32, z1: f32) -> bool {
        self.crossing.is_some_and(|[a, b]| z1 >= a && z0 <= b)
    }

    /// Sky down to the horizon: a gradient with clouds that shrink towards the horizon.
    pub fn paint_sky(&self, canvas: &mut Canvas) {
        let w = &self.weather;
        let above = Bounds(0.0, 0.0, self.width, self.vanish[1] + 1.0);
        canvas.paint(
            above,
            class::SKY,
            |_, _| true,
            |x, y| {
                let up = ((self.vanish[1] - y) / self.height).max(0.0);
                let clear = mix(w.haze, w.zenith, (up * 2.2).min(1.0).sqrt());
                let depth = 0.35 / (up + 0.12);
                let cloud = clouds((x - self.vanish[0]) / self.width * 3.0 * depth, depth * 2.5, self.key);
                let amount = ((cloud - 0.75 + w.cloud_cover * 0.6) * 5.0).clamp(0.0, 1.0);
                mix(clear, scaled(w.cloud_colour, 0.8 + 0.5 * cloud), amount * 0.85)
            },
        );
    }

    /// A row of distant houses, trees or both along the horizon.
    pub fn paint_backdrop(&self, canvas: &mut Canvas, random: &mut Random) {
        let z = 95.0;
        let [mut x, end] = self.reach(z);
        let trees = random.unit();
        while x < end {
            let wide = random.between(6.0, 22.0);
            if random.chance(0.85) {
                let high = random.between(3.0, 14.0);
                let (a, b) = (self.project(x, high, z), self.project(x + wide, 0.0, z));
                let bounds = Bounds(a[0], a[1] - 2.0, b[0], b[1] + 1.0);
                let key = random.bits() as u32;
                if random.chance(trees) {
                    let green = leaf_colour(random);
                    let unit = self.scale(z) * 3.0;
                    let top = |px: f32| a[1] + (noise(px / unit, 0.5, key) - 0.5) * unit * 1.2;
                    let leaf = |px: f32, py: f32| {
                        let light = 0.6 + 0.6 * noise(px / unit * 3.0, py / unit * 3.0, key);
                        self.through_air(scaled(green, light), z)
                    };
                    canvas.paint(bounds, class::TREE, |px, py| py >= top(px) && py <= b[1], leaf);
                } else {
                    let wall = scaled(wall_colour(random), self.weather.light[1]);
                    let unit = self.scale(z) * 1.8;
                    let inside = |px: f32, py: f32| px >= a[0] && px <= b[0] && py >= a[1] && py <= b[1];
                    let windows = |px: f32, py: f32| {
                        let tone = hash(floor((px - a[0]) / unit), floor((py - a[1]) / unit), key);
                        self.through_air(scaled(wall, 0.75 + 0.35 * tone), z)
                    };
                    canvas.paint(bounds, class::BUILDING, inside, windows);
                }
            }
            x += wide * random.between(0.6, 1.1);
        }
    }

    /// Road and pavement from the horizon down, with lane markings, tiles, kerbs, stains and a zebra crossing.
    pub fn paint_ground(&self, canvas: &mut Canvas, random: &mut Random) {
        let asphalt = drawn(random, [0.0, 1.0], [0.0, 0.08], [0.25, 0.55]);
        let stone = if random.chance(0.4) {
            scaled(asphalt, random.between(0.85, 1.2)) // hardly to be told from the road by its colour
        } else {
            drawn(random, [0.0, 0.12], [0.0, 0.3], [0.35, 0.75])
        };
        let paint = random.between(0.65, 0.95);
        let tile = random.between(0.4, 1.2);
        let edge_lines = random.chance(0.5);
        let zebra = random.chance(0.3).then(|| random.between(7.0, 18.0));
        let middle = (self.road[0] + self.road[1]) / 2.0;
        let key = self.key ^ 0x9E37;
        // A band of shadow from the houses on one side.
        let shade_side = if self.weather.light[0] > self.weather.light[2] {
            0
        } else {
            1
        };
        let shade_to =
            self.line[shade_side] + (self.line[1 - shade_side] - self.line[shade_side]) * random.between(0.0, 0.7);
        let world = |x: f32, y: f32| {
            let z = self.focal * self.eye / (y - self.vanish[1]).max(0.01);
            ((x - self.vanish[0]) * z / self.focal, z)
        };
        let below = |y: f32| y > self.vanish[1];
        let bounds = Bounds(0.0, self.vanish[1], self.width, self.height);
        let lit = |colour: Colour, x: f32, z: f32| {
            let shaded = if shade_side == 0 { x < shade_to } else { x > shade_to };
            let light = self.weather.ground_light * if shaded { self.weather.shadow.max(0.45) } else { 1.0 };
            self.through_air(scaled(colour, light), z)
        };
        canvas.paint(
            bounds,
            class::PAVEMENT,
            |_, y| below(y),
            |x, y| {
                let (x, z) = world(x, y);
                let (tx, tz) = (x / tile, z / tile);
                let near = (1.0 - z / 25.0).max(0.0);
                let joint = (tx - floor(tx) as f32) < 0.08 || (tz - floor(tz) as f32) < 0.08;
                let kerb =
                    (x > self.road[0] - 0.25 && x < self.road[0]) || (x < self.road[1] + 0.25 && x > self.road[1]);
                let rough =
                    0.9 + near * 0.2 * (hash(floor(tx), floor(tz), key) - 0.5) + 0.2 * noise(x * 0.7, z * 0.7, key);
                let level = if kerb {
                    1.25
                } else if joint {
                    1.0 - 0.25 * near
                } else {
                    1.0
                };
                lit(scaled(stone, rough * level), x, z)
            },
        );
        let road = |x: f32, y: f32| {
            let (x, z) = world(x, y);
            below(y) && self.is_road(x, z)
        };
        canvas.paint(bounds, class::ROAD, road, |x, y| {
            let (x, z) = world(x, y);
            let stain = 0.82
                + 0.3 * clouds(x * 0.35, z * 0.18, key)
                + 0.08 * (hash(floor(x * 25.0), floor(z * 12.0), key) - 0.5);
            let from_edge = (x - self.road[0]).min(self.road[1] - x);
            let across = self.crosses(z, z);
            let dashed = !across && (x - middle).abs() < 0.09 && (z * 0.2 - floor(z * 0.2) as f32) < 0.5;
            let line = edge_lines && !across && (0.2..0.35).contains(&from_edge);
            let bar = zebra.is_some_and(|at| z > at && z < at + 3.0) && from_edge > 0.2 && (x - floor(x) as f32) < 0.5;
            let colour = if dashed || line || bar {
                [paint * 0.95; 3]
            } else {
                asphalt
            };
            lit(scaled(colour, stain), x, z)
        });
    }
}

/// A leaf's colour: mostly green, in autumn yellow to brown.
pub(super) fn leaf_colour(random: &mut Random) -> Colour {
    let (low, high) = if random.chance(0.75) { (0.2, 0.4) } else { (0.04, 0.15) };
    drawn(random, [low, high], [0.25, 0.75], [0.2, 0.6])
}
