//! What can be chosen of an optimiser.

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{POSITIVE, Result, in_range};
use crate::options::{Arg, Given, Inside, OptionSet, Problem, Reading, Source, wrong};
use crate::{choices, ensure, options};

choices! {
    /// The update rule.
    pub enum Rule {
        /// Stochastic gradient descent with momentum, as `torch.optim.SGD`.
        Sgd = "sgd",
        /// Adam with decoupled weight decay, as `torch.optim.AdamW`.
        Adamw = "adamw",
    }
}

options! {
    /// A set of parameters with settings of its own.
    #[derive(PartialEq)]
    pub struct Group {
        /// The parameters below this name (`encoder.layer1` does not cover `encoder.layer10`); the longest prefix wins.
        prefix: String = String::new(),
        /// Multiple of the learning rate.
        lr: f64 = 1.0,
        /// Weight decay of this group; as the others if not given.
        weight_decay: Option<f64> = None,
    }
}

/// Groups of parameters; a script gives a list of maps, or a map of multiples of the learning rate: `#{ "segmentation_head": 10.0 }`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Groups(pub Vec<Group>);

/// A record says it in the same forms.
impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(d)?;
        Groups::read(&Given::from(&value)).map_err(|problem| serde::de::Error::custom(problem.error("groups")))
    }
}

impl Arg for Groups {
    const KIND: &'static str = "[map] or map";
    const WANTED: &'static str = "#{ \"segmentation_head\": 10.0 } or [#{ prefix, lr, weight_decay }]";
    fn inside() -> Inside {
        Inside::List(Group::default().fields())
    }
    fn read(value: &dyn Source) -> Reading<Self> {
        let multiple = |(prefix, given): &(String, Given)| {
            let lr = f64::read_option(given).map_err(|problem| problem.of(prefix))?;
            let prefix = prefix.clone();
            Ok(Group {
                prefix,
                lr,
                ..Group::default()
            })
        };
        let groups: Vec<Group> = match value.given() {
            Given::Map(map) => map.iter().map(multiple).collect::<Reading<_>>()?,
            Given::List(_) => Vec::read(value)?,
            other => return Err(wrong(&Self::wanted(), &other)),
        };
        match groups.iter().position(|group| group.prefix.is_empty()) {
            Some(i) => Err(Problem::Inside(
                format!("[{i}]"),
                "`prefix` is missing, the beginning of the names of its parameters".into(),
            )),
            None => Ok(Groups(groups)),
        }
    }
    fn literal(&self) -> Option<String> {
        self.0.literal()
    }
}

options! {
    /// Options of an optimiser. What is not given is the default of the place where it is used; see [`OptimizerConfig::resolved`].
    #[derive(PartialEq)]
    pub struct OptimizerConfig {
        /// The update rule.
        name: Rule = Rule::Sgd,
        /// Learning rate.
        lr: Option<f64> = None,
        /// SGD: weight of the velocity kept from the step before, 0 to below 1.
        momentum: Option<f64> = None,
        /// SGD: look ahead along the velocity (Nesterov).
        nesterov: bool = false,
        /// AdamW: decay of the mean gradient.
        beta1: f64 = 0.9,
        /// AdamW: decay of the mean squared gradient.
        beta2: f64 = 0.999,
        /// AdamW: added to the root of the mean square.
        eps: f64 = 1e-8,
        /// SGD: L2 penalty, added to the gradient; AdamW: decoupled decay.
        weight_decay: Option<f64> = None,
        /// Multiples of `lr` by prefix, `#{ "segmentation_head": 10.0 }`, or a list of `#{ prefix, lr, weight_decay }`.
        groups: Groups = Groups::default(),
    }
}

impl OptimizerConfig {
    /// The defaults of `torch.optim.SGD`, but for a learning rate of 0.01; those of `torch.optim.AdamW`.
    pub fn of_pytorch(name: Rule) -> Self {
        OptimizerConfig {
            name,
            ..OptimizerConfig::default()
        }
        .resolved(0.01, 0.0, 0.0)
    }

    /// Fill in what was left open: SGD from the arguments, AdamW as PyTorch (learning rate 1e-3, decay 0.01).
    pub fn resolved(&self, sgd_lr: f64, sgd_momentum: f64, sgd_weight_decay: f64) -> Self {
        let (lr, momentum, decay) = match self.name {
            Rule::Sgd => (sgd_lr, sgd_momentum, sgd_weight_decay),
            Rule::Adamw => (1e-3, 0.0, 0.01),
        };
        OptimizerConfig {
            lr: self.lr.or(Some(lr)),
            momentum: self.momentum.or(Some(momentum)),
            weight_decay: self.weight_decay.or(Some(decay)),
            ..self.clone()
        }
    }

    /// Refuse numbers that make no sense.
    pub fn check(&self) -> Result<()> {
        let name = "optimizer";
        in_range(name, "lr", self.lr.unwrap_or(0.0), 0.0..)?;
        in_range(name, "weight_decay", self.weight_decay.unwrap_or(0.0), 0.0..)?;
        in_range(name, "momentum", self.momentum.unwrap_or(0.0), 0.0..1.0)?;
        in_range(name, "beta1", self.beta1, 0.0..1.0)?;
        in_range(name, "beta2", self.beta2, 0.0..1.0)?;
        in_range(name, "eps", self.eps, POSITIVE)?;
        let momentum = self.momentum.unwrap_or(0.0);
        ensure!(
            !self.nesterov || momentum > 0.0,
            "optimizer: nesterov needs a momentum above 0, found {momentum}"
        );
        for group in &self.groups.0 {
            let name = format!("optimizer: groups: \"{}\"", group.prefix);
            in_range(&name, "lr", group.lr, 0.0..)?;
            in_range(&name, "weight_decay", group.weight_decay.unwrap_or(0.0), 0.0..)?;
        }
        Ok(())
    }
}
