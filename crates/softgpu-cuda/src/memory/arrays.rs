//! Arrays: memory that is addressed by element, one row after the other.

use fastgpu_softgpu::ledger::layout::Class;

use super::{GRANULE, Kind, SMALL_MAX};
use crate::abi::{Code, Done};
use crate::handle::Handle;
use crate::process::Process;
use crate::state::{Context, State};

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

/// An array.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) descriptor: Descriptor,
    pub(crate) context: Handle<Context>,
    pub(crate) ordinal: i32,
    pub(crate) base: u64,
    pub(crate) bytes: u64,
}

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

    /// Bytes of a row.
    pub(crate) fn pitch(&self) -> usize {
        self.width * self.element_bytes().unwrap_or(1)
    }

    /// Rows of a plane.
    pub(crate) fn rows(&self) -> usize {
        self.height.max(1)
    }
}

impl State {
    /// Makes an array.
    pub(crate) fn create_array(
        &mut self,
        process: &Process,
        context: Handle<Context>,
        descriptor: Descriptor,
    ) -> Done<Handle<Array>> {
        let element = descriptor.element_bytes().ok_or(Code::INVALID_VALUE)?;
        let planes = descriptor.depth.max(1);
        let flat = descriptor.depth == 0;
        let most = if flat { [131_072, 65_536] } else { [16_384, 16_384] };
        if descriptor.width > most[0] || descriptor.height > most[1] || descriptor.depth > 16_384 {
            return Err(Code::INVALID_VALUE);
        }
        let bytes = [descriptor.width, descriptor.rows(), planes]
            .into_iter()
            .try_fold(element, usize::checked_mul)
            .filter(|bytes| *bytes > 0)
            .ok_or(Code::INVALID_VALUE)? as u64;
        let ordinal = self.contexts.get(context)?.ordinal;
        let mapped = bytes.max(SMALL_MAX).next_multiple_of(GRANULE);
        let base = self.granules(process, ordinal, Class::Array, mapped)?;
        self.note(base, bytes, mapped, context, ordinal, Kind::Array);
        Ok(self.arrays.insert(Array { descriptor, context, ordinal, base, bytes: mapped }))
    }

    /// Ends an array. The caller has waited for the device.
    pub(crate) fn destroy_array(&mut self, process: &Process, handle: Handle<Array>) -> Done {
        let array = self.arrays.remove(handle)?;
        self.memory.remove(array.base);
        self.unmap(array.base, array.bytes);
        process.release(array.ordinal, Class::Array, array.bytes);
        Ok(())
    }
}
