//! The command line.

#[path = "main/cli.rs"]
mod cli;
#[path = "main/run.rs"]
mod run;
#[path = "main/sweep.rs"]
mod sweep;

use std::io::Write;
use std::path::PathBuf;

use clap::Parser;
use cli::{Cli, Command, Common, LimitArgs, cores, threads};
use run::{run, typed};
use seglab::allocator::{MiMalloc, keep_freed_memory};
use seglab::device::open_device;
use seglab::script::{Interpreter, check, help};
use seglab::session::ending::CLOSED_PIPE;
use seglab::session::{Session, output_status};

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

fn main() -> std::process::ExitCode {
    keep_freed_memory();
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let script = std::env::args().skip(1).find(|a| a.ends_with(".rhai"));
        if let (clap::error::ErrorKind::InvalidSubcommand, Some(script)) = (error.kind(), script) {
            std::process::exit(refuse(USAGE, format!("to run a script: seglab run {script}")).into());
        }
        error.exit()
    });
    // A panic inside a script function becomes a script error; its own text would only disturb.
    std::panic::set_hook(Box::new(|_| {}));
    // The pool of threads first: it tells candle its size by the environment, which nobody may read meanwhile.
    if matches!(cli.command, None | Some(Command::Repl { .. } | Command::Run { .. }))
        && let Err(text) = threads(&cli.common).and_then(|n| seglab::ops::start_threads(n).map_err(|e| e.to_string()))
    {
        return refuse(USAGE, text).into();
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
            let text = text.unwrap_or("no message");
            refuse(FAILED, format!("internal error ({text}); this is a bug in seglab"))
        }
        Err(e) => refuse(FAILED, format!("no thread could be started ({e})")),
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
            Err(text) => refuse(USAGE, text),
        },
    }
}

fn check_files(files: &[PathBuf]) -> u8 {
    let mut status = DONE;
    for file in files {
        let interpreter = Interpreter::new(Session::quiet("runs/check"));
        match seglab::script::engine::read_script(file) {
            Ok(text) => {
                for report in check::check(&interpreter, &file.display().to_string(), &text) {
                    status = status.max(FAILED).max(say(&report.one_line()));
                }
            }
            Err(e) => status = status.max(refuse(FAILED, e)),
        }
    }
    status
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

/// Write a line; the exit status that follows from it.
fn say(text: &str) -> u8 {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Ok(()) => DONE,
        Err(e) => {
            let status = output_status(&e);
            if status != CLOSED_PIPE {
                return refuse(status, format!("standard output cannot be written ({e})"));
            }
            status
        }
    }
}

/// Say what is wrong; the exit status.
fn refuse(status: u8, problem: impl std::fmt::Display) -> u8 {
    complain(&format!("error: {problem}"));
    status
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
