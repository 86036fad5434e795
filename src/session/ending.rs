//! How the process was asked to end: by a signal, by `exit(status)`, or because nobody reads its output any more.
//!
//! Whoever asks also raises the session's cancel flag, so that what runs ends as after Ctrl-C: training stops at the next step with
//! a checkpoint. The flag then stays up, and the process ends with the status asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

/// A closed pipe at the standard output: the status of a program that SIGPIPE ends.
pub const CLOSED_PIPE: u8 = 141;
/// The bit that tells a status from "nobody asked".
const ASKED: u16 = 0x100;
/// The bit of a wish that cannot be withdrawn.
const SIGNAL: u16 = 0x200;

/// The wish to end, shared with the thread that waits for signals.
#[derive(Clone, Default)]
pub struct Ending(Arc<State>);

#[derive(Default)]
struct State {
    status: AtomicU16,
    idle: AtomicBool,
    cancel: Arc<AtomicBool>,
}

impl Ending {
    /// The flag that every long loop asks, raised by Ctrl-C too.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.0.cancel.clone()
    }

    /// Ask for the end with this status; the first wish counts.
    pub fn ask(&self, status: u8) {
        let wish = ASKED | u16::from(status);
        let _ = self
            .0
            .status
            .compare_exchange(0, wish, Ordering::SeqCst, Ordering::SeqCst);
        self.0.cancel.store(true, Ordering::SeqCst);
    }

    /// Ask for the end because of this signal, whatever was asked before by others than signals.
    pub fn signal(&self, number: i32) {
        let wish = SIGNAL | ASKED | (128 + u16::try_from(number).unwrap_or(0));
        let first = |before: u16| (before & SIGNAL == 0).then_some(wish);
        let _ = self.0.status.fetch_update(Ordering::SeqCst, Ordering::SeqCst, first);
        self.0.cancel.store(true, Ordering::SeqCst);
    }

    /// The status asked for.
    pub fn status(&self) -> Option<u8> {
        let wish = self.0.status.load(Ordering::SeqCst);
        (wish & ASKED != 0).then_some((wish & 0xFF) as u8)
    }

    /// Take back the wish of a script, for who runs several of them; a signal's stays.
    pub fn withdraw(&self) -> Option<u8> {
        let wish = self.0.status.load(Ordering::SeqCst);
        let own = wish & SIGNAL == 0
            && self
                .0
                .status
                .compare_exchange(wish, 0, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok();
        (own && wish & ASKED != 0).then_some((wish & 0xFF) as u8)
    }

    /// Wait for the person in `body`: a signal meanwhile ends the process at once, as nothing is at work.
    pub fn idle<T>(&self, body: impl FnOnce() -> T) -> T {
        self.0.idle.store(true, Ordering::SeqCst);
        let result = body();
        self.0.idle.store(false, Ordering::SeqCst);
        result
    }

    /// Whether the program only waits for the person.
    pub fn is_idle(&self) -> bool {
        self.0.idle.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wish_counts_and_a_signal_above_all() {
        let ending = Ending::default();
        assert_eq!(ending.status(), None);
        ending.ask(0);
        ending.ask(3);
        assert_eq!(ending.status(), Some(0));
        assert!(ending.cancel_flag().load(Ordering::SeqCst));
        ending.signal(15);
        ending.signal(1);
        assert_eq!(ending.status(), Some(143));
        assert_eq!((ending.withdraw(), ending.status()), (None, Some(143)));
        let ending = Ending::default();
        ending.ask(3);
        assert_eq!((ending.withdraw(), ending.status()), (Some(3), None));
    }

    #[test]
    fn idle_is_only_the_time_of_waiting() {
        let ending = Ending::default();
        assert!(ending.idle(|| ending.is_idle()) && !ending.is_idle());
    }
}
