//! The operators of tensors and their named forms, as scripts write them; `arithmetic.rs` computes.

use std::fmt::Display;

use rhai::{Engine, EvalAltResult, NativeCallContext, Variant};

use super::Operand;
use super::arithmetic::{add, div, eq, equal, ge, gt, le, lt, maximum, minimum, mul, ne, pow, select, sub};
use crate::ops::Graph;
use crate::script::prelude::*;

type Arithmetic = fn(Graph<'_>, Operand, Operand) -> Result<Tensor>;
type Comparison = fn(Operand, Operand) -> Result<Tensor>;

/// Declare operators and their named forms.
pub fn declare(table: &mut Table) {
    table.hook(register);
    table.operator(
        "Tensor",
        "+ - * / **",
        " Arithmetic, element by element, with broadcasting; tensors and numbers both ways.\n ```\n let t = tensor::from([1.0, 2.0]);\n assert_eq(2 * t + 1, tensor::from([3.0, 5.0]));\n assert_eq(1 / t ** 2, tensor::from([1.0, 0.25]));\n ```\n",
    );
    table.operator(
        "Tensor",
        "< > <= >=",
        " Comparison, element by element: a mask of 0 and 1.\n ```\n assert_eq((tensor::from([1, 5]) > 2).to_array(), [0, 1]);\n ```\n",
    );
    table.operator(
        "Tensor",
        "== !=",
        " Whether two tensors have the same shape and values, one bool; `eq` compares element by element.\n ```\n assert(tensor::ones([2]) == tensor::ones([2]));\n ```\n",
    );
    table.methods::<Tensor>(entries! {
        /// Where the elements are equal: a mask.
        /// ```
        /// assert_eq(tensor::from([1, 2]).eq(2).to_array(), [0, 1]);
        /// ```
        fn eq(ctx, t: Tensor, other: Operand) -> Tensor { eq(Operand::Tensor(t), other) }
        /// Where the elements differ: a mask.
        /// ```
        /// assert_eq(tensor::from([1, 2]).ne(2).to_array(), [1, 0]);
        /// ```
        fn ne(ctx, t: Tensor, other: Operand) -> Tensor { ne(Operand::Tensor(t), other) }
        /// Where the elements are less: a mask.
        /// ```
        /// assert_eq(tensor::from([1, 2]).lt(2).to_array(), [1, 0]);
        /// ```
        fn lt(ctx, t: Tensor, other: Operand) -> Tensor { lt(Operand::Tensor(t), other) }
        /// Where the elements are greater: a mask.
        /// ```
        /// assert_eq(tensor::from([1, 2]).gt(1).to_array(), [0, 1]);
        /// ```
        fn gt(ctx, t: Tensor, other: Operand) -> Tensor { gt(Operand::Tensor(t), other) }
        /// Where the elements are less or equal: a mask.
        /// ```
        /// assert_eq(tensor::from([1, 2]).le(1).to_array(), [1, 0]);
        /// ```
        fn le(ctx, t: Tensor, other: Operand) -> Tensor { le(Operand::Tensor(t), other) }
        /// Where the elements are greater or equal: a mask.
        /// ```
        /// assert_eq(tensor::from([1, 2]).ge(2).to_array(), [0, 1]);
        /// ```
        fn ge(ctx, t: Tensor, other: Operand) -> Tensor { ge(Operand::Tensor(t), other) }
        /// The larger of the two, element by element; NaN where one of them is.
        /// ```
        /// assert_eq(tensor::from([1, 3]).maximum(2), tensor::from([2, 3]));
        /// ```
        fn maximum(ctx, t: Tensor, other: Operand) -> Tensor { named(ctx, maximum, t, other) }
        /// The smaller of the two, element by element; NaN where one of them is.
        /// ```
        /// assert_eq(tensor::from([1, 3]).minimum(2), tensor::from([1, 2]));
        /// ```
        fn minimum(ctx, t: Tensor, other: Operand) -> Tensor { named(ctx, minimum, t, other) }
        /// The elements to the power of `exponent`.
        /// ```
        /// assert_eq(tensor::from([2, 3]).pow(2), tensor::from([4, 9]));
        /// ```
        fn pow(ctx, t: Tensor, exponent: Operand) -> Tensor { named(ctx, pow, t, exponent) }
        /// Elements of `a` where this mask is not 0, else of `b`; `where(mask, a, b)` as well.
        /// ```
        /// let t = tensor::from([1.0, -2.0]);
        /// assert_eq((t > 0).where(t, 0), tensor::from([1.0, 0.0]));
        /// ```
        fn where(ctx, mask: Tensor, a: Operand, b: Operand) -> Tensor { select(&mask, a, b) }
    });
}

/// Tell Rhai about the operators.
fn register(engine: &mut Engine) {
    let arithmetic: [(&'static str, Arithmetic); 5] = [("+", add), ("-", sub), ("*", mul), ("/", div), ("**", pow)];
    for (name, f) in arithmetic {
        register_forms(engine, name, f);
    }
    let comparison: [(&'static str, Comparison); 4] = [("<", lt), (">", gt), ("<=", le), (">=", ge)];
    for (name, f) in comparison {
        register_forms(engine, name, move |_, a, b| f(a, b));
    }
    engine.register_fn("-", |c: NativeCallContext, t: Tensor| {
        run(&c, "-", |call| named(call, mul, t, Operand::Int(-1)))
    });
    engine.register_fn("+", |t: Tensor| t);
    engine.register_fn("==", |c: NativeCallContext, a: Tensor, b: Tensor| {
        Call::run(&c, "==", |_| equal(&a, &b))
    });
    engine.register_fn("!=", |c: NativeCallContext, a: Tensor, b: Tensor| {
        Call::run(&c, "!=", |_| Ok(!equal(&a, &b)?))
    });
    for sign in ["==", "!="] {
        beside_number::<i64>(engine, sign);
        beside_number::<f64>(engine, sign);
    }
}

/// An operator between tensors, and between tensors and numbers both ways.
fn register_forms(
    engine: &mut Engine,
    name: &'static str,
    f: impl Fn(Graph, Operand, Operand) -> Result<Tensor> + Copy + Send + Sync + 'static,
) {
    form::<Tensor, Tensor>(engine, name, f);
    form::<Tensor, i64>(engine, name, f);
    form::<Tensor, f64>(engine, name, f);
    form::<i64, Tensor>(engine, name, f);
    form::<f64, Tensor>(engine, name, f);
}

fn form<A: Variant + Clone + Into<Operand>, B: Variant + Clone + Into<Operand>>(
    engine: &mut Engine,
    name: &'static str,
    f: impl Fn(Graph, Operand, Operand) -> Result<Tensor> + Copy + Send + Sync + 'static,
) {
    engine.register_fn(name, move |c: NativeCallContext, a: A, b: B| {
        run(&c, name, |call| named(call, f, a, b))
    });
}

/// An operation on two operands, recorded where both belong.
fn named(
    call: &Call,
    f: impl Fn(Graph, Operand, Operand) -> Result<Tensor>,
    a: impl Into<Operand>,
    b: impl Into<Operand>,
) -> Result<Tensor> {
    let operands: [Operand; 2] = [a.into(), b.into()];
    let tensors = operands.iter().filter_map(|operand| match operand {
        Operand::Tensor(t) => Some(t),
        _ => None,
    });
    let graph = call.graph(&tensors.collect::<Vec<_>>());
    let [a, b] = operands.clone();
    f(graph, a, b)
}

/// `t == 1` is false for Rhai, whatever the tensor holds: say what was meant instead.
fn beside_number<N: Variant + Clone + Display>(engine: &mut Engine, sign: &'static str) {
    let method = if sign == "==" { "eq" } else { "ne" };
    let answer = move |native: &NativeCallContext, number: N| -> Answer<bool> {
        Call::run(native, sign, |_| {
            fail!(
                "{sign} asks whether two tensors are the same, found a Tensor and the number {number}; write t.{method}({number}) for a \
                 mask, t.item() {sign} {number} for a tensor of one number"
            )
        })
    };
    engine.register_fn(sign, move |c: NativeCallContext, _: Tensor, n: N| answer(&c, n));
    engine.register_fn(sign, move |c: NativeCallContext, n: N, _: Tensor| answer(&c, n));
}

type Answer<T> = std::result::Result<T, Box<EvalAltResult>>;

/// Run an operator; its result is detached inside `no_grad`.
pub(super) fn run(
    native: &NativeCallContext,
    name: &str,
    work: impl FnOnce(&Call) -> Result<Tensor>,
) -> Answer<Tensor> {
    Call::run(native, name, |call| match call.tracking() {
        true => work(call),
        false => Ok(work(call)?.detach()),
    })
}
