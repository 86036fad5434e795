//! A sweep: the script, its points, and the folder that holds them all.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::grid::Arguments;
use super::point::Point;
pub use super::point::State;
use super::record::{self, Record};
use crate::ensure;
use crate::error::{Error, Result};
use crate::fail;
use crate::session::digest::sha256;
use crate::session::{FolderLock, Place};

/// The file in the sweep's folder that says what it is a sweep of.
const FILE: &str = "sweep.json";

/// A sweep and its folder, which belongs to one process at a time.
pub struct Sweep {
    folder: PathBuf,
    plan: Plan,
    _lock: Option<FolderLock>,
}

/// What `sweep.json` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    program: String,
    script: PathBuf,
    script_sha256: String,
    /// The session's seed of every run.
    seed: u64,
    /// Threads of every run; results depend on it.
    threads: usize,
    /// The numbers of the job arrays that were handed to Slurm.
    slurm: Vec<String>,
    points: Vec<Point>,
}

/// What every run of a sweep shares.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    /// The session's seed.
    pub seed: u64,
    /// Threads, if they were asked for.
    pub threads: Option<usize>,
    /// Threads where nothing was asked for and no run was begun.
    pub default_threads: usize,
}

impl Sweep {
    /// Begin the sweep of `script` over `points` in `folder`, or go on with it; further points are added to those there.
    ///
    /// # Errors
    /// The folder holds something else, a sweep of another script or over other arguments, or another process works in it.
    pub fn open(folder: &Path, script: &Path, points: &[Arguments], shared: Shared) -> Result<Self> {
        let text = Place::from(script).bytes("the script", u64::MAX - 1)?;
        let hash = sha256([&text]);
        let absolute = |path: &Path| std::path::absolute(path).map_err(|e| Error::file(path, e));
        let script = absolute(script)?;
        let folder = absolute(folder)?;
        if folder.is_dir() && !folder.join(FILE).exists() {
            ensure!(
                Place::from(folder.as_path()).list()?.is_empty(),
                "{}: this folder holds other files and no sweep; choose another with --out",
                folder.display()
            );
        }
        Place::from(folder.as_path()).make_folder()?;
        let lock = FolderLock::take(&folder)?;
        let mut plan = match read(&folder)? {
            Some(plan) => plan.compared(&folder, &script, &hash, points, shared)?,
            None => Plan {
                program: format!("seglab {}", env!("CARGO_PKG_VERSION")),
                script,
                script_sha256: hash,
                seed: shared.seed,
                threads: shared.threads.unwrap_or(shared.default_threads),
                slurm: Vec::new(),
                points: Vec::new(),
            },
        };
        for arguments in points {
            if !plan.points.iter().any(|p| p.is(arguments)) {
                plan.points.push(Point::new(arguments.clone()));
            }
        }
        let sweep = Sweep {
            folder,
            plan,
            _lock: Some(lock),
        };
        sweep.write()?;
        Ok(sweep)
    }

    /// The sweep in `folder`, to look at or to run one point of.
    ///
    /// # Errors
    /// There is none.
    pub fn read(folder: &Path) -> Result<Self> {
        let folder = std::path::absolute(folder).map_err(|e| Error::file(folder, e))?;
        let Some(plan) = read(&folder)? else {
            fail!("{}: this folder holds no sweep ({FILE} is missing)", folder.display());
        };
        Ok(Sweep {
            folder,
            plan,
            _lock: None,
        })
    }

