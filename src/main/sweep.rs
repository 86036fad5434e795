//! `seglab sweep` and `seglab replay`.

use std::path::{Path, PathBuf};

use clap::Args;
use seglab::error::{Error, Result};
use seglab::script::check;
use seglab::session::signals::{self, INTERRUPTED};
use seglab::session::{Session, Sink};
use seglab::study::{self, Array, Jobs, Shared, State, Sweep};

use super::cli::{Common, cores};
use super::{DONE, FAILED, USAGE, refuse, say};

/// What `seglab sweep` is told.
#[derive(Args, Clone)]
pub(super) struct SweepArgs {
    /// The script
    #[arg(required_unless_present_any = ["status", "point"])]
    file: Option<PathBuf>,
    /// Values of its arguments: name=a,b, name=0..4 (0, 1, 2, 3), @points.csv; all combinations are run
    #[arg(value_name = "name=values")]
    values: Vec<String>,
    /// Runs at a time on this machine; they share its threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=4096))]
    jobs: u64,
    /// GPUs that the runs share in turn: 0,1
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "slurm")]
    devices: Vec<u32>,
    /// Hand the points to Slurm as a job array; options of sbatch in one text
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true, conflicts_with = "jobs")]
    slurm: Option<String>,
    /// Jobs of the array that may run at the same time
    #[arg(long, value_name = "N", requires = "slurm", value_parser = clap::value_parser!(u64).range(1..))]
    at_most: Option<u64>,
    /// Show where the points of the sweep in FOLDER stand
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["file", "slurm", "devices"])]
    status: Option<PathBuf>,
    /// Run one point of the sweep in --out (what a job of the array does)
    #[arg(long, value_name = "INDEX", hide = true, conflicts_with = "status")]
    point: Option<usize>,
}

/// `seglab sweep`.
pub(super) fn sweep(common: &Common, args: &SweepArgs) -> u8 {
    let outcome = match (&args.status, args.point, &args.file) {
        (Some(folder), _, _) => Sweep::read(folder).and_then(|sweep| show(&sweep)),
        (_, Some(index), _) => point(common, index),
        (_, _, Some(file)) => whole(common, args, file),
        _ => Ok(USAGE),
    };
    outcome.unwrap_or_else(status)
}

/// The exit status after an error.
fn status(error: Error) -> u8 {
    match error {
        Error::Interrupted => INTERRUPTED,
        error => refuse(FAILED, error),
    }
}

/// All points, here or by Slurm.
fn whole(common: &Common, args: &SweepArgs, file: &Path) -> Result<u8> {
    let points = study::points(&args.values)?;
    if let Some(text) = unread_argument(file, &points)? {
        return Ok(refuse(USAGE, text));
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let folder = common.out.clone();
    let folder = folder.unwrap_or_else(|| Path::new("runs").join(format!("{name}-sweep")));
    let jobs = usize::try_from(args.jobs).unwrap_or(1);
    let shared = Shared {
        seed: common.seed,
        threads: common.threads,
        default_threads: (cores() / jobs).max(1),
    };
    let mut sweep = Sweep::open(&folder, file, &points, shared)?;
    if let Some(options) = &args.slurm {
        let array = Array {
            options: options.clone(),
            at_most: args.at_most,
            device: common.device.clone(),
        };
        match study::submit(&mut sweep, &array)? {
            Some((job, count)) => say(&format!(
                "{count} {} job array {job} of Slurm; seglab sweep --status {} shows where they stand",
                if count == 1 { "point is" } else { "points are" },
                folder.display()
            )),
            None => say("nothing to submit: every point is done or in Slurm's hands"),
        };
        return Ok(DONE);
    }
    let session = session(common, &folder)?;
    let devices = match args.devices.as_slice() {
        [] => vec![common.device.clone()],
        numbers => numbers.iter().map(|n| format!("cuda:{n}")).collect(),
    };
    let ran = study::run_here(&sweep, &session, &Jobs { at_once: jobs, devices });
    let status = show(&sweep)?;
    ran.map(|()| status)
}

/// A session for progress and signals only; the runs have their own.
fn session(common: &Common, folder: &Path) -> Result<Session> {
    let sink = if common.quiet { Sink::Quiet } else { Sink::terminal() };
    let session = Session::new(seglab::device::open_device("cpu")?, common.seed, folder, sink);
    signals::handle(session.ending())?;
    Ok(session)
}

/// One point, as a job of Slurm. Where the time limit came, the job goes back into the queue behind the run's checkpoint.
fn point(common: &Common, index: usize) -> Result<u8> {
    let folder = common.out.clone().unwrap_or_default();
    let session = session(common, &folder)?;
    // first of all: where the limit is short Slurm's signal comes as the job begins
    let limit = signals::time_limit(session.ending(), study::time_left)?;
    let sweep = Sweep::read(&folder)?;
    let Some(point) = sweep.points().get(index) else {
        return Err(Error::usage(format!(
            "sweep: the sweep has {} points, there is none of number {index}",
            sweep.points().len()
        )));
    };
    if sweep.states()?[index].0 == State::Done {
        return Ok(DONE);
    }
    let before = sweep.steps(point);
    let status = study::run_point(&sweep, index, &common.device, &session)?;
    let interrupted = matches!(sweep.states()?[index].0, State::Interrupted | State::Missing);
    if limit.reached() && interrupted {
        study::at_time_limit(&sweep, point, before)?;
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED))
}

