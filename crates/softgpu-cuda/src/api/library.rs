//! Libraries: modules that belong to no context, and their kernels.

use std::collections::HashMap;
use std::ffi::{c_char, c_void};

use super::module::{charge_code, read_file};
use crate::abi::{CUresult, Code, Done, In, Out, Text};
use crate::call::call;
use crate::handle::{FunctionHandle, LibraryHandle, ModuleHandle};
use crate::modules::{Image, Library};
use crate::process::Process;

/// A library is only looked into when it is used: bad images load.
fn load(process: &Process, library: Out<LibraryHandle>, image: Done<Image>) -> Done {
    let library = library.required()?;
    let mut state = process.state();
    let handle = state.libraries.insert(Library {
        kernels: Vec::new(),
        modules: HashMap::new(),
        image: image.clone(),
    });
    if let Ok(image) = image {
        let kernels = state.insert_functions(&image, None, Some(handle));
        state.libraries.get_mut(handle)?.kernels = kernels;
    }
    library.set(handle)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLibraryLoadData(
    library: Out<LibraryHandle>,
    image: In<u8>,
    _jit: *mut u32,
    _jit_values: *mut *mut c_void,
    _jit_count: u32,
    _options: *mut u32,
    _values: *mut *mut c_void,
    _count: u32,
) -> CUresult {
    call(|process| {
        if image.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        load(process, library, Image::at(image))
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLibraryLoadFromFile(
    library: Out<LibraryHandle>,
    path: Text,
    _jit: *mut u32,
    _jit_values: *mut *mut c_void,
    _jit_count: u32,
    _options: *mut u32,
    _values: *mut *mut c_void,
    _count: u32,
) -> CUresult {
    call(|process| load(process, library, Ok(read_file(path)?)))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLibraryUnload(library: LibraryHandle) -> CUresult {
    call(|process| {
        let mut state = process.state();
        let library = state.libraries.remove(library)?;
        for module in library.modules.into_values() {
            state.unload_module(module)?;
        }
        for kernel in library.kernels {
            state.functions.remove(kernel)?;
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLibraryGetKernel(
    kernel: Out<FunctionHandle>,
    library: LibraryHandle,
    name: Text,
) -> CUresult {
    call(|process| {
        let kernel = kernel.required()?;
        let name = name.get()?;
        let state = process.state();
        let library = state.libraries.get(library)?;
        library.image.as_ref().map_err(|code| *code)?;
        let found = state.function_named(&library.kernels, name)?;
        kernel.set(found)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLibraryGetKernelCount(count: Out<u32>, library: LibraryHandle) -> CUresult {
    call(|process| count.set(process.state().libraries.get(library)?.kernels.len() as u32))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLibraryEnumerateKernels(
    out: Out<FunctionHandle>,
    count: u32,
    library: LibraryHandle,
) -> CUresult {
    call(|process| {
        let out = out.required()?;
        let state = process.state();
        let kernels = &state.libraries.get(library)?.kernels;
        out.set_all(&kernels[..kernels.len().min(count as usize)]);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLibraryGetModule(module: Out<ModuleHandle>, library: LibraryHandle) -> CUresult {
    call(|process| {
        let module = module.required()?;
        let mut state = process.state();
        let current = state.current()?;
        let new = !state.libraries.get(library)?.modules.contains_key(&current);
        if new {
            let bytes = state.libraries.get(library)?.image.clone()?.bytes;
            charge_code(process, &mut state, current, bytes)?;
        }
        let found = state.library_in(library, current)?;
        module.set(found)
    })
}

/// No image of this device has variables.
fn variable(process: &Process, library: LibraryHandle, name: Text) -> Done {
    name.get()?;
    process.state().libraries.get(library)?;
    Err(Code::NOT_FOUND)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLibraryGetGlobal(
    _address: Out<u64>,
    _bytes: Out<usize>,
    library: LibraryHandle,
    name: Text,
) -> CUresult {
    call(|process| variable(process, library, name))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLibraryGetManaged(
    _address: Out<u64>,
    _bytes: Out<usize>,
    library: LibraryHandle,
    name: Text,
) -> CUresult {
    call(|process| variable(process, library, name))
}

/// A kernel's function in the current context.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuKernelGetFunction(
    function: Out<FunctionHandle>,
    kernel: FunctionHandle,
) -> CUresult {
    call(|process| {
        let function = function.required()?;
        let mut state = process.state();
        let current = state.current()?;
        let found = state.functions.get(kernel)?.clone();
        let library = found.library.ok_or(Code::INVALID_HANDLE)?;
        let module = state.library_in(library, current)?;
        let name = found.name.to_str().map_err(|_| Code::NOT_FOUND)?;
        let chosen = state.function_named(&state.modules.get(module)?.functions, name)?;
        function.set(chosen)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuKernelGetLibrary(library: Out<LibraryHandle>, kernel: FunctionHandle) -> CUresult {
    call(|process| {
        let found = process.state().functions.get(kernel)?.library;
        library.set(found.ok_or(Code::INVALID_HANDLE)?)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuKernelGetName(name: Out<*const c_char>, kernel: FunctionHandle) -> CUresult {
    super::module::cuFuncGetName(name, kernel)
}
