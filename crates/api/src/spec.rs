//! What a caller sends to have a task: the body of `POST /v1/tasks` and of its batch.
//!
//! These types say how it may be written; [`crate::convert`] says what it means and what is refused.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::parse::{Field, Inside, Request, objects, texts_once};

/// One task as it is asked for. Every key may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskSpec {
    /// A label for people, not unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Program and arguments; without it the task is a reservation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// How much of how many GPUs; one whole GPU when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
    /// Memory cap on each GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_memory: Option<Quantity>,
    /// Cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Host memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Environment, over the clean one every task gets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "texts_once")]
    pub env: BTreeMap<String, String>,
    /// An absolute path; a fresh folder per attempt when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The queue it waits in; `default` when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Higher goes first; 0 when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// The longest an attempt may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<Quantity>,
    /// How long it will probably run; ends nothing, but helps the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_duration: Option<Quantity>,
    /// The longest the task may wait for its first attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<Quantity>,
    /// From SIGTERM to SIGKILL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace: Option<Quantity>,
    /// How often the program's own failures are tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// `guaranteed`, `standard` or `spot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// `soft` or `hard`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
    /// Nodes by name, any of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Labels a node must carry, all of them, as `key=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Begin held back.
    #[serde(skip_serializing_if = "is_false")]
    pub held: bool,
    /// Accept even if no device known now could ever serve it.
    #[serde(skip_serializing_if = "is_false")]
    pub wait_for_capacity: bool,
    /// The project it belongs to; the token's own when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The GPUs of a task: `0.5`, `2`, `"none"`, or in parts.
#[derive(Debug, Clone, PartialEq)]
pub enum Gpu {
    /// A share below 1, or a whole number.
    Number(f64),
    /// `"none"`, or a number in quotes.
    Text(String),
    /// In parts.
    Parts(Box<GpuParts>),
}

/// The GPUs of a task, in parts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GpuParts {
    /// How many, at least; 1 when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How many, at most; `count` when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// How much of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Memory cap on each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Models, any of them, as a part of the driver's name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Memory a device must have in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_memory_min: Option<Quantity>,
    /// Whether the devices may be on several nodes.
    #[serde(skip_serializing_if = "is_false")]
    pub spread: bool,
}

/// A quantity: a number in the unit of its key, or a text with its own (`12GiB`, `2h`).
#[derive(Debug, Clone, PartialEq)]
pub enum Quantity {
    /// MiB for memory, milliseconds for time.
    Number(f64),
    /// With a unit.
    Text(String),
}

/// Retries of a task: `3`, or in parts.
#[derive(Debug, Clone, PartialEq)]
pub enum Retry {
    /// How often.
    Max(f64),
    /// In parts.
    Parts(RetryParts),
}

/// Retries of a task, in parts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryParts {
    /// How often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// The first wait; doubles each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Quantity>,
}

/// Many tasks at once: all are accepted, or none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSpec {
    /// The tasks, in order.
    #[serde(deserialize_with = "objects")]
    pub tasks: Vec<TaskSpec>,
}

const MEMORY: &str = "an amount of memory like \"12GiB\" or a number of MiB";
const SPAN: &str = "a time like \"2h\" or a number of milliseconds";

const TASK_FIELDS: &[Field] = &[
    Field::plain::<Option<String>>("name", "a text"),
    Field::plain::<Option<Vec<String>>>("command", "a list of texts like [\"python\", \"train.py\"]"),
    Field::with::<Option<Gpu>>("gpu", "a number, \"none\" or an object", Inside::Object(GPU_FIELDS)),
    Field::plain::<Option<Quantity>>("gpu_memory", MEMORY),
    Field::plain::<Option<f64>>("cpu", "a number of cores"),
    Field::plain::<Option<Quantity>>("memory", MEMORY),
    Field::with::<Texts>("env", "an object of names and texts", Inside::Texts),
    Field::plain::<Option<String>>("working_dir", "an absolute path"),
    Field::plain::<Option<String>>("queue", "the name of a queue"),
    Field::plain::<Option<i64>>("priority", "a whole number"),
    Field::plain::<Option<Quantity>>("time_limit", SPAN),
    Field::plain::<Option<Quantity>>("expected_duration", SPAN),
    Field::plain::<Option<Quantity>>("queue_timeout", SPAN),
    Field::plain::<Option<Quantity>>("stop_grace", SPAN),
    Field::with::<Option<Retry>>("retry", "a whole number or an object", Inside::Object(RETRY_FIELDS)),
    Field::plain::<Option<String>>("class", "\"guaranteed\", \"standard\" or \"spot\""),
    Field::plain::<Option<String>>("isolation", "\"soft\" or \"hard\""),
    Field::plain::<Vec<String>>("nodes", "a list of node names"),
    Field::plain::<Vec<String>>("labels", "a list of labels like [\"rack=7\"]"),
    Field::plain::<bool>("held", "true or false"),
    Field::plain::<bool>("wait_for_capacity", "true or false"),
    Field::plain::<Option<String>>("project", "the name of a project"),
];

