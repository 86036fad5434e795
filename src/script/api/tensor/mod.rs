//! `tensor::` and the methods and operators of tensors.

mod arithmetic;
mod arrange;
mod display;
mod elementwise;
mod gradients;
mod index;
pub mod layers;
mod make;
mod operators;
mod order;
mod reduce;
mod shape;
mod statistics;
mod storage;

use candle_core::{DType, Device};

use crate::error::choose;
use crate::ops;
use crate::script::api::nth;
use crate::script::prelude::*;
use crate::session::memory::affordable;

pub use crate::device::device_name;
pub use arithmetic::equal;
pub use gradients::Gradients;

impl ScriptType for Tensor {
    const NAME: &'static str = "Tensor";
    const DOC: &'static str = "An n-dimensional array of numbers of one type on one device.";
    fn display(&self) -> String {
        display::display(self)
    }
    fn brief(&self) -> String {
        format!("Tensor {} {:?}", self.dtype().as_str(), self.dims())
    }
    fn detached(self) -> Self {
        self.detach()
    }
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.script_type::<Tensor>();
    make::declare(table);
    storage::declare(table);
    shape::declare(table);
    elementwise::declare(table);
    reduce::declare(table);
    order::declare(table);
    arrange::declare(table);
    layers::declare(table);
    operators::declare(table);
    index::declare(table);
    gradients::declare(table);
}

/// A tensor or a number.
#[derive(Clone, Debug)]
pub enum Operand {
    /// A tensor.
    Tensor(Tensor),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
}

impl Operand {
    /// As a tensor; a number as one without dimensions.
    fn tensor(self, device: &Device) -> Result<Tensor> {
        Ok(match self {
            Operand::Tensor(t) => t,
            Operand::Int(i) => Tensor::new(i, device)?,
            Operand::Float(f) => Tensor::new(f, device)?,
        })
    }
}

impl From<Tensor> for Operand {
    fn from(t: Tensor) -> Self {
        Operand::Tensor(t)
    }
}

impl From<i64> for Operand {
    fn from(number: i64) -> Self {
        Operand::Int(number)
    }
}

impl From<f64> for Operand {
    fn from(number: f64) -> Self {
        Operand::Float(number)
    }
}

impl Arg for Operand {
    const KIND: &'static str = "Tensor or float";
    const WANTED: &'static str = "a tensor or a number";
    fn convert(value: &dyn Source) -> Option<Self> {
        let value = dynamic(value)?;
        match (value.as_int(), value.as_float()) {
            (Ok(i), _) => Some(i.into()),
            (_, Ok(f)) => Some(f.into()),
            _ => Tensor::convert(value).map(Operand::Tensor),
        }
    }
    fn literal(&self) -> Option<String> {
        match self {
            Operand::Int(i) => i.literal(),
            Operand::Float(f) => f.literal(),
            Operand::Tensor(_) => None,
        }
    }
}

/// Names of element types.
const DTYPES: &[(&str, DType)] = &[
    ("f32", DType::F32),
    ("f16", DType::F16),
    ("bf16", DType::BF16),
    ("f64", DType::F64),
    ("u8", DType::U8),
    ("u32", DType::U32),
    ("i64", DType::I64),
];

/// The element type of this name.
pub fn dtype_named(name: &str) -> Result<DType> {
    choose("dtype", name, DTYPES)
}

/// A dimension of `t`; negative ones count from the end.
pub fn axis(t: &Tensor, dim: i64) -> Result<usize> {
    match nth(dim, t.rank()) {
        Some(dim) => Ok(dim),
        None if t.rank() == 0 => fail!("dimension {dim} does not exist in {}", t.brief()),
        None => fail!(
            "dimension {dim} does not exist in {}; it has 0 to {}, or -1 to -{} from the end",
            t.brief(),
            t.rank() - 1,
            t.rank()
        ),
    }
}

/// A dimension out of `rank`; negative ones count from the end.
pub fn axis_of(rank: usize, dim: i64) -> Result<usize> {
    match nth(dim, rank) {
        Some(dim) => Ok(dim),
        None => fail!("dimension {dim} does not exist; there are {rank}, the first is 0, the last -1"),
    }
}

/// All elements as floats, in the order of memory.
pub fn floats(t: &Tensor) -> Result<Vec<f64>> {
    Ok(t.detach().flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

/// All elements as integers, in the order of memory.
pub fn integers(t: &Tensor) -> Result<Vec<i64>> {
    Ok(t.detach().flatten_all()?.to_dtype(DType::I64)?.to_vec1()?)
}

/// The number that a value is, or that a tensor of one element holds.
pub fn number(value: &Dynamic) -> Result<Option<f64>> {
    match Tensor::convert(value) {
        Some(t) if t.elem_count() == 1 => Ok(Some(floats(&t)?[0])),
        _ => Ok(f64::convert(value)),
    }
}

/// Floats as they are, integers as `f32` (candle has no functions of integers).
pub fn float(t: &Tensor) -> Result<Tensor> {
    if t.dtype().is_float() {
        Ok(t.clone())
    } else {
        Ok(t.to_dtype(DType::F32)?)
    }
}

/// Run an operation whose kernels know `f32` and `f64` only: integers enter as `f32`, halves enter and leave as halves.
pub fn in_single(t: &Tensor, work: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    ops::in_single(&float(t)?, work)
}

/// [`affordable`], also to the sandbox.
fn room(ctx: &Call, shape: &[usize], dtype: DType) -> Result<()> {
    affordable(shape, dtype)?;
    match ctx.session().sandbox() {
        Some(sandbox) => sandbox.check_memory((shape.iter().product::<usize>() * dtype.size_in_bytes()) as u64),
        None => Ok(()),
    }
}
