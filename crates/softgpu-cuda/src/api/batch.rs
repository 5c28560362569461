//! Many copies, prefetches or discards in one call. A batch is checked whole before any of it is put into the stream.

use super::copy::{Copy3d, Side3d};
use super::memory::{Location, check_managed};
use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::engine::contexts::STREAM_LEGACY;
use crate::engine::task::CopyJob;
use crate::graph::What;
use crate::handle::{Handle, StreamHandle};
use crate::memory::arrays::Array;
use crate::process::Process;
use crate::state::State;
use crate::threads::per_thread_wanted;

/// Most entries of one batch that are read; beyond this the caller's count is taken for a mistake.
const BATCH_MAX: usize = 1 << 20;
/// What says that the error is in no copy of its own.
const NO_COPY: usize = usize::MAX;

/// `CUmemcpyAttributes`: when the source may be read, hints, flags.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct CopyAttributes {
    order: u32,
    from_hint: Location,
    to_hint: Location,
    flags: u32,
}

const _: () = assert!(size_of::<CopyAttributes>() == 24);

/// The source is read before the call comes back.
const ORDER_DURING_CALL: u32 = 2;

/// One copy of a batch, and when its source may be read.
type Part = (CopyJob, u32);

/// The legacy stream 0 takes no batch, nor does a stream that is recorded.
fn stream_for(state: &mut State, stream: StreamHandle) -> Done<StreamHandle> {
    if stream.value() == STREAM_LEGACY || (stream.is_null() && !per_thread_wanted()) {
        return Err(Code::INVALID_VALUE);
    }
    let stream = state.stream(stream)?;
    state.refuse_captured(stream)?;
    Ok(stream)
}

fn check_attributes(order: u32, flags: u32) -> Done {
    if matches!(order, 1..=3) && flags <= 1 { Ok(()) } else { Err(Code::INVALID_VALUE) }
}

/// For each of `count` operations, which entry applies to it: entry k from operation `first[k]` on.
fn entries(first: &[usize], count: usize) -> Done<Vec<usize>> {
    let rising = first.first() == Some(&0) && first.is_sorted_by(|one, next| one < next);
    if !rising || first.last().is_none_or(|last| *last >= count) {
        return Err(Code::INVALID_VALUE);
    }
    Ok((0..count).map(|index| first.partition_point(|start| *start <= index) - 1).collect())
}

/// Puts copies into a stream, all or none; waits for those whose source is not to be touched afterwards.
fn run(process: &Process, stream: StreamHandle, parts: Vec<Part>) -> Done {
    let mut state = process.state();
    let context = state.streams.get(stream)?.context;
    let ordinal = state.contexts.get(context)?.ordinal;
    let mut wait = false;
    let mut ops = Vec::with_capacity(parts.len());
    for (job, order) in parts.into_iter().filter(|(job, _)| job.bytes() > 0) {
        let during = order == ORDER_DURING_CALL;
        let plain = !state.memory.knows(job.from.address);
        wait |= during && !plain;
        ops.push(match during {
            true => state.copy_op(process, ordinal, job)?,
            false => state.copy_op_unstaged(process, ordinal, job)?,
        });
    }
    drop(state);
    for op in ops {
        process.make_room(stream, true)?;
        process.state().submit(process, stream, What::Copy(op, Vec::new()), true)?;
    }
    if wait { process.wait_stream(stream) } else { Ok(()) }
}

/// What a batch of plain copies is told.
struct Lines {
    to: In<u64>,
    from: In<u64>,
    sizes: In<usize>,
    count: usize,
    attributes: In<CopyAttributes>,
    first: In<usize>,
    attribute_count: usize,
}

