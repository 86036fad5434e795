//! The script's closures as the functions that a run calls.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use crate::data::Batch;
use crate::error::meant;
use crate::loss::pixel_contrast::Memory;
use crate::nn::Pass;
use crate::random::Random;
use crate::script::api::tensor::number;
use crate::script::api::{Model, ScriptMemory, batch_map};
use crate::script::prelude::*;
use crate::script::values::describe;
use crate::train::{Event, Flow, Hooks, Lent, Listener, LossValue, Moment, Run};

/// The stream of random numbers inside a loss closure.
const CLOSURE: u64 = 0xC105;

/// What a script gave a run to call, and the network that it averages into.
#[derive(Clone, Default)]
pub(super) struct Closures {
    pub(super) average: Option<Model>,
    pub(super) loss: Option<FnPtr>,
    pub(super) schedule: Option<FnPtr>,
    pub(super) temperature: Option<FnPtr>,
    pub(super) on_step: Option<FnPtr>,
    pub(super) on_epoch: Option<FnPtr>,
}

impl Closures {
    /// What the run changes of the script's: the network for its average, and the memories that the closures use, found among the
    /// variables that they captured, in the order of their texts.
    pub(super) fn lent(&self) -> Lent {
        let mut found = Found::default();
        let all = [
            &self.loss,
            &self.on_step,
            &self.on_epoch,
            &self.schedule,
            &self.temperature,
        ];
        all.into_iter().flatten().for_each(|closure| found.look_into(closure));
        Lent {
            average: self.average.clone().map(|model| model.0),
            memories: found.memories,
        }
    }

    /// As the functions that `run` calls.
    pub(super) fn hooks<'a>(&'a self, ctx: &'a Call, run: &Run) -> Hooks<'a> {
        let model = Model(run.model().clone());
        let (seed, accumulate) = (run.config().seed, run.config().course.accumulate);
        let loss = move |batches: &[Batch], pass: &Pass, at: usize| {
            let Some(closure) = &self.loss else {
                fail!("{}: the loss is a closure; give it again to go on", ctx.function())
            };
            // The draws inside the closure (dropout, randn) follow from the step, so that a resumed run repeats them.
            let stream = Random::derived(seed, &[CLOSURE, at as u64]).bits();
            let maps = batches.iter().map(|batch| {
                let mut map = batch_map(batch.clone());
                map.insert("step".into(), Dynamic::from_int((at / accumulate) as i64));
                Dynamic::from(map)
            });
            let arguments: Vec<Dynamic> = std::iter::once(Dynamic::from(model.clone())).chain(maps).collect();
            let call = || ctx.session().with_seed(stream, || ctx.call(closure, arguments));
            let value = ctx.within(pass, Some(&model.0), call)?;
            loss_value(ctx.function(), &value)
        };
        let number = move |what: &str, closure: &Option<FnPtr>, step: usize| -> Result<f64> {
            let Some(closure) = closure else {
                fail!("{}: {what} is a closure; give it again to go on", ctx.function())
            };
            let value = ctx.call_as(what, closure, (step as i64,))?;
            match <f64 as Arg>::convert(&value) {
                Some(number) => Ok(number),
                None => fail!(
                    "{}: {what} must return a number, found {}",
                    ctx.function(),
                    describe(&value)
                ),
            }
        };
        let listener = move |event: &Event| {
            let (name, closure) = match event.moment {
                Moment::Step => ("on_step", &self.on_step),
                Moment::Epoch => ("on_epoch", &self.on_epoch),
            };
            let Some(closure) = closure else {
                return Ok(Flow::Continue);
            };
            let answer = ctx.call_as(name, closure, (event_map(event),))?;
            Ok(flow(ctx, name, event.moment, &answer))
        };
        let listens = self.on_step.is_some() || self.on_epoch.is_some();
        Hooks {
            loss: Some(Box::new(loss)),
            tape: ctx.tape().clone(),
            schedule: Some(Box::new(move |step| number("the schedule", &self.schedule, step))),
            temperature: Some(Box::new(move |step| number("the temperature", &self.temperature, step))),
            listener: listens.then(|| Box::new(listener) as Listener),
            epochs_only: self.on_step.is_none(),
        }
    }
}

