//! What the floor of memory keeps of this process.

use super::Memory;
use super::arrays::{Array, Mipmap};
use super::graph_memory::GraphMemory;
use super::physical::Physical;
use super::pools::{DevicePools, Pool};
use super::textures::Texture;
use crate::handle::{Slab, names};

/// The lowest part of the state.
#[derive(Debug)]
pub(crate) struct MemoryPart {
    pub(crate) pools: Slab<names::Pool, Pool>,
    pub(crate) arrays: Slab<names::Array, Array>,
    pub(crate) physicals: Slab<names::Physical, Physical>,
    pub(crate) mipmaps: Slab<names::Mipmap, Mipmap>,
    pub(crate) textures: Slab<names::Texture, Texture>,
    pub(crate) memory: Memory,
    /// What graphs hold of each device, by ordinal.
    pub(crate) graph_memory: Vec<GraphMemory>,
    /// The pools of each device, by ordinal.
    pub(crate) device_pools: Vec<DevicePools>,
    /// Stream-ordered memory whose end was reached.
    pub(crate) freed: Vec<u64>,
    next_id: u64,
}

impl MemoryPart {
    pub(crate) fn new(devices: usize) -> Self {
        Self {
            pools: Slab::new(0x5b),
            arrays: Slab::new(0x5c),
            physicals: Slab::new(0x5d),
            mipmaps: Slab::new(0x60),
            textures: Slab::new(0x61),
            memory: Memory::default(),
            graph_memory: vec![GraphMemory::default(); devices],
            device_pools: vec![DevicePools::default(); devices],
            freed: Vec::new(),
            // The driver's first few belong to itself.
            next_id: 20,
        }
    }

    /// A number that nothing else in this process has.
    pub(crate) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
