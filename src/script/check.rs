//! What can be said about a script without running it: unknown functions, variables, options, arguments.

use rhai::{AST, ASTNode, Expr, Map, Position, Scope};

use super::bind::unknown_option;
use super::engine::Interpreter;
use super::report::{Location, Report};
use super::table::{Entry, Param};
use crate::error::{meant, or_meant};
use crate::options::{Inside, unknown};

/// The findings in the script `text` called `source`, in the order of the text; empty if all is well.
pub fn check(interpreter: &Interpreter, source: &str, text: &str) -> Vec<Report> {
    if let Err(report) = interpreter.compile(source, text, &Scope::new()) {
        return vec![*report];
    }
    // what can never run is checked as well
    let mut parser = super::engine::parser();
    parser.set_optimization_level(rhai::OptimizationLevel::None);
    let Ok(ast) = parser.compile(text) else {
        return Vec::new();
    };
    let mut findings = calls(interpreter, source, &ast);
    findings.extend(variables(interpreter, source, text));
    findings.extend(slips(&ast).into_iter().map(|slip| {
        let (message, hint, position) = slip;
        finding(interpreter, source, position, message, Some(hint))
    }));
    findings.sort_by_key(|r| r.place.as_ref().map(|p| (p.line, p.column)));
    findings
}

/// The names that the script asks for with `arg("name", ..)`; `None` if some name is computed or a module is imported.
pub fn arguments(ast: &AST) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut all_known = true;
    ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, _))) if call.name == "arg" && call.namespace.is_empty() => {
                match call.args.first() {
                    Some(Expr::StringConstant(name, _)) if names.iter().any(|n| *n == **name) => {}
                    Some(Expr::StringConstant(name, _)) => names.push(name.to_string()),
                    _ => all_known = false,
                }
            }
            Some(ASTNode::Stmt(rhai::Stmt::Import(..))) => all_known = false,
            _ => {}
        }
        true
    });
    all_known.then_some(names)
}

/// What is wrong with the names of these arguments for the script `text` called `source`, if it does not read one of them.
pub fn unread_argument<'a>(source: &str, text: &str, mut given: impl Iterator<Item = &'a String>) -> Option<String> {
    let asked = arguments(&super::engine::parser().compile(text).ok()?)?;
    let unread = given.find(|name| !asked.contains(name))?;
    let hint = or_meant(unread, asked.iter().map(String::as_str), "", "=..");
    let list = if asked.is_empty() {
        "it reads none".into()
    } else {
        format!("it reads {}", asked.join(", "))
    };
    Some(format!("{source} reads no argument `{unread}` ({list}){hint}"))
}

/// Arithmetic of two literal integers that means something else than it does in Python: message, hint, place.
pub(super) fn slips(ast: &AST) -> Vec<(String, String, Position)> {
    let mut found = Vec::new();
    ast.walk(&mut |path| {
        if let Some(ASTNode::Expr(Expr::FnCall(call, position))) = path.last()
            && let [Expr::IntegerConstant(a, _), Expr::IntegerConstant(b, _)] = &*call.args
        {
            match call.name.as_str() {
                "/" if *b != 0 && a % b != 0 => found.push((
                    format!("{a} / {b} is {}, as both are integers", a / b),
                    format!("write {a}.0 / {b}"),
                    *position,
                )),
                "^" => found.push((
                    format!("{a} ^ {b} is {}, the exclusive or of their bits", a ^ b),
                    format!("powers are written {a} ** {b}"),
                    *position,
                )),
                _ => {}
            }
        }
        true
    });
    found
}

/// Undefined variables, found by the parser in its strict mode.
fn variables(interpreter: &Interpreter, source: &str, text: &str) -> Option<Report> {
    let mut strict = super::engine::parser();
    strict.set_strict_variables(true);
    let mut scope = Scope::new();
    scope.push_constant("PI", std::f64::consts::PI);
    let mut spaces = Vec::new();
    for (name, _) in &interpreter.context().table().namespaces {
        strict.register_static_module(super::engine::rhai_name(name), rhai::Module::new().into());
        spaces.push(*name);
    }
    match strict.compile_with_scope(&scope, text) {
        Err(e) => match e.err_type() {
            rhai::ParseErrorType::VariableUndefined(name) => {
                let place = Location::new(interpreter.context(), source, e.position());
                let hint = match spaces.contains(&name.as_str()) {
                    true => Some(format!("`{name}` is a namespace")),
                    false => place.and_then(|p| p.undeclared(name)),
                };
                let message = format!("there is no variable `{name}`");
                Some(finding(interpreter, source, e.position(), message, hint))
            }
            _ => None,
        },
        Ok(_) => None,
    }
}

