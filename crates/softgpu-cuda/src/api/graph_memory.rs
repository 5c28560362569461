//! What graphs hold of a device's memory.

use crate::abi::{CUresult, Code, Out};
use crate::call::call;

/// What graphs hold of a device, in bytes: used, most used, reserved, most reserved.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGetGraphMemAttribute(
    device: i32,
    attribute: u32,
    value: Out<u64>,
) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        let held = process.state().graph_memory[device.cast_unsigned() as usize];
        let steps = |bytes: u64| bytes.next_multiple_of(16 * crate::memory::GRANULE);
        let all = [steps(held.used[0]), steps(held.used[1]), held.reserved[0], held.reserved[1]];
        value.set(*all.get(attribute as usize).ok_or(Code::INVALID_VALUE)?)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceSetGraphMemAttribute(
    device: i32,
    attribute: u32,
    value: Out<u64>,
) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        let mut state = process.state();
        let held = &mut state.graph_memory[device.cast_unsigned() as usize];
        match (attribute, value.read()?) {
            (1, 0) => held.used[1] = held.used[0],
            (3, 0) => held.reserved[1] = held.reserved[0],
            _ => return Err(Code::INVALID_VALUE),
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDeviceGraphMemTrim(device: i32) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        let contexts = process.state().contexts.handles(|context| context.ordinal == device);
        contexts.into_iter().try_for_each(|context| process.wait_context(context))?;
        process.state().trim_graph_memory(process, device);
        Ok(())
    })
}
