//! Real data sets, where they lie beside the project, and bad input on files made here.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use candle_core::Device;
use image::{GrayImage, Luma, Rgb, RgbImage};
use seglab::data::{BatchOptions, Dataset, FolderOptions, Missing, camvid, cityscapes, folder, voc2012};
use seglab::loss::PixelContrastOptions;
use seglab::nn::{Architecture, EncoderKind, ModelConfig, Segmenter};
use seglab::script::{Interpreter, Scope};
use seglab::session::Session;
use seglab::train::{Hooks, Run, TrainConfig};

/// `../shared/data/<name>`, or nothing and a message.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
    }
    path.exists().then_some(path)
}

fn error<T>(result: seglab::error::Result<T>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn camvid_as_its_readme_says() {
    let Some(path) = shared("camvid") else { return };
    let data = camvid(path).unwrap();
    assert_eq!((data.train.len(), data.val.len(), data.train.classes()), (367, 101, 11));
    assert!(data.test.is_none());
    let sample = data.train.get(0).unwrap();
    assert_eq!((sample.name.as_str(), sample.size()), ("0001TP_006690", [360, 480]));
    let spread = data.train.spread(18).unwrap(); // floor(367 / 18) = 20
    assert_eq!(spread.sample_name(1).unwrap(), data.train.sample_name(20).unwrap());
    let small = spread.resize([96, 128]).unwrap();
    let h = small.histogram().unwrap();
    assert_eq!(h.counts.iter().sum::<u64>() + h.ignored, 18 * 96 * 128);
    // python, with Pillow's NEAREST: bincount of the labels of these 18 images at 128x96, 11 = void
    assert_eq!(
        h.counts,
        [38411, 52795, 2403, 67678, 10864, 20912, 3229, 2444, 14482, 1192, 246]
    );
    assert_eq!(h.ignored, 6528);
}

#[test]
fn camvid_resized_equals_pillow() {
    let Some(path) = shared("camvid") else { return };
    let sample = camvid(path).unwrap().train.resize([96, 128]).unwrap().get(0).unwrap();
    // python: Image.open("train/0001TP_006690.jpg").resize((128, 96), Image.BILINEAR), rows 0, 12, 24, ..., columns 0, 16, 32, ...
    let expected: [u8; 192] = [
        14, 14, 14, 14, 14, 14, 30, 32, 30, 192, 220, 228, 167, 193, 199, 28, 34, 37, 239, 255, 255, 207, 236, 245, 10,
        12, 11, 16, 16, 16, 28, 31, 30, 150, 170, 179, 158, 181, 187, 25, 30, 32, 154, 177, 185, 28, 37, 37, 7, 7, 7,
        38, 41, 40, 20, 24, 23, 105, 121, 125, 121, 141, 148, 23, 25, 26, 38, 44, 47, 36, 45, 48, 7, 7, 7, 7, 7, 7, 44,
        56, 58, 56, 67, 69, 113, 132, 135, 57, 70, 72, 30, 39, 43, 30, 41, 48, 5, 5, 5, 6, 6, 6, 23, 25, 25, 28, 32,
        31, 158, 180, 174, 38, 47, 45, 34, 43, 41, 10, 11, 11, 6, 6, 6, 7, 7, 7, 14, 15, 15, 13, 13, 13, 20, 25, 32,
        13, 15, 18, 11, 15, 19, 23, 31, 35, 7, 7, 7, 9, 9, 9, 19, 21, 23, 21, 24, 26, 12, 14, 17, 8, 9, 9, 15, 16, 20,
        11, 13, 15, 15, 16, 18, 22, 23, 24, 20, 23, 25, 11, 12, 14, 7, 8, 7, 18, 23, 28, 18, 22, 25, 10, 11, 11,
    ];
    let grid = (0..96)
        .step_by(12)
        .flat_map(|y| (0..128).step_by(16).map(move |x| y * 128 + x));
    let found: Vec<u8> = grid.flat_map(|p| sample.pixels[3 * p..3 * p + 3].to_vec()).collect();
    let worst = found.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max();
    assert!(worst <= Some(2), "largest difference {worst:?} of 255");
}

#[test]
fn voc2012_is_read_by_index() {
    let Some(path) = shared("voc2012_animals") else { return };
    let data = voc2012(&path, None).unwrap();
    assert_eq!((data.train.len(), data.val.len(), data.train.classes()), (240, 60, 21));
    let direct = voc2012(path.join("VOC2012"), Some("SegmentationClassAug")).unwrap();
    assert_eq!(direct.train.split_hash(), data.train.split_hash());
    let h = data.val.histogram().unwrap();
    assert!(h.counts[8] > 0 && h.counts[12] > 0 && h.ignored > 0, "{h:?}");
    let text = error(voc2012(&path, Some("Masks")));
    assert!(text.contains("Masks") && text.contains("SegmentationClass"), "{text}");
}

#[test]
fn published_lists_pick_voc_images() {
    let (Some(path), Some(lists)) = (shared("voc2012_animals"), shared("splits/pascal")) else {
        return;
    };
    let train = voc2012(path, None).unwrap().train;
    let list = lists.join("1464.txt");
    let picked = train.subset(&list, Missing::Skip).unwrap();
    assert!(!picked.is_empty() && picked.len() <= train.len());
    let text = error(train.subset(&list, Missing::Refuse));
    assert!(text.contains("of 1464 lines name no image"), "{text}");
}

#[test]
fn cityscapes_sample_is_mapped_to_train_ids() {
    let Some(path) = shared("cityscapes_sample") else {
        return;
    };
    let data = cityscapes(path).unwrap();
    assert_eq!((data.train.len(), data.val.len(), data.train.classes()), (2, 0, 19));
    let sample = data.train.get(0).unwrap();
    assert_eq!(
        (sample.name.as_str(), sample.size()),
        ("aachen_000000_000019", [1024, 2048])
    );
    assert!(sample.labels.iter().all(|&l| l < 19 || l == 255));
    assert_eq!(sample.labels[700 * 2048 + 1024], 0); // road ahead
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    let line = "leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png gtFine/train/aachen/x.png";
    std::fs::write(&list, line).unwrap();
    let picked = data.train.subset(&list, Missing::Refuse).unwrap();
    assert_eq!(picked.sample_name(0).unwrap(), "aachen_000001_000019");
    assert!(error(data.val.get(0)).contains("0 images"));
    assert!(error(data.val.batches(&BatchOptions::default(), &Device::Cpu)).contains("has no images"));
}

/// A folder with four 12x16 images of two classes.
fn own_data() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for kind in ["images", "labels"] {
        std::fs::create_dir(root.path().join(kind)).unwrap();
    }
    for i in 0..4u8 {
        RgbImage::from_pixel(16, 12, Rgb([i * 40, 100, 200]))
            .save(root.path().join(format!("images/{i}.png")))
            .unwrap();
        save_labels(&root, i, 16, 12, i % 2);
    }
    root
}

