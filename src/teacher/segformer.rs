//! A published SegFormer (Xie et al. 2021) as teacher: the network that `model::segformer` makes, frozen, as its folder describes it.

use candle_core::{Device, Tensor};
use serde_json::Value;

use super::clip::Labelled;
use super::picture::Batch;
use super::source::{self, Origin, Published};
use crate::data::normalise_colours;
use crate::error::{Error, Result};
use crate::nn::{Architecture, EncoderKind, Family, LoadOptions, ModelConfig, Pass, Segmenter};
use crate::ops::pieces::Check;
use crate::session::Place;

const PUBLISHED: Published = Published {
    what: "SegFormer",
    files: "a folder with config.json and model.safetensors",
    places: &[
        "nvidia/segformer-b0-finetuned-ade-512-512",
        "nvidia/segformer-b0-finetuned-cityscapes-1024-1024",
    ],
};

/// The most channels of a decoder that is believed.
const WIDEST: u64 = 1 << 13;
/// Classes of the random one.
const CLASSES: usize = 5;

/// A frozen SegFormer.
pub struct Segformer {
    net: Segmenter,
    class_names: Vec<String>,
}

impl Segformer {
    /// The network of a folder, or the smallest with random numbers.
    ///
    /// # Errors
    /// A missing file, another model's files.
    pub fn new(origin: &Origin, device: &Device) -> Result<Self> {
        match origin {
            Origin::Files(folder) => Self::read(folder, device),
            Origin::Random(seed) => {
                let mut config = ModelConfig::new(Architecture::Segformer, EncoderKind::MitB0, CLASSES);
                config.decoder_channels = 16;
                let class_names = (0..CLASSES).map(|i| format!("class {i}")).collect();
                Ok(Segformer {
                    net: Segmenter::new(&config, *seed, device)?,
                    class_names,
                })
            }
        }
    }

    fn read(folder: &Place, device: &Device) -> Result<Self> {
        let place = source::member(folder, "config.json", &PUBLISHED)?;
        let given = source::json(&place, "the configuration")?;
        let (config, class_names) =
            described(&given).map_err(|what| Error::file(place.path(), format!("{what}; {PUBLISHED}")))?;
        let weights = source::member(folder, "model.safetensors", &PUBLISHED)?;
        let net = Segmenter::new(&config, 0, device)?;
        net.load_state(&source::tensors(&weights, device)?, &LoadOptions::default())
            .map_err(|e| {
                Error::file(
                    weights.path(),
                    format!("these are no weights of this SegFormer: {e}; {PUBLISHED}"),
                )
            })?;
        Ok(Segformer { net, class_names })
    }

    /// The names of its classes.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The labels of images `[3, h, w]` or `[n, 3, h, w]` with colours in 0..1, at their size, and the probability of each.
    pub fn predict(&self, image: &Tensor, check: Check) -> Result<Labelled> {
        let batch = Batch::new("predict", image, self.net.device())?;
        let pass = Pass::evaluation().until(check);
        Labelled::of(&batch, batch.size(), |image| {
            let maps = self.net.maps(&normalise_colours(image)?, &pass)?;
            self.net.classify_maps(&maps, None, &pass)
        })
    }
}

/// The network that a `config.json` describes, and the names of its classes.
fn described(given: &Value) -> std::result::Result<(ModelConfig, Vec<String>), String> {
    let kind = given["model_type"].as_str().unwrap_or("none");
    if kind != "segformer" {
        return Err(format!("the model_type is \"{kind}\", expected \"segformer\""));
    }
    let list = |name: &str| -> Option<Vec<usize>> {
        let items = given[name].as_array()?;
        items.iter().map(|v| Some(v.as_u64()? as usize)).collect()
    };
    let (depths, widths) = (list("depths"), list("hidden_sizes"));
    let mut mits = Architecture::Segformer
        .encoders()
        .into_iter()
        .filter(|(_, kind)| kind.family() == Family::Mit);
    let known = mits.find(|(_, encoder)| {
        depths.as_deref() == Some(&encoder.blocks()) && widths.as_deref() == Some(&encoder.channels()[1..])
    });
    let Some((_, encoder)) = known else {
        return Err(format!(
            "depths {} with hidden_sizes {} is none of mit_b0 to mit_b5, which are known",
            given["depths"], given["hidden_sizes"]
        ));
    };
    let names = given["id2label"].as_object().cloned().unwrap_or_default();
    let class_names: Vec<String> = (0..names.len())
        .map(|i| {
            names
                .get(&i.to_string())
                .and_then(Value::as_str)
                .map_or_else(|| format!("class {i}"), str::to_string)
        })
        .collect();
    if class_names.is_empty() || class_names.len() > 255 {
        return Err(format!(
            "id2label names {} classes, expected 1 to 255",
            class_names.len()
        ));
    }
    let mut config = ModelConfig::new(Architecture::Segformer, encoder, class_names.len());
    match given["decoder_hidden_size"].as_u64() {
        Some(width) if !(1..=WIDEST).contains(&width) => {
            return Err(format!("decoder_hidden_size is {width}, expected 1 to {WIDEST}"));
        }
        Some(width) => config.decoder_channels = width as usize,
        None => {}
    }
    Ok((config, class_names))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_configuration_names_the_network() {
        let b0 = json!({ "model_type": "segformer", "depths": [2, 2, 2, 2], "hidden_sizes": [32, 64, 160, 256],
            "decoder_hidden_size": 256, "id2label": { "0": "wall", "1": "building" } });
        let (config, names) = described(&b0).unwrap();
        assert_eq!(
            (config.encoder, config.classes, config.decoder_channels),
            (EncoderKind::MitB0, 2, 256)
        );
        assert_eq!(names, ["wall", "building"]);
        for (change, part) in [
            (json!({ "model_type": "clip" }), "the model_type is \"clip\""),
            (json!({ "depths": [2, 2, 2, 3] }), "depths [2,2,2,3]"),
            (json!({ "id2label": {} }), "names 0 classes"),
            (
                json!({ "decoder_hidden_size": 1_000_000_000_000u64 }),
                "decoder_hidden_size is 1000000000000",
            ),
        ] {
            let mut other = b0.clone();
            other
                .as_object_mut()
                .unwrap()
                .extend(change.as_object().unwrap().clone());
            let text = described(&other).unwrap_err();
            assert!(text.contains(part), "{text}");
        }
    }
}
