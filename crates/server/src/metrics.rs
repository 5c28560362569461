//! Every metric name of the server, in the format of Prometheus.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use fastgpu_control::{COMMIT_BUCKETS_US, Stats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Answers by class of status: 1xx to 5xx.
#[derive(Debug, Default)]
pub(crate) struct Requests([AtomicU64; 5]);

impl Requests {
    pub(crate) fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.0[class].fetch_add(1, Ordering::Relaxed);
    }
}

/// The counters at one moment.
#[derive(Debug)]
struct Snapshot {
    stats: Stats,
    requests: [u64; 5],
    streams_open: usize,
}

/// All metrics as text.
pub(crate) fn render(stats: Stats, requests: &Requests, streams_open: usize) -> Result<String, fmt::Error> {
    let requests = std::array::from_fn(|class| requests.0[class].load(Ordering::Relaxed));
    let snapshot = Snapshot { stats, requests, streams_open };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = &self.stats;
        let gauges = [
            ("fastgpu_tasks_live", "Tasks that are not over", stats.live),
            ("fastgpu_tasks_queued", "Tasks that wait for a place", stats.queued),
            ("fastgpu_storage_full", "1 while the disk is full", u64::from(stats.storage_full)),
            ("fastgpu_http_streams_open", "Open streams and long polls", self.streams_open as u64),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let counters = [
            ("fastgpu_tasks_placed", "Placements of tasks", stats.placed),
            ("fastgpu_control_batches", "Batches of commands", stats.batches),
            ("fastgpu_control_commands", "Commands, reports and questions", stats.commands),
            ("fastgpu_control_rounds", "Scheduling rounds", stats.rounds),
            ("fastgpu_control_round_microseconds", "Time spent in scheduling rounds", stats.round_us),
            ("fastgpu_store_commits", "Durable transactions", stats.commits),
            ("fastgpu_store_rows", "Rows in them", stats.rows),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        self.encode_requests(&mut encoder)?;
        self.encode_commits(&mut encoder)
    }
}

impl Snapshot {
    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "fastgpu_http_requests",
            "Answers by class of status",
            None,
            MetricType::Counter,
        )?;
        for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(self.requests) {
            let labels = [("status", class)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a metric")]
    fn encode_commits(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = &self.stats;
        let bounds = COMMIT_BUCKETS_US.iter().map(|&us| us as f64 / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(stats.commit_buckets).collect();
        let mut histogram = encoder.encode_descriptor(
            "fastgpu_store_commit_seconds",
            "Duration of durable transactions",
            None,
            MetricType::Histogram,
        )?;
        histogram.encode_histogram::<NoLabelSet>(stats.commit_us as f64 / 1e6, stats.commits, &buckets, None)
    }
}
