//! Built-in street scenes: drawn by code, exactly labelled, nothing to download.
//!
//! A pinhole camera looks along a street: sky with clouds, distant houses and trees, road and pavement with markings and tiles,
//! houses on both sides, and trees, cars, people, lamps and signs on them, painted from far to near so that near things hide
//! far ones. Light, weather, colours and camera are drawn anew for every picture, and classes share colours (grey road, grey
//! pavement, grey house, grey sky; blue car, blue sign, blue sky), so that place, shape and texture have to be learnt.
//! Colours are antialiased; the label of a pixel is the class of what its centre shows.

mod brush;
mod canvas;
mod cars;
mod houses;
mod street;
mod things;

use std::sync::Arc;

use self::canvas::{Canvas, hash_bits, noise};
use self::street::Street;
use super::{Dataset, IGNORED, Sample, Source, Splits, classes};
use crate::error::Result;
use crate::random::Random;
use crate::{ensure, options};

/// The labels of the nine classes.
mod class {
    pub const SKY: u8 = 0;
    pub const BUILDING: u8 = 1;
    pub const ROAD: u8 = 2;
    pub const PAVEMENT: u8 = 3;
    pub const TREE: u8 = 4;
    pub const CAR: u8 = 5;
    pub const PERSON: u8 = 6;
    pub const POLE: u8 = 7;
    pub const SIGN: u8 = 8;
}

/// The stream of random numbers that scenes are drawn from.
const SCENES: u64 = 0x5CE4E5;

options! {
    /// What scenes to draw.
    #[derive(PartialEq)]
    pub struct ScenesOptions {
        /// Pictures to train on.
        count: usize = 200,
        /// Height and width.
        size: [usize; 2] = [96, 128],
        /// How many of the nine classes are labelled (the first ones, 2 to 9). The pictures stay the same; pixels of the others are ignored.
        classes: usize = 9,
        /// Another seed gives other pictures: picture `i` of a part depends on this, the part, `i` and the size only.
        seed: u64 = 0,
        /// Pictures in `.val`, none of which is among those to train on.
        val_count: usize = 40,
    }
}

/// Street scenes as a data set with a `train` and a `val` split; pictures are drawn when asked for (about 2 ms at 96x128).
pub fn scenes(options: &ScenesOptions) -> Result<Splits> {
    let all = classes::SCENES.len();
    ensure!(
        (2..=all).contains(&options.classes),
        "scenes: found classes {}, expected 2 to {all}",
        options.classes
    );
    ensure!(
        options.size.iter().all(|s| (8..=8192).contains(s)),
        "scenes: found size {:?}, expected [height, width], each 8 to 8192",
        options.size
    );
    ensure!(
        (1..=10_000_000).contains(&options.count) && (1..=10_000_000).contains(&options.val_count),
        "scenes: found count {} and val_count {}, expected at least 1 and at most 10 million",
        options.count,
        options.val_count
    );
    let split = |name: &'static str, number: u64, count: usize| {
        let table = &classes::SCENES[..options.classes];
        let source = Scenes {
            options: options.clone(),
            split: name,
            number,
            count,
        };
        let title = format!("scenes/{name}");
        let (names, palette) = classes::of(table);
        Dataset::new(title, names, palette, Arc::new(source))
    };
    Ok(Splits {
        train: split("train", 0, options.count)?,
        val: split("val", 1, options.val_count)?,
        test: None,
    })
}

/// One split of the scenes.
struct Scenes {
    options: ScenesOptions,
    split: &'static str,
    number: u64,
    count: usize,
}

impl Source for Scenes {
    fn len(&self) -> usize {
        self.count
    }

    fn name(&self, i: usize) -> String {
        format!("scene_{}_{}_{i:05}", self.options.seed, self.split)
    }

    fn load(&self, i: usize) -> Result<Arc<Sample>> {
        let [height, width] = self.options.size;
        let mut random = Random::derived(self.options.seed, &[SCENES, self.number, i as u64]);
        let mut canvas = Canvas::new(height, width);
        let street = Street::draw([height, width], &mut random);
        street.paint_sky(&mut canvas);
        street.paint_backdrop(&mut canvas, &mut random);
        street.paint_ground(&mut canvas, &mut random);
        street.paint_buildings(&mut canvas, &mut random);
        things::paint_things(&street, &mut canvas, &mut random);
        let kept = self.options.classes as u8;
        Ok(Arc::new(Sample {
            name: self.name(i),
            height,
            width,
            pixels: Arc::new(develop(&canvas, &street)),
            labels: canvas
                .labels
                .iter()
                .map(|&l| if l < kept { l } else { IGNORED })
                .collect(),
            labelled: true,
        }))
    }
}

