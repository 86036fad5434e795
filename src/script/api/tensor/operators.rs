//! Arithmetic and comparison with broadcasting, between tensors and numbers both ways.
//!
//! Element types meet at the wider one (`u8 u32 i64 f16 bf16 f32 f64`); arithmetic of integers is done in `i64`, `/` and a
//! float operand give floats. Comparisons give `u8` masks, except `==` and `!=`, which give one bool.

use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::{DType, Shape};
use rhai::{Engine, EvalAltResult, NativeCallContext};

use super::{Operand, affordable, float};
use crate::script::context::script_error;
use crate::script::prelude::*;

type Binary = fn(Operand, Operand) -> Result<Tensor>;

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
    table.methods::<Tensor>(
        "Tensor",
        entries! {
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
            /// The larger of the two, element by element.
            /// ```
            /// assert_eq(tensor::from([1, 3]).maximum(2), tensor::from([2, 3]));
            /// ```
            fn maximum(ctx, t: Tensor, other: Operand) -> Tensor {
                let (a, b) = pair("maximum", Operand::Tensor(t), other)?;
                Ok(a.broadcast_maximum(&b)?)
            }
            /// The smaller of the two, element by element.
            /// ```
            /// assert_eq(tensor::from([1, 3]).minimum(2), tensor::from([1, 2]));
            /// ```
            fn minimum(ctx, t: Tensor, other: Operand) -> Tensor {
                let (a, b) = pair("minimum", Operand::Tensor(t), other)?;
                Ok(a.broadcast_minimum(&b)?)
            }
            /// The elements to the power of `exponent`.
            /// ```
            /// assert_eq(tensor::from([2, 3]).pow(2), tensor::from([4, 9]));
            /// ```
            fn pow(ctx, t: Tensor, exponent: Operand) -> Tensor { pow(Operand::Tensor(t), exponent) }
            /// Elements of `a` where this mask is not 0, else of `b`; `where(mask, a, b)` as well.
            /// ```
            /// let t = tensor::from([1.0, -2.0]);
            /// assert_eq((t > 0).where(t, 0), tensor::from([1.0, 0.0]));
            /// ```
            fn where(ctx, mask: Tensor, a: Operand, b: Operand) -> Tensor { select(&mask, a, b) }
        },
    );
}

