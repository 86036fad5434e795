//! The engine: registration from the table, limits, and running scripts.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;

use rhai::{AST, ASTNode, Dynamic, Engine, EvalAltResult, Expr, Module, Scope, Stmt, Token};

use super::catch;
use super::compare;
use super::compile;
use super::context::{Context, script_error};
use super::register;
use super::report::{Report, explain, explain_syntax};
use super::resolver::ScriptResolver;
use super::table::Table;
use crate::error::{Error, Result};
use crate::session::{Place, Session};

/// Rhai keeps `eval` for itself, even as a method, but scripts say `eval::segmentation` and `model.eval()`: in a script `eval`
/// is read as this name. Rhai's own `eval("text")` is thereby out of reach.
const EVAL: (&str, &str) = ("eval", "eval_");

/// A Rhai engine that knows the whole table, with the context its functions share.
pub struct Interpreter {
    engine: Engine,
    context: Context,
    resolver: ScriptResolver,
    imports: BTreeMap<String, Vec<String>>,
}

impl Interpreter {
    /// An engine for `session` with every function of seglab.
    pub fn new(session: Session) -> Self {
        Self::with_table(session, super::api::table())
    }

    /// An engine for `session` with the functions of `table`.
    pub fn with_table(session: Session, table: Table) -> Self {
        let context = Context::new(session, Rc::new(table));
        let (engine, resolver) = build(&context);
        Interpreter {
            engine,
            context,
            resolver,
            imports: BTreeMap::new(),
        }
    }

    /// Rhai's engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The state shared by the functions.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The session.
    pub fn session(&self) -> &Session {
        self.context.session()
    }

    /// Parse `text`; errors name `source`.
    pub fn compile(&self, source: &str, text: &str, scope: &Scope) -> std::result::Result<AST, Box<Report>> {
        compile::compile(&self.engine, &self.context, source, text, scope)
            .map_err(|e| Box::new(explain_syntax(&self.context, source, &e)))
    }

    /// Parse and run `text` in `scope`. `source` names it in reports.
    pub fn run(&self, source: &str, text: &str, scope: &mut Scope) -> std::result::Result<Dynamic, Box<Report>> {
        let ast = self.compile(source, text, scope)?;
        self.run_ast(source, &ast, scope)
    }

    /// Run a parsed script in `scope`, within the session's limits.
    pub fn run_ast(&self, source: &str, ast: &AST, scope: &mut Scope) -> std::result::Result<Dynamic, Box<Report>> {
        let Some(sandbox) = self.session().sandbox() else {
            return self.evaluate(source, ast, scope);
        };
        sandbox.begin();
        let result = self.evaluate(source, ast, scope);
        let Some(limit) = sandbox.end() else { return result };
        self.session().clear_cancel();
        let report = match result {
            Err(report) => *report,
            Ok(_) => Report::default(),
        };
        Err(Box::new(Report {
            message: limit,
            hint: None,
            interrupted: false,
            ..report
        }))
    }

    fn evaluate(&self, source: &str, ast: &AST, scope: &mut Scope) -> std::result::Result<Dynamic, Box<Report>> {
        let result = catch_unwind(AssertUnwindSafe(|| {
            self.engine.eval_ast_with_scope::<Dynamic>(scope, ast)
        }));
        let passed_over = self.context.take_passed_over();
        match result {
            Ok(Ok(value)) => Ok(value.flatten()),
            Ok(Err(e)) => {
                let error = match passed_over {
                    Some(text) => with_cause(*e, text),
                    None => *e,
                };
                Err(Box::new(explain(&self.context, source, scope, error)))
            }
            Err(panic) => {
                let error = script_error(panic_error("the script", &*panic));
                Err(Box::new(explain(&self.context, source, scope, *error)))
            }
        }
    }

    /// Run the script in this file.
    pub fn run_file(&self, path: &Path) -> std::result::Result<Dynamic, Box<Report>> {
        let text = read_script(path).map_err(|e| Box::new(Report::plain(e.to_string())))?;
        self.session().set_script(&text);
        self.run(&path.display().to_string(), &text, &mut Scope::new())
    }

    /// Make a module's functions callable everywhere; a later one hides earlier ones of the same name.
    pub fn add_module(&mut self, module: Module) {
        let module: rhai::Shared<Module> = module.into();
        self.context.remember_module("", module.clone());
        self.engine.register_global_module(module);
    }

    /// Why the script `source` could not import `path`, if it could not.
    pub(super) fn import_problem(&self, source: &str, path: &str) -> Option<String> {
        self.resolver.locate(Some(source), path).err()
    }

    /// The modules kept, with the names of their functions.
    pub fn imports(&self) -> Vec<(String, Vec<String>)> {
        self.imports.clone().into_iter().collect()
    }

