//! stub
use crate::mix::Mix;
use crate::plan::mirror::{Mirror, Slot, Spot};
use crate::plan::shape::Shape;

#[derive(Debug, Clone, Default)]
pub(super) struct Worth {
    epoch: u64,
}

impl Worth {
    pub(super) fn sync(&mut self, mix: &Mix, _mirror: &Mirror) {
        self.epoch = mix.epoch();
    }
    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }
    pub(super) fn cost(&self, shape: &Shape, spot: &Spot, _count: usize) -> u32 {
        spot.slots.iter().map(|s| s.milli).sum::<u32>() + u32::from(shape.max == 0)
    }
    pub(super) fn drop_of(&self, _shape: &Shape, slot: &Slot) -> u32 {
        slot.milli
    }
}
