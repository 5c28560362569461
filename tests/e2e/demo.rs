//! The demo tells its whole story and leaves nothing behind.

use std::time::{Duration, Instant};

use crate::world::World;

/// What the demo promises.
const DEMO_MAX: Duration = Duration::from_secs(40);

#[test]
fn the_demo_tells_everything_in_time_and_cleans_up() {
    let world = World::empty();
    let began = Instant::now();
    let ran = world.run(&["demo", "--simulate", "4xA100-80GB"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(began.elapsed() < DEMO_MAX, "{:?}", began.elapsed());
    for part in
        ["software GPUs", "slice", "whole", "gang", "waits", "attempt 2", "/submit_task", "\"finished\""]
    {
        assert!(ran.stdout.contains(part), "`{part}` is missing:\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\x1b'), "plain where nobody looks");
    let left: Vec<_> =
        std::fs::read_dir(world.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("demo")), "{left:?}");
}
