//! What every exported function passes through: no panic leaves it, nothing runs before `cuInit` or in a
//! child that was forked after it, and nothing begins while the process is suspended.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::abi::{CUresult, Code, Done};
use crate::process::{self, Process};

thread_local! {
    /// Whether the call came by a name whose stream 0 is the thread's own.
    static PER_THREAD: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread is inside a function that a stream called: it may not call back.
    static CALLED_BACK: Cell<bool> = const { Cell::new(false) };
}

fn result(done: Done) -> CUresult {
    match done {
        Ok(()) => 0,
        Err(code) => code.0,
    }
}

/// A function that works before `cuInit`.
pub(crate) fn bare(body: impl FnOnce() -> Done) -> CUresult {
    result(catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Code::UNKNOWN)))
}

/// A function that needs `cuInit`.
pub(crate) fn call(body: impl FnOnce(&'static Process) -> Done) -> CUresult {
    bare(|| {
        if CALLED_BACK.get() {
            return Err(Code::NOT_PERMITTED);
        }
        let process = process::initialised()?;
        let _inside = process.enter();
        body(process)
    })
}

/// A function that must work while the process is suspended.
pub(crate) fn call_always(body: impl FnOnce(&'static Process) -> Done) -> CUresult {
    bare(|| body(process::initialised()?))
}

/// A function that is not there.
pub(crate) fn missing(name: &str) -> CUresult {
    bare(|| {
        if let Ok(process) = process::initialised() {
            process.ledger.count_unsupported(name);
        }
        Err(Code::NOT_SUPPORTED)
    })
}

/// Runs a function of the program that a stream calls.
pub(crate) fn call_back(function: impl FnOnce()) {
    CALLED_BACK.set(true);
    function();
    CALLED_BACK.set(false);
}

/// Runs the legacy form of a function with the thread's own stream as stream 0.
pub(crate) fn per_thread(form: impl FnOnce() -> CUresult) -> CUresult {
    PER_THREAD.set(true);
    let result = form();
    PER_THREAD.set(false);
    result
}

/// Whether stream 0 is the thread's own in this call.
pub(crate) fn per_thread_wanted() -> bool {
    PER_THREAD.get()
}
