//! A server under load, killed at random moments, often together with its keeper.
//!
//! A `kill -9` says nothing about what the page cache holds; it says everything about the order of commit,
//! reply, order and report. That the harness would notice a wrong order is shown by a server that
//! acknowledges before the commit.

use std::io::Write;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::http::Door;
use crate::ledger::{Deed, Ledger};
use crate::random::{Random, seed};
use crate::verdict::{History, Verdict};
use crate::world::{NotReady, Orders, World};

const CLIENTS: u64 = 12;
/// In every run of the tests. `FASTGPU_KILLS` asks for more.
const KILLS_DEFAULT: u32 = 30;
/// With keeper: every so many kills.
const KEEPER_EVERY: u32 = 3;
/// Only the keeper: every so many kills.
const ONLY_KEEPER_EVERY: u32 = 8;
/// Kills of a server that answers too early; one in the right moment is enough, and most moments are right.
#[cfg(feature = "failpoints")]
const KILLS_TO_CATCH: u32 = 4;
/// How long a client waits before it repeats what was not answered.
const REPEAT_AFTER: Duration = Duration::from_millis(3);

#[test]
fn kills_at_random_moments_lose_nothing_and_repeat_nothing() {
    let asked = std::env::var("FASTGPU_KILLS").ok().and_then(|text| text.parse().ok());
    let kills = asked.unwrap_or(KILLS_DEFAULT);
    let verdict = run(kills, seed(), &Orders::default());
    assert!(verdict.is_clean(), "{verdict}\n{}", verdict.complaints());
}

/// The harness itself on trial: if this passes, a clean verdict means something.
#[cfg(feature = "failpoints")]
#[test]
fn a_server_that_acknowledges_before_the_commit_is_caught() {
    let fault = Orders { fault: Some("ack_before_commit"), ..Orders::default() };
    let verdict = run(KILLS_TO_CATCH, seed(), &fault);
    assert!(verdict.lost > 0, "the harness saw no loss where there must be one: {verdict}");
}

/// What clients and killer share.
struct Shared {
    door: RwLock<Door>,
    over: AtomicBool,
}

fn run(kills: u32, seed: u64, orders: &Orders) -> Verdict {
    let mut world = World::new();
    world.start(orders).unwrap();
    let shared = Shared { door: RwLock::new(world.door()), over: AtomicBool::new(false) };
    let mut slowest = Duration::ZERO;
    let mut ledgers = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let ledger = Ledger::new(&world, &format!("c{number}"));
                let (shared, random) = (&shared, Random::seeded(seed ^ (number << 32)));
                scope.spawn(move || client(shared, ledger, random))
            })
            .collect();
        // Whatever goes wrong here, the clients must be told to stop.
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut random = Random::seeded(seed);
            for number in 1..=kills {
                std::thread::sleep(Duration::from_millis(random.between(20, 350)));
                let took = kill_and_restart(&mut world, number, &mut random, orders);
                slowest = slowest.max(took);
                *shared.door.write().unwrap() = world.door();
            }
        }));
        shared.over.store(true, Ordering::Relaxed);
        let ledgers: Vec<Ledger> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        if let Err(panic) = killed {
            std::panic::resume_unwind(panic);
        }
        ledgers
    });
    if orders.fault.is_some() {
        world.kill_server();
        world.start_well();
    }
    let verdict = match orders.fault {
        None => Verdict::of(&mut world, &mut ledgers, History::Kept),
        // Ids that were never saved may be given to other tasks: nothing else could be believed.
        Some(_) => Verdict::of_losses(&world, &ledgers),
    };
    world.end();
    let who = orders.fault.unwrap_or("as it is");
    let _ = writeln!(
        std::io::stderr(),
        "{kills} kills, server {who}, seed {seed}: {verdict}; slowest restart {} ms",
        slowest.as_millis()
    );
    verdict
}

fn kill_and_restart(world: &mut World, number: u32, random: &mut Random, orders: &Orders) -> Duration {
    if number.is_multiple_of(ONLY_KEEPER_EVERY) {
        world.kill_keepers();
        return Duration::ZERO;
    }
    let both = number.is_multiple_of(KEEPER_EVERY);
    let keeper_first = random.between(0, 2) == 0;
    if both && keeper_first {
        world.kill_keepers();
    }
    world.kill_server();
    if both && !keeper_first {
        world.kill_keepers();
    }
    match world.start(orders) {
        Ok(took) => took,
        Err(why @ (NotReady::Ended(_) | NotReady::Late)) => {
            panic!("no start after kill {number}: {why:?}\n{}", world.log_tail())
        }
    }
}

/// Submits and cancels until it is told to stop. Whatever is not acknowledged is repeated under its key.
fn client(shared: &Shared, mut ledger: Ledger, mut random: Random) -> Ledger {
    while !shared.over.load(Ordering::Relaxed) {
        let request = match random.between(0, 100) {
            0..26 => ledger.one(Deed::Run { ms: 0, exit_code: 0 }),
            26..34 => ledger.one(Deed::Run { ms: 0, exit_code: 3 }),
            34..42 => ledger.one(Deed::Run { ms: random.between(50, 400), exit_code: 0 }),
            42..47 => ledger.batch(&[Deed::Run { ms: 0, exit_code: 0 }, Deed::Held, Deed::Nothing]),
            47..87 => ledger.one(Deed::Held),
            _ if ledger.requests.is_empty() => continue,
            _ => {
                let chosen = random.between(0, ledger.requests.len() as u64);
                ledger.cancel(&door(shared), usize::try_from(chosen).unwrap());
                continue;
            }
        };
        while !ledger.send(&door(shared), request) && !shared.over.load(Ordering::Relaxed) {
            std::thread::sleep(REPEAT_AFTER);
        }
        std::thread::sleep(Duration::from_millis(random.between(5, 40)));
    }
    ledger
}

fn door(shared: &Shared) -> Door {
    shared.door.read().unwrap().clone()
}
