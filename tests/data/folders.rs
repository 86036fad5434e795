//! Folders of images and label maps: parts, names, kinds of files, what does not belong there.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use image::{GrayImage, Luma, Rgb, RgbImage};
use tempfile::TempDir;

use super::{refused, script};

/// Write an image of 12 x 8 pixels (width x height), its upper left quarter red.
fn image(root: &TempDir, name: &str) {
    let path = root.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let colour = |x, y| {
        if x < 6 && y < 4 {
            Rgb([250, 10, 10])
        } else {
            Rgb([10, 10, 250])
        }
    };
    RgbImage::from_fn(12, 8, colour).save(path).unwrap();
}

/// Write a label map of the same size: class 1 in the upper left quarter, else class 0.
fn labels(root: &TempDir, name: &str) {
    let path = root.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let label = |x, y| Luma([u8::from(x < 6 && y < 4)]);
    GrayImage::from_fn(12, 8, label).save(path).unwrap();
}

/// Images with label maps at these places, below `images` and `labels`.
fn pairs(places: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for place in places {
        image(&root, &format!("images/{place}.png"));
        labels(&root, &format!("labels/{place}.png"));
    }
    root
}

const READ: &str = "let d = data::folder(`ROOT`, #{ classes: 2 });";

fn counts(root: &Path) -> Result<String, String> {
    script(root, &format!("{READ} [d.len, d.val.len]"))
}

#[test]
fn the_usual_names_of_parts_in_any_case_are_parts() {
    for [train, val] in [
        ["training", "validation"],
        ["Train", "VAL"],
        ["train2017", "val2017"],
        ["TRAINING", "valid"],
    ] {
        let root = pairs(&[
            &format!("{train}/a"),
            &format!("{train}/b"),
            &format!("{train}/city/c"),
            &format!("{val}/d"),
        ]);
        assert_eq!(counts(root.path()), Ok("[3, 1]".into()), "{train}");
        let names = script(root.path(), &format!("{READ} d.val.names"));
        assert_eq!(names, Ok("[\"d\"]".into()), "{train}");
    }
    // The label maps under another name of the part; a part test without label maps has no labels.
    let root = tempfile::tempdir().unwrap();
    image(&root, "images/training/a.png");
    labels(&root, "labels/train/a.png");
    image(&root, "images/testing/b.png");
    let found = script(
        root.path(),
        &format!("{READ} [d.len, d.test.len, d.test.get(0).labels]"),
    );
    assert_eq!(found, Ok("[1, 1, ()]".into()));
}

#[test]
fn what_belongs_to_no_part_is_listed() {
    let root = pairs(&["training/a", "validation/b", "unlabelled/c", "extra/d"]);
    refused(
        root.path(),
        READ,
        &["training, validation", "extra, unlabelled", "images"],
    );
    let root = pairs(&["training/a", "b"]);
    refused(root.path(), READ, &["b.png", "1 images", "training"]);
    let root = pairs(&["train/a", "training/b"]);
    refused(root.path(), READ, &["train and training", "same part"]);
    let root = pairs(&["val/a", "test/b"]);
    refused(root.path(), READ, &["none to train on"]);
    // Without parts folders are only folders.
    let root = pairs(&["aachen/a", "bochum/b"]);
    assert_eq!(counts(root.path()), Ok("[2, 0]".into()));
}

#[test]
fn images_of_every_kind_are_read_and_others_named() {
    let root = pairs(&["a"]);
    for name in ["b.jpg", "c.tif", "d.webp", "e.bmp", "f.TIFF", "g.JPEG"] {
        image(&root, &format!("images/{name}"));
        labels(&root, &format!("labels/{}.png", &name[..1]));
    }
    std::fs::write(root.path().join("images/notes.txt"), "of no interest").unwrap();
    let found = script(
        root.path(),
        "let d = data::folder(`ROOT`, #{ classes: 2, val: 0.0 }); let c = [];
        for i in 0..d.len { let s = d.get(i); c.push(s.image.shape == [3, 8, 12] && s.image[[0, 1, 1]].item() > 0.9 && s.image[[0, 6, 10]].item() < 0.1); } c",
    );
    assert_eq!(found, Ok("[true, true, true, true, true, true, true]".into()));
    for name in ["h.gif", "i.jp2", "j.heic"] {
        std::fs::write(root.path().join("images").join(name), b"GIF89a").unwrap();
        let ending = &name[1..];
        refused(root.path(), READ, &[name, ending, "beside 7 that can"]);
        std::fs::remove_file(root.path().join("images").join(name)).unwrap();
    }
    // The name says PNG, the content something else.
    std::fs::write(root.path().join("images/a.png"), b"GIF89a, says the file").unwrap();
    refused(
        root.path(),
        &format!("{READ} d.histogram(); d.val.histogram()"),
        &["images/a.png", "unknown kind"],
    );
}

