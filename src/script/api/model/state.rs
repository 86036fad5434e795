//! What a model is made of: its parameters, its mode, its numbers, in memory and in files.

use std::collections::HashMap;
use std::rc::Rc;

use super::Model;
use super::parameters::{Loaded, Parameters};
use crate::nn::{LoadOptions, Segmenter, weights};
use crate::script::context::count;
use crate::script::options::dynamic_from;
use crate::script::prelude::*;
use crate::script::values::describe;

/// Naming a part that does not exist is a mistake worth an error.
fn known_part(prefix: &str, model: &Segmenter) -> Result<()> {
    if prefix.is_empty() {
        return Ok(());
    }
    let names = match (model.stage_name(), model.classifier_name()) {
        (Some(stage), Some(classifier)) => vec![stage, format!("{classifier}.weight")],
        _ => model.parameters("").into_iter().map(|p| p.name).take(2).collect(),
    };
    ensure!(
        model.has_part(prefix),
        "no parameter's name begins with \"{prefix}\"; the parts are {}, with names such as {}; print(model) \
         lists them",
        parts(model).join(", "),
        names.join(" and ")
    );
    Ok(())
}

/// Beginnings of names and what replaces them, the longest first.
fn renames(map: Map) -> Result<Vec<(String, String)>> {
    let pair = |(from, to): (_, Dynamic)| match to.into_immutable_string() {
        Ok(to) => Ok((String::from(from), to.to_string())),
        Err(found) => fail!("`rename` must map strings to strings, found {found} for \"{from}\""),
    };
    let mut renames = map.into_iter().map(pair).collect::<Result<Vec<_>>>()?;
    renames.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
    Ok(renames)
}

fn parts(model: &Segmenter) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for parameter in model.parameters("") {
        let part = parameter.name.split('.').next().unwrap_or_default();
        if !parts.iter().any(|p| p == part) {
            parts.push(part.to_string());
        }
    }
    parts
}

