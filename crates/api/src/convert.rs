//! From what was sent to what the core accepts: every rule about a single request is checked here.
//!
//! Start with [`TaskSpec::into_submit`]. All errors of a request are collected, each with its JSON pointer;
//! what only the cluster can know (does such a device exist?) is the core's to refuse.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share, Spread};
use fastgpu_core::command::{Submit, Update};
use fastgpu_core::ids::{Name, SpecHash};
use fastgpu_core::policy::DEFAULT_QUEUE;
use fastgpu_core::retry::{RetryPolicy, USER_RETRIES_MAX};
use fastgpu_core::spec::Spec;
use fastgpu_core::terms::{Limits, STOP_GRACE_DEFAULT, Terms};
use fastgpu_core::token::Role;
use fastgpu_core::units::{GpuMilli, MemoryMib, Millis};

use crate::answer::role_of;
use crate::article::SubmitTask;
use crate::label;
use crate::problem::{FieldError, pointer_segment};
use crate::spec::{Gpu, GpuParts, Quantity, Retry, RetryParts, TaskSpec};
use crate::units::{self, DEVICES_MAX, GpuNumber, UnitError, shown};
use crate::view::{CancelRequest, TaskPatch, TokenRequest};

/// Characters of a name: more do not fit a line.
pub const NAME_CHARS_MAX: usize = 128;
/// Bytes of program and arguments together; the kernel's own limit for one is 128 KiB.
pub const COMMAND_BYTES_MAX: usize = 64 * 1_024;
/// Bytes of names and values of the environment together.
pub const ENV_BYTES_MAX: usize = 256 * 1_024;
/// Bytes of one variable, `name=value`: the kernel's limit is 128 KiB with the NUL at its end. That of one
/// argument is the same, and above what a whole command may have.
pub const VARIABLE_BYTES_MAX: usize = 128 * 1_024 - 1;
/// Variables that begin so tell the task who it is.
const OWN_PREFIX: &str = "FASTGPU_";
/// The variable that hides from a task what it was not granted.
const OWN_DEVICES: &str = "CUDA_VISIBLE_DEVICES";
/// The kernel's limit for a path.
pub const PATH_BYTES_MAX: usize = 4_096;
/// Priorities are from minus this to this.
pub const PRIORITY_MAX: i64 = 1_000;
/// Node names and models in one ask; every round looks at each.
pub const CONSTRAINTS_MAX: usize = 256;
/// A stopped task is gone after an hour at the latest.
pub const STOP_GRACE_MAX: Millis = Millis::from_secs(3_600);

/// On whose behalf a task is made.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Where it belongs.
    pub project: Name,
    /// Who is accounted for it.
    pub owner: Name,
}

/// Collects what is wrong, so that a caller learns all of it at once.
#[derive(Debug, Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError::new(pointer, detail));
    }

    fn take<T>(&mut self, pointer: &str, result: Result<T, UnitError>) -> Option<T> {
        result.map_err(|error| self.add(pointer, error.to_string())).ok()
    }
}

impl TaskSpec {
    /// Checks everything about the request and says it in the words of the core.
    ///
    /// # Errors
    /// All that is wrong, each with its JSON pointer.
    pub fn into_submit(self, identity: &Identity) -> Result<Submit, Vec<FieldError>> {
        let mut errors = Errors::default();
        let name = self.name.as_deref().and_then(|name| checked_name("/name", name, &mut errors));
        let ask = self.ask(&mut errors);
        let queue = self.queue.as_deref().and_then(|name| checked_name("/queue", name, &mut errors));
        let limits = self.limits(&mut errors);
        let expected = span("/expected_duration", self.expected_duration.as_ref(), &mut errors);
        let retry = retry_policy(self.retry.as_ref(), &mut errors);
        let priority = self.priority.map_or(0, |given| checked_priority(given, &mut errors));
        check_command(self.command.as_deref(), &limits, &mut errors);
        check_env(&self.env, &mut errors);
        check_working_dir(self.working_dir.as_deref(), &mut errors);
        if !errors.0.is_empty() {
            return Err(errors.0);
        }
        let spec =
            Spec { command: self.command.unwrap_or_default(), env: self.env, working_dir: self.working_dir };
        Ok(Submit {
            project: identity.project.clone(),
            owner: identity.owner.clone(),
            terms: Terms {
                name,
                ask: Arc::new(ask),
                queue: queue.unwrap_or_else(|| DEFAULT_QUEUE.into()),
                priority,
                limits,
                expected,
                retry,
                wait_for_capacity: self.wait_for_capacity,
            },
            spec_hash: spec_hash(&spec),
            spec: Arc::new(spec),
            held: self.held,
        })
    }

