//! One step of UniMatch and of Mean Teacher against PyTorch: `tests/golden/methods.safetensors`, made by `make_golden_methods.py` beside
//! it. What is run is the loss of the scripts themselves: the closure that they give to `train::fit` is taken out of their text.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod tensors;

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use seglab::script::{Interpreter, Scope};
use seglab::session::Session;
use tensors::{uniform, value};

/// The batches and networks of `make_golden_methods.py`; `numbers` are those of the formula.
const START: &str = r#"
let golden = tensor::load("GOLDEN");
let numbers = tensor::load("NUMBERS");
let size = [64, 96];
fn network(numbers) {
    let net = model::unet(#{ encoder: "resnet18", classes: 5, decoder_channels: 32, projection: #{ channels: 8 } });
    let state = net.state();
    for name in state.keys() { if !name.starts_with("projection.") { state[name] = numbers[name]; } }
    net.load_state(state);
    net
}
/// Of each parameter and statistic in the order of its name, elements (k * 7919) mod size, k = 0..3.
fn samples(net) {
    let state = net.state();
    let rows = [];
    for name in state.keys().sort() {
        if name.starts_with("projection.") { continue; }
        let flat = state[name].flatten();
        rows.push(flat.index_select(0, tensor::from([0, 1, 2, 3].map(|k| k * 7919 % flat.numel))));
    }
    tensor::stack(rows)
}
let labels = ((numbers.labels + 1) * 3).to_dtype("i64");
let l = #{ images: numbers.labelled, labels: tensor::where(labels.eq(5), 255, labels) };
let u = #{ images: numbers.unlabelled, distorted: numbers["view 0"], views: [numbers["view 0"], numbers["view 1"]], step: 60 };
let sgd = #{ lr: 0.01, momentum: 0.9, weight_decay: 4e-5 };
"#;

/// Numbers of this shape in single precision: `factor` times the formula's.
fn drawn(name: &str, shape: &[usize], factor: f64) -> Tensor {
    let numbers: Vec<f64> = uniform(name, shape.iter().product())
        .iter()
        .map(|u| u * factor)
        .collect();
    let all = Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap();
    // labels are cut to integers, so they stay as they are
    if factor == 1.0 {
        all
    } else {
        all.to_dtype(DType::F32).unwrap()
    }
}

/// The numbers that both sides compute.
fn numbers(folder: &Path) -> String {
    let net = "model::unet(#{ encoder: \"resnet18\", classes: 5, decoder_channels: 32, projection: #{ channels: 8 } }).state()";
    let interpreter = Interpreter::new(Session::quiet(folder));
    let shapes = interpreter.run(
        "shapes",
        &format!("let s = {net}; let names = s.keys(); names.map(|n| [n] + s[n].shape)"),
        &mut Scope::new(),
    );
    let mut all: HashMap<String, Tensor> = HashMap::new();
    for row in shapes.ok().unwrap().into_array().unwrap() {
        let row = row.into_array().unwrap();
        let name = row[0].to_string();
        let shape: Vec<usize> = row[1..].iter().map(|side| side.as_int().unwrap() as usize).collect();
        all.insert(name.clone(), value(&name, &shape).to_dtype(DType::F32).unwrap());
    }
    for (name, n) in [("labelled", 2), ("unlabelled", 3), ("view 0", 3), ("view 1", 3)] {
        all.insert(name.into(), drawn(name, &[n, 3, 64, 96], 2.0));
    }
    all.insert("labels".into(), drawn("labels", &[2, 64, 96], 1.0));
    let path = folder.join("numbers.safetensors");
    candle_core::safetensors::save(&all, &path).unwrap();
    path.display().to_string()
}

/// What the script of a method gives to `train::fit` as its loss, and the functions it declares before.
fn step_of(method: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scripts/methods/{method}.rhai"));
    let text = std::fs::read_to_string(path).unwrap();
    let functions = text
        .find("/// ")
        .map_or("", |at| &text[at..text[at..].find("\n}\n").unwrap() + at + 2]);
    let loss = text
        .split_once("train::fit(net, [few, all.without_labels()], ")
        .unwrap()
        .1;
    let (loss, _) = loss.split_once("\n}, #{").unwrap();
    format!("{functions}\nlet step = {loss}\n}};\n")
}

fn run(text: &str) {
    let text = text.to_string();
    let work = move || {
        let folder = tempfile::tempdir().unwrap();
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/methods.safetensors");
        let text = START
            .replace("GOLDEN", golden)
            .replace("NUMBERS", &numbers(folder.path()))
            + text.as_str();
        let interpreter = Interpreter::new(Session::quiet(folder.path()));
        if let Err(report) = interpreter.run("test", &text, &mut Scope::new()) {
            panic!("{}", report.render(false));
        }
    };
    let thread = std::thread::Builder::new().stack_size(1 << 29).spawn(work).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_step_of_unimatch_is_pytorchs() {
    // What is drawn by chance, the boxes and the dropped channels, are those of the other side.
    let step = step_of("unimatch").replace("data::cutmix(", "cutmix.call(");
    run(&format!(
        r#"
        let threshold = golden["unimatch.threshold"].item();
        let drop = nn::block(#{{}}, |parts, map| map * golden[`unimatch.kept.${{map.shape[1]}}.${{map.shape[2]}}`]);
        let cutmix = |images, maps| {{
            let pasted = golden["unimatch.pasted"][if images == u.views[0] {{ 0 }} else {{ 1 }}];
            let next = |t| tensor::cat([t.narrow(0, 1, 2), t.narrow(0, 0, 1)]);
            for name in maps.keys() {{ maps[name] = tensor::where(pasted, next.call(maps[name]), maps[name]); }}
            #{{ images: tensor::where(pasted.unsqueeze(1), next.call(images), images), maps: maps }}
        }};
        {step}
        let net = network(numbers);
        let found = step.call(net, l, u);
        let losses = golden["unimatch.losses"];
        for (name, i) in ["loss", "supervised", "strong", "feature"] {{
            assert_close(found[name].item(), losses[i].item(), #{{ tolerance: 1e-4 }});
        }}
        optim::sgd(net.parameters(), sgd).step(found.loss.backward());
        let worst = (samples(net) - golden["unimatch.weights"]).abs().max().item();
        assert(worst < 1e-5, `the weights differ by ${{worst}}`);
        "#
    ));
}

#[test]
fn a_step_of_mean_teacher_is_pytorchs_and_so_is_the_average() {
    let step = step_of("mean_teacher");
    run(&format!(
        r#"
        let steps = 100;
        let weight = 20.0;
        let net = network(numbers);
        let teacher = net.copy();
        teacher.eval();
        {step}
        let behind = |teacher| {{
            let state = net.state();
            for name in teacher.parameters().names {{ state[name] = state[name] * 0.9; }}
            teacher.load_state(state);
        }};
        behind.call(teacher);
        let start = net.state();

        // by hand
        let found = step.call(net, l, u);
        for (name, i) in ["loss", "supervised", "consistency"] {{
            assert_close(found[name].item(), golden["mean_teacher.losses"][i].item(), #{{ tolerance: 1e-4 }});
        }}
        optim::sgd(net.parameters(), sgd).step(found.loss.backward());
        teacher.ema(net, 0.9);
        let close = |net, name| {{
            let worst = (samples(net) - golden[`mean_teacher.${{name}}`]).abs().max().item();
            assert(worst < 1e-6, `${{name}} differs by ${{worst}}`);
        }};
        close.call(net, "weights");
        close.call(teacher, "averaged");

        // by the loop, which averages into the teacher that the loss asks
        net.load_state(start);
        behind.call(teacher);
        let scenes = data::scenes(#{{ count: 2, size: [32, 32], classes: 5 }});
        let run = train::fit(net, [scenes, scenes], |net, a, b| step.call(net, l, u), #{{
            steps: 1, batch_size: [2, 2], optimizer: sgd, schedule: "constant", checkpoint_every: 0, ema: #{{ decay: 0.9, model: teacher }},
        }});
        assert_close(run.history.consistency[0], golden["mean_teacher.losses"][2].item(), #{{ tolerance: 1e-4 }});
        close.call(net, "weights");
        close.call(teacher, "averaged");
        "#
    ));
}
