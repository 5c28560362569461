//! The one clock of the control plane: what was stored last plus the boot time that has passed since. It neither steps
//! nor jumps while the machine runs, whatever happens to the wall clock, so durations run on it. What people say and
//! see is wall time: [`Clock::ahead`] leads from one to the other.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use fastgpu_core::change::Moment;
use fastgpu_core::ids::Name;
use fastgpu_core::units::{Millis, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// A wall clock that is off by less is the same wall clock: it is slewed all the time, and what is shown or compared
/// must not tremble with it.
const STEP_MS_MIN: u64 = 1_000;

/// What a clock is read from.
pub(crate) trait Hands: Debug + Send + Sync {
    /// Time since the machine was started, sleep included.
    fn since_boot(&self) -> Millis;

    /// The name of this boot; empty where there is none.
    fn boot(&self) -> Name;

    /// What the wall clock says.
    fn wall(&self) -> Timestamp;
}

/// The control plane's clock.
#[derive(Debug)]
pub(crate) struct Clock {
    hands: Box<dyn Hands>,
    /// From where it counts.
    start: Moment,
    ahead_ms: AtomicI64,
}

impl Clock {
    /// The clock of this machine, which goes on from what was stored last.
    pub(crate) fn of_machine(last: Option<Moment>) -> Self {
        Self::going_on(last, Box::new(Machine))
    }

    /// Goes on from what was stored last, if that was during this boot. After a reboot, or with the data of another
    /// machine, nobody knows how much time has passed but the wall clock; and even then time does not go back.
    fn going_on(last: Option<Moment>, hands: Box<dyn Hands>) -> Self {
        let (boot, since_boot, wall) = (hands.boot(), hands.since_boot(), hands.wall());
        let start = match last {
            Some(last) if is_same_boot(&last, &boot, since_boot) => last,
            Some(last) => Moment { at: last.at.max(wall), since_boot, boot },
            None => Moment { at: wall, since_boot, boot },
        };
        Self { hands, start, ahead_ms: AtomicI64::new(0) }
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        // Whole milliseconds since boot are counted, so nothing adds up over many starts.
        let passed = self.hands.since_boot().0.saturating_sub(self.start.since_boot.0);
        self.start.at.plus(Millis(passed))
    }

    /// Now, as the wall clock has it.
    pub(crate) fn wall(&self) -> Timestamp {
        self.hands.wall()
    }

    /// How far the wall clock is ahead, in milliseconds; below zero if it is behind.
    pub(crate) fn ahead_ms(&self) -> i64 {
        let measured = self.hands.wall().0.saturating_sub(self.now().0);
        let known = self.ahead_ms.load(Ordering::Relaxed);
        if measured.abs_diff(known) < STEP_MS_MIN {
            return known;
        }
        self.ahead_ms.store(measured, Ordering::Relaxed);
        measured
    }

    /// What to store with everything that happened at `now`, to go on from.
    pub(crate) fn moment(&self, now: Timestamp) -> Moment {
        let passed = now.since(self.start.at);
        let since_boot = Millis(self.start.since_boot.0.saturating_add(passed.0));
        Moment { at: now, since_boot, boot: self.start.boot.clone() }
    }
}

/// A boot clock that is behind what it said before is another one, whatever the boot is called.
fn is_same_boot(last: &Moment, boot: &Name, since_boot: Millis) -> bool {
    !boot.is_empty() && last.boot == *boot && last.since_boot <= since_boot
}

/// The clocks of this machine.
#[derive(Debug)]
struct Machine;

impl Hands for Machine {
    fn since_boot(&self) -> Millis {
        let time = clock_gettime(ClockId::Boottime);
        let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
        Millis(seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000))
    }

    fn boot(&self) -> Name {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().into()
    }

    fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOON: i64 = 1_769_860_800_000;

    /// A machine whose clocks a test sets.
    #[derive(Debug, Clone)]
    struct Pretended(Arc<Mutex<(u64, &'static str, i64)>>);

    impl Pretended {
        fn new(boot: &'static str, since_boot_ms: u64, wall_ms: i64) -> Self {
            Self(Arc::new(Mutex::new((since_boot_ms, boot, wall_ms))))
        }

        /// Time passes.
        fn pass(&self, ms: u32) {
            let mut hands = self.0.lock().unwrap();
            hands.0 += u64::from(ms);
            hands.2 += i64::from(ms);
        }

        /// Somebody sets the wall clock.
        fn step(&self, ms: i64) {
            self.0.lock().unwrap().2 += ms;
        }

        fn clock(&self, last: Option<Moment>) -> Clock {
            Clock::going_on(last, Box::new(self.clone()))
        }
    }

    impl Hands for Pretended {
        fn since_boot(&self) -> Millis {
            Millis(self.0.lock().unwrap().0)
        }

        fn boot(&self) -> Name {
            self.0.lock().unwrap().1.into()
        }

        fn wall(&self) -> Timestamp {
            Timestamp(self.0.lock().unwrap().2)
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_by_hours_moves_nothing_but_what_people_see() {
        let machine = Pretended::new("one", 5_000, NOON);
        let clock = machine.clock(None);
        assert_eq!((clock.now(), clock.ahead_ms()), (Timestamp(NOON), 0));
        for step in [3 * HOUR, -7 * HOUR] {
            let (before, ahead) = (clock.now(), clock.ahead_ms());
            machine.step(step);
            assert_eq!(clock.now(), before, "the clock does not step");
            machine.pass(250);
            assert_eq!(clock.now(), before.plus(Millis(250)), "and goes on at its pace");
            assert_eq!(clock.ahead_ms(), ahead + step);
            assert_eq!(clock.wall().0, clock.now().0 + clock.ahead_ms());
        }
    }

    #[test]
    fn a_wall_clock_that_is_slewed_is_followed_by_whole_seconds_only() {
        let machine = Pretended::new("one", 0, NOON);
        let clock = machine.clock(None);
        machine.step(999);
        assert_eq!(clock.ahead_ms(), 0);
        machine.step(1);
        assert_eq!(clock.ahead_ms(), 1_000);
        machine.step(-900);
        assert_eq!(clock.ahead_ms(), 1_000);
    }

    #[test]
    fn a_restart_goes_on_as_if_there_had_been_none_even_if_the_wall_clock_was_set_meanwhile() {
        let machine = Pretended::new("one", 5_000, NOON);
        let first = machine.clock(None);
        machine.pass(1_500);
        let stored = first.moment(first.now());
        machine.pass(60_000);
        machine.step(-2 * HOUR);
        let second = machine.clock(Some(stored));
        assert_eq!(second.now(), first.now());
        assert_eq!(second.ahead_ms(), -2 * HOUR);
        machine.pass(10);
        assert_eq!(second.now(), first.now());
    }

    #[test]
    fn after_a_reboot_the_larger_of_what_was_stored_and_the_wall_clock_holds() {
        let stored = Moment { at: Timestamp(NOON), since_boot: Millis(900_000), boot: "one".into() };
        let late = Pretended::new("two", 1_000, NOON + HOUR).clock(Some(stored.clone()));
        assert_eq!(late.now(), Timestamp(NOON + HOUR));
        let battery_is_flat = Pretended::new("two", 1_000, 0);
        let early = battery_is_flat.clock(Some(stored.clone()));
        assert_eq!(early.now(), Timestamp(NOON));
        battery_is_flat.pass(20);
        assert_eq!(early.now(), Timestamp(NOON + 20), "and goes on from there");
        // A container may keep the name of the boot and count from its own beginning.
        let same_name = Pretended::new("one", 1_000, NOON + HOUR).clock(Some(stored));
        assert_eq!(same_name.now(), Timestamp(NOON + HOUR));
    }

    #[test]
    fn a_backup_that_is_restored_in_the_same_boot_is_as_old_as_the_boot_clock_says() {
        let machine = Pretended::new("one", 0, NOON);
        let clock = machine.clock(None);
        let backup = clock.moment(clock.now());
        machine.pass(90_000);
        machine.step(-HOUR);
        assert_eq!(machine.clock(Some(backup.clone())).now(), Timestamp(NOON + 90_000));
        // On another machine only the wall clock knows.
        let elsewhere = Pretended::new("other", 7, NOON + 2 * HOUR);
        assert_eq!(elsewhere.clock(Some(backup)).now(), Timestamp(NOON + 2 * HOUR));
    }

    #[test]
    fn this_machine_has_hands_and_they_move() {
        let clock = Clock::of_machine(None);
        let first = clock.now();
        assert!(!clock.moment(first).boot.is_empty());
        while clock.now() == first {
            std::thread::yield_now();
        }
        assert!(clock.now() > first && clock.ahead_ms() == 0);
    }
}
