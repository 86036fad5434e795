//! Line editor, completion, commands.

use crate::error::Result;
use crate::script::Interpreter;

/// Read, evaluate, print until the end of the input.
pub fn run(interpreter: Interpreter) -> Result<()> {
    let _ = interpreter;
    Ok(())
}
