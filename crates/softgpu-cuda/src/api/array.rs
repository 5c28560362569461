//! Arrays, their planes and levels.

use crate::abi::{CUresult, Code, In, Out};
use crate::call::call;
use crate::handle::{ArrayHandle, MipmapHandle};
use crate::memory::arrays::Descriptor;

/// `CUDA_ARRAY_DESCRIPTOR`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptor2d {
    width: usize,
    height: usize,
    format: u32,
    channels: u32,
}

const _: () = assert!(size_of::<Descriptor2d>() == 24);

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArrayCreate_v2(array: Out<ArrayHandle>, asked: In<Descriptor2d>) -> CUresult {
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
        let home = state.home(current)?;
        let made = state.create_array(process, home, descriptor)?;
        array.set(made)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArray3DCreate_v2(array: Out<ArrayHandle>, asked: In<Descriptor>) -> CUresult {
    call(|process| {
        let array = array.required()?;
        let asked = asked.get()?;
        let mut state = process.state();
        let current = state.current()?;
        let home = state.home(current)?;
        let made = state.create_array(process, home, asked)?;
        array.set(made)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArrayDestroy(array: ArrayHandle) -> CUresult {
    call(|process| {
        let state = process.state();
        let context = state.arrays.get(array)?.context;
        drop(state);
        process.wait_context(context)?;
        process.state().destroy_array(process, array)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArrayGetDescriptor_v2(out: Out<Descriptor2d>, array: ArrayHandle) -> CUresult {
    call(|process| {
        let state = process.state();
        state.current()?;
        let Descriptor { width, height, format, channels, .. } = state.arrays.get(array)?.descriptor;
        out.set(Descriptor2d { width, height, format, channels })
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArray3DGetDescriptor_v2(out: Out<Descriptor>, array: ArrayHandle) -> CUresult {
    call(|process| {
        let state = process.state();
        state.current()?;
        out.set(state.arrays.get(array)?.descriptor)
    })
}

/// Only arrays whose memory comes later have requirements, and there are none of those here.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArrayGetMemoryRequirements(
    out: Out<[u64; 4]>,
    array: ArrayHandle,
    device: i32,
) -> CUresult {
    call(|process| {
        out.required()?;
        process.index_of(device)?;
        process.state().arrays.get(array)?;
        Err(Code::INVALID_VALUE)
    })
}

/// As above.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMipmappedArrayGetMemoryRequirements(
    out: Out<[u64; 4]>,
    mipmap: MipmapHandle,
    device: i32,
) -> CUresult {
    call(|process| {
        out.required()?;
        process.index_of(device)?;
        process.state().mipmaps.get(mipmap)?;
        Err(Code::INVALID_VALUE)
    })
}

/// No array here is sparse.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArrayGetSparseProperties(out: Out<[u64; 6]>, array: ArrayHandle) -> CUresult {
    call(|process| {
        out.required()?;
        process.state().arrays.get(array)?;
        Err(Code::INVALID_VALUE)
    })
}

/// As above.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMipmappedArrayGetSparseProperties(
    out: Out<[u64; 6]>,
    mipmap: MipmapHandle,
) -> CUresult {
    call(|process| {
        out.required()?;
        process.state().mipmaps.get(mipmap)?;
        Err(Code::INVALID_VALUE)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuArrayGetPlane(
    plane: Out<ArrayHandle>,
    array: ArrayHandle,
    index: u32,
) -> CUresult {
    call(|process| {
        let plane = plane.required()?;
        let state = process.state();
        state.current()?;
        let planes = &state.arrays.get(array)?.planes;
        plane.set(*planes.get(index as usize).ok_or(Code::INVALID_VALUE)?)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMipmappedArrayCreate(
    mipmap: Out<MipmapHandle>,
    asked: In<Descriptor>,
    levels: u32,
) -> CUresult {
    call(|process| {
        let mipmap = mipmap.required()?;
        let asked = asked.get()?;
        let mut state = process.state();
        let current = state.current()?;
        let home = state.home(current)?;
        let made = state.create_mipmap(process, home, asked, levels)?;
        mipmap.set(made)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMipmappedArrayGetLevel(
    array: Out<ArrayHandle>,
    mipmap: MipmapHandle,
    level: u32,
) -> CUresult {
    call(|process| {
        let array = array.required()?;
        let state = process.state();
        state.current()?;
        let levels = &state.mipmaps.get(mipmap)?.levels;
        array.set(*levels.get(level as usize).ok_or(Code::INVALID_VALUE)?)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMipmappedArrayDestroy(mipmap: MipmapHandle) -> CUresult {
    call(|process| {
        let context = process.state().mipmaps.get(mipmap)?.context;
        process.wait_context(context)?;
        process.state().destroy_mipmap(process, mipmap)
    })
}
