//! What kinds of tasks arrive: the mix that placement keeps room for, learned online and forgotten with time.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ask::Ask;

/// Weight of one arrival; weights decay, so that the mix follows what is asked for lately.
const UNIT: u64 = 1 << 12;
/// Arrivals between two decays.
const DECAY_EVERY: u64 = 512;
/// A decay keeps this many 256ths of every weight: half is left after about seven decays.
const DECAY_KEEPS: u64 = 232;
/// Shapes kept; the lightest go at a decay, and until then no new ones come.
const SHAPES_MAX: usize = 4_096;

/// How often each shape arrived lately.
#[derive(Debug, Clone, Default)]
pub struct Mix {
    weights: BTreeMap<Arc<Ask>, u64>,
    arrivals: u64,
}

impl Mix {
    /// Counts an arrival.
    pub fn observe(&mut self, ask: &Arc<Ask>) {
        let is_full = self.weights.len() >= SHAPES_MAX;
        match self.weights.get_mut(ask) {
            Some(weight) => *weight += UNIT,
            None if !is_full => drop(self.weights.insert(ask.clone(), UNIT)),
            None => {}
        }
        self.arrivals += 1;
        if self.arrivals.is_multiple_of(DECAY_EVERY) {
            self.decay();
        }
    }

    fn decay(&mut self) {
        self.weights.retain(|_, weight| {
            *weight = *weight * DECAY_KEEPS / 256;
            *weight >= UNIT / 16
        });
        if self.weights.len() >= SHAPES_MAX {
            let mut weights: Vec<u64> = self.weights.values().copied().collect();
            let middle = weights.len() / 2;
            let (_, &mut median, _) = weights.select_nth_unstable(middle);
            self.weights.retain(|_, weight| *weight > median);
        }
    }

    /// How many arrived so far.
    #[must_use]
    pub const fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// Every shape with its weight, in a stable order.
    pub fn shapes(&self) -> impl Iterator<Item = (&Arc<Ask>, u64)> {
        self.weights.iter().map(|(ask, &weight)| (ask, weight))
    }
}
