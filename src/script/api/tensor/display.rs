//! Tensors as text, like torch's: values with `...` in the middle, then type, shape, device and a few statistics.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::script::ScriptType;

/// Elements up to which everything is written.
const FULL: usize = 200;
/// Elements at each end of a shortened dimension.
const EDGE: usize = 3;

/// The tensor as text.
pub fn display(t: &Tensor) -> String {
    render(t).unwrap_or_else(|e| format!("{} ({e})", t.brief()))
}

fn render(t: &Tensor) -> Result<String> {
    let flat: Vec<f64> = t
        .detach()
        .to_device(&candle_core::Device::Cpu)?
        .to_dtype(DType::F64)?
        .flatten_all()?
        .to_vec1()?;
    let float = t.dtype().is_float();
    let short = flat.len() > FULL;
    let shown = visible(t.dims(), short);
    let finite = shown.iter().map(|&i| flat[i]).filter(|x| x.is_finite());
    let (low, high) = finite
        .filter(|x| *x != 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(l, h), x| (l.min(x.abs()), h.max(x.abs())));
    let scientific = float && high > 0.0 && (!(1e-3..1e5).contains(&high) || high / low > 1e6);
    let text = |x: f64| match () {
        () if !float => format!("{x}"),
        () if !x.is_finite() => x.to_string().to_lowercase(),
        () if scientific => format!("{x:.4e}"),
        () => format!("{x:.4}"),
    };
    let width = shown.iter().map(|&i| text(flat[i]).len()).max().unwrap_or(0);
    let cell = |i: usize| format!("{:>width$}", text(flat[i]));
    let mut out = String::new();
    if flat.is_empty() {
        out.push_str("[]");
    } else {
        block(t.dims(), 0, 0, short, &cell, &mut out);
    }
    out.push_str(&format!("\n{} {}", t.brief(), super::device_name(t.device())));
    if flat.len() > 1 {
        let n = flat.len() as f64;
        let (min, max, sum) = flat
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY, 0.0), |(a, b, s), x| {
                (a.min(*x), b.max(*x), s + x)
            });
        out.push_str(&format!(
            ", min {}, mean {}, max {}",
            brief(min),
            brief(sum / n),
            brief(max)
        ));
        let strange = flat.iter().filter(|x| !x.is_finite()).count();
        if strange > 0 {
            out.push_str(&format!(", {strange} not finite"));
        }
    }
    Ok(out)
}

/// Four significant digits.
fn brief(x: f64) -> String {
    if x == x.trunc() && x.abs() < 1e9 {
        return format!("{x}");
    }
    if !(1e-4..1e6).contains(&x.abs()) {
        return format!("{x:.3e}");
    }
    let digits = (3 - x.abs().log10().floor() as i32).clamp(0, 8) as usize;
    format!("{x:.digits$}")
}

/// Which positions of a dimension are written; `None` stands for the dots.
fn positions(size: usize, short: bool) -> Vec<Option<usize>> {
    if !short || size <= 2 * EDGE {
        return (0..size).map(Some).collect();
    }
    (0..EDGE)
        .map(Some)
        .chain([None])
        .chain((size - EDGE..size).map(Some))
        .collect()
}

/// The flat indices of all written elements.
fn visible(dims: &[usize], short: bool) -> Vec<usize> {
    dims.iter().fold(vec![0], |starts, &size| {
        let keep: Vec<usize> = positions(size, short).into_iter().flatten().collect();
        starts
            .iter()
            .flat_map(|s| keep.iter().map(move |k| s * size + k))
            .collect()
    })
}

fn block(dims: &[usize], start: usize, depth: usize, short: bool, cell: &dyn Fn(usize) -> String, out: &mut String) {
    let Some((&size, rest)) = dims.split_first() else {
        out.push_str(&cell(start));
        return;
    };
    out.push('[');
    let separator = if rest.is_empty() {
        ", ".to_string()
    } else {
        format!(",{}{}", "\n".repeat(rest.len()), " ".repeat(depth + 1))
    };
    for (i, position) in positions(size, short).into_iter().enumerate() {
        if i > 0 {
            out.push_str(&separator);
        }
        match position {
            Some(p) => block(rest, start * size + p, depth + 1, short, cell, out),
            None => out.push_str("..."),
        }
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn small_tensors_are_written_whole_and_aligned() {
        let t = Tensor::new(&[[1f32, -2.5], [10.0, 0.0]], &Device::Cpu).unwrap();
        let expected =
            "[[ 1.0000, -2.5000],\n [10.0000,  0.0000]]\nTensor f32 [2, 2] cpu, min -2.500, mean 2.125, max 10";
        assert_eq!(display(&t), expected);
        let scalar = Tensor::new(3i64, &Device::Cpu).unwrap();
        assert_eq!(display(&scalar), "3\nTensor i64 [] cpu");
    }

    #[test]
    fn large_tensors_are_shortened() {
        let t = Tensor::zeros((100, 100), DType::F32, &Device::Cpu).unwrap();
        let text = display(&t);
        assert!(text.lines().count() < 12 && text.contains("..."), "{text}");
    }

    #[test]
    fn empty_and_not_finite_tensors_have_a_text() {
        let t = Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(display(&t), "[]\nTensor f32 [0, 3] cpu");
        let t = Tensor::new(&[f32::NAN, 1.0], &Device::Cpu).unwrap();
        assert!(display(&t).contains("1 not finite"));
    }
}
