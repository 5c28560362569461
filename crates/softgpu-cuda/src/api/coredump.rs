//! Settings of core dumps, and notifications of the driver. Both are kept and given back; this device writes no dump
//! and has no budget that could be exceeded.

use std::ffi::c_void;

use crate::abi::{CUresult, Code, Done, Out};
use crate::call::call;
use crate::dump_settings::{ON_DEMAND, PIPE};
use crate::handle::NotificationHandle;
use crate::process::Process;
use crate::state::Notification;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCoredumpGetAttribute(
    attribute: u32,
    value: Out<c_void>,
    size: Out<usize>,
) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current()?;
        let own = state.contexts.get(current)?.dumps.clone();
        own.as_ref().unwrap_or_else(|| state.dumps()).get(attribute, value, size)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCoredumpGetAttributeGlobal(
    attribute: u32,
    value: Out<c_void>,
    size: Out<usize>,
) -> CUresult {
    call(|process| process.state().dumps().get(attribute, value, size))
}

/// What is dumped on demand is settled for all contexts alone.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCoredumpSetAttribute(
    attribute: u32,
    value: Out<c_void>,
    size: Out<usize>,
) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let current = state.current()?;
        if matches!(attribute, ON_DEMAND | PIPE) {
            return Err(Code::NOT_PERMITTED);
        }
        let all = state.dumps().clone();
        state.contexts.get_mut(current)?.dumps.get_or_insert(all).set(attribute, value, size)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCoredumpSetAttributeGlobal(
    attribute: u32,
    value: Out<c_void>,
    size: Out<usize>,
) -> CUresult {
    call(|process| process.state().dumps().set(attribute, value, size))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceRegisterAsyncNotification(
    device: i32,
    function: Option<extern "C" fn(usize, usize, usize)>,
    _argument: usize,
    notification: Out<NotificationHandle>,
) -> CUresult {
    call(|process| {
        let notification = notification.required()?;
        process.index_of(device)?;
        function.ok_or(Code::INVALID_VALUE)?;
        let made = process.state().notifications.insert(Notification { ordinal: device });
        notification.set(made)
    })
}

fn unregister(process: &Process, device: i32, notification: NotificationHandle) -> Done {
    process.index_of(device)?;
    let mut state = process.state();
    let found = state.notifications.find(notification).filter(|found| found.ordinal == device);
    found.ok_or(Code::INVALID_VALUE)?;
    state.notifications.remove(notification).map(drop)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceUnregisterAsyncNotification(
    device: i32,
    notification: NotificationHandle,
) -> CUresult {
    call(|process| unregister(process, device, notification))
}
