//! Inputs that mostly work: the reference's examples with other numbers in them, and calls whose arguments have the right type.

use seglab::random::Random;
use seglab::script::Table;

use super::texts::call;
use super::values::pick;

/// How often a number of an example is replaced by another one.
const OTHER_NUMBER: f64 = 0.12;

/// A call with arguments of the declared types, or (more often) an example of the reference without its assertions, some of its
/// numbers replaced. `slow` are the examples that train or build networks; they come rarely.
pub(crate) fn typed(random: &mut Random, table: &Table, quick: &[String], slow: &[String]) -> String {
    if random.chance(0.25) {
        return call(random, table, 0.0);
    }
    let from = if random.chance(0.03) { slow } else { quick };
    let example = &from[random.below(from.len())];
    let kept: Vec<&str> = example.lines().filter(|line| !line.contains("assert")).collect();
    other_numbers(random, &kept.join("\n"))
}

/// `text` with some of its numbers replaced: whole numbers by small whole numbers, others by others.
fn other_numbers(random: &mut Random, text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(std::iter::once('\n')) {
        if c.is_alphanumeric() || c == '_' || (c == '.' && word.parse::<i64>().is_ok()) {
            word.push(c);
            continue;
        }
        let whole = word.parse::<i64>().is_ok();
        if (whole || word.parse::<f64>().is_ok()) && random.chance(OTHER_NUMBER) {
            let others: &[&str] = if whole {
                &["0", "1", "2", "3", "4", "6", "-1"]
            } else {
                &["0.0", "0.25", "1.0", "2.5", "-0.5"]
            };
            out.push_str(pick(random, others));
        } else {
            out.push_str(&word);
        }
        word.clear();
        out.push(c);
    }
    out
}
