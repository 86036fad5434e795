//! `d.batches(..)`: data sets in batches.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::Device;

use super::Data;
use crate::data::{Augment, Batch, BatchOptions, Batches, Dataset};
use crate::script::prelude::*;
use crate::script::table::Entry;

/// Batches to run over, again from the start in every `for`.
#[derive(Clone)]
pub struct DataBatches {
    set: Dataset,
    options: BatchOptions,
    device: Device,
    /// What `next` goes through.
    stream: Rc<RefCell<Option<Batches>>>,
}

impl ScriptType for DataBatches {
    const NAME: &'static str = "Batches";
    const DOC: &'static str = "Batches of a data set, prepared ahead by worker threads: `for batch in batches`.";

    fn display(&self) -> String {
        format!("batches of {} from {}", self.options.size, self.set)
    }
}

impl Iterable for DataBatches {
    fn items(self) -> impl Iterator<Item = Result<Dynamic>> + 'static {
        let (stream, error) = match self.set.batches(&self.options, &self.device) {
            Ok(stream) => (Some(stream), None),
            Err(error) => (None, Some(Err(error))),
        };
        let batches = stream.into_iter().flatten();
        error
            .into_iter()
            .chain(batches.map(|batch| Ok(batch_map(batch?).into())))
    }
}

/// How images are drawn.
enum Weights {
    Balanced,
    Each(Vec<f64>),
}

impl Arg for Weights {
    const KIND: &'static str = "\"balanced\" or [float]";
    const WANTED: &'static str = "\"balanced\" or an array of one number per image";
    fn convert(value: &dyn Source) -> Option<Self> {
        match String::convert(value) {
            Some(name) => (name == "balanced").then_some(Weights::Balanced),
            None => Vec::convert(value).map(Weights::Each),
        }
    }
}

/// A batch as scripts see it: `images`, `distorted` (or `()`), `views`, `labels` (or `()`), `names`, `indices`, `epoch`.
pub fn batch_map(batch: Batch) -> Map {
    let labels = batch.labelled.then_some(batch.labels);
    let views: Array = batch.views.into_iter().map(Dynamic::from).collect();
    let indices: Array = batch.indices.iter().map(|&i| Dynamic::from_int(i as i64)).collect();
    named([
        ("images", Dynamic::from(batch.images)),
        ("distorted", batch.distorted.map_or(Dynamic::UNIT, Dynamic::from)),
        ("views", views.into()),
        ("labels", labels.map_or(Dynamic::UNIT, Dynamic::from)),
        ("names", batch.names.into()),
        ("indices", indices.into()),
        ("epoch", Dynamic::from_int(batch.epoch as i64)),
    ])
}

pub(super) fn entries() -> Vec<Entry> {
    entries! {
        /// Run over the images in batches, prepared ahead by worker threads.
        ///
        /// Each batch is a map: `images` (`[n, 3, h, w]`, normalised with ImageNet's mean and standard deviation), `distorted` (the same
        /// with distorted colours, or `()`), `views` (further colour versions of the same crop), `labels` (`[n, h, w]`; `()` where no
        /// image has a label map), `names`, `indices`, `epoch`.
        /// ```
        /// let scenes = data::scenes(#{ count: 6, size: [32, 40] });
        /// let n = 0;
        /// for batch in scenes.batches(#{ size: 4, shuffle: true, augment: #{ scale: [0.75, 1.5], flip: 0.5 }, distort: #{} }) {
        ///     assert_eq(batch.images.shape, batch.distorted.shape);
        ///     n += batch.names.len();
        /// }
        /// assert_eq(n, 6);
        /// ```
        fn batches(
            ctx,
            data: Data,
            ..given: Nested<BatchOptions> = BatchOptions::once(),
            /// The same as `crop` in `augment`.
            crop: Option<[usize; 2]> = None,
            /// Draw images at random in proportion to these numbers, one per image, or `"balanced"`: every class has the same weight. An epoch
            /// has as many draws as the set has images.
            weights: Option<Weights> = None
        ) -> DataBatches {
            let weights = match weights {
                None => None,
                Some(Weights::Each(weights)) => Some(weights),
                Some(Weights::Balanced) => Some(data.set().balanced_weights(&ctx.session().cancel_flag())?),
            };
            let base = BatchOptions { seed: ctx.session().seed(), weights, ..BatchOptions::once() };
            let mut options = given.over(ctx.function(), base)?;
            if crop.is_some() {
                options.augment = Some(Augment { crop, ..options.augment.unwrap_or_default() });
            }
            let set = data.set().clone();
            options.check_for(&set)?;
            Ok(DataBatches { set, options, device: ctx.session().device().clone(), stream: Rc::default() })
        }
    }
}

/// The methods of `Batches`.
pub(super) fn methods() -> Vec<Entry> {
    entries! {
        /// The next batch, or `()` behind the last one: for loops that draw from several sets. `for` starts anew and is not affected.
        /// ```
        /// let batches = data::scenes(#{ count: 3, size: [32, 40] }).batches(#{ size: 2 });
        /// assert_eq(batches.next().names.len, 2);
        /// assert_eq(batches.next().names.len, 1);
        /// assert_eq(batches.next(), ());
        /// ```
        fn next(ctx, batches: DataBatches) -> Dynamic {
            let mut stream = batches.stream.borrow_mut();
            let stream = match &mut *stream {
                Some(stream) => stream,
                none => none.insert(batches.set.batches(&batches.options, &batches.device)?),
            };
            match stream.next() {
                Some(batch) => Ok(batch_map(batch?).into()),
                None => Ok(Dynamic::UNIT),
            }
        }

        /// How many batches there are.
        /// ```
        /// assert_eq(data::scenes(#{ count: 3 }).batches(#{ size: 2 }).len, 2);
        /// ```
        get len(ctx, batches: DataBatches) -> usize {
            Ok(batches.options.batches_per_epoch(batches.set.len()) * batches.options.epochs.unwrap_or(1))
        }
    }
}
