//! Finite differences in f64 for every operation and loss; each argument is also used twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

#[path = "../devices/mod.rs"]
mod devices;
mod losses;
mod order;

use candle_core::{DType, Device, Tensor, Var};
use seglab::ops::{self, BatchNormOptions, BatchNormState, Conv2dOptions, CrossEntropyOptions, Reduction, reduce};
use seglab::random::Random;

/// A value of the shape, normal entries, f64.
fn draw(random: &mut Random, shape: &[usize]) -> Var {
    let data: Vec<f64> = (0..shape.iter().product()).map(|_| random.normal()).collect();
    Var::from_tensor(&Tensor::from_vec(data, shape, &Device::Cpu).unwrap()).unwrap()
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// A scalar that weighs every element of `t` differently.
fn weigh(t: &Tensor) -> Tensor {
    let n = t.elem_count();
    let weights: Vec<f64> = (0..n).map(|i| ((i * 37 % 101) as f64 / 50.0 - 1.0) * 1.7).collect();
    let weights = Tensor::from_vec(weights, t.dims(), t.device()).unwrap();
    (t * weights).unwrap().sum_all().unwrap()
}

/// Compare the gradients of `weigh(f(arguments)) + (sum of squares of the arguments) / 2`, in which every argument is used
/// twice, with central differences, on every device there is.
fn check(name: &str, arguments: &[Var], f: impl Fn(&[Tensor]) -> Tensor) {
    for device in devices::devices() {
        let on = |v: &Var| Var::from_tensor(&v.to_device(&device).unwrap()).unwrap();
        check_on(&device, name, &arguments.iter().map(on).collect::<Vec<_>>(), &f);
    }
}

fn check_on(device: &Device, name: &str, arguments: &[Var], f: impl Fn(&[Tensor]) -> Tensor) {
    let loss = |arguments: &[Tensor]| {
        let mut total = weigh(&f(arguments));
        for a in arguments {
            total = (total + (a.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap()).unwrap();
        }
        total
    };
    let tracked: Vec<Tensor> = arguments.iter().map(|v| v.as_tensor().clone()).collect();
    let grads = loss(&tracked).backward().unwrap();
    for (i, argument) in arguments.iter().enumerate() {
        let gradient = numbers(grads.get(argument).unwrap_or_else(|| panic!("{name}: no gradient {i}")));
        let base = numbers(argument);
        let step = 1e-5;
        for at in 0..base.len() {
            let side = |sign: f64| {
                let mut moved = base.clone();
                moved[at] += sign * step;
                let mut all: Vec<Tensor> = tracked.iter().map(Tensor::detach).collect();
                all[i] = Tensor::from_vec(moved, argument.dims(), device).unwrap();
                loss(&all).to_scalar::<f64>().unwrap()
            };
            let expected = (side(1.0) - side(-1.0)) / (2.0 * step);
            let error = (gradient[at] - expected).abs() / expected.abs().max(1.0);
            assert!(
                error < 1e-6,
                "{name} on {device:?}: argument {i}, element {at}: {} but {expected}",
                gradient[at]
            );
        }
    }
}

#[test]
fn conv2d() {
    let random = &mut Random::new(1);
    let cases = [
        ("same", [2, 3, 5, 6], [4, 3, 3, 3], Conv2dOptions::same(3, 1, 1)),
        (
            "stride 2, odd by even",
            [1, 2, 7, 8],
            [3, 2, 3, 3],
            Conv2dOptions::same(3, 2, 1),
        ),
        (
            "dilated beyond the map",
            [1, 2, 4, 5],
            [2, 2, 3, 3],
            Conv2dOptions::same(3, 1, 6),
        ),
        ("pointwise", [2, 3, 4, 3], [5, 3, 1, 1], Conv2dOptions::default()),
        (
            "pointwise, stride 2",
            [1, 3, 5, 4],
            [2, 3, 1, 1],
            Conv2dOptions {
                stride: [2, 2],
                ..Default::default()
            },
        ),
        (
            "uneven options",
            [1, 2, 6, 7],
            [2, 2, 2, 3],
            Conv2dOptions {
                stride: [2, 1],
                padding: [0, 2],
                dilation: [1, 2],
                groups: 1,
            },
        ),
        (
            "groups",
            [1, 4, 5, 4],
            [6, 2, 3, 3],
            Conv2dOptions {
                groups: 2,
                ..Conv2dOptions::same(3, 1, 1)
            },
        ),
        (
            "depthwise",
            [2, 3, 5, 4],
            [3, 1, 3, 3],
            Conv2dOptions {
                groups: 3,
                ..Conv2dOptions::same(3, 1, 2)
            },
        ),
        (
            "depthwise, two outputs each, stride 2",
            [1, 2, 5, 6],
            [4, 1, 3, 3],
            Conv2dOptions {
                groups: 2,
                ..Conv2dOptions::same(3, 2, 1)
            },
        ),
    ];
    for (name, input, weight, o) in cases {
        let arguments = [draw(random, &input), draw(random, &weight), draw(random, &weight[..1])];
        check(name, &arguments, |a| {
            ops::conv2d(&a[0], &a[1], Some(&a[2]), &o).unwrap()
        });
    }
}

#[test]
fn batch_norm() {
    let random = &mut Random::new(2);
    for (training, relu, with_residual) in [
        (true, false, false),
        (true, true, false),
        (true, false, true),
        (true, true, true),
        (false, false, false),
        (false, true, true),
    ] {
        let shape = [2, 3, 3, 4];
        let mut arguments = vec![draw(random, &shape), draw(random, &[3]), draw(random, &[3])];
        if with_residual {
            arguments.push(draw(random, &shape));
        }
        let mean = draw(random, &[3]);
        let var = Var::from_tensor(&draw(random, &[3]).sqr().unwrap().affine(1.0, 0.5).unwrap()).unwrap();
        let o = BatchNormOptions {
            training,
            relu,
            ..Default::default()
        };
        check(
            &format!("batch_norm {training} {relu} {with_residual}"),
            &arguments,
            |a| {
                let on = |v: &Var| Var::from_tensor(&v.to_device(a[0].device()).unwrap().copy().unwrap()).unwrap();
                let (mean, var) = (on(&mean), on(&var));
                let state = BatchNormState { mean: &mean, var: &var };
                ops::batch_norm(&a[0], &a[1], &a[2], state, a.get(3), &o).unwrap()
            },
        );
    }
}

#[test]
fn pools() {
    let random = &mut Random::new(3);
    for (kernel, stride, padding) in [(3, 2, 1), (2, 2, 0), (3, 1, 1), (2, 3, 1)] {
        let input = [draw(random, &[1, 2, 7, 6])];
        let [kernel, stride, padding] = [kernel, stride, padding].map(|v| [v; 2]);
        check("max_pool2d", &input, |a| {
            ops::max_pool2d(&a[0], kernel, stride, padding).unwrap()
        });
        check("avg_pool2d", &input, |a| {
            ops::avg_pool2d(&a[0], kernel, stride, padding).unwrap()
        });
    }
}

#[test]
fn resizes() {
    let random = &mut Random::new(4);
    for size in [[9, 8], [3, 2], [4, 5], [1, 1], [16, 20]] {
        let input = [draw(random, &[1, 2, 4, 5])];
        for corners in [true, false] {
            check("resize_bilinear", &input, |a| {
                ops::resize_bilinear(&a[0], size, corners).unwrap()
            });
        }
        check("resize_nearest", &input, |a| ops::resize_nearest(&a[0], size).unwrap());
    }
}

#[test]
fn elementwise() {
    let random = &mut Random::new(5);
    let input = [draw(random, &[2, 3, 4])];
    check("relu", &input, |a| ops::relu(&a[0]).unwrap());
    check("dropout", &input, |a| {
        ops::dropout(&a[0], 0.4, &mut Random::new(9)).unwrap()
    });
    for dim in 0..3 {
        check("normalize", &input, |a| ops::normalize(&a[0], dim, 1e-12).unwrap());
        check("normalize, all shorter than eps", &input, |a| {
            ops::normalize(&a[0], dim, 100.0).unwrap()
        });
    }
}

#[test]
fn cross_entropy() {
    let random = &mut Random::new(6);
    let logits = [draw(random, &[2, 4, 3, 3])];
    let labels: Vec<i64> = (0..18).map(|i| if i % 5 == 0 { 255 } else { i % 4 }).collect();
    let labels = Tensor::from_vec(labels, (2, 3, 3), &Device::Cpu).unwrap();
    for (class_weights, label_smoothing, reduction) in [
        (None, 0.0, Reduction::Mean),
        (Some(vec![0.5, 2.0, 1.0, 0.0]), 0.0, Reduction::Mean),
        (Some(vec![0.5, 2.0, 1.0, 0.2]), 0.2, Reduction::Mean),
        (Some(vec![0.5, 2.0, 1.0, 0.2]), 0.2, Reduction::Sum),
        (Some(vec![0.5, 2.0, 1.0, 0.2]), 0.2, Reduction::None),
    ] {
        let o = CrossEntropyOptions {
            class_weights,
            label_smoothing,
            reduction,
            ..Default::default()
        };
        for dtype in [DType::I64, DType::U8] {
            let labels = labels.to_dtype(dtype).unwrap();
            check("cross_entropy", &logits, |a| {
                let labels = labels.to_device(a[0].device()).unwrap();
                ops::cross_entropy(&a[0], &labels, &o).unwrap()
            });
        }
    }
}

#[test]
fn an_operation_used_twice_adds_both_gradients() {
    let random = &mut Random::new(7);
    let arguments = [draw(random, &[1, 2, 5, 5]), draw(random, &[2, 2, 3, 3])];
    check("conv2d of conv2d", &arguments, |a| {
        let o = Conv2dOptions::same(3, 1, 1);
        let once = ops::conv2d(&a[0], &a[1], None, &o).unwrap();
        let twice = ops::conv2d(&once, &a[1], None, &o).unwrap();
        (ops::resize_bilinear(&twice, [5, 7], true)
            .unwrap()
            .narrow(3, 1, 5)
            .unwrap()
            + once)
            .unwrap()
    });
}

#[test]
fn views_with_any_strides_are_read_rightly() {
    let random = &mut Random::new(8);
    let arguments = [draw(random, &[4, 5, 2, 1]), draw(random, &[3])];
    check("a permuted, narrowed view", &arguments, |a| {
        let view = a[0].permute([3, 2, 1, 0]).unwrap().narrow(2, 1, 4).unwrap();
        let pooled = ops::max_pool2d(&view, [2, 2], [1, 1], [0, 0]).unwrap();
        let shifted = ops::relu(&pooled.transpose(2, 3).unwrap()).unwrap();
        let unit = ops::normalize(&shifted.transpose(1, 3).unwrap(), 3, 1e-3).unwrap();
        let weight = a[1].narrow(0, 1, 2).unwrap().reshape((1, 2, 1, 1)).unwrap();
        ops::conv2d(&unit.transpose(1, 3).unwrap(), &weight, None, &Conv2dOptions::default()).unwrap()
    });
}

#[test]
fn layer_norm_gelu_attention_linear_and_residual() {
    let random = &mut Random::new(12);
    let a = [draw(random, &[2, 5, 3, 2]), draw(random, &[5]), draw(random, &[5])];
    check("layer_norm", &a, |a| {
        ops::layer_norm(&a[0], &a[1], &a[2], 1e-5).unwrap()
    });
    check("gelu", &[draw(random, &[40])], |a| ops::gelu(&a[0]).unwrap());
    for (heads, h, w) in [(1, 2, 3), (3, 1, 1), (2, 3, 2)] {
        let shapes = [[2, 6, 4, 3], [2, 6, h, w], [2, 6, h, w]];
        let a = shapes.map(|s| draw(random, &s));
        check("attention", &a, |a| ops::attention(&a[0], &a[1], &a[2], heads).unwrap());
    }
    let a = [draw(random, &[2, 3, 4, 5]), draw(random, &[4, 3]), draw(random, &[4])];
    check("linear", &a, |a| ops::linear(&a[0], &a[1], &a[2]).unwrap());
    let a = [draw(random, &[2, 3, 2, 2]), draw(random, &[2, 3, 2, 2])];
    check("residual", &a, |a| ops::residual(&a[0], &a[1], &[0.0, 1.25]).unwrap());
    let scale = draw(random, &[3]);
    let a = [a[0].clone(), a[1].clone(), scale];
    for factors in [[1.0, 1.0], [0.0, 1.25]] {
        check("scaled_residual", &a, |a| {
            ops::scaled_residual(&a[0], &a[1], &a[2], &factors).unwrap()
        });
    }
}

#[test]
fn reductions_and_what_repeats() {
    let random = &mut Random::new(13);
    let shape = [2, 3, 4, 5];
    let input = [draw(random, &shape)];
    for axes in [&[0][..], &[1], &[3], &[0, 2, 3], &[1, 2], &[0, 1, 2, 3], &[]] {
        let name = |what: &str| format!("{what} over {axes:?}");
        check(&name("sum"), &input, |a| reduce::sum(&a[0], axes).unwrap());
        check(&name("mean"), &input, |a| reduce::mean(&a[0], axes).unwrap());
        check(&name("logsumexp"), &input, |a| reduce::logsumexp(&a[0], axes).unwrap());
        check(&name("norm"), &input, |a| reduce::norm(&a[0], axes).unwrap());
        check(&name("largest"), &input, |a| reduce::largest(&a[0], axes).unwrap());
        check(&name("smallest"), &input, |a| reduce::smallest(&a[0], axes).unwrap());
        if !axes.is_empty() {
            for correction in [0.0, 1.0] {
                check(&name("variance"), &input, |a| {
                    reduce::variance(&a[0], axes, correction).unwrap()
                });
                check(&name("deviation"), &input, |a| {
                    reduce::deviation(&a[0], axes, correction).unwrap()
                });
            }
        }
        let mut small = shape;
        axes.iter().for_each(|d| small[*d] = 1);
        check(&name("expand"), &[draw(random, &small)], |a| {
            reduce::expand(&a[0], &shape).unwrap()
        });
        check(&name("strided"), &input, |a| {
            let view = a[0].transpose(1, 3).unwrap().narrow(1, 1, 3).unwrap();
            reduce::deviation(&view, if axes.is_empty() { &[0] } else { axes }, 0.0).unwrap()
        });
    }
    check("expand in front", &[draw(random, &[3, 1])], |a| {
        reduce::expand(&a[0], &[2, 3, 4]).unwrap()
    });
}

#[test]
fn powers_quotients_and_choices() {
    let random = &mut Random::new(14);
    let positive = |v: Var| Var::from_tensor(&v.abs().unwrap().affine(1.0, 0.2).unwrap()).unwrap();
    for exponent in [0.0, 1.0, 2.0, 3.0, 0.5, -1.0, 2.5] {
        let input = [positive(draw(random, &[3, 4]))];
        check(&format!("power {exponent}"), &input, |a| {
            ops::power(&a[0], exponent).unwrap()
        });
    }
    check("power of a negative base", &[draw(random, &[9])], |a| {
        ops::power(&a[0], 3.0).unwrap()
    });
    let a = [positive(draw(random, &[3, 4])), draw(random, &[3, 4])];
    check("power_of", &a, |a| ops::power_of(&a[0], &a[1]).unwrap());
    check("divide_by", &a[..1], |a| ops::divide_by(&a[0], 3.0).unwrap());
    check("divide_number", &a[..1], |a| ops::divide_number(3.0, &a[0]).unwrap());
    let a = [draw(random, &[3, 4]), draw(random, &[3, 4])];
    check("maximum", &a, |a| ops::maximum(&a[0], &a[1]).unwrap());
    check("minimum", &a, |a| ops::minimum(&a[0], &a[1]).unwrap());
}

#[test]
fn arithmetic_of_repeated_tensors() {
    let random = &mut Random::new(15);
    let away_from_0 = |v: Var| Var::from_tensor(&v.abs().unwrap().affine(1.0, 0.3).unwrap()).unwrap();
    let shapes: [[&[usize]; 2]; 7] = [
        [&[2, 3, 4], &[2, 3, 4]],
        [&[2, 3, 4], &[3, 1]],
        [&[1, 3, 1], &[2, 1, 4]],
        [&[4], &[2, 3, 1]],
        [&[], &[2, 2]],
        [&[2, 1, 2], &[]],
        [&[], &[]],
    ];
    type Operation = fn(&Tensor, &Tensor) -> seglab::error::Result<Tensor>;
    let operations: [(&str, Operation); 7] = [
        ("add", ops::add),
        ("subtract", ops::subtract),
        ("multiply", ops::multiply),
        ("divide", ops::divide),
        ("maximum", ops::maximum),
        ("minimum", ops::minimum),
        ("power_of", ops::power_of),
    ];
    for shapes in shapes {
        let a = shapes.map(|shape| away_from_0(draw(random, shape)));
        for (name, f) in operations {
            check(&format!("{name} of {shapes:?}"), &a, |a| f(&a[0], &a[1]).unwrap());
        }
        check("of one tensor twice", &a[..1], |a| {
            let twice = ops::add(&a[0], &a[0]).unwrap();
            ops::multiply(&a[0], &ops::divide(&a[0], &twice).unwrap()).unwrap()
        });
    }
    let x = [draw(random, &[3, 4, 5])];
    check("of a view", &x, |a| {
        let view = a[0].transpose(0, 2).unwrap().narrow(1, 1, 3).unwrap();
        ops::multiply(&view, &view.narrow(0, 2, 1).unwrap()).unwrap()
    });
    check("affine", &x, |a| ops::affine(&a[0], -2.0, 0.5).unwrap());
}

#[test]
fn functions_of_each_element() {
    let random = &mut Random::new(16);
    let x = draw(random, &[40]);
    type Function = fn(&Tensor) -> seglab::error::Result<Tensor>;
    let functions: [(&str, Function); 10] = [
        ("exp", ops::exp),
        ("sin", ops::sin),
        ("cos", ops::cos),
        ("tanh", ops::tanh),
        ("sigmoid", ops::sigmoid),
        ("silu", ops::silu),
        ("erf", ops::erf),
        ("abs", ops::abs),
        ("log", |x| ops::log(&ops::affine(&ops::abs(x)?, 1.0, 0.1)?)),
        ("sqrt", |x| ops::sqrt(&ops::affine(&ops::abs(x)?, 1.0, 0.1)?)),
    ];
    for (name, f) in functions {
        check(name, std::slice::from_ref(&x), |a| f(&a[0]).unwrap());
    }
    check("clamp", &[x], |a| ops::clamp(&a[0], -0.5, 0.7).unwrap());
    let x = [draw(random, &[2, 9, 5])];
    for dim in 0..3 {
        check("softmax", &x, |a| ops::softmax(&a[0], dim).unwrap());
        check("log_softmax", &x, |a| ops::log_softmax(&a[0], dim).unwrap());
    }
}
