//! Networks of the user's own behind the face of ours.

use std::cell::OnceCell;
use std::rc::Rc;

use candle_core::{Device, Tensor};

use super::layers::DTYPE;
use super::module::{Given, Module, Value};
use super::pass::Pass;
use super::segmenter::{Kind, Segmenter};
use crate::error::{Error, Result};
use crate::{ensure, fail};

/// The error of a part that only our architectures have.
pub(super) fn own(function: &str) -> Error {
    Error::usage(format!(
        "{function}: this network is one of your own (nn::, model::from): let its block return what is wanted, \
         #{{ logits, features, embeddings }}, or call its layers inside; only model::deeplabv3plus(..) and its like have this part by themselves"
    ))
}

impl Segmenter {
    /// A network of the user's own: its logits, [n, classes, h, w] of any size, are brought to the size asked for, bilinear.
    ///
    /// # Errors
    /// A network without parameters.
    pub fn own(module: Rc<Module>, classes: usize, device: &Device) -> Result<Self> {
        let model = Self::with(Kind::Own(module, Some(classes)), OnceCell::new(), DTYPE, device);
        ensure!(
            (1..=65536).contains(&classes),
            "from: classes is {classes}, expected 1 to 65536"
        );
        ensure!(
            model.slots().iter().any(|s| !s.buffer),
            "from: the network has no parameters; name its layers in the map of the block, or train nothing"
        );
        Ok(model)
    }

    /// A layer as a network without classes: [`Segmenter::compute`] gives what it computes.
    pub fn layer(module: Rc<Module>, device: &Device) -> Self {
        Self::with(Kind::Own(module, None), OnceCell::new(), DTYPE, device)
    }

    /// The network of one's own that this is.
    pub fn module(&self) -> Option<&Rc<Module>> {
        match &self.kind {
            Kind::Own(module, _) => Some(module),
            Kind::Parts(_) => None,
        }
    }

    /// What the network computes: logits at the size of the images, or, of a layer, whatever it gives.
    pub fn compute(&self, x: &Tensor, pass: &Pass) -> Result<Value> {
        match &self.kind {
            Kind::Own(module, None) => {
                ensure!(
                    x.device().same_device(&self.device),
                    "forward: the layer is on {:?}, its input on {:?}; move one with to_device",
                    self.device.location(),
                    x.device().location()
                );
                module.forward(x, pass)
            }
            _ => Ok(Value::Tensor(self.forward(x, pass)?)),
        }
    }

    /// What a network of one's own gives for images.
    pub(super) fn given(&self, module: &Module, classes: Option<usize>, images: &Tensor, pass: &Pass) -> Result<Given> {
        let given = match module.forward(images, pass)? {
            Value::Outputs(given) => given,
            value => Given {
                logits: value.tensor()?,
                features: None,
                embeddings: None,
            },
        };
        let Some(classes) = classes else {
            fail!("this is a layer; model::from(layer, #{{ classes: 9 }}) makes a network of it")
        };
        let dims = given.logits.dims();
        ensure!(
            matches!(dims, [n, c, _, _] if *n == images.dims()[0] && *c == classes),
            "the network gave {dims:?} as logits of {:?}, expected [{}, {classes}, height, width] (classes: {classes} of model::from)",
            images.dims(),
            images.dims()[0]
        );
        Ok(given)
    }
}
