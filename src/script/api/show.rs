//! `show`: pictures in the terminal.

use candle_core::DType;

use super::plot::arguments::{Palette, labels_from, picture_from};
use super::{Data, Figure};
use crate::data::classes::voc_palette;
use crate::data::{IMAGENET_MEAN, IMAGENET_SD};
use crate::plot::Picture;
use crate::script::prelude::*;
use crate::script::values::describe;
use crate::session::Session;
use crate::session::screen::Graphics;

/// Resolution of a figure on the screen.
const FIGURE_DPI: f64 = 110.0;

/// Declare the function.
pub fn declare(table: &mut Table) {
    table.global(entries! {
        /// Draw an image, a label map or a figure in the terminal.
        ///
        /// An image is `[3, h, w]` or `[1, 3, h, w]` with colours 0 to 1, or normalised as batches are; `[h, w]` of floats is grey
        /// (stretched from its smallest to its largest value where these lie outside 0 to 1). A label map is `[h, w]` or
        /// `[1, h, w]` of integers. Terminals that say they can (`COLORTERM`, `TERM`, `TERM_PROGRAM`, `KITTY_WINDOW_ID`) draw with
        /// half blocks, kitty's or iTerm2's graphics; elsewhere, and with `NO_COLOR`, the size and the path of a PNG are printed.
        /// ```
        /// let sample = data::scenes(#{ count: 1, size: [24, 32] }).get(0);
        /// show(sample.image);
        /// show(sample.labels, data::scenes(#{ count: 1, size: [24, 32] }));
        /// let text = "";
        /// try { show("photo.png"); } catch (e) { text = e; }
        /// assert(text.contains("an image, a label map or a figure"));
        /// ```
        fn show(ctx,
            /// A tensor or a figure.
            what: Dynamic,
            /// Colours of the labels: `[[red, green, blue], ..]` or the data set; VOC's if absent.
            palette: Option<Dynamic> = None,
        ) {
            let (kind, picture) = picture(ctx.session(), &what, palette)?;
            let labels = kind == "labels";
            let drawing = match ctx.session().screen() {
                Some(screen) => match screen.graphics {
                    Graphics::Kitty => picture.kitty()?,
                    Graphics::Iterm => picture.iterm()?,
                    graphics => {
                        let full = graphics == Graphics::TrueColour;
                        picture.half_blocks(screen.columns, screen.rows.saturating_sub(2), full, !labels)
                    }
                },
                None => {
                    let name = ctx.session().claim_name("show", |place| place.with_extension("png").exists());
                    let path = ctx.session().output_path(format!("{name}.png"))?;
                    path.write(picture.png()?)?;
                    format!("{kind} {} x {} (width x height): {path}", picture.width, picture.height)
                }
            };
            ctx.session().print(&drawing);
            Ok(())
        }
    });
}

/// What it is, and its pixels.
fn picture(session: &Session, what: &Dynamic, palette: Option<Dynamic>) -> Result<(&'static str, Picture)> {
    if let Some(figure) = what.read_lock::<Figure>() {
        return Ok(("figure", figure.picture(session, FIGURE_DPI)?));
    }
    let Some(tensor) = Tensor::convert(what) else {
        fail!(
            "show: draws an image, a label map or a figure, found {}",
            describe(what)
        )
    };
    let tensor = match tensor.dims() {
        [1, _, _] | [1, 3, _, _] => tensor.squeeze(0)?,
        _ => tensor,
    };
    match tensor.dims() {
        [_, _] if tensor.dtype().is_int() => {
            let (labels, [height, width]) = labels_from(&tensor)?;
            Ok(("labels", Picture::labels(width, height, &labels, &colours(palette)?)?))
        }
        [_, _] => Ok(("image", grey(&tensor)?)),
        [3, _, _] => Ok(("image", colour(&tensor)?)),
        _ => fail!(
            "show: an image is [3, h, w] or [h, w], a label map [h, w] of integers; found {}",
            describe(what)
        ),
    }
}

/// The colours given, the data set's, or VOC's for all labels.
pub(super) fn colours(palette: Option<Dynamic>) -> Result<Vec<[u8; 3]>> {
    let Some(given) = palette else {
        return Ok(voc_palette(255));
    };
    if let Some(data) = given.read_lock::<Data>() {
        return Ok(data.set().palette().to_vec());
    }
    match Palette::convert(&given) {
        Some(palette) => Ok(palette.0),
        None => fail!(
            "show: `palette` must be {} or a data set, found {}",
            Palette::wanted(),
            describe(&given)
        ),
    }
}

/// `[3, h, w]`, normalised or not.
fn colour(image: &Tensor) -> Result<Picture> {
    if !image.dtype().is_float() {
        return picture_from(image);
    }
    let image = image.detach().to_dtype(DType::F32)?;
    let (low, high) = range(&image)?;
    if low >= -0.01 && high <= 1.01 {
        return picture_from(&image);
    }
    let constant = |values: [f32; 3]| Tensor::new(&values, image.device())?.reshape((3, 1, 1));
    let natural = image
        .broadcast_mul(&constant(IMAGENET_SD)?)?
        .broadcast_add(&constant(IMAGENET_MEAN)?)?;
    let (least, most) = range(&natural)?;
    ensure!(
        least >= -0.01 && most <= 1.01,
        "show: the image has values from {low} to {high}, expected 0 to 1 or a normalised image of a batch; show one channel as [h, w]"
    );
    picture_from(&natural.clamp(0.0, 1.0)?)
}

/// `[h, w]` of floats.
fn grey(map: &Tensor) -> Result<Picture> {
    let map = map.detach().to_dtype(DType::F32)?;
    let (low, high) = range(&map)?;
    let (low, high) = if low >= 0.0 && high <= 1.0 {
        (0.0, 1.0)
    } else {
        (low, high)
    };
    let (height, width) = map.dims2()?;
    let span = (high - low).max(f32::MIN_POSITIVE);
    let values = map.flatten_all()?.to_vec1::<f32>()?;
    let bytes = values
        .iter()
        .flat_map(|v| [((v - low) / span * 255.0).round() as u8; 3]);
    Picture::new(width, height, bytes.collect())
}

/// The smallest and the largest value.
fn range(t: &Tensor) -> Result<(f32, f32)> {
    ensure!(t.elem_count() > 0, "show: the tensor is empty ({:?})", t.dims());
    let values = t.flatten_all()?.to_vec1::<f32>()?;
    ensure!(
        values.iter().all(|v| v.is_finite()),
        "show: some values are NaN or infinite"
    );
    Ok(values
        .iter()
        .fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v))))
}
