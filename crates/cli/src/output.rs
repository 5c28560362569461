//! The two streams of every verb: data on stdout, talk on stderr. Nothing else prints.
//!
//! `Output` knows how results are to be printed (`--output`), whether a person is looking, and how wide
//! the terminal is. Names and messages may come from strangers: control characters are made visible.
//! What tasks have written passes through as it is, see [`Output::raw`].

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::args::Format;
use crate::failure::Failure;
use crate::table::Table;
use crate::visible::visible;

/// Colours that mean something; plain words carry the same meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Bold,
    Dim,
    Good,
    Bad,
    Busy,
    Note,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Bad => "31",
            Self::Good => "32",
            Self::Busy => "33",
            Self::Note => "36",
        }
    }
}

/// How and for whom to print.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    format: Format,
    /// Columns of the terminal behind stdout; `None` means nobody counts them.
    width: Option<usize>,
    colour_data: bool,
    colour_talk: bool,
}

/// What the environment says about colours and columns.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taste {
    pub(crate) no_colour: bool,
    pub(crate) columns: Option<usize>,
}

impl Output {
    pub(crate) fn new(format: Format, taste: Taste) -> Self {
        let data_terminal = io::stdout().is_terminal();
        Self {
            format,
            width: taste.columns.or_else(|| data_terminal.then(terminal_columns).flatten()),
            colour_data: data_terminal && !taste.no_colour,
            colour_talk: io::stderr().is_terminal() && !taste.no_colour,
        }
    }

    /// How wide the terminal that data goes to is, if it is one.
    pub(crate) fn columns(&self) -> Option<usize> {
        self.width
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Whether a person reads stdout.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Colours a piece of data, if a person looks at it.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.colour_data, tone, text)
    }

    /// One line of data.
    pub(crate) fn data(&self, line: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(line.as_bytes())?;
        stdout.write_all(b"\n")?;
        Ok(stdout.flush()?)
    }

    /// Bytes of a task, as they are, to the stream they came from.
    pub(crate) fn raw(&self, stream: Stream, bytes: &[u8]) -> Result<(), Failure> {
        match stream {
            Stream::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                Ok(stdout.flush()?)
            }
            Stream::Stderr => Ok(io::stderr().lock().write_all(bytes)?),
        }
    }

    /// One JSON document: a line of its own, or indented where a person asked for `json`.
    pub(crate) fn json<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        self.data(&self.json_text(value)?)
    }

    fn json_text<T: Serialize>(&self, value: &T) -> Result<String, Failure> {
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(value),
            _ => serde_json::to_string(value),
        };
        text.map_err(|error| Failure::new(format!("could not print JSON: {error}")))
    }

    /// Many lines of data, written at once.
    fn lines(&self, lines: &[String]) -> Result<(), Failure> {
        let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.raw(Stream::Stdout, text.as_bytes())
    }

    /// A listing in the asked format. `json` prints `whole`, everything else goes item by item.
    pub(crate) fn list<W: Serialize, T: Serialize>(
        &self,
        whole: &W,
        items: &[T],
        id: impl Fn(&T) -> String,
        table: impl FnOnce(&Self) -> Table,
    ) -> Result<(), Failure> {
        let lines = match self.format {
            Format::Json => return self.json(whole),
            Format::Jsonl => items.iter().map(|item| self.json_text(item)).collect::<Result<_, _>>()?,
            Format::Id => items.iter().map(|item| visible(&id(item)).into_owned()).collect(),
            Format::Table => table(self).lines(self.width),
        };
        self.lines(&lines)
    }

    /// A table for a person, as a part of a result.
    pub(crate) fn table(&self, table: &Table) -> Result<(), Failure> {
        self.lines(&table.lines(self.width))
    }

    /// One result in the asked format.
    pub(crate) fn one<T: Serialize>(
        &self,
        item: &T,
        id: &str,
        person: impl FnOnce(&Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json | Format::Jsonl => self.json(item),
            Format::Id => self.data(&visible(id)),
            Format::Table => person(self),
        }
    }

    /// Something for the person, never for the program that reads our stdout.
    pub(crate) fn say(&self, line: &str) {
        // A closed stderr must not end a verb whose data still flows.
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// As [`Output::say`], with the first word set off.
    pub(crate) fn tell(&self, tone: Tone, word: &str, rest: &str) {
        self.say(&format!("{} {rest}", paint(self.colour_talk, tone, word)));
    }

    /// The end of a verb that failed.
    pub(crate) fn failed(&self, failure: &Failure) {
        if failure.silent {
            return;
        }
        self.tell(Tone::Bad, "error:", &visible(&failure.message));
        for note in &failure.notes {
            self.say(&format!("  note: {}", visible(note)));
        }
        if let Some(help) = &failure.help {
            self.say(&format!("  {} {}", paint(self.colour_talk, Tone::Note, "help:"), visible(help)));
        }
    }

    /// Clears the screen before a watched listing is printed again.
    pub(crate) fn again(&self) -> Result<(), Failure> {
        if self.is_terminal() {
            let mut stdout = io::stdout().lock();
            stdout.write_all(b"\x1b[H\x1b[2J")?;
            stdout.flush()?;
        }
        Ok(())
    }
}

/// Which of a task's streams bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

fn paint(colour: bool, tone: Tone, text: &str) -> String {
    if colour { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text.to_owned() }
}

fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_only_for_those_who_look() {
        assert_eq!(paint(false, Tone::Bad, "failed"), "failed");
        assert_eq!(paint(true, Tone::Bad, "failed"), "\x1b[31mfailed\x1b[0m");
    }
}
