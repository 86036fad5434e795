//! Differentiable operations that candle lacks, gets wrong or does slowly.
pub mod optimizer;
