//! Typing, pasting, pictures and speed through a real pseudo-terminal.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod terminal;

use std::time::{Duration, Instant};

use expectrl::{Eof, Expect};
use terminal::{READ, enter, folder, output, shell, start, start_with};

#[test]
fn strings_comments_and_closures_continue() {
    let folder = folder();
    let mut t = start(folder.path());
    for part in ["let s = `one\r", "two`\r"] {
        t.send(part).unwrap();
    }
    t.expect("[2]>").unwrap();
    enter(&mut t, "s.len", "\n7");
    for part in [
        "/* a note\r",
        "goes on */ let f = |x| {\r",
        "x * [\r",
        "2, 3\r",
        "][1]\r",
        "}\r",
    ] {
        t.send(part).unwrap();
    }
    t.expect("[4]>").unwrap();
    enter(&mut t, "f.call(5)", "\n15");
    enter(&mut t, "let quiet = 77;", "");
    enter(&mut t, "ans + 1", "\n16");
}

#[test]
fn a_semicolon_silences_and_a_long_input_shows_time_and_memory() {
    let folder = folder();
    let mut t = start(folder.path());
    assert_eq!(output(&mut t, "40 + 2"), "42");
    assert_eq!(output(&mut t, "ans + 1;"), "");
    assert_eq!(output(&mut t, "ans"), "43");
    assert_eq!(output(&mut t, "\"text\""), "\"text\"");
    let shown = output(&mut t, "let since = timestamp(); while since.elapsed < 1.1 { }");
    let (seconds, memory) = shown.trim_matches(['(', ')']).split_once(" s, ").unwrap();
    assert!(seconds.parse::<f64>().unwrap() >= 1.1, "{shown}");
    let memory = memory.strip_suffix(" GB in use").unwrap();
    assert!(memory.parse::<f64>().unwrap() < 10.0, "{shown}");
    assert_eq!(output(&mut t, "let short = 1"), "");
}

/// What is typed while something runs is drawn once, not anew for every letter.
#[test]
fn what_is_typed_ahead_is_drawn_once() {
    let folder = folder();
    let mut t = start_with(folder.path(), &[], &[("TERM", "xterm-256color")]);
    t.send_line("sleep(1)").unwrap();
    t.expect(READ).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let commands = [
        "let a = tensor::full([2, 3], 1.5).softmax(#{ temperature: 0.5, dim: 1 }).sum();",
        "let run = |x| train::pretrain(a, a, #{ steps: 100, batch_size: 8, optimizer: #{ lr: 0.1 } });",
        "print(`${a.shape} ${40 + 2}`)",
    ];
    t.send(format!("{}\r", commands.join("\r"))).unwrap();
    let seen = t.expect("[] 42").unwrap();
    let drawn = seen.before().len();
    assert!(
        drawn < 2500,
        "{drawn} bytes: {}",
        String::from_utf8_lossy(seen.before())
    );
    t.expect("[5]>").unwrap();
    // afterwards hints and colours are there again
    t.send("tensor::full(").unwrap();
    t.expect("value: Tensor or float").unwrap();
}

#[test]
fn a_long_paste_is_one_input() {
    let folder = folder();
    let mut t = start(folder.path());
    let mut script = String::from("fn add(a, b) {\n    a + b\n}\nlet total = 0;\n");
    for i in 0..300 {
        script.push_str(&format!("total = add(total, {i}); // line {i}\n"));
    }
    script.push_str("print(`total is ${total}`);");
    t.send(format!("\x1b[200~{script}\x1b[201~")).unwrap();
    t.send("\r").unwrap();
    t.expect("total is 44850").unwrap(); // 299 * 300 / 2
    t.expect("[2]>").unwrap();
}

#[test]
fn tab_knows_results_variables_keys_and_files() {
    let folder = folder();
    std::fs::write(folder.path().join("weights.npy"), "").unwrap();
    let mut t = start(folder.path());
    enter(&mut t, "let scenes = data::scenes(#{ count: 2, size: [32, 32] })", "");
    enter(&mut t, "let batch = #{ images: tensor::ones([1, 2]), count: 3 }", "");
    std::fs::write(folder.path().join("helper.rhai"), "fn double(x) { 2 * x }").unwrap();
    enter(&mut t, "import \"helper\" as helper; let rows = [#{ loss: 1 }];", "");
    enter(&mut t, "fn own_loss(x) { helper::double(x) }", "");
    for (typed, completed) in [
        ("scenes.train.class_na", "class_names"),
        ("scenes.take(1).class_na", "class_names"),
        ("batch.ima", "images"),
        ("batch.images.softm", "softmax"),
        ("sce", "scenes"),
        ("tens", "tensor::"),
        ("train::pretrain(net, scenes, #{ batch_s", "batch_size: "),
        ("train::pretrain(net, scenes, #{ loss: #{ temp", "temperature: "),
        ("train::pretrain(net, scenes, #{ augment: #{ cr", "crop: "),
        ("scenes.batches(#{ distort: #{ bri", "brightness: "),
        ("tensor::load(\"wei", "weights.npy"),
        ("%his", "%history"),
        ("scenes.get(0).ima", "image"),
        ("rows[0].los", "loss"),
        ("`${batch.images.softm", "softmax"),
        ("helper::dou", "double"),
        ("own_l", "own_loss"),
    ] {
        t.send(format!("{typed}\t")).unwrap();
        t.expect(completed).unwrap_or_else(|e| panic!("{typed}: {e}"));
        t.send("\x15").unwrap();
    }
}

