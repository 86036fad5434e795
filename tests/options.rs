//! No option takes NaN or infinity: every option of every function, those in maps inside options as well, is given both.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use rhai::Scope;
use seglab::script::nested::names;
use seglab::script::table::{Entry, Kind};
use seglab::script::{Interpreter, api};
use seglab::session::Session;
use serde_json::Value;

/// Values for the arguments that a function cannot do without.
const SETUP: &str = r#"
let data = data::scenes(#{ count: 2, size: [32, 48] });
let net = model::unet(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
let logits = tensor::zeros([1, 2, 4, 4]);
let weight = tensor::variable(tensor::ones([2]));
let optimizer = optim::sgd([weight]);
let gradients = weight.sum().backward();
let score = eval::compare(tensor::from([0, 1]).to_dtype("i64"), tensor::from([0, 1]).to_dtype("i64"), 2);
let figure = plot::figure();
let memory = loss::memory();
let run = train::finetune(net, data, #{ steps: 1, batch_size: 2, checkpoint_every: 0 });
let clip = teacher::clip("random");
let sam = teacher::segment_anything("random");
let segformer = teacher::segformer("random");
"#;

/// Numbers that no option takes, and how a message shows them.
const WRONG: [(&str, &str); 2] = [("(0.0 / 0.0)", "NaN"), ("(1.0 / 0.0)", "inf")];

/// The value that an argument of the command line has by default may be any.
const DATA: &str = ".arg.default";

/// Options that are no numbers (names, colours), and lists whose message says "not finite" without naming one; they are tested where
/// they are read.
const OTHERS: [&str; 5] = ["latex", "stats::summary", "save", "show", "batches"];

/// Bounds that need not bind: these may be infinite, though not NaN.
const INFINITE: [&str; 2] = ["Tensor.clamp.min", "Tensor.clamp.max"];

/// An argument of this kind.
fn sample(kind: &str, name: &str) -> &'static str {
    let first = kind.split(" or ").next().unwrap_or(kind);
    let first = if first.starts_with('[') {
        first
    } else {
        first.split([',', ' ']).next().unwrap_or(first)
    };
    match first {
        "Tensor" => "logits",
        "Model" => "net",
        "Dataset" => "data",
        "Optimizer" => "optimizer",
        "Gradients" => "gradients",
        "Score" => "score",
        "Run" => "run",
        "Figure" => "figure",
        "Memory" => "memory",
        "ClipTeacher" => "clip",
        "SamTeacher" => "sam",
        "SegformerTeacher" => "segformer",
        "Parameters" => "net.parameters()",
        "closure" => "|x| x",
        "string" if name == "encoder" => "\"resnet18\"",
        "string" => "\"poly\"",
        "int" | "float" => "2",
        "bool" => "true",
        "[Tensor]" => "[logits]",
        "[map]" => "[#{}]",
        "any" if name == "parameters" => "[weight]",
        "any" => "1",
        "map" => "#{}",
        "array" => "[1]",
        other if other.starts_with('[') => "[2, 2]",
        other => panic!("no value of kind {other} to call functions with; add one here"),
    }
}

/// A call of the function with all that it needs and this option.
fn call(entry: &Entry, option: &str, value: &str) -> String {
    let first = entry.arguments().iter().take_while(|p| p.default.is_none());
    let mut arguments: Vec<String> = first.map(|p| sample(&p.kind, p.name).to_string()).collect();
    let later = entry
        .arguments()
        .iter()
        .skip(arguments.len())
        .filter(|p| p.default.is_none());
    let mut options: Vec<String> = later
        .map(|p| format!("{}: {}", p.name, sample(&p.kind, p.name)))
        .collect();
    if entry.namespace == "train" && !["steps", "epochs"].contains(&option) && entry.name != "load" {
        options.push("steps: 1".into());
    }
    options.push(format!("\"{option}\": {value}"));
    arguments.push(format!("#{{ {} }}", options.join(", ")));
    let arguments = arguments.join(", ");
    match entry.receiver {
        "" => format!("{}({arguments})", entry.full_name()),
        receiver => format!("{}.{}({arguments})", sample(receiver, ""), entry.name),
    }
}

/// Option maps that hold the wrong number at each place below `options`, with the name of the place.
fn places(options: &Value, wrong: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let named = names(options).find(|(name, inside)| *name == "name" && inside.is_string());
    let others = named.map_or(String::new(), |(_, inside)| format!("name: {inside}, "));
    for (name, inside) in names(options).filter(|(name, _)| *name != "name" || others.is_empty()) {
        let moving = name == "schedule" && names(options).any(|(name, _)| name == "to");
        let others = if moving { "to: 0.1, " } else { others.as_str() };
        found.push((name.to_string(), format!("#{{ {others}{name}: {wrong} }}")));
        found.push((name.to_string(), format!("#{{ {others}{name}: [0.5, {wrong}] }}")));
        let (item, list) = match inside.get(0) {
            Some(item) if item.is_object() => (item, true),
            _ => (inside, false),
        };
        for (place, map) in places(item, wrong) {
            let map = if list { format!("[{map}]") } else { map };
            found.push((place, format!("#{{ {others}{name}: {map} }}")));
        }
    }
    found
}

#[test]
fn no_option_takes_nan_or_infinity() {
    let folder = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(folder.path()));
    let mut scope = Scope::new();
    if let Err(report) = interpreter.run("setup", SETUP, &mut scope) {
        panic!("{}", report.render(false));
    }
    let (mut failures, mut seen) = (Vec::new(), 0);
    for entry in api::table()
        .entries
        .iter()
        .filter(|e| e.kind == Kind::Function && e.body.is_some())
    {
        for option in entry.arguments().iter().filter(|p| p.default.is_some()) {
            // what a figure shows may have gaps, and its options are refused where it is drawn (tests/plot.rs)
            let figures = [entry.namespace, entry.receiver]
                .iter()
                .any(|o| ["plot", "Figure"].contains(o));
            if figures
                || OTHERS.contains(&entry.full_name().as_str()) && !["float", "int"].contains(&option.kind.as_str())
            {
                continue;
            }
            let owner = format!("{}.{}.{}", entry.receiver, entry.full_name(), option.name);
            for (wrong, shown) in WRONG {
                if owner == DATA || INFINITE.contains(&owner.as_str()) && shown == "inf" {
                    continue;
                }
                let inside = places(&(option.options)(), wrong);
                let own = [wrong.to_string(), format!("[0.5, {wrong}]")].map(|v| (option.name.to_string(), v));
                for (name, value) in own.into_iter().chain(inside) {
                    let script = call(entry, option.name, &value);
                    seen += 1;
                    match interpreter.run("test", &script, &mut scope.clone()) {
                        Ok(_) => failures.push(format!("{script}: runs")),
                        Err(e)
                            if e.message.contains(&name)
                                && (e.message.contains(shown) || e.message.contains("array")) => {}
                        Err(e) => failures.push(format!("{script}: {}", e.message)),
                    }
                }
            }
        }
    }
    assert!(seen > 300, "{seen}");
    assert!(
        failures.is_empty(),
        "{} of {seen}:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// The warnings of this script that say so.
fn warnings(script: &str, text: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::quiet(folder.path());
    let interpreter = Interpreter::new(session.clone());
    if let Err(report) = interpreter.run("test", script, &mut Scope::new()) {
        panic!("{}", report.render(false));
    }
    session
        .warnings()
        .iter()
        .filter(|warning| warning.contains(text))
        .count()
}

#[test]
fn an_image_without_a_partner_is_told_once() {
    for (variant, size, times) in [
        ("cross_image", 1, 1),
        ("released_cross_image", 1, 1),
        ("cross_image", 2, 0),
        ("within_image", 1, 0),
    ] {
        let calls = format!(
            r#"let z = tensor::randn([{size}, 4, 3, 3]);
            for i in 0..3 {{ loss::pixel_contrast(z, z, tensor::zeros([{size}, 3, 3], "i64"), #{{ variant: "{variant}" }}); }}"#
        );
        let training = format!(
            r#"let data = data::scenes(#{{ count: 2, size: [32, 48] }});
            let net = model::unet(#{{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 }});
            train::pretrain(net, data, #{{ steps: 3, batch_size: {size}, loss: #{{ variant: "{variant}" }}, checkpoint_every: 0 }});"#
        );
        for script in [calls, training] {
            assert_eq!(warnings(&script, "has no partner"), times, "{script}");
        }
    }
}
