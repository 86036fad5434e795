//! Convolutions by cuDNN: descriptors, algorithm and workspace are kept between calls.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::sync::{LazyLock, Mutex, PoisonError};

use candle_core::cuda::cudarc::cudnn::result::{self, CudnnError, CudnnResult};
use candle_core::cuda::cudarc::cudnn::sys::{self, cudnnDataType_t, cudnnMathType_t};
use candle_core::cuda::cudarc::driver::{CudaSlice, DevicePtr};
use candle_core::cuda::{CudaDevice, DeviceId};
use candle_core::{DType, Error, Result};

use super::{Convolution, Product};
use crate::ops::Layout;

/// The most memory an algorithm may ask for.
const LIMIT: usize = 1 << 30;

/// What one device has: its cuDNN handle, the plans made so far, the largest workspace asked for so far.
struct Library {
    handle: sys::cudnnHandle_t,
    plans: HashMap<Key, Plan>,
    workspace: Option<CudaSlice<u8>>,
}

// SAFETY: a handle may be used by any thread, by one at a time; the mutex around it sees to that.
unsafe impl Send for Library {}

/// Product, sizes, element type, TF32.
type Key = (Product, Convolution, DType, bool);

/// The libraries of the devices opened so far. Process-wide, as candle keeps no place for ours in its device; never closed, since the
/// driver may be gone when the process ends.
static LIBRARIES: LazyLock<Mutex<HashMap<DeviceId, Library>>> = LazyLock::new(Mutex::default);

/// Descriptors and the algorithm chosen.
struct Plan {
    input: sys::cudnnTensorDescriptor_t,
    weight: sys::cudnnFilterDescriptor_t,
    output: sys::cudnnTensorDescriptor_t,
    convolution: sys::cudnnConvolutionDescriptor_t,
    algorithm: Algorithm,
    workspace: usize,
}

#[derive(Clone, Copy)]
enum Algorithm {
    Output(sys::cudnnConvolutionFwdAlgo_t),
    InputGradient(sys::cudnnConvolutionBwdDataAlgo_t),
    WeightGradient(sys::cudnnConvolutionBwdFilterAlgo_t),
}

/// Compute one product; `places` are the addresses of its two arguments and its result.
pub(super) fn run(
    device: &CudaDevice,
    product: Product,
    sizes: &Convolution,
    dtype: DType,
    places: [u64; 3],
) -> Result<()> {
    let name = |e: CudnnError| {
        Error::Msg(format!(
            "conv2d: cuDNN cannot compute the {product:?} of {sizes:?} in {}: {e:?}",
            dtype.as_str()
        ))
    };
    let stream = device.cuda_stream();
    stream.context().bind_to_thread()?;
    let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    let library = match libraries.entry(device.id()) {
        Entry::Occupied(library) => library.into_mut(),
        Entry::Vacant(place) => {
            let handle = result::create_handle().map_err(|e| Error::Msg(format!("cuDNN cannot be started: {e:?}")))?;
            // SAFETY: the handle was made just now; the stream is the device's and lives as long as the process.
            unsafe { result::set_stream(handle, stream.cu_stream().cast()) }.map_err(name)?;
            place.insert(Library {
                handle,
                plans: HashMap::new(),
                workspace: None,
            })
        }
    };
    let tf32 = crate::device::tf32();
    let plan = match library.plans.entry((product, *sizes, dtype, tf32)) {
        Entry::Occupied(plan) => plan.into_mut(),
        // SAFETY: the handle is live.
        Entry::Vacant(place) => {
            place.insert(unsafe { Plan::new(library.handle, product, sizes, dtype, tf32) }.map_err(name)?)
        }
    };
    if plan.workspace > library.workspace.as_ref().map_or(0, CudaSlice::num_bytes) {
        library.workspace = None; // freed first: both need not fit
        // SAFETY: only cuDNN uses it, as scratch memory.
        library.workspace = Some(unsafe { device.alloc::<u8>(plan.workspace)? });
    }
    let workspace = match &library.workspace {
        Some(workspace) => workspace.device_ptr(&stream).0 as *mut c_void,
        None => std::ptr::null_mut(),
    };
    // SAFETY: the descriptors are those of the tensors at `places`, which are on this device; the workspace is as large as asked for.
    unsafe { plan.run(library.handle, dtype, workspace, places) }.map_err(name)
}

