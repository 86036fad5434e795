//! The fonts of a figure: two families in the binary, any installed one by its name, and how wide their letters are.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use resvg::usvg::fontdb::{Database, FaceInfo, Family, ID, Query, Source, Style, Weight};

use crate::error::{Result, or_meant};
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

/// The letters a figure is written with.
pub(super) struct Font {
    pub(super) db: Arc<Database>,
    /// Upright, bold, italic; after these the ones that help out where a letter is missing.
    pub(super) faces: Vec<FaceInfo>,
    /// The face that has a letter, and the letter's width in units of the font size.
    glyphs: RefCell<HashMap<(usize, char), (usize, f64)>>,
    /// What no face has.
    pub(super) missing: RefCell<BTreeSet<char>>,
}

impl Font {
    /// `sans` (DejaVu Sans), `serif` (Libertinus Serif) or the name of an installed family; what a family does not have is upright.
    pub(super) fn load(name: &str) -> Result<Font> {
        let mut known = Database::new();
        let sans = [dejavu::sans::regular(), dejavu::sans::bold(), dejavu::sans::oblique()];
        for data in sans.into_iter().chain(typst_assets::fonts()) {
            known.load_font_source(Source::Binary(Arc::new(data)));
        }
        let family = match name {
            "" | "sans" => "DejaVu Sans".to_string(),
            "serif" => "Libertinus Serif".to_string(),
            _ => installed(&mut known, name)?,
        };
        let of_family = |weight, style| {
            let families = &[Family::Name(&family)];
            known.query(&Query {
                families,
                weight,
                style,
                ..Query::default()
            })
        };
        let named = |name: &str| known.faces().find(|f| f.post_script_name == name).map(|f| f.id);
        let wanted = [
            of_family(Weight::NORMAL, Style::Normal),
            of_family(Weight::BOLD, Style::Normal),
            of_family(Weight::NORMAL, Style::Italic),
            named("NewCMMath-Regular"),
            named("DejaVuSans"),
        ];
        // those that are used alone: usvg looks for letters in all it has
        let mut db = Database::new();
        let faces: Option<Vec<FaceInfo>> = wanted.into_iter().map(|id| taken(&known, id?, &mut db)).collect();
        let Some(faces) = faces else {
            fail!("figure: font: the files of \"{family}\" cannot be read");
        };
        Ok(Font {
            db: Arc::new(db),
            faces,
            glyphs: RefCell::default(),
            missing: RefCell::default(),
        })
    }

    /// The family of a face.
    pub(super) fn family(&self, face: usize) -> &str {
        &self.faces[face].families[0].0
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

/// A face of one collection of fonts in another.
fn taken(from: &Database, id: ID, to: &mut Database) -> Option<FaceInfo> {
    let (source, index) = from.face_source(id)?;
    let id = *to.load_font_source(source).get(index as usize)?;
    to.face(id).cloned()
}

/// The family of this name among the installed ones, which are added to those that are known.
fn installed(known: &mut Database, name: &str) -> Result<String> {
    known.load_system_fonts();
    let all: BTreeSet<&str> = known.faces().flat_map(|f| &f.families).map(|f| f.0.as_str()).collect();
    if let Some(family) = all.iter().find(|family| family.eq_ignore_ascii_case(name)) {
        return Ok(family.to_string());
    }
    let hint = or_meant(name, all.iter().copied(), "\"", "\"");
    let some: Vec<&str> = all.into_iter().take(12).collect();
    fail!(
        "figure: font: \"{name}\" is not installed, expected \"sans\", \"serif\" or a family such as {}{hint}",
        some.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_found_where_they_are() {
        for name in ["sans", "serif"] {
            let font = Font::load(name).unwrap();
            assert_eq!(font.faces.len(), 5);
            assert!(font.faces[1].weight == Weight::BOLD && font.faces[2].style != Style::Normal);
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