const GPU_FIELDS: &[Field] = &[
    Field::plain::<Option<u64>>("count", "a whole number"),
    Field::plain::<Option<u64>>("max", "a whole number"),
    Field::plain::<Option<f64>>("share", "a number from 0.001 to 1"),
    Field::plain::<Option<Quantity>>("memory", MEMORY),
    Field::plain::<Vec<String>>("models", "a list of texts like [\"a100\"]"),
    Field::plain::<Option<Quantity>>("device_memory_min", MEMORY),
    Field::plain::<bool>("spread", "true or false"),
];

const RETRY_FIELDS: &[Field] = &[
    Field::plain::<Option<u64>>("max", "a whole number"),
    Field::plain::<Option<Quantity>>("backoff", SPAN),
];

impl Request for TaskSpec {
    const FIELDS: &'static [Field] = TASK_FIELDS;
}

impl Request for BatchSpec {
    const FIELDS: &'static [Field] =
        &[Field::with::<Tasks>("tasks", "a list of tasks", Inside::Objects(TASK_FIELDS))];
}

/// [`BatchSpec::tasks`] on its own.
#[derive(Deserialize)]
struct Tasks(
    #[serde(deserialize_with = "objects")]
    #[expect(dead_code, reason = "only read")]
    Vec<TaskSpec>,
);

/// [`TaskSpec::env`] on its own.
#[derive(Deserialize)]
struct Texts(
    #[serde(deserialize_with = "texts_once")]
    #[expect(dead_code, reason = "only read")]
    BTreeMap<String, String>,
);

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(value) => number(*value, serializer),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl Serialize for Gpu {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(value) => number(*value, serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Parts(parts) => parts.serialize(serializer),
        }
    }
}

impl Serialize for Retry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Max(value) => number(*value, serializer),
            Self::Parts(parts) => parts.serialize(serializer),
        }
    }
}

/// Whole numbers go without a fraction, as people write them.
fn number<S: Serializer>(value: f64, serializer: S) -> Result<S::Ok, S::Error> {
    // 2^53: whole numbers up to here are exact.
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within 2^53, checked above")]
        return serializer.serialize_i64(value as i64);
    }
    serializer.serialize_f64(value)
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(Written)? {
            Wrote::Number(value) => Ok(Self::Number(value)),
            Wrote::Text(text) => Ok(Self::Text(text)),
        }
    }
}

enum Wrote {
    Number(f64),
    Text(String),
}

struct Written;

#[expect(clippy::cast_precision_loss, reason = "limits far below 2^53 are checked where it is converted")]
impl Visitor<'_> for Written {
    type Value = Wrote;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Wrote, E> {
        Ok(Wrote::Number(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Wrote, E> {
        Ok(Wrote::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Wrote, E> {
        Ok(Wrote::Number(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Wrote, E> {
        Ok(Wrote::Text(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Gpu {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        #[expect(
            clippy::cast_precision_loss,
            reason = "limits far below 2^53 are checked where it is converted"
        )]
        impl<'de> Visitor<'de> for Any {
            type Value = Gpu;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text or an object")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Gpu, E> {
                Ok(Gpu::Number(value as f64))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Gpu, E> {
                Ok(Gpu::Number(value as f64))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Gpu, E> {
                Ok(Gpu::Number(value))
            }

            fn visit_str<E>(self, text: &str) -> Result<Gpu, E> {
                Ok(Gpu::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Gpu, A::Error> {
                GpuParts::deserialize(MapAccessDeserializer::new(map))
                    .map(|parts| Gpu::Parts(Box::new(parts)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Retry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        #[expect(
            clippy::cast_precision_loss,
            reason = "limits far below 2^53 are checked where it is converted"
        )]
        impl<'de> Visitor<'de> for Any {
            type Value = Retry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or an object")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Retry, E> {
                Ok(Retry::Max(value as f64))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Retry, E> {
                Ok(Retry::Max(value as f64))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Retry, E> {
                Ok(Retry::Max(value))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Retry, A::Error> {
                RetryParts::deserialize(MapAccessDeserializer::new(map)).map(Retry::Parts)
            }
        }
        deserializer.deserialize_any(Any)
    }
}
