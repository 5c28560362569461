//! Effects: which may happen now, and what follows when one has.

use super::EnginePart;
use super::item::{Effect, HostCall, Word};
use super::{Dep, Op, Task};
use crate::abi::Done;
use crate::handle::{ContextHandle, StreamHandle};
use crate::kernels::Fault;
use crate::process::Process;

/// An effect that somebody has taken on.
#[derive(Debug)]
pub(crate) struct Job {
    dep: Dep,
    /// The context whose memory it is about; `None`: it is about none.
    of: Option<ContextHandle>,
    pub(crate) what: What,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum What {
    Task(Task),
    Write(Word, u64),
    Host(HostCall),
}

/// Which effects somebody is willing to take on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Willing {
    /// Those that move bytes.
    Bytes,
    /// Functions of the program.
    Host,
}

impl EnginePart {
    /// An effect whose turn has come, if there is one; it is ours from now on.
    pub(crate) fn next_job(&mut self, willing: Willing) -> Option<Job> {
        for place in 0..self.active.len() {
            let handle = self.active[place];
            self.skip_done(handle);
            let stream = self.streams.find(handle)?;
            let number = stream.effected;
            let Some(item) = stream.item(number) else { continue };
            if item.effect != Effect::Ready || !item.deps.iter().all(|dep| self.effect_done(*dep)) {
                continue;
            }
            // What the program can see at once: only when everything before it is complete, in time too.
            let due = number == stream.base && stream.placed > number;
            let what = match (&item.op, willing) {
                (Op::Work { task: Some(task), .. }, Willing::Bytes) => What::Task(task.clone()),
                (Op::Write(word, value), Willing::Bytes) if due => What::Write(*word, *value),
                (Op::Host(call), Willing::Host) if due => What::Host(*call),
                _ => continue,
            };
            let of = (willing == Willing::Bytes).then(|| self.root(stream.context));
            // What was freed since is not there any more, and that is a fault of the program's work, not its end.
            let what =
                if self.is_gone(&item.op) { What::Task(Task::Fault(Fault::WildAddress)) } else { what };
            if let Some(item) = self.streams.get_mut(handle).ok().and_then(|stream| stream.item_mut(number)) {
                item.effect = Effect::Running;
            }
            self.running += 1;
            self.moving.extend(of);
            return Some(Job { dep: Dep { stream: handle, number }, of, what });
        }
        None
    }

    /// Passes over items that have no effect, or had it.
    fn skip_done(&mut self, handle: StreamHandle) {
        while let Some(stream) = self.streams.find(handle) {
            let Some(item) = stream.item(stream.effected) else { return };
            // A word or an event of others that is waited for comes before the effects behind it.
            let waits = matches!(item.op, Op::WaitValue(_) | Op::Await(_));
            let passed = matches!(item.effect, Effect::Done(_)) && !waits;
            if !passed || !item.deps.iter().all(|dep| self.effect_done(*dep)) {
                return;
            }
            if let Ok(stream) = self.streams.get_mut(handle) {
                stream.effected += 1;
            }
        }
    }

    fn effect_done(&self, dep: Dep) -> bool {
        self.streams
            .find(dep.stream)
            .is_none_or(|stream| stream.effected > dep.number || stream.base > dep.number)
    }

    pub(crate) fn finish(&mut self, process: &Process, Job { dep, of, .. }: &Job, result: Done) {
        self.running -= 1;
        if let Some(place) = self.moving.iter().position(|context| Some(*context) == *of) {
            self.moving.swap_remove(place);
        }
        let now = process.ledger.now_ns();
        let Ok(stream) = self.streams.get_mut(dep.stream) else { return };
        let context = stream.context;
        if let Some(item) = stream.item_mut(dep.number) {
            item.effect = Effect::Done(now);
        }
        if let Err(code) = result {
            let device = self.contexts.get(context).and_then(|context| process.device(context.ordinal));
            if let Ok(mut device) = device {
                Fault::xids_of(code).iter().for_each(|xid| device.note_xid(*xid, process.me.pid));
            }
            process.ledger.ring_fault();
            self.fail_context(process, context, code);
        }
    }
}
