//! Queues: their rules, who waits in them, and when it will probably start.

use std::sync::Barrier;

use serde_json::{Value, json};

use crate::harness::Server;

/// Sets the rules of queues, as an administrator.
fn put(server: &Server, queues: &Value) -> crate::http::Reply {
    let mut config = server.get("/v1/config").expect(200);
    config["queues"] = queues.clone();
    server.call(&server.tokens.admin, "PUT", "/v1/config", &[], config.to_string().as_bytes())
}

/// All GPUs of the server are held by one task for an hour.
fn busy(server: &Server) -> String {
    let id = server.submit(&json!({"gpu": 4, "time_limit": "1h"}));
    server.in_state(&id, "running");
    id
}

#[test]
fn a_queue_has_rules_and_says_who_waits_in_it() {
    let server = Server::start();
    put(&server, &json!({"nightly": {"priority": -5, "order": "shortest", "wait_max_ms": 1000}})).expect(200);
    let running = busy(&server);
    let first = server.submit(&json!({"command": ["true"], "queue": "nightly", "expected_duration": "1m"}));
    let second = server.submit(&json!({"command": ["true"], "queue": "nightly", "gpu": 2, "name": "big",
        "expected_duration": "2h"}));
    let queues = server.get("/v1/queues").expect(200);
    let names: Vec<_> = queues["items"].as_array().unwrap().iter().map(|queue| &queue["name"]).collect();
    assert_eq!(names, ["default", "nightly"]);
    let (default, nightly) = (&queues["items"][0], &queues["items"][1]);
    assert_eq!(default["policy"]["order"], "fifo");
    assert_eq!((&default["running"], &default["gpus_held_milli"]), (&json!(1), &json!(4_000)));
    assert_eq!((&default["waiting"], &default["head"]), (&json!(0), &Value::Null));
    assert_eq!(
        nightly["policy"],
        json!({"priority": -5, "order": "shortest", "placement": "fragmentation", "preempt": "spot",
            "wait_max_ms": 1000})
    );
    assert_eq!((&nightly["waiting"], &nightly["gpus_asked_milli"]), (&json!(2), &json!(3_000)));
    assert_eq!(nightly["head"]["id"], first.as_str());
    assert!(nightly["oldest_wait_ms"].is_u64());

    let detail = server.get("/v1/queues/nightly").expect(200);
    let listed = detail["first"].as_array().unwrap();
    assert_eq!(listed.iter().map(|task| &task["id"]).collect::<Vec<_>>(), [&first, &second]);
    assert_eq!((&listed[1]["place"], &listed[1]["name"]), (&json!(2), &json!("big")));
    let task = server.get(&format!("/v1/tasks/{second}")).expect(200);
    assert_eq!((&task["queue"], &task["expected_duration_ms"]), (&json!("nightly"), &json!(7_200_000)));
    let filtered = server.get("/v1/tasks?queue=nightly").expect(200);
    assert_eq!(filtered["items"].as_array().unwrap().len(), 2);
    assert_eq!(server.get("/v1/tasks?queue=default").expect(200)["items"][0]["id"], running.as_str());
    let missing = server.get("/v1/queues/daily").refused(404, "not_found");
    assert!(missing["hint"].as_str().unwrap().contains("fastgpu queue"));
}

#[test]
fn a_task_that_waits_says_when_it_will_probably_start() {
    let server = Server::start();
    let running = busy(&server);
    let id = server.submit(&json!({"command": ["true"]}));
    // Forecasts are fresh for a second: the task may not be in the first.
    let task = server.until("there is a forecast", || {
        let task = server.get(&format!("/v1/tasks/{id}")).expect(200);
        task["expected_at"].is_string().then_some(task)
    });
    assert_eq!(task["expected_basis"], "limits");
    let started = server.get(&format!("/v1/tasks/{running}")).expect(200)["started_at"].clone();
    let why = server.get(&format!("/v1/tasks/{id}/explain")).expect(200);
    assert_eq!(why["expected_at"], task["expected_at"]);
    assert_eq!(why["expected_at"], why["earliest_at"]);
    assert!(task["expected_at"].as_str() > started.as_str());
    let list = server.get("/v1/tasks").expect(200);
    assert_eq!(
        (&list["items"][0]["expected_at"], &list["items"][1]["expected_at"]),
        (&task["expected_at"], &Value::Null)
    );
    assert_eq!(server.get("/v1/queues/default").expect(200)["first"][0]["expected_at"], task["expected_at"]);
    let ended = server.get(&format!("/v1/tasks/{running}/explain")).expect(200);
    assert_eq!(ended["expected_at"], Value::Null);
}

#[test]
fn tasks_of_other_projects_are_counted_in_a_queue_and_never_named() {
    let server = Server::start();
    busy(&server);
    let id = server.submit(&json!({"command": ["true"], "name": "secret-name", "gpu": 3}));
    let foreign = |path: &str| server.call(&server.tokens.foreign, "GET", path, &[], b"");
    let detail = foreign("/v1/queues/default");
    assert!(!detail.text().contains(&id) && !detail.text().contains("secret-name"), "{}", detail.text());
    let detail = detail.expect(200);
    assert_eq!((&detail["waiting"], &detail["running"]), (&json!(1), &json!(1)));
    let head = &detail["first"][0];
    assert_eq!((&head["id"], &head["owner"], &head["gpu"]), (&Value::Null, &Value::Null, &Value::Null));
}

