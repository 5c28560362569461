//! What agent and keeper say to each other over the keeper's socket.
//!
//! Frames: the length as four bytes, little endian, then that many bytes of JSON. The two first messages
//! ([`ToKeeper::Hello`] and [`FromKeeper::Welcome`]) never change their form; everything else belongs to
//! [`PROTOCOL_VERSION`]. A keeper that is greeted in another version leaves: its guardians live on and are
//! adopted by the keeper that the agent starts next.

use std::io;
use std::os::fd::AsFd;

use fastgpu_core::ids::{Fence, TaskId};
use fastgpu_core::node::{Exit, ExitKind, HeldAttempt};
use fastgpu_core::units::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of every message but the first two.
pub(crate) const PROTOCOL_VERSION: u32 = 1;
/// A command of 64 KiB and an environment of 256 KiB, every byte escaped in JSON as six, and room to spare.
pub(crate) const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Attempts per [`FromKeeper::Held`]: some hundred bytes each, well below the frame limit.
pub(crate) const HELD_PER_FRAME: usize = 1_000;

/// The least room for one read: dozens of small messages.
const READ_BYTES: usize = 32 * 1024;

/// From the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToKeeper {
    /// The first message of every connection.
    Hello { version: u32 },
    /// Start this attempt, once.
    Launch(Box<LaunchWords>),
    /// End it.
    Stop { task: u64, attempt: u32, version: u32, grace_ms: u64 },
    /// Its end is durable elsewhere.
    Forget { task: u64, attempt: u32 },
    /// Say what is held.
    List,
    /// Leave when nothing is held any more; with `kill_all`, end everything first.
    Leave { kill_all: bool },
}

/// Everything a launch needs, as text: the keeper looks nothing up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LaunchWords {
    pub(crate) task: u64,
    pub(crate) attempt: u32,
    pub(crate) version: u32,
    pub(crate) command: Vec<String>,
    /// `KEY=value`.
    pub(crate) env: Vec<String>,
    pub(crate) working_dir: Option<String>,
    pub(crate) time_limit_ms: Option<u64>,
    pub(crate) stop_grace_ms: u64,
    /// 0: not limited.
    pub(crate) host_memory_mib: u64,
    pub(crate) log_bytes_max: u64,
}

/// From the keeper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromKeeper {
    /// The answer to [`ToKeeper::Hello`].
    Welcome { version: u32, pid: u32, abilities: Vec<WireAbility> },
    /// A part of what is held; `last` closes the list.
    Held { attempts: Vec<WireHeld>, last: bool },
    /// The program runs.
    Started { task: u64, attempt: u32, version: u32, at: i64 },
    /// Nothing of the attempt is left.
    Exited { task: u64, attempt: u32, version: u32, exit: WireExit },
}

/// See [`fastgpu_core::node::Ability`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WireAbility {
    pub(crate) name: String,
    pub(crate) works: bool,
    pub(crate) detail: String,
}

/// See [`HeldAttempt`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WireHeld {
    pub(crate) task: u64,
    pub(crate) attempt: u32,
    pub(crate) version: u32,
    pub(crate) started: Option<i64>,
    pub(crate) exit: Option<WireExit>,
}

impl WireHeld {
    /// `None` when the id is none.
    pub(crate) fn read(self) -> Option<HeldAttempt> {
        Some(HeldAttempt {
            task: TaskId::new(self.task)?,
            fence: Fence { attempt: self.attempt, version: self.version },
            started: self.started.map(Timestamp),
            exit: self.exit.map(Exit::from),
        })
    }
}

/// See [`Exit`]; also a line of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireExit {
    pub(crate) at: i64,
    pub(crate) how: WireExitKind,
    pub(crate) cpu_ms: u64,
    pub(crate) rss_max_kib: u64,
}

/// See [`ExitKind`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WireExitKind {
    Code(u8),
    Signal(u8),
    OutOfMemory,
    TimeLimit,
    BadSpec(String),
    Infrastructure(String),
}

