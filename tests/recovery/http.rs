//! The least of an HTTP client: one connection per request, so that nothing of a killed server lives on in
//! it, and no retries of its own, so that the tests decide what is repeated.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// A server that takes longer has failed the test in any case.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the server is, and what opens it.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    /// `127.0.0.1:4242`
    pub(crate) address: String,
    pub(crate) token: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Door {
    pub(crate) fn get(&self, path: &str) -> io::Result<Answer> {
        self.call("GET", path, None, None)
    }

    pub(crate) fn post(&self, path: &str, key: Option<&str>, body: Option<&str>) -> io::Result<Answer> {
        self.call("POST", path, key, body)
    }

    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&str>,
    ) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let body = body.unwrap_or_default();
        let key = key.map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{key}{kind}\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            self.token,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "half an answer"))
    }
}

/// `None` for an answer that is not whole: the server ended while it wrote.
fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let body = &answer[end + 4..];
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let length: usize = header("content-length")?.parse().ok()?;
    if body.len() < length {
        return None;
    }
    Some(Answer {
        status: head.split_ascii_whitespace().nth(1)?.parse().ok()?,
        kind: header("content-type").unwrap_or_default(),
        body: serde_json::from_slice(body).unwrap_or(Value::Null),
    })
}
