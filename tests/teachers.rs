//! Teachers: their numbers against `transformers` (tests/golden/teachers, made by make_golden_teachers.py beside it), their errors, and the
//! scripts that use them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::path::{Path, PathBuf};

use seglab::script::{Interpreter, Scope};
use seglab::session::Session;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/teachers")
}

/// What the script gives in a session of its own: nothing, or the text of its error.
fn run(script: &str) -> Result<(), String> {
    let golden = golden().display().to_string();
    let text =
        format!("let golden = tensor::load(\"{golden}/expected.safetensors\");\n{script}").replace("GOLDEN", &golden);
    let work = move || {
        let folder = tempfile::tempdir().unwrap();
        let interpreter = Interpreter::new(Session::quiet(folder.path()));
        let done = interpreter.run("test", &text, &mut Scope::new());
        done.map(|_| ()).map_err(|report| report.render(false))
    };
    let thread = std::thread::Builder::new().stack_size(1 << 29).spawn(work).unwrap();
    thread.join().unwrap()
}

fn passes(script: &str) {
    if let Err(text) = run(script) {
        panic!("{text}");
    }
}

fn fails(script: &str, parts: &[&str]) {
    let text = run(script).expect_err(script);
    for part in parts {
        assert!(text.contains(part), "{script}: no {part:?} in\n{text}");
    }
}

