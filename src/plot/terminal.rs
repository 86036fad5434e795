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
        png::encode(self, None, &[])
    }

    /// Lines of `▀`, two pixels each, in 24-bit colours or (`full` false) xterm's 256. At most `columns` x `rows`
    /// characters; larger pictures are shrunk, by averaging or (`mix` false, for labels) by leaving pixels out.
    pub fn half_blocks(&self, columns: usize, rows: usize, full: bool, mix: bool) -> String {
        let scale = (self.width as f64 / columns.max(1) as f64)
            .max(self.height as f64 / (2 * rows.max(1)) as f64)
            .max(1.0);
        let size = |n: usize| ((n as f64 / scale) as usize).max(1);
        let (width, height) = (size(self.width), size(self.height));
        let small = if mix {
            self.reduced(width, height)
        } else {
            self.thinned(width, height)
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
        let chunks = text.len().div_ceil(CHUNK);
        let mut out = String::with_capacity(text.len() + 32 * chunks);
        for i in 0..chunks {
            let first = if i == 0 { "a=T,f=100,q=2," } else { "" };
            let more = u8::from(i + 1 < chunks);
            let part = &text[i * CHUNK..((i + 1) * CHUNK).min(text.len())];
            let _ = write!(out, "\x1b_G{first}m={more};{part}\x1b\\");
        }
        Ok(out)
    }

    /// iTerm2's escape sequence that draws the picture.
    pub fn iterm(&self) -> Result<String> {
        let bytes = self.png()?;
        Ok(format!(
            "\x1b]1337;File=inline=1;size={}:{}\x07",
            bytes.len(),
            STANDARD.encode(&bytes)
        ))
    }

    /// Every so many pixels of this picture.
    fn thinned(&self, width: usize, height: usize) -> Picture {
        let mut pixels = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            for x in 0..width {
                let at = 3 * ((y * self.height / height) * self.width + x * self.width / width);
                pixels.extend_from_slice(&self.pixels[at..at + 3]);
            }
        }
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