fn save_labels(root: &tempfile::TempDir, i: u8, width: u32, height: u32, label: u8) {
    let mut labels = GrayImage::from_pixel(width, height, Luma([0]));
    labels.put_pixel(3, 5, Luma([label]));
    labels.save(root.path().join(format!("labels/{i}.png"))).unwrap();
}

fn two_classes() -> FolderOptions {
    FolderOptions {
        classes: Some(2),
        val: 0.25,
        ..Default::default()
    }
}

fn all(root: &tempfile::TempDir) -> Dataset {
    let options = FolderOptions {
        val: 0.0,
        ..two_classes()
    };
    folder(root.path(), &options).unwrap().train
}

#[test]
fn a_folder_is_split_without_overlap() {
    let root = own_data();
    let data = folder(root.path(), &two_classes()).unwrap();
    assert_eq!((data.train.len(), data.val.len()), (3, 1));
    let held_out = data.val.sample_name(0).unwrap();
    assert!((0..3).all(|i| data.train.sample_name(i).unwrap() != held_out));
    assert_eq!(all(&root).histogram().unwrap().counts, [4 * 192 - 2, 2]);
    // The same files in folders train and val.
    for kind in ["images", "labels"] {
        for (split, numbers) in [("train", [0, 1]), ("val", [2, 3])] {
            let folder = root.path().join(kind).join(split);
            std::fs::create_dir(&folder).unwrap();
            for i in numbers {
                let name = format!("{i}.png");
                std::fs::rename(root.path().join(kind).join(&name), folder.join(&name)).unwrap();
            }
        }
    }
    let data = folder(root.path(), &two_classes()).unwrap();
    assert_eq!((data.train.len(), data.val.len()), (2, 2));
    assert_eq!(data.val.sample_name(1).unwrap(), "3");
}

