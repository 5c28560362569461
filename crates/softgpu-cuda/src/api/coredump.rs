//! Settings of core dumps, and notifications of the driver. Both are kept and given back; this device writes no dump
//! and has no budget that could be exceeded.

use std::ffi::c_void;

use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::handle::Handle;
use crate::process::Process;

/// Room for a text, with its zero.
const TEXT_BYTES: usize = 1_024;
/// Settings by number: dump on errors, of the host too, lightweight, on demand, file, pipe, what to leave out.
const ON_DEMAND: u32 = 4;
const FILE: u32 = 5;
const PIPE: u32 = 6;
const FLAGS: u32 = 7;
/// Everything that can be left out.
const FLAGS_ALL: u32 = 0x3f;

/// The settings of one context, or of all that have none of their own.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    switches: [bool; 4],
    texts: [Vec<u8>; 2],
    flags: u32,
}

impl Settings {
    /// As the driver begins.
    pub(crate) fn new() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let text = |what: &str| format!("{what}.cuda.{}.{}", host.trim(), std::process::id()).into_bytes();
        Self { switches: [false, true, false, false], texts: [text("core"), text("corepipe")], flags: 0 }
    }

    fn get(&self, attribute: u32, value: *mut c_void, size: Out<usize>) -> Done {
        let size = size.required()?;
        let needed = size_of_value(attribute)?;
        if value.is_null() {
            return size.set(needed);
        }
        let room = size.read()?;
        match attribute {
            FILE | PIPE => {
                let mut text = self.texts[(attribute - FILE) as usize].clone();
                text.push(0);
                if room < text.len() {
                    return Err(Code::INVALID_VALUE);
                }
                Out(value.cast::<u8>()).set_all(&text);
                size.set(text.len())
            }
            _ if room < needed => Err(Code::INVALID_VALUE),
            FLAGS => Out(value.cast::<u32>()).set(self.flags),
            _ => Out(value.cast::<u8>()).set(self.switches[attribute as usize - 1].into()),
        }
    }

    fn set(&mut self, attribute: u32, value: *const c_void, size: Out<usize>) -> Done {
        let size = size.required()?;
        let needed = size_of_value(attribute)?;
        if value.is_null() {
            return size.set(needed);
        }
        let length = size.read()?;
        match attribute {
            PIPE if self.switches[ON_DEMAND as usize - 1] => return Err(Code::NOT_PERMITTED),
            FILE | PIPE => {
                let bytes = In(value.cast::<u8>()).list(length.min(TEXT_BYTES))?;
                let text: Vec<u8> = bytes.into_iter().take_while(|byte| *byte != 0).collect();
                if text.len() >= TEXT_BYTES {
                    return Err(Code::INVALID_VALUE);
                }
                self.texts[(attribute - FILE) as usize] = text;
            }
            _ if length < needed => return Err(Code::INVALID_VALUE),
            FLAGS => {
                let flags = In(value.cast::<u32>()).get()?;
                if flags & !FLAGS_ALL != 0 {
                    return Err(Code::INVALID_VALUE);
                }
                self.flags = flags;
            }
            _ => self.switches[attribute as usize - 1] = In(value.cast::<u8>()).get()? != 0,
        }
        Ok(())
    }
}

fn size_of_value(attribute: u32) -> Done<usize> {
    match attribute {
        1..=ON_DEMAND => Ok(1),
        FILE | PIPE => Ok(TEXT_BYTES),
        FLAGS => Ok(4),
        _ => Err(Code::INVALID_VALUE),
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCoredumpGetAttribute(
    attribute: u32,
    value: *mut c_void,
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
    value: *mut c_void,
    size: Out<usize>,
) -> CUresult {
    call(|process| process.state().dumps().get(attribute, value, size))
}

/// What is dumped on demand is settled for all contexts alone.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCoredumpSetAttribute(
    attribute: u32,
    value: *mut c_void,
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
    value: *mut c_void,
    size: Out<usize>,
) -> CUresult {
    call(|process| process.state().dumps().set(attribute, value, size))
}

/// A function that is told when a process has more memory than it may: never here. By the ordinal of its device.
#[derive(Debug)]
pub(crate) struct Notification {
    ordinal: i32,
}

type N = Handle<Notification>;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceRegisterAsyncNotification(
    device: i32,
    function: Option<extern "C" fn(usize, usize, usize)>,
    _argument: usize,
    notification: Out<N>,
) -> CUresult {
    call(|process| {
        let notification = notification.required()?;
        process.index_of(device)?;
        function.ok_or(Code::INVALID_VALUE)?;
        let made = process.state().notifications.insert(Notification { ordinal: device });
        notification.set(made)
    })
}

fn unregister(process: &Process, device: i32, notification: N) -> Done {
    process.index_of(device)?;
    let mut state = process.state();
    let found = state.notifications.find(notification).filter(|found| found.ordinal == device);
    found.ok_or(Code::INVALID_VALUE)?;
    state.notifications.remove(notification).map(drop)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceUnregisterAsyncNotification(device: i32, notification: N) -> CUresult {
    call(|process| unregister(process, device, notification))
}
