//! Copies: plain ones, in two and three dimensions, from and to arrays.

use crate::abi::{CUresult, Code, Done, In, reread};
use crate::call::call;
use crate::engine::task::{CopyJob, Side};
use crate::graph::What;
use crate::handle::{ArrayHandle, ContextHandle, Handle, StreamHandle};
use crate::memory::Due;
use crate::numbers::{CU_MEMORYTYPE_ARRAY, CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_UNIFIED};
use crate::process::Process;
use crate::state::State;

/// Up to this size a copy from plain host memory does not hold the caller up, in bytes.
const STAGED_BYTES_MAX: u64 = 64 << 10;

/// What the caller says of the two sides of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Host,
    Device,
    /// Whatever the address is.
    Anything,
}

/// One side as described: its kind, its address.
type Part = (Says, u64);

/// By when memory must be there that work in a stream uses.
pub(super) fn due(state: &State, stream: StreamHandle) -> Done<Due> {
    Ok(if state.streams.get(stream)?.capture.is_some() { Due::AtLaunch } else { Due::Now })
}

fn check(state: &State, due: Due, (says, address): Part, bytes: u64) -> Done {
    match says {
        Says::Device => state.memory.check_due(due, address, bytes),
        Says::Host if address == 0 => Err(Code::INVALID_VALUE),
        Says::Anything if address == 0 => Err(Code::INVALID_VALUE),
        Says::Anything if state.memory.knows(address) => state.memory.check(address, bytes),
        // It was freed, or never given out.
        Says::Host | Says::Anything if state.memory.is_void(address) => Err(Code::INVALID_VALUE),
        // How much there is of it is the program's to answer for, unless it cannot be.
        Says::Host | Says::Anything => address.checked_add(bytes).map(drop).ok_or(Code::INVALID_VALUE),
    }
}

/// Puts a copy into a stream; waits for it unless the caller wants to go on.
fn copy(
    process: &Process,
    job: CopyJob,
    sides: [Part; 2],
    told: &Copy3d,
    stream: StreamHandle,
    wait: bool,
) -> Done {
    let mut state = process.state();
    let current = state.current()?;
    let stream = state.stream(stream)?;
    if job.bytes() == 0 {
        return Ok(());
    }
    let due = due(&state, stream)?;
    check(&state, due, sides[0], job.reach(&job.from))?;
    check(&state, due, sides[1], job.reach(&job.to))?;
    let ordinal = state.contexts.get(current)?.ordinal;
    let to_plain = !state.memory.knows(job.to.address);
    let captured = due == Due::AtLaunch;
    // ArrayHandle graph reads plain host memory anew each time it runs. Of other copies only small ones take it with them,
    // as by the driver; the caller waits for the rest.
    let from_plain = !state.memory.knows(job.from.address);
    let read_now = from_plain && !captured && !wait && job.bytes() <= STAGED_BYTES_MAX;
    let op = match read_now {
        true => state.copy_op(process, ordinal, job)?,
        false => state.copy_op_unstaged(process, ordinal, job)?,
    };
    // Only a node is ever asked what it was told.
    let numbers = if captured { told.numbers() } else { Vec::new() };
    drop(state);
    process.make_room(stream, true)?;
    process.state().submit(process, stream, What::Copy(op, numbers), true)?;
    // Plain host memory is filled, or was read, before the call comes back, as by the driver.
    if captured || !(wait || to_plain || (from_plain && !read_now)) {
        return Ok(());
    }
    process.wait_stream(stream)
}

