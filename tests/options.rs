//! No option takes NaN or infinity: every option of every function, those in maps inside options as well, is given both.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::fmt::Debug;

use rhai::{Dynamic, Engine, Map, Scope};
use seglab::data::{Augment, BatchOptions, Distort, FolderOptions, ScenesOptions};
use seglab::loss::pixel_contrast::MemoryOptions;
use seglab::loss::{CrossEntropyOptions, DiceOptions, FocalOptions, PixelContrastOptions};
use seglab::nn::{ModelConfig, ProjectionConfig};
use seglab::options::{Field, Given, Inside, OptionSet};
use seglab::plot::{BarOptions, FigureOptions, HeatmapOptions, LineOptions, Look, SaveOptions};
use seglab::script::options::given;
use seglab::script::prelude::*;
use seglab::script::table::{Entry, Kind};
use seglab::script::{Interpreter, api};
use seglab::session::Session;
use seglab::teacher::MaskOptions;
use seglab::train::{
    AverageOptions, Course, EvalOptions, Group, MovingTemperature, OptimizerConfig, PretrainLoss, Schedule, TrainConfig,
};

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

/// Bounds that need not bind, and the border below everything: these may be infinite, though not NaN.
const INFINITE: [&str; 3] = ["Tensor.clamp.min", "Tensor.clamp.max", "Tensor.pad.value"];

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

/// Option maps that hold the wrong number at each place inside an option, with the name of the place.
fn places(inside: Inside, wrong: &str) -> Vec<(String, String)> {
    let list = matches!(inside, Inside::List(_));
    let fields = inside.fields();
    let mut found = Vec::new();
    let named = fields
        .iter()
        .find(|f| f.name == "name")
        .and_then(|f| f.default.as_deref());
    let named = named.filter(|default| default.starts_with('"'));
    let others = named.map_or(String::new(), |name| format!("name: {name}, "));
    for field in fields.iter().filter(|f| f.name != "name" || others.is_empty()) {
        let name = field.name;
        let moving = name == "schedule" && fields.iter().any(|f| f.name == "to");
        let others = if moving { "to: 0.1, " } else { others.as_str() };
        found.push((name.to_string(), format!("#{{ {others}{name}: {wrong} }}")));
        found.push((name.to_string(), format!("#{{ {others}{name}: [0.5, {wrong}] }}")));
        for (place, value) in places((field.inside)(), wrong) {
            found.push((place, format!("#{{ {others}{name}: {value} }}")));
        }
    }
    match list {
        true => found
            .into_iter()
            .map(|(place, map)| (place, format!("[{map}]")))
            .collect(),
        false => found,
    }
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
                let inside = places((option.inside)(), wrong);
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

/// What one struct of options says of itself.
struct Declared {
    fields: Vec<Field>,
    problems: Vec<String>,
}

/// Read a `T` in all the ways there are and compare with its default.
fn declared<T: OptionSet + Debug>() -> (&'static str, Declared) {
    let default = T::default();
    let shown = format!("{default:?}");
    let fields = default.fields();
    let mut problems = Vec::new();
    let mut compare = |what: &str, read: String| {
        if read != shown {
            problems.push(format!("{}: {what} gives {read}, the default is {shown}", T::OWNER));
        }
    };
    let nothing = Nested::<T>::convert(&Dynamic::from_map(Map::new())).unwrap();
    compare("an empty map", format!("{:?}", nothing.read("f").unwrap()));
    for field in &fields {
        // what help shows as the default is the default
        let literal: Dynamic = Engine::new()
            .eval_expression(field.default.as_deref().unwrap())
            .unwrap();
        let map = Given::Map(vec![(field.name.to_string(), given(&literal))]);
        let read = T::default()
            .over(&map)
            .map_err(|problem| problem.error("f").to_string());
        let what = format!("{}: {}", field.name, field.default.as_deref().unwrap());
        compare(&what, read.map_or_else(|e| e, |read| format!("{read:?}")));
        if field.doc.trim().is_empty() {
            compare(&format!("{} without a text", field.name), String::new());
        }
    }
    (T::OWNER, Declared { fields, problems })
}

/// All structs of options.
fn structs() -> BTreeMap<&'static str, Declared> {
    BTreeMap::from([
        declared::<Augment>(),
        declared::<AverageOptions>(),
        declared::<BarOptions>(),
        declared::<BatchOptions>(),
        declared::<Course>(),
        declared::<CrossEntropyOptions>(),
        declared::<DiceOptions>(),
        declared::<Distort>(),
        declared::<EvalOptions>(),
        declared::<FigureOptions>(),
        declared::<FocalOptions>(),
        declared::<FolderOptions>(),
        declared::<Group>(),
        declared::<HeatmapOptions>(),
        declared::<LineOptions>(),
        declared::<Look>(),
        declared::<MaskOptions>(),
        declared::<MemoryOptions>(),
        declared::<ModelConfig>(),
        declared::<MovingTemperature>(),
        declared::<OptimizerConfig>(),
        declared::<PixelContrastOptions>(),
        declared::<PretrainLoss>(),
        declared::<ProjectionConfig>(),
        declared::<ScenesOptions>(),
        declared::<SaveOptions>(),
        declared::<Schedule>(),
        declared::<TrainConfig>(),
    ])
}

