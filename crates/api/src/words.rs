//! Sentences made from facts. Each sentence is made by one function, so that another language is another module.
//!
//! Who asks by HTTP is told keys and paths, who types is told flags and commands: a [`Spell`] spells what a sentence
//! mentions.

pub mod english;

/// Something that a sentence mentions and that the reader would write or call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mention<'a> {
    /// An amount of GPU, as `0.5` or `2`.
    Gpu(&'a str),
    /// Memory on each GPU, in MiB.
    GpuMemory(u64),
    /// The models of GPU.
    GpuModel,
    /// Whether the devices of several nodes will do.
    Spread,
    /// Processor and host memory.
    Host,
    /// Host memory.
    HostMemory,
    /// The time limit.
    TimeLimit,
    /// How often a task is tried again.
    Retries,
    /// The log of a task.
    Log(&'a str),
    /// Why a task waits.
    Why(&'a str),
    /// Letting a held task go.
    LetGo(&'a str),
    /// Ending a task.
    Cancel(&'a str),
    /// Running a task again.
    Retry(&'a str),
    /// The list of GPUs.
    Gpus,
    /// The list of nodes.
    Nodes,
    /// Letting tasks start on a node again.
    ResumeNode,
}

/// Spells a mention, in backticks, as the reader would write it.
pub type Spell = fn(Mention<'_>) -> String;

/// Keys and paths of the HTTP API.
#[must_use]
pub fn rest(mention: Mention<'_>) -> String {
    match mention {
        Mention::Gpu(amount) => format!("`\"gpu\": {amount}`"),
        Mention::GpuMemory(mib) => format!("`\"gpu_memory\": \"{mib}MiB\"`"),
        Mention::GpuModel => "`gpu.models`".to_owned(),
        Mention::Spread => "`gpu.spread`".to_owned(),
        Mention::Host => "`cpu` and `memory`".to_owned(),
        Mention::HostMemory => "`memory`".to_owned(),
        Mention::TimeLimit => "`time_limit`".to_owned(),
        Mention::Retries => "`\"retry\": 3`".to_owned(),
        Mention::Log(id) => format!("`GET /v1/tasks/{id}/logs`"),
        Mention::Why(id) => format!("`GET /v1/tasks/{id}/explain`"),
        Mention::LetGo(id) => format!("`PATCH /v1/tasks/{id}` with `\"held\": false`"),
        Mention::Cancel(id) => format!("`POST /v1/tasks/{id}/cancel`"),
        Mention::Retry(id) => format!("`POST /v1/tasks/{id}/retry`"),
        Mention::Gpus => "`GET /v1/gpus`".to_owned(),
        Mention::Nodes => "`GET /v1/nodes`".to_owned(),
        Mention::ResumeNode => "`POST /v1/nodes/{id}/resume`".to_owned(),
    }
}
