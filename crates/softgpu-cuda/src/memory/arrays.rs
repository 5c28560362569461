//! Arrays: memory that is addressed by element, one row after the other. Arrays of several planes or levels are one piece
//! of memory, of which planes and levels are views.

use fastgpu_softgpu::ledger::layout::Class;

use super::{GRANULE, Kind, SMALL_MAX};
use super::{Home, MemoryPart};
use crate::abi::{Code, Done};
use crate::handle::{ArrayHandle, ContextHandle, MipmapHandle};
use crate::process::Process;

/// What an array is made of, as the driver's descriptor says it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) width: usize,
    /// 0 for one dimension.
    pub(crate) height: usize,
    /// 0 for one or two dimensions.
    pub(crate) depth: usize,
    pub(crate) format: u32,
    pub(crate) channels: u32,
    pub(crate) flags: u32,
}

const _: () = assert!(size_of::<Descriptor>() == 40);

/// An array.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) descriptor: Descriptor,
    pub(crate) context: ContextHandle,
    pub(crate) ordinal: i32,
    pub(crate) base: u64,
    /// As charged; 0: it is a view of another one, or of a level of a mipmapped one.
    pub(crate) bytes: u64,
    /// Its planes, if it has several.
    pub(crate) planes: Vec<ArrayHandle>,
}

/// An array with smaller and smaller versions of itself.
#[derive(Debug)]
pub(crate) struct Mipmap {
    pub(crate) context: ContextHandle,
    pub(crate) levels: Vec<ArrayHandle>,
    ordinal: i32,
    base: u64,
    bytes: u64,
}

/// One plane of a format: what width and height are divided by, format and channels.
type Plane = (usize, usize, u32, u32);

/// The planes of the formats that have several.
fn planes(format: u32) -> &'static [Plane] {
    match format {
        // 4:2:0 with 8 and with 16 bits.
        0xb0 => &[(1, 1, 0x01, 1), (2, 2, 0x01, 2)],
        0x9f | 0xa1 => &[(1, 1, 0x02, 1), (2, 2, 0x02, 2)],
        // 4:2:2 with 8 and with 16 bits.
        0xa2 => &[(1, 1, 0x01, 1), (2, 1, 0x01, 2)],
        0xa3 | 0xa4 => &[(1, 1, 0x02, 1), (2, 1, 0x02, 2)],
        // 4:4:4, planar and half so.
        0xb2 => &[(1, 1, 0x01, 1), (1, 1, 0x01, 1), (1, 1, 0x01, 1)],
        0xb3 => &[(1, 1, 0x02, 1), (1, 1, 0x02, 1), (1, 1, 0x02, 1)],
        0xb4 => &[(1, 1, 0x01, 1), (1, 1, 0x01, 2)],
        0xb5 => &[(1, 1, 0x02, 1), (1, 1, 0x02, 2)],
        _ => &[],
    }
}

/// Flags: the depth is a number of layers; of faces of a cube.
const LAYERED: u32 = 1;
const CUBEMAP: u32 = 4;
/// Flags of arrays whose memory comes later: sparse, deferred.
const WITHOUT_MEMORY: u32 = 0xc0;

impl Descriptor {
    /// Bytes of one element, if the format is one of the plain ones.
    pub(crate) fn element_bytes(&self) -> Option<usize> {
        let channel = match self.format {
            0x01 | 0x08 => 1,
            0x02 | 0x09 | 0x10 => 2,
            0x03 | 0x0a | 0x20 => 4,
            _ => return None,
        };
        matches!(self.channels, 1 | 2 | 4).then_some(channel * self.channels as usize)
    }

    /// Whether the depth is a number of layers, which all levels have.
    fn is_layered(&self) -> bool {
        self.flags & (LAYERED | CUBEMAP) != 0
    }

    /// All of it in bytes, if it can be.
    fn bytes(&self) -> Option<u64> {
        let most = match (self.depth == 0, self.is_layered()) {
            (true, _) => [131_072, 65_536],
            (false, true) => [32_768, 32_768],
            (false, false) => [16_384, 16_384],
        };
        let cube = self.flags & CUBEMAP == 0 || (self.width == self.height && self.depth.is_multiple_of(6));
        if self.width > most[0] || self.height > most[1] || self.depth > 16_384 || !cube {
            return None;
        }
        let mut all = [self.width, self.rows(), self.depth.max(1)].into_iter();
        let bytes = all.try_fold(self.element_bytes()?, usize::checked_mul);
        bytes.filter(|bytes| *bytes > 0).map(|bytes| bytes as u64)
    }

    /// What a plane of it looks like.
    fn plane(&self, (across, down, format, channels): Plane) -> Self {
        Self { width: self.width / across, height: self.height / down, format, channels, ..*self }
    }

