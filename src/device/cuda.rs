//! Loading the CUDA libraries and opening a GPU, so that one binary runs on machines with and without them.

/// The GPU with this number.
#[cfg(not(feature = "cuda"))]
pub(super) fn open(_: usize) -> crate::error::Result<candle_core::Device> {
    crate::fail!(
        "device: this seglab was built without CUDA; build it with `cargo build --release --features cuda`, or use \
         --device cpu"
    )
}

#[cfg(not(feature = "cuda"))]
pub(super) fn memory(_: &candle_core::Device) -> crate::error::Result<Option<[u64; 2]>> {
    Ok(None)
}

#[cfg(not(feature = "cuda"))]
pub(super) fn reset_peak(_: &candle_core::Device) -> crate::error::Result<()> {
    Ok(())
}

#[cfg(feature = "cuda")]
pub(super) use with_cuda::{memory, open, reset_peak};

#[cfg(feature = "cuda")]
mod with_cuda {
    use std::ffi::{CString, c_char, c_int, c_void};
    use std::path::{Path, PathBuf};

    use candle_core::Device;
    use candle_core::cuda::cudarc::driver::{result, sys};

    use crate::device::libraries::{self, NEEDED};
    use crate::error::Result;
    use crate::{ensure, fail};

    unsafe extern "C" {
        fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    }
    const NOW_AND_GLOBAL: c_int = 2 | 0x100;

    /// Load a library for the rest of the process's life; whether that worked.
    fn load(path: &Path) -> bool {
        let Ok(path) = CString::new(path.as_os_str().as_encoded_bytes()) else {
            return false;
        };
        // SAFETY: the string is terminated; the libraries loaded are NVIDIA's, whose start-up code needs nothing from us.
        !unsafe { dlopen(path.as_ptr(), NOW_AND_GLOBAL) }.is_null()
    }

    /// Load everything that candle and cudarc open by bare name later: a library that is loaded already is found by its name
    /// wherever its file lies. Without this step a missing library would be a panic in the middle of a run.
    fn load_all() -> Result<()> {
        ensure!(
            load(Path::new("libcuda.so.1")),
            "device: there is no NVIDIA driver: libcuda.so.1 was not found on the loader's path (LD_LIBRARY_PATH, /etc/ld.so.conf); \
             install the driver, or use --device cpu"
        );
        let folders = libraries::folders();
        let mut missing = Vec::new();
        for (title, names) in NEEDED {
            if !names.iter().any(|name| load_one(name, &folders)) {
                missing.push(format!("{title} ({})", names.join(" or ")));
            }
        }
        let searched: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
        ensure!(
            missing.is_empty(),
            "device: the driver is there, but not {}; looked on the loader's path and in [{}]; install the CUDA toolkit and cuDNN, or \
             `pip install nvidia-cublas nvidia-curand nvidia-cuda-nvrtc nvidia-cudnn-cu13` and set CUDA_PIP_DIR to its site-packages folder",
            missing.join(", "),
            searched.join(", ")
        );
        Ok(())
    }

    fn load_one(name: &str, folders: &[PathBuf]) -> bool {
        // NVRTC opens a second library by bare name when it compiles.
        if name.starts_with("libnvrtc.") {
            let beside = folders.iter().find(|f| f.join(name).is_file());
            for builtins in beside
                .iter()
                .flat_map(|f| libraries::children(f, "libnvrtc-builtins.so"))
            {
                load(&builtins);
            }
        }
        load(Path::new(name)) || libraries::find(name, folders).is_some_and(|path| load(&path))
    }

    /// The GPU with this number, with its memory pool kept.
    pub(in crate::device) fn open(ordinal: usize) -> Result<Device> {
        load_all()?;
        // A stream of the device's own: `Device::new_cuda` takes the calling thread's, and what another thread puts into memory (parameters
        // are drawn by many) would be in no order with it. A symbol that a driver older than this build lacks is a panic in cudarc.
        let opened = std::panic::catch_unwind(|| Device::new_cuda_with_stream(ordinal));
        let device = match opened {
            Ok(Ok(device)) => device,
            Ok(Err(e)) => fail!("device: GPU {ordinal} cannot be opened: {e}; `nvidia-smi` shows what the driver sees"),
            Err(_) => {
                fail!("device: the NVIDIA driver or a CUDA library is too old for this seglab; update the driver")
            }
        };
        keep_pool(&device)?;
        // SAFETY: all tensors live in one stream; the only other one, of the uploads, orders itself by events of its own. Two events less
        // for every tensor.
        unsafe { device.as_cuda_device()?.disable_event_tracking() };
        Ok(device)
    }

    /// What the pool has handed out: now, and at most.
    pub(in crate::device) fn memory(device: &Device) -> Result<Option<[u64; 2]>> {
        use sys::CUmemPool_attribute::{CU_MEMPOOL_ATTR_USED_MEM_CURRENT, CU_MEMPOOL_ATTR_USED_MEM_HIGH};
        let Device::Cuda(device) = device else {
            return Ok(None);
        };
        device.cuda_stream().synchronize().map_err(candle_core::Error::wrap)?; // frees wait in the stream
        let mut found = [0u64; 2];
        for (value, attribute) in found
            .iter_mut()
            .zip([CU_MEMPOOL_ATTR_USED_MEM_CURRENT, CU_MEMPOOL_ATTR_USED_MEM_HIGH])
        {
            // SAFETY: the device is open; the attribute is a 64-bit number.
            let got = unsafe {
                result::device::get_default_mem_pool(device.cuda_stream().context().cu_device())
                    .and_then(|pool| result::mem_pool::get_attribute(pool, attribute, std::ptr::from_mut(value).cast()))
            };
            if let Err(e) = got {
                fail!("device: the memory in use cannot be asked for: {e}")
            }
        }
        Ok(Some(found))
    }

    /// Only 0 may be written to the high-water mark: it then restarts from what is in use.
    pub(in crate::device) fn reset_peak(device: &Device) -> Result<()> {
        let Device::Cuda(device) = device else {
            return Ok(());
        };
        let mut zero = 0u64;
        // SAFETY: the device is open; the attribute takes a 64-bit number.
        let set = unsafe {
            result::device::get_default_mem_pool(device.cuda_stream().context().cu_device()).and_then(|pool| {
                let high = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
                result::mem_pool::set_attribute(pool, high, (&raw mut zero).cast())
            })
        };
        match set {
            Ok(()) => Ok(()),
            Err(e) => fail!("device: the peak of the memory in use cannot be reset: {e}"),
        }
    }

    /// Keep freed memory in the driver's pool: by default every synchronisation gives it back to the system.
    fn keep_pool(device: &Device) -> Result<()> {
        let stream = device.as_cuda_device()?.cuda_stream();
        let mut threshold = u64::MAX;
        // SAFETY: the device was opened above; the attribute takes a 64-bit number.
        let set = unsafe {
            result::device::get_default_mem_pool(stream.context().cu_device()).and_then(|pool| {
                result::mem_pool::set_attribute(
                    pool,
                    sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
                    (&raw mut threshold).cast(),
                )
            })
        };
        match set {
            Ok(()) => Ok(()),
            Err(e) => fail!("device: the memory pool of the GPU cannot be set up: {e}"),
        }
    }
}
