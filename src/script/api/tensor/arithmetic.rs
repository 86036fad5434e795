//! Arithmetic and comparison with broadcasting, between tensors and numbers both ways.
//!
//! Element types meet at the wider one (`u8 u32 i64 f16 bf16 f32 f64`); arithmetic of integers is done in `i64`, to the last digit;
//! `/` and a float operand give floats. Comparisons give `u8` masks, except `==` and `!=`, which give one bool.

use candle_core::DType;

use super::{Operand, float};
use crate::ops::reduce::expand;
use crate::ops::{self, Graph};
use crate::script::prelude::*;
use crate::session::memory::affordable;

/// Same shape and values (any element types; NaN equals nothing).
pub fn equal(a: &Tensor, b: &Tensor) -> Result<bool> {
    if a.dims() != b.dims() {
        return Ok(false);
    }
    let (a, b) = together_exactly(&a.detach(), &b.detach())?;
    let mask = a.eq(&b)?.flatten_all()?.to_vec1::<u8>()?;
    Ok(mask.iter().all(|m| *m == 1))
}

/// The wider of two element types.
fn wider(a: DType, b: DType) -> DType {
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
    match (a, b) {
        (DType::F16, DType::BF16) | (DType::BF16, DType::F16) => DType::F32,
        (a, b) if rank(a) >= rank(b) => a,
        (_, b) => b,
    }
}

/// Both as the wider of the two element types.
fn together(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let wide = wider(a.dtype(), b.dtype());
    Ok((a.to_dtype(wide)?, b.to_dtype(wide)?))
}

/// As [`together`], for a comparison: integers and floats meet in f64, which holds both.
fn together_exactly(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    if a.dtype().is_int() != b.dtype().is_int() {
        return Ok((a.to_dtype(DType::F64)?, b.to_dtype(DType::F64)?));
    }
    together(a, b)
}

/// All as the widest of their element types.
pub(super) fn alike(list: Vec<Tensor>) -> Result<Vec<Tensor>> {
    let Some(widest) = list.iter().map(Tensor::dtype).reduce(wider) else {
        return Ok(list);
    };
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

/// A tensor and a number as two tensors of one element type: floats stay, integers become `i64`, or `f32` beside a number with a
/// fraction.
fn beside(t: Tensor, n: &Operand) -> Result<(Tensor, Tensor)> {
    match n {
        Operand::Int(i) if t.dtype().is_int() => Ok((wide(t.clone())?, Tensor::new(*i, t.device())?)),
        Operand::Int(i) => beside(t, &Operand::Float(*i as f64)),
        Operand::Float(f) => {
            let t = float(&t)?;
            let n = Tensor::new(*f, t.device())?.to_dtype(t.dtype())?;
            Ok((t, n))
        }
        Operand::Tensor(other) => fail!("expected a number, found {}", other.brief()),
    }
}

/// Two operands as tensors of one element type, whose shapes can be repeated to one.
fn pair(name: &str, a: Operand, b: Operand) -> Result<(Tensor, Tensor)> {
    let (a, b) = match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => together(&wide(a)?, &wide(b)?)?,
        (Operand::Tensor(t), n) => beside(t, &n)?,
        (n, Operand::Tensor(t)) => {
            let (t, n) = beside(t, &n)?;
            (n, t)
        }
        _ => fail!("{name}: needs a tensor"),
    };
    result_shape(name, &a, &b)?;
    Ok((a, b))
}

/// The shape of what is made of both, which the memory holds.
fn result_shape(name: &str, a: &Tensor, b: &Tensor) -> Result<Vec<usize>> {
    let method = name.starts_with(|c: char| c.is_alphabetic());
    let names = if method {
        ("the tensor", "`other`")
    } else {
        ("the left side", "the right side")
    };
    let shape = broadcast_shape(name, (names.0, a.dims()), (names.1, b.dims()))?;
    affordable(&shape, a.dtype())?;
    Ok(shape)
}

/// Both repeated to one shape.
fn repeated(name: &str, a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let shape = result_shape(name, a, b)?;
    Ok((expand(a, &shape)?, expand(b, &shape)?))
}

