//! One call of a native function, and the way back into the script.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use rhai::{Dynamic, Engine, EvalAltResult, FnPtr, FuncArgs, GlobalRuntimeState, NativeCallContext, Position};

use super::context::{Context, RhaiResult, script_error};
use super::engine::panic_error;
use super::translate;
use crate::error::{Error, Result};
use crate::fail;

/// One call of a native function: the [`Context`] and the way back into the script.
pub struct Call<'a> {
    context: Context,
    native: &'a NativeCallContext<'a>,
    function: String,
}

impl Deref for Call<'_> {
    type Target = Context;
    fn deref(&self) -> &Context {
        &self.context
    }
}

impl<'a> Call<'a> {
    /// The call of `function` that `native` describes; fails only for an engine without our tag.
    pub fn new(native: &'a NativeCallContext<'a>, function: String) -> Result<Self> {
        match native.tag().and_then(|tag| tag.clone().try_cast::<Context>()) {
            Some(context) => Ok(Call {
                context,
                native,
                function,
            }),
            None => fail!("{function}: the engine carries no session"),
        }
    }

    /// Run `body`, which is called as `function`: its errors and panics become errors of the script, at the place of the call.
    pub(super) fn run<T>(
        native: &NativeCallContext,
        function: &str,
        body: impl FnOnce(&Call) -> Result<T>,
    ) -> std::result::Result<T, Box<EvalAltResult>> {
        let call = Call::new(native, function.to_string()).map_err(script_error)?;
        let mut error = match catch_unwind(AssertUnwindSafe(|| body(&call))) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => call.finish(error),
            Err(panic) => script_error(panic_error(function, &*panic)),
        };
        if error.position().is_none() {
            error.set_position(native.call_position());
        }
        Err(error)
    }

    /// The name of the function being run, for messages.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Rhai's own call context.
    pub fn native(&self) -> &NativeCallContext<'a> {
        self.native
    }

    /// Call a script's closure with these arguments (a tuple, `()` for none).
    ///
    /// An error inside the closure keeps its own position and call chain, however much Rust lies between: return the `Err`
    /// at once and the report shows the closure's error.
    pub fn call(&self, closure: &FnPtr, args: impl FuncArgs) -> Result<Dynamic> {
        self.call_as("its closure", closure, args)
    }

    /// The same for one of several closures; messages call it `role`.
    pub fn call_as(&self, role: &str, closure: &FnPtr, args: impl FuncArgs) -> Result<Dynamic> {
        let mut values: Vec<Dynamic> = Vec::new();
        args.parse(&mut values);
        let given = values.len();
        self.answered(role, closure, given, closure.call_raw(self.native, None, values))
    }

    /// Call a script's closure on the item at `index` of a list: it takes the item, or item and index, or finds the item in `this`.
    pub fn call_on(&self, closure: &FnPtr, mut item: Dynamic, index: usize) -> Result<Dynamic> {
        let index = [Dynamic::from_int(i64::try_from(index).unwrap_or(i64::MAX))];
        let answer = closure.call_raw_with_extra_args(&self.function, self.native, Some(&mut item), [], index, Some(0));
        self.answered("its closure", closure, 1, answer)
    }

    /// Call a script's closure on an entry of a map: it takes name and value, or the name and finds the value in `this`.
    pub fn call_on_entry(&self, closure: &FnPtr, name: &str, mut value: Dynamic) -> Result<Dynamic> {
        let value = Some(&mut value);
        let answer = closure.call_raw_with_extra_args(&self.function, self.native, value, [name.into()], [], Some(1));
        self.answered("its closure", closure, 2, answer)
    }

    /// What a closure gave, or its error as ours.
    fn answered(&self, role: &str, closure: &FnPtr, given: usize, answer: RhaiResult) -> Result<Dynamic> {
        match answer {
            Ok(value) => Ok(value.flatten()),
            Err(error) => Err(self.closure_error(&self.function, role, closure, given, error)),
        }
    }

    /// The error of this call as Rhai's: the closure's own if one was set aside, else ours with the function's name in front.
    pub(super) fn finish(&self, error: Error) -> Box<EvalAltResult> {
        if let Error::Interrupted | Error::Closure = error {
            return self.take_pending().unwrap_or_else(|| script_error(error));
        }
        script_error(Error::Usage(translate::named(self.table(), &self.function, &error)))
    }
}

/// A closure with what it takes to call it where no call of a script is at hand: in a training, an evaluation, a data set.
pub struct Callback {
    /// The closure.
    pub closure: FnPtr,
    /// The state of the engine that it was given in.
    pub context: Context,
    engine: Rc<Engine>,
    /// The functions and modules that the script knew where it gave the closure.
    known: GlobalRuntimeState,
}

impl Callback {
    /// The closure that a script gave in this call.
    pub fn new(call: &Call, closure: FnPtr) -> Self {
        Callback {
            closure,
            context: Context::clone(call),
            engine: call.closure_engine(),
            known: call.native.global_runtime_state().clone(),
        }
    }

    /// Call it on behalf of `function`.
    pub(super) fn call(&self, function: &str, arguments: Vec<Dynamic>) -> RhaiResult {
        let native = NativeCallContext::new_with_all_fields(&self.engine, function, None, &self.known, Position::NONE);
        self.closure.call_raw(&native, None, arguments)
    }
}
