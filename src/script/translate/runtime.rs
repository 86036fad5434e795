//! Rhai's messages in plain words, with suggestions from the function table.

use rhai::{EvalAltResult, Scope};

use super::plain;
use crate::error::meant;
use crate::script::context::{Context, count};
use crate::script::habits;
use crate::script::show::show;
use crate::script::table::{Kind, Table};
use crate::script::values::{unless_empty, with_article};

/// What a loop runs over.
pub(super) const ITERABLE: &str = "arrays, ranges and batches can; a map by `for name in map.keys() { map[name] }`, a data set by `for i in 0..d.len { d.get(i) }`";

/// Message and hint of a run-time error; `method`: a dot stands where it happened.
pub fn explain(context: &Context, scope: &Scope, error: &mut EvalAltResult, method: bool) -> (String, Option<String>) {
    let table = context.table();
    match error {
        EvalAltResult::ErrorRuntime(value, _) => (show(table, value, false), None),
        EvalAltResult::ErrorTerminated(..) => ("interrupted".into(), None),
        EvalAltResult::ErrorFunctionNotFound(signature, _) => unknown_function(context, scope, signature, method),
        EvalAltResult::ErrorVariableNotFound(name, _) => {
            unknown_variable(context, scope, &crate::script::engine::table_name(name))
        }
        EvalAltResult::ErrorModuleNotFound(name, _) => {
            let name = crate::script::engine::table_name(name);
            let known = table.namespaces.iter().map(|(n, _)| *n);
            let list = known.clone().collect::<Vec<_>>().join(", ");
            (
                format!("there is no namespace or module `{name}` (namespaces: {list})"),
                meant(&name, known, "`", "::`"),
            )
        }
        EvalAltResult::ErrorDotExpr(text, _) | EvalAltResult::ErrorPropertyNotFound(text, _) => {
            unknown_property(table, text)
        }
        EvalAltResult::ErrorIndexingType(text, _) => indexing(table, text),
        EvalAltResult::ErrorMismatchDataType(wanted, found, _)
        | EvalAltResult::ErrorMismatchOutputType(wanted, found, _) => {
            let captured = found.starts_with("alloc::rc::Rc");
            let plain = |name: &str| table.type_name(&plain_types(table, name)).to_string();
            let (wanted, found) = (plain(wanted), plain(found));
            if wanted == "int" && found == "range" {
                let text = "an array is indexed by an int, found a range".into();
                return (text, Some("write x.extract(1..3)".into()));
            }
            let hint = (wanted == "bool" && found == "Tensor").then(|| {
                "mask.max().item() == 1 asks whether any element is true, mask.min().item() == 1 whether all are".into()
            });
            if captured {
                // a variable that a closure has captured; Rhai does not tell what is in it
                (format!("expected {wanted}, found something else"), hint)
            } else if wanted.is_empty() {
                (format!("a value of type {found} does not fit here"), hint)
            } else {
                (format!("expected {wanted}, found {found}"), hint)
            }
        }
        EvalAltResult::ErrorStackOverflow(_) => (
            "the calls are nested too deeply".into(),
            Some("does a function call itself without end?".into()),
        ),
        EvalAltResult::ErrorFor(_) => ("this value cannot be iterated over".into(), Some(ITERABLE.into())),
        EvalAltResult::ErrorDataRace(text, _) => (
            format!("{text}: the value is in use by a function that was called on it, and by a closure given to that"),
            Some("take out what the closure needs before: let top = list.max(); list.map(|x| x / top)".into()),
        ),
        other => {
            other.clear_position();
            let text = plain_types(table, &other.to_string());
            (lower_first(&text), None)
        }
    }
}

/// The text with a small first letter, unless it is a name.
pub(super) fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if chars.as_str().starts_with(|c: char| c.is_lowercase() || c == ' ') => {
            first.to_lowercase().collect::<String>() + chars.as_str()
        }
        _ => text.to_string(),
    }
}

/// Rust's type names replaced by the script's.
fn plain_types(table: &Table, text: &str) -> String {
    let text = text.replace("&str | ImmutableString | String", "string");
    let text = plain(table, &text).replace("rhai::types::dynamic::Dynamic", "value");
    text.replace("ImmutableString", "string")
}

/// `softmax (Tensor, i64)` -> name, types in the script's words.
fn parse_signature(table: &Table, signature: &str) -> (String, Vec<String>) {
    let text = crate::script::engine::table_name(&signature.replace("&str | ImmutableString | String", "string"));
    let Some((name, rest)) = text.split_once(" (") else {
        return (text, Vec::new());
    };
    let types = rest.trim_end_matches(')').split(", ").filter(|t| !t.is_empty());
    (
        name.to_string(),
        types
            .map(|t| table.type_name(t.trim_start_matches("&mut ")).to_string())
            .collect(),
    )
}

