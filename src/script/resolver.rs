//! `import "name" as n`: relative to the importing script, confined to the folder of the script that was started.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope};

use super::context::Context;
use crate::session::Place;

/// A module as it was read, and when its file had been written.
type Loaded = (SystemTime, Rc<Module>);
type Resolved = Result<Rc<Module>, Box<EvalAltResult>>;

/// Loads modules relative to the importing file; a changed file is loaded anew, a cycle is an error. The engine and its owner share one:
/// copies know the same modules.
#[derive(Clone)]
pub struct ScriptResolver {
    context: Context,
    loaded: Rc<RefCell<HashMap<PathBuf, Loaded>>>,
    loading: Rc<RefCell<Vec<PathBuf>>>,
}

impl ScriptResolver {
    /// A resolver that remembers sources in `context` for error reports.
    pub fn new(context: Context) -> Self {
        ScriptResolver {
            context,
            loaded: Rc::default(),
            loading: Rc::default(),
        }
    }

    /// The file that `path` means in `source`, or why there is none.
    pub(super) fn locate(&self, source: Option<&str>, path: &str) -> Result<Place, String> {
        let importing = source.map(Path::new).filter(|s| s.is_file());
        let folder = importing.and_then(Path::parent).unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let mut file = folder.join(path);
        if file.extension().is_none() {
            file.set_extension("rhai");
        }
        let found = file
            .canonicalize()
            .map_err(|_| format!("there is no file {}", file.display()))?;
        let outermost = self
            .loading
            .borrow()
            .first()
            .and_then(|p| p.parent().map(Path::to_path_buf));
        let root = match outermost {
            Some(root) => root,
            None => folder.canonicalize().map_err(|e| e.to_string())?,
        };
        if !found.starts_with(&root) {
            return Err(format!(
                "{} lies outside the script's folder {}",
                file.display(),
                root.display()
            ));
        }
        let place = self.context.session().place(found);
        place.check().map_err(|e| e.to_string())?;
        Ok(place)
    }

    /// The module `path` if a script has imported it.
    pub fn loaded(&self, path: &str) -> Option<Rc<Module>> {
        let place = self.locate(None, path).ok()?;
        self.loaded.borrow().get(place.path()).map(|(_, module)| module.clone())
    }
}

impl ModuleResolver for ScriptResolver {
    fn resolve(&self, engine: &Engine, source: Option<&str>, path: &str, pos: Position) -> Resolved {
        let failed = |text: String| -> Box<EvalAltResult> {
            EvalAltResult::ErrorRuntime(format!("import \"{path}\": {text}").into(), pos).into()
        };
        let place = self.locate(source, path).map_err(failed)?;
        let file = place.path().to_path_buf();
        if self.loading.borrow().contains(&file) {
            return Err(failed("the modules import each other in a circle".into()));
        }
        let changed = std::fs::metadata(&file)
            .and_then(|m| m.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH);
        if let Some((time, module)) = self.loaded.borrow().get(&file)
            && *time == changed
        {
            return Ok(module.clone());
        }
        let text = super::engine::read_script(&place).map_err(|e| failed(e.to_string()))?;
        let name = file.display().to_string();
        let in_module =
            |e: Box<EvalAltResult>| -> Box<EvalAltResult> { EvalAltResult::ErrorInModule(name.clone(), e, pos).into() };
        let ast = super::compile::compile(engine, &self.context, &name, &text, &Scope::new());
        let ast = ast.map_err(|e| in_module(Box::new(e.into())))?;
        self.loading.borrow_mut().push(file.clone());
        let module = Module::eval_ast_as_new(Scope::new(), &ast, engine);
        self.loading.borrow_mut().pop();
        let module = Rc::new(module.map_err(in_module)?);
        self.loaded.borrow_mut().insert(file, (changed, module.clone()));
        Ok(module)
    }
}
