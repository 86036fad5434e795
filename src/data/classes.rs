//! Class names and palettes of the published data sets.

/// CamVid's 11 classes in SegNet's order; label 11 in the files means void.
pub const CAMVID: [(&str, [u8; 3]); 11] = [
    ("sky", [128, 128, 128]),
    ("building", [128, 0, 0]),
    ("pole", [192, 192, 128]),
    ("road", [128, 64, 128]),
    ("pavement", [60, 40, 222]),
    ("tree", [128, 128, 0]),
    ("sign", [192, 128, 128]),
    ("fence", [64, 64, 128]),
    ("car", [64, 0, 128]),
    ("pedestrian", [64, 64, 0]),
    ("bicyclist", [0, 128, 192]),
];

/// Cityscapes' 19 classes in the order of their train ids.
pub const CITYSCAPES: [(&str, [u8; 3]); 19] = [
    ("road", [128, 64, 128]),
    ("sidewalk", [244, 35, 232]),
    ("building", [70, 70, 70]),
    ("wall", [102, 102, 156]),
    ("fence", [190, 153, 153]),
    ("pole", [153, 153, 153]),
    ("traffic light", [250, 170, 30]),
    ("traffic sign", [220, 220, 0]),
    ("vegetation", [107, 142, 35]),
    ("terrain", [152, 251, 152]),
    ("sky", [70, 130, 180]),
    ("person", [220, 20, 60]),
    ("rider", [255, 0, 0]),
    ("car", [0, 0, 142]),
    ("truck", [0, 0, 70]),
    ("bus", [0, 60, 100]),
    ("train", [0, 80, 100]),
    ("motorcycle", [0, 0, 230]),
    ("bicycle", [119, 11, 32]),
];

/// The built-in scenes' 9 classes, in Cityscapes' colours.
pub const SCENES: [(&str, [u8; 3]); 9] = [
    ("sky", [70, 130, 180]),
    ("building", [70, 70, 70]),
    ("road", [128, 64, 128]),
    ("pavement", [244, 35, 232]),
    ("tree", [107, 142, 35]),
    ("car", [0, 0, 142]),
    ("person", [220, 20, 60]),
    ("pole", [153, 153, 153]),
    ("sign", [220, 220, 0]),
];

/// PASCAL VOC 2012's 21 classes, background first; their colours are [`voc_colour`].
pub const VOC2012: [&str; 21] = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

/// Colour `index` of the PASCAL VOC map: bits 0, 3, 6 of the index become the high bits of red, bits 1, 4, 7 of green, bits 2,
/// 5 of blue.
pub fn voc_colour(index: u8) -> [u8; 3] {
    let mut colour = [0u8; 3];
    for bit in 0..8 {
        colour[bit % 3] |= ((index >> bit) & 1) << (7 - bit / 3);
    }
    colour
}

/// The first `count` colours of that map.
pub fn voc_palette(count: usize) -> Vec<[u8; 3]> {
    (0..count).map(|i| voc_colour(i as u8)).collect()
}

/// The names of classes, and the colour of each.
pub type Classes = (Vec<String>, Vec<[u8; 3]>);

/// The classes of a table above.
pub fn of(table: &[(&str, [u8; 3])]) -> Classes {
    table
        .iter()
        .map(|(name, colour)| ((*name).to_string(), *colour))
        .unzip()
}

/// The names of classes that nobody named.
pub fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("class {i}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voc_colours_are_the_published_ones() {
        // From the VOC development kit: aeroplane, bicycle, bird, person, tvmonitor, void.
        assert_eq!(voc_colour(0), [0, 0, 0]);
        assert_eq!(voc_colour(1), [128, 0, 0]);
        assert_eq!(voc_colour(2), [0, 128, 0]);
        assert_eq!(voc_colour(3), [128, 128, 0]);
        assert_eq!(voc_colour(15), [192, 128, 128]);
        assert_eq!(voc_colour(20), [0, 64, 128]);
        assert_eq!(voc_colour(255), [224, 224, 192]);
    }
}
