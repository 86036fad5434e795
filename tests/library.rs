//! The Rust program of `examples/` runs.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "../examples/library.rs"]
#[allow(dead_code, reason = "the program's own start is not called")]
mod library;

#[test]
fn the_example_trains_and_its_script_sees_the_score() {
    let text = library::train_and_look().unwrap();
    let numbers = text.trim().strip_prefix("loss ").and_then(|t| t.split_once(", mIoU "));
    let (loss, miou) = numbers.unwrap();
    assert!(loss.parse::<f64>().unwrap() > 0.0, "{text}");
    assert!((0.0..=1.0).contains(&miou.parse::<f64>().unwrap()), "{text}");
}
