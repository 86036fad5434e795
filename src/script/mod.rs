//! The border to Rhai: engine, function table, option reading, `api/*`.
//!
//! # How to add to the script language
//!
//! Everything a script can call is declared once, in `api/<namespace>.rs`, inside `pub fn declare(table: &mut Table)`, which
//! `api/mod.rs` lists. From the declaration come registration for every number of arguments, defaults, options by name,
//! conversion of arguments, errors, help, completion, the generated reference, and the example as a test.
//!
//! ```text

//! use crate::script::prelude::*;
//!
//! pub fn declare(table: &mut Table) {
//!     table.namespace("optim", "Optimisers and schedules.", entries! {
//!         /// Make a plain optimiser.                       <- summary: one sentence, upper-case, full stop
//!         /// ```
//!         /// let o = optim::sgd(parameters, #{ lr: 0.1 });  <- runnable example that asserts
//!         /// assert_eq(o.lr, 0.1);
//!         /// ```
//!         fn sgd(ctx, parameters: Parameters, /// Step size.
//!                lr: f64 = 0.01, nesterov: bool = false) -> Optimizer {
//!             Ok(Optimizer::new(parameters, lr, nesterov)?)  <- the body is a `crate::error::Result`
//!         }
//!     });
//!     table.script_type::<Optimizer>();                      <- impl ScriptType for Optimizer: NAME, DOC, display(), brief()
//!     table.methods::<Optimizer>(entries! {                  <- first parameter after ctx is the receiver (cloned: a handle)
//!         /// Take one step.
//!         fn step(ctx, optimizer: Optimizer, gradients: Gradients) { optimizer.step(&gradients) }
//!         /// The step size.
//!         get lr(ctx, optimizer: Optimizer) -> f64 { Ok(optimizer.lr()) }     <- o.lr and o.lr()
//!         /// Change the step size.
//!         set lr(ctx, optimizer: Optimizer, value: f64) { optimizer.set_lr(value); Ok(()) }
//!     });
//!     table.iterable::<Batches>();                           <- impl Iterable for Batches: `for batch in batches`
//!     table.hook(|engine| { engine.register_fn("+", ..); }); <- operators and indexers, straight to Rhai,
//!     table.operator("Optimizer", "+", "Join two.");         <- and listed for help
//! }
//! ```
//!
//! - A parameter with a default is an option: it may be given by position or in a final map `#{ name: value }`. A parameter
//!   without one must be given, by position or by name. A final map is always the options, unless its place belongs to a
//!   parameter without default of a map type (`Map`, `Dynamic`).
//! - Options are declared where they belong, with [`options!`](crate::options!) on a struct of their own layer. A function takes them as its own with
//!   `..options: CrossEntropyOptions` (read over the defaults), or with `..given: Nested<TrainConfig> = base` where it reads them itself:
//!   `given.over(ctx.function(), base)?`; `without(name, ..)` behind the name leaves some out. A parameter behind `..options` that is called like an
//!   option replaces its type (a tensor where a number may stand) and keeps its place and text. A map of them is `augment: Option<Nested<Augment>>
//!   = None`, then `augment.read("batches: augment")?`. Closures and handles in them: `given.closure("schedule")`, `given.take(path, "memory")`.
//! - One name of a few: `reduction: Reduction = Reduction::Mean` with an enum made by [`choices!`](crate::choices!), or a type made by
//!   `names!` where the function itself knows the names.
//! - What only scripts have (closures) and several functions share: `shared_options! { struct Extras { on_step: Option<FnPtr> = None } }`.
//! - Argument types ([`Arg`](crate::options::Arg)): `f64 f32 i64 usize u64 bool String Tensor`, every [`ScriptType`], `Option<T>` (`()` or nothing
//!   is `None`), `Vec<T>` (an array or a range), `[T; N]`, [`Pair`] (`3` or `[3, 5]`), [`Dims`], [`Sizes`], `Map`, `Dynamic`, `FnPtr` (a closure).
//!   Numbers convert: `1` for a float, `1e5` for an integer. Results ([`Reply`]): the same, and `()`.
//! - Parameters named like Rust keywords do not exist; a default is an expression of the parameter's Rust type
//!   (`mode: String = "bilinear".into()`).
//! - `ctx` is a [`Call`]: `ctx.session()` (device, `random()`, `output_path()`, `progress()`, `check_cancel()`), `ctx.tracking()` (false inside
//!   `tensor::no_grad`: run models with `track: false`), `ctx.function()` (name for messages), `ctx.call(&closure, (a, b))`
//!   (calls the script; on `Err` return it at once: the report shows the closure's own error), `ctx.table()`.
//! - A function that Ctrl-C can pause clears the cancel flag if `ctx.interactive()`, so that the person gets the paused thing; a script ends.
//! - Maps for scripts: `named([("loss", value)])`, `options::dynamic_from(&serde_json)` or a `rhai::Map`. Errors: `fail!`, `ensure!`; the function's name is put in
//!   front when missing. Never panic; a panic is caught and reported as a bug.

pub mod api;
mod argument;
mod bind;
mod call;
mod catch;
pub mod check;
mod compare;
mod compile;
pub mod context;
mod declare;
pub mod definitions;
pub mod engine;
mod habits;
pub mod help;
mod names;
pub mod nested;
pub mod options;
pub mod pieces;
mod plain;
mod register;
pub mod report;
mod resolver;
mod show;
mod sizes;
mod sources;
pub mod table;
mod translate;
pub mod values;

pub use argument::Argument;
pub use call::{Call, Callback};
pub use context::Context;
pub use engine::Interpreter;
pub use report::Report;
pub use rhai::{AST, Array, Dynamic, Engine, Map, Module, Scope};
pub use sizes::{Dims, Pair, Several, Sizes};
pub use table::{Iterable, Table};
pub use values::{Reply, ScriptType};

/// What a file in `api/` needs.
pub mod prelude {
    pub use super::nested::Nested;
    pub use super::values::{dynamic, named};
    pub use super::{Call, Dims, Iterable, Pair, Reply, ScriptType, Several, Sizes, Table};
    pub use crate::error::{Error, Result};
    pub use crate::options::{Arg, Source};
    pub use crate::{ensure, entries, fail, shared_options};
    pub use candle_core::Tensor;
    pub use rhai::{Array, Dynamic, FnPtr, Map};
}
