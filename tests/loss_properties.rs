//! The streamed pixel contrastive losses against the obvious form (all pairs in one matrix, masks, candle's own gradients) on
//! random sizes, labels and variants; and what must hold in the corners.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod tensors;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use seglab::loss::{PixelContrastInput, PixelContrastOptions, PixelContrastOutput, Sampling, Variant, pixel_contrast};
use seglab::random::Random;
use tensors::{numbers, random};

const IGNORE: i64 = 255;

/// One pixel of one view.
#[derive(Clone, Copy, PartialEq)]
struct Pixel {
    view: usize,
    image: usize,
    place: usize,
    label: i64,
}

/// Is q a positive of p, is it in the denominator (all keys) or a negative (own positive)?
type Relation<'a> = Box<dyn Fn(Pixel, Pixel) -> (bool, bool) + 'a>;

/// Anchors of one term, how p and q are related, and what the term's mean weighs.
struct ObviousTerm<'a> {
    anchors: Box<dyn Fn(Pixel) -> bool + 'a>,
    relation: Relation<'a>,
    group: usize,
}

/// `two`: whether a bag of all pixels holds both views.
fn terms<'a>(variant: Variant, two: bool, images: usize, partners: &'a [usize]) -> Vec<ObviousTerm<'a>> {
    let same = |p: Pixel, q: Pixel| p.label == q.label;
    let mut terms = Vec::new();
    let mut term = |group, anchors: Box<dyn Fn(Pixel) -> bool + 'a>, relation: Relation<'a>| {
        terms.push(ObviousTerm {
            anchors,
            relation,
            group,
        });
    };
    for (b, &j) in partners.iter().enumerate().take(images) {
        match variant {
            Variant::WithinImage => term(
                b,
                Box::new(move |p| p.view == 0 && p.image == b),
                Box::new(move |p, q| (q.view == 1 && q.image == b && same(p, q), q.view == 1 && q.image == b)),
            ),
            Variant::CrossImage => term(
                b,
                Box::new(move |p| p.view == 0 && p.image == b),
                Box::new(move |p, q| {
                    let positive = q.view == 1 && (q.image == b || q.image == j) && same(p, q);
                    (positive, positive || (q.view == 1 && q.image == b))
                }),
            ),
            Variant::ReleasedWithinImage => {
                for view in 0..2 {
                    term(
                        view * images + b,
                        Box::new(move |p| p.view == view && p.image == b),
                        Box::new(move |p, q| {
                            let seen = q.view == view && q.image == b;
                            (seen && same(p, q), seen && !same(p, q))
                        }),
                    );
                }
            }
            Variant::ReleasedCrossImage => {
                let bag = move |p: Pixel| (p.view == 0 && p.image == b) || (p.view == 1 && p.image == j);
                term(
                    b,
                    Box::new(bag),
                    Box::new(move |p, q| (bag(q) && same(p, q), bag(q) && p.view == q.view && !same(p, q))),
                );
            }
            _ => {}
        }
    }
    match variant {
        Variant::Batch => term(
            0,
            Box::new(|p| p.view == 0),
            Box::new(move |p, q| (q.view == 1 && same(p, q), q.view == 1)),
        ),
        Variant::OwnPositive => term(
            0,
            Box::new(move |p| two || p.view == 0),
            Box::new(move |p, q| {
                let seen = two || q.view == 0;
                (seen && p != q && same(p, q), seen && !same(p, q))
            }),
        ),
        Variant::Supcon => term(
            0,
            Box::new(move |p| two || p.view == 0),
            Box::new(move |p, q| {
                let seen = (two || q.view == 0) && p != q;
                (seen && same(p, q), seen)
            }),
        ),
        _ => {}
    }
    terms
}

