//! Texts with mathematics: `$..$` holds TeX, and everywhere `^{..}` raises and `_{..}` lowers. A text is read into a tree and
//! laid out as runs of letters, each with its place, size and face.

use super::font::{Font, Shape};
use super::symbols::{letter_of, symbol_of};
use crate::error::Result;
use crate::fail;

/// Size of sub- and superscripts relative to the text around them.
const SCRIPT: f64 = 0.7;
/// What stands between its neighbours with a little space.
const RELATIONS: &str = "=<>≤≥≈≠≡∼≃∈∉∝≪≫⊂⊆→←↔↦⇒⇐±∓×+−·∗∪∩∧∨⊕⊗";
/// Functions that are written upright.
const FUNCTIONS: [&str; 17] = [
    "log", "ln", "exp", "sin", "cos", "tan", "tanh", "min", "max", "arg", "argmin", "argmax", "lim", "sup", "inf",
    "det", "Pr",
];
/// Marks that stand over the letter before them, such as that of `\hat`.
const ACCENTS: [char; 5] = ['\u{302}', '\u{303}', '\u{304}', '\u{307}', '\u{20D7}'];

/// Letters in one face at one size, their base line at `at`.
pub(super) struct Run {
    pub(super) text: String,
    pub(super) face: usize,
    pub(super) at: [f64; 2],
    pub(super) size: f64,
}

/// A text laid out from the origin to the right.
pub(super) struct Laid {
    pub(super) runs: Vec<Run>,
    pub(super) width: f64,
}

#[derive(Clone)]
enum Node {
    Letters(String, Shape),
    Space(f64),
    /// Above and below one another.
    Scripts([Vec<Node>; 2]),
}

/// What cannot be read, and where.
struct Wrong {
    at: usize,
    what: String,
}

type Nodes = std::result::Result<Vec<Node>, Wrong>;

impl Font {
    /// Where the letters of `text` go at `size`.
    pub(super) fn lay(&self, text: &str, size: f64) -> Laid {
        let as_written = |_| vec![Node::Letters(text.into(), Shape::Upright)];
        let nodes = self.read(text).unwrap_or_else(as_written);
        let mut runs = Vec::new();
        let width = self.place(&nodes, size, [0.0; 2], &mut runs);
        Laid { runs, width }
    }

    /// Width of `text` at `size`, in the unit of `size`.
    pub(super) fn width(&self, text: &str, size: f64) -> f64 {
        self.lay(text, size).width
    }

    /// Fails for TeX that is not understood; `what` names the text.
    pub(super) fn check(&self, what: &str, text: &str) -> Result<()> {
        if let Err(Wrong { at, what: wrong }) = self.read(text) {
            fail!("{what}: \"{text}\": {wrong} at character {}", at + 1);
        }
        Ok(())
    }

    /// `text` without its markup.
    pub(super) fn plain(&self, text: &str) -> String {
        self.lay(text, 1.0).runs.into_iter().map(|run| run.text).collect()
    }

    /// Place the nodes from (`left`, `y`) on; gives the width.
    fn place(&self, nodes: &[Node], size: f64, [left, y]: [f64; 2], runs: &mut Vec<Run>) -> f64 {
        let mut x = left;
        for node in nodes {
            match node {
                Node::Letters(text, shape) => {
                    for (face, text, width) in self.cut(text, *shape) {
                        let at = [x, y];
                        runs.push(Run { text, face, at, size });
                        x += width * size;
                    }
                }
                Node::Space(width) => x += width * size,
                Node::Scripts([above, below]) => {
                    let small = (size * SCRIPT).max(size.min(3.0));
                    // above one another they keep apart: the letters of the upper one reach below their line
                    let apart = if above.is_empty() || below.is_empty() { 0.0 } else { 0.1 };
                    let up = self.place(above, small, [x, y - (0.4 + apart) * size], runs);
                    let down = self.place(below, small, [x, y + (0.18 + apart) * size], runs);
                    x += up.max(down) + 0.03 * size;
                }
            }
        }
        x - left
    }

    fn read(&self, text: &str) -> Nodes {
        let text = text.chars().collect();
        let mut reader = Reader {
            text,
            at: 0,
            math: false,
        };
        reader.nodes(None, false)
    }
}

struct Reader {
    text: Vec<char>,
    at: usize,
    math: bool,
}

impl Reader {
    fn wrong<T>(&self, at: usize, what: impl Into<String>) -> std::result::Result<T, Wrong> {
        Err(Wrong { at, what: what.into() })
    }

