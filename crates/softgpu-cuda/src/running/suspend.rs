//! Suspending a process from another one: what `cuCheckpointProcess*` does.
//!
//! The asker writes a word into the ledger and rings the target's worker; the worker does it, on the target's
//! side, and answers with the driver's code. Suspended device memory stays where it is, in the target's host
//! memory; what is given back is the room on the device.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::time::{Duration, Instant};

use fastgpu_softgpu::checkpoint::{
    ASK_CHECKPOINT, ASK_LOCK, ASK_NOTHING, ASK_RESTORE, ASK_UNLOCK, CHECKPOINTED, FAILED, LOCKED, RUNNING,
};
use fastgpu_softgpu::ledger::layout::{Account, Class};
use fastgpu_softgpu::ledger::{ClockMode, wait_on, wake_all};

use crate::abi::{Code, Done};
use crate::engine::Context;
use crate::process::Process;
use crate::state::State;

/// How long an asker waits before it looks whether the target still lives.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Wakes a waiting lock this often; what it waits for wakes it earlier.
const LOCK_STEP: Duration = Duration::from_micros(200);
/// How much longer than a lock may take its asker waits for somebody who does not hear.
const HEARING: Duration = Duration::from_millis(200);

/// Where a process stands, for the asker.
pub(crate) fn state_of(process: &Process, pid: i32) -> Done<u32> {
    let slot = target(process, pid)?;
    Ok(process.ledger.root().words[slot as usize].checkpoint_state.load(SeqCst))
}

/// The worker's thread of a process.
pub(crate) fn thread_of(process: &Process, pid: i32) -> Done<u32> {
    let slot = target(process, pid)?;
    Ok(process.ledger.root().words[slot as usize].worker_tid.load(Relaxed))
}

fn target(process: &Process, pid: i32) -> Done<u32> {
    let pid = u32::try_from(pid).map_err(|_| Code::OPERATING_SYSTEM)?;
    let found = process.ledger.processes().into_iter().find(|(_, other)| other.pid == pid);
    match found {
        Some((slot, _)) => Ok(slot),
        None if fastgpu_softgpu::ledger::processes::start_ticks(pid).is_some() => Err(Code::NOT_INITIALIZED),
        None => Err(Code::OPERATING_SYSTEM),
    }
}

/// What is asked of a process.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    /// 0: for ever.
    Lock {
        timeout_ms: u32,
    },
    Checkpoint,
    /// From which device to which, by index in the ledger.
    Restore {
        moves: Vec<(usize, usize)>,
    },
    Unlock,
}

/// Asks a process and waits for its answer.
pub(crate) fn ask(process: &Process, pid: i32, ask: &Ask) -> Done {
    let slot = target(process, pid)?;
    let words = &process.ledger.root().words[slot as usize];
    let deadline = match ask {
        Ask::Lock { timeout_ms } => deadline(*timeout_ms),
        _ => None,
    };
    let is_late = |grace: Duration| deadline.is_some_and(|deadline| Instant::now() >= deadline + grace);
    while words.asker.compare_exchange(0, process.me.slot + 1, AcqRel, Acquire).is_err() {
        // Whoever asks at the moment is answered first, unless it died: then it asks no more.
        if is_late(Duration::ZERO) {
            return Err(Code::NOT_READY);
        }
        process.ledger.reap();
        std::thread::sleep(Duration::from_millis(1));
    }
    let request = match ask {
        Ask::Lock { timeout_ms } => {
            words.timeout_ms.store(*timeout_ms, Relaxed);
            ASK_LOCK
        }
        Ask::Checkpoint => ASK_CHECKPOINT,
        Ask::Restore { moves } => {
            words.moves.iter().for_each(|word| word.store(0, Relaxed));
            for (from, to) in moves {
                words.moves[*from].store(u32::try_from(*to).unwrap_or(0) + 1, Relaxed);
            }
            ASK_RESTORE
        }
        Ask::Unlock => ASK_UNLOCK,
    };
    let before = words.answers.load(Acquire);
    words.request.store(request, Release);
    words.doorbell.fetch_add(1, SeqCst);
    wake_all(&words.doorbell);
    let answer = loop {
        if words.answers.load(Acquire) != before {
            break words.answer.load(Acquire);
        }
        wait_on(&words.answers, before, Some(LOOK_AGAIN));
        if target(process, pid).is_err() {
            break Code::OPERATING_SYSTEM.0;
        }
        // Somebody who is stopped does not hear; what was not heard is asked no more.
        let unheard = || words.request.compare_exchange(request, ASK_NOTHING, AcqRel, Acquire).is_ok();
        if is_late(HEARING) && unheard() {
            break Code::NOT_READY.0;
        }
    };
    words.asker.store(0, Release);
    if answer == 0 { Ok(()) } else { Err(Code(answer)) }
}

