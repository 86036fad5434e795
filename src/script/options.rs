//! Maps of options, `#{ lr: 0.1, momentum: 0.9 }`, into Rust structs; unknown names are refused.

use rhai::{Dynamic, Map};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::translate;
use super::values::{self, Arg, describe, finite};
use crate::error::{Error, Result};
use crate::{fail, options};

/// A map of options as the script wrote it.
///
/// Either take the options one by one and end with [`Options::finish`], or fill a whole struct with [`Options::fill`].
/// `path` is the text in front of messages: `train::finetune: optimizer`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    map: Map,
    asked: Vec<&'static str>,
}

impl Options {
    /// The options of this map.
    pub fn new(map: Map) -> Self {
        Options { map, asked: Vec::new() }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Whether this option was given (and not taken yet).
    pub fn contains(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// Take one option out; `()` counts as not given.
    pub fn take<T: Arg>(&mut self, path: &str, name: &'static str) -> Result<Option<T>> {
        self.asked.push(name);
        match self.map.remove(name).map(Dynamic::flatten) {
            Some(value) if value.is_unit() => Ok(None),
            Some(value) => match values::read::<T>(value, true) {
                Ok(value) => Ok(Some(value)),
                Err(problem) => fail!("{path}: `{name}` {problem}"),
            },
            None => Ok(None),
        }
    }

    /// Take one option out, or use this default.
    pub fn take_or<T: Arg>(&mut self, path: &str, name: &'static str, default: T) -> Result<T> {
        Ok(self.take(path, name)?.unwrap_or(default))
    }

    /// Refuse whatever was not taken.
    pub fn finish(self, path: &str) -> Result<()> {
        match self.map.keys().next() {
            Some(name) => Err(unknown(path, name, self.asked.iter().copied())),
            None => Ok(()),
        }
    }

    /// `base` with the given options put over its fields, nested maps over nested structs.
    ///
    /// The fields are those that `base` serialises to (so no `skip_serializing_if`). Integers are accepted for floats and
    /// integral floats for integers. Other options may be taken out first with [`Options::take`]; they are then listed as
    /// valid names as well. Errors: an unknown name at any depth, a value that does not fit, each with its path.
    pub fn fill<T: Serialize + DeserializeOwned>(self, path: &str, base: &T) -> Result<T> {
        let base = serde_json::to_value(base).map_err(|e| Error::usage(format!("{path}: {e}")))?;
        let filled = |map: Map| -> Result<serde_json::Result<T>> {
            let mut json = base.clone();
            overlay(path, &mut json, map, &self.asked)?;
            Ok(serde_json::from_value(json))
        };
        filled(self.map.clone())?.map_err(|e| {
            // an option without a default to compare with: the one that fails alone is to blame
            let alone = |name: &str, value: &Dynamic| filled(Map::from([(name.into(), value.clone())]));
            let fails = |name: &str, value: &Dynamic| matches!(alone(name, value), Ok(Err(_)));
            let culprit = self.map.iter().find(|(name, value)| fails(name, value));
            let culprit = culprit.map(|(name, _)| format!("`{name}`: ")).unwrap_or_default();
            Error::usage(format!("{path}: {culprit}{}", translate::serde(&e)))
        })
    }

    /// The options as JSON, for the record.
    pub fn to_json(&self) -> Value {
        Value::Object(
            self.map
                .iter()
                .map(|(k, v)| (k.to_string(), json_from(v).unwrap_or(Value::Null)))
                .collect(),
        )
    }
}

/// Why an argument of this name may be `()`: what a batch holds where it has no such thing.
pub(super) fn absent(name: &str) -> &'static str {
    match name {
        "labels" => ", which a batch holds where its images have no labels",
        "images" => ", which `distorted` of a batch is where the option `distort` was not given",
        _ => "",
    }
}

/// The error for a name that is not among the `valid` ones.
pub fn unknown<'a>(path: &str, name: &str, valid: impl Iterator<Item = &'a str>) -> Error {
    let valid: Vec<&str> = valid.collect();
    Error::Usage(format!("{path}: {}", options::unknown(name, &valid)))
}

/// Put the script's options over the JSON of a struct.
fn overlay(path: &str, json: &mut Value, map: Map, also_valid: &[&str]) -> Result<()> {
    let Value::Object(fields) = json else {
        fail!("{path}: takes no options")
    };
    for (name, value) in map {
        let value = value.flatten();
        let Some(field) = fields.get_mut(name.as_str()) else {
            let valid: Vec<String> = fields.keys().cloned().collect();
            return Err(unknown(
                path,
                &name,
                valid
                    .iter()
                    .map(String::as_str)
                    .chain(also_valid.iter().copied().filter(|n| !fields.contains_key(*n))),
            ));
        };
        let inner = format!("{path}: {name}");
        match (&*field, value.clone().try_cast::<Map>()) {
            (Value::Object(_), Some(map)) => overlay(&inner, field, map, &[])?,
            _ => match fitted(field, &value) {
                Ok(fitted) => *field = fitted,
                Err(problem) => fail!("{path}: `{name}` {problem}"),
            },
        }
    }
    Ok(())
}

