//! What operators ask and change.

use serde_json::json;

use crate::harness::Server;
use crate::http::call;

#[test]
fn health_readiness_and_version_need_no_token() {
    let server = Server::start();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(call(server.address, "GET", path, &[], b"").expect(200)["status"], "ok");
    }
    assert_eq!(call(server.address, "GET", "/version", &[], b"").expect(200)["api"], "v1");
}

#[test]
fn every_answer_carries_an_id_and_cautious_headers() {
    let server = Server::start();
    let (first, second) = (server.get("/v1/tasks"), server.get("/nowhere"));
    assert_ne!(first.header("x-request-id").unwrap(), second.header("x-request-id").unwrap());
    for reply in [first, second] {
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
}

#[test]
fn gpus_and_nodes_are_listed_with_what_is_free() {
    let server = Server::start();
    let id = server.submit(&json!({"gpu": 0.25, "time_limit": "1h"}));
    server.in_state(&id, "running");
    let gpus = server.get("/v1/gpus").expect(200);
    let items = gpus["items"].as_array().unwrap();
    assert_eq!(items.len(), 4);
    let used = items.iter().find(|gpu| gpu["free_share_milli"] == 750).unwrap();
    assert_eq!(used["tasks"][0]["id"], id.as_str());
    assert_eq!((&used["simulated"], &used["memory_mib"]), (&json!(true), &json!(81_920)));
    assert_eq!(used["free_memory_mib"], 61_440);
    let nodes = server.get("/v1/nodes").expect(200);
    assert_eq!(nodes["items"][0]["hostname"], "test-node");
    assert_eq!(nodes["items"][0]["state"], "ready");
}

#[test]
fn a_drained_node_takes_nothing_until_it_is_resumed() {
    let server = Server::start();
    let admin = |path: &str| server.call(&server.tokens.admin, "POST", path, &[], b"");
    assert_eq!(admin("/v1/nodes/test-node/drain").expect(200)["state"], "drained");
    let id = server.submit(&json!({"command": ["true"]}));
    let wait = server.get(&format!("/v1/tasks/{id}/wait?timeout=0")).expect(200);
    assert_eq!(wait["state"], "queued");
    assert_eq!(admin("/v1/nodes/node-0/resume").expect(200)["drained"], false);
    server.in_state(&id, "succeeded");
}

#[test]
fn a_token_is_shown_once_works_at_once_and_ends_at_once() {
    let server = Server::start();
    let ask =
        json!({"role": "member", "owner": "bob", "project": "speech", "kind": "service", "expires_in": "1d"});
    let admin = &server.tokens.admin;
    let made = server.call(admin, "POST", "/v1/tokens", &[], ask.to_string().as_bytes()).expect(201);
    let secret = made["token"].as_str().unwrap();
    assert!(secret.starts_with("fgs_"));
    let created = server.call(secret, "POST", "/v1/tasks", &[], br#"{"command":["true"]}"#).expect(201);
    assert_eq!((&created["owner"], &created["project"]), (&json!("bob"), &json!("speech")));
    let list = server.get("/v1/tokens");
    assert!(!list.text().contains(secret));
    let listed = list.json();
    let mine =
        listed["items"].as_array().unwrap().iter().find(|token| token["id"] == made["id"]).unwrap().clone();
    assert_eq!((&mine["role"], &mine["owner"]), (&json!("member"), &json!("bob")));
    assert!(mine["expires_at"].is_string());
    let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
    assert!(server.call(admin, "DELETE", &path, &[], b"").expect(200)["revoked_at"].is_string());
    server.call(secret, "GET", "/v1/tasks", &[], b"").refused(401, "token_revoked");
    let wrong = json!({"role": "king", "expires_in": "soon"}).to_string();
    let problem = server.call(admin, "POST", "/v1/tokens", &[], wrong.as_bytes()).refused(422, "bad_spec");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2);
}

#[test]
fn the_configuration_is_replaced_as_a_whole_or_not_at_all() {
    let server = Server::start();
    let admin = &server.tokens.admin;
    let mut config = server.get("/v1/config").expect(200);
    config["queue_max"] = json!(1);
    let put = |config: &serde_json::Value| {
        server.call(admin, "PUT", "/v1/config", &[], config.to_string().as_bytes())
    };
    let replaced = put(&config).expect(200);
    assert_eq!(server.get("/v1/config").expect(200), replaced);
    assert_eq!(replaced["queue_max"], 1);
    // Another one replaced what was read.
    put(&config).refused(412, "revision_mismatch");
    config["revision"] = replaced["revision"].clone();
    server.submit(&json!({"command": ["true"], "held": true}));
    let full = server.post("/v1/tasks", &json!({"command": ["true"]}));
    full.refused(429, "queue_full");
    assert!(full.header("retry-after").is_some());
    config["queue_max"] = json!(0);
    put(&config).refused(422, "bad_config");
    put(&json!({"queue_mx": 1})).refused(422, "bad_spec");
    assert_eq!(server.get("/v1/config").expect(200)["queue_max"], 1);
}

#[test]
fn metrics_are_written_in_the_format_of_prometheus() {
    let server = Server::start();
    server.submit(&json!({"command": ["true"], "held": true}));
    let text = server.get("/metrics").text();
    for line in [
        "fastgpu_tasks_live 1",
        "fastgpu_store_commit_seconds_bucket{le=\"+Inf\"}",
        "fastgpu_store_commit_seconds_bucket{le=\"0.0001\"}",
        "fastgpu_http_requests_total{status=\"2xx\"}",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn every_token_learns_whom_it_stands_for() {
    let server = Server::start();
    for (token, role) in [
        (&server.tokens.viewer, "viewer"),
        (&server.tokens.member, "member"),
        (&server.tokens.admin, "admin"),
    ] {
        let me = server.call(token, "GET", "/v1/whoami", &[], b"").expect(200);
        assert_eq!(
            me,
            json!({"token_id": &token[4..12], "owner": "ada", "project": "default", "role": role})
        );
    }
}
