//! The server's own log: what an operator follows at three in the morning.

use crate::world::{World, wait_for};

/// The value behind `key=` in a line.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("{key}="))?;
    rest.split([' ', '}']).next()
}

#[test]
fn a_task_is_followed_from_the_request_that_made_it_to_its_exit_by_ids_alone() {
    let world = World::with_log("debug");
    let other = world.submit(&[], "exit 0");
    let task = world.submit(&[], "exit 3");
    for (id, state) in [(&other, "succeeded"), (&task, "failed")] {
        world.wait_for_state(id, state);
    }
    let log = wait_for("the end is in the log", || {
        let log = world.server_log();
        log.lines().any(|line| line.contains(&task) && line.contains("exited")).then_some(log)
    });
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&task)).collect();
    let step = |word: &str| {
        let found: Vec<&&str> = lines.iter().filter(|line| line.contains(word)).collect();
        assert_eq!(found.len(), 1, "{word}: {lines:#?}");
        *found[0]
    };
    // Somebody complains of a request: its id leads to the task,
    let accepted = step(": accepted ");
    let request = field(accepted, "request").unwrap();
    assert!(request.starts_with("r-") && accepted.contains("POST") && accepted.contains("/v1/tasks"));
    let of_request: Vec<&str> = log.lines().filter(|line| field(line, "request") == Some(request)).collect();
    assert!(of_request.iter().any(|line| line.contains(": answered status=201")), "{of_request:#?}");
    assert!(of_request.iter().all(|line| !line.contains(&other)), "{of_request:#?}");
    // the task to the round that placed it,
    assert!(field(step(": placed "), "round").is_some_and(|round| round.parse::<u64>().is_ok()));
    // and to its attempt, from launch to exit.
    for word in [": to be launched", ": started", ": exited how=\"code 3\""] {
        let line = step(word);
        let ids = ["task", "node", "attempt"].map(|key| field(line, key));
        assert_eq!(ids, [Some(task.as_str()), Some("node-0"), Some("1")], "{line}");
    }
    // The answer to the request goes its own way meanwhile.
    let order = [": placed ", ": to be launched", ": started", ": exited"]
        .map(|word| lines.iter().position(|line| line.contains(word)).unwrap());
    assert!(order.is_sorted(), "{lines:#?}");
}
