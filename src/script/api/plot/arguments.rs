//! What plots take from scripts: numbers from arrays or tensors, spreads, pictures, label maps, palettes.

use candle_core::DType;

use crate::plot::{Bins, FigureOptions, Picture, Spread};
use crate::script::prelude::*;
use crate::script::table::Param;
use crate::script::values::{Shared, Values, describe};

/// Numbers for an axis: an array (where `()` is a gap) or a tensor of one dimension.
pub struct Numbers(pub Vec<f64>);

impl Arg for Numbers {
    fn kind() -> String {
        "[float] or Tensor".into()
    }
    fn wanted() -> String {
        "an array of numbers or a tensor of one dimension".into()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        if let Some(tensor) = Tensor::convert(value) {
            return (tensor.rank() == 1).then(|| flat(&tensor).map(Numbers)).flatten();
        }
        let gap = |v: &Option<f64>| v.unwrap_or(f64::NAN);
        Vec::<Option<f64>>::convert(value).map(|all| Numbers(all.iter().map(gap).collect()))
    }
}

/// The name of a category: a string or a number.
pub struct Name(pub String);

impl Arg for Name {
    fn kind() -> String {
        "string".into()
    }
    fn wanted() -> String {
        "a name (a string or a number)".into()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        let number = dynamic(value).filter(|v| v.is_int() || v.is_float());
        number
            .map(Dynamic::to_string)
            .or_else(|| String::convert(value))
            .map(Name)
    }
}

impl Arg for Spread {
    fn kind() -> String {
        "[float] or Tensor or [low, high]".into()
    }
    fn wanted() -> String {
        "half widths (an array of numbers or a tensor), or [low, high] with two of these".into()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        if let Some(Numbers(half)) = Numbers::convert(value) {
            return Some(Spread::Around(half));
        }
        let [low, high] = Vec::<Numbers>::convert(value)?.try_into().ok()?;
        Some(Spread::Between(low.0, high.0))
    }
}

/// One number or as many as there are points.
pub struct Base(pub Vec<f64>);

impl Arg for Base {
    fn kind() -> String {
        "float or [float]".into()
    }
    fn wanted() -> String {
        "a number, or an array of numbers".into()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        let one = f64::convert(value).map(|v| vec![v]);
        one.or_else(|| Numbers::convert(value).map(|n| n.0)).map(Base)
    }
    fn literal(&self) -> Option<String> {
        match self.0.as_slice() {
            [one] => one.literal(),
            all => all.to_vec().literal(),
        }
    }
}

impl Arg for Bins {
    fn kind() -> String {
        "int or [float]".into()
    }
    fn wanted() -> String {
        "a number of bins, or an array with their edges".into()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        let count = usize::convert(value).map(Bins::Count);
        count.or_else(|| Numbers::convert(value).map(|n| Bins::Edges(n.0)))
    }
}

/// Samples by name: a map of arrays, or an array of arrays.
pub struct Groups {
    /// Empty for an array.
    pub names: Vec<String>,
    /// The numbers of each group.
    pub samples: Vec<Vec<f64>>,
}

impl Arg for Groups {
    const TAKES_MAP: bool = true;
    fn kind() -> String {
        "map of [float] or [[float]]".into()
    }
    fn wanted() -> String {
        "a map from names to arrays of numbers, or an array of arrays".into()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        let (names, samples): (Vec<String>, Option<Vec<Numbers>>) = match dynamic(value)?.read_lock::<Map>() {
            Some(map) => (
                map.keys().map(|k| k.to_string()).collect(),
                map.values().map(|v| Numbers::convert(v)).collect(),
            ),
            None => (Vec::new(), Vec::convert(value)),
        };
        let samples = samples?.into_iter().map(|n| n.0).collect();
        Some(Groups { names, samples })
    }
}

/// The options of a figure that those of one call take too.
pub struct Frame(pub FigureOptions);

