//! The script functions, one file per namespace: convert the arguments, one call, done. A new file is listed in [`table`].

mod data;
mod math;
mod model;
mod session;
mod tensor;

use super::table::Table;

pub use data::{Data, DataBatches};
pub use model::{Model, Parameters};
pub use session::whos;
pub use tensor::{Gradients, device_name};

/// Everything scripts can call.
pub fn table() -> Table {
    let mut table = Table::default();
    for declare in [
        session::declare,
        math::declare,
        tensor::declare,
        data::declare,
        model::declare,
    ] {
        declare(&mut table);
    }
    table
}
