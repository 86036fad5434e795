//! What a running function knows: the session, whether gradients are tracked, the script's arguments, the table.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use candle_core::Tensor;
use rhai::{Dynamic, Engine, EvalAltResult, FnPtr, Module, Position};

use super::argument::Argument;
use super::definitions::Definition;
use super::report::Report;
use super::sources::Sources;
use super::table::Table;
use super::translate;
use crate::error::Error;
use crate::nn::{Known, Parameter, Pass, Segmenter};
use crate::ops::{Graph, Precision, Tape};
use crate::session::Session;

/// The value of a Ctrl-C that ends a script; `try`/`catch` cannot swallow it.
pub const INTERRUPTED: &str = "interrupted";

/// What Rhai's calls give.
pub(super) type RhaiResult = std::result::Result<Dynamic, Box<EvalAltResult>>;

/// The state of one engine, shared by all functions called in it. It travels as the engine's tag.
#[derive(Clone)]
pub struct Context(Rc<State>);

struct State {
    session: Session,
    table: Rc<Table>,
    tape: Tape,
    networks: RefCell<Vec<Weak<RefCell<Segmenter>>>>,
    outer: Scoped<Option<Outer>>,
    engine: RefCell<Weak<Engine>>,
    modules: RefCell<Vec<(String, rhai::Shared<Module>)>>,
    no_grad: Scoped<bool>,
    interactive: Cell<bool>,
    pending: RefCell<Option<Box<EvalAltResult>>>,
    paused: RefCell<Option<Dynamic>>,
    passed_over: RefCell<Option<String>>,
    caught: RefCell<Option<Report>>,
    arguments: RefCell<BTreeMap<String, Argument>>,
    sources: Sources,
}

/// A value that is another one while a function runs.
#[derive(Default)]
struct Scoped<T>(RefCell<T>);

impl<T> Scoped<T> {
    /// Run `body` with this value; the one before comes back when it ends, in whichever way.
    fn with<R>(&self, value: T, body: impl FnOnce() -> R) -> R {
        struct Restore<'a, T>(&'a RefCell<T>, Option<T>);
        impl<T> Drop for Restore<'_, T> {
            fn drop(&mut self) {
                if let Some(before) = self.1.take() {
                    self.0.replace(before);
                }
            }
        }
        let _restore = Restore(&self.0, Some(self.0.replace(value)));
        body()
    }
}

/// How networks compute that a closure calls during a pass of a training or of another network.
#[derive(Clone)]
pub struct Outer {
    /// The only network that this is said of; of all if absent.
    of: Option<Weak<RefCell<Segmenter>>>,
    /// Whether they may be in training mode.
    pub training: bool,
    /// What the factors of convolutions are rounded to.
    pub precision: Precision,
    /// Whether batch norm keeps to its running statistics.
    pub frozen_norm: bool,
    /// Maps that need not be computed.
    pub(crate) known: Rc<[Known]>,
}

impl Context {
    /// A context for `session` and the functions of `table`.
    pub fn new(session: Session, table: Rc<Table>) -> Self {
        Context(Rc::new(State {
            session,
            table,
            tape: Tape::new(),
            networks: RefCell::default(),
            outer: Scoped::default(),
            engine: RefCell::default(),
            modules: RefCell::default(),
            no_grad: Scoped::default(),
            interactive: Cell::new(false),
            pending: RefCell::default(),
            paused: RefCell::default(),
            passed_over: RefCell::default(),
            caught: RefCell::default(),
            arguments: RefCell::default(),
            sources: Sources::default(),
        }))
    }

    /// The session: device, random state, run folder, output.
    pub fn session(&self) -> &Session {
        &self.0.session
    }

    /// The function table.
    pub fn table(&self) -> &Rc<Table> {
        &self.0.table
    }

    /// Whether gradients are wanted: false inside `tensor::no_grad`, where results are detached and models keep no graph.
    pub fn tracking(&self) -> bool {
        !*self.0.no_grad.0.borrow()
    }

    /// The tape on which networks and losses called in a script are recorded; `backward()` goes through it.
    pub fn tape(&self) -> &Tape {
        &self.0.tape
    }

