//! Sorting, choosing and counting elements along a dimension, and draws.

use candle_core::DType;

use super::{affordable, axis, floats, in_single};
use crate::ops::{self, Between, Bins, Graph};
use crate::plot;
use crate::script::prelude::*;

/// Declare the methods.
pub fn declare(table: &mut Table) {
    table.methods::<Tensor>(entries! {
        /// The elements in rising order along `dim`, `values`, and the places they had, `indices`.
        ///
        /// Equal elements keep their order, NaN comes after all numbers, as in torch. The gradient of the values goes to their places.
        /// ```
        /// let s = tensor::from([[3.0, 1.0, 2.0]]).sort();
        /// assert_eq(s.values, tensor::from([[1.0, 2.0, 3.0]]));
        /// assert_eq(s.indices, tensor::from([[1, 2, 0]]));
        /// assert_eq(tensor::from([1, 3, 2]).sort(#{ descending: true }).values, tensor::from([3, 2, 1]));
        /// ```
        fn sort(ctx, t: Tensor, dim: i64 = -1, descending: bool = false) -> Map {
            let (line, dim) = lined(&t, dim)?;
            values_and_indices(ctx, &t, ctx.graph(&[&t]).sort(&line, dim, descending)?)
        }
        /// The `k` largest elements along `dim`, the largest first, `values`, and their places, `indices`; the smallest with `largest: false`.
        ///
        /// NaN counts as the largest, as in torch; of equal elements the first come first.
        /// ```
        /// let best = tensor::from([0.1, 0.7, 0.2]).topk(2);
        /// assert_eq(best.indices, tensor::from([1, 2]));
        /// assert_eq(tensor::from([[4, 9], [7, 1]]).topk(1, 0, #{ largest: false }).values, tensor::from([[4, 1]]));
        /// ```
        fn topk(ctx, t: Tensor, k: usize, dim: i64 = -1, largest: bool = true) -> Map {
            let (line, dim) = lined(&t, dim)?;
            let length = line.dims()[dim];
            ensure!(k <= length, "`k` is {k}, dimension {dim} of {} has {length} elements; `k` must not be larger", t.brief());
            values_and_indices(ctx, &t, ctx.graph(&[&t]).topk(&line, k, dim, largest)?)
        }
        /// The middle element, or the middle one along `dim`: the lower one of two, NaN where there is one, as in torch.
        /// ```
        /// assert_eq(tensor::from([7, 1, 5, 3]).median().item(), 3);
        /// assert_eq(tensor::from([[7, 1, 5], [2, 2, 9]]).median(1), tensor::from([5, 2]));
        /// ```
        fn median(ctx, t: Tensor, dim: Option<i64> = None, keepdim: bool = false) -> Tensor {
            match dim {
                None if keepdim => Ok(ctx.graph(&[&t]).median_of_all(&t)?.reshape(vec![1; t.rank()])?),
                None => ctx.graph(&[&t]).median_of_all(&t),
                Some(dim) => {
                    let (line, dim) = lined(&t, dim)?;
                    let found = ctx.graph(&[&t]).median(&line, dim)?;
                    if keepdim { as_before(&t, found) } else { Ok(found.squeeze(dim)?) }
                }
            }
        }
        /// The number that a share `q` of all elements, or of those along `dim`, lies below; NaN where an element is, as in torch.
        ///
        /// Several shares, an array or a tensor, give a new first dimension.
        /// ```
        /// let t = tensor::from([[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]);
        /// assert_eq(t.quantile(0.5).item(), 3.5);
        /// assert_eq(t.quantile([0.0, 0.25], 1), tensor::from([[0.0, 4.0], [0.75, 4.75]]));
        /// assert_eq(t.quantile(0.25, #{ dim: 1, interpolation: "nearest" }), tensor::from([1.0, 5.0]));
        /// ```
        fn quantile(ctx, t: Tensor, q: Shares, dim: Option<i64> = None, keepdim: bool = false,
            /// The number between two elements.
            interpolation: Between = Between::Linear
        ) -> Tensor {
            quantile(ctx.graph(&[&t]), &t, &q, dim, keepdim, interpolation)
        }
        /// The sums of the elements along `dim` up to each.
        /// ```
        /// assert_eq(tensor::from([1, 2, 3]).cumsum(), tensor::from([1, 3, 6]));
        /// assert_eq(tensor::from([[1.0, 2.0], [3.0, 4.0]]).cumsum(0), tensor::from([[1.0, 2.0], [4.0, 6.0]]));
        /// ```
        fn cumsum(ctx, t: Tensor, dim: i64 = -1) -> Tensor {
            let (line, dim) = lined(&t, dim)?;
            as_before(&t, ctx.graph(&[&t]).cumsum(&line, dim)?)
        }
        /// How many elements lie in each of `bins`: `hist`, and the ends of the bins, `bin_edges`, one more.
        ///
        /// As torch's: an edge belongs to the bin above it, the last one to the last bin; what lies outside does not count.
        /// ```
        /// let h = tensor::from([1.0, 2.0, 2.0, 3.0]).histogram(2);
        /// assert_eq(h.hist, tensor::from([1.0, 3.0]));
        /// assert_eq(h.bin_edges, tensor::from([1.0, 2.0, 3.0]));
        /// ```
        fn histogram(ctx, t: Tensor,
            /// How many bins of one width, or their edges.
            bins: plot::Bins,
            /// From where to where the bins reach; from the smallest to the largest element if not given.
            range: Option<[f64; 2]> = None,
            /// What each element counts; 1 if not given.
            weight: Option<Tensor> = None,
            /// Divide, so that the bins times their widths add up to 1.
            density: bool = false
        ) -> Map {
            let bins = match (bins, range) {
                (plot::Bins::Edges(_), Some(_)) => fail!("`bins` are edges already; leave `range` out"),
                (plot::Bins::Edges(edges), None) => Bins::Edges(edges),
                (plot::Bins::Count(count), range) => {
                    affordable(&[count], DType::F64)?;
                    Bins::Even(count, range)
                }
            };
            let (hist, edges) = ops::histogram(&t, &bins, weight.as_ref(), density)?;
            Ok(named([("hist", hist.reply(ctx)), ("bin_edges", edges.reply(ctx))]))
        }
        /// Draw `n` positions by chance, each as likely as its element (a probability, or any weight), with the session's random state.
        ///
        /// A matrix gives `n` positions for each row. No position is drawn twice, unless with `replacement`.
        /// ```
        /// let drawn = tensor::from([0.0, 0.5, 0.5]).multinomial(2);
        /// assert_eq(drawn.sort().values, tensor::from([1, 2]));
        /// assert_eq(tensor::from([[0.0, 1.0], [1.0, 0.0]]).multinomial(3, #{ replacement: true }), tensor::from([[1, 1, 1], [0, 0, 0]]));
        /// ```
        fn multinomial(ctx, t: Tensor, n: usize, replacement: bool = false) -> Tensor {
            let rows = if t.rank() == 2 { t.dims()[0] } else { 1 };
            affordable(&[rows, n], DType::I64)?;
            ops::multinomial(&t, n, replacement, &mut ctx.session().random(), &|| ctx.session().check_cancel())
        }
    });
}

