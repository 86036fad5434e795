//! Everything a script trains goes through one backward pass: the built-in loops, `train::fit`, loops written by hand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::cell::RefCell;
use std::sync::{PoisonError, RwLock};

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use seglab::nn::{Architecture, EncoderKind, ModelConfig, Pass, Segmenter};
use seglab::ops::{Precision, Tape};
use seglab::random::Random;
use seglab::script::{Interpreter, Scope};
use seglab::session::Session;

/// Run a script on a thread with a large stack, as the program does; its last value must be true.
/// Who measures the memory of the process wants it for itself.
static MEMORY: RwLock<()> = RwLock::new(());

fn script(text: &'static str) {
    let work = move || {
        let folder = tempfile::tempdir().unwrap();
        let interpreter = Interpreter::new(Session::quiet(folder.path()));
        let scope = &mut Scope::new();
        match interpreter.run("test", text, scope) {
            Ok(_) => {}
            Err(report) => panic!("{}", report.render(false)),
        }
        scope.clear();
        assert!(
            interpreter.context().tape().is_empty(),
            "recorded results outlive the script"
        );
    };
    let thread = std::thread::Builder::new().stack_size(1 << 29).spawn(work).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn the_three_loops_compute_the_same_losses_bit_for_bit() {
    let _others = MEMORY.read().unwrap_or_else(PoisonError::into_inner);
    script(
        r#"
        let data = data::scenes(#{ count: 6, size: [32, 48], seed: 3 });
        let options = #{ steps: 4, batch_size: 3, seed: 5, checkpoint_every: 0, schedule: "constant",
            optimizer: #{ lr: 0.05, momentum: 0.9, weight_decay: 1e-4 } };
        let start = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16, dropout: 0.0 });
        let built = start.copy();
        let closure = start.copy();
        let hand = start.copy();
        let run = train::finetune(built, data, options);
        let fit = train::fit(closure, data, |net, batch| loss::cross_entropy(net.forward(batch.images), batch.labels), options);
        assert_eq(run.history.loss, fit.history.loss);
        let o = optim::sgd(hand.parameters(), #{ lr: 0.05, momentum: 0.9, weight_decay: 1e-4 });
        let losses = [];
        for batch in data.batches(#{ size: 3, shuffle: true, seed: 5, epochs: 2 }) {
            let logits = hand.forward(batch.images);
            let loss = loss::cross_entropy(logits, batch.labels);
            o.step(loss.backward());
            losses.push(loss.item());
        }
        assert_eq(losses, run.history.loss);
        let a = built.state();
        let b = closure.state();
        let c = hand.state();
        for name in a.keys() { assert_eq(a[name], b[name]); assert_eq(a[name], c[name]); }
        "#,
    );
}

#[test]
fn a_closure_that_fails_and_losses_that_are_dropped_leave_nothing() {
    let _alone = MEMORY.write().unwrap_or_else(PoisonError::into_inner);
    script(
        r#"
        let data = data::scenes(#{ count: 4, size: [32, 32] });
        let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        let text = "";
        try {
            train::fit(net, data, |net, batch| { let l = net.forward(batch.images).mean(); l.nothing_of_this_name() + l },
                #{ steps: 2, batch_size: 2, checkpoint_every: 0 });
        } catch (e) { text = e.to_string(); }
        assert(text.contains("nothing_of_this_name"));
        for batch in data.batches(#{ size: 2 }) {
            let half = loss::cross_entropy(net.forward(batch.images), batch.labels);
            half = half + net.embed(batch.images).mean();
            break;
        }
        "#,
    );
}

#[test]
fn what_is_not_tracked_has_no_gradients() {
    let _others = MEMORY.read().unwrap_or_else(PoisonError::into_inner);
    script(
        r#"
        let net = nn::sequential([nn::conv2d(3, 8, #{ padding: 1 }), nn::batch_norm(8), nn::activation("relu"), nn::conv2d(8, 4)]);
        let y = tensor::no_grad(|| net.forward(tensor::randn([2, 3, 8, 8])));
        assert_eq(y.mean().backward().norms(), #{});
        "#,
    );
}

/// Bytes of this process in main memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|n| n.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

/// By how much the process grows while `body` runs many times, after it has run a few times behind `start`.
fn growth(start: &'static str, [few, many]: [usize; 2], body: &'static str) -> usize {
    let _alone = MEMORY.write().unwrap_or_else(PoisonError::into_inner);
    let work = move || {
        let folder = tempfile::tempdir().unwrap();
        let interpreter = Interpreter::new(Session::quiet(folder.path()));
        let mut scope = Scope::new();
        let mut run = |text: &str| {
            if let Err(report) = interpreter.run("test", text, &mut scope) {
                panic!("{}", report.render(false));
            }
        };
        run(start);
        run(&format!("for i in 0..{few} {{ {body} }}"));
        let before = resident();
        run(&format!("for i in 0..{many} {{ {body} }}"));
        let grown = resident().saturating_sub(before);
        scope.clear();
        assert!(interpreter.context().tape().is_empty());
        grown
    };
    let thread = std::thread::Builder::new().stack_size(1 << 29).spawn(work).unwrap();
    match thread.join() {
        Ok(grown) => grown,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[test]
fn memory_does_not_grow_over_two_thousand_steps() {
    let grown = growth(
        r#"
        let net = nn::sequential([nn::conv2d(3, 8, #{ padding: 1 }), nn::batch_norm(8), nn::activation("relu"), nn::conv2d(8, 4)]);
        let o = optim::sgd(net.parameters(), #{ lr: 0.01, momentum: 0.9 });
        let x = tensor::randn([2, 3, 32, 32]);
        let w = tensor::variable(tensor::randn([1, 4, 1, 1]));
        "#,
        [200, 1800],
        r#"
        let logits = net.forward(x);
        let unit = (logits - logits.mean([0, 2, 3], true)) / logits.std([0, 2, 3], true);
        let loss = (unit * w).softmax(1).sqr().mean() + logits.reshape([2, -1]).topk(5, 1).values.mean();
        o.step(loss.backward());
        "#,
    );
    // one pass keeps 0.4 MB: a pass kept at every step would be 700 MB
    assert!(grown < 20 << 20, "{} MiB", grown >> 20);
}

#[test]
fn forwards_without_backward_keep_no_memory() {
    let grown = growth(
        r#"
        let net = nn::sequential([nn::conv2d(3, 8, #{ padding: 1 }), nn::batch_norm(8), nn::activation("relu"), nn::conv2d(8, 4)]);
        let x = tensor::randn([2, 3, 64, 64]);
        let kept = ();
        "#,
        [20, 200],
        // the last one is alive
        "kept = net.forward(x).softmax(1);",
    );
    // one pass keeps 0.8 MB: all of them would be 160 MB
    assert!(grown < 20 << 20, "{} MiB", grown >> 20);
}

/// Every architecture, as a script has it; what is dropped by chance is another thing in every call.
#[test]
fn encode_decode_classify_is_forward_bit_for_bit() {
    let _others = MEMORY.read().unwrap_or_else(PoisonError::into_inner);
    script(
        r#"
        let small = #{ classes: 5, decoder_channels: 16 };
        let nets = [
            [model::unet(small + #{ encoder: "resnet18" }), [33, 47]],
            [model::fcn(small + #{ encoder: "resnet18", dropout: 0.0 }), [33, 32]],
            [model::deeplabv3(small + #{ encoder: "resnet18", dropout: 0.0 }), [32, 47]],
            [model::deeplabv3plus(small + #{ encoder: "resnet18", dropout: 0.0 }), [33, 47]],
            [model::segformer(small + #{ encoder: "mit_b0", dropout: 0.0, drop_path: 0.0 }), [33, 47]],
            [model::dpt(small + #{ encoder: "dinov2_vits14" }), [28, 42]],
            [model::linear(#{ classes: 5, encoder: "dinov2_vits14" }), [28, 42]],
            [model::deeplabv3plus(small + #{ encoder: "dinov2_vits14", dropout: 0.0 }), [28, 42]],
        ];
        for pair in nets {
            let net = pair[0];
            let size = pair[1];
            let x = tensor::randn([2, 3, size[0], size[1]]);
            for training in [true, false] {
                if training { net.train(); } else { net.eval(); }
                let logits = net.forward(x);
                let found = net.classify(net.decode(net.encode(x)), size);
                assert_eq(logits, found);
                let outputs = net.outputs(x);
                assert_eq(logits, outputs.logits);
                assert_eq(logits.shape, [2, 5, size[0], size[1]]);
            }
        }
        "#,
    );
}

#[test]
fn a_joint_loss_through_outputs_is_one_pass() {
    let _others = MEMORY.read().unwrap_or_else(PoisonError::into_inner);
    script(
        r#"
        let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 4, decoder_channels: 16, dropout: 0.0, projection: #{ channels: 8 } });
        let x = tensor::randn([2, 3, 32, 32]);
        let labels = (tensor::rand([2, 32, 32]) * 4).to_dtype("i64");
        let once = net.copy();
        let twice = net.copy();
        once.forward(x);
        twice.forward(x);
        twice.forward(x);
        let o = net.outputs(x);
        let contrast = loss::pixel_contrast(o.embeddings, (), labels, #{ variant: "own_positive" });
        let g = (loss::cross_entropy(o.logits, labels) + 0.1 * contrast).backward();
        // the running statistics moved as often as the images went through
        let name = "encoder.layer4.1.bn2.running_mean";
        assert_eq(net.state()[name], once.state()[name]);
        assert(net.state()[name] != twice.state()[name]);
        // and the gradients are those of two passes, one for each loss
        let both = g.norms();
        let a = loss::cross_entropy(once.forward(x), labels).backward();
        let b = loss::pixel_contrast(once.embed(x), (), labels, #{ variant: "own_positive" }).backward() * 0.1;
        let sum = (a + b).norms();
        for name in sum.keys() { assert_close(both[name], sum[name], #{ tolerance: 1e-4 }); }
        "#,
    );
}

#[test]
fn gradients_reach_images_and_both_networks() {
    let _others = MEMORY.read().unwrap_or_else(PoisonError::into_inner);
    script(
        r#"
        let make = || model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16, dropout: 0.0 });
        let a = make.call();
        let b = make.call();
        b.load_state(a.state());
        let x = tensor::variable(tensor::randn([2, 3, 32, 32]));
        // one network used twice and the other once: the sum of what each gives alone
        let first = |n| n.forward(x).sqr().mean();
        let second = |n| n.features(x).abs().mean();
        let g = (first.call(a) + second.call(a) + first.call(b) * 0.5).backward();
        let ga = first.call(a).backward() + second.call(a).backward();
        let gb = first.call(b).backward() * 0.5;
        let name = "encoder.layer1.0.conv1.weight";
        let wa = a.parameters().get(name);
        let wb = b.parameters().get(name);
        assert_close(g.of(wa), ga.of(wa), #{ tolerance: 1e-6 });
        assert_close(g.of(wb), gb.of(wb), #{ tolerance: 1e-6 });
        assert_close(g.of(x), (ga + gb).of(x), #{ tolerance: 1e-6 });
        assert_eq(g.of(x).shape, x.shape);
        let norms = g.norms();
        assert(norms[name] > 0.0 && norms[name + " (network 2)"] > 0.0 && norms["variable 1"] > 0.0);
        // an output used twice, and a second pass through what is gone
        let logits = a.forward(x);
        (logits.mean() + logits.sqr().mean()).backward();
        let text = "";
        try { logits.mean().backward(); } catch (e) { text = e.to_string(); }
        assert(text.contains("retain_graph"));
        "#,
    );
}

#[test]
fn maps_added_by_hand_are_residual_layers_and_plain_graphs_stay() {
    let _others = MEMORY.read().unwrap_or_else(PoisonError::into_inner);
    script(
        r#"
        let layers = [];
        for i in 0..12 { layers.push(nn::conv2d(4, 4, #{ padding: 1 })); }
        let x = tensor::randn([2, 4, 6, 6]);
        let around = [];
        for layer in layers { around.push(nn::residual(layer)); }
        let a = nn::sequential(around).forward(x).sqr().mean().backward();
        let h = x;
        for layer in layers { h = h + layer.forward(h); }
        let b = h.sqr().mean().backward();
        for layer in layers {
            let weight = layer.parameters().get("weight");
            assert_eq(a.of(weight), b.of(weight));
        }
        // what no network is part of can be gone through again
        let w = tensor::variable(tensor::randn([1, 3, 2, 2]));
        let l = loss::cross_entropy(w + w, tensor::zeros([1, 2, 2], "i64"));
        assert_eq(l.backward().of(w), l.backward().of(w));
        let all = [loss::cross_entropy(w, tensor::zeros([1, 2, 2], "i64")), (w * w).mean([2, 3]).max(), w.softmax(1).topk(2, 1).values.sum()];
        for l in all {
            let g = l.backward();
            let before = g.of(w) * 1;
            optim::sgd([w]).clip(g, 1e-3);
            assert(g.of(w).norm().item() < 2e-3);
            assert_eq(l.backward().of(w), before);
        }
        // nor do two variables share a gradient
        let v = tensor::variable(w * 1);
        let g = (w + v).sum().backward();
        optim::sgd([w, v]).clip(g, 1.0);
        assert_close(g.of(w).norm().item(), sqrt(0.5), #{ tolerance: 1e-3 });
        "#,
    );
}

fn model(seed: u64) -> Segmenter {
    let mut config = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet18, 3);
    config.decoder_channels = 16;
    config.dropout = 0.0;
    Segmenter::new(&config, seed, &Device::Cpu).unwrap()
}

/// Two passes of one network and one of another, candle's operations between and behind them.
fn loss(nets: &[Segmenter; 2], images: &Tensor, tape: Option<&Tape>, precision: Precision) -> Tensor {
    let random = RefCell::new(Random::new(0));
    let pass = Pass::training(&random).at(precision);
    let pass = tape.map_or(pass, |tape| pass.on(tape));
    let [a, b] = nets;
    let features = a.features(images, &pass).unwrap();
    let changed = (features.tanh().unwrap() + &features).unwrap();
    let logits = a.classify(&changed, [32, 32], &pass).unwrap();
    let again = a.forward(&(images * 0.5).unwrap(), &pass).unwrap();
    let other = b.forward(&images.flip(&[3]).unwrap(), &pass).unwrap();
    let apart = (logits.mul(&again).unwrap() + other.sqr().unwrap()).unwrap();
    (apart.mean_all().unwrap() + features.sqr().unwrap().mean_all().unwrap()).unwrap()
}

#[test]
fn the_tape_and_candles_graph_give_the_same_gradients() {
    let _others = MEMORY.read().unwrap_or_else(PoisonError::into_inner);
    for precision in [Precision::F32, Precision::Bf16] {
        let random = &mut Random::new(8);
        let images = (0..2 * 3 * 32 * 32).map(|_| random.normal() as f32).collect();
        let images = Var::from_vec(images, (2, 3, 32, 32), &Device::Cpu).unwrap();
        let nets = || [model(1), model(2)];
        let (plain, taped) = (nets(), nets());
        let expected = loss(&plain, &images, None, precision).backward().unwrap();
        let tape = Tape::new();
        let value = loss(&taped, &images, Some(&tape), precision);
        let found = tape.backward(&value).unwrap();
        let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let mut compared = 0;
        let mut compare = |name: &str, a: Option<Vec<f32>>, b: Option<Vec<f32>>| match (a, b) {
            (None, None) => {}
            (Some(a), Some(b)) => {
                let largest = a.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
                let off = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off < 1e-4 * largest, "{name}: {off} of {largest}");
                compared += 1;
            }
            (a, b) => panic!("{name}: {} and {}", a.is_some(), b.is_some()),
        };
        let of = |g: &GradStore, t: &Tensor| g.get(t).map(numbers);
        compare("images", of(&expected, &images), of(&found, &images));
        for (a, b) in plain.iter().zip(&taped) {
            for (p, q) in a.parameters("").iter().zip(b.parameters("")) {
                compare(&p.name, of(&expected, &p.var), of(&found, &q.var));
            }
        }
        assert!(compared > 150, "{compared}");
    }
}