type Recorded<'a> = fn(Graph<'a>, &Tensor, &Tensor) -> Result<Tensor>;
type Whole = fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>;

/// Arithmetic of two operands: floats by an operation of ours, integers by candle's.
fn both<'a>(
    graph: Graph<'a>,
    name: &str,
    a: Operand,
    b: Operand,
    floats: Recorded<'a>,
    whole: Whole,
) -> Result<Tensor> {
    let (a, b) = pair(name, a, b)?;
    match a.dtype().is_int() {
        true => Ok(whole(&a, &b)?),
        false => in_single_both(&a, &b, |a, b| floats(graph, a, b)),
    }
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

/// A float tensor and a number, where the result is a float: `None` where both are integers or tensors.
fn with_number<'a>(a: &'a Operand, b: &'a Operand) -> Option<(&'a Tensor, f64)> {
    let (t, n) = match (a, b) {
        (Operand::Tensor(t), n) | (n, Operand::Tensor(t)) => (t, n),
        _ => return None,
    };
    match n {
        Operand::Float(f) => Some((t, *f)),
        Operand::Int(i) if t.dtype().is_float() => Some((t, *i as f64)),
        _ => None,
    }
}

/// `factor t + term` in floats.
fn affine(graph: Graph, t: &Tensor, factor: f64, term: f64) -> Result<Tensor> {
    ops::in_single(&float(t)?, |t| graph.affine(t, factor, term))
}

pub(super) fn add(graph: Graph, a: Operand, b: Operand) -> Result<Tensor> {
    match with_number(&a, &b) {
        Some((t, n)) => affine(graph, t, 1.0, n),
        None => both(graph, "+", a, b, Graph::add, Tensor::broadcast_add),
    }
}

pub(super) fn sub(graph: Graph, a: Operand, b: Operand) -> Result<Tensor> {
    match (with_number(&a, &b), &a) {
        (Some((t, n)), Operand::Tensor(_)) => affine(graph, t, 1.0, -n),
        (Some((t, n)), _) => affine(graph, t, -1.0, n),
        (None, _) => both(graph, "-", a, b, Graph::subtract, Tensor::broadcast_sub),
    }
}

pub(super) fn mul(graph: Graph, a: Operand, b: Operand) -> Result<Tensor> {
    match with_number(&a, &b) {
        Some((t, n)) => affine(graph, t, n, 0.0),
        None => both(graph, "*", a, b, Graph::multiply, Tensor::broadcast_mul),
    }
}

pub(super) fn div(graph: Graph, a: Operand, b: Operand) -> Result<Tensor> {
    let number = |o: &Operand| match o {
        Operand::Int(i) => *i as f64,
        Operand::Float(f) => *f,
        Operand::Tensor(_) => f64::NAN,
    };
    match (&a, &b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => {
            let (a, b) = (Operand::Tensor(float(a)?), Operand::Tensor(float(b)?));
            both(graph, "/", a, b, Graph::divide, Tensor::broadcast_div)
        }
        (Operand::Tensor(t), n) => ops::in_single(&float(t)?, |t| graph.divide_by(t, number(n))),
        (n, Operand::Tensor(t)) => ops::in_single(&float(t)?, |t| graph.divide_number(number(n), t)),
        _ => fail!("/ needs a tensor"),
    }
}

pub(super) fn pow(graph: Graph, a: Operand, b: Operand) -> Result<Tensor> {
    if let (Operand::Tensor(t), Some((_, n))) = (&a, with_number(&a, &b)) {
        return ops::in_single(&float(t)?, |t| graph.power(t, n));
    }
    let whole = |o: &Operand| match o {
        Operand::Tensor(t) => t.dtype().is_int(),
        Operand::Int(_) => true,
        Operand::Float(_) => false,
    };
    match (whole(&a), whole(&b)) {
        (true, true) => {
            let (a, b) = pair("**", a, b)?;
            let (a, b) = repeated("**", &a, &b)?;
            powers_of_integers(&a, &b)
        }
        _ => {
            let floats = |o: Operand| match o {
                Operand::Tensor(t) => Ok::<_, Error>(Operand::Tensor(float(&t)?)),
                number => Ok(number),
            };
            let (a, b) = pair("**", floats(a)?, floats(b)?)?;
            in_single_both(&a, &b, |a, b| graph.power_of(a, b))
        }
    }
}

