//! The methods of Segment Anything.

use std::rc::Rc;

use crate::options::unknown;
use crate::script::options::take;
use crate::script::prelude::*;
use crate::script::values::describe;
use crate::teacher::{Mask, MaskOptions, Point, SegmentAnything};

/// Segment Anything in scripts: a handle.
#[derive(Clone)]
pub struct SamTeacher(Rc<SegmentAnything>);

impl SamTeacher {
    pub(super) fn of(teacher: SegmentAnything) -> Self {
        SamTeacher(Rc::new(teacher))
    }
}

impl ScriptType for SamTeacher {
    const NAME: &'static str = "SamTeacher";
    const DOC: &'static str = "A frozen Segment Anything: masks of an image.";
    fn display(&self) -> String {
        format!("Segment Anything {}", self.0.kind().name())
    }
    fn brief(&self) -> String {
        format!("SamTeacher {}", self.0.kind().name())
    }
}

/// Declare the methods.
pub(super) fn declare(table: &mut Table) {
    table.script_type::<SamTeacher>();
    table.methods::<SamTeacher>(entries! {
        /// Find the masks of an image, the largest first: maps of `mask`, `area`, `box` and `score`.
        ///
        /// A grid of points is asked for three masks each, as the authors' generator does; those that are good, sure and not doubles stay.
        /// `mask` is `[h, w]` of 0 and 1, `box` is `[left, top, right, bottom]` in pixels with the last two behind the mask, `score` the
        /// model's estimate of the intersection over union. The image is scaled so that its longer side is 1024 and padded. A ViT-B
        /// needs many seconds an image on a CPU: fewer `points_per_side` are faster. Ctrl-C ends it at once; a pass that has begun
        /// ends by itself behind the prompt.
        /// ```
        /// let sam = teacher::segment_anything("random");
        /// let image = data::scenes(#{ count: 1, size: [48, 64] }).get(0).image;
        /// let masks = sam.masks(image, #{ points_per_side: 2, min_score: -100, min_stability: 0, max_overlap: 1 });
        /// assert(masks.len() > 0 && masks[0].area >= masks[-1].area);
        /// assert_eq(masks[0].mask.sum().item(), masks[0].area);
        /// ```
        fn masks(ctx, teacher: SamTeacher,
            /// `[3, h, w]`, colours 0 to 1.
            image: Tensor,
            ..options: MaskOptions
        ) -> Array {
            let session = ctx.session();
            let total = options.points_per_side.saturating_mul(options.points_per_side);
            let mut bar = session.progress("masks", 0, total as u64);
            let masks = teacher.0.masks(&image, &options, &|| session.check_cancel(), |done| bar.at(done as u64, ""))?;
            Ok(masks.into_iter().map(entry).collect())
        }

        /// Find the mask of the thing that points show: a map of `mask` and `score`.
        ///
        /// For one point the best of three answers is taken (part, thing, group), for more the only one. `mask` is `[h, w]` of 0 and 1. The
        /// image seen last is kept: more points on it are fast.
        /// ```
        /// let sam = teacher::segment_anything("random");
        /// let image = data::scenes(#{ count: 1, size: [48, 64] }).get(0).image;
        /// let found = sam.segment(image, [[20, 30], #{ x: 60, y: 5, inside: false }]);
        /// assert_eq(found.mask.shape, [48, 64]);
        /// assert(found.mask.max().item() <= 1);
        /// ```
        fn segment(ctx, teacher: SamTeacher,
            /// `[3, h, w]`, colours 0 to 1.
            image: Tensor,
            /// Pixels of the thing as `[x, y]` from the upper left corner, or `#{ x, y, inside: false }` for one beside it.
            points: Vec<Dynamic>
        ) -> Map {
            let points = points.iter().enumerate().map(|(i, p)| point(i, p)).collect::<Result<Vec<_>>>()?;
            let (mask, score) = teacher.0.segment(&image, &points, &|| ctx.session().check_cancel())?;
            Ok(named([("mask", Dynamic::from(mask)), ("score", score.into())]))
        }
    });
}

/// The tensor of element `i` of an array of masks, which may be a map with more about it.
pub(super) fn mask_of(i: usize, value: &Dynamic) -> Result<Tensor> {
    let inside = value.read_lock::<Map>().and_then(|map| map.get("mask").cloned());
    match Tensor::convert(inside.as_ref().unwrap_or(value)) {
        Some(mask) => Ok(mask),
        None => fail!(
            "element {i} of `masks` must be a tensor [h, w] or a map with `mask` as `masks` gives it, found {}",
            describe(value)
        ),
    }
}

/// A point: `[x, y]`, or a map of `x`, `y` and `inside`.
fn point(i: usize, value: &Dynamic) -> Result<Point> {
    if let Some([x, y]) = <[f64; 2]>::convert(value) {
        return Ok(Point { x, y, inside: true });
    }
    let Some(mut map) = value.clone().try_cast::<Map>() else {
        fail!(
            "element {i} of `points` must be [x, y] or #{{ x, y, inside: false }}, found {}",
            describe(value)
        )
    };
    let path = format!("element {i} of `points`");
    let (x, y) = (take(&mut map, &path, "x")?, take(&mut map, &path, "y")?);
    let (Some(x), Some(y)) = (x, y) else {
        fail!("{path} needs both x and y: #{{ x, y, inside: false }}")
    };
    let inside = take(&mut map, &path, "inside")?.unwrap_or(true);
    if let Some(name) = map.keys().next() {
        fail!("{path}: {}", unknown(name, &["x", "y", "inside"]))
    }
    Ok(Point { x, y, inside })
}

fn entry(mask: Mask) -> Dynamic {
    let bounds = mask.bounds.map(|b| Dynamic::from_int(b as i64)).to_vec();
    let map = named([
        ("mask", Dynamic::from(mask.mask)),
        ("area", Dynamic::from_int(mask.area as i64)),
        ("box", Dynamic::from_array(bounds)),
        ("score", mask.score.into()),
    ]);
    map.into()
}
