//! A process that must end: by a signal, by exit(status), because nobody takes its output.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod program;
mod terminal;

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use expectrl::Expect;
use program::{START, code, err, out, program, script, signal, start, started};

/// Trainings without end that print a line at their first step.
fn trainings() -> [String; 3] {
    let on = "on_step: |e| { if e.step == 0 { print(\"on\"); } }";
    [
        format!("train::pretrain(net, d, #{{ steps: 100000, batch_size: 2, {on} }})"),
        format!("train::finetune(net, d, #{{ steps: 100000, batch_size: 2, {on} }})"),
        format!(
            "train::fit(net, d, |m, b| m.forward(b.images).sqr().mean(), #{{ steps: 100000, batch_size: 2, {on} }})"
        ),
    ]
}

#[test]
fn a_signal_ends_training_with_a_checkpoint_and_its_status() {
    for (name, status) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        for training in trainings() {
            let folder = terminal::folder();
            let running = start(
                folder.path(),
                &format!("{START}{training}; print(\"after\");"),
                &["--out", "out"],
            );
            running.signal(name);
            let (found, text, errors) = running.end();
            assert_eq!(found, Some(status), "{training}: {text}{errors}");
            assert!(!text.contains("after"), "{text}");
            let path = text.split('"').nth(1).unwrap_or_else(|| panic!("{text}"));
            let loss = "|m, b| m.forward(b.images).sqr().mean()";
            let on = format!(
                "{START}let r = train::load({path:?}, #{{ data: d, loss: {loss} }}); let at = r.step; r.advance(1); print(r.step - at);"
            );
            let again = script(folder.path(), &on, &["--out", "other"]);
            assert_eq!(out(&again), "1\n", "{}", err(&again));
        }
    }
}

#[test]
fn a_signal_ends_anything_else_at_once() {
    for work in [
        "loop { }",
        "let s = data::scenes(#{ count: 100000, size: [64, 64] }); for b in s.batches(#{ size: 8 }) { }",
        "for i in 0..100000 { eval::segmentation(net, d); }",
        "try { loop { } } catch { print(\"caught\"); }",
        "loop { tensor::randn([500, 500]).matmul(tensor::randn([500, 500])); }",
    ] {
        let folder = terminal::folder();
        let running = start(
            folder.path(),
            &format!("{START}print(\"on\"); {work}; print(\"after\");"),
            &[],
        );
        std::thread::sleep(Duration::from_millis(100));
        let sent = Instant::now();
        running.signal("TERM");
        let (status, text, errors) = running.end();
        assert_eq!((status, text.as_str(), errors.as_str()), (Some(143), "", ""), "{work}");
        assert!(sent.elapsed() < Duration::from_secs(5), "{work}: {:?}", sent.elapsed());
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let folder = terminal::folder();
    std::fs::write(
        folder.path().join("a.rhai"),
        "print(\"on\"); for i in 0..40 { sleep(0.05); } print(\"done\");",
    )
    .unwrap();
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "trap '' HUP; exec \"$0\" run a.rhai",
            env!("CARGO_BIN_EXE_seglab"),
        ])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let running = started(command);
    running.signal("HUP");
    assert_eq!(running.end(), (Some(0), "done\n".into(), String::new()));
}

#[test]
fn the_prompt_ends_at_once_and_leaves_the_terminal_in_order() {
    for (name, status) in [("TERM", 143), ("HUP", 129)] {
        let folder = terminal::folder();
        let mut shell = terminal::shell(folder.path());
        shell.send_line(env!("CARGO_BIN_EXE_seglab")).unwrap();
        shell.expect("[1]>").unwrap();
        shell.send_line("let a = 1; print(\"pro\" + \"cess\")").unwrap();
        shell.expect("process").unwrap();
        shell.expect("[2]>").unwrap();
        let own = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let path = entry.ok()?.path();
            let here = std::fs::read_link(path.join("cwd")).ok()? == folder.path().canonicalize().ok()?;
            let ours = std::fs::read_link(path.join("exe")).ok()?.ends_with("seglab");
            (here && ours).then(|| path.file_name()?.to_str()?.parse::<u32>().ok())?
        });
        let own: Vec<u32> = own.collect();
        assert_eq!(own.len(), 1);
        signal(own[0], name);
        shell.expect("shell$").unwrap();
        shell.send_line("echo status $?; stty").unwrap();
        shell.expect(format!("status {status}")).unwrap();
        let settings = shell.expect("shell$").unwrap();
        let settings = String::from_utf8_lossy(settings.before()).into_owned();
        assert!(
            !settings.contains("-icanon") && !settings.contains("-isig"),
            "{settings}"
        );
    }
}

/// The REPL in a terminal that is closed while it trains: the kernel sends SIGHUP, and nothing can be written any more. Or nobody reads
/// the terminal, which stops whoever writes, and the program is told to end.
#[test]
fn a_terminal_that_closes_leaves_a_checkpoint() {
    at_a_terminal(129, |_, master| {
        drop(master);
        None
    });
}

#[test]
fn a_terminal_that_stalls_leaves_a_checkpoint() {
    at_a_terminal(143, |process, master| {
        std::thread::sleep(Duration::from_secs(5));
        signal(process, "TERM");
        Some(master)
    });
}

