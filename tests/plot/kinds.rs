//! The figures of one call: what they show of their data, read from the drawing and from the file beside it.

use seglab::plot::kinds::{
    CurveData, CurvesOptions, EfficiencyRow, EmbeddingData, Example, Labels, confusion, curves, embedding, examples,
    label_efficiency,
};
use seglab::plot::{Figure, FigureOptions, Picture, SaveOptions};

fn svg(figure: seglab::error::Result<Figure>) -> String {
    figure.unwrap().svg(None).unwrap()
}

fn wrong(figure: seglab::error::Result<Figure>) -> String {
    figure.err().map(|e| e.to_string()).unwrap_or_default()
}

/// The rows of the data beside a figure: series, x, y, low and high.
fn data(figure: &Figure) -> Vec<(String, [f64; 4])> {
    let folder = tempfile::tempdir().unwrap();
    let files = figure
        .save(folder.path().join("f.svg"), &SaveOptions::default())
        .unwrap();
    let mut csv = csv::Reader::from_path(files[1].path()).unwrap();
    let number = |text: &str| text.parse().unwrap_or(f64::NAN);
    let rows = csv.records().map(|row| row.unwrap());
    rows.map(|row| (row[2].to_string(), [3, 4, 5, 6].map(|i| number(&row[i]))))
        .collect()
}

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn a_confusion_matrix_shows_percentages_of_the_truth() {
    let draw = |counts: Vec<u64>, names: &[&str]| confusion(&counts, &named(names), &FigureOptions::default());
    let text = svg(draw(vec![900, 100, 0, 50_000], &["road", "sky"]));
    for part in [">90<", ">10<", ">100<", "road (1.0k)", "sky (50k)", ">prediction<"] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains(">0.0<"));
    // a class that does not occur has an empty row
    let text = svg(draw(vec![5, 0, 0, 0], &["road", "sky"]));
    assert!(text.contains("sky (0)") && !text.contains("NaN"));
    // shares and counts are short: 0.01 %, 3.2 %, 99.99 %; 950, 12,300 and 3,400,000 pixels
    let text = svg(draw(
        vec![949, 0, 1, 394, 11_906, 0, 0, 340, 3_399_660],
        &["a", "b", "c"],
    ));
    for part in [">&lt;.1<", ">3.2<", ">100<", "a (950)", "b (12k)", "c (3.4M)"] {
        assert!(text.contains(part), "{part}");
    }
    let text = wrong(draw(vec![1; 3], &["road", "sky"]));
    assert!(text.contains("2 class names need 4 counts, found 3"), "{text}");
    assert!(wrong(draw(vec![0; 4], &["road", "sky"])).contains("no pixel was counted"));
}

fn run(label: &str, n: usize) -> CurveData {
    let steps: Vec<f64> = (1..=n).map(|i| i as f64).collect();
    let loss = steps.iter().map(|s| 2.0 / s.sqrt()).collect();
    let measured = |i: usize| {
        if i.is_multiple_of(10) {
            i as f64 / n as f64
        } else {
            f64::NAN
        }
    };
    let val = (1..=n).map(measured).collect();
    CurveData {
        label: label.into(),
        columns: vec![("step".into(), steps), ("loss".into(), loss), ("val_miou".into(), val)],
    }
}

#[test]
fn the_panels_of_curves_follow_the_columns() {
    let text = svg(curves(&[run("a", 50), run("b", 40)], &CurvesOptions::default()));
    assert!(text.contains(">loss<") && text.contains(">val mIoU (%)<") && !text.contains("learning rate"));
    assert_eq!(text.matches(">step<").count(), 1);
    // one legend for both panels
    assert_eq!(text.matches(">a</text>").count(), 1);
    // raw and smoothed loss and mIoU of two runs
    assert_eq!(text.matches("<polyline ").count(), 6);
    let mut bad = run("a", 20);
    bad.columns[1].1.pop();
    let text = wrong(curves(&[bad], &CurvesOptions::default()));
    assert!(text.contains("20 steps but 19 values of loss"), "{text}");
    assert!(wrong(curves(&[], &CurvesOptions::default())).contains("no run"));
    let empty = CurveData {
        label: String::new(),
        columns: vec![("loss".into(), vec![f64::NAN])],
    };
    assert!(wrong(curves(&[empty], &CurvesOptions::default())).contains("no run has a finite value"));
}

#[test]
fn runs_of_one_label_are_averaged_and_losses_smoothed() {
    let course = |loss: &[f64]| CurveData {
        label: "a".into(),
        columns: vec![("loss".into(), loss.to_vec())],
    };
    let mean = CurvesOptions {
        mean: true,
        ..CurvesOptions::default()
    };
    let rows = data(&curves(&[course(&[2.0, 4.0]), course(&[4.0, 8.0, 1.0])], &mean).unwrap());
    // the standard deviation of 2 and 4 is sqrt(2), of 4 and 8 twice that
    let two = 2f64.sqrt();
    for ((series, found), [x, y, sd]) in rows
        .iter()
        .zip([[1.0, 3.0, two], [2.0, 6.0, 2.0 * two], [3.0, 1.0, 0.0]])
    {
        assert_eq!(series, "a (n = 2)");
        for (found, wanted) in found.iter().zip([x, y, y - sd, y + sd]) {
            assert!((found - wanted).abs() < 1e-9, "{rows:?}");
        }
    }
    assert_eq!(rows.len(), 3);
    let mut loss = vec![0.0; 200];
    loss[100] = 5.0;
    // a fiftieth of 200 values, and one: five values wide
    let rows = data(&curves(&[course(&loss)], &CurvesOptions::default()).unwrap());
    let smooth: Vec<f64> = rows[200..].iter().map(|(_, row)| row[1]).collect();
    assert_eq!((smooth[98], smooth[102], smooth[103]), (1.0, 1.0, 0.0));
}

