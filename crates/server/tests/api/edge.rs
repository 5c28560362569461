//! Connections: slow ones, too many of them, several requests over one.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use fastgpu_server::Options;

use crate::harness::Server;
use crate::http::{PATIENCE, Response};

#[test]
fn a_connection_that_sends_its_header_too_slowly_is_closed() {
    let server = Server::with(Options { header_timeout: Duration::from_millis(200), ..Default::default() });
    let mut slow = TcpStream::connect(server.address).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(b"GET /v1/tasks HTTP/1.1\r\nHost:").unwrap();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    server.get("/v1/tasks").expect(200);
}

#[test]
fn a_body_that_comes_too_slowly_is_refused() {
    let server = Server::with(Options { body_timeout: Duration::from_millis(200), ..Default::default() });
    let mut slow = TcpStream::connect(server.address).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 100\r\n\r\n{{",
        server.tokens.member
    );
    slow.write_all(head.as_bytes()).unwrap();
    assert_eq!(Response::read(BufReader::new(slow)).status, 408);
}

#[test]
fn one_connection_too_many_is_told_to_come_back() {
    let server = Server::with(Options { connections_max: 1, ..Default::default() });
    // Earlier connections of the harness may still be closing.
    let kept = server.until("a place is free", || {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let response = Response::read(BufReader::new(stream));
        (response.status == 200).then_some(response)
    });
    let second = TcpStream::connect(server.address).unwrap();
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    let response = Response::read(BufReader::new(second));
    assert_eq!(response.status, 503);
    assert!(response.headers.iter().any(|(name, _)| name == "retry-after"));
    drop(kept);
}

#[test]
fn requests_follow_each_other_over_one_connection() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{request}{request}{last}").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3, "{text}");
}

#[test]
fn what_is_not_http_harms_nobody() {
    let server = Server::start();
    for junk in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(junk).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&rest));
    }
    server.get("/v1/tasks").expect(200);
}