impl Lines {
    fn run(&self, process: &Process, stream: StreamHandle, failed: Out<usize>) -> Done {
        failed.set_if_wanted(NO_COPY);
        if self.count == 0 || self.count > BATCH_MAX || self.attribute_count > self.count {
            return Err(Code::INVALID_VALUE);
        }
        let (to, from) = (self.to.list(self.count)?, self.from.list(self.count)?);
        let sizes = self.sizes.list(self.count)?;
        let attributes = self.attributes.list(self.attribute_count)?;
        let entries = entries(&self.first.list(self.attribute_count)?, self.count)?;
        attributes.iter().try_for_each(|one| check_attributes(one.order, one.flags))?;
        let mut state = process.state();
        let stream = stream_for(&mut state, stream)?;
        let mut parts = Vec::with_capacity(self.count);
        for index in 0..self.count {
            let side = |address: u64| Side3d::at(address, sizes[index], 1);
            let copy = Copy3d::new(side(from[index]), side(to[index]), [sizes[index], 1, 1]);
            let job = if copy.is_empty() { continue } else { copy.checked(&state) };
            let job = job.inspect_err(|_| failed.set_if_wanted(index))?;
            parts.push((job, attributes[entries[index]].order));
        }
        drop(state);
        run(process, stream, parts)
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyBatchAsync_v2(
    to: In<u64>,
    from: In<u64>,
    sizes: In<usize>,
    count: usize,
    attributes: In<CopyAttributes>,
    first: In<usize>,
    attribute_count: usize,
    stream: StreamHandle,
) -> CUresult {
    let lines = Lines { to, from, sizes, count, attributes, first, attribute_count };
    call(|process| lines.run(process, stream, Out::NULL))
}

/// The form of CUDA 12.8, which says in which copy an error is.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyBatchAsync(
    to: In<u64>,
    from: In<u64>,
    sizes: In<usize>,
    count: usize,
    attributes: In<CopyAttributes>,
    first: In<usize>,
    attribute_count: usize,
    failed: Out<usize>,
    stream: StreamHandle,
) -> CUresult {
    let lines = Lines { to, from, sizes, count, attributes, first, attribute_count };
    call(|process| lines.run(process, stream, failed))
}

/// `CUmemcpy3DOperand`: a pointer with the length of its rows and the height of its layers, or an array with the offset
/// of its first element.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand {
    kind: u32,
    place: u64,
    words: [usize; 3],
}

const _: () = assert!(size_of::<Operand>() == 40);

/// `CUDA_MEMCPY3D_BATCH_OP`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    from: Operand,
    to: Operand,
    extent: [usize; 3],
    order: u32,
    flags: u32,
}

const _: () = assert!(size_of::<Operation>() == 112);

impl Operand {
    const POINTER: u32 = 1;
    const ARRAY: u32 = 2;

    fn array<'a>(&self, state: &'a State) -> Done<Option<&'a Array>> {
        match self.kind {
            Self::POINTER => Ok(None),
            Self::ARRAY => {
                let found = state.arrays.find(Handle::of(self.place as usize));
                found.map(Some).ok_or(Code::INVALID_HANDLE)
            }
            _ => Err(Code::INVALID_VALUE),
        }
    }

    fn side(&self, state: &State, extent: [usize; 3], element: usize) -> Done<Side3d> {
        let [width, height, depth] = extent;
        let Some(array) = self.array(state)? else {
            let [row, layer, _] = self.words;
            if (row != 0 && row < width) || (layer != 0 && layer < height) {
                return Err(Code::INVALID_VALUE);
            }
            let row = if row == 0 { width } else { row };
            let pitch = row.checked_mul(element).ok_or(Code::INVALID_VALUE)?;
            return Ok(Side3d::at(self.place, pitch, if layer == 0 { height } else { layer }));
        };
        let whole = [array.descriptor.width, array.descriptor.rows(), array.descriptor.depth.max(1)];
        let fits = |(axis, whole): (usize, usize)| {
            let end = self.words[axis].checked_add([width, height, depth][axis]);
            end.is_some_and(|end| end <= whole)
        };
        if !whole.into_iter().enumerate().all(fits) {
            return Err(Code::INVALID_VALUE);
        }
        Ok(Side3d::in_array(Handle::of(self.place as usize), self.words, element))
    }
}

