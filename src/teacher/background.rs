//! Passes that ask nobody whether to go on, such as those of candle-transformers.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::fail;
use crate::ops::pieces::Check;

/// How often the one who waits looks up.
const PAUSE: Duration = Duration::from_millis(50);

/// Do `work` on a thread of its own and ask `check` while it lasts. Where that says to stop, the thread ends by itself when the work is
/// done, and nobody waits for it.
pub(super) fn run<T: Send + 'static>(check: Check, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    check()?;
    let (sender, receiver) = mpsc::channel();
    let begun = thread::Builder::new().name("teacher".into()).spawn(move || {
        // nobody listens any more after an interruption
        let _ = sender.send(work());
    });
    begun.map_err(|e| Error::usage(format!("no thread can be started ({e})")))?;
    loop {
        match receiver.recv_timeout(PAUSE) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => check()?,
            Err(RecvTimeoutError::Disconnected) => {
                fail!("the model ended without a result: this is a bug")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_result_comes_and_an_interruption_does_not_wait() {
        assert_eq!(run(&|| Ok(()), || Ok(7)).unwrap(), 7);
        let begun = Instant::now();
        let asked = Cell::new(0);
        let check = || {
            asked.set(asked.get() + 1);
            match asked.get() > 2 {
                true => Err(Error::Interrupted),
                false => Ok(()),
            }
        };
        let slow = || {
            thread::sleep(Duration::from_secs(20));
            Ok(7)
        };
        assert!(matches!(run(&check, slow), Err(Error::Interrupted)));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
