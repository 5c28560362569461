//! What one client asked for, and what was acknowledged to it.
//!
//! Every request that makes tasks carries a key, and is repeated under that key, byte for byte, until it is
//! acknowledged. Every task has a name of its own, so that one made twice is seen.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::http::{Answer, Door};
use crate::program;
use crate::world::World;

/// Small enough that sixteen tasks run at once on the simulated devices.
const SHARE: f64 = 0.25;
const CPU: f64 = 0.05;

/// What a task is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Runs [`program`].
    Run { ms: u64, exit_code: u8 },
    /// Runs something that leaves no traces.
    Nothing,
    /// Never starts: it is held back until the end of the test, and then cancelled.
    Held,
    /// The same, with an environment of this many KiB.
    HeldLarge(usize),
    /// Holds GPUs until they are released.
    Reservation,
}

/// Whether somebody wanted the task to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancel {
    No,
    /// Perhaps the server heard it.
    Asked,
    Acknowledged,
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) deed: Deed,
    pub(crate) cancel: Cancel,
}

/// A request that makes tasks.
#[derive(Debug)]
pub(crate) struct Request {
    path: String,
    key: String,
    body: String,
    pub(crate) plans: Vec<Plan>,
    /// What was acknowledged.
    pub(crate) ids: Option<Vec<String>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    root: PathBuf,
    prefix: String,
    pub(crate) requests: Vec<Request>,
    /// Answers under one key that were not the same.
    pub(crate) unequal: usize,
}

impl Ledger {
    pub(crate) fn new(world: &World, prefix: &str) -> Self {
        let (root, prefix) = (world.root().to_owned(), prefix.to_owned());
        Self { root, prefix, requests: Vec::new(), unequal: 0 }
    }

    /// One task; says the number of the request, which is not sent yet.
    pub(crate) fn one(&mut self, deed: Deed) -> usize {
        let plan = self.plan(deed, 0);
        let body = self.spec(&plan).to_string();
        self.add("/v1/tasks", body, vec![plan])
    }

    pub(crate) fn batch(&mut self, deeds: &[Deed]) -> usize {
        let plans: Vec<_> = deeds.iter().enumerate().map(|(place, deed)| self.plan(*deed, place)).collect();
        let specs: Vec<_> = plans.iter().map(|plan| self.spec(plan)).collect();
        self.add("/v1/tasks:batch", json!({ "tasks": specs }).to_string(), plans)
    }

    /// A reservation by the article's own call.
    pub(crate) fn article(&mut self) -> usize {
        let plan = self.plan(Deed::Reservation, 0);
        let body = json!({
            "user_id": "ann", "task_name": plan.name, "resource_count": 0.1, "execute_time": 1.0
        });
        self.add("/submit_task", body.to_string(), vec![plan])
    }

    /// The task of an acknowledged request once more.
    pub(crate) fn again(&mut self, request: usize) -> Option<usize> {
        let id = self.requests[request].ids.as_ref()?.first()?;
        let (path, plan) = (format!("/v1/tasks/{id}/retry"), self.requests[request].plans[0].clone());
        Some(self.add(&path, String::new(), vec![plan]))
    }

    fn add(&mut self, path: &str, body: String, plans: Vec<Plan>) -> usize {
        let key = format!("{}-key-{}", self.prefix, self.requests.len());
        self.requests.push(Request { path: path.to_owned(), key, body, plans, ids: None });
        self.requests.len() - 1
    }

    fn plan(&self, deed: Deed, place: usize) -> Plan {
        let name = format!("{}-{}-{place}", self.prefix, self.requests.len());
        Plan { name, deed, cancel: Cancel::No }
    }

    fn spec(&self, plan: &Plan) -> Value {
        let mut env = json!({ "RECOVERY_WORLD": self.root });
        let command = match plan.deed {
            Deed::Run { ms, exit_code } => program::command(&self.effects(plan), ms, exit_code),
            _ => vec!["true".to_owned()],
        };
        if let Deed::HeldLarge(kib) = plan.deed {
            // No variable may be larger than the kernel passes on.
            const PIECE_KIB: usize = 100;
            for piece in 0..kib.div_ceil(PIECE_KIB) {
                env[format!("FILL_{piece}")] =
                    Value::String(plan.name.repeat(PIECE_KIB * 1_024 / plan.name.len()));
            }
        }
        let held = matches!(plan.deed, Deed::Held | Deed::HeldLarge(_));
        json!({
            "name": plan.name, "command": command, "gpu": SHARE, "cpu": CPU, "env": env,
            "stop_grace": 200, "held": held
        })
    }

