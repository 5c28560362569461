//! The load generator: many connections, one thread, one request in flight on each.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use super::http::{Address, Answer};
use super::row::quantile;

/// With no answer on any connection for this long, the server hangs.
const SILENCE_MAX: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };
const EVENTS_AT_ONCE: usize = 256;

/// What to send: so many requests, taken from these in a circle. They are made before the clock runs.
pub(super) struct Load<'a> {
    pub(super) connections: usize,
    pub(super) count: usize,
    pub(super) requests: &'a [Vec<u8>],
}

#[derive(Debug)]
pub(super) struct LoadResult {
    pub(super) per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

struct Lane {
    stream: TcpStream,
    sent_at: Instant,
    received: Vec<u8>,
}

impl Load<'_> {
    /// Sends all requests, each connection the next one when it has its answer. Any answer but 2xx ends the run.
    pub(super) fn run(&self, address: &Address) -> anyhow::Result<LoadResult> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut lanes = self.open_lanes(address, &poll)?;
        let mut latencies_ms = Vec::with_capacity(self.count);
        let mut sent = 0;
        let began = Instant::now();
        for lane in lanes.iter_mut().take(self.count) {
            lane.send(self.request(sent))?;
            sent += 1;
        }
        let mut events = Vec::with_capacity(EVENTS_AT_ONCE);
        while latencies_ms.len() < self.count {
            events.clear();
            if epoll::wait(&poll, spare_capacity(&mut events), Some(&SILENCE_MAX))? == 0 {
                bail!("no answer for {} s after {} answers", SILENCE_MAX.tv_sec, latencies_ms.len());
            }
            for event in &events {
                let index = usize::try_from(event.data.u64()).context("a lane's number")?;
                let lane = &mut lanes[index];
                if !lane.receive()? {
                    continue;
                }
                latencies_ms.push(lane.sent_at.elapsed().as_secs_f64() * 1e3);
                if sent < self.count {
                    lane.send(self.request(sent))?;
                    sent += 1;
                }
            }
        }
        let per_s = self.count as f64 / began.elapsed().as_secs_f64();
        let (p50_ms, p99_ms) = (quantile(&mut latencies_ms, 0.5), quantile(&mut latencies_ms, 0.99));
        Ok(LoadResult { per_s, p50_ms, p99_ms })
    }

    fn request(&self, number: usize) -> &[u8] {
        &self.requests[number % self.requests.len()]
    }

    fn open_lanes(&self, address: &Address, poll: &OwnedFd) -> anyhow::Result<Vec<Lane>> {
        let mut lanes = Vec::new();
        for index in 0..self.connections {
            let stream = TcpStream::connect(address.socket)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(poll, &stream, data, epoll::EventFlags::IN)?;
            lanes.push(Lane { stream, sent_at: Instant::now(), received: Vec::new() });
        }
        Ok(lanes)
    }
}

impl Lane {
    fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.sent_at = Instant::now();
        let mut rest = request;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(length) => rest = &rest[length..],
                // A large batch fills the socket; the server reads it at once, so there is nothing to win by
                // serving other lanes meanwhile.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_micros(50))
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// True when a whole good answer has come.
    fn receive(&mut self) -> anyhow::Result<bool> {
        let mut chunk = [0; 16 << 10];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(length) => self.received.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            if let Some(answer) = Answer::parse(&self.received)? {
                if !(200..300).contains(&answer.status) {
                    bail!("{}", String::from_utf8_lossy(&self.received));
                }
                self.received.clear();
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers every request on every connection with the words of `answer`.
    fn serve(answer: &'static str) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap());
                    let mut line = String::new();
                    while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
                        if line == "\r\n" && (&stream).write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                        line.clear();
                    }
                });
            }
        });
        Address { socket, token: String::new() }
    }

    #[test]
    fn every_request_gets_its_answer() {
        let address = serve("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        let requests = [address.request("GET", "/", "")];
        let load = Load { connections: 4, count: 101, requests: &requests };
        let result = load.run(&address).expect("all good");
        assert!(result.per_s > 0.0 && result.p99_ms >= result.p50_ms);
    }

    #[test]
    fn a_bad_answer_ends_the_run_with_its_words() {
        let address = serve("HTTP/1.1 507 Full\r\ncontent-length: 9\r\n\r\ndisk full");
        let requests = [address.request("GET", "/", "")];
        let load = Load { connections: 1, count: 1, requests: &requests };
        assert!(load.run(&address).expect_err("507").to_string().contains("disk full"));
    }
}
