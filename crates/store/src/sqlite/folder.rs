//! The data folder: private to its user, and of one process at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use super::refusal::OpenError;

/// The file whose lock says that the folder is in use; it holds the pid of who uses it.
const LOCK_NAME: &str = "lock";
/// A pid has at most this many digits.
const PID_BYTES_MAX: u64 = 20;
/// A process that is killed while it starts another leaves the lock to that one until it runs its own
/// program: moments, on a busy machine too.
const LEFT_TO_CHILD_MAX: Duration = Duration::from_secs(1);

/// Held as long as the folder is ours. The kernel lets go of it when the process ends, however it ends;
/// the file stays, because removing it would race with the next one to lock it.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Makes the folder where there is none, and takes it.
pub(super) fn lock(data_dir: &Path) -> Result<Lock, OpenError> {
    let not_writable = |source| OpenError::NotWritable { folder: data_dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(not_writable)?;
    let mut file = private().truncate(false).open(data_dir.join(LOCK_NAME)).map_err(not_writable)?;
    match take(&mut file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::InUse { folder: data_dir.to_owned(), pid: read_pid(&mut file) });
        }
        Err(TryLockError::Error(source)) => return Err(not_writable(source)),
    }
    // On a full disk the pid may not fit; the lock holds all the same, and the next one is told less.
    let _ = write_pid(&mut file);
    Ok(Lock { _file: file })
}

/// The process that has the folder now, if one has.
///
/// # Errors
/// When the folder cannot be looked into.
pub fn user_of(data_dir: &Path) -> io::Result<Option<u32>> {
    let mut file = match File::open(data_dir.join(LOCK_NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Ok(read_pid(&mut file).filter(|&pid| lives(pid))),
        Err(TryLockError::Error(error)) => Err(error),
        // Held for this moment only; whoever takes the folder just now tries again.
        Ok(()) => Ok(None),
    }
}

/// Takes the lock; waits only for one whose owner is dead.
fn take(file: &mut File) -> Result<(), TryLockError> {
    let deadline = Instant::now() + LEFT_TO_CHILD_MAX;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock)
                if Instant::now() < deadline && !read_pid(file).is_some_and(lives) =>
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            other => return other,
        }
    }
}

/// A process that has ended has no words any more, even if nobody has waited for it yet.
fn lives(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| !words.is_empty())
}

/// Options for a file that only its user may read: it holds token hashes and task environments.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_folder_is_said_as_long_as_it_has_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(user_of(folder.path()).unwrap(), None);
        let held = lock(folder.path()).unwrap();
        assert_eq!(user_of(folder.path()).unwrap(), Some(std::process::id()));
        drop(held);
        // Another test that starts a process just now lends it the lock for a moment.
        let deadline = Instant::now() + Duration::from_secs(20);
        while user_of(folder.path()).unwrap().is_some() {
            assert!(Instant::now() < deadline, "its pid still stands there, but it has not got it");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_lock_that_a_dead_process_left_to_its_child_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK_NAME);
        // What such a child looks like: somebody holds the lock, and the pid is nobody's.
        let mut left = private().truncate(false).open(&path).unwrap();
        left.lock().unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        writeln!(left, "{}", ended.id()).unwrap();
        let child = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            drop(left);
        });
        let _held = lock(folder.path()).unwrap();
        child.join().unwrap();
        let again = lock(folder.path());
        assert!(matches!(again, Err(OpenError::InUse { pid: Some(_), .. })), "{again:?}");
    }
}
