//! Fresh buffers, disjoint writes from several threads, and functions compiled for wide vectors.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use rayon::prelude::*;

use crate::error::Result;
use crate::fail;

/// Start the one pool of `threads` threads that all kernels share. Called once, when the program starts.
///
/// candle has a pool of its own for element-wise operations, whose threads spin while they wait for work and so take the processors
/// from ours; it gets no thread beside the caller's, and candle's matrix products get `threads` of ours. candle reads that from the
/// environment, which is set only while the process has a single thread (elsewhere than on Linux: never).
pub fn start_threads(threads: usize) -> Result<()> {
    let alone = std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1);
    if alone {
        // SAFETY: no other thread reads the environment meanwhile, as there is none.
        unsafe {
            std::env::set_var("CANDLE_NUM_THREADS", "1");
            std::env::set_var("RAYON_NUM_THREADS", threads.to_string());
        }
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    match pool.build_global() {
        Ok(()) => Ok(()),
        Err(e) => fail!("--threads: {e}"),
    }
}

/// A vector of `len` elements, all of which `fill` must write.
pub(crate) fn buffer<T: Copy>(len: usize, fill: impl FnOnce(&mut [MaybeUninit<T>])) -> Vec<T> {
    let mut data: Vec<T> = Vec::with_capacity(len);
    fill(&mut data.spare_capacity_mut()[..len]);
    // SAFETY: `fill` wrote all `len` elements.
    unsafe { data.set_len(len) };
    data
}

/// Maps of `area` elements each, `count` of them, filled in parallel: `fill` gets the number of a map and the map, and its work is about
/// that on `work` elements.
#[inline(always)]
pub(crate) fn by_maps<T: Copy + Send>(
    count: usize,
    area: usize,
    work: usize,
    fill: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync + Send,
) -> Vec<T> {
    buffer(count * area, |maps| {
        let maps = maps.par_chunks_mut(area.max(1)).with_min_len(per_task(work));
        maps.enumerate().for_each(|(i, map)| fill(i, map));
    })
}

/// New memory, every element of it set to `value`.
#[inline(always)]
pub(crate) fn filled<T: Copy>(part: &mut [MaybeUninit<T>], value: T) -> &mut [T] {
    for element in part.iter_mut() {
        element.write(value);
    }
    // SAFETY: every element was written.
    unsafe { part.assume_init_mut() }
}

/// Memory that several tasks write at once, each its own part.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<'_, T> {}

// SAFETY: the only accesses are `part` and `new_part`, whose callers promise disjoint ranges.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// Share `data` among tasks.
    pub(crate) fn new(data: &'a mut [T]) -> Self {
        Shared {
            start: data.as_mut_ptr(),
            len: data.len(),
            borrow: PhantomData,
        }
    }

    /// Share new memory among tasks.
    pub(crate) fn fresh(data: &'a mut [MaybeUninit<T>]) -> Self {
        Shared {
            start: data.as_mut_ptr().cast(),
            len: data.len(),
            borrow: PhantomData,
        }
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The elements `start..start + len`, which have been written.
    ///
    /// # Safety
    /// No other task may touch this range while the slice lives, and all of it is initialised.
    #[allow(clippy::mut_from_ref)]
    #[inline(always)]
    pub(crate) unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        debug_assert!(start + len <= self.len);
        // SAFETY: within the buffer by the callers' arithmetic (checked in debug builds), disjoint and initialised by their promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// The elements `start..start + len`, to be written.
    ///
    /// # Safety
    /// No other task may touch this range while the slice lives.
    #[allow(clippy::mut_from_ref)]
    #[inline(always)]
    pub(crate) unsafe fn new_part(&self, start: usize, len: usize) -> &mut [MaybeUninit<T>] {
        debug_assert!(start + len <= self.len);
        // SAFETY: within the buffer by the callers' arithmetic (checked in debug builds), disjoint by their promise; memory that may
        // be uninitialised has no invalid contents.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start).cast(), len) }
    }

    /// The elements from `start` on.
    pub(crate) fn from(&self, start: usize) -> Self {
        debug_assert!(start <= self.len);
        Shared {
            start: self.start.wrapping_add(start),
            len: self.len - start,
            borrow: PhantomData,
        }
    }

    /// The address of element `at`, for kernels that take pointers.
    #[inline(always)]
    pub(crate) fn at(&self, at: usize) -> *mut T {
        debug_assert!(at <= self.len);
        self.start.wrapping_add(at)
    }
}

/// The instruction sets that kernels are written for, each with what the ones before it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What every processor of this architecture has.
    Portable,
    /// AVX2 and fused multiply-add.
    Avx2,
    /// AVX-512 F, BW, DQ, VL.
    Avx512,
}

/// The level of this processor, or a lower one that the environment variable `SEGLAB_CPU` (`portable`, `avx2`) asks for: the results of
/// another machine can be had on this one, and the tests compare the levels.
pub(crate) fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let most = match std::env::var("SEGLAB_CPU").as_deref() {
            Ok("portable") => Level::Portable,
            Ok("avx2") => Level::Avx2,
            _ => Level::Avx512,
        };
        found().min(most)
    })
}

