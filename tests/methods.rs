//! The scripts of `scripts/methods/`, and the two of the study, each at a tiny size: what a wrong method would get wrong.
//!
//! A check goes on in the script's own variables. `fresh()` is the network that the script began with, `first(set, n, options)` the first
//! batch that a training of it saw.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;

use seglab::script::{Argument, Interpreter, Scope, check};
use seglab::session::Session;

/// Small images and few steps; a check adds its own arguments.
const TINY: [&str; 5] = ["count=6", "labelled=4", "val=2", "size=32x48", "batch_size=2"];

const BEGINNING: &str = r#"
let fresh = || {
    seed(seed);
    model::unet(#{ encoder: "resnet18", classes: all.classes, projection: #{ channels: 64 } })
};
let first = |set, number, options| set.batches(#{
    size: batch_size, shuffle: true, drop_last: true, seed: seed + (number << 32), augment: #{ scale: [0.75, 1.5], flip: 0.5 },
} + options).next();
"#;

const END: &str = r#"
let written = runs::load(run_folder())[0];
assert(written.miou > 0.0 && written.miou < 1.0);
"#;

/// Run a method's script with these arguments, then the check.
fn method(name: &str, arguments: &[&str], check: &str) {
    let given: Vec<&str> = TINY.iter().chain(arguments).copied().collect();
    script(
        &format!("scripts/methods/{name}.rhai"),
        &given,
        &format!("{BEGINNING}{check}"),
    );
}

/// Run a script with these arguments, then the check, then that of its result.
fn script(path: &str, given: &[&str], check: &str) {
    let (path, check) = (
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path),
        format!("{check}{END}"),
    );
    let split = |a: &&str| {
        a.split_once('=')
            .map(|(name, text)| (name.to_string(), text.to_string()))
    };
    let arguments: Vec<_> = given.iter().filter_map(split).collect();
    let work = move || {
        let folder = tempfile::tempdir().unwrap();
        let interpreter = Interpreter::new(Session::quiet(folder.path()));
        let arguments: BTreeMap<_, _> = arguments
            .into_iter()
            .map(|(n, text)| (n, Argument::new(&text)))
            .collect();
        interpreter.context().set_arguments(arguments);
        let text = std::fs::read_to_string(&path).unwrap() + check.as_str();
        if let Err(report) = interpreter.run(&path.display().to_string(), &text, &mut Scope::new()) {
            panic!("{}", report.render(false));
        }
    };
    let thread = std::thread::Builder::new().stack_size(1 << 29).spawn(work).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_method_fits_on_a_page_and_says_where_it_comes_from() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/methods");
    let interpreter = Interpreter::new(Session::quiet("unused"));
    let mut findings = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let (name, text) = (path.display().to_string(), std::fs::read_to_string(&path).unwrap());
        findings.extend(check::check(&interpreter, &name, &text).iter().map(|f| f.one_line()));
        if text.lines().count() > 80 {
            findings.push(format!("{name}: {} lines, expected at most 80", text.lines().count()));
        }
        for part in ["result(#{", "arg(\"data\", \"\")", "//     seglab run scripts/methods/"] {
            if !text.contains(part) {
                findings.push(format!("{name}: {part} is missing"));
            }
        }
        count += 1;
    }
    assert!(count >= 12);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// All methods of the study and of the diagnosis take the same number of steps, and the contrast is in the loss where it should be.
#[test]
fn points_of_the_study() {
    let tiny = ["steps=3", "size=32x48", "labelled=4"];
    let steps = r#"
        let steps_of = |name| if file::exists(`${run_folder()}/${name}`) { runs::history(`${run_folder()}/${name}`).step.len } else { 0 };
    "#;
    for (name, before) in [
        ("cross_entropy", 0),
        ("distorted", 0),
        ("contrastive", 1),
        ("joint", 0),
        ("fixmatch", 0),
    ] {
        let name = format!("method={name}");
        let given = [&tiny[..], &[&name, "share=0.34"]].concat();
        let check = format!(
            r#"{steps} let all = steps_of.call("pretrain") + steps_of.call("fit") + steps_of.call("finetune");
            assert_eq([steps_of.call("pretrain"), all], [{before}, 3]);"#
        );
        script("scripts/study.rhai", &given, &check);
    }
    for (name, before) in [("cross_entropy", 0), ("pretraining", 1), ("joint", 0), ("two_views", 0)] {
        let name = format!("method={name}");
        let given = [&tiny[..], &[&name, "share=0.34", "colours=0.25", "loss=dice"]].concat();
        let check = format!(
            r#"{steps} assert_eq([steps_of.call("pretrain"), steps_of.call("fit")], [{before}, 3 - {before}]);"#
        );
        script("scripts/diagnosis.rhai", &given, &check);
    }
}

