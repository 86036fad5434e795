//! Random initialisation, as PyTorch's for the same modules.

use crate::random::Random;

/// How a tensor is filled when a model is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Init {
    /// 0 everywhere.
    Zero,
    /// 1 everywhere.
    One,
    /// Uniform in [-bound, bound).
    Uniform(f64),
    /// Normal with this standard deviation.
    Normal(f64),
}

impl Init {
    /// `count` values from the stream of this seed and parameter name.
    pub(super) fn draw(self, seed: u64, name: &str, count: usize) -> Vec<f32> {
        let mut random = Random::derived(seed, &[hash(name)]);
        match self {
            Init::Zero => vec![0.0; count],
            Init::One => vec![1.0; count],
            Init::Uniform(bound) => (0..count).map(|_| random.uniform(-bound, bound) as f32).collect(),
            Init::Normal(sd) => normals(sd, count, &mut random),
        }
    }
}

/// Which rule fills the weight (and bias) of a convolution. With `in` = input channels / groups and k = kernel height x width:
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ConvInit {
    /// `nn.Conv2d`'s own: weight and bias uniform in +-1/sqrt(in k) (He et al. 2015 with a = sqrt 5).
    Default,
    /// torchvision's ResNet: normal, sd sqrt(2 / (out k)) (`kaiming_normal_`, fan out, ReLU).
    ResNet,
    /// `initialize_decoder` of segmentation_models_pytorch: uniform in +-sqrt(6 / (in k)), bias 0.
    Decoder,
    /// `initialize_head` of segmentation_models_pytorch: uniform in +-sqrt(6 / ((in + out) k)), bias 0.
    Head,
    /// Hugging Face's transformers: normal, sd 0.02, bias 0.
    Transformer,
    /// `cls_seg` of OpenMMLab's heads: normal, sd 0.01, bias 0.
    Classifier,
}

impl ConvInit {
    /// The rules for weight and bias of a convolution whose weight has the shape [out, in / groups, height, width].
    pub(super) fn rules(self, [out, input, height, width]: [usize; 4]) -> (Init, Init) {
        let area = (height * width) as f64;
        let (fan_in, fan_out) = (input as f64 * area, out as f64 * area);
        match self {
            ConvInit::Default => {
                let bound = 1.0 / fan_in.sqrt();
                (Init::Uniform(bound), Init::Uniform(bound))
            }
            ConvInit::ResNet => (Init::Normal((2.0 / fan_out).sqrt()), Init::Zero),
            ConvInit::Decoder => (Init::Uniform((6.0 / fan_in).sqrt()), Init::Zero),
            ConvInit::Transformer => (Init::Normal(0.02), Init::Zero),
            ConvInit::Classifier => (Init::Normal(0.01), Init::Zero),
            ConvInit::Head => (Init::Uniform((6.0 / (fan_in + fan_out)).sqrt()), Init::Zero),
        }
    }
}

/// Normal numbers, both of each Box-Muller pair (a ResNet needs millions).
fn normals(sd: f64, count: usize, random: &mut Random) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = sd * (-2.0 * (1.0 - random.unit()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * random.unit()).sin_cos();
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(count);
    values
}

/// FNV-1a, 64 bits: a number for a name that stays the same on every machine and in every version.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |h, byte| {
        (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_pytorchs() {
        // nn.Conv2d(512, 256, 1): 1/sqrt(512) = 0.04419; the depthwise nn.Conv2d(512, 512, 3, groups=512): 1/3
        let close = |init: Init, expected: f64| match init {
            Init::Uniform(x) | Init::Normal(x) => assert!((x - expected).abs() < 1e-5, "{x} {expected}"),
            other => panic!("{other:?}"),
        };
        close(ConvInit::Default.rules([256, 512, 1, 1]).0, 0.044194);
        close(ConvInit::Default.rules([512, 1, 3, 3]).1, 0.333333);
        // kaiming_normal_(fan_out) of [64, 3, 7, 7]: sqrt(2 / 3136) = 0.025254
        close(ConvInit::ResNet.rules([64, 3, 7, 7]).0, 0.025254);
        close(ConvInit::Decoder.rules([4, 6, 1, 1]).0, 1.0);
        close(ConvInit::Head.rules([4, 2, 1, 1]).0, 1.0);
        assert_eq!(ConvInit::Head.rules([4, 2, 1, 1]).1, Init::Zero);
    }

    #[test]
    fn draws_have_the_rules_spread() {
        let sd = |init: Init| {
            let v = init.draw(0, "x", 20_000);
            (v.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / 2e4).sqrt()
        };
        assert!((sd(Init::Normal(0.5)) - 0.5).abs() < 0.01);
        assert!((sd(Init::Uniform(3f64.sqrt())) - 1.0).abs() < 0.01); // bound / sqrt 3
    }

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(hash(""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(hash("a"), 0xAF63_DC4C_8601_EC8C); // published test value
    }
}
