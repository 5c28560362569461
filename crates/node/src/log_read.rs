//! Reading logs, by anyone in the server, while they are written or long after.
//!
//! Start with [`LogReader::read`]. The layout is described in `log`, with its one writer. A reader
//! never follows a symbolic link below the node's folder: a task that could plant one there would
//! otherwise be shown any file the server can read.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fastgpu_core::ids::TaskId;
use fastgpu_core::units::Timestamp;
use rustix::fs::{Mode, OFlags};

use crate::folder::{AttemptKey, RecordFile};
use crate::log_frame::{FRAME_BODY_BYTES_MAX, FRAME_HEAD_BYTES, FrameHead, segment_name};

pub use crate::log_frame::LogStream;

/// A segment may be deleted between listing and opening it, when a task writes fast; then the list is read
/// again, this often.
const RETRIES_MAX: u32 = 10;
/// What a log without a cap of its own cannot exceed in one read, whatever the caller asks for.
const READ_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A place in a log from which reading can go on, today and after a restart. 0 is the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogOffset(pub u64);

/// A piece of log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFrame {
    /// Where to go on after this frame.
    pub next: LogOffset,
    /// When it was read from the task.
    pub at: Timestamp,
    /// Where it came from.
    pub stream: LogStream,
    /// Any bytes at all, cut anywhere.
    pub bytes: Vec<u8>,
}

/// Some frames in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// The frames.
    pub frames: Vec<LogFrame>,
    /// Where to go on.
    pub next: LogOffset,
    /// Whether nothing will ever follow `next`.
    pub ended: bool,
}

impl LogChunk {
    /// All there is of an attempt that ended without output.
    const EMPTY: Self = Self { frames: Vec::new(), next: LogOffset(0), ended: true };
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The attempt never ran here, or its log was swept.
    #[error("this node has no log of {task}, attempt {attempt}")]
    Unknown {
        /// Which task.
        task: TaskId,
        /// Which attempt of it.
        attempt: u32,
    },
    /// The disk says no.
    #[error("could not read the log")]
    Read(#[from] io::Error),
}

/// Reads the logs of one node.
#[derive(Debug, Clone)]
pub struct LogReader {
    node_dir: PathBuf,
}

impl LogReader {
    /// Reads below `node_dir`.
    #[must_use]
    pub fn new(node_dir: &Path) -> Self {
        Self { node_dir: node_dir.to_path_buf() }
    }

