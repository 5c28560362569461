//! What programs see of a device that somebody breaks while they use it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "other tests use the rest")]
mod support;

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use fastgpu_softgpu::fault::code::{ECC_UNCORRECTABLE, ILLEGAL_ADDRESS, OUT_OF_MEMORY, UNKNOWN};
use fastgpu_softgpu::ledger::Ledger;
use fastgpu_softgpu::ledger::layout::DeviceState;

use support::Bench;

const NO_DEVICE: u32 = 100;
const NOT_READY: u32 = 600;
const DRIVER_MISMATCH: u32 = 803;
/// The driver's code of a bus that lost its device.
const XID_OFF_BUS: u64 = 79;

/// A program on the device that does one call at a time.
struct Victim {
    child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Victim {
    fn new(bench: &Bench) -> Self {
        let program = bench.build("victim");
        let mut child = bench.command(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { questions: child.stdin.take().unwrap(), answers, child }
    }

    /// With a context and a stream on the first device.
    fn at_work(bench: &Bench) -> Self {
        let mut victim = Self::new(bench);
        assert_eq!((victim.code("init"), victim.code("context")), (0, 0));
        victim
    }

    fn ask(&mut self, call: &str) {
        writeln!(self.questions, "{call}").unwrap();
    }

    fn answer(&mut self) -> u32 {
        self.answers.next().unwrap().unwrap().parse().unwrap()
    }

    /// Which code a call gives.
    fn code(&mut self, call: &str) -> u32 {
        self.ask(call);
        self.answer()
    }

    fn end(mut self) {
        drop(self.questions);
        assert!(self.child.wait().unwrap().success());
    }
}

/// Breaks the first device, or mends it, and says so.
fn change(ledger: &Ledger, how: impl FnOnce(&mut DeviceState)) {
    how(&mut ledger.device(0));
    ledger.ring_fault();
}

#[test]
fn a_hung_device_takes_work_and_finishes_it_when_it_is_let_go() {
    let bench = Bench::new("1xH100");
    let mut victim = Victim::at_work(&bench);
    let ledger = bench.ledger();
    change(&ledger, |device| device.set_hung(true));
    assert_eq!((victim.code("launch"), victim.code("query")), (0, NOT_READY));
    let busy_ns = ledger.device(0).schedule.busy_ns;
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(victim.code("query"), NOT_READY, "1 ms of work after 20 ms");
    assert_eq!(ledger.device(0).schedule.busy_ns, busy_ns, "a hung device does nothing");
    victim.ask("wait");
    change(&ledger, |device| device.set_hung(false));
    assert_eq!(victim.answer(), 0);
    victim.end();
    bench.settle();
}

#[test]
fn a_wait_ends_when_the_device_falls_off_the_bus_and_every_later_call_fails() {
    let bench = Bench::new("1xH100");
    let mut victim = Victim::at_work(&bench);
    assert_eq!(victim.code("alloc"), 0);
    let ledger = bench.ledger();
    change(&ledger, |device| device.set_hung(true));
    assert_eq!(victim.code("launch"), 0);
    victim.ask("wait");
    let begun = Instant::now();
    change(&ledger, |device| device.report_xid(XID_OFF_BUS, 0));
    assert_eq!(victim.answer(), UNKNOWN);
    assert!(begun.elapsed() < Duration::from_secs(5), "somebody waited for a device that is gone");
    for call in ["launch", "query", "wait", "alloc", "info"] {
        assert_eq!(victim.code(call), UNKNOWN, "{call}");
    }
    // Who comes now finds no device; after a reset there is one again, for newcomers alone.
    let mut late = Victim::new(&bench);
    assert_eq!(late.code("init"), NO_DEVICE);
    late.end();
    change(&ledger, DeviceState::clear_faults);
    assert_eq!(victim.code("alloc"), UNKNOWN);
    let mut newcomer = Victim::at_work(&bench);
    assert_eq!((newcomer.code("launch"), newcomer.code("wait"), newcomer.code("alloc")), (0, 0, 0));
    newcomer.end();
    victim.end();
    bench.settle();
}

#[test]
fn programs_get_the_error_of_an_xid_and_newcomers_do_not() {
    for (xid, code) in [(31, ILLEGAL_ADDRESS), (48, ECC_UNCORRECTABLE)] {
        let bench = Bench::new("1xA100-40GB");
        let mut victim = Victim::at_work(&bench);
        let ledger = bench.ledger();
        change(&ledger, |device| device.report_xid(xid, 0));
        assert_eq!((victim.code("wait"), victim.code("alloc"), victim.code("wait")), (code, code, code));
        let mut newcomer = Victim::at_work(&bench);
        assert_eq!((newcomer.code("launch"), newcomer.code("wait")), (0, 0));
        newcomer.end();
        victim.end();
        bench.settle();
    }
}

#[test]
fn allocations_fail_on_order_and_leave_nothing_behind() {
    let bench = Bench::new("1xL4");
    let mut victim = Victim::at_work(&bench);
    let ledger = bench.ledger();
    let before = ledger.device(0).memory_used_bytes;
    change(&ledger, |device| device.fail_allocations(1, 0, OUT_OF_MEMORY));
    assert_eq!((victim.code("alloc"), victim.code("free")), (0, 0));
    assert_eq!((victim.code("alloc"), victim.code("alloc")), (OUT_OF_MEMORY, OUT_OF_MEMORY));
    assert_eq!(ledger.device(0).memory_used_bytes, before);
    change(&ledger, DeviceState::clear_faults);
    assert_eq!((victim.code("alloc"), victim.code("launch"), victim.code("wait")), (0, 0, 0));
    victim.end();
    bench.settle();
}

#[test]
fn a_driver_of_another_version_is_found_by_who_starts_and_not_by_who_runs() {
    let bench = Bench::new("1xT4");
    let mut running = Victim::at_work(&bench);
    let ledger = bench.ledger();
    ledger.registry().version_mismatch = 1;
    let mut late = Victim::new(&bench);
    assert_eq!(late.code("init"), DRIVER_MISMATCH);
    assert_eq!((running.code("launch"), running.code("wait")), (0, 0));
    ledger.registry().version_mismatch = 0;
    assert_eq!(late.code("init"), DRIVER_MISMATCH, "a program that failed to start stays so");
    late.end();
    running.end();
    bench.settle();
}
