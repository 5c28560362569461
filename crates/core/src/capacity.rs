//! What an empty cluster could hold, as two questions.
//!
//! [`ever`]: however nodes and devices are now. A device that is out of order may be mended, a node that is away
//! may come back, a drained one may be resumed: all count, and who could not run even so is refused. What of its ask is
//! larger than anything there is, [`TooBig`] says with numbers and advice.
//!
//! [`when_empty`]: with what is usable now. Only for such a task are devices kept.

use std::fmt;

use crate::ask::{Ask, Share, Spread};
use crate::cluster::{Cluster, DeviceSlot, Node};
use crate::ids::Name;
use crate::place::fit::{allows_kind, allows_model, allows_node, has_labels, is_named};
use crate::units::{CpuMilli, MemoryMib};

/// Which part of an ask is larger than anything there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TooBig {
    /// No devices are known at all.
    NoDevices,
    /// More devices than exist (on one node, unless the ask may span nodes).
    Devices {
        /// How many are asked for.
        asked: u16,
        /// The most a single grant could have, at least one.
        largest: u16,
        /// How many there are on all nodes together.
        in_all: u16,
    },
    /// More memory than any device has.
    DeviceMemory {
        /// How much is asked for.
        asked: MemoryMib,
        /// The largest device's memory.
        largest: MemoryMib,
    },
    /// No device of the asked models.
    Model {
        /// What is asked for.
        asked: Vec<Name>,
        /// What there is.
        known: Vec<Name>,
    },
    /// More processor than any node has.
    Cpu {
        /// Asked, in thousandths of a core.
        asked: CpuMilli,
        /// The largest node's.
        largest: CpuMilli,
    },
    /// More host memory than any node has.
    HostMemory {
        /// Asked.
        asked: MemoryMib,
        /// The largest node's.
        largest: MemoryMib,
    },
    /// No node of the asked names.
    Node {
        /// What is asked for.
        asked: Vec<Name>,
    },
    /// No node that carries all of the asked labels.
    Labels {
        /// What is asked for.
        asked: Vec<Name>,
    },
    /// Each limit can be met, but by no device all of them.
    Device,
    /// Each limit can be met, but nowhere all of them together.
    Together,
}

impl TooBig {
    /// What an ask that starts here would look like.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::NoDevices => "start the server with `fastgpu up --simulate 8xA100-80GB`".to_owned(),
            Self::Devices { asked, largest, in_all } if in_all >= asked => {
                format!("ask for at most {}, or let the task span nodes with `--spread`", gpus(*largest))
            }
            Self::Devices { largest, .. } => format!("ask for at most {}", gpus(*largest)),
            Self::DeviceMemory { largest, .. } => {
                format!("ask for at most {largest} with `--gpu-memory`, or split the task over several GPUs")
            }
            Self::Model { known, .. } => format!("the models here are: {}", known.join(", ")),
            Self::Cpu { largest, .. } => format!("ask for at most {largest} cores"),
            Self::HostMemory { largest, .. } => format!("ask for at most {largest} of host memory"),
            Self::Node { .. } => "`fastgpu nodes` lists the nodes".to_owned(),
            Self::Labels { .. } => "`fastgpu nodes` lists the nodes with their labels".to_owned(),
            Self::Device | Self::Together => "ask for less of one of them".to_owned(),
        }
    }

    /// The next thing to try, for who is refused.
    #[must_use]
    pub fn hint(&self) -> String {
        format!("{}; `--wait-for-capacity` queues it all the same", self.advice())
    }
}

impl fmt::Display for TooBig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevices => write!(f, "no GPU is known here"),
            Self::Devices { asked, largest, in_all } => {
                let place = if in_all > largest { "the largest node has" } else { "there are" };
                let place = if (*largest, place) == (1, "there are") { "there is" } else { place };
                write!(f, "{} are asked for; {place} {largest}", gpus(*asked))
            }
            Self::DeviceMemory { asked, largest } => {
                write!(f, "no device offers {asked} of GPU memory; the largest has {largest}")
            }
            Self::Model { asked, .. } => write!(f, "no device here is of model {}", asked.join(" or ")),
            Self::Cpu { asked, largest } => {
                write!(f, "{asked} cores are asked for; the largest node has {largest}")
            }
            Self::HostMemory { asked, largest } => {
                write!(f, "{asked} of host memory is asked for; the largest node has {largest}")
            }
            Self::Node { asked } => write!(f, "there is no node {}", asked.join(" or ")),
            Self::Labels { asked } => write!(f, "no node carries the labels {}", asked.join(" and ")),
            Self::Device => write!(f, "no GPU here meets all parts of the ask"),
            Self::Together => write!(f, "no node meets all parts of the ask together"),
        }
    }
}