#[test]
fn a_saved_session_is_a_script_that_runs() {
    let folder = folder();
    let mut t = start(folder.path());
    std::fs::write(folder.path().join("more.rhai"), "let from_file = 4;").unwrap();
    for (line, output) in [
        ("fn twice(x) { x + x + x }", ""),
        ("fn twice(x) { 2 * x }", ""),
        ("let f = |x| { twice(x) }", ""),
        ("let wrong = missing", "error"),
        ("40 + 1 // the answer, nearly", "\n41"),
        ("let b = ans + 1 // and this", ""),
        ("%run more.rhai", ""),
        ("%time b + from_file", "ms"),
        ("print(`result ${f.call(b) + from_file}`)", "result 88"),
        ("%save session.rhai", "session.rhai"),
    ] {
        enter(&mut t, line, output);
    }
    t.send("\x04").unwrap();
    t.expect(Eof).unwrap();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_seglab"))
        .args(["run", "session.rhai"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && text == "result 88\n",
        "{text}{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

#[test]
fn edit_runs_what_the_editor_leaves() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let editor = folder.path().join("editor");
    std::fs::write(&editor, "#!/bin/sh\nsed -i 's/1000/2000/' \"$2\"\n").unwrap();
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    let command = format!("{} --wait", editor.display());
    let mut t = start_with(folder.path(), &[], &[("NO_COLOR", "1"), ("EDITOR", &command)]);
    enter(&mut t, "1000 + 1", "\n1001");
    enter(&mut t, "%edit", "\n2001");
}

#[test]
fn show_draws_where_the_terminal_can() {
    let sample = "let s = data::scenes(#{ count: 1, size: [8, 10] }); let i = s.get(0);";
    let folder = folder();
    let mut t = start(folder.path());
    enter(&mut t, sample, "");
    enter(&mut t, "show(i.image)", "image 10 x 8 (width x height): runs/");
    enter(&mut t, "show(i.labels, s)", "show-2.png");
    enter(&mut t, "show(7)", "draws an image, a label map or a figure");
    for (environment, start_of_drawing) in [
        (("COLORTERM", "truecolor"), "\u{1b}[38;2;"),
        (("TERM", "xterm-256color"), "\u{1b}[38;5;"),
        (("TERM", "xterm-kitty"), "\u{1b}_Ga=T,f=100"),
        (("TERM_PROGRAM", "iTerm.app"), "\u{1b}]1337;File=inline=1"),
    ] {
        let mut t = start_with(folder.path(), &[], &[environment]);
        t.send_line(sample).unwrap();
        t.expect("[2]>").unwrap();
        for drawn in [
            "show(i.image)",
            "show(i.labels, s)",
            "show(plot::figure().line([1, 2], [1, 2]))",
        ] {
            t.send_line(drawn).unwrap();
            t.expect(start_of_drawing)
                .unwrap_or_else(|e| panic!("{environment:?} {drawn}: {e}"));
        }
    }
}

#[test]
fn a_sandboxed_repl_refuses_and_goes_on() {
    let folder = folder();
    let mut t = start_with(
        folder.path(),
        &["repl", "--sandbox", "--max-operations", "10000"],
        &[("NO_COLOR", "1")],
    );
    enter(&mut t, "let kept = 3", "");
    enter(&mut t, "loop { }", "--max-operations");
    enter(&mut t, "tensor::load(\"/etc/x.npy\")", "--allow");
    enter(&mut t, "kept", "\n3");
}

/// Bars: the prompt within 50 ms, a key within 10 ms with a session of 1000 inputs behind it. Medians, because the tests share
/// the machine with others; the test prints them (`--nocapture`).
#[test]
fn the_prompt_and_the_keys_come_at_once() {
    let folder = folder();
    let state = folder.path().join("state/seglab");
    std::fs::create_dir_all(&state).unwrap();
    let history: String = (0..1000)
        .map(|i| format!("let past_{i} = tensor::zeros([{i}])\n"))
        .collect();
    std::fs::write(state.join("history.txt"), format!("#V2\n{history}")).unwrap();
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    // from a shell, as a person starts it
    let mut shell = shell(folder.path());
    let mut begin = || {
        shell.send_line(env!("CARGO_BIN_EXE_seglab")).unwrap();
        let begun = Instant::now();
        shell.expect("[1]> ").unwrap();
        let elapsed = begun.elapsed();
        shell.send_line("%quit").unwrap();
        shell.expect("shell$").unwrap();
        elapsed
    };
    let prompt = median((0..9).map(|_| begin()).collect());
    // with colours, where every key draws the whole line again
    let mut t = start_with(folder.path(), &[], &[("TERM", "xterm-256color")]);
    for i in 0..1000 {
        t.send_line(format!("let v{i} = tensor::zeros([2, 3]);")).unwrap();
        t.expect(format!("[{}]>", i + 2)).unwrap();
    }
    t.send("train::pretrain(v1, v2, #{ loss: #{ temperature: 0.1, ")
        .unwrap();
    t.expect("resize: ()").unwrap();
    // none of these letters stands in what the terminal is told between the words
    let mut keys = Vec::new();
    for end in 1..=9 {
        let word = &"zqxjvywgo"[..end];
        let pressed = Instant::now();
        t.send(&word[end - 1..]).unwrap();
        t.expect(word).unwrap();
        keys.push(pressed.elapsed());
    }
    let key = median(keys);
    println!("prompt {prompt:?}, key {key:?}");
    assert!(prompt < Duration::from_millis(50), "{prompt:?}");
    assert!(key < Duration::from_millis(10), "{key:?}");
}
