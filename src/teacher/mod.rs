//! Frozen teachers: foundation models that label, mask or describe images and are never trained.
//!
//! | file | holds |
//! |---|---|
//! | `source` | where their files and numbers come from: a folder of Hugging Face, one file, or a seed |
//! | `picture` | images in, `[3, h, w]` or a batch: sizes, colours, resampling |
//! | `clip/` | [`Clip`]: patch features, text features, labels of texts; SigLIP as well |
//! | `sam/` | [`SegmentAnything`]: a mask from points, all masks of an image |
//! | `snap` | [`snap`]: labels moved to the borders of masks |
//! | `segformer` | [`Segformer`]: labels of a published SegFormer |
//! | `background` | a pass of candle-transformers that Ctrl-C can leave |
//!
//! What candle-transformers cannot do is met here: it computes one size, sometimes one image, and some of its models differ from
//! `transformers`. Of Segment Anything its image encoder, prompt encoder and attention between the two are used; its decoder and its TinyViT
//! approximate the GELU and are ours. Its CLIP knows one activation (quick GELU) and one size, its SigLIP interpolates positions by nearest
//! neighbours, and neither can be interrupted or shows what the last attention sees: both are `clip/tower` here. Its SegFormer drops the
//! classifier's bias and enlarges by nearest neighbours: ours is the network that `model::segformer` trains.

mod background;
mod clip;
mod picture;
mod sam;
mod segformer;
mod snap;
mod source;

pub use clip::{Clip, Family, Labelled, PatchKind};
pub use sam::{Mask, MaskOptions, Point, SamKind, SegmentAnything};
pub use segformer::Segformer;
pub use snap::snap;
pub use source::Origin;
