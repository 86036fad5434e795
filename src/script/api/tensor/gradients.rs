//! The gradients that `backward()` gives, and their arithmetic.

use std::collections::HashSet;
use std::rc::Rc;

use candle_core::backprop::GradStore;
use candle_core::{DType, TensorId};
use rhai::{Engine, EvalAltResult, NativeCallContext};

use crate::ops;
use crate::script::context::{count, script_error};
use crate::script::prelude::*;

/// The gradients that `backward()` gives.
#[derive(Clone)]
pub struct Gradients(pub Rc<GradStore>);

/// The Euclidean norm.
fn norm(t: &Tensor) -> Result<f64> {
    let norm = ops::reduce::norm(&t.to_dtype(DType::F64)?, &ops::reduce::all(t))?;
    Ok(norm.flatten_all()?.to_vec1::<f64>()?.iter().sum())
}

impl ScriptType for Gradients {
    const NAME: &'static str = "Gradients";
    const DOC: &'static str = "What `backward()` gives: the gradient of every variable.";
    fn display(&self) -> String {
        let mut found: Vec<(Vec<usize>, f64)> = self
            .0
            .get_ids()
            .filter_map(|id| self.0.get_id(*id))
            .map(|g| (g.dims().to_vec(), norm(g).unwrap_or(f64::NAN)))
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let total = found.iter().map(|(_, n)| n * n).sum::<f64>().sqrt();
        let mut text = format!("{} of {}, norm {total:.4e}", Self::NAME, count(found.len(), "tensor"));
        for (shape, norm) in found.iter().take(5) {
            text.push_str(&format!("\n  {norm:.4e}  {shape:?}"));
        }
        if found.len() > 5 {
            text.push_str("\n  ... largest first; g.of(variable) gives one");
        }
        text
    }
    fn brief(&self) -> String {
        format!("Gradients of {}", count(self.0.get_ids().count(), "tensor"))
    }
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.script_type::<Gradients>();
    table.hook(register);
    table.operator(
        "Gradients",
        "+ - * /",
        " Sums of gradients, and their products with numbers.\n ```\n let w = tensor::variable(tensor::from([2.0]));\n let g = (w * w).sum().backward();\n let h = w.sum().backward();\n assert_eq((g + h * 0.5).of(w), tensor::from([4.5]));\n ```\n",
    );
    table.methods::<Tensor>(entries! {
        /// The gradients of this one-element tensor with respect to every variable it came from.
        ///
        /// The maps of the networks it came from are freed on the way, as in PyTorch: a second `backward()` through the same pass of
        /// a network is an error unless the first one retains them.
        /// ```
        /// let w = tensor::variable(tensor::from([3.0]));
        /// assert_eq((w * w).sum().backward().of(w), tensor::from([6.0]));
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// let logits = net.forward(tensor::randn([2, 3, 32, 32]));
        /// let bias = net.parameters().get("segmentation_head.0.bias");
        /// assert_eq(logits.sum().backward(#{ retain_graph: true }).of(bias), (logits * 1).sum().backward().of(bias));
        /// ```
        fn backward(ctx, t: Tensor,
            /// Keep the maps of the networks for another `backward()`.
            retain_graph: bool = false
        ) -> Gradients {
            ensure!(t.elem_count() == 1, "starts from one number, found {}; write .sum() or .mean() first", t.brief());
            ensure!(t.dtype().is_float(), "needs floats, found {}", t.brief());
            let gradients = match retain_graph {
                true => ctx.tape().backward_and_retain(&t),
                false => ctx.tape().backward(&t),
            };
            Ok(Gradients(Rc::new(gradients?)))
        }
        /// The same values cut off from the gradient graph.
        /// ```
        /// let w = tensor::variable(tensor::ones([1]));
        /// assert_eq((w.detach() * 2).sum().backward().of(w), ());
        /// ```
        fn detach(ctx, t: Tensor) -> Tensor { Ok(t.detach()) }
    });
    table.methods::<Gradients>(entries! {
        /// The gradient of a variable, or `()` if it played no part.
        /// ```
        /// let w = tensor::variable(tensor::from([2.0]));
        /// let v = tensor::variable(tensor::from([2.0]));
        /// let g = w.sqr().sum().backward();
        /// assert_eq(g.of(w), tensor::from([4.0]));
        /// assert_eq(g.of(v), ());
        /// ```
        fn of(ctx, gradients: Gradients, variable: Tensor) -> Option<Tensor> {
            Ok(gradients.0.get(&variable).map(Tensor::detach))
        }
        /// The Euclidean norm of the gradient of each parameter, by its name.
        ///
        /// A variable that is no network's parameter is called `variable 1`, `variable 2`, ..., a parameter of a second network of the
        /// same names `NAME (network 2)`.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// let norms = net.forward(tensor::randn([2, 3, 32, 32])).sqr().mean().backward().norms();
        /// assert(norms["encoder.conv1.weight"] > 0.0);
        /// ```
        fn norms(ctx, gradients: Gradients) -> Map {
            let mut norms = Map::new();
            let mut left: HashSet<TensorId> = gradients.0.get_ids().copied().collect();
            let networks = ctx.networks().into_iter();
            let trained = networks.filter(|p| p.iter().any(|p| gradients.0.get(&p.var).is_some()));
            for (number, parameters) in trained.enumerate() {
                for parameter in parameters {
                    let Some(gradient) = gradients.0.get(&parameter.var) else { continue };
                    left.remove(&parameter.var.id());
                    let name = match number {
                        0 => parameter.name.clone(),
                        _ => format!("{} (network {})", parameter.name, number + 1),
                    };
                    norms.insert(name.into(), norm(gradient)?.into());
                }
            }
            let mut rest: Vec<TensorId> = left.into_iter().collect();
            rest.sort_by_key(|id| { // ids count up, which only their text tells
                let text = format!("{id:?}");
                (text.len(), text)
            });
            for (i, gradient) in rest.iter().filter_map(|id| gradients.0.get_id(*id)).enumerate() {
                norms.insert(format!("variable {}", i + 1).into(), norm(gradient)?.into());
            }
            Ok(norms)
        }
    });
}

