//! Kernels on the processor, for tests: the source compiled by g++ with `emulator.h`, called on tensors in main memory.
#![cfg(test)]

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use candle_core::{CpuStorage, DType, Result, Storage, Tensor};

use super::backend::Backend;
use super::product::Matrix;
use super::{Convolution, Geometry, PRELUDE, Product, Source};
use crate::ops::Layout;
use crate::ops::kernel::View;

const EMULATOR: &str = include_str!("emulator.h");

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

type Entry = unsafe extern "C" fn(*const u64, c_int, *const u32, *const u32) -> c_int;

/// The libraries made so far by operation and element type (their handles as numbers). Held during a launch: the emulator has
/// one grid at a time.
static LIBRARIES: LazyLock<Mutex<HashMap<(&'static str, u32), usize>>> = LazyLock::new(Mutex::default);

thread_local! {
    static EMULATING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread takes main memory for that of a GPU.
pub(super) fn emulating() -> bool {
    EMULATING.get()
}

/// Run `body`, all operations of this thread by the kernels for a GPU.
pub(crate) fn emulate<R>(body: impl FnOnce() -> R) -> R {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            EMULATING.set(false);
        }
    }
    let _reset = Reset; // after a panic too
    EMULATING.set(true);
    body()
}

/// Whether there is a compiler; a test that needs it says so and returns at once if not.
pub(crate) fn available() -> bool {
    static FOUND: LazyLock<bool> =
        LazyLock::new(|| std::process::Command::new("g++").arg("--version").output().is_ok());
    if !*FOUND {
        let test = std::thread::current().name().unwrap_or_default().to_string();
        // past the test harness, which keeps what a passing test prints to itself
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {test}: the emulator of the kernels needs g++ on the path"
        );
    }
    *FOUND
}

/// The processor in the place of a GPU.
pub(super) struct Emulator;

impl Backend for Emulator {
    fn room(&self, len: usize, dtype: DType) -> Result<Storage> {
        Ok(Storage::Cpu(unwritten(len, dtype)?))
    }
    fn run(
        &self,
        source: &Source,
        kernel: &'static str,
        real: u32,
        values: Vec<u64>,
        geometry: Geometry,
    ) -> Result<()> {
        run(source, kernel, real, &values, geometry)
    }
    fn convolve(&self, product: Product, sizes: &Convolution, a: &Tensor, b: &Tensor, places: [u64; 3]) -> Result<()> {
        convolve(product, sizes, a, b, places[2])
    }
    fn multiply(&self, c: Matrix, add: bool, scale: f64, a: Matrix, b: Matrix) -> Result<()> {
        super::product::emulated(c, add, scale, a, b)
    }
    /// The processor has no such product of bf16.
    fn batched(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        if a.dtype() != DType::BF16 {
            return a.matmul(b);
        }
        let product = a.to_dtype(DType::F64)?.matmul(&b.to_dtype(DType::F64)?)?;
        product.to_dtype(DType::BF16)
    }
}

/// Normally distributed elements, the same for the same seed.
pub(crate) fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut draws = crate::random::Random::new(seed);
    let data: Vec<f64> = (0..shape.iter().product()).map(|_| draws.normal()).collect();
    Tensor::from_vec(data, shape, &candle_core::Device::Cpu).unwrap()
}

/// Check that the code for a GPU, run here, gives the values and gradients of the code for the processor, in f64, f32 and bf16.
///
/// `inputs` are f64; the first `maps` of them take the element type under test, the others its arithmetic type (weights and
/// statistics). The processor computes in f64 what the rounded inputs give, so that only the kernel's own error counts: 1e-11 in f64,
/// 2e-5 in f32, 2e-2 in bf16 of 1 + the value's magnitude.
pub(crate) fn agree(
    maps: usize,
    inputs: &[Tensor],
    cpu: impl Fn(&[Tensor]) -> crate::error::Result<Tensor>,
    gpu: impl Fn(&[Tensor]) -> crate::error::Result<Tensor>,
) {
    if !available() {
        return;
    }
    for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-5), (DType::BF16, 2e-2)] {
        let typed: Vec<Tensor> = inputs
            .iter()
            .enumerate()
            .map(|(i, t)| {
                t.to_dtype(if i < maps { dtype } else { super::arithmetic(dtype) })
                    .unwrap()
            })
            .collect();
        let exact: Vec<Tensor> = typed.iter().map(|t| t.to_dtype(DType::F64).unwrap()).collect();
        let expected = values_and_gradients(&exact, dtype, &cpu);
        let found = values_and_gradients(&typed, dtype, &gpu);
        for (part, (e, f)) in expected.iter().zip(&found).enumerate() {
            let what = if part == 0 {
                "value".into()
            } else {
                format!("gradient of input {}", part - 1)
            };
            assert_eq!(e.dims(), f.dims(), "{dtype:?}, {what}: shapes");
            let (e, f) = (flat(e), flat(f));
            for (at, (e, f)) in e.iter().zip(&f).enumerate() {
                let close = (e - f).abs() <= tolerance * (1.0 + e.abs());
                assert!(close, "{dtype:?}, {what}, element {at}: expected {e}, found {f}");
            }
        }
    }
}

