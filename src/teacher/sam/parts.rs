//! The parts of Segment Anything, as candle-transformers has them, and what puts them together.

use std::collections::HashMap;

use candle_core::{Device, Result as EngineResult, Tensor};
use candle_nn::{Module, VarBuilder};
use candle_transformers::models::segment_anything::image_encoder::ImageEncoderViT;
use candle_transformers::models::segment_anything::prompt_encoder::PromptEncoder;

use super::super::source::{self, Origin, Published};
use super::Point;
use super::decoder::{ANSWERS, Decoder};
use super::names::originals;
use super::tiny_vit::{Plan, TinyVit};
use crate::choices;
use crate::error::{Error, Result};
use crate::session::Place;

/// The side of a patch.
const PATCH: usize = 16;

choices! {
    /// Which image encoder.
    pub enum SamKind {
        /// The smallest of the authors', a ViT-B.
        VitB = "vit_b",
        /// Mobile-SAM (Zhang et al. 2023), a TinyViT.
        MobileSam = "mobile_sam",
    }
}

impl SamKind {
    fn published(self) -> Published {
        match self {
            SamKind::VitB => Published {
                what: "Segment Anything (vit_b)",
                files: "a safetensors file",
                places: &[
                    "facebook/sam-vit-base (model.safetensors)",
                    "lmz/candle-sam (sam_vit_b_01ec64.safetensors)",
                ],
            },
            SamKind::MobileSam => Published {
                what: "Mobile-SAM",
                files: "a safetensors file",
                places: &["lmz/candle-sam (mobile_sam-tiny-vitt.safetensors)"],
            },
        }
    }
}

/// All that determines a model except its numbers.
struct Shape {
    kind: SamKind,
    /// The side of the square it sees.
    side: usize,
    /// Width, blocks, heads and window of the ViT.
    vit: [usize; 4],
    /// The stages of the TinyViT.
    tiny: Plan,
    /// The blocks of the ViT that see the whole image.
    whole: Vec<usize>,
    /// Width of prompts and of the image's embedding.
    width: usize,
    /// Hidden numbers of what guesses how good a mask is.
    score_width: usize,
}

impl Shape {
    fn real(kind: SamKind) -> Self {
        Shape {
            kind,
            side: 1024,
            vit: [768, 12, 12, 14],
            tiny: Plan::REAL,
            whole: vec![2, 5, 8, 11],
            width: 256,
            score_width: 256,
        }
    }

    /// Small, for random numbers.
    fn small(kind: SamKind) -> Self {
        Shape {
            side: 64,
            vit: [32, 2, 2, 3],
            tiny: Plan::SMALL,
            whole: vec![1],
            width: 16,
            ..Self::real(kind)
        }
    }

    /// What Hugging Face's `config.json` says; what it leaves out is as in the ViT-B.
    fn read(place: &Place) -> Result<Self> {
        let given = source::json(place, "the configuration")?;
        let published = SamKind::VitB.published();
        let refused = |what: String| Error::file(place.path(), format!("{what}; {published}"));
        let kind = given["model_type"].as_str().unwrap_or("none");
        if kind != "sam" {
            return Err(refused(format!("the model_type is \"{kind}\", expected \"sam\"")));
        }
        let number =
            |part: &str, name: &str, default: usize| given[part][name].as_u64().map_or(default, |n| n as usize);
        // what candle-transformers has fixed
        for (part, name, fixed) in [
            ("vision_config", "patch_size", PATCH),
            ("mask_decoder_config", "mlp_dim", 2048),
            ("mask_decoder_config", "num_hidden_layers", 2),
            ("mask_decoder_config", "num_attention_heads", 8),
            ("mask_decoder_config", "attention_downsample_rate", 2),
            ("mask_decoder_config", "num_multimask_outputs", ANSWERS),
            ("mask_decoder_config", "iou_head_depth", 3),
        ] {
            let found = number(part, name, fixed);
            if found != fixed {
                return Err(refused(format!("{part}: {name} is {found}, only {fixed} is known")));
            }
        }
        let vision = |name, default| number("vision_config", name, default);
        let whole = given["vision_config"]["global_attn_indexes"].as_array().map(|list| {
            let each = list.iter().filter_map(serde_json::Value::as_u64);
            each.map(|i| i as usize).collect()
        });
        let real = Self::real(SamKind::VitB);
        let [width, blocks, heads, window] = real.vit;
        let shape = Shape {
            side: vision("image_size", real.side),
            vit: [
                vision("hidden_size", width),
                vision("num_hidden_layers", blocks),
                vision("num_attention_heads", heads),
                vision("window_size", window),
            ],
            tiny: real.tiny,
            whole: whole.unwrap_or(real.whole),
            width: vision("output_channels", real.width),
            score_width: number("mask_decoder_config", "iou_head_hidden_dim", real.score_width),
            kind: real.kind,
        };
        let [width, _, heads, window] = shape.vit;
        let sound = shape.side >= PATCH && shape.side.is_multiple_of(PATCH) && window > 0;
        if !sound || heads == 0 || !width.is_multiple_of(heads) || !shape.width.is_multiple_of(16) || shape.width == 0 {
            return Err(refused("vision_config: sizes that do not fit together".into()));
        }
        Ok(shape)
    }
}

