//! Networks of a script's own: `nn::` layers, trained by a loop written by hand.

use candle_core::Device;
use seglab::script::{Interpreter, Scope};
use seglab::session::Session;

use super::{Workload, workload};

/// Five convolutions with batch norm, as `own` of `pytorch_bench.py`.
const NETWORK: &str = r#"
    let layers = [];
    let channels = [3, 32, 64, 64, 64];
    for i in 0..4 {
        layers.push(nn::conv2d(channels[i], channels[i + 1], #{ kernel: 3, padding: 1, stride: if i == 1 { 2 } else { 1 }, bias: false }));
        layers.push(nn::batch_norm(channels[i + 1]));
        layers.push(nn::activation("relu"));
    }
    layers.push(nn::conv2d(64, 19, #{ kernel: 1 }));
    layers.push(nn::upsample(2));
    let net = nn::sequential(layers);
    let o = optim::sgd(net.parameters(), #{ lr: 0.01, momentum: 0.9, weight_decay: 1e-4 });
    let x = tensor::randn([8, 3, 96, 96]);
    let y = (tensor::rand([8, 96, 96]) * 19).to_dtype("i64");
"#;

const STEP: &str = "let loss = loss::cross_entropy(net.forward(x), y); o.step(loss.backward());";

/// Scripts of this bench run on the processor.
pub fn workloads() -> Vec<Workload> {
    vec![workload("train_step_own_8x3x96x96", |_: &Device| {
        let folder = tempfile::tempdir().unwrap();
        let interpreter = Interpreter::new(Session::quiet(folder.path()));
        let mut scope = Scope::new();
        let mut run = move |text: &str| {
            if let Err(report) = interpreter.run("own", text, &mut scope) {
                panic!("{}", report.render(false));
            }
        };
        run(NETWORK);
        Box::new(move || {
            let _folder = &folder;
            run(STEP);
        })
    })]
}