/// The loss in the obvious form, all pixels being anchors.
fn obvious(
    views: [&Tensor; 2],
    labels: &[i64],
    (variant, two): (Variant, bool),
    temperature: &Tensor,
    partners: &[usize],
) -> Tensor {
    let (images, dim, h, w) = views[0].dims4().unwrap();
    let mut pixels = Vec::new();
    for view in 0..2 {
        for (i, &label) in labels.iter().enumerate() {
            pixels.push(Pixel {
                view,
                image: i / (h * w),
                place: i % (h * w),
                label,
            });
        }
    }
    let n = pixels.len();
    let rows = views.map(|v| v.permute((0, 2, 3, 1)).unwrap().reshape(((), dim)).unwrap());
    let x = Tensor::cat(&rows, 0).unwrap();
    let x = x
        .broadcast_div(&x.sqr().unwrap().sum_keepdim(1).unwrap().sqrt().unwrap())
        .unwrap();
    let s = x.matmul(&x.t().unwrap()).unwrap().broadcast_div(temperature).unwrap();
    let e = s.exp().unwrap();
    let mut groups: Vec<Vec<Tensor>> = vec![Vec::new(); 2 * images];
    for term in terms(variant, two, images, partners) {
        let (mut positive, mut other, mut anchors) = (vec![0f64; n * n], vec![0f64; n * n], vec![0f64; n]);
        for (i, &p) in pixels
            .iter()
            .enumerate()
            .filter(|(_, p)| p.label != IGNORE && (term.anchors)(**p))
        {
            let mut count = 0.0;
            for (j, &q) in pixels.iter().enumerate().filter(|(_, q)| q.label != IGNORE) {
                let (is_positive, is_other) = (term.relation)(p, q);
                positive[i * n + j] = f64::from(u8::from(is_positive));
                other[i * n + j] = f64::from(u8::from(is_other));
                count += positive[i * n + j];
            }
            if count > 0.0 {
                anchors[i] = 1.0;
                positive[i * n..(i + 1) * n].iter_mut().for_each(|x| *x /= count);
            }
        }
        let count: f64 = anchors.iter().sum();
        if count == 0.0 {
            continue;
        }
        anchors.iter_mut().for_each(|x| *x /= count);
        let matrix = |v: Vec<f64>| Tensor::from_vec(v, (n, n), &Device::Cpu).unwrap();
        let (positive, other) = (matrix(positive), matrix(other));
        let total = (&e * other).unwrap().sum_keepdim(1).unwrap();
        let own_positive = matches!(
            variant,
            Variant::ReleasedWithinImage | Variant::ReleasedCrossImage | Variant::OwnPositive
        );
        let pair = if own_positive {
            (e.broadcast_add(&total).unwrap().log().unwrap() - &s).unwrap()
        } else {
            let total = (total + 1e-300).unwrap(); // rows of pixels that are no anchors
            total.log().unwrap().broadcast_sub(&s).unwrap()
        };
        let anchors = Tensor::from_vec(anchors, (n, 1), &Device::Cpu).unwrap();
        groups[term.group].push(
            (pair * positive)
                .unwrap()
                .broadcast_mul(&anchors)
                .unwrap()
                .sum_all()
                .unwrap(),
        );
    }
    let all: Vec<&Tensor> = groups.iter().flatten().collect();
    let count = match variant {
        Variant::ReleasedWithinImage | Variant::ReleasedCrossImage => images,
        _ => all.len().max(1),
    };
    let zero = views[0].sum_all().unwrap().affine(0.0, 0.0).unwrap();
    let sum = all.into_iter().fold(zero, |sum, t| (sum + t).unwrap());
    sum.affine(1.0 / count as f64, 0.0).unwrap()
}

fn run(z: &Tensor, zd: &Tensor, labels: &Tensor, tau: &Tensor, options: &PixelContrastOptions) -> PixelContrastOutput {
    run_views(z, Some(zd), labels, tau, options)
}

fn run_views(
    z: &Tensor,
    zd: Option<&Tensor>,
    labels: &Tensor,
    tau: &Tensor,
    options: &PixelContrastOptions,
) -> PixelContrastOutput {
    let input = PixelContrastInput {
        features: z,
        distorted: zd,
        labels,
        predictions: None,
        temperature: Some(tau),
        memory: None,
        random: &mut Random::new(3),
    };
    pixel_contrast(input, options).unwrap()
}

/// Value and gradients (features, distorted, temperature) as one list.
fn results(loss: &Tensor, inputs: [&Var; 3]) -> Vec<Vec<f64>> {
    let gradients = loss.backward().unwrap();
    let mut all = vec![numbers(loss)];
    all.extend(inputs.map(|v| gradients.get(v).map_or(vec![0.0; v.elem_count()], numbers)));
    all
}

