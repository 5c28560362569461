//! Launching kernels.

use std::ffi::c_void;

use super::launch_attributes::{
    CU_LAUNCH_ATTRIBUTE_COOPERATIVE, CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT,
    CU_LAUNCH_ATTRIBUTE_PRIORITY, CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT, attributes_of,
};
use crate::abi::{CUresult, Code, Done, In};
use crate::call::call;
use crate::engine::{Engine, Op, Task};
use crate::graph::{Launch, What};
use crate::handle::{ContextHandle, FunctionHandle, Handle, StreamHandle};
use crate::kernels::Builtin;
use crate::numbers::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
use crate::process::Process;
use crate::state::State;

/// Marks in the list of `extra` arguments.
pub(super) const BUFFER_POINTER: usize = 1;
pub(super) const BUFFER_SIZE: usize = 2;
/// Most pairs in that list.
const EXTRA_MAX: usize = 16;
/// Most threads of a block, in all and in depth.
const THREADS_MAX: u32 = 1_024;
const DEPTH_MAX: u32 = 64;
/// Most blocks of a grid in width, and in height and depth.
const WIDTH_MAX: u32 = i32::MAX as u32;
const HEIGHT_MAX: u32 = 65_535;
/// Most shared memory of a block that asked for it, in bytes.
const SHARED_MAX: u32 = 48 << 10;

/// Kernels with a block for each of so small a part of the multiprocessors run side by side with others.
const SMALL_PART: u64 = 16;

/// What a launch says, whichever function it came by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) function: FunctionHandle,
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    pub(super) shared_bytes: u32,
    pub(super) parameters: In<In<c_void>>,
    pub(super) extra: In<usize>,
    pub(super) cooperative: bool,
}

/// The bits of a number of 4 or 8 bytes.
fn bits(at: In<c_void>, size: usize) -> Done<u64> {
    match size {
        8 => at.cast::<u64>().get(),
        _ => at.cast::<u32>().get().map(u64::from),
    }
}

/// The arguments, from a list of pointers or out of one buffer.
fn arguments(builtin: &Builtin, asked: &Asked) -> Done<Vec<u64>> {
    if builtin.parameters.is_empty() {
        return Ok(Vec::new());
    }
    if !asked.parameters.is_null() {
        let pointers = asked.parameters.list(builtin.parameters.len())?;
        return pointers.into_iter().zip(builtin.parameters).map(|(at, size)| bits(at, *size)).collect();
    }
    let mut buffer = None;
    let mut length = 0;
    for pair in 0..EXTRA_MAX {
        let word = |index: usize| asked.extra.at(2 * pair + index).get();
        match word(0)? {
            BUFFER_POINTER => buffer = Some(word(1)?),
            BUFFER_SIZE => length = In::<usize>::told(word(1)?).get()?,
            _ => break,
        }
    }
    let buffer = buffer.ok_or(Code::INVALID_VALUE)?;
    let each = builtin.offsets().into_iter().zip(builtin.parameters).map(|(offset, size)| {
        let fits = offset + size <= length;
        if fits { bits(In::told(buffer + offset), *size) } else { Err(Code::INVALID_VALUE) }
    });
    each.collect()
}

