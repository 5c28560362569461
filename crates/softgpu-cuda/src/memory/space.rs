//! The address space that device memory lies in: reserved once, handed out in granules.

use std::collections::BTreeMap;

use super::GRANULE;
use crate::abi::{Code, Done};
use crate::sys;
pub(crate) use crate::sys::{commit, commit_file, commit_part, decommit, protect, room_behind};

/// Asked for first; halved until the system agrees. Programs reserve several times what they use.
const RESERVE_BYTES: usize = 16 << 40;
/// Less than this is no use.
const RESERVE_BYTES_MIN: usize = 64 << 30;

/// A stretch of addresses that belongs to this library, and what is free in it.
#[derive(Debug, Default)]
pub(crate) struct Space {
    /// Free stretches: base and length, none touching another.
    free: BTreeMap<u64, u64>,
    reserved: Option<(u64, u64)>,
}

impl Space {
    /// Whether an address is ours.
    pub(crate) fn contains(&self, address: u64) -> bool {
        self.reserved.is_some_and(|(base, bytes)| (base..base + bytes).contains(&address))
    }

    fn reserve(&mut self) -> Done {
        let mut bytes = RESERVE_BYTES;
        while bytes >= RESERVE_BYTES_MIN {
            if let Some(base) = sys::reserve(bytes) {
                let start = base.next_multiple_of(GRANULE);
                let end = (base + bytes as u64) / GRANULE * GRANULE;
                self.free.insert(start, end - start);
                self.reserved = Some((start, end - start));
                return Ok(());
            }
            bytes /= 2;
        }
        Err(Code::OUT_OF_MEMORY)
    }

    /// Takes `bytes` (a multiple of the granule) at a multiple of `alignment`; at `wanted` if that is free.
    pub(crate) fn take(&mut self, bytes: u64, alignment: u64, wanted: u64) -> Done<u64> {
        if self.reserved.is_none() {
            self.reserve()?;
        }
        let alignment = alignment.max(GRANULE);
        let fits = |base: u64, length: u64, at: u64| at >= base && at + bytes <= base + length;
        if wanted != 0 && wanted.is_multiple_of(alignment) {
            let around = self.free.range(..=wanted).next_back().map(|(base, length)| (*base, *length));
            if let Some((base, length)) = around.filter(|(base, length)| fits(*base, *length, wanted)) {
                self.carve(base, length, wanted, bytes);
                return Ok(wanted);
            }
        }
        let aligned = |base: u64| base.next_multiple_of(alignment);
        let found = self.free.iter().find(|(base, length)| fits(**base, **length, aligned(**base)));
        let (base, length) = found.map(|(base, length)| (*base, *length)).ok_or(Code::OUT_OF_MEMORY)?;
        self.carve(base, length, aligned(base), bytes);
        Ok(aligned(base))
    }

    fn carve(&mut self, base: u64, length: u64, at: u64, bytes: u64) {
        self.free.remove(&base);
        if at > base {
            self.free.insert(base, at - base);
        }
        if at + bytes < base + length {
            self.free.insert(at + bytes, base + length - at - bytes);
        }
    }

    /// Gives a stretch back. Its pages must be unmapped already.
    pub(crate) fn give(&mut self, base: u64, bytes: u64) {
        let (mut base, mut bytes) = (base, bytes);
        if let Some((before, length)) = self.free.range(..base).next_back().map(|(at, length)| (*at, *length))
            && before + length == base
        {
            self.free.remove(&before);
            base = before;
            bytes += length;
        }
        if let Some(length) = self.free.remove(&(base + bytes)) {
            bytes += length;
        }
        self.free.insert(base, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_whole_again() {
        let mut space = Space::default();
        let parts: Vec<u64> = (1..=4).map(|n| space.take(n * GRANULE, GRANULE, 0).unwrap()).collect();
        let whole = space.free.clone();
        for (part, n) in parts.iter().zip(1..) {
            assert!(space.contains(*part) && part % GRANULE == 0);
            space.give(*part, n * GRANULE);
        }
        assert_eq!(space.free.len(), 1);
        assert_ne!(space.free, whole);
        assert_eq!(space.take(GRANULE, GRANULE, parts[2]).unwrap(), parts[2]);
        assert_ne!(space.take(GRANULE, GRANULE, parts[2]).unwrap(), parts[2], "it is taken");
        assert_eq!(space.take(GRANULE, 1 << 30, 0).unwrap() % (1 << 30), 0);
    }
}
