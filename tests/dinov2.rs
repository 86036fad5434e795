//! DINOv2 encoders in scripts: frozen and kept, loaded and saved, refused where they do not fit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::path::Path;

use seglab::script::{Argument, Interpreter, Scope};
use seglab::session::Session;

fn script(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(folder.path()));
    if let Err(report) = interpreter.run("test", text, &mut Scope::new()) {
        panic!("{}", report.render(false));
    }
}

#[test]
fn kept_maps_give_the_training_that_computed_ones_give() {
    script(
        r#"
        let data = data::scenes(#{ count: 4, size: [28, 42], val_count: 2 });
        let options = #{ steps: 5, batch_size: 2, checkpoint_every: 0, seed: 1, optimizer: #{ lr: 0.1 } };
        let nets = [];
        let runs = [];
        for kept in [false, true] {
            let net = model::linear(#{ classes: data.classes, frozen: true, seed: 3 });
            runs.push(train::finetune(net, data, options + #{ cache_features: kept, val: data.val }));
            nets.push(net);
        }
        // the passes differ in how many images go through the encoder at once
        for step in 0..5 { assert_close(runs[0].history.loss[step], runs[1].history.loss[step], #{ tolerance: 1e-4 }); }
        let encoder = nets[0].copy();
        for name in ["backbone.embeddings.cls_token", "backbone.encoder.layer.11.mlp.fc2.weight"] {
            assert_eq(nets[1].state()[name], encoder.state()[name]);
        }
        assert(nets[1].state()["decode_head.conv_seg.weight"].abs().max().item() > 0.05, "the head was trained");

        // a loss of one's own; an encoder that was frozen by hand
        let dpt = model::dpt(#{ classes: data.classes, decoder_channels: 8, seed: 3 });
        dpt.freeze("backbone");
        let losses = [];
        for kept in [false, true] {
            let run = train::fit(dpt.copy(), data, |net, batch| loss::cross_entropy(net.outputs(batch.images).logits, batch.labels),
                options + #{ steps: 3, cache_features: kept });
            losses.push(run.history.loss);
        }
        for step in 0..3 { assert_close(losses[0][step], losses[1][step], #{ tolerance: 1e-4 }); }
        "#,
    );
}

#[test]
fn what_cannot_be_kept_is_refused() {
    script(
        r#"
        fn refused(work, parts) {
            let text = "";
            try { work.call(); } catch (e) { text = e.to_string(); }
            for part in parts { assert(text.contains(part), `"${part}" is not in: ${text}`); }
        }
        let data = data::scenes(#{ count: 2, size: [28, 42] });
        let o = #{ steps: 1, batch_size: 2, cache_features: true, checkpoint_every: 0 };
        let frozen = model::linear(#{ classes: data.classes, frozen: true });
        refused(|| train::finetune(frozen, data, o + #{ augment: #{ flip: 0.5 } }), ["cache_features", "augment"]);
        refused(|| train::pretrain(frozen, data, o), ["cache_features", "distorted view"]);
        frozen.unfreeze("backbone");
        refused(|| train::finetune(frozen, data, o), ["dinov2_vits14 is trained", "frozen: true", "net.freeze(\"backbone\")"]);
        let resnet = model::fcn(#{ encoder: "resnet18", classes: data.classes });
        resnet.freeze("backbone");
        refused(|| train::finetune(resnet, data, o), ["batch norm", "frozen_norm: true"]);
        train::finetune(resnet, data, o + #{ frozen_norm: true });

        // sides that the patches do not fill, and the option that the error names
        let scenes = data::scenes(#{ count: 2, size: [30, 40] });
        refused(|| train::finetune(frozen, scenes, #{ steps: 1, batch_size: 2 }),
            ["finetune: dinov2_vits14", "found images of 30 x 40", "28 x 42", "data.resize(#{ multiple: 14 })"]);
        refused(|| frozen.forward(tensor::zeros([1, 3, 30, 40])), ["multiples of 14"]);
        refused(|| nn::encoder("dinov2_vits14").forward(tensor::zeros([1, 3, 30, 40])), ["multiples of 14"]);
        refused(|| nn::encoder("dinov2_vits14", #{ output_stride: 16 }), ["output_stride is 16, expected 14"]);
        let fitting = scenes.resize(#{ multiple: 14 });
        assert_eq(fitting.get(0).image.shape, [3, 28, 42]);
        assert_eq(fitting.val.get(0).labels.shape, [28, 42]);
        assert_eq(scenes.resize([50, 20], #{ multiple: 14 }).get(0).image.shape, [3, 56, 14]);
        refused(|| scenes.resize(), ["resize([96, 128])", "multiple: 14"]);
        refused(|| scenes.resize(#{ multiple: 0 }), ["found multiple 0"]);
        // other scales of an evaluation are brought to sides that fit
        frozen.eval();
        let score = eval::segmentation(frozen, fitting, #{ scales: [0.7, 1.0, 1.3], flip: true });
        assert(score.miou >= 0.0);
        "#,
    );
}

#[test]
fn files_load_by_name_and_saved_networks_stay_frozen() {
    script(
        r#"
        let net = model::linear(#{ classes: 3, frozen: true, seed: 1 });
        net.save("net.safetensors");
        let loaded = model::load("net.safetensors");
        assert_eq(loaded.parameters("backbone").len, 0);
        loaded.eval();
        net.eval();
        let x = tensor::randn([2, 3, 28, 14]);
        assert_eq(loaded.forward(x), net.forward(x));
        net.unfreeze("backbone");
        net.save("thawed.safetensors");
        assert(model::load("thawed.safetensors").parameters("backbone").len > 100);

        // the published file, its names as transformers 5 has them in memory, and as those of the original repository
        let state = nn::encoder("dinov2_vits14", #{ seed: 2 }).state();
        let renamed = #{};
        let original = #{};
        for name in state.keys() {
            let other = name;
            other.replace("attention.attention.query", "attention.q_proj");
            other.replace("attention.attention.key", "attention.k_proj");
            other.replace("attention.attention.value", "attention.v_proj");
            other.replace("attention.output.dense", "attention.o_proj");
            renamed["dinov2." + other] = state[name];
            other.replace("attention.q_proj", "attn.qkv");
            other.replace("encoder.layer", "blocks");
            original["model." + other] = state[name];
        }
        tensor::save("model.safetensors", state);
        tensor::save("renamed.safetensors", renamed);
        let report = net.load_weights("model.safetensors", #{ strict: false });
        assert_eq(report.unexpected, []);
        assert(report.missing.all(|name| name.starts_with("decode_head")));
        assert_eq(net.state()["backbone.layernorm.bias"], state["layernorm.bias"]);
        for file in ["model.safetensors", "renamed.safetensors"] {
            let encoder = nn::encoder("dinov2_vits14", #{ seed: 7 });
            let report = encoder.load_weights(file);
            assert_eq(report.loaded.len, state.keys().len);
            assert_eq(encoder.state()["encoder.layer.3.attention.attention.key.bias"], state["encoder.layer.3.attention.attention.key.bias"]);
        }
        let text = "";
        try { net.load_state(original); } catch (e) { text = e.to_string(); }
        assert(text.contains("facebook/dinov2-small"), text);
        try { model::linear(#{ encoder: "dinov2_vitb14", classes: 3 }).load_weights("model.safetensors", #{ strict: false }); } catch (e) { text = e.to_string(); }
        assert(text.contains("nothing was loaded"), text);
        "#,
    );
}

/// Run a script of `scripts/methods/` at a tiny size with these arguments, then the check in its own variables; its error, if any.
fn method(name: &str, arguments: &[&str], check: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(folder.path()));
    let tiny = [
        "count=2",
        "labelled=2",
        "val=1",
        "size=30x40",
        "batch_size=2",
        "steps=3",
    ];
    let given = tiny.iter().chain(arguments).filter_map(|a| a.split_once('='));
    let given = given.map(|(name, text)| (name.to_string(), Argument::new(text)));
    interpreter.context().set_arguments(given.collect());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scripts/methods/{name}.rhai"));
    let text = std::fs::read_to_string(&path).unwrap() + check;
    let outcome = interpreter.run(&path.display().to_string(), &text, &mut Scope::new());
    outcome.err().map(|report| report.render(false))
}

#[test]
fn the_linear_classifier_is_linear_in_patches_that_stay() {
    let check = r#"
        seed(seed);
        let before = model::linear(#{ encoder: encoder, classes: all.classes }).state();
        let after = net.state();
        for name in after.keys() { if name.starts_with("backbone.") { assert_eq(after[name], before[name]); } }
        assert(after["decode_head.conv_seg.weight"] != before["decode_head.conv_seg.weight"]);
        assert_eq(few.get(0).image.shape, [3, 28, 42]);
        let maps = net.encode(tensor::randn([2, 3, 28, 42]));
        let part = |name| after["decode_head." + name].reshape([1, 384, 1, 1]);
        let normed = (maps[3] - part.call("bn.running_mean")) / (part.call("bn.running_var") + 1e-5).sqrt() * part.call("bn.weight")
            + part.call("bn.bias");
        let logits = normed.conv2d(after["decode_head.conv_seg.weight"], #{ bias: after["decode_head.conv_seg.bias"] });
        assert_close(net.classify(net.decode(maps), [2, 3]), logits, #{ tolerance: 1e-5 });
        let written = runs::load(run_folder())[0];
        assert_eq(written.miou, score.miou);
    "#;
    assert_eq!(method("dinov2_linear", &["weights=random"], check), None);
    for name in ["dinov2_linear", "dinov2_contrast"] {
        let text = method(name, &[], "").unwrap_or_default();
        assert!(text.contains("facebook/dinov2-small"), "{text}");
    }
}

#[test]
fn the_contrast_moves_the_encoder_only_where_it_is_tuned() {
    let check = r#"
        let moved = |name| (runs[1].model.state()[name] - start.state()[name]).abs().mean().item();
        let first = moved.call("backbone.encoder.layer.0.mlp.fc1.weight");
        let last = moved.call("backbone.encoder.layer.11.mlp.fc1.weight");
        if tune { assert(first > 0.0 && last > 2.0 * first, `${first} ${last}`); } else { assert_eq([first, last], [0.0, 0.0]); }
        assert(moved.call("projection.conv1.weight") > 0.0 && moved.call("head.projects.0.weight") > 0.0);
        assert_eq(runs[0].model.state()["projection.conv1.weight"], start.state()["projection.conv1.weight"]);
        assert_eq([runs[0].step, runs[1].step], [steps, steps - steps / 3]);
    "#;
    for tune in ["tune=0", "tune=1"] {
        assert_eq!(method("dinov2_contrast", &["weights=random", tune], check), None);
    }
}

#[test]
fn a_run_with_kept_maps_goes_on_from_its_checkpoint_bit_for_bit() {
    script(
        r#"
        let data = data::scenes(#{ count: 4, size: [28, 42], val_count: 1 });
        let o = #{ steps: 4, batch_size: 2, checkpoint_every: 0, seed: 1, cache_features: true };
        let made = || model::linear(#{ classes: data.classes, frozen: true, seed: 3 });
        let whole = train::finetune(made.call(), data, o);
        let part = train::finetune(made.call(), data, o + #{ on_step: |e| if e.step == 1 { "stop" } });
        assert_eq(part.step, 2);
        part.save("part.safetensors");
        let rest = train::load("part.safetensors", #{ data: data });
        rest.resume();
        assert_eq(rest.history.loss, whole.history.loss);
        assert_eq(rest.model.parameters("backbone").len, 0);
        assert_eq(rest.model.state()["decode_head.conv_seg.weight"], whole.model.state()["decode_head.conv_seg.weight"]);
        assert_eq(rest.model.state()["decode_head.bn.running_mean"], whole.model.state()["decode_head.bn.running_mean"]);
        // what is kept belongs to the encoder's numbers: others make other maps
        let other = model::linear(#{ classes: data.classes, frozen: true, seed: 4 });
        whole.model.load_state(other.state());
        let before = whole.history.loss.len;
        whole.advance(1);
        let fresh = train::finetune(other, data, o + #{ steps: 5, on_step: |e| "skip" });
        assert_close(whole.history.loss[before], fresh.history.loss[before], #{ tolerance: 1e-5 });
        "#,
    );
}