    /// Frames from `from` on: at least one if there is one, else as many as fit in `bytes_max`.
    pub fn read(
        &self,
        task: TaskId,
        attempt: u32,
        from: LogOffset,
        bytes_max: usize,
    ) -> Result<LogChunk, LogError> {
        let mut tries = 0;
        loop {
            let key = AttemptKey { task, attempt };
            // Asked before reading: what is written before the end is then read for sure.
            let Some((folder, over)) = self.open(key)? else { return Ok(LogChunk::EMPTY) };
            match read_from(&folder, from.0, bytes_max.min(READ_BYTES_MAX)) {
                Ok(_) if self.has_moved(key, &folder) && tries < RETRIES_MAX => tries += 1,
                Ok((frames, next, complete)) => {
                    return Ok(LogChunk { frames, next: LogOffset(next), ended: over && complete });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < RETRIES_MAX => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The last `lines` lines, looking back at most `bytes_max`; reading goes on at `next`.
    pub fn tail(
        &self,
        task: TaskId,
        attempt: u32,
        lines: usize,
        bytes_max: usize,
    ) -> Result<LogChunk, LogError> {
        let mut tries = 0;
        loop {
            let key = AttemptKey { task, attempt };
            let Some((folder, over)) = self.open(key)? else { return Ok(LogChunk::EMPTY) };
            match tail_of(&folder, lines, bytes_max.min(READ_BYTES_MAX)) {
                Ok(_) if self.has_moved(key, &folder) && tries < RETRIES_MAX => tries += 1,
                Ok((frames, next)) => return Ok(LogChunk { frames, next: LogOffset(next), ended: over }),
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < RETRIES_MAX => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether an open folder is this attempt's no more. The folder of one without output serves another
    /// attempt, whose output is not for the readers of this one.
    fn has_moved(&self, key: AttemptKey, folder: &OwnedFd) -> bool {
        let Ok(now) = rustix::fs::fstat(folder) else { return true };
        let is_there = |place: &str| {
            let path = self.node_dir.join(place).join(key.to_string());
            rustix::fs::lstat(path)
                .is_ok_and(|there| (there.st_dev, there.st_ino) == (now.st_dev, now.st_ino))
        };
        !is_there("attempts") && !is_there("done")
    }

    /// The attempt's folder, wherever it is by now, and whether its log is complete; nothing for an attempt that
    /// ended without output.
    fn open(&self, key: AttemptKey) -> Result<Option<(OwnedFd, bool)>, LogError> {
        let root: OwnedFd = File::open(&self.node_dir)?.into();
        // Between two looks it may move from the first place to the second.
        for place in ["attempts", "done"] {
            let folder = open_folder(root.as_fd(), place)
                .and_then(|parent| open_folder(parent.as_fd(), &key.to_string()));
            match folder {
                Ok(folder) => {
                    let over = place == "done" || has_ended(&folder)?;
                    return Ok(Some((folder, over)));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        match crate::ends::find(&self.node_dir, key) {
            Some(_) => Ok(None),
            None => Err(LogError::Unknown { task: key.task, attempt: key.attempt }),
        }
    }
}

fn open_at(folder: impl AsFd, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?)
}

fn open_folder(parent: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    open_at(parent, name, OFlags::DIRECTORY)
}

fn has_ended(folder: &OwnedFd) -> io::Result<bool> {
    match open_at(folder, "record", OFlags::empty()) {
        Ok(record) => Ok(RecordFile::from_file(record.into()).read()?.exit.is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Where each segment begins, in order.
fn segments(folder: &OwnedFd) -> io::Result<Vec<u64>> {
    let mut starts = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_str().ok().and_then(|name| name.strip_prefix("log."));
        starts.extend(name.and_then(|digits| digits.parse::<u64>().ok()));
    }
    starts.sort_unstable();
    Ok(starts)
}

/// An open segment.
struct Segment {
    start: u64,
    length: u64,
    file: File,
}

fn open_segment(folder: &OwnedFd, start: u64) -> io::Result<Segment> {
    let file = File::from(open_at(folder, &segment_name(start), OFlags::empty())?);
    Ok(Segment { start, length: file.metadata()?.len(), file })
}

/// The frames, where to go on, and whether that is the end of what is there.
type Frames = (Vec<LogFrame>, u64, bool);

fn read_from(folder: &OwnedFd, from: u64, bytes_max: usize) -> io::Result<Frames> {
    let starts = segments(folder)?;
    let mut frames = Vec::new();
    let mut next = from;
    let mut room = bytes_max;
    // The segment that holds `from`, or the last one before it.
    let first = starts.partition_point(|&start| start <= from).saturating_sub(1);
    for &start in &starts[first..] {
        if start > next {
            frames.push(gap(next, start));
            next = start;
        }
        let segment = open_segment(folder, start)?;
        if next >= start + segment.length {
            continue;
        }
        let position = first_frame(&segment, next - start)?;
        let (read, end, whole) = frames_of(&segment, position, room, frames.is_empty())?;
        room = room.saturating_sub(read.iter().map(|frame| frame.bytes.len()).sum());
        frames.extend(read);
        next = start + end;
        if !whole {
            return Ok((frames, next, false));
        }
    }
    Ok((frames, next, true))
}

/// Says what was between two segments.
fn gap(from: u64, to: u64) -> LogFrame {
    let note =
        format!("{} bytes of output were dropped here: the log keeps its beginning and its end", to - from);
    LogFrame {
        next: LogOffset(to),
        at: Timestamp::default(),
        stream: LogStream::Note,
        bytes: note.into_bytes(),
    }
}

/// `position` if a frame begins there, else the place of the next frame behind it.
fn first_frame(segment: &Segment, position: u64) -> io::Result<u64> {
    if position == 0 || head_at(segment, position)?.is_some() {
        return Ok(position);
    }
    let mut place = 0;
    while place < position {
        let Some(head) = head_at(segment, place)? else { return Ok(segment.length) };
        place += (FRAME_HEAD_BYTES + head.length) as u64;
    }
    Ok(place)
}

fn head_at(segment: &Segment, position: u64) -> io::Result<Option<FrameHead>> {
    let mut head = [0; FRAME_HEAD_BYTES];
    match segment.file.read_exact_at(&mut head, position) {
        Ok(()) => Ok(FrameHead::from_bytes(&head)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The frames of one segment from `position` on, within `room` bytes but at least one if `force` is said;
/// where they end; and whether that is all the segment has.
fn frames_of(segment: &Segment, position: u64, room: usize, force: bool) -> io::Result<Frames> {
    let mut file = io::BufReader::with_capacity(FRAME_BODY_BYTES_MAX, &segment.file);
    io::Seek::seek(&mut file, io::SeekFrom::Start(position))?;
    let mut frames: Vec<LogFrame> = Vec::new();
    let mut place = position;
    let mut used = 0;
    loop {
        let mut head = [0; FRAME_HEAD_BYTES];
        if !fill(&mut file, &mut head)? {
            return Ok((frames, place, true));
        }
        // A torn frame ends the segment: its guardian did not live to finish it.
        let Some(head) = FrameHead::from_bytes(&head) else { return Ok((frames, place, true)) };
        used += head.length;
        if used > room && !(force && frames.is_empty()) {
            return Ok((frames, place, false));
        }
        let mut bytes = vec![0; head.length];
        if !fill(&mut file, &mut bytes)? {
            return Ok((frames, place, true));
        }
        place += (FRAME_HEAD_BYTES + head.length) as u64;
        frames.push(LogFrame {
            next: LogOffset(segment.start + place),
            at: head.at,
            stream: head.stream,
            bytes,
        });
    }
}

/// Whether there was enough to fill `bytes`.
fn fill(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn tail_of(folder: &OwnedFd, lines: usize, bytes_max: usize) -> io::Result<(Vec<LogFrame>, u64)> {
    let starts = segments(folder)?;
    let mut newest_first: Vec<LogFrame> = Vec::new();
    let mut next = None;
    let (mut lines_left, mut room) = (lines, bytes_max);
    let mut newest = true;
    // Where the segment behind the one at hand begins.
    let mut behind = None;
    'segments: for &start in starts.iter().rev() {
        let segment = open_segment(folder, start)?;
        let (frames, end, _) = frames_of(&segment, 0, usize::MAX, true)?;
        if let Some(later) = behind.replace(start)
            && start + segment.length < later
        {
            newest_first.push(gap(start + segment.length, later));
        }
        next.get_or_insert(start + end);
        for mut frame in frames.into_iter().rev() {
            if frame.stream == LogStream::Note && lines > 0 {
                // A sentence of ours is no line of the task's.
                newest_first.push(frame);
                continue;
            }
            let whole = std::mem::take(&mut newest);
            let Some(cut) = line_start(&frame.bytes, &mut lines_left, whole) else {
                if frame.bytes.len() > room {
                    break 'segments;
                }
                room -= frame.bytes.len();
                newest_first.push(frame);
                continue;
            };
            frame.bytes.drain(..cut);
            if !frame.bytes.is_empty() {
                newest_first.push(frame);
            }
            break 'segments;
        }
    }
    newest_first.reverse();
    Ok((newest_first, next.unwrap_or(0)))
}

/// Where in `bytes` the wanted lines begin, if they begin there; else takes the lines seen off `lines_left`.
/// A newline at the very end of the log ends its last line and begins none.
fn line_start(bytes: &[u8], lines_left: &mut usize, is_newest: bool) -> Option<usize> {
    if *lines_left == 0 {
        return Some(bytes.len());
    }
    let searched = match bytes {
        [body @ .., b'\n'] if is_newest => body,
        all => all,
    };
    for place in (0..searched.len()).rev().filter(|&place| searched[place] == b'\n') {
        *lines_left = lines_left.saturating_sub(1);
        if *lines_left == 0 {
            return Some(place + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogWriter;

    const TASK: u64 = 9;

    struct Fixture {
        node: tempfile::TempDir,
        log: LogWriter,
    }

    impl Fixture {
        fn new(cap: u64) -> Self {
            let node = tempfile::tempdir().unwrap();
            let key = AttemptKey { task: TaskId::new(TASK).unwrap(), attempt: 1 };
            let folder = node.path().join("attempts").join(key.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            let log = LogWriter::new(folder, cap);
            Self { node, log }
        }

        fn write(&mut self, text: &str) {
            self.log.write(LogStream::Stdout, Timestamp(7), text.as_bytes());
        }

        fn read(&self, from: u64, bytes_max: usize) -> LogChunk {
            let reader = LogReader::new(self.node.path());
            reader.read(TaskId::new(TASK).unwrap(), 1, LogOffset(from), bytes_max).unwrap()
        }

        fn tail(&self, lines: usize) -> String {
            let reader = LogReader::new(self.node.path());
            text(&reader.tail(TaskId::new(TASK).unwrap(), 1, lines, 1_000_000).unwrap())
        }
    }

    fn text(chunk: &LogChunk) -> String {
        chunk.frames.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect()
    }

    #[test]
    fn a_log_is_read_in_pieces_and_resumed_anywhere() {
        let mut log = Fixture::new(1 << 20);
        assert_eq!(log.read(0, 100), LogChunk { frames: Vec::new(), next: LogOffset(0), ended: false });
        ["one\n", "two\n", "three\n"].iter().for_each(|line| log.write(line));
        let all = log.read(0, 1_000);
        assert_eq!(text(&all), "one\ntwo\nthree\n");
        let first = log.read(0, 1);
        assert_eq!(text(&first), "one\n", "at least one frame, however little is asked for");
        assert_eq!(text(&log.read(first.next.0, 1_000)), "two\nthree\n");
        assert_eq!(
            text(&log.read(first.next.0 + 1, 1_000)),
            "three\n",
            "a foreign offset finds the next frame"
        );
        log.write("four\n");
        assert_eq!(text(&log.read(all.next.0, 1_000)), "four\n");
    }

    #[test]
    fn the_tail_is_cut_by_lines_not_by_frames() {
        let mut log = Fixture::new(1 << 20);
        log.write("a\nb\nc");
        assert_eq!(log.tail(1), "c");
        assert_eq!(log.tail(2), "b\nc");
        log.write("c\nd\n");
        assert_eq!(log.tail(1), "d\n");
        assert_eq!(log.tail(2), "cc\nd\n");
        assert_eq!(log.tail(99), "a\nb\ncc\nd\n");
        assert_eq!(log.tail(0), "");
    }

    #[test]
    fn notes_are_shown_with_the_last_lines_but_are_none_of_them() {
        let mut log = Fixture::new(1 << 20);
        log.write("a\nb\n");
        log.log.write(LogStream::Note, Timestamp(7), b"(note)");
        assert_eq!(log.tail(1), "b\n(note)");
        log.write("c\n");
        assert_eq!(log.tail(2), "b\n(note)c\n");
        assert_eq!(log.tail(1), "(note)c\n");
        assert_eq!(log.tail(0), "");
    }

    #[test]
    fn last_lines_from_before_a_gap_say_so() {
        let mut log = Fixture::new(64 * 1024);
        (0..20_000).for_each(|line| log.write(&format!("line {line}\n")));
        let all = log.tail(30_000);
        assert!(all.starts_with("line 0\n") && all.ends_with("line 19999\n"), "{}", all.len());
        assert_eq!(all.matches("were dropped here").count(), 1);
    }

    #[test]
    fn head_and_tail_stay_and_the_gap_is_said() {
        let mut log = Fixture::new(64 * 1024);
        (0..20_000).for_each(|line| log.write(&format!("line {line}\n")));
        let mut next = 0;
        let mut whole = Vec::new();
        loop {
            let chunk = log.read(next, 10_000);
            if chunk.frames.is_empty() {
                break;
            }
            assert!(chunk.next.0 > next);
            next = chunk.next.0;
            whole.extend(chunk.frames);
        }
        assert_eq!(whole[0].bytes, b"line 0\n");
        assert_eq!(whole.last().unwrap().bytes, b"line 19999\n");
        let notes: Vec<_> = whole.iter().filter(|frame| frame.stream == LogStream::Note).collect();
        assert_eq!(notes.len(), 1);
        assert!(String::from_utf8_lossy(&notes[0].bytes).contains("were dropped here"));
        // An offset inside the gap resumes behind it.
        let inside = notes[0].next.0 - 1;
        assert_eq!(log.read(inside, 10_000).frames[0].stream, LogStream::Note);
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let log = Fixture::new(1 << 20);
        let key = AttemptKey { task: TaskId::new(TASK).unwrap(), attempt: 1 };
        let folder = log.node.path().join("attempts").join(key.to_string());
        std::os::unix::fs::symlink("/etc/passwd", folder.join(segment_name(0))).unwrap();
        let reader = LogReader::new(log.node.path());
        assert!(matches!(reader.read(key.task, 1, LogOffset(0), 100), Err(LogError::Read(_))));
        assert!(matches!(reader.read(key.task, 2, LogOffset(0), 100), Err(LogError::Unknown { .. })));
    }

    #[test]
    fn a_folder_that_serves_another_attempt_is_noticed() {
        let mut log = Fixture::new(1 << 20);
        let key = |attempt| AttemptKey { task: TaskId::new(TASK).unwrap(), attempt };
        let place = |folder: &str, attempt| log.node.path().join(folder).join(key(attempt).to_string());
        let reader = LogReader::new(log.node.path());
        let (folder, over) = reader.open(key(1)).unwrap().unwrap();
        assert!(!over && !reader.has_moved(key(1), &folder));
        std::fs::create_dir(log.node.path().join("done")).unwrap();
        std::fs::rename(place("attempts", 1), place("done", 1)).unwrap();
        assert!(!reader.has_moved(key(1), &folder), "it is put away");
        std::fs::rename(place("done", 1), place("attempts", 2)).unwrap();
        assert!(reader.has_moved(key(1), &folder), "it is another's");
        log.log = LogWriter::new(place("attempts", 2), 1 << 20);
        log.write("not for everyone");
        assert!(matches!(reader.read(key(1).task, 1, LogOffset(0), 100), Err(LogError::Unknown { .. })));
    }
}
