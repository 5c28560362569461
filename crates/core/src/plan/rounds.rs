//! Rounds in a row: plan, adopt what was planned, and again at once while a plan says that there is more. The loop of
//! the server and that of the simulator are this one.

use super::{Planner, needs_round};
use crate::decision::Plan;
use crate::state::{Changes, State};
use crate::units::Timestamp;

/// Rounds in a row before anything else is looked at. Each starts up to [`STARTS_MAX`](super::STARTS_MAX) tasks, so
/// only more than 16,384 starts at one moment need another turn; fewer rounds would cut such a moment into pieces that
/// see each other's reports, more would let the inbox wait.
const ROUNDS_MAX: usize = 16;

impl Planner {
    /// When the last plan wants to be made again, even if nothing happens.
    #[must_use]
    pub const fn wake_at(&self) -> Option<Timestamp> {
        self.wake_at
    }

    /// Plans and adopts until a plan is done or the limit is reached, if there is anything to plan. Says whether
    /// there was. Each plan is made by `decide`, which calls [`Planner::plan`] and may note what came out, or how
    /// long it took.
    pub fn rounds(
        &mut self,
        state: &mut State,
        now: Timestamp,
        out: &mut Changes,
        mut decide: impl FnMut(&mut Self, &State) -> Plan,
    ) -> bool {
        let is_due = self.wake_at.is_some_and(|at| at <= now);
        if !needs_round(state) && !is_due {
            return false;
        }
        for _ in 0..ROUNDS_MAX {
            let plan = decide(self, state);
            state.adopt(&plan, now, out);
            self.wake_at = if plan.more { Some(now) } else { plan.wake_at };
            if !plan.more {
                break;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Beginning;
    use crate::units::Millis;

    /// How many rounds were made at a moment when plans say this, and when they want to be made again.
    fn made(planner: &mut Planner, now: Timestamp, plan: &Plan) -> (usize, Option<Timestamp>) {
        let mut state = State::new(Beginning::default());
        let mut rounds = 0;
        planner.rounds(&mut state, now, &mut Changes::default(), |_, _| {
            rounds += 1;
            plan.clone()
        });
        (rounds, planner.wake_at())
    }

    #[test]
    fn rounds_follow_each_other_while_there_is_more_and_end_at_the_limit() {
        let (now, later) = (Timestamp(7), Timestamp(7).plus(Millis(5)));
        let mut planner = Planner { wake_at: Some(now), ..Planner::default() };
        let more = Plan { more: true, ..Plan::default() };
        assert_eq!(made(&mut planner, now, &more), (ROUNDS_MAX, Some(now)), "the rest is due at once");
        let done = Plan { wake_at: Some(later), ..Plan::default() };
        assert_eq!(made(&mut planner, now, &done), (1, Some(later)));
        assert_eq!(made(&mut planner, now, &done), (0, Some(later)), "nothing changed and nothing is due");
        assert_eq!(made(&mut planner, later, &Plan::default()), (1, None));
    }
}
