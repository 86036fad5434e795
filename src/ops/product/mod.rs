//! Matrix products of one thread, which the convolutions are made of.
//!
//! In f32 and f64 they are those of the `gemm` package (AVX-512, AVX2, or what there is). In bf16, on a processor with AVX-512-BF16,
//! both factors are rounded and packed into panels (8 rows of one, 32 columns of the other, pair of depths by pair) that stay in
//! the caches, and a tile of 8 x 32 sums stays in registers (`vdpbf16ps`): Goto, van de Geijn, "Anatomy of high-performance matrix
//! multiplication", 2008. Elsewhere the factors are rounded first; the sums are the same but for rounding in f32.

mod cpu;
#[cfg(target_arch = "x86_64")]
mod lowered_cpu;
#[cfg(target_arch = "x86_64")]
mod tiles_cpu;

pub(crate) use cpu::Matrix;
