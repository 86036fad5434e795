//! Networks whose forward pass is a closure of the script.

use std::rc::Rc;

use crate::nn::{Given, Module, Network, Pass, Segmenter, Value};
use crate::script::Callback;
use crate::script::api::Model;
use crate::script::prelude::*;
use crate::script::values::describe;

/// A closure `|parts, x| ..`.
pub(super) struct Block(pub(super) Callback);

impl Network for Block {
    fn forward(&self, parts: &[(String, Rc<Module>)], x: &Tensor, pass: &Pass) -> Result<Value> {
        let model = |module: &Rc<Module>| Dynamic::from(Model::new(Segmenter::layer(module.clone(), x.device())));
        let part = |(name, module): &(String, Rc<Module>)| {
            let value = match module.is_list() {
                true => module
                    .parts()
                    .iter()
                    .map(|(_, part)| model(part))
                    .collect::<Vec<_>>()
                    .into(),
                false => model(module),
            };
            (name.as_str().into(), value)
        };
        let parts: Map = parts.iter().map(part).collect();
        let Callback { closure, context, .. } = &self.0;
        let arguments = vec![Dynamic::from(parts), Dynamic::from(x.clone())];
        let call = || self.0.call("nn::block", arguments);
        let value = context.within(pass, None, || match pass.random {
            // what the closure draws follows from the pass, so that a resumed run repeats it
            Some(random) => {
                let seed = random.borrow_mut().bits();
                context.session().with_seed(seed, call)
            }
            None => call(),
        });
        match value {
            Ok(value) => value_from(&value.flatten()),
            Err(error) => Err(context.closure_error("nn::block", "its closure", closure, 2, error)),
        }
    }
}

/// What the closure returned.
fn value_from(value: &Dynamic) -> Result<Value> {
    if let Some(tensor) = Tensor::convert(value) {
        return Ok(Value::Tensor(tensor));
    }
    if value.is_array()
        && let Some(maps) = <Vec<Tensor> as Arg>::convert(value)
    {
        return Ok(Value::Maps(maps));
    }
    let Some(map) = value.read_lock::<Map>() else {
        fail!(
            "nn::block: its closure must return a tensor or #{{ logits, features, embeddings }}, found {}",
            describe(value)
        )
    };
    let tensor = |name: &str| match map.get(name) {
        None => Ok(None),
        Some(value) => match Tensor::convert(value) {
            Some(tensor) => Ok(Some(tensor)),
            None => fail!("nn::block: `{name}` must be a tensor, found {}", describe(value)),
        },
    };
    let known = ["logits", "features", "embeddings"];
    if let Some(other) = map.keys().find(|name| !known.contains(&name.as_str())) {
        fail!(
            "nn::block: its closure returned `{other}`, which is not known; a map may hold logits, features and embeddings"
        );
    }
    let Some(logits) = tensor("logits")? else {
        fail!("nn::block: its closure returned a map without `logits`")
    };
    Ok(Value::Outputs(Given {
        logits,
        features: tensor("features")?,
        embeddings: tensor("embeddings")?,
    }))
}
