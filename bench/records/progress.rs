//! How far something is, on standard error: one line that moves in a terminal, a line for each 5 % elsewhere.

use std::io::{IsTerminal, stderr};

/// Characters of the bar.
const WIDTH: usize = 40;

/// Something that takes a while.
pub struct Progress {
    what: &'static str,
    total: usize,
    /// What was shown last: in a terminal per cent, elsewhere steps of 5.
    shown: Option<usize>,
    terminal: bool,
}

impl Progress {
    pub fn new(what: &'static str, total: usize) -> Self {
        Self { what, total, shown: None, terminal: stderr().is_terminal() }
    }

    /// So many are done.
    pub fn at(&mut self, done: usize) {
        let percent = done * 100 / self.total.max(1);
        let step = if self.terminal { percent } else { percent / 5 };
        if self.shown.replace(step) == Some(step) {
            return;
        }
        let line = format!("{percent:>3} %  {done}/{} {}", self.total, self.what);
        if !self.terminal {
            return eprintln!("  {line}");
        }
        let full = WIDTH * done / self.total.max(1);
        eprint!("\r  [{:<WIDTH$}] {line}", "#".repeat(full.min(WIDTH)));
        if done == self.total {
            eprintln!();
        }
    }
}
