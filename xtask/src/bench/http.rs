//! A keep-alive HTTP/1.1 connection, as small as one can be: the client shares the machine with the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

/// No answer takes this long; a server that hangs must not hang the bench.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// The largest answer is that to a batch of 10,000 tasks, or a full page of a listing.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Where a server is and how to get in.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) socket: SocketAddr,
    pub(super) token: String,
}

impl Address {
    /// The bytes of a request.
    pub(super) fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let (host, token, length) = (self.socket, &self.token, body.len());
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    pub(super) fn connect(&self) -> anyhow::Result<Connection> {
        let stream =
            TcpStream::connect(self.socket).with_context(|| format!("cannot reach {}", self.socket))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        Ok(Connection { address: self.clone(), stream, received: Vec::new() })
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    address: Address,
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Status and body.
    pub(super) fn call(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, Value)> {
        self.stream.write_all(&self.address.request(method, path, body))?;
        self.received.clear();
        loop {
            if let Some(answer) = Answer::parse(&self.received)? {
                let bytes = &self.received[answer.body_at..answer.body_at + answer.body_length];
                let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(bytes)? };
                return Ok((answer.status, body));
            }
            let mut chunk = [0; 64 << 10];
            match self.stream.read(&mut chunk)? {
                0 => bail!("{method} {path}: the server closed the connection"),
                length => self.received.extend_from_slice(&chunk[..length]),
            }
        }
    }

    /// The body of an answer that must be good.
    pub(super) fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        self.good("GET", path, "")
    }

    pub(super) fn post(&mut self, path: &str, body: &str) -> anyhow::Result<Value> {
        self.good("POST", path, body)
    }

    fn good(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let (status, body) = self.call(method, path, body)?;
        if !(200..300).contains(&status) {
            bail!("{method} {path}: {status} {body}");
        }
        Ok(body)
    }
}

/// What the head of an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body_at: usize,
    pub(super) body_length: usize,
}

impl Answer {
    /// `None` until the whole answer is there.
    pub(super) fn parse(received: &[u8]) -> anyhow::Result<Option<Self>> {
        if received.len() > ANSWER_BYTES_MAX {
            bail!("an answer of more than {ANSWER_BYTES_MAX} bytes");
        }
        let Some(head_length) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&received[..head_length]).context("the head is no text")?;
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let (status, body_length) = (status.context("no status")?, length.unwrap_or(0));
        let answer = Self { status, body_at: head_length + 4, body_length };
        Ok((received.len() >= answer.body_at + body_length).then_some(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;

    #[test]
    fn an_answer_is_there_when_its_last_byte_is() {
        let bytes = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello";
        for length in 0..bytes.len() {
            assert_eq!(Answer::parse(&bytes[..length]).unwrap(), None, "{length}");
        }
        let answer = Answer::parse(bytes).unwrap().expect("whole");
        assert_eq!((answer.status, &bytes[answer.body_at..]), (201, &b"hello"[..]));
    }
}