    /// Keep the modules that a script imported under a name known to later ones.
    pub fn keep_imports(&mut self, ast: &AST) {
        let mut imports: Vec<(String, String)> = Vec::new();
        ast.walk(&mut |path| {
            if let Some(ASTNode::Stmt(Stmt::Import(import, _))) = path.last()
                && let Expr::StringConstant(file, _) = &import.0
            {
                imports.push((file.to_string(), import.1.name.to_string()));
            }
            true
        });
        for (file, name) in imports.into_iter().filter(|(_, name)| !name.is_empty()) {
            // what was not reached was not loaded
            if let Some(module) = self.resolver.loaded(&file) {
                let functions = module.iter_script_fn_info().map(|(_, _, name, _, _)| name.to_string());
                self.imports
                    .insert(name.clone(), functions.filter(|f| !f.starts_with("anon$")).collect());
                self.context.remember_module(&name, module.clone());
                self.engine.register_static_module(name, module);
            }
        }
    }

    /// The text that `print` writes for a value.
    pub fn display(&self, value: &Dynamic) -> String {
        super::show::pretty(self.context.table(), value)
    }
}

/// An engine with every function of the table, whose state is `context`.
pub(super) fn build(context: &Context) -> (Engine, ScriptResolver) {
    let mut engine = Engine::new();
    engine.set_max_call_levels(200);
    engine.set_max_expr_depths(256, 128);
    engine.set_fail_on_invalid_map_property(true);
    engine.set_default_tag(Dynamic::from(context.clone()));
    let resolver = ScriptResolver::new(context.clone());
    engine.set_module_resolver(resolver.clone());
    let printer = context.session().clone();
    engine.on_print(move |text| printer.print(text));
    let printer = context.session().clone();
    engine.on_debug(move |text, source, pos| match source {
        Some(source) => printer.print(&format!("[{source}:{pos:?}] {text}")),
        None => printer.print(&format!("[{pos:?}] {text}")),
    });
    let progress = context.clone();
    engine.on_progress(move |_| {
        let session = progress.session();
        let over = session.sandbox().is_some_and(|sandbox| sandbox.step());
        let ends = over || session.cancelled() || progress.paused() || progress.passed_over();
        ends.then(|| super::context::INTERRUPTED.into())
    });
    read_tokens(&mut engine);
    compare::register(&mut engine);
    catch::register(&mut engine);
    for t in &context.table().types {
        (t.register)(&mut engine);
    }
    super::show::register(&mut engine, context.table());
    register::register(&mut engine, context.table(), context);
    for hook in &context.table().hooks {
        hook(&mut engine);
    }
    (engine, resolver)
}

/// The text of a script file without its `#!` line.
pub fn read_script(place: impl Into<Place>) -> Result<String> {
    let text = place.into().text("the script")?;
    Ok(match text.strip_prefix("#!") {
        Some(rest) => format!("// {rest}"), // three slashes would be documentation
        None => text,
    })
}

/// `error` with this text in the place of its innermost cause.
fn with_cause(error: EvalAltResult, text: String) -> EvalAltResult {
    match error {
        EvalAltResult::ErrorInFunctionCall(name, source, inner, position) => {
            EvalAltResult::ErrorInFunctionCall(name, source, Box::new(with_cause(*inner, text)), position)
        }
        EvalAltResult::ErrorInModule(path, inner, position) => {
            EvalAltResult::ErrorInModule(path, Box::new(with_cause(*inner, text)), position)
        }
        other => EvalAltResult::ErrorRuntime(text.into(), other.position()),
    }
}

/// An engine that only parses, as the language is here.
pub fn parser() -> Engine {
    let mut engine = Engine::new();
    engine.set_max_expr_depths(256, 128);
    read_tokens(&mut engine);
    let whos = engine.register_custom_syntax(["whos", "()"], false, |_, _| Ok(Dynamic::UNIT));
    debug_assert!(whos.is_ok());
    engine
}

/// Let the parser of `engine` take `eval` as the name [`EVAL`] stands for, and comparisons as ours.
fn read_tokens(engine: &mut Engine) {
    compare::parse(engine);
    #[expect(
        deprecated,
        reason = "rhai marks it so because it may change, not because it will go"
    )]
    engine.on_parse_token(|token, _, _| match token {
        Token::Reserved(name) if *name == EVAL.0 => Token::Identifier(Box::new(EVAL.1.into())),
        other => compare::token(other),
    });
}

/// A message with the name of the table for the one Rhai knows.
pub(super) fn table_name(text: &str) -> String {
    match text.strip_prefix(EVAL.1) {
        Some(rest) if rest.is_empty() || rest.starts_with("::") || rest.starts_with(" (") => {
            format!("{}{rest}", EVAL.0)
        }
        _ => text.to_string(),
    }
}

/// The name under which Rhai knows a name of the table.
pub(super) fn rhai_name(name: &'static str) -> &'static str {
    if name == EVAL.0 { EVAL.1 } else { name }
}

/// What a panic in native code becomes.
pub(super) fn panic_error(function: &str, panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_string())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    Error::usage(format!(
        "{function}: internal error ({text}); this is a bug in seglab, the session goes on"
    ))
}
