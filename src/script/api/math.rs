//! Mathematics of numbers, integers and floats alike, and of arrays of numbers.

use rhai::{Engine, Module};

use crate::script::api::statistics::{deviation, mean};
use crate::script::prelude::*;
use crate::script::values::describe;

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.hook(register);
    table.operator(
        "",
        "PI",
        " The circle's circumference over its diameter.\n ```\n assert_close(sin(PI / 2), 1);\n ```\n",
    );
    table.global(entries! {
        /// The square root.
        /// ```
        /// assert_eq(sqrt(4), 2);
        /// ```
        fn sqrt(ctx, x: f64) -> f64 { Ok(x.sqrt()) }
        /// The exponential.
        /// ```
        /// assert_close(exp(1), 2.718281828);
        /// ```
        fn exp(ctx, x: f64) -> f64 { Ok(x.exp()) }
        /// The natural logarithm, or the one to `base`.
        /// ```
        /// assert_close(log(exp(2)), 2);
        /// assert_close(log(8, 2), 3);
        /// ```
        fn log(ctx, x: f64, base: f64 = std::f64::consts::E) -> f64 { Ok(logarithm(x, base)) }
        /// The decimal logarithm.
        /// ```
        /// assert_close(log10(1000), 3);
        /// ```
        fn log10(ctx, x: f64) -> f64 { Ok(x.log10()) }
        /// The logarithm to the base 2.
        /// ```
        /// assert_close(log2(8), 3);
        /// ```
        fn log2(ctx, x: f64) -> f64 { Ok(x.log2()) }
        /// The number `x` to the power of `exponent`, as `x ** exponent` but always a float.
        /// ```
        /// assert_close(pow(2, 0.5), sqrt(2));
        /// ```
        fn pow(ctx, x: f64, exponent: f64) -> f64 { Ok(x.powf(exponent)) }
        /// The sine of an angle in radians.
        /// ```
        /// assert_eq(sin(0), 0);
        /// ```
        fn sin(ctx, x: f64) -> f64 { Ok(x.sin()) }
        /// The cosine of an angle in radians.
        /// ```
        /// assert_eq(cos(0), 1);
        /// ```
        fn cos(ctx, x: f64) -> f64 { Ok(x.cos()) }
        /// The tangent of an angle in radians.
        /// ```
        /// assert_eq(tan(0), 0);
        /// ```
        fn tan(ctx, x: f64) -> f64 { Ok(x.tan()) }
        /// The hyperbolic tangent.
        /// ```
        /// assert_eq(tanh(0), 0);
        /// ```
        fn tanh(ctx, x: f64) -> f64 { Ok(x.tanh()) }
        /// The largest integer not above `x`, as a float.
        /// ```
        /// assert_eq(floor(2.7), 2);
        /// ```
        fn floor(ctx, x: f64) -> f64 { Ok(x.floor()) }
        /// The smallest integer not below `x`, as a float.
        /// ```
        /// assert_eq(ceiling(2.1), 3);
        /// ```
        fn ceiling(ctx, x: f64) -> f64 { Ok(x.ceil()) }
        /// The nearest number with `digits` digits after the point.
        /// ```
        /// assert_eq(round(2.4), 2);
        /// assert_eq(round(0.12345, 3), 0.123);
        /// ```
        fn round(ctx, x: f64, digits: usize = 0) -> f64 {
            let scale = 10f64.powi(i32::try_from(digits.min(15)).unwrap_or(0));
            Ok((x * scale).round() / scale)
        }
    });
    table.methods::<Array>(entries! {
        /// The sum of the numbers (0 for none).
        /// ```
        /// assert_eq([1, 2, 3].sum(), 6);
        /// ```
        fn sum(ctx, numbers: Array) -> Dynamic {
            let values = floats(&numbers)?;
            match integers(&numbers).map(|v| v.iter().try_fold(0_i64, |a, b| a.checked_add(*b))) {
                Some(Some(sum)) => Ok(sum.into()),
                _ => Ok(values.iter().sum::<f64>().into()),
            }
        }
        /// The mean of the numbers.
        /// ```
        /// assert_eq([1, 2].mean(), 1.5);
        /// ```
        fn mean(ctx, numbers: Array) -> f64 { Ok(mean(&some(&numbers)?)) }
        /// The smallest of the numbers; NaN if there is one among them.
        /// ```
        /// assert_eq([3, 1.5].min(), 1.5);
        /// ```
        fn min(ctx, numbers: Array) -> Dynamic {
            extreme(&numbers, |a, b| a < b)
        }
        /// The largest of the numbers; NaN if there is one among them.
        /// ```
        /// assert_eq([3, 1.5].max(), 3);
        /// ```
        fn max(ctx, numbers: Array) -> Dynamic {
            extreme(&numbers, |a, b| a > b)
        }
        /// The standard deviation of the numbers, with n - 1 in the denominator as torch's.
        /// ```
        /// assert_eq([1, 3].std(), sqrt(2));
        /// ```
        fn std(ctx, numbers: Array) -> f64 { Ok(deviation(&some(&numbers)?)) }
    });
}

fn logarithm(x: f64, base: f64) -> f64 {
    if base == std::f64::consts::E {
        x.ln()
    } else {
        x.ln() / base.ln()
    }
}

/// Rhai's own `log` is the decimal one and its `round` takes no digits for integers.
fn register(engine: &mut Engine) {
    engine.register_fn("log", |x: f64| x.ln());
    engine.register_fn("log", logarithm);
    let mut constants = Module::new();
    constants.set_var("PI", std::f64::consts::PI);
    engine.register_global_module(constants.into());
}

fn floats(items: &Array) -> Result<Vec<f64>> {
    let number = |(i, item): (usize, &Dynamic)| match f64::convert(item) {
        Some(number) => Ok(number),
        None => fail!("element {i} is not a number but {}", describe(item)),
    };
    items.iter().enumerate().map(number).collect()
}

/// The numbers of an array that must not be empty.
pub(super) fn some(items: &Array) -> Result<Vec<f64>> {
    ensure!(!items.is_empty(), "the array is empty");
    floats(items)
}

fn integers(items: &Array) -> Option<Vec<i64>> {
    items.iter().map(|x| x.as_int().ok()).collect()
}

fn extreme(items: &Array, better: fn(f64, f64) -> bool) -> Result<Dynamic> {
    let values = some(items)?;
    // the first NaN, if there is one
    let best = values.iter().position(|x| x.is_nan());
    let best = best
        .unwrap_or_else(|| (1..values.len()).fold(0, |best, i| if better(values[i], values[best]) { i } else { best }));
    Ok(items[best].clone())
}
