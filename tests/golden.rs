//! Values and gradients of the operations against `tests/golden/ops.safetensors`, which PyTorch made (`make_golden.py`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod devices;

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor, Var};
use seglab::ops::{self, BatchNormOptions, BatchNormState, Conv2dOptions, CrossEntropyOptions, Graph, Tape};
use serde_json::Value;

/// Largest difference to PyTorch's numbers, relative to the largest of them.
const TOLERANCE: f64 = 1e-4;
/// The same for maps in bf16, which a GPU takes.
const BF16_TOLERANCE: f64 = 2e-2;

struct Golden {
    tensors: HashMap<String, Tensor>,
    options: BTreeMap<String, Value>,
}

/// One case on one device: its tensors by role and its options.
struct Case<'a> {
    device: Device,
    /// Of the maps; weights and statistics are f32.
    dtype: DType,
    name: &'a str,
    golden: &'a Golden,
    options: &'a Value,
}

impl Golden {
    fn load() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/ops.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let options = metadata.metadata().clone().unwrap();
        let options = options
            .into_iter()
            .filter_map(|(name, text)| Some((name, serde_json::from_str(&text).ok()?)))
            .collect();
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
        Golden { tensors, options }
    }

    /// The cases of this name, on every device there is; on a GPU in bf16 as well.
    fn cases(&self, prefix: &str) -> Vec<Case<'_>> {
        let found: Vec<_> = self
            .options
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .collect();
        let mut cases = Vec::new();
        for device in devices::devices() {
            let types: &[DType] = match device.is_cuda() {
                true => &[DType::F32, DType::BF16],
                false => &[DType::F32],
            };
            for &dtype in types {
                cases.extend(found.iter().map(|&(name, options)| Case {
                    device: device.clone(),
                    dtype,
                    name,
                    golden: self,
                    options,
                }));
            }
        }
        assert!(!cases.is_empty(), "no golden case {prefix}");
        cases
    }
}

impl Case<'_> {
    fn get(&self, role: &str) -> Tensor {
        let name = format!("{}/{role}", self.name);
        self.golden
            .tensors
            .get(&name)
            .unwrap_or_else(|| panic!("no {name}"))
            .to_device(&self.device)
            .unwrap()
    }

    fn var(&self, role: &str) -> Var {
        Var::from_tensor(&self.get(role)).unwrap()
    }

    /// A map to differentiate by, in the element type under test.
    fn map(&self, role: &str) -> Var {
        Var::from_tensor(&self.get(role).to_dtype(self.dtype).unwrap()).unwrap()
    }

    fn size(&self, key: &str) -> usize {
        self.options[key].as_u64().unwrap() as usize
    }

    fn pair(&self, key: &str) -> [usize; 2] {
        let values: Vec<usize> = self.options[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_u64().unwrap() as usize)
            .collect();
        values.try_into().unwrap()
    }

    /// Compare `out` and the gradients of `(out * cotangent).sum()`.
    fn check(&self, out: &Tensor, arguments: &[(&str, &Var)]) {
        self.close("out", out);
        let grads = (out * self.get("cotangent").to_dtype(out.dtype()).unwrap())
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        for (role, var) in arguments {
            let name = format!("grad_{role}");
            let gradient = grads.get(var).unwrap_or_else(|| panic!("{}: no {name}", self.name));
            self.close(&name, gradient);
        }
    }

    fn close(&self, role: &str, found: &Tensor) {
        let expected = self.get(role);
        assert_eq!(found.dims(), expected.dims(), "{}/{role}", self.name);
        let largest = |t: &Tensor| {
            let t = t.to_dtype(DType::F64).unwrap().abs().unwrap().flatten_all().unwrap();
            t.max(0).unwrap().to_scalar::<f64>().unwrap()
        };
        let found = found.to_dtype(expected.dtype()).unwrap();
        let error = largest(&(found - &expected).unwrap()) / largest(&expected).max(1e-6);
        let allowed = match self.dtype {
            DType::BF16 => BF16_TOLERANCE,
            _ => TOLERANCE,
        };
        assert!(
            error < allowed,
            "{}/{role} on {:?} in {:?}: relative error {error:e}",
            self.name,
            self.device,
            self.dtype
        );
    }
}

