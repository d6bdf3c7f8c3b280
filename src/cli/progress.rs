//! How far a long run is: one line on a terminal, written over and over, and gone at the end.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::service::Progress;

/// Between two lines; a run that is shorter shows none.
const INTERVAL: Duration = Duration::from_millis(500);

/// To the beginning of the line, and empty it.
const CLEAR: &str = "\r\x1b[K";

/// The line is there as long as this lives.
pub(super) struct ProgressLine {
    ended: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Where the matches appear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MatchesGo {
    ToStandardOutput,
    Elsewhere,
}

impl ProgressLine {
    /// Nothing is shown where standard error is no terminal, or where matches appear on the same one.
    pub(super) fn show(progress: &Progress, matches: MatchesGo) -> Self {
        let is_shown = std::io::stderr().is_terminal() && (matches == MatchesGo::Elsewhere || !std::io::stdout().is_terminal());
        if !is_shown {
            return Self { ended: None, thread: None };
        }
        let (ended, end) = channel();
        let progress = progress.clone();
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let mut shown = false;
            while end.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                write(&format!("{CLEAR}{}", line(&progress)));
                shown = true;
            }
            if shown {
                write(CLEAR);
            }
        });
        // Without the thread the run is as good, only less told of.
        Self { ended: Some(ended), thread: thread.ok() }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.ended = None;
        if let Some(thread) = self.thread.take() {
            // It ends by itself; had it failed, the terminal is gone.
            drop(thread.join());
        }
    }
}

fn line(progress: &Progress) -> String {
    let percent = progress.percent().map(|percent| format!("{percent} % read, ")).unwrap_or_default();
    format!("{percent}{} events, {} matches", grouped(progress.events()), grouped(progress.matches()))
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn write(text: &str) {
    let mut terminal = std::io::stderr().lock();
    // A terminal that is gone needs no progress.
    drop(terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_in_groups() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }
}