/// Ours beside the obvious form. `two`: whether a variant that can do without the distorted view gets it.
fn compare((variant, two): (Variant, bool), shape: (usize, usize, usize, usize), labels: &[i64], tau: f64, seed: u64) {
    let two = two || variant.needs_distorted();
    let (z, zd) = (
        random(&<[usize; 4]>::from(shape), seed),
        random(&<[usize; 4]>::from(shape), seed + 1000),
    );
    let zd = (&z + zd * 0.5).unwrap();
    let partners: Vec<usize> = (0..shape.0).map(|b| (b + 1) % shape.0).collect();
    let label_map = Tensor::from_slice(labels, (shape.0, shape.2, shape.3), &Device::Cpu).unwrap();
    let options = PixelContrastOptions {
        variant,
        partners: Some(partners.clone()),
        ..Default::default()
    };
    let var = |t: &Tensor, dtype| Var::from_tensor(&t.to_dtype(dtype).unwrap()).unwrap();
    let temperature = Var::new(tau, &Device::Cpu).unwrap();

    let (a, b) = (var(&z, DType::F64), var(&zd, DType::F64));
    let loss = obvious([&a, &b], labels, (variant, two), &temperature, &partners);
    let wanted = results(&loss, [&a, &b, &temperature]);
    for dtype in [DType::F32, DType::F64] {
        let (a, b) = (var(&z, dtype), var(&zd, dtype));
        let out = run_views(&a, two.then_some(&*b), &label_map, &temperature, &options);
        let ours = results(&out.loss, [&a, &b, &temperature]);
        // The loss is a difference of sums of logits, which are as large as 1/tau: where it is close to 0 (an anchor with a
        // single key, say) single precision resolves no more than some units of the logits' last place.
        let size = wanted[0][0].abs().max(0.1 / tau);
        // So with a pixel's gradient, a difference of keys over tau and the number of anchors.
        let pixel = 0.1 / (tau * labels.len() as f64);
        let scales = [size, pixel, pixel, size / tau];
        for (i, (ours, wanted)) in ours.iter().zip(&wanted).enumerate() {
            let scale = wanted.iter().fold(scales[i].max(1e-3), |m, x| m.max(x.abs()));
            let off = ours.iter().zip(wanted).fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) / scale;
            assert!(
                off < 1e-5,
                "{variant:?} two views {two} {shape:?} tau {tau} {dtype:?}: part {i} is off by {off:.2e}"
            );
        }
    }
}