/// Unknown functions and options.
fn calls(interpreter: &Interpreter, source: &str, ast: &AST) -> Vec<Report> {
    let table = interpreter.context().table();
    let own: Vec<(String, usize)> = ast
        .iter_functions()
        .map(|f| (f.name.to_string(), f.params.len()))
        .collect();
    let standard: Vec<String> = interpreter
        .engine()
        .collect_fn_metadata(None, |f| Some(f.metadata.name.to_string()), true)
        .into_iter()
        .collect();
    let mut findings = Vec::new();
    let mut imports: Vec<String> = Vec::new();
    ast.walk(&mut |path| {
        if let Some(ASTNode::Stmt(rhai::Stmt::Import(import, position))) = path.last() {
            imports.push(import.1.name.to_string());
            if let Expr::StringConstant(file, at) = &import.0
                && let Some(problem) = interpreter.import_problem(source, file)
            {
                let at = if at.is_none() { *position } else { *at };
                let message = format!("import \"{file}\": {problem}");
                findings.push(finding(interpreter, source, at, message, None));
            }
        }
        true
    });
    ast.walk(&mut |path| {
        let (call, position, is_method) = match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, p))) if call.op_token.is_none() => (call, *p, false),
            Some(ASTNode::Expr(Expr::MethodCall(call, p))) => (call, *p, true),
            _ => return true,
        };
        let name = &*super::engine::table_name(&call.name);
        let path = call.namespace.path.iter().map(|i| super::engine::table_name(&i.name));
        let space = path.collect::<Vec<_>>().join("::");
        let entry = table.entries.iter().find(|e| {
            e.name == name
                && (if space.is_empty() {
                    e.namespace.is_empty()
                } else {
                    e.namespace == space
                })
        });
        if let Some(entry) = entry {
            if !space.is_empty() {
                for (message, at) in unknown_options(entry, &call.args) {
                    let at = if at.is_none() { position } else { at };
                    findings.push(finding(interpreter, source, at, message, None));
                }
            }
            return true;
        }
        if !space.is_empty() {
            let first = call.namespace.path.first().map_or("", |i| i.name.as_str());
            if imports.iter().any(|i| i == first) || first == "global" {
                return true;
            }
            let (message, hint) = if table.namespaces.iter().any(|(n, _)| *n == space) {
                let names = table.functions_of(&space).map(|e| e.name);
                (
                    format!("there is no function `{space}::{name}`"),
                    meant(name, names, &format!("`{space}::"), "`"),
                )
            } else {
                let names = table.namespaces.iter().map(|(n, _)| *n);
                (
                    format!("there is no namespace `{space}`"),
                    meant(&space, names, "`", "::`"),
                )
            };
            findings.push(finding(interpreter, source, position, message, hint));
            return true;
        }
        let known = own.iter().any(|(n, _)| n == name)
            || standard.iter().any(|n| n == name)
            || rhai_keyword(name)
            || name.starts_with("anon$")
            || !imports.is_empty() && !is_method;
        if !known {
            let candidates = table.entries.iter().filter(|e| e.namespace.is_empty()).map(|e| e.name);
            let candidates = candidates.chain(own.iter().map(|(n, _)| n.as_str()));
            let hint = meant(name, candidates, "`", "`");
            let what = if is_method { "method" } else { "function" };
            findings.push(finding(
                interpreter,
                source,
                position,
                format!("there is no {what} `{name}`"),
                hint,
            ));
        }
        true
    });
    findings
}

/// The options in a call that it does not take, in maps inside its options as well.
fn unknown_options(entry: &Entry, arguments: &[Expr]) -> Vec<(String, Position)> {
    let place = arguments.len().saturating_sub(1);
    let own_map = |p: &Param| p.takes_map && p.default.is_none();
    let Some(map) = arguments.last() else { return Vec::new() };
    if entry.arguments().get(place).is_some_and(own_map) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (key, at, value) in map_entries(map) {
        match entry.arguments().iter().find(|p| p.name == key) {
            Some(param) => unknown_inside(
                &format!("{}: {key}", entry.full_name()),
                (param.inside)(),
                value,
                &mut found,
            ),
            None => {
                let error = unknown_option(&entry.full_name(), &key, entry.arguments());
                found.push((error.to_string(), at));
            }
        }
    }
    found
}

