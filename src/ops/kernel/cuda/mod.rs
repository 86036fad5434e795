//! Running our own kernels: a `.cu` source beside each operation, buffers for its results, one launch call.
//!
//! ```text
//! const SOURCE: Source = Source::new("relu", include_str!("relu.cu"));
//! let mut y = Buffer::like(x, x.elem_count())?;
//! Launch::of(&SOURCE, "relu_forward", x).read(x).write(&mut y).int(x.elem_count()).each(x.elem_count())?;
//! graph.record("relu", &[x], Needs::RESULT, y.output(x.shape()), |arguments, result, gradient| ...)
//! ```
//!
//! The code of an operation is the same whether its tensors lie on a GPU (`device.rs`: NVRTC, cached on disk, loaded once) or, in
//! tests, in main memory (`emulated.rs`: the same source compiled by g++ and run by `emulator.h`). The kernel's arguments are, in
//! order, pointers (`read`, `write`, `update`), `i64` (`int`) and `A` (`real`); see `prelude.cuh` for what a source may use.

#![cfg_attr(
    not(any(test, feature = "cuda")),
    allow(
        dead_code,
        unused_variables,
        reason = "only a GPU or the emulator runs what is given here"
    )
)]

mod backend;
mod columns;
#[cfg(feature = "cuda")]
mod cudnn;
#[cfg(feature = "cuda")]
mod device;
pub(crate) mod emulated;
pub(crate) mod product;
#[cfg(feature = "cuda")]
mod upload;

use candle_core::op::BackpropOp;
use candle_core::{DType, Device, Result, Shape, Storage, Tensor};

use super::super::graph::Output;
use crate::ops::Layout;
pub(crate) use columns::{Columns, lanes};

/// What stands before every source.
pub(crate) const PRELUDE: &str = include_str!("prelude.cuh");

/// Whether the kernels for a GPU compute what lies on `device`.
pub(crate) fn on_gpu(device: &Device) -> bool {
    device.is_cuda() || backend::emulating()
}

/// The kernels of one operation.
pub(crate) struct Source {
    name: &'static str,
    text: &'static str,
}

impl Source {
    /// Those of the operation `name`; `text` is its `.cu` file.
    pub(crate) const fn new(name: &'static str, text: &'static str) -> Self {
        Source { name, text }
    }

    /// The kernels' names: what follows `KERNEL` at the start of a line.
    #[cfg(any(test, feature = "cuda"))]
    fn kernels(&self) -> impl Iterator<Item = &'static str> {
        let starts = self.text.split("\nKERNEL ").skip(1);
        starts.filter_map(|after| after.split('(').next().map(str::trim))
    }
}

/// Fresh device memory that a kernel will fill; nothing is written before.
pub(crate) struct Buffer {
    storage: Storage,
}

impl Buffer {
    /// Room for `len` elements of the type and on the device of `tensor`.
    pub(crate) fn like(tensor: &Tensor, len: usize) -> Result<Self> {
        Self::new(tensor.device(), tensor.dtype(), len)
    }

    /// Room for `len` elements on `device`.
    pub(crate) fn new(device: &Device, dtype: DType, len: usize) -> Result<Self> {
        let storage = backend::of(device)?.room(len.max(1), dtype)?;
        Ok(Buffer { storage })
    }

    /// What a contiguous tensor that begins its memory holds, once more: the result of an operation of candle's, to be recorded.
    pub(crate) fn copy(tensor: &Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let storage = storage.try_clone(layout)?;
        Ok(Buffer { storage })
    }

    /// The filled buffer as a result to record.
    pub(crate) fn output(self, shape: impl Into<Shape>) -> Output {
        Output {
            storage: self.storage,
            shape: shape.into(),
        }
    }

    /// The filled buffer as a tensor outside any graph.
    pub(crate) fn tensor(self, shape: impl Into<Shape>) -> Tensor {
        Tensor::from_storage(self.storage, shape, BackpropOp::none(), false)
    }
}