/// Tell Rhai about the operators.
fn register(engine: &mut Engine) {
    let arithmetic: [(&'static str, Binary); 5] = [("+", add), ("-", sub), ("*", mul), ("/", div), ("**", pow)];
    let comparison: [(&'static str, Binary); 4] = [("<", lt), (">", gt), ("<=", le), (">=", ge)];
    for (name, f) in arithmetic.into_iter().chain(comparison) {
        use Operand::{Float, Int, Tensor as T};
        engine.register_fn(name, move |c: NativeCallContext, a: Tensor, b: Tensor| {
            run(&c, name, || f(T(a), T(b)))
        });
        engine.register_fn(name, move |c: NativeCallContext, a: Tensor, b: i64| {
            run(&c, name, || f(T(a), Int(b)))
        });
        engine.register_fn(name, move |c: NativeCallContext, a: Tensor, b: f64| {
            run(&c, name, || f(T(a), Float(b)))
        });
        engine.register_fn(name, move |c: NativeCallContext, a: i64, b: Tensor| {
            run(&c, name, || f(Int(a), T(b)))
        });
        engine.register_fn(name, move |c: NativeCallContext, a: f64, b: Tensor| {
            run(&c, name, || f(Float(a), T(b)))
        });
    }
    engine.register_fn("-", |c: NativeCallContext, t: Tensor| {
        run(&c, "-", || mul(Operand::Tensor(t), Operand::Int(-1)))
    });
    engine.register_fn("+", |t: Tensor| t);
    engine.register_fn("==", |c: NativeCallContext, a: Tensor, b: Tensor| {
        run_bool(&c, "==", || equal(&a, &b))
    });
    engine.register_fn("!=", |c: NativeCallContext, a: Tensor, b: Tensor| {
        run_bool(&c, "!=", || Ok(!equal(&a, &b)?))
    });
    for sign in ["==", "!="] {
        engine.register_fn(sign, move |c: NativeCallContext, _: Tensor, n: i64| {
            no_single_answer(&c, sign, n)
        });
        engine.register_fn(sign, move |c: NativeCallContext, _: Tensor, n: f64| {
            no_single_answer(&c, sign, n)
        });
        engine.register_fn(sign, move |c: NativeCallContext, n: i64, _: Tensor| {
            no_single_answer(&c, sign, n)
        });
        engine.register_fn(sign, move |c: NativeCallContext, n: f64, _: Tensor| {
            no_single_answer(&c, sign, n)
        });
    }
}

/// `t == 1` is false for Rhai, whatever the tensor holds: say what was meant instead.
fn no_single_answer(native: &NativeCallContext, sign: &str, number: impl std::fmt::Display) -> Answer<bool> {
    let method = if sign == "==" { "eq" } else { "ne" };
    run_bool(native, sign, || {
        fail!(
            "{sign} asks whether two tensors are the same, found a Tensor and the number {number}; write t.{method}({number}) for a \
             mask, t.item() {sign} {number} for a tensor of one number"
        )
    })
}

type Answer<T> = std::result::Result<T, Box<EvalAltResult>>;

/// Run an operator: panics and errors become script errors, results are detached inside `no_grad`.
pub(super) fn run(native: &NativeCallContext, name: &str, work: impl FnOnce() -> Result<Tensor>) -> Answer<Tensor> {
    let call = Call::new(native, name.to_string()).map_err(script_error)?;
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(t)) if call.tracking() => Ok(t),
        Ok(Ok(t)) => Ok(t.detach()),
        Ok(Err(e)) => Err(call.finish(e)),
        Err(_) => Err(call.finish(Error::usage(
            "internal error; this is a bug in seglab, the session goes on",
        ))),
    }
}

fn run_bool(native: &NativeCallContext, name: &str, work: impl FnOnce() -> Result<bool>) -> Answer<bool> {
    let call = Call::new(native, name.to_string()).map_err(script_error)?;
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(e)) => Err(call.finish(e)),
        Err(_) => Err(call.finish(Error::usage(
            "internal error; this is a bug in seglab, the session goes on",
        ))),
    }
}

/// Same shape and values (any element types; NaN equals nothing).
pub fn equal(a: &Tensor, b: &Tensor) -> Result<bool> {
    if a.dims() != b.dims() {
        return Ok(false);
    }
    let (a, b) = together(&a.detach(), &b.detach())?;
    let mask = a.eq(&b)?.flatten_all()?.to_vec1::<u8>()?;
    Ok(mask.iter().all(|m| *m == 1))
}

/// Both as the wider of the two element types.
fn together(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let rank = |d: DType| {
        [
            DType::U8,
            DType::U32,
            DType::I64,
            DType::F16,
            DType::BF16,
            DType::F32,
            DType::F64,
        ]
        .iter()
        .position(|x| *x == d)
    };
    let wide = match (a.dtype(), b.dtype()) {
        (x, y) if x == y => x,
        (DType::F16, DType::BF16) | (DType::BF16, DType::F16) => DType::F32,
        (x, y) if rank(x) >= rank(y) => x,
        (_, y) => y,
    };
    Ok((a.to_dtype(wide)?, b.to_dtype(wide)?))
}

/// All as the widest of their element types.
pub(super) fn alike(list: Vec<Tensor>) -> Result<Vec<Tensor>> {
    let Some(first) = list.first().cloned() else {
        return Ok(list);
    };
    let widest = list
        .iter()
        .try_fold(first, |wide, t| Ok::<_, Error>(together(&wide, t)?.0))?
        .dtype();
    list.iter().map(|t| Ok(t.to_dtype(widest)?)).collect()
}

