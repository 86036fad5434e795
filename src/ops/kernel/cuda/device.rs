//! Kernels on the GPU: compiled by NVRTC for the device at hand, kept on disk, loaded once.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
use std::sync::{LazyLock, Mutex, PoisonError};

use candle_core::backend::BackendDevice;
use candle_core::cuda::cudarc::driver::{CudaFunction, CudaStream, DevicePtr, result};
use candle_core::cuda::cudarc::nvrtc::{Ptx, result as nvrtc, sys};
use candle_core::cuda::{CudaDevice, CudaStorage, CudaStorageSlice, DeviceId, WrapErr};
use candle_core::{DType, Error, Result, Shape, Storage, Tensor};

use super::backend::Backend;
use super::product::{Matrix, on_gpu};
use super::{Convolution, Geometry, PRELUDE, Product, Source, cudnn};
use crate::session::Place;
use crate::session::digest::sha256;

impl Backend for CudaDevice {
    fn room(&self, len: usize, dtype: DType) -> Result<Storage> {
        // SAFETY: only kernels, which write every element before one is read, get to see this memory.
        Ok(Storage::Cuda(unsafe { self.alloc_uninit(&Shape::from(len), dtype)? }))
    }
    fn run(
        &self,
        source: &Source,
        kernel: &'static str,
        real: u32,
        values: Vec<u64>,
        geometry: Geometry,
    ) -> Result<()> {
        run(self, source, kernel, real, values, geometry)
    }
    fn convolve(&self, product: Product, sizes: &Convolution, a: &Tensor, _: &Tensor, places: [u64; 3]) -> Result<()> {
        cudnn::run(self, product, sizes, a.dtype(), places)
    }
    fn multiply(&self, c: Matrix, add: bool, scale: f64, a: Matrix, b: Matrix) -> Result<()> {
        on_gpu(self, c, add, scale, a, b)
    }
}

/// Device, operation, element type, kernel.
type Key = (DeviceId, &'static str, u32, &'static str);

/// The kernels loaded so far. Process-wide, because a kernel belongs to a device, of which candle keeps no place for ours.
static LOADED: LazyLock<Mutex<HashMap<Key, CudaFunction>>> = LazyLock::new(Mutex::default);

/// The address of the first element.
pub(super) fn start(storage: &CudaStorage) -> Result<u64> {
    let stream = storage.device.cuda_stream();
    fn of<T>(slice: &impl DevicePtr<T>, stream: &CudaStream) -> u64 {
        slice.device_ptr(stream).0
    }
    Ok(match &storage.slice {
        CudaStorageSlice::F32(s) => of(s, &stream),
        CudaStorageSlice::F64(s) => of(s, &stream),
        CudaStorageSlice::BF16(s) => of(s, &stream),
        CudaStorageSlice::F16(s) => of(s, &stream),
        CudaStorageSlice::U8(s) => of(s, &stream),
        CudaStorageSlice::U32(s) => of(s, &stream),
        CudaStorageSlice::I64(s) => of(s, &stream),
        _ => candle_core::bail!("internal: no kernel takes elements of this type"),
    })
}

/// Put one grid into the device's stream.
fn run(
    device: &CudaDevice,
    source: &Source,
    kernel: &'static str,
    real: u32,
    mut values: Vec<u64>,
    geometry: Geometry,
) -> Result<()> {
    let function = function(device, source, kernel, real)?;
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().w()?;
    let mut arguments: Vec<*mut c_void> = values.iter_mut().map(|v| std::ptr::from_mut(v).cast()).collect();
    let ([x, y, z], threads) = (geometry.grid, geometry.threads);
    // SAFETY: every argument is at most 8 bytes long (little-endian, so that a shorter one lies at the start of its slot), in number
    // and order those of the kernel, as the emulator's tests show; the pointers are to memory of this device that is freed in the
    // stream's order.
    let launched = unsafe {
        result::launch_kernel(
            function.cu_function(),
            (x, y, z),
            (threads, 1, 1),
            0,
            stream.cu_stream(),
            &mut arguments,
        )
    };
    launched.map_err(|e| Error::Msg(format!("{}: the kernel {kernel} cannot be started: {e}", source.name)))
}

