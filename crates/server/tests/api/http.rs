//! A small HTTP client that sends exactly what a test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Nothing in these tests takes longer; a wait beyond it is a failure, not a flake.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text()))
    }

    /// The answer in JSON, which must have this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// The problem document of a refusal with this status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
        for word in ["type", "title", "detail", "instance"] {
            assert!(problem[word].as_str().is_some_and(|text| !text.is_empty()), "{word}: {problem}");
        }
        problem
    }
}

/// Sends one request and reads the whole answer.
pub(crate) fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut response = open(address, method, path, headers, body);
    let mut all = Vec::new();
    response.rest(&mut all);
    Reply { status: response.status, headers: response.headers.clone(), body: all }
}

/// Sends one request and reads the head of the answer.
pub(crate) fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // A server that refuses a body early may close before all of it is sent.
    let _ = stream.write_all(body);
    Response::read(BufReader::new(stream))
}

/// An answer whose body is read piece by piece.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
    is_chunked: bool,
    length: Option<usize>,
    chunk_left: usize,
    is_done: bool,
}

impl Response {
    pub(crate) fn read(mut reader: BufReader<TcpStream>) -> Self {
        let status_line = line(&mut reader);
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in {status_line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = line(&mut reader);
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let find =
            |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let is_chunked = find("transfer-encoding").is_some_and(|value| value == "chunked");
        let length = find("content-length").and_then(|value| value.parse().ok());
        Self { status, headers, reader, is_chunked, length, chunk_left: 0, is_done: false }
    }

    fn rest(&mut self, out: &mut Vec<u8>) {
        if self.is_chunked {
            while let Some(byte) = self.byte() {
                out.push(byte);
            }
            return;
        }
        match self.length {
            Some(length) => {
                out.resize(length, 0);
                self.reader.read_exact(out).unwrap();
            }
            None => drop(self.reader.read_to_end(out).unwrap()),
        }
    }

    fn byte(&mut self) -> Option<u8> {
        if self.is_done {
            return None;
        }
        if self.chunk_left == 0 {
            let mut size = line(&mut self.reader);
            if size.is_empty() {
                size = line(&mut self.reader);
            }
            self.chunk_left = usize::from_str_radix(&size, 16).unwrap_or(0);
            if self.chunk_left == 0 {
                self.is_done = true;
                return None;
            }
        }
        let mut byte = [0];
        self.reader.read_exact(&mut byte).ok()?;
        self.chunk_left -= 1;
        Some(byte[0])
    }

    /// The next server-sent event; signs of life are passed over. `None` at the end of the stream.
    pub(crate) fn event(&mut self) -> Option<Event> {
        let mut event = Event::default();
        let mut line = Vec::new();
        loop {
            let byte = self.byte()?;
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            let text = String::from_utf8(std::mem::take(&mut line)).unwrap();
            match text.split_once(": ") {
                Some(("id", value)) => event.id = value.to_owned(),
                Some(("event", value)) => event.kind = value.to_owned(),
                Some(("data", value)) => event.data = serde_json::from_str(value).unwrap(),
                _ if text.is_empty() && !event.kind.is_empty() => return Some(event),
                _ => {}
            }
        }
    }
}

/// One server-sent event.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) data: Value,
}

fn line(reader: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
