//! The configuration as JSON.

use std::collections::BTreeMap;

use fastgpu_core::config::Config;
use fastgpu_core::policy::{Order, Placement, Preempt, QueuePolicy};
use fastgpu_core::units::{Millis, PriceMicros};
use serde::{Deserialize, Serialize};

use super::{Wrong, from_json, is_default, to_json};

#[derive(Serialize, Deserialize)]
pub(crate) struct ConfigRow {
    queue_max: usize,
    batch_max: usize,
    overtake_max_ms: u64,
    price_micros: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    time_limit_default_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    queues: BTreeMap<String, QueueRow>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct QueueRow {
    #[serde(default, skip_serializing_if = "is_default")]
    priority: i32,
    order: String,
    placement: String,
    preempt: String,
    wait_max_ms: u64,
}

pub(crate) fn config_to_json(config: &Config) -> String {
    to_json(&ConfigRow::of(config))
}

pub(crate) fn config_from_json(text: &str) -> Result<Config, Wrong> {
    from_json::<ConfigRow>(text)?.into_core()
}

impl ConfigRow {
    pub(crate) fn of(config: &Config) -> Self {
        let Config { queue_max, batch_max, overtake_max, price, time_limit_default, queues } = config;
        Self {
            queue_max: *queue_max,
            batch_max: *batch_max,
            overtake_max_ms: overtake_max.0,
            price_micros: price.0,
            time_limit_default_ms: time_limit_default.map(|limit| limit.0),
            queues: queues.iter().map(|(name, policy)| (name.to_string(), QueueRow::of(policy))).collect(),
        }
    }

    pub(crate) fn into_core(self) -> Result<Config, Wrong> {
        let queues = self.queues.into_iter().map(|(name, row)| Ok((name.into(), row.into_core()?)));
        Ok(Config {
            queue_max: self.queue_max,
            batch_max: self.batch_max,
            overtake_max: Millis(self.overtake_max_ms),
            price: PriceMicros(self.price_micros),
            time_limit_default: self.time_limit_default_ms.map(Millis),
            queues: queues.collect::<Result<_, Wrong>>()?,
        })
    }
}

impl QueueRow {
    fn of(policy: &QueuePolicy) -> Self {
        let QueuePolicy { priority, order, placement, preempt, wait_max } = *policy;
        Self {
            priority,
            order: order.code().to_owned(),
            placement: placement.code().to_owned(),
            preempt: preempt.code().to_owned(),
            wait_max_ms: wait_max.0,
        }
    }

    fn into_core(self) -> Result<QueuePolicy, Wrong> {
        let Self { priority, order, placement, preempt, wait_max_ms } = self;
        Ok(QueuePolicy {
            priority,
            order: Order::from_code(&order).ok_or_else(|| format!("`{order}` is no order"))?,
            placement: Placement::from_code(&placement)
                .ok_or_else(|| format!("`{placement}` is no placement"))?,
            preempt: Preempt::from_code(&preempt).ok_or_else(|| format!("`{preempt}` is no preemption"))?,
            wait_max: Millis(wait_max_ms),
        })
    }
}
