//! Figures as files: every format, the font, the resolution, the data, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod kinds;
mod pictures;

use std::fs;

use seglab::error::{Error, Result};
use seglab::plot::{
    BarOptions, Bins, Figure, FigureOptions, GroupKind, HeatmapOptions, Ink, Joint, LegendPlace, LineOptions, Log,
    Look, Marker, Note, Palette, Picture, Preset, SaveOptions, Spread,
};

/// What draws into a figure.
type Draw<'a, T> = &'a dyn Fn(&mut Figure) -> T;

/// A figure without anything special.
fn figure() -> Figure {
    with(FigureOptions::default())
}

fn with(options: FigureOptions) -> Figure {
    Figure::new(options).unwrap()
}

fn logarithmic(log: Log) -> Figure {
    with(FigureOptions {
        log,
        ..FigureOptions::default()
    })
}

/// What is said of something that cannot be.
fn wrong<T>(result: Result<T>) -> String {
    result.err().map(|e| e.to_string()).unwrap_or_default()
}

/// The attribute of an SVG element as a number.
fn attribute(line: &str, name: &str) -> f64 {
    let value = line.split(&format!(" {name}=\"")).nth(1).unwrap();
    value.split('"').next().unwrap().parse().unwrap()
}

fn lines() -> Figure {
    let mut figure = with(FigureOptions {
        x: "step".into(),
        y: "mIoU (%)".into(),
        title: "L_{NCE}".into(),
        ..FigureOptions::default()
    });
    for (label, shift) in [("scratch", 0.0), ("pretrained", 5.0)] {
        let y = [30.0 + shift, 40.0 + shift, f64::NAN, 45.0 + shift, 46.0 + shift];
        let band = Some(Spread::Around(vec![1.0; 5]));
        let options = LineOptions {
            look: Look::named(label),
            band,
            ..LineOptions::default()
        };
        figure.line(&[0.0, 100.0, 200.0, 300.0, 400.0], &y, options).unwrap();
    }
    figure.metadata = vec![("run".into(), "a1b2".into()), ("script".into(), "µ 77".into())];
    figure
}

#[test]
fn svg_holds_the_texts_and_one_piece_of_line_per_stretch() {
    let svg = lines().svg(None).unwrap();
    for text in [
        ">step<",
        ">scratch<",
        ">pretrained<",
        ">NCE</tspan>",
        ">400<",
        r#"<lab:entry key="run">a1b2<"#,
    ] {
        assert!(svg.contains(text), "{text} is missing");
    }
    // two lines, each cut in two by its NaN, their legends, and a band for each piece
    let lines = |colour: &str| {
        let drawn = svg
            .lines()
            .filter(|l| l.starts_with("<line ") || l.starts_with("<polyline "));
        drawn.filter(|l| l.contains(colour)).count()
    };
    assert_eq!([lines("#4477aa"), lines("#ee6677")], [3, 3]);
    let bands = svg
        .lines()
        .filter(|l| l.starts_with("<polygon ") && l.contains("fill-opacity"));
    assert_eq!(bands.count(), 4);
    // the markers differ: discs for the first line (and its legend), squares for the second
    assert_eq!(svg.matches("<circle ").count(), 5);
}

