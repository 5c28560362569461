//! A server whose wall clock was set by hours since it began to count: it counts on, and shows wall time.

use fastgpu_core::change::{Change, Moment};
use fastgpu_core::units::{Millis, Timestamp};
use fastgpu_server::Options;
use fastgpu_store::{MemoryStore, Store};
use serde_json::json;

use crate::harness::Server;

const HOUR_MS: i64 = 3_600_000;

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn wall_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

/// A server that counted on this machine before, when the wall clock was `ahead_ms` behind what it is now.
fn server_behind(ahead_ms: i64) -> Server {
    let uptime = read("/proc/uptime");
    let (seconds, hundredths) = uptime.split_once(' ').unwrap().0.split_once('.').unwrap();
    let since_boot =
        Millis(seconds.parse::<u64>().unwrap() * 1_000 + hundredths.parse::<u64>().unwrap() * 10);
    let boot = read("/proc/sys/kernel/random/boot_id").trim().into();
    let mut store = MemoryStore::default();
    let term = store.begin_term().unwrap();
    let moment = Moment { at: Timestamp(wall_ms() - ahead_ms), since_boot, boot };
    store.commit(term, &[Change::Clock(moment)]).unwrap();
    Server::over(store, Options::default())
}

/// How far a moment in an answer is from the wall clock.
fn from_now_ms(moment: &serde_json::Value) -> i64 {
    let fastgpu_api::time::WallTime(at) = moment.as_str().unwrap().parse().unwrap();
    (wall_ms() - at.0).abs()
}

#[test]
fn what_people_see_is_wall_time_whatever_the_clock_of_the_server_says() {
    for ahead_ms in [5 * HOUR_MS, -5 * HOUR_MS] {
        let server = server_behind(ahead_ms);
        let id = server.submit(&json!({"command": ["sleep"], "gpu": "none"}));
        let task = server.in_state(&id, "running");
        for word in ["submitted_at", "started_at"] {
            assert!(from_now_ms(&task[word]) < HOUR_MS, "{ahead_ms}: {word} {}", task[word]);
        }
        let all = server.get("/v1/tasks?since=1h").expect(200);
        assert_eq!(all["items"].as_array().unwrap().len(), 1, "a span of the past");
        assert!(from_now_ms(&all["items"][0]["submitted_at"]) < HOUR_MS);
        for (moment, count) in [(wall_ms() - HOUR_MS, 1), (wall_ms() + HOUR_MS, 0)] {
            let since = fastgpu_api::time::WallTime(Timestamp(moment));
            let found = server.get(&format!("/v1/tasks?since={since}")).expect(200);
            assert_eq!(found["items"].as_array().unwrap().len(), count, "{ahead_ms}: since {since}");
        }
        for path in ["events", "attempts"] {
            let list = server.get(&format!("/v1/tasks/{id}/{path}")).expect(200);
            let item = &list["items"][0];
            let moment = if path == "events" { &item["at"] } else { &item["placed_at"] };
            assert!(from_now_ms(moment) < HOUR_MS, "{ahead_ms}: {path} {item}");
        }
    }
}

#[test]
fn tokens_live_on_wall_time() {
    let server = server_behind(5 * HOUR_MS);
    let body = json!({"role": "viewer", "owner": "bob", "expires_in": "1h"}).to_string();
    let made = server.call(&server.tokens.admin, "POST", "/v1/tokens", &[], body.as_bytes()).expect(201);
    assert!(from_now_ms(&made["created_at"]) < HOUR_MS / 2, "{made}");
    let secret = made["token"].as_str().unwrap();
    server.call(secret, "GET", "/v1/whoami", &[], b"").expect(200);
}
