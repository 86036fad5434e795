//! Making tensors: from numbers, by rule, by chance, from other tensors.

use candle_core::{DType, Device, Var};

use super::arithmetic::{alike, select};
use super::{Operand, axis, axis_of, dtype_named, integers, room};
use crate::random::Random;
use crate::script::prelude::*;
use crate::script::values::describe;
use crate::session::memory::affordable;

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.namespace("tensor", "Make, load and save tensors.", entries! {
        /// Make a tensor from a number or nested arrays of numbers.
        ///
        /// Integers give `i64`, anything with a float `f32`, unless `dtype` says otherwise; `"f64"` keeps all digits of a number.
        /// ```
        /// let t = tensor::from([[1, 2], [3, 4.5]]);
        /// assert_eq(t.shape, [2, 2]);
        /// assert_eq(tensor::from([1, 2]).dtype, "i64");
        /// ```
        fn from(ctx, array: Dynamic, dtype: Option<String> = None) -> Tensor {
            let dtype = dtype.map(|name| dtype_named(&name)).transpose()?;
            from_value(&array, dtype, ctx.session().device())
        }
        /// Make a tensor of zeros.
        /// ```
        /// assert_eq(tensor::zeros([2, 3]).shape, [2, 3]);
        /// ```
        fn zeros(ctx, shape: Sizes, dtype: String = "f32".into()) -> Tensor {
            let dtype = dtype_named(&dtype)?;
            room(ctx, &shape.0, dtype)?;
            Ok(Tensor::zeros(shape.0, dtype, ctx.session().device())?)
        }
        /// Make a tensor of ones.
        /// ```
        /// assert_eq(tensor::ones([2]), tensor::from([1.0, 1.0]));
        /// ```
        fn ones(ctx, shape: Sizes, dtype: String = "f32".into()) -> Tensor {
            let dtype = dtype_named(&dtype)?;
            room(ctx, &shape.0, dtype)?;
            Ok(Tensor::ones(shape.0, dtype, ctx.session().device())?)
        }
        /// Make a tensor whose elements all are `value`.
        /// ```
        /// assert_eq(tensor::full([2], 0.5), tensor::from([0.5, 0.5]));
        /// ```
        fn full(ctx, shape: Sizes, value: Operand, dtype: String = "f32".into()) -> Tensor {
            let dtype = dtype_named(&dtype)?;
            room(ctx, &shape.0, DType::F64)?;
            let one = match value {
                Operand::Tensor(t) => fail!("`value` must be a number, found {}; write t.item() for a tensor of one", t.brief()),
                number => number.tensor(ctx.session().device())?,
            };
            Ok(one.to_dtype(dtype)?.broadcast_as(shape.0)?.contiguous()?)
        }
        /// Draw uniformly from [low, high) with the session's random state.
        /// ```
        /// let t = tensor::rand([100]);
        /// assert(t.min().item() >= 0.0 && t.max().item() < 1.0);
        /// ```
        fn rand(ctx, shape: Sizes, low: f64 = 0.0, high: f64 = 1.0, dtype: String = "f32".into()) -> Tensor {
            draw(ctx, shape.0, &dtype, |random| random.uniform(low, high))
        }
        /// Draw from the normal distribution with the session's random state.
        /// ```
        /// let t = tensor::randn([1000]);
        /// assert(t.mean().abs().item() < 0.2);
        /// ```
        fn randn(ctx, shape: Sizes, mean: f64 = 0.0, std: f64 = 1.0, dtype: String = "f32".into()) -> Tensor {
            draw(ctx, shape.0, &dtype, |random| mean + std * random.normal())
        }
        /// Count from `a` up to but not including `b` (from 0 if only one number is given).
        /// ```
        /// assert_eq(tensor::arange(2, 5), tensor::from([2, 3, 4]));
        /// assert_eq(tensor::arange(3), tensor::from([0, 1, 2]));
        /// assert_eq(tensor::arange(0, 1, 0.25).numel, 4);
        /// assert_eq(tensor::arange(3, #{ dtype: "f64" }).dtype, "f64");
        /// ```
        fn arange(ctx, a: Dynamic, b: Option<Dynamic> = None, step: Dynamic = 1_i64.into(),
            /// `i64` for integers, else `f32`, unless said otherwise.
            dtype: Option<String> = None,
        ) -> Tensor {
            let dtype = dtype.map(|name| dtype_named(&name)).transpose()?;
            arange(a, b, step, dtype, ctx.session().device())
        }
        /// The identity matrix of n rows.
        /// ```
        /// assert_eq(tensor::eye(2), tensor::from([[1.0, 0.0], [0.0, 1.0]]));
        /// ```
        fn eye(ctx, n: usize, dtype: String = "f32".into()) -> Tensor {
            room(ctx, &[n, n], DType::F64)?;
            Ok(Tensor::eye(n, dtype_named(&dtype)?, ctx.session().device())?)
        }
        /// Join tensors of one shape along a new dimension.
        /// ```
        /// assert_eq(tensor::stack([tensor::ones([3]), tensor::zeros([3])]).shape, [2, 3]);
        /// ```
        fn stack(ctx, list: Vec<Tensor>, dim: i64 = 0) -> Tensor {
            ensure!(!list.is_empty(), "the list of tensors is empty");
            let dim = axis_of(list[0].rank() + 1, dim)?;
            joinable(&list, None)?;
            Ok(Tensor::stack(&alike(list)?, dim)?)
        }
        /// Join tensors along an existing dimension.
        /// ```
        /// assert_eq(tensor::cat([tensor::ones([1, 3]), tensor::zeros([2, 3])]).shape, [3, 3]);
        /// ```
        fn cat(ctx, list: Vec<Tensor>, dim: i64 = 0) -> Tensor {
            ensure!(!list.is_empty(), "the list of tensors is empty");
            let dim = axis(&list[0], dim)?;
            joinable(&list, Some(dim))?;
            Ok(Tensor::cat(&alike(list)?, dim)?)
        }
        /// Turn labels into vectors with a single one, in a new last dimension.
        /// ```
        /// assert_eq(tensor::one_hot(tensor::from([0, 2]), 3), tensor::from([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]));
        /// ```
        fn one_hot(ctx, labels: Tensor, classes: usize, dtype: String = "f32".into(),
            /// Labels of this value give zeros only, unless it is a class.
            ignore_label: Option<i64> = Some(255),
        ) -> Tensor {
            one_hot(&labels, classes, dtype_named(&dtype)?, ignore_label)
        }
        /// Take elements of `a` where the mask is not 0, else of `b`; tensors or numbers, with broadcasting.
        /// ```
        /// let t = tensor::from([1.0, -2.0]);
        /// assert_eq(tensor::where(t > 0, t, 0), tensor::from([1.0, 0.0]));
        /// ```
        fn where(ctx, mask: Tensor, a: Operand, b: Operand) -> Tensor {
            select(&mask, a, b)
        }
        /// A copy of the tensor that `backward()` computes the gradient of.
        /// ```
        /// let w = tensor::variable(tensor::from([1.0, 2.0]));
        /// let g = (w * w).sum().backward();
        /// assert_eq(g.of(w), tensor::from([2.0, 4.0]));
        /// ```
        fn variable(ctx, t: Tensor) -> Tensor {
            ensure!(t.dtype().is_float(), "a variable must hold floats, found {}; write t.to_dtype(\"f32\")", t.brief());
            Ok(Var::from_tensor(&t.detach())?.as_tensor().clone())
        }
        /// Call the closure without recording gradients, and return its value.
        /// ```
        /// let w = tensor::variable(tensor::ones([2]));
        /// let y = tensor::no_grad(|| (w * 2).sum());
        /// assert_eq(y.backward().of(w), ());
        /// ```
        fn no_grad(ctx, work: FnPtr) -> Dynamic {
            ctx.without_tracking(|| ctx.call(&work, ()))
        }
    });
}

