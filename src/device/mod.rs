//! Opening the processor or a GPU by name.
//!
//! `mod.rs` holds the names, [`libraries`] where the parts of CUDA are looked for on this machine, `cuda.rs` the loading of them
//! (the only place here with `unsafe`). To add a device: its arm in [`open_device`], its name in [`device_name`].

mod cuda;
pub mod libraries;

use candle_core::{Device, DeviceLocation};

use crate::error::Result;

/// The device called `cpu`, `cuda`, `cuda:N` or `auto` (a GPU if one can be used, else the processor).
///
/// # Errors
/// An unknown name; a GPU without its driver or libraries (the message says what is missing and where it was looked for).
pub fn open_device(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(cuda::open(0).unwrap_or(Device::Cpu)),
        "cuda" => cuda::open(0),
        _ => match name.strip_prefix("cuda:").and_then(|n| n.parse().ok()) {
            Some(ordinal) => cuda::open(ordinal),
            None => crate::fail!("device: \"{name}\" is not known, expected cpu, cuda, cuda:N or auto"),
        },
    }
}

/// A device's name in scripts and records: `cpu`, `cuda:0`.
pub fn device_name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".into(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// Bytes of a GPU's memory in use by tensors now, and the most there were since the last [`reset_peak`]; `None` on the processor.
///
/// # Errors
/// A device that fails.
pub fn memory(device: &Device) -> Result<Option<[u64; 2]>> {
    cuda::memory(device)
}

/// Let the peak of [`memory`] start anew from what is in use now; nothing on the processor.
///
/// # Errors
/// A device that fails.
pub fn reset_peak(device: &Device) -> Result<()> {
    cuda::reset_peak(device)
}

/// Whether products and convolutions of f32 tensors on a GPU may round their inputs to TF32 (10 bits of mantissa).
pub fn tf32() -> bool {
    candle_core::cuda::gemm_reduced_precision_f32()
}

/// Allow or forbid TF32, for candle's matrix products and for this crate's convolutions alike. It holds for the whole process,
/// as candle keeps it there.
pub fn set_tf32(on: bool) {
    candle_core::cuda::set_gemm_reduced_precision_f32(on);
}
