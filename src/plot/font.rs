//! The fonts of a figure: two families in the binary, any installed one by its name, and how wide their letters are.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use resvg::usvg::fontdb::{Database, ID, Source, Style, Weight};

use crate::error::{Error, Result, nearest};
use crate::fail;

/// Height of capitals and digits, in units of the font size.
pub(super) const CAP: f64 = 0.72;
/// Depth of the letters that go below the line, in units of the font size.
pub(super) const DEPTH: f64 = 0.24;

/// The kinds of letters of one family, in the order of [`Font::faces`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Upright,
    Bold,
    Italic,
}

/// One file of letters.
pub(super) struct Face {
    id: ID,
    pub(super) family: String,
    pub(super) bold: bool,
    pub(super) italic: bool,
}

/// The letters a figure is written with.
pub(super) struct Font {
    pub(super) db: Arc<Database>,
    /// Upright, bold, italic; after these the ones that help out where a letter is missing.
    pub(super) faces: Vec<Face>,
    /// The face that has a letter, and the letter's width in units of the font size.
    glyphs: RefCell<HashMap<(usize, char), (usize, f64)>>,
    /// What no face has.
    pub(super) missing: RefCell<BTreeSet<char>>,
}

impl Font {
    /// `sans` (DejaVu Sans), `serif` (Libertinus Serif) or the name of an installed family.
    pub(super) fn load(name: &str) -> Result<Font> {
        let mut db = Database::new();
        let mut faces = Vec::new();
        match name {
            "" | "sans" => {
                for data in [dejavu::sans::regular(), dejavu::sans::bold(), dejavu::sans::oblique()] {
                    faces.extend(add(&mut db, data));
                }
            }
            "serif" => {
                for wanted in [
                    "LibertinusSerif-Regular",
                    "LibertinusSerif-Bold",
                    "LibertinusSerif-Italic",
                ] {
                    faces.extend(shipped(&mut db, wanted));
                }
            }
            _ => faces = installed(&mut db, name)?,
        }
        faces.extend(shipped(&mut db, "NewCMMath-Regular"));
        faces.extend(add(&mut db, dejavu::sans::regular()));
        if faces.len() < 5 {
            return Err(Error::usage("figure: the fonts in the program cannot be read"));
        }
        Ok(Font {
            db: Arc::new(db),
            faces,
            glyphs: RefCell::default(),
            missing: RefCell::default(),
        })
    }

    /// The face that draws `c` in this shape, and how wide it is in units of the font size.
    fn glyph(&self, shape: Shape, c: char) -> (usize, f64) {
        let key = (shape as usize, c);
        if let Some(known) = self.glyphs.borrow().get(&key) {
            return *known;
        }
        let order = std::iter::once(key.0).chain(3..self.faces.len());
        let found = order
            .into_iter()
            .find_map(|i| self.advance(i, c).map(|width| (i, width)));
        let glyph = found.unwrap_or_else(|| {
            self.missing.borrow_mut().insert(c);
            (key.0, 0.6)
        });
        self.glyphs.borrow_mut().insert(key, glyph);
        glyph
    }

    fn advance(&self, face: usize, c: char) -> Option<f64> {
        let of = |data: &[u8], index: u32| -> Option<f64> {
            let face = ttf_parser::Face::parse(data, index).ok()?;
            let width = face.glyph_hor_advance(face.glyph_index(c)?)?;
            Some(f64::from(width) / f64::from(face.units_per_em()))
        };
        self.db.with_face_data(self.faces[face].id, of)?
    }

    /// `text` cut where another face helps out: face, letters, width in units of the font size.
    pub(super) fn cut(&self, text: &str, shape: Shape) -> Vec<(usize, String, f64)> {
        let mut out: Vec<(usize, String, f64)> = Vec::new();
        for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
            let (face, width) = self.glyph(shape, c);
            match out.last_mut() {
                Some(last) if last.0 == face => {
                    last.1.push(c);
                    last.2 += width;
                }
                _ => out.push((face, c.to_string(), width)),
            }
        }
        out
    }
}

