//! Arguments that are one number or several: kernels, shapes, dimensions.

use crate::options::{Arg, Reading, Source};

/// One size for both sides, or `[height, width]`: kernels, strides, paddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair(pub [usize; 2]);

impl Arg for Pair {
    fn kind() -> String {
        "int or [int, int]".into()
    }
    fn wanted() -> String {
        "an integer >= 0 or [height, width]".into()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        usize::convert(value)
            .map(|n| [n, n])
            .or_else(|| <[usize; 2]>::convert(value))
            .map(Pair)
    }
    fn literal(&self) -> Option<String> {
        let [height, width] = self.0;
        if height == width {
            height.literal()
        } else {
            self.0.literal()
        }
    }
}

/// The sizes of a tensor: `[2, 3]`, or `3` for one dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes(pub Vec<usize>);

impl Arg for Sizes {
    fn kind() -> String {
        "[int]".into()
    }
    fn wanted() -> String {
        Vec::<usize>::wanted()
    }
    fn read(value: &dyn Source) -> Reading<Self> {
        match usize::convert(value) {
            Some(n) => Ok(Sizes(vec![n])),
            None => Vec::<usize>::read(value).map(Sizes),
        }
    }
}

/// One dimension or several; negative ones count from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dims(pub Vec<i64>);

impl Arg for Dims {
    fn kind() -> String {
        "int or [int]".into()
    }
    fn wanted() -> String {
        "a dimension or an array of dimensions".into()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        i64::convert(value)
            .map(|d| vec![d])
            .or_else(|| Vec::<i64>::convert(value))
            .map(Dims)
    }
}