#[test]
fn suffix_missing_hidden_and_doubled_names() {
    let root = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        image(&root, &format!("images/{name}.jpg"));
    }
    for name in ["a", "b"] {
        labels(&root, &format!("labels/{name}_mask.png"));
    }
    refused(root.path(), READ, &["a.jpg", "3 of 3", "suffix: \"_mask\""]);
    let with = |options: &str| {
        let read = format!("let d = data::folder(`ROOT`, #{{ classes: 2, val: 0.0, {options} }}); d.names");
        script(root.path(), &read)
    };
    assert!(with("suffix: \"_mask\"").unwrap_err().contains("c.jpg"));
    assert_eq!(
        with("suffix: \"_mask\", missing: \"skip\""),
        Ok("[\"a\", \"b\"]".into())
    );
    assert_eq!(
        with("suffix: \"_mask.png\", missing: \"skip\""),
        Ok("[\"a\", \"b\"]".into())
    );
    assert!(with("missing: \"leave\"").unwrap_err().contains("\"error\", \"skip\""));
    labels(&root, "labels/c_mask.png");
    // What systems and notebooks leave behind.
    std::fs::write(root.path().join("images/._a.jpg"), b"Mac OS X").unwrap();
    std::fs::write(root.path().join("images/.DS_Store"), b"Mac OS X").unwrap();
    image(&root, "images/.ipynb_checkpoints/a-checkpoint.jpg");
    image(&root, "images/__MACOSX/a.jpg");
    std::fs::write(root.path().join("images/Thumbs.db"), b"Windows").unwrap();
    assert_eq!(with("suffix: \"_mask\""), Ok("[\"a\", \"b\", \"c\"]".into()));
    image(&root, "images/b.png");
    let text = with("suffix: \"_mask\"").unwrap_err();
    assert!(
        text.contains("b.png") && text.contains("b.jpg") && text.contains("two images"),
        "{text}"
    );
    // Images and label maps in one folder.
    let root = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        image(&root, &format!("{name}.png"));
        labels(&root, &format!("{name}_gt.png"));
    }
    let one = "data::folder(`ROOT`, #{ images: \".\", labels: \".\", classes: 2, val: 0.0";
    refused(root.path(), &format!("{one} }})"), &["suffix"]);
    assert_eq!(
        script(root.path(), &format!("{one}, suffix: \"_gt\" }}).names")),
        Ok("[\"a\", \"b\"]".into())
    );
}

#[test]
fn label_maps_below_the_images_are_no_images() {
    let root = tempfile::tempdir().unwrap();
    image(&root, "a.png");
    labels(&root, "masks/a.png");
    let read = "data::folder(`ROOT`, #{ images: \".\", labels: \"masks\", classes: 2 }).names";
    assert_eq!(script(root.path(), read), Ok("[\"a\"]".into()));
}

#[test]
fn images_without_labels() {
    let root = pairs(&["a", "b"]);
    let read = "let d = data::folder(`ROOT`, #{ labels: (), val: 0.0 });";
    let found = script(
        root.path(),
        &format!("{read} [d.len, d.classes, d.get(1).labels, d.get(1).image.shape]"),
    );
    assert_eq!(found, Ok("[2, 0, (), [3, 8, 12]]".into()));
    let net = "let net = model::unet(#{ encoder: \"resnet18\", classes: 2 });";
    for use_of in [
        "train::finetune(net, d, #{ steps: 1, batch_size: 2 })",
        "eval::segmentation(net, d)",
    ] {
        refused(
            root.path(),
            &format!("{net} {read} {use_of}"),
            &["needs labels, but a of"],
        );
    }
}

/// A JPEG whose EXIF data ask for this orientation.
fn with_orientation(path: &Path, orientation: u8) {
    let jpeg = std::fs::read(path).unwrap();
    let mut exif =
        b"\xFF\xE1\x00\x22Exif\x00\x00MM\x00\x2A\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    std::fs::write(path, [&jpeg[..2], &exif, &jpeg[2..]].concat()).unwrap();
}

#[test]
fn exif_orientation_is_applied_or_refused() {
    // Where the red quarter is after each turn: [height, width], row and column of a red pixel (EXIF 2.3, tag 0x0112).
    let cases: [(u8, [usize; 2], [usize; 2]); 8] = [
        (1, [8, 12], [1, 1]),
        (2, [8, 12], [1, 10]),
        (3, [8, 12], [6, 10]),
        (4, [8, 12], [6, 1]),
        (5, [12, 8], [1, 1]),
        (6, [12, 8], [1, 6]),
        (7, [12, 8], [10, 6]),
        (8, [12, 8], [10, 1]),
    ];
    for (orientation, [height, width], [row, column]) in cases {
        let root = tempfile::tempdir().unwrap();
        image(&root, "images/a.jpg");
        with_orientation(&root.path().join("images/a.jpg"), orientation);
        GrayImage::new(width as u32, height as u32)
            .save({
                std::fs::create_dir(root.path().join("labels")).unwrap();
                root.path().join("labels/a.png")
            })
            .unwrap();
        let read = |exif: &str| {
            format!("let d = data::folder(`ROOT`, #{{ classes: 2, val: 0.0, exif: \"{exif}\" }}); let s = d.get(0);")
        };
        let found = script(
            root.path(),
            &format!(
                "{} let red = s.image[0]; [s.image.shape, red[[{row}, {column}]].item() > 0.8, red.mean().item() < 0.4]",
                read("apply")
            ),
        );
        assert_eq!(
            found,
            Ok(format!("[[3, {height}, {width}], true, true]")),
            "{orientation}"
        );
        if orientation == 1 {
            assert!(script(root.path(), &read("refuse")).is_ok());
        } else {
            refused(
                root.path(),
                &read("refuse"),
                &["images/a.jpg", &format!("orientation {orientation}")],
            );
        }
        if width == 8 {
            labels(&root, "labels/a.png");
            refused(root.path(), &read("apply"), &["labels/a.png", "8x12", "12x8", "EXIF"]);
        }
    }
}

