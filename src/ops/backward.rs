//! [`Tape`]: the steps that operations recorded, and the one backward pass through them and through candle's graph.
//!
//! A result owns its step (as its operation in candle's graph), a step the steps of its arguments, and a tape none: what nobody
//! holds any more is gone with all that it kept. The tape knows the living steps by their results, so that an operation
//! finds those of its arguments.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, DType, Layout, Result as EngineResult, Shape, Tensor, TensorId, Var,
};

use super::graph::{Handed, Output, link, link_on_gpu};
use super::kernel::cpu::fill_by;
use super::kernel::{View, by_dtype, on_gpu, plain};
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
        let result = anchor.apply_op1(Node {
            step: step.clone(),
            output: Handed::new(name, output),
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
        let (mut gradients, mut pending) = (HashMap::new(), Pending::new());
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
                        self.through_candle(&t.apply_op1(Seed(part))?, &mut gradients, &mut pending)?;
                    }
                }
            }
        }
        let (mut store, mut known) = (GradStore::default(), HashSet::new());
        for (id, gradient) in gradients {
            // what changes one variable's gradient in place must not change another's
            let shared = !known.insert(std::ptr::from_ref(&*gradient.storage_and_layout().0));
            store.insert_id(id, if shared { gradient.copy()? } else { gradient });
        }
        Ok(store)
    }

    /// Candle's backward pass from the scalar `from` to variables and to results of this tape.
    fn through_candle(
        &self,
        from: &Tensor,
        gradients: &mut HashMap<TensorId, Tensor>,
        pending: &mut Pending,
    ) -> Result<()> {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A step as an operation of candle's graph: it owns the step, and tells the tape of the gradient that arrives.
struct Node {
    step: Arc<Step>,
    output: Handed,
}

impl CustomOp1 for Node {
    fn name(&self) -> &'static str {
        self.step.name
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> EngineResult<(CpuStorage, Shape)> {
        self.output.take_cpu()
    }
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> EngineResult<(CudaStorage, Shape)> {
        self.output.take_cuda()
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> EngineResult<Option<Tensor>> {
        match &mut *lock(&self.step.tape.reached) {
            Some(reached) => reached.push((self.step.clone(), gradient.clone())),
            None => candle_core::bail!("{} is recorded on a tape; call Tape::backward", self.step.name),
        }
        Ok(None)
    }
}

/// The start of a candle backward pass whose gradient is known.
struct Seed(Tensor);

impl CustomOp1 for Seed {
    fn name(&self) -> &'static str {
        "backward"
    }
    fn cpu_fwd(&self, t: &CpuStorage, _: &Layout) -> EngineResult<(CpuStorage, Shape)> {
        link(t)
    }
    fn cuda_fwd(&self, t: &CudaStorage, _: &Layout) -> EngineResult<(CudaStorage, Shape)> {
        link_on_gpu(t)
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> EngineResult<Option<Tensor>> {
        Ok(Some(self.0.clone()))
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

/// `sum` with the gradients of `other` added.
pub fn add_gradients(sum: GradStore, other: &GradStore) -> Result<GradStore> {
    let mut gradients = HashMap::new();
    merge(&mut gradients, &sum)?;
    drop(sum);
    merge(&mut gradients, other)?;
    let mut store = GradStore::default();
    for (id, gradient) in gradients {
        store.insert_id(id, gradient);
    }
    Ok(store)
}

/// Add the gradients of `store`.
fn merge(gradients: &mut HashMap<TensorId, Tensor>, store: &GradStore) -> Result<()> {
    for id in store.get_ids() {
        if let Some(part) = store.get_id(*id) {
            accumulate(gradients, *id, part.clone())?;
        }
    }
    Ok(())
}

/// Add `part` to the gradient of `id`.
fn accumulate(gradients: &mut HashMap<TensorId, Tensor>, id: TensorId, part: Tensor) -> Result<()> {
    let sum = match gradients.get(&id) {
        Some(old) => sum(old, part)?,
        None => part,
    };
    gradients.insert(id, sum);
    Ok(())
}

/// The sum of two gradients, outside any graph.
fn sum(a: &Tensor, b: Tensor) -> Result<Tensor> {
    if on_gpu(a.device()) || !matches!(a.dtype(), DType::F32 | DType::F64) {
        return Ok((a.detach() + b.detach())?);
    }
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    Ok(by_dtype!(a, "backward", T => {
        let (x, y) = (View::<T>::of(&a)?, View::<T>::of(&b)?);
        let sum = fill_by(x.len(), |at, out| {
            for ((o, x), y) in out.iter_mut().zip(&x[at..]).zip(&y[at..]) {
                o.write(*x + *y);
            }
        });
        Ok::<_, candle_core::Error>(plain(sum, a.shape()))
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{self, Conv2dOptions, Graph};
    use candle_core::Device;

    #[test]
    fn the_tape_gives_the_gradients_of_candles_graph() {
        let x = Var::randn(0f64, 1.0, (2, 3, 6, 5), &Device::Cpu).unwrap();
        let w = Var::randn(0f64, 1.0, (3, 3, 3, 3), &Device::Cpu).unwrap();
        let b = Var::randn(0f64, 1.0, 3, &Device::Cpu).unwrap();
        let o = Conv2dOptions::same(3, 1, 1);
        // a weight used twice, a residual, a candle operation in between and behind, a value that leads nowhere
        let network = |graph: Graph| -> Tensor {
            let once = graph.conv2d(&x, &w, Some(&b), &o).unwrap();
            let _unused = graph.relu(&once).unwrap();
            let between = (graph.relu(&once).unwrap() + &once).unwrap().transpose(2, 3).unwrap();
            let twice = graph.conv2d(&between, &w, None, &o).unwrap();
            let joined = graph
                .concat(&[&twice, &between.contiguous().unwrap(), &twice], 1)
                .unwrap();
            (graph.resize_bilinear(&joined, [7, 9], true).unwrap().sqr().unwrap() * 0.5)
                .unwrap()
                .mean_all()
                .unwrap()
        };
        let expected = network(Graph::default()).backward().unwrap();
        let tape = Tape::new();
        let found = tape.backward(&network(Graph::on(&tape))).unwrap();
        for var in [&x, &w, &b] {
            let (a, b) = (expected.get(var).unwrap(), found.get(var).unwrap());
            let error = (a - b)
                .unwrap()
                .abs()
                .unwrap()
                .max_all()
                .unwrap()
                .to_scalar::<f64>()
                .unwrap();
            assert!(error < 1e-12, "{error}");
        }
        assert!(tape.is_empty());
        assert!(ops::relu(&x).unwrap().track_op());
    }

    fn number(t: &Tensor) -> f64 {
        t.to_scalar().unwrap()
    }

    #[test]
    fn what_nobody_holds_is_gone() {
        let tape = Tape::new();
        let x = Var::randn(0f64, 1.0, (1, 2, 5, 5), &Device::Cpu).unwrap();
        let pass = || {
            let y = Graph::on(&tape).relu(&x).unwrap();
            Graph::on(&tape).relu(&(y * 2.0).unwrap()).unwrap()
        };
        for _ in 0..200 {
            let _unused = pass();
        }
        assert!(tape.is_empty());
        let (kept, other) = (pass(), pass());
        assert_eq!(tape.len(), 4);
        drop(other);
        let loss = kept.sqr().unwrap().sum_all().unwrap();
        assert_eq!(tape.len(), 2);
        drop(loss); // never used
        drop(kept);
        assert!(tape.is_empty());
    }

    #[test]
    fn a_second_pass_needs_the_first_to_retain() {
        let tape = Tape::new();
        let x = Var::new(&[3.0, -1.0], &Device::Cpu).unwrap();
        let y = Graph::on(&tape).relu(&x).unwrap();
        let gradient = |g: GradStore| g.get(&x).unwrap().to_vec1::<f64>().unwrap();
        let sum = y.sum_all().unwrap();
        assert_eq!(gradient(tape.backward_and_retain(&sum).unwrap()), [1.0, 0.0]);
        let square = y.sqr().unwrap().sum_all().unwrap();
        assert_eq!(gradient(tape.backward(&square).unwrap()), [6.0, 0.0]);
        let text = tape.backward(&sum).unwrap_err().to_string();
        assert!(text.contains("at relu") && text.contains("retain_graph"), "{text}");
        // candle's own backward would stop at the result
        let text = sum.backward().unwrap_err().to_string();
        assert!(text.contains("Tape::backward"), "{text}");
    }

    #[test]
    fn what_lasts_is_gone_through_again_and_variables_share_no_gradient() {
        let tape = Tape::new();
        let (a, b) = (
            Var::new(&[3.0, -1.0], &Device::Cpu).unwrap(),
            Var::new(&[2.0, 2.0], &Device::Cpu).unwrap(),
        );
        let graph = Graph::lasting_on(&tape);
        let sum = graph
            .add(&a, &graph.reshaped(&b.reshape((2, 1)).unwrap(), &[2]).unwrap())
            .unwrap();
        for _ in 0..2 {
            let g = tape.backward(&sum).unwrap();
            ops::optimizer::scale_in_place(g.get(&a).unwrap(), 5.0).unwrap();
            assert_eq!(g.get(&a).unwrap().to_vec1::<f64>().unwrap(), [5.0, 5.0]);
            assert_eq!(g.get(&b).unwrap().to_vec1::<f64>().unwrap(), [1.0, 1.0]);
        }
        // behind what is freed it stays, and says so
        let freed = Graph::on(&tape).relu(&a).unwrap();
        let behind = graph.add(&freed, &b).unwrap();
        assert!(tape.frees(&freed) && !tape.frees(&behind));
        tape.backward(&behind).unwrap();
        assert!(tape.backward(&behind).unwrap_err().to_string().contains("at relu"));
        drop((sum, freed, behind));
        assert!(tape.is_empty());
    }

    #[test]
    fn a_loss_that_is_a_step_and_sums_of_passes() {
        let tape = Tape::new();
        let graph = Graph::on(&tape);
        let w = Var::new(&[[[[2.0]]]], &Device::Cpu).unwrap();
        let x = Var::new(&[[[[3.0]]]], &Device::Cpu).unwrap();
        let o = Conv2dOptions::same(1, 1, 1);
        let once = graph.conv2d(&x, &w, None, &o).unwrap(); // w x = 6
        let loss = graph.conv2d(&once, &w, None, &o).unwrap(); // w^2 x = 12
        let g = tape.backward_and_retain(&loss).unwrap();
        assert_eq!(number(&g.get(&w).unwrap().flatten_all().unwrap().get(0).unwrap()), 12.0); // 2 w x
        let both = (loss.sum_all().unwrap() + once.sum_all().unwrap()).unwrap();
        let g = tape.backward(&both).unwrap();
        assert_eq!(number(&g.get(&w).unwrap().flatten_all().unwrap().get(0).unwrap()), 15.0); // 2 w x + x
        assert_eq!(number(&g.get(&x).unwrap().flatten_all().unwrap().get(0).unwrap()), 6.0); // w^2 + w
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_steps_is_dropped_without_deep_recursion() {
        let work = || {
            let tape = Tape::new();
            let x = Var::new(&[1.0], &Device::Cpu).unwrap();
            let mut y = Graph::on(&tape).relu(&x).unwrap();
            for _ in 0..100_000 {
                y = Graph::on(&tape).relu(&y).unwrap();
            }
            let g = tape.backward_and_retain(&y.sum_all().unwrap()).unwrap();
            assert_eq!(g.get(&x).unwrap().to_vec1::<f64>().unwrap(), [1.0]);
            drop(y);
            assert!(tape.is_empty());
        };
        let small = std::thread::Builder::new().stack_size(1 << 19).spawn(work).unwrap();
        assert!(small.join().is_ok());
    }
}
