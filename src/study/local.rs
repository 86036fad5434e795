//! Running points as processes of their own on this machine.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::point::{Point, State};
use super::sweep::Sweep;
use crate::error::{Error, Result};
use crate::session::{Place, Session};

/// How often the processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// How the points of a sweep are run here.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// Processes at a time.
    pub at_once: usize,
    /// The devices that they share in turn, such as `cuda:0`; what `--device` says.
    pub devices: Vec<String>,
}

/// A process at work on a point.
struct Work {
    index: usize,
    slot: usize,
    child: Child,
    begun: Instant,
}

impl Work {
    /// Start the point of number `index` on this device.
    fn start(sweep: &Sweep, index: usize, slot: usize, device: &str) -> Result<Self> {
        Ok(Work {
            index,
            slot,
            child: start(sweep, &sweep.points()[index], device)?,
            begun: Instant::now(),
        })
    }
}

/// Run every point of `sweep` that is not done, `jobs.at_once` at a time, and say of each how it ended. A failed point ends no other.
/// Where the session is cancelled the processes are ended, each with its checkpoints.
///
/// # Errors
/// A process cannot be started; [`Error::Interrupted`] if the session is cancelled.
pub fn run_here(sweep: &Sweep, session: &Session, jobs: &Jobs) -> Result<()> {
    let states = sweep.states()?;
    let mut waiting: Vec<usize> = (0..states.len()).filter(|i| states[*i].0 != State::Done).collect();
    waiting.reverse(); // the next one is taken from the end
    let mut progress = session.progress("sweep", 0, waiting.len() as u64);
    let mut ended = 0;
    attend(
        session,
        Vec::new(),
        |working| {
            if waiting.is_empty() {
                return Ok(Next::None);
            }
            if working.len() >= jobs.at_once {
                return Ok(Next::Later);
            }
            let Some(at) = next(sweep, &waiting)? else {
                return Ok(Next::Later);
            };
            let slot = (0..).find(|s| working.iter().all(|w| w.slot != *s)).unwrap_or(0);
            let device = &jobs.devices[slot % jobs.devices.len().max(1)];
            Ok(Next::Work(Work::start(sweep, waiting.remove(at), slot, device)?))
        },
        |work, status, at_work| {
            ended += 1;
            session.print(&verdict(sweep, work, status)?);
            progress.at(ended, &format!("{at_work} at work"));
            Ok(())
        },
    )?;
    if waiting.is_empty() {
        Ok(())
    } else {
        Err(Error::Interrupted)
    }
}

/// Run the point of number `index` in a process of its own and wait for it; signals are handed on. The status it ended with.
///
/// # Errors
/// The process cannot be started.
pub fn run_point(sweep: &Sweep, index: usize, device: &str, session: &Session) -> Result<ExitStatus> {
    let work = Work::start(sweep, index, 0, device)?;
    let mut found = None;
    attend(
        session,
        vec![work],
        |_| Ok(Next::None),
        |_, status, _| {
            found = Some(status);
            Ok(())
        },
    )?;
    found.ok_or(Error::Interrupted)
}

/// What is to be done beside the processes at work.
enum Next {
    /// Wait for this one too.
    Work(Work),
    /// Nothing now.
    Later,
    /// Nothing any more.
    None,
}

/// Wait for processes until all have ended: `next` starts further ones, `ended` is told of each that ended, its status, and how
/// many are still at work. Where the session is cancelled no other is started, and those at work are asked to end.
fn attend(
    session: &Session,
    mut working: Vec<Work>,
    mut next: impl FnMut(&[Work]) -> Result<Next>,
    mut ended: impl FnMut(&Work, ExitStatus, usize) -> Result<()>,
) -> Result<()> {
    let mut told = false;
    loop {
        let mut over = session.cancelled();
        if over {
            if !std::mem::replace(&mut told, true) {
                working.iter().for_each(|work| end(&work.child));
            }
        } else {
            match next(&working)? {
                Next::Work(work) => {
                    working.push(work);
                    continue;
                }
                Next::Later => {}
                Next::None => over = true,
            }
        }
        if over && working.is_empty() {
            return Ok(());
        }
        let mut still = Vec::new();
        for mut work in working {
            match work.child.try_wait() {
                Ok(None) => still.push(work),
                Ok(Some(status)) => ended(&work, status, still.len())?,
                Err(e) => return Err(Error::usage(format!("sweep: a process cannot be waited for ({e})"))),
            }
        }
        working = still;
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The place in `waiting` of the next point that no other process is at work on (one of a sweep that was killed may be).
fn next(sweep: &Sweep, waiting: &[usize]) -> Result<Option<usize>> {
    for at in (0..waiting.len()).rev() {
        let (state, _) = sweep.points()[waiting[at]].state(sweep.folder())?;
        if state != State::Running {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Start `seglab run` for a point; what it says goes to `stdout.txt` and `stderr.txt` in its folder.
fn start(sweep: &Sweep, point: &Point, device: &str) -> Result<Child> {
    let folder = sweep.folder().join(&point.folder);
    Place::from(folder.as_path()).make_folder()?;
    let failed = |e: std::io::Error| Error::usage(format!("sweep: a run cannot be started ({e})"));
    let program = std::env::current_exe().map_err(failed)?;
    let output = |name: &str| -> Result<Stdio> { Ok(log(&folder.join(name))?.into()) };
    Command::new(program)
        .arg("run")
        .arg(sweep.script())
        .args(point.words())
        .arg("--go-on")
        .arg("--out")
        .arg(&folder)
        .args(["--seed", &sweep.seed().to_string()])
        .args(["--threads", &sweep.threads().to_string()])
        .args(["--device", device])
        .stdin(Stdio::null())
        .stdout(output("stdout.txt")?)
        .stderr(output("stderr.txt")?)
        .spawn()
        .map_err(failed)
}

/// A file that grows with each attempt.
fn log(path: &Path) -> Result<File> {
    let place = Place::from(path);
    let mut file = place.append()?;
    let _ = file.flush();
    Ok(file)
}

/// Ask a process to end; training leaves a checkpoint.
fn end(child: &Child) {
    if let Ok(id) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
}

/// A line on how a point ended.
fn verdict(sweep: &Sweep, work: &Work, status: ExitStatus) -> Result<String> {
    let point = &sweep.points()[work.index];
    let (state, record) = point.state(sweep.folder())?;
    let words: Vec<String> = point.words().collect();
    let seconds = work.begun.elapsed().as_secs_f64();
    let facts = match (&state, record) {
        (State::Done, Some(record)) => record.results(),
        (State::Failed(why), _) => why.clone(),
        _ => format!("{status}; the same command goes on with it"),
    };
    Ok(format!(
        "{}  {}  {seconds:.1} s  {facts}",
        words.join(" "),
        state.name()
    ))
}
