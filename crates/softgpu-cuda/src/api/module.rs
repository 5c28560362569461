//! Modules and functions.

use std::ffi::{c_char, c_void};

use fastgpu_softgpu::ledger::layout::Class;

use crate::abi::{CUresult, Code, Done, In, Out, Text};
use crate::call::call;
use crate::handle::{ContextHandle, FunctionHandle, ModuleHandle};
use crate::memory::GRANULE;
use crate::modules::{CODE_FREE_BYTES, Image};
use crate::numbers::{
    CU_FUNC_ATTRIBUTE_BINARY_VERSION, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
    CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, CU_FUNC_ATTRIBUTE_NUM_REGS,
    CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, CU_FUNC_ATTRIBUTE_PTX_VERSION,
};
use crate::process::Process;
use crate::state::State;

fn load(process: &Process, module: Out<ModuleHandle>, image: &Image) -> Done {
    let module = module.required()?;
    let mut state = process.state();
    let current = state.current()?;
    charge_code(process, &mut state, current, image.bytes)?;
    let loaded = state.load_module(current, image, None);
    module.set(loaded)
}

/// Large code takes memory of the context's device.
pub(super) fn charge_code(process: &Process, state: &mut State, context: ContextHandle, bytes: u64) -> Done {
    if bytes <= CODE_FREE_BYTES {
        return Ok(());
    }
    let charged = bytes.next_multiple_of(GRANULE);
    let ordinal = state.contexts.get(context)?.ordinal;
    process.charge(ordinal, Class::Module, charged)?;
    state.contexts.get_mut(context)?.code_bytes += charged;
    Ok(())
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuModuleLoadData(module: Out<ModuleHandle>, image: In<u8>) -> CUresult {
    call(|process| {
        process.state().current()?;
        load(process, module, &Image::at(image)?)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuModuleLoadDataEx(
    module: Out<ModuleHandle>,
    image: In<u8>,
    _options: u32,
    _names: *mut u32,
    _values: *mut *mut c_void,
) -> CUresult {
    cuModuleLoadData(module, image)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuModuleLoadFatBinary(module: Out<ModuleHandle>, image: In<u8>) -> CUresult {
    cuModuleLoadData(module, image)
}

/// The image in a file.
pub(super) fn read_file(path: Text) -> Done<Image> {
    let bytes = std::fs::read(path.get()?).map_err(|_| Code::FILE_NOT_FOUND)?;
    let text = std::ffi::CString::new(bytes).map_err(|_| Code::NO_BINARY_FOR_GPU)?;
    if text.as_bytes().len() < 4 {
        return Err(Code::INVALID_IMAGE);
    }
    Image::of_file(text.as_bytes_with_nul())
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuModuleLoad(module: Out<ModuleHandle>, path: Text) -> CUresult {
    call(|process| {
        process.state().current()?;
        load(process, module, &read_file(path)?)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuModuleUnload(module: ModuleHandle) -> CUresult {
    call(|process| {
        let context = process.state().modules.get(module)?.context;
        process.wait_context(context)?;
        let mut state = process.state();
        let bytes = state.unload_module(module)?;
        let charged = if bytes > CODE_FREE_BYTES { bytes.next_multiple_of(GRANULE) } else { 0 };
        let found = state.contexts.get_mut(context)?;
        found.code_bytes = found.code_bytes.saturating_sub(charged);
        process.release(found.ordinal, Class::Module, charged);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuModuleGetLoadingMode(mode: Out<u32>) -> CUresult {
    // Lazy, as by default.
    call(|_| mode.set(2))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuModuleGetFunction(
    function: Out<FunctionHandle>,
    module: ModuleHandle,
    name: Text,
) -> CUresult {
    call(|process| {
        let function = function.required()?;
        let name = name.get()?;
        let state = process.state();
        let found = state.function_named(&state.modules.get(module)?.functions, name)?;
        function.set(found)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuModuleGetFunctionCount(count: Out<u32>, module: ModuleHandle) -> CUresult {
    call(|process| count.set(process.state().modules.get(module)?.functions.len() as u32))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuModuleEnumerateFunctions(
    out: Out<FunctionHandle>,
    count: u32,
    module: ModuleHandle,
) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let state = process.state();
        let functions = &state.modules.get(module)?.functions;
        out.set_all(&functions[..functions.len().min(count as usize)]);
        Ok(())
    })
}

/// No image of this device has variables.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuModuleGetGlobal_v2(
    _address: Out<u64>,
    _bytes: Out<usize>,
    module: ModuleHandle,
    name: Text,
) -> CUresult {
    call(|process| {
        name.get()?;
        process.state().modules.get(module)?;
        Err(Code::NOT_FOUND)
    })
}

/// The value of a function's attribute.
fn attribute(process: &Process, state: &State, function: FunctionHandle, number: u32) -> Done<i32> {
    let found = state.functions.get(function)?;
    if let Some(value) = found.attributes.get(&number) {
        return Ok(*value);
    }
    let model = process.model(0)?;
    let capability = model.compute_capability;
    let version = (capability.0 * 10 + capability.1).cast_signed();
    match number {
        CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK => Ok(1_024),
        1..=3 | 7 | 10..=15 => Ok(0),
        CU_FUNC_ATTRIBUTE_NUM_REGS => Ok(10),
        CU_FUNC_ATTRIBUTE_PTX_VERSION => Ok(75),
        CU_FUNC_ATTRIBUTE_BINARY_VERSION => Ok(version),
        CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES => Ok(49_152),
        CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT => Ok(-1),
        _ => Err(Code::INVALID_VALUE),
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuFuncGetAttribute(
    value: Out<i32>,
    number: u32,
    function: FunctionHandle,
) -> CUresult {
    call(|process| {
        let value = value.required()?;
        let found = attribute(process, &process.state(), function, number)?;
        value.set(found)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuFuncSetAttribute(function: FunctionHandle, number: u32, value: i32) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let found = state.functions.get_mut(function)?;
        if !matches!(number, 8..=15) {
            return Err(Code::INVALID_VALUE);
        }
        found.attributes.insert(number, value);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuKernelGetAttribute(
    value: Out<i32>,
    number: u32,
    kernel: FunctionHandle,
    device: i32,
) -> CUresult {
    call(|process| {
        let value = value.required()?;
        process.index_of(device)?;
        let found = attribute(process, &process.state(), kernel, number)?;
        value.set(found)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuKernelSetAttribute(
    number: u32,
    value: i32,
    kernel: FunctionHandle,
    device: i32,
) -> CUresult {
    match call(|process| process.index_of(device).map(drop)) {
        0 => cuFuncSetAttribute(kernel, number, value),
        code => code,
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuFuncSetCacheConfig(function: FunctionHandle, config: u32) -> CUresult {
    call(|process| {
        process.state().functions.get(function)?;
        if config > 3 { Err(Code::INVALID_VALUE) } else { Ok(()) }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuKernelSetCacheConfig(
    kernel: FunctionHandle,
    config: u32,
    device: i32,
) -> CUresult {
    match call(|process| process.index_of(device).map(drop)) {
        0 => cuFuncSetCacheConfig(kernel, config),
        code => code,
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuFuncSetSharedMemConfig(function: FunctionHandle, config: u32) -> CUresult {
    call(|process| {
        process.state().functions.get(function)?;
        if config > 2 { Err(Code::INVALID_VALUE) } else { Ok(()) }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuFuncGetModule(module: Out<ModuleHandle>, function: FunctionHandle) -> CUresult {
    call(|process| {
        let module = module.required()?;
        let found = process.state().functions.get(function)?.module;
        module.set(found.ok_or(Code::INVALID_HANDLE)?)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuFuncGetName(name: Out<*const c_char>, function: FunctionHandle) -> CUresult {
    call(|process| name.set(process.state().functions.get(function)?.name.as_ptr()))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuFuncGetParamInfo(
    function: FunctionHandle,
    index: usize,
    offset: Out<usize>,
    size: Out<usize>,
) -> CUresult {
    call(|process| {
        let offset = offset.required()?;
        let builtin = process.state().functions.get(function)?.builtin.ok_or(Code::INVALID_VALUE)?;
        let found = builtin.parameters.get(index).ok_or(Code::INVALID_VALUE)?;
        offset.set(builtin.offsets()[index])?;
        size.set_if_wanted(*found);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuKernelGetParamInfo(
    kernel: FunctionHandle,
    index: usize,
    offset: Out<usize>,
    size: Out<usize>,
) -> CUresult {
    cuFuncGetParamInfo(kernel, index, offset, size)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuFuncLoad(function: FunctionHandle) -> CUresult {
    call(|process| process.state().functions.get(function).map(drop))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuFuncIsLoaded(loaded: Out<u32>, function: FunctionHandle) -> CUresult {
    call(|process| {
        process.state().functions.get(function)?;
        loaded.set(1)
    })
}
