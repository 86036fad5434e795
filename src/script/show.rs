//! Values as text: what `print`, the REPL and messages show.

use std::rc::Rc;

use rhai::{Array, Dynamic, Engine, FnPtr, ImmutableString, Map};

use super::table::Table;

/// Columns up to which a value stays on one line.
const WIDTH: usize = 100;
/// Items up to which an array is written whole.
const FULL: usize = 100;
/// Items at each end of a shortened array.
const EDGE: usize = 4;

/// The value on one line where it has one: strings bare unless `quoted`, script types in brief if `quoted`, else in full.
pub fn show(table: &Table, value: &Dynamic, quoted: bool) -> String {
    let value = &value.clone().flatten();
    if let Some(t) = table
        .types
        .iter()
        .find(|t| t.rust_name == value.type_name() || t.name == value.type_name())
        && let Some(text) = if quoted { (t.brief)(value) } else { (t.display)(value) }
    {
        return text;
    }
    if let Some(array) = value.read_lock::<Array>() {
        return format!("[{}]", items(table, &array).join(", "));
    }
    if let Some(map) = value.read_lock::<Map>() {
        let items: Vec<String> = map
            .iter()
            .map(|(k, v)| format!("{k}: {}", show(table, v, true)))
            .collect();
        return if items.is_empty() {
            "#{}".into()
        } else {
            format!("#{{ {} }}", items.join(", "))
        };
    }
    if value.is_unit() {
        return "()".into();
    }
    if let Some(f) = value.read_lock::<FnPtr>() {
        return match name_of(&f) {
            "" => "a closure".into(),
            name => format!("the function {name}"),
        };
    }
    if value.is_string() && quoted {
        format!("{:?}", value.to_string())
    } else {
        value.to_string()
    }
}

/// The name of a function; closures have none.
fn name_of(f: &FnPtr) -> &str {
    match f.fn_name() {
        name if name.starts_with("anon$") => "",
        name => name,
    }
}

/// The value as [`show`] has it if that fits a line, else maps and arrays with one entry per line.
pub fn pretty(table: &Table, value: &Dynamic) -> String {
    let value = &value.clone().flatten();
    let short = show(table, value, false);
    if short.chars().count() <= WIDTH || !(value.is_array() || value.is_map()) {
        return short;
    }
    block(table, value, 0)
}

/// The items of an array, most of a long one left out.
fn items(table: &Table, array: &Array) -> Vec<String> {
    let text = |v: &Dynamic| show(table, v, true);
    if array.len() <= FULL {
        return array.iter().map(text).collect();
    }
    let dots = format!("... ({} items) ...", array.len());
    let (first, last) = (&array[..EDGE], &array[array.len() - EDGE..]);
    first
        .iter()
        .map(text)
        .chain([dots])
        .chain(last.iter().map(text))
        .collect()
}

/// A map or an array over several lines, the first of them where the text already stands.
fn block(table: &Table, value: &Dynamic, depth: usize) -> String {
    let one_line = show(table, value, true);
    if one_line.chars().count() + 4 * depth <= WIDTH {
        return one_line;
    }
    let (inner, outer) = (" ".repeat(4 * (depth + 1)), " ".repeat(4 * depth));
    if let Some(map) = value.read_lock::<Map>() {
        let lines: Vec<String> = map
            .iter()
            .map(|(k, v)| format!("{inner}{k}: {},", block(table, v, depth + 1)))
            .collect();
        return format!("#{{\n{}\n{outer}}}", lines.join("\n"));
    }
    let Some(array) = value.read_lock::<Array>() else {
        return one_line;
    };
    if array.len() <= FULL && array.iter().any(|v| v.is_map() || v.is_array()) {
        let lines: Vec<String> = array
            .iter()
            .map(|v| format!("{inner}{},", block(table, v, depth + 1)))
            .collect();
        return format!("[\n{}\n{outer}]", lines.join("\n"));
    }
    // short items, as many on a line as fit
    let mut text = format!("[\n{inner}");
    let mut column = inner.len();
    for item in items(table, &array) {
        let width = item.chars().count() + 2;
        if column + width > WIDTH && column > inner.len() {
            text = format!("{}\n{inner}", text.trim_end());
            column = inner.len();
        }
        text.push_str(&item);
        text.push_str(", ");
        column += width;
    }
    format!("{}\n{outer}]", text.trim_end())
}

/// Let `print`, `to_string` and their like show arrays, maps and closures this way.
pub(super) fn register(engine: &mut Engine, table: &Rc<Table>) {
    // Rhai's optimiser would write constants inside `${}` itself, closures by their internal names.
    engine.set_optimization_level(rhai::OptimizationLevel::None);
    fn value_as_text<T: Clone + 'static>(engine: &mut Engine, table: &Rc<Table>) {
        for (name, brief) in [
            ("print", false),
            ("to_string", false),
            ("debug", true),
            ("to_debug", true),
        ] {
            let table = table.clone();
            engine.register_fn(name, move |value: T| {
                let value = Dynamic::from(value);
                let text = if brief {
                    show(&table, &value, true)
                } else {
                    pretty(&table, &value)
                };
                ImmutableString::from(text)
            });
        }
    }
    value_as_text::<Array>(engine, table);
    value_as_text::<Map>(engine, table);
    value_as_text::<FnPtr>(engine, table);
    engine.register_get("name", |f: &mut FnPtr| ImmutableString::from(name_of(f)));
}

#[cfg(test)]
mod tests {
    use crate::script::{Interpreter, Scope};
    use crate::session::Session;

    fn printed(script: &str) -> String {
        let interpreter = Interpreter::new(Session::quiet("unused"));
        let result = interpreter.run("test", script, &mut Scope::new());
        assert!(result.is_ok(), "{result:?}");
        interpreter.session().captured()
    }

    #[test]
    fn what_fits_a_line_stays_on_it() {
        let text = printed("print([1, 2.5, \"a\", ()]); print(#{ a: tensor::ones([2]), b: [#{}] }); print([|x| x])");
        assert_eq!(
            text,
            "[1, 2.5, \"a\", ()]\n#{ a: Tensor f32 [2], b: [#{}] }\n[a closure]\n"
        );
        let text = printed("fn f() { } let g = || 1; let t = [g]; print(`${g.name}, ${Fn(\"f\").name}, ${t}`)");
        assert_eq!(text, ", f, [a closure]\n");
        let text = printed("print(`${|x| x} ${[|x| x]} ${#{ f: |x| x, n: [1] }}`)");
        assert_eq!(text, "a closure [a closure] #{ f: a closure, n: [1] }\n");
    }

    #[test]
    fn long_maps_have_a_line_per_key_and_long_arrays_are_shortened() {
        let text = printed(
            "let xs = []; for i in 0..400 { xs.push(i) } print(#{ loss: xs, name: \"a rather long name of a run, so that the line \
             is full\", inner: #{ a: 1 } })",
        );
        let expected = "#{
    inner: #{ a: 1 },
    loss: [0, 1, 2, 3, ... (400 items) ..., 396, 397, 398, 399],
    name: \"a rather long name of a run, so that the line is full\",
}
";
        assert_eq!(text, expected);
    }

    #[test]
    fn rows_stand_one_below_another() {
        let text =
            printed("let row = #{ name: \"a name that fills up half of the line, or a bit more\" }; print([row, row])");
        assert_eq!(text.lines().count(), 4, "{text}");
        assert_eq!(text.lines().nth(1), text.lines().nth(2));
    }
}
