//! Sets made of sets, of tensors and of predictions; batches with weights and views; mixing.

use std::path::Path;

use super::{refused, script};

fn here(text: &str) -> Result<String, String> {
    script(Path::new("."), text)
}

fn wrong(text: &str, parts: &[&str]) {
    refused(Path::new("."), text, parts);
}

const ITEMS: &str = "let items = [];
    for i in 0..6 {
        let labels = tensor::full([8, 10], i % 3).to_dtype(\"i64\");
        items.push(#{ image: tensor::full([3, 8, 10], i / 10.0), labels: labels, name: `item ${i}` });
    }
    let set = data::from(items, #{ classes: 3 });";

#[test]
fn sets_of_tensors() {
    let found = here(&format!(
        "{ITEMS} [set.len, set.classes, set.get(5).labels[[0, 0]].item(), set.get(4).name, set.histogram().counts]"
    ));
    assert_eq!(found, Ok("[6, 3, 2, \"item 4\", [160, 160, 160]]".into()));
    // 0.4 is 102 of 255
    let found = here(&format!("{ITEMS} (set.get(4).image[[0, 0, 0]].item() * 255).round()"));
    assert_eq!(found, Ok("102.0".into()));
    let plain = "let image = tensor::zeros([3, 4, 4]); let labels = tensor::zeros([4, 4]).to_dtype(\"i64\");";
    for (items, parts) in [
        ("[#{ labels: labels }]", ["item 0", "image"]),
        (
            "[#{ image: image, labels: labels }, #{ image: image, labels: labels + 2 }]",
            ["item 1", "label 2 at row 0, column 0"],
        ),
        (
            "[#{ image: image, labels: tensor::zeros([4, 5]).to_dtype(\"i64\") }]",
            ["item 0", "[4, 5]"],
        ),
        (
            "[#{ image: image, labels: tensor::zeros([4, 4]) + 0.5 }]",
            ["item 0", "integers"],
        ),
        ("[#{ image: image * 0 + 200.0, labels: labels }]", ["item 0", "0 to 1"]),
        (
            "[#{ image: image[0], labels: labels }]",
            ["item 0", "[3, height, width]"],
        ),
        ("[#{ image: image, label: labels }]", ["item 0", "`label`"]),
        ("[image]", ["item 0", "Tensor"]),
    ] {
        wrong(&format!("{plain} data::from({items}, #{{ classes: 2 }})"), &parts);
    }
    wrong(
        &format!("{plain} data::from([#{{ image: image, labels: labels }}])"),
        &["item 0", "class_names"],
    );
}

#[test]
fn views_choose_without_overlap() {
    let set = "let set = data::scenes(#{ count: 23, size: [16, 16] });";
    let found = here(&format!(
        "{set} let parts = set.split([0.5, 0.3, 0.2], #{{ seed: 4 }}); let all = []; for p in parts {{ all += p.names; }} all.sort();
        [parts[0].len, parts[1].len, parts[2].len, all == set.names, set.split([0.5], #{{ seed: 4 }})[0].names == parts[0].names,
         set.split([0.5, 0.5], #{{ seed: 5 }})[0].names == parts[0].names]"
    ));
    // cumulative: 11.5 -> 12, 18.4 -> 18, 23
    assert_eq!(found, Ok("[12, 6, 5, true, true, false]".into()));
    let found = here(&format!(
        "{set} let folds = set.kfold(4, #{{ seed: 1 }}); let all = []; let apart = true;
        for f in folds {{ all += f.val.names; for n in f.val.names {{ if n in f.train.names {{ apart = false; }} }} apart = apart && f.train.len + f.val.len == 23; }}
        all.sort(); [folds.len, all == set.names, apart]"
    ));
    assert_eq!(found, Ok("[4, true, true]".into()));
    let found = here(&format!(
        "{set} let s = set.shuffle(#{{ seed: 2 }}); let names = s.names; let same = names == set.names; names.sort();
        [same, names == set.names, s.names == set.shuffle(#{{ seed: 2 }}).names, set.select([2, 2, -1]).names]"
    ));
    let wanted = "[false, true, true, [\"scene_0_train_00002\", \"scene_0_train_00002\", \"scene_0_train_00022\"]]";
    assert_eq!(found, Ok(wanted.into()));
    for (call, part) in [
        ("split([0.8, 0.4])", "at most 1"),
        ("split([])", "above 0"),
        ("split([0.001, 0.9])", "too small"),
        ("kfold(1)", "2 to 23"),
        ("kfold(24)", "2 to 23"),
        ("select([23])", "23"),
        ("select([-24])", "-24"),
        ("select([\"scene_0_train_0002\"])", "did you mean"),
        ("filter(|item| 3)", "true or false"),
    ] {
        wrong(&format!("{set} set.{call}"), &[part]);
    }
}

#[test]
fn sets_behind_one_another() {
    let found = here(&format!(
        "{ITEMS} let other = data::from([items[0]], #{{ classes: 3 }}); let d = set + other + set.without_labels();
        [d.len, d.get(6).name, d.get(12).labels, d.get(11).labels, d.resize([4, 5]).get(1).labels.shape, (set + set.without_labels()).histogram().ignored]"
    ));
    assert_eq!(found, Ok("[13, \"item 0\", (), (), [4, 5], 480]".into()));
    wrong(
        &format!("{ITEMS} set + data::scenes(#{{ count: 2 }})"),
        &["different classes: 3 and 9"],
    );
    wrong(
        "data::scenes(#{ count: 2, classes: 3 }) + data::from([], #{ class_names: [\"sky\", \"house\", \"road\"] })",
        &["class 1 is building and house"],
    );
    let found = here(&format!(
        "{ITEMS} let few = set.filter(|item| item.labels[[0, 0]].item() == 1); few.names"
    ));
    assert_eq!(found, Ok("[\"item 1\", \"item 4\"]".into()));
}

#[test]
fn a_loss_that_needs_labels_names_the_item_that_has_none() {
    let start = format!(
        "{ITEMS} let mixed = set + set.select([3]).without_labels(); let net = model::unet(#{{ encoder: \"resnet18\", classes: 3 }});"
    );
    for call in [
        "train::finetune(net, mixed, #{ steps: 1 })",
        "train::pretrain(net, mixed, #{ steps: 1 })",
        "eval::segmentation(net, mixed)",
    ] {
        wrong(&format!("{start} {call}"), &["needs labels", "item 3"]);
    }
    wrong(
        &format!("{start} mixed.batches(#{{ weights: \"balanced\" }})"),
        &["item 3"],
    );
}

#[test]
fn weights_draw_and_views_share_the_crop() {
    let found = here(&format!(
        "{ITEMS} let b = set.batches(#{{ size: 60, weights: [0, 0, 1, 0, 0, 3], epochs: 10, seed: 3 }}); let n = [0, 0, 0, 0, 0, 0];
        for batch in b {{ for i in batch.indices {{ n[i] += 1; }} }} [n[0] + n[1] + n[3] + n[4], n[2] + n[5], n[5] > 2 * n[2]]"
    ));
    assert_eq!(found, Ok("[0, 60, true]".into()));
    // Class 2 has one image, class 0 five: drawn half of the time each.
    let found = here(
        "let items = []; for i in 0..6 { items.push(#{ image: tensor::zeros([3, 4, 4]), labels: tensor::full([4, 4], if i == 5 { 1 } else { 0 }).to_dtype(\"i64\") }); }
        let n = 0; for b in data::from(items, #{ classes: 2 }).batches(#{ size: 6, epochs: 100, weights: \"balanced\" }) { for i in b.indices { if i == 5 { n += 1; } } } n > 240 && n < 360",
    );
    assert_eq!(found, Ok("true".into()));
    // A view that distorts nothing is the image itself; another differs; further views change nothing in the first.
    let start = "let set = data::scenes(#{ count: 4, size: [24, 24] }); let all = #{ size: 4, shuffle: true, seed: 5, augment: #{ scale: [0.5, 2.0], crop: [16, 16], flip: 0.5 }, distort: #{} };";
    let found = here(&format!(
        "{start} let plain = set.batches(all).next(); let nothing = #{{ brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0, grey: 0.0 }};
        all.views = [nothing, #{{ probability: 1.0 }}, #{{ probability: 1.0 }}]; let b = set.batches(all).next();
        [b.views.len, (b.views[0] - b.images).abs().max().item() < 1e-5, (b.views[1] - b.views[2]).abs().max().item() > 0.1,
         b.images == plain.images, b.distorted == plain.distorted, plain.views]"
    ));
    assert_eq!(found, Ok("[3, true, true, true, true, []]".into()));
    for (options, part) in [
        ("weights: [1, 2]", "2 weights for 4 images"),
        ("weights: [1, 1, -1, 1]", "negative"),
        ("weights: [0, 0, 0, 0]", "all zero"),
        ("weights: \"ballanced\"", "\"balanced\""),
        ("views: [1]", "views"),
        ("views: #{}", "views"),
        ("views: [#{ brightnes: 1.0 }]", "brightness"),
    ] {
        wrong(&format!("{start} set.batches(#{{ {options} }})"), &[part]);
    }
}

#[test]
fn next_goes_through_the_batches_once_and_for_starts_anew() {
    let found = here(
        "let b = data::scenes(#{ count: 5, size: [16, 16] }).batches(#{ size: 2 }); let seen = [];
        let first = b.next(); for x in b { seen.push(x.names.len()); } let rest = [];
        loop { let x = b.next(); if x == () { break; } rest.push(x.names.len()); } [first.names.len(), seen, rest, b.next(), b.len]",
    );
    assert_eq!(found, Ok("[2, [2, 2, 1], [2, 1], (), 3]".into()));
}

#[test]
fn mixing_keeps_images_and_maps_together() {
    let start = "let images = tensor::rand([3, 3, 12, 16]); let labels = (images[.., 0] * 3).to_dtype(\"i64\");";
    let start = start.replace("images[.., 0]", "images.narrow(1, 0, 1).squeeze(1)");
    for mix in ["cutmix", "classmix"] {
        let found = here(&format!(
            "{start} let m = data::{mix}(images, [labels, images], #{{ seed: 7 }});
            let again = data::{mix}(images, #{{ labels: labels, conf: images }}, #{{ seed: 7 }});
            let other = data::{mix}(images, labels, #{{ seed: 8 }});
            [(m.maps[0] - (m.images.narrow(1, 0, 1).squeeze(1) * 3).to_dtype(\"i64\")).abs().max().item(), (m.maps[1] - m.images).abs().max().item(),
             again.images == m.images, again.maps.labels == m.maps[0], other.images == m.images, m.mask.shape]"
        ));
        assert_eq!(found, Ok("[0, 0.0, true, true, false, [3, 12, 16]]".into()), "{mix}");
    }
    wrong(
        &format!("{start} data::cutmix(images, labels, #{{ area: [0.5, 0.2] }})"),
        &["area"],
    );
    wrong(
        &format!("{start} data::cutmix(images.narrow(0, 0, 1), labels.narrow(0, 0, 1))"),
        &["at least 2"],
    );
    wrong(&format!("{start} data::classmix(images, images)"), &["labels"]);
    wrong(
        &format!("{start} data::cutmix(images, labels.narrow(1, 0, 5))"),
        &["[3, 5, 16]"],
    );
}

#[test]
fn predictions_written_as_png_are_read_back_exactly() {
    let root = tempfile::tempdir().unwrap();
    let found = script(
        root.path(),
        "let set = data::scenes(#{ count: 3, size: [32, 40] });
        let net = model::unet(#{ encoder: \"resnet18\", classes: set.classes });
        for i in 0..3 { set.get(i).image.save(`ROOT/images/${set.names[i]}.png`); }
        let p = eval::pseudo_labels(net, set.without_labels(), #{ threshold: 0.0, folder: `ROOT/labels` });
        let back = data::folder(`ROOT`, #{ class_names: set.class_names, val: 0.0 });
        let score = eval::compare(back.get(1).labels, eval::predict(net, set.get(1).image).to_dtype(\"i64\"), 9);
        [score.pixel_accuracy, score.confusion.len(), back.get(2).image == set.get(2).image, p.get(0).labels == back.get(0).labels, p.classes]",
    );
    assert_eq!(found, Ok("[1.0, 9, true, true, 9]".into()));
    // With a threshold: exactly the pixels whose best probability reaches it.
    let found = here(
        "let set = data::scenes(#{ count: 1, size: [32, 40] }); let net = model::unet(#{ encoder: \"resnet18\", classes: 9 });
        let p = eval::predict(net, set.get(0).image, #{ probabilities: true }); let best = p.max(0); let t = best.mean().item();
        let labels = eval::pseudo_labels(net, set, #{ threshold: t }).get(0).labels;
        let ignored = labels.eq(255).to_dtype(\"i64\").sum().item();
        [p.shape, (p.sum(0) - 1).abs().max().item() < 1e-5, ignored == (best < t).to_dtype(\"i64\").sum().item(), ignored > 0 && ignored < 32 * 40]",
    );
    assert_eq!(found, Ok("[[9, 32, 40], true, true, true]".into()));
    wrong(
        "let set = data::scenes(#{ count: 1 }); let net = model::unet(#{ encoder: \"resnet18\", classes: 9 }); eval::pseudo_labels(net, set, #{ threshold: 95 })",
        &["threshold 95"],
    );
}

#[test]
fn a_label_map_is_saved_by_index_with_its_colours() {
    let root = tempfile::tempdir().unwrap();
    let found = script(
        root.path(),
        "let labels = tensor::from([[0, 1, 7], [2, 255, 254]]).to_dtype(\"i64\"); labels.save(`ROOT/l.png`, #{ palette: [[1, 2, 3], [9, 8, 7]] });
        let image = data::image(`ROOT/l.png`); [data::labels(`ROOT/l.png`) == labels, (image[[0, 0, 1]].item() * 255).round(), image.shape]",
    );
    assert_eq!(found, Ok("[true, 9.0, [3, 2, 3]]".into()));
    refused(root.path(), "tensor::zeros([3, 2, 2]).save(`ROOT/a.jpg`)", &[".png"]);
    refused(
        root.path(),
        "tensor::zeros([2, 3, 2, 2]).save(`ROOT/a.png`)",
        &["[3, h, w]"],
    );
    refused(
        root.path(),
        "(tensor::zeros([3, 2, 2]) - 1).save(`ROOT/a.png`)",
        &["-1"],
    );
}

#[test]
fn closures_make_images_when_they_are_needed() {
    // The closure counts its calls in a shared variable: nothing is made before it is asked for, and nothing twice.
    let made = "let calls = [0]; let set = data::generate(12, |i| { calls[0] += 1;
        #{ image: tensor::full([3, 16, 16], i / 20.0), labels: tensor::full([16, 16], i % 3).to_dtype(\"i64\"), name: `made ${i}` } }, #{ classes: 3 });";
    let found = here(&format!(
        "{made} let before = calls[0]; let one = set.get(7); let again = set.get(7).name; let after = calls[0];
        let n = 0; for b in set.batches(#{{ size: 5, distort: #{{}}, views: [#{{}}, #{{}}] }}) {{ n += b.names.len(); }} for b in set.batches(#{{ size: 5 }}) {{ n += b.names.len(); }}
        [before, one.name, again, after, n, calls[0], set.len, set.take(3).len]"
    ));
    assert_eq!(found, Ok("[0, \"made 7\", \"made 7\", 1, 24, 12, 12, 3]".into()));
    // The same batches as those of the same images in memory, whatever the number of threads; trained on, evaluated, counted.
    let found = here(&format!(
        "{made} let items = []; for i in 0..12 {{ items.push(set.get(i)); }} let plain = data::from(items, #{{ classes: 3 }});
        let o = #{{ size: 4, shuffle: true, seed: 3, epochs: 2, augment: #{{ flip: 0.5, crop: [8, 8] }}, distort: #{{}} }};
        let same = true; let other = plain.batches(o); for b in set.batches(o) {{ let c = other.next(); same = same && b.images == c.images && b.distorted == c.distorted && b.labels == c.labels; }}
        let net = model::unet(#{{ encoder: \"resnet18\", classes: 3 }}); let run = train::finetune(net, set, #{{ steps: 2, batch_size: 4, augment: () }});
        [same, set.histogram().counts == plain.histogram().counts, run.step, eval::segmentation(net, set).confusion.len(), (set + plain).len, set.resize([8, 8]).get(11).labels.shape]"
    ));
    assert_eq!(found, Ok("[true, true, 2, 3, 24, [8, 8]]".into()));
    let found = here(&format!(
        "{made} fn half(x) {{ x * 0.5 }} let k = 2.0; let d = set.map(|item| {{ item.image = half(item.image) * k / k; item.labels = item.labels.eq(0).to_dtype(\"i64\"); item }});
        [calls[0], d.get(3).labels[[0, 0]].item(), (d.get(10).image.mean().item() * 100).round(), d.name == set.name, d.map(|item| item).get(3).name]"
    ));
    assert!(
        found.as_ref().is_ok_and(|f| f.starts_with("[0, 1, 25.0, true")),
        "{found:?}"
    );
}

#[test]
fn what_a_closure_draws_follows_from_the_image() {
    let noise = "data::generate(6, |i| #{ image: tensor::rand([3, 4, 4]) })";
    let found = here(&format!(
        "let a = {noise}; let b = {noise}; tensor::rand([5]); let last = b.get(5).image; let all = []; for i in 0..6 {{ all.push(a.get(i).image); }}
        [all[5] == last, all[4] == last, b.get(4).image == all[4]]"
    ));
    assert_eq!(found, Ok("[true, false, true]".into()));
}

#[test]
fn closures_that_fail_name_the_item() {
    let start = "let set = data::scenes(#{ count: 3, size: [16, 16] });";
    for (call, parts) in [
        (
            "data::generate(5, |i| if i == 3 { throw \"no\" } else { #{ image: tensor::zeros([3, 4, 4]) } }).batches(#{ size: 2 })",
            ["item 3", "no"],
        ),
        ("data::generate(2, |i| 7).batches()", ["item 0", "number 7"]),
        (
            "data::generate(2, |i| #{ image: tensor::zeros([3, 4, 4]) }, #{ classes: 2 }).batches()",
            ["item 0", "no labels"],
        ),
        (
            "set.map(|item| #{ labels: item.labels }).batches()",
            ["item 0", "image"],
        ),
        (
            "set.map(|item| #{ image: item.image }).batches()",
            ["item 0", "without_labels"],
        ),
        (
            "set.map(|item| { item.labels = item.labels + 9; item }).batches()",
            ["item 0", "label"],
        ),
        (
            "set.without_labels().map(|item| { item.labels = tensor::zeros([16, 16]).to_dtype(\"i64\"); item }).batches()",
            ["item 0", "class_names"],
        ),
    ] {
        wrong(&format!("{start} for b in {call} {{ b.names; }}"), &parts);
    }
}
