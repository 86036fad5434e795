//! Optimisers: SGD and AdamW over named parameters, in groups, with their whole state at hand.

mod config;

use std::collections::HashMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};

use crate::ensure;
use crate::error::Result;
use crate::ops::optimizer::cuda;
use crate::ops::optimizer::guard::Guard;
use crate::ops::optimizer::{AdamwStep, SgdStep, adamw_step, sgd_step, sum_of_squares};
pub use config::{Group, Groups, OptimizerConfig, Rule};

/// A parameter with what the optimiser keeps for it.
struct Slot {
    name: String,
    var: Var,
    multiple: f64,
    weight_decay: Option<f64>,
    /// SGD: the velocity (none without momentum); AdamW: mean and mean square.
    state: Vec<(&'static str, Tensor)>,
}

/// An optimiser over named parameters. Its numbers may be changed between two steps.
pub struct Optimizer {
    config: OptimizerConfig,
    slots: Vec<Slot>,
    steps: u64,
}

impl Optimizer {
    /// An optimiser of `config` (resolved, see [`OptimizerConfig::resolved`]) over these parameters.
    ///
    /// # Errors
    /// No parameters, numbers out of range, a group prefix that no parameter has.
    pub fn new(parameters: Vec<(String, Var)>, config: &OptimizerConfig) -> Result<Self> {
        config.check()?;
        ensure!(
            !parameters.is_empty(),
            "optimizer: no parameters were given (are all of them frozen?)"
        );
        for group in &config.groups.0 {
            let start = |name: &str| name.split('.').next().unwrap_or_default().to_string();
            let mut known: Vec<String> = parameters.iter().map(|(n, _)| start(n)).collect();
            known.dedup();
            ensure!(
                parameters.iter().any(|(n, _)| below(&group.prefix, n)),
                "optimizer: groups: no parameter lies below \"{}\"; the parts are {}",
                group.prefix,
                known.join(", ")
            );
        }
        let slots = parameters
            .into_iter()
            .map(|(name, var)| {
                let matching = config.groups.0.iter().filter(|g| below(&g.prefix, &name));
                let group = matching.max_by_key(|g| g.prefix.len());
                let kept: &[&'static str] = match config.name {
                    Rule::Sgd if config.momentum.unwrap_or(0.0) == 0.0 => &[],
                    Rule::Sgd => &["velocity"],
                    Rule::Adamw => &["mean", "square"],
                };
                let state = kept.iter().map(|k| Ok((*k, fresh(&var)?))).collect::<Result<_>>()?;
                Ok(Slot {
                    multiple: group.map_or(1.0, |g| g.lr),
                    weight_decay: group.and_then(|g| g.weight_decay),
                    name,
                    var,
                    state,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Optimizer {
            config: config.clone(),
            slots,
            steps: 0,
        })
    }

    /// The settings as they stand.
    pub fn config(&self) -> &OptimizerConfig {
        &self.config
    }

    /// The learning rate (of a group with multiple 1).
    pub fn lr(&self) -> f64 {
        self.config.lr.unwrap_or(0.0)
    }

    /// Set the learning rate of the steps to come.
    pub fn set_lr(&mut self, lr: f64) {
        self.config.lr = Some(lr);
    }

    /// Change the settings between two steps; the rule stays, and so do the groups.
    pub fn set_config(&mut self, config: &OptimizerConfig) -> Result<()> {
        config.check()?;
        let kept = |c: &OptimizerConfig| (c.name, c.groups.clone(), c.momentum.unwrap_or(0.0) == 0.0);
        ensure!(
            kept(config) == kept(&self.config),
            "optimizer: the rule, the groups and the presence of momentum cannot change between steps"
        );
        self.config = config.clone();
        Ok(())
    }

    /// Multiply the learning rate of each parameter by a factor of its name.
    pub(super) fn scale(&mut self, factor: impl Fn(&str) -> f64) {
        for slot in &mut self.slots {
            slot.multiple *= factor(&slot.name);
        }
    }

    /// The number of steps made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.slots.iter().map(|s| (s.name.as_str(), &s.var))
    }

    /// Names of the parameters that received no gradient (they would not move).
    pub fn without_gradient(&self, gradients: &GradStore) -> Vec<&str> {
        let lacking = self.slots.iter().filter(|s| gradients.get(&s.var).is_none());
        lacking.map(|s| s.name.as_str()).collect()
    }

    /// The Euclidean norm of all gradients of these parameters together. One pass over them; on a GPU one wait.
    pub fn gradient_norm(&self, gradients: &GradStore) -> Result<f64> {
        if self.slots[0].var.device().is_cuda() {
            let total = self.squares(gradients)?.sum_all()?;
            return Ok(total.to_scalar::<f64>()?.sqrt());
        }
        let mut sum = 0.0;
        for gradient in self.slots.iter().filter_map(|s| gradients.get(&s.var)) {
            sum += sum_of_squares(gradient)?;
        }
        Ok(sum.sqrt())
    }

    /// The sums of the squares of all gradients of these parameters, on their device (a GPU).
    pub(super) fn squares(&self, gradients: &GradStore) -> Result<Tensor> {
        let all: Vec<&Tensor> = self.slots.iter().filter_map(|s| gradients.get(&s.var)).collect();
        cuda::squares(&all, self.slots[0].var.device())
    }

    /// Update every parameter that has a gradient; the gradients are multiplied by `scale` first. In place, one pass each; on
    /// a GPU one launch for all.
    ///
    /// A parameter without gradient stays as it is, as in PyTorch: not even its weight decay acts.
    pub fn step(&mut self, gradients: &GradStore, scale: f64) -> Result<()> {
        let device = self.slots[0].var.device();
        if device.is_cuda() {
            let guard = Guard::new(scale, device)?;
            return self.step_guarded(gradients, &guard);
        }
        self.steps += 1;
        let (sgd, adamw) = self.rules(scale);
        for slot in &self.slots {
            let Some(gradient) = gradients.get(&slot.var) else {
                continue;
            };
            let (lr, weight_decay) = self.numbers(slot);
            match slot.state.as_slice() {
                [(_, mean), (_, square)] => {
                    let o = AdamwStep {
                        lr,
                        weight_decay,
                        ..adamw
                    };
                    adamw_step(&slot.var, gradient, mean, square, &o)?;
                }
                rest => {
                    let o = SgdStep {
                        lr,
                        weight_decay,
                        ..sgd
                    };
                    sgd_step(&slot.var, gradient, rest.first().map(|(_, v)| v), &o)?;
                }
            }
        }
        Ok(())
    }

    /// As [`Optimizer::step`] on a GPU, with the scale of `guard`; whether it stops the update is known to the device alone.
    pub(super) fn step_guarded(&mut self, gradients: &GradStore, guard: &Guard) -> Result<()> {
        self.steps += 1;
        let (sgd, adamw) = self.rules(1.0);
        let mut items = Vec::new();
        for slot in &self.slots {
            let Some(gradient) = gradients.get(&slot.var) else {
                continue;
            };
            let (lr, weight_decay) = self.numbers(slot);
            items.push(cuda::Item {
                parameter: &slot.var,
                gradient,
                state: slot.state.iter().map(|(_, t)| t).collect(),
                lr,
                weight_decay,
            });
        }
        match self.config.name {
            Rule::Sgd => cuda::sgd(&items, &sgd, guard),
            Rule::Adamw => cuda::adamw(&items, &adamw, guard),
        }
    }

    /// The constants of this step, but for what each parameter has of its own.
    fn rules(&self, scale: f64) -> (SgdStep, AdamwStep) {
        let c = &self.config;
        let sgd = SgdStep {
            lr: self.lr(),
            momentum: c.momentum.unwrap_or(0.0),
            nesterov: c.nesterov,
            weight_decay: 0.0,
            scale,
        };
        let adamw = AdamwStep {
            lr: self.lr(),
            beta1: c.beta1,
            beta2: c.beta2,
            eps: c.eps,
            weight_decay: 0.0,
            scale,
            step: self.steps,
        };
        (sgd, adamw)
    }

    /// Learning rate and weight decay of a parameter.
    fn numbers(&self, slot: &Slot) -> (f64, f64) {
        let weight_decay = slot.weight_decay.or(self.config.weight_decay).unwrap_or(0.0);
        (self.lr() * slot.multiple, weight_decay)
    }

    /// Count only `steps` steps: those after it turned out not to have been made.
    pub(super) fn rewind(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Everything kept between steps, by `<parameter>.<what>`. The tensors are the living ones: write them out, or copy them.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let of = |s: &Slot| {
            s.state
                .iter()
                .map(|(k, t)| (format!("{}.{k}", s.name), t.clone()))
                .collect::<Vec<_>>()
        };
        self.slots.iter().flat_map(of).collect()
    }

    /// Continue from a saved [`Optimizer::state`] after `steps` steps.
    ///
    /// # Errors
    /// An entry is missing or has another shape.
    pub fn load_state(&mut self, state: &HashMap<String, Tensor>, steps: u64) -> Result<()> {
        for slot in &mut self.slots {
            for (kind, tensor) in &mut slot.state {
                let name = format!("{}.{kind}", slot.name);
                let Some(saved) = state.get(&name) else {
                    crate::fail!("optimizer: the saved state lacks {name}; was it saved with other options?")
                };
                ensure!(
                    saved.dims() == slot.var.dims(),
                    "optimizer: the saved {name} has shape {:?}, expected {:?}",
                    saved.dims(),
                    slot.var.dims()
                );
                // A copy: the update works in place, and the caller keeps its own.
                *tensor = saved.to_dtype(tensor.dtype())?.to_device(tensor.device())?.copy()?;
            }
        }
        self.steps = steps;
        Ok(())
    }
}

/// Whether a parameter lies below a prefix, which ends at a dot.
fn below(prefix: &str, name: &str) -> bool {
    let rest = name.strip_prefix(prefix.trim_end_matches('.'));
    prefix.is_empty() || rest.is_some_and(|r| r.is_empty() || r.starts_with('.'))
}

/// Zeros of a variable's shape, in storage of their own.
fn fresh(var: &Var) -> Result<Tensor> {
    ensure!(
        matches!(var.dtype(), DType::F32 | DType::F64),
        "optimizer: parameters are f32 or f64, found {:?}",
        var.dtype()
    );
    Ok(Tensor::zeros(var.shape(), var.dtype(), var.device())?)
}

#[cfg(test)]
mod tests {
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
}
