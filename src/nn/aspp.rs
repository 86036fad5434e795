//! Atrous spatial pyramid pooling (Chen et al. 2017): the same map seen through convolutions of several dilations.

use candle_core::Tensor;

use super::layer::{ConvNorm, ConvSpec, SeparableConvNorm, dropout};
use super::param::Builder;
use super::pass::Pass;
use crate::ensure;
use crate::error::Result;

/// One atrous branch: 3x3 with a dilation, ReLU after batch norm.
enum Branch {
    Plain(ConvNorm),
    Separable(SeparableConvNorm),
}

/// What an [`Aspp`] is made of.
pub(super) struct AsppSpec {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) rates: [usize; 3],
    pub(super) separable: bool,
    pub(super) dropout: f64,
}

/// concat(1x1, three atrous 3x3, image pooling) -> 1x1 -> dropout. Names: `NAME.convs.0` to `4`, `NAME.project`, the same in
/// torchvision and segmentation_models_pytorch.
pub(super) struct Aspp {
    point: ConvNorm,
    branches: Vec<Branch>,
    pool: ConvNorm,
    project: ConvNorm,
    dropout: f64,
}

impl Aspp {
    pub(super) fn new(builder: &mut Builder, name: &str, spec: &AsppSpec) -> Result<Self> {
        let (input, output) = (spec.input, spec.output);
        let name_of = |branch: usize, part: usize| format!("{name}.convs.{branch}.{part}");
        let pointwise = ConvSpec::new(input, output, 1);
        let point = ConvNorm::new(builder, &name_of(0, 0), &name_of(0, 1), pointwise)?;
        let mut branches = Vec::new();
        for (i, dilation) in spec.rates.into_iter().enumerate() {
            let (conv, norm) = (name_of(i + 1, 0), name_of(i + 1, 1));
            branches.push(if spec.separable {
                Branch::Separable(SeparableConvNorm::new(
                    builder,
                    &conv,
                    &norm,
                    [input, output],
                    dilation,
                )?)
            } else {
                let spec = ConvSpec {
                    dilation,
                    ..ConvSpec::new(input, output, 3)
                };
                Branch::Plain(ConvNorm::new(builder, &conv, &norm, spec)?)
            });
        }
        let pool = ConvNorm::new(builder, &name_of(4, 1), &name_of(4, 2), pointwise)?;
        let project = ConvSpec::new(5 * output, output, 1);
        Ok(Aspp {
            point,
            branches,
            pool,
            project: ConvNorm::new(
                builder,
                &format!("{name}.project.0"),
                &format!("{name}.project.1"),
                project,
            )?,
            dropout: spec.dropout,
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
        let mut maps = vec![self.point.forward(x, pass)?];
        for branch in &self.branches {
            maps.push(match branch {
                Branch::Plain(conv) => conv.forward(x, pass)?,
                Branch::Separable(conv) => conv.forward(x, pass)?,
            });
        }
        let pooled = pass.graph().avg_pool2d(x, whole, whole, [0, 0])?;
        let pooled = self.pool.forward(&pooled, pass)?;
        maps.push(pass.graph().resize_bilinear(&pooled, whole, false)?);
        let joined = pass.graph().concat_channels(&maps.iter().collect::<Vec<_>>())?;
        drop(maps);
        dropout(self.project.forward(&joined, pass)?, self.dropout, pass)
    }
}