fn add(db: &mut Database, data: &'static [u8]) -> Option<Face> {
    let id = *db.load_font_source(Source::Binary(Arc::new(data))).first()?;
    face(db, id)
}

/// A font of the program by its PostScript name.
fn shipped(db: &mut Database, wanted: &str) -> Option<Face> {
    let named = |data: &[u8]| {
        let face = ttf_parser::Face::parse(data, 0).ok()?;
        let names = face.names().into_iter();
        let mut postscript = names.filter(|n| n.name_id == ttf_parser::name_id::POST_SCRIPT_NAME);
        postscript.find_map(|n| n.to_string())
    };
    let data = typst_assets::fonts().find(|data| named(data).as_deref() == Some(wanted))?;
    add(db, data)
}

fn face(db: &Database, id: ID) -> Option<Face> {
    let info = db.face(id)?;
    Some(Face {
        id,
        family: info.families.first()?.0.clone(),
        bold: info.weight.0 >= Weight::SEMIBOLD.0,
        italic: info.style != Style::Normal,
    })
}

/// Upright, bold and italic of an installed family; what it does not have is upright.
fn installed(db: &mut Database, name: &str) -> Result<Vec<Face>> {
    let mut all = Database::new();
    all.load_system_fonts();
    let is_named = |family: &str| family.eq_ignore_ascii_case(name);
    let of_family = |db: &Database| -> Vec<ID> {
        let named = db.faces().filter(|f| f.families.iter().any(|f| is_named(&f.0)));
        named.map(|f| f.id).collect()
    };
    let ids = of_family(&all);
    if ids.is_empty() {
        let mut known: Vec<String> = all
            .faces()
            .filter_map(|f| f.families.first())
            .map(|f| f.0.clone())
            .collect();
        known.sort();
        known.dedup();
        let hint = nearest(name, known.iter().map(String::as_str));
        let hint = hint.map_or(String::new(), |n| format!("; did you mean \"{n}\"?"));
        known.truncate(12);
        let found = if known.is_empty() {
            "none is".to_string()
        } else {
            known.join(", ")
        };
        fail!(
            "figure: font: \"{name}\" is not installed, expected \"sans\", \"serif\" or an installed one ({found}){hint}"
        );
    }
    for id in ids {
        if let Some((source, _)) = all.face_source(id) {
            db.load_font_source(source);
        }
    }
    let mut faces = Vec::new();
    for (weight, style) in [(400, Style::Normal), (700, Style::Normal), (400, Style::Italic)] {
        let distance = |id: &ID| {
            let Some(info) = db.face(*id) else { return i32::MAX };
            let slant = i32::from((info.style == Style::Normal) != (style == Style::Normal));
            (i32::from(info.weight.0) - weight).abs() + 2000 * slant
        };
        let best = of_family(db).into_iter().min_by_key(distance);
        faces.extend(best.and_then(|id| face(db, id)));
    }
    match faces.len() {
        3 => Ok(faces),
        _ => fail!("figure: font: the files of \"{name}\" cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_found_where_they_are() {
        for name in ["sans", "serif"] {
            let font = Font::load(name).unwrap();
            assert_eq!(font.faces.len(), 5);
            assert_eq!([font.faces[1].bold, font.faces[2].italic], [true; 2]);
            // script letters are in the face for mathematics
            assert_eq!(font.cut("a𝒟", Shape::Upright).len(), 2);
            assert!(font.missing.borrow().is_empty());
            font.cut("分", Shape::Upright);
            assert!(font.missing.borrow().contains(&'分'));
        }
        // every digit of DejaVu Sans is 1303 of 2048 units wide
        let width = Font::load("sans").unwrap().cut("00", Shape::Upright)[0].2;
        assert!((width - 2.0 * 1303.0 / 2048.0).abs() < 1e-9);
        let text = Font::load("No Such Font")
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default();
        assert!(text.contains("\"No Such Font\" is not installed"), "{text}");
    }
}