/// Powers of `i64`, which wrap around as PyTorch's.
fn powers_of_integers(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let numbers = |t: &Tensor| -> Result<Vec<i64>> { Ok(t.flatten_all()?.to_vec1()?) };
    let power = |(base, exponent): (&i64, &i64)| match u32::try_from(*exponent) {
        Ok(exponent) => Ok(base.wrapping_pow(exponent)),
        Err(_) => fail!(
            "**: an integer to the power of {exponent}: exponents of integers are 0 to {}; write t.to_dtype(\"f32\") for fractions",
            u32::MAX
        ),
    };
    let powers = numbers(a)?
        .iter()
        .zip(&numbers(b)?)
        .map(power)
        .collect::<Result<Vec<i64>>>()?;
    Ok(Tensor::from_vec(powers, a.shape(), a.device())?)
}

pub(super) fn maximum(graph: Graph, a: Operand, b: Operand) -> Result<Tensor> {
    let (a, b) = pair("maximum", a, b)?;
    in_single_both(&a, &b, |a, b| graph.maximum(a, b))
}

pub(super) fn minimum(graph: Graph, a: Operand, b: Operand) -> Result<Tensor> {
    let (a, b) = pair("minimum", a, b)?;
    in_single_both(&a, &b, |a, b| graph.minimum(a, b))
}

/// An operation on two tensors of one element type, in single precision if they are halves.
fn in_single_both(a: &Tensor, b: &Tensor, work: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
    ops::in_single(a, |a| work(a, &b.to_dtype(a.dtype())?))
}

/// Two operands of a comparison as tensors of one element type and one shape.
fn compared(name: &str, a: Operand, b: Operand) -> Result<(Tensor, Tensor)> {
    let exact = |o: Operand, other: &Operand| match (o, other) {
        (Operand::Tensor(t), Operand::Float(_)) if t.dtype().is_int() => {
            Ok::<_, Error>(Operand::Tensor(t.to_dtype(DType::F64)?))
        }
        (Operand::Tensor(t), Operand::Tensor(other)) => Ok(Operand::Tensor(together_exactly(&t, other)?.0)),
        (o, _) => Ok(o),
    };
    let (a, b) = pair(name, exact(a.clone(), &b)?, exact(b, &a)?)?;
    repeated(name, &a.detach(), &b.detach())
}

macro_rules! comparisons {
    ($($name:ident $sign:literal),*) => {$(
        pub(super) fn $name(a: Operand, b: Operand) -> Result<Tensor> {
            let (a, b) = compared($sign, a, b)?;
            Ok(a.$name(&b)?)
        }
    )*};
}
comparisons!(lt "<", gt ">", le "<=", ge ">=", eq "eq", ne "ne");

/// Elements of `a` where the mask is not 0, else of `b`.
pub(super) fn select(mask: &Tensor, a: Operand, b: Operand) -> Result<Tensor> {
    let mask = if mask.dtype() == DType::U8 {
        mask.clone()
    } else {
        mask.ne(0f64)?
    };
    let (a, b) = match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => together(&a, &b)?,
        (Operand::Tensor(t), n) => beside(t, &n)?,
        (n, Operand::Tensor(t)) => {
            let (t, n) = beside(t, &n)?;
            (n, t)
        }
        (Operand::Int(a), Operand::Int(b)) => (Tensor::new(a, mask.device())?, Tensor::new(b, mask.device())?),
        (a, b) => {
            let one = Tensor::ones((), DType::F32, mask.device())?;
            (beside(one.clone(), &a)?.1, beside(one, &b)?.1)
        }
    };
    let values = broadcast_shape("where", ("`a`", a.dims()), ("`b`", b.dims()))?;
    let shape = broadcast_shape("where", ("`mask`", mask.dims()), ("the values", &values))?;
    affordable(&shape, a.dtype())?;
    let to = |t: &Tensor| -> Result<Tensor> { Ok(expand(t, &shape)?.contiguous()?) };
    Ok(to(&mask)?.where_cond(&to(&a)?, &to(&b)?)?)
}