/// The type in which the kernels compute elements of type `dtype`: statistics, weights of normalisations, losses.
pub(crate) fn arithmetic(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// How many multiprocessors' worth of blocks a reduction is cut into: enough to fill every GPU of today.
pub(crate) const BLOCKS: usize = 1024;

/// Threads of a block, unless a kernel needs another number.
pub(crate) const THREADS: usize = 256;

/// One start of a kernel, its arguments in order.
pub(crate) struct Launch<'a> {
    source: &'a Source,
    kernel: &'static str,
    device: &'a Device,
    dtype: DType,
    values: Vec<u64>,
    failure: Option<candle_core::Error>,
}

impl<'a> Launch<'a> {
    /// `kernel` of `source`, compiled for the element type of `tensor`, on its device.
    pub(crate) fn of(source: &'a Source, kernel: &'static str, tensor: &'a Tensor) -> Self {
        Self::typed(source, kernel, tensor.dtype(), tensor.device())
    }

    /// `kernel` of `source`, compiled for this element type, on this device.
    pub(crate) fn typed(source: &'a Source, kernel: &'static str, dtype: DType, device: &'a Device) -> Self {
        Launch {
            source,
            kernel,
            device,
            dtype,
            values: Vec::with_capacity(16),
            failure: None,
        }
    }

    fn push(mut self, value: Result<u64>) -> Self {
        match value {
            Ok(value) => self.values.push(value),
            Err(e) => self.failure = self.failure.or(Some(e)),
        }
        self
    }

    /// A pointer to the elements of a contiguous tensor.
    pub(crate) fn read(self, tensor: &'a Tensor) -> Self {
        let pointer = if tensor.device().same_device(self.device) {
            address(tensor)
        } else {
            Err(candle_core::Error::Msg(format!(
                "{}: the tensors are on different devices ({:?} and {:?}); move one with to_device",
                self.source.name,
                self.device.location(),
                tensor.device().location()
            )))
        };
        self.push(pointer)
    }

    /// As [`Launch::read`], a null pointer for `None`.
    pub(crate) fn read_or_null(self, tensor: Option<&'a Tensor>) -> Self {
        match tensor {
            Some(tensor) => self.read(tensor),
            None => self.push(Ok(0)),
        }
    }

    /// A pointer to a tensor that the kernel changes in place: everything that shares its memory sees it.
    pub(crate) fn update(self, tensor: &'a Tensor) -> Self {
        self.read(tensor)
    }

    /// A pointer to a buffer that the kernel fills.
    pub(crate) fn write(self, buffer: &mut Buffer) -> Self {
        let pointer = place(&buffer.storage, 0);
        self.push(pointer)
    }

    /// As [`Launch::write`], a null pointer for `None`.
    pub(crate) fn write_or_null(self, buffer: Option<&mut Buffer>) -> Self {
        match buffer {
            Some(buffer) => self.write(buffer),
            None => self.push(Ok(0)),
        }
    }

    /// An `i64`.
    pub(crate) fn int(self, value: usize) -> Self {
        self.push(Ok(value as u64))
    }

    /// Several `i64`.
    pub(crate) fn ints(self, values: &[usize]) -> Self {
        values.iter().fold(self, |launch, value| launch.int(*value))
    }

    /// A number of the arithmetic type.
    pub(crate) fn real(self, value: f64) -> Self {
        let bits = match arithmetic(self.dtype) {
            DType::F64 => value.to_bits(),
            _ => u64::from((value as f32).to_bits()),
        };
        self.push(Ok(bits))
    }

    /// Run with one thread for each of `count` items; the kernel loops with `EACH`.
    pub(crate) fn each(self, count: usize) -> Result<()> {
        let blocks = count.div_ceil(THREADS).clamp(1, 1 << 20);
        self.run([blocks, 1, 1], THREADS)
    }