fn labels_of(kind: u8, shape: (usize, usize, usize, usize), seed: u64) -> Vec<i64> {
    let mut random = Random::new(seed);
    let (area, n) = (shape.2 * shape.3, shape.0 * shape.2 * shape.3);
    (0..n)
        .map(|i| match kind {
            0 => random.below(4) as i64,
            1 if i / area == 0 => IGNORE, // an image wholly ignored
            1 => random.below(3) as i64,
            2 => 7,               // one class only
            3 if i == n / 2 => 9, // a class with one pixel
            3 => random.below(2) as i64,
            4 => i as i64 + if i as i64 >= IGNORE { 1 } else { 0 }, // all distinct
            _ if random.chance(0.3) => IGNORE,
            _ => [0, 3, 200, 1 << 40][random.below(4)],
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn streamed_is_the_obvious_form(
        variant in 0usize..7, images in 1usize..4, dim in 1usize..20, h in 1usize..8, w in 1usize..8,
        kind in 0u8..6, cold in any::<bool>(), two in any::<bool>(), seed in 0u64..1000,
    ) {
        let shape = (images, dim.max(2), h, w);
        let tau = if cold { 0.07 } else { 0.5 };
        compare((Variant::ALL[variant].1, two), shape, &labels_of(kind, shape, seed), tau, seed);
    }
}

#[test]
fn more_pixels_than_a_block_and_no_multiple_of_it() {
    for (_, variant) in Variant::ALL {
        let shape = (1, 16, 17, 23);
        compare((variant, true), shape, &labels_of(5, shape, 1), 0.1, 1);
    }
}

#[test]
fn very_low_temperature_is_finite_and_agrees_between_types() {
    let shape = (2, 8, 6, 7);
    let labels = Tensor::from_vec(labels_of(0, shape, 2), (2, 6, 7), &Device::Cpu).unwrap();
    let (z, zd) = (
        random(&<[usize; 4]>::from(shape), 1),
        random(&<[usize; 4]>::from(shape), 2),
    );
    for (name, variant) in Variant::ALL {
        for tau in [1e-3, 0.01, 0.02] {
            let options = PixelContrastOptions {
                variant,
                partners: Some(vec![1, 0]),
                ..Default::default()
            };
            let tau = Tensor::new(tau, &Device::Cpu).unwrap();
            let all = [DType::F32, DType::F64].map(|dtype| {
                let (a, b) = (
                    Var::from_tensor(&z.to_dtype(dtype).unwrap()).unwrap(),
                    zd.to_dtype(dtype).unwrap(),
                );
                let out = run(&a, &b, &labels, &tau, &options);
                let gradient = numbers(out.loss.backward().unwrap().get(&a).unwrap());
                assert!(gradient.iter().all(|x| x.is_finite()), "{name}");
                (numbers(&out.loss)[0], gradient)
            });
            assert!(
                (all[0].0 - all[1].0).abs() < 1e-4 * all[1].0.abs().max(1.0),
                "{name}: {} {}",
                all[0].0,
                all[1].0
            );
            let scale = all[1].1.iter().fold(1e-6f64, |m, x| m.max(x.abs()));
            let off = all[0]
                .1
                .iter()
                .zip(&all[1].1)
                .fold(0f64, |m, (a, b)| m.max((a - b).abs()));
            assert!(off < 1e-3 * scale, "{name} {tau:?}: gradient off by {off} of {scale}");
        }
    }
}

#[test]
fn a_bag_takes_both_views_that_are_given() {
    let shape = (2, 8, 5, 6);
    for variant in [Variant::OwnPositive, Variant::Supcon] {
        for two in [false, true] {
            compare((variant, two), shape, &labels_of(5, shape, 3), 0.1, 3);
        }
        let (z, zd) = (
            Var::from_tensor(&random(&[1, 8, 5, 6], 1)).unwrap(),
            Var::from_tensor(&random(&[1, 8, 5, 6], 2)).unwrap(),
        );
        let labels = Tensor::from_vec(labels_of(0, (1, 8, 5, 6), 4), (1, 5, 6), &Device::Cpu).unwrap();
        let options = PixelContrastOptions {
            variant,
            ..Default::default()
        };
        let tau = Tensor::new(0.1, &Device::Cpu).unwrap();
        let out = run(&z, &zd, &labels, &tau, &options);
        assert_eq!(out.anchors, 60, "{variant:?}"); // 30 pixels of each view
        let gradients = out.loss.backward().unwrap();
        assert!(numbers(gradients.get(&zd).unwrap()).iter().any(|g| *g != 0.0));
    }
}

#[test]
fn nothing_valid_is_zero_with_zero_gradients_and_a_warning() {
    for (_, variant) in Variant::ALL {
        let z = Var::from_tensor(&random(&[2, 4, 3, 3], 0).to_dtype(DType::F32).unwrap()).unwrap();
        let labels = Tensor::full(255u8, (2, 3, 3), &Device::Cpu).unwrap();
        let options = PixelContrastOptions {
            variant,
            ..Default::default()
        };
        let out = run(&z, &z, &labels, &Tensor::new(0.07, &Device::Cpu).unwrap(), &options);
        assert_eq!(numbers(&out.loss), [0.0]);
        let gradients = out.loss.backward().unwrap();
        assert!(numbers(gradients.get(&z).unwrap()).iter().all(|&x| x == 0.0));
        assert!(
            out.warnings.len() == 1 && out.warnings[0].contains("no valid pixel"),
            "{:?}",
            out.warnings
        );
    }
}

#[test]
fn wrong_input_is_explained() {
    let z = random(&[2, 4, 6, 6], 0);
    let good = Tensor::zeros((2, 6, 6), DType::I64, &Device::Cpu).unwrap();
    let refused =
        |z: &Tensor, zd: Option<&Tensor>, labels: &Tensor, options: PixelContrastOptions, tau: Option<&Tensor>| {
            let input = PixelContrastInput {
                features: z,
                distorted: zd,
                labels,
                predictions: None,
                temperature: tau,
                memory: None,
                random: &mut Random::new(0),
            };
            pixel_contrast(input, &options).unwrap_err().to_string()
        };
    let default = PixelContrastOptions::default;
    let wide = Tensor::zeros((2, 6, 7), DType::I64, &Device::Cpu).unwrap();
    assert!(refused(&z, Some(&z), &wide, default(), None).contains("6 x 6"));
    let three = Tensor::zeros((3, 6, 6), DType::I64, &Device::Cpu).unwrap();
    assert!(refused(&z, Some(&z), &three, default(), None).contains("3 images"));
    assert!(refused(&z, Some(&random(&[2, 4, 5, 6], 1)), &good, default(), None).contains("[2, 4, 5, 6]"));
    assert!(refused(&z, None, &good, default(), None).contains("distorted"));
    for temperature in [0.0, -0.1] {
        assert!(
            refused(
                &z,
                Some(&z),
                &good,
                PixelContrastOptions {
                    temperature,
                    ..default()
                },
                None
            )
            .contains("temperature")
        );
        let tensor = Tensor::new(temperature, &Device::Cpu).unwrap();
        assert!(refused(&z, Some(&z), &good, default(), Some(&tensor)).contains("temperature"));
    }
    let hard = PixelContrastOptions {
        sampling: Sampling::Hard,
        ..default()
    };
    assert!(refused(&z, Some(&z), &good, hard, None).contains("predictions"));
    let nan = (&z / 0.0).unwrap();
    assert!(refused(&nan, Some(&z), &good, default(), None).contains("not finite"));
}

#[test]
fn half_precision_features_give_close_losses() {
    let shape = (2, 16, 8, 8);
    let labels = Tensor::from_vec(labels_of(0, shape, 4), (2, 8, 8), &Device::Cpu).unwrap();
    let (z, zd) = (
        random(&<[usize; 4]>::from(shape), 5),
        random(&<[usize; 4]>::from(shape), 6),
    );
    let tau = Tensor::new(0.07, &Device::Cpu).unwrap();
    for (name, variant) in Variant::ALL {
        let options = PixelContrastOptions {
            variant,
            ..Default::default()
        };
        let value = |dtype| {
            let (a, b) = (
                Var::from_tensor(&z.to_dtype(dtype).unwrap()).unwrap(),
                zd.to_dtype(dtype).unwrap(),
            );
            let out = run(&a, &b, &labels, &tau, &options);
            let gradients = out.loss.backward().unwrap();
            let gradient = gradients.get(&a).unwrap();
            assert_eq!(gradient.dtype(), dtype);
            assert!(numbers(gradient).iter().all(|x| x.is_finite()), "{name} {dtype:?}");
            numbers(&out.loss)[0]
        };
        let exact = value(DType::F32);
        for (dtype, tolerance) in [(DType::F16, 2e-3), (DType::BF16, 2e-2)] {
            let off = (value(dtype) - exact).abs() / exact;
            assert!(off < tolerance, "{name} {dtype:?}: off by {off}");
        }
    }
}

#[test]
fn half_precision_is_exact_for_the_rounded_features() {
    let shape = (2, 16, 8, 8);
    let labels = Tensor::from_vec(labels_of(0, shape, 4), (2, 8, 8), &Device::Cpu).unwrap();
    for (name, variant) in Variant::ALL {
        let options = PixelContrastOptions {
            variant,
            ..Default::default()
        };
        // cold enough that e^(1/tau) overflows every type here, and norms whose squares overflow f16
        for (tau, norm) in [(0.07, 1.0), (0.01, 1.0), (0.07, 1000.0), (0.01, 1000.0)] {
            for (dtype, unit) in [(DType::F16, 1.0 / 1024.0), (DType::BF16, 1.0 / 128.0)] {
                let rounded = |seed| {
                    (random(&<[usize; 4]>::from(shape), seed) * norm)
                        .unwrap()
                        .to_dtype(dtype)
                        .unwrap()
                };
                let tau = Tensor::new(tau, &Device::Cpu).unwrap();
                let result = |dtype| {
                    let a = Var::from_tensor(&rounded(5).to_dtype(dtype).unwrap()).unwrap();
                    let out = run(&a, &rounded(6).to_dtype(dtype).unwrap(), &labels, &tau, &options);
                    let gradient = out.loss.backward().unwrap().get(&a).unwrap().clone();
                    assert_eq!(gradient.dtype(), dtype);
                    (numbers(&out.loss)[0], numbers(&gradient))
                };
                let ((low, g), (exact, wanted)) = (result(dtype), result(DType::F64));
                assert!(
                    (low - exact).abs() < 1e-4 * exact.abs().max(1.0),
                    "{name} {dtype:?}: {low} {exact}"
                );
                let scale = wanted.iter().fold(0f64, |m, x| m.max(x.abs()));
                // what f16 cannot represent at all: steps of 2^-24 near 0
                let allowed = unit * scale + if dtype == DType::F16 { 6e-8 } else { 0.0 };
                let off = g.iter().zip(&wanted).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
                assert!(
                    off <= allowed,
                    "{name} {dtype:?} {tau} {norm}: gradient off by {off} of {scale}"
                );
            }
        }
    }
}
