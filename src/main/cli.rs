//! What the command line is told.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::sweep::SweepArgs;

#[derive(Parser)]
#[command(
    name = "seglab",
    disable_help_subcommand = true,
    version,
    about = "A research sandbox for label-efficient semantic segmentation"
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Args, Clone)]
pub(super) struct Common {
    /// Where tensors live: cpu, cuda, cuda:N, auto
    #[arg(long, global = true, default_value = "auto")]
    pub(super) device: String,
    /// Round the inputs of f32 products on a GPU to TF32
    #[arg(long, global = true, value_enum, default_value_t = Switch::On)]
    pub(super) tf32: Switch,
    /// The seed of everything random
    #[arg(long, global = true, default_value_t = 0)]
    pub(super) seed: u64,
    /// The run folder (default: runs/<time>-<script>)
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
    /// Let runs replace those of the same name in the run folder; without it they get the next free name, such as finetune-2
    #[arg(long, global = true)]
    pub(super) overwrite: bool,
    /// Write event files for TensorBoard beside each history.csv
    #[arg(long, global = true)]
    pub(super) tensorboard: bool,
    /// No progress, no warnings
    #[arg(long, global = true)]
    pub(super) quiet: bool,
    /// Threads for everything (default: RAYON_NUM_THREADS, else all cores)
    #[arg(long, global = true, value_name = "N", value_parser = threads_of, allow_hyphen_values = true)]
    pub(super) threads: Option<usize>,
}

/// An option that is on or off.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

/// For scripts of others.
#[derive(Args, Clone)]
pub(super) struct LimitArgs {
    /// Limit operations, time, memory and files, for scripts of others
    #[arg(long)]
    pub(super) sandbox: bool,
    /// Operations of the interpreter, closures included
    #[arg(long, value_name = "N", default_value_t = 100_000_000, value_parser = count, allow_hyphen_values = true, requires = "sandbox")]
    pub(super) max_operations: u64,
    /// Seconds; in the REPL for each input
    #[arg(long, value_name = "S", default_value_t = 600.0, value_parser = amount, allow_hyphen_values = true, requires = "sandbox")]
    pub(super) max_seconds: f64,
    /// Gigabytes for tensors and all else
    #[arg(long, value_name = "GB", default_value_t = 4.0, value_parser = amount, allow_hyphen_values = true, requires = "sandbox")]
    pub(super) max_memory: f64,
    /// Gigabytes written to files in all
    #[arg(long, value_name = "GB", default_value_t = 1.0, value_parser = amount, allow_hyphen_values = true, requires = "sandbox")]
    pub(super) max_written: f64,
    /// New files and folders in all
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = count, allow_hyphen_values = true, requires = "sandbox")]
    pub(super) max_files: u64,
    /// Files below this folder too, beside the script's folder and the run folder
    #[arg(long, value_name = "FOLDER", requires = "sandbox")]
    pub(super) allow: Vec<PathBuf>,
}

/// A limit that holds: not zero, not NaN, not infinite.
fn amount(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|n| n.is_finite() && *n > 0.0)
        .ok_or_else(|| "expected a number above 0".to_string())
}

/// As [`amount`], of things that are counted.
fn count(text: &str) -> Result<u64, String> {
    let number = text.parse::<u64>().ok();
    number
        .filter(|n| *n > 0)
        .ok_or_else(|| "expected a whole number above 0".to_string())
}

impl LimitArgs {
    /// No sandbox.
    pub(super) fn none() -> Self {
        LimitArgs {
            sandbox: false,
            max_operations: u64::MAX,
            max_seconds: f64::MAX,
            max_memory: f64::MAX,
            max_written: f64::MAX,
            max_files: u64::MAX,
            allow: Vec::new(),
        }
    }
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Type and see (the default)
    Repl {
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Run a script; arg("name", default) reads the values
    Run {
        /// The script
        file: PathBuf,
        /// Values for arg("name", default)
        #[arg(value_name = "name=value")]
        pairs: Vec<String>,
        /// Go on with the training runs that an earlier attempt of the same script left in --out
        #[arg(long, requires = "out")]
        go_on: bool,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Run a script with every combination of values; the same command goes on with what is missing
    Sweep(SweepArgs),
    /// Run what result.json in FOLDER records once more and compare
    Replay {
        /// The run folder
        folder: PathBuf,
    },
    /// Parse scripts and resolve names without running
    Check {
        /// The scripts
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Explain a function, a namespace or a type
    Help {
        /// Its name; without one, the overview
        name: Option<String>,
    },
    /// Print the whole function table as Markdown
    Reference,
    /// Version, devices, features, threads
    Info,
}

/// The number of threads: `--threads`, `RAYON_NUM_THREADS` or one for each core.
pub(super) fn threads(common: &Common) -> Result<usize, String> {
    const VARIABLE: &str = "RAYON_NUM_THREADS";
    match (common.threads, std::env::var(VARIABLE)) {
        (Some(threads), _) => Ok(threads),
        // Empty and 0 mean "choose" there.
        (None, Ok(text)) if !["", "0"].contains(&text.trim()) => {
            threads_of(&text).map_err(|e| format!("{VARIABLE} is {text}: {e}"))
        }
        (None, _) => Ok(cores()),
    }
}

/// A number of threads that makes sense: results depend on it, so more than there are cores may be wanted, but not without end.
fn threads_of(text: &str) -> Result<usize, String> {
    let most = (4 * cores()).max(256);
    let number = text.trim().parse().ok().filter(|n| (1..=most).contains(n));
    number.ok_or_else(|| format!("expected a number of threads from 1 to {most}"))
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}