fn line(process: &Process, from: Part, to: Part, bytes: usize, stream: StreamHandle, wait: bool) -> Done {
    let told = Copy3d { from: Side3d::line(from), to: Side3d::line(to), width: bytes, height: 1, depth: 1 };
    copy(process, CopyJob::line(from.1, to.1, bytes), [from, to], &told, stream, wait)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpy(to: u64, from: u64, bytes: usize) -> CUresult {
    call(|process| line(process, (Says::Anything, from), (Says::Anything, to), bytes, Handle::NULL, true))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyAsync(to: u64, from: u64, bytes: usize, stream: StreamHandle) -> CUresult {
    call(|process| line(process, (Says::Anything, from), (Says::Anything, to), bytes, stream, false))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyHtoD_v2(to: u64, from: u64, bytes: usize) -> CUresult {
    call(|process| line(process, (Says::Host, from), (Says::Device, to), bytes, Handle::NULL, true))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    from: u64,
    bytes: usize,
    stream: StreamHandle,
) -> CUresult {
    call(|process| line(process, (Says::Host, from), (Says::Device, to), bytes, stream, false))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyDtoH_v2(to: u64, from: u64, bytes: usize) -> CUresult {
    call(|process| line(process, (Says::Device, from), (Says::Host, to), bytes, Handle::NULL, true))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyDtoHAsync_v2(
    to: u64,
    from: u64,
    bytes: usize,
    stream: StreamHandle,
) -> CUresult {
    call(|process| line(process, (Says::Device, from), (Says::Host, to), bytes, stream, false))
}

/// Copies within a device do not hold the caller up.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) -> CUresult {
    cuMemcpyDtoDAsync_v2(to, from, bytes, Handle::NULL)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyDtoDAsync_v2(
    to: u64,
    from: u64,
    bytes: usize,
    stream: StreamHandle,
) -> CUresult {
    call(|process| line(process, (Says::Device, from), (Says::Device, to), bytes, stream, false))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyPeer(
    to: u64,
    to_context: ContextHandle,
    from: u64,
    from_context: ContextHandle,
    bytes: usize,
) -> CUresult {
    cuMemcpyPeerAsync(to, to_context, from, from_context, bytes, Handle::NULL)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyPeerAsync(
    to: u64,
    to_context: ContextHandle,
    from: u64,
    from_context: ContextHandle,
    bytes: usize,
    stream: StreamHandle,
) -> CUresult {
    call(|process| {
        let state = process.state();
        let known = [to_context, from_context].iter().all(|context| state.contexts.find(*context).is_some());
        drop(state);
        if !known {
            return Err(Code::INVALID_CONTEXT);
        }
        line(process, (Says::Device, from), (Says::Device, to), bytes, stream, false)
    })
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copy2d {
    from_x: usize,
    from_y: usize,
    from_type: u32,
    from_host: u64,
    from_device: u64,
    from_array: ArrayHandle,
    from_pitch: usize,
    to_x: usize,
    to_y: usize,
    to_type: u32,
    to_host: u64,
    to_device: u64,
    to_array: ArrayHandle,
    to_pitch: usize,
    width: usize,
    height: usize,
}

const _: () = assert!(size_of::<Copy2d>() == 128);

/// One side of `CUDA_MEMCPY3D`; a peer copy has a context where there is a spare word here.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side3d {
    x: usize,
    y: usize,
    z: usize,
    level: usize,
    kind: u32,
    host: u64,
    device: u64,
    array: ArrayHandle,
    spare: usize,
    pitch: usize,
    height: usize,
}

const _: () = assert!(size_of::<Side3d>() == 88);

/// `CUDA_MEMCPY3D`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copy3d {
    from: Side3d,
    to: Side3d,
    width: usize,
    height: usize,
    depth: usize,
}

const _: () = assert!(size_of::<Copy3d>() == 200);

impl Copy2d {
    fn whole(&self) -> Copy3d {
        let side = |x, y, kind, host, device, array, pitch| Side3d {
            x,
            y,
            z: 0,
            level: 0,
            kind,
            host,
            device,
            array,
            spare: 0,
            pitch,
            height: 0,
        };
        let from = side(
            self.from_x,
            self.from_y,
            self.from_type,
            self.from_host,
            self.from_device,
            self.from_array,
            self.from_pitch,
        );
        let to = side(
            self.to_x,
            self.to_y,
            self.to_type,
            self.to_host,
            self.to_device,
            self.to_array,
            self.to_pitch,
        );
        Copy3d { from, to, width: self.width, height: self.height, depth: 1 }
    }
}

impl Side3d {
    /// Memory of any kind that begins at an address, with rows and layers of such a length and height.
    pub(super) fn at(address: u64, pitch: usize, height: usize) -> Self {
        let array = Handle::NULL;
        Self { x: 0, y: 0, z: 0, level: 0, kind: 4, host: 0, device: address, array, spare: 0, pitch, height }
    }

    /// An array from an element on, whose elements have so many bytes.
    pub(super) fn in_array(array: ArrayHandle, [x, y, z]: [usize; 3], element: usize) -> Self {
        let x = x * element;
        Self { x, y, z, level: 0, kind: 3, host: 0, device: 0, array, spare: 0, pitch: 0, height: 0 }
    }

    /// One row at an address.
    fn line((says, address): Part) -> Self {
        let (kind, host, device) = match says {
            Says::Host => (1, address, 0),
            Says::Device => (2, 0, address),
            Says::Anything => (4, 0, address),
        };
        let array = ArrayHandle::NULL;
        Self { x: 0, y: 0, z: 0, level: 0, kind, host, device, array, spare: 0, pitch: 0, height: 0 }
    }

    /// Where the first byte is, and how rows and planes follow.
    fn resolve(&self, state: &State, width: usize, height: usize) -> Done<(Side, Says)> {
        let (base, says, pitch, rows) = match self.kind {
            CU_MEMORYTYPE_HOST => (self.host, Says::Host, self.pitch, self.height),
            CU_MEMORYTYPE_DEVICE => (self.device, Says::Device, self.pitch, self.height),
            CU_MEMORYTYPE_ARRAY => {
                let array = state.arrays.find(self.array).ok_or(Code::INVALID_HANDLE)?;
                (array.base, Says::Device, array.descriptor.pitch(), array.descriptor.rows())
            }
            CU_MEMORYTYPE_UNIFIED => (self.device, Says::Anything, self.pitch, self.height),
            _ => return Err(Code::INVALID_VALUE),
        };
        let pitch = if pitch == 0 { width } else { pitch };
        let rows = if rows == 0 { height } else { rows };
        if pitch < width || (self.kind == 3 && self.x.checked_add(width).is_none_or(|end| end > pitch)) {
            return Err(Code::INVALID_VALUE);
        }
        let slice = pitch.checked_mul(rows).ok_or(Code::INVALID_VALUE)?;
        let row = self.y.checked_mul(pitch).and_then(|row| row.checked_add(self.x));
        let offset = self.z.checked_mul(slice).zip(row).and_then(|(plane, row)| plane.checked_add(row));
        let address = offset.and_then(|offset| base.checked_add(offset as u64)).ok_or(Code::INVALID_VALUE)?;
        Ok((Side { address, pitch, slice }, says))
    }
}

impl Copy3d {
    /// ArrayHandle copy of so many bytes, rows and planes.
    pub(super) fn new(from: Side3d, to: Side3d, [width, height, depth]: [usize; 3]) -> Self {
        Self { from, to, width, height, depth }
    }

    /// Whether it copies nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.width == 0 || self.height == 0 || self.depth == 0
    }

    /// The copy as a node's, checked.
    pub(super) fn checked(&self, state: &State) -> Done<CopyJob> {
        let (job, sides) = self.parts(state)?;
        check(state, Due::AtLaunch, sides[0], job.reach(&job.from))?;
        check(state, Due::AtLaunch, sides[1], job.reach(&job.to))?;
        Ok(job)
    }

    /// As words, to be kept.
    pub(super) fn numbers(&self) -> Vec<u64> {
        reread::<_, [u64; size_of::<Self>() / 8]>(self).to_vec()
    }

    /// From such words.
    pub(super) fn from_numbers(numbers: &[u64]) -> Done<Self> {
        let numbers: &[u64; size_of::<Self>() / 8] = numbers.try_into().map_err(|_| Code::INVALID_VALUE)?;
        Ok(reread(numbers))
    }

    fn parts(&self, state: &State) -> Done<(CopyJob, [Part; 2])> {
        let (from, from_says) = self.from.resolve(state, self.width, self.height)?;
        let (to, to_says) = self.to.resolve(state, self.width, self.height)?;
        let job =
            CopyJob { from, to, width: self.width, height: self.height, depth: self.depth, staged: None };
        Ok((job, [(from_says, from.address), (to_says, to.address)]))
    }

    fn run(&self, process: &Process, stream: StreamHandle, wait: bool) -> Done {
        let state = process.state();
        state.current()?;
        if self.is_empty() {
            return Ok(());
        }
        let (job, sides) = self.parts(&state)?;
        drop(state);
        let wait = wait && sides.iter().any(|(says, _)| *says != Says::Device);
        copy(process, job, sides, self, stream, wait)
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpy2D_v2(copy: In<Copy2d>) -> CUresult {
    call(|process| copy.get()?.whole().run(process, Handle::NULL, true))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpy2DUnaligned_v2(copy: In<Copy2d>) -> CUresult {
    call(|process| copy.get()?.whole().run(process, Handle::NULL, true))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpy2DAsync_v2(copy: In<Copy2d>, stream: StreamHandle) -> CUresult {
    call(|process| copy.get()?.whole().run(process, stream, false))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpy3D_v2(copy: In<Copy3d>) -> CUresult {
    call(|process| copy.get()?.run(process, Handle::NULL, true))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpy3DAsync_v2(copy: In<Copy3d>, stream: StreamHandle) -> CUresult {
    call(|process| copy.get()?.run(process, stream, false))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpy3DPeer(copy: In<Copy3d>) -> CUresult {
    call(|process| copy.get()?.run(process, Handle::NULL, false))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpy3DPeerAsync(copy: In<Copy3d>, stream: StreamHandle) -> CUresult {
    call(|process| copy.get()?.run(process, stream, false))
}

/// ArrayHandle part of an array, by offset into its memory.
fn in_array(process: &Process, array: ArrayHandle, offset: usize, bytes: usize) -> Done<u64> {
    let state = process.state();
    state.current()?;
    let array = state.arrays.find(array).ok_or(Code::INVALID_HANDLE)?;
    let whole = array.descriptor.pitch();
    if array.descriptor.height > 0 || offset.checked_add(bytes).is_none_or(|end| end > whole) {
        return Err(Code::INVALID_VALUE);
    }
    Ok(array.base + offset as u64)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyHtoA_v2(
    array: ArrayHandle,
    offset: usize,
    from: u64,
    bytes: usize,
) -> CUresult {
    call(|process| {
        let to = in_array(process, array, offset, bytes)?;
        line(process, (Says::Host, from), (Says::Device, to), bytes, Handle::NULL, true)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyAtoH_v2(
    to: u64,
    array: ArrayHandle,
    offset: usize,
    bytes: usize,
) -> CUresult {
    call(|process| {
        let from = in_array(process, array, offset, bytes)?;
        line(process, (Says::Device, from), (Says::Host, to), bytes, Handle::NULL, true)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyHtoAAsync_v2(
    array: ArrayHandle,
    offset: usize,
    from: u64,
    bytes: usize,
    stream: StreamHandle,
) -> CUresult {
    call(|process| {
        let to = in_array(process, array, offset, bytes)?;
        line(process, (Says::Host, from), (Says::Device, to), bytes, stream, false)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyAtoHAsync_v2(
    to: u64,
    array: ArrayHandle,
    offset: usize,
    bytes: usize,
    stream: StreamHandle,
) -> CUresult {
    call(|process| {
        let from = in_array(process, array, offset, bytes)?;
        line(process, (Says::Device, from), (Says::Host, to), bytes, stream, false)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyDtoA_v2(
    array: ArrayHandle,
    offset: usize,
    from: u64,
    bytes: usize,
) -> CUresult {
    call(|process| {
        let to = in_array(process, array, offset, bytes)?;
        line(process, (Says::Device, from), (Says::Device, to), bytes, Handle::NULL, false)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyAtoD_v2(
    to: u64,
    array: ArrayHandle,
    offset: usize,
    bytes: usize,
) -> CUresult {
    call(|process| {
        let from = in_array(process, array, offset, bytes)?;
        line(process, (Says::Device, from), (Says::Device, to), bytes, Handle::NULL, false)
    })
}

/// Between two arrays of one row, whose elements are of one size.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyAtoA_v2(
    to: ArrayHandle,
    to_offset: usize,
    from: ArrayHandle,
    from_offset: usize,
    bytes: usize,
) -> CUresult {
    call(|process| {
        let to_address = in_array(process, to, to_offset, bytes)?;
        let from_address = in_array(process, from, from_offset, bytes)?;
        let state = process.state();
        let size = |array| Ok(state.arrays.get(array)?.descriptor.element_bytes().unwrap_or(1));
        let (one, other) = (size(to)?, size(from)?);
        drop(state);
        if one != other || !bytes.is_multiple_of(one) {
            return Err(Code::INVALID_VALUE);
        }
        line(process, (Says::Device, from_address), (Says::Device, to_address), bytes, Handle::NULL, false)
    })
}

include!(concat!(env!("OUT_DIR"), "/twins_copy.rs"));
