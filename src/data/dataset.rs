//! [`Dataset`]: a list of samples and its views. A view shares the source; nothing is loaded before it is asked for.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::cache::Cache;
use super::{Sample, Source, resize};
use crate::ensure;
use crate::error::{Error, Result};
use crate::random::Random;

/// The stream of random numbers that [`Dataset::take`] draws from.
const TAKE: u64 = 0x7A4E;

/// A list of samples with its classes; cloning and making views is cheap. Loaded samples stay in memory up to the source's
/// budget ([`Source::cache_bytes`]), so that a small set is decoded once.
#[derive(Clone)]
pub struct Dataset {
    about: Arc<About>,
    source: Arc<dyn Source>,
    positions: Arc<[usize]>,
    size: Option<[usize; 2]>,
    cache: Arc<Cache>,
}

/// What does not change between views.
struct About {
    name: String,
    class_names: Vec<String>,
    palette: Vec<[u8; 3]>,
}

/// The parts of a data set as its authors split it.
#[derive(Clone, Debug)]
pub struct Splits {
    /// The images to learn from.
    pub train: Dataset,
    /// The images to choose and report on; empty where the files have none.
    pub val: Dataset,
    /// Further images kept apart, where the files have labels for them.
    pub test: Option<Dataset>,
}

/// What [`Dataset::subset`] does with a line whose image is not in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Refuse the list, naming the first such lines.
    Refuse,
    /// Leave the line out.
    Skip,
}

impl Dataset {
    /// All samples of `source`. `name` is for people ("camvid/train"); `palette` has one colour per class.
    pub fn new(
        name: impl Into<String>,
        class_names: Vec<String>,
        palette: Vec<[u8; 3]>,
        source: Arc<dyn Source>,
    ) -> Result<Self> {
        let name = name.into();
        let classes = class_names.len();
        ensure!(
            (1..=255).contains(&classes),
            "{name}: found {classes} classes, expected 1 to 255 (a label is one byte, 255 is the ignore label)"
        );
        ensure!(
            palette.len() == classes,
            "{name}: found {} colours for {classes} classes, expected one each",
            palette.len()
        );
        Ok(Dataset {
            about: Arc::new(About {
                name,
                class_names,
                palette,
            }),
            positions: (0..source.len()).collect(),
            size: None,
            cache: Arc::new(Cache::new(source.cache_bytes())),
            source,
        })
    }

    /// What the set is called, "camvid/train" say; views keep the name.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// How many samples the set has.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether the set has no sample.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// How many classes there are; labels are `0..classes` and 255.
    pub fn classes(&self) -> usize {
        self.about.class_names.len()
    }

    /// The classes that no pixel can have, because the files' ignore label is also their number.
    pub fn never_true(&self) -> Vec<usize> {
        (0..self.classes())
            .filter(|&class| !self.source.can_hold(class as u8))
            .collect()
    }

    /// The names of the classes, in the order of their labels.
    pub fn class_names(&self) -> &[String] {
        &self.about.class_names
    }

    /// One colour (red, green, blue) per class, for pictures of label maps.
    pub fn palette(&self) -> &[[u8; 3]] {
        &self.about.palette
    }

    /// The size asked for by [`Dataset::resize`], if any.
    pub fn size(&self) -> Option<[usize; 2]> {
        self.size
    }

    /// The name of sample `i`, without loading it.
    pub fn sample_name(&self, i: usize) -> Result<String> {
        Ok(self.source.name(self.position(i)?))
    }

    /// Sample `i`, from memory if it is still there. Fails with the file's name if that is missing, corrupt or does not fit
    /// the classes.
    pub fn get(&self, i: usize) -> Result<Arc<Sample>> {
        let position = self.position(i)?;
        if let Some(sample) = self.cache.find(position) {
            return Ok(sample);
        }
        let mut sample = self.source.load(position)?;
        if let Some(size) = self.size.filter(|&s| s != sample.size()) {
            sample = Sample {
                pixels: resize::bilinear_rgb(&sample.pixels, sample.size(), size),
                labels: resize::nearest(&sample.labels, sample.size(), size),
                name: sample.name,
                height: size[0],
                width: size[1],
            };
        }
        Ok(self.cache.keep(position, sample))
    }

    /// `n` samples drawn at random without repetition, in the order of the set. With the same seed a smaller draw is
    /// contained in a larger one.
    pub fn take(&self, n: usize, seed: u64) -> Result<Self> {
        self.ensure_has("take", n)?;
        let mut chosen = Random::derived(seed, &[TAKE]).permutation(self.len());
        chosen.truncate(n);
        chosen.sort_unstable();
        Ok(self.view(&chosen))
    }