    /// What a level of it looks like.
    fn level(&self, level: u32) -> Self {
        let half = |length: usize| if length == 0 { 0 } else { (length >> level).max(1) };
        let depth = if self.is_layered() { self.depth } else { half(self.depth) };
        Self { width: half(self.width), height: half(self.height), depth, ..*self }
    }

    /// How many levels there can be.
    fn levels_max(&self) -> u32 {
        let depth = if self.is_layered() { 0 } else { self.depth };
        self.width.max(self.height).max(depth).max(1).ilog2() + 1
    }

    /// Bytes of a row.
    pub(crate) fn pitch(&self) -> usize {
        self.width * self.element_bytes().unwrap_or(1)
    }

    /// Rows of a plane.
    pub(crate) fn rows(&self) -> usize {
        self.height.max(1)
    }
}

impl MemoryPart {
    /// Makes an array.
    pub(crate) fn create_array(
        &mut self,
        process: &Process,
        home: Home,
        descriptor: Descriptor,
    ) -> Done<ArrayHandle> {
        if descriptor.flags & WITHOUT_MEMORY != 0 {
            return Err(Code::NOT_SUPPORTED);
        }
        let parts: Vec<Descriptor> =
            planes(descriptor.format).iter().map(|one| descriptor.plane(*one)).collect();
        let bytes = match parts.as_slice() {
            [] => descriptor.bytes(),
            parts => parts.iter().map(Descriptor::bytes).sum(),
        };
        let bytes = bytes.ok_or(Code::INVALID_VALUE)?;
        let Home { context, ordinal } = home;
        let mapped = bytes.max(SMALL_MAX).next_multiple_of(GRANULE);
        let base = self.granules(process, ordinal, Class::Array, mapped)?;
        self.note(base, bytes, mapped, home, Kind::Array);
        let planes = self.views(context, ordinal, base, &parts);
        Ok(self.arrays.insert(Array { descriptor, context, ordinal, base, bytes: mapped, planes }))
    }

    /// Arrays that lie one behind the other in memory that is there.
    fn views(
        &mut self,
        context: ContextHandle,
        ordinal: i32,
        base: u64,
        parts: &[Descriptor],
    ) -> Vec<ArrayHandle> {
        let mut at = base;
        let mut views = Vec::with_capacity(parts.len());
        for descriptor in parts {
            let view =
                Array { descriptor: *descriptor, context, ordinal, base: at, bytes: 0, planes: Vec::new() };
            views.push(self.arrays.insert(view));
            at += descriptor.bytes().unwrap_or(0);
        }
        views
    }

    /// Makes an array with up to so many levels.
    pub(crate) fn create_mipmap(
        &mut self,
        process: &Process,
        home: Home,
        descriptor: Descriptor,
        levels: u32,
    ) -> Done<MipmapHandle> {
        if descriptor.flags & WITHOUT_MEMORY != 0 {
            return Err(Code::NOT_SUPPORTED);
        }
        let too_wide = descriptor.depth == 0 && descriptor.width.max(descriptor.height) > 32_768;
        descriptor.bytes().filter(|_| !too_wide).ok_or(Code::INVALID_VALUE)?;
        let Home { context, ordinal } = home;
        let count = levels.clamp(1, descriptor.levels_max());
        let parts: Vec<Descriptor> = (0..count).map(|level| descriptor.level(level)).collect();
        let bytes: u64 = parts.iter().filter_map(Descriptor::bytes).sum();
        let mapped = bytes.max(SMALL_MAX).next_multiple_of(GRANULE);
        let base = self.granules(process, ordinal, Class::Array, mapped)?;
        self.note(base, bytes, mapped, home, Kind::Array);
        let levels = self.views(context, ordinal, base, &parts);
        Ok(self.mipmaps.insert(Mipmap { context, levels, ordinal, base, bytes: mapped }))
    }

    /// Ends an array of levels, with them. The caller has waited for the device.
    pub(crate) fn destroy_mipmap(&mut self, process: &Process, handle: MipmapHandle) -> Done {
        let mipmap = self.mipmaps.remove(handle)?;
        mipmap.levels.into_iter().for_each(|level| drop(self.arrays.remove(level)));
        self.memory.remove(mipmap.base);
        self.unmap(mipmap.base, mipmap.bytes);
        process.release(mipmap.ordinal, Class::Array, mipmap.bytes);
        Ok(())
    }

    /// Ends an array. The caller has waited for the device.
    pub(crate) fn destroy_array(&mut self, process: &Process, handle: ArrayHandle) -> Done {
        // Planes and levels go with what they are views of.
        if self.arrays.get(handle)?.bytes == 0 {
            return Err(Code::INVALID_HANDLE);
        }
        let array = self.arrays.remove(handle)?;
        array.planes.into_iter().for_each(|plane| drop(self.arrays.remove(plane)));
        self.memory.remove(array.base);
        self.unmap(array.base, array.bytes);
        process.release(array.ordinal, Class::Array, array.bytes);
        Ok(())
    }
}