/// Declare the methods.
pub(super) fn declare(table: &mut Table) {
    table.methods::<Model>(entries! {
        /// List the trainable parameters below a name, without the frozen ones, for an optimiser.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// assert_eq(net.parameters(#{ prefix: "segmentation_head" }).names, ["segmentation_head.0.weight", "segmentation_head.0.bias"]);
        /// ```
        fn parameters(ctx, model: Model, /// The part: `"encoder"`, `"encoder.layer1"`; everything if empty.
                      prefix: String = String::new()) -> Parameters {
            let model = model.0.borrow();
            known_part(&prefix, &model)?;
            Ok(Parameters(Rc::new(model.parameters(&prefix))))
        }

        /// Keep the parameters below a name as they are; answers how many there are.
        ///
        /// As in PyTorch (`requires_grad = False`), batch norm still updates its running statistics in training mode.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// assert_eq(net.freeze("encoder.layer1"), 12);
        /// assert_eq(net.parameters("encoder.layer1").len, 0);
        /// ```
        fn freeze(ctx, model: Model, /// The part: `"encoder"`, `"encoder.layer1"`; everything if empty.
                  prefix: String = String::new()) -> usize {
            let model = model.0.borrow();
            known_part(&prefix, &model)?;
            Ok(model.freeze(&prefix))
        }

        /// Train the parameters below a name again; answers how many there are.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.freeze("encoder");
        /// net.unfreeze("encoder.layer4");
        /// assert_eq(net.parameters("encoder").len, 15);
        /// ```
        fn unfreeze(ctx, model: Model, /// The part: `"encoder"`, `"encoder.layer1"`; everything if empty.
                    prefix: String = String::new()) -> usize {
            let model = model.0.borrow();
            known_part(&prefix, &model)?;
            Ok(model.unfreeze(&prefix))
        }

        /// Switch to training mode: batch statistics and dropout.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.eval();
        /// net.train();
        /// assert(net.training);
        /// ```
        fn train(ctx, model: Model) {
            model.0.borrow().set_training(true);
            Ok(())
        }

        /// Switch to evaluation mode: running statistics, no dropout.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.eval();
        /// assert(!net.training);
        /// ```
        fn eval(ctx, model: Model) {
            model.0.borrow().set_training(false);
            Ok(())
        }

        /// Whether the model is in training mode.
        /// ```
        /// assert(model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 }).training);
        /// ```
        get training(ctx, model: Model) -> bool {
            Ok(model.0.borrow().training())
        }

        /// The number of classes.
        /// ```
        /// assert_eq(model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 }).classes, 3);
        /// ```
        get classes(ctx, model: Model) -> usize {
            Ok(model.0.borrow().classes())
        }

        /// Everything that determines the model except its numbers, as a map.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// assert_eq(net.config.output_stride, 16);
        /// ```
        get config(ctx, model: Model) -> Dynamic {
            Ok(dynamic_from(&model.0.borrow().record()?))
        }

        /// Copy every parameter and running statistic into a map from name to tensor.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// assert_eq(net.state()["encoder.bn1.running_var"].shape, [64]);
        /// ```
        fn state(ctx, model: Model) -> Map {
            let state = model.0.borrow().state()?;
            Ok(state.into_iter().map(|(name, t)| (name.into(), Dynamic::from(t))).collect())
        }

        /// Take over tensors by name, as `state()` gives them, and report what fitted.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// let before = net.state();
        /// net.new_classifier(3, #{ seed: 5 });
        /// net.load_state(before);
        /// assert_eq(net.state()["segmentation_head.0.weight"], before["segmentation_head.0.weight"]);
        /// ```
        fn load_state(ctx, model: Model,
            /// From name to tensor.
            state: Map,
            /// Refuse all of it unless every tensor fits.
            strict: bool = true,
            /// By what the names differ: put in front of them, or taken away, whichever fits; found by itself if absent.
            prefix: Option<String> = None,
            /// Beginnings of names and what replaces them: `#{ "module.": "" }`.
            rename: Map = Map::new()
        ) -> Loaded {
            let tensor = |(name, value): (_, Dynamic)| match Tensor::convert(&value) {
                Some(t) => Ok((String::from(name), t.detach())),
                None => fail!("`state` must map names to tensors, found {} for \"{name}\"", describe(&value)),
            };
            let state = state.into_iter().map(tensor).collect::<Result<HashMap<_, _>>>()?;
            let options = LoadOptions { strict, prefix, rename: renames(rename)? };
            Ok(Loaded(Rc::new(model.0.borrow().load_state(&state, &options)?)))
        }

        /// Move every number towards that of another network: own = decay own + (1 - decay) other, running statistics with them.
        ///
        /// A teacher that follows its student; both are of one architecture, the teacher made by `copy()`.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// let teacher = net.copy();
        /// net.new_classifier(3, #{ seed: 5 });
        /// let name = "segmentation_head.0.weight";
        /// let expected = teacher.state()[name] * 0.75 + net.state()[name] * 0.25;
        /// teacher.ema(net, 0.75);
        /// assert_close(teacher.state()[name], expected);
        /// ```
        fn ema(ctx, model: Model,
            /// The network that is followed.
            other: Model,
            /// The share kept of the own numbers.
            decay: f64
        ) {
            model.0.borrow().follow(&other.0.borrow(), decay)
        }

        /// Replace the classifier by a fresh one; an optimiser made before still holds the old parameters.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.new_classifier(5);
        /// assert_eq(net.classes, 5);
        /// ```
        fn new_classifier(ctx, model: Model,
            /// Number of classes.
            classes: usize,
            /// Seed of the random parameters; the session's if absent.
            seed: Option<u64> = None
        ) {
            let seed = seed.unwrap_or_else(|| ctx.session().seed());
            match model.0.try_borrow_mut() {
                Ok(mut model) => model.new_classifier(classes, seed),
                Err(_) => fail!("the model is being trained; change its classifier after the run"),
            }
        }

        /// Write the model with its configuration to a safetensors file below the run folder; answers the path.
        ///
        /// PyTorch reads the file too: its names are those of `state_dict`, and the projection head's.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// assert(net.save("net.safetensors").ends_with("net.safetensors"));
        /// ```
        fn save(ctx, model: Model, /// The file; relative paths lie below the run folder.
                path: String) -> String {
            let path = ctx.session().output_path(&path)?;
            model.0.borrow().save(&path)?;
            Ok(path.to_string())
        }

        /// Take over the weights of a safetensors file and report what fitted.
        ///
        /// Bare torchvision names (`conv1.weight`) are recognised as the encoder's, and a beginning that the file's names share
        /// (`module.`, `_orig_mod.`) is taken away. `num_batches_tracked`, ImageNet's classifier
        /// `fc.*` and `aux_classifier.*` are passed over; a file without `projection.*` counts as complete.
        /// With `strict` a tensor that is missing, unexpected or of another shape is an error and nothing is loaded; without it only a
        /// file that fits nowhere is.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// net.save("net.safetensors");
        /// let other = model::deeplabv3plus(#{ encoder: "resnet18", classes: 5, decoder_channels: 16 });
        /// let report = other.load_weights("net.safetensors", #{ strict: false });
        /// assert_eq(report.wrong_shape, ["segmentation_head.0.weight", "segmentation_head.0.bias"]);
        /// assert_eq(report.missing, []);
        /// ```
        fn load_weights(ctx, model: Model,
            /// A safetensors file; also looked for in the run folder.
            path: String,
            /// Refuse the whole file unless every tensor fits.
            strict: bool = true,
            /// By what the file's names differ: put in front of them, or taken away, whichever fits; found by itself if absent.
            prefix: Option<String> = None,
            /// Beginnings of names and what replaces them: `#{ "backbone.": "encoder." }`; each must begin some name.
            rename: Map = Map::new()
        ) -> Loaded {
            let path = ctx.session().input_path(&path)?;
            let file = weights::read(&path, ctx.session().device())?;
            let options = LoadOptions { strict, prefix, rename: renames(rename)? };
            let report = model.0.borrow().load_state(&file.tensors, &options);
            let report = report.map_err(|e| Error::usage(format!("{e} (file {path})")))?;
            if let (false, Ok(mut model)) = (report.loaded.is_empty(), model.0.try_borrow_mut()) {
                model.origin.read_from(path.path());
            }
            if let Some(first) = report.not_finite.first() {
                ctx.session().warn(&format!(
                    "load_weights: NaN or infinity in {} of {path} (first: {first}); the logits will not be finite",
                    count(report.not_finite.len(), "tensor")
                ));
            }
            Ok(Loaded(Rc::new(report)))
        }

        /// Make a copy that shares nothing with the model.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// let twin = net.copy();
        /// twin.new_classifier(5);
        /// assert_eq(net.classes, 3);
        /// ```
        fn copy(ctx, model: Model) -> Model {
            Ok(Model::new(model.0.borrow().copy()?))
        }

        /// Describe the parts: the shape of their maps, their parameters, how many of them are frozen.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 3, decoder_channels: 16 });
        /// assert(net.summary().contains("encoder.layer4"));
        /// ```
        fn summary(ctx, model: Model) -> String {
            Ok(model.0.borrow().summary())
        }
    });
}
