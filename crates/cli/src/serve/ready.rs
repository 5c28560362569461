//! What a server says once it answers.

use std::time::{Duration, Instant};

use fastgpu_control::Handle;
use fastgpu_core::node::Inventory;

use super::machine::{LOCAL_NODE, Machine};

/// How long a first look at the GPUs may take before "ready" is said without them.
const DEVICES_PATIENCE: Duration = Duration::from_millis(100);
/// How often it is asked whether the first look is over, and whether the node is known.
const ASKED_EVERY: Duration = Duration::from_millis(2);

/// Waits a moment for the first look at the GPUs, and until the control plane has heard of it: who submits right after
/// "ready" must not be told that there is no GPU.
pub(super) async fn devices_found(machine: &Machine, handle: &Handle) -> Inventory {
    let deadline = Instant::now() + DEVICES_PATIENCE;
    loop {
        let found = machine.inventory();
        let count = found.devices.len();
        let known = handle.query(move |state, _| {
            let node = state.cluster().node(LOCAL_NODE);
            node.is_some_and(|node| node.present && node.devices.len() >= count)
        });
        let known = known.await.unwrap_or(true);
        if (found.probed && known) || Instant::now() > deadline {
            return found;
        }
        tokio::time::sleep(ASKED_EVERY).await;
    }
}

/// One line per kind of device, or why there is none.
pub(super) fn describe(found: &Inventory) -> Vec<String> {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for device in &found.devices {
        let driver =
            device.driver.as_deref().map(|version| format!(" (driver {version})")).unwrap_or_default();
        let simulated = if device.simulated { ", software GPU" } else { "" };
        let kind = format!("{}, {}{driver}{simulated}", device.model, device.memory);
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    if kinds.is_empty() {
        return found.abilities.iter().map(|ability| ability.detail.clone()).collect();
    }
    kinds.into_iter().map(|(kind, count)| format!("{count} × {kind}")).collect()
}