/// Run the script: it must fail soon, with these parts in its error.
fn refused_soon(root: &Path, text: &str, parts: &[&str]) {
    let start = Instant::now();
    refused(root, text, parts);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}: {text}",
        start.elapsed()
    );
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_pipes_devices_and_huge_files_are_refused() {
    use std::os::unix::fs::symlink;
    let all = format!("{READ} d.histogram(); d.val.histogram()");
    let root = pairs(&["a", "b"]);
    let inside = |name: &str| root.path().join("images").join(name);
    symlink(root.path().join("images"), inside("again")).unwrap();
    refused_soon(root.path(), &all, &["images/again", "listed already"]);
    std::fs::remove_file(inside("again")).unwrap();
    std::fs::create_dir(inside("x")).unwrap();
    std::fs::create_dir(inside("y")).unwrap();
    symlink("../y", inside("x/to_y")).unwrap();
    symlink("../x", inside("y/to_x")).unwrap();
    refused_soon(root.path(), &all, &["listed already"]);
    std::fs::remove_dir_all(inside("x")).unwrap();
    std::fs::remove_dir_all(inside("y")).unwrap();
    symlink("nowhere", inside("c.png")).unwrap();
    refused_soon(root.path(), &all, &["images/c.png", "leads nowhere"]);
    std::fs::remove_file(inside("c.png")).unwrap();
    symlink("/dev/zero", inside("c.png")).unwrap();
    refused_soon(root.path(), &all, &["images/c.png", "device"]);
    std::fs::remove_file(inside("c.png")).unwrap();
    if Command::new("mkfifo")
        .arg(inside("c.png"))
        .status()
        .is_ok_and(|s| s.success())
    {
        refused_soon(root.path(), &all, &["images/c.png", "pipe"]);
        refused_soon(root.path(), "tensor::load(`ROOT/images/c.png`)", &["c.png"]);
        std::fs::rename(inside("c.png"), root.path().join("w.safetensors")).unwrap();
        refused_soon(
            root.path(),
            "tensor::load(`ROOT/w.safetensors`)",
            &["w.safetensors", "pipe"],
        );
        refused_soon(
            root.path(),
            &format!("{READ} d.subset(`ROOT/w.safetensors`)"),
            &["w.safetensors", "pipe"],
        );
    }
    for (kind, start) in [("images", "a.png"), ("images", ""), ("labels", "b.png")] {
        let root = pairs(&["a", "b"]);
        let path = root
            .path()
            .join(kind)
            .join(if start.is_empty() { "b.png" } else { start });
        if start.is_empty() {
            std::fs::File::create(&path).unwrap(); // nothing but a hole
        }
        std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(3 << 30)
            .unwrap();
        refused_soon(root.path(), &all, &[kind, "3072 MiB"]);
    }
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let root = pairs(&["a", "b"]);
    let list = root.path().join("list.txt");
    std::fs::write(&list, "\u{feff}a\r\nb\r\n").unwrap();
    let read = "data::folder(`ROOT`, #{ classes: 2, val: 0.0 })";
    assert_eq!(
        script(root.path(), &format!("{read}.subset(`ROOT/list.txt`).names")),
        Ok("[\"a\", \"b\"]".into())
    );
    let camvid = tempfile::tempdir().unwrap();
    for (part, name) in [("train", "a"), ("val", "b")] {
        image(&camvid, &format!("{part}/{name}.png"));
        labels(&camvid, &format!("{part}annot/{name}.png"));
        let line = format!("\u{feff}{part}/{name}.png {part}annot/{name}.png\n");
        std::fs::write(camvid.path().join(format!("{part}.txt")), line).unwrap();
    }
    let found = script(
        camvid.path(),
        "let d = data::camvid(`ROOT`); [d.get(0).name, d.val.get(0).name]",
    );
    assert_eq!(found, Ok("[\"a\", \"b\"]".into()));
    for text in [
        "\u{feff}let x = 1; x + 1",
        "\u{feff}#!/usr/bin/env seglab\nlet x = 1; x + 1",
    ] {
        let path = root.path().join("a.rhai");
        std::fs::write(&path, text).unwrap();
        let interpreter = seglab::script::Interpreter::new(seglab::session::Session::quiet(root.path()));
        assert_eq!(
            interpreter.run_file(&path).ok().and_then(|v| v.as_int().ok()),
            Some(2),
            "{text:?}"
        );
    }
}