#[test]
fn conv2d() {
    let golden = Golden::load();
    for case in golden.cases("conv2d") {
        let (input, weight, bias) = (case.map("input"), case.var("weight"), case.var("bias"));
        let o = Conv2dOptions {
            stride: [case.size("stride"); 2],
            padding: [case.size("padding"); 2],
            dilation: [case.size("dilation"); 2],
            groups: case.size("groups"),
        };
        let out = ops::conv2d(&input, &weight, Some(&bias), &o).unwrap();
        case.check(&out, &[("input", &input), ("weight", &weight), ("bias", &bias)]);
    }
}

#[test]
fn conv2d_of_a_transposed_view() {
    let golden = Golden::load();
    for case in golden.cases("conv2d") {
        let swap = |t: &Tensor| t.transpose(0, 1).unwrap().contiguous().unwrap();
        let input = Var::from_tensor(&swap(&case.map("input"))).unwrap();
        let weight = Var::from_tensor(&swap(&case.get("weight"))).unwrap();
        let o = Conv2dOptions {
            stride: [case.size("stride"); 2],
            padding: [case.size("padding"); 2],
            dilation: [case.size("dilation"); 2],
            groups: case.size("groups"),
        };
        let views = (input.transpose(0, 1).unwrap(), weight.transpose(0, 1).unwrap());
        let out = ops::conv2d(&views.0, &views.1, Some(&case.get("bias")), &o).unwrap();
        case.close("out", &out);
        let grads = (&out * case.get("cotangent").to_dtype(case.dtype).unwrap())
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        case.close("grad_input", &grads.get(&input).unwrap().transpose(0, 1).unwrap());
        case.close("grad_weight", &grads.get(&weight).unwrap().transpose(0, 1).unwrap());
    }
}

#[test]
fn batch_norm() {
    let golden = Golden::load();
    for case in golden.cases("batch_norm") {
        let (input, weight, bias) = (case.map("input"), case.var("weight"), case.var("bias"));
        let training = case.options["training"].as_bool().unwrap();
        let (mean, var) = if training {
            let zero = weight.zeros_like().unwrap();
            (
                Var::from_tensor(&zero).unwrap(),
                Var::from_tensor(&zero.ones_like().unwrap()).unwrap(),
            )
        } else {
            (case.var("running_mean"), case.var("running_var"))
        };
        let o = BatchNormOptions {
            training,
            ..Default::default()
        };
        let state = BatchNormState { mean: &mean, var: &var };
        let out = ops::batch_norm(&input, &weight, &bias, state, None, &o).unwrap();
        case.check(&out, &[("input", &input), ("weight", &weight), ("bias", &bias)]);
        if training {
            case.close("running_mean_after", &mean);
            case.close("running_var_after", &var);
        }
    }
}

#[test]
fn max_pool2d() {
    let golden = Golden::load();
    // rounded to bf16, two neighbours may be equal, and the gradient goes to the other one
    for case in golden.cases("max_pool2d").iter().filter(|c| c.dtype == DType::F32) {
        let input = case.var("input");
        let [kernel, stride, padding] = ["kernel", "stride", "padding"].map(|key| [case.size(key); 2]);
        let out = ops::max_pool2d(&input, kernel, stride, padding).unwrap();
        case.check(&out, &[("input", &input)]);
    }
}

#[test]
fn resize() {
    let golden = Golden::load();
    for case in golden.cases("resize_bilinear") {
        let input = case.map("input");
        let corners = case.options["align_corners"].as_bool().unwrap();
        let out = ops::resize_bilinear(&input, case.pair("size"), corners).unwrap();
        case.check(&out, &[("input", &input)]);
    }
    for case in golden.cases("resize_nearest") {
        let input = case.map("input");
        case.check(
            &ops::resize_nearest(&input, case.pair("size")).unwrap(),
            &[("input", &input)],
        );
    }
}

