//! Tensor functions and losses that sort, choose and add up.

use candle_core::{Device, Tensor};
use seglab::loss::lovasz;
use seglab::ops::{self, Graph, Tape, reduce};

use super::{Step, Workload, draw, labels, workload};

/// Forward and backward of a sum, as PyTorch's side does.
fn both_ways(f: impl Fn(Graph) -> Tensor + 'static) -> Step {
    Box::new(move || {
        let tape = Tape::new();
        let graph = Graph::lasting_on(&tape);
        let result = f(graph);
        drop(
            tape.backward(&graph.sum(&result, &reduce::all(&result)).unwrap())
                .unwrap(),
        );
    })
}

pub fn workloads() -> Vec<Workload> {
    let (maps, long, square) = ([8, 64, 64, 64], [1 << 20], [1024, 1024]);
    let plain = |shape: &[usize], device: &Device| draw(shape, device).as_detached_tensor();
    vec![
        workload("mean_8x64x64x64_over_023", move |device| {
            let x = draw(&maps, device);
            both_ways(move |graph| graph.mean(&x, &[0, 2, 3]).unwrap())
        }),
        workload("std_8x64x64x64_over_023", move |device| {
            let x = draw(&maps, device);
            both_ways(move |graph| graph.deviation(&x, &[0, 2, 3], 1.0).unwrap())
        }),
        workload("batch_statistics_8x64x64x64", move |device| {
            let (x, w, b) = (
                draw(&maps, device),
                draw(&[1, 64, 1, 1], device),
                draw(&[1, 64, 1, 1], device),
            );
            both_ways(move |g| {
                let (mean, variance) = (
                    g.mean(&x, &[0, 2, 3]).unwrap(),
                    g.variance(&x, &[0, 2, 3], 0.0).unwrap(),
                );
                let deviation = g.sqrt(&g.affine(&variance, 1.0, 1e-5).unwrap()).unwrap();
                let unit = g.divide(&g.subtract(&x, &mean).unwrap(), &deviation).unwrap();
                g.add(&g.multiply(&unit, &w).unwrap(), &b).unwrap()
            })
        }),
        workload("softmax_8x64x64x64_over_1", move |device| {
            let x = draw(&maps, device);
            both_ways(move |graph| graph.softmax(&x, 1).unwrap())
        }),
        workload("logsumexp_8x64x64x64_over_1", move |device| {
            let x = draw(&maps, device);
            both_ways(move |graph| graph.logsumexp(&x, &[1]).unwrap())
        }),
        workload("sort_1m", move |device| {
            let x = plain(&long, device);
            Box::new(move || drop(ops::sort(&x, 0, false).unwrap()))
        }),
        workload("sort_1024x1024_last", move |device| {
            let x = plain(&square, device);
            Box::new(move || drop(ops::sort(&x, 1, false).unwrap()))
        }),
        workload("sort_1024x1024_first", move |device| {
            let x = plain(&square, device);
            Box::new(move || drop(ops::sort(&x, 0, true).unwrap()))
        }),
        workload("topk_10_of_1m", move |device| {
            let x = plain(&long, device);
            Box::new(move || drop(ops::topk(&x, 10, 0, true).unwrap()))
        }),
        workload("topk_5_of_1024x1024", move |device| {
            let x = plain(&square, device);
            Box::new(move || drop(ops::topk(&x, 5, 1, true).unwrap()))
        }),
        workload("lovasz_4x19x128x128", |device| {
            let (x, y) = (draw(&[4, 19, 128, 128], device), labels(&[4, 128, 128], device));
            both_ways(move |_| lovasz(&x, &y, 255).unwrap())
        }),
    ]
}
