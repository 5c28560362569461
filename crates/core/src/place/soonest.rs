//! When a task fits at the latest, and where then: what runs is put back in the order in which it ends.

use crate::ask::GrantPart;
use crate::ids::TaskId;
use crate::place::find::{Among, Wanted};
use crate::place::shape::Shape;
use crate::place::view::View;
use crate::units::Timestamp;

impl View<'_> {
    /// The first moment at which it fits if everybody ends when `ends_at` says and nobody comes in between, and
    /// the place for the fewest devices that it can run with then. The moment is zero if it fits as things are,
    /// and [`Timestamp::NEVER`] if somebody must go first whose end nobody knows.
    pub(crate) fn soonest(
        &self,
        wanted: Wanted<'_>,
        ends_at: impl Fn(TaskId) -> Timestamp,
    ) -> Option<(Timestamp, Vec<GrantPart>)> {
        let shape = self.shape(wanted.ask).at_least();
        let mut then = self.clone();
        let count_on = |at| shape.count_on(self.spot(at), self.cluster);
        let mut counts: Vec<Option<usize>> = (0..self.len()).map(count_on).collect();
        let mut all: usize = counts.iter().flatten().sum();
        let mut moment = Timestamp::default();
        if !self.has_place(&shape, Among::All) {
            let mut ends = self.ends(&shape, ends_at);
            ends.sort_by_key(|&(at, task, part)| (at, task, part.node));
            let found = ends.chunk_by(|one, next| one.0 == next.0).find(|together| {
                let mut is_enough = false;
                for &(_, _, part) in *together {
                    then.put_back(std::slice::from_ref(part));
                    let Some(at) = self.ground.mirror.position(part.node) else { continue };
                    let count = shape.count_on(then.spot(at), self.cluster);
                    all = all + count.unwrap_or(0) - std::mem::replace(&mut counts[at], count).unwrap_or(0);
                    is_enough |= match shape.spans() {
                        true => all >= shape.min,
                        false => count.is_some_and(|count| count >= shape.min),
                    };
                }
                is_enough
            });
            moment = found?.first()?.0;
        }
        Some((moment, then.search(wanted, &shape, Among::All)?))
    }

    /// What is held on nodes that could ever serve, and when it ends.
    fn ends(
        &self,
        shape: &Shape,
        ends_at: impl Fn(TaskId) -> Timestamp,
    ) -> Vec<(Timestamp, TaskId, &GrantPart)> {
        let nodes = self.cluster.nodes().filter(|node| shape.may_use(node));
        nodes.flat_map(|node| node.held()).map(|(task, part)| (ends_at(task), task, part)).collect()
    }
}