#[test]
fn a_wrong_label_names_file_pixel_and_range() {
    let root = own_data();
    save_labels(&root, 2, 16, 12, 57);
    let text = error(all(&root).histogram());
    for part in ["labels/2.png", "label 57", "row 5, column 3", "0 to 1", "255"] {
        assert!(text.contains(part), "{text}");
    }
}

/// The network says "2" everywhere, where three classes are numbered but 2 is the ignore label.
#[test]
fn all_bad_files_are_counted_and_named_at_once() {
    let root = own_data();
    save_labels(&root, 1, 16, 12, 57);
    save_labels(&root, 3, 16, 12, 58);
    let text = error(all(&root).histogram());
    assert!(text.contains("labels/1.png: found label 57"), "{text}");
    assert!(text.contains("2 of 4 images cannot be used: 1, 3"), "{text}");
}

#[test]
fn training_over_a_bad_file_names_it_and_keeps_what_was_trained() {
    let root = own_data();
    let order = BatchOptions {
        size: 2,
        shuffle: true,
        seed: 0,
        ..Default::default()
    };
    let second = all(&root)
        .batches(&order, &Device::Cpu)
        .unwrap()
        .nth(1)
        .unwrap()
        .unwrap();
    let bad = &second.names[0];
    save_labels(&root, bad.parse().unwrap(), 16, 12, 57);
    let runs = tempfile::tempdir().unwrap();
    let session = Session::quiet(runs.path());
    let config = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet18, 2);
    let model = Rc::new(RefCell::new(Segmenter::new(&config, 0, &Device::Cpu).unwrap()));
    let training = TrainConfig {
        steps: Some(4),
        batch_size: 2,
        augment: None,
        seed: order.seed,
        ..TrainConfig::finetune(Default::default())
    };
    let mut run = Run::new(&session, model, all(&root), None, &training).unwrap();
    let text = error(run.resume(&mut Hooks::default()));
    let file = format!("labels/{bad}.png: found label 57");
    for part in [file.as_str(), "step 1 of 4", "histogram()"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let path = text.split("train::load(\"").nth(1).unwrap().split('"').next().unwrap();
    let load = || Run::load(&session, path, Some(all(&root)), None).unwrap();
    assert!(error(load().resume(&mut Hooks::default())).contains("step 1 of 4"));
    save_labels(&root, bad.parse().unwrap(), 16, 12, 1);
    let mut run = load();
    run.resume(&mut Hooks::default()).unwrap();
    assert_eq!(run.history().column("loss").unwrap().len(), 4);
}

