//! What a task trains: which parameters of the network, and the temperature where it is learnt.

use candle_core::{Tensor, Var};

use super::config::{Objective, Task, TrainConfig};
use super::course;
use super::optimizer::{Group, Optimizer};
use super::temperature::Temperature;
use crate::error::Result;
use crate::nn::Segmenter;

/// Name of the learnable temperature among the parameters.
const TEMPERATURE: &str = "temperature";

/// The optimiser over what the task trains, and the temperature where it is learnt.
pub(super) fn optimizer(model: &Segmenter, config: &TrainConfig) -> Result<(Optimizer, Option<Var>)> {
    let classifier = model.classifier_name().map(|name| format!("{name}."));
    let ours = classifier.is_some();
    let trained = |name: &str| match config.task {
        Task::Pretrain => !classifier.as_ref().is_some_and(|c| name.starts_with(c)),
        Task::Finetune => !ours || !name.starts_with("projection."),
        Task::Fit => true,
    };
    let all = model.parameters("").into_iter().map(|p| (p.name, p.var));
    let mut parameters: Vec<_> = all.filter(|(n, _)| trained(n)).collect();
    let mut settings = config.optimizer.clone();
    let mut temperature = None;
    if let Objective::PixelContrast {
        options,
        temperature: Temperature::Learnable { .. },
    } = &config.objective
    {
        let start = Tensor::new(options.temperature as f32, model.device())?;
        let var = Var::from_tensor(&start)?;
        parameters.push((TEMPERATURE.to_string(), var.clone()));
        temperature = Some(var);
        if !settings.groups.0.iter().any(|g| g.prefix == TEMPERATURE) {
            settings.groups.0.push(Group {
                prefix: TEMPERATURE.into(),
                lr: 1.0,
                weight_decay: Some(0.0),
            });
        }
    }
    let mut optimizer = Optimizer::new(parameters, &settings)?;
    if let Some(decay) = config.course.layer_decay {
        optimizer.scale(course::layer_factor(model, decay)?);
    }
    Ok((optimizer, temperature))
}
