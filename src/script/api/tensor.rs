//! `tensor::` and the methods of tensors.

use candle_core::DType;

use crate::script::prelude::*;

/// The gradients that `backward()` gives.
#[derive(Clone)]
pub struct Gradients(pub std::rc::Rc<candle_core::backprop::GradStore>);

impl ScriptType for Gradients {
    const NAME: &'static str = "Gradients";
    const DOC: &'static str = "What `backward()` gives: the gradient of every variable.";
    fn display(&self) -> String {
        "Gradients".into()
    }
}

impl ScriptType for Tensor {
    const NAME: &'static str = "Tensor";
    const DOC: &'static str = "An n-dimensional array of numbers of one type on one device.";
    fn display(&self) -> String {
        format!("{self}")
    }
    fn brief(&self) -> String {
        format!("Tensor {} {:?}", self.dtype().as_str(), self.dims())
    }
    fn detached(self) -> Self {
        self.detach()
    }
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.script_type::<Tensor>();
    table.script_type::<Gradients>();
    table.namespace(
        "tensor",
        "Make, load and save tensors.",
        entries! {
            /// Make a tensor of zeros.
            /// ```
            /// assert_eq(tensor::zeros([2, 3]).shape, [2, 3]);
            /// ```
            fn zeros(ctx, shape: Vec<usize>) -> Tensor {
                Ok(Tensor::zeros(shape, DType::F32, ctx.session().device())?)
            }
            /// Draw from the standard normal distribution.
            /// ```
            /// assert_eq(tensor::randn([2, 3]).shape, [2, 3]);
            /// ```
            fn randn(ctx, shape: Vec<usize>) -> Tensor {
                let mut random = ctx.session().random();
                let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.normal() as f32).collect();
                Ok(Tensor::from_vec(values, shape, ctx.session().device())?)
            }
        },
    );
    table.methods::<Tensor>(
        "Tensor",
        entries! {
            /// The sizes of the dimensions.
            /// ```
            /// assert_eq(tensor::zeros([2, 3]).shape, [2, 3]);
            /// ```
            get shape(ctx, t: Tensor) -> Vec<usize> {
                Ok(t.dims().to_vec())
            }
        },
    );
}
