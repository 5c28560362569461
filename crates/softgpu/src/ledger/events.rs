//! Events that several processes may hold: one records, others ask and wait.
//!
//! A record is a number, one higher than the last; it is reached when the recorder's stream comes to it. What a
//! dead process recorded counts as reached, since its work is over: nobody waits for the dead. The numbers go on
//! from one use of a place to the next, so that whoever still waits for an old one is let go.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::layout::{Registry, SharedEvent};
use super::{Ledger, RegistryGuard, wake_all};

/// One record of an event that processes share.
#[derive(Debug, Clone, Copy)]
pub struct Signal {
    ledger: Ledger,
    place: u32,
    number: u64,
}

impl Signal {
    /// Whether it was reached, by this record or a later one.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.ledger.event(self.place).reached.load(Acquire) >= self.number
    }

    /// Says that it was reached, and wakes the workers of those who may wait for it.
    pub fn reach(&self) {
        let event = self.ledger.event(self.place);
        event.reached.fetch_max(self.number, AcqRel);
        for slot in event.holding() {
            let bell = &self.ledger.root().words[slot as usize].doorbell;
            bell.fetch_add(1, Release);
            wake_all(bell);
        }
    }
}

impl SharedEvent {
    fn bit(&self, slot: u32) -> (&AtomicU64, u64) {
        (&self.holders[slot as usize / 64], 1 << (slot % 64))
    }

    /// The process slots that hold it.
    fn holding(&self) -> impl Iterator<Item = u32> {
        let words = (0u32..).zip(&self.holders).map(|(index, word)| (index, word.load(Acquire)));
        words.flat_map(|(index, word)| {
            (0..64).filter(move |bit| word & 1 << bit != 0).map(move |bit| index * 64 + bit)
        })
    }

    /// Takes a holder away; the place is free when it was the last.
    fn let_go(&self, slot: u32) {
        let (word, bit) = self.bit(slot);
        word.fetch_and(!bit, AcqRel);
        if self.holding().next().is_none() {
            self.reached.store(self.recorded.load(Relaxed), Release);
            self.id.store(0, Release);
        }
    }
}

impl Ledger {
    fn event(&self, place: u32) -> &'static SharedEvent {
        &self.root().events[place as usize]
    }

    /// Makes an event that others may hold too, on a device; its place and name, or `None` if all places are taken.
    #[must_use]
    pub fn share_event(&self, slot: u32, device: usize) -> Option<(u32, u64)> {
        let mut registry = self.registry();
        let free = |(_, event): &(u32, &SharedEvent)| event.id.load(Relaxed) == 0;
        let (place, event) = (0u32..).zip(&self.root().events).find(free)?;
        registry.event_serial += 1;
        let id = registry.event_serial;
        registry.events_high = registry.events_high.max(place + 1);
        event.device.store(u32::try_from(device).unwrap_or(0), Relaxed);
        event.recorder.store(0, Relaxed);
        let (word, bit) = event.bit(slot);
        word.fetch_or(bit, AcqRel);
        event.id.store(id, Release);
        Some((place, id))
    }

    /// Lets `slot` hold an event too; the device it is on, or `None` if there is no such event any more.
    #[must_use]
    pub fn hold_event(&self, place: u32, id: u64, slot: u32) -> Option<usize> {
        let _registry = self.registry();
        let event = self.root().events.get(place as usize)?;
        if id == 0 || event.id.load(Acquire) != id {
            return None;
        }
        let (word, bit) = event.bit(slot);
        word.fetch_or(bit, AcqRel);
        Some(event.device.load(Relaxed) as usize)
    }

    /// `slot` lets go of an event.
    pub fn let_go_of_event(&self, place: u32, slot: u32) {
        let _registry = self.registry();
        self.event(place).let_go(slot);
    }

    /// Records an event; the caller says when that is reached.
    #[must_use]
    pub fn record_event(&self, place: u32, slot: u32) -> Signal {
        let _registry = self.registry();
        let event = self.event(place);
        // The recorder comes first: if it dies in between, nothing was recorded.
        event.recorder.store(slot + 1, Release);
        let number = event.recorded.fetch_add(1, AcqRel) + 1;
        Signal { ledger: *self, place, number }
    }

    /// What was recorded last.
    #[must_use]
    pub fn last_signal(&self, place: u32) -> Signal {
        Signal { ledger: *self, place, number: self.event(place).recorded.load(Acquire) }
    }

    /// How many events are held by somebody.
    #[must_use]
    pub fn events_held(&self) -> usize {
        let high = self.registry().events_high as usize;
        self.root().events[..high].iter().filter(|event| event.id.load(Relaxed) != 0).count()
    }

    /// A process is dead: what it recorded is over, and it holds nothing.
    pub(super) fn forget_events_of(&self, registry: &RegistryGuard, slot: u32) {
        let registry: &Registry = registry;
        for event in &self.root().events[..registry.events_high as usize] {
            if event.recorder.load(Acquire) == slot + 1 {
                event.reached.fetch_max(event.recorded.load(Acquire), AcqRel);
            }
            let (word, bit) = event.bit(slot);
            // One that nobody holds was left by somebody who died while letting go of it.
            if word.load(Acquire) & bit != 0 || event.holding().next().is_none() {
                event.let_go(slot);
            }
        }
    }
}
