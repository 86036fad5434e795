//! What helps while typing and between inputs, through a real pseudo-terminal: colours, hints, help, commands.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod terminal;

use expectrl::Expect;
use terminal::{enter, folder, network, output, start, start_with};

#[test]
fn what_is_typed_is_coloured() {
    let folder = folder();
    let mut t = start_with(folder.path(), &[], &[("TERM", "xterm-256color")]);
    for (typed, coloured) in [
        ("let a = ", "\u{1b}[35mlet\u{1b}[0m"),
        ("\"text\" ", "\u{1b}[32m\"text\"\u{1b}[0m"),
        ("+ 12 ", "\u{1b}[36m12\u{1b}[0m"),
        ("+ tensor::", "\u{1b}[33mtensor\u{1b}[0m"),
        ("ones(2", "\u{1b}[34mones\u{1b}[0m"),
        (")", "\u{1b}[1;4m(\u{1b}[0m"),
        (" // so", "\u{1b}[2m// so\u{1b}[0m"),
    ] {
        t.send(typed).unwrap();
        t.expect(coloured).unwrap_or_else(|e| panic!("{typed}: {e}"));
    }
    let mut plain = start(folder.path());
    plain.send_line("let a = \"text\" + 12").unwrap();
    plain.send_line("a").unwrap();
    let seen = plain.expect("\"text12\"").unwrap();
    let seen = String::from_utf8_lossy(seen.before()).into_owned();
    assert!(!seen.contains("\u{1b}[3"), "{seen:?}");
}

#[test]
fn hints_follow_the_typing() {
    let folder = folder();
    let mut t = start(folder.path());
    enter(&mut t, "let t = tensor::ones([2, 3]);", "");
    for (typed, hint) in [
        (
            "t.softmax(",
            "tensor.softmax(dim: int = -1, temperature: float = 1.0) -> Tensor",
        ),
        ("tensor::full([2], t.sum(", "tensor.sum(dim: "),
        (
            "train::pretrain(n, d, #{ ",
            "train::pretrain(model: Model, data: Dataset",
        ),
        (
            "train::pretrain(n, d, #{ augment: #{ ",
            "augment: #{ scale: (), crop: (), flip: 0.0 }",
        ),
        (
            "train::pretrain(n, d, #{ loss: #{ temperature: 0.1, ",
            "loss: #{ variant: \"within_image\", temperature: 0.07",
        ),
    ] {
        t.send(typed).unwrap();
        t.expect(hint).unwrap_or_else(|e| panic!("{typed}: {e}"));
        t.send("\x15").unwrap();
    }
}

