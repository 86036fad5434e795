//! Whatever is typed ends in a value or an error: never in a panic (caught ones count), a hang or a Rust name in a message.
//!
//! Random calls come from the function table itself (names, argument types, hostile values), random texts from the language's
//! tokens, mutated inputs from the table's examples and the lessons, and inputs that mostly work from the examples with other
//! numbers and calls with arguments of the right type. `FUZZ_SEED` and `FUZZ_TIMES` change the seed and the number.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

mod texts;
mod typed;
mod values;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seglab::random::Random;
use seglab::script::{Interpreter, Report, Scope, Table, api, check, report};
use seglab::session::Session;
use texts::{grammar, mutated, tokens};
use typed::typed;
use values::VARIABLES;

/// An input may work this long before it is interrupted as by Ctrl-C ...
const PATIENCE: Duration = Duration::from_millis(300);
/// ... and this much longer before it counts as hanging.
const HANG: Duration = Duration::from_millis(4700);
/// Inputs that share variables, so that one may spoil a model for the next.
const ROUND: usize = 250;

/// Panics anywhere in the process, caught or not, with the place in the source.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What the watchdog knows of the input at work.
struct Watched {
    since: Instant,
    text: String,
    cancel: Arc<AtomicBool>,
}

static WATCHED: Mutex<Option<Watched>> = Mutex::new(None);

fn watch() {
    std::panic::set_hook(Box::new(|info| PANICS.lock().unwrap().push(info.to_string())));
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(20));
            if let Some(watched) = &*WATCHED.lock().unwrap() {
                let spent = watched.since.elapsed();
                if spent > PATIENCE {
                    watched.cancel.store(true, Ordering::Relaxed);
                }
                if spent > PATIENCE + HANG {
                    eprintln!("this input hangs:\n{}", watched.text);
                    std::process::abort();
                }
            }
        }
    });
}

/// What no message may contain.
fn unfit(text: &str) -> Option<&'static str> {
    [
        "internal error",
        "anon$",
        "candle_",
        "candle-core",
        "candle-nn",
        "candle-transformers",
        "rhai::",
        "seglab::",
        "alloc::",
        "::script::",
        "src/",
        "panicked",
        "Dynamic",
    ]
    .into_iter()
    .find(|bad| text.contains(bad))
}

struct Fuzz {
    folder: tempfile::TempDir,
    interpreter: Interpreter,
    scope: Scope<'static>,
    left: usize,
    random: Random,
    table: Table,
    failures: Vec<String>,
}

impl Fuzz {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let interpreter = Interpreter::new(Session::quiet(folder.path()));
        Fuzz {
            folder,
            interpreter,
            scope: Scope::new(),
            left: 0,
            random: Random::new(seed),
            table: api::table(),
            failures: Vec::new(),
        }
    }

    /// A fresh session with the usual variables.
    fn renew(&mut self) {
        self.interpreter = Interpreter::new(Session::quiet(self.folder.path().join("a/b/c")));
        self.scope = Scope::new();
        let made = self.interpreter.run("variables", VARIABLES, &mut self.scope);
        assert!(made.is_ok(), "{}", made.unwrap_err().render(false));
        self.left = ROUND;
    }

    /// Run `text`; whether it ended in a value.
    fn input(&mut self, text: &str) -> bool {
        if self.left == 0 {
            self.renew();
        }
        self.left -= 1;
        let names = self.scope.len();
        let before = PANICS.lock().unwrap().len();
        *WATCHED.lock().unwrap() = Some(Watched {
            since: Instant::now(),
            text: text.to_string(),
            cancel: self.interpreter.session().cancel_flag(),
        });
        let result = self.interpreter.run("fuzz", text, &mut self.scope);
        self.interpreter.session().clear_cancel();
        match &result {
            Ok(value) => self.shown(text, &self.interpreter.display(value)),
            Err(e) => self.shown(text, &e.render(true)),
        }
        let _ = api::whos(self.interpreter.context(), &self.scope);
        *WATCHED.lock().unwrap() = None;
        self.interpreter.session().clear_cancel();
        self.scope.rewind(names);
        let panics: Vec<String> = PANICS.lock().unwrap()[before..].to_vec();
        for panic in panics {
            self.failures.push(format!("{text}\n    {panic}"));
        }
        result.is_ok()
    }

    fn shown(&self, text: &str, output: &str) {
        if let Some(bad) = unfit(output) {
            PANICS.lock().unwrap().push(format!(
                "`{bad}` is shown for {text}: {}",
                output.lines().next().unwrap_or("")
            ));
        }
    }

    /// The parser and `check` alone.
    fn parse(&mut self, text: &str) {
        let before = PANICS.lock().unwrap().len();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            if let Err(e) = self.interpreter.engine().compile(text) {
                let _ = report::is_incomplete(text, &e);
            }
            let found: Vec<Report> = check::check(&self.interpreter, "fuzz", text);
            found
                .iter()
                .map(|r| r.render(true).len() + r.one_line().len())
                .sum::<usize>()
        }));
        if caught.is_err() {
            let panics = PANICS.lock().unwrap()[before..].join("; ");
            self.failures.push(format!("check: {text}\n    {panics}"));
        }
    }

    fn end(self) {
        let total = self.failures.len();
        let shown: Vec<String> = self.failures.into_iter().take(400).collect();
        assert!(total == 0, "{total} failures\n{}", shown.join("\n"));
    }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// What takes long in an example.
