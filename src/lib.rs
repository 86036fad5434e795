//! seglab: a research sandbox for label-efficient semantic segmentation.
//!
//! Layers, each importing only from those above it: [`allocator`], [`error`], [`mod@options`], [`random`], [`device`], [`session`], [`ops`], then [`nn`], [`loss`],
//! [`data`], [`metrics`], [`plot`] (which do not import one another), [`train`] and [`teacher`], [`script`], [`repl`].
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a test may stop at the first surprise"
    )
)]

pub mod allocator;
pub mod data;
pub mod device;
pub mod error;
pub mod loss;
pub mod metrics;
pub mod nn;
pub mod ops;
pub mod options;
pub mod plot;
pub mod random;
pub mod repl;
pub mod script;
pub mod session;
pub mod study;
pub mod teacher;
pub mod train;
