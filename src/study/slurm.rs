//! Handing points to Slurm as one job array. Scheduling is its work; ours is a job script that a person can read and change.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use super::point::{Point, State};
use super::sweep::Sweep;
use crate::ensure;
use crate::error::{Error, Result};
use crate::fail;
use crate::session::{Place, clock};

/// Seconds before a job's time limit at which its run is asked to write its checkpoint.
const BEFORE_LIMIT: u32 = 90;

/// How points are handed to Slurm.
#[derive(Clone, Debug)]
pub struct Array {
    /// Options for `sbatch`, as written: `--partition=gpu --time=2:00:00`.
    pub options: String,
    /// Jobs that may run at the same time; no limit of ours without it.
    pub at_most: Option<u64>,
    /// What `--device` says.
    pub device: String,
}

/// Submit the points that are not done and not in Slurm's hands already; the number of the job array and of its points. Nothing to do
/// gives `None`.
///
/// # Errors
/// `sbatch` is missing or refuses (its own words are shown).
pub fn submit(sweep: &mut Sweep, array: &Array) -> Result<Option<(String, usize)>> {
    let held = jobs(sweep);
    let states = sweep.states()?;
    let open = |i: &usize| !matches!(states[*i].0, State::Done | State::Running) && !held.contains_key(i);
    let left: Vec<usize> = (0..states.len()).filter(open).collect();
    if left.is_empty() {
        return Ok(None);
    }
    let logs = sweep.folder().join("slurm");
    Place::from(logs.as_path()).make_folder()?;
    let path = sweep.folder().join("job.sh");
    Place::from(path.as_path()).write(job_script(sweep, array, &left)?)?;
    let mut command = Command::new("sbatch");
    command.arg("--parsable").arg(&path);
    let answer = command.output().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::usage("sweep: --slurm needs Slurm's sbatch, which is not found here"),
        _ => Error::usage(format!("sweep: sbatch cannot be started ({e})")),
    })?;
    if !answer.status.success() {
        let words = String::from_utf8_lossy(&answer.stderr);
        fail!("sweep: sbatch refuses {}: {}", path.display(), words.trim());
    }
    let text = String::from_utf8_lossy(&answer.stdout);
    // sbatch answers JOBID or JOBID;CLUSTER
    let job = text.trim().split(';').next().unwrap_or_default().to_string();
    ensure!(
        !job.is_empty() && job.chars().all(|c| c.is_ascii_digit()),
        "sweep: sbatch answers {text:?}, expected the number of a job"
    );
    sweep.add_slurm_job(job.clone())?;
    Ok(Some((job, left.len())))
}

/// The job script: options as `#SBATCH` lines, then one point of the sweep, chosen by the job's place in the array.
fn job_script(sweep: &Sweep, array: &Array, points: &[usize]) -> Result<String> {
    let program = std::env::current_exe().map_err(|e| Error::usage(format!("sweep: {e}")))?;
    let name = sweep.script().file_stem().unwrap_or_default().to_string_lossy();
    let limit = array.at_most.map(|n| format!("%{n}")).unwrap_or_default();
    let folder = sweep.folder().display().to_string();
    // a % of the folder's own stands for itself
    let logs = format!("{folder}/slurm").replace('%', "%%");
    let mut lines = vec![
        "#!/bin/sh".to_string(),
        format!("#SBATCH --job-name={}", quoted(&format!("seglab-{name}"))),
        format!("#SBATCH --array={}{limit}", spans(points)),
        format!("#SBATCH --output={}", quoted(&format!("{logs}/%a.txt"))),
        "#SBATCH --open-mode=append".to_string(),
        "# before the time limit the run writes its checkpoint, and the job goes back into the queue".to_string(),
        format!("#SBATCH --signal=B:USR1@{BEFORE_LIMIT}"),
        "#SBATCH --requeue".to_string(),
    ];
    lines.extend(words(&array.options)?.iter().map(|word| format!("#SBATCH {word}")));
    lines.push(format!(
        "cd {} || exit 1",
        quoted(&working_folder()?.display().to_string())
    ));
    lines.push(format!(
        "exec {} sweep --point \"$SLURM_ARRAY_TASK_ID\" --device {} --out {}",
        quoted(&program.display().to_string()),
        quoted(&array.device),
        quoted(&folder)
    ));
    Ok(lines.join("\n") + "\n")
}

fn working_folder() -> Result<std::path::PathBuf> {
    std::env::current_dir().map_err(|e| Error::usage(format!("sweep: the working folder is gone ({e})")))
}