#[test]
fn help_tells_text_arguments_defaults_and_example() {
    let folder = folder();
    let mut t = start(folder.path());
    for question in ["help(\"softmax\")", "softmax?", "Tensor.softmax?"] {
        let text = output(&mut t, question);
        for part in [
            "tensor.softmax(dim: int = -1, temperature: float = 1.0) -> Tensor",
            "Softmax over `dim`, after division by `temperature`.",
            "temperature: float = 1.0",
            "example:",
            "assert_close(p.sum().item(), 1.0);",
        ] {
            assert!(text.contains(part), "{question}: {part} is not in\n{text}");
        }
    }
    let text = output(&mut t, "help(\"augment\")");
    for part in ["an option of ", "train::pretrain", "dataset.batches", "flip: 0.0"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(output(&mut t, "help(\"distort\")").contains("brightness: 0.8"));
    assert!(output(&mut t, "help()").contains("namespaces:"));
    let text = output(&mut t, "apropos(\"contrastive\")");
    assert!(
        text.contains("loss::pixel_contrast") && text.contains("train::pretrain"),
        "{text}"
    );
    assert_eq!(output(&mut t, "apropos(\"wombat\")"), "nothing mentions `wombat`");
    assert!(output(&mut t, "tensor::randnn?").contains("did you mean `tensor::randn`?"));
    enter(&mut t, "let width = 12;", "");
    assert_eq!(output(&mut t, "width?"), "width: int\n12");
    let text = output(&mut t, "widht + 1");
    assert!(text.contains("did you mean `width`?") && text.contains("in["), "{text}");
}

#[test]
fn values_are_shown_as_what_they_are() {
    let folder = folder();
    let mut t = start(folder.path());
    network(&mut t);
    let shown = output(&mut t, "tensor::arange(6).reshape([2, 3])");
    assert!(
        shown.contains("[3, 4, 5]]") && shown.contains("Tensor i64 [2, 3] cpu, min 0, mean 2.500, max 5"),
        "{shown}"
    );
    let shown = output(&mut t, "net");
    assert!(shown.contains("parameters") && shown.contains("encoder"), "{shown}");
    let shown = output(&mut t, "data");
    assert!(shown.contains("road") && shown.contains('%'), "{shown}");
    enter(
        &mut t,
        "let run = train::finetune(net, data, #{ steps: 3, batch_size: 2 }); let score = eval::segmentation(net, data);",
        "",
    );
    let shown = output(&mut t, "run");
    assert!(
        shown.contains("finetune: done, step 3 of 3, loss ") && shown.contains('\u{2581}'),
        "{shown}"
    );
    let shown = output(&mut t, "score");
    assert!(shown.contains("mIoU") && shown.contains("road"), "{shown}");
    let shown = output(&mut t, "whos()");
    for part in [
        "name", "type", "shape", "dtype", "device", "bytes", "net", "Model", "score", "Score",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    assert_eq!(output(&mut t, "%whos"), shown);
    let model = shown.lines().find(|l| l.starts_with("net ")).unwrap();
    let bytes: usize = model.split_whitespace().last().unwrap().parse().unwrap();
    // 11.2 million parameters of ResNet-18 at 4 bytes, and some for the decoder
    assert!((44_000_000..60_000_000).contains(&bytes), "{model}");
    assert!(shown.find("\ndata ") < shown.find("\nnet "), "{shown}");
}

#[test]
fn commands_do_what_help_says() {
    let folder = folder();
    let mut t = start(folder.path());
    enter(&mut t, "let a = 7", "");
    enter(&mut t, "let b = missing", "error");
    let shown = output(&mut t, "%history");
    assert!(
        shown.contains("[1] let a = 7") && shown.contains("[2] let b = missing   // failed"),
        "{shown}"
    );
    let shown = output(&mut t, "%help");
    for name in [
        "help",
        "whos",
        "history",
        "save FILE",
        "run FILE",
        "time EXPR",
        "reset",
        "edit",
        "quit",
    ] {
        assert!(shown.contains(&format!("%{name} ")), "%{name} is not in\n{shown}");
    }
    for key in ["name?", "ans", ";", "TAB", "Ctrl-C", "Ctrl-R"] {
        assert!(shown.contains(key), "{key} is not in\n{shown}");
    }
    let shown = output(&mut t, "%time a * 6");
    assert!(shown.starts_with("42") && shown.ends_with(" ms"), "{shown}");
    std::fs::write(folder.path().join("more.rhai"), "let c = 5;\nc * 2").unwrap();
    assert_eq!(output(&mut t, "%run more.rhai"), "10");
    assert_eq!(output(&mut t, "c + a"), "12");
    assert!(output(&mut t, "%run nowhere.rhai").contains("there is no such file"));
    assert_eq!(output(&mut t, "%reset"), "");
    assert!(output(&mut t, "a").contains("there is no variable `a`"));
}

#[test]
fn commands_stay_in_the_sandbox() {
    let folder = folder();
    let mut t = start_with(folder.path(), &["repl", "--sandbox"], &[("NO_COLOR", "1")]);
    enter(&mut t, "let a = 7", "");
    enter(&mut t, "%save inside.rhai", "in inside.rhai");
    assert!(output(&mut t, "%save ../outside.rhai").contains("--allow"));
    assert!(output(&mut t, "%run /etc/hostname").contains("--allow"));
    assert!(output(&mut t, "%edit").contains("outside of the sandbox"));
    assert!(!folder.path().join("../outside.rhai").exists());
}
