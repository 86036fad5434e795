//! The table that `summary()` shows.

use std::fmt::Write;
use std::sync::Arc;

use super::config::ModelConfig;
use super::decoder::{Conventions, Decoder};
use super::encoder::Part;
use super::module::Module;
use super::param::{Slot, count};

/// One line per part: its name, the shape of its map for an image of h x w, its parameters.
pub(super) fn table(config: &ModelConfig, slots: &[Arc<Slot>], parts: &[Part]) -> String {
    let conventions = Conventions::of(config.architecture);
    let shape = |channels: usize, stride: f64| match stride {
        1.0 => format!("{channels} x h x w"),
        s => format!("{channels} x h/{s} x w/{s}"),
    };
    let mut rows = vec![["part", "output", "parameters", "frozen"].map(String::from)];
    let mut row = |name: &str, output: String, wanted: &dyn Fn(&Slot) -> bool| {
        let [all, frozen] = count(slots.iter().map(|s| &**s).filter(|s| wanted(s))).map(grouped);
        rows.push([name.to_string(), output, all, frozen]);
    };

    for part in parts {
        row(&part.name, shape(part.channels, part.stride as f64), &|s| {
            part.prefixes.iter().any(|p| s.below(p))
        });
    }
    let (width, stride) = Decoder::output(config);
    let classifier = conventions.classifier;
    row(conventions.decoder, shape(width, stride), &|s| {
        s.below(conventions.decoder) && !s.below(classifier)
    });
    row(classifier, shape(config.classes, 1.0), &|s| s.below(classifier));
    row("projection", shape(config.projection.channels, stride), &|s| {
        s.below("projection")
    });
    row("all", String::new(), &|_| true);
    let text = format!(
        "{} with {}, {} classes, output stride {}",
        config.architecture.name(),
        config.encoder.name(),
        config.classes,
        config.output_stride
    );
    lines(text, &rows)
}

/// A title and a row for each layer of a network of one's own.
pub(super) fn own_table(title: String, module: &Module, slots: &[Arc<Slot>]) -> String {
    let mut rows = vec![["layer", "what it is", "parameters", "frozen"].map(String::from)];
    module.table("", &mut rows);
    let [all, frozen] = count(slots.iter().map(|s| &**s)).map(grouped);
    rows.push(["all".into(), String::new(), all, frozen]);
    lines(title, &rows)
}

/// The rows in columns below `text`.
fn lines(mut text: String, rows: &[[String; 4]]) -> String {
    let width = |column: usize| rows.iter().map(|r| r[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for [part, output, parameters, frozen] in rows {
        let [a, b, c, d] = widths;
        let _ = write!(text, "\n{part:a$}  {output:b$}  {parameters:>c$}  {frozen:>d$}");
    }
    text
}

/// 1234567 -> "1 234 567".
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::{Architecture, EncoderKind, Segmenter};

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(
            [7, 1234, 123_456, 1_234_567].map(grouped),
            ["7", "1 234", "123 456", "1 234 567"]
        );
    }

    #[test]
    fn the_table_counts_what_torchvision_counts() {
        let config = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet18, 11);
        let model = Segmenter::new(&config, 0, &Device::Cpu).unwrap();
        model.freeze("encoder.layer1");
        let text = model.summary();
        // torchvision's resnet18.layer1 has 147 968 parameters; 256 * 11 + 11 = 2 827
        let line = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap();
        assert!(
            line("encoder.layer1").contains("64 x h/4 x w/4") && line("encoder.layer1").ends_with("147 968  147 968")
        );
        assert!(line("encoder.layer4").contains("512 x h/16 x w/16"), "{text}");
        assert!(
            line("segmentation_head.0").contains("2 827") && line("decoder").contains("256 x h/4 x w/4"),
            "{text}"
        );
    }
}