#[test]
fn cross_entropy() {
    let golden = Golden::load();
    for case in golden.cases("cross_entropy") {
        let logits = case.map("logits");
        let weights = case.options["class_weights"].as_array();
        let o = CrossEntropyOptions {
            ignore_label: case.options["ignore_label"].as_i64().unwrap(),
            class_weights: weights.map(|w| w.iter().map(|v| v.as_f64().unwrap() as f32).collect()),
            label_smoothing: case.options["label_smoothing"].as_f64().unwrap(),
            ..Default::default()
        };
        let out = ops::cross_entropy(&logits, &case.get("labels"), &o).unwrap();
        case.check(&out, &[("logits", &logits)]);
    }
}

#[test]
fn normalize() {
    let golden = Golden::load();
    for case in golden.cases("normalize") {
        let input = case.map("input");
        let out = ops::normalize(&input, case.size("dim"), case.options["eps"].as_f64().unwrap()).unwrap();
        case.check(&out, &[("input", &input)]);
    }
}

#[test]
fn a_value_used_twice() {
    let golden = Golden::load();
    for case in golden.cases("used_twice") {
        let input = case.map("input");
        let resized = ops::resize_bilinear(&input, [12, 16], false).unwrap();
        let part = resized.narrow(2, 0, 6).unwrap().narrow(3, 0, 8).unwrap();
        let out = (part + (input.as_tensor() * input.as_tensor()).unwrap()).unwrap();
        case.check(&out, &[("input", &input)]);
    }
}

#[test]
fn a_rectifier_behind_a_batch_norm_stops_no_nan() {
    // x = [[[[1, nan]], [[2, -3]]], [[[-4, 5]], [[6, 0.5]]]], weight [2, 3], bias [0.5, -0.25], running mean [0.5, 1] and variance [4, 9];
    // F.relu(F.batch_norm(..)) with the gradient 1, 2, .. 8
    let nan = f32::NAN;
    let cases = [
        (
            true,
            [nan, nan, -0.012_538_55, 1.017_053, nan, nan, 0.650_641_1, -1.655_155_8],
            [nan, 10.609_316],
            [14.0, 10.0],
        ),
        (
            false,
            [
                0.999_998_75,
                1.999_997_5,
                2.999_998,
                0.0,
                0.0,
                5.999_992_4,
                6.999_996,
                0.0,
            ],
            [nan, 12.666_659],
            [9.0, 10.0],
        ),
    ];
    for (device, (training, dx, dw, db)) in devices::devices()
        .iter()
        .flat_map(|d| cases.iter().map(move |c| (d, c)))
    {
        let var = |values: &[f32], shape: &[usize]| Var::from_slice(values, shape, device).unwrap();
        let x = var(&[1.0, nan, 2.0, -3.0, -4.0, 5.0, 6.0, 0.5], &[2, 2, 1, 2]);
        let (weight, bias) = (var(&[2.0, 3.0], &[2]), var(&[0.5, -0.25], &[2]));
        let upstream = Tensor::arange(1f32, 9.0, device)
            .unwrap()
            .reshape((2, 2, 1, 2))
            .unwrap();
        let o = BatchNormOptions {
            training: *training,
            relu: true,
            ..Default::default()
        };
        let tape = Tape::new();
        for graph in [Graph::default(), Graph::on(&tape)] {
            let (mean, var) = (var(&[0.5, 1.0], &[2]), var(&[4.0, 9.0], &[2]));
            let state = BatchNormState { mean: &mean, var: &var };
            let y = graph.batch_norm(&x, &weight, &bias, state, None, &o).unwrap();
            let gradients = tape.backward(&(y * &upstream).unwrap().sum_all().unwrap()).unwrap();
            for (variable, wanted) in [(&x, &dx[..]), (&weight, &dw[..]), (&bias, &db[..])] {
                let found = gradients.get(variable).unwrap().flatten_all().unwrap();
                let found: Vec<f32> = found.to_vec1().unwrap();
                let alike = |(a, b): (&f32, &f32)| a.is_nan() && b.is_nan() || (a - b).abs() < 1e-5 * b.abs().max(1.0);
                assert!(
                    found.iter().zip(wanted).all(alike),
                    "training {training}: {found:?} {wanted:?}"
                );
            }
        }
    }
}