/// Maps `[n, c, h, w]` in this layout, by candle's own operations.
pub(crate) fn to_layout(maps: &Tensor, layout: Layout) -> Result<Tensor> {
    match layout {
        Layout::ChannelsFirst => Ok(maps.clone()),
        Layout::ChannelsLast => maps.permute((0, 2, 3, 1))?.contiguous(),
    }
}

/// Maps in this layout as `[n, c, h, w]`.
pub(crate) fn from_layout(maps: &Tensor, layout: Layout) -> Result<Tensor> {
    match layout {
        Layout::ChannelsFirst => Ok(maps.clone()),
        Layout::ChannelsLast => maps.permute((0, 3, 1, 2))?.contiguous(),
    }
}

/// Both layouts.
pub(crate) const LAYOUTS: [Layout; 2] = [Layout::ChannelsFirst, Layout::ChannelsLast];

/// All numbers, in order.
pub(crate) fn flat(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// The result, then the gradient by every input of its sum weighted by fixed random numbers (of type `dtype`).
fn values_and_gradients(
    inputs: &[Tensor],
    dtype: DType,
    run: impl Fn(&[Tensor]) -> crate::error::Result<Tensor>,
) -> Vec<Tensor> {
    let vars: Vec<candle_core::Var> = inputs
        .iter()
        .map(|t| candle_core::Var::from_tensor(t).unwrap())
        .collect();
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = run(&tensors).unwrap();
    let weights = random(y.dims(), 77)
        .to_dtype(dtype)
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap();
    let loss = (y.to_dtype(DType::F64).unwrap() * weights).unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    let mut all = vec![y];
    all.extend(vars.iter().filter_map(|v| gradients.get(v.as_tensor()).cloned()));
    assert_eq!(all.len(), 1 + inputs.len(), "an input has no gradient");
    all
}

/// `len` elements that show in any result that a kernel forgot to write: NaN, or a large number.
fn unwritten(len: usize, dtype: DType) -> Result<CpuStorage> {
    let device = candle_core::Device::Cpu;
    let tensor = match dtype {
        DType::U8 | DType::U32 | DType::I64 => candle_core::Tensor::full(0xAAu8, len, &device)?,
        _ => candle_core::Tensor::full(f32::NAN, len, &device)?,
    };
    let tensor = tensor.to_dtype(dtype)?;
    let (storage, _) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(storage) => Ok(storage.clone()),
        _ => candle_core::bail!("internal: not in main memory"),
    }
}

/// The address of the first element.
pub(super) fn start(storage: &CpuStorage) -> Result<u64> {
    Ok(match storage {
        CpuStorage::F32(v) => v.as_ptr() as u64,
        CpuStorage::F64(v) => v.as_ptr() as u64,
        CpuStorage::BF16(v) => v.as_ptr() as u64,
        CpuStorage::U8(v) => v.as_ptr() as u64,
        CpuStorage::U32(v) => v.as_ptr() as u64,
        CpuStorage::I64(v) => v.as_ptr() as u64,
        _ => candle_core::bail!("emulator: this element type is not supported"),
    })
}

/// Run one grid.
fn run(source: &Source, kernel: &str, real: u32, values: &[u64], geometry: Geometry) -> Result<()> {
    let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    let library = match libraries.get(&(source.name, real)) {
        Some(library) => *library,
        None => {
            let library = compile(source, real)?;
            libraries.insert((source.name, real), library);
            library
        }
    };
    let name = c_string(&format!("emulated_{kernel}"));
    // SAFETY: the handle came from `dlopen`, the name is terminated.
    let entry = unsafe { dlsym(library as *mut c_void, name.as_ptr()) };
    if entry.is_null() {
        candle_core::bail!("emulator: {} has no kernel called {kernel}", source.name)
    }
    // SAFETY: `EMULATED` in emulator.h gives every entry this signature.
    let entry: Entry = unsafe { std::mem::transmute(entry) };
    let (grid, block) = (geometry.grid, [geometry.threads, 1, 1]);
    // SAFETY: the pointers among the values are those of live tensors; the kernel stays inside them, or the test shows it.
    let wrong = unsafe { entry(values.as_ptr(), values.len() as c_int, grid.as_ptr(), block.as_ptr()) };
    if wrong != 0 {
        candle_core::bail!("{kernel} takes {wrong} arguments, {} were given", values.len())
    }
    Ok(())
}

fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

fn compile(source: &Source, real: u32) -> Result<usize> {
    let folder: PathBuf = tempfile::tempdir()?.keep();
    let (input, output) = (folder.join("kernel.cpp"), folder.join("kernel.so"));
    let mut text = format!(
        "#line 1 \"emulator.h\"\n{EMULATOR}\n#line 1 \"prelude.cuh\"\n{PRELUDE}\n#line 1 \"{}.cu\"\n{}\n",
        source.name, source.text
    );
    for kernel in source.kernels() {
        text.push_str(&format!("EMULATED({kernel})\n"));
    }
    std::fs::write(&input, text)?;
    // no contraction, no reordering: the same sums as the processor's own kernels where the order is the same
    let done = std::process::Command::new("g++")
        .args([
            "-std=c++17",
            "-O1",
            "-w",
            "-shared",
            "-fPIC",
            "-ffp-contract=off",
            "-U_FORTIFY_SOURCE",
        ])
        .arg(format!("-DREAL={real}"))
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .output()?;
    if !done.status.success() {
        candle_core::bail!("g++ on {}.cu: {}", source.name, String::from_utf8_lossy(&done.stderr))
    }
    let path = c_string(&output.to_string_lossy());
    // SAFETY: the path is terminated; the library was made from our own source just now and has no start-up code.
    let library = unsafe { dlopen(path.as_ptr(), 2) };
    let _ = std::fs::remove_dir_all(&folder);
    if library.is_null() {
        candle_core::bail!("emulator: the library made from {}.cu cannot be loaded", source.name)
    }
    Ok(library as usize)
}

/// What cuDNN does on a GPU: the product by its definition, summed in f64, written to `place` (elements of `a`'s type).
fn convolve(product: Product, g: &Convolution, a: &Tensor, b: &Tensor, place: u64) -> Result<()> {
    let dtype = a.dtype();
    let (a, b) = (a.to_dtype(DType::F64)?, b.to_dtype(DType::F64)?);
    let (a, b) = (View::<f64>::of(&a)?, View::<f64>::of(&b)?);
    let (a, b): (&[f64], &[f64]) = (&a, &b);
    let sizes = |s: [i32; 4]| s.map(|n| n as usize);
    let (x, w, y) = (sizes(g.input), sizes(g.weight), sizes(g.output));
    let shape = match product {
        Product::Output => y,
        Product::InputGradient => x,
        Product::WeightGradient => w,
    };
    let mut sums = vec![0f64; shape.iter().product()];
    let at = |s: [usize; 4], i: [usize; 4]| match g.layout {
        Layout::ChannelsFirst => ((i[0] * s[1] + i[1]) * s[2] + i[2]) * s[3] + i[3],
        Layout::ChannelsLast => ((i[0] * s[2] + i[2]) * s[3] + i[3]) * s[1] + i[1],
    };
    for n in 0..y[0] {
        for o in 0..y[1] {
            let first = o / (y[1] / g.groups as usize) * w[1];
            for (c, i, j) in (0..w[1]).flat_map(|c| (0..w[2] * w[3]).map(move |t| (c, t / w[3], t % w[3]))) {
                for (row, column) in (0..y[2] * y[3]).map(|p| (p / y[3], p % y[3])) {
                    let v = row as i32 * g.stride[0] + i as i32 * g.dilation[0] - g.padding[0];
                    let h = column as i32 * g.stride[1] + j as i32 * g.dilation[1] - g.padding[1];
                    if v < 0 || h < 0 || v >= g.input[2] || h >= g.input[3] {
                        continue;
                    }
                    let (x, w) = (at(x, [n, first + c, v as usize, h as usize]), at(w, [o, c, i, j]));
                    let y = at(y, [n, o, row, column]);
                    match product {
                        Product::Output => sums[y] += a[x] * b[w],
                        Product::InputGradient => sums[x] += a[w] * b[y],
                        Product::WeightGradient => sums[w] += a[x] * b[y],
                    }
                }
            }
        }
    }
    let n = sums.len();
    let result = Tensor::from_vec(sums, n, &candle_core::Device::Cpu)?.to_dtype(dtype)?;
    let bytes = result.elem_count() * dtype.size_in_bytes();
    let (storage, _) = result.storage_and_layout();
    let candle_core::Storage::Cpu(storage) = &*storage else {
        candle_core::bail!("internal: not in main memory")
    };
    // SAFETY: `place` is a buffer of as many elements of the same type, just made.
    unsafe { std::ptr::copy_nonoverlapping(start(storage)? as *const u8, place as *mut u8, bytes) };
    Ok(())
}
