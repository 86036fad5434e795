//! Tests of data sets over a source that counts its loads.
#![cfg(test)]

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
    fn load(&self, i: usize) -> Result<Arc<Sample>> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let class = (i % 2) as u8;
        Ok(Arc::new(Sample {
            name: self.name(i),
            height: 2,
            width: 2,
            pixels: Arc::new(vec![i as u8; 12]),
            labels: vec![class, class, class, IGNORED],
            labelled: true,
        }))
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
