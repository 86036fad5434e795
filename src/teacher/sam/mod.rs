//! Segment Anything (Kirillov et al. 2023): a mask from points.
//!
//! `parts` is the model, `tiny_vit` Mobile-SAM's encoder, `decoder` the last part, `names` Hugging Face's names for its tensors, `masks` makes all masks of an image.

mod decoder;
mod masks;
mod names;
mod parts;
mod tiny_vit;

use std::cell::RefCell;
use std::sync::Arc;

use candle_core::{D, Device, Tensor};

use super::background;
use super::picture::{Batch, normalised};
use super::source::Origin;
use crate::data::{IMAGENET_MEAN, IMAGENET_SD};
use crate::error::Result;
use crate::ops::pieces::Check;
use crate::ops::{Filter, resampled};
use crate::{ensure, ops};
use parts::Parts;

pub use masks::{Mask, MaskOptions};
pub use parts::SamKind;

/// A pixel that a mask must hold, or must not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// From the left, in pixels of the image.
    pub x: f64,
    /// From above.
    pub y: f64,
    /// Whether the mask holds it.
    pub inside: bool,
}

/// An image as the model has seen it.
#[derive(Clone)]
struct Seen {
    embedding: Tensor,
    /// Height and width of the image, and of its part of the square.
    size: [usize; 2],
    scaled: [usize; 2],
}

/// Answers to prompts.
struct Answers {
    /// `[prompts, answers, h, w]`, small: see [`SegmentAnything::enlarged`].
    maps: Tensor,
    /// How good each is guessed to be, by prompt.
    scores: Vec<Vec<f32>>,
}

/// A frozen Segment Anything.
pub struct SegmentAnything {
    parts: Arc<Parts>,
    kind: SamKind,
    device: Device,
    /// The colours of the image seen last, and what was seen: many points are asked about one image.
    last: RefCell<Option<(Vec<f32>, Seen)>>,
}

impl SegmentAnything {
    /// The model of a file (or of a folder that holds `model.safetensors`), or a small random one.
    ///
    /// # Errors
    /// A missing file, the file of another model.
    pub fn new(kind: SamKind, origin: &Origin, device: &Device) -> Result<Self> {
        let parts = Parts::new(kind, origin, device)?;
        Ok(SegmentAnything {
            parts: Arc::new(parts),
            kind,
            device: device.clone(),
            last: RefCell::default(),
        })
    }

    /// Which one it is.
    pub fn kind(&self) -> SamKind {
        self.kind
    }

