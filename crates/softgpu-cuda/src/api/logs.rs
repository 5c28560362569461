//! The driver's log of errors, which is empty here: these calls work, and there is nothing to tell.

use std::sync::{Mutex, PoisonError};

use crate::abi::{CUresult, Code, Done, Out, Text, write_text};
use crate::call::bare;

/// Those who want to be told, by number from 1.
static LISTENERS: Mutex<Listeners> = Mutex::new(Listeners { last: 0, open: Vec::new() });

struct Listeners {
    last: usize,
    open: Vec<usize>,
}

/// No flags are defined.
fn no_flags(flags: u32) -> Done {
    if flags == 0 { Ok(()) } else { Err(Code::INVALID_VALUE) }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLogsRegisterCallback(
    function: Option<extern "C" fn(usize, u32, *mut u8, usize)>,
    _argument: usize,
    out: Out<usize>,
) -> CUresult {
    bare(|| {
        function.ok_or(Code::INVALID_VALUE)?;
        let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.last += 1;
        let number = listeners.last;
        listeners.open.push(number);
        out.set_if_wanted(number);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLogsUnregisterCallback(listener: usize) -> CUresult {
    bare(|| {
        let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
        let place = listeners.open.iter().position(|open| *open == listener).ok_or(Code::INVALID_VALUE)?;
        listeners.open.swap_remove(place);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLogsCurrent(end: Out<u32>, flags: u32) -> CUresult {
    bare(|| {
        no_flags(flags)?;
        end.set(0)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLogsDumpToFile(_from: Out<u32>, path: Text, flags: u32) -> CUresult {
    bare(|| {
        no_flags(flags)?;
        std::fs::write(path.get()?, "").map_err(|_| Code::INVALID_VALUE)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLogsDumpToMemory(
    _from: Out<u32>,
    buffer: Out<u8>,
    size: Out<usize>,
    flags: u32,
) -> CUresult {
    bare(|| {
        no_flags(flags)?;
        write_text(buffer, size.read()?, "")?;
        size.set(0)
    })
}
