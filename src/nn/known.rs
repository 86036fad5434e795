//! Maps of an encoder that does not change, computed before: whoever has them hands them in with the pass, which takes them for the same
//! images instead of running the encoder.

use candle_core::{Tensor, TensorId};

use super::config::Family;
use super::own::own;
use super::pass::Pass;
use super::resnet::Pyramid;
use super::segmenter::{Kind, Segmenter};
use crate::ensure;
use crate::error::Result;

/// The maps of some images.
#[derive(Clone)]
pub(crate) struct Known {
    images: TensorId,
    /// Those that the decoder looks at, as the network has them inside.
    maps: Vec<Tensor>,
}

impl Known {
    /// The maps of these very images: of another tensor with the same numbers nobody would know.
    pub(crate) fn new(images: &Tensor, maps: Vec<Tensor>) -> Self {
        Known {
            images: images.id(),
            maps,
        }
    }
}

impl Segmenter {
    /// Refuse a network whose encoder gives, or may give, an image other maps in the next step. `function` asks for the maps to be kept.
    pub(crate) fn check_constant_encoder(&self, function: &str, frozen_norm: bool) -> Result<()> {
        let (Kind::Parts(parts), Some(name)) = (&self.kind, self.encoder_name()) else {
            return Err(own(function));
        };
        let trained = self.parameters(name);
        ensure!(
            trained.is_empty(),
            "{function}: the encoder {} is trained ({} parameters; first: {}), so its maps change; make the network with frozen: true, or \
             call net.freeze(\"{name}\")",
            parts.config.encoder.name(),
            trained.len(),
            trained[0].name
        );
        let moving = parts.config.encoder.family() == Family::ResNet && !frozen_norm;
        ensure!(
            !moving,
            "{function}: the batch norm of the encoder {} goes by each batch; give frozen_norm: true as well",
            parts.config.encoder.name()
        );
        ensure!(
            parts.config.frozen || parts.config.drop_path == 0.0,
            "{function}: drop_path {} leaves out other branches of the encoder in each step; make the network with drop_path: 0.0",
            parts.config.drop_path
        );
        Ok(())
    }

    /// The maps of the encoder that the decoder looks at, outside any graph.
    pub(crate) fn constant_maps(&self, images: &Tensor, pass: &Pass) -> Result<Vec<Tensor>> {
        let parts = self.of_parts("encode")?;
        self.check_images(images)?;
        let pass = self.in_own_layout(pass);
        let mut maps = parts.encoder.forward(&pass.graph().enter(images)?, &pass)?.into_maps();
        maps.drain(..parts.decoder.looks_from(maps.len()));
        Ok(maps)
    }
}

impl Pass<'_> {
    /// The maps of these images, if they were handed in.
    pub(super) fn known_maps(&self, images: &Tensor) -> Option<Result<Pyramid>> {
        let found = self.known.iter().find(|known| known.images == images.id())?;
        // what the decoder does not look at may be anything
        let maps = match found.maps.as_slice() {
            [only] => vec![only.clone(); 4],
            all => all.to_vec(),
        };
        Some(Pyramid::from_maps(maps))
    }
}