    fn ask(&self, errors: &mut Errors) -> Ask {
        let (devices, share, mut constraints) = self.gpus(errors);
        constraints.nodes = checked_names("/nodes", &self.nodes, errors);
        constraints.labels = checked_labels(&self.labels, errors);
        let class = match self.class.as_deref() {
            None | Some("standard") => Class::Standard,
            Some("guaranteed") => Class::Guaranteed,
            Some("spot") => Class::Spot,
            Some(other) => {
                let detail =
                    format!("there is no class `{}`; write guaranteed, standard or spot", shown(other));
                errors.add("/class", detail);
                Class::Standard
            }
        };
        let isolation = match self.isolation.as_deref() {
            None | Some("soft") => Isolation::Soft,
            Some("hard") => Isolation::Hard,
            Some(other) => {
                errors.add(
                    "/isolation",
                    format!("there is no isolation `{}`; write soft or hard", shown(other)),
                );
                Isolation::Soft
            }
        };
        let cpu =
            self.cpu.and_then(|cores| errors.take("/cpu", units::cpu_number(cores))).unwrap_or_default();
        let host_memory = memory("/memory", self.memory.as_ref(), errors).unwrap_or_default();
        Ask { devices, share, constraints, class, isolation, cpu, host_memory }
    }

    fn gpus(&self, errors: &mut Errors) -> (DeviceCount, Share, Constraints) {
        let cap = memory("/gpu_memory", self.gpu_memory.as_ref(), errors);
        let number = match &self.gpu {
            None if self.gpu_memory.is_some() => {
                let share = Share::Cap(cap.unwrap_or(MemoryMib(1)));
                return (DeviceCount::exactly(1), share, Constraints::default());
            }
            None => Some(GpuNumber::Whole(1)),
            Some(Gpu::Parts(parts)) => {
                if self.gpu_memory.is_some() && parts.memory.is_some() {
                    errors.add("/gpu_memory", "is said twice: leave out this or `/gpu/memory`");
                }
                return gpu_parts(parts, cap, errors);
            }
            Some(Gpu::Number(value)) => {
                errors.take("/gpu", units::gpu_number(*value)).or(Some(GpuNumber::Whole(1)))
            }
            Some(Gpu::Text(text)) => {
                errors.take("/gpu", units::gpu_text(text)).unwrap_or(Some(GpuNumber::Whole(1)))
            }
        };
        let (count, milli) = match number {
            None => {
                if self.gpu_memory.is_some() {
                    errors.add("/gpu_memory", "a task without a GPU has no GPU memory; leave it out");
                }
                return (DeviceCount::exactly(0), Share::Milli(GpuMilli::ZERO), Constraints::default());
            }
            Some(GpuNumber::Whole(count)) => (count, GpuMilli::FULL),
            Some(GpuNumber::Share(milli)) => (1, milli),
        };
        let share = cap.map_or(Share::Milli(milli), |cap| Share::Both(milli, cap));
        (DeviceCount::exactly(count), share, Constraints::default())
    }

    fn limits(&self, errors: &mut Errors) -> Limits {
        let run = span("/time_limit", self.time_limit.as_ref(), errors);
        let queue = span("/queue_timeout", self.queue_timeout.as_ref(), errors);
        let stop_grace = grace("/stop_grace", self.stop_grace.as_ref(), errors).unwrap_or(STOP_GRACE_DEFAULT);
        Limits { run, queue, stop_grace }
    }
}

