//! The functions of the table as functions of Rhai.

use std::any::TypeId;
use std::rc::Rc;

use rhai::{Dynamic, Engine, EvalAltResult, FuncRegistration, Module, NativeCallContext, RhaiFunc};

use super::bind::Values;
use super::call::Call;
use super::context::{Context, script_error};
use super::engine::rhai_name;
use super::table::{Entry, Item, Items, Kind, Table};
use crate::error::Error;

/// Arguments that may be given by position; further ones are options by name.
const MAX_POSITIONAL: usize = 8;
/// Wrong numbers of arguments up to this many too many are answered with the signature.
const SURPLUS: usize = 2;

/// Tell Rhai about every function, getter and setter of the table.
pub(super) fn register(engine: &mut Engine, table: &Table, context: &Context) {
    let mut global = Module::new();
    let mut spaces: Vec<(&'static str, Module)> = table
        .namespaces
        .iter()
        .map(|(name, _)| (*name, Module::new()))
        .collect();
    for entry in &table.entries {
        let module = match spaces.iter_mut().find(|(name, _)| *name == entry.namespace) {
            Some((_, module)) => module,
            None => &mut global,
        };
        register_entry(module, entry);
    }
    for (type_id, items) in table.iterators.iter().copied() {
        let context = context.clone();
        global.set_iter_result(type_id, move |value| {
            Box::new(Watched {
                items: items(value),
                failure: None,
                context: context.clone(),
            })
        });
    }
    engine.register_global_module(global.into());
    for (name, module) in spaces {
        engine.register_static_module(rhai_name(name), module.into());
    }
}

/// The items of a `for`, ended by the first error. In a loop with an empty body Rhai does not look at the items and would not notice the
/// error: it asks for another one. Then the script is ended (which `try` cannot stop).
struct Watched {
    items: Items,
    failure: Option<String>,
    context: Context,
}

impl Iterator for Watched {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if let Some(failure) = self.failure.take() {
            self.context.set_passed_over(failure);
            return Some(Ok(Dynamic::UNIT)); // the step of the loop at which the script ends
        }
        let item = self.items.next();
        if let Some(Err(error)) = &item {
            self.failure = Some(match &**error {
                EvalAltResult::ErrorRuntime(value, _) => value.to_string(),
                EvalAltResult::ErrorTerminated(..) => return item,
                other => other.to_string(),
            });
        }
        item
    }
}

/// One entry, for every number of arguments it may be called with.
fn register_entry(module: &mut Module, entry: &Rc<Entry>) {
    if entry.body.is_none() {
        return;
    }
    let receiver = usize::from(entry.receiver_type.is_some());
    let most = entry.params.len().min(MAX_POSITIONAL + receiver) + SURPLUS;
    if entry.kind == Kind::Function || entry.kind == Kind::Getter {
        for arity in receiver..=most {
            let options = FuncRegistration::new(rhai_name(entry.name)).in_global_namespace();
            set(module, options, entry, arity);
        }
    }
    if entry.kind == Kind::Getter {
        set(module, FuncRegistration::new_getter(entry.name), entry, receiver);
    }
    if entry.kind == Kind::Setter {
        // Not `new_setter`: it fixes whether the function is pure, which a raw function says itself.
        let options = FuncRegistration::new(format!("set${}", entry.name)).in_global_namespace();
        set(module, options, entry, receiver + 1);
    }
}

fn set(module: &mut Module, mut options: FuncRegistration, entry: &Rc<Entry>, arity: usize) {
    if !entry.namespace.is_empty() {
        options = options.with_namespace(rhai::FnNamespace::Internal);
    }
    let mut types = vec![TypeId::of::<Dynamic>(); arity];
    if let (Some(first), Some(receiver)) = (types.first_mut(), entry.receiver_type) {
        *first = receiver;
    }
    let entry = entry.clone();
    let function = RhaiFunc::Method {
        func: Rc::new(move |native: Option<NativeCallContext>, args: &mut [&mut Dynamic]| {
            dispatch(&entry, native, args)
        }),
        has_context: true,
        is_pure: true,
        is_volatile: true,
    };
    options.set_into_module_raw(module, types, function);
}

/// Call an entry's body with the arguments bound to its parameters.
fn dispatch(
    entry: &Entry,
    native: Option<NativeCallContext>,
    args: &mut [&mut Dynamic],
) -> std::result::Result<Dynamic, Box<EvalAltResult>> {
    let name = entry.full_name();
    let (Some(body), Some(native)) = (entry.body, native) else {
        return Err(script_error(Error::usage(format!("{name}: cannot be called here"))));
    };
    let given: Vec<Dynamic> = args.iter().map(|a| (**a).clone()).collect();
    let skip = usize::from(entry.receiver_type.is_some());
    Call::run(&native, &name, |call| {
        let mut values = Values::bind(&name, &|| entry.signature(), &entry.params, skip, given)?;
        body(call, &mut values)
    })
}
