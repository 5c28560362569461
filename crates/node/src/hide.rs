//! A view of the file system in which our own data and settings do not exist.
//!
//! It is prepared once, by a child of the keeper that makes a mount namespace, covers the folders, puts the
//! working folders and the software GPUs' libraries back where they were, and ends; the keeper holds the namespace open, and each task
//! enters it by one call. Where the kernel refuses, tasks run without it and the node says so.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::DumpableBehavior;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::folder::NodeFolder;
use crate::powers::Tasks;
use crate::protocol::WireAbility;
use crate::sys::{self, Forked};

/// The namespaces a task enters.
#[derive(Debug)]
pub(crate) struct View {
    /// Entered first: without root, only it gives the right to enter the other.
    user: Option<OwnedFd>,
    mount: OwnedFd,
}

impl View {
    /// Moves this process, which must have one thread, into the view.
    pub(crate) fn enter(&self) -> io::Result<()> {
        if let Some(user) = &self.user {
            rustix::thread::move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))?;
        }
        rustix::thread::move_into_link_name_space(self.mount.as_fd(), Some(LinkNameSpaceType::Mount))?;
        Ok(())
    }

    /// The descriptors a guardian must keep open.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.user.iter().chain([&self.mount]).map(AsRawFd::as_raw_fd)
    }
}

/// Prepares the view, or says why there is none.
pub(crate) fn prepare(folder: &NodeFolder, hide: &[PathBuf]) -> (Option<View>, WireAbility) {
    let mut covered: Vec<PathBuf> = hide.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    // Parents first: what lies inside a covered folder is gone with it.
    covered.sort();
    covered.dedup_by(|path, parent| path.starts_with(parent));
    match build(folder, &covered) {
        Ok(view) => (Some(view), hidden(Tasks::look())),
        Err(error) => (
            None,
            ability(
                false,
                format!("tasks can see the server's data and settings: no mount namespace: {error}"),
            ),
        ),
    }
}

fn hidden(tasks: Tasks) -> WireAbility {
    let mut detail = "tasks cannot see the server's data and settings".to_owned();
    detail += match tasks {
        Tasks::Ordinary => "",
        Tasks::LesserRoot => {
            "; they run as root, but cannot mount, load modules or look into processes of others; a server \
             under an ordinary account is safer"
        }
        Tasks::Root => {
            ", unless they try: they run as root with all its powers, which the kernel does not let this \
             server take from them; run it under an ordinary account"
        }
    };
    ability(tasks != Tasks::Root, detail)
}

fn ability(works: bool, detail: String) -> WireAbility {
    WireAbility { name: "mount_namespace".to_owned(), works, detail }
}

fn build(folder: &NodeFolder, covered: &[PathBuf]) -> io::Result<View> {
    let (mut ready, tell_ready) = io::pipe()?;
    let (wait, done) = io::pipe()?;
    match sys::fork()? {
        Forked::Child => {
            drop((ready, done));
            sys::exit_now(helper(folder, covered, tell_ready, wait));
        }
        Forked::Parent(pid) => {
            drop((tell_ready, wait));
            let mut answer = String::new();
            // One byte for success, or a sentence; the end of the pipe if the helper broke.
            let mut first = [0];
            let view = match ready.read(&mut first) {
                Ok(1) if first[0] == b'+' => open_view(pid),
                Ok(_) => {
                    ready.read_to_string(&mut answer)?;
                    Err(io::Error::other(if answer.is_empty() {
                        "the helper vanished".to_owned()
                    } else {
                        answer
                    }))
                }
                Err(error) => Err(error),
            };
            drop(done);
            let pid = rustix::process::Pid::from_raw(pid);
            rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())?;
            view
        }
    }
}

fn open_view(pid: i32) -> io::Result<View> {
    let mount = File::open(format!("/proc/{pid}/ns/mnt"))?.into();
    let user = if is_root() { None } else { Some(File::open(format!("/proc/{pid}/ns/user"))?.into()) };
    Ok(View { user, mount })
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn helper(
    folder: &NodeFolder,
    covered: &[PathBuf],
    mut ready: io::PipeWriter,
    mut wait: io::PipeReader,
) -> i32 {
    let result = cover(folder, covered);
    let told = match &result {
        Ok(()) => ready.write_all(b"+"),
        Err(error) => ready.write_all(format!("-{error}").as_bytes()),
    };
    drop(ready);
    // The namespace lives until the keeper has opened it.
    let _ = wait.read(&mut [0]);
    i32::from(result.is_err() || told.is_err())
}

fn cover(folder: &NodeFolder, covered: &[PathBuf]) -> io::Result<()> {
    // Only a dumpable process may be looked into by the keeper, and may describe its user namespace.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    if is_root() {
        sys::unshare(UnshareFlags::NEWNS)?;
    } else {
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        sys::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    }
    // What the machine mounts later is seen; what is mounted here stays here.
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave)?;
    for path in covered {
        cover_one(path, &[folder.work(), folder.softgpu()])?;
    }
    Ok(())
}

/// Covers a folder, but for what tasks need of it.
fn cover_one(path: &Path, needed: &[PathBuf]) -> io::Result<()> {
    let inside = needed.iter().filter(|folder| folder.starts_with(path));
    let keeps = inside.map(|folder| Ok((folder, File::open(folder)?))).collect::<io::Result<Vec<_>>>()?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("fastgpu", path, "tmpfs", flags, Some(c"size=64k,mode=0755"))?;
    for (folder, keep) in keeps {
        fs::create_dir_all(folder)?;
        rustix::mount::mount_bind(format!("/proc/self/fd/{}", keep.as_raw_fd()), folder)?;
    }
    rustix::mount::mount_remount(path, flags | MountFlags::RDONLY, "")?;
    Ok(())
}
