//! What scripts rely on: the shapes of `-o json`, `-o jsonl` and `-o id`.

use crate::world::World;

#[test]
fn a_new_token_comes_with_its_secret_and_a_listed_one_without() {
    let world = World::with_gpus("1xA100-80GB");
    let made = world.json(&["token", "create", "--role", "admin", "--expires", "30d", "-o", "json"]);
    let secret = made["token"].as_str().unwrap();
    assert!(secret.starts_with("fgp_"));
    assert_eq!(made["role"], "admin");
    assert!(made["expires_at"].is_string());
    let listed = world.ok(&["token", "list", "-o", "json"]);
    assert!(!listed.contains(secret) && listed.contains(made["id"].as_str().unwrap()));
}

#[test]
fn a_detached_run_prints_the_id_and_nothing_else() {
    let world = World::with_gpus("1xA100-80GB");
    let ran = world.run(&["run", "-d", "-o", "id", "--gpu", "0.25", "--", "true"]);
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.stderr, "");
    let id = ran.stdout.strip_suffix('\n').unwrap();
    assert_eq!((id.len(), &id[..2]), (15, "t-"), "{id}");
    assert_eq!(world.run(&["wait", id]).code, Some(0));
    // The table form is the same, for `$(fastgpu run -d …)`.
    assert_eq!(world.ok(&["run", "-d", "--gpu", "0.25", "--", "true"]).len(), 15);
}

#[test]
fn listings_have_items_and_a_cursor() {
    let world = World::with_gpus("1xA100-80GB");
    for code in 0..3 {
        world.run(&["run", "--gpu", "0.5", "--name", "shape", "--", "sh", "-c", &format!("exit {code}")]);
    }
    let page = world.json(&["ps", "-a", "-o", "json", "--limit", "2"]);
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    let newest = &items[0];
    assert_eq!(
        (&newest["name"], &newest["state"], &newest["exit_code"], &newest["attempt"]),
        (&"shape".into(), &"failed".into(), &2.into(), &1.into())
    );
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = world.json(&["ps", "-a", "-o", "json", "--cursor", cursor]);
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert!(rest["next_cursor"].is_null());
    let lines = world.ok(&["ps", "-a", "-o", "jsonl"]);
    assert_eq!(
        lines.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count(),
        3
    );
    assert_eq!(world.ok(&["ps", "-a", "-o", "id", "--state", "succeeded"]).lines().count(), 1);
}

#[test]
fn gpus_say_what_they_are() {
    let world = World::with_gpus("2xA100-80GB");
    let gpus = world.json(&["gpus", "-o", "json"]);
    let first = &gpus["items"][0];
    assert_eq!(gpus["items"].as_array().unwrap().len(), 2);
    assert_eq!((&first["memory_mib"], &first["simulated"]), (&81_152.into(), &true.into()));
    assert_eq!(first["model"], "NVIDIA A100-SXM4-80GB");
    assert!(!first["uuid"].as_str().unwrap().is_empty());
    let nodes = world.json(&["nodes", "-o", "json"]);
    assert_eq!((&nodes["items"][0]["id"], &nodes["items"][0]["gpus"]), (&"node-0".into(), &2.into()));
}

#[test]
fn a_drained_node_starts_nothing_until_it_is_resumed() {
    let world = World::with_gpus("1xA100-80GB");
    world.ok(&["nodes", "drain", "node-0"]);
    let task = world.submit(&["--gpu", "1"], "true");
    assert!(world.ok(&["nodes"]).contains("drained"));
    assert_eq!(world.state(&task), "queued");
    world.ok(&["nodes", "resume", "node-0"]);
    assert_eq!(world.run(&["wait", &task]).code, Some(0));
}

#[test]
fn versions_and_completions_are_printed_without_a_server() {
    let world = World::empty();
    let versions = world.json(&["version", "-o", "json"]);
    assert_eq!((&versions["program"], &versions["server"]), (&env!("CARGO_PKG_VERSION").into(), &().into()));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(world.ok(&["completion", shell]).contains("fastgpu"), "{shell}");
    }
    let doctor = world.run(&["doctor", "-o", "json"]);
    let checks: serde_json::Value = serde_json::from_str(&doctor.stdout).unwrap();
    assert!(checks["items"].as_array().unwrap().iter().any(|check| check["name"] == "driver"), "{checks}");
}
