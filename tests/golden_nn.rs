//! Networks of one's own against PyTorch: `tests/golden/nn.safetensors`, made by `make_golden_nn.py` beside it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use seglab::script::{Interpreter, Scope};
use seglab::session::Session;

/// The network of `make_golden_nn.py`.
const OWN: &str = r#"
fn own() {
    nn::block(#{
        stem: nn::sequential([nn::conv2d(3, 8, #{ kernel: 3, padding: 1, bias: false }), nn::batch_norm(8), nn::activation("relu")]),
        down: nn::conv2d(8, 12, #{ kernel: 3, stride: 2, padding: 1, groups: 4 }),
        norm: nn::group_norm(3, 12),
        body: nn::residual(nn::sequential([nn::conv2d(12, 12, #{ padding: 2, dilation: 2 }), nn::batch_norm(12), nn::activation("silu")])),
        tokens: nn::sequential([nn::layer_norm(12), nn::linear(12, 12), nn::activation("gelu")]),
        head: nn::conv2d(12, 4, #{ kernel: 1 }),
        leaky: nn::activation("leaky_relu"),
        pool: nn::max_pool(3, #{ stride: 1, padding: 1 }),
        twice: nn::upsample(2),
    }, |parts, x| {
        let y = parts.pool.forward(parts.stem.forward(x));
        let y = parts.body.forward(parts.leaky.forward(parts.norm.forward(parts.down.forward(y))));
        let s = y.shape;
        let t = parts.tokens.forward(y.reshape([s[0], s[1], s[2] * s[3]]).transpose(1, 2));
        let y = y + t.transpose(1, 2).reshape(s);
        parts.twice.forward(parts.head.forward(y))
    })
}
fn part(golden, prefix) {
    let found = #{};
    for name in golden.keys() { if name.starts_with(prefix) { found[name.sub_string(prefix.len)] = golden[name]; } }
    found
}
let golden = tensor::load("GOLDEN");
let start = part(golden, "state.");
"#;

fn script(text: &str) {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/nn.safetensors");
    let text = format!("{}{text}", OWN.replace("GOLDEN", golden));
    let work = move || {
        let folder = tempfile::tempdir().unwrap();
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
fn a_state_dict_loads_strictly_and_gives_pytorchs_logits_and_gradients() {
    script(
        r#"
        let net = own();
        let report = net.load_state(start);
        assert_eq(report.missing, []);
        assert_eq(report.unexpected, []);
        let logits = net.forward(golden.x);
        assert_close(logits, golden.logits, #{ tolerance: 1e-5 });
        let g = loss::cross_entropy(logits, golden.labels).backward();
        let norms = g.norms();
        for name in net.parameters().names {
            let expected = golden["gradient." + name];
            assert_close(g.of(net.parameters().get(name)), expected, #{ tolerance: 1e-5 });
            assert_close(norms[name], expected.sqr().sum().sqrt().item(), #{ tolerance: 1e-4 });
        }
        "#,
    );
}

#[test]
fn twenty_steps_by_hand_and_by_fit_are_pytorchs() {
    script(
        r#"
        let rate = #{ lr: 0.05, momentum: 0.9, weight_decay: 1e-4 };
        let net = own();
        net.load_state(start);
        let o = optim::sgd(net.parameters(), rate);
        for step in 0..20 {
            let loss = loss::cross_entropy(net.forward(golden.x), golden.labels);
            assert_close(loss.item(), golden.losses[step].item(), #{ tolerance: 1e-4 });
            o.step(loss.backward());
        }
        let end = net.state();
        for name in end.keys() { assert_close(end[name], golden["final." + name], #{ tolerance: 1e-3 }); }
        net.eval();
        assert_close(net.forward(golden.x), golden.evaluated, #{ tolerance: 1e-3 });

        let layers = own();
        layers.load_state(start);
        let data = data::scenes(#{ count: 2, size: [16, 16] });
        let fitted = model::from(layers, #{ classes: data.classes });
        let run = train::fit(fitted, data, |net, batch| loss::cross_entropy(layers.forward(golden.x), golden.labels),
            #{ steps: 20, batch_size: 2, optimizer: rate, schedule: "constant", checkpoint_every: 0 });
        for step in 0..20 { assert_close(run.history.loss[step], golden.losses[step].item(), #{ tolerance: 1e-4 }); }
        let fit = layers.state();
        for name in fit.keys() { assert_eq(fit[name], end[name]); }
        "#,
    );
}

#[test]
fn the_losses_are_pytorchs() {
    script(
        r#"
        let a = tensor::variable(golden["loss.a"]);
        let b = golden["loss.b"];
        let y = golden["loss.labels"];
        let cases = #{
            lovasz: loss::lovasz(a, y),
            weighted: loss::cross_entropy(a, y, #{ weights: golden["loss.weights"] }),
            ohem_keep: loss::ohem(a, y, #{ keep: 0.25 }),
            ohem_threshold: loss::ohem(a, y, #{ threshold: 0.7 }),
            mse: loss::mse(a, b),
            kl: loss::kl(a, b, #{ temperature: 2.0 }),
            bce: loss::bce(a, b.sigmoid()),
        };
        for name in cases.keys() {
            let value = cases[name];
            assert_close(value.item(), golden["loss." + name].item(), #{ tolerance: 1e-10 });
            // the gradients are means over hundreds of numbers
            assert_close(value.backward().of(a) * 1e3, golden["loss." + name + ".gradient"] * 1e3, #{ tolerance: 1e-7 });
        }
        "#,
    );
}
