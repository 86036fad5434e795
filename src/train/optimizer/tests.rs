#![cfg(test)]

use super::*;
use crate::options::{Arg, Given, Reading};
use candle_core::Device;

fn golden() -> HashMap<String, Tensor> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ops.safetensors");
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

/// Run one step whose gradient is exactly `gradient`.
fn step(optimizer: &mut Optimizer, var: &Var, gradient: &Tensor) {
    let gradients = (var.as_tensor() * gradient)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    optimizer.step(&gradients, 1.0).unwrap();
}

#[test]
fn sgd_equals_pytorch_step_by_step() {
    let golden = golden();
    for (case, momentum, nesterov, weight_decay) in [
        ("plain", 0.0, false, 0.0),
        ("momentum", 0.9, false, 0.01),
        ("nesterov", 0.9, true, 0.01),
    ] {
        let get = |part: &str| golden[&format!("sgd_{case}/{part}")].clone();
        let var = Var::from_tensor(&get("start")).unwrap();
        let config = OptimizerConfig {
            lr: Some(0.1),
            momentum: Some(momentum),
            nesterov,
            weight_decay: Some(weight_decay),
            ..OptimizerConfig::default()
        };
        let mut optimizer = Optimizer::new(vec![("w".into(), var.clone())], &config).unwrap();
        for i in 0..3 {
            step(&mut optimizer, &var, &get(&format!("grad{i}")));
            let error = (var.as_tensor() - get(&format!("after{i}"))).unwrap().abs().unwrap();
            let error: f32 = error.max_all().unwrap().to_scalar().unwrap();
            assert!(error < 1e-6, "{case} step {i}: {error}");
        }
    }
}

#[test]
fn adamw_equals_pytorch_and_its_state_continues() {
    // torch.optim.AdamW([w], lr=0.1, betas=(0.9, 0.99), weight_decay=0.1) in f64, w = [1, -2], gradients [0.5, 1], [-1, 0.25], [2, 0].
    let config = OptimizerConfig {
        name: Rule::Adamw,
        lr: Some(0.1),
        weight_decay: Some(0.1),
        beta2: 0.99,
        ..OptimizerConfig::default()
    };
    let var = Var::new(&[1f64, -2.0], &Device::Cpu).unwrap();
    let mut optimizer = Optimizer::new(vec![("w".into(), var.clone())], &config).unwrap();
    for (gradient, expected) in [[0.5, 1.0], [-1.0, 0.25], [2.0, 0.0]].into_iter().zip(ADAMW) {
        step(&mut optimizer, &var, &Tensor::new(&gradient, &Device::Cpu).unwrap());
        let found = var.to_vec1::<f64>().unwrap();
        assert!(
            (0..2).all(|i| (found[i] - expected[i]).abs() < 1e-12),
            "{found:?} {expected:?}"
        );
        // Through the saved state each time: it must hold everything.
        let state = optimizer.state().into_iter().collect();
        let steps = optimizer.steps();
        optimizer = Optimizer::new(vec![("w".into(), var.clone())], &config).unwrap();
        optimizer.load_state(&state, steps).unwrap();
    }
}

fn read(options: &[(&str, Given)]) -> Reading<OptimizerConfig> {
    let map = options.iter().map(|(name, given)| (name.to_string(), given.clone()));
    OptimizerConfig::read(&Given::Map(map.collect()))
}

#[test]
fn groups_multiply_the_learning_rate_of_the_longest_prefix() {
    let names = ["encoder.a", "segmentation_head.0.weight", "segmentation_head.0.bias"];
    let vars = names.map(|n| (n.to_string(), Var::new(&[0f32], &Device::Cpu).unwrap()));
    let multiples = [("segmentation_head", 10), ("segmentation_head.0.bias", 20)];
    let multiples = multiples.map(|(name, multiple)| (name.to_string(), Given::Int(multiple)));
    let config = read(&[("lr", Given::Float(0.1)), ("groups", Given::Map(multiples.to_vec()))]).unwrap();
    let config = config.resolved(1.0, 0.0, 0.0);
    let mut optimizer = Optimizer::new(vars.to_vec(), &config).unwrap();
    let sum = vars
        .iter()
        .map(|(_, v)| v.sum_all().unwrap())
        .reduce(|a, b| (a + b).unwrap())
        .unwrap();
    let gradients = sum.backward().unwrap();
    assert!((optimizer.gradient_norm(&gradients).unwrap() - 3f64.sqrt()).abs() < 1e-12);
    optimizer.step(&gradients, 0.5).unwrap();
    let found: Vec<f32> = vars.iter().map(|(_, v)| v.to_vec1::<f32>().unwrap()[0]).collect();
    assert_eq!(found, [-0.05, -0.5, -1.0]); // -lr multiple scale
    let list: OptimizerConfig = serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
    assert_eq!(list, config);
}

#[test]
fn mistakes_are_named() {
    let var = || vec![("encoder.a".to_string(), Var::new(&[0f32], &Device::Cpu).unwrap())];
    let text = |options: &[(&str, Given)]| {
        Optimizer::new(var(), &read(options).unwrap())
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    let head = Given::Map(vec![("head".into(), Given::Int(2))]);
    assert!(text(&[("groups", head)]).contains("\"head\""));
    let wanted = "momentum 1.5, expected a number from 0 to below 1";
    assert!(text(&[("momentum", Given::Float(1.5))]).contains(wanted));
    assert!(text(&[("nesterov", Given::Bool(true))]).contains("nesterov needs"));
    let nameless = Given::List(vec![Given::Map(vec![("lr".into(), Given::Int(2))])]);
    let wrong = |options: &[(&str, Given)]| read(options).unwrap_err().error("f").to_string();
    assert!(wrong(&[("groups", nameless)]).starts_with("f: groups[0]: `prefix` is missing"));
    assert!(wrong(&[("lr_rate", Given::Int(1))]).contains("`lr_rate`"));
}

/// What PyTorch 2.15 gives (parameters after each of the three steps).
const ADAMW: [[f64; 2]; 3] = [
    [0.890000002, -2.079999999],
    [0.9176607728517225, -2.142426132630469],
    [0.8666536356557291, -2.185482303225693],
];
