//! Against the definitions, and the same for any number of threads.
#![cfg(test)]

use super::*;
use crate::random::Random;
use candle_core::{Device, Var};

fn draw(shape: &[usize], random: &mut Random) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.normal() as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// The elements of each result, in the order of memory.
fn members(x: &Tensor, axes: &[usize]) -> Vec<Vec<f64>> {
    let (dims, small) = (x.dims(), shape(x, axes));
    let mut members = vec![Vec::new(); small.iter().product()];
    for (i, value) in numbers(x).into_iter().enumerate() {
        let (mut rest, mut result, mut step) = (i, 0, 1);
        for d in (0..dims.len()).rev() {
            let at = rest % dims[d];
            rest /= dims[d];
            result += if small[d] == 1 { 0 } else { at * step };
            step *= small[d];
        }
        members[result].push(value);
    }
    members
}

fn agree(what: &str, found: &Tensor, x: &Tensor, axes: &[usize], members: &[Vec<f64>], of: impl Fn(&[f64]) -> f64) {
    assert_eq!(found.dims(), shape(x, axes), "{what} {:?} {axes:?}", x.dims());
    for (found, members) in numbers(found).into_iter().zip(members) {
        let expected = of(members);
        let close = (found - expected).abs() <= 1e-6 * expected.abs().max(1e-3);
        assert!(
            close || found.is_nan() && expected.is_nan(),
            "{what} of {:?} over {axes:?}: {found} but {expected}",
            x.dims()
        );
    }
}

fn mean_of(m: &[f64]) -> f64 {
    m.iter().sum::<f64>() / m.len() as f64
}

fn place_of(m: &[f64], better: fn(f64, f64) -> bool) -> f64 {
    let nan = m.iter().position(|x| x.is_nan());
    let best = (1..m.len()).fold(0, |best, i| if better(m[i], m[best]) { i } else { best });
    nan.unwrap_or(best) as f64
}

#[test]
fn every_reduction_of_every_set_of_dimensions_is_that_of_the_definition() {
    let random = &mut Random::new(1);
    let shapes: [&[usize]; 9] = [
        &[7],
        &[70_000],
        &[3, 4, 5],
        &[2, 1, 6, 3],
        &[40, 300],
        &[300, 40],
        &[2, 3, 5, 7],
        &[5_000, 2],
        &[600, 17, 3],
    ];
    for shape in shapes {
        let mut x = draw(shape, random);
        for spoilt in [false, true] {
            if spoilt {
                // ties and NaN
                let mut values = x.round().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let n = values.len();
                (values[n / 2], values[n - 1]) = (f32::NAN, f32::NAN);
                x = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            }
            for set in 0..1 << shape.len() {
                let axes: Vec<usize> = (0..shape.len()).filter(|d| set >> d & 1 == 1).collect();
                let made_of = members(&x, &axes);
                let check = |what: &str, found: Result<Tensor>, of: &dyn Fn(&[f64]) -> f64| {
                    agree(what, &found.unwrap(), &x, &axes, &made_of, of);
                };
                check("sum", sum(&x, &axes), &|m| m.iter().sum());
                check("mean", mean(&x, &axes), &mean_of);
                check("variance", variance(&x, &axes, 0.0), &|m| {
                    let mean = mean_of(m);
                    mean_of(&m.iter().map(|x| (x - mean).powi(2)).collect::<Vec<_>>())
                });
                // near 0 the logarithm is as exact as the sum, not more
                let exponential = logsumexp(&x, &axes).and_then(|y| Ok(y.exp()?));
                check("logsumexp", exponential, &|m| m.iter().map(|x| x.exp()).sum());
                check("norm", norm(&x, &axes), &|m| {
                    m.iter().map(|x| x * x).sum::<f64>().sqrt()
                });
                let value = |m: &[f64], better| m[place_of(m, better) as usize];
                let above = |a: f64, b: f64| a > b;
                let below = |a: f64, b: f64| a < b;
                check("largest", largest(&x, &axes), &|m| value(m, above));
                check("smallest", smallest(&x, &axes), &|m| value(m, below));
                check("place", place_of_largest(&x, &axes), &|m| place_of(m, above));
                check("place", place_of_smallest(&x, &axes), &|m| place_of(m, below));
                check("not finite", not_finite(&x, &axes), &|m| {
                    m.iter().filter(|x| !x.is_finite()).count() as f64
                });
            }
        }
    }
}