/// An error that names both shapes unless all tensors have the shape of the first, `free` aside.
fn joinable(list: &[Tensor], free: Option<usize>) -> Result<()> {
    let first = &list[0];
    for (i, t) in list.iter().enumerate() {
        let fits = t.rank() == first.rank() && (0..t.rank()).all(|d| Some(d) == free || t.dims()[d] == first.dims()[d]);
        let rule = match free {
            Some(dim) => format!("all sizes but that of dimension {dim} must be equal"),
            None => "all shapes must be equal".to_string(),
        };
        ensure!(
            fits,
            "element {i} of `list` has the shape {:?}, element 0 {:?}; {rule}",
            t.dims(),
            first.dims()
        );
    }
    Ok(())
}

fn draw(ctx: &Call, shape: Vec<usize>, dtype: &str, next: impl Fn(&mut Random) -> f64) -> Result<Tensor> {
    let dtype = dtype_named(dtype)?;
    ensure!(
        dtype.is_float(),
        "random numbers are floats, found dtype \"{}\"",
        dtype.as_str()
    );
    room(ctx, &shape, DType::F64)?;
    let mut random = ctx.session().random();
    let count: usize = shape.iter().product();
    let mut values: Vec<f64> = Vec::with_capacity(count);
    while values.len() < count {
        ctx.session().check_cancel()?;
        values.extend((values.len()..count).take(1 << 20).map(|_| next(&mut random)));
    }
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?
        .to_dtype(dtype)?
        .to_device(ctx.session().device())?)
}

