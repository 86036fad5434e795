//! Optimisers: SGD and AdamW over named parameters, in groups, with their whole state at hand.

mod config;
mod tests;

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
        for slot in &self.slots {
            let Some(gradient) = gradients.get(&slot.var) else {
                continue;
            };
            match slot.state.as_slice() {
                [(_, mean), (_, square)] => {
                    adamw_step(
                        &slot.var,
                        gradient,
                        mean,
                        square,
                        &self.adamw(self.numbers(slot), scale),
                    )?;
                }
                rest => {
                    let velocity = rest.first().map(|(_, velocity)| velocity);
                    sgd_step(&slot.var, gradient, velocity, &self.sgd(self.numbers(slot), scale))?;
                }
            }
        }
        Ok(())
    }

    /// As [`Optimizer::step`] on a GPU, with the scale of `guard`; whether it stops the update is known to the device alone.
    pub(super) fn step_guarded(&mut self, gradients: &GradStore, guard: &Guard) -> Result<()> {
        self.steps += 1;
        let common = (self.lr(), 0.0); // the items have their own
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
            Rule::Sgd => cuda::sgd(&items, &self.sgd(common, 1.0), guard),
            Rule::Adamw => cuda::adamw(&items, &self.adamw(common, 1.0), guard),
        }
    }

    /// The constants of a step of SGD with this learning rate and weight decay.
    fn sgd(&self, (lr, weight_decay): (f64, f64), scale: f64) -> SgdStep {
        SgdStep {
            lr,
            momentum: self.config.momentum.unwrap_or(0.0),
            nesterov: self.config.nesterov,
            weight_decay,
            scale,
        }
    }

    /// Those of a step of AdamW.
    fn adamw(&self, (lr, weight_decay): (f64, f64), scale: f64) -> AdamwStep {
        AdamwStep {
            lr,
            beta1: self.config.beta1,
            beta2: self.config.beta2,
            eps: self.config.eps,
            weight_decay,
            scale,
            step: self.steps,
        }
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
