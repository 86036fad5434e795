//! What the terminal can show.

use console::Term;

/// Whether what goes to a terminal is coloured.
pub fn colours(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none() && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// How a terminal shows pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Graphics {
    /// The protocol of kitty (also Ghostty, WezTerm).
    Kitty,
    /// The protocol of iTerm2.
    Iterm,
    /// Half blocks in 24-bit colours.
    TrueColour,
    /// Half blocks in the 256 colours of xterm.
    Colours256,
}

/// A terminal that can show pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// How.
    pub graphics: Graphics,
    /// Its width in characters.
    pub columns: usize,
    /// Its height in characters.
    pub rows: usize,
}

impl Screen {
    /// Standard output, if it is a terminal that says it can show pictures; `variable` reads the environment.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Option<Screen> {
        let terminal = Term::stdout();
        let graphics = Graphics::of(variable).filter(|_| terminal.is_term())?;
        let (rows, columns) = terminal.size();
        Some(Screen {
            graphics,
            columns: usize::from(columns),
            rows: usize::from(rows),
        })
    }
}

impl Graphics {
    /// What the environment says; nothing with `NO_COLOR` and where it is silent. Terminals are not asked: some do not answer.
    fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Graphics> {
        let value = |name: &str| variable(name).unwrap_or_default();
        let term = value("TERM");
        if !value("NO_COLOR").is_empty() || term.is_empty() || term == "dumb" {
            return None;
        }
        let program = value("TERM_PROGRAM");
        // Multiplexers swallow the protocols.
        let inside = term.starts_with("screen") || term.starts_with("tmux");
        if !inside && (!value("KITTY_WINDOW_ID").is_empty() || term == "xterm-kitty" || term == "xterm-ghostty") {
            return Some(Graphics::Kitty);
        }
        if !inside && (program == "iTerm.app" || program == "WezTerm") {
            return Some(Graphics::Iterm);
        }
        if ["truecolor", "24bit"].contains(&value("COLORTERM").as_str()) {
            return Some(Graphics::TrueColour);
        }
        term.contains("256color").then_some(Graphics::Colours256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Option<Graphics> {
        Graphics::of(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_string()))
    }

    #[test]
    fn the_environment_decides() {
        let xterm = ("TERM", "xterm-256color");
        assert_eq!(of(&[xterm]), Some(Graphics::Colours256));
        assert_eq!(of(&[xterm, ("COLORTERM", "truecolor")]), Some(Graphics::TrueColour));
        assert_eq!(of(&[("TERM", "xterm-kitty")]), Some(Graphics::Kitty));
        assert_eq!(of(&[xterm, ("KITTY_WINDOW_ID", "1")]), Some(Graphics::Kitty));
        assert_eq!(of(&[xterm, ("TERM_PROGRAM", "iTerm.app")]), Some(Graphics::Iterm));
        assert_eq!(
            of(&[("TERM", "tmux-256color"), ("KITTY_WINDOW_ID", "1")]),
            Some(Graphics::Colours256)
        );
        assert_eq!(of(&[xterm, ("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), None);
        assert_eq!(of(&[("TERM", "dumb"), ("COLORTERM", "truecolor")]), None);
        assert_eq!(of(&[("TERM", "xterm")]), None);
        assert_eq!(of(&[]), None);
    }
}
