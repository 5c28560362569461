//! When a failed attempt is tried again, and who is charged for it.
//!
//! Two budgets: the user's (`retries`, for what the program did) and the infrastructure's (for what the
//! machines did). A fault of ours never eats the user's budget; a task that breaks three healthy nodes is
//! parked, because by then the task is the likelier cause.

use crate::ids::TaskId;
use crate::node::{Exit, ExitKind};
use crate::units::Millis;

/// What went wrong, by whose fault. The classes of failure every part of FastGPU speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// The program ended with an exit code other than 0, or by a signal of its own.
    UserError,
    /// The host ran out of the memory the task may use.
    OutOfMemoryHost,
    /// The virtual GPU ran out of the memory the task may use.
    OutOfMemoryGpu,
    /// The time limit was reached.
    Timeout,
    /// The scheduler took the place for somebody else.
    Preempted,
    /// The node vanished with the attempt.
    NodeLost,
    /// A device failed under the attempt.
    GpuSick,
    /// The program could not be started: the spec is wrong.
    LaunchSpec,
    /// The program could not be started or was lost: the machine is wrong.
    LaunchInfrastructure,
}

impl FailureClass {
    /// The stable word for it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UserError => "user_error",
            Self::OutOfMemoryHost => "oom_host",
            Self::OutOfMemoryGpu => "oom_gpu",
            Self::Timeout => "timeout",
            Self::Preempted => "preempted",
            Self::NodeLost => "node_lost",
            Self::GpuSick => "gpu_sick",
            Self::LaunchSpec => "launch_spec",
            Self::LaunchInfrastructure => "launch_infrastructure",
        }
    }

    /// Every class, for parsing and for tests.
    pub const ALL: [Self; 9] = [
        Self::UserError,
        Self::OutOfMemoryHost,
        Self::OutOfMemoryGpu,
        Self::Timeout,
        Self::Preempted,
        Self::NodeLost,
        Self::GpuSick,
        Self::LaunchSpec,
        Self::LaunchInfrastructure,
    ];

    /// The class of an attempt that ended by itself; `None` for success.
    #[must_use]
    pub const fn of_exit(exit: &Exit) -> Option<Self> {
        match &exit.how {
            ExitKind::Code(0) => None,
            ExitKind::BadSpec(_) => Some(Self::LaunchSpec),
            ExitKind::Infrastructure(_) => Some(Self::LaunchInfrastructure),
            // A program on a device that fails cannot be blamed for anything.
            _ if exit.sick.is_some() => Some(Self::GpuSick),
            ExitKind::Code(_) | ExitKind::Signal(_) => Some(Self::UserError),
            ExitKind::OutOfMemory => Some(Self::OutOfMemoryHost),
            ExitKind::TimeLimit => Some(Self::Timeout),
        }
    }

    /// Who pays for a retry.
    #[must_use]
    pub const fn budget(self) -> Budget {
        match self {
            Self::UserError | Self::OutOfMemoryHost | Self::OutOfMemoryGpu => Budget::User,
            Self::Timeout | Self::LaunchSpec => Budget::Never,
            Self::Preempted => Budget::Free,
            Self::NodeLost | Self::GpuSick | Self::LaunchInfrastructure => Budget::Infrastructure,
        }
    }
}

/// Who pays for another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// The retries the user asked for.
    User,
    /// Ours, limited by [`INFRASTRUCTURE_RETRIES_MAX`].
    Infrastructure,
    /// Nobody: it was a decision, not a failure.
    Free,
    /// Trying again cannot help.
    Never,
}

/// What the user wants done about failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct RetryPolicy {
    /// How often the user's own failures are tried again.
    pub max: u16,
    /// The first wait before such a retry; `None` means [`USER_BACKOFF_FIRST`].
    pub backoff: Option<Millis>,
}

/// What a task has used up of its budgets. A preemption is not counted: it is nobody's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Strikes {
    /// Retries charged to the user.
    pub user: u16,
    /// Retries charged to the infrastructure.
    pub infrastructure: u16,
}

/// More than this many machine faults in a row say something about the task or the site.
pub const INFRASTRUCTURE_RETRIES_MAX: u16 = 5;
/// A task that failed by infrastructure on this many different nodes is parked.
pub const BROKEN_NODES_MAX: usize = 3;
/// Upper limit for [`RetryPolicy::max`].
pub const USER_RETRIES_MAX: u16 = 100;
/// The first wait after a failure of the program; doubles each time.
pub const USER_BACKOFF_FIRST: Millis = Millis::from_secs(10);
/// No wait for the program's failures grows beyond this.
pub const USER_BACKOFF_MAX: Millis = Millis::from_secs(600);
/// Waits after faults of the machines: the first is short, because another node is usually fine.
const INFRASTRUCTURE_BACKOFF: [Millis; 5] = [
    Millis::from_secs(1),
    Millis::from_secs(5),
    Millis::from_secs(30),
    Millis::from_secs(120),
    Millis::from_secs(300),
];

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after this wait.
    Retry(Millis),
    /// Wait for a person: the task has broken several nodes.
    Park,
    /// It is over.
    GiveUp,
}

