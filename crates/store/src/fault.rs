//! A store that fails on order, around any other: for tests of everything that must survive it.
//!
//! The fault that finds bugs is [`Fault::Lost`]: the rows are durable, and the caller is told that nobody
//! knows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastgpu_core::change::{Change, IdempotencyKey};
use fastgpu_core::ids::{SpecHash, Term};
use fastgpu_core::spec::Spec;

use crate::contract::{Retention, Saved, Store, StoreError};

/// What goes wrong with one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, and nobody says so.
    Failed,
    /// Nothing is written, because there is no room.
    Full,
    /// Everything is written, late.
    Slow(Duration),
    /// Everything is written, and reported as failed.
    Lost,
}

/// Says which commits go wrong. Clones steer the same store.
#[derive(Debug, Clone, Default)]
pub struct FaultScript {
    state: Arc<Mutex<ScriptState>>,
}

#[derive(Debug, Default)]
struct ScriptState {
    /// One entry per coming commit.
    coming: VecDeque<Option<Fault>>,
    /// While set, every commit finds the disk full.
    full: bool,
    random: Option<Random>,
    injected: usize,
}

#[derive(Debug)]
struct Random {
    state: u64,
    one_in: u64,
}

/// Late enough to be noticed, early enough for a test.
const SLOW: Duration = Duration::from_millis(20);

impl FaultScript {
    /// Faults at random, about one in `one_in` commits; the same seed gives the same faults.
    #[must_use]
    pub fn seeded(seed: u64, one_in: u64) -> Self {
        let script = Self::default();
        script.lock().random = Some(Random { state: seed | 1, one_in: one_in.max(1) });
        script
    }

    /// The commit after those already spoken for goes wrong in this way.
    pub fn next(&self, fault: Fault) {
        self.lock().coming.push_back(Some(fault));
    }

    /// The next `commits` after those already spoken for go well.
    pub fn pass(&self, commits: usize) {
        let mut state = self.lock();
        let length = state.coming.len() + commits;
        state.coming.resize(length, None);
    }

    /// Fills the disk for every commit, or makes room again.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// How many commits went wrong so far.
    #[must_use]
    pub fn injected(&self) -> usize {
        self.lock().injected
    }

    fn lock(&self) -> MutexGuard<'_, ScriptState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Fault> {
        let mut state = self.lock();
        let fault = match state.coming.pop_front() {
            Some(scripted) => scripted,
            None if state.full => Some(Fault::Full),
            None => state.random.as_mut().and_then(Random::fault),
        };
        state.injected += usize::from(fault.is_some());
        fault
    }
}

impl Random {
    /// SplitMix64: small, and good enough to choose by.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn fault(&mut self) -> Option<Fault> {
        if !self.draw().is_multiple_of(self.one_in) {
            return None;
        }
        Some(match self.draw() % 4 {
            0 => Fault::Failed,
            1 => Fault::Full,
            2 => Fault::Slow(SLOW),
            _ => Fault::Lost,
        })
    }
}

/// A store whose commits fail as a [`FaultScript`] says; everything else goes through.
#[derive(Debug)]
pub struct FaultStore<S> {
    inner: S,
    script: FaultScript,
}

impl<S: Store> FaultStore<S> {
    /// Wraps `inner`.
    pub fn new(inner: S, script: FaultScript) -> Self {
        Self { inner, script }
    }
}

fn unknown() -> StoreError {
    StoreError::Unknown { detail: "a fault made on order".to_owned() }
}

impl<S: Store> Store for FaultStore<S> {
    fn begin_term(&mut self) -> Result<Term, StoreError> {
        self.inner.begin_term()
    }

    fn load(&mut self) -> Result<Saved, StoreError> {
        self.inner.load()
    }

    fn commit(&mut self, term: Term, changes: &[Change]) -> Result<(), StoreError> {
        match self.script.take() {
            None => self.inner.commit(term, changes),
            Some(Fault::Failed) => Err(unknown()),
            Some(Fault::Full) => Err(StoreError::Full),
            Some(Fault::Slow(delay)) => {
                std::thread::sleep(delay);
                self.inner.commit(term, changes)
            }
            Some(Fault::Lost) => self.inner.commit(term, changes).and(Err(unknown())),
        }
    }

    fn spec(&mut self, hash: SpecHash) -> Result<Option<Arc<Spec>>, StoreError> {
        self.inner.spec(hash)
    }

    fn key(&mut self, project: &str, key: &str) -> Result<Option<IdempotencyKey>, StoreError> {
        self.inner.key(project, key)
    }

    fn prune(&mut self, term: Term, keep: Retention) -> Result<usize, StoreError> {
        self.inner.prune(term, keep)
    }

    fn idle(&mut self) {
        self.inner.idle();
    }

    fn release_reserve(&mut self) {
        self.inner.release_reserve();
    }

    fn restore_reserve(&mut self) -> bool {
        !self.script.lock().full && self.inner.restore_reserve()
    }
}

#[cfg(test)]
mod tests {
    use fastgpu_core::config::Config;

    use super::*;
    use crate::memory::MemoryStore;

    /// Whether a commit under this fault succeeded, and whether its row is there.
    fn commit_under(fault: Fault) -> (Result<(), StoreError>, bool) {
        let script = FaultScript::default();
        let mut store = FaultStore::new(MemoryStore::default(), script.clone());
        let term = store.begin_term().unwrap();
        script.pass(1);
        script.next(fault);
        store.commit(term, &[]).unwrap();
        let outcome = store.commit(term, &[Change::Config(Config::default())]);
        assert_eq!(script.injected(), 1);
        (outcome, store.load().unwrap().config.is_some())
    }

    #[test]
    fn a_fault_is_what_it_says() {
        assert!(matches!(commit_under(Fault::Failed), (Err(StoreError::Unknown { .. }), false)));
        assert!(matches!(commit_under(Fault::Full), (Err(StoreError::Full), false)));
        assert!(matches!(commit_under(Fault::Slow(SLOW)), (Ok(()), true)));
        assert!(matches!(commit_under(Fault::Lost), (Err(StoreError::Unknown { .. }), true)));
    }

    #[test]
    fn a_full_disk_stays_full_until_there_is_room() {
        let script = FaultScript::default();
        let mut store = FaultStore::new(MemoryStore::default(), script.clone());
        let term = store.begin_term().unwrap();
        script.set_full(true);
        for _ in 0..3 {
            assert!(matches!(store.commit(term, &[]), Err(StoreError::Full)));
            assert!(!store.restore_reserve());
        }
        script.set_full(false);
        assert!(store.restore_reserve());
        store.commit(term, &[]).unwrap();
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let faults = |seed| {
            let script = FaultScript::seeded(seed, 3);
            (0..200).map(|_| script.take()).collect::<Vec<_>>()
        };
        assert_eq!(faults(5), faults(5));
        assert_ne!(faults(5), faults(7));
        for fault in [Fault::Failed, Fault::Full, Fault::Slow(SLOW), Fault::Lost] {
            assert!(faults(5).contains(&Some(fault)), "{fault:?}");
        }
    }
}