fn gpu_parts(
    parts: &GpuParts,
    cap: Option<MemoryMib>,
    errors: &mut Errors,
) -> (DeviceCount, Share, Constraints) {
    let mut count = |pointer: &str, given: u64| match u16::try_from(given) {
        Ok(count @ 1..=DEVICES_MAX) => count,
        _ => {
            let hint = if given == 0 { "; for a task without a GPU write `\"gpu\": \"none\"`" } else { "" };
            errors.add(pointer, format!("{given} GPUs is out of range, which is 1 to {DEVICES_MAX}{hint}"));
            1
        }
    };
    let min = parts.count.map_or(1, |given| count("/gpu/count", given));
    let max = parts.max.map_or(min, |given| count("/gpu/max", given));
    if max < min {
        errors.add("/gpu/max", format!("at most {max} GPUs is less than at least {min}"));
    }
    let cap = memory("/gpu/memory", parts.memory.as_ref(), errors).or(cap);
    let milli = parts.share.and_then(|value| errors.take("/gpu/share", units::share(value)));
    let share = match (milli, cap) {
        (None, None) => Share::Milli(GpuMilli::FULL),
        (Some(milli), None) => Share::Milli(milli),
        (None, Some(cap)) => Share::Cap(cap),
        (Some(milli), Some(cap)) => Share::Both(milli, cap),
    };
    let constraints = Constraints {
        models: checked_names("/gpu/models", &parts.models, errors),
        device_memory_min: memory("/gpu/device_memory_min", parts.device_memory_min.as_ref(), errors)
            .unwrap_or_default(),
        nodes: Vec::new(),
        labels: Vec::new(),
        spread: if parts.spread { Spread::AnyNodes } else { Spread::OneNode },
    };
    (DeviceCount { min, max: max.max(min) }, share, constraints)
}

fn memory(pointer: &str, given: Option<&Quantity>, errors: &mut Errors) -> Option<MemoryMib> {
    let read = match given? {
        Quantity::Number(mib) => units::memory_number(*mib),
        Quantity::Text(text) => units::memory_text(text),
    };
    errors.take(pointer, read)
}

fn span(pointer: &str, given: Option<&Quantity>, errors: &mut Errors) -> Option<Millis> {
    let read = match given? {
        Quantity::Number(ms) => units::span_number(*ms),
        Quantity::Text(text) => units::span_text(text),
    };
    errors.take(pointer, read)
}

/// The time from SIGTERM to SIGKILL; zero means SIGKILL at once.
fn grace(pointer: &str, given: Option<&Quantity>, errors: &mut Errors) -> Option<Millis> {
    let read = match given? {
        Quantity::Number(ms) => units::grace_number(*ms),
        Quantity::Text(text) => units::grace_text(text),
    };
    let grace = errors.take(pointer, read)?;
    if grace > STOP_GRACE_MAX {
        errors.add(pointer, format!("{grace} is too long; at most {STOP_GRACE_MAX} is allowed"));
    }
    Some(grace)
}

fn retry_policy(given: Option<&Retry>, errors: &mut Errors) -> RetryPolicy {
    let (max, backoff, pointer) = match given {
        None => return RetryPolicy::default(),
        Some(Retry::Max(value)) => (*value, None, "/retry"),
        #[expect(clippy::cast_precision_loss, reason = "compared with 100 below")]
        Some(Retry::Parts(RetryParts { max, backoff })) => {
            (max.unwrap_or(0) as f64, span("/retry/backoff", backoff.as_ref(), errors), "/retry/max")
        }
    };
    if max.fract() != 0.0 || !(0.0..=f64::from(USER_RETRIES_MAX)).contains(&max) {
        errors.add(
            pointer,
            format!("{max} is not a number of retries; write one from 0 to {USER_RETRIES_MAX}"),
        );
        return RetryPolicy::default();
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 100, checked above"
    )]
    RetryPolicy { max: max as u16, backoff }
}

