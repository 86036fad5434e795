//! The script functions, one file per namespace: convert the arguments, one call, done. A new file is listed in [`table`].

mod data;
mod model;
mod session;
mod tensor;

use super::table::Table;

pub use data::{Data, DataBatches};
pub use model::{Model, Parameters};
pub use tensor::Gradients;

/// Everything scripts can call.
pub fn table() -> Table {
    let mut table = Table::default();
    for declare in [data::declare, model::declare, session::declare, tensor::declare] {
        declare(&mut table);
    }
    table
}
