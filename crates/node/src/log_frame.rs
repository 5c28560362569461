//! The form of a log on disk, which its writer (`log`) and its readers ([`crate::log_read`]) share.
//!
//! ```text
//! frame: 1 byte 0xF6 · 1 byte stream · 2 bytes zero · 4 bytes length · 8 bytes Unix milliseconds · bytes
//! ```

use fastgpu_core::units::Timestamp;

/// The first byte of every frame.
pub(crate) const FRAME_MARK: u8 = 0xf6;
/// The length of a frame's head.
pub(crate) const FRAME_HEAD_BYTES: usize = 16;
/// The most a frame carries: what one read from a full pipe gives.
pub(crate) const FRAME_BODY_BYTES_MAX: usize = 64 * 1024;
/// Where a piece of log came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A sentence of ours: what was dropped, and why.
    Note,
}

/// The name of the segment that begins at `offset`.
pub(crate) fn segment_name(offset: u64) -> String {
    format!("log.{offset:020}")
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) stream: LogStream,
    pub(crate) at: Timestamp,
    pub(crate) length: usize,
}

impl FrameHead {
    pub(crate) fn to_bytes(self) -> [u8; FRAME_HEAD_BYTES] {
        let mut bytes = [0; FRAME_HEAD_BYTES];
        bytes[0] = FRAME_MARK;
        bytes[1] = match self.stream {
            LogStream::Stdout => 1,
            LogStream::Stderr => 2,
            LogStream::Note => 3,
        };
        let length = u32::try_from(self.length).expect("a frame's body is at most 64 KiB");
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes[8..].copy_from_slice(&self.at.0.to_le_bytes());
        bytes
    }

    /// `None` if this is not the head of a frame.
    pub(crate) fn from_bytes(bytes: &[u8; FRAME_HEAD_BYTES]) -> Option<Self> {
        let [FRAME_MARK, stream, 0, 0, l0, l1, l2, l3, time @ ..] = *bytes else { return None };
        let stream = match stream {
            1 => LogStream::Stdout,
            2 => LogStream::Stderr,
            3 => LogStream::Note,
            _ => return None,
        };
        let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
        let at = Timestamp(i64::from_le_bytes(time));
        (length <= FRAME_BODY_BYTES_MAX).then_some(Self { stream, at, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_round_trips_and_rubbish_is_refused() {
        let head = FrameHead { stream: LogStream::Stderr, at: Timestamp(-3), length: 65_536 };
        assert_eq!(FrameHead::from_bytes(&head.to_bytes()), Some(head));
        for (place, value) in [(0, 0), (1, 0), (1, 4), (2, 1), (6, 2)] {
            let mut bytes = head.to_bytes();
            bytes[place] = value;
            assert_eq!(FrameHead::from_bytes(&bytes), None, "byte {place} is {value}");
        }
    }
}
