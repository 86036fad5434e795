//! Methods and properties of runs.

use super::ScriptRun;
use crate::script::api::Model;
use crate::script::options::json_from;
use crate::script::prelude::*;
use crate::script::table::Entry;

/// The methods of `Run`.
pub(super) fn entries() -> Vec<Entry> {
    entries! {
        /// Where the run stands: `"done"`, `"paused"` (Ctrl-C, `advance`) or `"stopped"` (a callback, an error).
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, data, #{ steps: 9, batch_size: 2, checkpoint_every: 0, on_step: |e| if e.step == 0 { "stop" } });
        /// assert_eq(run.status, "stopped");
        /// ```
        get status(ctx, run: ScriptRun) -> String {
            Ok(run.get()?.status().name().to_string())
        }

        /// How many steps are made.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// assert_eq(train::finetune(net, data, #{ epochs: 1, batch_size: 2, checkpoint_every: 0 }).step, 1);
        /// ```
        get step(ctx, run: ScriptRun) -> usize {
            Ok(run.get()?.step())
        }

        /// The loss of the last step.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, data, #{ steps: 1, batch_size: 2, checkpoint_every: 0 });
        /// assert_eq(run.loss, run.history.loss[0]);
        /// ```
        get loss(ctx, run: ScriptRun) -> f64 {
            Ok(run.get()?.loss())
        }

        /// The recorded columns: `step`, `epoch`, `loss`, `lr`, `grad_norm` and what the loss adds; NaN where nothing was measured.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, data, #{ steps: 2, batch_size: 2, schedule: |step| 1.0 / (step + 1), checkpoint_every: 0 });
        /// assert_close(run.history.lr[1], run.history.lr[0] / 2);
        /// ```
        get history(ctx, run: ScriptRun) -> Map {
            let run = run.get()?;
            let columns = run.history().columns().iter();
            Ok(columns.map(|(name, values)| (name.as_str().into(), values.clone().reply(ctx))).collect())
        }

        /// The model that is trained.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, data, #{ steps: 1, batch_size: 2, checkpoint_every: 0 });
        /// assert_eq(eval::predict(run.model, data.get(0).image).shape, [32, 48]);
        /// ```
        get model(ctx, run: ScriptRun) -> Model {
            Ok(Model(run.get()?.model().clone()))
        }

        /// The averaged network of a run with `ema`, else `()`.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, data, #{ steps: 1, batch_size: 2, checkpoint_every: 0, ema: 0.9, val: data });
        /// assert(run.ema.state()["encoder.conv1.weight"] != net.state()["encoder.conv1.weight"]);
        /// assert(run.history.ema_val_miou[0] < 1.0);
        /// ```
        get ema(ctx, run: ScriptRun) -> Option<Model> {
            Ok(run.get()?.average().map(|average| Model(average.clone())))
        }

        /// A copy of the network with the best val mIoU of a run with `keep: "best"`, else `()`.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, data, #{ steps: 2, batch_size: 2, checkpoint_every: 0, keep: "best", val: data, eval_every: 1 });
        /// assert_close(eval::segmentation(run.best, data).miou, run.history.val_miou.max());
        /// ```
        get best(ctx, run: ScriptRun) -> Option<Model> {
            Ok(run.get()?.best().map(|best| Model(best.clone())))
        }

        /// Name of the run and of its folder below the run folder.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// assert(train::finetune(net, data, #{ steps: 1, batch_size: 2, checkpoint_every: 0 }).name.starts_with("finetune"));
        /// ```
        get name(ctx, run: ScriptRun) -> String {
            Ok(run.get()?.name().to_string())
        }

        /// Go on to the last step; nothing happens if it is reached.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let stops = 1;
        /// let run = train::finetune(net, data, #{ steps: 2, batch_size: 2, checkpoint_every: 0,
        ///     on_step: |e| if stops == 1 { stops = 0; "stop" } });
        /// run.resume();
        /// assert_eq([run.status, run.step], ["done", 2]);
        /// ```
        fn resume(ctx, run: ScriptRun) {
            run.go(ctx, None)
        }

        /// Make `n` steps more; a run that is at its end is lengthened, which stretches its schedule.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, data, #{ steps: 1, batch_size: 2, checkpoint_every: 0 });
        /// run.advance(1);
        /// assert_eq(run.step, 2);
        /// ```
        fn advance(ctx, run: ScriptRun, n: usize) {
            run.go(ctx, Some(n))
        }

        /// Change a setting from the next step on; the change is recorded with its step.
        ///
        /// `lr`, `momentum`, `weight_decay`, `temperature`, `steps`, `clip`, `eval_every`, `checkpoint_every`, `checkpoint_minutes`. `lr` is the base rate, which
        /// the schedule still multiplies by its factor of the step; `history.lr` holds the product.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, data, #{ steps: 1, batch_size: 2, schedule: "poly", checkpoint_every: 0 });
        /// run.set("steps", 2);
        /// run.set("lr", 0.5);
        /// run.resume();
        /// assert_close(run.history.lr[1], 0.5 * 0.5 ** 0.9);   // poly's factor half way
        /// ```
        fn set(ctx, run: ScriptRun, name: String, value: Dynamic) {
            match json_from(&value) {
                Ok(value) => run.get_mut()?.set(&name, &value),
                Err(problem) => fail!("set: {name} {problem}"),
            }
        }

        /// Save the whole state; `train::load` continues it bit for bit, `model::load` reads its model.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, data, #{ steps: 1, batch_size: 2, checkpoint_every: 0 });
        /// run.save("half.safetensors");
        /// let again = train::load("half.safetensors", #{ data: data });
        /// again.advance(1);
        /// assert_eq(again.step, 2);
        /// ```
        fn save(ctx, run: ScriptRun, path: String) {
            run.get()?.save(ctx.session().output_path(&path)?)
        }
    }
}
