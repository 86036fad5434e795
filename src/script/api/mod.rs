//! The script functions, one file per namespace: convert the arguments, one call, done. A new file is listed in [`table`].

mod argument;
mod base;
mod chance;
mod data;
mod embedding;
mod eval;
mod files;
mod format;
mod loss;
mod math;
mod memory;
mod model;
mod nn;
mod optim;
mod pixel_losses;
mod plot;
mod runs;
mod session;
mod show;
mod statistics;
mod table;
mod teacher;
mod tensor;
mod train;

use super::table::Table;

pub use data::{Data, DataBatches, batch_map};
pub use eval::ScriptScore;
pub use memory::ScriptMemory;
pub use model::{Model, Parameters};
pub use plot::Figure;
pub use session::whos;
pub use tensor::{Gradients, device_name};
pub use train::ScriptRun;

/// Everything scripts can call.
pub fn table() -> Table {
    let mut table = Table::default();
    for declare in [
        session::declare,
        base::declare,
        math::declare,
        chance::declare,
        format::declare,
        table::declare,
        files::declare,
        statistics::declare,
        tensor::declare,
        data::declare,
        model::declare,
        nn::declare,
        loss::declare,
        pixel_losses::declare,
        memory::declare,
        optim::declare,
        train::declare,
        eval::declare,
        teacher::declare,
        plot::declare,
        show::declare,
        embedding::declare,
        runs::declare,
    ] {
        declare(&mut table);
    }
    table
}

/// The place of item `index` of so many: a negative one counts from the end. Nothing if there is no such item.
fn nth(index: i64, length: usize) -> Option<usize> {
    let from_start = if index < 0 {
        index.saturating_add(length as i64)
    } else {
        index
    };
    usize::try_from(from_start).ok().filter(|place| *place < length)
}