/// Beyond the steps: the file of the validation set.
#[test]
fn validation_over_a_bad_file_keeps_what_was_trained() {
    let root = own_data();
    let runs = tempfile::tempdir().unwrap();
    let session = Session::quiet(runs.path());
    let config = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet18, 2);
    let model = Rc::new(RefCell::new(Segmenter::new(&config, 0, &Device::Cpu).unwrap()));
    let data = folder(root.path(), &two_classes()).unwrap();
    let held_out = data.val.sample_name(0).unwrap();
    save_labels(&root, held_out.parse().unwrap(), 16, 12, 57);
    let training = TrainConfig {
        steps: Some(2),
        batch_size: 2,
        augment: None,
        eval_every: Some(1),
        ..TrainConfig::finetune(Default::default())
    };
    let mut run = Run::new(&session, model, data.train, Some(data.val), &training).unwrap();
    let text = error(run.resume(&mut Hooks::default()));
    assert!(
        text.contains("found label 57") && text.contains("step 1 of 2 is in"),
        "{text}"
    );
}

#[test]
fn an_ignore_label_that_is_a_class_number_takes_that_class_out_of_the_means() {
    let root = own_data();
    save_labels(&root, 2, 16, 12, 2);
    let runs = tempfile::tempdir().unwrap();
    let session = Session::quiet(runs.path());
    let config = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet18, 3);
    let model = Segmenter::new(&config, 0, &Device::Cpu).unwrap();
    let bias = model.parameters(model.classifier_name().unwrap()).pop().unwrap();
    let two = candle_core::Tensor::new(&[0f32, 0., 1e6], &Device::Cpu).unwrap();
    bias.var.set(&two).unwrap();
    let score = |ignore_label| {
        let options = FolderOptions {
            classes: Some(3),
            val: 0.0,
            ignore_label,
            ..Default::default()
        };
        let data = folder(root.path(), &options).unwrap().train;
        seglab::train::evaluate::segmentation(&session, &model, &data, &Default::default()).unwrap()
    };
    let ignored = score(2);
    assert_eq!(ignored.confusion.column(2), ignored.confusion.total());
    assert_eq!(ignored.absent(), ["class 2"]);
    assert!(ignored.iou()[2].is_nan(), "{:?}", ignored.iou());
    assert_eq!(
        (ignored.miou(), ignored.mean_accuracy(), ignored.pixel_accuracy()),
        (0.0, 0.0, 0.0)
    );
    assert!(score(255).iou()[2] > 0.0 && score(255).absent().is_empty());
}

#[test]
fn different_sizes_name_both_files() {
    let root = own_data();
    save_labels(&root, 1, 16, 10, 0);
    let text = error(all(&root).get(1));
    for part in ["labels/1.png", "10x16", "images/1.png", "12x16"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_truncated_png_loses_nothing_else() {
    let root = own_data();
    let path = root.path().join("images/3.png");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let data = all(&root);
    let options = BatchOptions {
        size: 1,
        shuffle: false,
        drop_last: false,
        epochs: Some(1),
        ..Default::default()
    };
    let results: Vec<_> = data.batches(&options, &Device::Cpu).unwrap().collect();
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 3);
    let text = error(results.into_iter().nth(3).unwrap());
    assert!(text.contains("images/3.png"), "{text}");
}

/// In a loop with a body and in one without, which Rhai would run past the error.
#[test]
fn a_script_over_a_truncated_png_ends_with_its_name() {
    let root = own_data();
    let path = root.path().join("images/3.png");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(runs.path()));
    let run = |text: &str| {
        let text = text.replace("ROOT", &root.path().display().to_string());
        interpreter.run("test", &text, &mut Scope::new())
    };
    let data = "let d = data::folder(\"ROOT\", #{ classes: 2 }).train;\n";
    for body in ["{ let n = b.names; }", "{}"] {
        let report = run(&format!("{data}for b in d.batches(#{{ size: 1 }}) {body}\nprint(1);")).unwrap_err();
        let text = report.render(false);
        assert!(text.contains("images/3.png") && text.contains("test:2"), "{text}");
    }
    // nothing of it is left behind
    assert_eq!(run("let n = 0; for i in 0..3 { n += 1; } n").unwrap().as_int(), Ok(3));
    let caught = run(&format!(
        "{data}let e = \"\"; try {{ for b in d.batches(#{{ size: 1 }}) {{ b.names; }} }} catch (x) {{ e = `${{x}}`; }} for i in 0..9 {{ }} e"
    ));
    assert!(caught.unwrap().to_string().contains("images/3.png"));
}

