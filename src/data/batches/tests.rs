//! The stream of batches.
#![cfg(test)]

use super::*;
use crate::data::{IGNORED, Sample, Source};

/// Seven 6x8 samples of class i; the fourth is corrupt where asked.
struct Seven {
    corrupt: bool,
    uneven: bool,
}

impl Source for Seven {
    fn len(&self) -> usize {
        7
    }
    fn name(&self, i: usize) -> String {
        format!("image_{i}")
    }
    fn load(&self, i: usize) -> Result<Arc<Sample>> {
        ensure!(!(self.corrupt && i == 3), "image_3.png: broken");
        let height = if self.uneven { 6 + i } else { 6 };
        Ok(Arc::new(Sample {
            name: self.name(i),
            height,
            width: 8,
            pixels: Arc::new((0..height * 24).map(|p| (p * (i + 1)) as u8).collect()),
            labels: vec![i as u8; height * 8],
            labelled: true,
        }))
    }
}

fn seven(corrupt: bool, uneven: bool) -> Dataset {
    let names = (0..7).map(|i| format!("c{i}")).collect();
    Dataset::new("seven", names, vec![[0; 3]; 7], Arc::new(Seven { corrupt, uneven })).unwrap()
}

fn options() -> BatchOptions {
    BatchOptions {
        size: 3,
        seed: 5,
        augment: Some(Augment {
            scale: Some([0.5, 2.0]),
            crop: Some([5, 7]),
            flip: 0.5,
        }),
        distort: Some(Distort::default()),
        epochs: Some(3),
        ..Default::default()
    }
}

fn run(options: &BatchOptions, workers: usize) -> Vec<Batch> {
    Batches::new(seven(false, false), options.clone(), Device::Cpu, workers)
        .unwrap()
        .collect::<Result<_>>()
        .unwrap()
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn same(a: &Batch, b: &Batch) -> bool {
    a.indices == b.indices
        && a.epoch == b.epoch
        && values(&a.images) == values(&b.images)
        && values(a.distorted.as_ref().unwrap()) == values(b.distorted.as_ref().unwrap())
}

#[test]
fn any_number_of_threads_gives_the_same_batches() {
    let (one, four) = (run(&options(), 1), run(&options(), 4));
    assert_eq!(one.len(), 6); // floor(7 / 3) = 2 per epoch
    assert!(one.iter().zip(&four).all(|(a, b)| same(a, b)));
    assert_eq!(one[0].images.dims(), [3, 3, 5, 7]);
    assert_eq!(one[0].labels.dims(), [3, 5, 7]);
    assert_eq!(one.iter().map(|b| b.epoch).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2]);
    assert_ne!(one[0].indices, one[2].indices);
    let labels = one[0].labels.flatten_all().unwrap().to_vec1::<i64>().unwrap();
    let allowed = |l: &i64| one[0].indices.contains(&(*l as usize)) || *l == i64::from(IGNORED);
    assert!(labels.iter().all(allowed));
}

#[test]
fn batches_taken_early_are_the_same() {
    let all = run(&options(), 2);
    let mut early = Batches::new(seven(false, false), options(), Device::Cpu, 2).unwrap();
    early.early = true;
    let mut taken = 0;
    let mut found = Vec::new();
    while let Some(batch) = early.next() {
        found.push(batch.unwrap());
        std::thread::sleep(std::time::Duration::from_millis(20)); // time for the next one to become ready
        taken += usize::from(early.ahead.is_some());
    }
    assert_eq!(found.len(), all.len());
    assert!(all.iter().zip(&found).all(|(a, b)| same(a, b)));
    assert!(taken > 0, "no batch was taken early");
}

#[test]
fn a_later_start_continues_exactly() {
    let all = run(&options(), 2);
    let rest = run(&BatchOptions { start: 3, ..options() }, 2);
    assert_eq!(rest.len(), 3);
    assert!(all[3..].iter().zip(&rest).all(|(a, b)| same(a, b)));
}