/// The level where `SEGLAB_CPU` asks for less than the processor has.
pub(crate) fn lowered() -> Option<Level> {
    Some(level()).filter(|level| *level < found())
}

#[cfg(target_arch = "x86_64")]
fn found() -> Level {
    use std::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma") && has!("bmi1") && has!("bmi2") && has!("lzcnt") && has!("popcnt")) {
        Level::Portable
    } else if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
        Level::Avx512
    } else {
        Level::Avx2
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn found() -> Level {
    Level::Portable
}

/// A function compiled twice, closures included: for AVX2 (used where the processor has it), and as it is. The results are the
/// same to the bit, as multiplications and additions are not contracted. For AVX-512 the compiler's code is mostly slower than for AVX2;
/// a `widest fn` is compiled for it as well. Of a function with other generics than an [`Element`](super::Element) these stand behind its
/// name in brackets, as they are declared and as they are named.
macro_rules! wide {
    ($(#[$meta:meta])* widest $vis:vis fn $name:ident[$($generic:tt)*] as [$($called:tt)*]($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name<$($generic)*>($($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::ops::kernel::cpu::{Level, level};
                #[target_feature(enable = "avx,avx2,fma,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512dq,avx512vl")]
                #[allow(clippy::too_many_arguments)]
                fn widest<$($generic)*>($($arg: $type),*) $body
                #[target_feature(enable = "avx,avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
                #[allow(clippy::too_many_arguments)]
                fn wide<$($generic)*>($($arg: $type),*) $body
                match level() {
                    // SAFETY: the features were found on this processor.
                    Level::Avx512 => return unsafe { widest::<$($called)*>($($arg),*) },
                    // SAFETY: as above.
                    Level::Avx2 => return unsafe { wide::<$($called)*>($($arg),*) },
                    Level::Portable => {}
                }
            }
            #[allow(clippy::too_many_arguments)]
            fn narrow<$($generic)*>($($arg: $type),*) $body
            narrow::<$($called)*>($($arg),*)
        }
    };
    ($(#[$meta:meta])* widest $vis:vis fn $name:ident<T: Element>($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name<T: Element>($($arg: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::ops::kernel::cpu::{Level, level};
                #[target_feature(enable = "avx,avx2,fma,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512dq,avx512vl")]
                fn widest<T: Element>($($arg: $type),*) $(-> $result)? $body
                if level() >= Level::Avx512 {
                    // SAFETY: the features were found on this processor.
                    return unsafe { widest::<T>($($arg),*) };
                }
            }
            $crate::ops::kernel::cpu::wide! {
                fn narrower<T: Element>($($arg: $type),*) $(-> $result)? $body
            }
            narrower::<T>($($arg),*)
        }
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident<T: Element>($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name<T: Element>($($arg: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::ops::kernel::cpu::{Level, level};
                #[target_feature(enable = "avx,avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
                #[allow(clippy::too_many_arguments)]
                fn wide<T: Element>($($arg: $type),*) $(-> $result)? $body
                if level() >= Level::Avx2 {
                    // SAFETY: the features were found on this processor.
                    return unsafe { wide::<T>($($arg),*) };
                }
            }
            #[allow(clippy::too_many_arguments)]
            fn narrow<T: Element>($($arg: $type),*) $(-> $result)? $body
            narrow::<T>($($arg),*)
        }
    };
}
pub(crate) use wide;

/// `0..count` in order-preserving tasks of `per_task` indices each, over rayon's pool; `task` gets its range.
pub(crate) fn for_ranges(count: usize, per_task: usize, task: impl Fn(std::ops::Range<usize>) + Sync + Send) {
    let per_task = per_task.max(1);
    if count <= per_task {
        if count > 0 {
            task(0..count);
        }
        return;
    }
    (0..count.div_ceil(per_task))
        .into_par_iter()
        .for_each(|i| task(i * per_task..((i + 1) * per_task).min(count)));
}

/// How many items of `size` elements make a task worth its start (about 16 Ki elements).
pub(crate) fn per_task(size: usize) -> usize {
    (16_384 / size.max(1)).max(1)
}

/// Positions of the inner dimension that [`for_strips`] handles at once.
pub(crate) const STRIP: usize = 64;

/// Of a map `[outer, length, inner]`: call `body(outer index, first inner position, count)` for every strip of inner positions with all
/// their `length`, in parallel.
#[inline(always)]
pub(crate) fn for_strips([outer, length, inner]: [usize; 3], body: impl Fn(usize, usize, usize) + Sync + Send) {
    let strips = inner.div_ceil(STRIP);
    for_ranges(outer * strips, per_task(length * inner.min(STRIP)), |range| {
        for strip in range {
            let start = strip % strips * STRIP;
            body(strip / strips, start, STRIP.min(inner - start));
        }
    });
}

/// A vector filled in parallel pieces of 16 Ki elements; `fill` gets the place of its first element and the piece.
pub(crate) fn fill_by<T: Copy + Send>(len: usize, fill: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync + Send) -> Vec<T> {
    buffer(len, |out| {
        if len <= 32_768 {
            fill(0, out);
        } else {
            out.par_chunks_mut(16_384)
                .enumerate()
                .for_each(|(i, part)| fill(i * 16_384, part));
        }
    })
}
