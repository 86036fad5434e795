//! Atrous spatial pyramid pooling (Chen et al. 2017): the same map seen through convolutions of several dilations.

use candle_core::Tensor;

use super::config::ModelConfig;
use super::layer::{ConvNorm, ConvSpec, dropout};
use super::param::Builder;
use super::pass::Pass;
use crate::ensure;
use crate::error::Result;

/// concat(1x1, three atrous 3x3, image pooling) -> 1x1 -> dropout. Names: `NAME.convs.0` to `4`, `NAME.project`, the same in
/// torchvision and segmentation_models_pytorch.
pub(super) struct Aspp {
    /// The 1x1 and the atrous ones.
    branches: Vec<ConvNorm>,
    pool: ConvNorm,
    project: ConvNorm,
    dropout: f64,
}

impl Aspp {
    /// Of the encoder's last map.
    pub(super) fn new(builder: &mut Builder, name: &str, config: &ModelConfig) -> Result<Self> {
        let ([.., input], output) = (config.encoder.channels(), config.decoder_channels);
        let name_of = |branch: usize, part: usize| format!("{name}.convs.{branch}.{part}");
        let pointwise = ConvSpec::new(input, output, 1);
        let mut branches = vec![ConvNorm::new(builder, &name_of(0, 0), &name_of(0, 1), pointwise)?];
        for (i, dilation) in config.atrous_rates.into_iter().enumerate() {
            let (conv, norm) = (name_of(i + 1, 0), name_of(i + 1, 1));
            let spec = ConvSpec {
                dilation,
                ..ConvSpec::new(input, output, 3)
            };
            branches.push(match config.separable {
                true => ConvNorm::separable(builder, &conv, &norm, spec)?,
                false => ConvNorm::new(builder, &conv, &norm, spec)?,
            });
        }
        let pool = ConvNorm::new(builder, &name_of(4, 1), &name_of(4, 2), pointwise)?;
        let (conv, norm) = (format!("{name}.project.0"), format!("{name}.project.1"));
        Ok(Aspp {
            branches,
            pool,
            project: ConvNorm::new(builder, &conv, &norm, ConvSpec::new(5 * output, output, 1))?,
            dropout: config.dropout,
        })
    }

    /// [n, input, h, w] -> [n, output, h, w].
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (n, whole) = (x.dims4()?.0, pass.graph().size(x)?);
        ensure!(
            n > 1 || !pass.training,
            "forward: a batch of 1 image cannot train this network, since batch norm after image pooling has one value per \
             channel; give 2 images or more, or switch to eval()"
        );
        let maps = self.branches.iter().map(|branch| branch.forward(x, pass));
        let mut maps = maps.collect::<Result<Vec<_>>>()?;
        let pooled = pass.graph().avg_pool2d(x, whole, whole, [0, 0])?;
        let pooled = self.pool.forward(&pooled, pass)?;
        maps.push(pass.graph().resize_bilinear(&pooled, whole, false)?);
        let joined = pass.graph().concat_channels(&maps.iter().collect::<Vec<_>>())?;
        drop(maps);
        dropout(self.project.forward(&joined, pass)?, self.dropout, pass)
    }
}
