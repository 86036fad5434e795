//! `optim::`: optimisers and schedules for loops written in a script.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::Var;

use super::{Gradients, Parameters};
use crate::error::{POSITIVE, in_range};
use crate::ops::optimizer::scale_in_place;
use crate::script::prelude::*;
use crate::train::{Optimizer, OptimizerConfig, Rule, Schedule, Shape};

/// An optimiser in scripts: a handle.
#[derive(Clone)]
pub struct ScriptOptimizer(Rc<RefCell<Optimizer>>);

impl ScriptType for ScriptOptimizer {
    const NAME: &'static str = "Optimizer";
    const DOC: &'static str = "An optimiser over parameters, with what it keeps between steps.";
    fn display(&self) -> String {
        let optimizer = self.0.borrow();
        let config = optimizer.config();
        let rule = match config.name {
            Rule::Sgd => format!("sgd, momentum {}", config.momentum.unwrap_or(0.0)),
            Rule::Adamw => format!("adamw, betas {} {}", config.beta1, config.beta2),
        };
        format!(
            "{rule}, lr {}, weight decay {}, {} parameters, {} steps made",
            optimizer.lr(),
            config.weight_decay.unwrap_or(0.0),
            optimizer.parameters().count(),
            optimizer.steps()
        )
    }
    fn brief(&self) -> String {
        format!("Optimizer {}", self.display())
    }
}

/// Named variables from a model's parameters, or from an array of variables.
fn variables(function: &str, value: &Dynamic) -> Result<Vec<(String, Var)>> {
    if let Some(parameters) = value.read_lock::<Parameters>() {
        return Ok(parameters.0.iter().map(|p| (p.name.clone(), p.var.clone())).collect());
    }
    let tensors = <Vec<Tensor> as Arg>::read(value);
    let Ok(tensors) = tensors else {
        fail!(
            "{function}: `parameters` must be model.parameters() or an array of variables made by tensor::variable(..)"
        )
    };
    let named = |(i, t): (usize, Tensor)| -> Result<(String, Var)> {
        ensure!(
            t.is_variable(),
            "{function}: `parameters`: number {i} is a plain tensor; make it a variable with tensor::variable(..)"
        );
        Ok((i.to_string(), Var::from_tensor(&t)?))
    };
    tensors.into_iter().enumerate().map(named).collect()
}

