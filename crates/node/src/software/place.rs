//! Where the ledger lies: in shared memory if there is room, in a folder of ours that nobody else can enter.
//!
//! A ledger is kept for as long as it stands for the same devices and the machine has not been started
//! again. What it was made for is written beside the libraries, in one line per fact.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use fastgpu_softgpu::ledger::{Creation, Ledger};

use crate::simulate::SimulateSpec;

/// Memory that looks like a folder, on every Linux.
const SHARED_MEMORY: &str = "/dev/shm";
/// The note of what was made, and where.
const NOTE: &str = "place";
/// A note is a few short lines, and a long specification.
const NOTE_BYTES_MAX: u64 = 64 * 1_024;
/// Beginning of our folders' names.
const PREFIX: &str = "fastgpu-";
/// In a ledger's folder: which node's it is, so that what a removed node left can be cleared away.
const OWNER: &str = "owner";

/// What a note says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    boot: String,
    build: String,
    spec: SimulateSpec,
    ledger: PathBuf,
}

/// The folder of a ledger with these devices; made anew if there is none that can go on.
pub(super) fn prepare(softgpu: &Path, spec: &SimulateSpec, seed: u64) -> io::Result<PathBuf> {
    let boot = boot_id();
    let build = env!("FASTGPU_SOFTGPU_HASH");
    if let Some(note) = read(softgpu)? {
        let same = note.boot == boot && note.build == build && note.spec == *spec;
        if same && Ledger::open(&note.ledger).is_ok() {
            hold(&note.ledger)?;
            return Ok(note.ledger);
        }
        if note.spec != *spec {
            refuse_while_in_use(&note)?;
        }
        // Programs that still use it keep its memory; nobody finds it any more.
        remove(&note.ledger);
    }
    clear_away_orphans();
    let creation = Creation { seed, ..Creation::of(spec.as_software()) };
    // On the disk it is slower, and there is room.
    let ledger =
        fresh_ledger(&in_memory(), &creation).or_else(|_| fresh_ledger(&on_disk(softgpu), &creation))?;
    let draft = ledger.join(format!("{OWNER}.new"));
    fs::write(&draft, softgpu.as_os_str().as_encoded_bytes())?;
    fs::rename(&draft, ledger.join(OWNER))?;
    hold(&ledger)?;
    let note = format!("{boot}\n{build}\n{spec}\n{}\n", ledger.display());
    let draft = softgpu.join(format!("{NOTE}.{}", std::process::id()));
    fs::write(&draft, note)?;
    fs::rename(&draft, softgpu.join(NOTE))?;
    Ok(ledger)
}

/// The ledger that was made, and from what; `None` where none was or it is gone.
pub(super) fn find(softgpu: &Path) -> io::Result<Option<(PathBuf, SimulateSpec)>> {
    let note = read(softgpu)?.filter(|note| note.ledger.exists());
    Ok(note.map(|note| (note.ledger, note.spec)))
}

/// Removes a ledger's folder, whatever is in it.
pub(super) fn remove(ledger: &Path) {
    let _ = fs::remove_dir_all(ledger);
}

fn read(softgpu: &Path) -> io::Result<Option<Note>> {
    let path = softgpu.join(NOTE);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        // Not ours.
        Ok(found) if found.len() > NOTE_BYTES_MAX => return Ok(None),
        Ok(_) => {}
    }
    let text = fs::read_to_string(&path)?;
    let mut lines = text.lines().map(str::to_owned);
    let mut line = || lines.next().unwrap_or_default();
    let (boot, build, spec, ledger) = (line(), line(), line(), line());
    // A note that cannot be read is as if it were not there: another ledger is made.
    Ok(spec.parse().ok().map(|spec| Note { boot, build, spec, ledger: ledger.into() }))
}

/// Tasks hold devices by number: those that run must not find others under it.
fn refuse_while_in_use(note: &Note) -> io::Result<()> {
    let users = Ledger::open(&note.ledger).map_or(0, |ledger| ledger.processes().len());
    match users {
        0 => Ok(()),
        users => {
            let programs = if users == 1 { "a program still uses" } else { "programs still use" };
            let what = format!("{programs} the software GPUs `{}`", note.spec);
            Err(io::Error::new(io::ErrorKind::ResourceBusy, what))
        }
    }
}

/// A ledger in a new folder that is ours alone; a folder that is there already is not taken.
fn fresh_ledger(folder: &Path, creation: &Creation) -> io::Result<PathBuf> {
    fs::DirBuilder::new().mode(0o700).create(folder)?;
    Ledger::open_or_create(folder, creation).inspect_err(|_| remove(folder))?;
    Ok(folder.to_owned())
}

/// A name in shared memory that cannot be guessed at.
fn in_memory() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    Path::new(SHARED_MEMORY).join(format!("{PREFIX}{user}-{}", unique()))
}

fn on_disk(softgpu: &Path) -> PathBuf {
    softgpu.join(format!("ledger-{}", unique()))
}

/// Shows for the life of this process that the ledger is in use: another node, which may not see our folder (it
/// can lie in a mount namespace), then leaves it alone.
fn hold(ledger: &Path) -> io::Result<()> {
    let owner = fs::File::open(ledger.join(OWNER))?;
    owner.lock_shared()?;
    // The lock goes with the process, and with nothing before.
    std::mem::forget(owner);
    Ok(())
}

/// Whether a node holds the ledger, or a program is attached to it.
pub(super) fn is_in_use(ledger: &Path) -> bool {
    let is_held = fs::File::open(ledger.join(OWNER)).is_ok_and(|owner| owner.try_lock().is_err());
    is_held || Ledger::open(ledger).is_ok_and(|ledger| !ledger.processes().is_empty())
}

/// Removes ledgers of ours whose node is gone, such as those of tests that were killed.
fn clear_away_orphans() {
    let user = rustix::process::getuid().as_raw();
    let beginning = format!("{PREFIX}{user}-");
    let Ok(entries) = fs::read_dir(SHARED_MEMORY) else { return };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let named = entry.file_name().to_string_lossy().starts_with(&beginning);
        let ours = || fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir() && found.uid() == user);
        if !named || !ours() {
            continue;
        }
        // Without that file it is being made at this moment, or nobody can say whose it is.
        let Ok(mut owner) = fs::File::open(path.join(OWNER)) else { continue };
        let mut folder = String::new();
        let is_gone = owner.read_to_string(&mut folder).is_ok() && !Path::new(&folder).exists();
        if is_gone && owner.try_lock().is_ok() {
            remove(&path);
        }
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn unique() -> String {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid").ok().map(|uuid| uuid.trim().to_owned());
    uuid.unwrap_or_else(|| std::process::id().to_string())
}
