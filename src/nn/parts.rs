//! The parts of a network one by one: encoder, decoder, both heads. In a row they compute what the whole computes, bit for bit.

use candle_core::Tensor;

use super::decoder::{Conventions, Decoder};
use super::module::Given;
use super::own::own;
use super::pass::Pass;
use super::resnet::Pyramid;
use super::segmenter::{Kind, Parts, Segmenter};
use crate::ensure;
use crate::error::{Error, Result};

/// What one pass of a network gives.
pub struct Outputs {
    /// [`Segmenter::forward`].
    pub logits: Tensor,
    /// [`Segmenter::features`].
    pub features: Tensor,
    /// [`Segmenter::embed`].
    pub embeddings: Tensor,
}

/// What a pass has between the body of a network and its heads.
pub(crate) enum Inside {
    /// The decoder's map as the network has it: on a GPU bf16 in a pass of that precision, and perhaps with the channels last.
    Map(Tensor),
    /// All that a network of the user's own gives.
    Given(Given),
}

impl Inside {
    /// That of the first `n` images, without graph.
    pub(crate) fn first(&self, n: usize) -> Result<Self> {
        let first = |t: &Tensor| Ok::<_, Error>(t.detach().narrow(0, 0, n)?);
        Ok(match self {
            Inside::Map(map) => Inside::Map(first(map)?),
            Inside::Given(given) => Inside::Given(Given {
                logits: first(&given.logits)?,
                features: given.features.as_ref().map(first).transpose()?,
                embeddings: given.embeddings.as_ref().map(first).transpose()?,
            }),
        })
    }
}

impl Parts {
    /// The encoder's maps; one that is frozen runs as in evaluation.
    fn encoded(&self, images: &Tensor, pass: &Pass) -> Result<Pyramid> {
        let pass = &Pass {
            training: pass.training && !self.config.frozen,
            ..*pass
        };
        self.encoder.forward(images, pass)
    }
}

impl Segmenter {
    /// The names below which the parameters of each stage lie, from the images on; the rest comes behind all stages. None where the
    /// order is not known: a block of layers without an encoder.
    pub fn stages(&self) -> Option<Vec<Vec<String>>> {
        match &self.kind {
            Kind::Parts(parts) => {
                let name = Conventions::of(parts.config.architecture).encoder;
                Some(parts.encoder.stage_names(name, parts.config.encoder))
            }
            Kind::Own(module, _) => module.stages(""),
        }
    }

    pub(super) fn of_parts(&self, function: &str) -> Result<&Parts> {
        match &self.kind {
            Kind::Parts(parts) => Ok(parts),
            Kind::Own(..) => Err(own(function)),
        }
    }

    /// The encoder's maps from fine to coarse: of a ResNet those after the stem (stride 2) and the four stages, of a Mix Transformer
    /// those of the four stages (strides 4 to 32), each side that of the images divided by the stride, rounded up; of DINOv2 the normed
    /// patches (stride 14) behind four blocks.
    pub fn encode(&self, images: &Tensor, pass: &Pass) -> Result<Vec<Tensor>> {
        let parts = self.of_parts("encode")?;
        self.check_images(images)?;
        let pass = self.in_own_layout(pass);
        let maps = parts
            .encoded(&pass.graph().enter(images)?, &pass)?
            .into_maps()
            .into_iter();
        maps.map(|map| pass.graph().leave(&map, self.dtype)).collect()
    }

    /// The decoder's map of the maps that [`Segmenter::encode`] gave for images of this size: [`Segmenter::features`].
    ///
    /// # Errors
    /// Another number of maps, other channels, other numbers of images.
    pub fn decode(&self, maps: &[Tensor], size: [usize; 2], pass: &Pass) -> Result<Tensor> {
        let Parts {
            config,
            encoder,
            decoder,
            ..
        } = self.of_parts("decode")?;
        let parts = encoder.parts(config);
        ensure!(
            maps.len() == parts.len(),
            "decode: found {} maps, expected the {} that encode gives for this network, with {} channels",
            maps.len(),
            parts.len(),
            list(&parts.iter().map(|p| p.channels).collect::<Vec<_>>())
        );
        for (index, (map, part)) in maps.iter().zip(&parts).enumerate() {
            ensure!(
                map.rank() == 4
                    && map.dims()[0] == maps[0].dims()[0]
                    && map.dims()[1] == part.channels
                    && map.elem_count() > 0,
                "decode: map {index} has shape {:?}, expected [n, {}, height, width], what {} gives",
                map.dims(),
                part.channels,
                part.name
            );
        }
        let pass = self.in_own_layout(pass);
        let enter = |map: &Tensor| pass.graph().enter(&map.to_dtype(self.dtype)?);
        let maps = maps.iter().map(enter).collect::<Result<Vec<_>>>()?;
        let decoded = decoder.forward(&Pyramid::from_maps(maps)?, size, &pass)?;
        pass.graph().leave(&decoded, self.dtype)
    }

