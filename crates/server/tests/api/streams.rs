//! Streams and long polls: they resume, they end, they let the server stop.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Server, id_of};
use crate::http::PATIENCE;

#[test]
fn logs_come_as_text_whole_or_from_the_end() {
    let server = Server::start();
    let id = server.submit(&json!({"command": ["true"], "gpu": "none"}));
    server.in_state(&id, "succeeded");
    server.logs.write(id_of(&id), 1, "two\n");
    server.logs.write(id_of(&id), 1, "three\n");
    let reply = server.get(&format!("/v1/tasks/{id}/logs"));
    assert_eq!(reply.text(), "hello\ntwo\nthree\n");
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(server.get(&format!("/v1/tasks/{id}/logs?tail=1")).text(), "three\n");
    assert_eq!(
        server.get(&format!("/v1/tasks/{id}/logs?attempt=1&tail=2&follow=true")).text(),
        "two\nthree\n"
    );
    server.logs.note(id_of(&id), 1, "10 bytes were dropped");
    server.logs.write(id_of(&id), 1, "fo");
    server.logs.note(id_of(&id), 1, "another");
    server.logs.write(id_of(&id), 1, "ur\n");
    let text = server.get(&format!("/v1/tasks/{id}/logs")).text();
    assert!(text.ends_with("three\n[10 bytes were dropped]\nfo\n[another]\nur\n"), "{text}");
}

#[test]
fn the_last_lines_come_before_what_follows_and_can_be_resumed() {
    let server = Server::start();
    let id = server.sleeper();
    server.logs.write(id_of(&id), 1, "one\ntwo\nthree\n");
    let path = format!("/v1/tasks/{id}/logs?tail=2&follow=true");
    let mut stream = server.stream(&path, &[]);
    let last = stream.event().unwrap();
    assert_eq!(last.data["text"], "two\nthree\n");
    server.logs.write(id_of(&id), 1, "four\n");
    assert_eq!(stream.event().unwrap().data["text"], "four\n");
    let mut resumed = server.stream(&path, &[("Last-Event-ID", &last.id)]);
    assert_eq!(resumed.event().unwrap().data["text"], "four\n");
}

#[test]
fn a_task_that_never_started_has_an_empty_log() {
    let server = Server::start();
    let id = server.submit(&json!({"command": ["true"], "held": true}));
    assert_eq!(server.get(&format!("/v1/tasks/{id}/logs")).text(), "");
    let mut stream = server.stream(&format!("/v1/tasks/{id}/logs"), &[]);
    assert_eq!(stream.event().unwrap().kind, "end");
}

#[test]
fn a_broken_log_stream_goes_on_where_it_was() {
    let server = Server::start();
    let id = server.submit(&json!({"command": ["true"], "gpu": "none"}));
    server.in_state(&id, "succeeded");
    server.logs.write(id_of(&id), 1, "two\n");
    server.logs.write(id_of(&id), 1, "three\n");
    let path = format!("/v1/tasks/{id}/logs");
    let mut stream = server.stream(&path, &[]);
    let texts: Vec<_> = (0..3).map(|_| stream.event().unwrap()).collect();
    assert_eq!(texts[0].data["text"], "hello\n");
    assert_eq!((&texts[1].data["stream"], texts[1].kind.as_str()), (&json!("stdout"), "log"));
    let mut stream = server.stream(&path, &[("Last-Event-ID", &texts[1].id)]);
    assert_eq!(stream.event().unwrap(), texts[2]);
    let end = stream.event().unwrap();
    assert_eq!((end.kind.as_str(), end.data), ("end", json!({"state": "succeeded", "exit_code": 0})));
    assert_eq!(stream.event(), None);
    for wrong in ["x", "1", "9.0", "1.x"] {
        assert_eq!(server.stream(&path, &[("Last-Event-ID", wrong)]).status, 400, "{wrong}");
    }
}

#[test]
fn a_followed_log_brings_what_is_written_until_the_task_ends() {
    let server = Server::start();
    let id = server.sleeper();
    let mut stream = server.stream(&format!("/v1/tasks/{id}/logs?follow=true"), &[]);
    assert_eq!(stream.event().unwrap().data["text"], "hello\n");
    server.logs.write(id_of(&id), 1, "later\n");
    assert_eq!(stream.event().unwrap().data["text"], "later\n");
    server.post(&format!("/v1/tasks/{id}/cancel"), &json!({})).expect(200);
    assert_eq!(stream.event().unwrap().data["state"], "cancelled");
    assert_eq!(stream.event(), None);
}

