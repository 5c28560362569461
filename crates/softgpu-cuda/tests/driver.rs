//! The library as programs see it: through C, and judged by the ledger.
#![expect(unsafe_code, reason = "the library is opened as a program opens it, and processes are killed")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Stdio};

use support::{Bench, library, said};

#[test]
fn the_library_has_every_name_of_the_driver_and_no_other() {
    let path = CString::new(library().to_str().unwrap()).unwrap();
    // SAFETY: the path is a text; loading the library runs no code of its own.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null());
    // SAFETY: as above; it is only found under its SONAME.
    assert!(!unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) }.is_null());
    let names = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/exports.txt")).unwrap();
    let mut addresses = BTreeSet::new();
    for name in names.lines().map(|line| line.split(' ').next().unwrap()) {
        let symbol = CString::new(name).unwrap();
        // SAFETY: the handle is open and the name a text.
        let address = unsafe { libc::dlsym(handle, symbol.as_ptr()) };
        assert!(!address.is_null(), "{name}");
        assert!(addresses.insert(address as usize), "{name} is another name for the same function");
    }
    assert_eq!(addresses.len(), 707);
}

#[test]
fn programs_get_true_results_and_what_is_missing_is_counted() {
    let bench = Bench::new("1xH100");
    bench.run(&bench.build("data"), &[]);
    assert_eq!(bench.settle(), [("cuGLInit".to_owned(), 1), ("kernel:stranger".to_owned(), 1)]);
}

#[test]
fn the_library_never_calls_itself_through_a_preload() {
    let bench = Bench::new("1xL4");
    let preload = bench.build_preload("preload");
    let program = bench.build("preloaded");
    said(&bench.command(&program).env("LD_PRELOAD", preload).output().unwrap());
    assert!(bench.settle().is_empty());
}

#[test]
fn time_on_a_test_clock_is_the_same_to_the_last_digit() {
    let runs: Vec<String> = (0..3)
        .map(|_| {
            let bench = Bench::on_test_clock("1xA100-80GB");
            bench.run(&bench.build("clock"), &[])
        })
        .collect();
    // Side by side: 1, 3 and 5 ms one after the other in one stream, 2, 4 and 6 in the other.
    assert_eq!(runs[0], "1.000000\n3.000000\n5.000000\n8.000000\n11.000000\n");
    assert!(runs.iter().all(|run| *run == runs[0]), "{runs:?}");
}

#[test]
fn a_stream_that_waits_for_another_ones_word_goes_on_by_any_clock() {
    for bench in [Bench::new("1xH100"), Bench::on_test_clock("1xH100")] {
        let printed = bench.run(&bench.build("words"), &[]);
        let ms: f64 = printed.trim().parse().unwrap();
        // The other stream is busy for 5 ms before it writes.
        assert!((5.0..1_000.0).contains(&ms), "{ms} ms");
        assert!(bench.settle().is_empty());
    }
}

#[test]
fn small_kernels_of_two_streams_run_side_by_side_and_large_ones_do_not() {
    let bench = Bench::on_test_clock("1xH100");
    assert_eq!(bench.run(&bench.build("beside"), &[]), "few 10.0\nmany 20.0\n");
}

#[test]
fn eight_idle_devices_cost_no_processor_time() {
    let bench = Bench::new("8xH100");
    let printed = bench.run(&bench.build("idle"), &[]);
    let (devices, us) = printed.trim().split_once(' ').unwrap();
    assert_eq!(devices, "8");
    // Half a second of nothing; a thread that polls each 10 ms would show.
    assert!(us.parse::<u64>().unwrap() < 2_000, "{us} µs");
}

