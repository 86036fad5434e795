//! Segmentation losses; pixel contrast = which pairs x similarity x reduction.
