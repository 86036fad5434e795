//! Data sets, readers, synthetic scenes, augmentation, batches.
