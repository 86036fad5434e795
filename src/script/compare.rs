//! Comparisons of floats, as IEEE 754 and every other language have them. Rhai's own take numbers for equal that differ by a rounding,
//! call 1e-20 equal to 0, and find infinity neither equal to nor above anything; and its shortcut for operators of its own types, which
//! arithmetic is to have, passes by whatever is registered for them. So the parser reads a comparison as an operator of ours, which
//! compares numbers itself and leaves all other values to Rhai's.

use std::cmp::Ordering;

use rhai::{Dynamic, Engine, NativeCallContext, Token};

struct Comparison {
    token: Token,
    /// Its name in Rhai.
    sign: &'static str,
    /// The name of ours, which no script can write.
    ours: &'static str,
    /// How strongly it binds: as Rhai's.
    precedence: u8,
    holds: fn(Option<Ordering>) -> bool,
}

#[rustfmt::skip]
const COMPARISONS: [Comparison; 6] = [
    Comparison { token: Token::EqualsTo, sign: "==", ours: "== ", precedence: 90, holds: |order| order == Some(Ordering::Equal) },
    Comparison { token: Token::NotEqualsTo, sign: "!=", ours: "!= ", precedence: 90, holds: |order| order != Some(Ordering::Equal) },
    Comparison { token: Token::LessThan, sign: "<", ours: "< ", precedence: 130, holds: |order| order == Some(Ordering::Less) },
    Comparison { token: Token::GreaterThan, sign: ">", ours: "> ", precedence: 130, holds: |order| order == Some(Ordering::Greater) },
    Comparison { token: Token::LessThanEqualsTo, sign: "<=", ours: "<= ", precedence: 130, holds: |order| order.is_some_and(Ordering::is_le) },
    Comparison { token: Token::GreaterThanEqualsTo, sign: ">=", ours: ">= ", precedence: 130, holds: |order| order.is_some_and(Ordering::is_ge) },
];

/// Let the parser of `engine` know our comparisons; [`token`] puts them in the place of Rhai's.
pub fn parse(engine: &mut Engine) {
    for comparison in &COMPARISONS {
        let known = engine.register_custom_operator(comparison.ours, comparison.precedence);
        debug_assert!(known.is_ok());
    }
}

/// The token of our comparison for that of Rhai's.
pub fn token(token: Token) -> Token {
    match COMPARISONS.iter().find(|comparison| comparison.token == token) {
        Some(comparison) => Token::Custom(Box::new(comparison.ours.into())),
        None => token,
    }
}

/// A message with Rhai's names of the comparisons for ours.
pub fn as_written(message: &str) -> String {
    let written = |text: String, c: &Comparison| text.replace(&format!("'{}'", c.ours), &format!("'{}'", c.sign));
    COMPARISONS.iter().fold(message.to_string(), written)
}

/// Register the comparisons: ours, and Rhai's of floats for those who call them by name, as `contains` of an array does.
pub fn register(engine: &mut Engine) {
    for &Comparison { sign, ours, holds, .. } in &COMPARISONS {
        engine.register_fn(
            ours,
            move |context: NativeCallContext, mut a: Dynamic, mut b: Dynamic| match order(&a, &b) {
                Some(order) => Ok(holds(order).into()),
                None => context.call_native_fn_raw(sign, false, &mut [&mut a, &mut b]),
            },
        );
        engine.register_fn(sign, move |a: f64, b: f64| holds(a.partial_cmp(&b)));
        engine.register_fn(sign, move |a: i64, b: f64| holds(mixed_order(a, b)));
        engine.register_fn(sign, move |a: f64, b: i64| {
            holds(mixed_order(b, a).map(Ordering::reverse))
        });
    }
}

/// The order of two numbers, which with NaN is none; nothing where one is no number.
fn order(a: &Dynamic, b: &Dynamic) -> Option<Option<Ordering>> {
    Some(match (a.as_int(), b.as_int()) {
        (Ok(a), Ok(b)) => Some(a.cmp(&b)),
        (Ok(a), _) => mixed_order(a, b.as_float().ok()?),
        (_, Ok(b)) => mixed_order(b, a.as_float().ok()?).map(Ordering::reverse),
        _ => a.as_float().ok()?.partial_cmp(&b.as_float().ok()?),
    })
}

/// The order of an integer and a float, exact where the integer has more digits than a float holds; none with NaN.
fn mixed_order(a: i64, b: f64) -> Option<Ordering> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_ours_while_arithmetic_has_the_shortcut() {
        let mut engine = Engine::new();
        parse(&mut engine);
        register(&mut engine);
        #[expect(deprecated, reason = "as in the engine")]
        engine.on_parse_token(|read, _, _| token(read));
        assert!(engine.fast_operators());
        let values = [
            "0.1 + 0.2",
            "0.3",
            "3",
            "3.0",
            "0.0 / 0.0",
            "1.0 / 0.0",
            "\"a\"",
            "\"b\"",
            "'a'",
            "true",
            "()",
            "[1]",
            "0..2",
        ];
        let plain = Engine::new();
        for a in values {
            for b in values {
                for Comparison { sign, .. } in COMPARISONS {
                    let text = format!("{a} {sign} {b}");
                    let found = engine.eval::<bool>(&text).map_err(|e| e.to_string());
                    let both = |what: &dyn Fn(&str) -> bool| what(a) && what(b);
                    let float = |x: &str| x.contains(|c: char| c.is_ascii_digit()) && !x.contains("..") && x != "[1]";
                    let expected = if both(&float) {
                        let number = |x: &str| plain.eval::<f64>(&format!("{x} + 0.0")).unwrap();
                        let (x, y) = (number(a), number(b));
                        Ok(match sign {
                            "==" => x == y,
                            "!=" => x != y,
                            "<" => x < y,
                            ">" => x > y,
                            "<=" => x <= y,
                            _ => x >= y,
                        })
                    } else {
                        plain.eval::<bool>(&text).map_err(|e| e.to_string())
                    };
                    assert_eq!(found, expected, "{text}");
                }
            }
        }
        let error = engine.compile("let x = < 3;").unwrap_err();
        assert!(as_written(&error.to_string()).contains("Unexpected '<'"), "{error}");
    }
}
