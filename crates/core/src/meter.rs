//! What a stretch of use is charged: the larger of share and memory fraction, to the last unit.

use crate::change::Segment;
use crate::cluster::Cluster;
use crate::task::{Hold, Task};
use crate::units::{GpuMilli, MemoryMib, PriceMicros, Timestamp};

/// Thousandths of a device times milliseconds in one device-hour.
const DEVICE_HOUR: i128 = 1_000 * 3_600_000;

/// The use of `hold` from its last charge to `now`, and the remainder to carry into the next charge.
#[must_use]
pub fn segment(
    task: &Task,
    hold: &Hold,
    cluster: &Cluster,
    price: PriceMicros,
    now: Timestamp,
) -> (Segment, i64) {
    let mut charged_milli = 0;
    let mut memory_mib = 0;
    for part in &hold.grant.parts {
        let node = cluster.node(part.node);
        for slice in &part.slices {
            let whole = node.and_then(|node| node.device(slice.device)).map(|slot| slot.info.memory);
            charged_milli += i64::from(charged(slice.milli, slice.memory, whole).get());
            memory_mib += i64::try_from(slice.memory.0).unwrap_or(i64::MAX);
        }
    }
    let spent_ms = i64::try_from(now.since(hold.metered_from).0).unwrap_or(i64::MAX);
    let gpu_milli_ms = charged_milli.saturating_mul(spent_ms);
    let owed = i128::from(gpu_milli_ms) * i128::from(price.0) + i128::from(task.cost_carry);
    let cost_micros = i64::try_from(owed / DEVICE_HOUR).unwrap_or(i64::MAX);
    let carry = i64::try_from(owed % DEVICE_HOUR).expect("a remainder of 3.6e9 fits");
    let segment = Segment {
        task: task.id,
        project: task.project.clone(),
        owner: task.owner.clone(),
        attempt: hold.grant.fence.attempt,
        version: hold.grant.fence.version,
        from: hold.metered_from,
        to: hold.metered_from.max(now),
        charged_milli,
        memory_mib,
        gpu_milli_ms,
        price,
        cost_micros,
    };
    (segment, carry)
}

/// A small share with much memory keeps others out as much as a large share does.
fn charged(milli: GpuMilli, memory: MemoryMib, whole: Option<MemoryMib>) -> GpuMilli {
    match whole {
        Some(whole) if memory.0 > 0 => milli.max(memory.share_of(whole)),
        _ => milli,
    }
}
