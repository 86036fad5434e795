//! The Rust program of `examples/` runs, and comes to the numbers that a script comes to.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use seglab::script::{Interpreter, Scope};
use seglab::session::Session;

#[path = "../examples/library.rs"]
#[allow(dead_code, reason = "the program's own start is not called")]
mod library;

/// What the program does, as a script.
const SCRIPT: &str = r#"
let data = data::scenes(#{ count: 8, size: [32, 48], val_count: 2 });
let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16, seed: 0 });
let run = train::finetune(net, data, #{ steps: 5, batch_size: 4, seed: 0, checkpoint_every: 0 });
`loss ${run.history.loss[4]}, mIoU ${eval::segmentation(net, data.val).miou}`
"#;

#[test]
fn the_example_trains_as_a_script_does_and_its_script_sees_the_score() {
    let text = library::train_and_look().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(folder.path()));
    let same = interpreter.run("library", SCRIPT, &mut Scope::new());
    let same = same.map_err(|report| report.render(false)).unwrap();
    assert_eq!(text.trim(), same.to_string());
}
