//! Machines that vanish and GPUs that fall ill, and what becomes of the programs on them.

use std::cmp::Reverse;

use fastgpu_core::ask::GrantPart;
use fastgpu_core::ids::{Fence, NodeId, TaskId};
use fastgpu_core::node::{ExitKind, Inventory, Report};
use fastgpu_core::state::Changes;

use super::nodes::exit;
use super::{Engine, Event, What};
use crate::cluster::Machines;
use crate::faults::next_fault;
use crate::random::Random;
use crate::task::number_of;

/// What is broken at the moment, and whose luck decides what breaks next.
#[derive(Debug)]
pub(super) struct Breakage {
    is_down: Vec<bool>,
    is_sick: Vec<Vec<bool>>,
    /// The luck of each machine, then of each of its GPUs.
    chances: Vec<(Random, Vec<Random>)>,
}

impl Breakage {
    pub(super) fn new(machines: &Machines) -> Self {
        let is_sick = machines.0.iter().map(|machine| vec![false; machine.gpus.len()]).collect();
        Self { is_down: vec![false; machines.0.len()], is_sick, chances: Vec::new() }
    }
}

impl Engine<'_> {
    /// Decides when everything breaks for the first time.
    pub(super) fn plan_faults(&mut self) {
        let Some(faults) = self.world.faults else { return };
        for (machine, gpus) in self.world.machines.0.iter().map(|machine| machine.gpus.len()).enumerate() {
            let own = (0..gpus).map(|gpu| faults.of_gpu(machine, gpu)).collect();
            self.breakage.chances.push((faults.of_node(machine), own));
            let machine = u32::try_from(machine).expect("fewer than 2^32 machines");
            self.plan_fault(machine, None);
            (0..).take(gpus).for_each(|gpu| self.plan_fault(machine, Some(gpu)));
        }
    }

    fn plan_fault(&mut self, machine: u32, gpu: Option<u16>) {
        let Some(faults) = self.world.faults else { return };
        let (of_node, of_gpus) = &mut self.breakage.chances[machine as usize];
        let (chance, mtbf) = match gpu {
            Some(gpu) => (&mut of_gpus[usize::from(gpu)], faults.gpu_mtbf),
            None => (of_node, faults.node_mtbf),
        };
        if let Some(mtbf) = mtbf {
            let at = self.now.plus(next_fault(chance, mtbf));
            self.events.push(Reverse(Event { at, what: What::Breaks { machine, gpu } }));
        }
    }

    pub(super) fn breaks(&mut self, machine: u32, gpu: Option<u16>, changes: &mut Changes) {
        let repair = self.world.faults.map(|faults| faults.repair).unwrap_or_default();
        let what = What::Repaired { machine, gpu };
        self.events.push(Reverse(Event { at: self.now.plus(repair), what }));
        let (place, node) = (machine as usize, NodeId(machine));
        match gpu {
            Some(gpu) => {
                self.breakage.is_sick[place][usize::from(gpu)] = true;
                if self.breakage.is_down[place] {
                    return;
                }
                self.meter.lose(place, Some(usize::from(gpu)), true);
                for (id, _) in self.holders(node, Some(gpu)) {
                    self.fails(id, "its GPU fell ill", changes);
                }
                let inventory = self.inventory(place);
                self.say(node, Report::Inventory(inventory), changes);
            }
            None => {
                self.count_gpus(place, true);
                self.breakage.is_down[place] = true;
                for (id, first) in self.holders(node, None) {
                    if first == node {
                        self.breaks_off(id);
                    } else {
                        self.fails(id, "another node of it vanished", changes);
                    }
                }
                self.say(node, Report::Lost, changes);
            }
        }
        self.dirty.push(machine);
    }

    pub(super) fn repaired(&mut self, machine: u32, gpu: Option<u16>, changes: &mut Changes) {
        let (place, node) = (machine as usize, NodeId(machine));
        match gpu {
            Some(gpu) => {
                self.breakage.is_sick[place][usize::from(gpu)] = false;
                if !self.breakage.is_down[place] {
                    self.meter.lose(place, Some(usize::from(gpu)), false);
                    let inventory = self.inventory(place);
                    self.say(node, Report::Inventory(inventory), changes);
                }
            }
            None => {
                self.breakage.is_down[place] = false;
                self.count_gpus(place, false);
                let inventory = self.inventory(place);
                self.say(node, Report::Hello { inventory, attempts: Vec::new() }, changes);
            }
        }
        self.dirty.push(machine);
        self.plan_fault(machine, gpu);
    }

    /// Tasks that hold a device of a node, or anything of it, and where their programs run.
    fn holders(&self, node: NodeId, gpu: Option<u16>) -> Vec<(TaskId, NodeId)> {
        let state = self.server.state();
        let Some(node) = state.cluster().node(node) else { return Vec::new() };
        let holds = |part: &GrantPart| match gpu {
            Some(gpu) => part.slices.iter().any(|slice| slice.device.0 == gpu),
            None => true,
        };
        node.held()
            .filter(|(_, part)| holds(part))
            .filter_map(|(id, _)| Some((id, state.task(id)?.state.hold()?.grant.first_node())))
            .collect()
    }

    /// A program ends because a machine failed it, and its node says so.
    fn fails(&mut self, id: TaskId, why: &str, changes: &mut Changes) {
        let Some((node, fence)) = self.breaks_off(id) else { return };
        let exit = exit(self.now, ExitKind::Infrastructure(why.to_owned()));
        self.say(node, Report::Exited { task: id, fence, exit }, changes);
    }

    /// A program is gone, with all that it has not saved.
    fn breaks_off(&mut self, id: TaskId) -> Option<(NodeId, Fence)> {
        let faults = self.world.faults?;
        let task = self.server.state().task(id)?;
        let hold = task.state.hold()?;
        let (node, fence) = (hold.grant.first_node(), hold.grant.fence);
        let job = &mut self.jobs[number_of(task.work.spec())];
        job.run.filter(|run| run.fence == fence)?;
        job.stop(self.now, |ran| faults.saved(ran), fastgpu_core::units::Millis(0));
        job.failures += 1;
        Some((node, fence))
    }

    /// A machine as it is, with its sick GPUs.
    fn inventory(&self, machine: usize) -> Inventory {
        let mut inventory = self.world.machines.0[machine].inventory();
        for (device, &is_sick) in inventory.devices.iter_mut().zip(&self.breakage.is_sick[machine]) {
            device.unusable = is_sick.then(|| "it fell ill and waits for its repair".to_owned());
        }
        inventory
    }

    /// Counts the healthy GPUs of a machine as gone, or as there again.
    fn count_gpus(&mut self, machine: usize, is_lost: bool) {
        for (gpu, &is_sick) in self.breakage.is_sick[machine].iter().enumerate() {
            if !is_sick {
                self.meter.lose(machine, Some(gpu), is_lost);
            }
        }
    }
}
