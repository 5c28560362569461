//! What a keeper says to one of its guardians, over a socket that the two have for each other.
//!
//! A guardian whose attempt is over waits here for the next one. Messages keep their bounds and their order,
//! so a stop can never end another attempt than the one it was sent for. The socket also tells a guardian
//! that its keeper is gone: then there is no next attempt.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use fastgpu_core::ids::TaskId;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize};

use crate::cgroup::AttemptGroups;
use crate::folder::{AttemptKey, RecordFile};
use crate::protocol::LaunchWords;

/// A longer duty is given by fork, where it costs nothing to pass on. Both sides keep a message on their stack.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// One attempt to look after.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Duty {
    pub(crate) words: Box<LaunchWords>,
    pub(crate) working_dir: String,
    /// The attempt's folder.
    pub(crate) folder: PathBuf,
    pub(crate) groups: AttemptGroups,
}

/// A message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ToGuardian {
    /// Comes with the attempt's record, open and locked.
    Serve(Duty),
    Stop {
        task: u64,
        attempt: u32,
        grace_ms: u64,
    },
}

/// What a guardian finds.
#[derive(Debug)]
pub(crate) enum Received {
    /// The next attempt.
    Duty(Duty, RecordFile),
    /// This attempt is to end.
    Stop { key: AttemptKey, grace_ms: u64 },
    /// No message waits.
    Nothing,
    /// The keeper is gone, or needs this guardian no more.
    Closed,
}

/// A socket for a keeper and one for its guardian.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// A duty as a message; `None` if it is too long for one.
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// Takes the duty and gives it back, since it may have to go another way.
    pub(crate) fn of(duty: Duty) -> (Duty, Option<Self>) {
        let message = ToGuardian::Serve(duty);
        let bytes = serde_json::to_vec(&message).ok().filter(|bytes| bytes.len() <= MESSAGE_BYTES_MAX);
        let ToGuardian::Serve(duty) = message else { unreachable!("made three lines above") };
        (duty, bytes.map(Self))
    }

    /// Hands the duty over, with its record.
    pub(crate) fn send(&self, socket: BorrowedFd<'_>, record: &RecordFile) -> io::Result<()> {
        let descriptors = [record.file().as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        send(socket, &self.0, &mut ancillary)
    }
}

/// Asks a guardian to end this attempt.
pub(crate) fn send_stop(socket: BorrowedFd<'_>, key: AttemptKey, grace_ms: u64) -> io::Result<()> {
    let stop = ToGuardian::Stop { task: key.task.get(), attempt: key.attempt, grace_ms };
    send(socket, &serde_json::to_vec(&stop)?, &mut SendAncillaryBuffer::default())
}

fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    ancillary: &mut SendAncillaryBuffer<'_, '_, '_>,
) -> io::Result<()> {
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes one message, without waiting.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Received> {
    let mut bytes = [0; MESSAGE_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(&mut bytes)];
    let received = match rustix::net::recvmsg(socket, &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
        Ok(received) => received.bytes,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(Received::Nothing),
        Err(Errno::CONNRESET) => return Ok(Received::Closed),
        Err(error) => return Err(error.into()),
    };
    if received == 0 {
        return Ok(Received::Closed);
    }
    let record = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let unknown = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    match serde_json::from_slice(&bytes[..received])? {
        ToGuardian::Serve(duty) => {
            let record = record.ok_or_else(|| unknown("a duty came without its record"))?;
            Ok(Received::Duty(duty, RecordFile::from_file(File::from(record))))
        }
        ToGuardian::Stop { task, attempt, grace_ms } => {
            let task = TaskId::new(task).ok_or_else(|| unknown("a stop of no task"))?;
            Ok(Received::Stop { key: AttemptKey { task, attempt }, grace_ms })
        }
    }
}
