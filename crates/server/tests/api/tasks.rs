//! Tasks from submit to end, as a caller sees them.

use serde_json::json;

use crate::harness::Server;

#[test]
fn a_task_is_created_runs_and_is_read_back() {
    let server = Server::start();
    let spec =
        json!({"name": "train", "command": ["true", "x"], "gpu": 0.5, "memory": "4GiB", "priority": 3});
    let reply = server.post("/v1/tasks", &spec);
    let created = reply.expect(201);
    let id = created["id"].as_str().unwrap();
    assert_eq!(reply.header("location"), Some(format!("/v1/tasks/{id}").as_str()));
    assert_eq!((&created["state"], &created["name"]), (&json!("queued"), &json!("train")));
    let task = server.in_state(id, "succeeded");
    assert_eq!(task["exit_code"], 0);
    assert_eq!(task["command"], json!(["true", "x"]));
    assert_eq!(task["owner"], "ada");
    assert_eq!(task["gpu"]["share_milli"], 500);
    assert_eq!(task["memory_mib"], 4_096);
    for time in ["submitted_at", "started_at", "ended_at"] {
        assert!(task[time].as_str().unwrap().ends_with('Z'), "{task}");
    }
    // What the first answer said without reading is what was stored.
    for key in
        ["name", "project", "owner", "priority", "class", "gpu", "cpu_milli", "stop_grace_ms", "command"]
    {
        assert_eq!(created[key], task[key], "{key}");
    }
    let attempts = server.get(&format!("/v1/tasks/{id}/attempts")).expect(200);
    assert_eq!(attempts["items"][0]["attempt"], 1);
    assert_eq!(attempts["items"][0]["exit_code"], 0);
    let usage = server.get(&format!("/v1/tasks/{id}/usage")).expect(200);
    assert!(usage["items"].is_array());
    let events = server.get(&format!("/v1/tasks/{id}/events")).expect(200);
    assert_eq!(events["items"][0]["cause"], "submitted");
    assert_eq!(events["items"][0]["actor"], "ada");
}

#[test]
fn a_failure_says_what_failed() {
    let server = Server::start();
    let id = server.submit(&json!({"command": ["fail"], "gpu": "none"}));
    let task = server.in_state(&id, "failed");
    assert_eq!((&task["exit_code"], &task["failure"]["class"]), (&json!(3), &json!("user_error")));
    let id = server.submit(&json!({"command": ["missing"], "gpu": "none"}));
    let task = server.in_state(&id, "failed");
    assert_eq!(task["failure"]["class"], "launch_spec");
    assert_eq!(task["failure"]["message"], "there is no program `missing` in PATH");
    let why = server.get(&format!("/v1/tasks/{id}/explain")).expect(200);
    assert!(why["headline"].as_str().unwrap().contains("there is no program"), "{why}");
}

#[test]
fn a_batch_is_accepted_whole_or_not_at_all() {
    let server = Server::start();
    let tasks: Vec<_> = (0..50).map(|n| json!({"name": format!("n{n}"), "command": ["true"]})).collect();
    let batch = server.post("/v1/tasks:batch", &json!({"tasks": tasks})).expect(201);
    assert_eq!(batch["items"].as_array().unwrap().len(), 50);
    assert_eq!(batch["items"][0]["state"], "queued");
    let wrong = json!({"tasks": [{"command": ["true"], "name": "lonely"}, {"command": ["true"], "gpu": 0}]});
    let problem = server.post("/v1/tasks:batch", &wrong).refused(422, "bad_spec");
    assert_eq!(problem["errors"][0]["pointer"], "/tasks/1/gpu");
    assert_eq!(server.get("/v1/tasks?name=lonely").expect(200)["items"], json!([]));
    server.post("/v1/tasks:batch", &json!({"tasks": []})).refused(422, "bad_spec");
}

