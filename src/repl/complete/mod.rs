//! While typing: completion, the signature hint, colours, and whether an input is complete.
//!
//! `mod.rs` says what could stand at the cursor, `infer` what an expression is without running it, `options` which options the
//! call being typed takes, `typing` answers the line editor.

mod infer;
mod options;
mod typing;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

pub use infer::Variable;

use super::commands::COMMANDS;
use crate::script::pieces::{KEYWORDS, Kind, pieces};
use crate::script::{Engine, Table};

/// What the session has made so far.
#[derive(Default)]
pub struct Known {
    /// Its variables.
    pub variables: Vec<Variable>,
    /// Its functions.
    pub functions: Vec<String>,
    /// The modules it imported, with the names of their functions.
    pub modules: Vec<(String, Vec<String>)>,
}

/// What helps while typing.
pub struct Assistant {
    table: Rc<Table>,
    known: Rc<RefCell<Known>>,
    parser: Engine,
    colour: bool,
    /// Bytes that were typed before the prompt came.
    ahead: Rc<Cell<usize>>,
    /// The bracket that is drawn as the partner of the one at the cursor.
    marked: Cell<Option<usize>>,
}

impl Assistant {
    /// An assistant that knows `table`.
    pub fn new(table: Rc<Table>, colour: bool) -> Self {
        Assistant {
            table,
            known: Rc::default(),
            parser: crate::script::engine::parser(),
            colour,
            ahead: Rc::default(),
            marked: Cell::default(),
        }
    }

    /// How many bytes were typed before the prompt came, to be kept up to date by the owner.
    pub fn ahead(&self) -> &Rc<Cell<usize>> {
        &self.ahead
    }

    /// What the session has made, to be kept up to date by the owner.
    pub fn known(&self) -> &Rc<RefCell<Known>> {
        &self.known
    }

    /// Where the word before `pos` starts, and what could stand there.
    pub fn candidates(&self, line: &str, pos: usize) -> (usize, Vec<String>) {
        let before = &line[..pos];
        if let Some(open) = pieces(before).last().filter(|p| p.kind == Kind::Text && (p.open)) {
            let start = open.start + 1;
            let names = self.choices(&before[..open.start]).into_iter().map(String::from);
            let named = matching(names, &before[start..]);
            return if named.is_empty() {
                files(before, start)
            } else {
                (start, named)
            };
        }
        if before.trim_start().starts_with('%') && !before.trim_start().contains(' ') {
            let start = before.find('%').unwrap_or(0);
            return (
                start,
                matching(COMMANDS.iter().map(|c| format!("%{}", c.name)), &before[start..]),
            );
        }
        if let Some(rest) = before.trim_start().strip_prefix('%')
            && ["run", "save"].iter().any(|c| rest.starts_with(c))
        {
            return files(before, before.rfind(' ').map_or(0, |i| i + 1));
        }
        let start = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
        let (head, word) = before.split_at(start);
        if let Some(space) = head.strip_suffix("::") {
            let space = last_word(space);
            let declared = self.table.functions_of(space).map(|e| e.name.to_string());
            let known = self.known.borrow();
            let modules = known.modules.iter().filter(|(name, _)| name == space);
            let imported = modules.flat_map(|(_, functions)| functions.clone());
            return (start, matching(declared.chain(imported), word));
        }
        if let Some(owner) = head.strip_suffix('.') {
            return (start, matching(self.members(owner).into_iter(), word));
        }
        if let Some(options) = self.options(head) {
            return (start, matching(options.into_iter().map(|o| format!("{o}: ")), word));
        }
        if word.is_empty() {
            return (start, Vec::new());
        }
        let known = self.known.borrow();
        let names = known.variables.iter().map(|v| v.name.clone());
        let names = names.chain(known.functions.iter().cloned());
        let names = names.chain(known.modules.iter().map(|(name, _)| format!("{name}::")));
        let functions = self.table.functions_of("").map(|e| e.name.to_string());
        let spaces = self.table.namespaces.iter().map(|(n, _)| format!("{n}::"));
        let words = KEYWORDS.iter().map(ToString::to_string);
        let mut found = matching(names.chain(functions).chain(spaces).chain(words), word);
        found.dedup();
        (start, found)
    }
}