/// The options of one text: `--a=1 -p x` is `--a=1`, `-p x`.
fn words(text: &str) -> Result<Vec<String>> {
    let mut options: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match options.last_mut() {
            _ if word.starts_with('-') => options.push(word.to_string()),
            Some(option) => *option = format!("{option} {word}"),
            None => {
                fail!("sweep: --slurm takes options of sbatch such as \"--partition=gpu --time=2:00:00\", found {word}")
            }
        }
    }
    Ok(options)
}

/// A text as one word of a shell, and of sbatch.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `0,2-5` for 0, 2, 3, 4, 5.
fn spans(numbers: &[usize]) -> String {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for n in numbers {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == *n => *last = *n,
            _ => spans.push((*n, *n)),
        }
    }
    let show = |(a, b): &(usize, usize)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    spans.iter().map(show).collect::<Vec<_>>().join(",")
}

/// What Slurm says of the points in its hands: `PENDING`, `RUNNING`, ... Empty where it cannot be asked.
pub fn jobs(sweep: &Sweep) -> BTreeMap<usize, String> {
    if sweep.slurm_jobs().is_empty() {
        return BTreeMap::new();
    }
    let asked = Command::new("squeue")
        .args(["--noheader", "--array", "--format=%K %T", "--jobs"])
        .arg(sweep.slurm_jobs().join(","))
        .output();
    let text = asked
        .map(|a| String::from_utf8_lossy(&a.stdout).into_owned())
        .unwrap_or_default();
    let of = |line: &str| {
        let (index, state) = line.trim().split_once(' ')?;
        Some((index.parse().ok()?, state.to_string()))
    };
    text.lines().filter_map(of).collect()
}

/// What a job at its time limit does with its interrupted point: it goes back into the queue behind the point's checkpoint. Where that
/// has been done before and there is no more than `steps`, the steps before this attempt, a further one would get no further: the
/// point counts as failed and says why.
///
/// # Errors
/// Slurm does not take the job back.
pub fn at_time_limit(sweep: &Sweep, point: &Point, steps: u64) -> Result<()> {
    let again = variable("SLURM_RESTART_COUNT").is_some_and(|n| n != "0");
    if again && sweep.steps(point) <= steps {
        return sweep.give_up(
            point,
            "the job was at its time limit once more without a further training step; hand the sweep in again with a longer --time \
             in --slurm (the run is ended 90 s before the limit, or after half of it)",
        );
    }
    requeue()
}

/// How long the job that this process is may still work: until 90 s before its limit, or until half of its time is over. Slurm's signal is up
/// to a minute early, and under a limit of a few minutes it is due as the job begins, when nobody takes it or nothing was done yet.
/// Nothing where Slurm does not tell.
pub fn time_left() -> Option<Duration> {
    let asked = Command::new("squeue")
        .env("SLURM_TIME_FORMAT", "%s")
        .args(["--noheader", "--format=%S %e", "--jobs", &this_job()?])
        .output()
        .ok()?;
    let text = String::from_utf8(asked.stdout).ok()?;
    let (start, end) = text.trim().split_once(' ')?;
    let (start, end) = (start.parse::<u64>().ok()?, end.parse::<u64>().ok()?);
    let reserve = u64::from(BEFORE_LIMIT).min(end.saturating_sub(start) / 2);
    Some(Duration::from_secs(end.saturating_sub(reserve + clock::seconds())))
}

/// The job that this process is, as Slurm names it; nothing outside an array.
fn this_job() -> Option<String> {
    let (array, task) = (variable("SLURM_ARRAY_JOB_ID")?, variable("SLURM_ARRAY_TASK_ID")?);
    Some(format!("{array}_{task}"))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// Put the job that this process is back into the queue.
fn requeue() -> Result<()> {
    let Some(job) = this_job() else { return Ok(()) };
    match Command::new("scontrol").args(["requeue", &job]).output() {
        // Slurm ends the job as soon as it has been asked, and with it perhaps the one who asks
        Ok(answer) if answer.status.success() || answer.status.code().is_none() => Ok(()),
        Ok(answer) => fail!(
            "sweep: the job cannot go back into the queue: {}",
            String::from_utf8_lossy(&answer.stderr).trim()
        ),
        Err(e) => fail!("sweep: scontrol cannot be started ({e})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_numbers_are_written_as_sbatch_reads_them() {
        assert_eq!(spans(&[0, 2, 3, 4, 7]), "0,2-4,7");
        assert_eq!(
            words("--partition=gpu -t 2:00  --gres=gpu:1").unwrap(),
            ["--partition=gpu", "-t 2:00", "--gres=gpu:1"]
        );
        assert!(words("gpu").unwrap_err().to_string().contains("--partition"));
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
    }
}