/// Does what is asked of this process, on its worker's thread.
pub(crate) fn serve(process: &Process) {
    let words = process.words();
    let request = words.request.swap(ASK_NOTHING, AcqRel);
    if request == ASK_NOTHING {
        return;
    }
    let asker = words.asker.load(Acquire);
    let state = words.checkpoint_state.load(SeqCst);
    let done = match (request, state) {
        (ASK_LOCK, RUNNING) => lock(process, asker),
        (ASK_CHECKPOINT, LOCKED) => checkpoint(process),
        (ASK_RESTORE, CHECKPOINTED) => restore(process),
        (ASK_UNLOCK, LOCKED) => {
            enter(process, RUNNING);
            Ok(())
        }
        _ => Err(Code::ILLEGAL_STATE),
    };
    if words.asker.load(Acquire) != asker {
        // It died, and nobody else is told what it asked.
        return;
    }
    words.answer.store(done.err().map_or(0, |code| code.0), Release);
    words.answers.fetch_add(1, Release);
    wake_all(&words.answers);
}

fn enter(process: &Process, state: u32) {
    let words = process.words();
    words.checkpoint_state.store(state, SeqCst);
    wake_all(&words.checkpoint_state);
}

/// When so many milliseconds are over; `None` for 0, which is never.
fn deadline(timeout_ms: u32) -> Option<Instant> {
    (timeout_ms > 0).then(|| Instant::now() + Duration::from_millis(timeout_ms.into()))
}

/// Lets no new call begin, and waits for those inside and for all work, as long as whoever asked lives.
fn lock(process: &Process, asker: u32) -> Done {
    let deadline = deadline(process.words().timeout_ms.load(Relaxed));
    let mut looked = Instant::now();
    enter(process, LOCKED);
    loop {
        let mut state = process.state();
        state.pump(process);
        let quiet = state.active.is_empty() && state.running == 0 && process.calls_inside() == 0;
        let (look_at, running) = (state.look_again_at(process), state.running > 0);
        drop(state);
        process.progress.notify_all();
        if quiet {
            return Ok(());
        }
        if looked.elapsed() > LOOK_AGAIN {
            process.ledger.reap();
            looked = Instant::now();
        }
        let alone = process.words().asker.load(Acquire) != asker;
        if alone || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            enter(process, RUNNING);
            return Err(Code::NOT_READY);
        }
        if !process.help_with_bytes() {
            std::thread::sleep(LOCK_STEP);
            // Who waits moves a test clock.
            if process.ledger.clock_mode() == ClockMode::Test {
                process.pause(look_at, running);
            }
        }
    }
}

/// Gives the room on every device back.
fn checkpoint(process: &Process) -> Done {
    let words = process.words();
    if words.managed.load(Relaxed) > 0 || words.shared.load(Relaxed) > 0 {
        return Err(Code::NOT_SUPPORTED);
    }
    let mut state = process.state();
    let mut suspended = Vec::new();
    let mut bytes = 0;
    for ordinal in 0..i32::try_from(process.device_count()).unwrap_or(0) {
        let mut device = process.device(ordinal)?;
        let account = device.accounts[process.me.slot as usize];
        for (class, held) in classes(&account) {
            device.release(process.me.slot, class, held);
        }
        // Green contexts have the queue of their primary one.
        let whole = |(_, context): &(_, &Context)| context.ordinal == ordinal && context.green.is_null();
        for (_, context) in state.contexts.iter().filter(whole) {
            device.schedule.close(context.slot);
        }
        bytes += account.total();
        suspended.push(account);
    }
    state.suspended = Some(suspended);
    words.host_bytes.store(bytes, Relaxed);
    drop(state);
    enter(process, CHECKPOINTED);
    Ok(())
}

