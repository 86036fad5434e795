//! [`Tape`]: the steps that operations recorded, and the one backward pass through them and through candle's graph.
//!
//! A result owns its step (as its operation in candle's graph), a step the steps of its arguments, and a tape none: what nobody
//! holds any more is gone with all that it kept. The tape knows the living steps by their results, so that an operation
//! finds those of its arguments.

mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use candle_core::backprop::GradStore;
use candle_core::{DType, Result as EngineResult, Tensor, TensorId, Var, bail};

use super::gradients::{accumulate, sum};
use super::graph::{Output, lock, node, zero};
use super::tape::{Again, Kept};
use crate::error::Result;
use crate::fail;

/// The gradients of a step's arguments from that of its result.
pub(super) type StepBackward = Arc<dyn Fn(&Tensor) -> EngineResult<Vec<Option<Tensor>>> + Send + Sync>;

/// Where operations are recorded; a handle, clones are the same tape. It serves any number of passes, one after the other or
/// nested, and keeps nothing alive.
#[derive(Clone, Default)]
pub struct Tape(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The living steps by their results.
    steps: Mutex<HashMap<TensorId, Weak<Step>>>,
    /// How many steps were ever made.
    count: AtomicU64,
    /// The steps that candle's part of a backward pass arrived at, with the gradients it brought; `None` outside of one.
    reached: Mutex<Option<Vec<Reached>>>,
    /// One variable per device: candle goes on to the end of its graph only where a variable is.
    anchors: Mutex<Vec<Tensor>>,
    /// What dying steps held, one after the other: a long chain of them must not be a deep recursion.
    dying: Mutex<Dying>,
}

/// A step and a gradient of its result.
type Reached = (Arc<Step>, Tensor);

#[derive(Default)]
struct Dying {
    held: Vec<Held>,
    busy: bool,
}

/// One recorded operation.
struct Step {
    name: &'static str,
    /// Greater than the numbers of all steps it depends on.
    number: u64,
    result: OnceLock<TensorId>,
    held: Mutex<Held>,
    /// Whether a backward pass leaves it as it is.
    lasting: bool,
    tape: Arc<Shared>,
}

/// What a step keeps alive.
#[derive(Default)]
struct Held {
    arguments: Vec<Argument>,
    /// Gone once a backward pass has been here.
    backward: Option<StepBackward>,
    again: Option<Again>,
}

/// Where the gradient of one argument goes.
#[derive(Clone)]
enum Argument {
    /// Nowhere.
    Untracked,
    /// To a variable.
    Leaf(TensorId),
    /// To the result of an earlier step.
    Step(Arc<Step>),
    /// Through candle's graph, which a candle operation behind a step or a variable has made.
    Candle(Tensor),
}