/// `Dataset [i64]`, a value in front of brackets that do not fit it, or `Tensor [i64] = f64`, an assignment.
fn indexing(table: &Table, text: &str) -> (String, Option<String>) {
    let (receiver, rest) = text.split_once(" [").unwrap_or((text, ""));
    let receiver = table.type_name(receiver);
    let (by, assigned) = rest.split_once(']').unwrap_or(("", ""));
    let by = unless_empty(by, |by| format!(" by {}", table.type_name(by)));
    let own = table.types.iter().any(|t| t.name == receiver);
    if own && !assigned.is_empty() {
        let hint = (receiver == "Tensor").then(|| {
            "make another one: tensor::where(mask, value, t), or tensor::cat([t[0..1], row, t[2..]]) of its parts"
                .into()
        });
        return (format!("the elements of a {receiver} cannot be assigned"), hint);
    }
    let hint = match receiver {
        "Tensor" => Some("write t[i], t[-1], t[a..b] or, for several dimensions, t[[i, j]]".into()),
        _ => table
            .methods_of(receiver)
            .any(|e| e.name == "get")
            .then(|| "write .get(i) in place of [i]".into()),
    };
    (format!("a {receiver} cannot be indexed{by}"), hint)
}

/// A variable called as if it were a function.
fn called_variable(context: &Context, scope: &Scope, name: &str) -> Option<(String, String)> {
    let value = scope.get(name)?.clone().flatten();
    let kind = context.table().type_name(value.type_name());
    let instead = match kind {
        "Model" => format!("write {name}.forward(x)"),
        "closure" => format!("write {name}.call(x)"),
        "Tensor" | "array" => format!("write {name}[i]"),
        _ => return None,
    };
    Some((format!("`{name}` is {}, not a function", with_article(kind)), instead))
}

fn unknown_function(context: &Context, scope: &Scope, signature: &str, method: bool) -> (String, Option<String>) {
    let table = context.table();
    let (name, types) = parse_signature(table, signature);
    if !method && let Some((text, instead)) = called_variable(context, scope, &name) {
        return (text, Some(instead));
    }
    if name.starts_with("anon$") {
        let text = format!(
            "a closure was called with {}, but takes another number of parameters",
            count(types.len(), "argument")
        );
        return (text, Some("count the names between its | |".into()));
    }
    if let Some(property) = name.strip_prefix("get$").or_else(|| name.strip_prefix("set$")) {
        let receiver = types.first().map_or("", String::as_str);
        return property_error(table, property, receiver);
    }
    if let Some(kind) = name.strip_prefix("index$") {
        let receiver = types.first().map_or("value", String::as_str);
        let by = types.get(1).map_or("", String::as_str);
        let assigned = if kind.starts_with("set") { " =" } else { "" };
        return indexing(table, &format!("{receiver} [{by}]{assigned}"));
    }
    if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return operator(&name, &types);
    }
    if name == "print" && types.len() > 1 {
        let hint = "write print(`${a} ${b}`)".into();
        return (format!("print takes 1 value, {} given", types.len()), Some(hint));
    }
    if let Some(own) = context.definition(&name) {
        let takes = match own.parameters.len() {
            0 => "no arguments".to_string(),
            n => format!("{} ({})", count(n, "argument"), own.parameters.join(", ")),
        };
        return (format!("{name} takes {takes}, {} given", types.len()), None);
    }
    let entries = table.find(&name);
    let receiver = types.first().map_or("", String::as_str);
    let fitting: Vec<_> = entries
        .iter()
        .filter(|e| e.receiver == receiver && !e.receiver.is_empty())
        .collect();
    let shown = if fitting.is_empty() {
        entries.iter().collect()
    } else {
        fitting
    };
    if !shown.is_empty() {
        let signatures: Vec<String> = shown.iter().take(4).map(|e| e.signature()).collect();
        let owners: Vec<&str> = shown.iter().map(|e| e.receiver).filter(|r| !r.is_empty()).collect();
        let called = if types.is_empty() {
            "without arguments".to_string()
        } else {
            format!("with ({})", types.join(", "))
        };
        let mut text = format!("`{name}` cannot be called {called}");
        if !owners.is_empty() && !owners.contains(&receiver) {
            let found = if receiver.is_empty() {
                "nothing".into()
            } else {
                with_article(receiver)
            };
            text = format!("`{name}` is a method of {}, called on {found}", owners.join(", "));
        }
        let of_the_language = shown.iter().all(|e| e.body.is_none());
        let habit = habits::instead(&name).filter(|_| of_the_language).map(str::to_string);
        return (text, habit.or_else(|| Some(signatures.join("; "))));
    }
    if let Some((space, function)) = name.rsplit_once("::") {
        let names = table.functions_of(space).map(|e| e.name);
        let hint = meant(function, names, &format!("`{space}::"), "`");
        let hint = hint.or_else(|| Some(format!("see help(\"{space}\")")));
        return (format!("there is no function `{name}`"), hint);
    }
    let methods = table.methods_of(receiver).map(|e| e.name);
    let functions = table.functions_of("").map(|e| e.name);
    let hint = habits::instead(&name)
        .map(str::to_string)
        .or_else(|| meant(&name, methods, "`.", "`"))
        .or_else(|| meant(&name, functions, "`", "`"))
        .or_else(|| {
            let space = table
                .entries
                .iter()
                .find(|e| e.name == name && !e.namespace.is_empty())?;
            Some(format!("did you mean `{}`?", space.full_name()))
        })
        .or_else(|| listed(table, receiver));
    let on = unless_empty(&types.join(", "), |types| format!(" for ({types})"));
    (format!("there is no function `{name}`{on}"), hint)
}