    /// The decoder's map, [n, decoder channels, h / stride, w / stride] with the sides rounded up; the stride is 4
    /// (deeplabv3plus, segformer), the output stride (deeplabv3, fcn, linear), 14 / 8 (dpt) or 1 (unet).
    pub fn features(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.features_of(&self.maps(images, pass)?, pass)
    }

    /// Logits [n, classes, h, w] at the size of the images: `classify(features(images))`.
    pub fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        let size = self.check_images(images)?;
        self.classify_maps(&self.maps(images, pass)?, Some(size), pass)
    }

    /// The classifier on the decoder's map, then bilinear to `size`: with aligned corners as segmentation_models_pytorch does
    /// (deeplabv3plus, unet) and UniMatch V2 (dpt), without as the others do (deeplabv3, fcn, segformer, linear).
    pub fn classify(&self, features: &Tensor, size: [usize; 2], pass: &Pass) -> Result<Tensor> {
        self.classify_maps(&self.entered("classify", features, pass)?, Some(size), pass)
    }

    /// The projection head on the decoder's map, [n, projection channels, h, w]. Not normalised: the loss does that.
    pub fn project(&self, features: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.project_maps(&self.entered("project", features, pass)?, pass)
    }

    /// The body of the network.
    pub(crate) fn maps(&self, images: &Tensor, pass: &Pass) -> Result<Inside> {
        let size = self.check_images(images)?;
        let parts = match &self.kind {
            Kind::Parts(parts) => parts,
            Kind::Own(module, classes) => return Ok(Inside::Given(self.given(module, *classes, images, pass)?)),
        };
        let pass = self.in_own_layout(pass);
        let pyramid = match pass.known_maps(images) {
            Some(known) => known?,
            None => parts.encoded(&pass.graph().enter(images)?, &pass)?,
        };
        Ok(Inside::Map(parts.decoder.forward(&pyramid, size, &pass)?))
    }

    /// The logits of [`Segmenter::maps`]; without a size at theirs.
    pub(crate) fn classify_maps(&self, maps: &Inside, size: Option<[usize; 2]>, pass: &Pass) -> Result<Tensor> {
        match maps {
            Inside::Map(map) => {
                let classifier = &self.of_parts("classify")?.classifier;
                classifier.forward(map, size, self.dtype, &self.in_own_layout(pass))
            }
            Inside::Given(Given { logits, .. }) => match size {
                Some(size) if logits.dims()[2..] != size => pass.graph().resize_bilinear(logits, size, false),
                _ => Ok(logits.clone()),
            },
        }
    }

    /// What a contrastive loss compares, of [`Segmenter::maps`]: the projection head's map; of a network of one's own its embeddings,
    /// else its features.
    pub(crate) fn project_maps(&self, maps: &Inside, pass: &Pass) -> Result<Tensor> {
        match maps {
            Inside::Map(map) => {
                let projection = &self.of_parts("project")?.projection;
                projection.forward(map, self.dtype, &self.in_own_layout(pass))
            }
            Inside::Given(given) => match given.embeddings.as_ref().or(given.features.as_ref()) {
                Some(map) => Ok(map.clone()),
                None => Err(own("embeddings")),
            },
        }
    }

    fn features_of(&self, maps: &Inside, pass: &Pass) -> Result<Tensor> {
        match maps {
            Inside::Map(map) => self.in_own_layout(pass).graph().leave(map, self.dtype),
            Inside::Given(Given {
                features: Some(features),
                ..
            }) => Ok(features.clone()),
            Inside::Given(_) => Err(own("features")),
        }
    }

    /// The embedding of every position: `project(features(images))` divided by its Euclidean norm over the channels.
    pub fn embed(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        pass.graph()
            .normalize(&self.project_maps(&self.maps(images, pass)?, pass)?, 1, 1e-12)
    }

    /// Logits, features and embeddings of one pass.
    pub fn outputs(&self, images: &Tensor, pass: &Pass) -> Result<Outputs> {
        let size = self.check_images(images)?;
        let maps = self.maps(images, pass)?;
        Ok(Outputs {
            logits: self.classify_maps(&maps, Some(size), pass)?,
            embeddings: pass.graph().normalize(&self.project_maps(&maps, pass)?, 1, 1e-12)?,
            features: self.features_of(&maps, pass)?,
        })
    }

    /// The decoder's map as the network has it inside.
    fn entered(&self, function: &str, features: &Tensor, pass: &Pass) -> Result<Inside> {
        let (channels, _) = Decoder::output(&self.of_parts(function)?.config);
        ensure!(
            features.rank() == 4 && features.dims()[1] == channels && features.elem_count() > 0,
            "{function}: the features have shape {:?}, expected [n, {channels}, height, width], what features or decode gives",
            features.dims()
        );
        let features = features.to_dtype(self.dtype)?;
        Ok(Inside::Map(self.in_own_layout(pass).graph().enter(&features)?))
    }
}