#[test]
fn in_order_every_sample_comes_once_and_is_normalised() {
    let plain = BatchOptions {
        size: 3,
        shuffle: false,
        drop_last: false,
        epochs: Some(1),
        ..Default::default()
    };
    let batches = run(&plain, 2);
    let indices: Vec<usize> = batches.iter().flat_map(|b| b.indices.clone()).collect();
    assert_eq!(indices, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(
        (batches.len(), batches[2].names.clone()),
        (3, vec!["image_6".to_string()])
    );
    // Sample 1, second pixel, red: byte 3 * 2 = 6.
    let found = batches[0]
        .images
        .get(1)
        .unwrap()
        .get(0)
        .unwrap()
        .get(0)
        .unwrap()
        .get(1)
        .unwrap();
    let expected = (6.0 / 255.0 - 0.485) / 0.229;
    assert!((found.to_scalar::<f32>().unwrap() - expected).abs() < 1e-5);
}

#[test]
fn a_corrupt_file_is_the_error_of_its_batch_only() {
    let plain = BatchOptions {
        size: 2,
        shuffle: false,
        drop_last: false,
        epochs: Some(1),
        ..Default::default()
    };
    let batches = Batches::new(seven(true, false), plain, Device::Cpu, 3).unwrap();
    let results: Vec<Result<Batch>> = batches.collect();
    assert_eq!(
        results.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true, true]
    );
    assert!(results[1].as_ref().unwrap_err().to_string().contains("image_3.png"));
}

#[test]
fn different_sizes_are_refused_with_a_remedy() {
    let plain = BatchOptions {
        shuffle: false,
        ..Default::default()
    };
    let mut batches = Batches::new(seven(false, true), plain, Device::Cpu, 2).unwrap();
    let text = batches.next().unwrap().unwrap_err().to_string();
    assert!(
        text.contains("image_0 is 6x8 but image_1 is 7x8") && text.contains("resize"),
        "{text}"
    );
}

#[test]
fn an_endless_stream_can_be_dropped_at_any_time() {
    for taken in [0, 1, 5] {
        let endless = BatchOptions {
            size: 20, // larger than the set
            ..Default::default()
        };
        let mut batches = seven(false, false).batches(&endless, &Device::Cpu).unwrap();
        for _ in 0..taken {
            assert_eq!(batches.next().unwrap().unwrap().names.len(), 20);
        }
    }
}

/// Samples that only the consumer's thread can make, with views and weights: the same batches, and the same from the middle on.
#[test]
fn samples_made_by_the_consumer_give_the_same_batches() {
    let names = (0..7).map(|i| format!("c{i}")).collect();
    let here = std::rc::Rc::new(Seven {
        corrupt: false,
        uneven: false,
    });
    let here = Dataset::new("seven", names, vec![[0; 3]; 7], here).unwrap();
    assert!(here.shared().is_none() && seven(false, false).shared().is_some());
    for weights in [None, Some([1.0, 0.0, 2.0, 1.0, 1.0, 3.0, 1.0].into())] {
        let options = BatchOptions {
            views: vec![Distort::default(); 2],
            weights,
            ..options()
        };
        let all = run(&options, 2);
        for (workers, start) in [(1, 0), (3, 0), (2, 3)] {
            let options = BatchOptions {
                start,
                ..options.clone()
            };
            let made = Batches::new(here.clone(), options, Device::Cpu, workers).unwrap();
            let made: Vec<Batch> = made.collect::<Result<_>>().unwrap();
            assert_eq!(made.len(), 6 - start);
            for (a, b) in all[start..].iter().zip(&made) {
                assert!(same(a, b) && a.views.len() == 2);
                assert!(a.views.iter().zip(&b.views).all(|(a, b)| values(a) == values(b)));
                assert_ne!(values(&a.views[0]), values(&a.views[1]));
            }
        }
    }
}

#[test]
fn an_error_of_the_consumer_is_one_batch() {
    let names = (0..7).map(|i| format!("c{i}")).collect();
    let here = std::rc::Rc::new(Seven {
        corrupt: true,
        uneven: false,
    });
    let here = Dataset::new("seven", names, vec![[0; 3]; 7], here).unwrap();
    let options = BatchOptions {
        shuffle: false,
        drop_last: false,
        epochs: Some(1),
        size: 2,
        ..options()
    };
    let found: Vec<bool> = Batches::new(here, options, Device::Cpu, 2)
        .unwrap()
        .map(|b| b.is_ok())
        .collect();
    assert_eq!(found, [true, false, true, true]); // images 2 and 3 are the second batch
}