fn classes(account: &Account) -> impl Iterator<Item = (Class, u64)> {
    const ALL: [Class; 8] = [
        Class::Context,
        Class::Module,
        Class::Memory,
        Class::Pool,
        Class::Physical,
        Class::Array,
        Class::Managed,
        Class::Driver,
    ];
    ALL.into_iter().map(|class| (class, account.bytes[class as usize])).filter(|(_, bytes)| *bytes > 0)
}

/// Takes room on the same devices or others. A restore that fails is the end: the process stays suspended.
fn restore(process: &Process) -> Done {
    let mut state = process.state();
    let Some(suspended) = state.suspended.take() else { return Err(Code::ILLEGAL_STATE) };
    let done = move_ordinals(process, &suspended).and_then(|()| take_room(process, &mut state, &suspended));
    drop(state);
    match done {
        Ok(()) => {
            process.words().host_bytes.store(0, Relaxed);
            enter(process, LOCKED);
            Ok(())
        }
        Err(code) => {
            enter(process, FAILED);
            Err(code)
        }
    }
}

/// Every device that held something must be named, if any is; the new one must be of the same kind.
fn move_ordinals(process: &Process, suspended: &[Account]) -> Done {
    let words = process.words();
    let asked = |index: usize| words.moves[index].load(Relaxed).checked_sub(1).map(|to| to as usize);
    let ordinals = 0..i32::try_from(process.device_count()).unwrap_or(0);
    let now: Vec<(i32, usize)> =
        ordinals.map(|ordinal| Ok((ordinal, process.index_of(ordinal)?))).collect::<Done<_>>()?;
    if now.iter().all(|(_, index)| asked(*index).is_none()) {
        return Ok(());
    }
    let held =
        |ordinal: i32| suspended.get(ordinal.cast_unsigned() as usize).is_some_and(|one| one.shown() > 0);
    let mut taken = Vec::new();
    for (ordinal, index) in &now {
        let to = match asked(*index) {
            Some(to) => to,
            None if held(*ordinal) => return Err(Code::INVALID_VALUE),
            None => continue,
        };
        let same_kind = process.ledger.facts(to).model == process.ledger.facts(*index).model;
        if !same_kind || taken.contains(&to) {
            return Err(Code::INVALID_VALUE);
        }
        taken.push(to);
    }
    for (ordinal, index) in now {
        if let Some(to) = asked(index) {
            if let Some(other) = process.ordinal_of(to).filter(|other| *other != ordinal) {
                process.move_ordinal(other, index);
            }
            process.move_ordinal(ordinal, to);
        }
    }
    Ok(())
}

fn take_room(process: &Process, state: &mut State, suspended: &[Account]) -> Done {
    let mut taken: Vec<(i32, Class, u64)> = Vec::new();
    for (ordinal, account) in (0i32..).zip(suspended) {
        for (class, bytes) in classes(account) {
            if let Err(code) = process.charge(ordinal, class, bytes) {
                taken.iter().for_each(|(ordinal, class, bytes)| process.release(*ordinal, *class, *bytes));
                return Err(code);
            }
            taken.push((ordinal, class, bytes));
        }
    }
    for handle in state.contexts.handles(|context| context.green.is_null()) {
        let context = state.contexts.get_mut(handle)?;
        let opened = process.device(context.ordinal)?.open_context(process.me.slot);
        (context.slot, context.serial) = opened.ok_or(Code::OUT_OF_MEMORY)?;
    }
    for handle in state.contexts.handles(|context| !context.green.is_null()) {
        let parent = state.contexts.get(state.root(handle))?;
        let queue = (parent.slot, parent.serial);
        let context = state.contexts.get_mut(handle)?;
        (context.slot, context.serial) = queue;
    }
    Ok(())
}
