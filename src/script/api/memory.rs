//! `loss::memory`: the memory of past keys for loops written in a script.

use std::cell::{Ref, RefCell};
use std::rc::Rc;

use crate::loss::pixel_contrast::{Memory, MemoryOptions};
use crate::nn::weights;
use crate::random::Random;
use crate::script::prelude::*;

/// A memory in scripts: a handle.
#[derive(Clone)]
pub struct ScriptMemory(Rc<RefCell<Memory>>);

impl ScriptMemory {
    /// The memory for reading.
    pub fn get(&self) -> Ref<'_, Memory> {
        self.0.borrow()
    }

    /// The memory itself, for a run that changes it.
    pub fn shared(&self) -> Rc<RefCell<Memory>> {
        self.0.clone()
    }
}

impl ScriptType for ScriptMemory {
    const NAME: &'static str = "Memory";
    const DOC: &'static str = "Past keys of each class, for the pixel contrastive loss.";
    fn display(&self) -> String {
        let memory = self.get();
        let counts = memory.counts();
        let keys: usize = counts.iter().map(|(_, n)| n).sum();
        let state = if memory.ready() { "in use" } else { "warming up" };
        format!(
            "{keys} keys of {} classes, at most {} of each, {state}",
            counts.len(),
            memory.options().per_class
        )
    }
    fn brief(&self) -> String {
        format!("Memory of {}", self.display())
    }
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    let functions = entries! {
        /// Make an empty memory of past keys: for each class a ring of features, further keys for `loss::pixel_contrast`.
        ///
        /// For loops of one's own: give it to the loss as `memory`, then store the batch. `train::pretrain` keeps one by
        /// itself with `loss: #{ memory: #{ per_class: 512 } }`. Its keys receive no gradient. What the closures of a training
        /// store is part of the run: its checkpoints hold it, and who goes on with the run finds it as it was.
        /// ```
        /// let memory = loss::memory(#{ per_class: 8, per_batch: 4, warm_up: 1 });
        /// let labels = tensor::from([[[0, 1, 0], [1, 255, 1]]]);
        /// let z = tensor::variable(tensor::randn([1, 5, 2, 3]));
        /// let without = loss::pixel_contrast(z, z, labels, #{ memory: memory }).item();
        /// memory.store(z, labels);
        /// let with_keys = loss::pixel_contrast(z, z, labels, #{ memory: memory });
        /// assert(memory.ready && with_keys.item() != without);
        /// assert_eq(with_keys.backward().of(z).shape, z.shape);
        /// ```
        fn memory(
            ctx,
            // a slowly moving network is kept by the loop of `train::pretrain` only
            ..options without(momentum_encoder): MemoryOptions
        ) -> ScriptMemory {
            Ok(ScriptMemory(Rc::new(RefCell::new(Memory::new(&options)?))))
        }
    };
    table.namespace("loss", "Segmentation losses.", functions);
    table.script_type::<ScriptMemory>();
    table.methods::<ScriptMemory>(entries! {
        /// Store random pixels of each class: features `[n, d, h, w]` of any norm, labels `[n, h', w']`.
        /// ```
        /// let memory = loss::memory(#{ per_class: 2, per_batch: 1 });
        /// for i in 0..3 { memory.store(tensor::randn([1, 4, 2, 2]), tensor::from([[[0, 0], [7, 255]]])); }
        /// assert_eq(memory.counts, #{ "0": 2, "7": 2 });
        /// ```
        fn store(ctx, memory: ScriptMemory, features: Tensor, labels: Tensor,
            /// Pixels with this label are not stored.
            ignore_label: i64 = 255,
            /// Which pixels; the session's random state if not given.
            seed: Option<u64> = None
        ) {
            let mut random = seed.map_or_else(|| ctx.session().random(), Random::new);
            memory.0.borrow_mut().store(&features, &labels, ignore_label, &mut random)
        }

        /// How many keys it holds, by label.
        /// ```
        /// assert_eq(loss::memory().counts, #{});
        /// ```
        get counts(ctx, memory: ScriptMemory) -> Map {
            let counts = memory.get().counts();
            Ok(counts.into_iter().map(|(label, n)| (label.to_string().into(), Dynamic::from_int(n as i64))).collect())
        }

        /// The keys it holds of a class, `[n, d]` of unit norm, the oldest first; none if there are none.
        /// ```
        /// let memory = loss::memory(#{ per_class: 2 });
        /// memory.store(tensor::from([[[[3.0, 5.0]], [[4.0, 0.0]]]]), tensor::from([[[7, 255]]]));
        /// assert_close(memory.keys(7), tensor::from([[0.6, 0.8]]));
        /// assert_eq(memory.keys(0).len, 0);
        /// ```
        fn keys(ctx, memory: ScriptMemory, class: i64) -> Tensor {
            Ok(memory.get().keys(class)?.to_device(ctx.session().device())?)
        }

        /// Whether the warm-up is over: only then does the loss use it.
        /// ```
        /// assert(!loss::memory(#{ warm_up: 3 }).ready);
        /// ```
        get ready(ctx, memory: ScriptMemory) -> bool {
            Ok(memory.get().ready())
        }

        /// Save what it holds to a safetensors file; `restore` reads it.
        /// ```
        /// let memory = loss::memory(#{ warm_up: 1 });
        /// memory.store(tensor::randn([1, 4, 2, 2]), tensor::from([[[0, 0], [7, 255]]]));
        /// memory.save("keys.safetensors");
        /// let again = loss::memory(#{ warm_up: 1 });
        /// again.restore("keys.safetensors");
        /// assert(again.ready);
        /// assert_eq(again.counts, memory.counts);
        /// ```
        fn save(ctx, memory: ScriptMemory, path: String) {
            weights::write(ctx.session().output_path(&path)?, &memory.get().state()?, &[])
        }

        /// Replace what it holds by what `save` wrote; the memory must keep at least as many keys of each class.
        /// ```
        /// let text = "";
        /// try { loss::memory().restore("no/such/file.safetensors"); } catch (e) { text = e; }
        /// assert(text.contains("file.safetensors"));
        /// ```
        fn restore(ctx, memory: ScriptMemory, path: String) {
            let file = weights::read(ctx.session().input_path(&path)?, &candle_core::Device::Cpu)?;
            let state: Vec<_> = file.tensors.into_iter().collect();
            let restored = Memory::from_state(memory.get().options(), &state)?;
            *memory.0.borrow_mut() = restored;
            Ok(())
        }
    });
}
