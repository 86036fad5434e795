//! Putting an operation's result into candle's graph: [`record`] joins any number of arguments, a result and its backward.
//!
//! candle's custom operations take one to three arguments; here the result is computed first and handed over by a small
//! adapter, and a fourth and further argument hangs on the node through a one-element tensor whose own backward hands
//! over the gradients that the node left for it (no copies, no zero-filled sums but candle's own).

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Storage, Tensor};

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

type Gradients = Arc<Mutex<Vec<Option<Tensor>>>>;

/// `output` as a tensor whose gradient flows to `arguments` by `backward`; a plain tensor if no argument is tracked.
pub(crate) fn record(
    name: &'static str,
    arguments: &[&Tensor],
    output: Output,
    backward: impl Backward,
) -> Result<Tensor> {
    if !arguments.iter().any(|t| t.track_op()) {
        return Ok(Tensor::from_storage(
            output.storage,
            output.shape,
            BackpropOp::none(),
            false,
        ));
    }
    let rest = arguments.get(2..).unwrap_or_default();
    if arguments.len() <= 3 || !rest.iter().any(|t| t.track_op()) {
        let node = Node {
            name,
            output: Handed::new(name, output),
            backward: Box::new(backward),
            extra: None,
        };
        return match arguments {
            [a] => a.apply_op1(node),
            [a, b] => a.apply_op2(b, node),
            [a, b, c] => a.apply_op3(b, c, node),
            [a, b, rest @ ..] => {
                let node = Node {
                    extra: Some((rest.iter().map(|t| (*t).clone()).collect(), Gradients::default())),
                    ..node
                };
                a.apply_op2(b, node)
            }
            [] => candle_core::bail!("internal: {name} has no argument"),
        };
    }
    // The third and further arguments hang on a chain of one-element tensors.
    let gradients = Gradients::default();
    let kept: Vec<Tensor> = rest.iter().map(|t| (*t).clone()).collect();
    let mut chain = rest[0].apply_op1(Hanger {
        index: 0,
        gradients: gradients.clone(),
    })?;
    for (index, argument) in rest.iter().enumerate().skip(1) {
        chain = chain.apply_op2(
            argument,
            Hanger {
                index,
                gradients: gradients.clone(),
            },
        )?;
    }
    let node = Node {
        name,
        output: Handed::new(name, output),
        backward: Box::new(backward),
        extra: Some((kept, gradients)),
    };
    arguments[0].apply_op3(arguments[1], &chain, node)
}

/// A result on its way into candle's graph, which asks for it as if it were computed only then.
pub(super) struct Handed {
    name: &'static str,
    output: Mutex<Option<Output>>,
}

impl Handed {
    pub(super) fn new(name: &'static str, output: Output) -> Self {
        Handed {
            name,
            output: Mutex::new(Some(output)),
        }
    }

    pub(super) fn take_cpu(&self) -> Result<(CpuStorage, Shape)> {
        match self.take() {
            Some(Output {
                storage: Storage::Cpu(storage),
                shape,
            }) => Ok((storage, shape)),
            _ => candle_core::bail!("internal: the result of {} is not on its arguments' device", self.name),
        }
    }

    pub(super) fn take_cuda(&self) -> Result<(CudaStorage, Shape)> {
        match self.take() {
            Some(Output {
                storage: Storage::Cuda(storage),
                shape,
            }) => Ok((storage, shape)),
            _ => candle_core::bail!("internal: the result of {} is not on its arguments' device", self.name),
        }
    }

    fn take(&self) -> Option<Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Node {
    name: &'static str,
    output: Handed,
    backward: Box<dyn Backward>,
    extra: Option<(Vec<Tensor>, Gradients)>,
}

impl Node {
    /// The gradients of the first arguments; those of the kept ones go to their cell.
    fn gradients(&self, first: &[&Tensor], result: &Tensor, gradient: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let gradient = gradient.contiguous()?;
        let Some((kept, cell)) = &self.extra else {
            return (self.backward)(first, result, &gradient);
        };
        let mut arguments: Vec<&Tensor> = first[..2].to_vec();
        arguments.extend(kept);
        let mut all = (self.backward)(&arguments, result, &gradient)?;
        *cell.lock().unwrap_or_else(PoisonError::into_inner) = all.split_off(2);
        if let Some(chain) = first.get(2) {
            all.push(Some(chain.detach()));
        }
        Ok(all)
    }
}

/// The gradient list `list` as candle wants it: exactly `N` entries.
fn exactly<const N: usize>(list: Vec<Option<Tensor>>) -> Result<[Option<Tensor>; N]> {
    <[Option<Tensor>; N]>::try_from(list)
        .map_err(|list| candle_core::Error::Msg(format!("internal: {} gradients for {N} arguments", list.len())))
}

impl CustomOp1 for Node {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.output.take_cpu()
    }
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.output.take_cuda()
    }
    fn bwd(&self, a: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let [a] = exactly(self.gradients(&[a], result, gradient)?)?;
        Ok(a)
    }
}

impl CustomOp2 for Node {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.output.take_cpu()
    }
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.output.take_cuda()
    }
    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [a, b] = exactly(self.gradients(&[a, b], result, gradient)?)?;
        Ok((a, b))
    }
}

impl CustomOp3 for Node {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.output.take_cpu()
    }
    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.output.take_cuda()
    }
    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [a, b, c] = exactly(self.gradients(&[a, b, c], result, gradient)?)?;
        Ok((a, b, c))
    }
}

/// Holds one further argument of a node; its backward hands over the gradient that the node left in the cell.
struct Hanger {
    index: usize,
    gradients: Gradients,
}

impl Hanger {
    fn gradient(&self) -> Option<Tensor> {
        let mut cell = self.gradients.lock().unwrap_or_else(PoisonError::into_inner);
        cell.get_mut(self.index).and_then(Option::take)
    }
}

/// One zero of the same type as `storage`: the value of a chain link, which nobody reads.
pub(super) fn link(storage: &CpuStorage) -> Result<(CpuStorage, Shape)> {
    let storage = match storage {
        CpuStorage::F64(_) => CpuStorage::F64(vec![0.0]),
        CpuStorage::BF16(v) => CpuStorage::BF16(vec![Default::default(); v.len().min(1)]),
        _ => CpuStorage::F32(vec![0.0]),
    };
    Ok((storage, Shape::from(1)))
}

/// As [`link`], on a GPU.
pub(super) fn link_on_gpu(storage: &CudaStorage) -> Result<(CudaStorage, Shape)> {
    let shape = Shape::from(1);
    Ok((storage.device().zeros_impl(&shape, storage.dtype())?, shape))
}

impl CustomOp1 for Hanger {
    fn name(&self) -> &'static str {
        "further argument"
    }
    fn cpu_fwd(&self, a: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        link(a)
    }
    fn cuda_fwd(&self, a: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        link_on_gpu(a)
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.gradient())
    }
}

impl CustomOp2 for Hanger {
    fn name(&self) -> &'static str {
        "further argument"
    }
    fn cpu_fwd(&self, chain: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        link(chain)
    }
    fn cuda_fwd(&self, chain: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        link_on_gpu(chain)
    }
    fn bwd(
        &self,
        chain: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((chain.track_op().then(|| gradient.clone()), self.gradient()))
    }
}
