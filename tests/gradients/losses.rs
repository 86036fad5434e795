//! The segmentation losses and those of two maps.

use super::*;
use seglab::loss::{self, DiceOptions, FocalOptions, Hardest, bce, dice, focal, kl, lovasz, mse, ohem};
use seglab::ops::Graph;

/// Labels of 3 classes for `[2, 3, 3, 4]`, some ignored.
fn labels() -> Tensor {
    let labels: Vec<i64> = (0..24).map(|i| if i % 7 == 3 { 255 } else { i * 5 % 3 }).collect();
    Tensor::from_vec(labels, (2, 3, 4), &Device::Cpu).unwrap()
}

/// Logits for them.
fn logits(seed: u64) -> [Var; 1] {
    [draw(&mut Random::new(seed), &[2, 3, 3, 4])]
}

fn on(labels: &Tensor, like: &Tensor) -> Tensor {
    labels.to_device(like.device()).unwrap()
}

const REDUCTIONS: [Reduction; 3] = [Reduction::Mean, Reduction::Sum, Reduction::None];

#[test]
fn dice_and_lovasz() {
    let y = labels();
    for smooth in [0.0, 1.0] {
        let o = DiceOptions {
            smooth,
            ..Default::default()
        };
        check("dice", &logits(20), |a| dice(&a[0], &on(&y, &a[0]), &o).unwrap());
    }
    check("lovasz", &logits(21), |a| lovasz(&a[0], &on(&y, &a[0]), 255).unwrap());
    // a class that no pixel has
    let two = y.clamp(0i64, 1).unwrap();
    check("lovasz, dice of two classes", &logits(22), |a| {
        let y = on(&two, &a[0]);
        (lovasz(&a[0], &y, 255).unwrap() + dice(&a[0], &y, &DiceOptions::default()).unwrap()).unwrap()
    });
}

#[test]
fn focal_with_every_reduction() {
    let y = labels();
    for (gamma, class_weights) in [
        (0.0, None),
        (2.0, None),
        (0.5, Some(vec![0.5, 2.0, 1.0])),
        (3.0, Some(vec![1.0, 0.0, 4.0])),
    ] {
        for reduction in REDUCTIONS {
            let o = FocalOptions {
                gamma,
                class_weights: class_weights.clone(),
                reduction,
                ..Default::default()
            };
            check(&format!("focal {gamma} {reduction:?}"), &logits(23), |a| {
                focal(&a[0], &on(&y, &a[0]), &o).unwrap()
            });
        }
    }
}

#[test]
fn chosen_and_weighted_pixels() {
    let y = labels();
    for kept in [
        Hardest::Share(0.3),
        Hardest::Share(1.0),
        Hardest::Below(0.4, 0),
        Hardest::Below(0.1, 5),
    ] {
        check(&format!("ohem {kept:?}"), &logits(24), |a| {
            ohem(Graph::default(), &a[0], &on(&y, &a[0]), kept, 255).unwrap()
        });
    }
    let weights = draw(&mut Random::new(25), &[2, 3, 4]).abs().unwrap();
    for (class_weights, reduction) in REDUCTIONS
        .into_iter()
        .flat_map(|r| [(None, r), (Some(vec![0.5, 2.0, 1.0]), r)])
    {
        let o = CrossEntropyOptions {
            class_weights,
            reduction,
            ..Default::default()
        };
        check(&format!("weights of pixels {reduction:?}"), &logits(26), |a| {
            let weights = weights.to_device(a[0].device()).unwrap();
            loss::weighted_cross_entropy(Graph::default(), &a[0], &on(&y, &a[0]), &weights, &o).unwrap()
        });
    }
}

#[test]
fn losses_of_two_maps() {
    let random = &mut Random::new(27);
    let maps = [draw(random, &[2, 3, 2, 2]), draw(random, &[2, 3, 2, 2])];
    for reduction in REDUCTIONS {
        check("mse", &maps, |a| mse(&a[0], &a[1], reduction).unwrap());
        check("bce", &maps, |a| bce(&a[0], &a[1], reduction).unwrap());
        for temperature in [1.0, 0.5, 4.0] {
            check("kl", &maps, |a| kl(&a[0], &a[1], temperature, reduction).unwrap());
        }
    }
}
