//! Large tensors to the GPU without waiting for it: through page-locked memory, on a stream of their own, so that the copy runs beside
//! the kernels of the step before. From ordinary memory the driver would copy after them, and keep the caller waiting.
//!
//! A stage is a page-locked block and one of the same size on the device. The host fills the first, the copy stream moves it to the
//! second, and the device's own stream, in its turn, to the tensor. What the tensor is made of belongs to that stream alone, as every
//! other tensor: nothing else has to know of two streams.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use candle_core::cuda::cudarc::driver::result::{self, stream::StreamKind};
use candle_core::cuda::cudarc::driver::{CudaEvent, CudaSlice, CudaStream, DevicePtr, PinnedHostSlice};
use candle_core::cuda::{CudaDevice, DeviceId, WrapErr};
use candle_core::{CpuStorage, DType, Device, Result, Shape, Tensor};

use super::{Buffer, place};

/// Fewer bytes than this go with the launch itself and make nobody wait.
const SMALL: usize = 64 << 10;
/// Stages of about one size; the host waits for the oldest when all are on their way, and so never runs far ahead of the GPU.
const STAGES: usize = 4;

/// A place on the way to the device.
struct Stage {
    host: PinnedHostSlice<u8>,
    device: CudaSlice<u8>,
    /// In the copy stream: the device's block is filled.
    filled: CudaEvent,
    /// In the device's stream: the tensor is made, both blocks may be used again.
    free: CudaEvent,
}

/// What one device has, the stage used last at the end.
struct Stages {
    copies: Arc<CudaStream>,
    all: Vec<Stage>,
}

/// Process-wide, as candle keeps no place for ours in its device; never freed, since the driver may be gone when the process ends.
static DEVICES: LazyLock<Mutex<HashMap<DeviceId, Stages>>> = LazyLock::new(Mutex::default);

/// The tensor of this shape that a contiguous storage in main memory holds, on the device; `None` if it is better copied as usual.
pub(super) fn run(storage: &CpuStorage, dtype: DType, shape: &Shape, device: &CudaDevice) -> Result<Option<Tensor>> {
    let Some(data) = bytes(storage).filter(|data| data.len() >= SMALL) else {
        return Ok(None);
    };
    if data.len() != shape.elem_count() * dtype.size_in_bytes() {
        return Ok(None); // a part of a larger storage
    }
    let main = device.cuda_stream();
    let context = main.context();
    context.bind_to_thread().w()?;
    let mut devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    let stages = match devices.entry(device.id()) {
        Entry::Occupied(stages) => stages.into_mut(),
        Entry::Vacant(place) => {
            let stream = result::stream::create(StreamKind::NonBlocking).w()?;
            // SAFETY: the stream was made just now, in this context, and is never destroyed. Made this way the context does not start
            // to record an event for each use of each tensor, which only this module would need.
            let copies = unsafe { context.wrap_borrowed_stream(stream) };
            place.insert(Stages {
                copies,
                all: Vec::new(),
            })
        }
    };
    let mut stage = stages.take(data.len(), device)?;
    // The stage is free: the event behind its last use has passed.
    stage.host.as_mut_slice().w()?[..data.len()].copy_from_slice(data);
    let buffer = Buffer::new(&Device::Cuda(device.clone()), dtype, shape.elem_count())?;
    let (to, between) = (place(&buffer.storage, 0)?, stage.device.device_ptr(&main).0);
    // SAFETY: both blocks hold at least so many bytes, the tensor exactly so many. Nobody writes to the host's block, and nobody else to
    // the device's, until `free` has passed; the device's stream waits for `filled` before it reads.
    unsafe {
        let host = &stage.host.as_slice().w()?[..data.len()];
        result::memcpy_htod_async(between, host, stages.copies.cu_stream()).w()?;
        stage.filled.record(&stages.copies).w()?;
        main.wait(&stage.filled).w()?;
        result::memcpy_dtod_async(to, between, data.len(), main.cu_stream()).w()?;
    }
    stage.free.record(&main).w()?;
    stages.all.push(stage);
    Ok(Some(buffer.tensor(shape)))
}

impl Stages {
    /// A free stage for so many bytes, taken out of the list.
    fn take(&mut self, bytes: usize, device: &CudaDevice) -> Result<Stage> {
        let fits = |stage: &Stage| stage.host.len() >= bytes && stage.host.len() / 2 <= bytes;
        if let Some(at) = self.all.iter().position(|s| fits(s) && s.free.is_complete()) {
            return Ok(self.all.remove(at));
        }
        if self.all.iter().filter(|s| fits(s)).count() >= STAGES
            && let Some(at) = self.all.iter().position(fits)
        {
            let stage = self.all.remove(at);
            stage.free.synchronize().w()?;
            return Ok(stage);
        }
        let main = device.cuda_stream();
        let context = main.context();
        // a little more, for batches that differ in size
        let room = (bytes + bytes / 8).next_multiple_of(1 << 16);
        // SAFETY: both blocks are written before they are read.
        let (host, block) = unsafe { (context.alloc_pinned::<u8>(room).w()?, device.alloc::<u8>(room)?) };
        main.synchronize().w()?; // the copy stream may use the block only once it is there
        Ok(Stage {
            host,
            device: block,
            filled: context.new_event(None).w()?,
            free: context.new_event(None).w()?,
        })
    }
}

/// The bytes of a storage, for the element types that are uploaded.
fn bytes(storage: &CpuStorage) -> Option<&[u8]> {
    fn of<T>(values: &[T]) -> &[u8] {
        // SAFETY: numbers without padding, read as what they are made of.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
    }
    match storage {
        CpuStorage::U8(v) => Some(v),
        CpuStorage::U32(v) => Some(of(v)),
        CpuStorage::I64(v) => Some(of(v)),
        CpuStorage::F32(v) => Some(of(v)),
        CpuStorage::F64(v) => Some(of(v)),
        _ => None,
    }
}
