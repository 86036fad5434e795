//! The program's memory allocator, set for training: buffers of tens of MiB that come and go with every step.

use std::alloc::{GlobalAlloc, Layout};
use std::io::Write;

/// The allocator; where the system has no more memory the program ends with a sentence, not with a trace of its insides.
pub struct MiMalloc;

// SAFETY: every call is handed on to an allocator that keeps the rules.
unsafe impl GlobalAlloc for MiMalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        given(unsafe { mimalloc::MiMalloc.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        given(unsafe { mimalloc::MiMalloc.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        given(unsafe { mimalloc::MiMalloc.realloc(old, layout, size) }, size)
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { mimalloc::MiMalloc.dealloc(old, layout) }
    }
}

/// What was allocated, if it was.
#[inline]
fn given(memory: *mut u8, bytes: usize) -> *mut u8 {
    if memory.is_null() {
        out_of_memory(bytes);
    }
    memory
}

/// Nothing can be allocated any more, not even for an error on its way up.
#[cold]
fn out_of_memory(bytes: usize) -> ! {
    let _ = writeln!(
        std::io::stderr(),
        "error: the memory is full: {:.3} GB more were wanted, which the system does not have; smaller sizes or batches need less",
        bytes as f64 / 1e9
    );
    std::process::exit(1)
}

/// mimalloc's `mi_option_purge_delay`, which its Rust binding does not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// Milliseconds that freed memory is kept (ten times as long for large pieces).
const KEPT: std::ffi::c_long = 200;

/// Give freed memory back to the system only after some seconds, not after a tenth of one. A training step then finds the
/// pages that the step before it left, instead of fresh ones that the system must clear: a quarter of a step's time. To be called
/// first in a program whose global allocator is [`MiMalloc`].
///
/// The allocator is version 2: its third version spreads large pieces more widely, which raised the peak of a training step by a
/// fifth.
pub fn keep_freed_memory() {
    // SAFETY: sets a number in the allocator's table of options, atomically; the option exists in the version that is built.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, KEPT) }
}

/// Give what this thread has freed back now: for work of a second that has just let go of much, and will need pieces of other sizes.
/// Costs what finding fresh pages will cost, some tens of milliseconds for a few hundred MiB.
pub fn give_back() {
    // SAFETY: only asks the allocator to tidy up; pieces in use stay as they are.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_option_is_the_one_meant() {
        // the default, which tells it from its neighbours (1 and 0)
        // SAFETY: reads a number from the allocator's table of options.
        let before = unsafe { libmimalloc_sys::mi_option_get(super::PURGE_DELAY) };
        assert!(before == 10 || before == super::KEPT, "{before}");
        super::keep_freed_memory();
        // SAFETY: as above.
        assert_eq!(
            unsafe { libmimalloc_sys::mi_option_get(super::PURGE_DELAY) },
            super::KEPT
        );
    }
}
