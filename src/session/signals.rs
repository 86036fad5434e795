//! Ctrl-C, SIGTERM and SIGHUP. Ctrl-C interrupts what runs; the other two (a job that is ended, a connection that drops) do the same
//! and then end the process with 128 + the signal's number. Both leave training a checkpoint.

use std::io::{IsTerminal, Stdin, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{dup2_stderr, dup2_stdout};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGURG, SIGUSR1};
use signal_hook::iterator::Signals;

use super::ending::Ending;
use crate::error::{Error, Result};

/// The status of a process that Ctrl-C ended.
pub const INTERRUPTED: u8 = 128 + SIGINT as u8;
/// The status of a process that SIGTERM ended.
pub const TERMINATED: u8 = 128 + SIGTERM as u8;
/// The status of a process that SIGHUP ended.
pub const HUNG_UP: u8 = 128 + SIGHUP as u8;
/// The number of SIGHUP, the signal of a terminal that was closed.
pub const HANG_UP: i32 = SIGHUP;
/// So many Ctrl-C without an answer end the process.
const PATIENCE: usize = 3;
/// The signal that makes a waiting write begin anew; the system ignores it by default.
const KICK: i32 = SIGURG;
/// Between two looks at a terminal that may have stalled.
const PAUSE: Duration = Duration::from_millis(200);

/// Answer signals from now on, from a thread of their own.
pub fn handle(ending: &Ending) -> Result<()> {
    let failed = |e: std::io::Error| Error::usage(format!("Ctrl-C cannot be handled ({e})"));
    // A signal that nohup (or a parent) told the program to ignore stays ignored.
    let wanted = [SIGTERM, SIGHUP].into_iter().filter(|s| !ignored(*s)).chain([SIGINT]);
    let mut signals = Signals::new(wanted).map_err(failed)?;
    signal_hook::flag::register(KICK, Arc::default()).map_err(failed)?;
    let ending = ending.clone();
    let terminal = Terminal::now();
    let answer = move || {
        let mut unanswered = 0;
        for signal in signals.forever() {
            if signal == SIGINT {
                let pending = ending.cancel_flag().swap(true, Ordering::SeqCst);
                unanswered = if pending { unanswered + 1 } else { 1 };
                if unanswered >= PATIENCE {
                    std::process::exit(i32::from(INTERRUPTED));
                }
                continue;
            }
            ending.signal(signal);
            let _ = std::thread::Builder::new().spawn(free_the_terminal);
            if ending.is_idle() {
                terminal.restore();
                std::process::exit(128 + signal);
            }
        }
    };
    let thread = std::thread::Builder::new().name("signals".into()).spawn(answer);
    thread.map(drop).map_err(failed)
}

/// The news that a job's time limit is near: by the clock where the scheduler tells how much time is left, else by SIGUSR1, which the
/// job's script asks the scheduler for.
pub struct TimeLimit(Arc<AtomicBool>);

impl TimeLimit {
    /// Whether it has come and has ended what ran.
    pub fn reached(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Wait for the news of a time limit from now on; it cancels what runs, as Ctrl-C does. `left` is asked how long that may still work: a
/// scheduler's signal may come early, or before there was anybody to take it.
pub fn time_limit(ending: &Ending, left: impl Fn() -> Option<Duration> + Clone + Send + 'static) -> Result<TimeLimit> {
    let failed = |e: std::io::Error| Error::usage(format!("the time limit cannot be watched ({e})"));
    let mut signals = Signals::new([SIGUSR1]).map_err(failed)?;
    let (reached, cancel) = (Arc::new(AtomicBool::new(false)), ending.cancel_flag());
    let news = reached.clone();
    let wait = {
        let left = left.clone();
        move || {
            // asked again, as a limit can be moved meanwhile
            while let Some(time) = left().filter(|time| !time.is_zero()) {
                std::thread::sleep(time);
            }
            news.store(true, Ordering::SeqCst);
            cancel.store(true, Ordering::SeqCst);
        }
    };
    let told = wait.clone();
    let by_signal = move || signals.forever().for_each(|_| told());
    let by_clock = move || {
        if left().is_some() {
            wait();
        }
    };
    let start = |work: Box<dyn FnOnce() + Send>| {
        let thread = std::thread::Builder::new().name("time limit".into()).spawn(work);
        thread.map(drop).map_err(failed)
    };
    start(Box::new(by_signal))?;
    start(Box::new(by_clock))?;
    Ok(TimeLimit(reached))
}

/// A terminal that nobody reads (a stalled connection, Ctrl-S) stops the program that writes to it. It must go on, to its end:
/// where nothing moves after some time, what it writes goes nowhere, and the writes that wait begin anew.
fn free_the_terminal() {
    std::thread::sleep(PAUSE * 10);
    while !stalled() {
        std::thread::sleep(PAUSE);
    }
    let Ok(nowhere) = std::fs::File::options().write(true).open("/dev/null") else {
        return;
    };
    if std::io::stdout().is_terminal() {
        let _ = dup2_stdout(&nowhere);
    }
    if std::io::stderr().is_terminal() {
        let _ = dup2_stderr(&nowhere);
    }
    loop {
        for thread in threads() {
            // SAFETY: the call takes three numbers; this signal has a handler that does nothing.
            unsafe { nix::libc::syscall(nix::libc::SYS_tgkill, std::process::id(), thread, KICK) };
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether standard error is a terminal that takes nothing.
fn stalled() -> bool {
    let mut terminal = nix::libc::pollfd {
        fd: std::io::stderr().as_raw_fd(),
        events: nix::libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one descriptor, which lives during the call; it does not wait.
    std::io::stderr().is_terminal() && unsafe { nix::libc::poll(&raw mut terminal, 1, 0) } == 0
}

/// The threads of this process (Linux; elsewhere none).
fn threads() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter_map(|task| task.file_name().to_str()?.parse().ok())
        .collect()
}

/// Whether the program was started with this signal ignored (Linux tells; elsewhere no).
fn ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Whether standard input is a terminal that is still there.
pub fn terminal_is_there() -> bool {
    tcgetattr(std::io::stdin()).is_ok()
}

/// The terminal as it was when the program started; the line editor changes it while it waits.
struct Terminal(Option<(Stdin, Termios)>);

impl Terminal {
    fn now() -> Self {
        let input = std::io::stdin();
        let state = tcgetattr(&input).ok();
        Terminal(state.map(|state| (input, state)))
    }

    fn restore(&self) {
        let Some((input, state)) = &self.0 else { return };
        let _ = tcsetattr(input, SetArg::TCSANOW, state);
        // the line editor also asked for marks around pasted text
        let _ = std::io::stdout().write_all(b"\x1b[?2004l\r\n");
    }
}
