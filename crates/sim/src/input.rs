//! What people hand in: a file, gzip or not, read once within limits, and its rows with errors that say where.
//!
//! Nothing here opens a file: whoever has one passes a reader in, and a name for the errors.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use flate2::read::MultiGzDecoder;

/// More than this unpacked is not read: a trace of ten million tasks has about a third of it.
pub const INPUT_BYTES_MAX: u64 = 2 << 30;
/// More rows than this are not read: they would not fit into memory as tasks.
pub const ROWS_MAX: usize = 10_000_000;
/// What is shown of a value that makes no sense.
const SHOWN_CHARS_MAX: usize = 40;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Something in a file that makes no sense, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InputError {
    /// The file, as it was named.
    pub file: String,
    /// The line, counted from 1.
    pub line: Option<u64>,
    /// The column of a table, counted from 1, and its name.
    pub column: Option<(usize, String)>,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl InputError {
    /// An error of the file as a whole.
    #[must_use]
    pub fn of_file(file: &str, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, column: None, what: what.into(), help: None }
    }

    /// An error of one line.
    #[must_use]
    pub fn of_line(file: &str, line: u64, what: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::of_file(file, what) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for InputError {
    /// `tasks.csv, line 7, column 3 (gpus): …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some((number, name)) = &self.column {
            write!(f, ", column {number} ({name})")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What is in a file, whether it is gzip or not.
///
/// # Errors
/// What the system says.
pub fn unpacked(mut raw: impl Read) -> std::io::Result<impl Read> {
    let mut start = Vec::with_capacity(GZIP_MAGIC.len());
    raw.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
    let is_packed = start == GZIP_MAGIC;
    let whole = std::io::Cursor::new(start).chain(raw);
    Ok(if is_packed { Unpacked::Gzip(Box::new(MultiGzDecoder::new(whole))) } else { Unpacked::Plain(whole) })
}

enum Unpacked<R: Read> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.read(into),
            Self::Gzip(packed) => packed.read(into),
        }
    }
}

/// The text of one file.
#[derive(Debug, Clone)]
pub struct Input {
    /// How errors name it.
    pub name: String,
    bytes: Vec<u8>,
}

impl Input {
    /// Reads a file to its end, and unpacks it if it is gzip.
    ///
    /// # Errors
    /// When it cannot be read or unpacked, or is too large.
    pub fn read(name: &str, raw: impl Read) -> Result<Self, InputError> {
        let failed = |error: std::io::Error| InputError::of_file(name, format!("it cannot be read: {error}"));
        let mut bytes = Vec::new();
        unpacked(raw)
            .and_then(|whole| whole.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(failed)?;
        if bytes.len() as u64 > INPUT_BYTES_MAX {
            return Err(InputError::of_file(name, format!("it has more than {} GiB", INPUT_BYTES_MAX >> 30))
                .help("cut it into several files"));
        }
        Ok(Self { name: name.to_owned(), bytes })
    }

    /// A text that is at hand already.
    #[must_use]
    pub fn of_text(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    /// The whole as text.
    ///
    /// # Errors
    /// When it is not UTF-8, with the line.
    pub fn text(&self) -> Result<&str, InputError> {
        std::str::from_utf8(&self.bytes).map_err(|error| {
            let before = &self.bytes[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count() as u64;
            InputError::of_line(&self.name, line, "it is not text (UTF-8)")
        })
    }

    /// The rows of a table with a heading.
    ///
    /// # Errors
    /// When the heading is missing or a name stands twice in it.
    pub fn table(&self) -> Result<Table<'_>, InputError> {
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(false).from_reader(self.bytes.as_slice());
        let heading = reader.headers().map_err(|error| self.broken(&error))?;
        let names: Vec<String> =
            heading.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
        if names.iter().all(String::is_empty) {
            return Err(InputError::of_file(&self.name, "it is empty; a heading is expected"));
        }
        if let Some(twice) =
            names.iter().enumerate().find_map(|(at, name)| names[..at].contains(name).then_some(name))
        {
            return Err(InputError::of_line(&self.name, 1, format!("the heading has `{twice}` twice")));
        }
        Ok(Table { input: self, names, reader })
    }

    fn broken(&self, error: &csv::Error) -> InputError {
        let line = error.position().map(csv::Position::line);
        let what = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("it has {len} values; the heading has {expected_len}")
            }
            csv::ErrorKind::Utf8 { .. } => "it is not text (UTF-8)".to_owned(),
            other => format!("it is no row of a table: {other:?}"),
        };
        InputError { line, ..InputError::of_file(&self.name, what) }
    }
}

/// A table while it is read.
pub struct Table<'a> {
    input: &'a Input,
    names: Vec<String>,
    reader: csv::Reader<&'a [u8]>,
}

impl fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("file", &self.input.name).field("names", &self.names).finish()
    }
}

/// One column of a table, found by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    at: usize,
    name: String,
}

