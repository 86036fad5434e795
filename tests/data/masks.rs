//! Masks that hold no class numbers: other values, colours; and the warnings where they are read as if they did.

use image::{GrayImage, Luma, Rgb, RgbImage};
use seglab::script::{Interpreter, Scope};
use seglab::session::Session;
use tempfile::TempDir;

use super::{refused, script};

/// Four images of 32 x 32 with masks that hold the first value in their left half and the second in the right.
fn binary(values: [u8; 2]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for kind in ["images", "labels"] {
        std::fs::create_dir(root.path().join(kind)).unwrap();
    }
    for i in 0..4u8 {
        let image = RgbImage::from_fn(32, 32, |x, _| Rgb([if x < 16 { 30 } else { 220 }, 10 * i, 90]));
        image.save(root.path().join(format!("images/{i}.png"))).unwrap();
        let mask = GrayImage::from_fn(32, 32, |x, _| Luma([values[usize::from(x >= 16)]]));
        mask.save(root.path().join(format!("labels/{i}.png"))).unwrap();
    }
    root
}

fn warnings(root: &TempDir, text: &str) -> (String, Vec<String>) {
    let runs = tempfile::tempdir().unwrap();
    let session = Session::quiet(runs.path());
    let interpreter = Interpreter::new(session.clone());
    let text = text.replace("ROOT", &root.path().display().to_string());
    let value = match interpreter.run("test", &text, &mut Scope::new()) {
        Ok(value) => interpreter.display(&value),
        Err(report) => panic!("{}", report.render(false)),
    };
    (value, session.warnings())
}

