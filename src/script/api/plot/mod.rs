//! `plot::` and the methods of figures.
//!
//! `figure` holds the builder, `series` and `pictures` what is drawn into it, `kinds` the figures of one call, `arguments` what they
//! take.

pub(super) mod arguments;
mod figure;
mod kinds;
mod pictures;
mod series;

use std::cell::RefCell;
use std::rc::Rc;

use crate::plot;
use crate::script::prelude::*;
use crate::session::Session;
use crate::session::digest::sha256;

/// A figure as scripts hold it: all handles of one figure draw into it.
#[derive(Clone)]
pub struct Figure(Rc<RefCell<plot::Figure>>);

impl Figure {
    /// A handle of its own for this figure.
    pub fn new(figure: plot::Figure) -> Self {
        Figure(Rc::new(RefCell::new(figure)))
    }

    /// The figure as pixels.
    pub(super) fn picture(&self, session: &Session, dpi: f64) -> Result<plot::Picture> {
        self.prepare(session);
        let picture = self.0.borrow().picture(dpi)?;
        self.warn(session);
        Ok(picture)
    }

    /// Ctrl-C ends the drawing.
    fn prepare(&self, session: &Session) {
        self.0.borrow_mut().cancel = session.cancel_flag();
    }

    /// What its reader should know about the figure, said once.
    fn warn(&self, session: &Session) {
        let said = session.warnings();
        for warning in self.0.borrow().warnings() {
            if !said.contains(&warning) {
                session.warn(&warning);
            }
        }
    }

    /// Change the figure, then hand it on to the next method of the chain.
    fn with(self, change: impl FnOnce(&mut plot::Figure) -> Result<&mut plot::Figure>) -> Result<Self> {
        change(&mut self.0.borrow_mut())?;
        Ok(self)
    }

    /// Save below the run folder; what made the figure goes into the file. Returns the path.
    fn save(&self, session: &Session, name: &str, options: &plot::SaveOptions) -> Result<String> {
        let path = session.output_path(name)?;
        let mut figure = self.0.borrow_mut();
        let facts = facts(session);
        figure
            .metadata
            .retain(|(key, _)| !facts.iter().any(|(name, _)| name == key));
        figure.metadata.extend(facts);
        figure.cancel = session.cancel_flag();
        figure.save(&path, options)?;
        drop(figure);
        self.warn(session);
        Ok(path.to_string())
    }
}

/// What is kept in every file: the program, the seed, the hash of the script.
fn facts(session: &Session) -> Vec<(String, String)> {
    let mut facts = vec![
        ("software".to_string(), format!("seglab {}", env!("CARGO_PKG_VERSION"))),
        ("seed".to_string(), session.seed().to_string()),
    ];
    let script = session.script();
    if !script.is_empty() {
        facts.push(("script".to_string(), format!("sha256:{}", sha256([&script]))));
    }
    facts
}

impl ScriptType for Figure {
    const NAME: &'static str = "Figure";
    const DOC: &'static str = "A figure under construction: add to it, then `.save(\"name.png\")`, `.svg` or `.pdf`.";

    fn display(&self) -> String {
        self.0.borrow().to_string()
    }

    fn brief(&self) -> String {
        self.0.borrow().to_string()
    }
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.script_type::<Figure>();
    table.namespace(
        "plot",
        "Figures for papers and slides: PNG, SVG and PDF.",
        figure::constructors(),
    );
    table.namespace("plot", "", kinds::entries());
    table.methods::<Figure>(figure::methods());
    table.methods::<Figure>(series::methods());
    table.methods::<Figure>(pictures::methods());
}
