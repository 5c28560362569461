//! What a listing asks for, made ready for any implementation: filters become a range of ids where they can.

use fastgpu_core::ids::{IdSource, Name, TaskId};
use fastgpu_core::task::TaskState;
use fastgpu_core::units::Timestamp;

use crate::contract::{Filter, Page};

/// Digits of a whole id.
const ID_DIGITS: usize = 13;
/// Words of states in which a task is over.
const ENDED: [&str; 4] = ["succeeded", "failed", "cancelled", "timed_out"];

/// A listing of tasks whose ids are from `first` to `last`, newest first.
#[derive(Debug)]
pub(crate) struct Listing<'f> {
    pub(crate) first: TaskId,
    pub(crate) last: TaskId,
    pub(crate) states: &'f [String],
    pub(crate) name: Option<&'f Name>,
    pub(crate) owner: Option<&'f Name>,
    pub(crate) queue: Option<&'f Name>,
    pub(crate) since: Option<Timestamp>,
    /// Implied when only states of living tasks are asked for.
    pub(crate) live: bool,
    pub(crate) limit: usize,
}

impl<'f> Listing<'f> {
    /// `None` when no task can match.
    pub(crate) fn of(filter: &'f Filter, page: Page) -> Option<Self> {
        let (mut first, mut last) = match &filter.id_prefix {
            Some(prefix) => ids_with_prefix(prefix)?,
            None => (MIN_ID, MAX_ID),
        };
        if let Some(since) = filter.since {
            // An id is never smaller than the clock at its submit, so older ids need not be looked at.
            first = first.max(IdSource::after(None).next(since)).max(MIN_ID);
        }
        if let Some(before) = page.before {
            last = last.min(TaskId::new(before.get().checked_sub(1)?)?);
        }
        let lives = |state: &String| !ENDED.contains(&state.as_str());
        Some(Self {
            first,
            last,
            states: &filter.states,
            name: filter.name.as_ref(),
            owner: filter.owner.as_ref(),
            queue: filter.queue.as_ref(),
            since: filter.since,
            live: filter.live || (!filter.states.is_empty() && filter.states.iter().all(lives)),
            limit: page.limit,
        })
        .filter(|listing| listing.first <= listing.last && listing.limit > 0)
    }
}

const MIN_ID: TaskId = TaskId::new(0).expect("the top bit is not set");
const MAX_ID: TaskId = TaskId::new(u64::MAX >> 1).expect("the top bit is not set");

/// The smallest and the largest id whose text begins with `prefix`.
fn ids_with_prefix(prefix: &str) -> Option<(TaskId, TaskId)> {
    if "t-".starts_with(prefix) {
        return Some((MIN_ID, MAX_ID));
    }
    let missing = ID_DIGITS.checked_sub(prefix.strip_prefix("t-")?.len())?;
    let filled = |digit: &str| format!("{prefix}{}", digit.repeat(missing)).parse().ok();
    Some((filled("0")?, filled("z")?))
}

/// A count for every state word, in the order of a life, from those that were counted.
pub(crate) fn in_order_of_life(counted: Vec<(String, u64)>) -> Vec<(String, u64)> {
    let count = |code: &str| counted.iter().filter(|(state, _)| state == code).map(|(_, tasks)| tasks).sum();
    TaskState::CODES.into_iter().map(|code| (code.to_owned(), count(code))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_range_of_ids() {
        let id: TaskId = "t-01habcdefghjk".parse().unwrap();
        for length in 0..=15 {
            let (first, last) = ids_with_prefix(&id.to_string()[..length]).unwrap();
            assert!(first <= id && id <= last, "{length}");
        }
        assert_eq!(ids_with_prefix(&id.to_string()), Some((id, id)));
        assert_eq!(ids_with_prefix("t-7").unwrap().1, MAX_ID);
        for nothing in ["x", "t-8", "t-i", "t-01habcdefghjk0", "node-1", "t_0", "t-ä"] {
            assert_eq!(ids_with_prefix(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn states_of_the_living_imply_life() {
        let filter = |states: &[&str]| Filter {
            states: states.iter().map(|&state| state.to_owned()).collect(),
            ..Filter::default()
        };
        let live = |filter: &Filter| Listing::of(filter, Page { before: None, limit: 1 }).unwrap().live;
        assert!(live(&filter(&["queued", "running"])));
        assert!(!live(&filter(&["queued", "failed"])));
        assert!(!live(&filter(&[])));
    }
}