/// Memories among captured variables.
#[derive(Default)]
struct Found {
    memories: Vec<Rc<RefCell<Memory>>>,
    /// Where the arrays, maps and closures lie that were looked into: a map may hold a closure that captured the map.
    seen: HashSet<usize>,
}

impl Found {
    fn look_into(&mut self, closure: &FnPtr) {
        closure.iter_curry().for_each(|value| self.look_at(value));
    }

    fn look_at(&mut self, value: &Dynamic) {
        if let Some(memory) = value.read_lock::<ScriptMemory>() {
            let memory = memory.shared();
            if !self.memories.iter().any(|known| Rc::ptr_eq(known, &memory)) {
                self.memories.push(memory);
            }
        } else if let Some(array) = value.read_lock::<Array>() {
            if self.is_new(&*array) {
                array.iter().for_each(|value| self.look_at(value));
            }
        } else if let Some(map) = value.read_lock::<Map>() {
            if self.is_new(&*map) {
                map.values().for_each(|value| self.look_at(value));
            }
        } else if let Some(closure) = value.read_lock::<FnPtr>()
            && self.is_new(&*closure)
        {
            self.look_into(&closure);
        }
    }

    fn is_new<T>(&mut self, container: &T) -> bool {
        self.seen.insert(std::ptr::from_ref(container).addr())
    }
}

/// What the loss returned: a tensor, or a map of `loss` and further numbers.
fn loss_value(function: &str, value: &Dynamic) -> Result<LossValue> {
    if let Some(loss) = Tensor::convert(value) {
        return Ok(loss.into());
    }
    let wanted = "a tensor of one number, or #{ loss, .. } with further numbers";
    let Some(map) = value.read_lock::<Map>() else {
        fail!("{function}: the loss must return {wanted}, found {}", describe(value))
    };
    let Some(loss) = map.get("loss").and_then(|loss| Tensor::convert(loss)) else {
        fail!("{function}: the loss must return {wanted}, found a map whose `loss` is no tensor")
    };
    let mut metrics = Vec::new();
    for (name, value) in map.iter().filter(|(name, _)| name.as_str() != "loss") {
        let Some(number) = number(value)? else {
            fail!(
                "{function}: `{name}`, which the loss returned, must be a number, found {}",
                describe(value)
            )
        };
        ensure!(
            !["step", "epoch", "lr", "grad_norm"].contains(&name.as_str()),
            "{function}: the loss returned `{name}`, a column that the history has of its own; choose another name"
        );
        metrics.push((name.to_string(), number));
    }
    Ok(LossValue { loss, metrics })
}

/// `#{ step, epoch, loss, lr, metrics }`.
fn event_map(event: &Event) -> Map {
    let metrics = event.metrics.iter();
    let metrics: Map = metrics
        .map(|(name, value)| (name.as_str().into(), (*value).into()))
        .collect();
    named([
        ("step", Dynamic::from_int(event.step as i64)),
        ("epoch", Dynamic::from_int(event.epoch as i64)),
        ("loss", event.loss.into()),
        ("lr", event.lr.into()),
        ("metrics", metrics.into()),
    ])
}

/// A callback's answer. Only "stop" and "skip" mean something: a closure may end in any other value by accident, such as the path
/// that `save` answers. What looks like one of the two gets a warning.
fn flow(ctx: &Call, name: &str, moment: Moment, answer: &Dynamic) -> Flow {
    let Ok(answer) = answer.as_immutable_string_ref() else {
        return Flow::Continue;
    };
    let warn = |text: String| {
        let answer = answer.as_str();
        ctx.session()
            .warn_once(&format!("{}: {name} answered \"{answer}\"; {text}", ctx.function()));
        Flow::Continue
    };
    match (answer.as_str(), moment) {
        ("stop", _) => Flow::Stop,
        ("skip", Moment::Step) => Flow::SkipBatch,
        ("skip", Moment::Epoch) => warn("at the end of an epoch there is no batch to skip".into()),
        (other, _) => match meant(other, ["stop", "skip"], "\"", "\"") {
            Some(hint) => warn(format!("that means nothing; {hint}")),
            None => Flow::Continue,
        },
    }
}
