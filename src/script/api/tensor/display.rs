//! Tensors as text, like torch's: values with `...` in the middle, then type, shape, device and a few statistics.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use console::Term;

use super::statistics::Statistics;
use crate::error::Result;
use crate::script::ScriptType;

/// Elements up to which everything is written.
const FULL: usize = 200;
/// Elements at each end of a shortened dimension.
const EDGE: usize = 3;

/// Columns of a text that does not go to a terminal.
const COLUMNS: usize = 80;

/// The tensor as text.
pub fn display(t: &Tensor) -> String {
    let screen = Term::stdout();
    let columns = if screen.is_term() {
        usize::from(screen.size().1)
    } else {
        COLUMNS
    };
    render(t, columns).unwrap_or_else(|e| format!("{} ({e})", t.brief()))
}

fn render(t: &Tensor, columns: usize) -> Result<String> {
    let t = t.detach();
    let short = t.elem_count() > FULL;
    let shown = visible(t.dims(), short);
    let cells = cells(&t, &shown)?;
    let width = cells.iter().map(String::len).max().unwrap_or(0);
    // elements of a row, each followed by ", ", between the brackets
    let indent = t.rank();
    let per_line = (columns.saturating_sub(indent + 1) / (width + 2)).max(1);
    let mut out = String::new();
    if cells.is_empty() {
        out.push_str("[]");
    } else {
        let cells = shown.into_iter().zip(cells).collect();
        Block {
            short,
            per_line,
            width,
            cells,
        }
        .write(t.dims(), 0, 0, &mut out);
    }
    out.push_str(&format!("\n{} {}", t.brief(), super::device_name(t.device())));
    if t.elem_count() > 1 {
        out.push_str(&said(&Statistics::of(&t)?));
    }
    Ok(out)
}

/// `, min -2.5, mean 0, max 2.5`, and how many elements are no numbers.
fn said(s: &Statistics) -> String {
    let mut out = String::new();
    for (count, what) in [(s.nan, "NaN"), (s.infinite, "infinite")] {
        if count > 0 {
            out.push_str(&format!(", {count} {what}"));
        }
    }
    if s.finite > 0 {
        let rest = if out.is_empty() { ", " } else { "; of the others " };
        out.push_str(&format!(
            "{rest}min {}, mean {}, max {}",
            brief(s.min),
            brief(s.mean()),
            brief(s.max)
        ));
    }
    out
}

/// The texts of the elements at these positions; integers to the last digit.
fn cells(t: &Tensor, at: &[usize]) -> Result<Vec<String>> {
    if at.is_empty() {
        return Ok(Vec::new());
    }
    let positions: Vec<i64> = at.iter().map(|&i| i as i64).collect();
    let positions = Tensor::from_vec(positions, at.len(), t.device())?;
    let some = t.contiguous()?.flatten_all()?.index_select(&positions, 0)?;
    if !t.dtype().is_float() {
        let values: Vec<i64> = some.to_dtype(DType::I64)?.to_vec1()?;
        return Ok(values.iter().map(i64::to_string).collect());
    }
    let values: Vec<f64> = some.to_dtype(DType::F64)?.to_vec1()?;
    let (low, high) = values
        .iter()
        .filter(|x| x.is_finite() && **x != 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(l, h), x| (l.min(x.abs()), h.max(x.abs())));
    let scientific = high > 0.0 && (!(1e-3..1e5).contains(&high) || high / low > 1e6);
    let text = |x: &f64| match () {
        () if !x.is_finite() => x.to_string().to_lowercase(),
        () if scientific => format!("{x:.4e}"),
        () => format!("{x:.4}"),
    };
    Ok(values.iter().map(text).collect())
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

/// What the writing of nested brackets needs to know.
struct Block {
    short: bool,
    per_line: usize,
    width: usize,
    /// The texts by flat index.
    cells: BTreeMap<usize, String>,
}

impl Block {
    fn write(&self, dims: &[usize], start: usize, depth: usize, out: &mut String) {
        let Some((&size, rest)) = dims.split_first() else {
            let cell = self.cells.get(&start).map_or("", String::as_str);
            out.push_str(&format!("{cell:>width$}", width = self.width));
            return;
        };
        out.push('[');
        let next_line = format!(",{}{}", "\n".repeat(rest.len().max(1)), " ".repeat(depth + 1));
        for (i, position) in positions(size, self.short).into_iter().enumerate() {
            if i > 0 && rest.is_empty() && i % self.per_line != 0 {
                out.push_str(", ");
            } else if i > 0 {
                out.push_str(&next_line);
            }
            match position {
                Some(p) => self.write(rest, start * size + p, depth + 1, out),
                None => out.push_str("..."),
            }
        }
        out.push(']');
    }
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
        assert!(
            display(&t).ends_with("cpu, 1 NaN; of the others min 1, mean 1, max 1"),
            "{}",
            display(&t)
        );
        let t = Tensor::new(&[f32::NAN, f32::NAN], &Device::Cpu).unwrap();
        assert!(display(&t).ends_with("cpu, 2 NaN"), "{}", display(&t));
    }

    #[test]
    fn a_column_is_shown_as_any_other_tensor() {
        let t = Tensor::arange(0i64, 6, &Device::Cpu).unwrap().reshape((3, 2)).unwrap();
        let column = t.narrow(1, 1, 1).unwrap().squeeze(1).unwrap();
        assert_eq!(display(&column), "[1, 3, 5]\nTensor i64 [3] cpu, min 1, mean 3, max 5");
    }

    #[test]
    fn integers_are_written_to_the_last_digit() {
        let t = Tensor::new(&[(1i64 << 53) + 1, -7], &Device::Cpu).unwrap();
        assert!(
            display(&t).starts_with("[9007199254740993,               -7]"),
            "{}",
            display(&t)
        );
    }

    #[test]
    fn rows_are_broken_at_the_width_of_the_screen() {
        let t = Tensor::arange(0i64, 20, &Device::Cpu).unwrap();
        // 30 columns: two brackets, 7 elements of two digits with ", " behind each
        let expected = "[ 0,  1,  2,  3,  4,  5,  6,\n  7,  8,  9, 10, 11, 12, 13,\n 14, 15, 16, 17, 18, 19]\n";
        let text = render(&t, 30).unwrap();
        assert!(text.starts_with(expected), "{text}");
        assert!(text.lines().take(3).all(|l| l.len() <= 30), "{text}");
        let rows = render(&t.reshape((2, 10)).unwrap(), 30).unwrap();
        assert!(
            rows.starts_with("[[ 0,  1,  2,  3,  4,  5,\n   6,  7,  8,  9],\n [10, 11,"),
            "{rows}"
        );
    }
}
