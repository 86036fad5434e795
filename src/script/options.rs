//! What scripts give as plain values: as options read them, and as JSON.

use rhai::{Dynamic, Map};
use serde_json::Value;

use super::values::{ScriptType, basic_type_name, describe, items};
use crate::error::Result;
use crate::options::{Arg, Given, finite};

/// Take the value called `name` out of a map; `()` counts as not given. `path` stands in front of messages.
pub fn take<T: Arg>(map: &mut Map, path: &str, name: &str) -> Result<Option<T>> {
    match map.remove(name).map(Dynamic::flatten) {
        Some(value) if !value.is_unit() => match T::read_option(&value) {
            Ok(value) => Ok(Some(value)),
            Err(problem) => Err(problem.of(name).error(path)),
        },
        _ => Ok(None),
    }
}

/// Why an argument of this name may be `()`: what a batch holds where it has no such thing.
pub(super) fn absent(name: &str) -> &'static str {
    match name {
        "labels" => ", which a batch holds where its images have no labels",
        "images" => " (`distorted` of a batch is () where the option `distort` was not given)",
        _ => "",
    }
}

/// A value that is neither array nor map nor what only scripts have.
pub fn scalar(value: &Dynamic) -> Option<Given> {
    if value.is_shared() {
        scalar(&value.clone().flatten())
    } else if value.is_unit() {
        Some(Given::Nothing)
    } else if let Ok(b) = value.as_bool() {
        Some(Given::Bool(b))
    } else if let Ok(i) = value.as_int() {
        Some(Given::Int(i))
    } else if let Ok(f) = value.as_float() {
        Some(Given::Float(f))
    } else {
        value.is_string().then(|| Given::Text(value.to_string()))
    }
}

/// A value as plain data.
pub fn given(value: &Dynamic) -> Given {
    if value.is_shared() {
        return given(&value.clone().flatten());
    }
    if let Some(tensor) = value.read_lock::<candle_core::Tensor>() {
        Given::Other(tensor.brief())
    } else if let Some(scalar) = scalar(value) {
        scalar
    } else if value.is_fnptr() {
        Given::Function
    } else if let Some(map) = value.read_lock::<Map>() {
        Given::Map(
            map.iter()
                .map(|(name, value)| (name.to_string(), given(value)))
                .collect(),
        )
    } else if let Some(items) = items(value) {
        Given::List(items.iter().map(given).collect())
    } else {
        // `Table::plain` puts the script's name in place of Rust's
        match value.type_name() {
            rust if rust.contains("::") => Given::Other(format!("a {rust}")),
            other => Given::Other(format!("a {}", basic_type_name(other))),
        }
    }
}

/// A plain script value as JSON; else what it must be and was: JSON has no tensors or closures, and no NaN, which it would turn into
/// "not given".
pub fn json_from(value: &Dynamic) -> std::result::Result<Value, String> {
    let plain = given(value);
    finite(&plain)?;
    plain.json().ok_or_else(|| {
        let found = describe(value);
        format!("must be a plain value (number, string, array, map), found {found}")
    })
}

/// JSON as a script value.
pub fn dynamic_from(json: &Value) -> Dynamic {
    match json {
        Value::Null => Dynamic::UNIT,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => match n.as_i64() {
            Some(i) => i.into(),
            None => n.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(s) => s.clone().into(),
        Value::Array(items) => Dynamic::from_array(items.iter().map(dynamic_from).collect()),
        Value::Object(fields) => Dynamic::from_map(
            fields
                .iter()
                .map(|(k, v)| (k.as_str().into(), dynamic_from(v)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(script: &str) -> Dynamic {
        rhai::Engine::new().eval(script).unwrap()
    }

    #[test]
    fn values_are_described_as_a_script_writes_them() {
        for (script, expected) in [
            ("1.0", "the number 1.0"),
            ("0.1", "the number 0.1"),
            ("3", "the number 3"),
            ("\"x\"", "the string \"x\""),
            ("[1.5]", "an array holding the number 1.5"),
            ("[[], 2]", "an array of 2 (first: an empty array)"),
            ("#{ b: 1, a: 2 }", "a map of a, b"),
            ("|x| x", "a closure"),
            ("()", "()"),
            ("'c'", "a char"),
        ] {
            assert_eq!(describe(&evaluated(script)), expected, "{script}");
        }
    }

    #[test]
    fn what_is_taken_is_gone_and_json_holds_no_nan() {
        let mut map = evaluated("#{ a: 1, b: (), c: 1.0 / 0.0 }").cast::<Map>();
        assert_eq!(take(&mut map, "f", "a").unwrap(), Some(1.0));
        assert_eq!(take::<f64>(&mut map, "f", "b").unwrap(), None);
        let e = take::<f64>(&mut map, "f", "c").unwrap_err().to_string();
        assert_eq!(e, "f: `c` must be finite, found the number inf");
        assert!(map.is_empty());
        assert_eq!(
            json_from(&evaluated("[0.0 / 0.0]")).unwrap_err(),
            "must be finite, found the number NaN in an array"
        );
    }
}
