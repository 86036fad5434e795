//! What can be chosen of an optimiser.

use serde::{Deserialize, Deserializer, Serialize};

use crate::ensure;
use crate::error::{POSITIVE, Result, in_range};

/// The update rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Stochastic gradient descent with momentum, as `torch.optim.SGD`.
    Sgd,
    /// Adam with decoupled weight decay, as `torch.optim.AdamW`.
    Adamw,
}

impl Rule {
    /// The names a script may use.
    pub const NAMES: [(&'static str, Rule); 2] = [("sgd", Rule::Sgd), ("adamw", Rule::Adamw)];
}

/// A set of parameters with settings of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The parameters below this name (`encoder.layer1` does not cover `encoder.layer10`); the longest prefix wins.
    pub prefix: String,
    /// Multiple of the learning rate.
    #[serde(default = "one")]
    pub lr: f64,
    /// Weight decay of this group (`None`: as the others).
    #[serde(default)]
    pub weight_decay: Option<f64>,
}

fn one() -> f64 {
    1.0
}

/// Options of an optimiser. `None` stands for the default of the place where it is used; see [`OptimizerConfig::resolved`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// The update rule.
    pub name: Rule,
    /// Learning rate.
    pub lr: Option<f64>,
    /// SGD: weight of the velocity kept from the step before.
    pub momentum: Option<f64>,
    /// SGD: look ahead along the velocity (Nesterov).
    pub nesterov: bool,
    /// SGD: L2 penalty; AdamW: decoupled decay.
    pub weight_decay: Option<f64>,
    /// AdamW: decay of the mean gradient.
    pub beta1: f64,
    /// AdamW: decay of the mean squared gradient.
    pub beta2: f64,
    /// AdamW: added to the root of the mean square.
    pub eps: f64,
    /// Groups of parameters by prefix: `{ "segmentation_head": 10.0 }` (multiples of the learning rate), or a list of
    /// `{ prefix, lr, weight_decay }`.
    #[serde(deserialize_with = "groups")]
    pub groups: Vec<Group>,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            name: Rule::Sgd,
            lr: None,
            momentum: None,
            nesterov: false,
            weight_decay: None,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            groups: Vec::new(),
        }
    }
}

/// Groups from a map of multiples or from a list.
fn groups<'de, D: Deserializer<'de>>(d: D) -> std::result::Result<Vec<Group>, D::Error> {
    use serde::de::Error;
    match serde_json::Value::deserialize(d)? {
        serde_json::Value::Object(map) => map
            .into_iter()
            .map(|(prefix, multiple)| {
                let lr = multiple.as_f64().ok_or_else(|| {
                    let text = format!(
                        "groups: \"{prefix}\" is {multiple}, expected a number to multiply the learning rate by"
                    );
                    Error::custom(text)
                })?;
                Ok(Group {
                    prefix,
                    lr,
                    weight_decay: None,
                })
            })
            .collect(),
        list => serde_json::from_value(list).map_err(Error::custom),
    }
}

impl OptimizerConfig {
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
        for group in &self.groups {
            let name = format!("optimizer: groups: \"{}\"", group.prefix);
            in_range(&name, "lr", group.lr, 0.0..)?;
            in_range(&name, "weight_decay", group.weight_decay.unwrap_or(0.0), 0.0..)?;
        }
        Ok(())
    }
}
