//! The command line.

#[path = "main/sweep.rs"]
mod sweep;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use seglab::allocator::{MiMalloc, keep_freed_memory};
use seglab::device::{open_device, set_tf32};
use seglab::error::Error;
use seglab::script::{Argument, Interpreter, Report, Scope, check, help};
use seglab::session::ending::CLOSED_PIPE;
use seglab::session::sandbox::{Limits, Sandbox};
use seglab::session::signals::{self, INTERRUPTED};
use seglab::session::{Session, Sink, output_status};
use seglab::study::{Outcome, Record};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Done.
const DONE: u8 = 0;
/// The script failed.
const FAILED: u8 = 1;
/// Wrong usage.
const USAGE: u8 = 2;
/// Stack of the thread that runs scripts: deep recursion in scripts and long autograd chains.
const STACK: usize = 1 << 30;

#[derive(Parser)]
#[command(
    name = "seglab",
    disable_help_subcommand = true,
    version,
    about = "A research sandbox for label-efficient semantic segmentation"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone)]
struct Common {
    /// Where tensors live: cpu, cuda, cuda:N, auto
    #[arg(long, global = true, default_value = "auto")]
    device: String,
    /// Round the inputs of f32 products on a GPU to TF32
    #[arg(long, global = true, value_enum, default_value_t = Switch::On)]
    tf32: Switch,
    /// The seed of everything random
    #[arg(long, global = true, default_value_t = 0)]
    seed: u64,
    /// The run folder (default: runs/<time>-<script>)
    #[arg(long, global = true, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Let runs replace those of the same name in the run folder; without it they get the next free name, such as finetune-2
    #[arg(long, global = true)]
    overwrite: bool,
    /// Write event files for TensorBoard beside each history.csv
    #[arg(long, global = true)]
    tensorboard: bool,
    /// No progress, no warnings
    #[arg(long, global = true)]
    quiet: bool,
    /// Threads for everything (default: RAYON_NUM_THREADS, else all cores)
    #[arg(long, global = true, value_name = "N", value_parser = threads_of, allow_hyphen_values = true)]
    threads: Option<usize>,
}

/// An option that is on or off.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

/// For scripts of others.
#[derive(Args, Clone)]
struct LimitArgs {
    /// Limit operations, time, memory and files, for scripts of others
    #[arg(long)]
    sandbox: bool,
    /// Operations of the interpreter, closures included
    #[arg(long, value_name = "N", default_value_t = 100_000_000, value_parser = count, allow_hyphen_values = true, requires = "sandbox")]
    max_operations: u64,
    /// Seconds; in the REPL for each input
    #[arg(long, value_name = "S", default_value_t = 600.0, value_parser = amount, allow_hyphen_values = true, requires = "sandbox")]
    max_seconds: f64,
    /// Gigabytes for tensors and all else
    #[arg(long, value_name = "GB", default_value_t = 4.0, value_parser = amount, allow_hyphen_values = true, requires = "sandbox")]
    max_memory: f64,
    /// Gigabytes written to files in all
    #[arg(long, value_name = "GB", default_value_t = 1.0, value_parser = amount, allow_hyphen_values = true, requires = "sandbox")]
    max_written: f64,
    /// New files and folders in all
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = count, allow_hyphen_values = true, requires = "sandbox")]
    max_files: u64,
    /// Files below this folder too, beside the script's folder and the run folder
    #[arg(long, value_name = "FOLDER", requires = "sandbox")]
    allow: Vec<PathBuf>,
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
    fn none() -> Self {
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
enum Command {
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
    Sweep(sweep::SweepArgs),
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

fn main() -> std::process::ExitCode {
    keep_freed_memory();
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let script = std::env::args().skip(1).find(|a| a.ends_with(".rhai"));
        if let (clap::error::ErrorKind::InvalidSubcommand, Some(script)) = (error.kind(), script) {
            complain(&format!("error: to run a script: seglab run {script}"));
            std::process::exit(USAGE.into());
        }
        error.exit()
    });
    // A panic inside a script function becomes a script error; its own text would only disturb.
    std::panic::set_hook(Box::new(|_| {}));
    // The pool of threads first: it tells candle its size by the environment, which nobody may read meanwhile.
    if matches!(cli.command, None | Some(Command::Repl { .. } | Command::Run { .. }))
        && let Err(text) = threads(&cli.common).and_then(|n| seglab::ops::start_threads(n).map_err(|e| e.to_string()))
    {
        complain(&format!("error: {text}"));
        return USAGE.into();
    }
    let code = std::thread::Builder::new()
        .name("script".into())
        .stack_size(STACK)
        .spawn(move || dispatch(cli));
    let code = match code.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        Ok(Err(panic)) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or(panic.downcast_ref::<&str>().copied());
            complain(&format!(
                "error: internal error ({}); this is a bug in seglab",
                text.unwrap_or("no message")
            ));
            FAILED
        }
        Err(e) => {
            complain(&format!("error: no thread could be started ({e})"));
            FAILED
        }
    };
    std::process::ExitCode::from(code)
}

