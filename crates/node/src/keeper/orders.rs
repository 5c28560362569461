//! What the keeper does when the agent asks for something.
//!
//! Every order may come twice, late, or out of order; each is answered with what became of the attempt.

use fastgpu_core::ids::{Fence, TaskId};
use fastgpu_core::node::{Exit, ExitKind};

use super::{Held, Keeper, Leaving, SEEN_MAX, launch};
use crate::clock::now;
use crate::complaints::complain;
use crate::folder::AttemptKey;
use crate::protocol::{FromKeeper, HELD_PER_FRAME, PROTOCOL_VERSION, ToKeeper, WireHeld};

impl Keeper {
    pub(super) fn obey(&mut self, message: ToKeeper) {
        match message {
            ToKeeper::Hello { version } => self.welcome(version),
            ToKeeper::Launch(words) => launch::launch(self, words),
            ToKeeper::Stop { task, attempt, version, grace_ms } => {
                if let Some(task) = TaskId::new(task) {
                    self.stop(AttemptKey { task, attempt }, version, grace_ms);
                }
            }
            ToKeeper::Forget { task, attempt } => {
                if let Some(task) = TaskId::new(task) {
                    self.forget(AttemptKey { task, attempt });
                }
            }
            ToKeeper::List => self.list(),
            ToKeeper::Leave { kill_all } => {
                self.leaving = Some(if kill_all { Leaving::AfterKilling } else { Leaving::WhenIdle });
                if kill_all {
                    for (key, held) in &self.attempts {
                        held.guardian.into_iter().for_each(|token| self.guardians.stop(token, *key, 0));
                    }
                }
            }
        }
    }

    fn welcome(&mut self, version: u32) {
        let abilities = self.abilities.clone();
        self.send(&FromKeeper::Welcome { version: PROTOCOL_VERSION, pid: std::process::id(), abilities });
        if version == PROTOCOL_VERSION {
            // Whoever comes needs it; that the one before did not is over.
            if self.leaving == Some(Leaving::WhenIdle) {
                self.leaving = None;
            }
            self.list();
        } else {
            complain(&format!("making room for a keeper that speaks version {version}"));
            self.leaving = Some(Leaving::Now);
        }
    }

    fn list(&mut self) {
        let held: Vec<WireHeld> = self
            .attempts
            .iter()
            .map(|(key, held)| WireHeld {
                task: key.task.get(),
                attempt: key.attempt,
                version: held.fence.version,
                started: held.started.map(|at| at.0),
                exit: held.exit.clone().map(Into::into),
            })
            .collect();
        let mut parts = held.chunks(HELD_PER_FRAME).peekable();
        if parts.peek().is_none() {
            self.send(&FromKeeper::Held { attempts: Vec::new(), last: true });
        }
        while let Some(part) = parts.next() {
            self.send(&FromKeeper::Held { attempts: part.to_vec(), last: parts.peek().is_none() });
        }
    }

    fn stop(&mut self, key: AttemptKey, version: u32, grace_ms: u64) {
        if let Some(held) = self.attempts.get(&key) {
            if version < held.fence.version {
                return;
            }
            held.guardian.into_iter().for_each(|token| self.guardians.stop(token, key, grace_ms));
            if held.exit.is_some() {
                self.say_again(key);
            }
        } else if self.is_past(key) {
            self.say_past(key, version);
        } else {
            // The stop overtook its launch: leave a mark, so that the launch finds the attempt over.
            let fence = Fence { attempt: key.attempt, version };
            self.hold_ended(key, fence, "stopped before it was launched".to_owned());
        }
    }

    /// Whether this attempt, or a later one of its task, is over and acknowledged.
    pub(crate) fn is_past(&self, key: AttemptKey) -> bool {
        self.seen.get(&key.task).is_some_and(|&newest| newest >= key.attempt)
            || self.ends.has(key)
            || self.folder.done().join(key.to_string()).exists()
    }

    /// Remembers the newest attempt of a task.
    pub(crate) fn saw(&mut self, key: AttemptKey) {
        let newest = self.seen.entry(key.task).or_insert_with(|| {
            self.seen_order.push_back(key.task);
            key.attempt
        });
        *newest = key.attempt.max(*newest);
        if self.seen_order.len() > SEEN_MAX
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }

    /// Holds an attempt that ended before it had a guardian.
    pub(crate) fn hold_ended(&mut self, key: AttemptKey, fence: Fence, why: String) {
        self.saw(key);
        let path = self.folder.attempt(key);
        if let Err(error) = crate::folder::make_private_folder(&path) {
            complain(&format!("could not make {}: {error}", path.display()));
        }
        self.attempts.insert(key, Held::new(fence));
        self.end_without_guardian(key, why);
    }

    /// Answers an order that was obeyed before with what came of it.
    pub(crate) fn say_again(&mut self, key: AttemptKey) {
        let Some(held) = self.attempts.get(&key) else { return };
        let (task, attempt, version) = (key.task.get(), key.attempt, held.fence.version);
        if let Some(exit) = held.exit.clone() {
            self.send(&FromKeeper::Exited { task, attempt, version, exit: exit.into() });
        } else if let Some(at) = held.started {
            self.send(&FromKeeper::Started { task, attempt, version, at: at.0 });
        }
    }

    /// Answers an order for an attempt that is acknowledged and forgotten. Only a control plane that does not
    /// know of that end gives one: it was restored from an older backup. For any other, this end is stale.
    pub(crate) fn say_past(&mut self, key: AttemptKey, version: u32) {
        let known = crate::folder::read_exit(&self.folder.done().join(key.to_string()));
        let known = known.or_else(|| crate::ends::find(self.folder.root(), key));
        let exit = known.unwrap_or_else(|| {
            let why = "this attempt ended before, and nobody remembers how";
            Exit {
                at: now(),
                how: ExitKind::Infrastructure(why.to_owned()),
                cpu_ms: 0,
                rss_max_kib: 0,
                sick: None,
            }
        });
        let (task, attempt) = (key.task.get(), key.attempt);
        self.send(&FromKeeper::Exited { task, attempt, version, exit: exit.into() });
    }

    /// The end is durable elsewhere: the attempt's folder is kept for its log alone.
    fn forget(&mut self, key: AttemptKey) {
        let Some(held) = self.attempts.get(&key) else { return };
        let (Some(exit), bare) = (held.exit.clone(), held.bare) else { return };
        fastgpu_failpoints::hit("keeper.forget.before_move");
        let stays = self.work.put_away(key);
        if !(bare && !stays && self.forget_bare(key, &exit)) {
            let name = key.to_string();
            if let Err(error) = std::fs::rename(self.folder.attempt(key), self.folder.done().join(&name)) {
                complain(&format!("could not put {name} away: {error}"));
            }
        }
        fastgpu_failpoints::hit("keeper.forget.after_move");
        // An adopted guardian may be on its very last steps; they are not waited for long.
        let held = self.attempts.remove(&key);
        if let Some(Held { guardian: Some(token), slot, .. }) = held {
            self.guardians.remove(token);
            if let Some(slot) = slot {
                self.cgroups.give_back(slot);
            }
        }
    }

    /// Keeps of an attempt that left nothing how it ended, and its folder for another.
    fn forget_bare(&mut self, key: AttemptKey, exit: &Exit) -> bool {
        if let Err(error) = self.ends.add(key, exit) {
            complain(&format!("could not note the end of {key}: {error}"));
            return false;
        }
        fastgpu_failpoints::hit("keeper.forget.after_note");
        self.spares.keep(&self.folder.attempt(key))
    }
}
