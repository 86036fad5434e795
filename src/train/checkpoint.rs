//! Checkpoints: one safetensors file with everything a run needs to go on. The model's tensors have their own names and the
//! model's configuration lies in the metadata, so the file is also a model file.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::config::TrainConfig;
use super::course::{Beside, Judged};
use super::folder;
use super::history::History;
use super::lent::Lent;
use super::run::{DataIdentity, Run, Status};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::loss::pixel_contrast::Memory;
use crate::nn::{CONFIG_KEY, LoadOptions, Parent, Segmenter, weights};
use crate::session::{Place, Session};
use crate::{ensure, fail_at};

/// The key of the metadata that holds [`Metadata`] as JSON.
const RUN_KEY: &str = "seglab.run";
const MEMORY: &str = "run.memory.";
const AVERAGE: &str = "run.average.";
const OPTIMIZER: &str = "run.optimizer.";
const HISTORY: &str = "run.history.";
const TEMPERATURE: &str = "run.temperature";

/// The part of a run's state that is not tensors.
#[derive(Serialize, Deserialize)]
struct Metadata {
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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    owes_score: bool,
}

impl Metadata {
    /// What all sources of the run are.
    fn identities(&self) -> Vec<DataIdentity> {
        std::iter::once(&self.data).chain(&self.more_data).cloned().collect()
    }
}

/// Write the whole state of a run.
pub(super) fn save(run: &Run, place: &Place) -> Result<()> {
    let model = run.model.borrow();
    let mut tensors = model.state()?;
    let names: Vec<String> = tensors.iter().map(|(n, _)| n.clone()).collect();
    tensors.extend(under(OPTIMIZER, run.optimizer.state()));
    for (name, values) in run.history.columns() {
        let column = Tensor::from_vec(values.clone(), values.len(), &Device::Cpu)?;
        tensors.push((format!("{HISTORY}{name}"), column));
    }
    if let Some(temperature) = &run.temperature {
        tensors.push((TEMPERATURE.into(), temperature.as_detached_tensor()));
    }
    if let Some(memory) = &run.memory {
        tensors.extend(under(MEMORY, memory.state()?));
    }
    if let Some(average) = &run.average {
        tensors.extend(under(AVERAGE, average.state()?));
    }
    tensors.extend(run.beside.tensors()?);
    let trained: Vec<String> = model.parameters("").into_iter().map(|p| p.name).collect();
    let buffers: Vec<String> = model.buffers().into_iter().map(|p| p.name).collect();
    let frozen = |name: &&String| !trained.contains(name) && !buffers.contains(name);
    let record = Metadata {
        name: run.name.clone(),
        status: run.status,
        step: run.step,
        optimizer_steps: run.optimizer.steps(),
        config: run.config.clone(),
        changes: run.changes.clone(),
        data: run.identities[0].clone(),
        more_data: run.identities[1..].to_vec(),
        judged: run.beside.judged.clone(),
        frozen: names.iter().filter(frozen).cloned().collect(),
        columns: run.history.columns().iter().map(|(n, _)| n.clone()).collect(),
        owes_score: run.owes_score,
    };
    let json = |e: serde_json::Error| Error::file(place.path(), e);
    let record = serde_json::to_string(&record).map_err(json)?;
    let config = model.record()?.to_string();
    weights::write(place, &tensors, &[(CONFIG_KEY, &config), (RUN_KEY, &record)])
}

/// A checkpoint that was read: the tensors, and the rest of the state.
struct Stored {
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
    record: Metadata,
}

impl Stored {
    fn read(place: &Place, device: &Device) -> Result<Self> {
        let path = place.path();
        let file = weights::read(place, device)?;
        let Some(record) = file.metadata.get(RUN_KEY) else {
            fail_at!(path, "holds no training run; model::load reads a model");
        };
        let unreadable =
            |e: serde_json::Error| Error::file(path, format!("the record of the run cannot be read ({e})"));
        Ok(Stored {
            path: path.to_path_buf(),
            record: serde_json::from_str(record).map_err(unreadable)?,
            tensors: file.tensors,
        })
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| missing(&self.path, name))
    }

    /// Put the state into `run`, which was made with the same settings and whose model has these numbers already.
    fn restore(self, run: &mut Run) -> Result<()> {
        let here = |e: Error| Error::file(&self.path, e);
        let steps = self.record.optimizer_steps;
        run.optimizer
            .load_state(&below(OPTIMIZER, &self.tensors), steps)
            .map_err(here)?;
        if let Some(var) = &run.temperature {
            var.set(self.get(TEMPERATURE)?)?;
        }
        if let Some(options) = run.config.memory() {
            let kept: Vec<_> = below(MEMORY, &self.tensors).into_iter().collect();
            run.memory = Some(Memory::from_state(options, &kept).map_err(here)?);
        }
        if let Some(average) = &run.average {
            average
                .load_state(&below(AVERAGE, &self.tensors), &as_they_are())
                .map_err(here)?;
        }
        let column = |name: &String| -> Result<(String, Vec<f64>)> {
            let stored = self.get(&format!("{HISTORY}{name}"))?;
            Ok((name.clone(), stored.to_dtype(DType::F64)?.to_vec1()?))
        };
        let columns = self.record.columns.iter().map(column).collect::<Result<Vec<_>>>()?;
        run.history = History::from_columns(columns);
        let judged = self.record.judged;
        let (model, beside) = (run.model.borrow(), &mut run.beside);
        beside.restore(&model, &self.tensors, judged).map_err(here)?;
        drop(model);
        run.changes = self.record.changes;
        run.status = self.record.status;
        run.step = self.record.step;
        run.owes_score = self.record.owes_score;
        Ok(())
    }
}

