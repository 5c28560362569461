//! A node that only pretends: it starts and ends tasks by the first word of their command.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fastgpu_control::{Handle, LogChunk, LogError, LogFrame, LogSource, NodePort, Stream};
use fastgpu_core::ids::{Fence, NodeId, TaskId};
use fastgpu_core::node::{Delivery, Device, Exit, ExitKind, Inventory, Order, Report};
use fastgpu_core::units::{CpuMilli, MemoryMib, Timestamp};

pub(crate) const NODE: NodeId = NodeId(0);

/// The way to the node; orders are worked off on a thread of its own.
pub(crate) struct FakeNode {
    orders: Mutex<std::sync::mpsc::Sender<Delivery>>,
}

impl FakeNode {
    pub(crate) fn new() -> (Self, std::sync::mpsc::Receiver<Delivery>) {
        let (sender, receiver) = std::sync::mpsc::channel();
        (Self { orders: Mutex::new(sender) }, receiver)
    }
}

impl NodePort for FakeNode {
    fn deliver(&self, deliveries: Vec<Delivery>) {
        let orders = self.orders.lock().unwrap();
        for delivery in deliveries {
            let _ = orders.send(delivery);
        }
    }

    fn greet(&self) {}
}

/// Says hello, and then does what it is told until nobody tells it anything any more.
pub(crate) fn run(orders: &std::sync::mpsc::Receiver<Delivery>, handle: &Handle, logs: &FakeLogs) {
    handle.report(NODE, Report::Hello { inventory: inventory(), attempts: Vec::new() });
    while let Ok(delivery) = orders.recv() {
        match delivery.order {
            Order::Launch(launch) => {
                let (task, fence) = (launch.task, launch.fence);
                let command = delivery.spec.map(|spec| spec.command.clone()).unwrap_or_default();
                let how = match command.first().map(String::as_str) {
                    Some("missing") => {
                        exited(
                            handle,
                            task,
                            fence,
                            ExitKind::BadSpec("there is no program `missing` in PATH".to_owned()),
                        );
                        continue;
                    }
                    Some("sleep") => None,
                    Some("fail") => Some(ExitKind::Code(3)),
                    _ => Some(ExitKind::Code(0)),
                };
                handle.report(NODE, Report::Started { task, fence, at: handle.wall() });
                logs.write(task, fence.attempt, "hello\n");
                if let Some(how) = how {
                    logs.end(task, fence.attempt);
                    exited(handle, task, fence, how);
                }
            }
            Order::Stop { task, fence, .. } => {
                logs.end(task, fence.attempt);
                exited(handle, task, fence, ExitKind::Signal(15));
            }
            _ => {}
        }
    }
}

fn exited(handle: &Handle, task: TaskId, fence: Fence, how: ExitKind) {
    let exit = Exit { at: handle.wall(), how, cpu_ms: 1, rss_max_kib: 1_024, sick: None };
    handle.report(NODE, Report::Exited { task, fence, exit });
}

fn inventory() -> Inventory {
    let device = |index: u16| Device {
        uuid: format!("GPU-{index}").into(),
        ..Device::simulated(index, "NVIDIA A100-SXM4-80GB", MemoryMib(81_920))
    };
    Inventory {
        cpu: CpuMilli(64_000),
        host_memory: MemoryMib(256 * 1_024),
        labels: vec!["rack=7".into(), "zone=north".into()],
        ..Inventory::of("test-node", (0..4).map(device))
    }
}

type Written = (Vec<LogFrame>, bool);

/// Logs in memory.
#[derive(Debug, Default, Clone)]
pub(crate) struct FakeLogs(Arc<Mutex<BTreeMap<(TaskId, u32), Written>>>);

impl FakeLogs {
    pub(crate) fn write(&self, task: TaskId, attempt: u32, text: &str) {
        self.add(task, attempt, Stream::Stdout, text);
    }

    pub(crate) fn note(&self, task: TaskId, attempt: u32, text: &str) {
        self.add(task, attempt, Stream::Note, text);
    }

    fn add(&self, task: TaskId, attempt: u32, stream: Stream, text: &str) {
        let mut logs = self.0.lock().unwrap();
        let (frames, _) = logs.entry((task, attempt)).or_default();
        let next = frames.last().map_or(0, |frame| frame.next) + text.len() as u64;
        let at = Timestamp(1_769_860_800_000);
        frames.push(LogFrame { next, at, stream, bytes: text.as_bytes().to_vec() });
    }

    pub(crate) fn end(&self, task: TaskId, attempt: u32) {
        self.0.lock().unwrap().entry((task, attempt)).or_default().1 = true;
    }
}

impl LogSource for FakeLogs {
    fn read(&self, task: TaskId, attempt: u32, from: u64, bytes_max: usize) -> Result<LogChunk, LogError> {
        let logs = self.0.lock().unwrap();
        let (frames, ended) = logs.get(&(task, attempt)).ok_or(LogError::Missing)?;
        let mut bytes = 0;
        let some: Vec<_> = frames
            .iter()
            .filter(|frame| frame.next > from)
            .take_while(|frame| {
                let fits = bytes < bytes_max;
                bytes += frame.bytes.len();
                fits
            })
            .cloned()
            .collect();
        let next = some.last().map_or(from, |frame| frame.next);
        let ended = *ended && frames.last().is_none_or(|last| last.next <= next);
        Ok(LogChunk { frames: some, next, ended })
    }

    fn tail(&self, task: TaskId, attempt: u32, lines: usize) -> Result<LogChunk, LogError> {
        let logs = self.0.lock().unwrap();
        let (frames, ended) = logs.get(&(task, attempt)).ok_or(LogError::Missing)?;
        let mut left = lines;
        let mut newest_first = Vec::new();
        for frame in frames.iter().rev().take_while(|_| lines > 0) {
            let whole: Vec<&[u8]> = frame.bytes.split_inclusive(|&byte| byte == b'\n').collect();
            let bytes = whole[whole.len().saturating_sub(left)..].concat();
            newest_first.push(LogFrame { bytes, ..frame.clone() });
            left = left.saturating_sub(whole.len());
            if left == 0 {
                break;
            }
        }
        newest_first.reverse();
        let next = frames.last().map_or(0, |last| last.next);
        Ok(LogChunk { frames: newest_first, next, ended: *ended })
    }
}