const TRAIN: &str = "let net = model::fcn(#{ encoder: \"resnet18\", classes: 2 });
    train::finetune(net, d, #{ steps: 1, batch_size: 2 }); let score = eval::segmentation(net, d); score.table()";

#[test]
fn masks_of_0_and_255_warn_at_the_start_and_in_the_score() {
    let root = binary([0, 255]);
    let (table, warned) = warnings(
        &root,
        &format!("let d = data::folder(`ROOT`, #{{ classes: 2, val: 0.0 }}); {TRAIN}"),
    );
    let about = "no pixel has the class class 1; masks of 0 and 255";
    let of = |start: &str| {
        warned
            .iter()
            .filter(|w| w.starts_with(start) && w.contains(about))
            .count()
    };
    assert_eq!([of("finetune: "), of("eval: ")], [1, 1], "{warned:?}");
    assert!(table.contains(about) && table.contains("label_map"), "{table}");
    let (table, warned) = warnings(
        &root,
        &format!(
            "let d = data::folder(`ROOT`, #{{ classes: 2, val: 0.0, label_map: #{{ \"0\": 0, \"255\": 1 }} }}); {TRAIN}"
        ),
    );
    assert!(warned.is_empty() && !table.contains("doubtful"), "{warned:?} {table}");
    // Most pixels without class.
    let root = binary([0, 1]);
    for i in 0..4 {
        let mask = GrayImage::from_fn(32, 32, |x, y| Luma([if y > 10 { 255 } else { u8::from(x > 20) }]));
        mask.save(root.path().join(format!("labels/{i}.png"))).unwrap();
    }
    let (table, warned) = warnings(
        &root,
        &format!("let d = data::folder(`ROOT`, #{{ classes: 2, val: 0.0 }}); {TRAIN}"),
    );
    let about = "66 % of the pixels have no class"; // 21 of 32 rows
    assert!(
        warned.len() == 2 && warned.iter().all(|w| w.contains(about)),
        "{warned:?}"
    );
    assert!(table.contains(about), "{table}");
}

/// The labels of two pixels, one of each half.
fn both(root: &TempDir, options: &str) -> Result<String, String> {
    let read = format!(
        "let d = data::folder(`ROOT`, #{{ {options} }}); let l = d.get(0).labels; [d.classes, l[[0, 0]].item(), l[[9, 30]].item()]"
    );
    script(root.path(), &read)
}

#[test]
fn a_label_map_by_value_or_shift() {
    let root = binary([0, 255]);
    assert_eq!(
        both(&root, "label_map: #{ \"0\": 0, \"255\": 1 }"),
        Ok("[2, 0, 1]".into())
    );
    assert_eq!(
        both(&root, "label_map: #{ \"0\": 255, \"255\": 0 }"),
        Ok("[1, 255, 0]".into())
    );
    let root = binary([3, 150]);
    assert_eq!(
        both(&root, "classes: 150, label_map: \"shift\""),
        Ok("[150, 2, 149]".into())
    );
    let left_out = both(&root, "label_map: #{ \"3\": 0 }").unwrap_err();
    assert!(
        left_out.contains("labels/") && left_out.contains("label 150 at row 0, column 16"),
        "{left_out}"
    );
    assert!(
        both(&root, "classes: 100, label_map: \"shift\"")
            .unwrap_err()
            .contains("label 150")
    );
    for wrong in [
        "\"shifted\"",
        "#{}",
        "#{ \"a\": 0 }",
        "#{ \"0\": 300 }",
        "[[0, 0]]",
        "[]",
        "7",
    ] {
        let text = both(&root, &format!("classes: 2, label_map: {wrong}")).unwrap_err();
        assert!(
            text.contains("label_map") && text.contains("\"shift\""),
            "{wrong}: {text}"
        );
    }
    let text = both(&root, "classes: 2, label_map: #{ \"3\": 0, \"150\": 2 }").unwrap_err();
    assert!(text.contains("class 2") && text.contains("0 to 1"), "{text}");
}

#[test]
fn a_label_map_by_colour() {
    let root = binary([0, 1]);
    let mask = |left, right| {
        for i in 0..4 {
            let mask = RgbImage::from_fn(32, 32, |x, _| Rgb(if x < 16 { left } else { right }));
            mask.save(root.path().join(format!("labels/{i}.png"))).unwrap();
        }
    };
    mask([128, 64, 128], [0, 0, 142]);
    let by_position = "label_map: [[0, 0, 142], [128, 64, 128]]";
    assert_eq!(both(&root, by_position), Ok("[2, 1, 0]".into()));
    let palette = script(
        root.path(),
        &format!("data::folder(`ROOT`, #{{ {by_position} }}).palette"),
    );
    assert_eq!(palette, Ok("[[0, 0, 142], [128, 64, 128]]".into()));
    assert_eq!(
        both(&root, "label_map: #{ \"0,0,142\": 0, \"128, 64, 128\": 255 }"),
        Ok("[1, 255, 0]".into())
    );
    refused(
        root.path(),
        "data::folder(`ROOT`, #{ classes: 2 }).get(0)",
        &["[128, 64, 128] at row 0, column 0", "label_map"],
    );
    let text = both(&root, "label_map: [[0, 0, 142]]").unwrap_err();
    assert!(text.contains("the colour [128, 64, 128] at row 0, column 0"), "{text}");
    // Grey that a program saved in three channels.
    mask([1, 1, 1], [255, 255, 255]);
    assert_eq!(both(&root, "classes: 2"), Ok("[2, 1, 255]".into()));
}

#[test]
fn predict_refuses_images_that_are_not_from_0_to_1() {
    let root = binary([0, 1]);
    let start = "let d = data::folder(`ROOT`, #{ classes: 2, val: 0.0 }); let image = d.get(0).image;
        let net = model::fcn(#{ encoder: \"resnet18\", classes: 2 });";
    assert!(script(root.path(), &format!("{start} eval::predict(net, image).shape")).is_ok());
    for (wrong, part) in [
        ("image * 255", "divide"),
        ("(image * 255).to_dtype(\"u8\")", "integers"),
        ("(image - 0.5) / 0.25", "normalised"),
        ("image * (0.0 / 0.0)", "NaN"),
    ] {
        refused(
            root.path(),
            &format!("{start} eval::predict(net, {wrong})"),
            &["predict", part, "0 to 1"],
        );
    }
}
