//! The script functions, one file per namespace: convert the arguments, one call, done. A new file is listed in [`table`].

mod session;
mod tensor;

use super::table::Table;

pub use tensor::Gradients;

/// Everything scripts can call.
pub fn table() -> Table {
    let mut table = Table::default();
    for declare in [session::declare, tensor::declare] {
        declare(&mut table);
    }
    table
}