impl Plan {
    /// # Safety
    /// `handle` must be live.
    unsafe fn new(
        handle: sys::cudnnHandle_t,
        product: Product,
        g: &Convolution,
        dtype: DType,
        tf32: bool,
    ) -> CudnnResult<Self> {
        let (kind, compute) = match dtype {
            DType::F64 => (cudnnDataType_t::CUDNN_DATA_DOUBLE, cudnnDataType_t::CUDNN_DATA_DOUBLE),
            DType::BF16 => (cudnnDataType_t::CUDNN_DATA_BFLOAT16, cudnnDataType_t::CUDNN_DATA_FLOAT),
            _ => (cudnnDataType_t::CUDNN_DATA_FLOAT, cudnnDataType_t::CUDNN_DATA_FLOAT),
        };
        let exact = dtype == DType::F32 && !tf32;
        let math = match dtype {
            DType::BF16 => cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
            _ if exact => cudnnMathType_t::CUDNN_FMA_MATH,
            _ => cudnnMathType_t::CUDNN_DEFAULT_MATH,
        };
        let format = match g.layout {
            Layout::ChannelsFirst => sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW,
            Layout::ChannelsLast => sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC,
        };
        let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        // SAFETY: every descriptor is made before it is set and lives as long as the plan, which is never dropped once made.
        unsafe {
            let input = result::create_tensor_descriptor()?;
            result::set_tensor4d_descriptor(input, format, kind, g.input)?;
            let output = result::create_tensor_descriptor()?;
            result::set_tensor4d_descriptor(output, format, kind, g.output)?;
            let weight = result::create_filter_descriptor()?;
            result::set_filter4d_descriptor(weight, kind, format, g.weight)?;
            let convolution = result::create_convolution_descriptor()?;
            let ([ph, pw], [sh, sw], [dh, dw]) = (g.padding, g.stride, g.dilation);
            result::set_convolution2d_descriptor(convolution, ph, pw, sh, sw, dh, dw, mode, compute)?;
            result::set_convolution_group_count(convolution, g.groups)?;
            result::set_convolution_math_type(convolution, math)?;
            let (algorithm, chosen_math, workspace) = match product {
                Product::Output => {
                    let (mut found, mut list) = (0, [std::mem::zeroed(); 8]);
                    result::get_convolution_forward_algorithm(
                        handle,
                        input,
                        weight,
                        convolution,
                        output,
                        8,
                        &mut found,
                        list.as_mut_ptr(),
                    )?;
                    let list: &[sys::cudnnConvolutionFwdAlgoPerf_t] = &list[..found as usize];
                    let p = choose(list, |p| (p.status, p.determinism, p.memory))?;
                    (Algorithm::Output(p.algo), p.mathType, p.memory)
                }
                Product::InputGradient => {
                    let (mut found, mut list) = (0, [std::mem::zeroed(); 8]);
                    result::get_convolution_backward_data_algorithm(
                        handle,
                        weight,
                        output,
                        convolution,
                        input,
                        8,
                        &mut found,
                        list.as_mut_ptr(),
                    )?;
                    let list: &[sys::cudnnConvolutionBwdDataAlgoPerf_t] = &list[..found as usize];
                    let p = choose(list, |p| (p.status, p.determinism, p.memory))?;
                    (Algorithm::InputGradient(p.algo), p.mathType, p.memory)
                }
                Product::WeightGradient => {
                    let (mut found, mut list) = (0, [std::mem::zeroed(); 8]);
                    result::get_convolution_backward_filter_algorithm(
                        handle,
                        input,
                        output,
                        convolution,
                        weight,
                        8,
                        &mut found,
                        list.as_mut_ptr(),
                    )?;
                    let list: &[sys::cudnnConvolutionBwdFilterAlgoPerf_t] = &list[..found as usize];
                    let p = choose(list, |p| (p.status, p.determinism, p.memory))?;
                    (Algorithm::WeightGradient(p.algo), p.mathType, p.memory)
                }
            };
            // The algorithm was judged with this arithmetic; where TF32 is forbidden it stays forbidden.
            if !exact {
                result::set_convolution_math_type(convolution, chosen_math)?;
            }
            // The heuristics' own figure is not binding: ask again for the descriptor as it is now.
            let asked = match algorithm {
                Algorithm::Output(a) => {
                    result::get_convolution_forward_workspace_size(handle, input, weight, convolution, output, a)?
                }
                Algorithm::InputGradient(a) => {
                    result::get_convolution_backward_data_workspace_size(handle, weight, output, convolution, input, a)?
                }
                Algorithm::WeightGradient(a) => result::get_convolution_backward_filter_workspace_size(
                    handle,
                    input,
                    output,
                    convolution,
                    weight,
                    a,
                )?,
            };
            Ok(Plan {
                input,
                weight,
                output,
                convolution,
                algorithm,
                workspace: asked.max(workspace),
            })
        }
    }

