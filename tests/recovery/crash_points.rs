//! Ends the process that passes each named point, several times each, and looks at what became of it all.
//!
//! Each visit has its own world: a server with the order to crash, a small load through the API, the crash,
//! a start without the order, the rest of the load, and a verdict. A visit whose point is not reached is a
//! failure.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::crash_table::{POINTS, Point, Story};
use crate::http::Door;
use crate::ledger::{Deed, Ledger, heard};
use crate::verdict::{History, Verdict};
use crate::world::{NotReady, Orders, World, comes_true, crashed, is_gone, wait_for};

/// Two processors have room for three worlds that mostly wait.
const WORLDS: usize = 3;
/// How long until the point is reached, the load being over in half a second.
const REACHED_MAX: Duration = Duration::from_secs(15);
/// Keys of 40 tasks with 200 KiB of environment each: some eight megabytes of log.
const BULK: [Deed; 40] = [Deed::HeldLarge(200); 40];
const BULKS_MAX: usize = 6;
/// A line in the file of passings.
const LINE_BYTES: u64 = 11;

#[test]
fn a_crash_at_every_point_loses_nothing_and_repeats_nothing() {
    let only = std::env::var("FASTGPU_POINT").unwrap_or_default();
    let visits: Vec<(&Point, u32)> = POINTS
        .iter()
        .filter(|point| point.story != Story::DiskFull && point.name.contains(&only))
        .flat_map(|point| point.passings.map(|passing| (point, passing)))
        .collect();
    let next = AtomicUsize::new(0);
    let found = Mutex::new((Verdict::default(), Vec::new()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..WORLDS {
            scope.spawn(|| {
                while let Some((point, passing)) = visits.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let visited = std::panic::catch_unwind(|| visit(point, *passing));
                    let mut found = found.lock().unwrap();
                    match visited {
                        Ok(verdict) if verdict.is_clean() => found.0.add(&verdict),
                        Ok(verdict) => {
                            found.1.push(format!(
                                "{}:{passing}: {verdict}\n{}",
                                point.name,
                                verdict.complaints()
                            ));
                        }
                        Err(why) => found.1.push(format!("{}:{passing}: {}", point.name, said(&*why))),
                    }
                }
            });
        }
    });
    let (verdict, failures) = found.into_inner().unwrap();
    let took = began.elapsed().as_secs();
    let _ = writeln!(std::io::stderr(), "{} crashes on order in {took} s: {verdict}", visits.len());
    assert!(failures.is_empty(), "{} of {} visits:\n{}", failures.len(), visits.len(), failures.join("\n\n"));
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// An order to crash, and the file that proves it.
pub(crate) struct Crash {
    pub(crate) order: String,
    passing: u32,
    file: PathBuf,
}

impl Crash {
    pub(crate) fn at(world: &World, name: &str, passing: u32) -> Self {
        let file = world.root().join("passings");
        let _ = std::fs::remove_file(&file);
        Self { order: format!("{name}:{passing}@{}", file.display()), passing, file }
    }

    pub(crate) fn orders(&self) -> Orders {
        Orders { crash_at: Some(self.order.clone()), ..Orders::default() }
    }

    /// Who passed the point for the last time, once it has.
    pub(crate) fn victim(&self) -> Option<u32> {
        let text = std::fs::read_to_string(&self.file).ok()?;
        let line = text.lines().nth(usize::try_from(self.passing).ok()? - 1)?;
        (text.len() as u64 >= u64::from(self.passing) * LINE_BYTES).then(|| line.trim().parse().ok())?
    }

    /// The point was reached, and the process that reached it is dead.
    #[track_caller]
    pub(crate) fn must_have_happened(&self, world: &mut World) -> u32 {
        let reached = comes_true(REACHED_MAX, || self.victim().is_some());
        assert!(reached, "{} was not reached\n{}", self.order, world.log_tail());
        let victim = self.victim().unwrap();
        wait_for("the victim's end", || is_gone(victim));
        victim
    }
}