fn check_shape(process: &Process, state: &State, asked: &Asked, ordinal: i32) -> Done {
    let [x, y, z] = asked.block;
    let threads = x.checked_mul(y).and_then(|area| area.checked_mul(z)).unwrap_or(u32::MAX);
    let [width, height, depth] = asked.grid;
    let optin = state
        .functions
        .get(asked.function)?
        .attributes
        .get(&CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        .copied()
        .unwrap_or(0);
    let shared_max = SHARED_MAX.max(u32::try_from(optin).unwrap_or(0));
    let wrong = threads == 0
        || threads > THREADS_MAX
        || z > DEPTH_MAX
        || [width, height, depth].contains(&0)
        || width > WIDTH_MAX
        || height > HEIGHT_MAX
        || depth > HEIGHT_MAX
        || asked.shared_bytes > shared_max;
    if wrong {
        return Err(Code::INVALID_VALUE);
    }
    if asked.cooperative {
        let model = process.model(ordinal)?;
        let each = (model.limits().threads / threads.next_multiple_of(32)).min(model.limits().blocks);
        let blocks = u64::from(width) * u64::from(height) * u64::from(depth);
        if blocks > u64::from(each) * u64::from(model.multiprocessors) {
            return Err(Code::COOPERATIVE_LAUNCH_TOO_LARGE);
        }
    }
    Ok(())
}

/// The launch as something a stream or a graph can do.
pub(super) fn prepare(
    process: &Process,
    state: &mut State,
    asked: &Asked,
    context: ContextHandle,
) -> Done<Launch> {
    let ordinal = state.contexts.find(context).ok_or(Code::INVALID_CONTEXT)?.ordinal;
    let builtin = state.functions.get(asked.function)?.builtin;
    check_shape(process, state, asked, ordinal)?;
    let Some(builtin) = builtin else {
        let name = state.functions.get(asked.function)?.name.to_string_lossy().into_owned();
        process.ledger.count_unsupported(&format!("kernel:{name}"));
        return Err(Code::NOT_SUPPORTED);
    };
    let both = !asked.parameters.is_null() && !asked.extra.is_null();
    let neither = asked.parameters.is_null() && asked.extra.is_null() && !builtin.parameters.is_empty();
    if both || neither {
        return Err(Code::INVALID_VALUE);
    }
    let arguments = arguments(builtin, asked)?;
    let kernel = builtin.with(&arguments)?;
    let model = process.model(ordinal)?;
    let ns = kernel.ns(model);
    let blocks = asked.grid.iter().fold(1, |all: u64, side| all.saturating_mul(u64::from(*side)));
    let is_small = blocks.saturating_mul(SMALL_PART) <= u64::from(model.multiprocessors).max(SMALL_PART);
    let engine = if is_small { Engine::Part } else { Engine::Compute };
    let task = (!kernel.touches_nothing()).then_some(Task::Kernel(kernel));
    let op = Op::Work { engine, ns, task };
    let Asked { function, grid, block, shared_bytes, .. } = *asked;
    let packed = asked.parameters.is_null();
    Ok(Launch { function, context, grid, block, shared_bytes, arguments, packed, op })
}

/// Launches a kernel. If the stream is recorded, the node has the launch's attributes, and the stream's priority.
fn launch(process: &Process, stream: StreamHandle, asked: &Asked, attributes: &[Attribute]) -> Done {
    let mut state = process.state();
    if asked.function.is_null() {
        return Err(Code::INVALID_HANDLE);
    }
    state.functions.get(asked.function)?;
    let stream = state.stream(stream)?;
    let found = state.streams.get(stream)?;
    let (context, full) = (found.context, found.is_full(true));
    let prepared = prepare(process, &mut state, asked, context)?;
    if full {
        drop(state);
        process.make_room(stream, true)?;
        state = process.state();
    }
    if state.capture_of(stream)?.is_none() {
        return state.submit(process, stream, What::Kernel(prepared), true);
    }
    let priority = state.streams.get(stream)?.priority;
    let node = state.recorded(stream, || What::Kernel(prepared))?.ok_or(Code::ILLEGAL_STATE)?;
    let mut all = attributes_of(attributes.iter().map(|one| (one.number, one.value)));
    for (number, value) in [
        (CU_LAUNCH_ATTRIBUTE_PRIORITY, priority.cast_unsigned()),
        (CU_LAUNCH_ATTRIBUTE_COOPERATIVE, asked.cooperative.into()),
    ] {
        if value != 0 {
            all.entry(number).or_insert([value.into(), 0, 0, 0, 0, 0, 0, 0]);
        }
    }
    state.node_mut(node)?.attributes = all;
    Ok(())
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLaunchKernel(
    function: FunctionHandle,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared_bytes: u32,
    stream: StreamHandle,
    parameters: In<In<c_void>>,
    extra: In<usize>,
) -> CUresult {
    call(|process| {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let asked = Asked { function, grid, block, shared_bytes, parameters, extra, cooperative: false };
        launch(process, stream, &asked, &[])
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLaunchCooperativeKernel(
    function: FunctionHandle,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared_bytes: u32,
    stream: StreamHandle,
    parameters: In<In<c_void>>,
) -> CUresult {
    call(|process| {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let extra = In::NULL;
        let asked = Asked { function, grid, block, shared_bytes, parameters, extra, cooperative: true };
        launch(process, stream, &asked, &[])
    })
}

/// `CUlaunchConfig`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Configuration {
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    shared_bytes: u32,
    stream: StreamHandle,
    attributes: In<Attribute>,
    attribute_count: u32,
}

const _: () = assert!(size_of::<Configuration>() == 56);

impl Configuration {
    /// The attributes of the launch.
    pub(super) fn attributes(&self) -> Done<Vec<Attribute>> {
        if self.attribute_count > ATTRIBUTES_MAX {
            return Err(Code::INVALID_VALUE);
        }
        self.attributes.list(self.attribute_count as usize)
    }
}

/// `CUlaunchAttribute`: a number, and a value of 64 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute {
    pub(super) number: u32,
    spare: u32,
    pub(super) value: [u64; 8],
}

const _: () = assert!(size_of::<Attribute>() == 72);

/// Most attributes of one launch.
const ATTRIBUTES_MAX: u32 = 64;

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLaunchKernelEx(
    configuration: In<Configuration>,
    function: FunctionHandle,
    parameters: In<In<c_void>>,
    extra: In<usize>,
) -> CUresult {
    call(|process| {
        let asked = configuration.get()?;
        let attributes = asked.attributes()?;
        let cooperative = attributes
            .iter()
            .any(|one| one.number == CU_LAUNCH_ATTRIBUTE_COOPERATIVE && one.value[0] as u32 != 0);
        let Configuration { grid, block, shared_bytes, stream, .. } = asked;
        launch(
            process,
            stream,
            &Asked { function, grid, block, shared_bytes, parameters, extra, cooperative },
            &attributes,
        )?;
        // Events that are reached early are reached with the kernel here.
        for one in attributes.iter().filter(|one| {
            matches!(
                one.number,
                CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT | CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT
            )
        }) {
            let mut state = process.state();
            let stream = state.stream(stream)?;
            state.record(process, Handle::of(one.value[0] as usize), stream)?;
        }
        Ok(())
    })
}

/// `CUDA_LAUNCH_PARAMS`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeviceLaunch {
    function: FunctionHandle,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    stream: StreamHandle,
    parameters: In<In<c_void>>,
}

const _: () = assert!(size_of::<DeviceLaunch>() == 56);

/// One cooperative kernel on several devices.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuLaunchCooperativeKernelMultiDevice(
    list: In<DeviceLaunch>,
    count: u32,
    _flags: u32,
) -> CUresult {
    call(|process| {
        if count == 0 || count as usize > process.device_count() {
            return Err(Code::INVALID_VALUE);
        }
        for one in list.list(count as usize)? {
            let DeviceLaunch { function, grid, block, shared_bytes, stream, parameters } = one;
            let extra = In::NULL;
            launch(
                process,
                stream,
                &Asked { function, grid, block, shared_bytes, parameters, extra, cooperative: true },
                &[],
            )?;
        }
        Ok(())
    })
}

include!(concat!(env!("OUT_DIR"), "/twins_launch.rs"));
