//! Putting an operation's result into candle's graph: [`record`] joins any number of arguments, a result and its backward.
//!
//! candle's custom operations compute their result themselves and take one to three arguments. Here the result is computed first and
//! handed over by a small adapter, [`node`], that has one argument. Each argument of an operation hangs on its node by a link of one
//! number, whose own backward hands over the gradient that the node left for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, DType, Device, Layout, Result, Shape, Storage, Tensor, bail};

/// The result of an operation before it enters the graph.
pub(crate) struct Output {
    /// The elements, contiguous.
    pub(crate) storage: Storage,
    /// Its shape.
    pub(crate) shape: Shape,
}

/// The gradients of the arguments, in order: `backward(arguments, result, gradient of the result)`. `None` only for an
/// argument whose `track_op()` is false.
pub(crate) trait Backward:
    Fn(&[&Tensor], &Tensor, &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static
{
}
impl<F: Fn(&[&Tensor], &Tensor, &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static> Backward for F {}

/// `output` as a tensor whose gradient flows to `arguments` by `backward`; a plain tensor if no argument is tracked.
pub(crate) fn record(
    name: &'static str,
    arguments: &[&Tensor],
    output: Output,
    backward: impl Backward,
) -> Result<Tensor> {
    let kept: Vec<Tensor> = arguments.iter().map(|t| (*t).clone()).collect();
    let mut tracked = kept.iter().enumerate().filter(|(_, t)| t.track_op()).peekable();
    if tracked.peek().is_none() {
        return Ok(Tensor::from_storage(
            output.storage,
            output.shape,
            BackpropOp::none(),
            false,
        ));
    }
    let gradients: Arc<Mutex<Vec<Option<Tensor>>>> = Arc::default();
    let link = |(index, argument): (usize, &Tensor)| {
        let gradients = gradients.clone();
        let own = move |_: &Tensor, _: &Tensor, _: &Tensor| Ok(lock(&gradients).get_mut(index).and_then(Option::take));
        node(name, argument, zero(argument.device())?, own)
    };
    let links = Tensor::cat(&tracked.map(link).collect::<Result<Vec<_>>>()?, 0)?;
    node(name, &links, output, move |links, result, gradient| {
        let arguments: Vec<&Tensor> = kept.iter().collect();
        *lock(&gradients) = backward(&arguments, result, &gradient.contiguous()?)?;
        Ok(Some(links.detach()))
    })
}

/// `output` as a tensor behind `argument` in candle's graph. `backward(argument, output, gradient of the output)` gives the gradient
/// of the argument.
pub(super) fn node(
    name: &'static str,
    argument: &Tensor,
    output: Output,
    backward: impl Fn(&Tensor, &Tensor, &Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
) -> Result<Tensor> {
    argument.apply_op1(Node {
        name,
        output: Mutex::new(Some(output)),
        backward,
    })
}

/// The value of a node that is there for its gradient alone.
pub(super) fn zero(device: &Device) -> Result<Output> {
    let zero = Tensor::zeros(1, DType::F32, device)?;
    let (storage, layout) = zero.storage_and_layout();
    Ok(Output {
        storage: storage.try_clone(layout)?,
        shape: Shape::from(1),
    })
}

/// What a mutex guards, also behind a thread that panicked.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A result on its way into candle's graph, which asks for it as if it were computed only then.
struct Node<F> {
    name: &'static str,
    output: Mutex<Option<Output>>,
    backward: F,
}

impl<F: Fn(&Tensor, &Tensor, &Tensor) -> Result<Option<Tensor>>> CustomOp1 for Node<F> {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match lock(&self.output).take() {
            Some(Output {
                storage: Storage::Cpu(storage),
                shape,
            }) => Ok((storage, shape)),
            _ => bail!("internal: the result of {} is not on its arguments' device", self.name),
        }
    }
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        match lock(&self.output).take() {
            Some(Output {
                storage: Storage::Cuda(storage),
                shape,
            }) => Ok((storage, shape)),
            _ => bail!("internal: the result of {} is not on its arguments' device", self.name),
        }
    }
    fn bwd(&self, argument: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        (self.backward)(argument, result, gradient)
    }
}