/// The value as JSON of the same kind as the field's default; `Err` says what is wanted and was found.
fn fitted(field: &Value, value: &Dynamic) -> std::result::Result<Value, String> {
    let found = json_from(value)?;
    let must_be = |wanted: &str| Err(format!("must be {wanted}, found {}", describe(value)));
    let integral = |f: f64| (f.fract() == 0.0 && f.abs() < 9.0e15).then(|| Value::from(f as i64));
    match (field, &found) {
        (Value::Bool(_), Value::Bool(_)) | (Value::String(_), Value::String(_)) | (Value::Null, _) => Ok(found),
        (Value::Number(n), Value::Number(v)) if n.is_f64() => Ok(v.as_f64().map_or(found, Value::from)),
        (Value::Number(_), Value::Number(v)) if v.is_f64() => {
            v.as_f64().and_then(integral).map_or_else(|| must_be("an integer"), Ok)
        }
        (Value::Number(_), Value::Number(_)) => Ok(found),
        (Value::Array(default), Value::Array(items)) => {
            let whole = default.first().is_some_and(|d| d.is_u64() || d.is_i64());
            let fix = |v: &Value| match v.as_f64() {
                Some(f) if whole && v.is_f64() => integral(f).unwrap_or_else(|| v.clone()),
                _ => v.clone(),
            };
            Ok(Value::Array(items.iter().map(fix).collect()))
        }
        (Value::Array(_) | Value::Object(_) | Value::String(_), Value::Null) => Ok(Value::Null),
        (Value::Bool(_), _) => must_be("true or false"),
        (Value::Number(n), _) => must_be(if n.is_f64() { "a number" } else { "an integer" }),
        (Value::String(_), _) => must_be("a string"),
        (Value::Array(_), _) => must_be("an array"),
        (Value::Object(_), _) => must_be("a map #{ .. }"),
    }
}

/// A plain script value as JSON; else what it must be and was: JSON has no tensors or closures, and no NaN, which it would turn into
/// "not given".
pub fn json_from(value: &Dynamic) -> std::result::Result<Value, String> {
    finite(value)?;
    plain_json(value).ok_or_else(|| {
        let found = describe(value);
        format!("must be a plain value (number, string, array, map), found {found}")
    })
}

fn plain_json(value: &Dynamic) -> Option<Value> {
    let value = value.clone().flatten();
    if value.is_unit() {
        Some(Value::Null)
    } else if let Ok(b) = value.as_bool() {
        Some(b.into())
    } else if let Ok(i) = value.as_int() {
        Some(i.into())
    } else if let Ok(f) = value.as_float() {
        Some(f.into())
    } else if value.is_string() {
        Some(value.to_string().into())
    } else if let Some(array) = value.read_lock::<rhai::Array>() {
        array
            .iter()
            .map(plain_json)
            .collect::<Option<Vec<_>>>()
            .map(Value::Array)
    } else if let Some(map) = value.read_lock::<Map>() {
        let items = map.iter().map(|(k, v)| Some((k.to_string(), plain_json(v)?)));
        items.collect::<Option<serde_json::Map<_, _>>>().map(Value::Object)
    } else {
        None
    }
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
    use serde::Deserialize;

    #[derive(Serialize, Deserialize, Default, Debug, PartialEq)]
    struct Inner {
        layers: usize,
        norm: bool,
    }

    #[derive(Serialize, Deserialize, Default, Debug, PartialEq)]
    struct Outer {
        lr: f64,
        steps: usize,
        scale: Option<[f64; 2]>,
        size: [usize; 2],
        inner: Inner,
    }

    fn options(script: &str) -> Options {
        Options::new(rhai::Engine::new().eval::<Map>(script).unwrap())
    }

    #[test]
    fn numbers_convert_both_ways_and_nested_structs_are_filled() {
        let o = options("#{ lr: 1, steps: 1e2, scale: [1, 2.5], size: [3.0, 4], inner: #{ layers: 3 } }");
        let filled = o.fill("f", &Outer::default()).unwrap();
        let inner = Inner { layers: 3, norm: false };
        assert_eq!(
            filled,
            Outer {
                lr: 1.0,
                steps: 100,
                scale: Some([1.0, 2.5]),
                size: [3, 4],
                inner
            }
        );
    }

    #[test]
    fn errors_name_path_found_and_expected() {
        let fail = |script: &str| options(script).fill("f", &Outer::default()).unwrap_err().to_string();
        assert_eq!(
            fail("#{ inner: #{ layer: 3 } }"),
            "f: inner: unknown option `layer`; valid options: layers, norm; did you mean `layers`?"
        );
        assert_eq!(
            fail("#{ steps: 1.5 }"),
            "f: `steps` must be an integer, found the number 1.5"
        );
        // JSON has no such numbers: they were taken for "not given"
        for (script, found) in [
            ("#{ lr: 0.0 / 0.0 }", "`lr` must be finite, found the number NaN"),
            ("#{ lr: 1.0 / 0.0 }", "`lr` must be finite, found the number inf"),
            (
                "#{ scale: [0.5, 0.0 / 0.0] }",
                "`scale` must be finite, found the number NaN in an array",
            ),
        ] {
            assert_eq!(fail(script), format!("f: {found}"));
        }
        assert_eq!(
            fail("#{ lr: \"x\" }"),
            "f: `lr` must be a number, found the string \"x\""
        );
    }

    #[test]
    fn taken_one_by_one_the_rest_is_refused() {
        let mut endless = options("#{ a: 1.0 / 0.0 }");
        assert!(
            endless
                .take::<f64>("f", "a")
                .unwrap_err()
                .to_string()
                .contains("`a` must be finite")
        );
        let mut o = options("#{ a: 1, b: 2 }");
        assert_eq!(o.take_or("f", "a", 0.0).unwrap(), 1.0);
        assert_eq!(
            o.finish("f").unwrap_err().to_string(),
            "f: unknown option `b`; valid options: a"
        );
    }
}
