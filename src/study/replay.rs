//! A recorded run made once more, and compared with the record.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::record::{Outcome, Record};
use super::sweep::Sweep;
use crate::error::{Error, Result};
use crate::fail;
use crate::session::Place;
use crate::session::digest::sha256;

/// What a replay found.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// What is not as it was before: the program, the script's file, an image. It explains differences.
    pub changed: Vec<String>,
    /// The first number that differs in each training run, and results that differ; empty if all is identical.
    pub found: Vec<String>,
    /// How many rows of histories were compared.
    pub rows: usize,
    /// Where the replay was written.
    pub folder: PathBuf,
}

/// Run what the record in `folder` describes once more, in `FOLDER-replay`, and compare histories and results.
///
/// # Errors
/// There is no record of a run that ended; the script cannot be run again.
pub fn replay(folder: &Path) -> Result<Difference> {
    let folder = std::path::absolute(folder).map_err(|e| Error::file(folder, e))?;
    let Some(record) = Record::read(&folder)? else {
        if let Some(point) = Sweep::read(&folder)
            .ok()
            .and_then(|sweep| sweep.points().first().cloned())
        {
            fail!(
                "{0}: this folder holds a sweep; replay one of its points, such as {0}/{1}",
                folder.display(),
                point.folder
            );
        }
        fail!(
            "{}: no result.json here; seglab run writes it into its run folder",
            folder.display()
        );
    };
    if record.status != Outcome::Done {
        fail!(
            "{}: this run did not come to its end, so there is nothing to compare with",
            folder.display()
        );
    }
    let again = free_name(&folder);
    Place::from(again.as_path()).make_folder()?;
    let mut changed = Vec::new();
    let script = script(&record, &again, &mut changed)?;
    run(&record, &script, &again)?;
    let Some(new) = Record::read(&again)? else {
        fail!("{}: the replay left no record", again.display());
    };
    if new.program_sha256 != record.program_sha256 {
        changed.push(format!(
            "the program: {} then, {} now (another file)",
            record.program, new.program
        ));
    }
    if new.device != record.device {
        changed.push(format!("the device: {} then, {} now", record.device, new.device));
    }
    let mut found = Vec::new();
    let mut rows = 0;
    for name in record.runs.keys() {
        changed.extend(changed_images(&folder.join(name), &again.join(name))?);
        match compare(&folder.join(name), &again.join(name))? {
            Ok(n) => rows += n,
            Err(text) => found.push(format!("{name}: {text}")),
        }
    }
    for (name, value) in &record.result {
        let now = new.result.get(name);
        if now != Some(value) {
            let now = now.map_or("nothing".to_string(), ToString::to_string);
            found.push(format!("result {name}: {value} then, {now} now"));
        }
    }
    Ok(Difference {
        changed,
        found,
        rows,
        folder: again,
    })
}

/// `FOLDER-replay`, with a number where that is taken.
fn free_name(folder: &Path) -> PathBuf {
    let named = |n: usize| {
        let mut name = folder.file_name().unwrap_or_default().to_os_string();
        name.push("-replay");
        if n > 1 {
            name.push(format!("-{n}"));
        }
        folder.with_file_name(name)
    };
    (1..).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(1))
}

/// The script's file, or a copy of the recorded text where the file is another one today.
fn script(record: &Record, again: &Path, changed: &mut Vec<String>) -> Result<PathBuf> {
    let file = PathBuf::from(&record.script);
    let text = Place::from(file.as_path()).bytes("the script", u64::MAX - 1);
    if text.is_ok_and(|text| sha256([&text]) == record.script_sha256) {
        return Ok(file);
    }
    changed.push(format!(
        "the script's file {}: it is not what was run; the recorded text is run",
        file.display()
    ));
    let copy = again.join(file.file_name().unwrap_or("script.rhai".as_ref()));
    Place::from(copy.as_path()).write(&record.text)?;
    Ok(copy)
}

fn run(record: &Record, script: &Path, again: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Error::usage(format!("replay: the run cannot be started ({e})"));
    let status = Command::new(std::env::current_exe().map_err(failed)?)
        .arg("run")
        .arg(script)
        .args(record.arguments.iter().map(|(name, value)| format!("{name}={value}")))
        .args(["--seed", &record.seed.to_string()])
        .args(["--threads", &record.threads.to_string()])
        .args([
            "--device",
            if record.device.starts_with("cuda") {
                &record.device
            } else {
                "cpu"
            },
        ])
        .args(["--tf32", if record.tf32 { "on" } else { "off" }])
        .arg("--out")
        .arg(again)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(failed)?;
    match status.code() {
        Some(0) => Ok(()),
        Some(130 | 143) => Err(Error::Interrupted),
        _ => fail!("replay: the script failed this time; its report is above"),
    }
}

/// Compare two histories; how many rows are equal, or where they part.
fn compare(then: &Path, now: &Path) -> Result<std::result::Result<usize, String>> {
    let read = |folder: &Path| Place::from(folder.join("history.csv")).text("the history");
    let then = read(then)?;
    let Ok(now) = read(now) else {
        return Ok(Err("this training run was not made this time".into()));
    };
    let header: Vec<&str> = then.lines().next().unwrap_or_default().split(',').collect();
    let (mut a, mut b) = (then.lines(), now.lines());
    let mut rows = 0;
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ok(Ok(rows.max(1) - 1)),
            (Some(x), Some(y)) if x == y => rows += 1,
            (Some(x), Some(y)) => {
                let parts = header.iter().zip(x.split(',').zip(y.split(',')));
                let step = x.split(',').next().unwrap_or_default();
                let first = parts
                    .filter(|(_, (x, y))| x != y)
                    .map(|(name, (x, y))| format!("{name} was {x}, is {y}"))
                    .next();
                return Ok(Err(format!(
                    "step {step} differs: {}",
                    first.unwrap_or_else(|| "another set of columns".into())
                )));
            }
            (x, _) => {
                let (more, fewer) = if x.is_some() { ("then", "now") } else { ("now", "then") };
                return Ok(Err(format!("after {rows} rows there are more {more} than {fewer}")));
            }
        }
    }
}

/// The images whose content is not what it was, from the lists that the training runs keep.
fn changed_images(then: &Path, now: &Path) -> Result<Vec<String>> {
    let read = |folder: &Path| {
        Place::from(folder.join("data.csv"))
            .text("the list of images")
            .unwrap_or_default()
    };
    let (then, now) = (read(then), read(now));
    let now: std::collections::HashSet<&str> = now.lines().collect();
    let gone = then.lines().filter(|line| !now.contains(line));
    let name = |line: &str| line.rsplitn(3, ',').nth(2).unwrap_or(line).to_string();
    Ok(gone.map(|line| format!("the data: {}", name(line))).collect())
}
