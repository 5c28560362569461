//! Rows as they are stored: our own serde structs, converted by hand from and to the words of the core.
//!
//! A field of the core can be renamed without touching a database. Fields that a later version added are
//! ignored; a value nobody knows is an error that says which, never a panic. Tasks are in [`task`], what their
//! users ask for in [`terms`], what a task asks of devices and holds in [`ask`], how attempts end in [`exit`], the configuration in [`config`]; the small
//! rows are here.

pub(crate) mod ask;
pub(crate) mod config;
pub(crate) mod exit;
pub(crate) mod task;
pub(crate) mod terms;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use fastgpu_core::ask::Ask;
use fastgpu_core::change::Actor;
use fastgpu_core::ids::{Name, NodeId, SpecHash, TaskId};
use fastgpu_core::spec::Spec;
use fastgpu_core::terms::Terms;
use fastgpu_core::token::Role;
use serde::{Deserialize, Serialize};

/// What is wrong with a stored value; the caller adds which row it was.
pub(crate) type Wrong = String;

/// Keeps one copy of each name, ask and set of terms: a hundred thousand tasks share a few of them.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    names: BTreeSet<Name>,
    asks: BTreeMap<Ask, Arc<Ask>>,
    terms: BTreeSet<Arc<Terms>>,
}

impl Shared {
    pub(crate) fn name(&mut self, text: &str) -> Name {
        if let Some(known) = self.names.get(text) {
            return known.clone();
        }
        let name = Name::from(text);
        self.names.insert(name.clone());
        name
    }

    pub(crate) fn ask(&mut self, ask: Ask) -> Arc<Ask> {
        if let Some(known) = self.asks.get(&ask) {
            return known.clone();
        }
        let shared = Arc::new(ask.clone());
        self.asks.insert(ask, shared.clone());
        shared
    }

    pub(crate) fn terms(&mut self, terms: Terms) -> Arc<Terms> {
        if let Some(known) = self.terms.get(&terms) {
            return known.clone();
        }
        let shared = Arc::new(terms);
        self.terms.insert(shared.clone());
        shared
    }
}

/// For `skip_serializing_if`: what is usual is not written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Writes a row's JSON.
pub(crate) fn to_json(row: &impl Serialize) -> String {
    serde_json::to_string(row).expect("our rows have string keys and no failing serializers")
}

/// Reads a row's JSON.
pub(crate) fn from_json<'a, R: Deserialize<'a>>(text: &'a str) -> Result<R, Wrong> {
    serde_json::from_str(text).map_err(|error| format!("bad JSON: {error}"))
}

/// Ids have 63 bits for this very reason.
pub(crate) fn id_column(id: TaskId) -> i64 {
    i64::try_from(id.get()).expect("a task id has 63 bits")
}

pub(crate) fn id_from_column(raw: i64) -> Result<TaskId, Wrong> {
    u64::try_from(raw).ok().and_then(TaskId::new).ok_or_else(|| format!("{raw} is no task id"))
}

/// A hash in a text, as people compare them.
pub(crate) fn hash_to_hex(hash: SpecHash) -> String {
    hash.0.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn hash_from_hex(text: &str) -> Result<SpecHash, Wrong> {
    let wrong = || format!("`{text}` is no hash of 64 hexadecimal digits");
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(SpecHash(hash))
}

#[derive(Serialize, Deserialize)]
struct SpecRow {
    command: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "is_default")]
    working_dir: Option<String>,
}

pub(crate) fn spec_to_json(spec: &Spec) -> String {
    let Spec { command, env, working_dir } = spec.clone();
    to_json(&SpecRow { command, env, working_dir })
}

pub(crate) fn spec_from_json(text: &str) -> Result<Spec, Wrong> {
    let SpecRow { command, env, working_dir } = from_json(text)?;
    Ok(Spec { command, env, working_dir })
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ActorRow {
    Scheduler,
    Node(u32),
    Token { id: String, owner: String },
    Local,
}

pub(crate) fn actor_to_json(actor: &Actor) -> String {
    to_json(&match actor {
        Actor::Scheduler => ActorRow::Scheduler,
        Actor::Node(node) => ActorRow::Node(node.0),
        Actor::Token { id, owner } => ActorRow::Token { id: id.to_string(), owner: owner.to_string() },
        Actor::Local => ActorRow::Local,
    })
}

pub(crate) fn actor_from_json(text: &str) -> Result<Actor, Wrong> {
    Ok(match from_json(text)? {
        ActorRow::Scheduler => Actor::Scheduler,
        ActorRow::Node(node) => Actor::Node(NodeId(node)),
        ActorRow::Token { id, owner } => Actor::Token { id: id.into(), owner: owner.into() },
        ActorRow::Local => Actor::Local,
    })
}

pub(crate) fn role_from_word(word: &str) -> Result<Role, Wrong> {
    [Role::Viewer, Role::Member, Role::Admin]
        .into_iter()
        .find(|role| role.code() == word)
        .ok_or_else(|| format!("`{word}` is no role"))
}

pub(crate) fn task_ids_to_json(ids: &[TaskId]) -> String {
    to_json(&ids.iter().map(|id| id.get()).collect::<Vec<_>>())
}

pub(crate) fn task_ids_from_json(text: &str) -> Result<Vec<TaskId>, Wrong> {
    let raw: Vec<u64> = from_json(text)?;
    raw.into_iter().map(|id| TaskId::new(id).ok_or_else(|| format!("{id} is no task id"))).collect()
}
