//! How far a simulation is, for whoever looks at the terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Cells of the bar.
const WIDTH: usize = 24;
/// Nobody reads faster.
const EVERY: Duration = Duration::from_millis(100);

/// A bar on stderr; nothing where stderr is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    total: usize,
    shown_at: Option<Instant>,
    is_watched: bool,
}

impl Progress {
    /// For `total` steps.
    pub(super) fn of(total: usize) -> Self {
        Self { total, shown_at: None, is_watched: io::stderr().is_terminal() }
    }

    /// `done` steps are done; what is worked on is `what`.
    pub(super) fn at(&mut self, what: &str, done: usize) {
        let is_due = self.shown_at.is_none_or(|at| at.elapsed() >= EVERY);
        if self.is_watched && is_due {
            self.shown_at = Some(Instant::now());
            // A terminal that went away must not end a simulation.
            let _ = write!(io::stderr().lock(), "\r\x1b[K{}", line(what, done, self.total));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown_at.is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// `best_fit  [######..................]  25 %`.
fn line(what: &str, done: usize, total: usize) -> String {
    let total = total.max(1);
    let done = done.min(total);
    let full = done * WIDTH / total;
    let what: String = crate::visible::visible(what).chars().take(40).collect();
    format!("{what}  [{}{}]  {} %", "#".repeat(full), ".".repeat(WIDTH - full), done * 100 / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_from_left_to_right_and_never_overflows() {
        assert_eq!(line("fifo", 0, 4), "fifo  [........................]  0 %");
        assert_eq!(line("fifo", 1, 4), "fifo  [######..................]  25 %");
        assert_eq!(line("fifo", 9, 4), "fifo  [########################]  100 %");
        assert_eq!(line("fifo", 0, 0), "fifo  [........................]  0 %");
    }
}
