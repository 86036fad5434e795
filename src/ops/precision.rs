//! What the products of a network are computed in.

use crate::choices;

choices! {
    /// The element type of the factors of convolutions. Sums, parameters, statistics and losses are f32 either way.
    pub enum Precision {
        /// As they are.
        F32 = "f32",
        /// Rounded to bfloat16 (8 bits of fraction, the range of f32), in the forward pass and in both gradients; products and sums are
        /// exact in f32. No loss scale is needed. On the CPU results are stored in f32 and depthwise convolutions, which memory bounds
        /// and not arithmetic, stay f32.
        Bf16 = "bf16",
    }
}