impl<'a> Table<'a> {
    /// A column that may be missing.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Column> {
        let at = self.names.iter().position(|known| known == name)?;
        Some(Column { at, name: name.to_owned() })
    }

    /// A column that must be there.
    ///
    /// # Errors
    /// When it is missing, with the columns that are there.
    pub fn column(&self, name: &str) -> Result<Column, InputError> {
        self.find(name).ok_or_else(|| {
            let there: Vec<String> = self.names.iter().take(32).map(|known| shown(known)).collect();
            InputError::of_line(&self.input.name, 1, format!("the column `{name}` is missing"))
                .help(format!("the columns are: {}", there.join(", ")))
        })
    }

    /// Refuses columns that nobody reads: a misspelt one would be passed over in silence.
    ///
    /// # Errors
    /// The first unknown one.
    pub fn only(&self, known: &[&str]) -> Result<(), InputError> {
        let unknown = self.names.iter().enumerate().find(|(_, name)| !known.contains(&name.as_str()));
        unknown.map_or(Ok(()), |(at, name)| {
            let mut error =
                InputError::of_line(&self.input.name, 1, format!("`{}` is no column of ours", shown(name)));
            error.column = Some((at + 1, shown(name)));
            Err(error.help(format!("known columns are: {}", known.join(", "))))
        })
    }

    /// Does something with each row.
    ///
    /// # Errors
    /// The first that makes no sense, or that there are too many.
    pub fn each(
        &mut self,
        mut take: impl FnMut(&Row<'_>) -> Result<(), InputError>,
    ) -> Result<(), InputError> {
        let mut record = csv::StringRecord::new();
        let mut count = 0;
        while self.reader.read_record(&mut record).map_err(|error| self.input.broken(&error))? {
            let line = record.position().map_or(0, csv::Position::line);
            count += 1;
            if count > ROWS_MAX {
                let what = format!("it has more than {ROWS_MAX} rows");
                return Err(InputError::of_line(&self.input.name, line, what));
            }
            take(&Row { file: &self.input.name, line, record: &record })?;
        }
        Ok(())
    }
}

/// One row.
#[derive(Debug)]
pub struct Row<'a> {
    file: &'a str,
    line: u64,
    record: &'a csv::StringRecord,
}

impl Row<'_> {
    /// The value of a column as it stands there.
    #[must_use]
    pub fn text(&self, column: &Column) -> &str {
        self.record.get(column.at).unwrap_or_default()
    }

    /// An error of one value.
    #[must_use]
    pub fn wrong(&self, column: &Column, what: impl Into<String>) -> InputError {
        let mut error = InputError::of_line(self.file, self.line, what);
        error.column = Some((column.at + 1, column.name.clone()));
        error
    }

    /// A number within limits.
    ///
    /// # Errors
    /// When it is none, or outside of the limits.
    pub fn number<T: FromStr + PartialOrd + fmt::Display + Copy>(
        &self,
        column: &Column,
        least: T,
        most: T,
    ) -> Result<T, InputError> {
        let text = self.text(column);
        let number: T = text.parse().map_err(|_| {
            self.wrong(column, format!("`{}` is not a number from {least} to {most}", shown(text)))
        })?;
        // A float that is no number compares with nothing.
        if !(least..=most).contains(&number) {
            return Err(self.wrong(column, format!("`{}` is not from {least} to {most}", shown(text))));
        }
        Ok(number)
    }

    /// A number within limits, where the column is there and not empty.
    ///
    /// # Errors
    /// As [`Row::number`].
    pub fn optional<T: FromStr + PartialOrd + fmt::Display + Copy>(
        &self,
        column: Option<&Column>,
        least: T,
        most: T,
    ) -> Result<Option<T>, InputError> {
        match column.filter(|column| !self.text(column).is_empty()) {
            Some(column) => self.number(column, least, most).map(Some),
            None => Ok(None),
        }
    }

    /// One of several words, where the column is there and not empty.
    ///
    /// # Errors
    /// When it is another word.
    pub fn word<T>(
        &self,
        column: Option<&Column>,
        read: impl Fn(&str) -> Option<T>,
        words: &str,
    ) -> Result<Option<T>, InputError> {
        let Some(column) = column.filter(|column| !self.text(column).is_empty()) else { return Ok(None) };
        let text = self.text(column);
        read(text)
            .map(Some)
            .ok_or_else(|| self.wrong(column, format!("`{}` is not one of {words}", shown(text))))
    }
}

/// A value as an error shows it: short, and without control characters.
#[must_use]
pub fn shown(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { '?' } else { c });
    let short: String = clean.take(SHOWN_CHARS_MAX).collect();
    if short.chars().count() < text.chars().count() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn first_error(text: &str) -> String {
        let input = Input::of_text("tasks.csv", text);
        let read = |input: &Input| -> Result<(), InputError> {
            let mut table = input.table()?;
            let gpus = table.column("gpus")?;
            table.each(|row| row.number::<u16>(&gpus, 0, 8).map(|_| ()))
        };
        read(&input).unwrap_err().to_string()
    }

    #[test]
    fn an_error_says_file_line_and_column() {
        assert_eq!(
            first_error("a,gpus\n1,2\n1,nine\n"),
            "tasks.csv, line 3, column 2 (gpus): `nine` is not a number from 0 to 8"
        );
        assert_eq!(
            first_error("a,gpus\n1,9\n"),
            "tasks.csv, line 2, column 2 (gpus): `9` is not from 0 to 8"
        );
        assert_eq!(first_error("a,gpus\n1\n"), "tasks.csv, line 2: it has 1 values; the heading has 2");
        assert_eq!(first_error("a,b\n1,2\n"), "tasks.csv, line 1: the column `gpus` is missing");
        assert_eq!(first_error(""), "tasks.csv: it is empty; a heading is expected");
        assert_eq!(first_error("gpus,gpus\n"), "tasks.csv, line 1: the heading has `gpus` twice");
    }

    #[test]
    fn a_packed_file_is_unpacked_and_a_cut_one_refused() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"gpus\n3\n").unwrap();
        let packed = packer.finish().unwrap();
        let input = Input::read("x.gz", packed.as_slice()).unwrap();
        assert_eq!(input.text().unwrap(), "gpus\n3\n");
        let cut = Input::read("x.gz", &packed[..packed.len() - 6]).unwrap_err();
        assert!(cut.to_string().starts_with("x.gz: it cannot be read"), "{cut}");
        assert_eq!(Input::read("short", &b"x"[..]).unwrap().text().unwrap(), "x");
    }
}