/// Train at a terminal's prompt; `end` gets the process and the other side of the terminal, and answers it if it stays open.
fn at_a_terminal(status: i32, end: impl FnOnce(u32, File) -> Option<File>) {
    let folder = terminal::folder();
    let pair = nix::pty::openpty(None, None).unwrap();
    // copies, which unlike the originals are closed in the program
    let [mut master, slave] = [pair.master, pair.slave].map(|end| File::from(end.try_clone().unwrap()));
    let side = || Stdio::from(slave.try_clone().unwrap());
    let mut command = Command::new("setsid");
    command
        .args(["--ctty", env!("CARGO_BIN_EXE_seglab"), "--out", "out"])
        .current_dir(folder.path())
        .env("TERM", "xterm")
        .env("XDG_STATE_HOME", folder.path().join("state"))
        .stdin(side())
        .stdout(side())
        .stderr(side());
    let mut child = command.spawn().unwrap();
    drop(command);
    drop(slave);
    let mut seen = String::new();
    let mut read_until = |master: &mut File, mark: &str| {
        let mut bytes = [0; 4096];
        while !seen.contains(mark) {
            let n = master.read(&mut bytes).unwrap();
            seen.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
        seen.clear();
    };
    read_until(&mut master, "[1]>");
    for line in START.lines() {
        master.write_all(format!("{line}\r").as_bytes()).unwrap();
    }
    master
        .write_all(b"let run = train::finetune(net, d, #{ steps: 100000, batch_size: 2 })\r")
        .unwrap();
    read_until(&mut master, "left loss");
    let open = end(child.id(), master);
    let waited = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if waited.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("it does not end with {status}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(open);
    assert_eq!(child.wait().unwrap().code(), Some(status));
    let on = format!("{START}print(train::load(\"out/finetune/last.safetensors\", #{{ data: d }}).step > 0);");
    let again = script(folder.path(), &on, &[]);
    assert_eq!(out(&again), "true\n", "{}", err(&again));
    let record = std::fs::read_to_string(folder.path().join("out/finetune/config.json")).unwrap();
    assert!(
        record.contains("let run = train::finetune"),
        "the inputs are the script: {record}"
    );
}

#[test]
fn a_script_chooses_its_status() {
    for (text, status) in [
        ("exit(3); print(\"after\");", 3),
        ("exit(); print(\"after\");", 0),
        (
            "fn f() { exit(4) } try { [1].map(|x| f()); } catch { print(\"caught\"); } print(\"after\");",
            4,
        ),
        ("exit(300)", 1),
        ("exit(-1)", 1),
    ] {
        let folder = terminal::folder();
        let o = script(folder.path(), text, &[]);
        assert_eq!((code(&o), out(&o).as_str()), (status, ""), "{text}: {}", err(&o));
        assert_eq!(err(&o).contains("from 0 to 255"), status == 1, "{}", err(&o));
    }
    let folder = terminal::folder();
    let stop = "train::finetune(net, d, #{ steps: 9, batch_size: 2, on_step: |e| if e.step == 2 { exit(5) } });";
    let o = script(folder.path(), &format!("{START}{stop}"), &["--out", "out"]);
    assert_eq!(code(&o), 5, "{}", err(&o));
    assert!(folder.path().join("out/finetune/last.safetensors").exists());
}

#[test]
fn exit_ends_the_prompt_but_not_that_which_runs_a_script() {
    let folder = terminal::folder();
    std::fs::write(folder.path().join("a.rhai"), "let x = 7; exit(3); x = 8;").unwrap();
    let mut shell = terminal::shell(folder.path());
    shell.send_line(env!("CARGO_BIN_EXE_seglab")).unwrap();
    shell.expect("[1]>").unwrap();
    shell.send_line("%run a.rhai").unwrap();
    shell.expect("exit(3)").unwrap();
    shell.expect("[2]>").unwrap();
    shell.send_line("exit(6)").unwrap();
    shell.expect("shell$").unwrap();
    shell.send_line("echo status $?").unwrap();
    shell.expect("status 6").unwrap();
}

#[test]
fn output_that_nobody_takes_ends_the_program() {
    let folder = terminal::folder();
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    std::fs::write(folder.path().join("p.rhai"), "loop { print(\"line\"); }").unwrap();
    for arguments in [
        &["run", "p.rhai"][..],
        &["run", "p.rhai", "--quiet"],
        &["reference"],
        &["help"],
        &["info"],
    ] {
        let o = program(folder.path(), arguments).stdout(full()).output().unwrap();
        assert_eq!(code(&o), 1, "{arguments:?}");
        assert!(
            err(&o).starts_with("error: standard output cannot be written"),
            "{}",
            err(&o)
        );
        // closed before the program starts: a short answer would be written before a later end
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let o = program(folder.path(), arguments).stdout(writer).output().unwrap();
        assert_eq!((code(&o), err(&o).as_str()), (141, ""), "{arguments:?}");
    }
    // a training whose output ends keeps a checkpoint
    let text =
        format!("{START}train::finetune(net, d, #{{ steps: 100000, batch_size: 2, on_step: |e| print(e.step) }});");
    let mut running = start(folder.path(), &text, &["--out", "out"]);
    running.close();
    assert_eq!(running.child.wait().unwrap().code(), Some(141));
    assert!(folder.path().join("out/finetune/last.safetensors").exists());
}
