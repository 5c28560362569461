//! An independent look at where queues that spread place their tasks.

use std::sync::atomic::AtomicU64;

use super::*;

/// How often a start of a queue that spreads was looked at: as usual, kept for, lent.
pub(super) static PLACED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

impl World {
    /// Who starts alone for a queue that spreads gets the emptiest node of those that it could get, whether it
    /// started as usual, devices were kept for it, or it was lent what is kept for another.
    pub(super) fn check_spreading(&self, decided: &Plan) {
        let [start] = decided.starts.as_slice() else { return };
        let task = self.state.task(start.task).unwrap();
        let ask = &task.terms.ask;
        let is_gang = ask.constraints.spread == Spread::AnyNodes && ask.devices.max > 1;
        if self.state.policy_of(task).placement != policy::Placement::Spreading
            || is_gang
            || ask.devices.min != ask.devices.max
        {
            return;
        }
        let part = &start.parts[0];
        let takes_host = ask.cpu.0 > 0 || ask.host_memory.0 > 0;
        let takes_of = |keep: &Keep| {
            (takes_host && keep.nodes.contains(&part.node))
                || part.slices.iter().any(|slice| keep.devices.contains(&(part.node, slice.device)))
        };
        let own = self.state.keeps().iter().find(|keep| keep.task == task.id);
        let is_still_kept = |old: &Keep| decided.keeps.iter().any(|keep| keep.task == old.task);
        let mut others = self.state.keeps().iter().filter(|old| old.task != task.id);
        if own.is_some_and(|own| !others.all(is_still_kept) || !own.nodes.contains(&part.node)) {
            return;
        }
        let is_older = |keep: &&Keep| {
            keep.cause == KeepCause::Overtaken || self.state.keeps().iter().any(|old| old.task == keep.task)
        };
        let older: Vec<&Keep> = decided.keeps.iter().filter(is_older).collect();
        let is_lent = own.is_none() && older.iter().any(|keep| takes_of(keep));
        let hidden: Vec<&Keep> =
            older.into_iter().filter(|keep| !is_lent || keep.cause == KeepCause::Preempting).collect();
        let seen = self
            .state
            .cluster()
            .nodes()
            .filter(|node| node.takes_tasks() && own.is_none_or(|own| own.nodes.contains(&node.id)));
        let emptiest =
            seen.filter_map(|node| Some((emptiness(node, ask, &hidden)?, Reverse(node.id)))).max().unwrap();
        assert_eq!(emptiest.1.0, part.node, "{} of {ask:?}, {emptiest:?}", task.id);
        PLACED[usize::from(own.is_some()) + 2 * usize::from(is_lent)].fetch_add(1, Ordering::Relaxed);
    }
}

/// Free compute and whole cores of a node on which the ask fits beside what is hidden.
fn emptiness(node: &Node, ask: &Ask, hidden: &[&Keep]) -> Option<(u32, u32)> {
    let is_host_hidden = hidden.iter().any(|keep| keep.nodes.contains(&node.id));
    let (cpu, memory) = if is_host_hidden { (0, 0) } else { (node.cpu_free.0, node.host_memory_free.0) };
    let is_seen = |slot: &&DeviceSlot| {
        slot.info.unusable.is_none()
            && !hidden.iter().any(|keep| keep.devices.contains(&(node.id, slot.info.index)))
    };
    let seen = || node.devices.iter().filter(is_seen);
    let serves = |slot: &&DeviceSlot| {
        allows_device(ask, slot)
            && ask
                .share
                .on(slot.info.memory)
                .is_some_and(|(milli, memory)| milli <= slot.free_milli && memory <= slot.free_memory)
    };
    let fits = ask.cpu.0 <= cpu
        && ask.host_memory.0 <= memory
        && seen().filter(serves).count() >= usize::from(ask.devices.min);
    fits.then(|| (seen().map(|slot| slot.free_milli.get()).sum(), cpu / 1_000))
}
