//! What an ask allows at all, whatever is free: nodes by name and label, devices by model, memory and health.

use crate::ask::{Ask, Backend};
use crate::cluster::{DeviceSlot, Node};
use crate::units::{GpuMilli, MemoryMib};

/// What enforces a share of this device today.
pub(super) fn backend(slot: &DeviceSlot, milli: GpuMilli) -> Backend {
    match (slot.info.simulated, milli.is_full()) {
        (true, _) => Backend::Software,
        (false, true) => Backend::Exclusive,
        (false, false) => Backend::Unenforced,
    }
}

/// Whether the ask's constraints allow this node at all.
#[must_use]
pub fn allows_node(ask: &Ask, node: &Node) -> bool {
    is_named(ask, node) && has_labels(ask, node)
}

/// Whether the node carries all labels that the ask wants.
#[must_use]
pub fn has_labels(ask: &Ask, node: &Node) -> bool {
    ask.constraints.labels.iter().all(|label| node.labels.contains(label))
}

/// Whether the ask names this node, or none.
#[must_use]
pub fn is_named(ask: &Ask, node: &Node) -> bool {
    ask.constraints.nodes.is_empty()
        || ask.constraints.nodes.iter().any(|name| **name == *node.hostname || **name == *node.id.to_string())
}

/// Whether the ask's constraints allow this device at all, whoever holds it.
#[must_use]
pub fn allows_device(ask: &Ask, slot: &DeviceSlot) -> bool {
    slot.info.unusable.is_none() && allows_kind(ask, &slot.info.model, slot.info.memory)
}

/// Whether the ask's constraints allow devices of this model with this much memory.
pub(crate) fn allows_kind(ask: &Ask, model: &str, memory: MemoryMib) -> bool {
    memory >= ask.constraints.device_memory_min
        && allows_model(ask, model)
        && (ask.isolation == crate::ask::Isolation::Soft || ask.share.is_whole())
}

/// Whether the ask names this model, or none.
#[must_use]
pub fn allows_model(ask: &Ask, model: &str) -> bool {
    let models = &ask.constraints.models;
    models.is_empty() || models.iter().any(|wanted| contains_ignoring_case(model, wanted))
}

fn contains_ignoring_case(text: &str, part: &str) -> bool {
    text.as_bytes().windows(part.len().max(1)).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}