fn visit(point: &Point, passing: u32) -> Verdict {
    let mut world = World::new();
    let crash = Crash::at(&world, point.name, passing);
    let mut verdict = match point.story {
        Story::Ordinary => ordinary(&mut world, &crash),
        Story::Prune => prune(&mut world, &crash),
        Story::FirstStart => first_start(&mut world, point.name),
        Story::Adoption => adoption(&mut world, &crash),
        Story::Bulk => bulk(&mut world, &crash),
        Story::Backup => backup(&mut world, &crash),
        Story::Restore => restore(&mut world, &crash),
        Story::DiskFull => unreachable!("it has a test of its own"),
    };
    world.end();
    // A keeper that was adopted is not the server's child: it hangs up, and is gone a moment later.
    let all_gone = comes_true(REACHED_MAX, || world.processes().is_empty());
    let left = world.processes();
    if !all_gone {
        verdict.left(format!("the keeper or a task outlived an orderly end: {left:?}"));
    }
    if !verdict.is_clean() {
        let _ = writeln!(std::io::stderr(), "{}:{passing}\n{}", point.name, world.log_tail());
        world.keep();
    }
    verdict
}

fn ordinary(world: &mut World, crash: &Crash) -> Verdict {
    let mut ledgers = [Ledger::new(world, "a"), Ledger::new(world, "b")];
    if start_armed(world, &crash.orders()) {
        load(&world.door(), &mut ledgers);
    }
    let victim = crash.must_have_happened(world);
    // A dead keeper or guardian is also the affair of a server that lives on: every other time, it does.
    if world.server_pid() == Some(victim) || victim.is_multiple_of(2) {
        let status = world.kill_server();
        assert!(status.is_none_or(|status| !status.success()));
    }
    if world.server_pid().is_none() {
        world.start_well();
    }
    load(&world.door(), &mut ledgers);
    Verdict::of(world, &mut ledgers, History::Kept)
}

/// Most of a finished load is forgotten, in several steps; what comes after must not suffer.
fn prune(world: &mut World, crash: &Crash) -> Verdict {
    world.start_well();
    let mut old = [Ledger::new(world, "a"), Ledger::new(world, "b")];
    load(&world.door(), &mut old);
    let before = Verdict::of(world, &mut old, History::Kept);
    assert!(before.is_clean(), "{}", before.complaints());
    world.kill_server();
    assert!(start_armed(world, &Orders { fault: Some("prune_hard"), ..crash.orders() }));
    crash.must_have_happened(world);
    world.kill_server();
    world.start_well();
    let after = Verdict::of(world, &mut old, History::CutShort);
    assert!(after.is_clean(), "{}", after.complaints());
    let mut ledgers = [Ledger::new(world, "c"), Ledger::new(world, "d")];
    load(&world.door(), &mut ledgers);
    Verdict::of(world, &mut ledgers, History::Kept)
}

/// False if the server ended before it was ready.
fn start_armed(world: &mut World, orders: &Orders) -> bool {
    match world.start(orders) {
        Ok(_) => true,
        Err(NotReady::Ended(status)) if crashed(status) => false,
        Err(why) => panic!("{orders:?}: {why:?}\n{}", world.log_tail()),
    }
}

/// A bit of everything, from two clients at once; what is acknowledged already is left out.
fn load(door: &Door, ledgers: &mut [Ledger; 2]) {
    std::thread::scope(|scope| {
        for ledger in ledgers.iter_mut() {
            scope.spawn(move || small_load(door, ledger));
        }
    });
}

