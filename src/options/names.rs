//! Names of options that are not known, and what was meant.

use crate::error::nearest;

/// What is said of a name that is not among the `valid` ones.
pub fn unknown(name: &str, valid: &[&str]) -> String {
    let meant = elsewhere(name, valid).or_else(|| nearest(name, valid.iter().copied()));
    unknown_but(name, valid, meant.map(|n| format!("`{n}`")))
}

/// The same where it is known what was meant, if anything.
pub fn unknown_but(name: &str, valid: &[&str], meant: Option<String>) -> String {
    let hint = meant
        .map(|meant| format!("; did you mean {meant}?"))
        .unwrap_or_default();
    let list = if valid.is_empty() {
        "it takes no options".to_string()
    } else {
        format!("valid options: {}", valid.join(", "))
    };
    format!("unknown option `{name}`; {list}{hint}")
}

/// An option's name in other programs, and the valid names it may stand for here.
fn elsewhere<'a>(name: &str, valid: &[&'a str]) -> Option<&'a str> {
    let here: &[&str] = match name {
        "axis" | "dims" => &["dim"],
        "tau" | "temp" | "T" => &["temperature"],
        "learning_rate" | "step_size" => &["lr"],
        "batch_size" | "batchsize" | "bs" => &["batch_size", "size"],
        "num_classes" | "n_classes" => &["classes"],
        "ignore_index" | "ignore" => &["ignore_label"],
        "weight" | "weights" => &["class_weights"],
        "kernel_size" => &["kernel"],
        "keep_dim" | "keepdims" => &["keepdim"],
        "backbone" => &["encoder"],
        "n" | "num" | "n_images" => &["count"],
        "scheduler" | "lr_schedule" => &["schedule"],
        "iterations" | "max_steps" | "iters" => &["steps"],
        "xlabel" => &["x"],
        "ylabel" => &["y"],
        "figsize" => &["size"],
        "random_state" => &["seed"],
        _ => &[],
    };
    here.iter().find_map(|h| valid.iter().find(|v| *v == h)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_translated_only_where_they_are_valid() {
        assert_eq!(elsewhere("axis", &["dim", "keepdim"]), Some("dim"));
        assert_eq!(elsewhere("axis", &["size"]), None);
        assert_eq!(elsewhere("bs", &["size", "seed"]), Some("size"));
    }
}
