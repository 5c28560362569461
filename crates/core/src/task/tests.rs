//! The table of every state against every event, for a reviewer to read.

use super::*;
use crate::ask::GrantPart;
use crate::units::{CpuMilli, MemoryMib};

const NOW: Timestamp = Timestamp(1_000);

fn fence(attempt: u32, version: u32) -> Fence {
    Fence { attempt, version }
}

fn grant(attempt: u32, version: u32) -> Grant {
    let part = GrantPart { node: NodeId(0), cpu: CpuMilli(0), host_memory: MemoryMib(0), slices: Vec::new() };
    Grant { fence: fence(attempt, version), parts: vec![part] }
}

fn states() -> Vec<(&'static str, TaskState)> {
    use TaskState as S;
    let hold = || Box::new(Hold { grant: grant(2, 1), placed_at: NOW, metered_from: NOW });
    let queued = |cause| S::Queued { cause, since: NOW };
    let retrying = QueueCause::Retrying { class: FailureClass::UserError, not_before: NOW };
    vec![
        ("queued(capacity)", queued(QueueCause::Capacity)),
        ("queued(retrying)", queued(retrying)),
        ("queued(preempted)", queued(QueueCause::Preempted)),
        ("queued(dependency)", queued(QueueCause::Dependency(TaskId::new(1).unwrap()))),
        ("queued(held)", queued(QueueCause::Held)),
        ("queued(parked)", queued(QueueCause::Parked)),
        ("starting", S::Starting { hold: hold() }),
        ("running", S::Running { hold: hold(), since: NOW }),
        ("stopping(cancel)", S::Stopping { hold: hold(), since: None, why: StopCause::Cancel }),
        ("stopping(preempt)", S::Stopping { hold: hold(), since: Some(NOW), why: StopCause::Preempt }),
        ("suspending", S::Suspending { hold: hold(), since: NOW }),
        ("suspended", S::Suspended { hold: hold(), since: NOW }),
        ("resuming", S::Resuming { hold: hold(), since: NOW }),
        ("ended", S::ended(Outcome::Succeeded, NOW)),
    ]
}

fn events() -> Vec<(&'static str, TaskEvent)> {
    use TaskEvent as E;
    let end = || Next::End(End { outcome: Outcome::Succeeded, at: NOW, exit: None });
    vec![
        ("placed", E::Placed(grant(3, 1))),
        ("started", E::Started { fence: fence(2, 1), at: NOW }),
        ("started late", E::Started { fence: fence(1, 1), at: NOW }),
        ("finished, over", E::Finished { fence: fence(2, 1), next: end() }),
        ("finished, again", E::Finished { fence: fence(2, 1), next: Next::Queue(QueueCause::Preempted) }),
        ("finished late", E::Finished { fence: fence(1, 1), next: end() }),
        ("cancel", E::StopAsked(StopCause::Cancel)),
        ("release", E::StopAsked(StopCause::Release)),
        ("preempt", E::StopAsked(StopCause::Preempt)),
        ("queue timeout", E::QueueTimedOut),
        ("readied", E::Readied),
        ("hold", E::HoldAsked),
        ("regranted", E::Regranted(grant(2, 2))),
        ("regranted late", E::Regranted(grant(2, 1))),
        ("suspend", E::SuspendAsked(fence(2, 2))),
        ("suspended", E::Suspended(fence(2, 1))),
        ("suspended late", E::Suspended(fence(1, 1))),
        ("resume", E::ResumeAsked(fence(2, 2))),
        ("resumed", E::Resumed(fence(2, 1))),
        ("resumed late", E::Resumed(fence(1, 1))),
    ]
}

fn describe(state: &TaskState) -> String {
    match state {
        TaskState::Queued { cause, .. } => format!("queued({})", cause.code()),
        TaskState::Stopping { why, .. } => format!("stopping({why:?})").to_lowercase(),
        other => other.code().to_owned(),
    }
}

#[test]
fn every_state_answers_every_event_as_reviewed() {
    let mut table = String::new();
    for (state_name, state) in states() {
        for (event_name, event) in events() {
            let answer = match state.apply(event, NOW) {
                Ok(next) => describe(&next),
                Err(rejected) => format!("({rejected:?})").to_lowercase(),
            };
            table.push_str(&format!("{state_name:<19} + {event_name:<15} -> {answer}\n"));
        }
        table.push('\n');
    }
    insta::assert_snapshot!("state_by_event", table);
}

#[test]
fn no_old_fence_ever_moves_a_task() {
    for (name, state) in states() {
        for (event_name, event) in events().into_iter().filter(|(name, _)| name.ends_with("late")) {
            assert!(state.apply(event, NOW).is_err(), "{name} was moved by {event_name}");
        }
    }
}
