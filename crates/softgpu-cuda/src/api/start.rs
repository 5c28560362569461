//! Beginning: `cuInit`, versions, error texts, and the search for functions by name.

use std::os::raw::c_char;

use crate::abi::{CUresult, Code, Done, Out, Text};
use crate::call::{bare, call};
use crate::codes::CODES;
use crate::exports::{self, Found};
use crate::process;

/// Attaches the process to the ledger; others may ask something of it from then on.
fn initialise() -> Done {
    process::initialise()?.start_workers();
    Ok(())
}

/// CUDA 13.0, which driver 580 brings.
const CUDA_VERSION: u32 = 13_000;
/// Flag of a search: the thread's own stream as stream 0.
const PER_THREAD_DEFAULT_STREAM: u64 = 2;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuInit(flags: u32) -> CUresult {
    bare(|| if flags == 0 { initialise() } else { Err(Code::INVALID_VALUE) })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDriverGetVersion(version: Out<i32>) -> CUresult {
    bare(|| {
        let ordered = process::initialised().map_or(0, |process| process.ledger.registry().cuda_version);
        let claimed = if ordered == 0 { CUDA_VERSION } else { ordered };
        version.set(claimed.cast_signed())
    })
}

fn text_of(code: u32, text: Out<*const c_char>, name: bool) -> CUresult {
    bare(|| {
        let text = text.required()?;
        let Ok(place) = CODES.binary_search_by_key(&code, |(number, ..)| *number) else {
            text.set_if_wanted(std::ptr::null());
            return Err(Code::INVALID_VALUE);
        };
        let (_, its_name, meaning) = CODES[place];
        text.set(if name { its_name } else { meaning }.as_ptr())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGetErrorName(code: u32, text: Out<*const c_char>) -> CUresult {
    text_of(code, text, true)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGetErrorString(code: u32, text: Out<*const c_char>) -> CUresult {
    text_of(code, text, false)
}

/// Says whether the name is unknown (1) or too new (2) for the caller; 0: it was found.
fn search(symbol: Text, function: Out<*const ()>, version: i32, flags: u64) -> Done<u32> {
    let function = function.required()?;
    let name = symbol.get()?;
    if flags > 3 || version > CUDA_VERSION.cast_signed() {
        return Err(Code::INVALID_VALUE);
    }
    let version = u32::try_from(version).unwrap_or(u32::MAX);
    let found = exports::search(name, version, flags & PER_THREAD_DEFAULT_STREAM != 0);
    let (address, word) = match found {
        Found::At(address) => (address, 0),
        Found::Unknown => (std::ptr::null(), 1),
        Found::TooNew => (std::ptr::null(), 2),
    };
    function.set(address)?;
    Ok(word)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGetProcAddress(
    symbol: Text,
    function: Out<*const ()>,
    version: i32,
    flags: u64,
) -> CUresult {
    bare(|| match search(symbol, function, version, flags)? {
        0 => Ok(()),
        _ => Err(Code::NOT_FOUND),
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGetProcAddress_v2(
    symbol: Text,
    function: Out<*const ()>,
    version: i32,
    flags: u64,
    status: Out<u32>,
) -> CUresult {
    bare(|| {
        status.set_if_wanted(search(symbol, function, version, flags)?);
        Ok(())
    })
}

/// The driver dropped it with CUDA 12.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuProfilerInitialize(_configuration: Text, _output: Text, _mode: u32) -> CUresult {
    call(|_| Err(Code::NOT_SUPPORTED))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuProfilerStart() -> CUresult {
    call(|_| Ok(()))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuProfilerStop() -> CUresult {
    call(|_| Ok(()))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuFlushGPUDirectRDMAWrites(_target: u32, _scope: u32) -> CUresult {
    call(|_| Ok(()))
}
