//! Whatever is typed ends in a value or an error: never in a panic (caught ones count), a hang or a Rust name in a message.
//!
//! Random calls come from the function table itself (names, argument types, hostile values), random texts from the language's
//! tokens, mutated inputs from the table's examples and the lessons. `FUZZ_SEED` and `FUZZ_TIMES` change the seed and the number.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seglab::random::Random;
use seglab::script::table::{Entry, Kind, Param};
use seglab::script::{Interpreter, Report, Scope, Table, api, check, report};
use seglab::session::Session;

/// An input may work this long before it is interrupted as by Ctrl-C ...
const PATIENCE: Duration = Duration::from_millis(300);
/// ... and this much longer before it counts as hanging.
const HANG: Duration = Duration::from_secs(20);
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

/// The variables that inputs find, by the name of their type in signatures.
const VARIABLES: &str = r##"
    let t = tensor::arange(6).to_dtype("f32").reshape([2, 3]);
    let w = tensor::variable(tensor::ones([3]));
    let image = tensor::randn([1, 3, 16, 16]);
    let labels = tensor::from([[0, 1, 255], [2, 2, 0]]);
    let feature = tensor::randn([2, 4, 3, 3]);
    let feature_labels = tensor::zeros([2, 3, 3]).to_dtype("i64");
    let data = data::scenes(#{ count: 2, size: [16, 24], val_count: 1 });
    let batches = data.batches(#{ size: 1 });
    let net = model::unet(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
    let parameters = net.parameters();
    let run = train::finetune(net, data, #{ steps: 1, batch_size: 2, checkpoint_every: 0 });
    let score = eval::segmentation(net, data.val);
    let opt = optim::sgd([w], #{ lr: 0.1 });
    let gradients = (w * w).sum().backward();
    let figure = plot::figure().line([1, 2], [3, 4]);
    let report = { net.save("fuzz.safetensors"); net.load_weights("fuzz.safetensors") };
    let list = [3, 1.5, "x", t];
    let map = #{ size: [4, 4], lr: 0.1, a: t };
    let text = "seglab";
    let f = |x| x;
"##;

const HOSTILE: &[&str] = &[
    "()",
    "0",
    "-1",
    "1",
    "2",
    "3",
    "255",
    "9223372036854775807",
    "-9223372036854775807 - 1",
    "1 << 40",
    "1e6",
    "-0.5",
    "0.0",
    "1e300",
    "1e-300",
    "0.0 / 0.0",
    "1.0 / 0.0",
    "-1.0 / 0.0",
    "\"\"",
    "\"f32\"",
    "\"x\"",
    "\"\u{e9}\u{4e16}\"",
    "'c'",
    "[]",
    "[0]",
    "[-1]",
    "[2, 3]",
    "[0, 0]",
    "[1 << 40]",
    "[1 << 40, 1 << 40]",
    "[1 << 62, 4]",
    "[1 << 32, 1 << 32, 0]",
    "[[1, 2], [3]]",
    "[\"a\", ()]",
    "[0.5, 2.0]",
    "[0.0 / 0.0]",
    "#{}",
    "#{ dim: 1 }",
    "#{ dim: -9223372036854775807 }",
    "true",
    "false",
    "0..3",
    "3..0",
    "0..=9223372036854775807",
    "-5..-1",
    "|x| x",
    "||  1",
    "|a, b| a + b",
    "|a, b, c| throw a",
    "Fn(\"abs\")",
    "tensor::zeros([0])",
    "tensor::zeros([0, 3])",
    "tensor::zeros([3, 0, 2])",
    "tensor::from(1.5)",
    "tensor::from(-3)",
    "tensor::from([1, 2]).to_dtype(\"u8\")",
    "tensor::from([0, 5]).to_dtype(\"u32\")",
    "tensor::ones([2, 2]).to_dtype(\"f16\")",
    "tensor::ones([2, 2]).to_dtype(\"bf16\")",
    "tensor::ones([2, 2]).to_dtype(\"f64\")",
    "tensor::from([0.0 / 0.0, 1.0 / 0.0, 1e38])",
    "tensor::from([9223372036854775807, -1])",
    "tensor::ones([1, 2, 4, 4])",
    "tensor::ones([1, 1, 1, 1, 1, 1])",
    "tensor::ones([4, 6]).transpose(0, 1)",
    "tensor::ones([4, 2, 3, 3])",
];

const ALL_VARIABLES: &[&str] = &[
    "t",
    "w",
    "image",
    "labels",
    "feature",
    "feature_labels",
    "data",
    "batches",
    "net",
    "parameters",
    "run",
    "score",
    "opt",
    "gradients",
    "figure",
    "report",
    "list",
    "map",
    "text",
    "f",
    "missing",
];

const TENSORS: &[&str] = &[
    "t",
    "w",
    "image",
    "labels",
    "feature",
    "feature_labels",
    "image",
    "feature",
];

fn pick<'a>(random: &mut Random, from: &[&'a str]) -> &'a str {
    from[random.below(from.len())]
}

fn any(random: &mut Random) -> String {
    let from = if random.chance(0.3) { ALL_VARIABLES } else { HOSTILE };
    pick(random, from).to_string()
}

/// A value of the type called `kind` in signatures, or now and then anything.
fn value(random: &mut Random, kind: &str, doc: &str) -> String {
    if random.chance(0.3) {
        return any(random);
    }
    let choices: Vec<&str> = kind.split(" or ").collect();
    let integers = ["0", "1", "2", "3", "4", "8", "-1", "-2", "16", "255"];
    let floats = ["0.1", "0.5", "1.0", "2", "0.0", "-1.0", "1e-8", "0.07"];
    match pick(random, &choices) {
        "int" => pick(random, &integers).into(),
        "float" => pick(random, &floats).into(),
        "bool" => pick(random, &["true", "false"]).into(),
        "Tensor" => pick(random, TENSORS).into(),
        "closure" => pick(
            random,
            &["|x| x", "|a, b| a", "|| 1", "|m, b| m.forward(b.images).mean()"],
        )
        .into(),
        "map" => pick(
            random,
            &[
                "#{}",
                "map",
                "#{ lr: 0.1 }",
                "#{ channels: 8 }",
                "#{ flip: 0.5 }",
                "#{ name: \"poly\" }",
            ],
        )
        .into(),
        "Dataset" => pick(random, &["data", "data.val", "data.train"]).into(),
        "Model" => "net".into(),
        "Run" | "Run]" => "run".into(),
        "Score" => "score".into(),
        "Optimizer" => "opt".into(),
        "Gradients" => "gradients".into(),
        "Figure" => "figure".into(),
        "Parameters" => "parameters".into(),
        "string" => {
            let named: Vec<&str> = doc.split('"').skip(1).step_by(2).collect();
            let usual = [
                "\"\"",
                "\"x\"",
                "\"f64\"",
                "\"out/x.png\"",
                "\"x.npz\"",
                "\"lr\"",
                "\"encoder\"",
                "\"../x.svg\"",
            ];
            if named.is_empty() || random.chance(0.2) {
                pick(random, &usual).into()
            } else {
                format!("\"{}\"", pick(random, &named))
            }
        }
        kind if kind.starts_with('[') => {
            let inner = kind
                .trim_matches(['[', ']'])
                .split(", ")
                .next()
                .unwrap_or("any")
                .to_string();
            let count = if kind.contains(',') {
                kind.split(", ").count()
            } else {
                random.below(4)
            };
            let items: Vec<String> = (0..count).map(|_| value(random, &inner, doc)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => any(random),
    }
}

fn arguments(random: &mut Random, params: &[Param]) -> String {
    let mut given = Vec::new();
    let mut options = Vec::new();
    for param in params {
        let wanted = param.default.is_none() || random.chance(0.25);
        if wanted && !random.chance(0.03) {
            let value = value(random, &param.kind, &format!("{} {:?}", param.doc, param.default));
            if param.default.is_none() && options.is_empty() && random.chance(0.9) {
                given.push(value);
            } else {
                options.push(format!("{}: {value}", param.name));
            }
        }
    }
    if random.chance(0.03) {
        options.push(format!("{}: 1", pick(random, &["dmi", "lr", "steps", "seed"])));
    }
    if !options.is_empty() {
        given.push(format!("#{{ {} }}", options.join(", ")));
    }
    if random.chance(0.03) {
        given.push(any(random));
    }
    given.join(", ")
}

/// Whether one call may train, draw or read pictures: these come rarely, to keep the test short.
fn heavy(entry: &Entry) -> bool {
    ["train", "eval", "plot", "model", "data"].contains(&entry.namespace)
        || ["Run", "Model", "Dataset"].contains(&entry.receiver)
        || entry.receiver == "Figure" && entry.name == "save"
}

fn call(random: &mut Random, table: &Table) -> String {
    let entry = loop {
        let entry = &table.entries[random.below(table.entries.len())];
        if entry.body.is_some() && (!heavy(entry) || random.chance(0.12)) {
            break entry;
        }
    };
    let receiver = match entry.receiver {
        "array" => value(random, "[float]", ""),
        other => value(random, other, ""),
    };
    let text = arguments(random, entry.arguments());
    match entry.kind {
        Kind::Setter => format!("({receiver}).{} = {text}", entry.name),
        Kind::Getter => format!("({receiver}).{}", entry.name),
        _ if entry.receiver.is_empty() => format!("{}({text})", entry.full_name()),
        _ => format!("({receiver}).{}({text})", entry.name),
    }
}

/// A small expression or statement around calls.
fn grammar(random: &mut Random, table: &Table) -> String {
    let operators = [
        "+", "-", "*", "/", "**", "%", "<", ">=", "==", "!=", "&&", "in", "<<", "..", "??",
    ];
    let a = call(random, table);
    match random.below(14) {
        0 => format!("{a} {} {}", pick(random, &operators), any(random)),
        1 => format!("{} {} {}", any(random), pick(random, &operators), any(random)),
        2 => format!("({a})[{}]", any(random)),
        3 => format!("({})[[{}, {}]]", pick(random, TENSORS), any(random), any(random)),
        4 => format!("let x = {a}; for i in x {{ i; }} print(x); x = {}; x", any(random)),
        5 => format!(
            "let x = {a}; x.{} = {}",
            pick(random, &["shape", "lr", "a", "training"]),
            any(random)
        ),
        6 => format!("let x = {a}; print(`${{x}}`); debug([x, #{{ x: x }}]); x.to_string()"),
        7 => format!("[{a}, {}].map(|x| {})", any(random), call(random, table)),
        8 => format!("tensor::no_grad(|| {a})"),
        _ => a,
    }
}

/// Tokens in any order, or one of the shapes that break parsers.
fn tokens(random: &mut Random, table: &Table) -> String {
    let vocabulary = [
        "let ",
        "x",
        "fn ",
        "f",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "#{",
        ":",
        ";",
        ",",
        ".",
        "::",
        "=",
        "==",
        "+=",
        "+",
        "-",
        "**",
        "|x|",
        "||",
        "if ",
        "else ",
        "for ",
        "in ",
        "while ",
        "loop ",
        "break",
        "return ",
        "throw ",
        "try ",
        "catch ",
        "switch ",
        "=>",
        "`",
        "${",
        "\"",
        "'",
        "//",
        "/*",
        "*/",
        "\n",
        "1",
        "0x",
        "1e9",
        "1e",
        "..",
        "..=",
        "?.",
        "??",
        "import ",
        "as ",
        "const ",
        "global::",
        "this",
        "eval",
        "whos()",
        "\\",
        "\0",
        "\u{e9}",
        "\u{1f600}",
        "#!",
        "tensor::",
        "_",
        "@",
        "$",
        "t[",
        "t.",
        "print(",
    ];
    if random.chance(0.03) {
        let n = [10, 100, 1000, 20_000][random.below(4)];
        let unit = pick(
            random,
            &[
                "(",
                "[",
                "#{a:",
                "{",
                "-",
                "!",
                "if true {",
                "|x| ",
                "x.",
                "1+",
                "`${",
                "f(",
                "t[",
                "/*",
                "x = ",
                "((",
                "fn f(x) {",
            ],
        );
        return unit.repeat(n);
    }
    (0..1 + random.below(14))
        .map(|_| {
            if random.chance(0.1) {
                call(random, table)
            } else {
                pick(random, &vocabulary).to_string()
            }
        })
        .collect()
}

/// A known script with a few wounds.
fn mutated(random: &mut Random, seeds: &[String]) -> String {
    let mut pieces: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in seeds[random.below(seeds.len())].chars() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            pieces.push(std::mem::take(&mut word));
        }
        pieces.push(c.to_string());
    }
    pieces.push(word);
    for _ in 0..1 + random.below(3) {
        let at = random.below(pieces.len().max(1));
        let number = pieces
            .get(at)
            .is_some_and(|p| p.starts_with(|c: char| c.is_ascii_digit()));
        match random.below(6) {
            0 if pieces.len() > 1 => drop(pieces.remove(at)),
            1 => pieces.insert(at, any(random)),
            2 => {
                let other = random.below(pieces.len());
                pieces.swap(at, other);
            }
            3 => pieces.truncate(at + 1),
            4 => pieces.insert(
                at,
                pick(random, &["(", "}", ",", ";", "\"", ".", "::", "`", "\n"]).to_string(),
            ),
            _ if number => {
                pieces[at] = pick(random, &["0", "-1", "1 << 40", "9223372036854775807", "0.5", "()"]).to_string()
            }
            _ => pieces[at] = any(random),
        }
    }
    pieces.concat()
}

/// What no message may contain.
fn unfit(text: &str) -> Option<&'static str> {
    [
        "internal error",
        "anon$",
        "candle",
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

    fn input(&mut self, text: &str) {
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
    let slow = ["train::", "model::", "eval::", "count:", ".save("];
    seeds.retain(|s| !slow.iter().any(|w| s.contains(w)));
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
        fuzz.end();
    });
    if let Err(panic) = thread.unwrap().join() {
        eprintln!("{}", panic.downcast_ref::<String>().map_or("", String::as_str));
        panic!("the fuzz test failed");
    }
}
