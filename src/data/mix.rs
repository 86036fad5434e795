//! Mixing the images of a batch: CutMix and ClassMix. What is pasted comes from the next image of the batch, that of the last from
//! the first; every map given is mixed at the same pixels.

use candle_core::{DType, Device, Tensor};

use super::IGNORED;
use crate::ensure;
use crate::error::Result;
use crate::random::Random;

/// A mixed batch.
pub struct Mixed {
    /// The images.
    pub images: Tensor,
    /// The maps, in the order given.
    pub maps: Vec<Tensor>,
    /// `u8` `[n, h, w]`: 1 where a pixel was pasted.
    pub mask: Tensor,
}

/// Ratios of height to width of a pasted box: from this to its inverse.
const FLATTEST: f64 = 0.3;

/// Paste into each image a box of the next one, at the same place. `area`: smallest and largest share of the image.
///
/// Yun et al., CutMix, ICCV 2019; for segmentation French et al., BMVC 2020.
pub fn cutmix(images: &Tensor, maps: &[Tensor], area: [f64; 2], random: &mut Random) -> Result<Mixed> {
    let [low, high] = area;
    ensure!(
        0.0 < low && low <= high && high <= 1.0,
        "cutmix: found area [{low}, {high}], expected [smallest, largest] with 0 < smallest <= largest <= 1"
    );
    let [n, height, width] = size("cutmix", images, maps)?;
    let mut mask = vec![0u8; n * height * width];
    for plane in mask.chunks_exact_mut(height * width) {
        let pixels = random.uniform(low, high) * (height * width) as f64;
        let ratio = random.uniform(FLATTEST.ln(), -FLATTEST.ln()).exp();
        // A box as flat as drawn, unless it would not fit into the image.
        let rows = (pixels * ratio).sqrt().clamp(pixels / width as f64, height as f64);
        let rows = (rows.round() as usize).clamp(1, height);
        let columns = ((pixels / rows as f64).round() as usize).clamp(1, width);
        let (top, left) = (random.below(height - rows + 1), random.below(width - columns + 1));
        for row in plane.chunks_exact_mut(width).skip(top).take(rows) {
            row[left..left + columns].fill(1);
        }
    }
    pasted(images, maps, mask)
}

/// Paste into each image the pixels of half of the classes (rounded up, drawn at random) of the next one. The first map holds the
/// labels.
///
/// Olsson et al., ClassMix, WACV 2021.
pub fn classmix(images: &Tensor, maps: &[Tensor], random: &mut Random) -> Result<Mixed> {
    let [n, height, width] = size("classmix", images, maps)?;
    let labels = maps.first().filter(|l| l.rank() == 3 && l.dtype().is_int());
    let Some(labels) = labels else {
        crate::fail!(
            "classmix: the first map must be the labels, [n, h, w] of integers: they say which classes there are"
        )
    };
    let labels = labels.detach().to_device(&Device::Cpu)?.to_dtype(DType::I64)?;
    let labels = labels.flatten_all()?.to_vec1::<i64>()?;
    let plane = height * width;
    let mut mask = vec![0u8; n * plane];
    for (i, mask) in mask.chunks_exact_mut(plane.max(1)).enumerate() {
        let next = (i + 1) % n;
        let source = &labels[next * plane..(next + 1) * plane];
        let mut classes: Vec<i64> = source.iter().copied().filter(|l| *l != i64::from(IGNORED)).collect();
        classes.sort_unstable();
        classes.dedup();
        random.shuffle(&mut classes);
        classes.truncate(classes.len().div_ceil(2));
        for (to, label) in mask.iter_mut().zip(source) {
            *to = u8::from(classes.contains(label));
        }
    }
    pasted(images, maps, mask)
}

/// Number, height and width of the images, which all maps must share.
fn size(function: &str, images: &Tensor, maps: &[Tensor]) -> Result<[usize; 3]> {
    let [n, _, height, width] = *images.dims() else {
        crate::fail!(
            "{function}: found images of shape {:?}, expected [n, channels, h, w]",
            images.dims()
        )
    };
    ensure!(
        n >= 2,
        "{function}: found {n} image, expected at least 2: each gets pixels of the next one"
    );
    for map in maps {
        let fits = match *map.dims() {
            [m, h, w] | [m, _, h, w] => [m, h, w] == [n, height, width],
            _ => false,
        };
        ensure!(
            fits,
            "{function}: found a map of shape {:?}, expected [{n}, {height}, {width}] or [{n}, channels, {height}, {width}], the size \
             of the images",
            map.dims()
        );
    }
    Ok([n, height, width])
}

