//! The fifteen figures of `scripts/paper_figures.rhai`: no text overlaps another or leaves the page.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::path::Path;

use seglab::script::{Array, Dynamic, Interpreter, Map, Scope};
use seglab::session::Session;

type Corners = Vec<[f64; 2]>;

/// How far two convex shapes reach into one another, at the place where that is least (separating axes).
fn overlap(a: &Corners, b: &Corners) -> f64 {
    let axes = [a, b].into_iter().flat_map(|shape| {
        (0..4).map(move |i| {
            let (p, q) = (shape[i], shape[(i + 1) % 4]);
            let side = [q[1] - p[1], p[0] - q[0]];
            let length = side[0].hypot(side[1]).max(1e-9);
            side.map(|v| v / length)
        })
    });
    let along = |shape: &Corners, axis: [f64; 2]| {
        let all = shape.iter().map(|p| p[0] * axis[0] + p[1] * axis[1]);
        all.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| {
            [low.min(v), high.max(v)]
        })
    };
    let depth = |axis| {
        let ([a0, a1], [b0, b1]) = (along(a, axis), along(b, axis));
        a1.min(b1) - a0.max(b0)
    };
    axes.map(depth).fold(f64::INFINITY, f64::min)
}

fn numbers(list: &Dynamic) -> Vec<f64> {
    list.read_lock::<Array>()
        .unwrap()
        .iter()
        .map(|v| v.as_float().unwrap())
        .collect()
}

fn boxes(texts: &Dynamic) -> Vec<(String, Corners)> {
    let texts = texts.read_lock::<Array>().unwrap();
    let one = |text: &Dynamic| {
        let map = text.read_lock::<Map>().unwrap();
        let corners = map["corners"]
            .read_lock::<Array>()
            .unwrap()
            .iter()
            .map(numbers)
            .map(|p| [p[0], p[1]])
            .collect();
        (map["text"].clone().into_string().unwrap(), corners)
    };
    texts.iter().map(one).collect()
}

#[test]
fn overlap_is_measured() {
    let square = |x: f64, y: f64| vec![[x, y], [x + 2.0, y], [x + 2.0, y + 2.0], [x, y + 2.0]];
    assert_eq!(overlap(&square(0.0, 0.0), &square(1.5, 0.5)), 0.5);
    assert!(overlap(&square(0.0, 0.0), &square(3.0, 0.0)) < 0.0);
}

#[test]
fn no_text_of_the_paper_figures_overlaps_another_or_leaves_the_page() {
    let run = || {
        let folder = tempfile::tempdir().unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/paper_figures.rhai");
        let script = std::fs::read_to_string(path)
            .unwrap()
            .replace(r#"arg("format", "png")"#, r#""svg""#);
        assert!(script.contains(r#"let format = "svg";"#));
        let interpreter = Interpreter::new(Session::quiet(folder.path()));
        let script = format!("{script}\nfigures.map(|f| [f[0], f[1].texts()])");
        let found = match interpreter.run("paper_figures.rhai", &script, &mut Scope::new()) {
            Ok(found) => found.cast::<Array>(),
            Err(report) => panic!("{}", report.render(false)),
        };
        assert_eq!(found.len(), 19, "fourteen figures and five dresses of the fifteenth");
        let mut failures = Vec::new();
        for figure in found {
            let pair = figure.read_lock::<Array>().unwrap();
            let name = pair[0].clone().into_string().unwrap();
            let svg = std::fs::read_to_string(&name).unwrap();
            let page: Vec<f64> = svg
                .split("viewBox=\"0 0 ")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .split(' ')
                .map(|v| v.parse().unwrap())
                .collect();
            let texts = boxes(&pair[1]);
            assert!(texts.len() > 5, "{name} has {} texts", texts.len());
            for (i, (text, corners)) in texts.iter().enumerate() {
                if corners
                    .iter()
                    .any(|p| p[0] < -0.3 || p[1] < -0.3 || p[0] > page[0] + 0.3 || p[1] > page[1] + 0.3)
                {
                    failures.push(format!("{name}: \"{text}\" leaves the page of {page:?}: {corners:?}"));
                }
                for (other, far) in &texts[i + 1..] {
                    let depth = overlap(corners, far);
                    if depth > 0.4 {
                        failures.push(format!("{name}: \"{text}\" and \"{other}\" overlap by {depth:.1} pt"));
                    }
                }
            }
            assert!(
                interpreter.session().warnings().is_empty(),
                "{:?}",
                interpreter.session().warnings()
            );
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    };
    let thread = std::thread::Builder::new().stack_size(1 << 29).spawn(run).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