fn function(device: &CudaDevice, source: &Source, kernel: &'static str, real: u32) -> Result<CudaFunction> {
    let key: Key = (device.id(), source.name, real, kernel);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(function) = loaded.get(&key) {
        return Ok(function.clone());
    }
    let context = device.cuda_stream().context().clone();
    let (major, minor) = context.compute_capability().w()?;
    let code = machine_code(source, real, major * 10 + minor)?;
    let module = context
        .load_module(Ptx::from_binary(code))
        .map_err(|e| Error::Msg(format!("{}: the compiled kernels cannot be loaded: {e}", source.name)))?;
    // All kernels of the source, since the module is loaded now.
    for name in source.kernels() {
        let found = module
            .load_function(name)
            .map_err(|e| Error::Msg(format!("{}: the kernel {name} is missing: {e}", source.name)))?;
        loaded.insert((device.id(), source.name, real, name), found);
    }
    match loaded.get(&key) {
        Some(function) => Ok(function.clone()),
        None => candle_core::bail!("internal: {}.cu has no kernel {kernel}", source.name),
    }
}

/// The machine code of a source for one element type and compute capability, from the user's cache folder or from NVRTC.
fn machine_code(source: &Source, real: u32, capability: i32) -> Result<Vec<u8>> {
    let options = [
        format!("--gpu-architecture=sm_{capability}"),
        "--std=c++17".into(),
        "--extra-device-vectorization".into(),
        format!("-DREAL={real}"),
    ];
    let text = format!("{PRELUDE}\n#line 1 \"{}.cu\"\n{}", source.name, source.text);
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both places are valid for the call.
    check(unsafe { sys::nvrtcVersion(&mut major, &mut minor) }, "nvrtcVersion")?;
    let hash = sha256([
        text.as_str(),
        "\0",
        &options.join(" "),
        "\0",
        &format!("{major}.{minor}"),
        "\0",
    ]);
    let folder = dirs::cache_dir().map(|folder| Place::from(folder.join("seglab/kernels")));
    let kept = folder
        .as_ref()
        .map(|folder| folder.join(format!("{}-{}.cubin", source.name, &hash[..24])));
    if let Some(code) = kept
        .as_ref()
        .and_then(|file| file.bytes("the kernel", 1 << 30).ok())
        .filter(|code| !code.is_empty())
    {
        return Ok(code);
    }
    let code = compile(source.name, &text, &options)?;
    if let (Some(folder), Some(file)) = (folder, kept) {
        // A cache that cannot be written costs only time.
        let _ = folder.make_folder().and_then(|()| file.write(&code));
    }
    Ok(code)
}

fn check(status: sys::nvrtcResult, what: &str) -> Result<()> {
    status
        .result()
        .map_err(|e| Error::Msg(format!("NVRTC: {what} failed: {e:?}")))
}

fn compile(name: &str, text: &str, options: &[String]) -> Result<Vec<u8>> {
    let text = CString::new(text).map_err(Error::wrap)?;
    let file = CString::new(format!("{name}.cu")).map_err(Error::wrap)?;
    let program = Program(
        nvrtc::create_program(&text, Some(&file))
            .map_err(|e| Error::Msg(format!("NVRTC: no program for {name}.cu: {e:?}")))?,
    );
    // SAFETY: the program was made above and is destroyed only when `program` goes out of scope.
    unsafe {
        if let Err(e) = nvrtc::compile_program(program.0, options) {
            let log = nvrtc::get_program_log(program.0).unwrap_or_default();
            let log = if log.is_empty() {
                "no log".into()
            } else {
                CStr::from_ptr(log.as_ptr()).to_string_lossy()
            };
            return Err(Error::Msg(format!("NVRTC: {name}.cu with {options:?}: {e:?}\n{log}")));
        }
        let mut size = 0;
        check(sys::nvrtcGetCUBINSize(program.0, &mut size), "nvrtcGetCUBINSize")?;
        let mut code = vec![0u8; size];
        check(sys::nvrtcGetCUBIN(program.0, code.as_mut_ptr().cast()), "nvrtcGetCUBIN")?;
        Ok(code)
    }
}

struct Program(sys::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by `create_program`, destroyed here alone.
        let _ = unsafe { nvrtc::destroy_program(self.0) };
    }
}