    /// `n` samples evenly spread over the set: the positions `i * floor(len / n)` for `i` in `0..n`.
    pub fn spread(&self, n: usize) -> Result<Self> {
        self.ensure_has("spread", n)?;
        let step = self.len() / n;
        Ok(self.view(&(0..n).map(|i| i * step).collect::<Vec<_>>()))
    }

    /// The share `f` (above 0, at most 1) of the samples, at least one, drawn as by [`Dataset::take`].
    pub fn fraction(&self, f: f64, seed: u64) -> Result<Self> {
        ensure!(
            f > 0.0 && f <= 1.0,
            "fraction: found {f}, expected a number above 0 and at most 1"
        );
        ensure!(!self.is_empty(), "fraction: {} has no images", self.name());
        let n = (f * self.len() as f64).round().max(1.0) as usize;
        self.take(n, seed)
    }

    /// The files that the samples are read from.
    pub fn files(&self) -> impl Iterator<Item = std::path::PathBuf> + '_ {
        self.positions.iter().flat_map(|&at| self.source.files(at))
    }

    /// The samples named in a text file, one per line, in the file's order. The first word of a line may be a name (a VOC id,
    /// say), a file name, or a path such as `JPEGImages/2007_000032.jpg` or
    /// `leftImg8bit/train/jena/jena_000078_000019_leftImg8bit.png`; empty lines and lines that start with `#` are passed over.
    pub fn subset(&self, list: impl AsRef<Path>, missing: Missing) -> Result<Self> {
        let list = list.as_ref();
        let text = std::fs::read_to_string(list)
            .map_err(|e| Error::file(list, format!("the list of images cannot be read ({e})")))?;
        let known: HashMap<String, usize> = (0..self.len())
            .map(|i| (self.source.name(self.positions[i]), i))
            .collect();
        let (mut chosen, mut strangers) = (Vec::new(), Vec::new());
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|l| !l.is_empty() && !l.starts_with('#')) {
            match names_from_line(line).iter().find_map(|name| known.get(name)) {
                Some(&i) => chosen.push(i),
                None => strangers.push(line),
            }
        }
        if missing == Missing::Refuse && !strangers.is_empty() {
            let first = &strangers[..strangers.len().min(3)];
            let example = self
                .sample_name(0)
                .unwrap_or_else(|_| "nothing, the set is empty".into());
            return Err(Error::file(
                list,
                format!(
                    "{} of {} lines name no image of {} ({} images, the first is {example}); first such lines: {}. Use the \
                     list's own data set, or missing: \"skip\" to leave them out",
                    strangers.len(),
                    strangers.len() + chosen.len(),
                    self.name(),
                    self.len(),
                    first.join(" | ")
                ),
            ));
        }
        if chosen.is_empty() {
            return Err(Error::file(list, format!("no line names an image of {}", self.name())));
        }
        Ok(self.view(&chosen))
    }

    /// The set with every image and label map at this size: images by Pillow's antialiased bilinear filter, labels by nearest
    /// neighbour. Always starts from the original, so a second `resize` replaces the first.
    pub fn resize(&self, size: [usize; 2]) -> Result<Self> {
        ensure!(
            size.iter().all(|s| (1..=16384).contains(s)),
            "resize: found size {size:?}, expected [height, width], each 1 to 16384"
        );
        Ok(Dataset {
            size: Some(size),
            cache: Arc::new(Cache::new(self.source.cache_bytes())),
            ..self.clone()
        })
    }

    /// SHA-256 (hexadecimal) of the samples' names in order, each followed by a line feed: the same hash means the same images.
    pub fn split_hash(&self) -> String {
        let mut hash = Sha256::new();
        for &position in self.positions.iter() {
            hash.update(self.source.name(position));
            hash.update("\n");
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The samples at these places of this set (which must exist), sharing source and cache.
    pub(super) fn view(&self, places: &[usize]) -> Self {
        Dataset {
            positions: places.iter().map(|&i| self.positions[i]).collect(),
            ..self.clone()
        }
    }

    fn position(&self, i: usize) -> Result<usize> {
        ensure!(
            i < self.len(),
            "get: found index {i}, but {} has {} images (indices start at 0)",
            self.name(),
            self.len()
        );
        Ok(self.positions[i])
    }

    fn ensure_has(&self, function: &str, n: usize) -> Result<()> {
        ensure!(
            n >= 1 && n <= self.len(),
            "{function}: found {n}, expected 1 to {}, the number of images of {}",
            self.len(),
            self.name()
        );
        Ok(())
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {} images, {} classes", self.name(), self.len(), self.classes())?;
        match self.size {
            Some([h, w]) => write!(f, ", {h}x{w}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Dataset({self})")
    }
}

/// The names that the first word of a list line may mean, the most literal first.
fn names_from_line(line: &str) -> Vec<String> {
    let word = line.split_whitespace().next().unwrap_or_default();
    let mut names = vec![word.to_string()];
    let path = Path::new(word);
    names.push(path.with_extension("").to_string_lossy().into_owned());
    if let Some(stem) = path.file_stem() {
        let stem = stem.to_string_lossy();
        names.push(stem.trim_end_matches("_leftImg8bit").to_string());
        names.push(stem.into_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::data::IGNORED;

    /// Ten 2x2 samples; sample i is of class i % 2 with one ignored pixel.
    struct Ten {
        loads: AtomicUsize,
        budget: usize,
    }

    impl Source for Ten {
        fn len(&self) -> usize {
            10
        }
        fn name(&self, i: usize) -> String {
            format!("city/image_{i}")
        }
        fn load(&self, i: usize) -> Result<Sample> {
            self.loads.fetch_add(1, Ordering::Relaxed);
            let class = (i % 2) as u8;
            Ok(Sample {
                name: self.name(i),
                height: 2,
                width: 2,
                pixels: vec![i as u8; 12],
                labels: vec![class, class, class, IGNORED],
            })
        }
        fn cache_bytes(&self) -> usize {
            self.budget
        }
    }

    fn ten(budget: usize) -> (Arc<Ten>, Dataset) {
        let source = Arc::new(Ten {
            loads: AtomicUsize::new(0),
            budget,
        });
        let names = vec!["even".to_string(), "odd".to_string()];
        let set = Dataset::new("ten", names, vec![[0; 3], [9; 3]], source.clone()).unwrap();
        (source, set)
    }

    fn names(set: &Dataset) -> Vec<String> {
        (0..set.len()).map(|i| set.sample_name(i).unwrap()).collect()
    }

    #[test]
    fn spread_takes_every_third_of_ten() {
        let (_, set) = ten(0);
        // floor(10 / 3) = 3: positions 0, 3, 6.
        assert_eq!(
            names(&set.spread(3).unwrap()),
            ["city/image_0", "city/image_3", "city/image_6"]
        );
        assert!(set.spread(11).unwrap_err().to_string().contains("1 to 10"));
    }

    #[test]
    fn a_smaller_draw_is_contained_in_a_larger_one() {
        let (_, set) = ten(0);
        let (small, large) = (names(&set.take(3, 5).unwrap()), names(&set.take(7, 5).unwrap()));
        assert!(small.iter().all(|n| large.contains(n)) && small.len() == 3);
        assert_ne!(names(&set.take(5, 0).unwrap()), names(&set.take(5, 1).unwrap()));
        assert_eq!(set.fraction(0.25, 0).unwrap().len(), 3); // round(2.5) = 3
        assert!(set.fraction(0.0, 0).is_err());
    }

    #[test]
    fn histogram_counts_every_pixel_once() {
        let (_, set) = ten(1 << 20);
        let h = set.histogram().unwrap();
        assert_eq!((h.counts, h.ignored), (vec![15, 15], 10)); // 5 images x 3 pixels each, 10 ignored
    }

    #[test]
    fn cache_keeps_within_its_budget() {
        let (source, set) = ten(3 * 16); // room for three samples of 12 + 4 bytes
        for _ in 0..2 {
            for i in 0..10 {
                assert_eq!(set.get(i).unwrap().pixels[0], i as u8);
            }
        }
        assert_eq!(source.loads.load(Ordering::Relaxed), 10 + 7);
        assert!(set.get(10).unwrap_err().to_string().contains("10 images"));
    }

    #[test]
    fn subset_reads_names_stems_and_paths() {
        let (_, set) = ten(0);
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list.txt");
        std::fs::write(&list, "# chosen\ncity/image_7\n\ncity/image_2.jpg labels/image_2.png\n").unwrap();
        let chosen = set.subset(&list, Missing::Refuse).unwrap();
        assert_eq!(names(&chosen), ["city/image_7", "city/image_2"]);
        std::fs::write(&list, "city/image_1\nnowhere\n").unwrap();
        let text = set.subset(&list, Missing::Refuse).unwrap_err().to_string();
        assert!(text.contains("1 of 2 lines") && text.contains("nowhere"), "{text}");
        assert_eq!(set.subset(&list, Missing::Skip).unwrap().len(), 1);
        let absent = folder.path().join("absent.txt");
        assert!(
            set.subset(&absent, Missing::Skip)
                .unwrap_err()
                .to_string()
                .contains("absent.txt")
        );
    }

    #[test]
    fn split_hash_depends_on_names_and_order() {
        let (_, set) = ten(0);
        // echo "city/image_0" | sha256sum
        assert_eq!(
            set.spread(1).unwrap().split_hash(),
            "c2131efc9c2707a3c411df2ede6130da6d1e54afcd3c1b93698ebdbcdc09762e"
        );
        assert_ne!(set.view(&[1, 2]).split_hash(), set.view(&[2, 1]).split_hash());
    }
}