/// `1 GPU`, `2 GPUs`.
pub(crate) fn gpus(count: u16) -> String {
    if count == 1 { "1 GPU".to_owned() } else { format!("{count} GPUs") }
}

/// What of the ask no part of the cluster could ever hold; `None` if it could. A cluster that is still looking
/// for its devices gets the benefit of the doubt.
#[must_use]
pub fn too_big(cluster: &Cluster, ask: &Ask) -> Option<TooBig> {
    let unknown = cluster.nodes().next().is_none() || cluster.nodes().any(|node| !node.probed);
    (!unknown && !ever(cluster, ask)).then(|| first_too_big(cluster, ask))
}

/// Whether the cluster could ever hold an ask: empty, with every node there and every device well.
#[must_use]
pub fn ever(cluster: &Cluster, ask: &Ask) -> bool {
    holds(ask, cluster.nodes(), serves_ever)
}

/// Whether the cluster would hold an ask if nobody held anything: with the nodes that take tasks and the devices
/// that are usable now.
#[must_use]
pub fn when_empty(cluster: &Cluster, ask: &Ask) -> bool {
    let serves_now = |ask: &Ask, slot: &DeviceSlot| slot.info.unusable.is_none() && serves_ever(ask, slot);
    holds(ask, cluster.nodes().filter(|node| node.takes_tasks()), serves_now)
}

/// Whether these nodes hold an ask if nobody holds anything of the devices that serve it. Mostly the first node
/// says so.
fn holds<'n>(
    ask: &Ask,
    nodes: impl Iterator<Item = &'n Node>,
    serves: impl Fn(&Ask, &DeviceSlot) -> bool,
) -> bool {
    let has_host =
        |node: &&Node| allows_node(ask, node) && ask.cpu <= node.cpu && ask.host_memory <= node.host_memory;
    let serving = |node: &Node| node.devices.iter().filter(|slot| serves(ask, slot)).count();
    let mut counts = nodes.filter(has_host).map(serving);
    let count = usize::from(ask.devices.min);
    if ask.constraints.spread == Spread::OneNode || count <= 1 {
        return counts.any(|found| found >= count);
    }
    let mut missing = count;
    counts.any(|found| {
        missing = missing.saturating_sub(found);
        missing == 0
    })
}

/// Whether the device could ever serve the ask: free and well.
#[must_use]
pub fn serves_ever(ask: &Ask, slot: &DeviceSlot) -> bool {
    let info = &slot.info;
    !slot.gone && allows_kind(ask, &info.model, info.memory) && ask.share.on(info.memory).is_some()
}

/// Names the first part of the ask that nothing here can meet.
fn first_too_big(cluster: &Cluster, ask: &Ask) -> TooBig {
    let allowed: Vec<&Node> = cluster.nodes().filter(|node| is_named(ask, node)).collect();
    if allowed.is_empty() {
        return TooBig::Node { asked: ask.constraints.nodes.clone() };
    }
    let allowed: Vec<&Node> = allowed.into_iter().filter(|node| has_labels(ask, node)).collect();
    if allowed.is_empty() {
        return TooBig::Labels { asked: ask.constraints.labels.clone() };
    }
    let largest_cpu = allowed.iter().map(|node| node.cpu).max().unwrap_or_default();
    if ask.cpu > largest_cpu {
        return TooBig::Cpu { asked: ask.cpu, largest: largest_cpu };
    }
    let largest_memory = allowed.iter().map(|node| node.host_memory).max().unwrap_or_default();
    if ask.host_memory > largest_memory {
        return TooBig::HostMemory { asked: ask.host_memory, largest: largest_memory };
    }
    if ask.devices.min == 0 { TooBig::Together } else { devices_too_big(ask, &allowed) }
}