    /// # Safety
    /// The addresses must be those of tensors as described, the workspace as large as the plan says.
    unsafe fn run(
        &self,
        handle: sys::cudnnHandle_t,
        dtype: DType,
        workspace: *mut c_void,
        [a, b, to]: [u64; 3],
    ) -> CudnnResult<()> {
        let (single, double) = ([1f32, 0.0], [1f64, 0.0]);
        let (one, zero): (*const c_void, *const c_void) = match dtype {
            DType::F64 => (
                std::ptr::from_ref(&double[0]).cast(),
                std::ptr::from_ref(&double[1]).cast(),
            ),
            _ => (
                std::ptr::from_ref(&single[0]).cast(),
                std::ptr::from_ref(&single[1]).cast(),
            ),
        };
        let (a, b, to) = (a as *const c_void, b as *const c_void, to as *mut c_void);
        let (x, w, y, c, size) = (self.input, self.weight, self.output, self.convolution, self.workspace);
        // SAFETY: by the caller's promise; `one` and `zero` are read before the call returns.
        unsafe {
            match self.algorithm {
                Algorithm::Output(algorithm) => {
                    result::convolution_forward(handle, one, x, a, w, b, c, algorithm, workspace, size, zero, y, to)
                }
                Algorithm::InputGradient(algorithm) => result::convolution_backward_data(
                    handle, one, w, a, y, b, c, algorithm, workspace, size, zero, x, to,
                ),
                Algorithm::WeightGradient(algorithm) => result::convolution_backward_filter(
                    handle, one, x, a, y, b, c, algorithm, workspace, size, zero, w, to,
                ),
            }
        }
    }
}

/// The first (by cuDNN's heuristics the fastest) algorithm of a list that works, gives the same result each time and needs little
/// memory; without the last condition if there is none.
///
/// Heuristics rather than measurements, because a choice by the clock would make two runs of one script differ.
fn choose<P: Copy>(
    list: &[P],
    facts: impl Fn(&P) -> (sys::cudnnStatus_t, sys::cudnnDeterminism_t, usize),
) -> CudnnResult<P> {
    let good = |limit: usize| {
        list.iter().copied().find(|p| {
            let (status, determinism, memory) = facts(p);
            status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS
                && determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
                && memory <= limit
        })
    };
    good(LIMIT)
        .or_else(|| good(usize::MAX))
        .ok_or(CudnnError(sys::cudnnStatus_t::CUDNN_STATUS_NOT_SUPPORTED))
}
