//! All masks of an image, as Segment Anything's authors generate them: a grid of points, and the best of what answers.

use candle_core::{DType, Device, Tensor};

use super::{Point, SegmentAnything};
use crate::error::{POSITIVE, Result, in_range};
use crate::ops::pieces::Check;
use crate::{ensure, options};

/// Points asked about in one pass.
const POINTS: usize = 16;
/// By how much the border of a mask is moved in and out to see whether it is sure.
const OFFSET: f32 = 1.0;

options! {
    /// Which masks are wanted.
    #[derive(PartialEq)]
    pub struct MaskOptions {
        /// Points on each side of the grid.
        points_per_side: usize = 32,
        /// The least score of a mask: the model's guess how good it is.
        min_score: f64 = 0.88,
        /// The least share of a mask that stays when its border is moved in, of what there is when it is moved out.
        min_stability: f64 = 0.95,
        /// The most that the boxes of two masks may overlap, as intersection over union; the better one stays.
        max_overlap: f64 = 0.7,
        /// The least number of pixels of a mask.
        min_area: usize = 1,
    }
}

impl MaskOptions {
    fn check(&self) -> Result<()> {
        ensure!(
            (1..=256).contains(&self.points_per_side),
            "masks: points_per_side {}, expected 1 to 256",
            self.points_per_side
        );
        in_range("masks", "min_score", self.min_score, ..)?;
        in_range("masks", "min_stability", self.min_stability, 0.0..=1.0)?;
        in_range(
            "masks",
            "max_overlap",
            self.max_overlap,
            (POSITIVE.0, std::ops::Bound::Included(1.0)),
        )
    }
}

/// One mask.
#[derive(Clone, Debug)]
pub struct Mask {
    /// `[h, w]`, u8, 0 and 1.
    pub mask: Tensor,
    /// Its pixels.
    pub area: usize,
    /// Left, top, right, bottom; the last two lie behind the last pixel.
    pub bounds: [usize; 4],
    /// How good the model thinks it is: an estimate of the intersection over union.
    pub score: f64,
}

/// A mask that may be kept, its pixels as runs of 0 and 1 in turn.
struct Candidate {
    runs: Vec<u32>,
    area: usize,
    bounds: [usize; 4],
    score: f32,
}

impl SegmentAnything {
    /// All masks of one image `[3, h, w]` with colours in 0..1, the largest first. `progress` is told how many points are done.
    pub fn masks(
        &self,
        image: &Tensor,
        options: &MaskOptions,
        check: Check,
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<Mask>> {
        options.check()?;
        let seen = self.see("masks", image, check)?;
        let points = grid(options.points_per_side, seen.size);
        let mut candidates = Vec::new();
        for (i, prompts) in points.chunks(POINTS).enumerate() {
            progress(i * POINTS);
            let answers = self.ask(&seen, prompts, true, check)?;
            for (prompt, scores) in answers.scores.iter().enumerate() {
                for (answer, score) in scores
                    .iter()
                    .enumerate()
                    .filter(|(_, s)| f64::from(**s) >= options.min_score)
                {
                    check()?;
                    let map = answers.maps.narrow(0, prompt, 1)?.narrow(1, answer, 1)?;
                    let map = self.enlarged(&seen, &map)?.flatten_all()?.to_vec1::<f32>()?;
                    candidates.extend(Candidate::of(&map, seen.size, *score, options));
                }
            }
        }
        let mut kept = distinct(candidates, options.max_overlap);
        kept.sort_by(|a, b| b.area.cmp(&a.area).then(a.bounds.cmp(&b.bounds)));
        kept.into_iter().map(|c| c.mask(seen.size)).collect()
    }
}

/// The centres of `side` x `side` cells of an image.
fn grid(side: usize, [h, w]: [usize; 2]) -> Vec<Vec<Point>> {
    let place = |i: usize, size: usize| (i as f64 + 0.5) / side as f64 * size as f64;
    let point = |i: usize| Point {
        x: place(i % side, w),
        y: place(i / side, h),
        inside: true,
    };
    (0..side * side).map(|i| vec![point(i)]).collect()
}

impl Candidate {
    /// The pixels of a map above 0, if that is a mask that `options` ask for.
    fn of(map: &[f32], [_, width]: [usize; 2], score: f32, options: &MaskOptions) -> Option<Self> {
        let count = |bound: f32| map.iter().filter(|v| **v > bound).count();
        let (least, area, most) = (count(OFFSET), count(0.0), count(-OFFSET));
        if area < options.min_area.max(1) || (least as f64) < options.min_stability * most as f64 {
            return None;
        }
        let mut bounds = [usize::MAX, usize::MAX, 0, 0];
        let mut runs = vec![0];
        let mut current = false;
        for (i, value) in map.iter().enumerate() {
            let inside = *value > 0.0;
            if inside {
                let (x, y) = (i % width, i / width);
                bounds = [
                    bounds[0].min(x),
                    bounds[1].min(y),
                    bounds[2].max(x + 1),
                    bounds[3].max(y + 1),
                ];
            }
            if inside != current {
                runs.push(0);
                current = inside;
            }
            if let Some(run) = runs.last_mut() {
                *run += 1;
            }
        }
        Some(Candidate {
            runs,
            area,
            bounds,
            score,
        })
    }

