//! Checkpoints: one safetensors file with everything a run needs to go on. The model's tensors have their own names and the
//! model's configuration lies in the metadata, so the file is also a model file.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::config::TrainConfig;
use super::course::{Beside, Judged};
use super::folder;
use super::history::History;
use super::run::{self, Change, DataIdentity, Run, Status};
use crate::data::Dataset;
use crate::ensure;
use crate::error::{Error, Result};
use crate::loss::pixel_contrast::Memory;
use crate::nn::{CONFIG_KEY, LoadOptions, Parent, Segmenter, weights};
use crate::session::{Place, Session};

/// The key of the metadata that holds [`Record`] as JSON.
const RUN_KEY: &str = "seglab.run";
const MEMORY: &str = "run.memory.";
const AVERAGE: &str = "run.average.";
const OPTIMIZER: &str = "run.optimizer.";
const HISTORY: &str = "run.history.";
/// The record's floating-point numbers in order: reading their decimal text may miss the last bit.
const NUMBERS: &str = "run.numbers";
const TEMPERATURE: &str = "run.temperature";

/// The part of a run's state that is not tensors.
#[derive(Serialize, Deserialize)]
struct Record {
    name: String,
    status: Status,
    step: usize,
    optimizer_steps: u64,
    config: TrainConfig,
    changes: Vec<Change>,
    data: DataIdentity,
    #[serde(default)]
    more_data: Vec<DataIdentity>,
    #[serde(default)]
    judged: Judged,
    frozen: Vec<String>,
    /// Columns of the history, in order.
    columns: Vec<String>,
}

/// Write the whole state of a run.
pub(super) fn save(run: &Run, place: &Place) -> Result<()> {
    let model = run.model.borrow();
    let mut tensors = model.state()?;
    let names: Vec<String> = tensors.iter().map(|(n, _)| n.clone()).collect();
    tensors.extend(
        run.optimizer
            .state()
            .into_iter()
            .map(|(n, t)| (format!("{OPTIMIZER}{n}"), t)),
    );
    // As tensors, because decimal text would not give the same bits back.
    for (name, values) in run.history.columns() {
        let column = Tensor::from_vec(values.clone(), values.len(), &candle_core::Device::Cpu)?;
        tensors.push((format!("{HISTORY}{name}"), column));
    }
    if let Some(temperature) = &run.temperature {
        tensors.push((TEMPERATURE.into(), temperature.as_detached_tensor()));
    }
    if let Some(memory) = &run.memory {
        tensors.extend(memory.state()?.into_iter().map(|(n, t)| (format!("{MEMORY}{n}"), t)));
    }
    if let Some(average) = &run.average {
        tensors.extend(average.state()?.into_iter().map(|(n, t)| (format!("{AVERAGE}{n}"), t)));
    }
    tensors.extend(run.beside.tensors()?);
    let trained: Vec<String> = model.parameters("").into_iter().map(|p| p.name).collect();
    let buffers: Vec<String> = model.buffers().into_iter().map(|p| p.name).collect();
    let frozen = |name: &&String| !trained.contains(name) && !buffers.contains(name);
    let record = Record {
        name: run.name.clone(),
        status: run.status,
        step: run.step,
        optimizer_steps: run.optimizer.steps(),
        config: run.config.clone(),
        changes: run.changes.clone(),
        data: run.identity.clone(),
        more_data: run.beside.identities.clone(),
        judged: run.beside.judged.clone(),
        frozen: names.iter().filter(frozen).cloned().collect(),
        columns: run.history.columns().iter().map(|(n, _)| n.clone()).collect(),
    };
    let json = |e: serde_json::Error| Error::file(place.path(), e);
    let record = serde_json::to_value(&record).map_err(json)?;
    let mut numbers = Vec::new();
    each_float(&mut record.clone(), &mut |n| numbers.extend(n.as_f64()));
    tensors.push((
        NUMBERS.into(),
        Tensor::from_vec(numbers.clone(), numbers.len(), &candle_core::Device::Cpu)?,
    ));
    let record = record.to_string();
    let config = model.record()?.to_string();
    weights::write(place, &tensors, &[(CONFIG_KEY, &config), (RUN_KEY, &record)])
}

