//! Functions without a namespace: the session, help, assertions, tables.

use std::time::Instant;

use rhai::{Engine, EvalAltResult, Scope};

use super::table::Digits;
use super::{Model, device_name};
use crate::script::context::script_error;
use crate::script::prelude::*;
use crate::script::show::show;
use crate::script::values::{basic_type_name, describe};
use crate::script::{Context, help};

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.hook(register_whos);
    table.operator("", "whos()", WHOS);
    table.global(entries! {
        /// The value of `name=value` on the command line, or `default`.
        ///
        /// The value takes the type of the default: a number stays a number, anything becomes a string where the default is one, and
        /// `size=64x96` is `[64, 96]` where the default is an array of integers.
        /// Without a default the argument must be given.
        /// ```
        /// let steps = arg("steps", 400);
        /// assert_eq(steps, 400);
        /// ```
        fn arg(ctx, name: String, default: Option<Dynamic> = None) -> Dynamic {
            super::argument::argument(ctx, &name, default)
        }

        /// Start the session's random state anew from `n`.
        /// ```
        /// seed(7);
        /// let a = tensor::randn([3]);
        /// seed(7);
        /// assert_eq(a, tensor::randn([3]));
        /// ```
        fn seed(ctx, n: u64) {
            ctx.session().set_seed(n);
            Ok(())
        }

        /// The device of new tensors and models, `"cpu"` or `"cuda:0"`.
        /// ```
        /// assert_eq(device(), tensor::zeros([1]).device);
        /// ```
        fn device(ctx) -> String {
            Ok(super::tensor::device_name(ctx.session().device()))
        }

        /// The folder that figures, checkpoints and tables go to.
        /// ```
        /// assert(run_folder().len > 0);
        /// ```
        fn run_folder(ctx) -> String {
            Ok(ctx.session().folder()?.display().to_string())
        }

        /// End the script, in the REPL the session, with this exit status (0 is success); a training at work keeps a checkpoint.
        /// ```
        /// if arg("steps", 400) < 1 { exit(3); }
        /// assert(arg("steps", 400) >= 1);
        /// ```
        fn exit(ctx, status: i64 = 0) {
            let Ok(status) = u8::try_from(status) else {
                fail!("exit: the status is {status}, expected an integer from 0 to 255");
            };
            ctx.session().ending().ask(status);
            Err(Error::Interrupted)
        }

        /// Show the help on a function, a namespace, a type or a part of the language; without a name, the overview.
        /// ```
        /// help("softmax");
        /// assert(true);
        /// ```
        fn help(ctx, name: String = String::new()) {
            ctx.session().print(&help::about(ctx, &name));
            Ok(())
        }

        /// List the functions whose name or text contains `text`.
        /// ```
        /// apropos("random");
        /// assert(true);
        /// ```
        fn apropos(ctx, text: String) {
            ctx.session().print(&help::apropos(ctx.table(), &text));
            Ok(())
        }

        /// The seconds that calling the closure takes.
        /// ```
        /// let seconds = time(|| tensor::randn([100, 100]).matmul(tensor::randn([100, 100])));
        /// assert(seconds >= 0.0);
        /// ```
        fn time(ctx, work: FnPtr) -> f64 {
            let start = Instant::now();
            let _ = ctx.call(&work, ())?;
            Ok(start.elapsed().as_secs_f64())
        }

        /// Stop with an error unless the condition is true.
        /// ```
        /// assert(1 + 1 == 2);
        /// assert([1, 2].len == 2, "two items");
        /// ```
        fn assert(ctx, condition: bool, message: String = String::new()) {
            if message.is_empty() {
                ensure!(condition, "assert: the condition is false");
            }
            ensure!(condition, "assert: {message}");
            Ok(())
        }

        /// Stop with an error unless the two values are equal (numbers by value, arrays and tensors element by element).
        /// ```
        /// assert_eq([1, 2], [1.0, 2.0]);
        /// assert_eq(tensor::zeros([2]), tensor::from([0.0, 0.0]));
        /// ```
        fn assert_eq(ctx, a: Dynamic, b: Dynamic) {
            ensure!(same(ctx, &a, &b)?, "assert_eq: {} is not equal to {}", short(ctx, &a, 200), short(ctx, &b, 200));
            Ok(())
        }

        /// Stop with an error unless all numbers of `a` and `b` differ by at most `tolerance` (relative above 1).
        /// ```
        /// assert_close(0.1 + 0.2, 0.3);
        /// assert_close(tensor::from([1.0, 2.0]), [1.0, 2.001], #{ tolerance: 1e-2 });
        /// ```
        fn assert_close(ctx, a: Dynamic, b: Dynamic, tolerance: f64 = 1e-5) {
            let (x, y) = (numbers(&a)?, numbers(&b)?);
            ensure!(x.len() == y.len(), "assert_close: {} against {}: different sizes", short(ctx, &a, 200), short(ctx, &b, 200));
            for (i, (p, q)) in x.iter().zip(&y).enumerate() {
                let difference = (p - q).abs();
                let fits = p == q || difference <= tolerance * p.abs().max(q.abs()).max(1.0);
                let at = if x.len() > 1 { format!(" (element {i})") } else { String::new() };
                ensure!(fits, "assert_close: {p} and {q}{at} differ by {difference:.3e}, more than {tolerance:e}");
            }
            Ok(())
        }
    });
}

