//! Values and gradients of tensor functions as scripts call them, against `tests/golden/tensors.safetensors`, which PyTorch made
//! (`make_golden_tensors.py`). `SEGLAB_GOLDEN=FOLDER` reads another seed's file.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod tensors;

use candle_core::{Device, Tensor};
use seglab::script::{Array, Interpreter, Scope};
use seglab::session::Session;
use serde_json::Value;
use tensors::numbers;

/// The line, and its gradients where the reference has some.
const SCRIPT: &str = "
    let x = tensor::variable(x0);
    let w = tensor::variable(w0);
    let out = LINE;
    let found = [out];
    if cotangent != () {
        let g = (out * cotangent).sum().backward();
        found.push(g.of(x));
        found.push(g.of(w));
    }
    found
";

#[test]
fn every_line_gives_what_pytorch_gives() {
    let folder = std::env::var("SEGLAB_GOLDEN")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden").to_string());
    let bytes = std::fs::read(format!("{folder}/tensors.safetensors")).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let golden = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
    let out = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(out.path()));
    let (mut findings, mut seen) = (Vec::new(), 0);
    for (case, text) in metadata.metadata().clone().unwrap() {
        let Ok(Value::Object(facts)) = serde_json::from_str(&text) else {
            continue;
        };
        let line = facts["script"].as_str().unwrap();
        let stored = |role: &str| golden.get(&format!("{case}/{role}")).cloned();
        let mut scope = Scope::new();
        scope.push("x0", golden["x"].clone()).push("w0", golden["w"].clone());
        match stored("cotangent") {
            Some(cotangent) => scope.push("cotangent", cotangent),
            None => scope.push("cotangent", ()),
        };
        let found = match interpreter.run("test", &SCRIPT.replace("LINE", line), &mut scope) {
            Ok(found) => found.cast::<Array>(),
            Err(report) => panic!("{case}: {}", report.render(false)),
        };
        for (role, found) in ["out", "grad_x", "grad_w"].into_iter().zip(found) {
            let found = found.try_cast::<Tensor>();
            let (found, wanted) = match (found, stored(role)) {
                (Some(found), Some(wanted)) => (found, wanted),
                (None, None) => continue,
                (found, _) => panic!("{case}/{role}: found {found:?}"),
            };
            assert_eq!(found.dims(), wanted.dims(), "{case}/{role}");
            assert_eq!(found.dtype(), wanted.dtype(), "{case}/{role}");
            let (found, wanted) = (numbers(&found), numbers(&wanted));
            let off = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
            let worst = off.fold(
                0.0,
                |most: f64, off| if off.is_nan() { f64::INFINITY } else { most.max(off) },
            );
            if worst > 2e-6 {
                findings.push(format!("{case}/{role}: off by {worst:e}: {line}"));
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 41);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
