//! Inputs one after another: variables and functions stay, also what an input made before it failed.

use std::collections::BTreeSet;
use std::time::Instant;

use super::complete::{Known, Variable};
use crate::script::{AST, Array, Dynamic, Interpreter, Map, Module, Report, Scope, Table};

/// Maps in maps that completion looks into.
const DEPTH: usize = 4;

/// The state that inputs share.
pub struct Evaluator {
    interpreter: Interpreter,
    scope: Scope<'static>,
    inputs: Vec<Input>,
    /// The names of the functions that inputs defined.
    functions: BTreeSet<String>,
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
            functions: BTreeSet::new(),
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

    /// What the inputs have made, for completion.
    pub fn known(&self) -> Known {
        Known {
            variables: self.variables(),
            functions: self.functions.iter().cloned().collect(),
            modules: self.interpreter.imports(),
        }
    }

    /// Names, types and keys of the variables.
    fn variables(&self) -> Vec<Variable> {
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
        self.inputs.push(Input {
            text: text.to_string(),
            worked: true,
            gave_value: false,
            paused: false,
        });
        // the record of a run that this input makes
        let script = super::record::script(&self.inputs);
        self.interpreter.session().set_script(&script);
        let result = self.run(source, text);
        let paused = std::mem::take(&mut self.paused);
        if let Some(input) = self.inputs.last_mut() {
            input.worked = result.is_ok();
            input.gave_value = result.as_ref().is_ok_and(|v| !v.is_unit());
            input.paused = paused;
        }
        result
    }

    /// How long a text runs, again and again for so many seconds; variables it declares go each time.
    pub fn timed(&mut self, text: &str, seconds: f64) -> Result<Vec<f64>, Box<Report>> {
        self.interpreter.session().clear_cancel();
        let before = self.scope.len();
        let ast = self.interpreter.compile("%timeit", text, &self.scope)?;
        let mut times = Vec::new();
        let mut result = Ok(Dynamic::UNIT);
        let begun = Instant::now();
        while result.is_ok() && begun.elapsed().as_secs_f64() < seconds {
            let start = Instant::now();
            result = self.interpreter.run_ast("%timeit", &ast, &mut self.scope);
            times.push(start.elapsed().as_secs_f64());
            self.scope.rewind(before);
        }
        self.interpreter.session().clear_cancel();
        result.map(|_| times)
    }

    /// Run a text that belongs to `source`; what it made before it failed or was interrupted stays. An input that Ctrl-C paused
    /// in training has not failed: it ends there, and `ans` is the paused run.
    fn run(&mut self, source: &str, text: &str) -> Result<Dynamic, Box<Report>> {
        self.interpreter.session().clear_cancel();
        let _ = self.interpreter.context().take_paused();
        let mut result = self.run_in_scope(source, text);
        self.interpreter.session().clear_cancel();
        if let Some(paused) = self.interpreter.context().take_paused() {
            self.paused = true;
            // The run that Ctrl-C paused becomes `ans`, although the input did not end.
            if matches!(&result, Err(report) if report.interrupted) {
                self.interpreter.session().print("the rest of the input is left out");
                result = Ok(Dynamic::UNIT);
            }
            self.scope.set_or_push("ans", paused);
        }
        if let Ok(value) = &result
            && !value.is_unit()
        {
            self.scope.set_or_push("ans", value.clone());
        }
        self.drop_shadowed();
        result
    }

    fn run_in_scope(&mut self, source: &str, text: &str) -> Result<Dynamic, Box<Report>> {
        let ast = self.interpreter.compile(source, text, &self.scope)?;
        let result = self.interpreter.run_ast(source, &ast, &mut self.scope);
        self.keep_functions(source, &ast);
        self.interpreter.keep_imports(&ast);
        result
    }

    /// Later inputs call the functions and closures of this one.
    fn keep_functions(&mut self, source: &str, ast: &AST) {
        if ast.iter_functions().next().is_none() {
            return;
        }
        let named = ast.iter_functions().filter(|f| !f.name.starts_with("anon$"));
        self.functions.extend(named.map(|f| f.name.to_string()));
        let mut module = Module::new();
        module.set_id(source);
        module.fill_with(ast.shared_lib());
        self.interpreter.add_module(module);
    }

    /// Drop the variables that were declared again: nothing can reach the old ones, but their tensors would stay in memory.
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

/// A value as completion sees it: maps with their keys, arrays with their first item, down to [`DEPTH`]; nothing is copied.
fn variable(table: &Table, name: &str, value: &Dynamic, depth: usize) -> Variable {
    let known = |name: &str, value: &Dynamic| variable(table, name, value, depth + 1);
    let deeper = depth < DEPTH;
    let map = value.read_lock::<Map>().filter(|_| deeper);
    let array = value.read_lock::<Array>().filter(|_| deeper);
    Variable {
        name: name.to_string(),
        kind: table.type_name(value.type_name()).to_string(),
        keys: map.map_or(Vec::new(), |map| map.iter().map(|(k, v)| known(k, v)).collect()),
        item: array.and_then(|array| array.first().map(|item| Box::new(known("", item)))),
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
    fn what_an_input_made_before_it_failed_stays() {
        let mut e = evaluator();
        let _ = e.input("let a = 2").unwrap();
        let report = e
            .input("fn two() { 2 } a = 3; let b = [1]; { let inner = 1; b.push(2); missing } b.push(3);")
            .unwrap_err();
        assert!(report.render(false).contains("in[2]:1:64"), "{}", report.render(false));
        assert_eq!(e.input("a + b.len + two()").unwrap().as_int().unwrap(), 7); // 3 + 2 + 2
        assert!(e.value("inner").is_none(), "a block's own variables end with it");
        let _ = e
            .input("for i in 0..5 { b.push(i); if i == 3 { throw \"x\" } }")
            .unwrap_err();
        assert_eq!(e.input("b.len").unwrap().as_int().unwrap(), 6); // 1 2 0 1 2 3
        assert!(e.value("i").is_none());
    }

    #[test]
    fn a_failed_input_is_in_no_scope_of_a_function() {
        let mut e = evaluator();
        let _ = e
            .input("fn deep(n) { let local = n; if n == 0 { throw \"end\" } deep(n - 1) }")
            .unwrap();
        let _ = e.input("let kept = 1; deep(5)").unwrap_err();
        assert!(e.value("local").is_none() && e.value("n").is_none());
        assert_eq!(e.value("kept").unwrap().as_int().unwrap(), 1);
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
            3,
            "what was pushed before the panic stays"
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