/// `t` and the dimension meant; a tensor without dimensions is a line of one element, as in PyTorch.
pub(super) fn lined(t: &Tensor, dim: i64) -> Result<(Tensor, usize)> {
    match (t.rank(), dim) {
        (0, 0 | -1) => Ok((t.reshape(1)?, 0)),
        _ => Ok((t.clone(), axis(t, dim)?)),
    }
}

/// The result for what [`lined`] made a line.
pub(super) fn as_before(t: &Tensor, result: Tensor) -> Result<Tensor> {
    match t.rank() {
        0 if result.elem_count() == 1 => Ok(result.reshape(())?),
        _ => Ok(result),
    }
}

fn values_and_indices(ctx: &Call, t: &Tensor, (values, indices): (Tensor, Tensor)) -> Result<Map> {
    let [values, indices] = [values, indices].map(|found| -> Result<Dynamic> { Ok(as_before(t, found)?.reply(ctx)) });
    Ok(named([("values", values?), ("indices", indices?)]))
}

/// One share of the elements or several, as a tensor too.
struct Shares {
    numbers: Vec<f64>,
    several: bool,
}

impl Arg for Shares {
    const KIND: &'static str = "float or [float]";
    const WANTED: &'static str = "a number from 0 to 1, or an array or tensor of these";
    fn convert(value: &dyn Source) -> Option<Self> {
        let (numbers, several) = match (f64::convert(value), Tensor::convert(value)) {
            (Some(number), _) => (vec![number], false),
            (None, Some(t)) if t.rank() <= 1 => (floats(&t).ok()?, t.rank() == 1),
            (None, Some(_)) => return None,
            (None, None) => (Vec::<f64>::convert(value)?, true),
        };
        Some(Shares { numbers, several })
    }
}

fn quantile(graph: Graph, t: &Tensor, q: &Shares, dim: Option<i64>, keepdim: bool, between: Between) -> Result<Tensor> {
    let rank = t.rank();
    let (line, dim) = match dim {
        Some(dim) => lined(t, dim)?,
        None => (t.flatten_all()?, 0),
    };
    let found = in_single(&line, |line| graph.quantile(line, &q.numbers, dim, between))?;
    // the quantiles become the first dimension, and `dim` comes back with size 1
    let mut found = found.unsqueeze(0)?.transpose(0, dim + 1)?;
    if keepdim {
        let rest = match line.rank() == rank {
            true => found.dims()[1..].to_vec(),
            false => vec![1; rank],
        };
        found = found.reshape([&[q.numbers.len()], rest.as_slice()].concat())?;
    } else {
        found = found.squeeze(dim + 1)?;
    }
    if q.several { Ok(found) } else { Ok(found.squeeze(0)?) }
}
