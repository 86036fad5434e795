//! Inputs one after another: variables and functions stay, an input that fails changes nothing.

use super::complete::Variable;
use crate::script::{AST, Dynamic, Interpreter, Map, Module, Report, Scope, Table};

/// Maps in maps that completion looks into.
const DEPTH: usize = 4;

/// The state that inputs share.
pub struct Evaluator {
    interpreter: Interpreter,
    scope: Scope<'static>,
    inputs: Vec<Input>,
    /// Whether training was paused in the input at work.
    paused: bool,
}

/// One input so far.
pub struct Input {
    /// Its text.
    pub text: String,
    /// Whether it ran through.
    pub worked: bool,
    /// Whether `ans` became its value.
    pub gave_value: bool,
    /// Whether Ctrl-C paused training in it.
    pub paused: bool,
}

impl Evaluator {
    /// No variables, no inputs.
    pub fn new(interpreter: Interpreter) -> Self {
        Evaluator {
            interpreter,
            scope: Scope::new(),
            inputs: Vec::new(),
            paused: false,
        }
    }

    /// The interpreter.
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// All inputs.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The number of the next input, from 1.
    pub fn next_number(&self) -> usize {
        self.inputs.len() + 1
    }

    /// The variables as `whos()` shows them.
    pub fn whos(&self) -> String {
        crate::script::api::whos(self.interpreter.context(), &self.scope).unwrap_or_else(|e| e.to_string())
    }

    /// The value of a variable.
    pub fn value(&self, name: &str) -> Option<Dynamic> {
        self.scope.get(name).map(|v| v.clone().flatten())
    }

    /// Names, types and keys of the variables, for completion.
    pub fn variables(&self) -> Vec<Variable> {
        let table = self.interpreter.context().table();
        let known = |(name, _, value): (&str, bool, &Dynamic)| variable(table, name, value, 0);
        self.scope.iter_raw().map(known).collect()
    }

    /// Run one input; its value becomes `ans`.
    pub fn input(&mut self, text: &str) -> Result<Dynamic, Box<Report>> {
        let name = format!("in[{}]", self.next_number());
        self.run_file(&name, text)
    }

    /// Run a script's text as an input.
    pub fn run_file(&mut self, source: &str, text: &str) -> Result<Dynamic, Box<Report>> {
        let result = self.run(source, text);
        self.inputs.push(Input {
            text: text.to_string(),
            worked: result.is_ok(),
            gave_value: result.as_ref().is_ok_and(|v| !v.is_unit()),
            paused: std::mem::take(&mut self.paused),
        });
        result
    }

    /// Run a text that belongs to `source`; on failure the variables are as before. An input that Ctrl-C paused in training
    /// has not failed: it ends there and keeps what it has defined, and `ans` is the paused run.
    fn run(&mut self, source: &str, text: &str) -> Result<Dynamic, Box<Report>> {
        let before = self.scope.clone();
        self.interpreter.session().clear_cancel();
        let _ = self.interpreter.context().take_paused();
        let mut result = self.run_in_scope(source, text);
        self.interpreter.session().clear_cancel();
        if let Some(paused) = self.interpreter.context().take_paused() {
            self.paused = true;
            // What Ctrl-C paused is there, whether the input got as far as naming it or not.
            if matches!(&result, Err(report) if report.interrupted) {
                self.interpreter.session().print("the rest of the input is left out");
                result = Ok(Dynamic::UNIT);
            }
            self.scope.set_or_push("ans", paused);
        }
        match &result {
            Ok(value) => {
                if !value.is_unit() {
                    self.scope.set_or_push("ans", value.clone());
                }
                self.drop_shadowed();
            }
            Err(_) => self.scope = before,
        }
        result
    }

    fn run_in_scope(&mut self, source: &str, text: &str) -> Result<Dynamic, Box<Report>> {
        let ast = self.interpreter.compile(source, text, &self.scope)?;
        let result = self.interpreter.run_ast(source, &ast, &mut self.scope);
        if result.is_ok() || self.interpreter.context().paused() {
            self.keep_functions(source, &ast);
            self.interpreter.keep_imports(&ast);
        }
        result
    }

