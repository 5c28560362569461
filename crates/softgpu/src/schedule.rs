//! Who runs on a device when: decided by arithmetic, not by a daemon.
//!
//! A context's work is one queue of nanoseconds. `submitted` is where its end is, `served` how far the device
//! has come; an item is done when `served` has passed its end. [`Schedule::advance`] carries the device on to
//! a given time, in slices between contexts that have work. Anybody who holds the device's lock may call it,
//! and the answer does not depend on who calls it when. Nothing here reads a clock or waits.

mod history;
mod predict;

pub use history::{BUCKET_NS, BUCKETS, Bucket, BusyHistory, SEGMENTS, Segment};

/// Most contexts on one device at once.
pub const CONTEXTS_MAX: usize = 1_024;
/// How long a context runs before others get their turn, unless set otherwise.
pub const SLICE_NS: u64 = 2_000_000;
/// What it costs to bring another context in, unless set otherwise.
pub const SWITCH_NS: u64 = 100_000;

/// A place in a context's queue: nanoseconds of work since the context was made.
pub type Position = u64;

/// Which way a copy engine copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum CopyEngine {
    /// From the host to the device.
    In = 0,
    /// From the device to the host.
    Out = 1,
}

/// A context's place on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextSlot(pub u32);

impl ContextSlot {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// The plan of one device, all times in nanoseconds of device time.
#[repr(C)]
#[derive(Debug)]
pub struct Schedule {
    /// Everything up to here is decided.
    pub now_ns: u64,
    /// The slot that is loaded, + 1; 0: none yet.
    pub loaded: u32,
    /// Not 0: the device hangs; time passes and nothing gets done.
    pub stalled: u32,
    /// Until when the loaded context is being brought in.
    pub loading_until_ns: u64,
    /// When the loaded context must make room.
    pub slice_end_ns: u64,
    /// Length of a slice.
    pub slice_ns: u64,
    /// Cost of a switch.
    pub switch_ns: u64,
    /// Time in which a kernel ran.
    pub busy_ns: u64,
    /// Time spent on switches.
    pub switched_ns: u64,
    /// How many switches there were.
    pub switches: u64,
    /// When each copy engine is free again.
    pub copy_free_ns: [u64; 2],
    /// Time in which each copy engine copied or will.
    pub copied_ns: [u64; 2],
    /// Rises with each context.
    pub context_serial: u64,
    /// Above this no slot was ever used.
    pub contexts_high: u32,
    /// Spare.
    pub flags: u32,
    /// One bit for each slot that has work.
    pub runnable: [u64; CONTEXTS_MAX / 64],
    /// When kernels ran, lately.
    pub busy: BusyHistory,
    /// When copies ran, lately.
    pub copying: BusyHistory,
    /// The contexts.
    pub contexts: [ContextRun; CONTEXTS_MAX],
}

/// The queue of one context.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ContextRun {
    /// The process slot it belongs to, + 1; 0: the slot is free.
    pub owner: u32,
    /// Not 0: it is suspended.
    pub suspended: u32,
    /// Which context of this device it is, counted from 1.
    pub serial: u64,
    /// Where its queue ends.
    pub submitted: Position,
    /// How far it has come.
    pub served: Position,
    /// When it ran, lately, for the share of one process.
    pub busy: BusyHistory,
    /// How many segments were ever written.
    pub segments_count: u64,
    /// When it ran, lately, to the nanosecond.
    pub segments: [Segment; SEGMENTS],
}

impl Schedule {
    /// Gives a process a queue on the device, or `None` if there are too many.
    pub fn open(&mut self, process_slot: u32) -> Option<(ContextSlot, u64)> {
        let index = self.contexts.iter().position(|context| context.owner == 0)?;
        let slot = u32::try_from(index).expect("there are fewer contexts than that");
        self.context_serial += 1;
        let context = &mut self.contexts[index];
        context.suspended = 0;
        context.serial = self.context_serial;
        context.submitted = 0;
        context.served = 0;
        context.segments_count = 0;
        context.busy.clear();
        context.owner = process_slot + 1;
        self.contexts_high = self.contexts_high.max(slot + 1);
        Some((ContextSlot(slot), self.context_serial))
    }

    /// Takes the queue away with whatever is left in it.
    pub fn close(&mut self, slot: ContextSlot) {
        self.set_runnable(slot.index(), false);
        self.contexts[slot.index()].owner = 0;
        if self.loaded == slot.0 + 1 {
            self.loaded = 0;
        }
    }

    /// Takes away every queue of a process.
    pub fn close_all_of(&mut self, process_slot: u32) {
        for slot in 0..self.contexts_high {
            if self.contexts[slot as usize].owner == process_slot + 1 {
                self.close(ContextSlot(slot));
            }
        }
    }

    /// Adds work to the end of a context's queue and says where that end is. Call [`advance`] first. However much
    /// somebody asks for, times end where numbers do: nobody else may suffer for it.
    ///
    /// [`advance`]: Schedule::advance
    pub fn submit(&mut self, slot: ContextSlot, work_ns: u64) -> Position {
        let context = &mut self.contexts[slot.index()];
        context.submitted = context.submitted.saturating_add(work_ns);
        let end = context.submitted;
        if work_ns > 0 {
            self.set_runnable(slot.index(), true);
        }
        end
    }

