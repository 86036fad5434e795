//! `train::` and the methods of runs.

mod closures;
mod methods;
mod settings;

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

use super::{Data, Model};
use crate::data::Dataset;
use crate::loss::CrossEntropyOptions;
use crate::script::prelude::*;
use crate::train::{PretrainLoss, Run, Status, TrainConfig};
use closures::Closures;
use settings::Extras;

/// A training run in scripts: a handle, with the closures it calls.
#[derive(Clone)]
pub struct ScriptRun {
    run: Rc<RefCell<Run>>,
    closures: Rc<Closures>,
}

impl ScriptRun {
    /// The run for reading; an error while it is at work (inside one of its closures).
    pub fn get(&self) -> Result<Ref<'_, Run>> {
        match self.run.try_borrow() {
            Ok(run) => Ok(run),
            Err(_) => fail!("the run is at work; inside its closures use the event's step, loss, lr and metrics"),
        }
    }

    fn get_mut(&self) -> Result<RefMut<'_, Run>> {
        match self.run.try_borrow_mut() {
            Ok(run) => Ok(run),
            Err(_) => fail!("the run is at work; it cannot be continued or changed from inside its closures"),
        }
    }

    /// Go on: `n` steps, or to the end.
    fn go(&self, ctx: &Call, n: Option<usize>) -> Result<()> {
        let mut run = self.get_mut()?;
        let mut hooks = self.closures.hooks(ctx, &run);
        let outcome = match n {
            Some(n) => run.advance(n, &mut hooks),
            None => run.resume(&mut hooks),
        };
        if run.status() == Status::Paused && ctx.session().cancelled() {
            let mut text = format!("{}: paused at step {} of {}", run.name(), run.step(), run.steps());
            let ends = ctx.session().ending().status().is_some();
            if ctx.interactive() && !ends && !ctx.session().sandbox().is_some_and(|s| s.reached()) {
                // In the REPL the paused run becomes `ans`, also where the input gave it no name; a script ends as interrupted.
                text.push_str("; `ans` is the run: .set(name, value), .advance(n), .resume()");
                ctx.session().clear_cancel();
                ctx.set_paused(Dynamic::from(self.clone()));
            } else if let Ok(path) = run.checkpoint_path() {
                text.push_str(&format!("; train::load(\"{path}\", #{{ data: .. }}).resume() goes on"));
            }
            ctx.session().print(&text);
        }
        outcome
    }
}

impl ScriptType for ScriptRun {
    const NAME: &'static str = "Run";
    const DOC: &'static str = "A training run with its whole state: it can be resumed, advanced, changed and saved.";
    fn display(&self) -> String {
        let Ok(run) = self.get() else {
            return self.status();
        };
        let mut text = self.status();
        if let Some(losses) = run.history().column("loss") {
            let line = sparkline(losses, 40);
            if !line.is_empty() {
                text.push_str(&format!("  {line}"));
            }
        }
        if let Some(miou) = run.history().last("val_miou") {
            text.push_str(&format!(", val mIoU {miou:.4}"));
        }
        text
    }
    fn brief(&self) -> String {
        format!("Run {}", self.status())
    }
}

impl ScriptRun {
    /// Name, status, step and loss in one line.
    fn status(&self) -> String {
        match self.get() {
            Ok(run) => format!(
                "{}: {}, step {} of {}, loss {:.4}",
                run.name(),
                run.status().name(),
                run.step(),
                run.steps(),
                run.loss()
            ),
            Err(_) => "a run at work".into(),
        }
    }
}

/// A curve of at most `width` signs: means of equally many values, the lowest at the bottom; empty if there is no curve.
fn sparkline(values: &[f64], width: usize) -> String {
    let per_sign = values.len().div_ceil(width.max(1)).max(1);
    let means: Vec<f64> = values
        .chunks(per_sign)
        .map(|part| {
            let finite: Vec<f64> = part.iter().copied().filter(|v| v.is_finite()).collect();
            finite.iter().sum::<f64>() / finite.len() as f64
        })
        .collect();
    let finite = || means.iter().copied().filter(|m| m.is_finite());
    let (low, high) = (
        finite().fold(f64::INFINITY, f64::min),
        finite().fold(f64::NEG_INFINITY, f64::max),
    );
    if means.len() < 2 || low > high {
        return String::new();
    }
    let signs = [
        '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}',
    ];
    let sign = |m: &f64| match () {
        () if !m.is_finite() => '!',
        () if high == low => signs[0],
        () => signs[(((m - low) / (high - low) * 7.0).round() as usize).min(7)],
    };
    means.iter().map(sign).collect()
}