    /// Later inputs call the functions and closures of this one.
    fn keep_functions(&mut self, source: &str, ast: &AST) {
        if ast.iter_functions().next().is_none() {
            return;
        }
        let mut module = Module::new();
        module.set_id(source);
        module.fill_with(ast.shared_lib());
        self.interpreter.add_module(module);
    }

    /// A variable declared anew hides the old one, whose tensor would stay in memory.
    fn drop_shadowed(&mut self) {
        let mut kept: Vec<(String, bool, Dynamic)> = Vec::new();
        for (name, constant, value) in self.scope.iter_raw() {
            if !kept.iter().any(|(n, _, _)| n == name) {
                kept.push((name.to_string(), constant, value.clone()));
            }
        }
        let mut scope = Scope::new();
        for (name, constant, value) in kept.into_iter().rev() {
            if constant {
                scope.push_constant_dynamic(name, value);
            } else {
                scope.push_dynamic(name, value);
            }
        }
        self.scope = scope;
    }

    /// Forget all variables.
    pub fn reset(&mut self) {
        self.scope = Scope::new();
    }
}

/// A value as completion sees it: maps with their keys, down to [`DEPTH`]; nothing is copied.
fn variable(table: &Table, name: &str, value: &Dynamic, depth: usize) -> Variable {
    let keys = value.read_lock::<Map>().filter(|_| depth < DEPTH).map(|map| {
        let below = |(k, v): (&_, &Dynamic)| variable(table, &ToString::to_string(k), v, depth + 1);
        map.iter().map(below).collect()
    });
    Variable {
        name: name.to_string(),
        kind: table.type_name(value.type_name()).to_string(),
        keys: keys.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Session;

    fn evaluator() -> Evaluator {
        Evaluator::new(Interpreter::new(Session::quiet("unused")))
    }

    #[test]
    fn variables_functions_and_closures_stay() {
        let mut e = evaluator();
        let _ = e.input("let a = 2; fn double(x) { 2 * x }").unwrap();
        let _ = e.input("let f = |x| x + a").unwrap();
        assert_eq!(e.input("double(f.call(1))").unwrap().as_int().unwrap(), 6);
        let _ = e.input("fn double(x) { 3 * x }").unwrap();
        assert_eq!(e.input("double(ans)").unwrap().as_int().unwrap(), 18);
    }

    #[test]
    fn a_failed_input_changes_nothing() {
        let mut e = evaluator();
        let _ = e.input("let a = 2").unwrap();
        let report = e.input("a = 3; let b = 1; missing").unwrap_err();
        assert!(report.render(false).contains("in[2]:1:19"), "{}", report.render(false));
        assert_eq!(e.input("a").unwrap().as_int().unwrap(), 2);
        assert!(e.value("b").is_none());
    }

    #[test]
    fn a_panic_is_an_error_and_the_session_goes_on() {
        let mut table = crate::script::api::table();
        table.hook(|engine| {
            engine.register_fn("explode", || -> i64 { panic!("a dependency gave up") });
        });
        let mut e = Evaluator::new(Interpreter::with_table(Session::quiet("unused"), table));
        let _ = e.input("let a = [1, 2]").unwrap();
        let report = e.input("a.push(3); explode()").unwrap_err();
        assert!(report.message.contains("a dependency gave up"), "{}", report.message);
        assert_eq!(
            e.input("a.len").unwrap().as_int().unwrap(),
            2,
            "the array is as it was before the input"
        );
    }

    #[test]
    fn a_variable_declared_anew_lets_the_old_one_go() {
        let mut e = evaluator();
        let _ = e.input("let a = 1").unwrap();
        let _ = e.input("let a = 2").unwrap();
        assert_eq!(e.variables().iter().filter(|v| v.name == "a").count(), 1);
        assert_eq!(e.value("a").unwrap().as_int().unwrap(), 2);
    }
}