#[test]
fn png_has_the_size_the_resolution_and_the_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.png");
    let written = lines()
        .save(
            &path,
            &SaveOptions {
                dpi: Some(200.0),
                ..SaveOptions::default()
            },
        )
        .unwrap();
    assert_eq!(written.len(), 2);
    let mut reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(&path).unwrap()))
        .read_info()
        .unwrap();
    let info = reader.info();
    assert_eq!((info.width, info.height), (700, 520)); // 3.5 x 2.6 in
    assert_eq!(info.pixel_dims.unwrap().xppu, 7874); // 200 / 0.0254
    assert!(
        info.uncompressed_latin1_text
            .iter()
            .any(|t| t.keyword == "run" && t.text == "a1b2")
    );
    // the file names the program, by which seglab knows it; what is not Latin-1 has a chunk of its own kind
    let texts = info.uncompressed_latin1_text.iter().map(|t| t.text.as_str());
    assert!(
        texts
            .clone()
            .any(|t| t == concat!("seglab ", env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(info.utf8_text[0].get_text().unwrap(), "µ 77");
    let mut pixels = vec![0; 700 * 520 * 3];
    reader.next_frame(&mut pixels).unwrap();
    assert!(pixels[..3].iter().all(|v| *v == 255));
}

/// Number of dark pixels: text that is dropped leaves none.
fn dark(figure: &Figure) -> usize {
    let bytes = figure.png(Some(100.0)).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    pixels.chunks(3).filter(|p| p.iter().all(|v| *v < 90)).count()
}

#[test]
fn text_is_rendered() {
    let with = |title: &str| {
        let options = FigureOptions {
            title: title.into(),
            size: Some([3.0, 2.0]),
            ..FigureOptions::default()
        };
        let mut figure = with(options);
        figure.image(Picture::new(2, 2, vec![200; 12]).unwrap()).unwrap();
        figure
    };
    assert_eq!(dark(&with("")), 0);
    assert!(dark(&with("Figure of a test")) > 60);
}

#[test]
fn pdf_embeds_the_font_and_its_metadata() {
    let bytes = lines().pdf(None).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(bytes.starts_with(b"%PDF-1.") && text.contains("/FontFile") && text.contains("DejaVuSans"));
    assert!(
        text.contains("/MediaBox[0 0 252 187.2]") || text.contains("/MediaBox [0 0 252 187.2]"),
        "page size"
    );
    assert!(text.contains("run: a1b2"));
    assert!(bytes.len() < 60_000, "{} bytes: the whole font?", bytes.len());
}

#[test]
fn data_stand_beside_the_figure_and_not_beside_pictures() {
    let folder = tempfile::tempdir().unwrap();
    lines()
        .save(folder.path().join("a.svg"), &SaveOptions::default())
        .unwrap();
    let csv = fs::read_to_string(folder.path().join("a.data.csv")).unwrap();
    assert!(
        csv.starts_with("panel,kind,series,x,y,low,high\n\"L_{NCE}\",")
            || csv.contains("\nL_{NCE},line,scratch,0,30,29,31\n"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 11);
    let mut figure = figure();
    figure.image(Picture::new(4, 3, vec![7; 36]).unwrap()).unwrap();
    assert_eq!(
        figure
            .save(folder.path().join("b.pdf"), &SaveOptions::default())
            .unwrap()
            .len(),
        1
    );
    assert!(!folder.path().join("b.data.csv").exists());
}

#[test]
fn the_data_quote_names_and_say_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let mut figure = figure();
    let options = LineOptions {
        band: Some(Spread::Around(vec![0.5, 0.5])),
        ..Look::named("a, b").into()
    };
    figure.line(&[1.0, 2.0], &[0.25, f64::NAN], options).unwrap();
    let files = figure
        .save(folder.path().join("a.svg"), &SaveOptions::default())
        .unwrap();
    assert_eq!(
        fs::read_to_string(files[1].path()).unwrap(),
        "panel,kind,series,x,y,low,high\n1,line,\"a, b\",1,0.25,-0.25,0.75\n1,line,\"a, b\",2,NaN,NaN,NaN\n"
    );
}

#[test]
fn what_a_logarithmic_axis_leaves_out_is_named() {
    let mut some = logarithmic(Log::Y);
    some.line(&[1.0, 2.0, 3.0], &[-1.0, 0.0, 2.0], Look::named("ours"))
        .unwrap();
    some.line(&[1.0, 2.0], &[1.0, 2.0], Look::named("theirs")).unwrap();
    some.svg(None).unwrap();
    assert_eq!(
        some.warnings(),
        ["line \"ours\": 2 of 3 values along the logarithmic y axis are not above 0 and not shown"]
    );
    let none = |draw: &dyn Fn(&mut Figure)| {
        let mut figure = logarithmic(Log::Both);
        draw(&mut figure);
        wrong(figure.svg(None))
    };
    let said = "no value is positive, but the";
    let names = ["a".to_string()];
    let drawn: [(&str, Draw<'_, ()>); 5] = [
        ("scatter \"ours\"", &|f| {
            drop(f.scatter(&[1.0], &[-1.0], Look::named("ours")))
        }),
        ("histogram \"h\"", &|f| {
            drop(f.histogram(&[-1.0, -2.0], None, false, Look::named("h")))
        }),
        ("bars", &|f| drop(f.bars(&names, &[-1.0], BarOptions::default()))),
        ("box", &|f| {
            drop(f.groups(GroupKind::Box, &names, &[vec![-1.0]], false, Look::default()))
        }),
        ("line \"lr\"", &|f| {
            f.line(&[1.0], &[1.0], Look::default()).unwrap();
            f.right("", true)
                .unwrap()
                .line(&[1.0], &[0.0], Look::named("lr"))
                .unwrap();
        }),
    ];
    for (what, draw) in drawn {
        let text = none(draw);
        assert!(text.starts_with(&format!("{what}: {said}")), "{text}");
    }
}

#[test]
fn every_preset_and_kind_is_drawn() {
    for preset in [Preset::Paper, Preset::Ieee, Preset::Nature, Preset::Slides] {
        let options = || FigureOptions {
            preset,
            ..FigureOptions::default()
        };
        let mut scatter = with(options());
        scatter
            .scatter(&[-1.0, 2.0], &[1e-9, 2e-9], LineOptions::default())
            .unwrap();
        assert_eq!(scatter.svg(None).unwrap().matches("<circle ").count(), 2);
        let mut bars = with(options());
        let names: Vec<String> = (0..21).map(|i| format!("a class with a long name {i}")).collect();
        bars.bars(&names, &[-1.5; 21], BarOptions::default()).unwrap();
        let mut heat = with(options());
        heat.heatmap(&[1.0, f64::NAN, -3.0, 4.0], 2, 2, HeatmapOptions::default())
            .unwrap();
        assert!(heat.svg(None).unwrap().contains(">−3<"));
        for figure in [&scatter, &bars, &heat] {
            assert!(figure.png(Some(72.0)).is_ok() && figure.pdf(None).is_ok());
        }
    }
}

#[test]
fn pictures_are_reduced_to_the_resolution_in_force() {
    let mut figure = with(FigureOptions {
        size: Some([1.0, 1.0]),
        ..FigureOptions::default()
    });
    figure
        .image(Picture::new(600, 600, (0..600 * 600 * 3).map(|i| (i * 31 % 251) as u8).collect()).unwrap())
        .unwrap();
    let [low, high] = [50.0, 300.0].map(|dpi| figure.svg(Some(dpi)).unwrap().len());
    assert!(low * 10 < high, "{low} {high}");
}

#[test]
fn wrong_input_is_named() {
    let line = |x: &[f64], y: &[f64]| wrong(figure().line(x, y, LineOptions::default()));
    let error = LineOptions {
        error: Some(Spread::Around(vec![1.0; 3])),
        ..LineOptions::default()
    };
    let mut mixed = figure();
    mixed.line(&[1.0], &[1.0], LineOptions::default()).unwrap();
    mixed.bars(&["a".into()], &[1.0], BarOptions::default()).unwrap();
    let mut negative = logarithmic(Log::Y);
    negative.line(&[1.0], &[-1.0], LineOptions::default()).unwrap();
    let mut small = with(FigureOptions {
        size: Some([0.6, 0.6]),
        y: "y".into(),
        ..FigureOptions::default()
    });
    small.line(&[1e5, 2e5], &[0.12345, 0.12346], Look::named("a")).unwrap();
    let save = |name: &str| wrong(lines().save(name, &SaveOptions::default()));
    for (text, said) in [
        (
            line(&[1.0, 2.0], &[1.0]),
            "line: x has 2 values, y has 1; they must be as long",
        ),
        (
            wrong(figure().line(&[1.0], &[1.0], error)),
            "line: error has 3 values but there are 1 points",
        ),
    ] {
        assert_eq!(text, said);
    }
    for (text, said) in [
        (line(&[], &[]), "x and y are empty"),
        (line(&[1.0], &[f64::INFINITY]), "no point has a finite x and y"),
        (wrong(figure().svg(None)), "nothing to draw"),
        (
            wrong(mixed.image(Picture::new(1, 1, vec![0; 3]).unwrap())),
            "`rows` or `columns`",
        ),
        (
            wrong(figure().heatmap(&[1.0; 3], 2, 2, HeatmapOptions::default())),
            "need 4 values, found 3",
        ),
        (wrong(negative.svg(None)), "no value is positive"),
        (save("figure.jpg"), "\"png\", \"svg\", \"pdf\""),
        (save("no/such/folder/f.svg"), "no/such/folder/f.svg"),
        (
            wrong(lines().png(Some(1.0))),
            "dpi 1, expected a number from 20 to 2400",
        ),
        (wrong(small.svg(None)), "larger `size`"),
    ] {
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn spreads_that_cannot_be_are_refused_with_their_series_and_point() {
    let around = |v: f64| Spread::Around(vec![0.1, v]);
    let between = |low: f64, high: f64| Spread::Between(vec![0.5, low], vec![1.5, high]);
    let (x, y) = ([1.0, 2.0], [1.0, 2.0]);
    for (spread, said) in [
        (around(f64::INFINITY), "is inf at point 1"),
        (around(f64::NEG_INFINITY), "is -inf at point 1"),
        (around(-0.1), "is -0.1 at point 1; half widths cannot be negative"),
        (between(3.0, 1.0), "from 3 to 1 at point 1; expected [low, high]"),
        (between(1.0, f64::INFINITY), "is inf at point 1"),
    ] {
        let line = |error: Option<Spread>, band: Option<Spread>| LineOptions {
            error,
            band,
            ..Look::named("ours").into()
        };
        let error = Some(spread);
        let bars = BarOptions {
            look: Look::named("ours"),
            error: error.clone(),
            ..BarOptions::default()
        };
        let names = ["a".to_string(), "b".to_string()];
        for (what, text) in [
            (
                "line \"ours\": error",
                wrong(figure().line(&x, &y, line(error.clone(), None))),
            ),
            (
                "scatter \"ours\": error",
                wrong(figure().scatter(&x, &y, line(error.clone(), None))),
            ),
            ("line \"ours\": band", wrong(figure().line(&x, &y, line(None, error)))),
            ("bars \"ours\": error", wrong(figure().bars(&names, &y, bars))),
        ] {
            assert!(text.starts_with(what) && text.contains(said), "{text}");
        }
    }
    // lengths in place of ends, as other libraries take them
    let error = |spread: Spread| LineOptions {
        error: Some(spread),
        ..LineOptions::default()
    };
    let text = wrong(figure().line(&x, &y, error(between(0.1, 0.2))));
    assert!(text.contains("whose value is 2; [low, high] are the ends"), "{text}");
    // a value without a spread is drawn without
    assert!(figure().line(&x, &y, error(around(f64::NAN))).is_ok());
}

#[test]
fn any_finite_values_are_drawn() {
    for log in [Log::None, Log::X, Log::Y, Log::Both] {
        for values in [[1.0, 1e300], [1e-300, 1e300], [5e-324, f64::MAX], [f64::MAX, f64::MAX]] {
            let mut figure = logarithmic(log);
            figure.line(&values, &values, LineOptions::default()).unwrap();
            let svg = figure.svg(None).unwrap();
            assert!(
                svg.len() < 60_000 && !svg.contains("NaN") && !svg.contains("inf"),
                "{log:?} {values:?}"
            );
        }
    }
    let mut figure = figure();
    figure
        .line(&[-f64::MAX, f64::MAX], &[-f64::MAX, f64::MAX], LineOptions::default())
        .unwrap();
    figure.svg(None).unwrap();
}

#[test]
fn drawing_can_be_interrupted() {
    let figure = lines();
    figure.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    for result in [
        figure.svg(None).map(drop),
        figure.png(None).map(drop),
        figure.pdf(None).map(drop),
    ] {
        assert!(matches!(result, Err(Error::Interrupted)));
    }
}

#[test]
fn long_names_and_titles_are_whole_and_missing_letters_are_named() {
    let names: Vec<String> = (0..19).map(|i| format!("sixteen_letters{}", i % 10)).collect();
    let title =
        "A long title that says what was trained on which data, for how long, and what the reader should see in it";
    for size in [None, Some([3.5, 2.6])] {
        let mut figure = with(FigureOptions {
            title: title.into(),
            size,
            ..FigureOptions::default()
        });
        figure.bars(&names, &[1.0; 19], BarOptions::default()).unwrap();
        let svg = figure.svg(None).unwrap();
        assert!(!svg.contains('…'), "something was cut");
        for word in title.split(' ') {
            assert!(svg.contains(word), "{word}");
        }
        assert!(figure.warnings().is_empty());
    }
    // a word longer than its axis has smaller letters
    let word = || "wordwordword".repeat(4);
    let mut figure = with(FigureOptions {
        x: word(),
        y: word(),
        ..FigureOptions::default()
    });
    figure.line(&[1.0, 2.0], &[1.0, 2.0], Look::default()).unwrap();
    figure
        .right(&word(), false)
        .unwrap()
        .line(&[1.0, 2.0], &[1.0, 2.0], Look::default())
        .unwrap();
    figure.svg(None).unwrap();
    let texts = figure.text_boxes();
    assert_eq!(texts.iter().filter(|t| t.text.starts_with("word")).count(), 3);
    let inside = |p: &[f64; 2]| (0.0..252.0).contains(&p[0]) && (0.0..187.2).contains(&p[1]);
    assert!(texts.iter().flat_map(|t| &t.corners).all(inside), "{texts:?}");
    let mut figure = with(FigureOptions {
        title: "分割 🚗".into(),
        y: "µ ü ≤".into(),
        ..FigureOptions::default()
    });
    figure.bars(&["天".into()], &[1.0], BarOptions::default()).unwrap();
    figure.svg(None).unwrap();
    let text = figure.warnings().join(" ");
    for c in ["分 (U+5206)", "割", "🚗 (U+1F697)", "天"] {
        assert!(text.contains(c), "{text}");
    }
    assert!(!text.contains('µ') && !text.contains('≤'));
}

fn svg(draw: impl FnOnce(&mut Figure) -> Result<()>) -> String {
    let mut figure = figure();
    draw(&mut figure).unwrap();
    figure.svg(None).unwrap()
}

#[test]
fn a_label_has_one_colour_in_all_panels() {
    let mut figure = with(FigureOptions {
        columns: 2,
        ..FigureOptions::default()
    });
    let line = |label: &str| Look::named(label);
    figure
        .line(&[1.0, 2.0], &[1.0, 2.0], line("a"))
        .unwrap()
        .line(&[1.0, 2.0], &[2.0, 1.0], line("b"))
        .unwrap();
    figure.panel(0, 1, "", "", "", None).unwrap();
    figure.line(&[1.0, 2.0], &[1.0, 2.0], line("b")).unwrap();
    let text = figure.svg(None).unwrap();
    // the second colour of the palette: b in both panels, and in the one legend; markers of b are squares
    assert_eq!(text.matches("stroke=\"#ee6677\"").count(), 3);
    assert_eq!(text.matches(">b</text>").count(), 1);
    let mut own = with(FigureOptions {
        palette: Palette::OkabeIto,
        dark: true,
        ..FigureOptions::default()
    });
    own.line(&[1.0, 2.0], &[1.0, 2.0], LineOptions::default()).unwrap();
    assert!(own.svg(None).unwrap().contains("#16181d"));
}

#[test]
fn limits_cut_what_lies_outside() {
    let text = svg(|f| {
        f.line(&[0.0, 10.0], &[0.0, 10.0], LineOptions::default())?
            .limits(Some([2.0, 4.0]), Some([0.0, 3.0]))
            .map(drop)
    });
    let points: Vec<f64> = text
        .split("<line ")
        .chain(text.split("<polyline "))
        .filter(|l| l.contains("#4477aa"))
        .flat_map(|l| l.split('"').filter_map(|v| v.parse::<f64>().ok()).collect::<Vec<_>>())
        .collect();
    assert!(
        !points.is_empty() && points.iter().all(|v| (0.0..252.1).contains(v)),
        "{points:?}"
    );
    let mut f = logarithmic(Log::Y);
    for (x, y, said) in [
        (None, None, "expected `x` or `y`"),
        (
            Some([2.0, 1.0]),
            None,
            "x: [2, 1] is the wrong way round, expected [1, 2]",
        ),
        (Some([1.0, 1.0]), None, "x [1, 1] is empty; expected two finite numbers"),
        (Some([f64::NAN, 1.0]), None, "x [NaN, 1] is empty"),
        (None, Some([0.0, 1.0]), "y: 0 cannot be shown on a logarithmic axis"),
    ] {
        let text = wrong(f.limits(x, y));
        assert!(text.contains(said), "{text}");
    }
}

/// From the least to the greatest of the numbers that these attributes of drawn data have, and every second of their points.
fn extent(svg: &str, attributes: [&str; 4], place: usize) -> [f64; 2] {
    let shapes = ["<line ", "<polyline ", "<polygon ", "<rect ", "<circle "];
    // not the page, the grid, the axes
    let data = svg.lines().filter(|l| shapes.iter().any(|shape| l.starts_with(shape)));
    let data = data.filter(|l| {
        ["#ffffff", "#e6e6e6", "#1a1a1a"]
            .iter()
            .all(|colour| !l.contains(colour))
    });
    let mut found = Vec::new();
    for line in data {
        let points = line
            .split("points=\"")
            .nth(1)
            .into_iter()
            .flat_map(|rest| rest.split('"').next());
        let numbers = points
            .flat_map(|points| points.split([' ', ',']))
            .skip(place)
            .step_by(2);
        found.extend(numbers.map(|v| v.parse::<f64>().unwrap()));
        let given = attributes.iter().filter(|name| line.contains(&format!(" {name}=\"")));
        found.extend(given.map(|name| attribute(line, name)));
        if line.starts_with("<rect ") {
            found.push(attribute(line, attributes[2]) + attribute(line, ["width", "height"][place]));
        }
    }
    found
        .iter()
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], v| [a.min(*v), b.max(*v)])
}

#[test]
fn every_kind_of_layer_is_drawn_inside_of_the_limits_and_written_as_data() {
    let values: Vec<f64> = (0..60).map(|i| f64::from(i * 37 % 60) / 10.0).collect();
    let names = ["a".to_string(), "b".to_string()];
    let groups = [values.clone(), values[..20].to_vec()];
    let folder = tempfile::tempdir().unwrap();
    let lying = BarOptions {
        horizontal: true,
        values: true,
        ..BarOptions::default()
    };
    let mapped = LineOptions {
        values: Some(values.clone()),
        sizes: Some(values.clone()),
        bar: "v".into(),
        ..LineOptions::default()
    };
    let group = |f: &mut Figure, kind, lie| f.groups(kind, &names, &groups, lie, Look::default()).map(drop);
    let kinds: [(&str, usize, Draw<'_, Result<()>>); 7] = [
        ("histogram", 6, &|f| {
            f.histogram(&values, Some(Bins::Count(6)), false, Look::named("h"))
                .map(drop)
        }),
        ("area", 200, &|f| f.density(&values, None, Look::named("d")).map(drop)),
        ("box", 80, &|f| group(f, GroupKind::Box, false)),
        ("violin", 80, &|f| group(f, GroupKind::Violin, true)),
        ("step", 60, &|f| {
            f.curve(Joint::Step, &values, &values, Look::default()).map(drop)
        }),
        ("bars", 2, &|f| f.bars(&names, &[1.0, -2.0], lying.clone()).map(drop)),
        ("scatter", 60, &|f| {
            f.scatter(&values, &values, mapped.clone()).map(drop)
        }),
    ];
    for (kind, rows, draw) in kinds {
        let mut figure = figure();
        draw(&mut figure).unwrap();
        let (x, y) = (Some([0.2, 0.4]), None);
        let (at, text, to) = ([0.5, 1.0], "here".to_string(), Some([0.3, 0.5]));
        for note in [
            Note::HLine(1.0),
            Note::VLine(0.5),
            Note::Span { x, y },
            Note::Text { at, text, to },
        ] {
            figure.note(note, Look::default()).unwrap();
        }
        let files = figure
            .save(folder.path().join(format!("{kind}.svg")), &SaveOptions::default())
            .unwrap();
        let csv = fs::read_to_string(files[1].path()).unwrap();
        let written = csv.lines().filter(|l| l.starts_with(&format!("1,{kind},")));
        assert_eq!(written.count(), rows, "{kind}: {csv}");
        assert!(fs::read_to_string(files[0].path()).unwrap().contains(">here<"));
        assert!(figure.png(Some(60.0)).is_ok() && figure.pdf(None).is_ok());
        // with limits inside of the data everything ends at the axes, the longest lines, and something is left
        let high = if kind == "area" { 0.1 } else { 2.5 };
        figure.limits(Some([0.7, 2.6]), Some([0.05, high])).unwrap();
        figure.legend(&[], &[], LegendPlace::Nowhere).unwrap();
        let text = figure.svg(None).unwrap();
        let lines = text
            .lines()
            .filter(|l| l.starts_with("<line ") && l.contains("#1a1a1a"));
        for (place, attributes) in [["x1", "x2", "x", "cx"], ["y1", "y2", "y", "cy"]]
            .into_iter()
            .enumerate()
        {
            let ends = lines
                .clone()
                .map(|l| [attribute(l, attributes[0]), attribute(l, attributes[1])]);
            let ends = ends
                .max_by(|a, b| (a[1] - a[0]).abs().total_cmp(&(b[1] - b[0]).abs()))
                .unwrap();
            let (low, high) = (ends[0].min(ends[1]) - 0.1, ends[0].max(ends[1]) + 0.1);
            let [from, to] = extent(&text, attributes, place);
            assert!(
                low <= from && from < to && to <= high,
                "{kind}: {from} to {to} of {low} to {high}"
            );
        }
    }
}

#[test]
fn samples_are_checked() {
    let mut f = figure();
    f.histogram(&[1.0, f64::NAN, 2.0], None, false, Look::named("h"))
        .unwrap();
    assert!(f.warnings()[0].contains("histogram \"h\": 1 of 3 values are NaN and left out"));
    for bins in [
        Bins::Count(0),
        Bins::Count(usize::MAX),
        Bins::Edges(vec![]),
        Bins::Edges(vec![1.0]),
        Bins::Edges(vec![2.0, 1.0]),
        Bins::Edges(vec![0.0, f64::NAN]),
    ] {
        let text = wrong(f.histogram(&[1.0, 2.0], Some(bins), false, Look::named("h")));
        assert!(
            text.starts_with("histogram \"h\": bins: expected 1 to 10000 bins"),
            "{text}"
        );
    }
    let names = ["full".to_string(), "none".to_string()];
    let groups = |samples: &[Vec<f64>]| {
        let mut f = figure();
        wrong(f.groups(GroupKind::Box, &names, samples, false, Look::default()))
    };
    assert!(groups(&[vec![1.0], vec![]]).contains("group \"none\": there is no number in it"));
    assert!(groups(&[vec![1.0], vec![f64::INFINITY]]).contains("value 0 is inf"));
    assert!(groups(&[vec![1.0]]).contains("2 names and 1 groups"));
    let bad = Look {
        alpha: Some(2.0),
        ..Look::named("x")
    };
    let text = wrong(f.line(
        &[1.0],
        &[1.0],
        LineOptions {
            look: bad,
            ..LineOptions::default()
        },
    ));
    assert!(
        text.contains("line \"x\": alpha 2, expected a number from 0 to 1"),
        "{text}"
    );
}

#[test]
fn tex_fonts_and_colours_that_are_not_known_are_named() {
    let new = |options: FigureOptions| wrong(Figure::new(options));
    let text = new(FigureOptions {
        title: "a $\\foo$".into(),
        ..FigureOptions::default()
    });
    assert!(
        text.contains("figure: title") && text.contains("\\foo is not known at character 4"),
        "{text}"
    );
    let text = new(FigureOptions {
        font: "No Such Font".into(),
        ..FigureOptions::default()
    });
    assert!(
        text.contains("is not installed, expected \"sans\", \"serif\""),
        "{text}"
    );
    let mut f = figure();
    let text = wrong(f.line(&[1.0], &[1.0], Look::named("$x^$")));
    assert!(text.contains("something must follow"), "{text}");
}

#[test]
fn many_points_stay_small_and_pdf_is_15() {
    let x: Vec<f64> = (0..100_000).map(|i| f64::from(i % 317)).collect();
    let y: Vec<f64> = (0..100_000).map(|i| f64::from(i % 211)).collect();
    let mut figure = figure();
    figure.scatter(&x, &y, LineOptions::default()).unwrap();
    let pdf = figure.pdf(None).unwrap();
    assert!(
        pdf.starts_with(b"%PDF-1.5") && pdf.len() < 500_000,
        "{} bytes",
        pdf.len()
    );
    assert!(figure.svg(None).unwrap().len() < 700_000);
    let line = lines().pdf(None).unwrap();
    assert!(
        line.len() < 30_000 && line == lines().pdf(None).unwrap(),
        "{} bytes",
        line.len()
    );
    assert_eq!(lines().png(None).unwrap(), lines().png(None).unwrap());
    let outlines = lines().svg_outlines(None).unwrap();
    assert!(!outlines.contains("<text") && outlines.contains("<path"));
}

#[test]
fn letters_as_shapes_keep_title_facts_and_size_and_the_file_is_known_as_ours() {
    let folder = tempfile::tempdir().unwrap();
    let outlines = SaveOptions {
        outlines: Some(true),
        ..SaveOptions::default()
    };
    let mut serif = with(FigureOptions {
        preset: Preset::Ieee,
        title: "a < b".into(),
        ..FigureOptions::default()
    });
    serif.line(&[1.0, 2.0], &[1.0, 2.0], LineOptions::default()).unwrap();
    serif.metadata = vec![("software".into(), "seglab 0".into())];
    let save = |figure: &Figure, options: &SaveOptions| {
        let path = folder.path().join("f.svg");
        figure.save(&path, options).unwrap();
        fs::read_to_string(path).unwrap()
    };
    // letters that hardly any viewer has are shapes unless somebody wants them as text; the second file replaces the first
    let texts = save(
        &serif,
        &SaveOptions {
            outlines: Some(false),
            ..SaveOptions::default()
        },
    );
    assert!(texts.contains("<text ") && texts.contains("Libertinus Serif"));
    for _ in 0..2 {
        let shapes = save(&serif, &SaveOptions::default());
        assert!(!shapes.contains("<text ") && shapes.contains("<path "));
        for head in [
            "viewBox=\"0 0 237.6 180\"",
            "<title>a &lt; b</title>",
            "seglab 0</lab:entry>",
        ] {
            assert!(shapes.contains(head), "{head}");
        }
        // as large as the page: the ground is its first shape
        let scale: f64 = shapes
            .split("scale(")
            .nth(1)
            .unwrap()
            .split(')')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!((scale - 0.75).abs() < 1e-3, "{scale}");
    }
    assert!(save(&lines(), &SaveOptions::default()).contains("<text "));
    assert!(!save(&lines(), &outlines).contains("<text "));
}

/// The points of a scatter as one picture and as shapes of their own.
#[test]
fn many_points_look_as_single_ones_do() {
    for (marker, size) in [(Marker::Circle, 3.0), (Marker::Cross, 5.0), (Marker::Triangle, 2.0)] {
        let at = |k: usize, n: usize| {
            let x: Vec<f64> = (0..n).map(|i| ((i * 2 + k) * 7919 % 1009) as f64).collect();
            let y: Vec<f64> = (0..n).map(|i| ((i * 2 + k) * 104_729 % 997) as f64).collect();
            (x, y)
        };
        let draw = |parts: &[(Vec<f64>, Vec<f64>)]| {
            let mut figure = figure();
            for (x, y) in parts {
                let look = Look {
                    color: Some(Ink::Rgb([200, 30, 60])),
                    marker: Some(marker),
                    size: Some(size),
                    alpha: Some(0.5),
                    ..Look::default()
                };
                let options = LineOptions {
                    look,
                    ..LineOptions::default()
                };
                figure.scatter(x, y, options).unwrap();
            }
            assert_eq!(figure.svg(None).unwrap().contains("<image "), parts.len() == 1);
            figure.picture(300.0).unwrap().pixels
        };
        let (even, odd) = (at(0, 3000), at(1, 3000));
        let all = ([&even.0[..], &odd.0].concat(), [&even.1[..], &odd.1].concat());
        let (one, single) = (draw(&[all]), draw(&[even, odd]));
        let far: Vec<f64> = one
            .iter()
            .zip(&single)
            .map(|(a, b)| f64::from(a.abs_diff(*b)))
            .collect();
        let ink = single.iter().map(|v| f64::from(255 - v)).sum::<f64>();
        let share = far.iter().sum::<f64>() / ink;
        assert!(share < 0.08, "{marker:?}: {share}");
    }
}

#[test]
fn values_at_lying_bars_and_names_of_points_keep_apart_and_inside() {
    let text = svg(|f| {
        let options = BarOptions {
            horizontal: true,
            values: true,
            ..BarOptions::default()
        };
        f.bars(&["a".into(), "b".into()], &[1.0, -2.0], options).map(drop)
    });
    // viewers drop blanks at the ends of a text, so the distance must not be made of them
    let label = |value: &str| {
        attribute(
            text.lines().find(|l| l.ends_with(&format!(">{value}</text>"))).unwrap(),
            "x",
        )
    };
    let bars: Vec<&str> = text
        .lines()
        .filter(|l| l.starts_with("<rect ") && l.contains("#4477aa"))
        .collect();
    let end = attribute(bars[0], "x") + attribute(bars[0], "width");
    assert!((1.5..4.0).contains(&(label("1") - end)), "{text}");
    assert!((1.5..4.0).contains(&(attribute(bars[1], "x") - label("−2"))), "{text}");

    let mut points = figure();
    points.image(Picture::new(40, 20, vec![90; 2400]).unwrap()).unwrap();
    for x in [2.0, 38.0] {
        points.point(x, 5.0, Look::named(format!("point {x}"))).unwrap();
    }
    // bars that leave the panel have their values inside of it
    let cut = [false, true].map(|horizontal| {
        let mut figure = figure();
        let options = BarOptions {
            horizontal,
            values: true,
            ..BarOptions::default()
        };
        figure.bars(&["a".into(), "b".into()], &[30.0, -20.0], options).unwrap();
        let (limits, none) = (Some([-10.0, 10.0]), None);
        let [x, y] = if horizontal { [limits, none] } else { [none, limits] };
        figure.limits(x, y).unwrap();
        figure
    });
    for figure in cut.into_iter().chain([points]) {
        figure.svg(None).unwrap();
        for text in figure.text_boxes() {
            let inside = |p: &[f64; 2]| (0.0..252.0).contains(&p[0]) && (0.0..187.2).contains(&p[1]);
            assert!(text.corners.iter().all(inside), "{text:?}");
        }
    }
}

#[test]
fn classes_stand_below_the_figure_or_in_a_corner_of_the_image() {
    let figure = |place: LegendPlace| {
        let mut figure = figure();
        figure.image(Picture::new(40, 20, vec![90; 2400]).unwrap()).unwrap();
        figure.legend(&["sky".into()], &[[1, 2, 3]], place).unwrap();
        figure.svg(None).unwrap();
        figure.text_boxes()[0].corners[0]
    };
    let [below, left, right] = [LegendPlace::Best, LegendPlace::TopLeft, LegendPlace::BottomRight].map(figure);
    // the image is 252 pt wide and half as high
    assert!(
        below[1] > 126.0 && left[1] < 30.0 && right[1] < 126.0,
        "{below:?} {left:?} {right:?}"
    );
    assert!(left[0] < 60.0 && right[0] > 200.0, "{left:?} {right:?}");
    let mut lines = lines();
    let text = wrong(lines.legend(&["sky".into()], &[[1, 2, 3]], LegendPlace::TopLeft));
    assert!(text.contains("legend: the panel has no image"), "{text}");
}