#[test]
fn a_task_in_a_queue_that_does_not_exist_is_refused_with_those_that_do() {
    let server = Server::start();
    put(&server, &json!({"nightly": {}})).expect(200);
    let refused = server.post("/v1/tasks", &json!({"command": ["true"], "queue": "nightlie"}));
    let problem = refused.refused(422, "no_such_queue");
    assert_eq!(problem["hint"], "the queues here are: default, nightly");
    assert_eq!(problem["errors"][0]["pointer"], "/queue");
}

#[test]
fn what_waits_in_a_queue_that_is_taken_out_stays_and_is_seen() {
    let server = Server::start();
    put(&server, &json!({"nightly": {"order": "shortest"}})).expect(200);
    busy(&server);
    let id = server.submit(&json!({"command": ["true"], "queue": "nightly"}));
    put(&server, &json!({})).expect(200);
    let detail = server.get("/v1/queues/nightly").expect(200);
    assert_eq!((&detail["configured"], &detail["policy"]["order"]), (&json!(false), &json!("fifo")));
    assert_eq!(detail["head"]["id"], id.as_str());
    server.call(&server.tokens.member, "DELETE", &format!("/v1/tasks/{id}"), &[], b"").expect(200);
    server.get("/v1/queues/nightly").refused(404, "not_found");
}

#[test]
fn rules_of_queues_are_checked_with_the_rest_of_the_configuration() {
    let server = Server::start();
    let problem = put(&server, &json!({"a": {"order": "fifi", "preempt": "all"}})).refused(422, "bad_config");
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors[0]["pointer"], "/queues/a/order");
    assert!(errors[0]["detail"].as_str().unwrap().contains("fifo, least_attained"), "{errors:?}");
    assert_eq!(errors.len(), 2);
    put(&server, &json!({"a": {"ordr": "fifo"}})).refused(422, "bad_spec");
    for (queues, says) in [
        (json!({"Not a name": {}}), "is no name of a queue"),
        (json!({"a": {"priority": 2_000_000}}), "queues.a.priority"),
        (json!({"a": {"wait_max_ms": 0}}), "queues.a.wait_max"),
    ] {
        let problem = put(&server, &queues).refused(422, "bad_config");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    // None of it changed anything, and a document without queues leaves them alone.
    put(&server, &json!({"a": {}})).expect(200);
    let mut config = server.get("/v1/config").expect(200);
    config.as_object_mut().unwrap().retain(|key, _| key != "queues" && key != "revision");
    server.call(&server.tokens.admin, "PUT", "/v1/config", &[], config.to_string().as_bytes()).expect(200);
    assert_eq!(server.get("/v1/queues/a").expect(200)["configured"], true);
}

#[test]
fn only_one_of_several_changes_from_the_same_configuration_is_taken() {
    const AT_ONCE: usize = 8;
    let server = Server::start();
    // Often enough that changes meet in between reading and replacing.
    for round in 0..20 {
        let config = server.get("/v1/config").expect(200);
        let together = Barrier::new(AT_ONCE);
        let change = |number: usize| {
            let mut config = config.clone();
            config["queues"][format!("queue-{round}-{number}")] = json!({});
            let body = config.to_string();
            together.wait();
            server.call(&server.tokens.admin, "PUT", "/v1/config", &[], body.as_bytes()).status
        };
        let change = &change;
        let mut statuses: Vec<u16> = std::thread::scope(|scope| {
            let sent: Vec<_> = (0..AT_ONCE).map(|number| scope.spawn(move || change(number))).collect();
            sent.into_iter().map(|one| one.join().unwrap()).collect()
        });
        statuses.sort_unstable();
        assert_eq!((statuses[0], &statuses[1..]), (200, &[412; AT_ONCE - 1][..]), "round {round}");
    }
}

#[test]
fn labels_choose_nodes_and_wrong_ones_are_named() {
    let server = Server::start();
    let nodes = server.get("/v1/nodes").expect(200);
    assert_eq!(nodes["items"][0]["labels"], json!(["rack=7", "zone=north"]));
    let id = server.submit(&json!({"command": ["true"], "labels": ["zone=north"]}));
    assert_eq!(server.in_state(&id, "succeeded")["labels"], json!(["zone=north"]));
    let elsewhere = json!({"command": ["true"], "labels": ["zone=south"]});
    let problem = server.post("/v1/tasks", &elsewhere).refused(422, "no_such_capacity");
    assert_eq!(problem["errors"][0]["pointer"], "/labels");
    let wrong = json!({"command": ["true"], "labels": ["zone=north", "rack"]});
    let problem = server.post("/v1/tasks", &wrong).refused(422, "bad_spec");
    assert_eq!(problem["errors"][0]["pointer"], "/labels/1");
    let both = json!({"command": ["true"], "labels": ["zone=north", "zone=south"]});
    server.post("/v1/tasks", &both).refused(422, "bad_spec");
}

#[test]
fn gpu_time_that_a_task_has_had_is_shown() {
    let server = Server::start();
    let id = busy(&server);
    server.until("it has had GPU time", || {
        let task = server.get(&format!("/v1/tasks/{id}")).expect(200);
        (task["attained_gpu_milli_ms"].as_u64().unwrap() > 0).then_some(())
    });
    server.call(&server.tokens.member, "POST", &format!("/v1/tasks/{id}/release"), &[], b"").expect(200);
    let ended = server.in_state(&id, "succeeded");
    let usage = server.get(&format!("/v1/tasks/{id}/usage")).expect(200);
    assert_eq!(ended["attained_gpu_milli_ms"], usage["gpu_milli_ms"]);
    let without = server.sleeper();
    assert_eq!(server.get(&format!("/v1/tasks/{without}")).expect(200)["attained_gpu_milli_ms"], 0);
}
