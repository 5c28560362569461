//! Suspending processes and letting them go on.

use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call_always;
use crate::process::Process;
use crate::running::suspend::{self, Ask};

/// Most pairs of devices that are read.
const PAIRS_MAX: u32 = 64;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCheckpointProcessGetState(pid: i32, state: Out<u32>) -> CUresult {
    call_always(|process| {
        let state = state.required()?;
        state.set(suspend::state_of(process, pid)?)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCheckpointProcessGetRestoreThreadId(pid: i32, thread: Out<u32>) -> CUresult {
    call_always(|process| {
        let thread = thread.required()?;
        thread.set(suspend::thread_of(process, pid)?)
    })
}

/// Milliseconds to wait, and words that must be zero.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct LockArguments {
    timeout_ms: u32,
    reserved: u32,
    spare: [u64; 7],
}

const _: () = assert!(size_of::<LockArguments>() == 64);

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCheckpointProcessLock(pid: i32, arguments: In<LockArguments>) -> CUresult {
    call_always(|process| {
        let asked =
            arguments.optional().unwrap_or(LockArguments { timeout_ms: 0, reserved: 0, spare: [0; 7] });
        if asked.reserved != 0 || asked.spare != [0; 7] {
            return Err(Code::INVALID_VALUE);
        }
        suspend::ask(process, pid, &Ask::Lock { timeout_ms: asked.timeout_ms })
    })
}

fn all_zero(arguments: In<[u64; 8]>) -> Done {
    if arguments.optional().is_none_or(|words| words == [0; 8]) { Ok(()) } else { Err(Code::INVALID_VALUE) }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCheckpointProcessCheckpoint(pid: i32, arguments: In<[u64; 8]>) -> CUresult {
    call_always(|process| {
        all_zero(arguments)?;
        suspend::ask(process, pid, &Ask::Checkpoint)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCheckpointProcessUnlock(pid: i32, arguments: In<[u64; 8]>) -> CUresult {
    call_always(|process| {
        all_zero(arguments)?;
        suspend::ask(process, pid, &Ask::Unlock)
    })
}

/// Pairs of UUIDs, old and new, how many, and words that must be zero.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct RestoreArguments {
    pairs: In<[[u8; 16]; 2]>,
    count: u32,
    reserved: [u8; 44],
    spare: u64,
}

const _: () = assert!(size_of::<RestoreArguments>() == 64);

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCheckpointProcessRestore(pid: i32, arguments: In<RestoreArguments>) -> CUresult {
    call_always(|process| {
        let moves = match arguments.optional() {
            Some(asked) if asked.reserved != [0; 44] || asked.spare != 0 || asked.count > PAIRS_MAX => {
                return Err(Code::INVALID_VALUE);
            }
            Some(asked) => moves(process, &asked.pairs.list(asked.count as usize)?)?,
            None => Vec::new(),
        };
        suspend::ask(process, pid, &Ask::Restore { moves })
    })
}

/// The devices behind the UUIDs, by index in the ledger.
fn moves(process: &Process, pairs: &[[[u8; 16]; 2]]) -> Done<Vec<(usize, usize)>> {
    let index = |uuid: &[u8; 16]| {
        (0..process.ledger.device_count()).find(|index| process.ledger.facts(*index).uuid == *uuid)
    };
    let known = pairs.iter().map(|[old, new]| Some((index(old)?, index(new)?)));
    known.collect::<Option<Vec<_>>>().ok_or(Code::INVALID_VALUE)
}