/// The same for a map whose options are known.
fn unknown_inside(path: &str, inside: Inside, value: Option<&Expr>, found: &mut Vec<(String, Position)>) {
    let (fields, value) = match (inside, value) {
        (Inside::Map(fields), Some(map)) => (fields, map),
        (Inside::List(fields), Some(Expr::Array(items, _))) => {
            for (i, item) in items.iter().enumerate() {
                unknown_inside(&format!("{path}[{i}]"), Inside::Map(fields.clone()), Some(item), found);
            }
            return;
        }
        _ => return,
    };
    for (key, at, value) in map_entries(value) {
        match fields.iter().find(|field| field.name == key) {
            Some(field) => unknown_inside(&format!("{path}: {key}"), (field.inside)(), value, found),
            None => {
                let valid: Vec<&str> = fields.iter().map(|field| field.name).collect();
                found.push((format!("{path}: {}", unknown(&key, &valid)), at));
            }
        }
    }
}

/// The keys of a map expression with their positions and values; a constant's values are not looked into.
fn map_entries(expr: &Expr) -> Vec<(String, Position, Option<&Expr>)> {
    match expr {
        Expr::Map(map, _) => map
            .0
            .iter()
            .map(|(key, value)| (key.name.to_string(), key.pos, Some(value)))
            .collect(),
        Expr::DynamicConstant(value, position) => match value.read_lock::<Map>() {
            Some(map) => map.keys().map(|k| (k.to_string(), *position, None)).collect(),
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn rhai_keyword(name: &str) -> bool {
    [
        "print",
        "debug",
        "type_of",
        "eval",
        "Fn",
        "call",
        "curry",
        "is_def_var",
        "is_def_fn",
        "is_shared",
        "this",
    ]
    .contains(&name)
}

fn finding(
    interpreter: &Interpreter,
    source: &str,
    position: Position,
    message: String,
    hint: Option<String>,
) -> Report {
    Report {
        message,
        place: Location::new(interpreter.context(), source, position),
        hint,
        ..Report::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Session;

    fn findings(text: &str) -> Vec<String> {
        let interpreter = Interpreter::new(Session::quiet("unused"));
        let found = check(&interpreter, "s", text);
        found.iter().map(Report::one_line).collect()
    }

    #[test]
    fn arithmetic_of_literals_that_means_something_else_is_told() {
        assert_eq!(
            findings("let a = 5 / 8;\nlet b = f(2^10) + 1 / 3;\nfn f(x) { x }"),
            [
                "s:1:11: 5 / 8 is 0, as both are integers (write 5.0 / 8)",
                "s:2:12: 2 ^ 10 is 8, the exclusive or of their bits (powers are written 2 ** 10)",
                "s:2:21: 1 / 3 is 0, as both are integers (write 1.0 / 3)",
            ]
        );
        let silent = "let a = 8 / 4 + 5.0 / 8 + 5 / 8.0; let n = 8; let b = n / 3; let c = n ^ 1; [a, b, c]";
        assert_eq!(findings(silent), [""; 0]);
    }

    #[test]
    fn maps_inside_options_are_checked_at_any_depth_and_in_lists() {
        let run = |options: &str| findings(&format!("fn f(n, d) {{ train::pretrain(n, d, #{{ {options} }}) }}"));
        assert_eq!(
            run("optimizer: #{ groups: [#{ prefix: \"a\" }, #{ prefx: \"b\" }] }"),
            [
                "s:1:83: train::pretrain: optimizer: groups[1]: unknown option `prefx`; valid options: prefix, lr, weight_decay; \
              did you mean `prefix`?"
            ]
        );
        assert_eq!(
            run("loss: #{ temperature: #{ frm: 0.2, to: 0.1 } }"),
            [
                "s:1:64: train::pretrain: loss: temperature: unknown option `frm`; valid options: learnable, min, max, from, to, \
              schedule; did you mean `from`?"
            ]
        );
        // names of the user's own, and a value that is no map
        let silent = "optimizer: #{ groups: #{ \"segmentation_head\": 10.0 } }, loss: #{ temperature: 0.1 }";
        assert_eq!(run(silent), [""; 0]);
    }

    #[test]
    fn what_try_guards_is_checked_at_its_place() {
        assert_eq!(
            findings("try { tensor::zeroes([1]) } catch (e) { print(e.message); }"),
            ["s:1:15: there is no function `tensor::zeroes` (did you mean `tensor::zeros`?)"]
        );
        assert_eq!(
            findings("x = 5;"),
            ["s:1:1: there is no variable `x` (a variable is declared first: let x = ..)"]
        );
    }
}