/// The parts, as candle-transformers has them.
pub(super) struct Parts {
    encoder: Encoder,
    prompts: PromptEncoder,
    decoder: Decoder,
    pub(super) side: usize,
}

enum Encoder {
    Vit(Box<ImageEncoderViT>),
    Tiny(Box<TinyVit>),
}

impl Parts {
    /// Those of a file (or of a folder that holds `model.safetensors`), or small random ones.
    pub(super) fn new(kind: SamKind, origin: &Origin, device: &Device) -> Result<Self> {
        match origin {
            Origin::Random(seed) => Ok(Self::build(&Shape::small(kind), &source::random(*seed, device))?),
            Origin::Files(place) => Self::read(kind, place, device),
        }
    }

    fn read(kind: SamKind, place: &Place, device: &Device) -> Result<Self> {
        let published = kind.published();
        let file = match place.is_folder()? {
            true => source::member(place, "model.safetensors", &published)?,
            false if place.exists()? => place.clone(),
            false => return Err(Error::file(place.path(), format!("there is no such file; {published}"))),
        };
        // Hugging Face's folders describe their model
        let beside = file.at(file.path().with_file_name("config.json"));
        let shape = match kind == SamKind::VitB && place.is_folder()? && beside.exists()? {
            true => Shape::read(&beside)?,
            false => Shape::real(kind),
        };
        let tensors = originals(source::tensors(&file, device)?);
        check_kind(&shape, &tensors).map_err(|what| Error::file(file.path(), format!("{what}; {published}")))?;
        let vb = source::builder(tensors, device);
        Self::build(&shape, &vb).map_err(|e| source::misfit(&file, &published, e))
    }

    fn build(shape: &Shape, vb: &VarBuilder) -> EngineResult<Self> {
        let cells = shape.side / PATCH;
        let [width, blocks, heads, window] = shape.vit;
        let own = vb.pp("image_encoder");
        let encoder = match shape.kind {
            SamKind::VitB => Encoder::Vit(Box::new(ImageEncoderViT::new(
                shape.side,
                PATCH,
                3,
                width,
                blocks,
                heads,
                shape.width,
                true,
                true,
                true,
                window,
                &shape.whole,
                own,
            )?)),
            SamKind::MobileSam => Encoder::Tiny(Box::new(TinyVit::new(&shape.tiny, shape.width, &own)?)),
        };
        Ok(Parts {
            encoder,
            prompts: PromptEncoder::new(
                shape.width,
                (cells, cells),
                (shape.side, shape.side),
                16,
                vb.pp("prompt_encoder"),
            )?,
            decoder: Decoder::new(shape.width, shape.score_width, &vb.pp("mask_decoder"))?,
            side: shape.side,
        })
    }

    /// `[1, width, cells, cells]` of a square `[1, 3, side, side]`.
    pub(super) fn embed(&self, square: &Tensor) -> Result<Tensor> {
        match &self.encoder {
            Encoder::Vit(vit) => Ok(vit.forward(square)?),
            Encoder::Tiny(tiny) => tiny.forward(square),
        }
    }

    /// The masks that answer prompts of as many points each: numbers above 0 inside, `[prompts, answers, 4 cells, 4 cells]`, and the guess
    /// how good they are, `[prompts, answers]`.
    pub(super) fn answer(&self, embedding: &Tensor, prompts: &[Vec<Point>], several: bool) -> Result<(Tensor, Tensor)> {
        let count = prompts.first().map_or(0, Vec::len);
        let all = || prompts.iter().flatten();
        let places: Vec<f32> = all().flat_map(|p| [p.x as f32, p.y as f32]).collect();
        let inside: Vec<f32> = all().map(|p| f32::from(u8::from(p.inside))).collect();
        let device = embedding.device();
        let places = Tensor::from_vec(places, (prompts.len(), count, 2), device)?;
        let inside = Tensor::from_vec(inside, (prompts.len(), count), device)?;
        let (sparse, dense) = self.prompts.forward(Some((&places, &inside)), None, None)?;
        let positions = self.prompts.get_dense_pe()?;
        Ok(self.decoder.forward(embedding, &positions, &sparse, &dense, several)?)
    }
}

/// What is wrong with a file that holds another kind.
fn check_kind(shape: &Shape, tensors: &HashMap<String, Tensor>) -> std::result::Result<(), String> {
    let vit = tensors.get("image_encoder.pos_embed");
    let tiny = tensors.contains_key("image_encoder.patch_embed.seq.0.c.weight");
    let (width, wanted) = (vit.and_then(|t| t.dims().last().copied()), shape.vit[0]);
    match (shape.kind, width) {
        (SamKind::VitB, _) if tiny => Err("this is a Mobile-SAM: kind: \"mobile_sam\"".into()),
        (SamKind::MobileSam, Some(_)) => Err("this has the encoder of the authors, no TinyViT: kind: \"vit_b\"".into()),
        (SamKind::VitB, Some(width)) if width != wanted => Err(format!(
            "the image encoder has the width {width}, expected {wanted} (the larger ones are read from a folder with their config.json)"
        )),
        _ => Ok(()),
    }
}