/// Tensors under names with this beginning.
pub(super) fn under(prefix: &str, tensors: Vec<(String, Tensor)>) -> impl Iterator<Item = (String, Tensor)> {
    tensors.into_iter().map(move |(name, t)| (format!("{prefix}{name}"), t))
}

/// The tensors whose names begin so, without that beginning.
pub(super) fn below(prefix: &str, tensors: &HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let named = |(name, t): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.to_string(), t.clone()));
    tensors.iter().filter_map(named).collect()
}

/// How numbers are loaded under their own names.
pub(super) fn as_they_are() -> LoadOptions {
    LoadOptions {
        prefix: Some(String::new()),
        ..LoadOptions::default()
    }
}

fn missing(path: &Path, name: &str) -> Error {
    Error::file(path, format!("{name} is missing; the file is incomplete"))
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
    lent: Lent,
) -> Result<Run> {
    let path = place.path();
    let stored = Stored::read(place, session.device())?;
    let record = &stored.record;
    let identities = record.identities();
    ensure!(
        data.is_empty() || data.len() == identities.len(),
        "{}: the run was trained on {} sources, found {}; give all of them: data: [first, second]",
        path.display(),
        identities.len(),
        data.len()
    );
    for (data, expected) in data.iter().zip(&identities) {
        let given = DataIdentity::of(data);
        if given != *expected {
            let show = |d: &DataIdentity| {
                let size = d.size.map_or("own size".into(), |[h, w]| format!("{h}x{w}"));
                let hash: String = d.split_hash.chars().take(12).collect();
                format!("{} ({} images, {size}, split {hash})", d.name, d.images)
            };
            fail_at!(
                path,
                "the run was trained on {}, found {}",
                show(expected),
                show(&given)
            );
        }
    }
    let model = match model {
        Some(model) => {
            let ours = model.borrow().state()?.into_iter();
            let ours = ours.filter_map(|(name, _)| Some((name.clone(), stored.tensors.get(&name)?.clone())));
            let loaded = model.borrow().load_state(&ours.collect(), &as_they_are());
            loaded.map_err(|e| Error::file(path, format!("the network given is not the one of the run: {e}")))?;
            model
        }
        None => Rc::new(RefCell::new(Segmenter::load(place, session.device())?)),
    };
    for name in &record.frozen {
        model.borrow().freeze(name);
    }
    let (home, kept) = folder::home(session, place).unzip();
    let (model_seed, parent, sittings) = match kept {
        Some(kept) => (kept.model_seed, kept.parent.clone(), kept.sittings()),
        None => (None, parent(path, record.step), Vec::new()),
    };
    let mut run = Run {
        beside: Beside::new(&record.config.course, &model, lent)?,
        data,
        val,
        name: match &home {
            Some(_) => record.name.clone(),
            None => folder::claim_name(session, &record.name),
        },
        home,
        model_seed,
        parent,
        sittings,
        ..Run::of(session, model, identities, record.config.clone())?
    };
    stored.restore(&mut run)?;
    Ok(run)
}

/// Take over what an earlier attempt of the same script left at the place of this new run: its numbers and its position. A run of
/// other settings, of other data, changed on its way or stopped by the script begins anew.
pub(super) fn take_up(run: &mut Run) -> Result<()> {
    let place = folder::checkpoint_path(run)?;
    if !place.exists()? {
        return Ok(());
    }
    let stored = Stored::read(&place, run.session.device())?;
    let settings = |config: &TrainConfig| serde_json::to_string(config).map_err(|e| Error::file(place.path(), e));
    let same = settings(&stored.record.config)? == settings(&run.config)?
        && stored.record.identities() == run.identities
        && run.beside.memories.fit(&stored.tensors)
        && stored.record.changes.is_empty()
        && stored.record.status != Status::Stopped;
    if !same {
        run.session.warn(&format!(
            "{}: what an earlier attempt left does not fit; it begins anew",
            run.name
        ));
        return Ok(());
    }
    let names: HashSet<String> = run.model.borrow().state()?.into_iter().map(|(n, _)| n).collect();
    let own: HashMap<String, Tensor> = stored
        .tensors
        .iter()
        .filter(|(n, _)| names.contains(*n))
        .map(|(n, t)| (n.clone(), t.clone()))
        .collect();
    run.model
        .borrow()
        .load_state(&own, &as_they_are())
        .map_err(|e| Error::file(place.path(), e))?;
    run.sittings = folder::kept(&place).sittings();
    stored.restore(run)
}

/// A run that goes on in another folder descends from the checkpoint.
fn parent(checkpoint: &Path, step: usize) -> Option<Parent> {
    let path = checkpoint.display().to_string();
    Some(Parent { path, step: Some(step) })
}
