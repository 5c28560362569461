//! Every route with every kind of token. The routes come from the server's own table: a new one without a
//! row here fails the test.

use fastgpu_server::routes::{Access, Parameters, Route, table};
use serde_json::json;

use crate::harness::Server;
use crate::http::{Reply, call};

/// A request that would succeed for somebody who may: path and body.
fn example(server: &Server, route: Route) -> (String, String) {
    let task = || server.submit(&json!({"command": ["true"], "held": true}));
    let of_task = |rest: &str| format!("/v1/tasks/{}{rest}", task());
    let no_body = |path: String| (path, String::new());
    let config = json!({"queue_max": 1000, "batch_max": 10, "overtake_max_ms": 1, "price_micros": 0, "time_limit_default_ms": null});
    match (route.method, route.path) {
        ("POST", "/v1/tasks") => ("/v1/tasks".to_owned(), r#"{"command":["true"],"held":true}"#.to_owned()),
        ("POST", "/v1/tasks:batch") => {
            ("/v1/tasks:batch".to_owned(), r#"{"tasks":[{"command":["true"],"held":true}]}"#.to_owned())
        }
        ("PATCH", "/v1/tasks/{id}") => (of_task(""), r#"{"priority":1}"#.to_owned()),
        ("GET" | "DELETE", "/v1/tasks/{id}") => no_body(of_task("")),
        ("POST", "/v1/tasks/{id}/retry") => {
            let id = task();
            server.call(&server.tokens.admin, "DELETE", &format!("/v1/tasks/{id}"), &[], b"").expect(200);
            no_body(format!("/v1/tasks/{id}/retry"))
        }
        ("GET", "/v1/tasks/{id}/wait") => no_body(of_task("/wait?timeout=0")),
        (_, path) if path.starts_with("/v1/tasks/{id}/") => no_body(of_task(&path["/v1/tasks/{id}".len()..])),
        ("POST", "/v1/nodes/{id}/drain" | "/v1/nodes/{id}/resume") => {
            no_body(route.path.replace("{id}", "node-0"))
        }
        ("POST", "/v1/tokens") => ("/v1/tokens".to_owned(), r#"{"role":"viewer","owner":"bob"}"#.to_owned()),
        ("DELETE", "/v1/tokens/{id}") => {
            let made = server.call(&server.tokens.admin, "POST", "/v1/tokens", &[], b"{}").expect(201);
            no_body(format!("/v1/tokens/{}", made["id"].as_str().unwrap()))
        }
        ("PUT", "/v1/config") => ("/v1/config".to_owned(), config.to_string()),
        ("POST", "/submit_task") => {
            let body = json!({"user_id": "u", "task_name": "t", "resource_count": 1, "execute_time": 1});
            ("/submit_task".to_owned(), body.to_string())
        }
        (_, "/query_task_status" | "/release_resource") => {
            no_body(format!("{}?task_id={}", route.path, task()))
        }
        ("GET", "/v1/queues/{name}") => no_body("/v1/queues/default".to_owned()),
        ("GET", path) if !path.contains('{') => no_body(path.to_owned()),
        other => panic!("the matrix has no row for {other:?}: add one"),
    }
}

/// Whether a route speaks of one task, which others must not learn of.
fn is_of_a_task(route: Route) -> bool {
    route.path.starts_with("/v1/tasks/{id}")
        || route.path.contains("_task_status")
        || route.path.contains("release_resource")
}

#[test]
fn every_route_keeps_out_who_may_not_and_lets_in_who_may() {
    let server = Server::start();
    let tokens = server.tokens.clone();
    let mut tried = 0;
    for route in table() {
        let mut expect = |who: &str, token: Option<&str>, is_right: &dyn Fn(&Reply) -> bool| {
            let (path, body) = example(&server, route);
            let reply = match token {
                Some(token) => server.call(token, route.method, &path, &[], body.as_bytes()),
                None => call(server.address, route.method, &path, &[], body.as_bytes()),
            };
            tried += 1;
            assert!(is_right(&reply), "{who}: {} {path} -> {} {}", route.method, reply.status, reply.text());
        };
        let is_done = |reply: &Reply| {
            reply.status < 300 || reply.status == 409 && reply.json()["code"] == "not_supported"
        };
        let is = |status: u16| move |reply: &Reply| reply.status == status;
        if route.access == Access::Everybody {
            expect("nobody", None, &is(200));
            continue;
        }
        for (who, token) in [
            ("nobody", None),
            ("malformed", Some("fgp_short")),
            ("unknown", Some(tokens.unknown.as_str())),
            ("expired", Some(tokens.expired.as_str())),
            ("revoked", Some(tokens.revoked.as_str())),
        ] {
            expect(who, token, &is(401));
        }
        expect("admin", Some(&tokens.admin), &is_done);
        match route.access {
            Access::Administer => {
                for (who, token) in
                    [("viewer", &tokens.viewer), ("member", &tokens.member), ("foreign", &tokens.foreign)]
                {
                    expect(who, Some(token), &is(403));
                }
            }
            Access::Write => {
                expect("viewer", Some(&tokens.viewer), &is(403));
                expect("member", Some(&tokens.member), &is_done);
            }
            Access::Read | Access::Everybody => {
                expect("viewer", Some(&tokens.viewer), &is_done);
                expect("member", Some(&tokens.member), &is_done);
            }
        }
        if is_of_a_task(route) {
            expect("foreign", Some(&tokens.foreign), &is(404));
        } else if route.access != Access::Administer {
            expect("foreign", Some(&tokens.foreign), &is_done);
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn every_route_refuses_parameters_that_its_row_does_not_name() {
    let server = Server::start();
    for route in table() {
        let (path, body) = example(&server, route);
        let ask = |parameter: &str| {
            let mark = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{mark}{parameter}=1");
            server.call(&server.tokens.admin, route.method, &path, &[], body.as_bytes())
        };
        match route.parameters {
            Parameters::Known(_) => drop(ask("no_such").refused(400, "bad_request")),
            Parameters::Ignored => assert!(ask("no_such").status < 300, "{}", route.path),
        }
    }
}

#[test]
fn a_foreign_task_is_seen_nowhere() {
    let server = Server::start();
    let id = server.submit(&json!({"gpu": 1, "time_limit": "1h", "name": "secret-name"}));
    server.in_state(&id, "running");
    for path in [
        "/v1/tasks",
        "/v1/tasks?name=secret-name",
        "/v1/gpus",
        "/v1/nodes",
        "/v1/queues",
        "/v1/queues/default",
        &format!("/v1/tasks?prefix={id}"),
    ] {
        let reply = server.call(&server.tokens.foreign, "GET", path, &[], b"");
        assert!(
            !reply.text().contains(&id) && !reply.text().contains("secret-name"),
            "{path} {}",
            reply.text()
        );
    }
    let gpus = server.call(&server.tokens.foreign, "GET", "/v1/gpus", &[], b"").expect(200);
    let others: u64 =
        gpus["items"].as_array().unwrap().iter().map(|gpu| gpu["others"].as_u64().unwrap()).sum();
    assert_eq!(others, 1);
    let elsewhere = json!({"command": ["true"], "project": "default"}).to_string();
    let reply = server.call(&server.tokens.foreign, "POST", "/v1/tasks", &[], elsewhere.as_bytes());
    reply.refused(404, "not_found");
    server
        .call(&server.tokens.foreign, "GET", "/v1/tasks?project=default", &[], b"")
        .refused(404, "not_found");
}
