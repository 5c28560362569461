//! Processes that live and do not go on, or go on as somebody else.
#![expect(unsafe_code, reason = "only a fork can be stopped at a chosen point")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::{Duration, Instant};

use fastgpu_softgpu::ledger::layout::Class;
use fastgpu_softgpu::ledger::view::DeviceView;
use fastgpu_softgpu::ledger::{Creation, Ledger};

const MIB: u64 = 1 << 20;
/// Nobody who only looks waits longer, however often.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A child of this test, ended with it.
struct Child(libc::pid_t);

impl Child {
    /// Runs `body` in a process of its own.
    fn of(body: impl FnOnce()) -> Self {
        // SAFETY: the child only touches the ledger and then ends; it never returns into the test harness.
        let child = unsafe { libc::fork() };
        if child == 0 {
            body();
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) };
        }
        Self(child)
    }

    fn signal(&self, signal: i32) {
        // SAFETY: signals a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.0, signal) }, 0);
    }

    /// Waits until it has stopped itself.
    fn stopped(self) -> Self {
        let mut status = 0;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, libc::WUNTRACED) }, self.0);
        assert!(libc::WIFSTOPPED(status), "{status:#x}");
        self
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: ends and waits for a child that was not waited for.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

fn ledger(folder: &Path) -> Ledger {
    Ledger::open_or_create(folder, &Creation::of(&"2xT4".parse().unwrap())).unwrap()
}

fn stop_here() {
    // SAFETY: stops its own process.
    unsafe { libc::raise(libc::SIGSTOP) };
}

#[test]
fn who_stops_with_a_device_in_hand_keeps_nobody_from_looking() {
    let folder = tempfile::tempdir().unwrap();
    let ours = ledger(folder.path());
    let child = Child::of(|| {
        let theirs = ledger(folder.path());
        let me = theirs.attach().unwrap();
        let mut device = theirs.device(0);
        device.charge(me.slot, me.pid, Class::Memory, 100 * MIB).unwrap();
        stop_here();
        device.charge(me.slot, me.pid, Class::Memory, MIB).unwrap();
        drop(device);
        stop_here();
    })
    .stopped();
    let begun = Instant::now();
    for _ in 0..100 {
        let view = ours.view(0);
        assert!(matches!(view, DeviceView::Copied(_)));
        assert_eq!(view.memory_used_bytes, 100 * MIB);
        assert!(matches!(ours.view(1), DeviceView::Locked(_)));
        assert_eq!(ours.processes().len(), 1);
        ours.ring_fault();
    }
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let stuck = ours.device_within(0, Duration::from_millis(1)).unwrap_err().to_string();
    assert!(stuck.contains(&format!("process {}", child.0)) && stuck.contains(", stopped)"), "{stuck}");
    child.signal(libc::SIGCONT);
    let child = child.stopped();
    assert_eq!(ours.device(0).memory_used_bytes, 101 * MIB);
    drop(child);
    assert!(ours.processes().is_empty());
    assert_eq!(ours.device(0).memory_used_bytes, 0);
}

#[test]
fn the_dead_are_buried_although_somebody_is_stuck_with_one_device() {
    let folder = tempfile::tempdir().unwrap();
    let ours = ledger(folder.path());
    let holder = |place: usize| {
        let theirs = ledger(folder.path());
        let me = theirs.attach().unwrap();
        theirs.device(place).charge(me.slot, me.pid, Class::Memory, 10 * MIB).unwrap();
        stop_here();
    };
    let dead = [Child::of(|| holder(0)).stopped(), Child::of(|| holder(1)).stopped()];
    let stuck = Child::of(|| {
        let _device = ledger(folder.path()).device(0);
        stop_here();
    })
    .stopped();
    drop(dead);
    let begun = Instant::now();
    ours.reap();
    assert_eq!(ours.view(1).memory_used_bytes, 0, "the other device is given back");
    ours.attach().unwrap();
    assert!(begun.elapsed() < AT_ONCE);
    stuck.signal(libc::SIGCONT);
    drop(stuck);
    ours.reap();
    assert_eq!(ours.device(0).memory_used_bytes, 0);
    assert!(ours.device(0).is_sound());
}

#[test]
fn a_program_that_becomes_another_one_leaves_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    let ours = ledger(folder.path());
    let child = Child::of(|| {
        let theirs = ledger(folder.path());
        let me = theirs.attach().unwrap();
        theirs.device(0).charge(me.slot, me.pid, Class::Memory, 100 * MIB).unwrap();
        stop_here();
        let words = [c"sleep".as_ptr(), c"60".as_ptr(), std::ptr::null()];
        // SAFETY: the words are texts, and a null ends them.
        unsafe { libc::execvp(words[0], words.as_ptr()) };
    })
    .stopped();
    assert_eq!(ours.processes().len(), 1, "a stopped program is alive");
    child.signal(libc::SIGCONT);
    let begun = Instant::now();
    while !ours.processes().is_empty() {
        assert!(begun.elapsed() < AT_ONCE, "it still holds {}", ours.device(0).memory_used_bytes);
        std::thread::yield_now();
    }
    assert_eq!(ours.device(0).memory_used_bytes, 0);
}

#[test]
fn a_program_that_begins_anew_in_the_same_process_begins_with_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ours = ledger(folder.path());
    let child = Child::of(|| {
        for turn in 0..3 {
            // Each time as after `exec`: another opened ledger, and none of the locks of before.
            let theirs = ledger(folder.path());
            let me = theirs.attach().unwrap();
            let held = theirs.device(0).memory_used_bytes;
            assert_eq!(held, 0, "turn {turn}");
            theirs.device(0).charge(me.slot, me.pid, Class::Memory, 100 * MIB).unwrap();
        }
        stop_here();
    })
    .stopped();
    assert_eq!(ours.processes().len(), 1);
    assert_eq!(ours.device(0).memory_used_bytes, 100 * MIB);
    drop(child);
}

#[test]
fn who_looks_past_somebody_takes_no_memory_for_what_nobody_used() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let ours = ledger(folder.path());
    let _child = Child::of(|| {
        let theirs = ledger(folder.path());
        let me = theirs.attach().unwrap();
        let mut device = theirs.device(0);
        device.open_context(me.slot).unwrap();
        stop_here();
    })
    .stopped();
    let blocks = || std::fs::metadata(folder.path().join("ledger")).unwrap().blocks();
    let before = blocks();
    let view = ours.view(0);
    assert!(matches!(view, DeviceView::Copied(_)));
    assert_eq!(view.schedule.contexts.iter().filter(|context| context.owner != 0).count(), 1);
    assert_eq!(blocks(), before);
}
