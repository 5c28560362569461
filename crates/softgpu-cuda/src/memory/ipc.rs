//! Memory that another process of the same device may open: by a handle that says which object it is.

use crate::memory::Home;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::Ordering;

use fastgpu_softgpu::ledger::layout::Class;

use super::MemoryPart;
use super::{Allocation, GRANULE, Kind, space};
use crate::abi::{Code, Done};
use crate::handle::ContextHandle;
use crate::process::Process;
use crate::sys::{self};

/// What a handle begins with, so that a foreign one is recognised.
const MARK: u64 = 0x6970_6367_7075_0001;

/// What the 64 bytes of a handle say.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct IpcHandle {
    mark: u64,
    device: u64,
    object: u64,
    /// Where in the object it begins, and how long it is.
    offset: u64,
    bytes: u64,
    owner: u64,
    spare: [u64; 2],
}

const _: () = assert!(size_of::<IpcHandle>() == 64);

impl MemoryPart {
    /// Holds an object in the ledger once more; says how large it is, or `None` if it is gone.
    pub(crate) fn hold(&mut self, process: &Process, device: usize, object: u64) -> Option<u64> {
        let bytes = process.ledger.device(device).hold(object, process.me.slot)?;
        self.count_held(process, device, object);
        Some(bytes)
    }

    /// Notes that this process holds an object in the ledger once more.
    pub(crate) fn count_held(&mut self, process: &Process, device: usize, object: u64) {
        process.words().shared.fetch_add(1, Ordering::Relaxed);
        *self.memory.held.entry((device, object)).or_default() += 1;
    }

    /// Lets go of an object in the ledger, as often as it was held; its file goes with its last holder.
    pub(crate) fn let_go(&mut self, process: &Process, device: usize, object: u64) {
        process.words().shared.fetch_sub(1, Ordering::Relaxed);
        let held = self.memory.held.entry((device, object)).or_default();
        *held = held.saturating_sub(1);
        if *held > 0 {
            return;
        }
        self.memory.held.remove(&(device, object));
        let gone = process.ledger.device(device).let_go(object, process.me.slot);
        if gone {
            // Memory of the virtual memory calls and of pools has no file with a name.
            let _ = std::fs::remove_file(process.ledger.object_path(device, object));
        }
    }

    /// Names an allocation for other processes. The caller has waited for the device.
    pub(crate) fn export(&mut self, process: &Process, address: u64) -> Done<IpcHandle> {
        let allocation = self.memory.around(address).ok_or(Code::INVALID_VALUE)?.clone();
        let device = process.index_of(allocation.ordinal)?;
        let (granules, length) = match allocation.kind {
            Kind::Small { granule } => (granule, GRANULE),
            Kind::Large => (allocation.base, allocation.mapped),
            _ => return Err(Code::INVALID_VALUE),
        };
        let known = self.memory.exported_granules.get(&granules).map(|(_, object)| *object);
        let object = match known.or(allocation.shared) {
            Some(object) => object,
            None => self.promote(process, &allocation, granules, length, device)?,
        };
        Ok(IpcHandle {
            mark: MARK,
            device: device as u64,
            object,
            offset: allocation.base - granules,
            bytes: allocation.bytes,
            owner: u64::from(process.me.pid),
            spare: [0; 2],
        })
    }

    /// Puts granules into a file, at the same addresses and with the same contents.
    fn promote(
        &mut self,
        process: &Process,
        allocation: &Allocation,
        base: u64,
        length: u64,
        device: usize,
    ) -> Done<u64> {
        let object = process.ledger.device(device).share(process.me.slot, Class::Memory, length);
        let object = object.ok_or(Code::OUT_OF_MEMORY)?;
        let path = process.ledger.object_path(device, object);
        if let Err(code) = put_into_file(&path, base, length) {
            let _ = std::fs::remove_file(path);
            process.ledger.device(device).unshare(object, process.me.slot, Class::Memory);
            return Err(code);
        }
        if matches!(allocation.kind, Kind::Small { .. }) {
            self.memory.exported_granules.insert(base, (device, object));
        } else if let Some(allocation) = self.memory.at_mut(allocation.base) {
            allocation.shared = Some(object);
        }
        self.count_held(process, device, object);
        Ok(object)
    }

