//! What every exported function passes through: no panic leaves it, nothing runs before `cuInit` or in a
//! child that was forked after it, and nothing begins while the process is suspended.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::abi::{CUresult, Code, Done};
use crate::process::{self, Process};
use crate::threads;

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
        if threads::is_called_back() {
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
