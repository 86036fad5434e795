//! Settings of publications, by name.

use super::OptimizerConfig;
use super::config::{Task, TrainConfig};
use super::schedule::{Schedule, Shape};
use crate::data::{Augment, Distort};
use crate::error::Result;
use crate::{choices, ensure};

choices! {
    /// The settings of a publication, as far as it says them; the others stay ours.
    pub enum Preset {
        /// Contrastive pretraining of Zhao et al., ICCV 2021: `within_image`, temperature 0.07, SimCLR's colours in the second view. Its learning
        /// rates, crops and numbers of steps are not known to us.
        Zhao2021 = "zhao2021",
        /// DeepLabV3+ on PASCAL VOC (Chen et al., ECCV 2018): SGD 0.007, momentum 0.9, weight decay 4e-5, poly 0.9, 16 images, scales 0.5 to 2,
        /// crops of 513 x 513, mirror images.
        Deeplabv3plus = "deeplabv3plus",
        /// ContrastiveSeg on Cityscapes (Wang et al., ICCV 2021): SGD 0.01, momentum 0.9, weight decay 5e-4, poly 0.9, 8 images, scales 0.5 to 2,
        /// crops of 512 x 1024, mirror images.
        ContrastiveSeg = "contrastive_seg",
    }
}

impl Preset {
    /// These settings over those of a task.
    ///
    /// # Errors
    /// The publication says nothing about that task.
    pub fn over(self, base: TrainConfig) -> Result<TrainConfig> {
        let sgd = |lr, weight_decay| OptimizerConfig {
            lr: Some(lr),
            momentum: Some(0.9),
            weight_decay: Some(weight_decay),
            ..OptimizerConfig::default()
        };
        let supervised = |optimizer, batch_size, crop| TrainConfig {
            optimizer,
            batch_size,
            schedule: Schedule::new(Shape::Poly),
            augment: Some(Augment {
                scale: Some([0.5, 2.0]),
                crop: Some(crop),
                flip: 0.5,
            }),
            ..base.clone()
        };
        let pretrains = base.task == Task::Pretrain;
        ensure!(
            pretrains == (self == Preset::Zhao2021),
            "train::{}: preset \"{}\" holds settings of {}",
            base.task.name(),
            self.name(),
            match pretrains {
                true => "a supervised training; for a pretraining there is \"zhao2021\"",
                false => "a pretraining; here there are \"deeplabv3plus\" and \"contrastive_seg\"",
            }
        );
        Ok(match self {
            Preset::Zhao2021 => TrainConfig {
                distort: Some(Distort::default()),
                ..base
            },
            Preset::Deeplabv3plus => supervised(sgd(0.007, 4e-5), 16, [513, 513]),
            Preset::ContrastiveSeg => supervised(sgd(0.01, 5e-4), 8, [512, 1024]),
        })
    }
}
