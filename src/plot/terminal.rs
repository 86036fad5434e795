//! Pictures as text for a terminal: half blocks, or the protocols of kitty and iTerm2.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::picture::Picture;
use super::png;
use crate::error::Result;

/// Bytes of base64 in one command of kitty.
const CHUNK: usize = 4096;

impl Picture {
    /// The bytes of a PNG file.
    pub fn png(&self) -> Result<Vec<u8>> {
        png::encode([self.width, self.height], &self.pixels, None, &[])
    }

    /// Lines of `▀`, two pixels each, in 24-bit colours or (`full` false) xterm's 256. At most `columns` x `rows`
    /// characters; larger pictures are shrunk, by averaging or (`mix` false, for labels) by leaving pixels out.
    pub fn half_blocks(&self, columns: usize, rows: usize, full: bool, mix: bool) -> String {
        let scales = [(self.width, columns), (self.height, 2 * rows)].map(|(n, most)| n as f64 / most.max(1) as f64);
        let scale = scales[0].max(scales[1]).max(1.0);
        let [width, height] = [self.width, self.height].map(|n| ((n as f64 / scale) as usize).max(1));
        let small = match mix {
            true => self.reduced(width, height),
            false => self.thinned(width, height),
        };
        let pixel = |x: usize, y: usize| -> Option<[u8; 3]> {
            let at = 3 * (y * small.width + x);
            small.pixels.get(at..at + 3)?.try_into().ok()
        };
        let colour = |layer: u8, [r, g, b]: [u8; 3]| match full {
            true => format!("\x1b[{layer};2;{r};{g};{b}m"),
            false => format!("\x1b[{layer};5;{}m", nearest_256([r, g, b])),
        };
        let mut out = String::new();
        for y in (0..small.height).step_by(2) {
            let mut last = (None, None);
            for x in 0..small.width {
                let now = (pixel(x, y), pixel(x, y + 1));
                if let Some(upper) = now.0.filter(|_| now.0 != last.0) {
                    out.push_str(&colour(38, upper));
                }
                if let Some(lower) = now.1.filter(|_| now.1 != last.1) {
                    out.push_str(&colour(48, lower));
                }
                out.push('▀');
                last = now;
            }
            out.push_str("\x1b[0m");
            if y + 2 < small.height {
                out.push('\n');
            }
        }
        out
    }

    /// Kitty's escape sequence that draws the picture.
    pub fn kitty(&self) -> Result<String> {
        let text = STANDARD.encode(self.png()?);
        let mut out = String::new();
        for at in (0..text.len()).step_by(CHUNK) {
            let end = (at + CHUNK).min(text.len());
            let first = if at == 0 { "a=T,f=100,q=2," } else { "" };
            let (more, part) = (u8::from(end < text.len()), &text[at..end]);
            let _ = write!(out, "\x1b_G{first}m={more};{part}\x1b\\");
        }
        Ok(out)
    }

    /// iTerm2's escape sequence that draws the picture.
    pub fn iterm(&self) -> Result<String> {
        let bytes = self.png()?;
        let (size, data) = (bytes.len(), STANDARD.encode(&bytes));
        Ok(format!("\x1b]1337;File=inline=1;size={size}:{data}\x07"))
    }

    /// Every so many pixels of this picture.
    fn thinned(&self, width: usize, height: usize) -> Picture {
        let at = |x, y| 3 * ((y * self.height / height) * self.width + x * self.width / width);
        let places = (0..height).flat_map(|y| (0..width).map(move |x| at(x, y)));
        let pixels = places.flat_map(|at| self.pixels[at..at + 3].iter().copied()).collect();
        Picture { width, height, pixels }
    }
}

/// The nearest of xterm's colours: the 6 x 6 x 6 cube (16 to 231) or the greys (232 to 255).
fn nearest_256(colour: [u8; 3]) -> usize {
    const LEVELS: [i32; 6] = [0, 95, 135, 175, 215, 255];
    let distance = |a: [i32; 3]| -> i32 { a.iter().zip(colour).map(|(a, b)| (a - i32::from(b)).pow(2)).sum() };
    let level = colour.map(|c| {
        let far = |i: &usize| (LEVELS[*i] - i32::from(c)).abs();
        (0..6).min_by_key(far).unwrap_or(0)
    });
    let grey = ((colour.iter().map(|c| i32::from(*c)).sum::<i32>() / 3 - 3) / 10).clamp(0, 23);
    if distance([8 + 10 * grey; 3]) < distance(level.map(|l| LEVELS[l])) {
        return 232 + grey as usize;
    }
    16 + 36 * level[0] + 6 * level[1] + level[2]
}
