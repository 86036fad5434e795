//! Comparisons of floats, as IEEE 754 and every other language have them. Rhai's own take numbers for equal that differ by a rounding,
//! call 1e-20 equal to 0, and find infinity neither equal to nor above anything.

use std::cmp::Ordering;

use rhai::Engine;

/// Register the comparisons. Rhai's shortcut for operators of its own types, which would pass them by, is switched off.
pub fn register(engine: &mut Engine) {
    engine.set_fast_operators(false);
    comparison(engine, "==", |order| order == Some(Ordering::Equal));
    comparison(engine, "!=", |order| order != Some(Ordering::Equal));
    comparison(engine, "<", |order| order == Some(Ordering::Less));
    comparison(engine, ">", |order| order == Some(Ordering::Greater));
    comparison(engine, "<=", |order| order.is_some_and(Ordering::is_le));
    comparison(engine, ">=", |order| order.is_some_and(Ordering::is_ge));
}

fn comparison(engine: &mut Engine, name: &'static str, holds: fn(Option<Ordering>) -> bool) {
    engine.register_fn(name, move |a: f64, b: f64| holds(a.partial_cmp(&b)));
    engine.register_fn(name, move |a: i64, b: f64| holds(order(a, b)));
    engine.register_fn(name, move |a: f64, b: i64| holds(order(b, a).map(Ordering::reverse)));
}

/// The order of an integer and a float, exact where the integer has more digits than a float holds; none with NaN.
fn order(a: i64, b: f64) -> Option<Ordering> {
    const END: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if b.is_nan() {
        None
    } else if b >= END {
        Some(Ordering::Less)
    } else if b < -END {
        Some(Ordering::Greater)
    } else {
        let fraction = b - b.trunc();
        Some(a.cmp(&(b.trunc() as i64)).then(0.0.partial_cmp(&fraction)?))
    }
}