#[test]
fn lists_are_read_page_by_page_and_filtered() {
    let server = Server::start();
    for n in 0..7 {
        server.submit(&json!({"name": format!("n{}", n % 2), "command": ["true"], "held": true}));
    }
    let mut seen = Vec::new();
    let mut path = "/v1/tasks?limit=3".to_owned();
    loop {
        let page = server.get(&path).expect(200);
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/tasks?limit=3&cursor={cursor}");
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first");
    let count = |query: &str| {
        server.get(&format!("/v1/tasks?{query}")).expect(200)["items"].as_array().unwrap().len()
    };
    assert_eq!(count("name=n0"), 4);
    assert_eq!(count("state=queued,running"), 7);
    assert_eq!(count("state=failed"), 0);
    assert_eq!(count("live=true&user=ada"), 7);
    assert_eq!(count("owner=bob"), 0);
    assert_eq!(count("since=1h"), 7);
    assert_eq!(count("since=2999-01-01T00:00:00Z"), 0);
    assert_eq!(count(&format!("prefix={}", seen[0])), 1);
    assert_eq!(count("project=other"), 0);
}

#[test]
fn a_task_is_cancelled_in_any_state_any_number_of_times() {
    let server = Server::start();
    let queued = server.submit(&json!({"command": ["true"], "held": true}));
    for _ in 0..2 {
        let task = server.post(&format!("/v1/tasks/{queued}/cancel"), &json!({})).expect(200);
        assert_eq!(task["state"], "cancelled");
    }
    let running = server.sleeper();
    let path = format!("/v1/tasks/{running}");
    assert_eq!(server.call(&server.tokens.member, "DELETE", &path, &[], b"").status, 200);
    server.in_state(&running, "cancelled");
    server.post(&format!("/v1/tasks/{running}/cancel"), &json!({"grace": "1s"})).expect(200);
}

#[test]
fn a_change_needs_the_revision_that_was_read() {
    let server = Server::start();
    let id = server.submit(&json!({"command": ["true"], "held": true}));
    let path = format!("/v1/tasks/{id}");
    let tag = server.get(&path).header("etag").unwrap().to_owned();
    let change = |tag: &str, body: &str| {
        server.call(&server.tokens.member, "PATCH", &path, &[("If-Match", tag)], body.as_bytes())
    };
    let reply = change(&tag, r#"{"priority":7}"#);
    assert_eq!(reply.expect(200)["priority"], 7);
    assert_ne!(reply.header("etag"), Some(tag.as_str()));
    change(&tag, r#"{"priority":8}"#).refused(412, "revision_mismatch");
    change("abc", r#"{"priority":8}"#).refused(400, "bad_request");
    change("*", r#"{"gpu":0.5}"#).refused(409, "not_supported");
    change("*", "{}").refused(422, "bad_spec");
    assert_eq!(change("*", r#"{"held":false}"#).expect(200)["held"], false);
    server.in_state(&id, "succeeded");
    change("*", r#"{"priority":8}"#).refused(409, "wrong_state");
}

#[test]
fn what_no_backend_can_do_is_said_and_changes_nothing() {
    let server = Server::start();
    let id = server.sleeper();
    for verb in ["suspend", "resume"] {
        server.post(&format!("/v1/tasks/{id}/{verb}"), &json!({})).refused(409, "not_supported");
    }
    server.in_state(&id, "running");
}

#[test]
fn a_retry_is_a_new_task_with_the_same_program() {
    let server = Server::start();
    let id = server.submit(&json!({"name": "again", "command": ["fail"], "gpu": 0.5}));
    server.in_state(&id, "failed");
    let reply = server.post(&format!("/v1/tasks/{id}/retry"), &json!({}));
    let second = reply.expect(201);
    assert_ne!(second["id"], id.as_str());
    assert_eq!((&second["name"], &second["command"]), (&json!("again"), &json!(["fail"])));
    server.in_state(second["id"].as_str().unwrap(), "failed");
}

#[test]
fn what_has_not_ended_is_not_run_a_second_time() {
    let server = Server::start();
    let running = server.sleeper();
    let held = server.submit(&json!({"command": ["true"], "held": true}));
    for (id, state) in [(running, "running"), (held, "queued")] {
        let reply = server.post(&format!("/v1/tasks/{id}/retry"), &json!({}));
        reply.refused(409, "wrong_state");
        let problem = reply.json();
        assert!(problem["detail"].as_str().unwrap().contains(state), "{problem}");
        assert!(problem["hint"].as_str().unwrap().contains("cancel"), "{problem}");
    }
    assert_eq!(server.get("/v1/tasks").json()["items"].as_array().unwrap().len(), 2);
}

#[test]
fn why_speaks_of_tasks_of_other_projects_without_naming_them() {
    let server = Server::start();
    let holder = json!({"command": ["sleep"], "gpu": {"count": 1, "max": 16}, "time_limit": "1h"});
    let id = server.submit(&holder);
    server.in_state(&id, "running");
    let waiting = json!({"command": ["true"]});
    let why = |token: &str| {
        let made = server.call(token, "POST", "/v1/tasks", &[], waiting.to_string().as_bytes()).expect(201);
        let path = format!("/v1/tasks/{}/explain", made["id"].as_str().unwrap());
        server.call(token, "GET", &path, &[], b"").expect(200).to_string()
    };
    let (own, foreign) = (why(&server.tokens.member), why(&server.tokens.foreign));
    assert!(own.contains(&id), "{own}");
    assert!(foreign.contains("a task of another project") && !foreign.contains(&id), "{foreign}");
}

#[test]
fn a_reservation_is_released_into_success() {
    let server = Server::start();
    let id = server.submit(&json!({"gpu": 1, "time_limit": "1h"}));
    let task = server.in_state(&id, "running");
    assert_eq!(
        (&task["reservation"], &task["grant"][0]["gpus"][0]["share_milli"]),
        (&json!(true), &json!(1_000))
    );
    for _ in 0..2 {
        server.post(&format!("/v1/tasks/{id}/release"), &json!({})).expect(200);
    }
    server.in_state(&id, "succeeded");
}

#[test]
fn a_waiting_task_says_why() {
    let server = Server::start();
    for _ in 0..4 {
        server.submit(&json!({"gpu": 1, "time_limit": "1h"}));
    }
    let id = server.submit(&json!({"command": ["true"], "gpu": 1}));
    let why = server.until("it is explained", || {
        let why = server.get(&format!("/v1/tasks/{id}/explain")).expect(200);
        (!why["position"].is_null()).then_some(why)
    });
    assert_eq!((&why["id"], &why["state"]), (&json!(id), &json!("queued")));
    assert_eq!(why["position"], json!({"place": 1, "of": 1}));
    assert!(!why["headline"].as_str().unwrap().is_empty());
}
