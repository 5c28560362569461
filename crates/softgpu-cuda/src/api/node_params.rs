//! What a graph's nodes are told, in the driver's structures, and what that comes to.

use std::ffi::c_void;

use super::copy::Copy3d;
use super::launch::{Asked, prepare};
use super::pool::PoolProperties;
use super::words::{self, Operation};
use crate::abi::{Code, Done, In};
use crate::engine::item::HostCall;
use crate::engine::task::SetJob;
use crate::graph::{Owner, What};
use crate::handle::{ContextHandle, EventHandle, FunctionHandle, GraphHandle};
use crate::memory::Due;
use crate::process::Process;
use crate::state::State;
use crate::threads;

/// `CUDA_KERNEL_NODE_PARAMS`, as of CUDA 12; the older form ends before the kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct KernelParameters {
    pub(super) function: FunctionHandle,
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    pub(super) shared_bytes: u32,
    pub(super) parameters: In<In<c_void>>,
    pub(super) extra: In<usize>,
    pub(super) kernel: FunctionHandle,
    pub(super) context: ContextHandle,
}

const _: () = assert!(size_of::<KernelParameters>() == 72);

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

const _: () = assert!(size_of::<SetParameters>() == 40);

/// `CUDA_HOST_NODE_PARAMS`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostParameters {
    pub(super) function: Option<extern "C" fn(usize)>,
    pub(super) argument: usize,
}

const _: () = assert!(size_of::<HostParameters>() == 16);

/// `CUDA_MEM_ALLOC_NODE_PARAMS`; the address is an answer.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct AllocParameters {
    pub(super) pool: PoolProperties,
    pub(super) access: usize,
    pub(super) access_count: usize,
    pub(super) bytes: usize,
    pub(super) address: u64,
}

const _: () = assert!(size_of::<AllocParameters>() == 120);

/// `CUDA_CHILD_GRAPH_NODE_PARAMS`: a graph, which is copied (0) or moved (1).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChildParameters {
    pub(super) graph: GraphHandle,
    pub(super) moved: u32,
}

const _: () = assert!(size_of::<ChildParameters>() == 16);

/// `CUDA_BATCH_MEM_OP_NODE_PARAMS`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct WordsParameters {
    pub(super) context: ContextHandle,
    pub(super) count: u32,
    pub(super) operations: In<Operation>,
    pub(super) flags: u32,
}

const _: () = assert!(size_of::<WordsParameters>() == 32);

/// The context that a node is for: the current one, if none is named.
fn context_or_current(state: &State, context: ContextHandle) -> Done<ContextHandle> {
    let context = if context.is_null() { threads::current() } else { context };
    state.contexts.find(context).map(|_| context).ok_or(Code::INVALID_CONTEXT)
}

/// The device of the context that a node is for.
fn ordinal(state: &State, context: ContextHandle) -> Done<i32> {
    Ok(state.contexts.get(context_or_current(state, context)?)?.ordinal)
}

/// A kernel node. A function runs in the context that it was loaded in, a kernel of a library in any.
pub(super) fn kernel(process: &Process, state: &mut State, asked: &KernelParameters) -> Done<What> {
    let function = if asked.function.is_null() { asked.kernel } else { asked.function };
    let found = state.functions.find(function).ok_or(Code::INVALID_VALUE)?;
    let context = match found.module {
        Some(module) => state.modules.get(module)?.context,
        None => context_or_current(state, asked.context)?,
    };
    let launch = Asked {
        function,
        grid: asked.grid,
        block: asked.block,
        shared_bytes: asked.shared_bytes,
        parameters: asked.parameters,
        extra: asked.extra,
        cooperative: false,
    };
    prepare(process, state, &launch, context).map(What::Kernel)
}

/// A node that fills memory.
pub(super) fn set(
    process: &Process,
    state: &mut State,
    asked: &SetParameters,
    context: ContextHandle,
) -> Done<What> {
    if !matches!(asked.size, 1 | 2 | 4) || asked.width == 0 || asked.height == 0 {
        return Err(Code::INVALID_VALUE);
    }
    let SetParameters { address, pitch, value, size, width, height } = *asked;
    let ordinal = ordinal(state, context)?;
    let job = SetJob { address, value, size: size as usize, width, height, pitch };
    let op = state.set_op(process, ordinal, job, Due::AtLaunch)?;
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
    context: ContextHandle,
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

/// An event that a node records or waits for.
pub(super) fn event(state: &State, event: EventHandle) -> Done<EventHandle> {
    state.events.get(event).map(|_| event)
}

/// A node that allocates, and the address that it promises.
pub(super) fn alloc(state: &mut State, graph: GraphHandle, asked: &AllocParameters) -> Done<(What, u64)> {
    if asked.bytes == 0 || state.graph(graph)?.is_moved() {
        return Err(Code::INVALID_VALUE);
    }
    let bytes = asked.bytes as u64;
    let address = state.reserve_graph_memory(bytes)?;
    Ok((What::Alloc(address, bytes), address))
}

/// A node that frees what a node allocated; one for each allocation in each graph.
pub(super) fn free(state: &State, graph: GraphHandle, address: u64) -> Done<What> {
    let freed = state
        .nodes
        .iter()
        .any(|(_, node)| node.graph == graph && matches!(node.what, What::Free(other) if other == address));
    if state.is_graph_memory(address) && !freed && !state.graph(graph)?.is_moved() {
        Ok(What::Free(address))
    } else {
        Err(Code::INVALID_VALUE)
    }
}

/// A node with a graph inside it.
pub(super) fn child(state: &mut State, parent: GraphHandle, asked: &ChildParameters) -> Done<What> {
    match asked.moved {
        0 if state.has_memory_nodes(asked.graph)? => Err(Code::NOT_SUPPORTED),
        0 => state.clone_graph(asked.graph, Owner::Parent).map(What::Child),
        1 => state.move_graph(asked.graph, parent).map(|()| What::Child(asked.graph)),
        _ => Err(Code::INVALID_VALUE),
    }
}

/// A node that writes and waits for words in memory.
pub(super) fn batch(state: &State, asked: &WordsParameters) -> Done<What> {
    if asked.flags != 0 {
        return Err(Code::INVALID_VALUE);
    }
    let context = context_or_current(state, asked.context)?;
    let operations = words::read(asked.operations, asked.count)?;
    words::words(state, context, Due::AtLaunch, &operations).map(What::Words)
}