const SLOW: [&str; 6] = ["train::", "model::", "eval::", "nn::", "count:", ".save("];

/// Statements of the lessons and the examples of the table, without those that train.
fn seeds(table: &Table) -> Vec<String> {
    let mut seeds: Vec<String> = table.entries.iter().flat_map(|e| e.examples()).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "rhai") {
            let text = std::fs::read_to_string(path).unwrap();
            seeds.extend(text.split("\n\n").map(str::to_string));
        }
    }
    seeds.retain(|s| !SLOW.iter().any(|w| s.contains(w)));
    seeds
}

#[test]
fn random_and_mutated_inputs_end_in_a_value_or_an_error() {
    // the stack is that of the program
    let thread = std::thread::Builder::new().stack_size(1 << 29).spawn(|| {
        watch();
        let times = from_environment("FUZZ_TIMES", 1) as usize;
        let mut fuzz = Fuzz::new(from_environment("FUZZ_SEED", 5));
        let seeds = seeds(&fuzz.table);
        assert!(seeds.len() > 100, "only {} seeds", seeds.len());
        for i in 0..10_000 * times {
            let text = if i % 4 == 0 {
                tokens(&mut fuzz.random, &fuzz.table)
            } else {
                grammar(&mut fuzz.random, &fuzz.table)
            };
            if i % 4 == 0 {
                fuzz.parse(&text);
            }
            fuzz.input(&text);
        }
        for _ in 0..1_000 * times {
            let text = mutated(&mut fuzz.random, &seeds);
            fuzz.parse(&text);
            fuzz.input(&text);
        }
        let examples: Vec<String> = fuzz.table.entries.iter().flat_map(|e| e.examples()).collect();
        let (slow, quick): (Vec<_>, Vec<_>) = examples.into_iter().partition(|e| SLOW.iter().any(|w| e.contains(w)));
        let typed_inputs = 2_000 * times;
        let mut good = 0;
        for _ in 0..typed_inputs {
            let text = typed(&mut fuzz.random, &fuzz.table, &quick, &slow);
            good += usize::from(fuzz.input(&text));
        }
        eprintln!("{good} of {typed_inputs} inputs with arguments of the right type ended in a value");
        assert!(
            2 * good >= typed_inputs,
            "only {good} of {typed_inputs} inputs ended in a value"
        );
        fuzz.end();
    });
    if let Err(panic) = thread.unwrap().join() {
        eprintln!("{}", panic.downcast_ref::<String>().map_or("", String::as_str));
        panic!("the fuzz test failed");
    }
}
