//! What a task writes comes back byte for byte, and as many lines of it as were asked for.

use std::fs;
use std::io::Read;

use crate::world::World;

/// More than one frame of a log, and no multiple of one.
const RANDOM_BYTES: u64 = 300_007;

#[test]
fn whatever_bytes_a_task_writes_come_back_as_they_were() {
    let world = World::with_gpus("1xA100-80GB");
    let mut bytes = Vec::new();
    fs::File::open("/dev/urandom").unwrap().take(RANDOM_BYTES).read_to_end(&mut bytes).unwrap();
    // Characters of several bytes, which end up on both sides of an edge.
    bytes.extend("größe ≥ 24 GB 🦀\r\n\0".repeat(20_000).bytes());
    let file = world.work().join("bytes");
    fs::write(&file, &bytes).unwrap();
    let run = |words: &[&str]| world.command(words).output().unwrap();
    let ran = run(&["run", "--gpu", "none", "--", "sh", "-c", "cat bytes; cat bytes >&2"]);
    assert!(ran.status.success() && ran.stdout == bytes, "{} bytes came", ran.stdout.len());
    assert!(ran.stderr.windows(bytes.len()).any(|window| window == bytes), "stderr differs");

    let task = world.ok(&["ps", "-a", "-o", "id"]);
    let logs = run(&["logs", &task]);
    assert!(logs.stdout == bytes && logs.stderr == bytes, "{} bytes came", logs.stdout.len());
    let text = world.fetch(&format!("/v1/tasks/{task}/logs?format=text"));
    assert_eq!(text.len(), 2 * bytes.len());
    let only_stdout = world.submit(&["--gpu", "none"], "cat bytes");
    world.wait_for_state(&only_stdout, "succeeded");
    assert!(world.fetch(&format!("/v1/tasks/{only_stdout}/logs?format=text")) == bytes);
}

#[test]
fn the_last_lines_are_exactly_as_many_as_were_asked_for() {
    let world = World::with_gpus("1xA100-80GB");
    // One write, so one frame, with many lines; then a line that comes in two writes.
    let script =
        "seq 1 1000 | tr '\\n' ';' | tr ';' '\\n'; printf unfin; sleep 0.05; printf 'ished\\nend\\n'";
    let task = world.submit(&["--gpu", "none"], script);
    world.wait_for_state(&task, "succeeded");
    let tail = |lines: &str| world.ok(&["logs", "--tail", lines, &task]);
    assert_eq!(tail("1"), "end");
    assert_eq!(tail("3"), "1000\nunfinished\nend");
    assert_eq!(tail("1001").lines().next(), Some("2"));
    assert_eq!(tail("100000").lines().count(), 1_002);
    assert_eq!(tail("0"), "");
    let followed = world.ok(&["logs", "--follow", "-n", "2", &task]);
    assert_eq!(followed, "unfinished\nend");
    assert_eq!(world.fetch(&format!("/v1/tasks/{task}/logs?tail=2")), b"unfinished\nend\n");
}