/// `u8` and `u32` as `i64`, where numbers may become negative or large.
fn wide(t: Tensor) -> Result<Tensor> {
    if t.dtype().is_float() {
        Ok(t)
    } else {
        Ok(t.to_dtype(DType::I64)?)
    }
}

/// Two operands as tensors of one element type whose shapes broadcast; numbers become tensors without dimensions.
fn pair(name: &str, a: Operand, b: Operand) -> Result<(Tensor, Tensor)> {
    let scalar =
        |x: f64, like: &Tensor| -> Result<Tensor> { Ok(Tensor::new(x, like.device())?.to_dtype(like.dtype())?) };
    let (a, b) = match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => together(&wide(a)?, &wide(b)?)?,
        (Operand::Tensor(t), n) => {
            let (t, n) = lift(t, &n)?;
            let n = scalar(n, &t)?;
            (t, n)
        }
        (n, Operand::Tensor(t)) => {
            let (t, n) = lift(t, &n)?;
            (scalar(n, &t)?, t)
        }
        _ => fail!("{name}: needs a tensor"),
    };
    let method = name.starts_with(|c: char| c.is_alphabetic());
    let names = if method {
        ("the tensor", "`other`")
    } else {
        ("the left side", "the right side")
    };
    let shape = broadcast_shape(name, (names.0, a.dims()), (names.1, b.dims()))?;
    affordable(&shape, a.dtype())?;
    Ok((a, b))
}

/// The shape both broadcast to; the arguments with their names.
pub(super) fn broadcast_shape(name: &str, a: (&str, &[usize]), b: (&str, &[usize])) -> Result<Vec<usize>> {
    let ((a_name, a), (b_name, b)) = (a, b);
    let rank = a.len().max(b.len());
    let size = |dims: &[usize], i: usize| (i + dims.len()).checked_sub(rank).map_or(1, |k| dims[k]);
    (0..rank)
        .map(|i| match (size(a, i), size(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => fail!(
                "{name}: {a_name} has the shape {a:?}, {b_name} {b:?}; sizes must be equal or 1, counted from the last dimension"
            ),
        })
        .collect()
}

/// A tensor and a number: floats stay, integers become `i64`, or `f32` if the number has a fraction.
fn lift(t: Tensor, n: &Operand) -> Result<(Tensor, f64)> {
    match n {
        Operand::Int(i) => Ok((wide(t)?, *i as f64)),
        Operand::Float(f) => Ok((float(&t)?, *f)),
        Operand::Tensor(other) => fail!("expected a number, found {}", other.brief()),
    }
}

fn add(a: Operand, b: Operand) -> Result<Tensor> {
    match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => {
            let (a, b) = pair("+", Operand::Tensor(a), Operand::Tensor(b))?;
            Ok(a.broadcast_add(&b)?)
        }
        (Operand::Tensor(t), n) | (n, Operand::Tensor(t)) => {
            let (t, n) = lift(t, &n)?;
            Ok(t.affine(1.0, n)?)
        }
        _ => fail!("+ needs a tensor"),
    }
}

fn sub(a: Operand, b: Operand) -> Result<Tensor> {
    match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => {
            let (a, b) = pair("-", Operand::Tensor(a), Operand::Tensor(b))?;
            Ok(a.broadcast_sub(&b)?)
        }
        (Operand::Tensor(t), n) => {
            let (t, n) = lift(t, &n)?;
            Ok(t.affine(1.0, -n)?)
        }
        (n, Operand::Tensor(t)) => {
            let (t, n) = lift(t, &n)?;
            Ok(t.affine(-1.0, n)?)
        }
        _ => fail!("- needs a tensor"),
    }
}

fn mul(a: Operand, b: Operand) -> Result<Tensor> {
    match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => {
            let (a, b) = pair("*", Operand::Tensor(a), Operand::Tensor(b))?;
            Ok(a.broadcast_mul(&b)?)
        }
        (Operand::Tensor(t), n) | (n, Operand::Tensor(t)) => {
            let (t, n) = lift(t, &n)?;
            Ok(t.affine(n, 0.0)?)
        }
        _ => fail!("* needs a tensor"),
    }
}