fn arange(a: Dynamic, b: Option<Dynamic>, step: Dynamic, dtype: Option<DType>, device: &Device) -> Result<Tensor> {
    let (a, b) = match b {
        Some(b) => (a, b),
        None => (Dynamic::from(0_i64), a),
    };
    if let (Ok(a), Ok(b), Ok(step)) = (a.as_int(), b.as_int(), step.as_int()) {
        ensure!(step != 0, "the step is 0");
        let count = (i128::from(b) - i128::from(a) + i128::from(step) - i128::from(step.signum())) / i128::from(step);
        let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
        affordable(&[count], DType::I64)?;
        let values: Vec<i64> = (0..count as i64).map(|i| a + i * step).collect();
        return Ok(Tensor::from_vec(values, count, device)?.to_dtype(dtype.unwrap_or(DType::I64))?);
    }
    let number = |name: &str, v: &Dynamic| {
        f64::convert(v)
            .filter(|x| x.is_finite())
            .ok_or_else(|| Error::usage(format!("`{name}` must be a number, found {}", describe(v))))
    };
    let (a, b, step) = (number("a", &a)?, number("b", &b)?, number("step", &step)?);
    ensure!(step != 0.0, "the step is 0");
    let count = ((b - a) / step).ceil().max(0.0);
    ensure!(count < 1e15, "{count} elements are too many");
    let count = count as usize;
    affordable(&[count], DType::F64)?;
    let values: Vec<f64> = (0..count).map(|i| a + i as f64 * step).collect();
    Ok(Tensor::from_vec(values, count, &Device::Cpu)?
        .to_dtype(dtype.unwrap_or(DType::F32))?
        .to_device(device)?)
}

fn one_hot(labels: &Tensor, classes: usize, dtype: DType, ignore: Option<i64>) -> Result<Tensor> {
    ensure!(
        labels.dtype().is_int(),
        "labels must be integers, found {}",
        labels.brief()
    );
    let mut shape = labels.dims().to_vec();
    shape.push(classes);
    affordable(&shape, DType::F32)?;
    let values = integers(labels)?;
    let mut hot = vec![0f32; values.len() * classes];
    for (i, &label) in values.iter().enumerate() {
        match usize::try_from(label) {
            Ok(class) if class < classes => hot[i * classes + class] = 1.0,
            _ if Some(label) == ignore => {}
            _ => fail!(
                "label {label} at position {i} does not fit {classes} classes (0 to {})",
                classes as i64 - 1
            ),
        }
    }
    Ok(Tensor::from_vec(hot, shape, labels.device())?.to_dtype(dtype)?)
}

/// A number or nested arrays as a tensor.
fn from_value(value: &Dynamic, dtype: Option<DType>, device: &Device) -> Result<Tensor> {
    if let Some(t) = Tensor::convert(value) {
        return Ok(t.to_dtype(dtype.unwrap_or(t.dtype()))?);
    }
    let mut shape = Vec::new();
    measure(value, &mut shape)?;
    let (mut numbers, mut whole) = (Vec::new(), true);
    collect(value, &shape, &mut numbers, &mut whole)?;
    if numbers.is_empty() || !whole {
        let floats: Vec<f64> = numbers.iter().map(|n| n.1).collect();
        return Ok(Tensor::from_vec(floats, shape, &Device::Cpu)?
            .to_dtype(dtype.unwrap_or(DType::F32))?
            .to_device(device)?);
    }
    let integers: Vec<i64> = numbers.iter().map(|n| n.0).collect();
    Ok(Tensor::from_vec(integers, shape, device)?.to_dtype(dtype.unwrap_or(DType::I64))?)
}

/// The shape by the first elements.
fn measure(value: &Dynamic, shape: &mut Vec<usize>) -> Result<()> {
    if let Some(array) = value.read_lock::<Array>() {
        ensure!(shape.len() < 16, "arrays nested more than 16 deep");
        shape.push(array.len());
        if let Some(first) = array.first() {
            measure(first, shape)?;
        }
    } else if let Some(t) = Tensor::convert(value) {
        fail!("found {} inside an array; tensor::stack joins tensors", t.brief());
    }
    Ok(())
}

fn collect(value: &Dynamic, shape: &[usize], out: &mut Vec<(i64, f64)>, whole: &mut bool) -> Result<()> {
    if let Some(array) = value.read_lock::<Array>() {
        let expected = shape.first().copied();
        ensure!(
            expected == Some(array.len()),
            "the arrays have different lengths ({} and {})",
            expected.map_or("a number".to_string(), |n| n.to_string()),
            array.len()
        );
        return array.iter().try_for_each(|item| collect(item, &shape[1..], out, whole));
    }
    ensure!(
        shape.is_empty(),
        "the arrays have different depths: found {} where an array was expected",
        describe(value)
    );
    if let Ok(i) = value.as_int() {
        out.push((i, i as f64));
    } else if let Ok(f) = value.as_float() {
        *whole = false;
        out.push((0, f));
    } else if let Ok(b) = value.as_bool() {
        out.push((i64::from(b), f64::from(u8::from(b))));
    } else {
        fail!("expected numbers, found {}", describe(value));
    }
    Ok(())
}