#[test]
fn every_class_of_an_embedding_that_occurs_is_drawn() {
    let mut points = EmbeddingData {
        points: vec![[0.0, 0.0], [1.0, 1.0], [2.0, 0.5]],
        labels: vec![0, 2, 2],
        class_names: named(&["sky", "car", "tree"]),
        palette: vec![],
        title: String::new(),
        axes: ["PC 1".into(), "PC 2".into()],
    };
    let draw = |sets: &[EmbeddingData]| embedding(sets, &FigureOptions::default());
    let text = svg(draw(std::slice::from_ref(&points)));
    assert!(text.contains(">sky<") && text.contains(">tree<") && !text.contains(">car<"));
    let after = EmbeddingData {
        title: "after".into(),
        ..points.clone()
    };
    let text = svg(draw(&[points.clone(), after]));
    assert_eq!(text.matches(">sky<").count(), 1);
    points.labels[0] = 3;
    assert!(wrong(draw(&[points])).contains("label 3 has no name"));
}

#[test]
fn the_classes_of_examples_that_occur_are_named() {
    let row = Example {
        name: "a.png".into(),
        image: Picture::new(2, 1, vec![9; 6]).unwrap(),
        truth: vec![0, 255],
        prediction: vec![0, 2],
    };
    let palette = [[1, 2, 3], [4, 5, 6], [7, 8, 9]];
    let names = named(&["sky", "car", "tree"]);
    let draw = |row: Example| examples(&[row], &names, &palette, true, &FigureOptions::default());
    let text = svg(draw(row.clone()));
    assert_eq!(text.matches("<image ").count(), 4);
    for part in [">sky<", ">tree<", ">ignored<", ">Prediction<", ">a.png<"] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains(">car<"));
    let text = wrong(draw(Example { truth: vec![0], ..row }));
    assert!(text.contains("2 x 1 = 2 pixels, the labels have 1"), "{text}");
}

fn row(method: &str, labels: Labels, miou: f64) -> EfficiencyRow {
    EfficiencyRow {
        method: method.into(),
        labels,
        miou,
    }
}

#[test]
fn runs_with_as_many_labels_are_averaged_over_seeds() {
    let share = |method, share, miou| row(method, Labels::Share(share), miou);
    let draw = |rows: &[EfficiencyRow]| label_efficiency(rows, &FigureOptions::default());
    let rows = [
        share("ours", 0.125, 0.4),
        share("ours", 0.125, 0.5),
        share("ours", 1.0, 0.7),
        share("scratch", 1.0, 0.6),
    ];
    let figure = draw(&rows).unwrap();
    assert!(figure.warnings.is_empty());
    let text = figure.svg(None).unwrap();
    for part in [">1/8<", ">1<", ">scratch (n = 1)<", ">ours (n = 1–2)<"] {
        assert!(text.contains(part), "{part}");
    }
    // the mean of 40 and 50 %, and their standard deviation (n - 1)
    let [x, y, low, high] = data(&figure)[0].1;
    let sd = 50f64.sqrt();
    assert_eq!([x, y], [0.125, 45.0]);
    assert!((low - 45.0 + sd).abs() < 1e-9 && (high - 45.0 - sd).abs() < 1e-9);
    // a band is a polygon that is not opaque, as markers are
    let bands = text
        .lines()
        .filter(|l| l.starts_with("<polygon ") && l.contains("fill-opacity"));
    assert_eq!(bands.count(), 1);
    assert!(wrong(draw(&[share("ours", 0.0, 0.4)])).contains("fraction 0 of \"ours\""));
    // fractions are named as people do, numbers of images as they are
    let text = svg(draw(&[0.0625, 0.25, 1.0].map(|f| share("ours", f, 0.4))));
    assert!(text.contains(">1/16<") && text.contains(">1/4<"));
    let text = svg(draw(&[0.05, 0.3].map(|f| share("ours", f, 0.4))));
    assert!(text.contains(">5%<") && text.contains(">30%<"));
    let images = [18.0, 72.0].map(|n| row("ours", Labels::Images(n), 0.4));
    let text = svg(draw(&images));
    assert!(text.contains(">18<") && text.contains(">72<") && text.contains(">labelled images<"));
    let mixed = [images[0].clone(), share("ours", 0.5, 0.4)];
    assert!(wrong(draw(&mixed)).contains("give the same for all"));
}

#[test]
fn runs_without_a_result_are_counted_and_named() {
    let draw = |rows: &[EfficiencyRow]| label_efficiency(rows, &FigureOptions::default());
    let mut rows =
        [(8.0, 0.4), (8.0, f64::NAN), (8.0, 0.5), (16.0, 0.5)].map(|(n, miou)| row("ours", Labels::Images(n), miou));
    let figure = draw(&rows).unwrap();
    assert!(figure.svg(None).unwrap().contains(">ours (n = 1–2, 1 left out)<"));
    let said = figure.warnings.join("\n");
    assert!(
        said.contains("1 of the 3 runs of \"ours\" with labelled 8 have no miou") && figure.warnings.len() == 1,
        "{said}"
    );
    for miou in [45.3, -0.1, f64::INFINITY] {
        rows[0].miou = miou;
        assert!(wrong(draw(&rows)).contains("of \"ours\" is not between 0 and 1"));
    }
    let text = wrong(draw(&[row("b", Labels::Images(8.0), f64::NAN)]));
    assert!(text.contains("no run of \"b\""), "{text}");
}
