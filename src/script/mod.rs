//! The border to Rhai: engine, function table, option reading, `api/*`.
