//! What the `config.json` of CLIP and SigLIP says.

use candle_core::{Result as EngineResult, Tensor};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::source::{self, Published};
use crate::ensure;
use crate::error::{Error, Result};
use crate::session::Place;

/// The largest side of the images that a model is trained on.
const LARGEST: usize = 1 << 14;

/// Which of the two pairs of image and text encoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// CLIP (Radford et al. 2021).
    Clip,
    /// SigLIP (Zhai et al. 2023), and the SigLIP 2 (Tschannen et al. 2025) of one image size.
    Siglip,
}

/// The function between the two layers of a block.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Act {
    QuickGelu,
    Gelu,
    #[serde(alias = "gelu_new", alias = "gelu_fast")]
    GeluPytorchTanh,
}

impl Act {
    pub(super) fn apply(self, x: &Tensor) -> EngineResult<Tensor> {
        match self {
            Act::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
            Act::Gelu => x.gelu_erf(),
            Act::GeluPytorchTanh => x.gelu(),
        }
    }
}

/// One of the two towers.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Side {
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) hidden_act: Act,
    pub(super) layer_norm_eps: f64,
}

/// The text's.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct TextSide {
    #[serde(flatten)]
    pub(super) tower: Side,
    pub(super) vocab_size: usize,
    /// The longest text, in tokens.
    pub(super) max_position_embeddings: usize,
    pub(super) eos_token_id: u32,
    pub(super) pad_token_id: u32,
}

/// The image's.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ImageSide {
    #[serde(flatten)]
    pub(super) tower: Side,
    pub(super) image_size: usize,
    pub(super) patch_size: usize,
}

/// All that determines a model except its numbers.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) family: Family,
    pub(super) text: TextSide,
    pub(super) image: ImageSide,
    /// The width of text and image features.
    pub(super) projection: usize,
}

