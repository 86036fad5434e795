//! The methods of a SegFormer teacher.

use std::rc::Rc;

use candle_core::Device;

use super::labelled;
use crate::script::prelude::*;
use crate::teacher::{Origin, Segformer};

/// A SegFormer teacher in scripts: a handle.
#[derive(Clone)]
pub struct SegformerTeacher(Rc<Segformer>);

impl SegformerTeacher {
    pub(super) fn new(origin: &Origin, device: &Device) -> Result<Self> {
        Ok(SegformerTeacher(Rc::new(Segformer::new(origin, device)?)))
    }
}

impl ScriptType for SegformerTeacher {
    const NAME: &'static str = "SegformerTeacher";
    const DOC: &'static str = "A frozen SegFormer with classes of its own.";
    fn display(&self) -> String {
        format!("SegFormer teacher, {} classes", self.0.class_names().len())
    }
    fn brief(&self) -> String {
        format!("SegformerTeacher {} classes", self.0.class_names().len())
    }
}

/// Declare the methods.
pub(super) fn declare(table: &mut Table) {
    table.script_type::<SegformerTeacher>();
    table.methods::<SegformerTeacher>(entries! {
        /// Predict the labels of an image, `[h, w]`; `class_names` says what they are.
        ///
        /// The image is normalised here and taken at its own size, any; those of a batch are computed one by one. Such models were trained on
        /// images of 512 pixels (ADE20K) or 1024 (Cityscapes).
        /// ```
        /// let segformer = teacher::segformer("random");
        /// let images = data::scenes(#{ count: 2, size: [32, 40] });
        /// assert_eq(segformer.predict(images.get(0).image).shape, [32, 40]);
        /// let both = segformer.predict(tensor::stack([images.get(0).image, images.get(1).image], 0), #{ confidence: true });
        /// assert_eq(both.labels.shape, [2, 32, 40]);
        /// assert(both.confidence.min().item() >= 1.0 / 5 - 1e-6);
        /// ```
        fn predict(ctx, teacher: SegformerTeacher,
            /// `[3, h, w]`, or `[n, 3, h, w]` for several, colours 0 to 1.
            image: Tensor,
            /// Give `#{ labels, confidence }`, with the probability of each label.
            confidence: bool = false
        ) -> Dynamic {
            let found = teacher.0.predict(&image, &|| ctx.session().check_cancel())?;
            Ok(match confidence {
                true => labelled(found)?.into(),
                false => Dynamic::from(found.labels.to_device(&Device::Cpu)?),
            })
        }

        /// The names of its classes, by label.
        /// ```
        /// assert_eq(teacher::segformer("random").class_names.len(), 5);
        /// ```
        get class_names(ctx, teacher: SegformerTeacher) -> Vec<String> {
            Ok(teacher.0.class_names().to_vec())
        }
    });
}