    /// Run with this grid and as many threads a block.
    pub(crate) fn run(self, grid: [usize; 3], threads: usize) -> Result<()> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let real = match self.dtype {
            DType::F64 => 64,
            DType::F32 => 32,
            DType::BF16 => 16,
            other => candle_core::bail!(
                "{}: elements are {}, expected f32, f64 or bf16 on a GPU; convert with to_dtype",
                self.source.name,
                other.as_str()
            ),
        };
        if grid.contains(&0) {
            return Ok(()); // nothing to do
        }
        let geometry = Geometry {
            grid: grid.map(|n| n as u32),
            threads: threads as u32,
        };
        backend::of(self.device)?.run(self.source, self.kernel, real, self.values, geometry)
    }
}

/// A tensor in main memory as one on `device`. Nobody waits for a GPU: it gets large ones beside its work (`upload.rs`).
pub(crate) fn upload(host: &Tensor, device: &Device) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(gpu) = device {
        let host = host.contiguous()?;
        let (storage, _) = host.storage_and_layout();
        if let Storage::Cpu(storage) = &*storage
            && let Some(tensor) = upload::run(storage, host.dtype(), host.shape(), gpu)?
        {
            return Ok(tensor);
        }
    }
    host.to_device(device)
}

/// The sizes of one convolution, `[images, channels, height, width]` each (a weight: `[outputs, channels / groups, ...]`); with the channels
/// last all three, the weight too, have that order in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Convolution {
    pub(crate) input: [i32; 4],
    pub(crate) weight: [i32; 4],
    pub(crate) output: [i32; 4],
    pub(crate) stride: [i32; 2],
    pub(crate) padding: [i32; 2],
    pub(crate) dilation: [i32; 2],
    pub(crate) groups: i32,
    pub(crate) layout: Layout,
}

/// The three products of a convolution, each with its two arguments and its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Product {
    /// Input, weight: output.
    Output,
    /// Weight, gradient of the output: gradient of the input.
    InputGradient,
    /// Input, gradient of the output: gradient of the weight.
    WeightGradient,
}

/// Compute one product of a convolution; all tensors have the same element type.
pub(crate) fn convolve(product: Product, sizes: &Convolution, a: &Tensor, b: &Tensor) -> Result<Buffer> {
    let shape = match product {
        Product::Output => sizes.output,
        Product::InputGradient => sizes.input,
        Product::WeightGradient => sizes.weight,
    };
    let buffer = Buffer::like(a, shape.iter().map(|n| *n as usize).product())?;
    let (a, b) = (&aligned(a)?, &aligned(b)?);
    let places = [address(a)?, address(b)?, place(&buffer.storage, 0)?];
    backend::of(a.device())?.convolve(product, sizes, a, b, places)?;
    Ok(buffer)
}

/// The same elements at an address that the tensor cores can load from, a multiple of 16; a view may begin anywhere.
fn aligned(t: &Tensor) -> Result<Tensor> {
    match address(t)?.is_multiple_of(16) {
        true => Ok(t.clone()),
        false => t.force_contiguous(),
    }
}

/// The size of a launch.
#[derive(Clone, Copy)]
struct Geometry {
    grid: [u32; 3],
    threads: u32,
}

fn wrong_device() -> candle_core::Error {
    candle_core::Error::Msg("internal: a GPU kernel was given a tensor that is not on a GPU".into())
}

/// Where the first element of a contiguous tensor lies. The memory outlives the launch although nothing here holds it: GPU memory is
/// freed in the order of the stream.
pub(crate) fn address(tensor: &Tensor) -> Result<u64> {
    let (storage, layout) = tensor.storage_and_layout();
    match layout.contiguous_offsets() {
        Some((start, _)) => place(&storage, start * tensor.dtype().size_in_bytes()),
        None => candle_core::bail!("internal: a kernel was given a tensor that is not contiguous"),
    }
}

fn place(storage: &Storage, bytes: usize) -> Result<u64> {
    Ok(backend::start(storage)? + bytes as u64)
}