/// `64, 64, 128`.
fn list(numbers: &[usize]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use candle_core::Device;

    use super::*;
    use crate::nn::{Architecture, ModelConfig};
    use crate::ops::Tape;
    use crate::random::Random;

    fn model(architecture: Architecture) -> Segmenter {
        let (_, encoder) = architecture.encoders()[0];
        let mut config = ModelConfig::new(architecture, encoder, 5);
        if architecture != Architecture::Linear {
            config.decoder_channels = 16;
        }
        config.projection.channels = 8;
        Segmenter::new(&config, 3, &Device::Cpu).unwrap()
    }

    fn images(h: usize, w: usize) -> Tensor {
        let mut random = Random::new(9);
        let pixels = (0..2 * 3 * h * w).map(|_| random.normal() as f32).collect::<Vec<_>>();
        Tensor::from_vec(pixels, (2, 3, h, w), &Device::Cpu).unwrap()
    }

    fn numbers(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn parts_in_a_row_are_the_whole() {
        for (name, architecture) in Architecture::ALL {
            let sizes = match architecture.encoders()[0].1.multiple() {
                1 => vec![(false, [33, 17]), (true, [32, 48]), (true, [35, 34])],
                m => vec![(true, [m, 2 * m])],
            };
            for (training, [h, w]) in sizes {
                let (whole, parts) = (model(architecture), model(architecture));
                let (tape, random) = (Tape::new(), || RefCell::new(Random::new(5)));
                let (first, second) = (random(), random());
                let pass = |random| Pass {
                    training,
                    ..Pass::training(random).on(&tape)
                };
                let x = images(h, w);
                let logits = whole.forward(&x, &pass(&first)).unwrap();
                let maps = parts.encode(&x, &pass(&second)).unwrap();
                let features = parts.decode(&maps, [h, w], &pass(&second)).unwrap();
                let found = parts.classify(&features, [h, w], &pass(&second)).unwrap();
                assert_eq!(numbers(&logits), numbers(&found), "{name}, training {training}");
                let gradients = |model: &Segmenter, logits: &Tensor| -> Vec<Option<Vec<f32>>> {
                    let gradients = tape.backward(&logits.sqr().unwrap().mean_all().unwrap()).unwrap();
                    let parameters = model.parameters("");
                    parameters.iter().map(|p| gradients.get(&p.var).map(numbers)).collect()
                };
                assert!(gradients(&whole, &logits) == gradients(&parts, &found), "{name}");
                let statistics = |m: &Segmenter| m.buffers().iter().map(|b| numbers(&b.var)).collect::<Vec<_>>();
                assert!(statistics(&whole) == statistics(&parts), "{name}");
            }
        }
    }

    #[test]
    fn one_pass_gives_all_outputs() {
        let (model, x, pass) = (model(Architecture::Unet), images(33, 17), Pass::evaluation());
        let all = model.outputs(&x, &pass).unwrap();
        for (found, expected) in [
            (all.logits, model.forward(&x, &pass)),
            (all.features, model.features(&x, &pass)),
            (all.embeddings, model.embed(&x, &pass)),
        ] {
            assert_eq!(numbers(&found), numbers(&expected.unwrap()));
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_named() {
        let (model, pass) = (model(Architecture::DeepLabV3Plus), Pass::evaluation());
        let mut maps = model.encode(&images(32, 32), &pass).unwrap();
        let text = model.decode(&maps[..4], [32, 32], &pass).unwrap_err().to_string();
        assert!(text.contains("found 4 maps, expected the 5"), "{text}");
        maps.swap(1, 2);
        let text = model.decode(&maps, [32, 32], &pass).unwrap_err().to_string();
        assert!(
            text.contains("map 1 has shape [2, 128, 4, 4]") && text.contains("encoder.layer1"),
            "{text}"
        );
        let text = model.classify(&maps[0], [32, 32], &pass).unwrap_err().to_string();
        assert!(text.starts_with("classify: the features have shape [2, 64"), "{text}");
    }
}
