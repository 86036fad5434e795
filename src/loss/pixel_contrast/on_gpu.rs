//! Every variant by the code for a GPU, run by the emulator, against the code for the processor.
#![cfg(test)]

use candle_core::{DType, Device, Tensor, Var};

use super::memory::{Memory, MemoryOptions};
use super::options::{KeySampling, PixelContrastOptions, Sampling, Variant};
use super::{class_map, pairs, partners, sampling};
use crate::ops::kernel::cuda::emulated::{available, flat, random};
use crate::ops::pixel_contrast::{Contrast, Pairs, emulated, pixel_contrast};
use crate::random::Random;

/// Value, gradients by both views and by the temperature, mean logits.
type Numbers = [Vec<f64>; 6];

fn numbers(views: [&Tensor; 2], temperature: f64, run: impl Fn([&Tensor; 2], &Tensor) -> Contrast) -> Numbers {
    let [first, second] = views.map(|v| Var::from_tensor(v).unwrap());
    let temperature = Var::new(temperature, &Device::Cpu).unwrap();
    let out = run([&first, &second], &temperature);
    let gradients = (&out.loss * 1.5).unwrap().backward().unwrap(); // not 1: the backward scales
    let gradient = |var: &Var| {
        let found = gradients.get(var).unwrap();
        assert_eq!((found.dims(), found.dtype()), (var.dims(), var.dtype()));
        flat(found)
    };
    let mean = |t: &Option<Tensor>| t.iter().flat_map(flat).collect();
    [
        flat(&out.loss),
        gradient(&first),
        gradient(&second),
        gradient(&temperature),
        mean(&out.positive_logit),
        mean(&out.negative_logit),
    ]
}

/// Compare in all types: 1e-10 in f64, 2e-5 in f32, 2e-2 in bf16 of the largest number of each kind.
fn agree(what: &str, shape: &[usize], temperature: f64, base: Option<f64>, pairs: &Pairs) {
    for (dtype, tolerance) in [(DType::F64, 1e-10), (DType::F32, 2e-5), (DType::BF16, 2e-2)] {
        let views = [1, 2].map(|seed| random(shape, seed).to_dtype(dtype).unwrap());
        let exact = views.each_ref().map(|v| v.to_dtype(DType::F64).unwrap());
        let expected = numbers([&exact[0], &exact[1]], temperature, |[a, b], t| {
            pixel_contrast(a, Some(b), t, base, pairs, &|| Ok(())).unwrap()
        });
        let found = numbers([&views[0], &views[1]], temperature, |views, t| {
            emulated(views, t, base, pairs).unwrap()
        });
        let kinds = [
            "value",
            "gradient",
            "gradient of the second view",
            "slope",
            "positive",
            "negative",
        ];
        for ((kind, expected), found) in kinds.iter().zip(&expected).zip(&found) {
            assert_eq!(expected.len(), found.len(), "{what}, {dtype:?}, {kind}");
            let scale = expected.iter().fold(1e-6f64, |m, x| m.max(x.abs()));
            for (at, (e, f)) in expected.iter().zip(found).enumerate() {
                let close = (e - f).abs() <= tolerance * scale;
                assert!(
                    close,
                    "{what}, {dtype:?}, {kind}, element {at}: expected {e}, found {f}"
                );
            }
        }
    }
}

const SHAPE: [usize; 4] = [3, 37, 3, 5];

/// The pairs of some options for three images of 3 x 5 pixels with these labels.
fn pairs_of(options: &PixelContrastOptions, labels: &[i64], memory: Option<&Memory>) -> Pairs {
    let map = class_map(labels, None, [3, 5], 3, 255, memory);
    let random = &mut Random::new(3);
    let anchors = sampling::anchors(&map, options, random).unwrap();
    let keys = sampling::keys(&map, options, random);
    let partners = partners(3, options, random).unwrap();
    let two = options.variant.is_of_two_views();
    let mut grouped = pairs::build(options.variant, two, &map, &anchors, &keys, &partners, memory);
    pairs::weigh(&mut grouped, options.variant.reduction(), &map, None).unwrap();
    grouped.pairs
}

/// Labels of three images: some ignored pixels, an image wholly ignored, a class of a single pixel.
fn labels() -> Vec<i64> {
    let mut labels: Vec<i64> = (0..45)
        .map(|i| if i % 11 == 0 { 255 } else { (i * i / 3) % 4 })
        .collect();
    labels[15..30].fill(255);
    labels[3] = 9;
    labels
}

fn memory() -> Memory {
    let options = MemoryOptions {
        per_class: 5,
        per_batch: 5,
        warm_up: 1,
        momentum_encoder: None,
    };
    let mut memory = Memory::new(&options).unwrap();
    let labels = Tensor::from_vec(labels(), (3, 3, 5), &Device::Cpu).unwrap();
    memory
        .store(&random(&SHAPE, 9), &labels, 255, &mut Random::new(0))
        .unwrap();
    memory
}

#[test]
fn every_variant_on_a_gpu_is_that_of_the_processor() {
    if !available() {
        return;
    }
    let memory = memory();
    for (name, variant) in Variant::ALL {
        let options = PixelContrastOptions {
            variant,
            ..Default::default()
        };
        agree(name, &SHAPE, 0.07, None, &pairs_of(&options, &labels(), None));
        // colder than the bound of the logits can serve as the shift; both scaled by a base temperature
        agree(
            name,
            &SHAPE,
            0.02,
            Some(0.07),
            &pairs_of(&options, &labels(), Some(&memory)),
        );
        let sampled = PixelContrastOptions {
            sampling: Sampling::Uniform,
            max_anchors: Some(7),
            key_sampling: KeySampling::Uniform,
            max_keys: Some(8),
            ..options.clone()
        };
        agree(name, &SHAPE, 0.5, None, &pairs_of(&sampled, &labels(), None));
        agree(name, &SHAPE, 0.07, None, &pairs_of(&options, &[4; 45], None));
        agree(name, &SHAPE, 0.07, None, &pairs_of(&options, &[255; 45], None));
        let distinct: Vec<i64> = (1000..1045).collect();
        agree(name, &SHAPE, 0.07, None, &pairs_of(&options, &distinct, None));
    }
}

#[test]
fn the_same_features_give_the_same_bits_and_others_than_finite_show() {
    if !available() {
        return;
    }
    let pairs = pairs_of(&PixelContrastOptions::default(), &labels(), None);
    let views = [1, 2].map(|seed| random(&SHAPE, seed).to_dtype(DType::F32).unwrap());
    let run = |views: [&Tensor; 2]| numbers(views, 0.07, |v, t| emulated(v, t, None, &pairs).unwrap());
    assert_eq!(run([&views[0], &views[1]]), run([&views[0], &views[1]]));
    // pixel 1 of image 0 is valid, pixel 0 ignored: there anything may stand
    for (pixel, shows) in [(1, true), (0, false)] {
        let mut data: Vec<f32> = views[0].flatten_all().unwrap().to_vec1().unwrap();
        data[2 * 15 + pixel] = f32::INFINITY;
        let broken = Tensor::from_vec(data, &SHAPE, &Device::Cpu).unwrap();
        assert_eq!(run([&broken, &views[1]])[0][0].is_nan(), shows);
    }
}
