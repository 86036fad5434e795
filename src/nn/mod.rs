//! Named parameters, layers, encoders, decoders, heads, segmenter.