#[test]
fn ten_processes_race_and_the_ledger_is_exact() {
    let bench = Bench::new("1xT4");
    let program = bench.build("tenant");
    let tenants: Vec<_> = (0..10)
        .map(|seed| {
            bench.command(&program).args(["10000", &seed.to_string()]).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for tenant in tenants {
        said(&tenant.wait_with_output().unwrap());
    }
    assert!(bench.settle().is_empty());
}

#[test]
fn a_process_killed_at_any_point_leaves_nothing_behind() {
    let bench = Bench::new("1xT4");
    let program = bench.build("tenant");
    let mut random = 88_172_645_463_325_252u64;
    for round in 0..6 {
        let mut tenants: Vec<Child> = (0..6)
            .map(|seed| {
                let words = ["100000000".to_owned(), (round * 10 + seed).to_string()];
                bench.command(&program).args(words).stderr(Stdio::null()).spawn().unwrap()
            })
            .collect();
        // Wherever they are by then: in the middle of starting, of a lock, of a wait.
        for tenant in &mut tenants {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            std::thread::sleep(std::time::Duration::from_micros(random % 40_000));
            tenant.kill().unwrap();
            tenant.wait().unwrap();
        }
        assert!(bench.settle().is_empty());
    }
}

/// A process that can be suspended.
struct Target {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    pid: String,
}

impl Target {
    fn new(bench: &Bench, words: &[&str]) -> Self {
        let program = bench.build("suspended");
        let mut command = bench.command(&program);
        let mut child = command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let pid = lines.next().unwrap().unwrap();
        Self { child, lines, pid }
    }

    fn ask(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"?\n").unwrap();
    }

    fn answer(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn a_suspended_process_frees_its_device_and_goes_on_upon_another_one() {
    let bench = Bench::new("2xH100");
    let mut target = Target::new(&bench, &[]);
    let suspender = bench.build("suspender");
    let ask = |what: &str| bench.run(&suspender, &[&target.pid, what]).trim().to_owned();
    let ledger = bench.ledger();
    let used = |index: usize| ledger.device(index).memory_used_bytes;
    let before = used(0);
    assert!(before > 64 << 20);
    for wrong in ["checkpoint", "restore", "unlock"] {
        assert_eq!(ask(wrong), "401", "{wrong}");
    }
    assert_eq!((ask("lock"), ask("state")), ("0".to_owned(), "1".to_owned()));
    assert_eq!((ask("checkpoint"), ask("state")), ("0".to_owned(), "2".to_owned()));
    let slot = ledger.processes().iter().find(|(_, one)| one.pid.to_string() == target.pid).unwrap().0;
    assert_eq!(ledger.device(0).accounts[slot as usize].total(), 0);
    assert!(
        ledger.root().words[slot as usize].host_bytes.load(std::sync::atomic::Ordering::Relaxed) > 64 << 20
    );
    assert_eq!((ask("move"), ask("state")), ("0".to_owned(), "1".to_owned()));
    assert!(ledger.device(1).accounts[slot as usize].total() > 64 << 20);
    assert_eq!(ask("unlock"), "0");
    target.ask();
    assert_eq!(target.answer(), "4711");
    target.end();
    assert!(bench.settle().is_empty());
}

#[test]
fn a_restore_without_room_fails_for_good() {
    let bench = Bench::new("1xH100");
    let target = Target::new(&bench, &[]);
    let suspender = bench.build("suspender");
    let ask = |what: &str| bench.run(&suspender, &[&target.pid, what]).trim().to_owned();
    assert_eq!((ask("lock"), ask("checkpoint")), ("0".to_owned(), "0".to_owned()));
    let ledger = bench.ledger();
    ledger.device(0).fail_allocations(0, 0, 2);
    assert_eq!((ask("restore"), ask("state")), ("2".to_owned(), "3".to_owned()));
    ledger.device(0).clear_faults();
    assert_eq!((ask("restore"), ask("unlock")), ("401".to_owned(), "401".to_owned()));
    let mut child = target.child;
    child.kill().unwrap();
    child.wait().unwrap();
    bench.settle();
}

#[test]
fn managed_memory_cannot_be_suspended() {
    let bench = Bench::new("1xH100");
    let mut target = Target::new(&bench, &["managed"]);
    let suspender = bench.build("suspender");
    let ask = |what: &str| bench.run(&suspender, &[&target.pid, what]).trim().to_owned();
    assert_eq!(
        (ask("lock"), ask("checkpoint"), ask("unlock")),
        ("0".to_owned(), "801".to_owned(), "0".to_owned())
    );
    target.ask();
    assert_eq!(target.answer(), "4711");
    target.end();
    assert!(bench.settle().is_empty());
}