/// Decides what follows a failure of `class`, given what was used up before it. `broken_nodes` counts the
/// different nodes on which infrastructure failed under this task, this failure included.
#[must_use]
pub fn verdict(
    policy: RetryPolicy,
    strikes: Strikes,
    broken_nodes: usize,
    class: FailureClass,
    task: TaskId,
) -> Verdict {
    match class.budget() {
        Budget::Never => Verdict::GiveUp,
        Budget::Free => Verdict::Retry(Millis(0)),
        Budget::User if strikes.user >= policy.max => Verdict::GiveUp,
        Budget::User => {
            let first = policy.backoff.unwrap_or(USER_BACKOFF_FIRST).0;
            let doubled = first.saturating_mul(1 << strikes.user.min(16));
            Verdict::Retry(jittered(Millis(doubled.min(USER_BACKOFF_MAX.0.max(first))), task, strikes.user))
        }
        Budget::Infrastructure if broken_nodes >= BROKEN_NODES_MAX => Verdict::Park,
        Budget::Infrastructure if strikes.infrastructure >= INFRASTRUCTURE_RETRIES_MAX => Verdict::GiveUp,
        Budget::Infrastructure => {
            let step = usize::from(strikes.infrastructure).min(INFRASTRUCTURE_BACKOFF.len() - 1);
            Verdict::Retry(jittered(INFRASTRUCTURE_BACKOFF[step], task, strikes.infrastructure))
        }
    }
}

/// Between half of `wait` and all of it, by the task's id: a thousand tasks that fail together do not come
/// back together, and the same task waits the same time in every replay.
fn jittered(wait: Millis, task: TaskId, nth: u16) -> Millis {
    let x = mixed(task.get() ^ (u64::from(nth) << 48));
    let half = wait.0 / 2;
    Millis(half + x % (wait.0 - half + 1))
}

/// A number that looks like chance and depends on `x` alone: SplitMix64 (Steele, Lea, Flood 2014), as a hash.
pub(crate) const fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(raw: u64) -> TaskId {
        TaskId::new(raw).unwrap()
    }

    #[test]
    fn the_users_budget_pays_for_the_users_failures_only() {
        let policy = RetryPolicy { max: 1, backoff: None };
        let fresh = Strikes::default();
        let spent = Strikes { user: 1, ..fresh };
        assert!(matches!(verdict(policy, fresh, 0, FailureClass::UserError, task(1)), Verdict::Retry(_)));
        assert_eq!(verdict(policy, spent, 0, FailureClass::UserError, task(1)), Verdict::GiveUp);
        assert!(matches!(verdict(policy, spent, 1, FailureClass::NodeLost, task(1)), Verdict::Retry(_)));
        assert_eq!(verdict(policy, fresh, 0, FailureClass::LaunchSpec, task(1)), Verdict::GiveUp);
        assert_eq!(verdict(policy, spent, 0, FailureClass::Preempted, task(1)), Verdict::Retry(Millis(0)));
    }

    #[test]
    fn three_broken_nodes_park_a_task_and_five_strikes_end_it() {
        let strikes = Strikes { infrastructure: 2, ..Strikes::default() };
        assert_eq!(
            verdict(RetryPolicy::default(), strikes, 3, FailureClass::GpuSick, task(1)),
            Verdict::Park
        );
        let strikes = Strikes { infrastructure: 5, ..Strikes::default() };
        assert_eq!(
            verdict(RetryPolicy::default(), strikes, 1, FailureClass::NodeLost, task(1)),
            Verdict::GiveUp
        );
    }

    #[test]
    fn waits_double_with_jitter_and_stay_below_their_limit() {
        let policy = RetryPolicy { max: 100, backoff: Some(Millis(1_000)) };
        for user in 0..100 {
            let strikes = Strikes { user, ..Strikes::default() };
            for raw in 0..20 {
                let Verdict::Retry(wait) = verdict(policy, strikes, 0, FailureClass::UserError, task(raw))
                else {
                    panic!("the budget is not used up");
                };
                let full = (1_000u64 << user.min(16)).min(USER_BACKOFF_MAX.0);
                assert!((full / 2..=full).contains(&wait.0), "{user} {wait}");
            }
        }
    }
}