fn div(a: Operand, b: Operand) -> Result<Tensor> {
    let floats = |o: Operand| -> Result<Operand> {
        Ok(match o {
            Operand::Tensor(t) => Operand::Tensor(float(&t)?),
            Operand::Int(i) => Operand::Float(i as f64),
            other => other,
        })
    };
    match (floats(a)?, floats(b)?) {
        (Operand::Tensor(t), Operand::Float(n)) if n != 0.0 => Ok((t / n)?),
        (Operand::Float(n), Operand::Tensor(t)) => Ok(t.recip()?.affine(n, 0.0)?),
        (a, b) => {
            let (a, b) = pair("/", a, b)?;
            Ok(a.broadcast_div(&b)?)
        }
    }
}

fn pow(a: Operand, b: Operand) -> Result<Tensor> {
    match (a, b) {
        (Operand::Tensor(t), Operand::Int(n @ 1..=16)) => {
            let t = wide(t)?;
            (1..n).try_fold(t.clone(), |power, _| Ok((power * &t)?))
        }
        (Operand::Tensor(t), n @ (Operand::Int(_) | Operand::Float(_))) => {
            let (t, n) = lift(float(&t)?, &n)?;
            Ok(match n {
                0.5 => t.sqrt()?,
                -1.0 => t.recip()?,
                n => t.powf(n)?,
            })
        }
        (Operand::Tensor(a), Operand::Tensor(b)) => {
            let (a, b) = pair("**", Operand::Tensor(float(&a)?), Operand::Tensor(float(&b)?))?;
            Ok(a.broadcast_pow(&b)?)
        }
        (n, Operand::Tensor(t)) => {
            let (t, n) = lift(float(&t)?, &n)?;
            ensure!(n > 0.0, "**: the base {n} must be positive");
            Ok(t.affine(n.ln(), 0.0)?.exp()?)
        }
        _ => fail!("** needs a tensor"),
    }
}

macro_rules! comparisons {
    ($($name:ident $broadcast:ident $sign:literal),*) => {$(
        fn $name(a: Operand, b: Operand) -> Result<Tensor> {
            let (a, b) = pair($sign, a, b)?;
            Ok(a.$broadcast(&b)?)
        }
    )*};
}
comparisons!(lt broadcast_lt "<", gt broadcast_gt ">", le broadcast_le "<=", ge broadcast_ge ">=", eq broadcast_eq "eq", ne broadcast_ne "ne");

/// Elements of `a` where the mask is not 0, else of `b`.
pub(super) fn select(mask: &Tensor, a: Operand, b: Operand) -> Result<Tensor> {
    let mask = if mask.dtype() == DType::U8 {
        mask.clone()
    } else {
        mask.ne(0f64)?
    };
    let number = |o: &Operand| match o {
        Operand::Int(i) => *i as f64,
        Operand::Float(f) => *f,
        Operand::Tensor(_) => 0.0,
    };
    let (a, b) = match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => together(&a, &b)?,
        (a @ Operand::Tensor(_), b) | (a, b @ Operand::Tensor(_)) => pair("where", a, b)?,
        (Operand::Int(a), Operand::Int(b)) => (Tensor::new(a, mask.device())?, Tensor::new(b, mask.device())?),
        (a, b) => {
            let (x, y) = (number(&a), number(&b));
            (
                Tensor::new(x as f32, mask.device())?,
                Tensor::new(y as f32, mask.device())?,
            )
        }
    };
    let values = broadcast_shape("where", ("`a`", a.dims()), ("`b`", b.dims()))?;
    let shape = broadcast_shape("where", ("`mask`", mask.dims()), ("the values", &values))?;
    affordable(&shape, a.dtype())?;
    let to = |t: &Tensor| -> Result<Tensor> { Ok(t.broadcast_as(Shape::from(shape.clone()))?.contiguous()?) };
    Ok(to(&mask)?.where_cond(&to(&a)?, &to(&b)?)?)
}
