//! Orders to nodes, with the program of a launch looked up on the way out.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use fastgpu_core::change::Change;
use fastgpu_core::ids::{NodeId, SpecHash};
use fastgpu_core::node::{Delivery, Exit, ExitKind, Order, Report};
use fastgpu_core::spec::Spec;
use fastgpu_core::units::Timestamp;
use fastgpu_store::{Store, StoreError};

use crate::spans;

/// The way to the nodes.
pub trait NodePort: Send + Sync + 'static {
    /// Sends orders on; must not block.
    fn deliver(&self, deliveries: Vec<Delivery>);

    /// Asks every node to say hello again, because the control plane forgot what it heard.
    fn greet(&self);
}

/// Programs of tasks that were submitted a moment ago: most of them launch soon.
const CACHED_BYTES_MAX: usize = 8 << 20;

/// The most recent programs, by hash.
#[derive(Debug, Default)]
pub(crate) struct SpecCache {
    specs: HashMap<SpecHash, Arc<Spec>>,
    order: VecDeque<SpecHash>,
    bytes: usize,
}

impl SpecCache {
    /// Remembers the programs of a batch.
    pub(crate) fn remember(&mut self, rows: &[Change]) {
        for row in rows {
            if let Change::Spec { hash, spec } = row {
                self.insert(*hash, spec.clone());
            }
        }
    }

    fn insert(&mut self, hash: SpecHash, spec: Arc<Spec>) {
        let bytes = spec.bytes();
        if self.specs.insert(hash, spec).is_some() {
            return;
        }
        self.order.push_back(hash);
        self.bytes += bytes;
        while self.bytes > CACHED_BYTES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.specs.remove(&oldest).map_or(0, |spec| spec.bytes());
        }
    }

    fn get(&mut self, store: &mut dyn Store, hash: SpecHash) -> Result<Arc<Spec>, StoreError> {
        if let Some(spec) = self.specs.get(&hash) {
            return Ok(spec.clone());
        }
        let detail = || "a live task's specification is missing".to_owned();
        let spec = store.spec(hash)?.ok_or_else(|| StoreError::Corrupt { detail: detail() })?;
        self.insert(hash, spec.clone());
        Ok(spec)
    }

    /// Completes orders with the programs they need. A launch whose program cannot be read is not sent: the
    /// node's answer to it is made up here, so that one damaged row ends one task and not the control plane. `wall`
    /// is now, as a node would tell it.
    pub(crate) fn complete(
        &mut self,
        store: &mut dyn Store,
        orders: Vec<(NodeId, Order)>,
        wall: Timestamp,
    ) -> (Vec<Delivery>, Vec<(NodeId, Report)>) {
        let (mut deliveries, mut unreadable) = (Vec::with_capacity(orders.len()), Vec::new());
        for (node, order) in orders {
            let spec = match &order {
                Order::Launch(launch) => match self.get(store, launch.spec) {
                    Ok(spec) => Some(spec),
                    Err(error) => {
                        let _span = spans::attempt(launch.task, node, launch.fence).entered();
                        tracing::error!(%error, "the specification cannot be read");
                        let how = ExitKind::BadSpec(format!("its specification cannot be read: {error}"));
                        let exit = Exit { at: wall, how, cpu_ms: 0, rss_max_kib: 0, sick: None };
                        unreadable
                            .push((node, Report::Exited { task: launch.task, fence: launch.fence, exit }));
                        continue;
                    }
                },
                _ => None,
            };
            deliveries.push(Delivery { node, order, spec });
        }
        (deliveries, unreadable)
    }
}