fn checked_priority(given: i64, errors: &mut Errors) -> i32 {
    if !(-PRIORITY_MAX..=PRIORITY_MAX).contains(&given) {
        errors.add(
            "/priority",
            format!("{given} is out of range; write a priority from -{PRIORITY_MAX} to {PRIORITY_MAX}"),
        );
    }
    i32::try_from(given).unwrap_or(0)
}

/// Why a text cannot be a name, if it cannot. Names are shown in terminals, logs and pages, and become
/// parts of paths in people's scripts: so they are plain.
///
/// # Errors
/// A sentence with what is wrong and what is allowed.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = "a name has 1 to 128 letters a-z A-Z, digits, spaces and . _ - @ : / +";
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b" ._-@:/+".contains(&byte);
    if name.is_empty() {
        return Err(format!("the name is empty; {allowed}"));
    }
    if name.chars().nth(NAME_CHARS_MAX).is_some() {
        return Err(format!("the name has {} characters; {allowed}", name.chars().count()));
    }
    if let Some(bad) = name.chars().find(|&c| !c.is_ascii() || !is_safe(c as u8)) {
        return Err(format!("the character `{}` is not allowed in a name; {allowed}", bad.escape_default()));
    }
    if name.split('/').any(|part| part == "..") {
        return Err("`..` is not allowed as a part of a name; it would climb out of a folder".to_owned());
    }
    if name.trim() != name {
        return Err("a name does not begin or end with a space".to_owned());
    }
    Ok(())
}

fn checked_name(pointer: &str, name: &str, errors: &mut Errors) -> Option<Name> {
    match check_name(name) {
        Ok(()) => Some(name.into()),
        Err(why) => {
            errors.add(pointer, why);
            None
        }
    }
}

fn checked_names(pointer: &str, names: &[String], errors: &mut Errors) -> Vec<Name> {
    if names.len() > CONSTRAINTS_MAX {
        errors.add(
            pointer,
            format!("{} entries are too many; at most {CONSTRAINTS_MAX} are taken", names.len()),
        );
        return Vec::new();
    }
    let check = |(index, name): (usize, &String)| checked_name(&format!("{pointer}/{index}"), name, errors);
    names.iter().enumerate().filter_map(check).collect()
}

fn checked_labels(labels: &[String], errors: &mut Errors) -> Vec<Name> {
    match label::sorted(labels) {
        Ok(labels) => labels.into_iter().map(Name::from).collect(),
        Err((wrong, why)) => {
            let index = labels.iter().position(|label| label == wrong).unwrap_or(0);
            errors.add(format!("/labels/{index}"), format!("`{}` is no label: {why}", shown(wrong)));
            Vec::new()
        }
    }
}

fn check_command(command: Option<&[String]>, limits: &Limits, errors: &mut Errors) {
    let Some(command) = command else {
        if limits.run.is_none() {
            errors.add(
                "/time_limit",
                "a task without a `command` is a reservation, and needs a time limit, for example \"2h\"",
            );
        }
        return;
    };
    match command.first() {
        None => {
            errors.add("/command", "the command is empty; name a program, or leave it out for a reservation")
        }
        Some(program) if program.is_empty() => errors.add("/command/0", "the program is an empty text"),
        Some(_) => {}
    }
    let bytes: usize = command.iter().map(|word| word.len() + 1).sum();
    if bytes > COMMAND_BYTES_MAX {
        let detail =
            format!("the command has {bytes} bytes; at most {COMMAND_BYTES_MAX} are taken: use a file");
        errors.add("/command", detail);
    }
    if let Some(index) = command.iter().position(|word| word.contains('\0')) {
        errors.add(format!("/command/{index}"), "a NUL character cannot be passed to a program; remove it");
    }
}

