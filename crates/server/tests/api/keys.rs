//! A request under a key is done once.

use serde_json::json;

use crate::harness::Server;

#[test]
fn the_same_request_under_the_same_key_answers_the_same_task() {
    let server = Server::start();
    let send = |key: &str, body: &str| {
        server.call(&server.tokens.member, "POST", "/v1/tasks", &[("Idempotency-Key", key)], body.as_bytes())
    };
    let body = r#"{"command":["true"]}"#;
    let first = send("k1", body);
    let id = first.expect(201)["id"].clone();
    assert_eq!(first.header("idempotency-replayed"), None);
    server.in_state(id.as_str().unwrap(), "succeeded");
    let second = send("k1", body);
    assert_eq!(second.expect(201)["id"], id);
    assert_eq!(second.json()["state"], "succeeded");
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    send("k1", r#"{"command":["false"]}"#).refused(422, "key_reused");
    assert_ne!(send("k2", body).expect(201)["id"], id);
    send(&"k".repeat(129), body).refused(400, "bad_request");
    let foreign = [("Idempotency-Key", "k1")];
    let other = server.call(&server.tokens.foreign, "POST", "/v1/tasks", &foreign, body.as_bytes());
    assert_ne!(other.expect(201)["id"], id, "keys belong to a project");
}

#[test]
fn many_at_once_under_one_key_make_one_task() {
    let server = Server::start();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let send = || {
            let headers = [("Idempotency-Key", "same")];
            let reply =
                server.call(&server.tokens.member, "POST", "/v1/tasks", &headers, br#"{"command":["true"]}"#);
            reply.expect(201)["id"].as_str().unwrap().to_owned()
        };
        let threads: Vec<_> = (0..32).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(server.get("/v1/tasks").expect(200)["items"].as_array().unwrap().len(), 1);
}

#[test]
fn batches_retries_and_the_articles_submit_take_keys_too() {
    let server = Server::start();
    let twice = |path: &str, body: &str| {
        let send = || {
            server.call(&server.tokens.member, "POST", path, &[("Idempotency-Key", path)], body.as_bytes())
        };
        let (first, second) = (send(), send());
        assert!(first.status < 300, "{}", first.text());
        (first.json(), second.json())
    };
    let (first, second) =
        twice("/v1/tasks:batch", &json!({"tasks": [{"command": ["true"], "held": true}]}).to_string());
    assert_eq!(first, second);
    let (first, second) =
        twice("/submit_task", r#"{"user_id":"u","task_name":"t","resource_count":1,"execute_time":1}"#);
    assert_eq!(first, second);
    let id = server.submit(&json!({"command": ["true"]}));
    server.in_state(&id, "succeeded");
    let (first, second) = twice(&format!("/v1/tasks/{id}/retry"), "");
    assert_eq!(first["id"], second["id"]);
    let admin = &server.tokens.admin;
    let headers = [("Idempotency-Key", "x")];
    server.call(admin, "POST", "/v1/tokens", &headers, b"{}").refused(400, "bad_request");
}