    /// Opens what another process named.
    pub(crate) fn import(
        &mut self,
        process: &Process,
        context: ContextHandle,
        handle: IpcHandle,
    ) -> Done<u64> {
        if handle.mark != MARK {
            return Err(Code::INVALID_VALUE);
        }
        if handle.owner == u64::from(process.me.pid) {
            return Err(Code::INVALID_CONTEXT);
        }
        let device = handle.device as usize;
        let ordinal = process.ordinal_of(device).ok_or(Code::INVALID_DEVICE)?;
        if let Some(base) = self.opened(device, handle.object, handle.offset) {
            return Ok(base);
        }
        let length = self.hold(process, device, handle.object).ok_or(Code::INVALID_VALUE)?;
        if handle.offset.checked_add(handle.bytes).is_none_or(|end| end > length) {
            self.let_go(process, device, handle.object);
            return Err(Code::INVALID_VALUE);
        }
        let mapped = self.map_object(process, device, handle.object, length);
        let base = mapped.inspect_err(|_| self.let_go(process, device, handle.object))?;
        let kind = Kind::Imported { device, object: handle.object, opened: 1 };
        self.note(base + handle.offset, handle.bytes, length, Home { context, ordinal }, kind);
        Ok(base + handle.offset)
    }

    fn opened(&mut self, device: usize, object: u64, offset: u64) -> Option<u64> {
        let same = |one: &&Allocation| matches!(one.kind, Kind::Imported { device: d, object: o, .. } if (d, o) == (device, object));
        let base = self.memory.iter().find(|one| same(one) && one.base % GRANULE == offset % GRANULE)?.base;
        if let Some(Kind::Imported { opened, .. }) = self.memory.at_mut(base).map(|one| &mut one.kind) {
            *opened += 1;
        }
        Some(base)
    }

    fn map_object(&mut self, process: &Process, device: usize, object: u64, length: u64) -> Done<u64> {
        let path = process.ledger.object_path(device, object);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|_| Code::INVALID_VALUE)?;
        let base = self.memory.space.take(length, GRANULE, 0)?;
        let mapped = space::commit_file(base, length, file.as_raw_fd(), true);
        mapped.inspect_err(|_| self.memory.space.give(base, length)).map(|()| base)
    }

    /// Closes what was opened; for good when it was closed as often, or with `all`.
    pub(crate) fn close_imported(&mut self, process: &Process, address: u64, all: bool) -> Done {
        let one = self.memory.at_mut(address).ok_or(Code::INVALID_VALUE)?;
        let (base, length) = (one.base / GRANULE * GRANULE, one.mapped);
        let Kind::Imported { device, object, opened } = &mut one.kind else {
            return Err(Code::INVALID_VALUE);
        };
        *opened -= 1;
        if *opened > 0 && !all {
            return Ok(());
        }
        let (device, object) = (*device, *object);
        self.memory.remove(address);
        self.unmap(base, length);
        self.let_go(process, device, object);
        Ok(())
    }
}

/// Moves granules into a new file, at the same addresses. If that fails they are where they were.
fn put_into_file(path: &Path, base: u64, length: u64) -> Done {
    let made = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
    let file = made.map_err(|_| Code::OPERATING_SYSTEM)?;
    // Memory that is missing when it is written to would kill the program.
    if space::room_behind(file.as_raw_fd()).is_some_and(|room| room < length) {
        return Err(Code::OUT_OF_MEMORY);
    }
    file.set_len(length).map_err(|_| Code::OUT_OF_MEMORY)?;
    copy_pages(base, length, &file)?;
    space::commit_file(base, length, file.as_raw_fd(), true)
}

/// Writes those pages into a file that are not zero: the others are.
fn copy_pages(base: u64, length: u64, file: &File) -> Done {
    use std::os::unix::fs::FileExt;
    const PIECE: u64 = 64 << 10;
    let mut piece = vec![0u8; PIECE as usize];
    for at in (0..length).step_by(PIECE as usize) {
        sys::copy_in(base + at, &mut piece);
        if piece.iter().any(|byte| *byte != 0) {
            file.write_all_at(&piece, at).map_err(|_| Code::OUT_OF_MEMORY)?;
        }
    }
    Ok(())
}