fn check_env(env: &BTreeMap<String, String>, errors: &mut Errors) {
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > ENV_BYTES_MAX {
        let detail =
            format!("the environment has {bytes} bytes; at most {ENV_BYTES_MAX} are taken: use a file");
        errors.add("/env", detail);
    }
    let is_valid = |name: &str| {
        let mut bytes = name.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    for (name, value) in env {
        let bytes = name.len() + "=".len() + value.len();
        let detail = if !is_valid(name) {
            "a variable's name has letters, digits and _ and does not begin with a digit".to_owned()
        } else if name.starts_with(OWN_PREFIX) {
            format!("names that begin with `{OWN_PREFIX}` are set by FastGPU; use another name")
        } else if name == OWN_DEVICES {
            "is set by FastGPU to the devices that the task was granted; leave it out".to_owned()
        } else if value.contains('\0') {
            "a NUL character cannot be in the environment; remove it".to_owned()
        } else if bytes > VARIABLE_BYTES_MAX {
            format!(
                "the variable has {bytes} bytes; the kernel takes at most {VARIABLE_BYTES_MAX}: use a file"
            )
        } else {
            continue;
        };
        errors.add(format!("/env/{}", pointer_segment(name)), detail);
    }
}

fn check_working_dir(given: Option<&str>, errors: &mut Errors) {
    let Some(path) = given else { return };
    let why = match path {
        _ if !path.starts_with('/') => format!("`{}` is not an absolute path; begin it with /", shown(path)),
        _ if path.len() > PATH_BYTES_MAX => format!("the path has more than {PATH_BYTES_MAX} bytes"),
        _ if path.contains('\0') => "a NUL character cannot be in a path; remove it".to_owned(),
        _ => return,
    };
    errors.add("/working_dir", why);
}

/// The hash by which a specification is stored once: BLAKE3 of its canonical JSON.
#[must_use]
pub fn spec_hash(spec: &Spec) -> SpecHash {
    #[derive(Serialize)]
    struct Canonical<'a> {
        command: &'a [String],
        env: &'a BTreeMap<String, String>,
        working_dir: Option<&'a str>,
    }
    let canonical =
        Canonical { command: &spec.command, env: &spec.env, working_dir: spec.working_dir.as_deref() };
    let text = serde_json::to_vec(&canonical).expect("texts and a map of texts always serialize");
    SpecHash(*blake3::hash(&text).as_bytes())
}

impl SubmitTask {
    /// Says the article's request as one of ours; `owner` is what to account it to, if it says so.
    ///
    /// # Errors
    /// All that is wrong, each with its JSON pointer.
    pub fn into_submit(self, identity: &Identity) -> Result<Submit, Vec<FieldError>> {
        let mut errors = Errors::default();
        let owner = match &self.user_id {
            None => identity.owner.clone(),
            Some(Quantity::Number(number)) => number.to_string().into(),
            Some(Quantity::Text(text)) => {
                checked_name("/user_id", text, &mut errors).unwrap_or_else(|| identity.owner.clone())
            }
        };
        let hours = match &self.execute_time {
            None if self.command.is_some() => None,
            None => {
                errors.add("/execute_time", "is missing: how many hours are the GPUs needed?");
                None
            }
            Some(given) => hours(given).map_err(|why| errors.add("/execute_time", why)).ok(),
        };
        let gpu = self.resource_count.map(|given| match given {
            Quantity::Number(value) => Gpu::Number(value),
            Quantity::Text(text) => Gpu::Text(text),
        });
        let spec = TaskSpec {
            name: self.task_name,
            gpu,
            command: self.command,
            // Whatever is wrong with it is said above, in the article's word.
            time_limit: Some(Quantity::Number(hours.unwrap_or(1.0)))
                .filter(|_| hours.is_some() || !errors.0.is_empty()),
            ..TaskSpec::default()
        };
        let submit = spec.into_submit(&Identity { project: identity.project.clone(), owner });
        match submit {
            Ok(submit) if errors.0.is_empty() => Ok(submit),
            Ok(_) => Err(errors.0),
            Err(more) => {
                errors.0.extend(more.into_iter().map(in_the_articles_words));
                Err(errors.0)
            }
        }
    }
}

