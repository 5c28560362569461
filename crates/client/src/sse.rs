//! Reads server-sent events from chunks of bytes, however they are cut.

/// An event longer than this is not ours.
const EVENT_BYTES_MAX: usize = 4 << 20;

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its kind; empty means `message`.
    pub(crate) event: String,
    /// Its text; several `data:` lines are joined by newlines.
    pub(crate) data: String,
    /// Where to go on after it.
    pub(crate) id: Option<String>,
}

/// Collects bytes until whole events are there.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    bytes: usize,
}

/// An event that never ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Parser {
    /// Takes a chunk and hands out the events it completes.
    pub(crate) fn feed(&mut self, chunk: &[u8], out: &mut Vec<Event>) -> Result<(), TooLong> {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.take(&rest[..end])?;
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            self.end_line(&String::from_utf8_lossy(line), out);
        }
        self.take(rest)
    }

    fn take(&mut self, part: &[u8]) -> Result<(), TooLong> {
        self.bytes += part.len();
        if self.bytes > EVENT_BYTES_MAX {
            return Err(TooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self, line: &str, out: &mut Vec<Event>) {
        if line.is_empty() {
            self.bytes = 0;
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) || !event.event.is_empty() {
                out.push(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.event),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments (an empty field name) keep the connection warm; unknown fields are ignored.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_whole_however_the_bytes_are_cut() {
        let text = b": warm\n\nid: 12\r\nevent: stdout\r\ndata: a\r\ndata: b\r\n\r\ndata:x\n\nevent: end\n\ndata: cut";
        let expected = [
            Event { event: "stdout".into(), data: "a\nb".into(), id: Some("12".into()) },
            Event { event: String::new(), data: "x".into(), id: None },
            Event { event: "end".into(), data: String::new(), id: None },
        ];
        for size in 1..text.len() {
            let (mut parser, mut events) = (Parser::default(), Vec::new());
            for chunk in text.chunks(size) {
                parser.feed(chunk, &mut events).unwrap();
            }
            assert_eq!(events, expected, "in chunks of {size}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_refused() {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        let chunk = vec![b'x'; 1 << 20];
        let fed = (0..8).map(|_| parser.feed(&chunk, &mut events)).find(Result::is_err);
        assert_eq!(fed, Some(Err(TooLong)));
    }
}