/// Tell Rhai about the operators.
fn register(engine: &mut Engine) {
    engine.register_fn("+", |c: NativeCallContext, a: Gradients, b: Gradients| {
        run(&c, "+", || a.plus(&b, 1.0))
    });
    engine.register_fn("-", |c: NativeCallContext, a: Gradients, b: Gradients| {
        run(&c, "-", || a.plus(&b, -1.0))
    });
    engine.register_fn("-", |c: NativeCallContext, a: Gradients| run(&c, "-", || a.times(-1.0)));
    engine.register_fn("*", |c: NativeCallContext, a: Gradients, f: f64| {
        run(&c, "*", || a.times(f))
    });
    engine.register_fn("*", |c: NativeCallContext, a: Gradients, f: i64| {
        run(&c, "*", || a.times(f as f64))
    });
    engine.register_fn("*", |c: NativeCallContext, f: f64, a: Gradients| {
        run(&c, "*", || a.times(f))
    });
    engine.register_fn("*", |c: NativeCallContext, f: i64, a: Gradients| {
        run(&c, "*", || a.times(f as f64))
    });
    engine.register_fn("/", |c: NativeCallContext, a: Gradients, f: f64| {
        run(&c, "/", || a.times(1.0 / f))
    });
    engine.register_fn("/", |c: NativeCallContext, a: Gradients, f: i64| {
        run(&c, "/", || a.times(1.0 / f as f64))
    });
}

/// Run an operator: its errors become script errors.
fn run(
    native: &NativeCallContext,
    name: &str,
    work: impl FnOnce() -> Result<Gradients>,
) -> std::result::Result<Gradients, Box<EvalAltResult>> {
    let call = Call::new(native, name.to_string()).map_err(script_error)?;
    work().map_err(|e| call.finish(e))
}

impl Gradients {
    /// `self + factor other`; what only one of them has counts as 0 in the other.
    fn plus(&self, other: &Gradients, factor: f64) -> Result<Gradients> {
        let mut sum = other.times(factor)?;
        let Some(store) = Rc::get_mut(&mut sum.0) else {
            return Ok(sum);
        };
        for id in self.0.get_ids() {
            let Some(own) = self.0.get_id(*id) else { continue };
            let total = match store.get_id(*id) {
                Some(theirs) => (own + theirs)?.detach(),
                None => own.detach(),
            };
            store.insert_id(*id, total);
        }
        Ok(sum)
    }

    /// Every gradient times `factor`, as a copy.
    fn times(&self, factor: f64) -> Result<Gradients> {
        let mut store = GradStore::default();
        for id in self.0.get_ids() {
            if let Some(gradient) = self.0.get_id(*id) {
                store.insert_id(*id, (gradient * factor)?.detach());
            }
        }
        Ok(Gradients(Rc::new(store)))
    }
}