/// As with the built-in scenes: the training images themselves, the other parts at hand.
#[test]
fn a_script_reads_its_own_data_as_it_does_the_scenes() {
    let root = own_data();
    let runs = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(runs.path()));
    let path = root.path().display();
    for made in [
        format!("data::folder(\"{path}\", #{{ classes: 2, val: 0.25 }})"),
        "data::scenes(#{ count: 3, size: [12, 16], val_count: 1 })".to_string(),
    ] {
        let script = format!(
            "let d = {made}; let few = d.take(2).resize([24, 32]);
            [d.len, d.train.len, d.val.len, few.len, few.train.len, few.val.len, few.val.get(0).labels.shape, d.get(0).name == d.train.get(0).name]"
        );
        let found = interpreter.run("test", &script, &mut Scope::new()).unwrap();
        assert_eq!(
            interpreter.display(&found),
            "[3, 3, 1, 2, 2, 1, [24, 32], true]",
            "{made}"
        );
        let whole = interpreter.run("test", &made, &mut Scope::new()).unwrap();
        assert!(
            interpreter.display(&whole).contains("3 images, ")
                && interpreter.display(&whole).contains("; .val: 1 images")
        );
    }
}

#[test]
fn missing_folders_and_files_are_named() {
    assert!(error(camvid("/no/such/place")).contains("/no/such/place: there is no such folder"));
    assert!(error(voc2012("/no/such/place", None)).contains("VOC2012"));
    assert!(error(cityscapes("/no/such/place")).contains("leftImg8bit"));
    let root = own_data();
    assert!(error(camvid(root.path())).contains("train.txt"));
    assert!(error(voc2012(root.path(), None)).contains("JPEGImages"));
    assert!(error(cityscapes(root.path())).contains("leftImg8bit/train"));
    let options = FolderOptions {
        labels: Some("masks".into()),
        ..two_classes()
    };
    assert!(error(folder(root.path(), &options)).contains("masks"));
    assert!(error(folder(root.path(), &FolderOptions::default())).contains("classes"));
    std::fs::remove_file(root.path().join("labels/1.png")).unwrap();
    let text = error(folder(root.path(), &two_classes()));
    assert!(text.contains("images/1.png") && text.contains("labels/1.png"), "{text}");
}

#[test]
fn pretraining_on_nothing_labelled_warns_once_and_counts() {
    let root = own_data();
    for i in 0..4 {
        let nothing = GrayImage::from_pixel(16, 12, Luma([255]));
        nothing.save(root.path().join(format!("labels/{i}.png"))).unwrap();
    }
    let runs = tempfile::tempdir().unwrap();
    let session = Session::quiet(runs.path());
    let mut config = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet18, 2);
    config.projection.channels = 8;
    let model = Rc::new(RefCell::new(Segmenter::new(&config, 0, &Device::Cpu).unwrap()));
    let training = TrainConfig {
        steps: Some(3),
        batch_size: 2,
        augment: None,
        ..TrainConfig::pretrain(PixelContrastOptions::default())
    };
    let mut run = Run::new(&session, model, all(&root), None, &training).unwrap();
    run.resume(&mut Hooks::default()).unwrap();
    assert_eq!(run.history().column("loss").unwrap(), [0.0; 3]);
    let warnings: Vec<String> = session
        .warnings()
        .iter()
        .filter(|w| w.contains("no valid pixel"))
        .cloned()
        .collect();
    assert!(
        warnings.len() == 2 && warnings[0].contains("step 0") && warnings[1].contains("in 3 of its steps"),
        "{warnings:?}"
    );
}