fn dispatch(cli: Cli) -> u8 {
    match &cli.command {
        None => typed(&cli.common, &LimitArgs::none()),
        Some(Command::Repl { limits }) => typed(&cli.common, limits),
        Some(Command::Run {
            file,
            pairs,
            go_on,
            limits,
        }) => run(&cli.common, limits, file, pairs, *go_on),
        Some(Command::Sweep(args)) => sweep::sweep(&cli.common, args),
        Some(Command::Replay { folder }) => sweep::replay(folder),
        Some(Command::Check { files }) => check_files(files),
        Some(Command::Help { name }) => {
            let (table, name) = (seglab::script::api::table(), name.as_deref().unwrap_or_default());
            match say(&help::help(&table, name)) {
                DONE if help::found(&table, name).is_none() => FAILED,
                status => status,
            }
        }
        Some(Command::Reference) => say(help::reference(&seglab::script::api::table()).trim_end()),
        Some(Command::Info) => match threads(&cli.common) {
            Ok(threads) => say(&info(&cli.common, threads)),
            Err(text) => {
                complain(&format!("error: {text}"));
                USAGE
            }
        },
    }
}

/// A person's inputs, or a script on standard input.
fn typed(common: &Common, limits: &LimitArgs) -> u8 {
    if std::io::stdin().is_terminal() {
        repl(common, limits)
    } else {
        piped(common, limits)
    }
}

/// A session as the options ask for, and the handler of signals. `home` is the folder of the script.
fn open(common: &Common, limits: &LimitArgs, script: &str, home: &Path) -> Result<Session, u8> {
    let usage = |text: String| {
        complain(&format!("error: {text}"));
        USAGE
    };
    let device = open_device(&common.device).map_err(|e| usage(e.to_string()))?;
    set_tf32(common.tf32 == Switch::On);
    let folder = common.out.clone().unwrap_or_else(|| default_folder(script));
    let sink = if common.quiet { Sink::Quiet } else { Sink::terminal() };
    let session = Session::new(device, common.seed, folder.clone(), sink);
    if limits.sandbox {
        let mut folders = vec![home.to_path_buf(), folder];
        folders.extend(limits.allow.iter().cloned());
        confine(&session, limits, &folders).map_err(|e| usage(e.to_string()))?;
    }
    signals::handle(session.ending()).map_err(|e| usage(e.to_string()))?;
    session.set_overwrite(common.overwrite);
    session.set_event_files(common.tensorboard);
    if common.out.is_none() {
        session.number_folder();
    }
    if common.out.as_ref().is_some_and(|out| out.is_dir()) {
        // Who is at work there already is better said at once than after an hour.
        session.folder().map_err(|e| {
            complain(&format!("error: {e}"));
            FAILED
        })?;
    }
    Ok(session)
}