/// The names that begin with `word`, sorted.
fn matching(names: impl Iterator<Item = String>, word: &str) -> Vec<String> {
    let mut found: Vec<String> = names.filter(|n| n.starts_with(word) && !n.contains("$")).collect();
    found.sort();
    found.dedup();
    found
}

/// The name at the end of the text.
fn last_word(text: &str) -> &str {
    let start = text.rfind(|c: char| !c.is_alphanumeric() && c != '_');
    match start {
        Some(i) => &text[i + text[i..].chars().next().map_or(1, char::len_utf8)..],
        None => text,
    }
}

/// Files and folders that continue the path beginning at `start`.
fn files(before: &str, start: usize) -> (usize, Vec<String>) {
    let path = &before[start..];
    let (folder, word) = match path.rfind('/') {
        Some(i) => path.split_at(i + 1),
        None => ("", path),
    };
    let listed = std::fs::read_dir(if folder.is_empty() { "." } else { folder });
    let names = listed.into_iter().flatten().flatten().map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            format!("{name}/")
        } else {
            name
        }
    });
    let found = matching(names.filter(|n| word.starts_with('.') || !n.starts_with('.')), word);
    (start, found.into_iter().map(|n| format!("{folder}{n}")).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn assistant() -> Assistant {
        let a = Assistant::new(Rc::new(crate::script::api::table()), false);
        let named = |name: &str, value: Variable| Variable {
            name: name.into(),
            ..value
        };
        let batch = Variable {
            keys: vec![
                named("images", Variable::of("Tensor")),
                named("labels", Variable::of("Tensor")),
            ],
            ..Variable::of("map")
        };
        let rows = Variable {
            item: Some(Box::new(batch.clone())),
            ..Variable::of("array")
        };
        *a.known.borrow_mut() = Known {
            variables: vec![
                named("weights", Variable::of("Tensor")),
                named("batch", batch),
                named("rows", rows),
                named("scenes", Variable::of("Dataset")),
            ],
            functions: vec!["own_loss".into()],
            modules: vec![("helper".into(), vec!["double".into()])],
        };
        a
    }

    /// These names and the methods of this receiver.
    fn sorted(names: &[&str], receiver: &str) -> Vec<String> {
        let a = assistant();
        let methods = a.table.methods_of(receiver).map(|e| e.name.to_string());
        let mut all: Vec<String> = names.iter().map(ToString::to_string).chain(methods).collect();
        all.sort();
        all
    }

    fn complete(line: &str) -> Vec<String> {
        assistant().candidates(line, line.len()).1
    }

    #[test]
    fn names_methods_keys_options_and_files_are_completed() {
        assert_eq!(complete("tensor::zer"), ["zeros"]);
        assert_eq!(complete("tens"), ["tensor::"]);
        assert_eq!(complete("let x = weigh"), ["weights"]);
        assert_eq!(complete("weights.softm"), ["softmax"]);
        assert_eq!(complete("batch.im"), ["images"]);
        assert_eq!(complete("tensor::zeros([2]).resh"), ["reshape"]);
        assert_eq!(complete("weights.softmax(#{ temp"), ["temperature: "]);
        assert_eq!(complete("weights.softmax(#{ temperature: 1, "), ["dim: "]);
        assert_eq!(complete("tensor::load(\"Cargo.to"), ["Cargo.toml"]);
        assert_eq!(complete("%hi"), ["%history"]);
        // through properties, calls, keys, indices and what the same input defines
        assert_eq!(complete("scenes.train.class_na"), ["class_names"]);
        assert_eq!(complete("scenes.train.take(3).class_na"), ["class_names"]);
        assert_eq!(complete("batch.images.softm"), ["softmax"]);
        assert_eq!(complete("batch[\"images\"].softm"), ["softmax"]);
        assert_eq!(complete("weights[0].softm"), ["softmax"]);
        assert_eq!(complete("(weights).softm"), ["softmax"]);
        assert_eq!(complete("let w = tensor::zeros([2]); w.softm"), ["softmax"]);
        assert_eq!(complete("scenes.class_names.le"), ["len"]);
        assert_eq!(complete("scenes.get(0).im"), ["image"]);
        assert_eq!(complete("scenes.get(0)."), sorted(&["image", "labels", "name"], "map"));
        assert_eq!(complete("rows[0].labels.softm"), ["softmax"]);
        assert_eq!(complete("rows[i + 1].im"), ["images"]);
        assert_eq!(complete("`size ${weights.sha"), ["shape"]);
        assert_eq!(complete("`a ${1} size ${batch.images.sha"), ["shape"]);
        assert_eq!(complete("helper::"), ["double"]);
        assert_eq!(complete("own_"), ["own_loss"]);
        assert_eq!(complete("helpe"), ["helper::"]);
        assert_eq!(complete("batch.images.class_na"), [""; 0]);
        assert_eq!(complete("unknown.so"), [""; 0]);
        assert!(complete("weights.softmax(#{ temperature: tem").is_empty());
    }

    #[test]
    fn names_that_an_option_knows_are_completed() {
        assert_eq!(
            complete("model::unet(#{ classes: 3, encoder: \"resnet1"),
            ["resnet101", "resnet18"]
        );
        assert_eq!(complete("model::segformer(#{ encoder: \"mit_b5"), ["mit_b5"]);
        assert_eq!(complete("weights.resize([8, 8], #{ mode: \"n"), ["nearest"]);
        assert_eq!(
            complete("loss::pixel_contrast(a, b, c, #{ sampling: \"bo"),
            ["boundary"]
        );
        let pretrain = "train::pretrain(net, scenes, #{ ";
        let inside = |text: &str| complete(&format!("{pretrain}{text}"));
        assert_eq!(inside("schedule: \"co"), ["constant", "cosine"]);
        assert_eq!(inside("precision: \""), ["bf16", "f32"]);
        assert_eq!(inside("loss: #{ variant: \"sup"), ["supcon"]);
        assert_eq!(inside("loss: #{ key_sampling: \""), ["class_balanced", "uniform"]);
        assert_eq!(inside("optimizer: #{ name: \""), ["adamw", "sgd"]);
        assert_eq!(inside("schedule: #{ name: \"po"), ["poly"]);
        // where no names are known there may be a file
        assert_eq!(complete("data::folder(\"x\", #{ images: \"Cargo.to"), ["Cargo.toml"]);
        assert_eq!(complete("let a = \"Cargo.to"), ["Cargo.toml"]);
    }

    #[test]
    fn options_inside_options_are_completed() {
        let pretrain = "train::pretrain(net, scenes, #{ steps: 3, ";
        let inside = |text: &str| complete(&format!("{pretrain}{text}"));
        assert_eq!(inside("loss: #{ temp"), ["temperature: "]);
        assert_eq!(inside("loss: #{ variant: \"batch\", temp"), ["temperature: "]);
        assert_eq!(inside("loss: #{ temperature: 0.1, temp"), [""; 0]);
        assert_eq!(inside("loss: #{ memory: #{ mom"), ["momentum_encoder: "]);
        assert_eq!(inside("loss: #{ temperature: #{ lea"), ["learnable: "]);
        assert_eq!(inside("loss: #{ temperature: #{ schedule: #{ war"), ["warmup: "]);
        assert_eq!(inside("augment: #{ "), ["crop: ", "flip: ", "scale: "]);
        assert_eq!(inside("distort: #{ gr"), ["grey: "]);
        assert_eq!(inside("optimizer: #{ groups: [#{ pre"), ["prefix: "]);
        assert_eq!(inside("optimizer: #{ lr: 0.1 }, sched"), ["schedule: "]);
        assert_eq!(inside("schedule: #{ po"), ["power: "]);
        assert_eq!(inside("steps: #{ "), [""; 0]);
        // an argument given by position is not offered as an option again
        assert_eq!(inside("mo"), [""; 0]);
        assert_eq!(complete("train::pretrain(#{ mo"), ["model: "]);
        assert_eq!(
            complete("train::finetune(net, scenes, #{ loss: #{ lab"),
            ["label_smoothing: "]
        );
        assert_eq!(complete("scenes.batches(#{ augment: #{ fl"), ["flip: "]);
        assert_eq!(complete("model::unet(#{ projection: #{ lay"), ["layers: "]);
        assert_eq!(
            complete("loss::probe(weights, (), weights, [#{ temp"),
            ["temperature: "]
        );
        assert_eq!(complete("loss::probe(weights, (), weights, [#{ }], #{ se"), ["seed: "]);
    }
}
