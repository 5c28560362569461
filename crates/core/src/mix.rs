//! What kinds of tasks arrive: the mix that placement keeps room for, learned online and forgotten with time.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ask::Ask;

/// Weight of one arrival; weights decay, so that the mix follows what is asked for lately.
const UNIT: u64 = 1 << 20;
/// Arrivals between two decays.
const DECAY_EVERY: u64 = 1_024;
/// A decay keeps this many 256ths of every weight: half a weight after about eleven decays.
const DECAY_KEEPS: u64 = 240;
/// Arrivals between two looks at the mix, once many have been seen.
const EPOCH_EVERY: u64 = 1_000;
/// Shapes kept; beyond that the lightest go at the next decay.
const SHAPES_MAX: usize = 4_096;

/// How often each shape arrived lately.
#[derive(Debug, Clone, Default)]
pub struct Mix {
    weights: BTreeMap<Arc<Ask>, u64>,
    arrivals: u64,
    epoch: u64,
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
            self.weights.retain(|_, weight| {
                *weight = *weight * DECAY_KEEPS / 256;
                *weight > UNIT / 64
            });
        }
        // Few arrivals say little, and each new one much: 16, 32, 64, … and then every thousand.
        let is_due = match self.arrivals {
            0..EPOCH_EVERY => self.arrivals >= 16 && self.arrivals.is_power_of_two(),
            _ => self.arrivals.is_multiple_of(EPOCH_EVERY),
        };
        if is_due {
            self.epoch += 1;
        }
    }

    /// Rises when the mix is worth looking at again.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Every shape with its weight, in a stable order.
    pub fn shapes(&self) -> impl Iterator<Item = (&Ask, u64)> {
        self.weights.iter().map(|(ask, &weight)| (&**ask, weight))
    }
}
