//! Copies of batch norm's running statistics. The forward pass changes them before it is known whether the step succeeds; if it does not,
//! they are put back.

use candle_core::{Tensor, Var};

use super::run::Run;
use crate::error::Result;
use crate::ops::optimizer::guard::{Copies, Guard};

/// The model's running statistics as they were before a step.
pub(super) enum Buffers {
    /// Copied one by one.
    OnProcessor(Vec<(Var, Tensor)>),
    /// Copied by one launch.
    OnGpu(Copies),
}

impl Buffers {
    /// Those of the model now.
    pub(super) fn of(run: &Run) -> Result<Self> {
        let vars = run.model.borrow().buffers().into_iter().map(|p| p.var);
        if run.on_gpu {
            return Ok(Buffers::OnGpu(Copies::of(vars.collect())?));
        }
        let copy = |var: Var| -> Result<(Var, Tensor)> {
            let copy = var.as_detached_tensor().copy()?;
            Ok((var, copy))
        };
        Ok(Buffers::OnProcessor(vars.map(copy).collect::<Result<_>>()?))
    }

    /// Put them back: always, or if the guard has stopped the updates.
    pub(super) fn put_back(&self, guard: Option<&Guard>) -> Result<()> {
        match self {
            Buffers::OnProcessor(all) => all.iter().try_for_each(|(var, copy)| Ok(var.set(copy)?)),
            Buffers::OnGpu(copies) => copies.put_back(guard),
        }
    }
}
