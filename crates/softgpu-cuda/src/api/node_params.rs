//! What a graph's nodes are told, in the driver's structures.

use std::ffi::c_void;

use super::copy::Copy3d;
use super::launch::{Asked, prepare};
use crate::abi::{Code, Done, In};
use crate::contexts;
use crate::engine::item::HostCall;
use crate::engine::task::SetJob;
use crate::graph::{Launch, Node, What};
use crate::handle::Handle;
use crate::modules::Function;
use crate::process::Process;
use crate::state::{Context, State};

/// `CUDA_KERNEL_NODE_PARAMS`, as of CUDA 12; the older form ends before the kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct KernelParameters {
    pub(super) function: Handle<Function>,
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    pub(super) shared_bytes: u32,
    pub(super) parameters: In<*const c_void>,
    pub(super) extra: In<usize>,
    pub(super) kernel: Handle<Function>,
    pub(super) context: Handle<Context>,
}

/// `CUDA_MEMSET_NODE_PARAMS`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetParameters {
    pub(super) address: u64,
    pub(super) pitch: usize,
    pub(super) value: u32,
    pub(super) size: u32,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// `CUDA_HOST_NODE_PARAMS`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostParameters {
    pub(super) function: Option<extern "C" fn(usize)>,
    pub(super) argument: usize,
}

/// The device of the context that a node is for.
pub(super) fn ordinal(state: &State, context: Handle<Context>) -> Done<i32> {
    let context = if context.is_null() { contexts::current() } else { context };
    state.contexts.find(context).map(|context| context.ordinal).ok_or(Code::INVALID_CONTEXT)
}

/// A kernel node.
pub(super) fn kernel(process: &Process, state: &mut State, asked: &KernelParameters) -> Done<What> {
    let function = if asked.function.is_null() { asked.kernel } else { asked.function };
    state.functions.get(function).map_err(|_| Code::INVALID_VALUE)?;
    let ordinal = ordinal(state, asked.context)?;
    let launch = Asked {
        function,
        grid: asked.grid,
        block: asked.block,
        shared_bytes: asked.shared_bytes,
        parameters: asked.parameters,
        extra: asked.extra,
        cooperative: false,
    };
    prepare(process, state, &launch, ordinal).map(What::Kernel)
}

/// What a kernel node was told; arguments are not given back.
pub(super) fn kernel_parameters(launch: &Launch) -> KernelParameters {
    KernelParameters {
        function: launch.function,
        grid: launch.grid,
        block: launch.block,
        shared_bytes: launch.shared_bytes,
        parameters: In(std::ptr::null()),
        extra: In(std::ptr::null()),
        kernel: Handle::NULL,
        context: Handle::NULL,
    }
}

/// A node that fills memory.
pub(super) fn set(
    process: &Process,
    state: &mut State,
    asked: &SetParameters,
    context: Handle<Context>,
) -> Done<What> {
    if !matches!(asked.size, 1 | 2 | 4) || asked.width == 0 || asked.height == 0 {
        return Err(Code::INVALID_VALUE);
    }
    let SetParameters { address, pitch, value, size, width, height } = *asked;
    let ordinal = ordinal(state, context)?;
    let job = SetJob { address, value, size: size as usize, width, height, pitch };
    let op = state.set_op(process, ordinal, job)?;
    let numbers = vec![address, pitch as u64, value.into(), size.into(), width as u64, height as u64];
    Ok(What::Set(op, numbers))
}

/// What a node that fills memory was told.
pub(super) fn set_parameters(numbers: &[u64]) -> Done<SetParameters> {
    let [address, pitch, value, size, width, height] = numbers else { return Err(Code::INVALID_VALUE) };
    Ok(SetParameters {
        address: *address,
        pitch: *pitch as usize,
        value: *value as u32,
        size: *size as u32,
        width: *width as usize,
        height: *height as usize,
    })
}

/// A node that copies. What is at a plain host address is read at each launch, as by a device.
pub(super) fn copy(
    process: &Process,
    state: &mut State,
    asked: &Copy3d,
    context: Handle<Context>,
) -> Done<What> {
    if asked.is_empty() {
        return Err(Code::INVALID_VALUE);
    }
    let ordinal = ordinal(state, context)?;
    let job = asked.checked(state)?;
    let op = state.copy_op_unstaged(process, ordinal, job)?;
    Ok(What::Copy(op, asked.numbers()))
}

/// A node that calls a function of the program.
pub(super) fn host(asked: &HostParameters) -> Done<What> {
    let function = asked.function.ok_or(Code::INVALID_VALUE)?;
    Ok(What::Host(HostCall::Plain(function, asked.argument)))
}

/// Gives a node other parameters of the same kind.
pub(super) fn change(state: &mut State, node: Handle<Node>, what: What) -> Done {
    let found = state.nodes.get_mut(node).map_err(|_| Code::INVALID_VALUE)?;
    if found.what.number() != what.number() {
        return Err(Code::INVALID_VALUE);
    }
    found.what = what;
    Ok(())
}
