//! The two doors between the control plane and the node of this machine: orders go in, logs come out.

use std::sync::OnceLock;

use fastgpu_control::{LogChunk, LogError, LogFrame, LogSource, NodePort, Stream};
use fastgpu_core::ids::TaskId;
use fastgpu_core::node::Delivery;
use fastgpu_node::{AgentHandle, LogOffset, LogReader, LogStream};

/// How far back the last lines are looked for: a million lines are not what "the last" means.
const TAIL_BYTES_MAX: usize = 4 << 20;

/// The agent of this machine, once it is there. What is said before is not lost: the agent says hello when it
/// is connected, and the control plane answers with everything that is still wanted.
#[derive(Debug, Default)]
pub(super) struct LocalNode {
    agent: OnceLock<AgentHandle>,
}

impl LocalNode {
    pub(super) fn connect(&self, agent: AgentHandle) {
        // Called once; a second agent would be a bug of the only caller.
        let _ = self.agent.set(agent);
        // It may have said hello before it was set, and the answer found nobody.
        self.greet();
    }
}

impl NodePort for LocalNode {
    fn deliver(&self, deliveries: Vec<Delivery>) {
        if let Some(agent) = self.agent.get() {
            agent.deliver(deliveries);
        }
    }

    fn greet(&self) {
        if let Some(agent) = self.agent.get() {
            agent.hello();
        }
    }
}

/// The logs that the node of this machine keeps.
#[derive(Debug)]
pub(super) struct LocalLogs(pub(super) LogReader);

impl LogSource for LocalLogs {
    fn read(&self, task: TaskId, attempt: u32, from: u64, bytes_max: usize) -> Result<LogChunk, LogError> {
        self.0.read(task, attempt, LogOffset(from), bytes_max).map(chunk).map_err(translate)
    }

    fn tail(&self, task: TaskId, attempt: u32, lines: usize) -> Result<LogChunk, LogError> {
        self.0.tail(task, attempt, lines, TAIL_BYTES_MAX).map(chunk).map_err(translate)
    }
}

fn chunk(chunk: fastgpu_node::LogChunk) -> LogChunk {
    let frame = |frame: fastgpu_node::LogFrame| LogFrame {
        next: frame.next.0,
        at: frame.at,
        stream: match frame.stream {
            LogStream::Stdout => Stream::Stdout,
            LogStream::Stderr => Stream::Stderr,
            LogStream::Note => Stream::Note,
        },
        bytes: frame.bytes,
    };
    LogChunk { frames: chunk.frames.into_iter().map(frame).collect(), next: chunk.next.0, ended: chunk.ended }
}

fn translate(error: fastgpu_node::LogError) -> LogError {
    match error {
        fastgpu_node::LogError::Unknown { .. } => LogError::Missing,
        fastgpu_node::LogError::Read(why) => LogError::Unreadable(why.to_string()),
    }
}