    fn mask(self, [h, w]: [usize; 2]) -> Result<Mask> {
        let mut pixels = Vec::with_capacity(h * w);
        for (i, run) in self.runs.iter().enumerate() {
            pixels.resize(pixels.len() + *run as usize, u8::from(i % 2 == 1));
        }
        let mask = Tensor::from_vec(pixels, (h, w), &Device::Cpu)?.to_dtype(DType::U8)?;
        Ok(Mask {
            mask,
            area: self.area,
            bounds: self.bounds,
            score: f64::from(self.score),
        })
    }
}

/// Those that no better one overlaps by more than `most`.
fn distinct(mut candidates: Vec<Candidate>, most: f64) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if kept.iter().all(|k| overlap(&k.bounds, &candidate.bounds) <= most) {
            kept.push(candidate);
        }
    }
    kept
}

/// Intersection over union of two boxes.
fn overlap(a: &[usize; 4], b: &[usize; 4]) -> f64 {
    let side = |low: usize, high: usize| high.saturating_sub(low) as f64;
    let common = side(a[0].max(b[0]), a[2].min(b[2])) * side(a[1].max(b[1]), a[3].min(b[3]));
    let area = |c: &[usize; 4]| side(c[0], c[2]) * side(c[1], c[3]);
    common / (area(a) + area(b) - common)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_has_the_centres_of_its_cells() {
        let points: Vec<[f64; 2]> = grid(2, [40, 80]).iter().map(|p| [p[0].x, p[0].y]).collect();
        assert_eq!(points, [[20.0, 10.0], [60.0, 10.0], [20.0, 30.0], [60.0, 30.0]]);
    }

    #[test]
    fn a_map_becomes_a_mask_with_its_box_and_unsure_ones_are_left_out() {
        #[rustfmt::skip]
        let map = [-2.0, 3.0,  3.0, -2.0,
                   -2.0, 3.0, -2.0, -2.0,
                   -2.0, 0.5, -2.0, -2.0];
        let options = MaskOptions {
            min_stability: 0.75,
            ..MaskOptions::default()
        };
        let candidate = Candidate::of(&map, [3, 4], 0.9, &options).unwrap();
        assert_eq!((candidate.area, candidate.bounds), (4, [1, 0, 3, 3]));
        let mask = candidate.mask([3, 4]).unwrap().mask;
        assert_eq!(
            mask.to_vec2::<u8>().unwrap(),
            [[0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0]]
        );
        // 3 of 4 pixels stay when the border moves in
        let strict = MaskOptions {
            min_stability: 0.76,
            ..options.clone()
        };
        assert!(Candidate::of(&map, [3, 4], 0.9, &strict).is_none());
        assert!(
            Candidate::of(
                &map,
                [3, 4],
                0.9,
                &MaskOptions {
                    min_area: 5,
                    ..options.clone()
                }
            )
            .is_none()
        );
        assert!(
            Candidate::of(
                &[-3.0; 12],
                [3, 4],
                0.9,
                &MaskOptions {
                    min_stability: 0.0,
                    ..options
                }
            )
            .is_none()
        );
    }

    #[test]
    fn of_two_that_overlap_the_better_stays() {
        let candidate = |bounds, score| Candidate {
            runs: Vec::new(),
            area: 1,
            bounds,
            score,
        };
        // 8 of 12 columns are common: 0.667; the third is elsewhere
        let all = || {
            vec![
                candidate([0, 0, 10, 4], 0.8),
                candidate([2, 0, 12, 4], 0.9),
                candidate([20, 0, 30, 4], 0.1),
            ]
        };
        let scores = |most| distinct(all(), most).iter().map(|c| c.score).collect::<Vec<_>>();
        assert_eq!(scores(0.6), [0.9, 0.1]);
        assert_eq!(scores(0.7), [0.9, 0.8, 0.1]);
    }
}