    /// The mask of the thing that these points of an image `[3, h, w]` with colours in 0..1 show, `[h, w]` of 0 and 1, and how good the
    /// model thinks it is (an estimate of the intersection over union). Of one point the best of three answers: part, thing, group.
    ///
    /// # Errors
    /// No point inside, a point beside the image.
    pub fn segment(&self, image: &Tensor, points: &[Point], check: Check) -> Result<(Tensor, f64)> {
        let seen = self.see("segment", image, check)?;
        let [h, w] = seen.size;
        ensure!(
            points.iter().any(|p| p.inside),
            "`points` holds no point that lies inside, expected one at least: [[x, y], ..]"
        );
        for (i, p) in points.iter().enumerate() {
            ensure!(
                (0.0..w as f64).contains(&p.x) && (0.0..h as f64).contains(&p.y),
                "point {i} is [{}, {}], beside the image of width {w} and height {h}; points are [x, y] in pixels",
                p.x,
                p.y
            );
        }
        let answers = self.ask(&seen, &[points.to_vec()], points.len() == 1, check)?;
        let scores = answers.scores.first().map_or(&[][..], |s| s);
        let Some((best, score)) = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)) else {
            crate::fail!("the model gave no mask");
        };
        let map = self.enlarged(&seen, &answers.maps.narrow(1, best, 1)?)?;
        let mask = map.gt(0f32)?.flatten_to(2)?.to_device(&Device::Cpu)?;
        Ok((mask, f64::from(*score)))
    }

    /// Look at one image `[3, h, w]`, unless it is the one seen last: the long part of the work.
    fn see(&self, function: &str, image: &Tensor, check: Check) -> Result<Seen> {
        ensure!(
            image.rank() == 3,
            "{function}: the image must be one tensor [3, h, w] with colours from 0 to 1, found {:?}; take the images of a batch one by one",
            image.dims()
        );
        let batch = Batch::new(function, image, &self.device)?;
        let colours = batch.images.flatten_all()?.to_vec1::<f32>()?;
        if let Some((known, seen)) = &*self.last.borrow()
            && seen.size == batch.size()
            && *known == colours
        {
            return Ok(seen.clone());
        }
        let (size, side) = (batch.size(), self.parts.side);
        let scale = side as f64 / size[0].max(size[1]) as f64;
        let scaled = size.map(|s| ((s as f64 * scale + 0.5) as usize).clamp(1, side));
        let image = resampled(&batch.images, scaled, Filter::Smooth)?;
        let square = normalised(&image, IMAGENET_MEAN, IMAGENET_SD)?
            .pad_with_zeros(2, 0, side - scaled[0])?
            .pad_with_zeros(3, 0, side - scaled[1])?;
        let parts = self.parts.clone();
        let embedding = background::run(check, move || parts.embed(&square))?;
        let seen = Seen {
            embedding,
            size,
            scaled,
        };
        *self.last.borrow_mut() = Some((colours, seen.clone()));
        Ok(seen)
    }

    /// The answers to prompts, of as many points each, in pixels of the image: three to each, or one.
    fn ask(&self, seen: &Seen, prompts: &[Vec<Point>], several: bool, check: Check) -> Result<Answers> {
        let [down, across] = [0, 1].map(|side| seen.scaled[side] as f64 / seen.size[side] as f64);
        let placed = |p: &Point| Point {
            x: p.x * across,
            y: p.y * down,
            ..*p
        };
        let prompts: Vec<Vec<Point>> = prompts
            .iter()
            .map(|points| points.iter().map(placed).collect())
            .collect();
        let (parts, embedding) = (self.parts.clone(), seen.embedding.clone());
        let (maps, scores) = background::run(check, move || parts.answer(&embedding, &prompts, several))?;
        ensure!(
            ops::reduce::all_finite(&maps)?,
            "some numbers of the masks are not finite; the weights are not fit for use"
        );
        Ok(Answers {
            maps,
            scores: scores.to_vec2()?,
        })
    }

    /// Maps of answers `[n, 1, ..]` at the size of the image, `[n, 1, h, w]`: first to the square, whose empty part is cut off.
    fn enlarged(&self, seen: &Seen, maps: &Tensor) -> Result<Tensor> {
        let square = ops::resize_bilinear(maps, [self.parts.side; 2], false)?;
        let part = square
            .narrow(2, 0, seen.scaled[0])?
            .narrow(D::Minus1, 0, seen.scaled[1])?;
        ops::resize_bilinear(&part, seen.size, false)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candle_core::DType;

    use super::*;
    use crate::nn::weights;
    use crate::session::Place;

    fn close(found: &Tensor, expected: &Tensor) {
        assert_eq!(found.dims(), expected.dims());
        let difference = (found.to_dtype(DType::F32).unwrap() - expected).unwrap().abs().unwrap();
        let most = difference
            .flatten_all()
            .unwrap()
            .max(0)
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        assert!(most < 1e-4, "{most}");
    }

    /// A small model of `transformers` with its image of 40 x 64 pixels; see tests/golden/make_golden_teachers.py.
    #[test]
    fn answers_are_those_of_transformers() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/teachers");
        let golden = weights::read(folder.join("expected.safetensors"), &Device::Cpu)
            .unwrap()
            .tensors;
        let place = Place::from(&folder.join("sam"));
        let sam = SegmentAnything::new(SamKind::VitB, &Origin::Files(place), &Device::Cpu).unwrap();
        let check = || Ok(());
        let seen = sam.see("f", &golden["picture"], &check).unwrap();
        let first = Point {
            x: 20.0,
            y: 30.0,
            inside: true,
        };
        let second = Point {
            x: 50.5,
            y: 3.0,
            inside: false,
        };
        for (name, points, several) in [("one", vec![first], true), ("two", vec![first, second], false)] {
            let answers = sam.ask(&seen, std::slice::from_ref(&points), several, &check).unwrap();
            close(&answers.maps.squeeze(0).unwrap(), &golden[&format!("sam.{name}.low")]);
            let scores = Tensor::new(answers.scores[0].as_slice(), &Device::Cpu).unwrap();
            close(&scores, &golden[&format!("sam.{name}.scores")]);
            let best =
                (0..answers.scores[0].len()).max_by(|a, b| answers.scores[0][*a].total_cmp(&answers.scores[0][*b]));
            let map = sam
                .enlarged(&seen, &answers.maps.narrow(1, best.unwrap(), 1).unwrap())
                .unwrap();
            let expected = &golden[&format!("sam.{name}.map")];
            close(&map.flatten_to(2).unwrap(), expected);
            let (mask, score) = sam.segment(&golden["picture"], &points, &check).unwrap();
            assert_eq!(score, f64::from(answers.scores[0][best.unwrap()]));
            let inside = |t: &Tensor| t.gt(0.0).unwrap().flatten_all().unwrap().to_vec1::<u8>().unwrap();
            let differing = inside(&mask)
                .iter()
                .zip(inside(expected))
                .filter(|(a, b)| **a != *b)
                .count();
            assert!(differing < 3, "{differing} of 2560 pixels differ");
        }
    }

    #[test]
    fn many_prompts_at_once_are_answered_as_one_by_one() {
        let sam = SegmentAnything::new(SamKind::VitB, &Origin::Random(3), &Device::Cpu).unwrap();
        let colours = (0..1800).map(|i| (i * 37 % 101) as f32 / 100.0).collect();
        let image = Tensor::from_vec(colours, (3, 30, 20), &Device::Cpu).unwrap();
        let check = || Ok(());
        let seen = sam.see("f", &image, &check).unwrap();
        let prompt = |x, y| vec![Point { x, y, inside: true }];
        let prompts = [prompt(3.0, 4.0), prompt(15.0, 28.5)];
        let both = sam.ask(&seen, &prompts, true, &check).unwrap();
        for (i, one) in prompts.iter().enumerate() {
            let alone = sam.ask(&seen, std::slice::from_ref(one), true, &check).unwrap();
            close(&both.maps.narrow(0, i, 1).unwrap(), &alone.maps);
        }
    }
}
