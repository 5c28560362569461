//! Arrays.

use crate::abi::{CUresult, Code, In, Out};
use crate::call::call;
use crate::handle::Handle;
use crate::memory::arrays::{Array, Descriptor};

type A = Handle<Array>;

/// `CUDA_ARRAY_DESCRIPTOR`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptor2d {
    width: usize,
    height: usize,
    format: u32,
    channels: u32,
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArrayCreate_v2(array: Out<A>, asked: In<Descriptor2d>) -> CUresult {
    call(|process| {
        let array = array.required()?;
        let asked = asked.get()?;
        let mut state = process.state();
        let current = state.current()?;
        let descriptor = Descriptor {
            width: asked.width,
            height: asked.height,
            depth: 0,
            format: asked.format,
            channels: asked.channels,
            flags: 0,
        };
        let made = state.create_array(process, current, descriptor)?;
        array.set(made)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArray3DCreate_v2(array: Out<A>, asked: In<Descriptor>) -> CUresult {
    call(|process| {
        let array = array.required()?;
        let asked = asked.get()?;
        let mut state = process.state();
        let current = state.current()?;
        let made = state.create_array(process, current, asked)?;
        array.set(made)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArrayDestroy(array: A) -> CUresult {
    call(|process| {
        let state = process.state();
        let context = state.arrays.get(array)?.context;
        drop(state);
        process.wait_context(context)?;
        process.state().destroy_array(process, array)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArrayGetDescriptor_v2(out: Out<Descriptor2d>, array: A) -> CUresult {
    call(|process| {
        let state = process.state();
        state.current()?;
        let Descriptor { width, height, format, channels, .. } = state.arrays.get(array)?.descriptor;
        out.set(Descriptor2d { width, height, format, channels })
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArray3DGetDescriptor_v2(out: Out<Descriptor>, array: A) -> CUresult {
    call(|process| {
        let state = process.state();
        state.current()?;
        out.set(state.arrays.get(array)?.descriptor)
    })
}

/// `CUDA_ARRAY_MEMORY_REQUIREMENTS`: size, alignment, spare words.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArrayGetMemoryRequirements(out: Out<[u64; 4]>, array: A, device: i32) -> CUresult {
    call(|process| {
        process.index_of(device)?;
        let state = process.state();
        let bytes = state.arrays.get(array)?.bytes;
        out.set([bytes, crate::memory::GRANULE, 0, 0]).map_err(|_| Code::INVALID_VALUE)
    })
}
