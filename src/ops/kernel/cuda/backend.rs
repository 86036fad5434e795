//! Where kernels run: on a GPU or, in tests, in main memory. The choice between the two is made here and nowhere else.

use candle_core::{DType, Device, Result, Storage, Tensor};

#[cfg(feature = "cuda")]
use super::device;
#[cfg(test)]
use super::emulated;
use super::product::Matrix;
use super::{Convolution, Geometry, Product, Source, wrong_device};

/// What runs kernels on its own memory.
pub(super) trait Backend {
    /// Room for `len` elements, whatever they hold.
    fn room(&self, len: usize, dtype: DType) -> Result<Storage>;
    /// Run one grid of a kernel, compiled for elements of `real` bits.
    fn run(&self, source: &Source, kernel: &'static str, real: u32, values: Vec<u64>, geometry: Geometry)
    -> Result<()>;
    /// One product of a convolution of `a` and `b`, which lie at the first two places, written to the third.
    fn convolve(&self, product: Product, sizes: &Convolution, a: &Tensor, b: &Tensor, places: [u64; 3]) -> Result<()>;
    /// `c = scale a b`, or `c + scale a b` if `add`; the three fit and have one type.
    fn multiply(&self, c: Matrix, add: bool, scale: f64, a: Matrix, b: Matrix) -> Result<()>;
    /// The products of many matrices, `[b, m, k]` and `[b, k, n]`.
    fn batched(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.matmul(b)
    }
}

/// The one with the memory of `device`.
pub(super) fn of(device: &Device) -> Result<&dyn Backend> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => Ok(device),
        #[cfg(test)]
        Device::Cpu => Ok(&emulated::Emulator),
        _ => Err(wrong_device()),
    }
}

/// The address of the first element.
pub(super) fn start(storage: &Storage) -> Result<u64> {
    match storage {
        #[cfg(feature = "cuda")]
        Storage::Cuda(storage) => device::start(storage),
        #[cfg(test)]
        Storage::Cpu(storage) => emulated::start(storage),
        _ => Err(wrong_device()),
    }
}

/// Whether this thread takes main memory for that of a GPU, as a test may.
#[cfg(test)]
pub(super) use emulated::emulating;
#[cfg(not(test))]
pub(super) fn emulating() -> bool {
    false
}
