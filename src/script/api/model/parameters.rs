//! What models hand out: parameters for optimisers, the report of loaded weights.

use std::rc::Rc;

use crate::error::or_meant;
use crate::nn::{LoadReport, Parameter};
use crate::script::prelude::*;

/// Trainable parameters of a model, for an optimiser.
#[derive(Clone)]
pub struct Parameters(pub Rc<Vec<Parameter>>);

impl ScriptType for Parameters {
    const NAME: &'static str = "Parameters";
    const DOC: &'static str = "Trainable parameters of a model with their names, in the order of its parts.";
    fn display(&self) -> String {
        let line = |p: &Parameter| format!("{} {:?}", p.name, p.var.dims());
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }
    fn brief(&self) -> String {
        format!("Parameters ({})", self.0.len())
    }
}

/// What `load_weights` did with each tensor.
#[derive(Clone)]
pub struct Loaded(pub(super) Rc<LoadReport>);

impl ScriptType for Loaded {
    const NAME: &'static str = "LoadReport";
    const DOC: &'static str =
        "What `load_weights` did: the names that were loaded, missing, unexpected, of another shape or passed over.";
    fn display(&self) -> String {
        self.0.to_string()
    }
    fn brief(&self) -> String {
        format!("LoadReport: {}", self.0)
    }
}

/// Declare both types and their methods.
pub(super) fn declare(table: &mut Table) {
    table.script_type::<Parameters>();
    table.methods::<Parameters>(entries! {
        /// How many parameters there are.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// assert_eq(net.parameters("segmentation_head").len, 2);
        /// ```
        get len(ctx, parameters: Parameters) -> usize {
            Ok(parameters.0.len())
        }

        /// The names of the parameters.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// assert_eq(net.parameters().names[0], "encoder.conv1.weight");
        /// ```
        get names(ctx, parameters: Parameters) -> Vec<String> {
            Ok(parameters.0.iter().map(|p| p.name.clone()).collect())
        }

        /// Get one parameter as a variable: gradients of it are asked for by `g.of(variable)`.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// let bias = net.parameters().get("segmentation_head.0.bias");
        /// let g = net.forward(tensor::randn([2, 3, 32, 32])).sum().backward();
        /// assert_eq(g.of(bias).shape, [3]);
        /// ```
        fn get(ctx, parameters: Parameters, /// The name.
               name: String) -> Tensor {
            match parameters.0.iter().find(|p| p.name == name) {
                Some(parameter) => Ok(parameter.var.as_tensor().clone()),
                None => {
                    let hint = or_meant(&name, parameters.0.iter().map(|p| p.name.as_str()), "\"", "\"");
                    fail!("there is no parameter \"{name}\" among these {}{hint}", parameters.0.len())
                }
            }
        }
    });
    table.script_type::<Loaded>();
    table.methods::<Loaded>(entries! {
        /// The names of the tensors that were taken over.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.save("net.safetensors");
        /// assert_eq(net.load_weights("net.safetensors").loaded[0], "encoder.conv1.weight");
        /// ```
        get loaded(ctx, report: Loaded) -> Vec<String> {
            Ok(report.0.loaded.clone())
        }

        /// The names of the model's tensors that the file lacks, the projection head's not counted.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.save("net.safetensors");
        /// assert_eq(net.load_weights("net.safetensors").missing, []);
        /// ```
        get missing(ctx, report: Loaded) -> Vec<String> {
            Ok(report.0.missing.clone())
        }

        /// The names in the file that the model does not know.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// tensor::save("more.safetensors", net.state() + #{ extra: tensor::zeros([2]) });
        /// assert_eq(net.load_weights("more.safetensors", #{ strict: false }).unexpected, ["extra"]);
        /// ```
        get unexpected(ctx, report: Loaded) -> Vec<String> {
            Ok(report.0.unexpected.clone())
        }

        /// The names in the file that have no place in any network here.
        ///
        /// These are ImageNet's classifier (`fc.*`), the auxiliary classifier (`aux_classifier.*`) and the counters of batch norm
        /// (`num_batches_tracked`).
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// tensor::save("more.safetensors", net.state() + #{ "fc.bias": tensor::zeros([1000]) });
        /// assert_eq(net.load_weights("more.safetensors").passed_over, ["fc.bias"]);
        /// ```
        get passed_over(ctx, report: Loaded) -> Vec<String> {
            Ok(report.0.passed_over.clone())
        }

        /// The names of the tensors that were taken over although they hold NaN or infinity.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// tensor::save("odd.safetensors", net.state() + #{ "encoder.bn1.bias": tensor::full([64], 0.0 / 0.0) });
        /// assert_eq(net.load_weights("odd.safetensors").not_finite, ["encoder.bn1.bias"]);
        /// ```
        get not_finite(ctx, report: Loaded) -> Vec<String> {
            Ok(report.0.not_finite.clone())
        }

        /// The names of the tensors whose shapes differ; `print(report)` tells the shapes.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.save("net.safetensors");
        /// net.new_classifier(4);
        /// assert_eq(net.load_weights("net.safetensors", #{ strict: false }).wrong_shape.len(), 2);
        /// ```
        get wrong_shape(ctx, report: Loaded) -> Vec<String> {
            Ok(report.0.wrong_shape.iter().map(|w| w.name.clone()).collect())
        }
    });
}