#[test]
fn an_empty_map_is_the_default_and_so_is_what_help_shows() {
    let problems: Vec<String> = structs().into_values().flat_map(|d| d.problems).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn what_help_shows_as_a_default_can_be_typed() {
    let engine = Engine::new();
    let mut failures = Vec::new();
    for entry in &api::table().entries {
        for param in entry.arguments() {
            let Some(default) = &param.default else { continue };
            // the end of what is counted has no number
            if default != "max" && engine.eval_expression::<Dynamic>(default).is_err() {
                failures.push(format!("{}: {}: {default}", entry.full_name(), param.name));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_option_lives_in_one_place() {
    let structs = structs();
    let lives_in = |owner: &str, name: &str| {
        let declared = structs.get(owner);
        declared.is_some_and(|d| d.fields.iter().any(|f| (f.owner, f.name) == (owner, name)))
    };
    let (mut failures, mut seen, mut further) = (Vec::new(), 0, Vec::new());
    let mut check = |path: String, owner: &str, name: &str| {
        seen += 1;
        if !lives_in(owner, name) {
            failures.push(format!(
                "{path}: no struct `{owner}` known to this test declares `{name}`"
            ));
        }
    };
    fn walk(path: &str, inside: Inside, check: &mut dyn FnMut(String, &str, &str)) {
        for field in inside.fields() {
            let path = format!("{path}: {}", field.name);
            check(path.clone(), field.owner, field.name);
            walk(&path, (field.inside)(), check);
        }
    }
    for entry in &api::table().entries {
        let function = entry.full_name();
        for param in entry.arguments() {
            let path = format!("{function}: {}", param.name);
            if !param.owner.is_empty() {
                check(path.clone(), param.owner, param.name);
            } else if entry.arguments().iter().any(|p| lives_in(p.owner, param.name)) {
                further.push(path.clone());
            }
            walk(&path, (param.inside)(), &mut check);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(seen > 250, "{seen}");
    // in these places an option takes forms that only scripts have, under the name, at the place and with the text of the struct; figures of one
    // call have a title of their own, and curves choose their axis
    further.sort();
    assert_eq!(
        further,
        [
            "data::folder: labels",
            "eval::predict: window",
            "eval::segmentation: window",
            "loss::pixel_contrast: memory",
            "loss::pixel_contrast: temperature",
            "optim::schedule: name",
            "plot::confusion: title",
            "plot::curves: log",
            "plot::embedding: title",
            "plot::examples: title",
            "plot::runs: log",
            "train::finetune: batch_size",
            "train::finetune: ema",
            "train::fit: batch_size",
            "train::fit: ema",
            "train::pretrain: batch_size",
            "train::pretrain: ema",
        ]
    );
}
