//! Inputs: calls from the function table, tokens in any order, known scripts with wounds.

use seglab::random::Random;
use seglab::script::Table;
use seglab::script::table::{Entry, Kind};

use super::values::{TENSORS, any, arguments, pick, value};

/// How often an argument of a random call is anything at all.
const HOSTILE: f64 = 0.3;

/// Whether one call may train, draw or read pictures: these come rarely, to keep the test short.
fn heavy(entry: &Entry) -> bool {
    ["train", "eval", "plot", "model", "data"].contains(&entry.namespace)
        || ["Run", "Model", "Dataset"].contains(&entry.receiver)
        || entry.receiver == "Figure" && entry.name == "save"
}

/// A call of a function of the table; `hostile` is how often an argument is anything at all instead of its declared type.
pub(crate) fn call(random: &mut Random, table: &Table, hostile: f64) -> String {
    let entry = loop {
        let entry = &table.entries[random.below(table.entries.len())];
        if entry.body.is_some() && (!heavy(entry) || random.chance(0.12)) {
            break entry;
        }
    };
    let receiver = match entry.receiver {
        "array" => value(random, "[float]", "", hostile),
        other => value(random, other, "", hostile),
    };
    let text = arguments(random, entry.arguments(), hostile);
    match entry.kind {
        Kind::Setter => format!("({receiver}).{} = {text}", entry.name),
        Kind::Getter => format!("({receiver}).{}", entry.name),
        _ if entry.receiver.is_empty() => format!("{}({text})", entry.full_name()),
        _ => format!("({receiver}).{}({text})", entry.name),
    }
}

/// A small expression or statement around calls.
pub(crate) fn grammar(random: &mut Random, table: &Table) -> String {
    let operators = [
        "+", "-", "*", "/", "**", "%", "<", ">=", "==", "!=", "&&", "in", "<<", "..", "??",
    ];
    let a = call(random, table, HOSTILE);
    match random.below(14) {
        0 => format!("{a} {} {}", pick(random, &operators), any(random)),
        1 => format!("{} {} {}", any(random), pick(random, &operators), any(random)),
        2 => format!("({a})[{}]", any(random)),
        3 => format!("({})[[{}, {}]]", pick(random, TENSORS), any(random), any(random)),
        4 => format!("let x = {a}; for i in x {{ i; }} print(x); x = {}; x", any(random)),
        5 => format!(
            "let x = {a}; x.{} = {}",
            pick(random, &["shape", "lr", "a", "training"]),
            any(random)
        ),
        6 => format!("let x = {a}; print(`${{x}}`); debug([x, #{{ x: x }}]); x.to_string()"),
        7 => format!("[{a}, {}].map(|x| {})", any(random), call(random, table, HOSTILE)),
        8 => format!("tensor::no_grad(|| {a})"),
        _ => a,
    }
}

/// Tokens in any order, or one of the shapes that break parsers.
pub(crate) fn tokens(random: &mut Random, table: &Table) -> String {
    let vocabulary = [
        "let ",
        "x",
        "fn ",
        "f",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "#{",
        ":",
        ";",
        ",",
        ".",
        "::",
        "=",
        "==",
        "+=",
        "+",
        "-",
        "**",
        "|x|",
        "||",
        "if ",
        "else ",
        "for ",
        "in ",
        "while ",
        "loop ",
        "break",
        "return ",
        "throw ",
        "try ",
        "catch ",
        "switch ",
        "=>",
        "`",
        "${",
        "\"",
        "'",
        "//",
        "/*",
        "*/",
        "\n",
        "1",
        "0x",
        "1e9",
        "1e",
        "..",
        "..=",
        "?.",
        "??",
        "import ",
        "as ",
        "const ",
        "global::",
        "this",
        "eval",
        "whos()",
        "\\",
        "\0",
        "\u{e9}",
        "\u{1f600}",
        "#!",
        "tensor::",
        "_",
        "@",
        "$",
        "t[",
        "t.",
        "print(",
    ];
    if random.chance(0.03) {
        let n = [10, 100, 1000, 20_000][random.below(4)];
        let unit = pick(
            random,
            &[
                "(",
                "[",
                "#{a:",
                "{",
                "-",
                "!",
                "if true {",
                "|x| ",
                "x.",
                "1+",
                "`${",
                "f(",
                "t[",
                "/*",
                "x = ",
                "((",
                "fn f(x) {",
            ],
        );
        return unit.repeat(n);
    }
    (0..1 + random.below(14))
        .map(|_| {
            if random.chance(0.1) {
                call(random, table, HOSTILE)
            } else {
                pick(random, &vocabulary).to_string()
            }
        })
        .collect()
}

/// A known script with a few wounds.
pub(crate) fn mutated(random: &mut Random, seeds: &[String]) -> String {
    let mut pieces: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in seeds[random.below(seeds.len())].chars() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            pieces.push(std::mem::take(&mut word));
        }
        pieces.push(c.to_string());
    }
    pieces.push(word);
    for _ in 0..1 + random.below(3) {
        let at = random.below(pieces.len().max(1));
        let number = pieces
            .get(at)
            .is_some_and(|p| p.starts_with(|c: char| c.is_ascii_digit()));
        match random.below(6) {
            0 if pieces.len() > 1 => drop(pieces.remove(at)),
            1 => pieces.insert(at, any(random)),
            2 => {
                let other = random.below(pieces.len());
                pieces.swap(at, other);
            }
            3 => pieces.truncate(at + 1),
            4 => pieces.insert(
                at,
                pick(random, &["(", "}", ",", ";", "\"", ".", "::", "`", "\n"]).to_string(),
            ),
            _ if number => {
                pieces[at] = pick(random, &["0", "-1", "1 << 40", "9223372036854775807", "0.5", "()"]).to_string()
            }
            _ => pieces[at] = any(random),
        }
    }
    pieces.concat()
}
