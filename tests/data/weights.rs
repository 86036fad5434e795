//! Names that fit nothing are said, not passed over.

use super::{refused, script};

const NETS: &str = "let net = model::fcn(#{ encoder: \"resnet18\", classes: 3 });
    let save = |start, end| { let map = #{}; let state = net.state(); for name in state.keys() { map[start + name + end] = state[name]; } tensor::save(`ROOT/w.safetensors`, map); };
    let other = model::fcn(#{ encoder: \"resnet18\", classes: 3, seed: 9 });";

#[test]
fn weights_that_fit_nothing_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let load = |start: &str, options: &str| {
        let end = if start == "x" { "_x" } else { "" };
        let start = if start == "x" { "" } else { start };
        format!(
            "{NETS} save.call(\"{start}\", \"{end}\"); other.load_weights(`ROOT/w.safetensors`, #{{ {options} }}).loaded.len()"
        )
    };
    let all = script(root.path(), &load("", "strict: true")).unwrap();
    for start in ["module.", "_orig_mod.", "model.net."] {
        assert_eq!(
            script(root.path(), &load(start, "strict: true")),
            Ok(all.clone()),
            "{start}"
        );
    }
    refused(
        root.path(),
        &load("x", "strict: false"),
        &["nothing was loaded", "bias_x", "w.safetensors"],
    );
    refused(
        root.path(),
        &load("", "strict: false, prefix: \"student\""),
        &["nothing was loaded", "\"student.\"", "backbone"],
    );
    refused(
        root.path(),
        &load("module.", "strict: false, rename: #{ \"modul.\": \"\" }"),
        &["rename", "\"modul.\"", "module."],
    );
}

#[test]
fn parts_that_match_nothing_are_refused() {
    let root = tempfile::tempdir().unwrap();
    for call in [
        "parameters(#{ prefix: \"decodr\" })",
        "freeze(\"decodr\")",
        "unfreeze(\"decodr\")",
    ] {
        refused(root.path(), &format!("{NETS} net.{call}"), &["\"decodr\"", "backbone"]);
    }
    let frozen = script(
        root.path(),
        &format!("{NETS} net.freeze(\"backbone.layer1\"); net.parameters(\"backbone.layer1\").len"),
    );
    assert_eq!(frozen, Ok("0".into()));
}