impl From<WireExit> for Exit {
    fn from(exit: WireExit) -> Self {
        let how = match exit.how {
            WireExitKind::Code(code) => ExitKind::Code(code),
            WireExitKind::Signal(signal) => ExitKind::Signal(signal),
            WireExitKind::OutOfMemory => ExitKind::OutOfMemory,
            WireExitKind::TimeLimit => ExitKind::TimeLimit,
            WireExitKind::BadSpec(why) => ExitKind::BadSpec(why),
            WireExitKind::Infrastructure(why) => ExitKind::Infrastructure(why),
        };
        let (cpu_ms, rss_max_kib) = (exit.cpu_ms, exit.rss_max_kib);
        // What the devices did meanwhile is told by the inventory.
        Self { at: Timestamp(exit.at), how, cpu_ms, rss_max_kib, sick: None }
    }
}

impl From<Exit> for WireExit {
    fn from(exit: Exit) -> Self {
        let how = match exit.how {
            ExitKind::Code(code) => WireExitKind::Code(code),
            ExitKind::Signal(signal) => WireExitKind::Signal(signal),
            ExitKind::OutOfMemory => WireExitKind::OutOfMemory,
            ExitKind::TimeLimit => WireExitKind::TimeLimit,
            ExitKind::BadSpec(why) => WireExitKind::BadSpec(why),
            ExitKind::Infrastructure(why) => WireExitKind::Infrastructure(why),
        };
        Self { at: exit.at.0, how, cpu_ms: exit.cpu_ms, rss_max_kib: exit.rss_max_kib }
    }
}

/// Adds one message as a frame to `out`.
pub(crate) fn write_frame<M: Serialize>(out: &mut Vec<u8>, message: &M) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *out, message)?;
    let length = out.len() - start - 4;
    if length > FRAME_BYTES_MAX {
        out.truncate(start);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too large"));
    }
    let length = u32::try_from(length).expect("checked against the limit above");
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Bytes that arrived and are not yet whole frames.
#[derive(Debug, Default)]
pub(crate) struct FrameBuffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl FrameBuffer {
    /// Reads once from `stream`; 0 is its end. Only the memory that bytes arrive in is touched.
    pub(crate) fn read_from(&mut self, stream: impl AsFd) -> io::Result<usize> {
        self.make_room();
        self.bytes.reserve(READ_BYTES);
        Ok(rustix::io::read(stream, rustix::buffer::spare_capacity(&mut self.bytes))?)
    }

    fn make_room(&mut self) {
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        } else if self.taken > FRAME_BYTES_MAX {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// The next whole message; an error means that the other side does not speak our protocol.
    pub(crate) fn next<M: for<'a> Deserialize<'a>>(&mut self) -> io::Result<Option<M>> {
        let waiting = &self.bytes[self.taken..];
        let Some((head, rest)) = waiting.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*head)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is longer than allowed"));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let message = serde_json::from_slice(body)?;
        self.taken += 4 + length;
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
            // A keeper stays small after a large message: every guardian starts as a copy of it.
            self.bytes.shrink_to(2 * READ_BYTES);
        }
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_whole_however_they_are_cut() {
        let messages =
            [ToKeeper::Hello { version: 1 }, ToKeeper::List, ToKeeper::Forget { task: 3, attempt: 2 }];
        let mut bytes = Vec::new();
        for message in &messages {
            write_frame(&mut bytes, message).unwrap();
        }
        for size in 1..bytes.len() {
            let mut buffer = FrameBuffer::default();
            let mut seen = Vec::new();
            for part in bytes.chunks(size) {
                buffer.make_room();
                buffer.bytes.extend_from_slice(part);
                while let Some(message) = buffer.next::<ToKeeper>().unwrap() {
                    seen.push(message);
                }
            }
            assert_eq!(seen, messages);
        }
    }

    #[test]
    fn a_frame_that_claims_to_be_huge_is_refused_before_it_is_stored() {
        let mut buffer = FrameBuffer::default();
        buffer.bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(buffer.next::<ToKeeper>().is_err());
    }

    #[test]
    fn the_first_messages_never_change_their_form() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &ToKeeper::Hello { version: 7 }).unwrap();
        assert_eq!(&bytes[4..], br#"{"hello":{"version":7}}"#);
        let welcome = FromKeeper::Welcome { version: 7, pid: 3, abilities: Vec::new() };
        bytes.clear();
        write_frame(&mut bytes, &welcome).unwrap();
        assert_eq!(&bytes[4..], br#"{"welcome":{"version":7,"pid":3,"abilities":[]}}"#);
    }
}
