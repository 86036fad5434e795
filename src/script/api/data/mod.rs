//! `data::` and the methods of data sets.
//!
//! | file | what |
//! |---|---|
//! | here | [`Data`]: a data set in scripts |
//! | `readers` | `data::camvid(..)` and the like |
//! | `facts` | what a set tells of itself |
//! | `views`, `made` | sets made from sets; by closures |
//! | `batches` | `d.batches(..)` |
//! | `pictures` | images and label maps that are tensors: from files, to files, as sets, mixed |

mod batches;
mod facts;
mod made;
mod pictures;
mod readers;
mod views;

use std::rc::Rc;

use crate::data::{Dataset, Splits};
use crate::script::context::script_error;
use crate::script::prelude::*;

pub use batches::{DataBatches, batch_map};

/// A data set as scripts hold it: images, and the parts `train`, `val` and `test` of what they were read or drawn with.
#[derive(Clone)]
pub struct Data {
    set: Dataset,
    parts: Option<Rc<Splits>>,
}

impl Data {
    /// One part, or a view of one.
    pub fn of(set: Dataset) -> Self {
        Data { set, parts: None }
    }

    /// The training images, with the other parts at hand.
    fn whole(parts: Splits) -> Self {
        Data {
            set: parts.train.clone(),
            parts: Some(Rc::new(parts)),
        }
    }

    /// The images.
    pub fn set(&self) -> &Dataset {
        &self.set
    }

    /// A view of the images; the other parts stay at hand.
    fn view(&self, make: impl Fn(&Dataset) -> Result<Dataset>) -> Result<Self> {
        Ok(Data {
            set: make(&self.set)?,
            parts: self.parts.clone(),
        })
    }

    /// A change of the images and of the other parts at hand.
    fn each_part(&self, make: impl Fn(&Dataset) -> Result<Dataset>) -> Result<Self> {
        let parts = self.parts.as_ref().map(|parts| -> Result<_> {
            Ok(Rc::new(Splits {
                train: make(&parts.train)?,
                val: make(&parts.val)?,
                test: parts.test.as_ref().map(&make).transpose()?,
            }))
        });
        Ok(Data {
            set: make(&self.set)?,
            parts: parts.transpose()?,
        })
    }

    /// Another part of the set this one was read with.
    fn part(&self, name: &str, choose: impl Fn(&Splits) -> Option<Dataset>) -> Result<Self> {
        let Some(parts) = &self.parts else {
            fail!(
                "{name}: found one part of a data set already ({}); .train, .val and .test belong to what data::camvid(..) and \
                 the like give",
                self.line()
            );
        };
        match choose(parts) {
            Some(set) => Ok(Data::of(set)),
            None => fail!("{name}: {} has no such part", self.line()),
        }
    }
}

impl ScriptType for Data {
    const NAME: &'static str = "Dataset";
    const DOC: &'static str = "Images with label maps; views of it share the files and the memory.";

    fn display(&self) -> String {
        format!("{}{}", self.line(), counts(&self.set))
    }

    fn brief(&self) -> String {
        format!("Dataset {}", self.line())
    }
}

impl Data {
    /// Name, number of images and classes, size; how many images the other parts have.
    fn line(&self) -> String {
        let mut line = self.set.to_string();
        if let Some(parts) = &self.parts {
            let test = parts.test.iter().map(|test| (".test", test));
            for (name, part) in [(".val", &parts.val)].into_iter().chain(test) {
                line.push_str(&format!("; {name}: {} images", part.len()));
            }
        }
        line
    }
}

/// Images whose labels are counted to show a data set.
const COUNTED: usize = 40;

/// The pixels per class as lines of a table, from a few images of a large set; what is wrong where files cannot be read.
fn counts(set: &Dataset) -> String {
    if set.classes() == 0 {
        return String::new();
    }
    let part = if set.len() > COUNTED {
        set.spread(COUNTED)
    } else {
        Ok(set.clone())
    };
    let (part, histogram) = match part.and_then(|part| Ok((part.clone(), part.histogram()?))) {
        Ok(found) => found,
        Err(error) => return format!("\n{error}"),
    };
    let all = (histogram.counts.iter().sum::<u64>() + histogram.ignored).max(1) as f64;
    let names: Vec<String> = (0..set.classes())
        .map(|c| {
            set.class_names()
                .get(c)
                .map_or_else(|| c.to_string(), ToString::to_string)
        })
        .collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0).max(8);
    let row = |name: &str, count: u64| {
        let share = count as f64 / all;
        let bar = "\u{2588}".repeat((share * 40.0).round() as usize);
        format!("\n{name:width$} {count:>12} {:>6.2} %  {bar}", 100.0 * share)
            .trim_end()
            .to_string()
    };
    let mut text = format!("\n{:width$} {:>12} {:>8}", "class", "pixels", "share");
    if part.len() < set.len() {
        text = format!("{text}   (of {} images)", part.len());
    }
    for (name, count) in names.iter().zip(&histogram.counts) {
        text.push_str(&row(name, *count));
    }
    if histogram.ignored > 0 {
        text.push_str(&row("no class", histogram.ignored));
    }
    text
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.script_type::<Data>();
    table.script_type::<DataBatches>();
    table.iterable::<DataBatches>();
    table.namespace("data", "Data sets: read, draw, choose, batch.", readers::entries());
    table.methods::<Data>(facts::entries());
    table.methods::<Data>(views::entries());
    table.methods::<Data>(batches::entries());
    table.methods::<DataBatches>(batches::methods());
    table.namespace("data", "", pictures::entries());
    table.methods::<Tensor>(pictures::methods());
    table.hook(|engine| {
        engine.register_fn(
            "+",
            |a: Data, b: Data| -> std::result::Result<Data, Box<rhai::EvalAltResult>> {
                a.set.joined(&b.set).map(Data::of).map_err(script_error)
            },
        );
    });
    table.operator(
        "Dataset",
        "a + b",
        " The images of `a` and behind them those of `b`, which must have the same classes.\n ```\n let a = data::scenes(#{ count: 3 });\n \
         assert_eq((a + a.val).len, 43);\n ```",
    );
}