    fn effects(&self, plan: &Plan) -> PathBuf {
        effects_of(&self.root, plan)
    }

    pub(crate) fn key(&self, request: usize) -> &str {
        &self.requests[request].key
    }

    pub(crate) fn body(&self, request: usize) -> &str {
        &self.requests[request].body
    }

    /// Sends a request, for the first time or again. True if it is acknowledged.
    pub(crate) fn send(&mut self, door: &Door, request: usize) -> bool {
        let asked = &mut self.requests[request];
        if asked.path.strip_suffix("/retry").is_some_and(|task| !has_ended(door, task)) {
            return false;
        }
        let Some(answer) = heard(door.post(&asked.path, Some(&asked.key), Some(&asked.body))) else {
            return false;
        };
        assert!(answer.is_success(), "{} was refused: {answer:?}", asked.path);
        let ids = ids_of(&answer.body);
        assert_eq!(ids.len(), asked.plans.len(), "one id for each task: {answer:?}");
        match &asked.ids {
            Some(before) if *before != ids => self.unequal += 1,
            Some(_) => {}
            None => asked.ids = Some(ids),
        }
        true
    }

    /// Cancels what an acknowledged request made. True if that is acknowledged, or there is nothing to do.
    pub(crate) fn cancel(&mut self, door: &Door, request: usize) -> bool {
        self.cancel_some(door, request, |_| true)
    }

    /// Ends what would never end by itself.
    pub(crate) fn cancel_endless(&mut self, door: &Door, request: usize) -> bool {
        self.cancel_some(door, request, |deed| {
            matches!(deed, Deed::Held | Deed::HeldLarge(_) | Deed::Reservation)
        })
    }

    fn cancel_some(&mut self, door: &Door, request: usize, which: impl Fn(Deed) -> bool) -> bool {
        let asked = &mut self.requests[request];
        let Some(ids) = &asked.ids else { return true };
        for (id, plan) in ids.iter().zip(&mut asked.plans) {
            if plan.cancel == Cancel::Acknowledged || !which(plan.deed) {
                continue;
            }
            plan.cancel = Cancel::Asked;
            let call = match plan.deed {
                Deed::Reservation => {
                    door.call("DELETE", &format!("/release_resource?task_id={id}"), None, None)
                }
                _ => door.post(&format!("/v1/tasks/{id}/cancel"), None, None),
            };
            match heard(call) {
                // One that is gone is counted as lost, by whoever looks for it.
                Some(answer) if answer.is_success() || answer.status == 404 => {
                    plan.cancel = Cancel::Acknowledged;
                }
                Some(answer) => panic!("a cancel was refused: {answer:?}"),
                None => return false,
            }
        }
        true
    }

    /// How many tasks were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.requests.iter().filter_map(|request| request.ids.as_ref()).map(Vec::len).sum()
    }
}

pub(crate) fn effects_of(root: &Path, plan: &Plan) -> PathBuf {
    root.join("effects").join(&plan.name)
}

/// Waits a while for the end of a task: only what has ended can be run again.
fn has_ended(door: &Door, task: &str) -> bool {
    let answer = heard(door.get(&format!("{task}/wait?timeout=5")));
    answer.is_some_and(|answer| answer.body["ended_at"].is_string())
}

/// An answer that settles something. None for a server that ended, is ending, cannot save, or is another's: a
/// port that was let go may be somebody else's a moment later.
pub(crate) fn heard(answer: io::Result<Answer>) -> Option<Answer> {
    answer.ok().filter(|answer| !matches!(answer.status, 401 | 500 | 503 | 507))
}

fn ids_of(body: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match body["items"].as_array() {
        Some(items) => items.iter().filter_map(|item| text(&item["id"])).collect(),
        None => text(&body["id"]).or_else(|| text(&body["task_id"])).into_iter().collect(),
    }
}