/// Along a pretraining there is a line for the start, each mark and the end, and the features move.
#[test]
fn along_a_pretraining() {
    for method in ["contrastive", "cross_entropy"] {
        let method = format!("method={method}");
        let given = [
            "steps=4",
            "every=2",
            "size=32x48",
            "labelled=4",
            "probe_steps=2",
            &method,
        ];
        script(
            "scripts/along_pretraining.rhai",
            &given,
            r#"assert_eq(rows.map(|row| row.step), [0, 2, 4]);
            assert(rows[0].intra != rows[1].intra && rows[1].intra != rows[2].intra);
            for row in rows { assert(row.probe > 0.0 && row.probe < 1.0 && row.intra <= 1.0 && row.inter <= 1.0); }
            assert(file::exists(`${run_folder()}/along.csv`) && file::exists(`${run_folder()}/along.png`));"#,
        );
    }
}

#[test]
fn supervised() {
    method(
        "supervised",
        &["steps=2"],
        r#"
        let net = fresh.call();
        let batch = first.call(few, 0, #{});
        assert_close(run.history.loss[0], loss::cross_entropy(net.forward(batch.images), batch.labels).item(), #{ tolerance: 1e-4 });
        assert_eq([few.len, run.step], [4, 2]);
        "#,
    );
}

#[test]
fn contrastive_pretraining() {
    method(
        "contrastive_pretraining",
        &["steps=3", "variant=within_image", "temperature=0.1"],
        r#"
        let net = fresh.call();
        let batch = first.call(few, 0, #{ distort: #{} });
        let z = net.embed(tensor::cat([batch.images, batch.distorted])).resize([8, 12]);
        let expected = loss::pixel_contrast(z.narrow(0, 0, 2), z.narrow(0, 2, 2), batch.labels, #{ temperature: 0.1 });
        assert_close(pretraining.history.loss[0], expected.item(), #{ tolerance: 1e-3 });
        assert_eq([pretraining.step, run.step], [1, 2]);
        "#,
    );
}

#[test]
fn self_training() {
    method(
        "self_training",
        &["steps=3", "threshold=0.4"],
        r#"
        assert_eq([few.len, others.len, (few + guessed).len], [4, 2, 6]);
        assert(few.names.all(|name| !others.names.contains(name)));
        let sure = 0.0;
        for i in 0..2 {
            let p = eval::predict(teacher, others.get(i).image, #{ probabilities: true });
            let labels = tensor::where(p.max(0) >= 0.4, p.argmax(0), 255);
            assert_eq(guessed.get(i).labels, labels);
            sure += labels.ne(255).sum().item() / (2.0 * 32 * 48);
        }
        assert_close(share, sure);
        assert(sure > 0.0 && sure < 1.0);
        assert(student.state()["encoder.conv1.weight"] != teacher.state()["encoder.conv1.weight"]);
        "#,
    );
}

#[test]
fn contrastive_seg() {
    method(
        "contrastive_seg",
        &["steps=3", "weight=0.5"],
        r#"
        let h = run.history;
        for i in 0..3 { assert_close(h.loss[i], h.segmentation[i] + 0.5 * h.contrast[i], #{ tolerance: 1e-5 }); }
        let batch = first.call(few, 0, #{});
        let net = fresh.call();
        assert_close(h.segmentation[0], loss::cross_entropy(net.forward(batch.images), batch.labels).item(), #{ tolerance: 1e-4 });
        // at most 16 keys of each class and step, and none of a class that was not seen
        let seen = few.histogram().counts;
        for label in memory.counts.keys() { assert(memory.counts[label] <= 48 && seen[parse_int(label)] > 0); }
        assert(memory.counts["0"] == 48);
        "#,
    );
}

#[test]
fn mean_teacher() {
    method(
        "mean_teacher",
        &["steps=1", "weight=3"],
        r#"
        // after one update the warm-up has the decay 1/2
        let before = fresh.call();
        let start = before.state();
        let end = net.state();
        let average = teacher.state();
        for name in start.keys() { assert_close(average[name], (start[name] + end[name]) * 0.5, #{ tolerance: 1e-6 }); }
        assert(start["encoder.conv1.weight"] != end["encoder.conv1.weight"]);
        before.eval();
        let u = first.call(all.without_labels(), 1, #{ distort: #{} });
        let expected = before.forward(u.images).softmax(1);
        before.train();
        let found = loss::mse(before.forward(u.distorted).softmax(1), expected).item();
        assert_close(run.history.consistency[0], found, #{ tolerance: 1e-5 });
        assert_close(run.history.loss[0], run.history.supervised[0] + 3.0 * exp(-5.0) * found, #{ tolerance: 1e-5 });
        "#,
    );
}

#[test]
fn fixmatch() {
    method(
        "fixmatch",
        &["steps=2", "threshold=0.3", "weight=0.5"],
        r#"
        let u = first.call(all.without_labels(), 1, #{ distort: #{} });
        let p = fresh.call().forward(u.images).softmax(1);
        let sure = (p.max(1) >= 0.3).mean().item();
        assert(sure > 0.0 && sure < 1.0);
        let h = run.history;
        assert_close(h.sure[0], sure, #{ tolerance: 1e-3 });
        for i in 0..2 { assert_close(h.loss[i], h.supervised[i] + 0.5 * h.unsupervised[i], #{ tolerance: 1e-5 }); }
        assert(h.unsupervised[0] > 0.0);
        "#,
    );
}

#[test]
fn unimatch() {
    method(
        "unimatch",
        &["steps=2", "threshold=0.3"],
        r#"
        let l = first.call(few, 0, #{});
        let u = first.call(all.without_labels(), 1, #{ views: [strong, strong] });
        assert(u.views[0] != u.views[1] && u.views[0] != u.images);
        let logits = fresh.call().forward(tensor::cat([l.images, u.images]));
        let sure = (logits.narrow(0, 2, 2).softmax(1).max(1) >= 0.3).mean().item();
        assert(sure > 0.0 && sure < 1.0);
        let h = run.history;
        assert_close(h.sure[0], sure, #{ tolerance: 1e-3 });
        assert_close(h.supervised[0], loss::cross_entropy(logits.narrow(0, 0, 2), l.labels).item(), #{ tolerance: 1e-4 });
        for i in 0..2 { assert_close(h.loss[i], (h.supervised[i] + 0.25 * h.strong[i] + 0.5 * h.feature[i]) / 2, #{ tolerance: 1e-5 }); }
        assert(h.strong[0] > 0.0 && h.feature[0] > 0.0);
        "#,
    );
}

#[test]
fn reco() {
    method(
        "reco",
        &["steps=1", "queries=8"],
        r#"
        // Two classes of which all pixels look in one direction: the mean of the class is that, and all negatives are at right angles.
        let labels = tensor::from([[[0, 0, 1, 255], [1, 1, 0, 1]]]);
        let z = tensor::stack([labels.eq(0), labels.eq(1)], 1).to_dtype("f32");
        let by_hand = log(1.0 + 8 * exp(-1.0 / 0.5));
        assert_close(contrast.call(z, labels, tensor::zeros([1, 2, 4])).item(), by_hand, #{ tolerance: 1e-5 });
        // Where the network is sure of all pixels there is no query; one class has no negatives.
        assert_eq(contrast.call(z, labels, tensor::ones([1, 2, 4])).item(), 0);
        assert_eq(contrast.call(z, labels * 0, tensor::zeros([1, 2, 4])).item(), 0);
        // A class whose mean is near is drawn more often than one that is far, however few pixels it has.
        let near = tensor::from([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]).transpose(0, 1).reshape([1, 2, 1, 5]);
        let value = 0.0;
        for i in 0..50 { value += contrast.call(near, tensor::from([[[0, 1, 2, 2, 2]]]), tensor::from([[[0.0, 1, 1, 1, 1]]])).item() / 50.0; }
        let share = 1.0 / (1.0 + exp((-1.0 - 0.8) / 0.5));
        let expected = log(1.0 + 8 * (share * exp((0.8 - 1.0) / 0.5) + (1 - share) * exp(-2.0 / 0.5)));
        assert_close(value, expected, #{ tolerance: 0.02 });
        "#,
    );
}

#[test]
fn linear_probe() {
    method(
        "linear_probe",
        &["steps=4"],
        r#"
        let start = fresh.call().state();
        let end = random.state();
        for name in start.keys() {
            if name.starts_with("segmentation_head") { assert(start[name] != end[name]); } else { assert_eq(start[name], end[name]); }
        }
        assert(pretrained.state()["encoder.conv1.weight"] != start["encoder.conv1.weight"]);
        assert_eq(scores.len, 2);
        "#,
    );
}

#[test]
fn active_learning() {
    method(
        "active_learning",
        &["steps=2", "rounds=2", "labelled=3"],
        r#"
        assert_eq(rows.map(|row| [row.strategy, row.labelled]), [["chance", 1], ["chance", 3], ["entropy", 1], ["entropy", 3]]);
        for row in rows { assert_eq(row.names.unique().len, row.labelled); }
        // the two that were added are those with the largest entropy of the first network
        let net = model::unet(#{ encoder: "resnet18", classes: all.classes, seed: seed });
        train::finetune(net, all.select(rows[2].names), #{
            steps: 1, batch_size: batch_size, augment: #{ scale: [0.75, 1.5], flip: 0.5 }, optimizer: #{ lr: 0.05 }, schedule: "poly",
        });
        let began = rows[2].names;
        let ended = rows[3].names;
        let added = ended.filter(|name| !began.contains(name));
        let left = all.names.filter(|name| !ended.contains(name));
        let of = |name| {
            let p = eval::predict(net, all.select([name]).get(0).image, #{ probabilities: true });
            -(p * p.log()).sum(0).mean().item()
        };
        assert_eq([added.len, left.len], [2, 3]);
        assert(added.map(|name| of.call(name)).min() >= left.map(|name| of.call(name)).max());
        "#,
    );
}

#[test]
fn own_network() {
    method(
        "own_network",
        &["steps=1", "width=4"],
        r#"
        // two 3x3 convolutions from a to b channels, a scale and an offset after each
        let double_of = |a, b| 9 * a * b + 9 * b * b + 4 * b;
        let expected = double_of.call(3, 4) + double_of.call(4, 8) + double_of.call(8, 16) + double_of.call(24, 8) + double_of.call(12, 4)
            + 4 * all.classes + all.classes;
        let found = 0;
        for name in net.parameters().names { found += net.parameters().get(name).numel; }
        assert_eq(found, expected);
        let batch = first.call(few, 0, #{});
        seed(seed);
        let again = model::from(small_unet(4, all.classes), #{ classes: all.classes });
        assert_close(run.history.loss[0], loss::cross_entropy(again.forward(batch.images), batch.labels).item(), #{ tolerance: 1e-4 });
        "#,
    );
}

#[test]
fn cross_validation() {
    method(
        "cross_validation",
        &["steps=4", "folds=2"],
        r#"
        let held_out = [];
        for part in parts {
            let val = part.val.names;
            let train = part.train.names;
            held_out += val;
            assert(train.all(|name| !val.contains(name)));
            assert_eq(part.train.len + part.val.len, 4);
        }
        assert_eq(held_out.sort(), few.names.sort());
        assert_eq(rows.len, 3 * 2);
        let best_mean = 0.0;
        for rate in [0.01, 0.05, 0.1] {
            let mean = rows.filter(|row| row.lr == rate).map(|row| row.miou).mean();
            if mean > best_mean { best_mean = mean; }
        }
        assert_close(best.mean, best_mean);
        assert_eq(csv::read(`${run_folder()}/folds.csv`), rows);
        "#,
    );
}
