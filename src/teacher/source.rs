//! Where a teacher's files and numbers come from.

use std::collections::HashMap;

use candle_core::{DType, Device, Error as EngineError, Result as EngineResult, Shape, Tensor};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;

use crate::error::{Error, Result};
use crate::nn::weights;
use crate::ops::reduce;
use crate::random::Random;
use crate::session::Place;

/// What a teacher is made of.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The published files.
    Files(Place),
    /// Small, with random numbers of this seed: to try a script without files.
    Random(u64),
}

/// What is published, for errors that say what to get.
#[derive(Clone, Copy)]
pub(super) struct Published {
    /// What it is: "CLIP".
    pub(super) what: &'static str,
    /// The files wanted: "a folder with config.json and model.safetensors".
    pub(super) files: &'static str,
    /// Where they are: names below huggingface.co.
    pub(super) places: &'static [&'static str],
}

impl std::fmt::Display for Published {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} is wanted, as huggingface.co has for {}",
            self.files,
            self.places.join(", ")
        )
    }
}

/// A file of a folder; without it, an error that says what to get.
pub(super) fn member(folder: &Place, name: &str, published: &Published) -> Result<Place> {
    let place = folder.join(name);
    match place.exists()? {
        true => Ok(place),
        false => Err(Error::file(place.path(), format!("there is no such file; {published}"))),
    }
}

/// A JSON file.
pub(super) fn json(place: &Place, what: &str) -> Result<serde_json::Value> {
    serde_json::from_str(&place.text(what)?)
        .map_err(|e| Error::file(place.path(), format!("{what} is no JSON ({e}); get the file anew")))
}

/// The tensors of a safetensors file; those with NaN or infinity are refused.
pub(super) fn tensors(place: &Place, device: &Device) -> Result<HashMap<String, Tensor>> {
    let tensors = weights::read(place, device)?.tensors;
    let mut strays = Vec::new();
    for (name, tensor) in tensors.iter().filter(|(_, t)| t.dtype().is_float()) {
        if !reduce::all_finite(tensor)? {
            strays.push(name);
        }
    }
    match strays.iter().min() {
        None => Ok(tensors),
        Some(first) => Err(Error::file(
            place.path(),
            format!(
                "{} tensors hold NaN or infinity (first: {first}); get the file anew",
                strays.len()
            ),
        )),
    }
}

/// Named tensors for a model, as f32.
pub(super) fn builder(tensors: HashMap<String, Tensor>, device: &Device) -> VarBuilder<'static> {
    VarBuilder::from_tensors(tensors, DType::F32, device)
}

/// Random tensors for a model: each from the stream of its name.
pub(super) fn random(seed: u64, device: &Device) -> VarBuilder<'static> {
    VarBuilder::from_backend(Box::new(Drawn(seed)), DType::F32, device.clone())
}

/// The error of a model whose tensors do not come: which one, and what file is wanted.
pub(super) fn misfit(place: &Place, published: &Published, error: EngineError) -> Error {
    let problem = match Error::from(error) {
        Error::Engine(EngineError::CannotFindTensor { path }) => format!("the tensor {path} is not in the file"),
        Error::Engine(EngineError::UnexpectedShape { msg, expected, got }) => {
            format!("{msg}: {got:?} in the file, {expected:?} in the model")
        }
        other => return other,
    };
    Error::file(
        place.path(),
        format!(
            "these are no weights of this {}: {problem}; {published}",
            published.what
        ),
    )
}

/// Draws the tensors that a model asks for.
struct Drawn(u64);

/// What a tensor is filled with.
enum Fill {
    /// One number.
    Constant(f32),
    /// Normal numbers of this standard deviation.
    Normal(f64),
}

impl Fill {
    /// Norms begin as the identity; all else keeps the size of what passes through.
    fn of(name: &str, dims: &[usize]) -> Self {
        let last = name.rsplit('.').next().unwrap_or(name);
        match (last, dims) {
            ("weight" | "running_var", [_]) | ("logit_scale", _) => Fill::Constant(1.0),
            ("class_embedding" | "positional_encoding_gaussian_matrix" | "probe", _) => Fill::Normal(1.0),
            (_, [] | [_]) => Fill::Constant(0.0),
            (_, [_, rest @ ..]) => Fill::Normal(1.0 / (rest.iter().product::<usize>() as f64).sqrt()),
        }
    }
}

impl SimpleBackend for Drawn {
    fn get(&self, s: Shape, name: &str, _: candle_nn::Init, dtype: DType, dev: &Device) -> EngineResult<Tensor> {
        let numbers: Vec<f32> = match Fill::of(name, s.dims()) {
            Fill::Constant(number) => vec![number; s.elem_count()],
            Fill::Normal(sd) => {
                let path: Vec<u64> = name.bytes().map(u64::from).collect();
                let mut random = Random::derived(self.0, &path);
                (0..s.elem_count()).map(|_| (sd * random.normal()) as f32).collect()
            }
        };
        Tensor::from_vec(numbers, s, dev)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> EngineResult<Tensor> {
        candle_core::bail!("the shape of {name} is not known")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}