fn small_load(door: &Door, ledger: &mut Ledger) {
    const RUN: Deed = Deed::Run { ms: 0, exit_code: 0 };
    let is_first = ledger.requests.is_empty();
    if is_first {
        for deed in [RUN, Deed::Run { ms: 0, exit_code: 3 }, Deed::Run { ms: 300, exit_code: 0 }] {
            ledger.one(deed);
        }
        ledger.batch(&[RUN, Deed::Nothing, Deed::Run { ms: 50, exit_code: 3 }]);
        ledger.article();
        ledger.one(Deed::Run { ms: 20_000, exit_code: 0 });
        ledger.batch(&[Deed::Held, RUN]);
        ledger.one(Deed::Nothing);
        ledger.article();
    }
    for request in 0..ledger.requests.len() {
        if ledger.requests[request].ids.is_none() {
            ledger.send(door, request);
        }
    }
    // Nobody has ever run for 20 seconds: these are cancelled, whenever the server hears it.
    for request in 0..ledger.requests.len() {
        let plans = &ledger.requests[request].plans;
        if plans.iter().any(|plan| matches!(plan.deed, Deed::Run { ms: 20_000, .. })) {
            ledger.cancel(door, request);
        }
        ledger.cancel_endless(door, request);
    }
    if is_first {
        let nothing = ledger.requests.iter().position(|request| request.plans[0].deed == Deed::Nothing);
        for request in nothing.into_iter().flat_map(|request| [request; 2]) {
            ledger.again(request).map(|again| ledger.send(door, again));
        }
        for _ in 0..2 {
            let _ = heard(door.post("/v1/tokens", None, Some(r#"{"role":"viewer"}"#)));
        }
    }
}

/// The very first start, which never gets far; in the end it does.
fn first_start(world: &mut World, name: &str) -> Verdict {
    // Once the migration is durable, it is not passed again.
    let times = if name == "store.migration.after" { 1 } else { 3 };
    for _ in 0..times {
        let crash = Crash::at(world, name, 1);
        assert!(!start_armed(world, &crash.orders()), "{name} was not reached");
        crash.must_have_happened(world);
    }
    world.start_well();
    let mut ledgers = [Ledger::new(world, "a"), Ledger::new(world, "b")];
    load(&world.door(), &mut ledgers);
    Verdict::of(world, &mut ledgers, History::Kept)
}

/// Server and keeper are killed while attempts run; the keeper that should adopt them crashes too.
fn adoption(world: &mut World, crash: &Crash) -> Verdict {
    world.start_well();
    let mut ledger = Ledger::new(world, "a");
    for ms in [0, 300, 300, 600, 600, 900] {
        let request = ledger.one(Deed::Run { ms, exit_code: 0 });
        assert!(ledger.send(&world.door(), request));
    }
    wait_for("four running attempts", || world.guardians().len() >= 4);
    world.kill_server();
    world.kill_keepers();
    assert!(start_armed(world, &crash.orders()), "the server does not pass this point");
    crash.must_have_happened(world);
    Verdict::of(world, &mut [ledger], History::Kept)
}

fn bulk(world: &mut World, crash: &Crash) -> Verdict {
    let mut ledger = Ledger::new(world, "a");
    assert!(start_armed(world, &crash.orders()), "a fresh folder has nothing to copy");
    for _ in 0..BULKS_MAX {
        let request = ledger.batch(&BULK);
        if !ledger.send(&world.door(), request) {
            break;
        }
    }
    crash.must_have_happened(world);
    world.kill_server();
    world.start_well();
    Verdict::of(world, &mut [ledger], History::Kept)
}

/// A backup that crashes leaves nothing under its name; the next one holds everything.
fn backup(world: &mut World, crash: &Crash) -> Verdict {
    world.start_well();
    let mut ledgers = [Ledger::new(world, "a"), Ledger::new(world, "b")];
    load(&world.door(), &mut ledgers);
    let file = world.root().join("backup.db");
    let file = file.to_str().unwrap();
    let mut armed = world.command(&["backup", file]);
    let ended = armed.env("FASTGPU_CRASH_AT", &crash.order).output().unwrap();
    assert!(crashed(ended.status), "{ended:?}");
    crash.must_have_happened(world);
    assert!(!std::fs::exists(file).unwrap(), "half a backup has the name of a whole one");
    let again = world.run(&["backup", file]);
    assert!(again.status.success(), "{again:?}");
    Verdict::of(world, &mut ledgers, History::Kept)
}

/// A restore that crashes is repeated; in the end the folder holds what was saved.
fn restore(world: &mut World, crash: &Crash) -> Verdict {
    world.start_well();
    let mut ledgers = [Ledger::new(world, "a"), Ledger::new(world, "b")];
    load(&world.door(), &mut ledgers);
    let before = Verdict::of(world, &mut ledgers, History::Kept);
    assert!(before.is_clean(), "{}", before.complaints());
    let file = world.root().join("backup.db");
    let file = file.to_str().unwrap();
    assert!(world.run(&["backup", file]).status.success());
    world.kill_server();
    let words = ["restore", file, "--yes"];
    let ended = world.command(&words).env("FASTGPU_CRASH_AT", &crash.order).output().unwrap();
    assert!(crashed(ended.status), "{ended:?}");
    crash.must_have_happened(world);
    let again = world.run(&words);
    assert!(again.status.success(), "{again:?}");
    world.start_well();
    Verdict::of(world, &mut ledgers, History::Kept)
}