impl Frame {
    const NAMES: [&str; 6] = ["preset", "size", "font", "font_size", "palette", "dark"];
}

impl Shared for Frame {
    type Base = FigureOptions;
    fn params(base: &FigureOptions) -> Vec<Param> {
        let all = <FigureOptions as Shared>::params(base).into_iter();
        all.filter(|p| Frame::NAMES.contains(&p.name)).collect()
    }
    fn take(values: &mut Values<'_>) -> Result<Self> {
        // the others are no parameters of the function, or its own
        FigureOptions::take(values).map(Frame)
    }
}

/// A matrix: a tensor of two dimensions or an array of rows.
pub struct Matrix {
    /// Row by row.
    pub values: Vec<f64>,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
}

impl Arg for Matrix {
    fn kind() -> String {
        "[[float]] or Tensor".into()
    }
    fn wanted() -> String {
        "a tensor of two dimensions or an array of rows of equal length".into()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        if let Some(tensor) = Tensor::convert(value) {
            let ((rows, columns), values) = (tensor.dims2().ok()?, flat(&tensor)?);
            return Some(Matrix { values, rows, columns });
        }
        let all: Vec<Vec<f64>> = Vec::<Numbers>::convert(value)?.into_iter().map(|n| n.0).collect();
        let (rows, columns) = (all.len(), all.first()?.len());
        let values = all.concat();
        all.iter()
            .all(|row| row.len() == columns)
            .then_some(Matrix { values, rows, columns })
    }
}

/// Colours of the classes: `[[red, green, blue], ..]`, 0 to 255.
pub struct Palette(pub Vec<[u8; 3]>);

impl Arg for Palette {
    fn kind() -> String {
        "[[int; 3]]".into()
    }
    fn wanted() -> String {
        "an array of colours [red, green, blue], each 0 to 255 (data.palette is one)".into()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        Vec::convert(value).map(Palette)
    }
}

/// Every number of a tensor of any type, row-major.
fn flat(tensor: &Tensor) -> Option<Vec<f64>> {
    tensor.flatten_all().ok()?.to_dtype(DType::F64).ok()?.to_vec1().ok()
}

/// The picture in a tensor `[3, h, w]` with colours 0 to 1, or bytes 0 to 255 where the tensor has an integer type.
pub fn picture_from(image: &Tensor) -> Result<Picture> {
    let [3, height, width] = *image.dims() else {
        fail!(
            "the image must be a tensor of shape [3, height, width], found {}",
            describe(&Dynamic::from(image.clone()))
        )
    };
    let most = if image.dtype().is_float() { 1.0 } else { 255.0 };
    let pixels = image.permute((1, 2, 0))?.to_dtype(DType::F32)?.flatten_all()?;
    let pixels = pixels.to_vec1::<f32>()?;
    if let Some(strange) = pixels.iter().find(|v| !(-0.01..=most + 0.01).contains(*v)) {
        fail!(
            "the image has the colour {strange}, expected 0 to {most}; batches are normalised: use data.get(i).image, which is not"
        );
    }
    let byte = |v: &f32| (v * (255.0 / most)).round().clamp(0.0, 255.0) as u8;
    Picture::new(width, height, pixels.iter().map(byte).collect())
}

/// Labels, row by row, and the size `[height, width]` of a label map.
pub fn labels_from(labels: &Tensor) -> Result<(Vec<u8>, [usize; 2])> {
    let [height, width] = *labels.dims() else {
        fail!(
            "the labels must be a tensor of shape [height, width], found {}",
            describe(&Dynamic::from(labels.clone()))
        )
    };
    let values = labels.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    let byte = |v: &f64| -> Result<u8> {
        ensure!(
            v.fract() == 0.0 && (0.0..=255.0).contains(v),
            "label {v} is not an integer from 0 to 255"
        );
        Ok(*v as u8)
    };
    Ok((values.iter().map(byte).collect::<Result<_>>()?, [height, width]))
}
