//! The original article's client, with nothing changed but address and token.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::Server;

fn submit(server: &Server, body: &Value) -> String {
    let answer = server.post("/submit_task", body).expect(200);
    answer["task_id"].as_str().unwrap().to_owned()
}

fn status(server: &Server, id: &str) -> String {
    let path = format!("/query_task_status?task_id={id}");
    let answer = server.call(&server.tokens.member, "GET", &path, &[], b"").expect(200);
    assert_eq!(answer["task_id"], id);
    answer["status"].as_str().unwrap().to_owned()
}

fn release(server: &Server, id: &str) -> u16 {
    server.call(&server.tokens.member, "DELETE", &format!("/release_resource?task_id={id}"), &[], b"").status
}

#[test]
fn its_program_submits_polls_without_pause_until_finished_and_releases() {
    let server = Server::start();
    // A thousandth of an hour is 3.6 s; a ten-thousandth is long enough to be seen.
    let id = submit(
        &server,
        &json!({"user_id": "user123", "task_name": "train", "resource_count": 2, "execute_time": 0.0001}),
    );
    let (mut polls, mut seen) = (0, Vec::new());
    while seen.last().is_none_or(|last| last != "finished") {
        let status = status(&server, &id);
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        polls += 1;
        assert!(polls < 1_000, "{seen:?}");
    }
    assert!(
        ["submitted", "running", "finished"].ends_with(&seen.iter().map(String::as_str).collect::<Vec<_>>()),
        "{seen:?}"
    );
    for _ in 0..2 {
        assert_eq!(release(&server, &id), 200);
    }
    assert_eq!(status(&server, &id), "finished");
    assert_eq!(server.get(&format!("/v1/tasks/{id}")).expect(200)["owner"], "user123");
}

#[test]
fn an_unchanged_answer_is_held_and_a_changed_one_is_not() {
    let server = Server::start();
    let id =
        submit(&server, &json!({"user_id": "u", "task_name": "t", "resource_count": 0.5, "execute_time": 1}));
    server.in_state(&id, "running");
    assert_eq!(status(&server, &id), "running");
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(status(&server, &id), "running");
    }
    let held = began.elapsed();
    assert!(held > Duration::from_millis(250), "three answers were each held: {held:?}");
    assert_eq!(release(&server, &id), 200);
    server.in_state(&id, "succeeded");
    assert_eq!(status(&server, &id), "finished");
}

#[test]
fn its_mistakes_are_named_in_its_own_words() {
    let server = Server::start();
    let problem = server
        .post("/submit_task", &json!({"resource_count": 0, "execute_time": 0}))
        .refused(422, "bad_spec");
    let pointers: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/execute_time", "/resource_count"]);
    let problem = server.post("/submit_task", &json!({"resource_cont": 1})).refused(422, "bad_spec");
    assert!(problem["detail"].as_str().unwrap().contains("did you mean `resource_count`?"));
    let member = &server.tokens.member;
    server.call(member, "GET", "/query_task_status", &[], b"").refused(400, "bad_request");
    server.call(member, "GET", "/query_task_status?task_id=7", &[], b"").refused(404, "not_found");
    assert_eq!(release(&server, "t-0000000000001"), 404);
    let id = submit(
        &server,
        &json!({"user_id": "u", "resource_count": 1, "execute_time": 1, "command": ["fail"]}),
    );
    server.in_state(&id, "failed");
    assert_eq!(status(&server, &id), "failed");
}