/// The camera: exposure, darker corners, uneven light, grain; to bytes.
fn develop(canvas: &Canvas, street: &Street) -> Vec<u8> {
    let (height, width) = (canvas.height as f32, canvas.width as f32);
    let weather = &street.weather;
    let mut pixels = Vec::with_capacity(canvas.colours.len() * 3);
    for (y, row) in canvas.colours.chunks_exact(canvas.width).enumerate() {
        let dy = (y as f32 + 0.5) / height - 0.5;
        for (x, colour) in row.iter().enumerate() {
            let dx = (x as f32 + 0.5) / width - 0.5;
            let light =
                (1.05 - 0.35 * (dx * dx + dy * dy)) * (0.94 + 0.12 * noise(dx * 3.0 + 9.0, dy * 3.0 + 9.0, street.key));
            let bits = hash_bits(x as i32, y as i32, street.key ^ 0x6A1);
            for (i, (&c, &exposure)) in colour.iter().zip(&weather.exposure).enumerate() {
                // The bytes of one hash: shared grain, and grain of the channel.
                let byte = |n: usize| ((bits >> (8 * n)) & 255) as f32 / 255.0 - 0.5;
                let grain = weather.grain * (1.6 * byte(3) + 2.4 * byte(i));
                pixels.push(((c * light * exposure + grain) * 255.0 + 0.5) as u8); // saturates at 0 and 255
            }
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(seed: u64, size: [usize; 2]) -> Splits {
        scenes(&ScenesOptions {
            count: 60,
            size,
            seed,
            ..Default::default()
        })
        .unwrap()
    }

    #[test]
    fn a_picture_depends_on_seed_split_and_index_only() {
        let (a, b) = (small(1, [32, 48]), small(1, [32, 48]));
        b.train.get(7).unwrap();
        assert_eq!(a.train.get(3).unwrap(), b.train.get(3).unwrap());
        assert_ne!(a.train.get(3).unwrap().pixels, a.train.get(4).unwrap().pixels);
        assert_ne!(a.train.get(3).unwrap().pixels, a.val.get(3).unwrap().pixels);
        assert_ne!(
            a.train.get(3).unwrap().pixels,
            small(2, [32, 48]).train.get(3).unwrap().pixels
        );
    }

    #[test]
    fn every_class_occurs_and_none_rules() {
        let h = small(0, [64, 96]).train.histogram().unwrap();
        let total: u64 = h.counts.iter().sum();
        let share: Vec<f64> = h.counts.iter().map(|&c| c as f64 / total as f64).collect();
        assert_eq!(h.ignored, 0);
        assert!(share.iter().all(|&s| s > 0.003 && s < 0.45), "{share:?}");
    }

    #[test]
    fn fewer_classes_are_the_same_pictures_with_ignored_pixels() {
        let few = ScenesOptions {
            count: 2,
            size: [48, 64],
            classes: 4,
            ..Default::default()
        };
        let few = scenes(&few).unwrap().train;
        let all = small(0, [48, 64]).train;
        assert_eq!(few.class_names(), ["sky", "building", "road", "pavement"]);
        let (a, b) = (few.get(0).unwrap(), all.get(0).unwrap());
        assert_eq!(a.pixels, b.pixels);
        for (x, y) in a.labels.iter().zip(&b.labels) {
            assert_eq!(*x, if *y < 4 { *y } else { IGNORED });
        }
    }

    #[test]
    fn odd_sizes_work_and_senseless_ones_are_refused() {
        for size in [[8, 8], [9, 301], [200, 13]] {
            assert_eq!(small(0, size).train.get(0).unwrap().size(), size);
        }
        let text = scenes(&ScenesOptions {
            classes: 10,
            ..Default::default()
        })
        .unwrap_err()
        .to_string();
        assert!(text.contains("2 to 9"), "{text}");
    }
}