/// The table of all points; the exit status that follows from it.
fn show(sweep: &Sweep) -> Result<u8> {
    let states = sweep.states()?;
    let queued = study::jobs(sweep);
    let mut rows = vec![vec![
        "point".to_string(),
        "status".into(),
        "seconds".into(),
        "result".into(),
    ]];
    for (index, (point, (state, record))) in sweep.points().iter().zip(&states).enumerate() {
        let words: Vec<String> = point.words().collect();
        let word = match (state, queued.get(&index)) {
            (State::Done | State::Running, _) | (_, None) => state.name().to_string(),
            (_, Some(job)) => format!("{} in Slurm", job.to_lowercase()),
        };
        let facts = match (state, record) {
            (State::Failed(why), _) => why.lines().next().unwrap_or_default().to_string(),
            (_, Some(record)) => record.results(),
            _ => String::new(),
        };
        let seconds = record.as_ref().map_or(String::new(), |r| format!("{:.1}", r.seconds));
        rows.push(vec![words.join(" "), word, seconds, facts]);
    }
    for row in &rows {
        let cell = |(i, text): (usize, &String)| {
            let width = rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
            format!("{text:width$}")
        };
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        say(cells.join("  ").trim_end());
    }
    let done = states.iter().filter(|(state, _)| *state == State::Done).count();
    let failed = states
        .iter()
        .filter(|(state, _)| matches!(state, State::Failed(_)))
        .count();
    say(&format!(
        "{done} of {} points are done, {failed} failed; in {}",
        states.len(),
        sweep.folder().display()
    ));
    Ok(if failed > 0 { FAILED } else { DONE })
}

/// The complaint about an argument that the script does not read.
fn unread_argument(file: &Path, points: &[study::Arguments]) -> Result<Option<String>> {
    let text = seglab::script::engine::read_script(file)?;
    let names: Vec<String> = points.iter().flatten().map(|(name, _)| name.clone()).collect();
    Ok(check::unread_argument(&file.display().to_string(), &text, names.iter()))
}

/// `seglab replay`.
pub(super) fn replay(folder: &Path) -> u8 {
    match study::replay(folder) {
        Ok(found) => {
            for change in &found.changed {
                say(&format!("changed: {change}"));
            }
            for difference in &found.found {
                say(&format!("differs: {difference}"));
            }
            if found.found.is_empty() {
                say(&format!("identical: {} steps and all results", found.rows));
            }
            say(&format!("the replay is in {}", found.folder.display()));
            if found.found.is_empty() { DONE } else { FAILED }
        }
        Err(error) => status(error),
    }
}
