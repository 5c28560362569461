//! Bad input: each with its own clear answer.

use serde_json::json;

use crate::harness::Server;
use crate::http::call;

#[test]
fn wrong_specifications_are_refused_with_the_place_and_what_to_do() {
    let server = Server::start();
    let refuse = |body: &str| {
        server.call(&server.tokens.member, "POST", "/v1/tasks", &[], body.as_bytes()).refused(422, "bad_spec")
    };
    let cases = [
        (r#"{"comand":["x"]}"#, "/comand", "did you mean `command`?"),
        (r#"{"command":["x"],"gpu":0}"#, "/gpu", "for a task without a GPU write `\"none\"`"),
        (r#"{"command":["x"],"gpu":-0.5}"#, "/gpu", "less than nothing"),
        (r#"{"command":["x"],"gpu":1.5}"#, "/gpu", "write 1 or 2"),
        (r#"{"command":["x"],"gpu":"NaN"}"#, "/gpu", "not a number of GPUs"),
        (r#"{"command":["x"],"name":"a\u001b[2J"}"#, "/name", "not allowed in a name"),
        (r#"{"command":["x"],"name":"../../etc/passwd"}"#, "/name", "climb out of a folder"),
        (r#"{"command":["x"],"name":"x","name":"y"}"#, "/name", "given twice"),
        (r#"{"command":["x"],"project":"../x"}"#, "/project", "climb out"),
        (r#"{"command":"python x"}"#, "/command", "must be a list of texts"),
        (r#"{"command":["x"],"env":{"A B":"1"}}"#, "/env/A B", "variable's name"),
        (r#"{"command":["x"],"working_dir":"relative"}"#, "/working_dir", "absolute path"),
        ("{}", "/time_limit", "is a reservation"),
    ];
    for (body, pointer, part) in cases {
        let problem = refuse(body);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(part), "{problem}");
    }
}

#[test]
fn more_than_there_is_is_refused_unless_the_task_will_wait_for_it() {
    let server = Server::start();
    let big = json!({"command": ["x"], "gpu_memory": "200GiB"});
    let problem = server.post("/v1/tasks", &big).refused(422, "no_such_capacity");
    assert_eq!(problem["errors"][0]["pointer"], "/gpu_memory");
    assert!(problem["detail"].as_str().unwrap().contains("the largest has 80 GiB"), "{problem}");
    assert!(problem["hint"].as_str().unwrap().contains("--gpu-memory"), "{problem}");
    let many = json!({"command": ["x"], "gpu": 64});
    let problem = server.post("/v1/tasks", &many).refused(422, "no_such_capacity");
    assert_eq!(problem["errors"][0]["pointer"], "/gpu");
    server.post("/v1/tasks", &json!({"command": ["x"], "gpu": 64, "wait_for_capacity": true})).expect(201);
}

#[test]
fn what_is_not_json_answers_400_at_once() {
    let server = Server::start();
    let send = |body: &[u8]| server.call(&server.tokens.member, "POST", "/v1/tasks", &[], body);
    for body in [&b"{"[..], b"nonsense", br#"{"gpu":NaN}"#, b"{\"name\":\"\xff\xfe\"}"] {
        send(body).refused(400, "bad_json");
    }
    for open in ["[", r#"{"gpu":"#, r#"{"env":"#] {
        send(open.repeat(10_000).as_bytes()).refused(400, "bad_json");
    }
    let empty = call(
        server.address,
        "POST",
        "/v1/tasks",
        &[("Authorization", &format!("Bearer {}", server.tokens.member))],
        b"",
    );
    empty.refused(400, "bad_json");
}

#[test]
fn bodies_have_a_limit_whether_announced_or_not() {
    let server = Server::start();
    let large = format!(r#"{{"command":["{}"]}}"#, "x".repeat(1 << 20));
    let member = &server.tokens.member;
    server.call(member, "POST", "/v1/tasks", &[], large.as_bytes()).refused(413, "body_too_large");
    // A batch may be larger; its commands may not.
    let batch = format!(r#"{{"tasks":[{large}]}}"#);
    let problem =
        server.call(member, "POST", "/v1/tasks:batch", &[], batch.as_bytes()).refused(422, "bad_spec");
    assert_eq!(problem["errors"][0]["pointer"], "/tasks/0/command");
    let authorization = format!("Bearer {member}");
    let announced = [("Authorization", authorization.as_str()), ("Content-Length", "99999999999")];
    call(server.address, "POST", "/v1/tasks:batch", &announced, b"").refused(413, "body_too_large");
    let chunk = format!("{:x}\r\n{}\r\n", 2 << 20, "x".repeat(2 << 20));
    let chunked =
        [("Authorization", authorization.as_str()), ("Transfer-Encoding", "chunked\r\n\r\n"), ("x", &chunk)];
    let reply = call(server.address, "POST", "/v1/tasks", &chunked[..2], b"");
    assert!(reply.status == 400 || reply.status == 413, "{}", reply.text());
}

#[test]
fn a_batch_takes_ten_thousand_tasks_and_not_one_more() {
    let server = Server::start();
    let batch = |count: usize| {
        format!(r#"{{"tasks":[{}]}}"#, vec![r#"{"command":["x"],"held":true}"#; count].join(","))
    };
    let member = &server.tokens.member;
    let send = |count: usize| server.call(member, "POST", "/v1/tasks:batch", &[], batch(count).as_bytes());
    assert_eq!(send(10_000).expect(201)["items"].as_array().unwrap().len(), 10_000);
    let problem = send(10_001).refused(413, "batch_too_large");
    assert!(problem["hint"].as_str().unwrap().contains("10000"), "{problem}");
}

#[test]
fn unknown_ids_paths_methods_and_kinds_are_named() {
    let server = Server::start();
    let problem = server.get("/v1/tasks/t-0000000000001").refused(404, "not_found");
    assert_eq!(problem["detail"], "there is no task t-0000000000001");
    let problem = server.get("/v1/tasks/node-7").refused(404, "not_found");
    assert_eq!(problem["detail"], "`node-7` is not a task id");
    server.get("/v1/tasks/%ff").refused(404, "not_found");
    server.get("/v1/tasks/..%2f..%2fetc").refused(404, "not_found");
    server.get("/v1/nothing").refused(404, "not_found");
    server.call(&server.tokens.admin, "POST", "/v1/nodes/node-99/drain", &[], b"").refused(404, "not_found");
    server.call(&server.tokens.admin, "DELETE", "/v1/tokens/nobody", &[], b"").refused(404, "not_found");
    let wrong = server.call(&server.tokens.admin, "PUT", "/v1/tasks", &[], b"");
    wrong.refused(405, "method_not_allowed");
    assert!(wrong.header("allow").unwrap().contains("POST"));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let authorization = format!("Bearer {}", server.tokens.member);
    let headers = [("Authorization", authorization.as_str()), form[0]];
    call(server.address, "POST", "/v1/tasks", &headers, b"gpu=1").refused(415, "unsupported_media_type");
    let xml = [("Authorization", authorization.as_str()), ("Content-Type", "text/xml")];
    call(server.address, "POST", "/v1/tasks", &xml, b"{}").refused(415, "unsupported_media_type");
    // What `curl -d '{…}'` announces when nobody tells it better.
    call(server.address, "POST", "/v1/tasks", &headers, br#"{"command":["true"]}"#).expect(201);
    let long = [("X-Long", "x".repeat(20_000))];
    server
        .call(&server.tokens.admin, "GET", "/v1/tasks", &[(long[0].0, &long[0].1)], b"")
        .refused(431, "headers_too_large");
}

#[test]
fn wrong_parameters_are_named_with_the_nearest_word() {
    let server = Server::start();
    let cases = [
        ("/v1/tasks?stat=queued", "there is no parameter `stat`", "did you mean `state`?"),
        ("/v1/tasks?state=runing", "there is no state `runing`", "did you mean `running`?"),
        ("/v1/tasks?limit=0", "`limit=0` is out of range, which is 1 to 1000", ""),
        ("/v1/tasks?limit=many", "`limit=many` is not a whole number in range", ""),
        ("/v1/tasks?limit=1&limit=2", "the parameter `limit` is given twice", ""),
        ("/v1/tasks?since=yesterday", "`since=yesterday` is not a time", "write for example"),
        ("/v1/tasks?cursor=x", "the cursor is malformed; use `next_cursor` as it came", ""),
        ("/v1/tasks?live=maybe", "`live=maybe` is neither true nor false", ""),
        ("/v1/gpus?x=1", "there is no parameter `x`", "this path takes no parameters"),
    ];
    for (path, detail, hint) in cases {
        let problem = server.get(path).refused(400, "bad_request");
        assert_eq!(problem["detail"], detail);
        assert!(problem["hint"].as_str().unwrap_or_default().contains(hint), "{problem}");
    }
    let id = server.submit(&json!({"command": ["true"], "held": true}));
    server.get(&format!("/v1/tasks/{id}/wait?timeout=1000")).refused(400, "bad_request");
    server.get(&format!("/v1/tasks/{id}/wait?until=never")).refused(400, "bad_request");
    server.get(&format!("/v1/tasks/{id}/logs?attempt=1")).refused(404, "not_found");
    server.get(&format!("/v1/tasks/{id}/logs?format=pdf")).refused(400, "bad_request");
}

#[test]
fn tokens_are_refused_in_words_that_give_nothing_away() {
    let server = Server::start();
    let with = |token: &str| server.call(token, "GET", "/v1/tasks", &[], b"");
    let missing = call(server.address, "GET", "/v1/tasks", &[], b"");
    assert_eq!(missing.refused(401, "unauthenticated")["detail"], "no token was sent");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer"));
    with("nonsense").refused(401, "unauthenticated");
    let unknown = with(&server.tokens.unknown).refused(401, "unauthenticated");
    assert_eq!(unknown["detail"], "this token is not known here");
    with(&server.tokens.expired).refused(401, "token_expired");
    with(&server.tokens.revoked).refused(401, "token_revoked");
    let basic = call(server.address, "GET", "/v1/tasks", &[("Authorization", "Basic eDp5")], b"");
    basic.refused(401, "unauthenticated");
    // The right public part with another secret is as unknown as any other.
    let (known, other) = (&server.tokens.expired, &server.tokens.unknown);
    let mut forged = format!("{}{}", &known[..12], &other[12..55]);
    let check = blake3::hash(forged.as_bytes());
    assert_eq!(with(&forged).status, 401);
    forged.push_str(&check.to_hex()[..6]);
    with(&forged).refused(401, "unauthenticated");
}

#[test]
fn too_many_wrong_tokens_slow_down_only_the_wrong_ones() {
    let server = Server::with(fastgpu_server::Options { auth_failures_per_minute: 3, ..Default::default() });
    for _ in 0..3 {
        assert_eq!(server.call("wrong", "GET", "/v1/tasks", &[], b"").status, 401);
    }
    let reply = server.call("wrong", "GET", "/v1/tasks", &[], b"");
    reply.refused(429, "too_many_failures");
    assert!(reply.header("retry-after").is_some());
    server.get("/v1/tasks").expect(200);
}