fn in_the_articles_words(error: FieldError) -> FieldError {
    let pointer = match error.pointer.as_str() {
        "/name" => "/task_name".to_owned(),
        "/gpu" => "/resource_count".to_owned(),
        "/time_limit" => "/execute_time".to_owned(),
        _ => error.pointer,
    };
    FieldError { pointer, detail: error.detail }
}

/// Hours to milliseconds.
fn hours(given: &Quantity) -> Result<f64, String> {
    let hours = match given {
        Quantity::Number(value) => *value,
        Quantity::Text(text) => {
            text.trim().parse().map_err(|_| format!("`{}` is not a number of hours", shown(text)))?
        }
    };
    let ms = (hours * 3_600_000.0).round();
    units::span_number(ms)
        .map(|_| ms)
        .map_err(|_| format!("{hours} is not a number of hours; write for example 2 or 0.5"))
}

impl TaskPatch {
    /// Says the change in the words of the core.
    ///
    /// # Errors
    /// All that is wrong, each with its JSON pointer.
    pub fn into_update(self) -> Result<Update, Vec<FieldError>> {
        let mut errors = Errors::default();
        let update = Update {
            priority: self.priority.map(|given| checked_priority(given, &mut errors)),
            held: self.held,
            share: self.gpu.and_then(|value| errors.take("/gpu", units::share(value))),
            memory: memory("/gpu_memory", self.gpu_memory.as_ref(), &mut errors),
        };
        if errors.0.is_empty() && update == Update::default() {
            errors.add("", "nothing to change: give priority, held, gpu or gpu_memory");
        }
        if errors.0.is_empty() { Ok(update) } else { Err(errors.0) }
    }
}

impl CancelRequest {
    /// The time from SIGTERM to SIGKILL, if it says one.
    ///
    /// # Errors
    /// When it is none, or too long. Zero is allowed: it means SIGKILL at once.
    pub fn grace(&self) -> Result<Option<Millis>, Vec<FieldError>> {
        let mut errors = Errors::default();
        let grace = grace("/grace", self.grace.as_ref(), &mut errors);
        if errors.0.is_empty() { Ok(grace) } else { Err(errors.0) }
    }
}

/// A token as it is asked for, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenAsk {
    /// What it may do.
    pub role: Role,
    /// Whom it stands for; the caller when nothing is said.
    pub owner: Option<Name>,
    /// The project it belongs to; the caller's when nothing is said.
    pub project: Option<Name>,
    /// For whom it is.
    pub kind: TokenFor,
    /// How long it is valid.
    pub expires_in: Option<Millis>,
}

/// For whom a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFor {
    /// A person.
    Person,
    /// A program.
    Service,
}

impl TokenRequest {
    /// Checks everything about the request.
    ///
    /// # Errors
    /// All that is wrong, each with its JSON pointer.
    pub fn into_ask(self) -> Result<TokenAsk, Vec<FieldError>> {
        let mut errors = Errors::default();
        let role = match self.role.as_deref() {
            None => Role::Member,
            Some(word) => role_of(word).unwrap_or_else(|| {
                errors.add(
                    "/role",
                    format!("there is no role `{}`; write viewer, member or admin", shown(word)),
                );
                Role::Viewer
            }),
        };
        let kind = match self.kind.as_deref() {
            None | Some("person") => TokenFor::Person,
            Some("service") => TokenFor::Service,
            Some(word) => {
                errors.add("/kind", format!("there is no kind `{}`; write person or service", shown(word)));
                TokenFor::Person
            }
        };
        let ask = TokenAsk {
            role,
            kind,
            owner: self.owner.as_deref().and_then(|name| checked_name("/owner", name, &mut errors)),
            project: self.project.as_deref().and_then(|name| checked_name("/project", name, &mut errors)),
            expires_in: span("/expires_in", self.expires_in.as_ref(), &mut errors),
        };
        if errors.0.is_empty() { Ok(ask) } else { Err(errors.0) }
    }
}

#[cfg(test)]
mod tests;
