//! How much of a kernel fits on a device: by threads alone, since nobody knows registers here.

use std::ffi::c_void;

use fastgpu_softgpu::models::Model;

use super::launch::Configuration;
use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::handle::FunctionHandle;
use crate::process::Process;

/// Most threads of a block.
const THREADS_MAX: i32 = 1_024;
/// Most blocks of a cluster on every device that has clusters, and on those of today.
const CLUSTER_PORTABLE: i32 = 8;
const CLUSTER_MAX: i32 = 16;
/// Attribute of a function: it may be launched in larger clusters than the portable ones.
const NON_PORTABLE: u32 = 14;
/// Attribute of a launch: the shape of a cluster, in blocks.
const CLUSTER_SHAPE: u32 = 4;
/// Flag that there is: about caches of long ago.
const CACHING: u32 = 1;

/// The model of the current context's device, for a function that is known.
fn model_for(process: &Process, function: FunctionHandle) -> Done<&'static Model> {
    let state = process.state();
    let current = state.current()?;
    state.functions.get(function)?;
    process.model(state.contexts.get(current)?.ordinal)
}

/// How many blocks fit on a multiprocessor.
fn blocks_of(model: &Model, block: i32) -> Done<i32> {
    let block = u32::try_from(block).ok().filter(|block| *block > 0).ok_or(Code::INVALID_VALUE)?;
    let limits = model.limits();
    Ok((limits.threads / block.next_multiple_of(32)).min(limits.blocks).cast_signed())
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: Out<i32>,
    function: FunctionHandle,
    block: i32,
    _shared: usize,
) -> CUresult {
    call(|process| {
        let blocks = blocks.required()?;
        blocks.set(blocks_of(model_for(process, function)?, block)?)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    blocks: Out<i32>,
    function: FunctionHandle,
    block: i32,
    shared: usize,
    _flags: u32,
) -> CUresult {
    cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, block, shared)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuOccupancyAvailableDynamicSMemPerBlock(
    bytes: Out<usize>,
    function: FunctionHandle,
    _blocks: i32,
    _block: i32,
) -> CUresult {
    call(|process| {
        process.state().functions.get(function)?;
        bytes.set(49_152)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuOccupancyMaxPotentialBlockSize(
    grid: Out<i32>,
    block: Out<i32>,
    function: FunctionHandle,
    _size: *const c_void,
    _shared: usize,
    most: i32,
) -> CUresult {
    call(|process| {
        let most = if most > 0 { most.min(THREADS_MAX) } else { THREADS_MAX };
        let model = model_for(process, function)?;
        let (grid, block) = (grid.required()?, block.required()?);
        grid.set(blocks_of(model, most)? * model.multiprocessors.cast_signed())?;
        block.set(most)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuOccupancyMaxPotentialBlockSizeWithFlags(
    grid: Out<i32>,
    block: Out<i32>,
    function: FunctionHandle,
    size: *const c_void,
    shared: usize,
    most: i32,
    flags: u32,
) -> CUresult {
    if flags & !CACHING != 0 {
        return Code::INVALID_VALUE.0;
    }
    cuOccupancyMaxPotentialBlockSize(grid, block, function, size, shared, most)
}

/// The model, if it has clusters, and how many blocks one may have.
fn clusters(process: &Process, function: FunctionHandle) -> Done<(&'static Model, i32)> {
    let model = model_for(process, function)?;
    if model.compute_capability.0 < 9 {
        return Err(Code::NOT_SUPPORTED);
    }
    let allowed = process.state().functions.get(function)?.attributes.get(&NON_PORTABLE).copied();
    Ok((model, if allowed.unwrap_or(0) != 0 { CLUSTER_MAX } else { CLUSTER_PORTABLE }))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuOccupancyMaxPotentialClusterSize(
    size: Out<i32>,
    function: FunctionHandle,
    configuration: In<Configuration>,
) -> CUresult {
    call(|process| {
        let size = size.required()?;
        configuration.get()?;
        size.set(clusters(process, function)?.1)
    })
}

/// As many clusters as the blocks that fit make, wherever on the device they are.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuOccupancyMaxActiveClusters(
    count: Out<i32>,
    function: FunctionHandle,
    configuration: In<Configuration>,
) -> CUresult {
    call(|process| {
        let count = count.required()?;
        let configuration = configuration.get()?;
        let (model, most) = clusters(process, function)?;
        let attributes = configuration.attributes()?;
        let shape =
            attributes.iter().find(|one| one.number == CLUSTER_SHAPE).ok_or(Code::INVALID_CLUSTER_SIZE)?;
        let [x, y, z] = [shape.value[0] as u32, (shape.value[0] >> 32) as u32, shape.value[1] as u32];
        let blocks = [x, y, z].iter().try_fold(1u32, |all, one| all.checked_mul(*one)).unwrap_or(0);
        let divides =
            configuration.grid.iter().zip([x, y, z]).all(|(grid, part)| part > 0 && grid % part == 0);
        let blocks = i32::try_from(blocks).ok().filter(|blocks| divides && (1..=most).contains(blocks));
        let blocks = blocks.ok_or(Code::INVALID_CLUSTER_SIZE)?;
        let threads = configuration.block.iter().try_fold(1u32, |all, one| all.checked_mul(*one));
        let threads = threads.and_then(|threads| i32::try_from(threads).ok()).ok_or(Code::INVALID_VALUE)?;
        count.set(blocks_of(model, threads)? * model.multiprocessors.cast_signed() / blocks)
    })
}