#[test]
fn a_result_is_the_same_for_any_number_of_threads() {
    let random = &mut Random::new(2);
    for (shape, axes) in [
        (vec![100_000], vec![0]),
        (vec![3, 50, 900], vec![0, 2]),
        (vec![900, 70], vec![0]),
    ] {
        let x = draw(&shape, random);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| [sum(&x, &axes).unwrap(), deviation(&x, &axes, 1.0).unwrap()].map(|t| numbers(&t)))
        };
        let one = run(1);
        assert!((2..6).all(|threads| run(threads) == one), "{shape:?}");
    }
}

#[test]
fn a_gpu_computes_the_same_with_candles_operations() {
    let random = &mut Random::new(3);
    let x = draw(&[3, 4, 5], random).round().unwrap().to_dtype(DType::F64).unwrap();
    let mut values = numbers(&x);
    values[33] = f64::NAN;
    let spoilt = Tensor::from_vec(values, (3, 4, 5), &Device::Cpu).unwrap();
    type Both = (
        fn(&Tensor, &[usize]) -> Result<Tensor>,
        fn(&Tensor, &[usize]) -> Result<Tensor>,
    );
    // the correction that leaves 3 to divide by
    fn of_three(x: &Tensor, axes: &[usize]) -> f64 {
        count(x, axes).unwrap() as f64 - 3.0
    }
    let pairs: [Both; 6] = [
        (
            |x, d| scaled_sum(Graph::default(), x, d, 0.5),
            |x, d| cuda::scaled_sum(x, d, 0.5),
        ),
        (
            |x, d| distances(Graph::default(), x, d, Measure::Variance, of_three(x, d)),
            |x, d| cuda::distances(x, d, Measure::Variance, 3.0),
        ),
        (
            |x, d| distances(Graph::default(), x, d, Measure::Deviation, of_three(x, d)),
            |x, d| cuda::distances(x, d, Measure::Deviation, 3.0),
        ),
        (norm, |x, d| cuda::distances(x, d, Measure::Norm, 1.0)),
        (largest, |x, d| cuda::extreme(Graph::default(), x, d, true)),
        (smallest, |x, d| cuda::extreme(Graph::default(), x, d, false)),
    ];
    for (i, (here, there)) in pairs.into_iter().enumerate() {
        for axes in [&[1][..], &[0, 2], &[0, 1, 2]] {
            for x in [&x, &spoilt, &x.zeros_like().unwrap()] {
                let run = |f: fn(&Tensor, &[usize]) -> Result<Tensor>| {
                    let x = Var::from_tensor(x).unwrap();
                    let y = f(&x, axes).unwrap();
                    let gradients = y.sum_all().unwrap().backward().unwrap();
                    [numbers(&y), numbers(gradients.get(&x).unwrap())].concat()
                };
                for (a, b) in run(here).into_iter().zip(run(there)) {
                    assert!(
                        (a - b).abs() < 1e-12 || a.is_nan() && b.is_nan(),
                        "{i} {axes:?}: {a} {b}"
                    );
                }
            }
        }
    }
    for x in [&x, &spoilt] {
        for axes in [&[1][..], &[0, 1, 2]] {
            let same = |a: Tensor, b: Tensor| assert_eq!(numbers(&a), numbers(&b));
            same(place_of_largest(x, axes).unwrap(), cuda::place(x, axes, true).unwrap());
            same(
                place_of_smallest(x, axes).unwrap(),
                cuda::place(x, axes, false).unwrap(),
            );
        }
    }
}