/// Every image and map with the pixels of the next one where the mask is 1.
fn pasted(images: &Tensor, maps: &[Tensor], mask: Vec<u8>) -> Result<Mixed> {
    let dims = images.dims();
    let (n, height, width) = (dims[0], dims[2], dims[3]);
    let mask = Tensor::from_vec(mask, (n, height, width), &Device::Cpu)?.to_device(images.device())?;
    let mix = |map: &Tensor| -> Result<Tensor> {
        let next = Tensor::cat(&[map.narrow(0, 1, n - 1)?, map.narrow(0, 0, 1)?], 0)?;
        let mask = mask.to_device(map.device())?;
        let mask = if map.rank() == 4 { mask.unsqueeze(1)? } else { mask };
        Ok(mask
            .broadcast_as(map.shape())?
            .contiguous()?
            .where_cond(&next, &map.contiguous()?)?)
    };
    Ok(Mixed {
        images: mix(images)?,
        maps: maps.iter().map(mix).collect::<Result<_>>()?,
        mask,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images of 8 x 10 of one value each, with labels and a map of two channels alike.
    fn batch() -> (Tensor, Vec<Tensor>) {
        let of = |channels: usize| {
            let zeros = Tensor::zeros((1, channels, 8, 10), DType::F32, &Device::Cpu).unwrap();
            Tensor::cat(&[&zeros, &(&zeros + 1.0).unwrap()], 0).unwrap()
        };
        let labels = of(1).squeeze(1).unwrap().to_dtype(DType::I64).unwrap();
        (of(3), vec![labels, of(2)])
    }

    fn numbers(t: &Tensor) -> Vec<f32> {
        let t = t.to_dtype(DType::F32).and_then(|t| t.flatten_all());
        t.and_then(|t| t.to_vec1()).unwrap()
    }

    #[test]
    fn the_same_pixels_of_images_and_maps_are_pasted() {
        let (images, maps) = batch();
        for seed in 0..20 {
            let mixed = cutmix(&images, &maps, [0.2, 0.4], &mut Random::new(seed)).unwrap();
            let share = mixed.mask.to_dtype(DType::F32).unwrap().mean((1, 2)).unwrap();
            let share = numbers(&share);
            assert!(share.iter().all(|s| (0.12..0.5).contains(s)), "{share:?}"); // rounded to whole rows and columns
            let red = mixed.images.narrow(1, 0, 1).unwrap();
            let [labels, two] = &mixed.maps[..] else { panic!() };
            assert_eq!(numbers(labels), numbers(&red));
            assert_eq!(numbers(&two.narrow(1, 1, 1).unwrap()), numbers(&red));
            // The first image is 0 and gets ones where the mask is; the second the other way round.
            assert_eq!(numbers(&red.get(0).unwrap()), numbers(&mixed.mask.get(0).unwrap()));
        }
    }

    #[test]
    fn classmix_pastes_half_of_the_next_images_classes() {
        let images = Tensor::zeros((2, 3, 1, 6), DType::F32, &Device::Cpu).unwrap();
        let labels = Tensor::new(&[[[0i64, 0, 0, 0, 0, 0]], [[1, 2, 3, 4, 255, 255]]], &Device::Cpu).unwrap();
        let mixed = classmix(&images, std::slice::from_ref(&labels), &mut Random::new(3)).unwrap();
        let found = numbers(&mixed.maps[0].get(0).unwrap());
        let pasted: Vec<f32> = found.iter().copied().filter(|l| *l != 0.0).collect();
        assert_eq!(pasted.len(), 2, "{found:?}"); // two of 1, 2, 3, 4; never the ignored
        assert!(pasted.iter().all(|l| (1.0..=4.0).contains(l)));
        // The second gets the only class of the first, everywhere.
        assert_eq!(numbers(&mixed.maps[0].get(1).unwrap()), [0.0; 6]);
        assert!(classmix(&images, &[], &mut Random::new(0)).is_err());
        assert!(cutmix(&images.narrow(0, 0, 1).unwrap(), &[], [0.1, 0.2], &mut Random::new(0)).is_err());
        let narrow = labels.narrow(2, 0, 3).unwrap();
        assert!(cutmix(&images, &[narrow], [0.1, 0.2], &mut Random::new(0)).is_err());
    }
}
