//! Writing an attempt's output: framed, capped, head and tail kept.
//!
//! A log is one long row of frames, and an offset is a place in that row. On disk it is cut into segments,
//! each a file named by the offset it begins at, so a segment's name is the index. The first half of the
//! cap is kept for ever, the second half holds the newest segments; the ones between are deleted as new
//! ones come, and offsets stay what they were. The reader ([`crate::log_read`]) says where a gap is.
//!
//! No promise of durability is made: nothing here waits for a disk.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use fastgpu_core::units::Timestamp;

use crate::log_frame::{FRAME_BODY_BYTES_MAX, FRAME_HEAD_BYTES, FrameHead, LogStream, segment_name};

/// Segments kept of the beginning, and as many of the end.
const SEGMENTS_KEPT: u64 = 8;
/// A smaller cap would be all segment ends and no output.
const LOG_BYTES_MIN: u64 = 64 * 1024;

/// The one writer of a log: the attempt's guardian.
#[derive(Debug)]
pub(crate) struct LogWriter {
    folder: PathBuf,
    segment: Option<Segment>,
    segment_bytes_max: u64,
    segments: u64,
    tail: VecDeque<u64>,
    next: u64,
    /// Output that a full disk refused and nobody was told of.
    lost: u64,
}

#[derive(Debug)]
struct Segment {
    file: File,
    length: u64,
}

impl LogWriter {
    /// Begins the log of an attempt in its folder. No file is made before there is output.
    pub(crate) fn new(folder: PathBuf, log_bytes_max: u64) -> Self {
        Self {
            folder,
            segment: None,
            segment_bytes_max: log_bytes_max.max(LOG_BYTES_MIN) / (2 * SEGMENTS_KEPT),
            segments: 0,
            tail: VecDeque::new(),
            next: 0,
            lost: 0,
        }
    }

    /// The most one [`LogWriter::write`] should carry.
    pub(crate) fn body_bytes_max(&self) -> usize {
        let room = usize::try_from(self.segment_bytes_max).unwrap_or(usize::MAX);
        (room - FRAME_HEAD_BYTES).min(FRAME_BODY_BYTES_MAX)
    }

    /// Whether there is a file.
    pub(crate) fn has_begun(&self) -> bool {
        self.segments > 0
    }

    /// Adds one frame. A disk that refuses it costs this output and nothing else.
    pub(crate) fn write(&mut self, stream: LogStream, at: Timestamp, body: &[u8]) {
        if self.lost > 0 {
            let note = format!("{} bytes of output were lost: the disk refused them", self.lost);
            if self.try_write(LogStream::Note, at, note.as_bytes()).is_ok() {
                self.lost = 0;
            }
        }
        if self.lost > 0 || self.try_write(stream, at, body).is_err() {
            self.lost += body.len() as u64;
        }
    }

    fn try_write(&mut self, stream: LogStream, at: Timestamp, body: &[u8]) -> io::Result<()> {
        let head = FrameHead { stream, at, length: body.len() }.to_bytes();
        let frame_bytes = (FRAME_HEAD_BYTES + body.len()) as u64;
        let full = self.segment.as_ref().is_none_or(|segment| {
            segment.length > 0 && segment.length + frame_bytes > self.segment_bytes_max
        });
        if full {
            self.begin_segment()?;
        }
        let segment = self.segment.as_mut().expect("begun above");
        let written = segment.file.write_vectored(&[IoSlice::new(&head), IoSlice::new(body)]);
        if !matches!(written, Ok(count) if count as u64 == frame_bytes) {
            // Half a frame would make everything behind it unreadable.
            segment.file.set_len(segment.length)?;
            return Err(written.err().unwrap_or_else(|| io::ErrorKind::StorageFull.into()));
        }
        segment.length += frame_bytes;
        self.next += frame_bytes;
        Ok(())
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let mut options = File::options();
        options.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(self.folder.join(segment_name(self.next)))?;
        self.segment = Some(Segment { file, length: 0 });
        self.segments += 1;
        if self.segments > SEGMENTS_KEPT {
            self.tail.push_back(self.next);
        }
        if self.tail.len() as u64 > SEGMENTS_KEPT
            && let Some(oldest) = self.tail.pop_front()
        {
            // A segment that cannot be deleted costs space, not the log.
            let _ = std::fs::remove_file(self.folder.join(segment_name(oldest)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_stays_within_the_cap() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogWriter::new(folder.path().to_path_buf(), 1024 * 1024);
        let body = vec![b'x'; log.body_bytes_max()];
        for _ in 0..200 {
            log.write(LogStream::Stdout, Timestamp(1), &body);
        }
        let size: u64 =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!((900 * 1024..=1024 * 1024).contains(&size), "{size}");
    }
}
