//! The ends of attempts that left nothing else: no output, and no file in a working folder.
//!
//! Their folders serve later attempts: making two files for each would cost more than everything else that a
//! keeper does for an attempt. What must not be forgotten is that the attempt ended, and how: an order for it
//! may still come, from a control plane that was restored from an older backup.
//!
//! ```text
//! ends      one line for each: its name, a space, its exit as JSON
//! ends.old  the lines before those
//! ```
//!
//! Each line is written by one call and begins with its line break, so one that was torn costs only itself.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fastgpu_core::node::Exit;

use crate::folder::AttemptKey;
use crate::protocol::WireExit;

const NEW: &str = "ends";
const OLD: &str = "ends.old";
/// Lines in one of the two files. Together they remember as many attempts as logs are kept of.
const LINES_MAX: usize = 50_000;

/// The keeper's side of the files.
#[derive(Debug)]
pub(crate) struct Ends {
    root: PathBuf,
    /// Opened with the first end: nothing in the folder may stop a keeper from starting.
    file: Option<File>,
    lines: usize,
    /// Every attempt in the files, by rising key.
    known: Vec<AttemptKey>,
}

impl Ends {
    /// Reads the files in the node's folder. What makes no sense is as if it were not there.
    pub(crate) fn read(root: &Path) -> Self {
        let mut known = Vec::new();
        each_line(&root.join(OLD), |key, _| known.push(key));
        let old = known.len();
        each_line(&root.join(NEW), |key, _| known.push(key));
        let lines = known.len() - old;
        known.sort_unstable();
        known.dedup();
        Self { root: root.to_path_buf(), file: None, lines, known }
    }

    /// Whether this attempt is known to be over.
    pub(crate) fn has(&self, key: AttemptKey) -> bool {
        self.known.binary_search(&key).is_ok()
    }

    /// Remembers an end.
    pub(crate) fn add(&mut self, key: AttemptKey, exit: &Exit) -> io::Result<()> {
        if self.lines >= LINES_MAX {
            std::fs::rename(self.root.join(NEW), self.root.join(OLD))?;
            *self = Self::read(&self.root);
        }
        let mut line = format!("\n{key} ").into_bytes();
        serde_json::to_writer(&mut line, &WireExit::from(exit.clone()))?;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => open_new(&self.root)?,
        };
        file.write_all(&line)?;
        self.file = Some(file);
        self.lines += 1;
        if let Err(place) = self.known.binary_search(&key) {
            self.known.insert(place, key);
        }
        Ok(())
    }
}

fn open_new(root: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(root.join(NEW))
}

/// How an attempt ended that left nothing else, if it is remembered.
pub(crate) fn find(root: &Path, wanted: AttemptKey) -> Option<Exit> {
    let mut found = None;
    for name in [NEW, OLD] {
        each_line(&root.join(name), |key, exit| {
            if key == wanted {
                found = serde_json::from_str::<WireExit>(exit).ok().map(Exit::from);
            }
        });
        if found.is_some() {
            break;
        }
    }
    found
}

fn each_line(path: &Path, mut see: impl FnMut(AttemptKey, &str)) {
    let Ok(file) = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path) else { return };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&line);
        if let Some((key, exit)) = text.trim_end().split_once(' ')
            && let Ok(key) = key.parse()
        {
            see(key, exit);
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use fastgpu_core::ids::TaskId;
    use fastgpu_core::node::ExitKind;
    use fastgpu_core::units::Timestamp;

    use super::*;

    fn key(task: u64) -> AttemptKey {
        AttemptKey { task: TaskId::new(task).unwrap(), attempt: 1 }
    }

    fn exit(code: u8) -> Exit {
        Exit { at: Timestamp(7), how: ExitKind::Code(code), cpu_ms: 1, rss_max_kib: 2, sick: None }
    }

    #[test]
    fn an_end_is_remembered_by_the_next_keeper_though_a_line_was_torn() {
        let node = tempfile::tempdir().unwrap();
        let mut ends = Ends::read(node.path());
        ends.add(key(5), &exit(3)).unwrap();
        ends.add(key(2), &exit(4)).unwrap();
        ends.file.unwrap().write_all(b"\n\xff\x00 \n t\nt-0000000000009.1 {\"at\"").unwrap();
        let mut ends = Ends::read(node.path());
        ends.add(key(6), &exit(5)).unwrap();
        for (task, code) in [(5, 3), (2, 4), (6, 5)] {
            assert!(ends.has(key(task)));
            assert_eq!(find(node.path(), key(task)), Some(exit(code)));
        }
        assert!(!ends.has(key(7)) && find(node.path(), key(7)).is_none());
        assert!(find(node.path(), key(9)).is_none());
    }

    #[test]
    fn the_files_do_not_grow_for_ever() {
        let node = tempfile::tempdir().unwrap();
        let mut ends = Ends::read(node.path());
        ends.add(key(1), &exit(0)).unwrap();
        ends.lines = LINES_MAX;
        ends.add(key(2), &exit(0)).unwrap();
        assert!(ends.has(key(1)) && ends.has(key(2)));
        ends.lines = LINES_MAX;
        ends.add(key(3), &exit(0)).unwrap();
        assert!(!ends.has(key(1)) && ends.has(key(2)) && ends.has(key(3)));
    }
}
