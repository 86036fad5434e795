#![cfg(test)]

use super::*;
use crate::ops::{self, Conv2dOptions, Graph};
use candle_core::Device;

#[test]
fn the_tape_gives_the_gradients_of_candles_graph() {
    let x = Var::randn(0f64, 1.0, (2, 3, 6, 5), &Device::Cpu).unwrap();
    let w = Var::randn(0f64, 1.0, (3, 3, 3, 3), &Device::Cpu).unwrap();
    let b = Var::randn(0f64, 1.0, 3, &Device::Cpu).unwrap();
    let o = Conv2dOptions::same(3, 1, 1);
    // a weight used twice, a residual, a candle operation in between and behind, a value that leads nowhere
    let network = |graph: Graph| -> Tensor {
        let once = graph.conv2d(&x, &w, Some(&b), &o).unwrap();
        let _unused = graph.relu(&once).unwrap();
        let between = (graph.relu(&once).unwrap() + &once).unwrap().transpose(2, 3).unwrap();
        let twice = graph.conv2d(&between, &w, None, &o).unwrap();
        let joined = graph
            .concat(&[&twice, &between.contiguous().unwrap(), &twice], 1)
            .unwrap();
        (graph.resize_bilinear(&joined, [7, 9], true).unwrap().sqr().unwrap() * 0.5)
            .unwrap()
            .mean_all()
            .unwrap()
    };
    let expected = network(Graph::default()).backward().unwrap();
    let tape = Tape::new();
    let found = tape.backward(&network(Graph::on(&tape))).unwrap();
    for var in [&x, &w, &b] {
        let (a, b) = (expected.get(var).unwrap(), found.get(var).unwrap());
        let error = (a - b)
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap();
        assert!(error < 1e-12, "{error}");
    }
    assert!(tape.is_empty());
    assert!(ops::relu(&x).unwrap().track_op());
}

fn number(t: &Tensor) -> f64 {
    t.to_scalar().unwrap()
}

#[test]
fn what_nobody_holds_is_gone() {
    let tape = Tape::new();
    let x = Var::randn(0f64, 1.0, (1, 2, 5, 5), &Device::Cpu).unwrap();
    let pass = || {
        let y = Graph::on(&tape).relu(&x).unwrap();
        Graph::on(&tape).relu(&(y * 2.0).unwrap()).unwrap()
    };
    for _ in 0..200 {
        let _unused = pass();
    }
    assert!(tape.is_empty());
    let (kept, other) = (pass(), pass());
    assert_eq!(tape.len(), 4);
    drop(other);
    let loss = kept.sqr().unwrap().sum_all().unwrap();
    assert_eq!(tape.len(), 2);
    drop(loss); // never used
    drop(kept);
    assert!(tape.is_empty());
}

#[test]
fn a_second_pass_needs_the_first_to_retain() {
    let tape = Tape::new();
    let x = Var::new(&[3.0, -1.0], &Device::Cpu).unwrap();
    let y = Graph::on(&tape).relu(&x).unwrap();
    let gradient = |g: GradStore| g.get(&x).unwrap().to_vec1::<f64>().unwrap();
    let sum = y.sum_all().unwrap();
    assert_eq!(gradient(tape.backward_and_retain(&sum).unwrap()), [1.0, 0.0]);
    let square = y.sqr().unwrap().sum_all().unwrap();
    assert_eq!(gradient(tape.backward(&square).unwrap()), [6.0, 0.0]);
    let text = tape.backward(&sum).unwrap_err().to_string();
    assert!(text.contains("at relu") && text.contains("retain_graph"), "{text}");
    // candle's own backward would stop at the result
    let text = sum.backward().unwrap_err().to_string();
    assert!(text.contains("Tape::backward"), "{text}");
}

#[test]
fn what_lasts_is_gone_through_again_and_variables_share_no_gradient() {
    let tape = Tape::new();
    let (a, b) = (
        Var::new(&[3.0, -1.0], &Device::Cpu).unwrap(),
        Var::new(&[2.0, 2.0], &Device::Cpu).unwrap(),
    );
    let graph = Graph::lasting_on(&tape);
    let sum = graph
        .add(&a, &graph.reshaped(&b.reshape((2, 1)).unwrap(), &[2]).unwrap())
        .unwrap();
    for _ in 0..2 {
        let g = tape.backward(&sum).unwrap();
        ops::optimizer::scale_in_place(g.get(&a).unwrap(), 5.0).unwrap();
        assert_eq!(g.get(&a).unwrap().to_vec1::<f64>().unwrap(), [5.0, 5.0]);
        assert_eq!(g.get(&b).unwrap().to_vec1::<f64>().unwrap(), [1.0, 1.0]);
    }
    // behind what is freed it stays, and says so
    let freed = Graph::on(&tape).relu(&a).unwrap();
    let behind = graph.add(&freed, &b).unwrap();
    assert!(tape.frees(&freed) && !tape.frees(&behind));
    tape.backward(&behind).unwrap();
    assert!(tape.backward(&behind).unwrap_err().to_string().contains("at relu"));
    drop((sum, freed, behind));
    assert!(tape.is_empty());
}

#[test]
fn a_loss_that_is_a_step_and_sums_of_passes() {
    let tape = Tape::new();
    let graph = Graph::on(&tape);
    let w = Var::new(&[[[[2.0]]]], &Device::Cpu).unwrap();
    let x = Var::new(&[[[[3.0]]]], &Device::Cpu).unwrap();
    let o = Conv2dOptions::same(1, 1, 1);
    let once = graph.conv2d(&x, &w, None, &o).unwrap(); // w x = 6
    let loss = graph.conv2d(&once, &w, None, &o).unwrap(); // w^2 x = 12
    let g = tape.backward_and_retain(&loss).unwrap();
    assert_eq!(number(&g.get(&w).unwrap().flatten_all().unwrap().get(0).unwrap()), 12.0); // 2 w x
    let both = (loss.sum_all().unwrap() + once.sum_all().unwrap()).unwrap();
    let g = tape.backward(&both).unwrap();
    assert_eq!(number(&g.get(&w).unwrap().flatten_all().unwrap().get(0).unwrap()), 15.0); // 2 w x + x
    assert_eq!(number(&g.get(&x).unwrap().flatten_all().unwrap().get(0).unwrap()), 6.0); // w^2 + w
}

#[test]
fn a_chain_of_a_hundred_thousand_steps_is_dropped_without_deep_recursion() {
    let work = || {
        let tape = Tape::new();
        let x = Var::new(&[1.0], &Device::Cpu).unwrap();
        let mut y = Graph::on(&tape).relu(&x).unwrap();
        for _ in 0..100_000 {
            y = Graph::on(&tape).relu(&y).unwrap();
        }
        let g = tape.backward_and_retain(&y.sum_all().unwrap()).unwrap();
        assert_eq!(g.get(&x).unwrap().to_vec1::<f64>().unwrap(), [1.0]);
        drop(y);
        assert!(tape.is_empty());
    };
    let small = std::thread::Builder::new().stack_size(1 << 19).spawn(work).unwrap();
    assert!(small.join().is_ok());
}