/// The steps whose gradients are complete or becoming so, by number.
type Pending = BTreeMap<u64, Reached>;

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many recorded results are alive, with all that they keep.
    pub fn len(&self) -> usize {
        lock(&self.0.steps).len()
    }

    /// Whether no recorded result is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `t` is a result recorded here that a backward pass frees.
    pub fn frees(&self, t: &Tensor) -> bool {
        self.find(t).is_some_and(|step| !step.lasting)
    }

    fn find(&self, t: &Tensor) -> Option<Arc<Step>> {
        let found = lock(&self.0.steps).get(&t.id()).cloned();
        found?.upgrade()
    }

    fn argument(&self, t: &Tensor) -> Argument {
        match (t.track_op(), t.is_variable()) {
            (false, _) => Argument::Untracked,
            (true, true) => Argument::Leaf(t.id()),
            (true, false) => match self.find(t) {
                Some(step) => Argument::Step(step),
                None => Argument::Candle(t.clone()),
            },
        }
    }

    /// `t`, or how it is computed again.
    pub(super) fn keep(&self, t: &Tensor) -> Kept {
        let again = self.find(t).and_then(|step| lock(&step.held).again.clone());
        again.map_or_else(|| Kept::Value(t.clone()), Kept::Again)
    }

    pub(super) fn recomputable(&self, result: &Tensor, again: Again) {
        if let Some(step) = self.find(result) {
            lock(&step.held).again = Some(again);
        }
    }

    /// `output` as the result of a new step, which is freed by a backward pass or lasts; `backward` gets that result.
    pub(super) fn push(
        &self,
        name: &'static str,
        arguments: &[&Tensor],
        output: Output,
        lasting: bool,
        backward: impl FnOnce(&Tensor) -> StepBackward,
    ) -> EngineResult<Tensor> {
        let anchor = self.anchor(&output)?;
        let step = Arc::new(Step {
            name,
            number: self.0.count.fetch_add(1, Ordering::Relaxed),
            result: OnceLock::new(),
            held: Mutex::new(Held {
                arguments: arguments.iter().map(|t| self.argument(t)).collect(),
                ..Held::default()
            }),
            lasting,
            tape: self.0.clone(),
        });
        // the result owns the step, which tells the tape of the gradient that arrives
        let owned = step.clone();
        let result = node(name, &anchor, output, move |_, _, gradient| {
            match &mut *lock(&owned.tape.reached) {
                Some(reached) => reached.push((owned.clone(), gradient.clone())),
                None => bail!("{name} is recorded on a tape; call Tape::backward"),
            }
            Ok(None)
        })?;
        lock(&step.held).backward = Some(backward(&result));
        let _ = step.result.set(result.id());
        lock(&self.0.steps).insert(result.id(), Arc::downgrade(&step));
        Ok(result)
    }

    /// The variable on the device of `output`.
    fn anchor(&self, output: &Output) -> EngineResult<Tensor> {
        let device = output.storage.device();
        let mut anchors = lock(&self.0.anchors);
        if let Some(anchor) = anchors.iter().find(|t| t.device().same_device(&device)) {
            return Ok(anchor.clone());
        }
        let anchor = Var::zeros(1, DType::F32, &device)?.into_inner();
        anchors.push(anchor.clone());
        Ok(anchor)
    }

    /// The gradients of `loss` by every variable it depends on, through this tape and candle's graph.
    ///
    /// Each step is dropped with what it kept as soon as it has run: a second backward pass through the same results is an error.
    ///
    /// # Errors
    /// Those of the operations' backward passes; steps that were gone through before; a loss on a device without kernels.
    pub fn backward(&self, loss: &Tensor) -> Result<GradStore> {
        self.run(loss, true)
    }

    /// [`Tape::backward`] that leaves the steps as they are, so that another one can follow.
    pub fn backward_and_retain(&self, loss: &Tensor) -> Result<GradStore> {
        self.run(loss, false)
    }

    fn run(&self, loss: &Tensor, release: bool) -> Result<GradStore> {
        let (mut gradients, mut pending) = (GradStore::default(), Pending::new());
        match self.find(loss) {
            Some(step) => {
                pending.insert(step.number, (step, loss.detach().ones_like()?));
            }
            None => self.through_candle(loss, &mut gradients, &mut pending)?,
        }
        while let Some((_, (step, gradient))) = pending.pop_last() {
            let (arguments, backward) = step.take(release)?;
            let parts = backward(&gradient.contiguous()?)?;
            drop((backward, gradient, step));
            for (argument, part) in arguments.into_iter().zip(parts) {
                let Some(part) = part else { continue };
                match argument {
                    Argument::Untracked => {}
                    Argument::Leaf(id) => accumulate(&mut gradients, id, part)?,
                    Argument::Step(step) => arrive(&mut pending, step, part)?,
                    Argument::Candle(t) => {
                        // candle's pass begins at a node whose gradient is the one at hand
                        let seed = move |_: &Tensor, _: &Tensor, _: &Tensor| Ok(Some(part.clone()));
                        let from = node("backward", &t, zero(t.device())?, seed)?;
                        self.through_candle(&from, &mut gradients, &mut pending)?;
                    }
                }
            }
        }
        // what changes one variable's gradient in place must not change another's
        let mut known = HashSet::new();
        for id in gradients.get_ids().copied().collect::<Vec<_>>() {
            let Some(gradient) = gradients.get_id(id) else { continue };
            if !known.insert(std::ptr::from_ref(&*gradient.storage_and_layout().0)) {
                let own = gradient.copy()?;
                gradients.insert_id(id, own);
            }
        }
        Ok(gradients)
    }

    /// Candle's backward pass from the scalar `from` to variables and to results of this tape.
    fn through_candle(&self, from: &Tensor, gradients: &mut GradStore, pending: &mut Pending) -> Result<()> {
        // candle gives constants a gradient as well
        let variables = from.sorted_nodes().into_iter().filter(|t| t.is_variable());
        let variables: Vec<TensorId> = variables.map(Tensor::id).collect();
        *lock(&self.0.reached) = Some(Vec::new());
        let store = from.backward();
        let reached = lock(&self.0.reached).take().unwrap_or_default();
        let store = store?;
        for id in variables {
            if let Some(part) = store.get_id(id) {
                accumulate(gradients, id, part.clone())?;
            }
        }
        reached
            .into_iter()
            .try_for_each(|(step, part)| arrive(pending, step, part))
    }
}

impl Step {
    /// What a backward pass needs of it.
    fn take(&self, release: bool) -> Result<(Vec<Argument>, StepBackward)> {
        let mut held = lock(&self.held);
        let Some(backward) = held.backward.clone() else {
            fail!(
                "backward: the pass through this network (at {}) was gone through by a backward() before, which freed its maps; \
                 add the losses and call backward() once, call the network again, or keep the maps the first time with \
                 backward(#{{ retain_graph: true }})",
                self.name
            )
        };
        let arguments = held.arguments.clone();
        let freed = if release && !self.lasting {
            std::mem::take(&mut *held)
        } else {
            Held::default()
        };
        drop(held);
        drop(freed);
        Ok((arguments, backward))
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(id) = self.result.get() {
            lock(&self.tape.steps).remove(id);
        }
        let held = std::mem::take(self.held.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut dying = lock(&self.tape.dying);
        dying.held.push(held);
        if dying.busy {
            return;
        }
        dying.busy = true;
        while let Some(held) = dying.held.pop() {
            drop(dying);
            drop(held);
            dying = lock(&self.tape.dying);
        }
        dying.busy = false;
    }
}

/// Add `part` to the gradient of a step's result.
fn arrive(pending: &mut Pending, step: Arc<Step>, part: Tensor) -> Result<()> {
    let sum = match pending.get(&step.number) {
        Some((_, old)) => sum(old, part)?,
        None => part,
    };
    pending.insert(step.number, (step, sum));
    Ok(())
}
