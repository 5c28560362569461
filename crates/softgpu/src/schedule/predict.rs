//! When something will be done if nothing else comes: what a waiter sleeps until.

use super::{ContextSlot, Position, Schedule};

/// Turns that are looked ahead; a waiter that must wait longer looks again then.
const TURNS_MAX: usize = 4_096;

impl Schedule {
    /// When the device will come to `position` if nobody submits anything more. Call [`advance`] first.
    /// The real time can be later, if others submit; earlier only if others end. `None`: never, as things are.
    ///
    /// [`advance`]: Schedule::advance
    #[must_use]
    pub fn predict(&self, slot: ContextSlot, position: Position) -> Option<u64> {
        if let Some(at) = self.reached(slot, position) {
            return Some(at);
        }
        if self.stalled != 0 {
            return None;
        }
        let context = &self.contexts[slot.index()];
        let wanted = position - context.served;
        if !self.contended() {
            let loaded = self.loaded == slot.0 + 1;
            let switch = if loaded || self.loaded == 0 { 0 } else { self.switch_ns };
            let begin = self.now_ns.max(self.loading_until_ns).saturating_add(switch);
            return Some(begin.saturating_add(wanted));
        }
        Some(self.in_turns(slot, wanted))
    }

    /// Plays the turns of all who have work until `slot` has had `wanted` nanoseconds.
    fn in_turns(&self, slot: ContextSlot, mut wanted: u64) -> u64 {
        let mut queue = self.turns_from_loaded();
        let mut now = self.now_ns.max(self.loading_until_ns);
        let mut loaded = self.loaded.checked_sub(1);
        let mut slice_end = if loaded.is_some() { self.slice_end_ns } else { now };
        for _ in 0..TURNS_MAX {
            let Some((index, left)) = queue.pop_front() else { break };
            let first_turn_left = slice_end.saturating_sub(now);
            if loaded == Some(index) && first_turn_left == 0 && !queue.is_empty() {
                queue.push_back((index, left));
                loaded = None;
                continue;
            }
            if loaded != Some(index) {
                let switch = if self.loaded == 0 && loaded.is_none() { 0 } else { self.switch_ns };
                now = now.saturating_add(switch);
                slice_end = now.saturating_add(self.slice_ns);
            }
            loaded = Some(index);
            let turn = if queue.is_empty() { left } else { left.min(slice_end.saturating_sub(now)) };
            if index == slot.0 {
                if wanted <= turn {
                    return now.saturating_add(wanted);
                }
                wanted -= turn;
            }
            now = now.saturating_add(turn);
            slice_end = now;
            if left > turn {
                queue.push_back((index, left - turn));
            }
        }
        now
    }

    fn turns_from_loaded(&self) -> std::collections::VecDeque<(u32, u64)> {
        let start = self.loaded.saturating_sub(1);
        let high = self.contexts_high;
        let order = (start..high).chain(0..start.min(high));
        order
            .filter(|index| self.is_runnable(*index as usize))
            .map(|index| {
                let context = &self.contexts[index as usize];
                (index, context.submitted - context.served)
            })
            .collect()
    }
}