#[test]
fn following_a_queued_task_waits_for_it_and_goes_on_over_its_attempts() {
    let server = Server::start();
    let spec = json!({"command": ["fail"], "gpu": "none", "held": true, "retry": {"max": 1, "backoff": 1}});
    let id = server.submit(&spec);
    let mut stream = server.stream(&format!("/v1/tasks/{id}/logs?follow=true"), &[]);
    let path = format!("/v1/tasks/{id}");
    server.call(&server.tokens.member, "PATCH", &path, &[], br#"{"held":false}"#).expect(200);
    let (first, second) = (stream.event().unwrap(), stream.event().unwrap());
    assert!(first.id.starts_with("1.") && second.id.starts_with("2."), "{first:?} {second:?}");
    let end = stream.event().unwrap();
    assert_eq!(end.data, json!({"state": "failed", "exit_code": 3}));
}

#[test]
fn events_stream_and_resume() {
    let server = Server::start();
    let id = server.sleeper();
    let path = format!("/v1/tasks/{id}/events");
    let mut stream = server.stream(&path, &[]);
    let first = stream.event().unwrap();
    assert_eq!((first.id.as_str(), &first.data["cause"]), ("0", &json!("submitted")));
    let mut resumed = server.stream(&path, &[("Last-Event-ID", "0")]);
    assert_eq!(resumed.event().unwrap().id, "1");
    server.post(&format!("/v1/tasks/{id}/cancel"), &json!({})).expect(200);
    let mut last = first;
    while let Some(event) = stream.event() {
        last = event;
    }
    assert_eq!((last.kind.as_str(), &last.data["state"]), ("end", &json!("cancelled")));
    let listed = server.get(&format!("{path}?limit=1&cursor=1")).expect(200);
    assert_eq!((&listed["items"][0]["number"], &listed["next_cursor"]), (&json!(1), &json!("2")));
}

#[test]
fn a_long_poll_answers_at_the_end_or_when_its_time_is_over() {
    let server = Server::start();
    let id = server.sleeper();
    let began = Instant::now();
    let early = server.get(&format!("/v1/tasks/{id}:wait?timeout=0")).expect(200);
    assert_eq!(early["state"], "running");
    assert_eq!(server.get(&format!("/v1/tasks/{id}/wait?until=started")).expect(200)["state"], "running");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get(&format!("/v1/tasks/{id}/wait?timeout=60")).expect(200));
        server.post(&format!("/v1/tasks/{id}/cancel"), &json!({})).expect(200);
        assert_eq!(waiting.join().unwrap()["state"], "cancelled");
    });
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn a_stopping_server_ends_streams_and_long_polls() {
    let mut server = Server::start();
    let id = server.sleeper();
    let mut stream = server.stream(&format!("/v1/tasks/{id}/logs?follow=true"), &[]);
    assert_eq!(stream.event().unwrap().data["text"], "hello\n");
    let (address, token) = (server.address, server.tokens.member.clone());
    let waiting = std::thread::spawn(move || {
        let authorization = format!("Bearer {token}");
        let path = format!("/v1/tasks/{id}/wait?timeout=60");
        crate::http::call(address, "GET", &path, &[("Authorization", &authorization)], b"")
    });
    server.until("the long poll is open", || {
        server.get("/metrics").text().contains("fastgpu_http_streams_open 2").then_some(())
    });
    let began = Instant::now();
    server.stop_serving();
    assert!(began.elapsed() < Duration::from_secs(4), "it stopped before its grace was over");
    waiting.join().unwrap().refused(503, "stopping");
    assert_eq!(stream.event(), None, "without an end: the caller comes back");
}

#[test]
fn streams_are_limited_and_a_closed_one_makes_room() {
    let options = fastgpu_server::Options { streams_per_token_max: 1, ..Default::default() };
    let server = Server::with(options);
    let id = server.sleeper();
    let path = format!("/v1/tasks/{id}/logs?follow=true");
    let first = server.stream(&path, &[]);
    assert_eq!((first.status, server.stream(&path, &[]).status), (200, 429));
    drop(first);
    server.logs.write(id_of(&id), 1, "so that the server notices\n");
    server.until("there is room again", || {
        server.logs.write(id_of(&id), 1, "and again\n");
        (server.stream(&path, &[]).status == 200).then_some(())
    });
}
