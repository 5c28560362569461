//! What the library keeps for each thread of the program: its contexts, and what it is in the middle of.

use std::cell::{Cell, RefCell};

use crate::abi::{CUresult, Code, Done};
use crate::handle::{ContextHandle, Handle};

thread_local! {
    /// Whether the call came by a name whose stream 0 is the thread's own.
    static PER_THREAD: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread is inside a function that a stream called: it may not call back.
    static CALLED_BACK: Cell<bool> = const { Cell::new(false) };
    /// The contexts this thread has pushed; the last one is current.
    static STACK: RefCell<Vec<ContextHandle>> = const { RefCell::new(Vec::new()) };
}

/// The current context's handle, dead or alive; null if there is none.
pub(crate) fn current() -> ContextHandle {
    STACK.with_borrow(|stack| stack.last().copied()).unwrap_or(Handle::NULL)
}

/// Makes another context the current one; null takes the current one away.
pub(crate) fn set_current(context: ContextHandle) {
    STACK.with_borrow_mut(|stack| {
        if context.is_null() {
            stack.clear();
            return;
        }
        stack.pop();
        stack.push(context);
    });
}

/// Makes a context current above the one that is.
pub(crate) fn push(context: ContextHandle) {
    STACK.with_borrow_mut(|stack| stack.push(context));
}

/// Takes the current context away; the one below is current again.
pub(crate) fn pop() -> Done<ContextHandle> {
    STACK.with_borrow_mut(Vec::pop).ok_or(Code::INVALID_CONTEXT)
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

/// Whether this thread is inside a function that a stream called.
pub(crate) fn is_called_back() -> bool {
    CALLED_BACK.get()
}
