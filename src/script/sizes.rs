//! Arguments that are one value or several: kernels, shapes, dimensions, data sets.

use crate::options::{Arg, Reading, Source};

/// One size for both sides, or `[height, width]`: kernels, strides, paddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair(pub [usize; 2]);

impl Arg for Pair {
    const KIND: &'static str = "int or [int, int]";
    const WANTED: &'static str = "an integer >= 0 or [height, width]";
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
    const KIND: &'static str = "[int]";
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

/// One value, or an array of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Several<T>(pub Vec<T>);

/// One dimension or several; negative ones count from the end.
pub type Dims = Several<i64>;

impl<T: Arg> Arg for Several<T> {
    const FINITE: bool = T::FINITE;
    fn kind() -> String {
        format!("{0} or [{0}]", T::kind())
    }
    fn wanted() -> String {
        format!("{}, or {}", T::wanted(), Vec::<T>::wanted())
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        let one = T::convert(value).map(|one| vec![one]);
        one.or_else(|| Vec::convert(value)).map(Several)
    }
    fn literal(&self) -> Option<String> {
        match self.0.as_slice() {
            [one] => one.literal(),
            _ => self.0.literal(),
        }
    }
}
