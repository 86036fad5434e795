//! Numbers, closures, and functions without a namespace that Rhai brings.

use std::time::{Duration, Instant};

use rhai::NativeCallContext;

use super::answer;
use crate::described;
use crate::script::prelude::*;

/// How long `sleep` does not look for Ctrl-C.
const NAP: Duration = Duration::from_millis(20);

/// Describe them, and replace what Rhai has otherwise.
pub fn declare(table: &mut Table) {
    table.hook(|engine| {
        type Native<'a> = NativeCallContext<'a>;
        engine.register_fn("sleep", |n: Native, seconds: i64| {
            answer(&n, |call| sleep(call, seconds as f64))
        });
        engine.register_fn("sleep", |n: Native, seconds: f64| {
            answer(&n, |call| sleep(call, seconds))
        });
    });
    table.global(described! {
        /// Show a value.
        /// ```
        /// let loss = 0.5;
        /// print(`loss ${loss}`);
        /// assert_eq(`loss ${loss}`, "loss 0.5");
        /// ```
        fn print(value: Dynamic);
        /// Show a value as it is written in a script, with the place of the call.
        /// ```
        /// debug("a");
        /// assert_eq(type_of("a"), "string");
        /// ```
        fn debug(value: Dynamic);
        /// The name of a value's type.
        /// ```
        /// assert_eq(type_of(1), "i64");
        /// ```
        fn type_of(value: Dynamic) -> String;
        /// The integer that a text holds; also `parse_int("ff", 16)`.
        /// ```
        /// assert_eq(parse_int("12"), 12);
        /// ```
        fn parse_int(text: String, base: i64 = 10) -> i64;
        /// The number that a text holds.
        /// ```
        /// assert_eq(parse_float("0.5"), 0.5);
        /// ```
        fn parse_float(text: String) -> f64;
        /// The integers from `from` up to but without `to`, for a loop; `0..10` is `range(0, 10)`.
        /// ```
        /// let sum = 0;
        /// for i in range(0, 10, 5) { sum += i; }
        /// assert_eq(sum, 5);
        /// ```
        fn range(from: i64, to: i64, step: i64 = 1) -> Dynamic;
        /// This moment; `.elapsed` is the seconds since.
        /// ```
        /// let start = timestamp();
        /// assert(start.elapsed >= 0.0);
        /// ```
        fn timestamp() -> Dynamic;
        /// Wait so many seconds; Ctrl-C ends it.
        /// ```
        /// let seconds = time(|| sleep(0.01));
        /// assert(seconds >= 0.01);
        /// ```
        fn sleep(seconds: f64);
    });
    table.methods::<i64>(described! {
        /// The absolute value.
        /// ```
        /// assert_eq((-3).abs(), 3);
        /// ```
        fn abs(number: i64) -> i64;
        /// The same number as a float.
        /// ```
        /// assert_eq(5.to_float() / 8, 0.625);
        /// ```
        fn to_float(number: i64) -> f64;
        /// The number as text.
        /// ```
        /// assert_eq(3.to_string(), "3");
        /// ```
        fn to_string(number: i64) -> String;
    });
    table.methods::<f64>(described! {
        /// The absolute value.
        /// ```
        /// assert_eq((-0.5).abs(), 0.5);
        /// ```
        fn abs(number: f64) -> f64;
        /// The integer without what is behind the point.
        /// ```
        /// assert_eq(2.9.to_int(), 2);
        /// ```
        fn to_int(number: f64) -> i64;
        /// The number as text.
        /// ```
        /// assert_eq(0.5.to_string(), "0.5");
        /// ```
        fn to_string(number: f64) -> String;
        /// Whether this is not a number, as 0.0 / 0.0.
        /// ```
        /// assert((0.0 / 0.0).is_nan());
        /// ```
        fn is_nan(number: f64) -> bool;
    });
    table.methods::<FnPtr>(described! {
        /// Call the closure.
        /// ```
        /// let double = |x| 2 * x;
        /// assert_eq(double.call(4), 8);
        /// ```
        fn call(closure: FnPtr, arguments: Dynamic) -> Dynamic;
        /// The closure with its first argument given.
        /// ```
        /// let add = |a, b| a + b;
        /// assert_eq(add.curry(1).call(2), 3);
        /// ```
        fn curry(closure: FnPtr, argument: Dynamic) -> Dynamic;
    });
}

fn sleep(call: &Call, seconds: f64) -> Result<Dynamic> {
    let Ok(span) = Duration::try_from_secs_f64(seconds) else {
        fail!("sleep: the seconds must be a number of 0 or more, found {seconds}")
    };
    let start = Instant::now();
    while let Some(left) = span.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        call.session().check_cancel()?;
        std::thread::sleep(left.min(NAP));
    }
    Ok(Dynamic::UNIT)
}