    /// Where an operation of ours on these tensors is recorded: on the tape, and behind a network so that a backward pass frees it as it
    /// frees the network's maps. What no network is part of can be gone through again.
    pub fn graph(&self, arguments: &[&Tensor]) -> Graph<'_> {
        match self.tracking() {
            true if arguments.iter().any(|t| self.tape().frees(t)) => Graph::on(self.tape()),
            true => Graph::lasting_on(self.tape()),
            false => Graph::default(),
        }
    }

    /// Remember a network that was called, for the names of its parameters.
    pub fn remember_network(&self, network: &Rc<RefCell<Segmenter>>) {
        let mut networks = self.0.networks.borrow_mut();
        let known = |w: &Weak<_>| std::ptr::eq(w.as_ptr(), Rc::as_ptr(network));
        if !networks.iter().any(known) {
            networks.retain(|w| w.strong_count() > 0);
            networks.push(Rc::downgrade(network));
        }
    }

    /// The parameters of the living networks, in the order in which they were first called.
    pub fn networks(&self) -> Vec<Vec<Parameter>> {
        let networks = self.0.networks.borrow();
        let living = networks.iter().filter_map(Weak::upgrade);
        living.map(|network| network.borrow().parameters("")).collect()
    }

    /// How this network computes inside the closure that is running, if that is prescribed.
    pub fn outer(&self, network: &Rc<RefCell<Segmenter>>) -> Option<Outer> {
        let speaks = |of: &Weak<_>| std::ptr::eq(of.as_ptr(), Rc::as_ptr(network));
        let outer = self.0.outer.0.borrow();
        outer.clone().filter(|outer| outer.of.as_ref().is_none_or(speaks))
    }

    /// Whether the closure of a network is running: the networks that it calls are layers of that.
    pub fn in_network(&self) -> bool {
        self.0.outer.0.borrow().as_ref().is_some_and(|outer| outer.of.is_none())
    }

    /// Run `body`, the closure of a network, as a part of `pass`; or the closure of a loss of the network `of`.
    pub fn within<T>(&self, pass: &Pass, of: Option<&Rc<RefCell<Segmenter>>>, body: impl FnOnce() -> T) -> T {
        let outer = Outer {
            of: of.map(Rc::downgrade),
            training: pass.training,
            precision: pass.precision,
            frozen_norm: pass.frozen_norm,
            known: pass.known.into(),
        };
        self.0.outer.with(Some(outer), || match pass.track {
            true => body(),
            false => self.without_tracking(body),
        })
    }

    /// An engine that calls closures (of networks, of data sets) where no call of a script is at hand; one for all of them alive.
    pub fn closure_engine(&self) -> Rc<Engine> {
        if let Some(engine) = self.0.engine.borrow().upgrade() {
            return engine;
        }
        let (mut engine, _) = super::engine::build(self);
        for (name, module) in self.0.modules.borrow().iter() {
            match name.is_empty() {
                true => engine.register_global_module(module.clone()),
                false => engine.register_static_module(name, module.clone()),
            };
        }
        let engine = Rc::new(engine);
        *self.0.engine.borrow_mut() = Rc::downgrade(&engine);
        engine
    }

    /// Remember a module that later inputs know: under a name, or everywhere if that is empty.
    pub(super) fn remember_module(&self, name: &str, module: rhai::Shared<Module>) {
        self.0.modules.borrow_mut().push((name.to_string(), module));
        *self.0.engine.borrow_mut() = Weak::new(); // the engine of later closures knows it too
    }

    /// The error of `function`, whose closure (its `role`) of `given` parameters ended with `error`; see `script::call`.
    pub fn closure_error(
        &self,
        function: &str,
        role: &str,
        closure: &FnPtr,
        given: usize,
        mut error: Box<EvalAltResult>,
    ) -> Error {
        // the frame of the closure's own call is left out of the chain of calls
        while let EvalAltResult::ErrorInFunctionCall(name, _, inner, position) = &mut *error
            && name.as_str() == function
            && position.is_none()
        {
            error = std::mem::replace(inner, Box::new(EvalAltResult::ErrorStackOverflow(Position::NONE)));
        }
        if translate::is_wrong_count(&error, closure) {
            return Error::usage(format!(
                "{function}: it calls {role} with {}, but the closure takes another number of parameters; write |{}| ...",
                count(given, "argument"),
                ["a", "b", "c", "d", "e", "f"]
                    .get(..given)
                    .unwrap_or_default()
                    .join(", ")
            ));
        }
        let interrupted = matches!(error.unwrap_inner(), EvalAltResult::ErrorTerminated(..));
        self.set_aside(error);
        match interrupted {
            true => Error::Interrupted,
            false => Error::Closure,
        }
    }

    /// `t` as a network takes it: detached where no gradients are wanted, so that nothing is kept.
    pub fn seen(&self, t: &Tensor) -> Tensor {
        match self.tracking() {
            true => t.clone(),
            false => t.detach(),
        }
    }

    /// Whether a person types (the REPL). Where Ctrl-C paused a long function that returns what it has so far, clear the
    /// session's cancel flag if this is true, so that the input goes on and the person gets the paused thing; in a script leave
    /// the flag, so that the script ends as interrupted.
    pub fn interactive(&self) -> bool {
        self.0.interactive.get()
    }

    /// Say whether a person types.
    pub fn set_interactive(&self, interactive: bool) {
        self.0.interactive.set(interactive);
    }

    /// Keep what Ctrl-C paused in a person's input. The input goes on to the end of its statement, so that
    /// `let run = train::fit(..)` gets the paused run, and ends there.
    pub fn set_paused(&self, value: Dynamic) {
        *self.0.paused.borrow_mut() = Some(value);
    }

    /// Whether something was paused and the input must end.
    pub fn paused(&self) -> bool {
        self.0.paused.borrow().is_some()
    }

    /// Take what was paused.
    pub fn take_paused(&self) -> Option<Dynamic> {
        self.0.paused.borrow_mut().take()
    }

    /// Run `body` with [`Context::tracking`] off.
    pub fn without_tracking<T>(&self, body: impl FnOnce() -> T) -> T {
        self.0.no_grad.with(true, body)
    }

    /// Remember the command line's `name=value` pairs.
    pub fn set_arguments(&self, arguments: BTreeMap<String, Argument>) {
        let written = arguments.iter().map(|(name, a)| (name.clone(), a.text.clone()));
        self.session().set_arguments(written.collect());
        *self.0.arguments.borrow_mut() = arguments;
    }

    /// The command line's pairs, with whether they were read.
    pub fn arguments(&self) -> BTreeMap<String, Argument> {
        self.0.arguments.borrow().clone()
    }

    /// The argument `name`, now read.
    pub fn argument(&self, name: &str) -> Option<Argument> {
        let mut arguments = self.0.arguments.borrow_mut();
        let argument = arguments.get_mut(name)?;
        argument.read = true;
        Some(argument.clone())
    }

    /// The function `name` of the texts that were run, the latest one.
    pub fn definition(&self, name: &str) -> Option<Definition> {
        self.0.sources.definition(name)
    }

    /// The texts that were run, for reports and help.
    pub(super) fn sources(&self) -> &Sources {
        &self.0.sources
    }

    /// Keep the report of an error that `try` caught, for the case that it is thrown again.
    pub(super) fn set_caught(&self, report: Report) {
        *self.0.caught.borrow_mut() = Some(report);
    }

    /// The report of the error that was caught last, if it has this message.
    pub(super) fn caught(&self, message: &str) -> Option<Report> {
        self.0.caught.borrow().clone().filter(|r| r.message == message)
    }

    /// Keep the error of an iterator whose loop went on past it: Rhai does not look at the items of a loop with an empty body.
    pub(super) fn set_passed_over(&self, text: String) {
        *self.0.passed_over.borrow_mut() = Some(text);
    }

    /// Whether there is such an error, which must end the script.
    pub(super) fn passed_over(&self) -> bool {
        self.0.passed_over.borrow().is_some()
    }

    /// Take that error.
    pub(super) fn take_passed_over(&self) -> Option<String> {
        self.0.passed_over.borrow_mut().take()
    }

    /// Set an error of a script's closure aside while Rust code unwinds with an ordinary [`Error`].
    fn set_aside(&self, error: Box<EvalAltResult>) {
        *self.0.pending.borrow_mut() = Some(error);
    }

    /// Take the error that [`Call::call`] set aside.
    pub(super) fn take_pending(&self) -> Option<Box<EvalAltResult>> {
        self.0.pending.borrow_mut().take()
    }
}

/// `1 argument`, `2 arguments`.
pub(super) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// One of our errors as Rhai's; the position is filled in by the engine.
pub(super) fn script_error(error: Error) -> Box<EvalAltResult> {
    match error {
        Error::Interrupted => EvalAltResult::ErrorTerminated(INTERRUPTED.into(), Position::NONE).into(),
        other => EvalAltResult::ErrorRuntime(super::plain::words(&other.to_string()).into(), Position::NONE).into(),
    }
}
