//! Textures and surfaces: what is kept of them. No kernel here samples one.

use super::MemoryPart;
use crate::abi::{Code, Done};
use crate::handle::{ArrayHandle, ContextHandle, Handle, MipmapHandle};
use crate::memory::arrays::Descriptor;

/// Addresses begin at multiples of this, rows at multiples of that; as the device's attributes say.
const ALIGNMENT: u64 = 512;
const PITCH_ALIGNMENT: usize = 32;
/// Most elements of linear memory, and the largest sheet: width, height, pitch.
const LINEAR_MAX: usize = 1 << 28;
const SHEET_MAX: [usize; 3] = [131_072, 65_000, 2_097_120];

/// `CUDA_RESOURCE_DESC`: what kind, and by kind: a handle, or address, format and channels, and up to three lengths.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResourceDescription {
    pub(crate) kind: u32,
    place: u64,
    format: u32,
    channels: u32,
    lengths: [usize; 3],
    spare: [u64; 11],
    flags: u32,
}

const _: () = assert!(size_of::<ResourceDescription>() == 144);

/// `CUDA_TEXTURE_DESC`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextureDescription {
    address_modes: [u32; 3],
    filter: u32,
    flags: u32,
    anisotropy: u32,
    level_filter: u32,
    /// Bias, lowest and highest level.
    levels: [f32; 3],
    border: [f32; 4],
    spare: [u32; 12],
}

const _: () = assert!(size_of::<TextureDescription>() == 104);

/// `CUDA_RESOURCE_VIEW_DESC`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ViewDescription {
    format: u32,
    extent: [usize; 3],
    /// First and last level, first and last layer.
    parts: [u32; 4],
    spare: [u32; 16],
}

const _: () = assert!(size_of::<ViewDescription>() == 112);

/// A texture, or a surface.
#[derive(Debug)]
pub(crate) struct Texture {
    pub(crate) context: ContextHandle,
    pub(crate) resource: ResourceDescription,
    /// How it is sampled; a surface is not.
    pub(crate) sampling: Option<TextureDescription>,
    pub(crate) view: Option<ViewDescription>,
}

/// Coordinates from 0 to 1: levels cannot be sampled otherwise.
const NORMALIZED: u32 = 0x02;
/// All flags of sampling.
const FLAGS: u32 = 0x73;

impl ResourceDescription {
    /// An array, and all a surface can be of.
    pub(crate) const ARRAY: u32 = 0;
    const MIPMAP: u32 = 1;
    const LINEAR: u32 = 2;
    const SHEET: u32 = 3;

    /// Refuses what is not there or not as it must be.
    pub(crate) fn check(&self, memory: &MemoryPart) -> Done {
        if self.flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        match self.kind {
            Self::ARRAY => {
                let array: ArrayHandle = Handle::of(self.place as usize);
                memory.arrays.find(array).map(drop).ok_or(Code::INVALID_VALUE)
            }
            Self::MIPMAP => {
                let mipmap: MipmapHandle = Handle::of(self.place as usize);
                memory.mipmaps.find(mipmap).map(drop).ok_or(Code::INVALID_VALUE)
            }
            Self::LINEAR | Self::SHEET => self.check_memory(memory),
            _ => Err(Code::INVALID_VALUE),
        }
    }

    fn check_memory(&self, memory: &MemoryPart) -> Done {
        let element = Descriptor {
            width: 1,
            height: 0,
            depth: 0,
            format: self.format,
            channels: self.channels,
            flags: 0,
        };
        let element = element.element_bytes().ok_or(Code::INVALID_VALUE)?;
        let [first, height, pitch] = self.lengths;
        let (fits, bytes) = if self.kind == Self::LINEAR {
            (first > 0 && first / element <= LINEAR_MAX, first)
        } else {
            let row = first.saturating_mul(element);
            let small =
                [first, height, pitch].iter().zip(SHEET_MAX).all(|(one, most)| (1..=most).contains(one));
            (
                small && row <= pitch && pitch.is_multiple_of(PITCH_ALIGNMENT),
                pitch.saturating_mul(height.max(1) - 1).saturating_add(row),
            )
        };
        if !fits || !self.place.is_multiple_of(ALIGNMENT) {
            return Err(Code::INVALID_VALUE);
        }
        memory.memory.check(self.place, bytes as u64)
    }
}

impl TextureDescription {
    /// Refuses what cannot be sampled like this.
    pub(crate) fn check(&self, resource: &ResourceDescription) -> Done {
        let modes = self.address_modes.iter().all(|mode| *mode <= 3);
        let filters = self.filter <= 1 && self.level_filter <= 1;
        let levels = resource.kind != ResourceDescription::MIPMAP || self.flags & NORMALIZED != 0;
        if modes && filters && levels && self.flags & !FLAGS == 0 { Ok(()) } else { Err(Code::INVALID_VALUE) }
    }
}

impl ViewDescription {
    /// Refuses a view of what has none, or one of no format.
    pub(crate) fn check(&self, resource: &ResourceDescription) -> Done {
        let [first_level, last_level, first_layer, last_layer] = self.parts;
        let of_arrays = matches!(resource.kind, ResourceDescription::ARRAY | ResourceDescription::MIPMAP);
        let rising = first_level <= last_level && first_layer <= last_layer;
        if of_arrays && rising && self.format <= 0x22 { Ok(()) } else { Err(Code::INVALID_VALUE) }
    }
}