fn operator(name: &str, types: &[String]) -> (String, Option<String>) {
    let hint = match name {
        "^" => Some("powers are written a ** b".to_string()),
        "&" | "|" => {
            Some("write a && b, a || b for true and false, mask * mask and mask.maximum(mask) for masks".to_string())
        }
        "@" => Some("write a.matmul(b)".to_string()),
        _ => None,
    };
    let arrays = || {
        types
            .contains(&"array".to_string())
            .then(|| "arrays are lists; tensor::from(list) computes, as does list.map(|x| 2 * x)".to_string())
    };
    let hint = hint.or_else(arrays).or_else(|| {
        types
            .contains(&"string".to_string())
            .then(|| "a string is not a number; parse_float(text) and parse_int(text) convert".to_string())
    });
    match types {
        [a, b] => (
            format!("`{name}` does not combine {} and {}", with_article(a), with_article(b)),
            hint,
        ),
        [a] => (format!("`{name}` does not apply to {}", with_article(a)), hint),
        _ => (format!("`{name}` does not apply here"), hint),
    }
}

fn unknown_property(table: &Table, text: &str) -> (String, Option<String>) {
    // "Unknown property 'shap' - a getter is not registered for type 'Tensor'"
    let quoted: Vec<&str> = text.split('\'').skip(1).step_by(2).collect();
    match quoted.as_slice() {
        [property, receiver, ..] => property_error(table, property, table.type_name(receiver)),
        // of a missing key of a map Rhai gives the key alone
        _ => (
            format!("the map has no key `{}`", crate::script::engine::table_name(text)),
            Some("map.keys() lists the keys, \"name\" in map asks for one".into()),
        ),
    }
}

fn property_error(table: &Table, property: &str, receiver: &str) -> (String, Option<String>) {
    let same = table.methods_of(receiver).find(|e| e.name == property);
    if let Some(entry) = same {
        let owner = with_article(receiver);
        let text = match entry.kind {
            Kind::Getter => format!("`{property}` of {owner} can only be read"),
            _ => format!("`{property}` of {owner} is a method"),
        };
        return (text, Some(format!("write {}", entry.signature())));
    }
    let names = table.methods_of(receiver).map(|e| e.name);
    let hint = habits::instead(property).map(str::to_string);
    let hint = hint.or_else(|| meant(property, names, "`.", "`"));
    let recorded = || {
        (receiver == "Run")
            .then(|| "run.history holds what the steps recorded, run.set(name, value) changes a setting".into())
    };
    let hint = hint.or_else(recorded).or_else(|| listed(table, receiver));
    let receiver = if receiver.is_empty() || receiver == "()" {
        "()"
    } else {
        receiver
    };
    (format!("a value of type {receiver} has no property `{property}`"), hint)
}

/// What `help` says about a receiver's type.
fn listed(table: &Table, receiver: &str) -> Option<String> {
    let known = !receiver.is_empty() && table.methods_of(receiver).next().is_some();
    known.then(|| format!("help(\"{receiver}\") lists its methods and properties"))
}

fn unknown_variable(context: &Context, scope: &Scope, name: &str) -> (String, Option<String>) {
    let table = context.table();
    let variables = scope.iter_raw().map(|(n, _, _)| n);
    let functions = table.functions_of("").map(|e| e.name);
    let hint = if table.namespaces.iter().any(|(n, _)| *n == name) {
        Some(format!(
            "`{name}` is a namespace: {name}::function(..); help(\"{name}\") lists what is in it"
        ))
    } else if let Some(entry) = table.functions_of("").find(|e| e.name == name) {
        Some(format!("`{name}` is a function: {}", entry.signature()))
    } else if let Some(own) = context.definition(name) {
        Some(format!("`{name}` is a function: {}", own.signature()))
    } else {
        habits::instead(name)
            .map(str::to_string)
            .or_else(|| meant(name, variables.chain(functions), "`", "`"))
    };
    (format!("there is no variable `{name}`"), hint)
}