/// The same for the devices of nodes that would do.
fn devices_too_big(ask: &Ask, nodes: &[&Node]) -> TooBig {
    let devices: Vec<&DeviceSlot> =
        nodes.iter().flat_map(|node| &node.devices).filter(|slot| !slot.gone).collect();
    if devices.is_empty() {
        return TooBig::NoDevices;
    }
    if devices.iter().all(|slot| !allows_model(ask, &slot.info.model)) {
        let mut known: Vec<Name> = devices.iter().map(|slot| slot.info.model.clone()).collect();
        known.sort();
        known.dedup();
        return TooBig::Model { asked: ask.constraints.models.clone(), known };
    }
    let largest = devices.iter().map(|slot| slot.info.memory).max().unwrap_or_default();
    let asked = asked_memory(ask);
    if asked > largest {
        return TooBig::DeviceMemory { asked, largest };
    }
    let serving = |node: &&Node| node.devices.iter().filter(|slot| serves_ever(ask, slot)).count();
    let per_node = || nodes.iter().map(serving);
    let in_all: usize = per_node().sum();
    let largest = match ask.constraints.spread {
        Spread::OneNode => per_node().max().unwrap_or(0),
        Spread::AnyNodes => in_all,
    };
    let counted = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    match largest {
        0 => TooBig::Device,
        _ if usize::from(ask.devices.min) > largest => {
            TooBig::Devices { asked: ask.devices.min, largest: counted(largest), in_all: counted(in_all) }
        }
        _ => TooBig::Together,
    }
}

fn asked_memory(ask: &Ask) -> MemoryMib {
    let cap = match ask.share {
        Share::Milli(_) => MemoryMib::ZERO,
        Share::Cap(cap) | Share::Both(_, cap) => cap,
    };
    cap.max(ask.constraints.device_memory_min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{Constraints, DeviceCount, Isolation};
    use crate::ids::{DeviceIndex, NodeId};
    use crate::node::{Closeness, Device, Inventory, Telemetry};
    use crate::units::GpuMilli;

    /// Two nodes with two devices each.
    fn cluster() -> Cluster {
        let mut cluster = Cluster::default();
        cluster.set_inventory(NodeId(1), inventory(1));
        cluster.set_inventory(NodeId(2), inventory(2));
        cluster
    }

    fn inventory(node: u32) -> Inventory {
        let device = |index| Device {
            index: DeviceIndex(index),
            uuid: format!("SIM-{node}-{index}").into(),
            model: "A100".into(),
            memory: MemoryMib(81_920),
            simulated: true,
            pci: None,
            driver: None,
            mig: None,
            closeness: Closeness::default(),
            unusable: None,
            fault: None,
            telemetry: Telemetry::default(),
        };
        Inventory {
            hostname: format!("host-{node}").into(),
            cpu: CpuMilli(8_000),
            host_memory: MemoryMib(32_768),
            devices: (0..2).map(device).collect(),
            labels: Vec::new(),
            abilities: Vec::new(),
            probed: true,
        }
    }

    fn ask(devices: u16, spread: Spread) -> Ask {
        Ask {
            devices: DeviceCount::exactly(devices),
            share: Share::Milli(GpuMilli::FULL),
            constraints: Constraints { spread, ..Constraints::default() },
            class: crate::ask::Class::Standard,
            isolation: Isolation::Soft,
            cpu: CpuMilli(0),
            host_memory: MemoryMib::ZERO,
        }
    }

    fn both(cluster: &Cluster, devices: u16, spread: Spread) -> (bool, bool) {
        let ask = ask(devices, spread);
        (ever(cluster, &ask), when_empty(cluster, &ask))
    }

    #[test]
    fn a_drained_node_could_ever_serve_but_does_not_now() {
        let mut cluster = cluster();
        cluster.set_drained(NodeId(2), true);
        assert_eq!(both(&cluster, 2, Spread::OneNode), (true, true));
        assert_eq!(both(&cluster, 4, Spread::AnyNodes), (true, false));
        cluster.set_drained(NodeId(1), true);
        assert_eq!(both(&cluster, 1, Spread::OneNode), (true, false));
        assert_eq!(both(&cluster, 0, Spread::OneNode), (true, false));
        assert_eq!(too_big(&cluster, &ask(2, Spread::OneNode)), None);
    }

    #[test]
    fn an_absent_node_and_a_device_out_of_order_could_ever_serve_but_do_not_now() {
        let mut cluster = cluster();
        cluster.set_absent(NodeId(2));
        let mut sick = inventory(1);
        sick.devices[0].unusable = Some("GPU is lost".to_owned());
        cluster.set_inventory(NodeId(1), sick);
        assert_eq!(both(&cluster, 2, Spread::OneNode), (true, false));
        assert_eq!(both(&cluster, 1, Spread::OneNode), (true, true));
        assert_eq!(both(&cluster, 5, Spread::AnyNodes), (false, false));
    }
}
