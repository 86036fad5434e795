//! The border between scripts and Rust: conversions, options, messages, panics, closures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use rhai::{Dynamic, FnPtr, Scope};
use seglab::options;
use seglab::script::prelude::*;
use seglab::script::{Interpreter, Report};
use seglab::session::Session;

options! {
    /// What a nested map holds.
    pub struct Rates {
        /// How fast.
        lr: f64 = 0.1,
        /// What stays.
        momentum: f64 = 0.9,
        /// What goes.
        decay: f64 = 0.0,
    }
}

/// A type that only this function takes.
struct Rate(f64);

impl Arg for Rate {
    fn kind() -> String {
        "float or string".into()
    }
    fn wanted() -> String {
        "a number or its name".into()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        let named = || (String::convert(value)? == "fast").then_some(1.0);
        f64::convert(value).or_else(named).map(Rate)
    }
    fn literal(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// A table of its own, so that these tests do not depend on the real functions.
fn interpreter() -> Interpreter {
    let mut table = seglab::script::api::table();
    table.namespace("demo", "Functions for tests.", entries! {
        /// Divide.
        fn scale(ctx, x: f64, by: f64 = 2.0, mode: String = "plain".into(), size: Option<Pair> = None) -> f64 {
            ensure!(by != 0.0, "by must not be 0");
            let _ = (mode, size);
            Ok(x / by)
        }
        /// Count.
        fn count(ctx, n: usize) -> usize { Ok(n) }
        /// Needs an option.
        fn build(ctx, classes: usize, depth: usize = 1) -> usize { Ok(classes * depth) }
        /// Call a closure with two arguments.
        fn apply(ctx, f: FnPtr) -> Dynamic { ctx.call(&f, (1_i64, 2_i64)) }
        /// Panic.
        fn broken(ctx) { #[allow(clippy::out_of_bounds_indexing)] { let v: Vec<i64> = Vec::new(); let i = v.len(); let _ = v[i]; } Ok(()) }
        /// Whether gradients are tracked.
        fn tracking(ctx) -> bool { Ok(ctx.tracking()) }
        /// Take nested options.
        fn nested(ctx, optimizer: Nested<Rates> = Nested::default()) -> f64 {
            Ok(optimizer.read("demo::nested: optimizer")?.lr)
        }
        /// Take the options of a struct as its own, but for one, with another type for one and another default.
        fn own(ctx, x: f64, ..rates without(decay): Nested<Rates> = Rates { lr: 0.5, ..Rates::default() }, lr: Rate = Rate(0.25), y: f64 = 3.0) -> Vec<f64> {
            let rates = rates.over(ctx.function(), Rates { decay: 7.0, ..Rates::default() })?;
            Ok(vec![x, rates.decay, rates.momentum, lr.0, y])
        }
    });
    Interpreter::with_table(Session::quiet("unused"), table)
}

fn value(script: &str) -> String {
    let i = interpreter();
    match i.run("test", script, &mut Scope::new()) {
        Ok(v) => i.display(&v),
        Err(e) => panic!("{}", e.render(false)),
    }
}

fn error(script: &str) -> Report {
    match interpreter().run("test.rhai", script, &mut Scope::new()) {
        Ok(v) => panic!("gave {v}"),
        Err(e) => *e,
    }
}

#[test]
fn options_go_by_position_and_by_name_and_numbers_convert() {
    assert_eq!(value("demo::scale(1)"), "0.5");
    assert_eq!(value("demo::scale(1, 4)"), "0.25");
    assert_eq!(value("demo::scale(1, #{ by: 4, size: 3 })"), "0.25");
    assert_eq!(value("demo::scale(1, 4, #{ size: [3, 4] })"), "0.25");
    assert_eq!(value("demo::count(1e2)"), "100");
    assert_eq!(value("demo::build(#{ depth: 2, classes: 3 })"), "6");
    assert_eq!(value("demo::nested(#{ optimizer: #{ lr: 1 } })"), "1.0");
}

#[test]
fn messages_name_function_argument_found_and_expected() {
    let text = |script: &str| error(script).message;
    assert_eq!(
        text("demo::scale(1, #{ bi: 4 })"),
        "demo::scale: unknown option `bi`; valid options: x, by, mode, size; did you mean `by`?"
    );
    assert_eq!(
        text("demo::scale(\"a\")"),
        "demo::scale: `x` must be a number, found the string \"a\""
    );
    assert_eq!(
        text("demo::scale(tensor::zeros([2, 3]))"),
        "demo::scale: `x` must be a number, found Tensor f32 [2, 3]"
    );
    assert_eq!(
        text("demo::count(1.5)"),
        "demo::count: `n` must be an integer >= 0, found the number 1.5"
    );
    assert_eq!(
        text("demo::count(-1)"),
        "demo::count: `n` must be an integer >= 0, found the number -1"
    );
    assert_eq!(
        text("demo::count()"),
        "demo::count: the argument `n` is missing; demo::count(n: int) -> int"
    );
    assert_eq!(
        text("demo::count(1, 2)"),
        "demo::count: takes at most 1 argument, 2 given; demo::count(n: int) -> int"
    );
    assert_eq!(text("demo::scale(1, 0)"), "demo::scale: by must not be 0");
    assert_eq!(
        text("demo::nested(#{ optimizer: #{ lrr: 1 } })"),
        "demo::nested: optimizer: unknown option `lrr`; valid options: lr, momentum, decay; did you mean `lr`?"
    );
    assert_eq!(
        text("tensor::zeros([2, \"a\"])"),
        "tensor::zeros: `shape` must be an array of integers >= 0, but element 1 must be an integer >= 0, found the string \"a\""
    );
}

#[test]
fn unknown_names_are_answered_with_the_nearest() {
    assert_eq!(
        error("tensor::zeroes([2])").hint.unwrap(),
        "did you mean `tensor::zeros`?"
    );
    assert_eq!(error("tensr::zeros([2])").hint.unwrap(), "did you mean `tensor::`?");
    assert_eq!(error("let width = 3; widht + 1").hint.unwrap(), "did you mean `width`?");
    let e = error("tensor::zeros([2]).shap");
    assert_eq!(
        (e.message.as_str(), e.hint.as_deref()),
        (
            "a value of type Tensor has no property `shap`",
            Some("did you mean `.shape`?")
        )
    );
    assert_eq!(
        error("tensor::zeros([2]) / \"a\"").message,
        "`/` does not combine a Tensor and a string"
    );
}

#[test]
fn a_panic_becomes_an_error_that_names_the_function() {
    let text = error("demo::broken()").message;
    assert!(
        text.starts_with("demo::broken: internal error (index out of bounds"),
        "{text}"
    );
}

#[test]
fn closures_report_their_own_error_and_their_parameters() {
    assert_eq!(value("demo::apply(|a, b| a + b)"), "3");
    let e = error("demo::apply(|a| a)");
    assert!(
        e.message.contains("with 2 arguments") && e.message.contains("|a, b|"),
        "{}",
        e.message
    );
    let e = error("demo::apply(|a, b|\n  a + missing)");
    assert_eq!(e.place.unwrap().line, 2);
    assert_eq!(e.message, "there is no variable `missing`");
}

#[test]
fn reports_show_line_caret_and_chain() {
    let e = error("fn inner(x) {\n    demo::count(x)\n}\nfn outer(x) { inner(x) }\nouter(\"a\")");
    let text = e.render(false);
    let expected = "error: demo::count: `n` must be an integer >= 0, found the string \"a\"
 --> test.rhai:2:11
  |
2 |     demo::count(x)
  |           ^
  in `inner`, called at test.rhai:4:15: fn outer(x) { inner(x) }
  in `outer`, called at test.rhai:5:1: outer(\"a\")";
    assert_eq!(text, expected);
}

#[test]
fn syntax_errors_have_a_place_too() {
    let e = error("let a = [1, 2\nlet b = 3;");
    assert_eq!(e.place.unwrap().line, 2);
}

#[test]
fn a_function_takes_the_options_of_a_struct_as_its_own() {
    assert_eq!(value("demo::own(1)"), "[1.0, 7.0, 0.9, 0.25, 3.0]");
    assert_eq!(
        value("demo::own(1, #{ momentum: 0, lr: \"fast\", y: 2 })"),
        "[1.0, 7.0, 0.0, 1.0, 2.0]"
    );
    // by position: what stands in the place of an option has the option's
    assert_eq!(value("demo::own(1, 0.5, 0.25, 4)"), "[1.0, 7.0, 0.25, 0.5, 4.0]");
    assert_eq!(
        value("demo::own(1, #{ momentum: (), lr: () })"),
        "[1.0, 7.0, 0.9, 0.25, 3.0]"
    );
    let text = |script: &str| error(script).message;
    assert_eq!(
        text("demo::own(1, #{ decay: 1 })"),
        "demo::own: unknown option `decay`; valid options: x, lr, momentum, y"
    );
    assert_eq!(
        text("demo::own(1, #{ momentum: \"x\" })"),
        "demo::own: `momentum` must be a number, found the string \"x\""
    );
    assert_eq!(
        text("demo::own(1, #{ lr: true })"),
        "demo::own: `lr` must be a number or its name, found true"
    );
    let table = interpreter().context().table().clone();
    let own = table.find("demo::own")[0].clone();
    assert_eq!(
        own.signature(),
        "demo::own(x: float, lr: float or string = 0.25, momentum: float = 0.9, y: float = 3.0) -> [float]"
    );
    assert_eq!(own.params[1].text(), "How fast.");
    let owners: Vec<&str> = own.params.iter().map(|p| p.owner).collect();
    assert_eq!(owners, ["", "", "Rates", ""]);
}
