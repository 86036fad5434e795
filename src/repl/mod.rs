//! Line editor, completion, commands.