/// A value in one line of at most so many characters.
fn short(ctx: &Context, value: &Dynamic, most: usize) -> String {
    let text = show(ctx.table(), value, true).replace('\n', " ");
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Equality by value, through arrays, maps and tensors.
fn same(ctx: &Call, a: &Dynamic, b: &Dynamic) -> Result<bool> {
    if let (Some(x), Some(y)) = (f64::convert(a), f64::convert(b)) {
        return Ok(x == y);
    }
    if let (Some(x), Some(y)) = (a.read_lock::<Array>(), b.read_lock::<Array>()) {
        return Ok(x.len() == y.len() && all_same(ctx, x.iter().zip(y.iter()))?);
    }
    if let (Some(x), Some(y)) = (a.read_lock::<Map>(), b.read_lock::<Map>()) {
        return Ok(x.keys().eq(y.keys()) && all_same(ctx, x.values().zip(y.values()))?);
    }
    if let (Some(x), Some(y)) = (Tensor::convert(a), Tensor::convert(b)) {
        return super::tensor::equal(&x, &y);
    }
    let result = ctx.native().call_native_fn::<bool>("==", (a.clone(), b.clone()));
    Ok(result.unwrap_or(false))
}

fn all_same<'a>(ctx: &Call, mut pairs: impl Iterator<Item = (&'a Dynamic, &'a Dynamic)>) -> Result<bool> {
    pairs.try_fold(true, |all, (a, b)| Ok(all && same(ctx, a, b)?))
}

/// All numbers in a number, an array of any depth or a tensor.
fn numbers(value: &Dynamic) -> Result<Vec<f64>> {
    if let Some(x) = f64::convert(value) {
        return Ok(vec![x]);
    }
    if let Some(t) = Tensor::convert(value) {
        return super::tensor::floats(&t);
    }
    if let Some(array) = value.read_lock::<Array>() {
        let parts: Result<Vec<Vec<f64>>> = array.iter().map(numbers).collect();
        return Ok(parts?.concat());
    }
    fail!(
        "assert_close: compares numbers, arrays of numbers and tensors, found {}",
        describe(value)
    )
}

const WHOS: &str = " List the variables with type, shape, element type, device and bytes.
 ```
 let t = tensor::zeros([2, 3]);
 whos();
 assert(true);
 ```
";

/// `whos()` needs the scope, which functions do not see: it is a syntax of its own.
fn register_whos(engine: &mut Engine) {
    let registered = engine.register_custom_syntax(["whos", "()"], false, |context, _| {
        let Some(ctx) = context.tag().clone().try_cast::<Context>() else {
            return Ok(Dynamic::UNIT);
        };
        let text = whos(&ctx, context.scope()).map_err(|e| -> Box<EvalAltResult> { script_error(e) })?;
        ctx.session().print(&text);
        Ok(Dynamic::UNIT)
    });
    debug_assert!(registered.is_ok());
}

/// The variables of a scope as a table.
pub fn whos(ctx: &Context, scope: &Scope) -> Result<String> {
    let mut rows: Vec<Dynamic> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (name, _, value) in scope.iter_raw() {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let value = value.clone().flatten();
        let (kind, text, dtype, device, bytes) = if let Some(t) = Tensor::convert(&value) {
            let bytes = t.elem_count() * t.dtype().size_in_bytes();
            let shape = format!("{:?}", t.dims());
            (
                "Tensor",
                shape,
                t.dtype().as_str(),
                device_name(t.device()),
                Some(bytes),
            )
        } else if let Some(model) = Model::convert(&value) {
            let (model, brief) = (model.0.borrow(), short(ctx, &value, 40));
            ("Model", brief, "f32", device_name(model.device()), Some(model.bytes()))
        } else {
            let kind = basic_type_name(ctx.table().type_name(value.type_name()));
            (kind, short(ctx, &value, 40), "", String::new(), None)
        };
        let bytes = bytes.map_or(Dynamic::from(String::new()), |n| Dynamic::from_int(n as i64));
        let row: Array = vec![
            name.into(),
            kind.into(),
            text.into(),
            dtype.into(),
            device.into(),
            bytes,
        ];
        rows.push(Dynamic::from_array(row));
    }
    if rows.is_empty() {
        return Ok("no variables".into());
    }
    // in the order in which they were declared
    rows.reverse();
    let titles = ["name", "type", "shape or value", "dtype", "device", "bytes"];
    super::table::aligned(
        ctx,
        "whos",
        &rows,
        titles.map(str::to_string).to_vec(),
        &Digits::default(),
    )
}