fn make(ctx: &Call, parameters: &Dynamic, rule: Rule, given: Nested<OptimizerConfig>) -> Result<ScriptOptimizer> {
    let config = given.over(ctx.function(), OptimizerConfig::of_pytorch(rule))?;
    let variables = variables(ctx.function(), parameters)?;
    Ok(ScriptOptimizer(Rc::new(RefCell::new(Optimizer::new(
        variables, &config,
    )?))))
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.namespace("optim", "Optimisers and schedules for loops of one's own.", entries! {
        /// Make an optimiser for stochastic gradient descent, step by step as `torch.optim.SGD`.
        ///
        /// `g = gradient + weight_decay p; v = momentum v + g; p -= lr v` (with `nesterov`: `p -= lr (g + momentum v)`).
        /// ```
        /// let w = tensor::variable(tensor::zeros([2]));
        /// let o = optim::sgd([w], #{ lr: 0.5 });
        /// o.step((w * 3.0).sum().backward());
        /// assert_eq(w.to_array(), [-1.5, -1.5]);
        /// ```
        fn sgd(ctx,
            /// `model.parameters()`, or an array of variables.
            parameters: Dynamic,
            ..config without(name, beta1, beta2, eps): Nested<OptimizerConfig> = OptimizerConfig::of_pytorch(Rule::Sgd)
        ) -> ScriptOptimizer {
            make(ctx, &parameters, Rule::Sgd, config)
        }

        /// Make an AdamW optimiser (Adam with decoupled weight decay), step by step as `torch.optim.AdamW`.
        /// ```
        /// let w = tensor::variable(tensor::zeros([2]));
        /// let o = optim::adamw([w], #{ lr: 0.1, weight_decay: 0.0 });
        /// o.step((w * 3.0).sum().backward());
        /// assert_close(w.to_array()[0], -0.1, #{ tolerance: 1e-5 });   // the first step is lr long, whatever the gradient
        /// ```
        fn adamw(ctx,
            /// `model.parameters()`, or an array of variables.
            parameters: Dynamic,
            ..config without(name, momentum, nesterov): Nested<OptimizerConfig> = OptimizerConfig::of_pytorch(Rule::Adamw)
        ) -> ScriptOptimizer {
            make(ctx, &parameters, Rule::Adamw, config)
        }

        /// The factor of a schedule at `step` (from 0) of `steps`.
        ///
        /// poly: `(1 - step / steps) ^ power`; cosine: `(1 + cos(pi step / steps)) / 2`; step: `gamma ^ floor(step / every)`; all
        /// times `min(1, (step + 1) / warmup)`.
        /// ```
        /// assert_close(optim::schedule("cosine", 50, 100), 0.5);
        /// assert_close(optim::schedule("constant", 4, 100, #{ warmup: 10 }), 0.5);
        /// ```
        fn schedule(ctx,
            /// The shape.
            name: Shape,
            step: usize,
            steps: usize,
            ..schedule: Schedule
        ) -> f64 {
            let schedule = Schedule { name, ..schedule };
            schedule.check()?;
            Ok(schedule.factor(step, steps))
        }
    });
    table.script_type::<ScriptOptimizer>();
    table.methods::<ScriptOptimizer>(entries! {
        /// Update the parameters with the gradients that `backward()` gave.
        /// ```
        /// let w = tensor::variable(tensor::ones([1]));
        /// let o = optim::sgd([w], #{ lr: 0.25 });
        /// for i in 0..20 { o.step((w * w).sum().backward()); }
        /// assert(w.abs().max().item() < 1e-5);
        /// ```
        fn step(ctx, optimizer: ScriptOptimizer, gradients: Gradients) {
            optimizer.0.borrow_mut().step(&gradients.0, 1.0)
        }

        /// Shorten the gradients, in place, to a norm of at most `max_norm` over all parameters together.
        ///
        /// The norm is Euclidean; the same gradients are returned.
        /// ```
        /// let w = tensor::variable(tensor::zeros([4]));
        /// let o = optim::sgd([w], #{ lr: 1.0 });
        /// let g = (w * 3.0).sum().backward();
        /// o.clip(g, 1.0);
        /// assert_close(o.gradient_norm(g), 1.0, #{ tolerance: 1e-5 });
        /// ```
        fn clip(ctx, optimizer: ScriptOptimizer, gradients: Gradients, max_norm: f64) -> Gradients {
            in_range("clip", "max_norm", max_norm, POSITIVE)?;
            let optimizer = optimizer.0.borrow();
            let scale = max_norm / (optimizer.gradient_norm(&gradients.0)? + 1e-6);
            if scale < 1.0 {
                for gradient in optimizer.parameters().filter_map(|(_, var)| gradients.0.get(var)) {
                    scale_in_place(gradient, scale)?;
                }
            }
            Ok(gradients)
        }

        /// The Euclidean norm of the gradients of all parameters together.
        /// ```
        /// let w = tensor::variable(tensor::zeros([4]));
        /// let g = (w * 3.0).sum().backward();
        /// assert_close(optim::sgd([w]).gradient_norm(g), 6.0);
        /// ```
        fn gradient_norm(ctx, optimizer: ScriptOptimizer, gradients: Gradients) -> f64 {
            optimizer.0.borrow().gradient_norm(&gradients.0)
        }

        /// The learning rate.
        /// ```
        /// let o = optim::sgd([tensor::variable(tensor::zeros([1]))], #{ lr: 0.1 });
        /// o.lr *= 0.5;
        /// assert_close(o.lr, 0.05);
        /// ```
        get lr(ctx, optimizer: ScriptOptimizer) -> f64 {
            Ok(optimizer.0.borrow().lr())
        }

        /// Set the learning rate of the steps to come.
        set lr(ctx, optimizer: ScriptOptimizer, value: f64) {
            in_range("optimizer", "lr", value, 0.0..)?;
            optimizer.0.borrow_mut().set_lr(value);
            Ok(())
        }

        /// The number of steps made.
        /// ```
        /// assert_eq(optim::sgd([tensor::variable(tensor::zeros([1]))]).steps, 0);
        /// ```
        get steps(ctx, optimizer: ScriptOptimizer) -> i64 {
            Ok(optimizer.0.borrow().steps() as i64)
        }
    });
}