/// Read a run. Give it the data it was trained on to go on; `val` as well where it had a validation set.
///
/// # Errors
/// The file is missing, corrupt or no checkpoint of a run; the data set is not the one of the run.
pub(super) fn load(
    session: &Session,
    place: &Place,
    model: Option<Rc<RefCell<Segmenter>>>,
    data: Vec<Dataset>,
    val: Option<Dataset>,
) -> Result<Run> {
    let path = place.path();
    let file = weights::read(place, session.device())?;
    let Some(record) = file.metadata.get(RUN_KEY) else {
        return Err(Error::file(path, "holds no training run; model::load reads a model"));
    };
    let missing = |name: &str| Error::file(path, format!("{name} is missing; the file is incomplete"));
    let unreadable = |e: serde_json::Error| Error::file(path, format!("the record of the run cannot be read ({e})"));
    let mut record: serde_json::Value = serde_json::from_str(record).map_err(unreadable)?;
    let numbers = file
        .tensors
        .get(NUMBERS)
        .ok_or_else(|| missing(NUMBERS))?
        .to_vec1::<f64>()?;
    let mut numbers = numbers.into_iter();
    each_float(&mut record, &mut |n| {
        *n = numbers
            .next()
            .and_then(serde_json::Number::from_f64)
            .unwrap_or(n.clone())
    });
    let record: Record = serde_json::from_value(record).map_err(unreadable)?;
    ensure!(
        data.is_empty() || data.len() == record.more_data.len() + 1,
        "{}: the run was trained on {} sources, found {}; give all of them: data: [first, second]",
        path.display(),
        record.more_data.len() + 1,
        data.len()
    );
    for (data, expected) in data.iter().zip(std::iter::once(&record.data).chain(&record.more_data)) {
        let given = DataIdentity::of(data);
        if given != *expected {
            let show = |d: &DataIdentity| {
                let size = d.size.map_or("own size".into(), |[h, w]| format!("{h}x{w}"));
                let hash: String = d.split_hash.chars().take(12).collect();
                format!("{} ({} images, {size}, split {hash})", d.name, d.images)
            };
            return Err(Error::file(
                path,
                format!("the run was trained on {}, found {}", show(expected), show(&given)),
            ));
        }
    }
    let model = match model {
        Some(model) => {
            let ours = model.borrow().state()?.into_iter();
            let ours = ours.filter_map(|(name, _)| Some((name.clone(), file.tensors.get(&name)?.clone())));
            let options = LoadOptions {
                prefix: Some(String::new()),
                ..LoadOptions::default()
            };
            let loaded = model.borrow().load_state(&ours.collect(), &options);
            loaded.map_err(|e| Error::file(path, format!("the network given is not the one of the run: {e}")))?;
            model
        }
        None => Rc::new(RefCell::new(Segmenter::load(place, session.device())?)),
    };
    let shared = model.clone();
    let model = model.borrow();
    for name in &record.frozen {
        model.freeze(name);
    }
    let (mut optimizer, temperature) = run::optimizer(&model, &record.config)?;
    let below = |prefix: &str| -> HashMap<String, Tensor> {
        let named = |(n, t): (&String, &Tensor)| Some((n.strip_prefix(prefix)?.to_string(), t.clone()));
        file.tensors.iter().filter_map(named).collect()
    };
    optimizer
        .load_state(&below(OPTIMIZER), record.optimizer_steps)
        .map_err(|e| Error::file(path, e))?;
    if let Some(var) = &temperature {
        var.set(file.tensors.get(TEMPERATURE).ok_or_else(|| missing(TEMPERATURE))?)?;
    }
    let memory = match run::memory_options(&record.config) {
        Some(options) => {
            let kept: Vec<_> = below(MEMORY).into_iter().collect();
            Some(Memory::from_state(options, &kept).map_err(|e| Error::file(path, e))?)
        }
        None => None,
    };
    let average = match run::averaging(&record.config) {
        Some(_) => {
            let average = model.copy()?;
            let kept = below(AVERAGE);
            let options = LoadOptions {
                prefix: Some(String::new()),
                ..LoadOptions::default()
            };
            average.load_state(&kept, &options).map_err(|e| Error::file(path, e))?;
            Some(average)
        }
        None => None,
    };
    let column = |name: &String| -> Result<(String, Vec<f64>)> {
        let stored = file
            .tensors
            .get(&format!("{HISTORY}{name}"))
            .ok_or_else(|| missing(name))?;
        Ok((name.clone(), stored.to_dtype(DType::F64)?.to_vec1()?))
    };
    let mut data = data.into_iter();
    let (first, more) = (data.next(), data.collect());
    let columns = record.columns.iter().map(column).collect::<Result<Vec<_>>>()?;
    let (home, kept) = folder::home(session, place).unzip();
    let (model_seed, parent, sittings) = match kept {
        Some(kept) => (kept.model_seed, kept.parent.clone(), kept.sittings()),
        None => (None, parent(path, record.step), Vec::new()),
    };
    Ok(Run {
        session: session.clone(),
        on_gpu: model.device().is_cuda(),
        model: shared,
        beside: Beside {
            more,
            ..Beside::load(&model, &file.tensors, record.more_data, record.judged)?
        },
        data: first,
        val,
        identity: record.data,
        config: record.config,
        optimizer,
        temperature,
        memory,
        average,
        warned: BTreeMap::new(),
        history: History::from_columns(columns),
        changes: record.changes,
        status: record.status,
        step: record.step,
        name: match &home {
            Some(_) => record.name,
            None => folder::claim_name(session, &record.name),
        },
        home,
        model_seed,
        parent,
        sittings,
        begun: false,
    })
}

/// A run that goes on in another folder descends from the checkpoint.
fn parent(checkpoint: &std::path::Path, step: usize) -> Option<Parent> {
    let path = checkpoint.display().to_string();
    Some(Parent { path, step: Some(step) })
}

/// Visit every floating-point number of a JSON value in a fixed order.
fn each_float(value: &mut serde_json::Value, visit: &mut dyn FnMut(&mut serde_json::Number)) {
    match value {
        serde_json::Value::Number(n) if n.is_f64() => visit(n),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|v| each_float(v, visit)),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(|v| each_float(v, visit)),
        _ => {}
    }
}