fn sets(data: &[Data]) -> Vec<Dataset> {
    data.iter().map(|data| data.set().clone()).collect()
}

/// Make a run and go to its end.
fn start(
    ctx: &Call,
    model: &Model,
    data: &[Data],
    val: Option<Data>,
    config: &TrainConfig,
    closures: Closures,
) -> Result<ScriptRun> {
    let val = val.map(|v| v.set().clone());
    let run = Run::with_sources(ctx.session(), model.0.clone(), sets(data), val, config, closures.lent())?;
    let run = ScriptRun {
        run: Rc::new(RefCell::new(run)),
        closures: Rc::new(closures),
    };
    run.go(ctx, None)?;
    Ok(run)
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    let functions = entries! {
        /// Pretrain a network with the pixel contrastive loss: all of it but the classifier.
        ///
        /// Each image and a colour-distorted view of it go through the network in one batch; the loss compares the projected
        /// features of the two under one label map. Variant `"own_positive"` gets no second view unless `distort` is given.
        /// Without options: variant `"within_image"`, temperature 0.07, SGD with learning rate 0.03, momentum 0.9 and weight decay
        /// 4e-5, cosine with a warm-up of 30 steps (our settings: 0.03 and 0.1 came out alike, 0.3 ruins it, temperatures from 0.05
        /// to 0.5 do not differ, docs/study.md). `preset: "zhao2021"` takes what the paper says.
        /// The run folder gets `pretrain/config.json`, `history.csv` and `last.safetensors`.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::pretrain(net, data, #{ loss: #{ variant: "within_image", temperature: 0.1 }, steps: 1, batch_size: 2,
        ///     optimizer: #{ lr: 0.1 }, schedule: "constant", checkpoint_every: 0 });
        /// assert_eq(run.status, "done");
        /// assert_eq(run.history.temperature, [0.1]);
        /// ```
        fn pretrain(ctx, model: Model, data: Data,
            /// Options of `loss::pixel_contrast`. `temperature` may also be a closure of the step, `"learnable"`,
            /// `#{ learnable: 0.07, min: 0.01, max: 1.0 }` or `#{ from: 0.2, to: 0.07, schedule: "cosine" }`; `memory` is
            /// `#{ per_class: 512, per_batch: 64, warm_up: 10, momentum_encoder: 0.999 }` (with `momentum_encoder` the keys are
            /// those of a slowly moving average of the network).
            loss: Nested<PretrainLoss> = Nested::default(),
            ..given without(views, eval_every): Nested<TrainConfig>,
            ..extras: Extras
        ) -> ScriptRun {
            let moving = loss.closure("temperature");
            let loss = loss.read(&format!("{}: loss", ctx.function()))?;
            let (config, mut closures) = extras.over(ctx, TrainConfig::pretrain(loss), given)?;
            closures.temperature = moving;
            start(ctx, &model, &[data], None, &config, closures)
        }

        /// Train a network with cross-entropy of its logits at the size of the labels: all of it but the projection head.
        ///
        /// Without options: SGD with learning rate 0.05, momentum 0.9, weight decay 4e-5, poly 0.9. The learning rate is the best of 0.01 to
        /// 0.1 for networks from random numbers and few images (docs/study.md); where the weights were trained elsewhere give 0.01
        /// or less, as DeepLab does. `preset: "deeplabv3plus"` takes the settings of that publication (SGD 0.007, poly, 16 images, scales
        /// 0.5 to 2, crops of 513 x 513), `"contrastive_seg"` those of its (SGD 0.01, weight decay 5e-4, poly, 8 images, scales 0.5 to 2,
        /// crops of 512 x 1024); for small images give another `augment`. With `val` the history gets `val_miou` and `val_pixel_accuracy`.
        /// The run folder gets `finetune/config.json`, `history.csv` and `last.safetensors`.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48], val_count: 1 });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, data, #{ steps: 2, batch_size: 2, optimizer: #{ lr: 0.05, groups: #{ "segmentation_head": 10.0 } },
        ///     val: data.val, checkpoint_every: 0 });
        /// assert_eq(run.history.step, [0.0, 1.0]);
        /// assert(run.history.val_miou[1] < 1.0);
        /// // the settings of DeepLabV3+, but smaller crops and fewer images
        /// let as_published = train::finetune(net, data, #{ preset: "deeplabv3plus", steps: 1, batch_size: 2, augment: #{ crop: [32, 48] } });
        /// assert_close(as_published.history.lr[0], 0.007);
        /// ```
        fn finetune(ctx, model: Model, data: Data,
            /// Options of `loss::cross_entropy`: `#{ ignore_label: 255, class_weights, label_smoothing }`.
            loss: Nested<CrossEntropyOptions> = Nested::default(),
            /// Validation images.
            val: Option<Data> = None,
            ..given without(distort, views): Nested<TrainConfig>,
            ..extras: Extras
        ) -> ScriptRun {
            let options = loss.read(&format!("{}: loss", ctx.function()))?;
            let (config, closures) = extras.over(ctx, TrainConfig::finetune(options), given)?;
            start(ctx, &model, &[data], val, &config, closures)
        }

        /// Train a network with any loss written in the script: `|model, batch| loss`, a tensor of one number.
        ///
        /// Several sources, `[labelled, unlabelled]` with `batch_size: [4, 8]`, give the closure a batch of each: `|model, l, u| loss`; epochs
        /// are those of the first. A map `#{ loss, .. }` names further numbers for the history and the bar.
        /// The batch is a map of `images` (normalised, `[n, 3, h, w]`), `labels` (`[n, h, w]`; `()` where no image has any), `distorted`
        /// (with `distort`), `views` (with `views`), `names`, `indices`, `epoch`, `step`. Parameters that receive no gradient stay as
        /// they are. A checkpoint holds the network, its average (`ema`) and the keys of every `loss::memory` that the closure uses; other
        /// variables that it changes start anew in a run that is read again.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::fit(net, data, |model, batch| model.forward(batch.images).sqr().mean(),
        ///     #{ steps: 2, batch_size: 2, optimizer: #{ lr: 0.01 }, checkpoint_every: 0 });
        /// assert_eq(run.step, 2);
        /// ```
        fn fit(ctx, model: Model, data: Several<Data>,
            /// The loss: `|model, batch| ..`.
            loss: FnPtr,
            /// Validation images.
            val: Option<Data> = None,
            ..given: Nested<TrainConfig>,
            ..extras: Extras
        ) -> ScriptRun {
            let (config, mut closures) = extras.over(ctx, TrainConfig::fit(), given)?;
            closures.loss = Some(loss);
            start(ctx, &model, &data.0, val, &config, closures)
        }

        /// Read a run that `save` or the run folder's `last.safetensors` holds; its `model` is there at once.
        ///
        /// To go on it needs its data set again (the same images), and whatever closures it had; a `loss::memory` that they use gets
        /// the keys that it had. From the `last.safetensors` of a run
        /// folder it goes on in that folder; from any other file it gets a folder of its own.
        /// ```
        /// let text = "";
        /// try { train::load("no/such/file.safetensors"); } catch (e) { text = e; }
        /// assert(text.contains("file.safetensors"));
        /// ```
        fn load(ctx, path: String,
            /// The data set it was trained on.
            data: Option<Several<Data>> = None,
            /// Its validation images.
            val: Option<Data> = None,
            /// The network it trains, where that is one of your own (`model::from`), built as it was.
            model: Option<Model> = None,
            /// The network that its average goes into, where it was given one.
            ema: Option<Model> = None,
            /// The loss of `train::fit`.
            loss: Option<FnPtr> = None,
            /// The schedule, if it was a closure.
            schedule: Option<FnPtr> = None,
            /// The temperature, if it was a closure.
            temperature: Option<FnPtr> = None,
            /// Told of each step.
            on_step: Option<FnPtr> = None,
            /// Told of each epoch.
            on_epoch: Option<FnPtr> = None
        ) -> ScriptRun {
            let path = ctx.session().input_path(&path)?;
            let data = data.map(|sources| sets(&sources.0)).unwrap_or_default();
            let val = val.map(|data| data.set().clone());
            let closures = Closures { average: ema, loss, schedule, temperature, on_step, on_epoch };
            let run = Run::load_into(ctx.session(), path, model.map(|m| m.0), data, val, closures.lent())?;
            Ok(ScriptRun { run: Rc::new(RefCell::new(run)), closures: Rc::new(closures) })
        }
    };
    table.namespace("train", "Train networks: pretrain, fine-tune, any loss.", functions);
    table.script_type::<ScriptRun>();
    table.methods::<ScriptRun>(methods::entries());
}

#[cfg(test)]
mod tests {
    use super::sparkline;

    #[test]
    fn a_sparkline_goes_from_high_to_low() {
        assert_eq!(sparkline(&[8.0, 5.0, 3.0, 1.0], 40), "\u{2588}\u{2585}\u{2583}\u{2581}");
        assert_eq!(sparkline(&[2.0, 2.0], 40), "\u{2581}\u{2581}");
        assert_eq!(sparkline(&[1.0, f64::NAN, 2.0], 40), "\u{2581}!\u{2588}");
        assert_eq!(sparkline(&[3.0], 40), "");
        let many: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(sparkline(&many, 40).chars().count(), 40);
    }
}
