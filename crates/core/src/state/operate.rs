//! What operators and owners want changed: tasks that wait, nodes, the configuration, tokens.

use crate::cause::Cause;
use crate::change::{Change, NodeRow};
use crate::command::{Refused, Reply, Update};
use crate::config::Config;
use crate::ids::{Name, NodeId, TaskId};
use crate::part::Rules;
use crate::state::turn::Turn;
use crate::task::{QueueCause, StopCause, TaskEvent, TaskState};
use crate::token::Token;
use crate::units::Millis;

impl Turn<'_> {
    pub(super) fn stop(
        &mut self,
        id: TaskId,
        why: StopCause,
        grace: Option<Millis>,
    ) -> Result<Reply, Refused> {
        let task = self.state.tasks.get(&id).ok_or(Refused::NoSuchTask(id))?;
        let grace = grace.unwrap_or(task.terms.limits.stop_grace);
        Ok(Reply::Moved { changed: self.ask_to_stop(id, why, grace) })
    }

    pub(super) fn update(
        &mut self,
        id: TaskId,
        update: &Update,
        if_revision: Option<u32>,
    ) -> Result<Reply, Refused> {
        let task = self.state.tasks.get(&id).ok_or(Refused::NoSuchTask(id))?;
        if if_revision.is_some_and(|revision| revision != task.revision) {
            return Err(Refused::RevisionMismatch { current: task.revision });
        }
        if update.share.is_some() || update.memory.is_some() {
            return Err(Refused::NotSupported { verb: "resize" });
        }
        let TaskState::Queued { cause, .. } = &task.state else {
            return Err(Refused::WrongState { state: task.state.code(), verb: "changed so" });
        };
        let hold = match (update.held, cause) {
            (Some(true), QueueCause::Held) | (None, _) => None,
            (Some(true), _) => Some((TaskEvent::HoldAsked, Cause::Held)),
            (Some(false), QueueCause::Held | QueueCause::Parked) => {
                Some((TaskEvent::Readied, Cause::Released))
            }
            (Some(false), _) => None,
        };
        let priority = update.priority.filter(|&priority| priority != task.priority);
        let changed = priority.is_some() || hold.is_some();
        if let Some(priority) = priority {
            self.reprioritize(id, priority);
        }
        if let Some((event, cause)) = hold {
            self.advance(id, event, cause, None).expect("a task that waits can be held and let go");
        }
        Ok(Reply::Moved { changed })
    }

    fn reprioritize(&mut self, id: TaskId, priority: i32) {
        let now = self.now;
        let detail = format!("priority {} -> {priority}", self.state.tasks[&id].priority);
        self.change(id, (Cause::Priority, Some(detail)), |state, task| {
            task.priority = priority;
            task.standing = state.learned.standing(&state.rules, task, now);
        });
    }

    pub(super) fn drain(&mut self, id: NodeId, drain: bool) -> Result<Reply, Refused> {
        let node = self.state.cluster.node(id).ok_or(Refused::NoSuchNode(id))?;
        let changed = node.drained != drain;
        let hostname = node.hostname.clone();
        if changed {
            self.state.cluster.set_drained(id, drain);
            self.changes.rows.push(Change::Node(NodeRow { id, hostname, drained: drain }));
            self.audit(if drain { "node_drained" } else { "node_resumed" }, id.to_string());
        }
        Ok(Reply::Moved { changed })
    }

    /// Lives by another configuration from now on: the whole queue is ordered anew.
    pub(super) fn configure(&mut self, config: Config) -> Result<Reply, Refused> {
        config.check().map_err(Refused::BadConfig)?;
        self.changes.rows.push(Change::Config(config.clone()));
        self.audit("configured", "configuration".to_owned());
        self.state.rules = Rules::new(config);
        let live: Vec<TaskId> = self.state.tasks.keys().copied().collect();
        for id in live {
            self.state.restand(id, self.now, |state, task| {
                if task.is_ready() {
                    task.standing = state.learned.standing(&state.rules, task, self.now);
                }
            });
        }
        self.state.cluster.touch_all();
        self.state.queue.touch_all();
        Ok(Reply::Done)
    }

    pub(super) fn create_token(&mut self, token: Token) -> Reply {
        self.audit("token_created", token.id.to_string());
        self.put_token(token);
        Reply::Done
    }

    pub(super) fn revoke_token(&mut self, id: Name) -> Result<Reply, Refused> {
        let token = self.state.tokens.get(&id).cloned();
        let mut token = token.ok_or_else(|| Refused::NoSuchToken(id.clone()))?;
        let changed = token.revoked_at.is_none();
        if changed {
            token.revoked_at = Some(self.now);
            self.audit("token_revoked", id.to_string());
            self.put_token(token);
        }
        Ok(Reply::Moved { changed })
    }

    fn put_token(&mut self, token: Token) {
        self.changes.rows.push(Change::Token(token.clone()));
        self.changes.tokens_changed = true;
        self.state.tokens.insert(token.id.clone(), token);
    }

    fn audit(&mut self, action: &'static str, object: String) {
        self.changes.audit(self.now, self.actor.clone(), action, object);
    }
}
