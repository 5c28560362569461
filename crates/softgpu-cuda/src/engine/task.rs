//! What happens to memory: real bytes, moved by the processor.
//!
//! All ranges were checked against the allocations when the work was asked for, and memory is not unmapped
//! while work is under way: who frees it waits first.

use std::sync::Arc;

use crate::abi::Done;
use crate::kernels::{Fault, Kernel};
use crate::sys;

/// Something that happens to memory.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// A kernel runs.
    Kernel(Kernel),
    /// Bytes are copied.
    Copy(CopyJob),
    /// Memory is filled with a value.
    Set(SetJob),
    /// A kernel dies.
    Fault(Fault),
}

/// A copy of up to three dimensions.
#[derive(Debug, Clone)]
pub(crate) struct CopyJob {
    pub(crate) from: Side,
    pub(crate) to: Side,
    /// Bytes of a row.
    pub(crate) width: usize,
    /// Rows of a plane.
    pub(crate) height: usize,
    /// Planes.
    pub(crate) depth: usize,
    /// What lay at the source when the copy was asked for, if that is what is to be copied.
    pub(crate) staged: Option<Arc<[u8]>>,
}

/// One side of a copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side {
    /// Address of the first byte.
    pub(crate) address: u64,
    /// From one row to the next, in bytes.
    pub(crate) pitch: usize,
    /// From one plane to the next, in bytes.
    pub(crate) slice: usize,
}

/// Memory to be filled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetJob {
    pub(crate) address: u64,
    pub(crate) value: u32,
    /// Bytes of one element: 1, 2 or 4.
    pub(crate) size: usize,
    /// Elements of a row.
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// From one row to the next, in bytes.
    pub(crate) pitch: usize,
}

impl Task {
    /// Does it. Only a kernel can fail.
    pub(crate) fn run(&self) -> Done {
        match self {
            Self::Kernel(kernel) => kernel.run(),
            Self::Copy(job) => {
                job.run();
                Ok(())
            }
            Self::Set(job) => {
                job.run();
                Ok(())
            }
            Self::Fault(fault) => Err(fault.code()),
        }
    }
}

impl CopyJob {
    /// A copy of one row.
    pub(crate) fn line(from: u64, to: u64, bytes: usize) -> Self {
        let side = |address| Side { address, pitch: bytes, slice: bytes };
        Self { from: side(from), to: side(to), width: bytes, height: 1, depth: 1, staged: None }
    }

    /// Everything it moves, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.width.saturating_mul(self.height).saturating_mul(self.depth) as u64
    }

    /// How far a side reaches from its first byte, in bytes; further than any memory if it is too far for a number.
    pub(crate) fn reach(&self, side: &Side) -> u64 {
        let planes = side.slice.saturating_mul(self.depth - 1);
        let rows = side.pitch.saturating_mul(self.height - 1);
        planes.saturating_add(rows).saturating_add(self.width) as u64
    }

    /// Takes the source's bytes now, so that the program may change them afterwards.
    pub(crate) fn stage(&mut self) {
        let mut bytes = vec![0u8; self.width * self.height * self.depth];
        self.rows(|row, from, _| {
            let to = &mut bytes[row * self.width..][..self.width];
            sys::copy_in(from, to);
        });
        self.staged = Some(bytes.into());
    }

    fn rows(&self, mut each: impl FnMut(usize, u64, u64)) {
        for plane in 0..self.depth {
            for row in 0..self.height {
                let at = |side: &Side| side.address + (plane * side.slice + row * side.pitch) as u64;
                each(plane * self.height + row, at(&self.from), at(&self.to));
            }
        }
    }

    fn run(&self) {
        self.rows(|row, from, to| match &self.staged {
            Some(bytes) => sys::copy_out(&bytes[row * self.width..][..self.width], to),
            None => sys::copy(from, to, self.width),
        });
    }
}

impl SetJob {
    /// Everything it writes, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.size.saturating_mul(self.width).saturating_mul(self.height) as u64
    }

    /// How far it reaches from its first byte, in bytes; further than any memory if it is too far for a number.
    pub(crate) fn reach(&self) -> u64 {
        let row = self.size.saturating_mul(self.width);
        self.pitch.max(row).saturating_mul(self.height.saturating_sub(1)).saturating_add(row) as u64
    }

    fn run(&self) {
        for row in 0..self.height {
            let start = self.address + (row * self.pitch) as u64;
            match self.size {
                1 => sys::fill(start, self.width, self.value as u8),
                2 => sys::fill(start, self.width, self.value as u16),
                _ => sys::fill(start, self.width, self.value),
            }
        }
    }
}
