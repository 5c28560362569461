//! Time, memory and output have limits.

use std::time::{Duration, Instant};

use fastgpu_core::node::ExitKind;
use fastgpu_node::{LogOffset, LogReader, LogStream};

use crate::Story;
use crate::support::{Node, Task};

pub(crate) const STORIES: &[Story] = &[
    ("a time limit ends a task", a_time_limit_ends_a_task),
    ("memory over the limit ends a task, or the node says it cannot", memory_over_the_limit_ends_a_task),
    ("a flood is capped, and both its ends are kept", a_flood_is_capped),
    ("a line of 100 MB and bytes of any kind pass", a_huge_line_passes),
    ("a task that writes to nobody is not held up", output_held_by_a_stranger),
];

fn a_time_limit_ends_a_task() {
    let mut node = Node::new();
    let begin = Instant::now();
    let polite = node.launch(Task::new(&["sleep", "1000"]).time_limit(Duration::from_millis(200)));
    let deaf = Task::sh("trap '' TERM; while :; do sleep 1; done").time_limit(Duration::from_millis(200));
    let deaf = node.launch(deaf);
    let quick = node.launch(Task::new(&["true"]).time_limit(Duration::from_secs(60)));
    assert_eq!(node.how(polite), ExitKind::TimeLimit);
    assert!(begin.elapsed() >= Duration::from_millis(200));
    assert_eq!(node.how(deaf), ExitKind::TimeLimit);
    assert!(begin.elapsed() >= Duration::from_millis(400));
    assert_eq!(node.how(quick), ExitKind::Code(0));
}

fn memory_over_the_limit_ends_a_task() {
    let mut node = Node::new();
    let ability = node.ability("memory_limit");
    if !ability.works {
        assert!(ability.detail.contains("not limited"), "{}", ability.detail);
        return;
    }
    let script = "x=0123456789abcdef; while :; do x=$x$x; done";
    let task = node.launch(Task::sh(script).memory(32));
    assert_eq!(node.how(task), ExitKind::OutOfMemory);
    // The next one in the same group is not blamed for it.
    let task = node.launch(Task::sh("exit 5").memory(32));
    assert_eq!(node.how(task), ExitKind::Code(5));
}

fn a_flood_is_capped() {
    let mut node = Node::with(true, 1 << 20);
    let script = "echo first; head -c 40000000 /dev/zero | tr '\\0' 'x'; echo; echo last";
    let task = node.launch(Task::sh(script));
    let other = node.launch(Task::new(&["true"]));
    node.exit(other);
    assert_eq!(node.how(task), ExitKind::Code(0));
    let files = std::fs::read_dir(node.attempt_dir(task)).unwrap().flatten();
    let size: u64 = files.map(|entry| entry.metadata().unwrap().len()).sum();
    assert!(size <= (1 << 20) + 4_096, "{size}");
    let (stdout, _) = node.log(task);
    assert!(stdout.starts_with("first\n") && stdout.ends_with("\nlast\n"));
    let reader = LogReader::new(&node.dir);
    let notes = |chunk: fastgpu_node::LogChunk| {
        chunk.frames.into_iter().filter(|f| f.stream == LogStream::Note).count()
    };
    assert_eq!(notes(reader.read(task, 1, LogOffset(0), 1 << 24).unwrap()), 1);
    let tail = reader.tail(task, 1, 1, 1 << 20).unwrap();
    assert_eq!(tail.frames.last().unwrap().bytes, b"last\n");
    assert!(tail.ended);
}

fn a_huge_line_passes() {
    let mut node = Node::with(true, 4 << 20);
    let begin = Instant::now();
    let task = node.launch(Task::sh("head -c 50000000 /dev/urandom; head -c 50000000 /dev/zero; exit 9"));
    let other = node.launch(Task::new(&["true"]));
    node.exit(other);
    assert!(begin.elapsed() < Duration::from_secs(10), "others go on");
    assert_eq!(node.how(task), ExitKind::Code(9));
    assert!(node.log(task).0.ends_with('\0'));
}

fn output_held_by_a_stranger() {
    let mut node = Node::new();
    let task = node.launch(Task::sh("exec >&- 2>&-; exit 6"));
    assert_eq!(node.how(task), ExitKind::Code(6));
}