impl Operation {
    fn part(&self, state: &State) -> Done<Part> {
        check_attributes(self.order, self.flags)?;
        if self.extent.contains(&0) {
            return Err(Code::INVALID_VALUE);
        }
        let size =
            |operand: &Operand| Ok(operand.array(state)?.and_then(|array| array.descriptor.element_bytes()));
        let element = match (size(&self.from)?, size(&self.to)?) {
            (Some(one), Some(other)) if one != other => return Err(Code::INVALID_VALUE),
            (one, other) => one.or(other).unwrap_or(1),
        };
        let from = self.from.side(state, self.extent, element)?;
        let to = self.to.side(state, self.extent, element)?;
        let [width, height, depth] = self.extent;
        let width = width.checked_mul(element).ok_or(Code::INVALID_VALUE)?;
        Ok((Copy3d::new(from, to, [width, height, depth]).checked(state)?, self.order))
    }
}

fn blocks(
    process: &Process,
    count: usize,
    operations: In<Operation>,
    failed: Out<usize>,
    flags: u64,
    stream: StreamHandle,
) -> Done {
    failed.set_if_wanted(NO_COPY);
    if count == 0 || count > BATCH_MAX || flags != 0 {
        return Err(Code::INVALID_VALUE);
    }
    let operations = operations.list(count)?;
    let mut state = process.state();
    let stream = stream_for(&mut state, stream)?;
    let each = operations
        .iter()
        .enumerate()
        .map(|(index, operation)| operation.part(&state).inspect_err(|_| failed.set_if_wanted(index)));
    let parts = each.collect::<Done<Vec<_>>>()?;
    drop(state);
    run(process, stream, parts)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpy3DBatchAsync_v2(
    count: usize,
    operations: In<Operation>,
    flags: u64,
    stream: StreamHandle,
) -> CUresult {
    call(|process| blocks(process, count, operations, Out::NULL, flags, stream))
}

/// The form of CUDA 12.8, which says in which copy an error is.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpy3DBatchAsync(
    count: usize,
    operations: In<Operation>,
    failed: Out<usize>,
    flags: u64,
    stream: StreamHandle,
) -> CUresult {
    call(|process| blocks(process, count, operations, failed, flags, stream))
}

/// The ranges of managed memory that a batch is about, all of them checked.
fn ranges(
    process: &Process,
    addresses: In<u64>,
    sizes: In<usize>,
    count: usize,
    flags: u64,
    stream: StreamHandle,
) -> Done<Vec<u64>> {
    if count == 0 || count > BATCH_MAX || flags != 0 {
        return Err(Code::INVALID_VALUE);
    }
    let (addresses, sizes) = (addresses.list(count)?, sizes.list(count)?);
    let mut state = process.state();
    stream_for(&mut state, stream)?;
    for (address, bytes) in addresses.iter().zip(sizes) {
        if bytes == 0 {
            return Err(Code::INVALID_VALUE);
        }
        check_managed(&state, *address, bytes)?;
    }
    Ok(addresses)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPrefetchBatchAsync(
    addresses: In<u64>,
    sizes: In<usize>,
    count: usize,
    places: In<Location>,
    first: In<usize>,
    place_count: usize,
    flags: u64,
    stream: StreamHandle,
) -> CUresult {
    call(|process| {
        let addresses = ranges(process, addresses, sizes, count, flags, stream)?;
        if place_count > count {
            return Err(Code::INVALID_VALUE);
        }
        let places = places.list(place_count)?.into_iter().map(|place| place.ordinal(process));
        let places = places.collect::<Done<Vec<_>>>()?;
        let entries = entries(&first.list(place_count)?, count)?;
        let mut state = process.state();
        for (address, entry) in addresses.into_iter().zip(entries) {
            state.bring_managed(process, address, places[entry]);
        }
        Ok(())
    })
}

/// What is discarded may be forgotten; this device forgets nothing, and what it holds stays where it is.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemDiscardBatchAsync(
    addresses: In<u64>,
    sizes: In<usize>,
    count: usize,
    flags: u64,
    stream: StreamHandle,
) -> CUresult {
    call(|process| ranges(process, addresses, sizes, count, flags, stream).map(drop))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemDiscardAndPrefetchBatchAsync(
    addresses: In<u64>,
    sizes: In<usize>,
    count: usize,
    places: In<Location>,
    first: In<usize>,
    place_count: usize,
    flags: u64,
    stream: StreamHandle,
) -> CUresult {
    cuMemPrefetchBatchAsync(addresses, sizes, count, places, first, place_count, flags, stream)
}

include!(concat!(env!("OUT_DIR"), "/twins_batch.rs"));