    fn next(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    /// Everything up to the end of the group, formula or text; `shape` is that of all letters, else that of mathematics.
    fn nodes(&mut self, shape: Option<Shape>, group: bool) -> Nodes {
        let mut out = Vec::new();
        while let Some(c) = self.next() {
            let rest = &self.text[self.at + 1..];
            match c {
                '}' if group => break,
                '$' if self.math => break,
                '}' if self.math => return self.wrong(self.at, "a } without its {"),
                '\\' if !self.math && rest.first() == Some(&'$') => {
                    self.at += 2;
                    letters(&mut out, "$", Shape::Upright);
                }
                '$' if rest.contains(&'$') => {
                    self.at += 1;
                    self.math = true;
                    out.extend(self.nodes(None, false)?);
                    self.math = false;
                    self.at += 1;
                }
                '^' | '_' if self.math || (rest.first() == Some(&'{') && rest.contains(&'}')) => {
                    self.at += 1;
                    let inner = self.argument(shape)?;
                    script(&mut out, c == '^', inner);
                }
                _ if self.math => {
                    for node in self.atom(shape, out.is_empty())? {
                        match node {
                            // letters in the same face are one run
                            Node::Letters(text, shape) => letters(&mut out, &text, shape),
                            node => out.push(node),
                        }
                    }
                }
                _ => {
                    self.at += 1;
                    letters(&mut out, c.encode_utf8(&mut [0; 4]), shape.unwrap_or(Shape::Upright));
                }
            }
        }
        Ok(out)
    }

    /// One argument: a group in braces, a command, or one character.
    fn argument(&mut self, shape: Option<Shape>) -> Nodes {
        while self.math && self.next() == Some(' ') {
            self.at += 1;
        }
        match self.next() {
            Some('{') => {
                let start = self.at;
                self.at += 1;
                let inner = self.nodes(shape, true)?;
                if self.next() != Some('}') {
                    return self.wrong(start, "a { without its }");
                }
                self.at += 1;
                Ok(inner)
            }
            Some('$') | None => self.wrong(self.at.saturating_sub(1), "something must follow"),
            Some(_) => self.atom(shape, true),
        }
    }

    /// The letters of an argument as they are written.
    fn raw(&mut self) -> std::result::Result<String, Wrong> {
        let rest: String = self.text[self.at..].iter().collect();
        let inner = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let Some((letters, _)) = inner else {
            return self.wrong(self.at, "expected letters in braces { }");
        };
        self.at += letters.chars().count() + 2;
        Ok(letters.to_string())
    }

    fn atom(&mut self, shape: Option<Shape>, first: bool) -> Nodes {
        let c = self.text[self.at];
        if c == '{' {
            return self.argument(shape);
        }
        self.at += 1;
        let mut out = Vec::new();
        match c {
            '\\' => return self.command(shape),
            ' ' if shape != Some(Shape::Upright) => {}
            '~' => out.push(Node::Space(0.33)),
            '-' => symbol(&mut out, '−', shape, first),
            '*' => symbol(&mut out, '∗', shape, first),
            '\'' => symbol(&mut out, '′', shape, first),
            c => symbol(&mut out, c, shape, first),
        }
        Ok(out)
    }

    fn command(&mut self, shape: Option<Shape>) -> Nodes {
        let start = self.at - 1;
        let rest = &self.text[self.at..];
        let length = rest.iter().take_while(|c| c.is_ascii_alphabetic()).count().max(1);
        let name: String = rest.iter().take(length).collect();
        self.at = (self.at + length).min(self.text.len());
        let mut out = Vec::new();
        match name.as_str() {
            "," | ":" | "thinspace" => out.push(Node::Space(0.17)),
            ";" | " " => out.push(Node::Space(0.28)),
            "quad" => out.push(Node::Space(1.0)),
            "qquad" => out.push(Node::Space(2.0)),
            "!" => out.push(Node::Space(-0.17)),
            "%" | "#" | "&" | "_" | "{" | "}" => letters(&mut out, &name, Shape::Upright),
            "left" | "right" | "big" | "Big" | "displaystyle" => {}
            "mathbf" | "textbf" | "boldsymbol" | "bm" => return self.argument(Some(Shape::Bold)),
            "mathit" | "textit" => return self.argument(Some(Shape::Italic)),
            "mathrm" | "text" | "textrm" | "operatorname" | "mathsf" => return self.argument(Some(Shape::Upright)),
            "mathcal" | "mathbb" | "mathscr" | "mathfrak" => {
                let other: String = self.raw()?.chars().map(|c| letter_of(&name, c)).collect();
                letters(&mut out, &other, Shape::Upright);
            }
            "frac" | "tfrac" | "dfrac" => {
                let (above, below) = (self.argument(shape)?, self.argument(shape)?);
                script(&mut out, true, above);
                letters(&mut out, "⁄", Shape::Upright);
                script(&mut out, false, below);
            }
            "sqrt" => {
                let inner = self.argument(shape)?;
                let one = matches!(inner.as_slice(), [Node::Letters(text, _)] if text.chars().count() == 1);
                letters(&mut out, if one { "√" } else { "√(" }, Shape::Upright);
                out.extend(inner);
                letters(&mut out, if one { "" } else { ")" }, Shape::Upright);
            }
            name if FUNCTIONS.contains(&name) => {
                letters(&mut out, name, Shape::Upright);
                if self
                    .next()
                    .is_some_and(|c| c.is_alphanumeric() || c == ' ' || c == '\\')
                {
                    out.push(Node::Space(0.17));
                }
            }
            name => match symbol_of(name) {
                Some(mark) if ACCENTS.contains(&mark) => {
                    out = self.argument(shape)?;
                    if let Some(Node::Letters(text, _)) = out.last_mut() {
                        text.push(mark);
                    }
                }
                Some(c) => symbol(&mut out, c, shape, false),
                None => return self.wrong(start, format!("the TeX command \\{name} is not known")),
            },
        }
        Ok(out)
    }
}

/// A character of a formula: variables in italics, relations with space around them unless they come first.
fn symbol(out: &mut Vec<Node>, c: char, shape: Option<Shape>, first: bool) {
    let variable = c.is_ascii_alphabetic() || ('α'..='ω').contains(&c) || "ϵϑϕϱ".contains(c);
    let own = if variable { Shape::Italic } else { Shape::Upright };
    let around = (RELATIONS.contains(c) && shape.is_none() && !first).then_some(Node::Space(0.2));
    out.extend(around.clone());
    letters(out, c.encode_utf8(&mut [0; 4]), shape.unwrap_or(own));
    out.extend(around);
}

fn letters(out: &mut Vec<Node>, text: &str, shape: Shape) {
    match out.last_mut() {
        Some(Node::Letters(last, same)) if *same == shape => last.push_str(text),
        _ if text.is_empty() => {}
        _ => out.push(Node::Letters(text.into(), shape)),
    }
}

/// A script beside the last thing; a subscript and a superscript of the same thing stand above one another.
fn script(out: &mut Vec<Node>, raised: bool, inner: Vec<Node>) {
    let side = usize::from(!raised);
    match out.last_mut() {
        Some(Node::Scripts(sides)) if sides[side].is_empty() => sides[side] = inner,
        _ => {
            let mut sides = [Vec::new(), Vec::new()];
            sides[side] = inner;
            out.push(Node::Scripts(sides));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::font::{CAP, DEPTH};
    use super::*;

    fn runs(text: &str) -> Vec<(String, f64, f64)> {
        let laid = Font::load("sans").unwrap().lay(text, 10.0);
        laid.runs.into_iter().map(|r| (r.text, r.at[1], r.size)).collect()
    }

    fn wrong(text: &str) -> String {
        Font::load("sans")
            .unwrap()
            .check("title", text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn formulas_are_laid_out() {
        // calligraphic L, NCE below and pix above at the same place
        let laid = Font::load("sans").unwrap().lay(r"$\mathcal{L}_{NCE}^{pix}$", 10.0);
        let texts: Vec<&str> = laid.runs.iter().map(|r| r.text.as_str()).collect();
        assert_eq!(texts, ["ℒ", "pix", "NCE"]);
        let [pix, nce] = [&laid.runs[1], &laid.runs[2]];
        assert_eq!(pix.at[0], nce.at[0]);
        // the p reaches below its line, the capitals of NCE above theirs
        assert!(pix.at[1] + DEPTH * pix.size < nce.at[1] - CAP * nce.size);
        assert_eq!(runs("$10^{-3}$")[1], ("−3".into(), -4.0, 7.0));
        // nested scripts get smaller
        assert!((runs("$x^{y^z}$")[2].2 - 4.9).abs() < 1e-9);
        assert_eq!(runs(r"$\tau \leq \frac{1}{2} \pm \nabla$").len(), 7);
        assert_eq!(runs(r"a 100\$ 5 %"), [("a 100$ 5 %".into(), 0.0, 10.0)]);
        assert_eq!(runs("within_image ^{open"), [("within_image ^{open".into(), 0.0, 10.0)]);
        assert_eq!(runs("L_{NCE} in 10^{−3}").len(), 4);
        assert_eq!(Font::load("sans").unwrap().plain("$\\alpha$ L_{x}"), "α Lx");
    }

    #[test]
    fn what_is_not_tex_is_said_with_its_place() {
        assert!(
            wrong(r"loss $\foo$").contains(r"\foo is not known at character 7"),
            "{}",
            wrong(r"loss $\foo$")
        );
        assert!(wrong("$x^$").contains("something must follow"));
        assert!(
            wrong("$x_{a$").contains("a { without its } at character 4"),
            "{}",
            wrong("$x_{a$")
        );
        assert!(wrong("$a}$").contains("a } without its {"));
        assert!(wrong(r"$\infx$").contains(r"\infx is not known"));
    }
}
