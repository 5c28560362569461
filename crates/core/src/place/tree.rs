//! The smallest of many scores, and the first place that has it: a segment tree over nodes in their order.

/// No place at all.
pub(super) const NONE: u32 = u32::MAX;

/// Scores by position; smaller is better, of equal ones the first position wins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    /// Inner minima from 1, then the leaves from `leaves`.
    minima: Vec<u32>,
    leaves: usize,
}

impl Tree {
    /// A tree of `scores`, in time linear in their number.
    pub(super) fn of(scores: impl ExactSizeIterator<Item = u32>) -> Self {
        let leaves = scores.len().next_power_of_two();
        let mut minima = vec![NONE; 2 * leaves];
        for (leaf, score) in minima[leaves..].iter_mut().zip(scores) {
            *leaf = score;
        }
        for at in (1..leaves).rev() {
            minima[at] = minima[2 * at].min(minima[2 * at + 1]);
        }
        Self { minima, leaves }
    }

    /// Changes one score, in time logarithmic in their number, and at once if it is no other.
    pub(super) fn set(&mut self, position: usize, score: u32) {
        let mut at = self.leaves + position;
        if self.minima[at] == score {
            return;
        }
        self.minima[at] = score;
        while at > 1 {
            at /= 2;
            let smallest = self.minima[2 * at].min(self.minima[2 * at + 1]);
            if self.minima[at] == smallest {
                return;
            }
            self.minima[at] = smallest;
        }
    }

    /// The first position with the smallest score; `None` if nothing has one.
    pub(super) fn best(&self) -> Option<usize> {
        let smallest = *self.minima.get(1)?;
        if smallest == NONE {
            return None;
        }
        let mut at = 1;
        while at < self.leaves {
            at *= 2;
            if self.minima[at] != smallest {
                at += 1;
            }
        }
        Some(at - self.leaves)
    }

    /// Every position that has a score, in order.
    pub(super) fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        let leaves = self.minima.get(self.leaves..).unwrap_or_default();
        leaves.iter().enumerate().filter(|&(_, &score)| score != NONE).map(|(position, _)| position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_smallest_wins_whatever_changes() {
        let mut scores: Vec<u32> = (0..37u32).map(|i| i * 7_919 % 11).collect();
        let mut tree = Tree::of(scores.iter().copied());
        for step in 0..2_000usize {
            let position = step * 31 % scores.len();
            scores[position] = if step % 5 == 0 { NONE } else { u32::try_from(step * 7_919 % 16).unwrap() };
            tree.set(position, scores[position]);
            let smallest = *scores.iter().min().unwrap();
            let expected = scores.iter().position(|&score| score == smallest).filter(|_| smallest != NONE);
            assert_eq!(tree.best(), expected, "step {step}");
        }
        assert_eq!(Tree::of(std::iter::empty()).best(), None);
        assert_eq!(Tree::of([5].into_iter()).best(), Some(0));
    }
}