    fn write(&self) -> Result<()> {
        Place::from(self.folder.join(FILE)).write_json(&self.plan)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The script.
    pub fn script(&self) -> &Path {
        &self.plan.script
    }

    /// The seed of every run.
    pub fn seed(&self) -> u64 {
        self.plan.seed
    }

    /// The threads of every run.
    pub fn threads(&self) -> usize {
        self.plan.threads
    }

    /// All points, those begun first.
    pub fn points(&self) -> &[Point] {
        &self.plan.points
    }

    /// The job arrays that were handed to Slurm.
    pub fn slurm_jobs(&self) -> &[String] {
        &self.plan.slurm
    }

    /// Remember a job array.
    pub fn add_slurm_job(&mut self, job: String) -> Result<()> {
        self.plan.slurm.push(job);
        self.write()
    }

    /// Where each point stands.
    pub fn states(&self) -> Result<Vec<(State, Option<Record>)>> {
        self.plan.points.iter().map(|p| p.state(&self.folder)).collect()
    }

    /// Training steps that a point has behind it, all its runs together.
    pub fn steps(&self, point: &Point) -> u64 {
        record::steps(&self.folder.join(&point.folder))
    }

    /// Let a point that was interrupted count as failed, with the reason.
    pub(super) fn give_up(&self, point: &Point, reason: &str) -> Result<()> {
        let folder = self.folder.join(&point.folder);
        match Record::read(&folder)? {
            Some(record) => record.failed(reason).write_to(&Place::from(folder.join(record::FILE))),
            None => Err(Error::usage(reason)),
        }
    }
}

impl Plan {
    /// This plan, if it is one for the same script, arguments and shared settings.
    fn compared(self, folder: &Path, script: &Path, hash: &str, points: &[Arguments], shared: Shared) -> Result<Self> {
        let (place, other) = (folder.display(), self.script.display());
        ensure!(
            self.script_sha256 == hash,
            "{place}: this folder holds a sweep of {}; its results would be mixed with others; choose another with --out",
            if self.script == script {
                "an earlier text of this script".to_string()
            } else {
                format!("another script, {other}")
            }
        );
        let names = |arguments: &Arguments| -> Vec<String> {
            let mut names: Vec<String> = arguments.iter().map(|(n, _)| n.clone()).collect();
            names.sort_unstable();
            names
        };
        let mut known: Vec<_> = self.points.iter().map(|p| names(&p.arguments)).collect();
        known.dedup();
        if let Some(unknown) = points.iter().map(names).find(|n| !known.contains(n)) {
            fail!(
                "{place}: this folder holds a sweep over {}, found one over {}; choose another with --out",
                known.first().map(|n| n.join(", ")).unwrap_or_default(),
                unknown.join(", ")
            );
        }
        ensure!(
            self.seed == shared.seed,
            "{place}: this sweep was begun with --seed {}, found --seed {}",
            self.seed,
            shared.seed
        );
        if let Some(threads) = shared.threads {
            ensure!(
                self.threads == threads,
                "{place}: this sweep was begun with {} threads for each run, found --threads {threads}; results depend on it",
                self.threads
            );
        }
        Ok(self)
    }
}

fn read(folder: &Path) -> Result<Option<Plan>> {
    Place::from(folder.join(FILE)).json("the record of a sweep")
}

#[cfg(test)]
mod tests {
    use super::super::grid;
    use super::*;

    #[test]
    fn a_folder_keeps_one_sweep_and_takes_further_points() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("s.rhai");
        std::fs::write(&script, "print(arg(\"a\", 0))").unwrap();
        let place = folder.path().join("sweep");
        let shared = Shared {
            seed: 0,
            threads: None,
            default_threads: 2,
        };
        let open = |words: &[&str], shared: Shared| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            Sweep::open(&place, &script, &grid::points(&words)?, shared)
        };
        let first = open(&["a=0..2"], shared).unwrap();
        assert_eq!((first.points().len(), first.threads()), (2, 2));
        let text = open(&["a=0..2"], shared).err().unwrap().to_string();
        assert!(text.contains("pid"), "{text}");
        drop(first);
        let more = open(&["a=1..4"], shared).unwrap();
        let values: Vec<&str> = more.points().iter().map(|p| p.arguments[0].1.as_str()).collect();
        assert_eq!(values, ["0", "1", "2", "3"]);
        assert!(more.states().unwrap().iter().all(|(s, _)| *s == State::Missing));
        drop(more);
        for (words, shared, part) in [
            (&["b=1"][..], shared, "a sweep over a, found one over b"),
            (&["a=1"], Shared { seed: 7, ..shared }, "--seed 0"),
            (
                &["a=1"],
                Shared {
                    threads: Some(1),
                    ..shared
                },
                "2 threads",
            ),
        ] {
            let text = open(words, shared).err().unwrap().to_string();
            assert!(text.contains(part), "{text}");
        }
        std::fs::write(&script, "print(1)").unwrap();
        let text = open(&["a=1"], shared).err().unwrap().to_string();
        assert!(text.contains("earlier text"), "{text}");
        std::fs::create_dir(folder.path().join("photos")).unwrap();
        std::fs::write(folder.path().join("photos/a.png"), "").unwrap();
        let text = Sweep::open(&folder.path().join("photos"), &script, &[], shared)
            .err()
            .unwrap()
            .to_string();
        assert!(text.contains("other files"), "{text}");
    }
}