impl Family {
    pub(super) fn published(self) -> Published {
        let files = "a folder with config.json, model.safetensors and tokenizer.json";
        match self {
            Family::Clip => Published {
                what: "CLIP",
                files,
                places: &["openai/clip-vit-base-patch16", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"],
            },
            Family::Siglip => Published {
                what: "SigLIP",
                files,
                places: &["google/siglip-base-patch16-224", "google/siglip2-base-patch16-224"],
            },
        }
    }

    /// What `transformers` takes where a `config.json` says nothing: text, image.
    fn defaults(self) -> (Value, Value) {
        let base = json!({ "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12 });
        let text = match self {
            Family::Clip => json!({ "hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8,
                "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "vocab_size": 49408, "max_position_embeddings": 77,
                "eos_token_id": 49407, "pad_token_id": 1 }),
            Family::Siglip => json!({ "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "vocab_size": 32000,
                "max_position_embeddings": 64, "eos_token_id": 49407, "pad_token_id": 1 }),
        };
        let image = match self {
            Family::Clip => {
                json!({ "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "image_size": 224, "patch_size": 32 })
            }
            Family::Siglip => {
                json!({ "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "image_size": 224, "patch_size": 16 })
            }
        };
        (over(&base, &text), over(&base, &image))
    }
}

/// The entries of `base` with those of `given`, nulls aside, in their place.
fn over(base: &Value, given: &Value) -> Value {
    let (Value::Object(base), Value::Object(given)) = (base, given) else {
        return base.clone();
    };
    let mut all = base.clone();
    all.extend(
        given
            .iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| (k.clone(), v.clone())),
    );
    Value::Object(all)
}

impl Config {
    /// What a `config.json` says.
    pub(super) fn read(place: &Place, family: Family) -> Result<Self> {
        let given = source::json(place, "the configuration")?;
        let wrong = |what: String| Error::file(place.path(), format!("{what}; {}", family.published()));
        let kind = given["model_type"].as_str().unwrap_or("none");
        let (wanted, other) = match family {
            Family::Clip => ("clip", "siglip"),
            Family::Siglip => ("siglip", "clip"),
        };
        if kind != wanted {
            let advice = match kind {
                _ if kind == other => format!("read it with teacher::{other}"),
                "siglip2" => {
                    "this is a SigLIP 2 of any image shape (naflex), which is not known here; take one of a fixed size"
                        .into()
                }
                _ => format!("expected \"{wanted}\""),
            };
            return Err(wrong(format!("the model_type is \"{kind}\": {advice}")));
        }
        Self::of(family, &given).map_err(|e| wrong(e.to_string()))
    }

    fn of(family: Family, given: &Value) -> Result<Self> {
        let (text, image) = family.defaults();
        let part = |name: &str, e: serde_json::Error| Error::usage(format!("{name}: {e}"));
        let text: TextSide =
            serde_json::from_value(over(&text, &given["text_config"])).map_err(|e| part("text_config", e))?;
        let image: ImageSide =
            serde_json::from_value(over(&image, &given["vision_config"])).map_err(|e| part("vision_config", e))?;
        let projection = match family {
            Family::Clip => given["projection_dim"].as_u64().unwrap_or(512) as usize,
            Family::Siglip => image.tower.hidden_size,
        };
        let config = Config {
            family,
            text,
            image,
            projection,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        for (name, side) in [("text_config", &self.text.tower), ("vision_config", &self.image.tower)] {
            let (width, heads) = (side.hidden_size, side.num_attention_heads);
            ensure!(
                width > 0 && heads > 0 && width % heads == 0,
                "{name}: num_attention_heads {heads} does not divide hidden_size {width}"
            );
            ensure!(
                side.num_hidden_layers > 0,
                "{name}: num_hidden_layers is 0, expected 1 or more"
            );
        }
        let (patch, size) = (self.image.patch_size, self.image.image_size);
        ensure!(
            patch > 0 && (patch..=LARGEST).contains(&size),
            "vision_config: image_size {size} and patch_size {patch}, expected a patch that fits into the image, and at most {LARGEST} pixels"
        );
        ensure!(
            self.text.max_position_embeddings > 2,
            "text_config: max_position_embeddings is {}, expected 3 or more",
            self.text.max_position_embeddings
        );
        Ok(())
    }

    /// A small one for random numbers, whose tokenizer knows `vocabulary` tokens, the last of which ends a text.
    pub(super) fn small(family: Family, vocabulary: usize) -> Result<Self> {
        let side =
            json!({ "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4 });
        let text = json!({ "vocab_size": vocabulary, "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1 });
        let image = json!({ "image_size": 64, "patch_size": 8 });
        let given =
            json!({ "text_config": over(&side, &text), "vision_config": over(&side, &image), "projection_dim": 32 });
        Self::of(family, &given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_configuration_leaves_out_is_as_in_transformers() {
        // the whole text_config and vision_config of google/siglip-base-patch16-224
        let short =
            json!({ "text_config": { "model_type": "siglip_text_model" }, "vision_config": { "image_size": null } });
        let siglip = Config::of(Family::Siglip, &short).unwrap();
        assert_eq!(
            (
                siglip.text.max_position_embeddings,
                siglip.image.patch_size,
                siglip.projection
            ),
            (64, 16, 768)
        );
        let clip = Config::of(
            Family::Clip,
            &json!({ "vision_config": { "patch_size": 16, "hidden_act": "gelu" } }),
        )
        .unwrap();
        assert_eq!(
            (
                clip.text.tower.hidden_size,
                clip.image.tower.hidden_size,
                clip.projection
            ),
            (512, 768, 512)
        );
        assert_eq!(
            (clip.image.tower.hidden_act, clip.text.tower.hidden_act),
            (Act::Gelu, Act::QuickGelu)
        );
    }

    #[test]
    fn configurations_that_no_model_has_are_refused() {
        for (given, part) in [
            (json!({ "vision_config": { "patch_size": 0 } }), "patch_size 0"),
            (
                json!({ "vision_config": { "image_size": 10_000_000_000_000_000_000u64, "patch_size": 1 } }),
                "at most 16384",
            ),
            (
                json!({ "vision_config": { "num_attention_heads": 0 } }),
                "num_attention_heads 0",
            ),
            (
                json!({ "text_config": { "num_attention_heads": 7 } }),
                "num_attention_heads 7 does not divide hidden_size 512",
            ),
            (
                json!({ "text_config": { "num_hidden_layers": 0 } }),
                "num_hidden_layers is 0",
            ),
            (
                json!({ "text_config": { "hidden_act": "swish" } }),
                "text_config: unknown variant `swish`",
            ),
            (
                json!({ "vision_config": { "image_size": "large" } }),
                "vision_config: invalid type",
            ),
        ] {
            let text = Config::of(Family::Clip, &given).unwrap_err().to_string();
            assert!(text.contains(part), "{given}: {text}");
        }
    }
}
