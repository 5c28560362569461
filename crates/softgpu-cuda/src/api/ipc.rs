//! Memory and events of other processes.

use crate::abi::{CUresult, Code, Out};
use crate::call::call;
use crate::engine::shared_events::IpcEventHandle;
use crate::handle::EventHandle;
use crate::memory::ipc::IpcHandle;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuIpcGetMemHandle(handle: Out<IpcHandle>, address: u64) -> CUresult {
    call(|process| {
        let handle = handle.required()?;
        let mut state = process.state();
        state.current()?;
        state.refuse_unsafe()?;
        let context = state.memory.around(address).ok_or(Code::INVALID_VALUE)?.context;
        drop(state);
        if !context.is_null() {
            process.wait_context(context)?;
        }
        let exported = process.state().export(process, address)?;
        handle.set(exported)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuIpcOpenMemHandle_v2(address: Out<u64>, handle: IpcHandle, flags: u32) -> CUresult {
    call(|process| {
        let address = address.required()?;
        let mut state = process.state();
        let current = state.current()?;
        if flags != 1 {
            return Err(Code::INVALID_VALUE);
        }
        let base = state.import(process, current, handle)?;
        address.set(base)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuIpcOpenMemHandle(address: Out<u64>, handle: IpcHandle, flags: u32) -> CUresult {
    cuIpcOpenMemHandle_v2(address, handle, flags)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuIpcCloseMemHandle(address: u64) -> CUresult {
    call(|process| {
        let current = process.state().current()?;
        process.wait_context(current)?;
        process.state().close_imported(process, address, false)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuIpcGetEventHandle(handle: Out<IpcEventHandle>, event: EventHandle) -> CUresult {
    call(|process| {
        let handle = handle.required()?;
        let exported = process.state().export_event(process, event)?;
        handle.set(exported)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuIpcOpenEventHandle(event: Out<EventHandle>, handle: IpcEventHandle) -> CUresult {
    call(|process| {
        let event = event.required()?;
        let mut state = process.state();
        let current = state.current()?;
        let opened = state.import_event(process, current, handle)?;
        event.set(opened)
    })
}
