//! The functions of each number that a network of one's own may have between its layers.

use candle_core::Tensor;
use candle_nn::{Activation as CandleActivation, Module as _};

use crate::ensure;
use crate::error::{Result, choose};
use crate::ops::Graph;

/// A function of each number: ours where there is one, else candle's.
#[derive(Clone, Copy, Debug)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x P(X <= x)` for a normal X.
    Gelu,
    /// The hyperbolic tangent.
    Tanh,
    /// One of candle's.
    Candle(CandleActivation),
}

impl Activation {
    /// All of them by name; `slope` is the factor of negative numbers (leaky_relu, 0.01) or of elu (1).
    fn known(slope: Option<f64>) -> [(&'static str, Self); 12] {
        use CandleActivation as C;
        [
            ("relu", Activation::Relu),
            ("gelu", Activation::Gelu),
            ("silu", Activation::Candle(C::Silu)),
            ("sigmoid", Activation::Candle(C::Sigmoid)),
            ("tanh", Activation::Tanh),
            ("leaky_relu", Activation::Candle(C::LeakyRelu(slope.unwrap_or(0.01)))),
            ("elu", Activation::Candle(C::Elu(slope.unwrap_or(1.0)))),
            ("relu6", Activation::Candle(C::Relu6)),
            ("mish", Activation::Candle(C::Mish)),
            ("hard_swish", Activation::Candle(C::HardSwish)),
            ("hard_sigmoid", Activation::Candle(C::HardSigmoid)),
            ("gelu_tanh", Activation::Candle(C::GeluPytorchTanh)),
        ]
    }

    /// Their names.
    pub fn names() -> Vec<&'static str> {
        Self::known(None).map(|(name, _)| name).to_vec()
    }

    /// The function of this name, with the slope of leaky_relu or elu.
    pub fn named(name: &str, slope: Option<f64>) -> Result<Self> {
        ensure!(
            slope.is_none() || matches!(name, "leaky_relu" | "elu"),
            "activation: only leaky_relu and elu have a slope, found {name}"
        );
        choose("activation", name, &Self::known(slope))
    }

    /// Compute.
    pub(super) fn compute(self, x: &Tensor, graph: Graph) -> Result<Tensor> {
        match self {
            Activation::Relu => graph.relu(x),
            Activation::Gelu => graph.gelu(x),
            Activation::Tanh => Ok(x.tanh()?),
            Activation::Candle(function) => Ok(function.forward(x)?),
        }
    }

    /// Its name, with the slope if it has one.
    pub(super) fn describe(self) -> String {
        match self {
            Activation::Candle(function) => format!("{function:?}").to_lowercase(),
            function => format!("{function:?}").to_lowercase(),
        }
    }
}
