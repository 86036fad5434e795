//! Tensors in files (safetensors, npz, npy), of other types, on other devices, as arrays.

use candle_core::Device;

use super::{device_name, dtype_named, floats, integers};
use crate::device::open_device;
use crate::nn::{npy, weights};
use crate::script::prelude::*;
use crate::script::values::describe;
use crate::session::Place;

/// Declare the functions.
pub fn declare(table: &mut Table) {
    let functions = entries! {
        /// Read a map from names to tensors (`.safetensors`, `.npz`; `.npy` holds one, named after the file).
        ///
        /// A relative path is searched in the working folder, then in the run folder. NumPy's truth values become u8, its u16 u32, its
        /// signed integers i64; the check sums of an `.npz` are compared.
        /// ```
        /// tensor::save("example.npz", #{ a: tensor::ones([2]) });
        /// assert_eq(tensor::load("example.npz").a, tensor::ones([2]));
        /// ```
        fn load(ctx, path: String) -> Map {
            let path = ctx.session().input_path(&path)?;
            load(&path, ctx.session().device())
        }
        /// Write a map from names to tensors (`.safetensors`, `.npz`; `.npy` for a single one); relative to the run folder.
        /// ```
        /// tensor::save("example.safetensors", #{ a: tensor::ones([2]), b: tensor::zeros([1]) });
        /// assert_eq(tensor::load("example.safetensors").keys().len, 2);
        /// ```
        fn save(ctx, path: String, tensors: Map) {
            let path = ctx.session().output_path(&path)?;
            save(&path, &tensors)
        }
    };
    table.namespace("tensor", "", functions);
    table.methods::<Tensor>(entries! {
        /// The same values as another element type: `f32 f16 bf16 f64 u8 u32 i64`.
        /// ```
        /// assert_eq(tensor::from([1.7]).to_dtype("i64"), tensor::from([1]));
        /// ```
        fn to_dtype(ctx, t: Tensor, dtype: String) -> Tensor { Ok(t.to_dtype(dtype_named(&dtype)?)?) }
        /// The same values on another device: `"cpu"`, `"cuda:0"`.
        /// ```
        /// assert_eq(tensor::ones([1]).to_device("cpu").device, "cpu");
        /// ```
        fn to_device(ctx, t: Tensor, device: String) -> Tensor {
            let here = ctx.session().device();
            let device = if device_name(here) == device { here.clone() } else { open_device(&device)? };
            Ok(t.to_device(&device)?)
        }
        /// The single element as a number.
        /// ```
        /// assert_eq(tensor::from([[2.5]]).item(), 2.5);
        /// ```
        fn item(ctx, t: Tensor) -> Dynamic {
            ensure!(t.elem_count() == 1, "gives one number, found {}; write t[i] or a reduction first", t.brief());
            Ok(elements(&t)?[0].clone())
        }
        /// The elements as nested arrays.
        /// ```
        /// assert_eq(tensor::from([[1, 2], [3, 4]]).to_array(), [[1, 2], [3, 4]]);
        /// ```
        fn to_array(ctx, t: Tensor) -> Dynamic {
            Ok(nest(t.dims(), elements(&t)?))
        }
    });
}

/// The elements as numbers of a script.
fn elements(t: &Tensor) -> Result<Vec<Dynamic>> {
    Ok(match t.dtype().is_float() {
        true => floats(t)?.into_iter().map(Dynamic::from).collect(),
        false => integers(t)?.into_iter().map(Dynamic::from).collect(),
    })
}

fn nest(dims: &[usize], mut items: Vec<Dynamic>) -> Dynamic {
    for &size in dims.iter().skip(1).rev() {
        if size == 0 {
            return Dynamic::from_array(Vec::new());
        }
        items = items.chunks(size).map(|c| Dynamic::from_array(c.to_vec())).collect();
    }
    match dims.is_empty() {
        true => items.pop().unwrap_or_default(),
        false => Dynamic::from_array(items),
    }
}

fn load(place: &Place, device: &Device) -> Result<Map> {
    let found: Vec<(String, Tensor)> = match place.ending().as_str() {
        "safetensors" => weights::read(place, device)?.tensors.into_iter().collect(),
        "npz" => npy::read_npz(place)?,
        "npy" => {
            let name = place.path().file_stem();
            let name = name.map_or("array".into(), |s| s.to_string_lossy().into_owned());
            vec![(name, npy::read_npy(place)?)]
        }
        other => fail!("{place}: files of tensors end in .safetensors, .npz or .npy, not \".{other}\""),
    };
    let on_device = found
        .into_iter()
        .map(|(name, t)| Ok((name.into(), Dynamic::from(t.to_device(device)?))));
    on_device.collect()
}

fn save(place: &Place, tensors: &Map) -> Result<()> {
    let mut list: Vec<(String, Tensor)> = Vec::new();
    for (name, value) in tensors {
        match Tensor::convert(value) {
            Some(t) => list.push((name.to_string(), t.detach().to_device(&Device::Cpu)?)),
            None => fail!("`{name}` must be a Tensor, found {}", describe(value)),
        };
    }
    match place.ending().as_str() {
        "safetensors" => weights::write(place, &list, &[]),
        "npz" => npy::write_npz(place, &list),
        "npy" => match list.as_slice() {
            [(_, tensor)] => npy::write_npy(place, tensor),
            _ => fail!(
                "an .npy file holds one tensor, found {}; use .npz or .safetensors",
                list.len()
            ),
        },
        other => fail!("{place}: files of tensors end in .safetensors, .npz or .npy, not \".{other}\""),
    }
}