/// A copy of a golden folder, changed.
fn changed(name: &str, change: impl Fn(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden().join(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    change(folder.path());
    folder
}

fn replace(folder: &Path, name: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    std::fs::write(folder.join(name), text.replace(from, to)).unwrap();
}

/// Everything of a family against the golden values: texts of different length at once, a square image, two wide ones.
const FAMILY: &str = r#"
let close = #{ tolerance: 1e-4 };
let texts = teacher.text(["a cat", "A photo of a flat road", "sky"]);
assert_close(texts, golden["NAME.text"], close);
for kind in ["tokens", "values"] {
    assert_close(teacher.patches(golden.square, #{ features: kind }), golden["NAME.square." + kind].squeeze(0), close);
    assert_close(teacher.patches(golden.wide, #{ features: kind }), golden["NAME.wide." + kind], close);
}
let found = teacher.zero_shot(golden.wide, texts, #{ size: [4, 6] });
assert_close(found.confidence, golden["NAME.wide.confidence"], close);
let one = teacher.zero_shot(golden.square, ["a cat", "A photo of a flat road", "sky"], #{ size: 4 });
assert_close(one.confidence, golden["NAME.square.confidence"].squeeze(0), close);
let patches = golden["NAME.square.values"].squeeze(0).normalize(0).flatten(1);
assert_eq(one.labels.to_dtype("i64").flatten(), texts.matmul(patches).argmax(0));
"#;

#[test]
fn clip_is_as_in_transformers() {
    passes(&format!(
        "let teacher = teacher::clip(\"GOLDEN/clip\");\n{}",
        FAMILY.replace("NAME", "clip")
    ));
}

#[test]
fn siglip_is_as_in_transformers() {
    passes(&format!(
        "let teacher = teacher::siglip(\"GOLDEN/siglip\");\n{}",
        FAMILY.replace("NAME", "siglip")
    ));
}

#[test]
fn the_activation_is_the_configurations_and_an_old_end_of_text_is_understood() {
    let folder = changed("clip", |folder| {
        replace(folder, "config.json", "\"quick_gelu\"", "\"gelu\"");
        replace(folder, "config.json", "\"eos_token_id\": 260", "\"eos_token_id\": 2");
    });
    let script = FAMILY.replace("NAME", "clip_gelu");
    passes(&format!(
        "let teacher = teacher::clip(\"{}\");\n{script}",
        folder.path().display()
    ));
}

#[test]
fn texts_are_filled_up_where_the_tokenizer_says() {
    let folder = changed("siglip", |folder| {
        replace(folder, "tokenizer_config.json", "right", "left")
    });
    let texts = "[\"a cat\", \"A photo of a flat road\", \"sky\"]";
    passes(&format!(
        "assert_close(teacher::siglip(\"{}\").text({texts}), golden[\"siglip.text_left\"], #{{ tolerance: 1e-4 }});",
        folder.path().display()
    ));
}

#[test]
fn segment_anything_finds_the_masks_of_transformers() {
    passes(
        r#"
        let sam = teacher::segment_anything("GOLDEN/sam");
        for points in [["one", [[20, 30]]], ["two", [[20.0, 30.0], #{ x: 50.5, y: 3, inside: false }]]] {
            let found = sam.segment(golden.picture, points[1]);
            let map = golden[`sam.${points[0]}.map`];
            let sure = map.abs().gt(1e-4);
            assert_eq(found.mask[sure], (map > 0)[sure]);
            assert_close(found.score, golden[`sam.${points[0]}.scores`].max().item(), #{ tolerance: 1e-4 });
        }
        "#,
    );
}

#[test]
fn all_masks_are_sorted_and_say_what_they_hold() {
    passes(
        r#"
        let sam = teacher::segment_anything("GOLDEN/sam");
        let all = #{ points_per_side: 3, min_score: -100, min_stability: 0, max_overlap: 1.0 };
        let masks = sam.masks(golden.picture, all);
        assert(masks.len() > 3);
        for i in 0..masks.len() {
            let m = masks[i];
            assert_eq(m.mask.shape, [40, 64]);
            assert_eq(m.mask.sum().item(), m.area);
            assert(i == 0 || masks[i - 1].area >= m.area);
            let inside = m.mask[[m["box"][1]..m["box"][3], m["box"][0]..m["box"][2]]];
            assert_eq(inside.sum().item(), m.area);
            assert(inside.sum(0)[0].item() > 0 && inside.sum(0)[-1].item() > 0 && inside.sum(1)[0].item() > 0 && inside.sum(1)[-1].item() > 0);
        }
        let few = sam.masks(golden.picture, all + #{ max_overlap: 0.3 });
        assert(few.len() < masks.len());
        let best = 0.0 - 100.0;
        for m in masks { best = [best, m.score].max(); }
        let good = sam.masks(golden.picture, all + #{ min_score: best });
        assert_eq(good.len(), masks.filter(|m| m.score >= best).len());
        assert_eq(sam.masks(golden.picture, all + #{ min_area: 40 * 64 + 1 }), []);
        "#,
    );
}

#[test]
fn mobile_sam_answers_at_any_size() {
    passes(
        r#"
        let sam = teacher::segment_anything("random", #{ kind: "mobile_sam" });
        let found = sam.segment(tensor::rand([3, 17, 50]), [[49, 16]]);
        assert_eq(found.mask.shape, [17, 50]);
        assert(found.mask.max().item() <= 1);
        "#,
    );
}

#[test]
fn a_segformer_folder_is_the_network_that_is_trained_here() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{ "model_type": "segformer", "depths": [2, 2, 2, 2], "hidden_sizes": [32, 64, 160, 256], "decoder_hidden_size": 16,
        "id2label": { "0": "sky", "1": "road", "2": "car" } }"#;
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let path = folder.path().display();
    passes(&format!(
        r#"
        let net = model::segformer(#{{ classes: 3, decoder_channels: 16, seed: 5 }});
        let state = net.state();
        for name in state.keys() {{ if name.starts_with("projection") {{ state.remove(name); }} }}
        tensor::save("{path}/model.safetensors", state);
        let teacher = teacher::segformer("{path}");
        assert_eq(teacher.class_names, ["sky", "road", "car"]);
        let image = tensor::rand([3, 37, 53]);
        assert_eq(teacher.predict(image), eval::predict(net, image));
        let both = teacher.predict(image, #{{ confidence: true }});
        assert_close(both.confidence, eval::predict(net, image, #{{ probabilities: true }}).max(0), #{{ tolerance: 1e-5 }});
        "#
    ));
}

#[test]
fn nothing_is_recorded_and_the_same_image_gives_the_same() {
    passes(
        r#"
        let image = tensor::variable(tensor::rand([3, 40, 24]));
        let clip = teacher::clip("random", #{ seed: 4 });
        let a = clip.patches(image);
        // the shorter side is seen as 64 pixels: 8 patches; the longer one as 106.7: 13
        assert_eq(a.shape, [32, 13, 8]);
        let g = (a.sum() + (image * 2).sum()).backward();
        assert_close(g.of(image), tensor::full([3, 40, 24], 2.0));
        assert_eq(clip.patches(image), a);
        assert_eq(teacher::clip("random", #{ seed: 4 }).patches(image), a);
        assert(teacher::clip("random", #{ seed: 5 }).patches(image) != a);
        let both = clip.patches(tensor::stack([image, 1 - image]));
        assert_eq(both[0], a);
        assert_eq(both[1], clip.patches(1 - image));
        let features = clip.text(["sky", "road"]);
        assert_eq(clip.zero_shot(image, features).labels, clip.zero_shot(image, ["sky", "road"]).labels);
        assert_eq(clip.zero_shot(image, ["sky"]).confidence, tensor::ones([40, 24]));
        "#,
    );
}

#[test]
fn what_is_missing_is_named_with_the_place_where_it_is_published() {
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().display().to_string();
    for (function, file, place) in [
        ("clip", "config.json", "openai/clip-vit-base-patch16"),
        ("siglip", "config.json", "google/siglip2-base-patch16-224"),
        ("segformer", "config.json", "nvidia/segformer-b0-finetuned-ade-512-512"),
        ("segment_anything", "model.safetensors", "facebook/sam-vit-base"),
    ] {
        fails(
            &format!("teacher::{function}(\"{path}\")"),
            &[file, "there is no such file", place],
        );
        fails(
            &format!("teacher::{function}(\"{path}/absent\")"),
            &["there is no such file", place],
        );
    }
    fails(
        &format!("teacher::segment_anything(\"{path}\", #{{ kind: \"mobile_sam\" }})"),
        &["mobile_sam-tiny-vitt.safetensors"],
    );
    fails(
        "teacher::segment_anything(\"random\", #{ kind: \"vit_x\" })",
        &["\"vit_b\", \"mobile_sam\""],
    );
    for file in ["model.safetensors", "tokenizer.json"] {
        let folder = changed("clip", |folder| std::fs::remove_file(folder.join(file)).unwrap());
        let script = format!("teacher::clip(\"{}\")", folder.path().display());
        fails(
            &script,
            &[file, "there is no such file", "openai/clip-vit-base-patch16"],
        );
    }
}

#[test]
fn files_of_another_model_are_told() {
    fails(
        "teacher::clip(\"GOLDEN/siglip\")",
        &["the model_type is \"siglip\"", "teacher::siglip"],
    );
    fails(
        "teacher::siglip(\"GOLDEN/clip\")",
        &["the model_type is \"clip\"", "teacher::clip"],
    );
    fails(
        "teacher::segformer(\"GOLDEN/clip\")",
        &["the model_type is \"clip\"", "expected \"segformer\""],
    );
    fails(
        "teacher::segment_anything(\"GOLDEN/clip\")",
        &["the model_type is \"clip\"", "expected \"sam\""],
    );
    // the file alone says nothing of its sizes: those of a ViT-B are expected
    fails(
        "teacher::segment_anything(\"GOLDEN/sam/model.safetensors\")",
        &["the image encoder has the width 24, expected 768"],
    );
    fails(
        "teacher::segment_anything(\"GOLDEN/sam/model.safetensors\", #{ kind: \"mobile_sam\" })",
        &["kind: \"vit_b\""],
    );
    fails(
        "teacher::segment_anything(\"GOLDEN/clip/model.safetensors\")",
        &["these are no weights", "is not in the file"],
    );
    let swapped = changed("clip", |folder| {
        std::fs::copy(
            golden().join("siglip/model.safetensors"),
            folder.join("model.safetensors"),
        )
        .unwrap();
    });
    fails(
        &format!("teacher::clip(\"{}\")", swapped.path().display()),
        &["these are no weights of this CLIP"],
    );
    let wider = changed("clip", |folder| {
        replace(
            folder,
            "config.json",
            "\"projection_dim\": 20",
            "\"projection_dim\": 21",
        )
    });
    fails(
        &format!("teacher::clip(\"{}\")", wider.path().display()),
        &["model.safetensors", "20", "21"],
    );
    for (name, bytes) in [
        ("model.safetensors", "no weights"),
        ("tokenizer.json", "{}"),
        ("config.json", "{ \"model_type\": "),
    ] {
        let broken = changed("clip", |folder| std::fs::write(folder.join(name), bytes).unwrap());
        fails(&format!("teacher::clip(\"{}\")", broken.path().display()), &[name]);
    }
    let naflex = changed("siglip", |folder| {
        replace(
            folder,
            "config.json",
            "\"model_type\": \"siglip\"",
            "\"model_type\": \"siglip2\"",
        )
    });
    fails(
        &format!("teacher::siglip(\"{}\")", naflex.path().display()),
        &["naflex", "fixed size"],
    );
}

#[test]
fn what_no_teacher_can_take_is_refused_with_the_remedy() {
    let setup = "let clip = teacher::clip(\"random\"); let siglip = teacher::siglip(\"random\"); let sam = teacher::segment_anything(\"random\"); \
                 let segformer = teacher::segformer(\"random\"); let image = tensor::rand([3, 20, 30]);";
    let long = "x".repeat(100);
    for (call, parts) in [
        ("clip.patches(image[0])", &["[3, h, w]", "[20, 30]"][..]),
        ("clip.patches(tensor::rand([1, 20, 30]))", &["[3, h, w]", "[1, 20, 30]"]),
        (
            "clip.patches(image * 255)",
            &["values from", "divide colours up to 255 by 255"],
        ),
        ("clip.patches((image * 255).to_dtype(\"u8\"))", &["integers", "/ 255"]),
        ("clip.patches(image / 0)", &["NaN or infinite"]),
        ("siglip.patches(image - 0.5)", &["expected colours from 0 to 1"]),
        (
            "clip.patches(image, #{ features: \"valeus\" })",
            &["\"tokens\", \"values\"", "did you mean \"values\""],
        ),
        (
            "clip.patches(image, #{ short_side: 3 })",
            &["short_side is 3", "at least 8"],
        ),
        (
            "clip.patches(tensor::rand([3, 2, 4000]))",
            &["patches, more than", "short_side"],
        ),
        ("clip.text([])", &["`texts` is empty"]),
        ("clip.text([\"cat\", \"\"])", &["text 1 of `texts` is empty"]),
        (
            &format!("clip.text([\"cat\", \"{long}\"])"),
            &["text 1 of `texts` has 102 tokens", "at most 77"],
        ),
        (
            &format!("siglip.zero_shot(image, [\"{long}\"])"),
            &["text 0 of `texts` has 102 tokens", "at most 64"],
        ),
        ("clip.zero_shot(image, 3)", &["`texts` must be an array of strings"]),
        (
            "clip.zero_shot(image, tensor::ones([2, 31]))",
            &["[texts, 32]", "[2, 31]"],
        ),
        (
            "clip.zero_shot(image, [\"cat\"], #{ size: [0, 3] })",
            &["size is [0, 3]", "pixels"],
        ),
        ("segformer.predict(image * 255)", &["divide colours up to 255 by 255"]),
        ("segformer.predict(image[0])", &["[3, h, w]"]),
        (
            "sam.masks(tensor::stack([image, image]))",
            &["one tensor [3, h, w]", "one by one"],
        ),
        (
            "sam.masks(image, #{ points_per_side: 0 })",
            &["points_per_side 0", "1 to 256"],
        ),
        ("sam.masks(image, #{ max_overlap: 0 })", &["max_overlap 0"]),
        ("sam.segment(image, [])", &["no point that lies inside"]),
        (
            "sam.segment(image, [#{ x: 1, y: 1, inside: false }])",
            &["no point that lies inside"],
        ),
        (
            "sam.segment(image, [[30, 1]])",
            &["point 0 is [30, 1]", "width 30 and height 20"],
        ),
        ("sam.segment(image, [[1, -0.5]])", &["point 0 is [1, -0.5]"]),
        ("sam.segment(image, [1, 2])", &["element 0 of `points` must be [x, y]"]),
        ("sam.segment(image, [#{ x: 1 }])", &["needs both x and y"]),
        (
            "sam.segment(image, [#{ x: 1, y: 2, out: true }])",
            &["unknown option `out`"],
        ),
        ("teacher::snap(image, [])", &["label map [h, w] of integers"]),
        (
            "teacher::snap(tensor::zeros([4, 4]).to_dtype(\"u8\"), [3])",
            &["element 0 of `masks`"],
        ),
    ] {
        fails(&format!("{setup} {call}"), parts);
    }
}

/// A pass of Segment Anything lasts seconds and asks nobody; an interruption does not wait for it.
#[cfg(unix)]
#[test]
fn an_interruption_ends_segment_anything_at_once() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let script = "
        let sam = teacher::segment_anything(\"random\", #{ kind: \"mobile_sam\" });
        print(\"begun\");
        sam.masks(tensor::rand([3, 700, 1000]), #{ points_per_side: 64, min_score: -100 });
    ";
    std::fs::write(folder.path().join("script.rhai"), script).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_seglab"))
        .args(["run", "script.rhai", "--out", "run"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "begun\n");
    std::thread::sleep(std::time::Duration::from_millis(700));
    let asked = std::time::Instant::now();
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let status = child.wait().unwrap();
    let waited = asked.elapsed().as_secs_f64();
    assert_eq!(status.code(), Some(130));
    assert!(waited < 2.0, "{waited} s"); // half a second on an idle machine
}

/// A method's script at a tiny size: the numbers of its result.
fn method(name: &str, arguments: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/methods").join(name);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_seglab"))
        .args(["run", script.to_str().unwrap()])
        .args(arguments)
        .args(["--out", folder.path().to_str().unwrap(), "--quiet", "--threads", "2"])
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
    let record = std::fs::read_to_string(folder.path().join("result.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    record["result"].clone()
}

#[test]
fn the_script_of_clip_trains_on_what_the_teacher_is_sure_of() {
    let tiny = [
        "weights=random",
        "count=3",
        "val=2",
        "steps=2",
        "batch_size=2",
        "size=[32,48]",
        "confidence=0.0",
    ];
    let result = method("clip_zero_shot.rhai", &tiny);
    assert_eq!(result["kept"], 1.0, "{result}");
    let part = |v: &serde_json::Value| v.as_f64().is_some_and(|v| (0.0..=1.0).contains(&v));
    assert!(part(&result["miou"]) && part(&result["zero_shot"]), "{result}");
    let strict = method(
        "clip_zero_shot.rhai",
        &[
            "weights=random",
            "family=siglip",
            "count=3",
            "val=2",
            "steps=1",
            "batch_size=2",
            "size=[32,48]",
            "confidence=0.2",
        ],
    );
    assert!(strict["kept"].as_f64().unwrap() < 1.0, "{strict}");
}

#[test]
fn the_script_of_segment_anything_snaps_labels_to_masks() {
    let tiny = [
        "weights=random",
        "count=4",
        "val=2",
        "labelled=2",
        "steps=2",
        "batch_size=2",
        "size=[32,48]",
        "points_per_side=2",
        "min_score=-100",
        "min_stability=0.0",
        "threshold=0.0",
        "share=0.1",
    ];
    let result = method("sam_pseudo_labels.rhai", &tiny);
    assert!(result["masks"].as_i64().unwrap() > 0, "{result}");
    assert!((0.0..=1.0).contains(&result["right"].as_f64().unwrap()), "{result}");
}

#[test]
fn a_method_without_weights_says_what_to_get() {
    for (name, place) in [
        ("clip_zero_shot.rhai", "openai/clip-vit-base-patch16"),
        ("sam_pseudo_labels.rhai", "facebook/sam-vit-base"),
    ] {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/methods").join(name);
        let text = std::fs::read_to_string(script).unwrap();
        assert!(text.lines().count() <= 80, "{name}");
        fails(&text, &["weights=F", place, "weights=random"]);
    }
}