    /// Adds work that leaves room for other work of its context beside it: it begins once the device has come to
    /// `after`, whatever else is in the queue. Says where it ends. Call [`advance`] first.
    ///
    /// [`advance`]: Schedule::advance
    pub fn submit_beside(&mut self, slot: ContextSlot, after: Position, work_ns: u64) -> Position {
        let context = &mut self.contexts[slot.index()];
        let end = after.max(context.served).saturating_add(work_ns);
        context.submitted = context.submitted.max(end);
        if context.submitted > context.served {
            self.set_runnable(slot.index(), true);
        }
        end
    }

    /// Adds a copy that can begin at `ready_ns`; says when it will be done.
    pub fn submit_copy(&mut self, engine: CopyEngine, ready_ns: u64, work_ns: u64) -> u64 {
        let free = &mut self.copy_free_ns[engine as usize];
        let begin = ready_ns.max(*free).max(self.now_ns);
        let end = begin.saturating_add(work_ns);
        *free = end;
        let copied = &mut self.copied_ns[engine as usize];
        *copied = copied.saturating_add(work_ns);
        self.copying.add(begin, end - begin);
        end
    }

    /// When the device came to `position`, or `None` while it has not.
    #[must_use]
    pub fn reached(&self, slot: ContextSlot, position: Position) -> Option<u64> {
        let context = &self.contexts[slot.index()];
        (position <= context.served).then(|| context.time_of(position))
    }

    /// Carries the device on to `to_ns`; earlier times change nothing.
    pub fn advance(&mut self, to_ns: u64) {
        while self.now_ns < to_ns {
            if self.stalled != 0 {
                self.now_ns = to_ns;
                return;
            }
            if self.now_ns < self.loading_until_ns {
                let until = to_ns.min(self.loading_until_ns);
                self.switched_ns += until - self.now_ns;
                self.now_ns = until;
                continue;
            }
            match self.choose() {
                None => self.now_ns = to_ns,
                Some(next) if self.loaded == next.0 + 1 => self.serve(next, to_ns),
                Some(next) => self.load(next),
            }
        }
    }

    /// Who should run now: the loaded context while it has work and its slice lasts, else the next in turn.
    fn choose(&self) -> Option<ContextSlot> {
        let Some(loaded) = self.loaded.checked_sub(1) else { return self.next_runnable(0) };
        let has_work = self.is_runnable(loaded as usize);
        if has_work && self.now_ns < self.slice_end_ns {
            return Some(ContextSlot(loaded));
        }
        self.next_runnable(loaded as usize + 1)
    }

    fn load(&mut self, next: ContextSlot) {
        // The first context ever finds the device empty; every other one has somebody to move out.
        if self.loaded != 0 {
            self.switches += 1;
            self.loading_until_ns = self.now_ns.saturating_add(self.switch_ns);
        }
        self.loaded = next.0 + 1;
        self.slice_end_ns = self.now_ns.max(self.loading_until_ns).saturating_add(self.slice_ns);
    }

    fn serve(&mut self, slot: ContextSlot, to_ns: u64) {
        if self.now_ns >= self.slice_end_ns {
            // Alone: the slice begins again.
            self.slice_end_ns = self.now_ns.saturating_add(self.slice_ns);
        }
        let alone = self.next_runnable(slot.index() + 1) == Some(slot);
        let context = &mut self.contexts[slot.index()];
        let work = context.submitted - context.served;
        let mut until = to_ns.min(self.now_ns.saturating_add(work));
        if !alone {
            until = until.min(self.slice_end_ns);
        }
        let length = until - self.now_ns;
        context.ran(self.now_ns, length);
        let empty = context.served == context.submitted;
        self.busy.add(self.now_ns, length);
        self.busy_ns += length;
        self.now_ns = until;
        if empty {
            self.set_runnable(slot.index(), false);
        }
    }

    fn is_runnable(&self, index: usize) -> bool {
        self.runnable[index / 64] & (1 << (index % 64)) != 0
    }

    fn set_runnable(&mut self, index: usize, yes: bool) {
        let word = &mut self.runnable[index / 64];
        let bit = 1 << (index % 64);
        *word = if yes { *word | bit } else { *word & !bit };
    }

    /// The first slot with work at or after `from`, going round.
    fn next_runnable(&self, from: usize) -> Option<ContextSlot> {
        let words = self.runnable.len();
        let (word, bit) = ((from / 64) % words, from % 64);
        let first = self.runnable[word] & (u64::MAX << bit);
        let rest = (1..=words).map(|step| (word + step) % words);
        let mut masks = std::iter::once((word, first)).chain(rest.map(|at| (at, self.runnable[at])));
        let (word, mask) = masks.find(|(_, mask)| *mask != 0)?;
        u32::try_from(word * 64).ok().map(|base| ContextSlot(base + mask.trailing_zeros()))
    }

    /// True if more than one context has work.
    #[must_use]
    pub fn contended(&self) -> bool {
        self.runnable.iter().map(|word| word.count_ones()).sum::<u32>() > 1
    }

    /// Makes the derived parts agree with the queues again, after somebody died while writing.
    pub fn mend(&mut self) {
        for index in 0..self.contexts_high as usize {
            let context = &mut self.contexts[index];
            context.served = context.served.min(context.submitted);
            let has_work = context.owner != 0 && context.served < context.submitted;
            self.set_runnable(index, has_work);
        }
    }
}

#[cfg(test)]
mod tests;