/// Put the session into a sandbox; what does not answer to its limits ends with the process.
fn confine(session: &Session, limits: &LimitArgs, folders: &[PathBuf]) -> seglab::error::Result<()> {
    let numbers = Limits {
        operations: limits.max_operations,
        seconds: limits.max_seconds,
        memory: (limits.max_memory * 1e9) as u64,
        written: (limits.max_written * 1e9) as u64,
        files: limits.max_files,
    };
    let sandbox = Arc::new(Sandbox::new(numbers, folders, session.cancel_flag())?);
    sandbox
        .watch(|text| {
            complain(&format!("error: {text}"));
            std::process::exit(i32::from(FAILED));
        })
        .map_err(|e| Error::usage(format!("--sandbox: no thread could be started ({e})")))?;
    session.confine(sandbox);
    Ok(())
}

/// The number of threads: `--threads`, `RAYON_NUM_THREADS` or one for each core.
fn threads(common: &Common) -> Result<usize, String> {
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

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

fn run(common: &Common, limits: &LimitArgs, file: &Path, pairs: &[String], go_on: bool) -> u8 {
    let mut arguments = BTreeMap::new();
    for pair in pairs {
        let Some((name, text)) = pair.split_once('=') else {
            complain(&format!("error: {pair}: arguments of a script are written name=value"));
            return USAGE;
        };
        arguments.insert(name.to_string(), Argument::new(text));
    }
    let name = file
        .file_stem()
        .map_or("script".into(), |s| s.to_string_lossy().into_owned());
    let home = file
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let session = match open(common, limits, &name, home) {
        Ok(session) => session,
        Err(code) => return code,
    };
    let text = match seglab::script::engine::read_script(file) {
        Ok(text) => text,
        Err(e) => return finish(&session, Err(Box::new(Report::plain(e.to_string())))),
    };
    let interpreter = Interpreter::new(session.clone());
    session.set_script(&text);
    session.set_script_path(file);
    session.set_goes_on(go_on);
    let source = file.display().to_string();
    let mut scope = Scope::new();
    let ast = match interpreter.compile(&source, &text, &scope) {
        Ok(ast) => ast,
        Err(report) => return finish(&session, Err(report)),
    };
    let asked = check::arguments(&ast);
    if let Some(problem) = check::strange_argument(&source, &text, arguments.keys()) {
        complain(&format!("error: {problem}"));
        return USAGE;
    }
    interpreter.context().set_arguments(arguments);
    if go_on {
        if let Err(e) = session.folder() {
            return finish(&session, Err(Box::new(Report::plain(e.to_string()))));
        }
        record(&session, Outcome::Running, None);
    }
    let result = interpreter.run_ast(&source, &ast, &mut scope);
    if asked.is_none() && result.is_ok() {
        for (name, _) in interpreter.context().arguments().iter().filter(|(_, a)| !a.read) {
            session.warn(&format!("the script never read {name}=.."));
        }
    }
    let error = result.as_ref().err().map(|report| report.one_line());
    let code = finish(&session, result.map(|_| ()));
    match code {
        DONE => record(&session, Outcome::Done, None),
        INTERRUPTED | signals::TERMINATED | signals::HUNG_UP => record(&session, Outcome::Interrupted, None),
        _ => record(&session, Outcome::Failed, error),
    }
    code
}

/// Leave the record of a script's run in its folder, if it has one.
fn record(session: &Session, outcome: Outcome, error: Option<String>) {
    let kept = session.has_folder() && !session.script_path().as_os_str().is_empty();
    if kept && let Err(e) = Record::of(session, outcome, error).and_then(|r| r.write(session)) {
        session.warn(&format!("the record of this run could not be written: {e}"));
    }
}

/// A script on standard input.
fn piped(common: &Common, limits: &LimitArgs) -> u8 {
    let mut text = String::new();
    if let Err(e) = std::io::stdin().read_to_string(&mut text) {
        complain(&format!("error: standard input cannot be read ({e})"));
        return FAILED;
    }
    let session = match open(common, limits, "stdin", Path::new(".")) {
        Ok(session) => session,
        Err(code) => return code,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text); // a byte order mark
    session.set_script(text);
    let interpreter = Interpreter::new(session.clone());
    finish(
        &session,
        interpreter.run("<stdin>", text, &mut Scope::new()).map(|_| ()),
    )
}

fn repl(common: &Common, limits: &LimitArgs) -> u8 {
    match open(common, limits, "repl", Path::new(".")) {
        Ok(session) => {
            let interpreter = Interpreter::new(session.clone());
            match seglab::repl::run(interpreter) {
                Ok(()) => session.ending().status().unwrap_or(DONE),
                Err(e) => {
                    complain(&format!("error: {e}"));
                    FAILED
                }
            }
        }
        Err(code) => code,
    }
}

/// Report the end of a script; a script that finished although Ctrl-C was pressed counts as interrupted.
fn finish(session: &Session, result: Result<(), Box<Report>>) -> u8 {
    let asked = session.ending().status();
    match result {
        Ok(()) if session.cancelled() => asked.unwrap_or(INTERRUPTED),
        Ok(()) => DONE,
        // exit(status), a signal or an output that nobody takes: no news for who asked
        Err(report) if report.interrupted && asked.is_some() => asked.unwrap_or(INTERRUPTED),
        Err(report) => {
            complain(&report.render(colour()));
            asked.unwrap_or(if report.interrupted { INTERRUPTED } else { FAILED })
        }
    }
}

fn check_files(files: &[PathBuf]) -> u8 {
    let mut findings = 0;
    let mut written = DONE;
    for file in files {
        let interpreter = Interpreter::new(Session::quiet("runs/check"));
        match seglab::script::engine::read_script(file) {
            Ok(text) => {
                for report in check::check(&interpreter, &file.display().to_string(), &text) {
                    findings += 1;
                    written = written.max(say(&report.one_line()));
                }
            }
            Err(e) => {
                findings += 1;
                complain(&format!("error: {e}"));
            }
        }
    }
    match written {
        DONE if findings > 0 => FAILED,
        status => status,
    }
}

fn info(common: &Common, threads: usize) -> String {
    let features = if cfg!(feature = "cuda") { "cuda" } else { "none" };
    let device = match open_device(&common.device) {
        // Where a GPU was hoped for, say why there is none.
        Ok(device) if cfg!(feature = "cuda") && device.is_cpu() && common.device == "auto" => match open_device("cuda")
        {
            Ok(_) => "cpu".into(),
            Err(e) => format!("cpu, as {}", e.to_string().trim_start_matches("device: ")),
        },
        Ok(device) => seglab::script::api::device_name(&device),
        Err(e) => e.to_string().trim_start_matches("device: ").to_string(),
    };
    format!(
        "seglab {}\ndevice: {device}\nfeatures: {features}\nthreads: {threads} (of {} cores)",
        env!("CARGO_PKG_VERSION"),
        cores()
    )
}

/// `runs/2026-01-31-153000-name`, in universal time; a number follows if two start in the same second.
fn default_folder(script: &str) -> PathBuf {
    let name = format!("{}-{script}", seglab::session::clock::stamp());
    let runs = Path::new("runs");
    let mut folder = runs.join(&name);
    let mut n = 2;
    while folder.exists() {
        folder = runs.join(format!("{name}-{n}"));
        n += 1;
    }
    folder
}

fn colour() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none()
        && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Write a line; the exit status that follows from it.
fn say(text: &str) -> u8 {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Ok(()) => DONE,
        Err(e) => {
            let status = output_status(&e);
            if status != CLOSED_PIPE {
                complain(&format!("error: standard output cannot be written ({e})"));
            }
            status
        }
    }
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
