//! Which pixels become anchors and which become keys. Every draw comes from the caller's random stream, image by image.

use super::options::{KeySampling, PixelContrastOptions, Sampling};
use crate::ensure;
use crate::error::Result;
use crate::loss::labels::IGNORED;
use crate::random::Random;

/// Anchors per image where a sampling needs a number and none is given.
const DEFAULT_ANCHORS: usize = 1024;

/// The classes of a batch at the size of the features.
pub(super) struct ClassMap {
    /// Images, height, width.
    pub images: usize,
    pub size: [usize; 2],
    /// The label of each class, ascending.
    pub labels: Vec<i64>,
    /// The class of each pixel of the batch, [`IGNORED`] where it takes no part.
    pub classes: Vec<u32>,
    /// The predicted label of each pixel.
    pub predictions: Option<Vec<i64>>,
}

impl ClassMap {
    /// Pixels of one image.
    pub fn area(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// The valid pixels of an image (numbered through the batch) by class, each class's pixels ascending.
    fn by_class(&self, image: usize) -> Vec<(u32, Vec<u32>)> {
        let from = image * self.area();
        let mut valid: Vec<(u32, u32)> = self.classes[from..from + self.area()]
            .iter()
            .enumerate()
            .filter(|(_, class)| **class != IGNORED)
            .map(|(i, &class)| (class, (from + i) as u32))
            .collect();
        valid.sort_unstable();
        valid
            .chunk_by(|a, b| a.0 == b.0)
            .map(|run| (run[0].0, run.iter().map(|&(_, pixel)| pixel).collect()))
            .collect()
    }

    /// Whether a pixel of another class lies within `radius` of this one.
    fn near_boundary(&self, pixel: u32, radius: usize) -> bool {
        let [height, width] = self.size;
        let (image, place) = (pixel as usize / self.area(), pixel as usize % self.area());
        let (y, x) = (place / width, place % width);
        let own = self.classes[pixel as usize];
        (y.saturating_sub(radius)..(y + radius + 1).min(height)).any(|v| {
            let row = image * self.area() + v * width;
            let line = &self.classes[row + x.saturating_sub(radius)..row + (x + radius + 1).min(width)];
            line.iter().any(|&other| other != own && other != IGNORED)
        })
    }
}

/// The chosen pixels of each image, sorted by class, then by pixel.
pub(super) type Chosen = Vec<Vec<u32>>;

/// All valid pixels of each image.
pub(super) fn everything(map: &ClassMap) -> Chosen {
    (0..map.images)
        .map(|image| map.by_class(image).into_iter().flat_map(|(_, pixels)| pixels).collect())
        .collect()
}

/// The anchors of each image.
///
/// # Errors
/// `hard` without predictions.
pub(super) fn anchors(map: &ClassMap, options: &PixelContrastOptions, random: &mut Random) -> Result<Chosen> {
    ensure!(
        options.sampling != Sampling::Hard || map.predictions.is_some(),
        "pixel_contrast: sampling \"hard\" needs the network's predictions to know which pixels are hard; give `predictions` \
         [n, h, w], or choose \"class_balanced\""
    );
    let chosen = (0..map.images).map(|image| {
        let groups = map.by_class(image);
        let cap = options.max_anchors;
        let share = |groups: &[(u32, Vec<u32>)]| {
            let all = cap.unwrap_or(DEFAULT_ANCHORS);
            options.per_class.unwrap_or((all / groups.len().max(1)).max(1))
        };
        match options.sampling {
            Sampling::All => limited(groups, options.per_class, cap, random),
            Sampling::Uniform => limited(groups, options.per_class, Some(cap.unwrap_or(DEFAULT_ANCHORS)), random),
            Sampling::ClassBalanced => {
                let share = share(&groups);
                limited(groups, Some(share), cap, random)
            }
            Sampling::Hard => {
                let share = share(&groups);
                let hard = groups
                    .into_iter()
                    .map(|(class, pixels)| (class, hardest(map, class, pixels, share, options.hard_fraction, random)))
                    .collect();
                limited(hard, None, cap, random)
            }
            Sampling::Boundary => {
                let near = groups
                    .into_iter()
                    .map(|(class, mut pixels)| {
                        pixels.retain(|&pixel| map.near_boundary(pixel, options.radius));
                        (class, pixels)
                    })
                    .collect();
                limited(near, options.per_class, cap, random)
            }
        }
    });
    Ok(chosen.collect())
}

/// The keys of each image.
pub(super) fn keys(map: &ClassMap, options: &PixelContrastOptions, random: &mut Random) -> Chosen {
    let Some(cap) = options.max_keys else {
        return everything(map);
    };
    let chosen = (0..map.images).map(|image| {
        let groups = map.by_class(image);
        let share = match options.key_sampling {
            KeySampling::Uniform => None,
            KeySampling::ClassBalanced => Some((cap / groups.len().max(1)).max(1)),
        };
        limited(groups, share, Some(cap), random)
    });
    chosen.collect()
}

/// At most `share` of each class, then at most `cap` of all, in the order of the groups.
fn limited(groups: Vec<(u32, Vec<u32>)>, share: Option<usize>, cap: Option<usize>, random: &mut Random) -> Vec<u32> {
    let mut all = Vec::new();
    for (_, pixels) in groups {
        all.extend(some_of(pixels, share.unwrap_or(usize::MAX), random));
    }
    some_of(all, cap.unwrap_or(usize::MAX), random)
}

/// `n` of these at random, in their order; all if there are no more.
fn some_of(items: Vec<u32>, n: usize, random: &mut Random) -> Vec<u32> {
    if items.len() <= n {
        return items;
    }
    let mut order: Vec<usize> = (0..items.len()).collect();
    for i in 0..n {
        order.swap(i, i + random.below(items.len() - i));
    }
    order.truncate(n);
    order.sort_unstable();
    order.into_iter().map(|i| items[i]).collect()
}

/// `share` pixels of one class, `fraction` of them wrongly predicted; when one kind is short, the other fills up.
fn hardest(map: &ClassMap, class: u32, pixels: Vec<u32>, share: usize, fraction: f64, random: &mut Random) -> Vec<u32> {
    let label = map.labels[class as usize];
    let wrong = |pixel: &u32| map.predictions.as_ref().is_some_and(|p| p[*pixel as usize] != label);
    let (hard, easy): (Vec<u32>, Vec<u32>) = pixels.into_iter().partition(wrong);
    let wanted = (share as f64 * fraction).round() as usize;
    let from_easy = (share - wanted).max(share.saturating_sub(hard.len())).min(easy.len());
    let from_hard = (share - from_easy).min(hard.len());
    let mut both = some_of(hard, from_hard, random);
    both.extend(some_of(easy, from_easy, random));
    both.sort_unstable();
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One image of 10 x 10: class 0 above row 6, class 1 below, one pixel of class 2, two ignored.
    fn map() -> ClassMap {
        let mut classes = vec![0u32; 60];
        classes.extend(vec![1; 40]);
        classes[99] = 2;
        classes[0] = IGNORED;
        classes[1] = IGNORED;
        ClassMap {
            images: 1,
            size: [10, 10],
            labels: vec![3, 5, 9],
            classes,
            predictions: None,
        }
    }

    fn draw(map: &ClassMap, options: PixelContrastOptions) -> Vec<u32> {
        anchors(map, &options, &mut Random::new(1)).unwrap().remove(0)
    }

    fn of_class(map: &ClassMap, pixels: &[u32], class: u32) -> usize {
        pixels.iter().filter(|&&p| map.classes[p as usize] == class).count()
    }

    #[test]
    fn every_sampling_keeps_its_numbers_and_the_order() {
        let map = map();
        let options = |sampling, max_anchors| PixelContrastOptions {
            sampling,
            max_anchors,
            ..Default::default()
        };
        assert_eq!(draw(&map, options(Sampling::All, None)).len(), 98);
        assert_eq!(draw(&map, options(Sampling::Uniform, Some(20))).len(), 20);
        let balanced = draw(&map, options(Sampling::ClassBalanced, Some(30)));
        assert_eq!([0, 1, 2].map(|c| of_class(&map, &balanced, c)), [10, 10, 1]);
        let near = draw(
            &map,
            PixelContrastOptions {
                radius: 1,
                ..options(Sampling::Boundary, None)
            },
        );
        assert_eq!([0, 1, 2].map(|c| of_class(&map, &near, c)), [10, 10 + 3, 1]); // rows 5 and 6, round pixel 99
        for chosen in [balanced, near] {
            let order: Vec<(u32, u32)> = chosen.iter().map(|&p| (map.classes[p as usize], p)).collect();
            assert!(order.is_sorted());
        }
        assert_eq!(
            draw(&map, options(Sampling::Uniform, Some(20))),
            draw(&map, options(Sampling::Uniform, Some(20)))
        );
    }

    #[test]
    fn hard_takes_half_from_errors_and_fills_up() {
        let mut map = map();
        let options = PixelContrastOptions {
            sampling: Sampling::Hard,
            per_class: Some(8),
            ..Default::default()
        };
        assert!(
            anchors(&map, &options, &mut Random::new(0))
                .unwrap_err()
                .to_string()
                .contains("predictions")
        );
        let truth: Vec<i64> = map
            .classes
            .iter()
            .map(|&c| *map.labels.get(c as usize).unwrap_or(&255))
            .collect();
        let mut wrong = truth.clone();
        (10..40).for_each(|i| wrong[i] = 7); // 30 errors of class 0
        (70..72).for_each(|i| wrong[i] = 7); // 2 errors of class 1
        map.predictions = Some(wrong.clone());
        let chosen = draw(&map, options);
        let errors = |class| {
            chosen
                .iter()
                .filter(|&&p| map.classes[p as usize] == class && wrong[p as usize] == 7)
                .count()
        };
        assert_eq!((of_class(&map, &chosen, 0), errors(0)), (8, 4));
        assert_eq!((of_class(&map, &chosen, 1), errors(1)), (8, 2));
        assert_eq!(of_class(&map, &chosen, 2), 1);
    }
}
